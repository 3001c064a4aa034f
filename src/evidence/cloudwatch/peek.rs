//! A look at CloudWatch beside the load: the few series that nothing else tells of, a minute a point.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fetch::fetch;
use super::wanted::{Source, Wanted};
use super::{MetricClients, PullRequest, depth};

/// One call ends after this: what it was to tell is told by the next.
const CALL_BOUND: Duration = Duration::from_secs(10);
const PERIOD_S: u32 = 60;

const fn wanted(source: Source, metric: &'static str, stat: &'static str, unit: &'static str) -> Wanted {
    Wanted { source, metric, stat, unit }
}

const READ_EXCEEDED: Wanted = wanted(Source::Kinesis, "ReadProvisionedThroughputExceeded", "Sum", "Count");
const THROTTLES: Wanted = wanted(Source::Lambda, "Throttles", "Sum", "Count");
const ERRORS: Wanted = wanted(Source::Lambda, "Errors", "Sum", "Count");
const INVOCATIONS: Wanted = wanted(Source::Lambda, "Invocations", "Sum", "Count");
/// An invocation that is killed at its timeout sends no receipt.
const DURATION: Wanted = wanted(Source::Lambda, "Duration", "Maximum", "Milliseconds");
/// A function that is not the tool's own sends no receipts at all.
const ITERATOR_AGE: Wanted = wanted(Source::Lambda, "IteratorAge", "Maximum", "Milliseconds");

/// What CloudWatch knows of one minute; `None` where it gave no point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Minute {
    pub reads_refused: Option<f64>,
    pub throttles: Option<f64>,
    pub errors: Option<f64>,
    pub invocations: Option<f64>,
    pub duration_max_ms: Option<f64>,
    pub iterator_age_max_ms: Option<f64>,
}

/// What one look gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peeked {
    /// By the start of the minute, ms since the epoch.
    pub minutes: BTreeMap<i64, Minute>,
    /// Metrics asked of GetMetricData: what AWS bills, also of a call that failed.
    pub metrics_requested: u64,
}

/// Asks for the minutes of the window of `what`. Bounded at 10 s.
///
/// # Errors
/// In words; what was asked for is billed all the same, so the first number tells it.
pub async fn peek(clients: &MetricClients, what: &PullRequest) -> Result<Peeked, (u64, String)> {
    let all = [READ_EXCEEDED, THROTTLES, ERRORS, INVOCATIONS, DURATION, ITERATOR_AGE];
    let billed = all.len() as u64;
    let fetched =
        match tokio::time::timeout(CALL_BOUND, fetch(&clients.cloudwatch, what, &all, PERIOD_S)).await {
            Ok(Ok(fetched)) => fetched,
            Ok(Err(error)) => return Err((billed, error.to_string())),
            Err(_) => {
                return Err((billed, format!("CloudWatch did not answer within {} s", CALL_BOUND.as_secs())));
            }
        };
    let mut peeked = Peeked { metrics_requested: fetched.metrics_requested, ..Peeked::default() };
    for wanted in all {
        let points = fetched.series.get(&wanted.key()).map_or(&[][..], |series| &series.points);
        for (at_ms, value) in points {
            let minute = peeked.minutes.entry(*at_ms).or_default();
            let field = match wanted {
                READ_EXCEEDED => &mut minute.reads_refused,
                THROTTLES => &mut minute.throttles,
                ERRORS => &mut minute.errors,
                INVOCATIONS => &mut minute.invocations,
                DURATION => &mut minute.duration_max_ms,
                _ => &mut minute.iterator_age_max_ms,
            };
            *field = Some(*value);
        }
    }
    Ok(peeked)
}

/// Messages in the on-failure queue, hidden ones included: the tool's own looks hide them. Bounded at 10 s.
///
/// # Errors
/// In words.
pub async fn queue_depth(clients: &MetricClients, what: &PullRequest) -> Result<u64, String> {
    match tokio::time::timeout(CALL_BOUND, depth(&clients.sqs, &what.dlq_url, true)).await {
        Ok(depth) => depth,
        Err(_) => Err(format!("SQS did not answer within {} s", CALL_BOUND.as_secs())),
    }
}
