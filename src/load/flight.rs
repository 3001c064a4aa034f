//! One put request on its way: attempts, retries of what failed, and exactly one outcome for each record,
//! even when the request is cut off or the driver panics.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::driver::{OutRecord, PutResult};
use super::keys::mix;
use super::outcome::{FailReason, Outcome, RecordEnd};
use super::pacer::{Shared, stopped};
use crate::platform::clock::WallUs;
use crate::wire::envelope::Envelope;

/// Wait before the first retry, doubled for each further one, up to the cap; half of it is random, so that
/// what was refused together does not come back together.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A record that is due, by its number within the test.
pub(super) struct DueRecord {
    pub k: u64,
    pub due_us: WallUs,
    /// The function is to fail on it.
    pub poison: bool,
    /// Ready since then, but without a slot; `None`: a slot was free at once.
    pub waiting_since: Option<Instant>,
}

/// Sees `records` (of one level, consecutive) through. Their slots are given back one by one as they settle.
pub(super) async fn fly(
    shared: Arc<Shared>,
    level: u32,
    records: Vec<DueRecord>,
    mut permit: OwnedSemaphorePermit,
) {
    let mut flight = Flight::prepare(shared, level, records);
    let mut attempt = 1;
    loop {
        let results = flight.attempt().await;
        let is_last = attempt >= flight.shared.test.put_attempts || *flight.shared.stop.borrow();
        let settled = flight.settle(results, is_last);
        drop(permit.split(settled));
        if flight.out.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            () = stopped(flight.shared.stop.clone()) => return flight.give_up(),
            () = sleep(backoff(flight.records[0].outcome.sequence, attempt)) => attempt += 1,
        }
    }
}

/// Between a half and the whole of the doubled wait; a pure function, so that virtual time repeats.
fn backoff(sequence: u64, attempt: u32) -> Duration {
    let whole = BACKOFF_FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
    let random = mix(sequence ^ (u64::from(attempt) << 56));
    let half_us = whole.as_micros() as u64 / 2;
    Duration::from_micros(half_us + random % (half_us + 1))
}

/// A record that has no outcome yet; `outcome` is what is known so far.
struct Record {
    outcome: Outcome,
    /// An attempt has left and has no answer yet.
    is_pending: bool,
    /// Some attempt was never answered: the record may be in the stream whatever came after.
    is_unknown: bool,
    /// What the latest attempt came to, should it be the last.
    reason: FailReason,
}

/// The unsettled records of a request, in two columns: the driver wants the second as a slice.
struct Flight {
    shared: Arc<Shared>,
    level: u32,
    records: Vec<Record>,
    out: Vec<OutRecord>,
    answered_us: WallUs,
}

impl Flight {
    fn prepare(shared: Arc<Shared>, level: u32, due: Vec<DueRecord>) -> Flight {
        let out: Vec<OutRecord> = due
            .iter()
            .map(|record| {
                let sequence = shared.first_sequence + record.k;
                let (run, due_us, poison) = (shared.run.clone(), record.due_us, record.poison);
                let envelope = Envelope { run, level, sequence, due_us, poison };
                let (key, hash_key) = (shared.keys.key(sequence), shared.keys.hash_key(sequence));
                let data = shared.records.build(&envelope, record.k, &key);
                OutRecord { key, hash_key, data }
            })
            .collect();
        // Until here the generator itself was at work: that is its lag, not the pipeline's latency.
        let ready_us = shared.clock.now_us();
        let records = due.iter().zip(&out).map(|(record, out)| Record {
            outcome: Outcome {
                level,
                sequence: shared.first_sequence + record.k,
                due_us: record.due_us,
                ready_us: record.waiting_since.map_or(ready_us, |since| shared.clock.wall_us_of(since)),
                first_sent_us: ready_us,
                waited_for_slot: record.waiting_since.is_some(),
                last_sent_us: ready_us,
                answered_us: ready_us,
                attempts: 0,
                throttles: 0,
                bytes: out.data.len() as u32,
                key_bytes: out.key.len() as u32,
                end: RecordEnd::Acked,
            },
            is_pending: false,
            is_unknown: false,
            reason: FailReason::NotSent,
        });
        let records = records.collect();
        Flight { shared, level, records, out, answered_us: ready_us }
    }

