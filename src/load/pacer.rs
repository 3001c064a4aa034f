//! The open-loop pacer: wakes when records are due and sends all of them, whatever became of the ones
//! before. Nothing is ever skipped to catch up; how late each record was is part of its outcome.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::closed;
use super::driver::Driver;
use super::flight::{self, BACKOFF_MAX, DueRecord};
use super::keys::KeyPicker;
use super::outcome::Recorder;
use super::payload::Records;
use super::schedule::Schedule;
use crate::plan::{self, PutMode};
use crate::platform::clock::{Clock, WallUs};
use crate::platform::limits;
use crate::wire::run_id::RunId;

/// Wakes whose records may wait for an in-flight slot with a ready time of their own: a minute of them.
/// Later ones share an upper bound of their lag, so that a target that hangs for a day costs no memory.
const BACKLOG_SPANS_MAX: usize = 65_536;
/// What the last flights get beyond their own bounds before they are cut off.
const GRACE: Duration = Duration::from_secs(1);

/// One test to run.
#[derive(Clone, Debug)]
pub struct Job {
    pub run: RunId,
    pub test: plan::Test,
    pub schedule: Schedule,
    /// Index within the run of the test's first level.
    pub first_level: u32,
    /// Sequence within the run of the test's first record.
    pub first_sequence: u64,
    /// Where keys take turns: a hash key in each open shard; otherwise none.
    pub hash_keys: Arc<[Arc<str>]>,
    /// When the schedule starts; in the past, everything since then is due at once.
    pub start: Instant,
}

/// The schedule entered or left a level. Records of a level that ended may still be in flight.
#[derive(Clone, Debug, PartialEq)]
pub enum LevelEvent {
    /// `level` is the index within the run. `at` is the planned instant, not when it was noticed.
    Started {
        level: u32,
        index_in_test: u32,
        at: Instant,
        /// Its first record, as a number within the test.
        first: u64,
    },
    Ended {
        level: u32,
        index_in_test: u32,
        at: Instant,
    },
}

/// How a test's load ended: every record that was sent has its outcome by now.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadEnd {
    /// Stopped before the schedule's end.
    pub stopped: bool,
    /// Records that were handed to the driver: `first_sequence..first_sequence + sent`, without a gap.
    pub sent: u64,
    /// Records that were due when it was stopped, but still waited for an in-flight slot.
    pub due_unsent: u64,
    pub ended: Instant,
}

/// What the pacer and its flights share.
pub(super) struct Shared {
    pub run: RunId,
    pub test: plan::Test,
    pub first_sequence: u64,
    pub records: Records,
    pub keys: KeyPicker,
    pub driver: Arc<dyn Driver>,
    pub recorder: Arc<dyn Recorder>,
    pub clock: Clock,
    pub stop: watch::Receiver<bool>,
}

/// Sends one test's load and returns when every record that was sent has its one outcome.
///
/// `stop` turning true ends it early: nothing new is sent, nothing is retried, and what is in flight is
/// awaited for at most the attempt timeout. A dropped sender never stops it.
///
/// Timing is as good as the runtime's timer (1 ms) and the task it runs in. Awaited from `block_on` of a
/// multi-thread runtime, it has the main thread to itself while the flights use the workers; that is how to
/// run a real load. Under a paused clock everything shares one thread.
pub async fn run_test(
    job: Job,
    driver: Arc<dyn Driver>,
    recorder: Arc<dyn Recorder>,
    clock: Clock,
    stop: watch::Receiver<bool>,
    mut on_level: impl FnMut(LevelEvent) + Send,
) -> LoadEnd {
    if job.test.users.is_some() {
        return closed::run(job, driver, recorder, clock, stop, on_level).await;
    }
    let mut pacer = Pacer::new(job, driver, recorder, clock, stop.clone());
    let stop_requested = stopped(stop);
    tokio::pin!(stop_requested);
    let is_stopped = loop {
        pacer.advance(clock.instant(), &mut on_level);
        pacer.dispatch();
        if pacer.is_done() {
            break false;
        }
        let slots = Arc::clone(&pacer.slots);
        tokio::select! {
            biased;
            () = &mut stop_requested => break true,
            _ = slots.acquire(), if !pacer.backlog.is_empty() => {}
            () = sleep_until(pacer.next_wake()), if pacer.level < pacer.schedule.levels().len() => {}
        }
    };
    pacer.land(is_stopped).await
}

