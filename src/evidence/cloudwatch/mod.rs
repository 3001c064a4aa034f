//! The pull: after the load, the CloudWatch series and the function's REPORT lines, asked for until they
//! agree with what was acked and received, or a bound passes.

mod csv;
mod queries;
pub mod report_line;

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_smithy_types::DateTime;
use aws_smithy_types::error::display::DisplayErrorContext;

use super::model::MetricSeries;
use super::pulled::{Pulled, ReportLines};
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;

pub use csv::to_csv;
use queries::{Group, WANTED, key};

const PERIOD_S: i32 = 60;
const PERIOD_MS: i64 = PERIOD_S as i64 * 1_000;
/// Between two pulls while they do not agree yet.
const POLL_FIRST: Duration = Duration::from_secs(1);
const POLL_LONGEST: Duration = Duration::from_secs(15);
/// Pages of log events that are read at most: 10,000 events a page.
const LOG_PAGES_MAX: usize = 5_000;
/// Pages of one metric pull: 100,800 points a page.
const METRIC_PAGES_MAX: usize = 100;

/// What to pull, and what it must agree with.
#[derive(Clone, Debug)]
pub struct PullRequest {
    pub stream_name: String,
    pub function_name: String,
    pub mapping_uuid: String,
    pub log_group: String,
    pub dlq_name: String,
    pub dlq_url: String,
    pub from_ms: i64,
    pub to_ms: i64,
    /// Sum(IncomingRecords) in the window, once CloudWatch has all of it: acked records and probes.
    pub expect_records: u64,
    /// Sum(Invocations) is at least this: receipts.
    pub expect_invocations: u64,
    /// Give up waiting for agreement after this long.
    pub settle_for: Duration,
}

/// Pulls everything. What cannot be had is a note, never an error: the run's own numbers stand without it.
pub async fn pull(clients: &Clients, clock: Clock, request: &PullRequest, progress: &(dyn Fn(&str) + Sync)) -> Pulled {
    let mut pulled = Pulled {
        from_ms: request.from_ms.div_euclid(PERIOD_MS) * PERIOD_MS,
        to_ms: (request.to_ms.div_euclid(PERIOD_MS) + 1) * PERIOD_MS,
        ..Pulled::default()
    };
    settle(clients, clock, request, progress, &mut pulled).await;
    match reports(clients, clock, request, &pulled, progress).await {
        Ok(reports) => pulled.reports = Some(reports),
        Err(problem) => pulled.notes.push(format!("the function's log could not be read: {problem}")),
    }
    match dlq_depth(clients, &request.dlq_url).await {
        Ok(depth) => pulled.dlq_depth = Some(depth),
        Err(problem) => pulled.notes.push(format!("the on-failure queue could not be asked: {problem}")),
    }
    pulled
}

