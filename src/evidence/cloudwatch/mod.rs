//! The pull: what CloudWatch, the function's log and the on-failure queue say about a load, after it. The
//! metrics come late, so it polls until their sums agree with the acks and the receipts, within a bound.

mod csv;
mod fetch;
mod logs;
pub mod peek;
pub mod report_line;
mod wanted;

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;

pub use self::csv::to_csv;
use self::fetch::{Fetched, fetch};
use self::wanted::{INCOMING_RECORDS, INVOCATIONS};
use super::pulled::Pulled;
use crate::platform::clock::Clock;
use crate::platform::refusals::plain;

/// Between two polls: doubled from the first to the last.
const POLL_FIRST: Duration = Duration::from_secs(1);
const POLL_LONGEST: Duration = Duration::from_secs(15);

/// The clients that the pull uses.
#[derive(Clone, Debug)]
pub struct MetricClients {
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    pub sqs: aws_sdk_sqs::Client,
}

/// What to pull, and what it has to agree with. An empty name leaves its metrics out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PullRequest {
    pub stream_name: String,
    pub function_name: String,
    pub mapping_uuid: String,
    pub log_group: String,
    pub dlq_name: String,
    pub dlq_url: String,
    /// Window of the load, drain included, ms since the epoch. Metrics come by whole minutes around it.
    pub from_ms: i64,
    pub to_ms: i64,
    /// Records that were acked in the window, probes included.
    pub expect_records: u64,
    /// Receipts in the window: each is one invocation, but not every invocation has one.
    pub expect_invocations_at_least: u64,
    /// How long to wait for the metrics to come in.
    pub settle_for: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("CloudWatch did not give its metrics: {0}")]
    CloudWatch(String),
}

impl PullError {
    /// One line of what to do.
    pub fn hint(&self) -> &'static str {
        "the credentials need cloudwatch:GetMetricData; `streamgauge metrics RUN` pulls again"
    }
}

/// Pulls everything. What cannot be read beside the metrics (log, queue) is `None` with a note.
///
/// # Errors
/// When CloudWatch refuses to give metrics.
pub async fn pull(
    clients: &MetricClients,
    clock: Clock,
    what: &PullRequest,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Pulled, PullError> {
    let mut pulled = Pulled { from_ms: what.from_ms, to_ms: what.to_ms, ..Pulled::default() };
    let period_s = fetch::period_s(what.from_ms, clock.now_ms());
    settle(clients, clock, what, period_s, &mut pulled, progress).await?;

    progress("pulling the metrics");
    let wanted: Vec<_> = wanted::all().collect();
    let fetched = fetch(&clients.cloudwatch, what, &wanted, period_s).await?;
    pulled.series = fetched.series;
    pulled.metrics_requested += fetched.metrics_requested;

    if !what.log_group.is_empty() {
        progress("reading the function's log");
        match logs::read(&clients.logs, &what.log_group, what.from_ms, what.to_ms, progress).await {
            Ok(reports) => pulled.reports = Some(reports),
            Err(error) => {
                pulled.notes.push(format!("the log group {} was not read: {error}", what.log_group))
            }
        }
    }
    if !what.dlq_url.is_empty() {
        match depth(&clients.sqs, &what.dlq_url, false).await {
            Ok(depth) => pulled.dlq_depth = Some(depth),
            Err(error) => pulled.notes.push(format!("the on-failure queue was not asked: {error}")),
        }
    }
    Ok(pulled)
}

/// Polls the two sums until they reach what is expected, or the bound passes. Sums above it are a note and
/// no reason to wait: they only grow, and puts whose answer was lost count too.
async fn settle(
    clients: &MetricClients,
    clock: Clock,
    what: &PullRequest,
    period_s: u32,
    pulled: &mut Pulled,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), PullError> {
    let deadline = clock.instant() + what.settle_for;
    let mut pause = POLL_FIRST;
    loop {
        let sums = fetch(&clients.cloudwatch, what, &[INCOMING_RECORDS, INVOCATIONS], period_s).await?;
        pulled.metrics_requested += sums.metrics_requested;
        let (records, invocations) = (sum(&sums, &INCOMING_RECORDS.key()), sum(&sums, &INVOCATIONS.key()));
        let lacking = lacking(what, records, invocations);
        if lacking.is_empty() {
            if records > what.expect_records && !what.stream_name.is_empty() {
                pulled.notes.push(format!(
                    "CloudWatch counts {records} incoming records, {} more than were acked: puts whose answer \
                     was lost, or another producer in the same minutes",
                    records - what.expect_records
                ));
            }
            return Ok(());
        }
        let now = clock.instant();
        if now >= deadline {
            pulled.unsettled = Some(format!(
                "after {} s CloudWatch still shows {}",
                what.settle_for.as_secs(),
                lacking.join(" and ")
            ));
            return Ok(());
        }
        progress(&format!("waiting for CloudWatch: {}", lacking.join(", ")));
        tokio::time::sleep_until((now + pause).min(deadline)).await;
        pause = (pause * 2).min(POLL_LONGEST);
    }
}

/// What has not arrived yet, in words.
fn lacking(what: &PullRequest, records: u64, invocations: u64) -> Vec<String> {
    let expected = [
        ("records", records, what.expect_records, !what.stream_name.is_empty()),
        ("invocations", invocations, what.expect_invocations_at_least, !what.function_name.is_empty()),
    ];
    let short = expected.into_iter().filter(|(_, shown, due, asked)| *asked && shown < due);
    short.map(|(name, shown, due, _)| format!("{shown} of {due} {name}")).collect()
}

fn sum(fetched: &Fetched, key: &str) -> u64 {
    let points = fetched.series.get(key).map_or(&[][..], |series| &series.points);
    points.iter().map(|(_, value)| value).sum::<f64>().round() as u64
}

/// Messages that stand in a queue; `hidden`: those too that a receiver holds at the moment.
async fn depth(sqs: &aws_sdk_sqs::Client, queue_url: &str, hidden: bool) -> Result<u64, String> {
    let mut wanted = vec![QueueAttributeName::ApproximateNumberOfMessages];
    wanted.extend(hidden.then_some(QueueAttributeName::ApproximateNumberOfMessagesNotVisible));
    let answer = sqs
        .get_queue_attributes()
        .queue_url(queue_url)
        .set_attribute_names(Some(wanted.clone()))
        .send()
        .await
        .map_err(|error| plain(&error))?;
    let of =
        |name| answer.attributes().and_then(|all| all.get(name)).and_then(|depth| depth.parse::<u64>().ok());
    let depths: Option<Vec<u64>> = wanted.iter().map(of).collect();
    depths.map(|depths| depths.iter().sum()).ok_or_else(|| "it told no number of messages".to_owned())
}