/// Resolves when `stop` turns true; never when its sender is gone.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Records of one level that became due at one wake.
struct Span {
    level: usize,
    first: u64,
    count: u64,
    ready: Instant,
    /// Of a span that had to take in later wakes: the longest lag of any record in it.
    shared_lag: Option<Duration>,
    /// Stayed after the wake that made it due: there was no slot.
    waited: bool,
}

struct Pacer {
    shared: Arc<Shared>,
    schedule: Schedule,
    first_level: u32,
    start: Instant,
    start_wall_us: WallUs,
    slots: Arc<Semaphore>,
    /// Level that the schedule is in, and whether that was said.
    level: usize,
    level_started: bool,
    /// First record that was not due yet, and first that was not sent yet.
    next_due: u64,
    next_send: u64,
    backlog: VecDeque<Span>,
    flights: JoinSet<()>,
}

impl Pacer {
    fn new(
        job: Job,
        driver: Arc<dyn Driver>,
        recorder: Arc<dyn Recorder>,
        clock: Clock,
        stop: watch::Receiver<bool>,
    ) -> Pacer {
        let Job { run, test, schedule, first_level, first_sequence, hash_keys, start } = job;
        let slots = Arc::new(Semaphore::new(test.max_in_flight.max(1) as usize));
        let (records, keys) = (Records::new(&test), KeyPicker::new(&test.keys).under(hash_keys));
        let shared = Shared { run, test, first_sequence, records, keys, driver, recorder, clock, stop };
        Pacer {
            shared: Arc::new(shared),
            schedule,
            first_level,
            start,
            start_wall_us: clock.wall_us_of(start),
            slots,
            level: 0,
            level_started: false,
            next_due: 0,
            next_send: 0,
            backlog: VecDeque::new(),
            flights: JoinSet::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.level == self.schedule.levels().len() && self.backlog.is_empty()
    }

    /// When the next record is due or the level ends, whichever comes first.
    fn next_wake(&self) -> Instant {
        match self.schedule.levels().get(self.level) {
            Some(level) if self.level_started => {
                self.start + level.end().min(self.schedule.due(self.next_due))
            }
            _ => self.start,
        }
    }

    /// Brings the books up to `now`: levels entered and left, records due.
    fn advance(&mut self, now: Instant, on_level: &mut impl FnMut(LevelEvent)) {
        let Some(elapsed) = now.checked_duration_since(self.start) else { return };
        while let Some(plan) = self.schedule.levels().get(self.level).cloned() {
            if plan.start > elapsed {
                break;
            }
            let (level, index_in_test) = (self.first_level + plan.index_in_test, plan.index_in_test);
            if !self.level_started {
                self.level_started = true;
                let (at, first) = (self.start + plan.start, plan.first);
                on_level(LevelEvent::Started { level, index_in_test, at, first });
            }
            let end = plan.first + plan.count;
            let first = self.next_due;
            while self.next_due < end && self.schedule.due(self.next_due) <= elapsed {
                self.next_due += 1;
            }
            self.enqueue(first, self.next_due - first, now);
            if plan.end() > elapsed {
                break;
            }
            on_level(LevelEvent::Ended { level, index_in_test, at: self.start + plan.end() });
            self.level += 1;
            self.level_started = false;
        }
    }

    fn enqueue(&mut self, first: u64, count: u64, ready: Instant) {
        if count == 0 {
            return;
        }
        if self.backlog.len() >= BACKLOG_SPANS_MAX
            && let Some(last) = self.backlog.back_mut()
            && last.level == self.level
        {
            let lag = ready.saturating_duration_since(self.start + self.schedule.due(first));
            last.shared_lag = last.shared_lag.max(Some(lag));
            last.count += count;
            return;
        }
        let level = self.level;
        self.backlog.push_back(Span { level, first, count, ready, shared_lag: None, waited: false });
    }

    /// Sends what is due as far as there are slots.
    fn dispatch(&mut self) {
        while let Some(result) = self.flights.try_join_next() {
            log_panic(&result);
        }
        while let Some(span) = self.backlog.front() {
            let records_max = match self.shared.test.put {
                PutMode::Record => 1,
                PutMode::Batch => batch_records_max(self.shared.test.payload.bytes_max()),
            };
            let level = self.first_level + span.level as u32;
            let slots = self.slots.available_permits().min(records_max);
            if slots == 0 {
                break;
            }
            let records = self.take(slots);
            let permit = Arc::clone(&self.slots).try_acquire_many_owned(records.len() as u32);
            let permit: OwnedSemaphorePermit = permit.expect("only the pacer takes slots; they were free");
            let count = records.len() as u64;
            self.shared.recorder.started(level, self.shared.first_sequence + self.next_send, count);
            self.next_send += count;
            let flight = flight::fly(Arc::clone(&self.shared), level, records, permit);
            self.flights.spawn(flight);
        }
        // New spans are at the back; the ones before them were marked at an earlier wake.
        for span in self.backlog.iter_mut().rev() {
            if std::mem::replace(&mut span.waited, true) {
                break;
            }
        }
    }

    /// Up to `wanted` records of the first span's level, in order.
    fn take(&mut self, wanted: usize) -> Vec<DueRecord> {
        let mut records = Vec::with_capacity(wanted.min(64));
        let level = self.backlog.front().map(|span| span.level);
        while records.len() < wanted
            && let Some(span) = self.backlog.front_mut()
            && Some(span.level) == level
        {
            let due = self.schedule.due(span.first);
            let waiting_since = span.waited.then(|| match span.shared_lag {
                Some(lag) => span.ready.max(self.start + due + lag),
                None => span.ready,
            });
            let due_us = self.start_wall_us + due.as_micros() as i64;
            let poison = self.schedule.is_poison(span.first);
            records.push(DueRecord { k: span.first, due_us, poison, waiting_since });
            span.first += 1;
            span.count -= 1;
            if span.count == 0 {
                self.backlog.pop_front();
            }
        }
        records
    }

    /// Waits for what is in flight. Each flight is bounded by itself; this bound is the second line.
    async fn land(mut self, stopped: bool) -> LoadEnd {
        land(&mut self.flights, &self.shared.test, stopped).await;
        LoadEnd {
            stopped,
            sent: self.next_send,
            due_unsent: self.next_due - self.next_send,
            ended: self.shared.clock.instant(),
        }
    }
}

/// Waits for `flights`, no longer than they can take by their own bounds.
pub(super) async fn land(flights: &mut JoinSet<()>, test: &plan::Test, stopped: bool) {
    let attempts = if stopped { 1 } else { test.put_attempts.max(1) };
    let bound = (test.attempt_timeout + BACKOFF_MAX) * attempts + GRACE;
    let landed = timeout(bound, async {
        while let Some(result) = flights.join_next().await {
            log_panic(&result);
        }
    });
    if landed.await.is_err() {
        // Cut off: each flight then reports what it had not settled.
        flights.shutdown().await;
    }
}

/// A driver that panics is a bug worth a line; its records got their outcome from the flight's own guard.
pub(super) fn log_panic<T>(result: &Result<T, tokio::task::JoinError>) {
    if let Err(error) = result
        && error.is_panic()
    {
        tracing::error!(%error, "a put request panicked");
    }
}

/// Records of one PutRecords request: 500, or as many as fit into its bytes.
fn batch_records_max(payload_bytes: usize) -> usize {
    let record_bytes = payload_bytes + plan::PARTITION_KEY_BYTES;
    (limits::PUT_RECORDS_MAX_BYTES / record_bytes).clamp(1, limits::PUT_RECORDS_MAX_RECORDS)
}
