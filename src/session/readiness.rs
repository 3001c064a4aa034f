//! Before the schedule starts: probe records are sent until the receipt of one comes back, so that stack
//! propagation, the mapping's first poll and the first cold start are not counted as latency.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::evidence::collector::Collector;
use crate::load::driver::{Driver, OutRecord, PutResult};
use crate::load::payload;
use crate::plan::Payload;
use crate::platform::clock::Clock;
use crate::wire::envelope::{Envelope, PROBE_LEVEL};
use crate::wire::run_id::RunId;

use super::SessionError;

/// The pipeline gets this long to bring one probe through.
pub const READY_BOUND: Duration = Duration::from_secs(300);
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Returns once a probe came through; the number of probes sent.
pub async fn wait_until_ready(
    run: &RunId,
    driver: &Arc<dyn Driver>,
    collector: &Collector,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) -> Result<u64, SessionError> {
    let started = clock.instant();
    let mut live = collector.live();
    let mut last_error = None;
    let mut sent = 0;
    loop {
        let waited = clock.instant() - started;
        if waited >= READY_BOUND || *stop.borrow() {
            return Err(SessionError::NotReady { waited, last_error });
        }
        if let Some(problem) = send_probe(run, driver, clock, sent).await {
            last_error = Some(problem);
        }
        sent += 1;
        tokio::select! {
            biased;
            seen = live.wait_for(|live| live.probes_seen > 0) => {
                if seen.is_ok() {
                    return Ok(sent);
                }
                last_error = Some("the receipt collector ended".to_owned());
                return Err(SessionError::NotReady { waited: clock.instant() - started, last_error });
            }
            _ = stop.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(PROBE_EVERY) => {
                if let Some(problem) = live.borrow().last_error.clone() {
                    last_error = Some(problem);
                }
            }
        }
    }
}

/// Sends one probe; what went wrong, if anything did.
async fn send_probe(run: &RunId, driver: &Arc<dyn Driver>, clock: Clock, sequence: u64) -> Option<String> {
    let envelope = Envelope { run: run.clone(), level: PROBE_LEVEL, sequence, due_us: clock.now_us() };
    let payload = Payload { name: "probe".to_owned(), bytes: payload::min_bytes() };
    let record = OutRecord { key: format!("probe-{sequence}"), data: payload::build(&envelope, &payload) };
    match driver.put(&[record]).await.into_iter().next() {
        Some(PutResult::Acked | PutResult::Throttled) | None => None,
        Some(PutResult::Failed { code, message, .. }) => Some(format!("{code}: {message}")),
        Some(PutResult::Unknown { message } | PutResult::NotSent { message }) => Some(message),
    }
}