    /// One attempt for all that is left; as many results as records.
    async fn attempt(&mut self) -> Vec<PutResult> {
        let clock = self.shared.clock;
        let sent = clock.instant();
        let sent_us = clock.wall_us_of(sent);
        for record in &mut self.records {
            if record.outcome.attempts == 0 {
                record.outcome.first_sent_us = sent_us;
            }
            record.outcome.last_sent_us = sent_us;
            record.outcome.attempts += 1;
            record.is_pending = true;
        }
        let attempt_timeout = self.shared.test.attempt_timeout;
        let answer = timeout(attempt_timeout, self.shared.driver.put(&self.out)).await;
        let mut results: Vec<PutResult> = answer.unwrap_or_default();
        let answered = clock.instant();
        self.answered_us = clock.wall_us_of(answered);
        let unanswered = || PutResult::Unknown { message: format!("no answer within {attempt_timeout:?}") };
        results.resize_with(self.out.len(), unanswered);
        let left = |result: &PutResult| {
            !matches!(result, PutResult::NotSent { .. } | PutResult::NoCredentials { .. })
        };
        if results.iter().any(left) {
            let service_time_us = answered.duration_since(sent).as_micros() as u64;
            self.shared.recorder.attempt(self.level, service_time_us, self.out.len() as u32);
        }
        results
    }

    /// Reports what is decided and keeps the rest for another attempt; returns how many were decided.
    fn settle(&mut self, results: Vec<PutResult>, is_last: bool) -> usize {
        let records = std::mem::take(&mut self.records);
        let out = std::mem::take(&mut self.out);
        let before = out.len();
        for ((mut record, out), result) in records.into_iter().zip(out).zip(results) {
            record.outcome.answered_us = self.answered_us;
            match record.judge(result) {
                Judgement::Acked => self.finish(record, RecordEnd::Acked),
                Judgement::Failed => self.fail(record),
                Judgement::Again if is_last => self.fail(record),
                Judgement::Again => {
                    self.records.push(record);
                    self.out.push(out);
                }
            }
        }
        before - self.out.len()
    }

    /// No further attempt: what is left has failed.
    fn give_up(mut self) {
        self.out.clear();
        for record in std::mem::take(&mut self.records) {
            self.fail(record);
        }
    }

    fn fail(&self, record: Record) {
        let reason =
            if record.is_unknown || record.is_pending { FailReason::UnknownOutcome } else { record.reason };
        self.finish(record, RecordEnd::Failed(reason));
    }

    fn finish(&self, mut record: Record, end: RecordEnd) {
        record.outcome.end = end;
        self.shared.recorder.finished(&record.outcome);
    }
}

/// Cut off (by the bound on landing, or by a panic of the driver): nothing may stay without an outcome.
impl Drop for Flight {
    fn drop(&mut self) {
        let now_us = self.shared.clock.now_us();
        for mut record in std::mem::take(&mut self.records) {
            record.outcome.answered_us = now_us;
            self.fail(record);
        }
    }
}

enum Judgement {
    Acked,
    Again,
    Failed,
}

impl Record {
    /// Takes in what an attempt came to.
    fn judge(&mut self, result: PutResult) -> Judgement {
        self.is_pending = false;
        match result {
            PutResult::Acked => Judgement::Acked,
            PutResult::Throttled => {
                self.outcome.throttles += 1;
                self.reason = FailReason::Throttled;
                Judgement::Again
            }
            PutResult::Failed { retryable, .. } => {
                self.reason = FailReason::ServiceError;
                if retryable { Judgement::Again } else { Judgement::Failed }
            }
            PutResult::Unknown { .. } => {
                self.is_unknown = true;
                Judgement::Again
            }
            PutResult::NotSent { .. } => {
                self.reason = FailReason::NotSent;
                Judgement::Again
            }
            PutResult::NoCredentials { .. } => {
                self.reason = FailReason::NoCredentials;
                Judgement::Again
            }
        }
    }
}
