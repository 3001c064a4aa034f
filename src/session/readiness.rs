//! Before the schedule starts: probe records are sent until the receipt of one comes back, so that stack
//! propagation, the mapping's first poll and the first cold start are not counted as latency.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use aws_sdk_cloudwatchlogs::Client as LogsClient;

use crate::evidence::collector::Collector;
use crate::load::driver::{Driver, OutRecord, PutResult};
use crate::load::payload;
use crate::plan::EnvelopePath;
use crate::platform::clock::Clock;
use crate::platform::refusals::is_denial;
use crate::wire::envelope::{Envelope, PROBE_LEVEL};
use crate::wire::run_id::RunId;

use super::SessionError;

/// The pipeline gets this long to bring one probe through.
pub const READY_BOUND: Duration = Duration::from_secs(300);
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// This many invocations that failed, or permissions that lacked, and none that worked: waiting longer will not help.
const FAILURES_ENOUGH: usize = 3;
/// Lines with which Lambda logs an invocation that failed (Lambda developer guide, "Troubleshoot invocation").
const FAILURE_PATTERN: &str = "?\"Runtime exited\" ?\"Runtime.ExitError\" ?\"Task timed out\" ?\"errorType\"";

/// Puts into a stream that is there work at once, or something is wrong with it.
const TAKEN_ATTEMPTS: u64 = 10;

pub struct Probing<'a> {
    pub run: &'a RunId,
    pub driver: Arc<dyn Driver>,
    /// Where the function must find envelopes, beside their default place.
    pub paths: &'a [EnvelopePath],
    pub collector: &'a Collector,
    pub logs: &'a LogsClient,
    pub log_group: &'a str,
    pub clock: Clock,
}

/// Returns once a probe came through: how many were acked by then.
pub async fn wait_until_ready(
    probing: Probing<'_>,
    mut stop: watch::Receiver<u32>,
) -> Result<u64, SessionError> {
    let clock = probing.clock;
    let (started, started_ms) = (clock.instant(), clock.now_ms());
    let mut live = probing.collector.live();
    let mut last_error: Option<String> = None;
    let mut errors_before = 0;
    let (mut acked, mut denials) = (0, Vec::new());
    for sequence in 0.. {
        let waited = clock.instant() - started;
        if waited >= READY_BOUND || *stop.borrow() > 0 {
            return Err(SessionError::NotReady { waited, last_error });
        }
        match probing.send(sequence).await {
            Ok(()) => acked += 1,
            Err(problem) => {
                denials.extend(is_denied(&problem).then(|| problem.clone()));
                last_error = Some(problem);
            }
        }
        tokio::select! {
            biased;
            seen = live.wait_for(|live| !live.probes_seen.is_empty()) => {
                let ended = seen.is_err();
                drop(seen);
                return match ended {
                    false => Ok(acked),
                    true => Err(SessionError::NotReady {
                        waited: clock.instant() - started,
                        last_error: Some("the receipt collector ended".to_owned()),
                    }),
                };
            }
            _ = stop.wait_for(|asked| *asked > 0) => {}
            () = tokio::time::sleep(PROBE_EVERY) => {}
        }
        {
            let live = live.borrow();
            let news = live.errors_total > errors_before;
            errors_before = live.errors_total;
            if let Some(problem) = live.errors.back() {
                denials.extend((news && is_denied(problem)).then(|| problem.clone()));
                last_error = Some(problem.clone());
            }
        }
        if denials.len() >= FAILURES_ENOUGH
            && let Some(detail) = denials.pop()
        {
            let doing = "bring a probe record through the pipeline";
            return Err(SessionError::Denied { doing, detail });
        }
        let failures = probing.failures_since(started_ms).await;
        if let Some(failure) = failures.last() {
            last_error = Some(failure.clone());
            if failures.len() >= FAILURES_ENOUGH {
                return Err(SessionError::NotReady { waited: clock.instant() - started, last_error });
            }
        }
    }
    unreachable!("the loop ends by its bound")
}

/// Where nothing tells that a record was processed: returns once the stream took a probe, with 1.
pub async fn wait_until_taken(
    probing: Probing<'_>,
    mut stop: watch::Receiver<u32>,
) -> Result<u64, SessionError> {
    let started = probing.clock.instant();
    let mut last_error = None;
    for sequence in 0..TAKEN_ATTEMPTS {
        match probing.send(sequence).await {
            Ok(()) => return Ok(1),
            Err(problem) => last_error = Some(problem),
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|asked| *asked > 0) => break,
            () = tokio::time::sleep(PROBE_EVERY) => {}
        }
    }
    Err(SessionError::NotReady { waited: probing.clock.instant() - started, last_error })
}

/// Whether a problem, told as `what: code: message`, is a permission that lacks.
fn is_denied(problem: &str) -> bool {
    problem.split(": ").any(is_denial)
}

impl Probing<'_> {
    /// Sends one probe; the error says what went wrong.
    async fn send(&self, sequence: u64) -> Result<(), String> {
        let due_us = self.clock.now_us();
        let envelope =
            Envelope { run: self.run.clone(), level: PROBE_LEVEL, sequence, due_us, poison: false };
        // A function that was stood up for another plan may not know where this one has its envelopes.
        let default = EnvelopePath::default();
        let path = self.paths.get(sequence as usize % self.paths.len().max(1)).unwrap_or(&default);
        let record = OutRecord {
            key: format!("probe-{sequence}"),
            hash_key: None,
            data: payload::bare(&envelope, path),
        };
        match self.driver.put(&[record]).await.into_iter().next() {
            Some(PutResult::Acked) => Ok(()),
            Some(PutResult::Failed { code, message, .. }) => Err(format!("{code}: {message}")),
            Some(
                PutResult::Unknown { message }
                | PutResult::NotSent { message }
                | PutResult::NoCredentials { message },
            ) => Err(message),
            Some(PutResult::Throttled) => Err("the stream refused a probe for its throughput".to_owned()),
            None => Err("the driver gave no result".to_owned()),
        }
    }

    /// What the function's log says of failed invocations. A log that cannot be read says nothing.
    async fn failures_since(&self, started_ms: i64) -> Vec<String> {
        let answer = self
            .logs
            .filter_log_events()
            .log_group_name(self.log_group)
            .start_time(started_ms)
            .filter_pattern(FAILURE_PATTERN)
            .send()
            .await;
        let Ok(answer) = answer else { return Vec::new() };
        answer
            .events()
            .iter()
            .filter_map(|event| event.message().map(|message| message.trim().to_owned()))
            .collect()
    }
}
