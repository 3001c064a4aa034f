//! What is looked up beside the receipts: the on-failure queue, and the stream itself.

use std::time::Duration;

use crate::evidence::accounting;
use crate::evidence::collector::Collector;
use crate::evidence::confirm::{self, Lookup};
use crate::evidence::dead_letters::{self, DeadLetters};
use crate::evidence::events::{Event, EventLog};
use crate::evidence::rundir::RunDir;
use crate::evidence::sequences::SequenceSet;
use crate::wire::envelope::EnvelopePath;
use crate::wire::run_id::RunId;

use super::SessionError;
use super::run::RunRequest;

/// Re-reading the shards for missing records ends after this.
pub(super) const CONFIRM_BOUND: Duration = Duration::from_secs(600);

/// The queue gets this long to be found empty at the end.
const COLLECT_BOUND: Duration = Duration::from_secs(60);

/// What a look into the on-failure queue takes.
pub(super) struct OnFailureQueue<'a> {
    pub request: &'a RunRequest,
    pub id: &'a RunId,
    pub events: &'a EventLog,
    /// A look ends after this.
    pub bound: Duration,
}

impl OnFailureQueue<'_> {
    /// Looks up whose records the messages in the queue are about; writes it down, and gives the sequences of
    /// this run that were found. Messages of an earlier look may still be hidden, and their sequences left out.
    pub(super) async fn look(&self) -> Result<SequenceSet, SessionError> {
        let OnFailureQueue { request, id, events, bound } = *self;
        // The queue of an existing pipeline belongs to somebody else: looking hides its messages from them.
        if request.standing.dlq_url.is_empty() {
            return Ok(SequenceSet::new());
        }
        let lookup = DeadLetters {
            sqs: &request.clients.sqs,
            dlq_url: &request.standing.dlq_url,
            kinesis: &request.clients.kinesis,
            stream_arn: &request.standing.stream_arn,
            run: id,
            paths: &envelope_paths(request),
            clock: request.clock,
            bound,
        };
        let (found, problem) = dead_letters::dead_letters(&lookup).await;
        let sequences = match &found {
            Event::DeadLettered { ranges, .. } => SequenceSet::from_ranges(ranges),
            _ => SequenceSet::new(),
        };
        events.append(request.clock.now_us(), &found)?;
        if let Some(text) = problem {
            events.append(request.clock.now_us(), &Event::Note { text })?;
        }
        Ok(sequences)
    }
}

/// Where the plan's records have their envelopes, beside the default place.
fn envelope_paths(request: &RunRequest) -> Vec<EnvelopePath> {
    let planned = request.plan.environment.function.envelope_paths.iter();
    planned.filter_map(|path| path.to_string().parse().ok()).collect()
}

/// Re-reads the shards for acked records that no receipt names.
pub(super) async fn confirm(
    request: &RunRequest,
    id: &RunId,
    dir: &RunDir,
    events: &EventLog,
) -> Result<(), SessionError> {
    let retention = Duration::from_secs(3_600 * u64::from(request.standing.retention_hours));
    let from_us = dir.read_run()?.started_us;
    let missing = accounting::missing(dir, (from_us, request.clock.now_us()), retention)?;
    if missing.sequences.is_empty() {
        return Ok(());
    }
    request.progress.step("looking in the stream itself for the records without a receipt");
    let lookup = Lookup {
        kinesis: &request.clients.kinesis,
        stream_arn: &request.standing.stream_arn,
        run: id,
        paths: &envelope_paths(request),
        missing: &missing,
        from_us,
        clock: request.clock,
        retention,
        bound: CONFIRM_BOUND,
    };
    let found = confirm::confirm(&lookup).await;
    Ok(events.append(request.clock.now_us(), &found)?)
}

/// Collects the receipts that are still to come, and says whether these are all. `reachable`: the environment is.
pub(super) async fn collect_last(
    request: &RunRequest,
    events: &EventLog,
    collector: Collector,
    reachable: bool,
) -> Result<(), SessionError> {
    request.progress.step("collecting the last receipts");
    let bound = if reachable { COLLECT_BOUND } else { Duration::ZERO };
    let receipts = collector.live();
    let collected = collector.stop(bound).await;
    let problems = receipts.borrow().clone();
    if let Some(problem) = problems.errors.back() {
        let text = format!("the receipts queue, last of {} problems: {problem}", problems.errors_total);
        request.progress.step(&text);
        events.append(request.clock.now_us(), &Event::Note { text })?;
    }
    let (complete, unreadable) = (collected.complete && reachable, collected.unreadable);
    Ok(events.append(request.clock.now_us(), &Event::CollectionEnded { complete, unreadable })?)
}