/// Pulls the series until they agree with the acks and the receipts.
async fn settle(
    clients: &Clients,
    clock: Clock,
    request: &PullRequest,
    progress: &(dyn Fn(&str) + Sync),
    pulled: &mut Pulled,
) {
    let give_up = clock.instant() + request.settle_for;
    let mut pause = POLL_FIRST;
    loop {
        pulled.unsettled = match series(clients, request, pulled).await {
            Ok(()) => disagreement(request, pulled),
            Err(problem) => Some(format!("CloudWatch could not be asked: {problem}")),
        };
        let Some(reason) = &pulled.unsettled else { return };
        if clock.instant() + pause > give_up {
            return;
        }
        progress(&format!("waiting for CloudWatch: {reason}"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(POLL_LONGEST);
    }
}

fn disagreement(request: &PullRequest, pulled: &Pulled) -> Option<String> {
    let sum = |group, metric| -> f64 {
        let series = pulled.series.get(&key(group, metric, "Sum"));
        series.map_or(0.0, |series| series.points.iter().map(|(_, value)| value).sum())
    };
    let records = sum(Group::Kinesis, "IncomingRecords") as u64;
    let invocations = sum(Group::Lambda, "Invocations") as u64;
    if records != request.expect_records {
        return Some(format!("Sum(IncomingRecords) is {records}, acked were {}", request.expect_records));
    }
    if invocations < request.expect_invocations {
        return Some(format!("Sum(Invocations) is {invocations}, receipts were {}", request.expect_invocations));
    }
    None
}

async fn series(clients: &Clients, request: &PullRequest, pulled: &mut Pulled) -> Result<(), String> {
    let mut keys = Vec::new();
    let mut queries = Vec::new();
    for wanted in WANTED {
        let name = match wanted.group {
            Group::Kinesis => &request.stream_name,
            Group::Lambda => &request.function_name,
            Group::Mapping => &request.mapping_uuid,
            Group::Dlq => &request.dlq_name,
        };
        if name.is_empty() {
            continue;
        }
        let metric = Metric::builder()
            .namespace(wanted.group.namespace())
            .metric_name(wanted.metric)
            .dimensions(Dimension::builder().name(wanted.group.dimension()).value(name).build())
            .build();
        for stat in wanted.stats {
            let stat_of = MetricStat::builder().metric(metric.clone()).period(PERIOD_S).stat(*stat).build();
            queries.push(MetricDataQuery::builder().id(format!("m{}", keys.len())).metric_stat(stat_of).build());
            keys.push((wanted, *stat));
        }
    }
    let mut found: Vec<Vec<(i64, f64)>> = vec![Vec::new(); keys.len()];
    let mut next: Option<String> = None;
    for _ in 0..METRIC_PAGES_MAX {
        let page = clients
            .cloudwatch
            .get_metric_data()
            .start_time(DateTime::from_millis(pulled.from_ms))
            .end_time(DateTime::from_millis(pulled.to_ms))
            .scan_by(ScanBy::TimestampAscending)
            .set_metric_data_queries(Some(queries.clone()))
            .set_next_token(next.take())
            .send()
            .await
            .map_err(|error| DisplayErrorContext(error).to_string())?;
        pulled.metrics_requested += queries.len() as u64;
        for result in page.metric_data_results() {
            let index = result.id().and_then(|id| id.strip_prefix('m')).and_then(|index| index.parse::<usize>().ok());
            let Some(points) = index.and_then(|index| found.get_mut(index)) else { continue };
            let times = result.timestamps().iter().map(|time| time.to_millis().unwrap_or_default());
            points.extend(times.zip(result.values().iter().copied()));
        }
        next = page.next_token().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    for ((wanted, stat), mut points) in keys.into_iter().zip(found) {
        points.sort_by_key(|(at_ms, _)| *at_ms);
        let series = MetricSeries {
            namespace: wanted.group.namespace().to_owned(),
            metric: wanted.metric.to_owned(),
            stat: stat.to_owned(),
            unit: unit(wanted.metric).to_owned(),
            period_s: PERIOD_S as u32,
            points,
        };
        pulled.series.insert(key(wanted.group, wanted.metric, stat), series);
    }
    Ok(())
}

/// The unit that AWS documents for the metric; GetMetricData does not return it.
fn unit(metric: &str) -> &'static str {
    match metric {
        "Duration" | "IteratorAge" => "Milliseconds",
        _ if metric.ends_with("Latency") || metric.ends_with("Milliseconds") => "Milliseconds",
        _ if metric.ends_with("Bytes") => "Bytes",
        _ => "Count",
    }
}

/// Reads the function's log in the window, again until it has as many REPORT lines as there were receipts.
async fn reports(
    clients: &Clients,
    clock: Clock,
    request: &PullRequest,
    pulled: &Pulled,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<ReportLines, String> {
    let give_up = clock.instant() + request.settle_for;
    let mut pause = POLL_FIRST;
    loop {
        let sums = read_log(clients, request, pulled).await?;
        if sums.invocations >= request.expect_invocations || clock.instant() + pause > give_up {
            return Ok(sums);
        }
        progress(&format!("waiting for the function's log: {} of {} REPORT lines", sums.invocations, request.expect_invocations));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(POLL_LONGEST);
    }
}

async fn read_log(clients: &Clients, request: &PullRequest, pulled: &Pulled) -> Result<ReportLines, String> {
    let mut sums = ReportLines::default();
    let mut next: Option<String> = None;
    for _ in 0..LOG_PAGES_MAX {
        let page = clients
            .logs
            .filter_log_events()
            .log_group_name(&request.log_group)
            .start_time(pulled.from_ms)
            .end_time(pulled.to_ms)
            .set_next_token(next.take())
            .send()
            .await
            .map_err(|error| DisplayErrorContext(error).to_string())?;
        for event in page.events() {
            report_line::add(&mut sums, event.message().unwrap_or_default());
        }
        next = page.next_token().map(str::to_owned);
        if next.is_none() {
            return Ok(sums);
        }
    }
    Err(format!("more than {LOG_PAGES_MAX} pages of events"))
}

async fn dlq_depth(clients: &Clients, url: &str) -> Result<u64, String> {
    use aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
    let answer = clients
        .sqs
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(ApproximateNumberOfMessages)
        .send()
        .await
        .map_err(|error| DisplayErrorContext(error).to_string())?;
    let depth = answer.attributes().and_then(|attributes| attributes.get(&ApproximateNumberOfMessages));
    depth.and_then(|depth| depth.parse().ok()).ok_or_else(|| "it did not say how many messages it holds".to_owned())
}
