//! Virtual users: each sends a record, waits for its outcome, thinks, and sends the next one. One task keeps all
//! of them, so that the records' numbers follow the order in which they were sent; a user that is neither
//! thinking nor in flight does not exist.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::driver::Driver;
use super::flight::{self, DueRecord};
use super::keys::{KeyPicker, mix};
use super::outcome::Recorder;
use super::pacer::{Job, LevelEvent, LoadEnd, Shared, land, log_panic, stopped};
use super::payload::Records;
use super::schedule::{LevelPlan, Schedule};
use crate::plan::Users;
use crate::platform::clock::Clock;

/// As `run_test`, for a test with users.
pub(super) async fn run(
    job: Job,
    driver: Arc<dyn Driver>,
    recorder: Arc<dyn Recorder>,
    clock: Clock,
    stop: watch::Receiver<bool>,
    mut on_level: impl FnMut(LevelEvent) + Send,
) -> LoadEnd {
    let mut crowd = Crowd::new(job, driver, recorder, clock, stop.clone());
    let stop_requested = stopped(stop);
    tokio::pin!(stop_requested);
    let is_stopped = loop {
        crowd.advance(clock.instant(), &mut on_level);
        let Some(wake) = crowd.next_wake() else { break false };
        tokio::select! {
            biased;
            () = &mut stop_requested => break true,
            Some(landed) = crowd.flights.join_next_with_id() => crowd.landed(landed),
            () = sleep_until(wake) => {}
        }
    };
    land(&mut crowd.flights, &crowd.shared.test, is_stopped).await;
    LoadEnd { stopped: is_stopped, sent: crowd.next, due_unsent: 0, ended: clock.instant() }
}

/// The users by their index: those below the level's number go on, the others leave after their record.
struct Crowd {
    shared: Arc<Shared>,
    schedule: Schedule,
    users: Users,
    first_level: u32,
    start: Instant,
    level: usize,
    level_started: bool,
    /// How many there are to be.
    wanted: u32,
    /// Whether a user thinks or waits, and how many records it has sent.
    present: Vec<bool>,
    sent: Vec<u64>,
    thinking: BinaryHeap<Reverse<(Instant, u32)>>,
    waiting: HashMap<Id, u32>,
    flights: JoinSet<()>,
    /// As many slots as users: one is always free.
    slots: Arc<Semaphore>,
    /// Number within the test of the next record.
    next: u64,
}

impl Crowd {
    fn new(
        job: Job,
        driver: Arc<dyn Driver>,
        recorder: Arc<dyn Recorder>,
        clock: Clock,
        stop: watch::Receiver<bool>,
    ) -> Crowd {
        let Job { run, test, schedule, first_level, first_sequence, hash_keys, start } = job;
        let users = test.users.clone().expect("only tests with users come here");
        let (records, keys) = (Records::new(&test), KeyPicker::new(&test.keys).under(hash_keys));
        let shared = Shared { run, test, first_sequence, records, keys, driver, recorder, clock, stop };
        let peak = users.peak() as usize;
        Crowd {
            shared: Arc::new(shared),
            schedule,
            users,
            first_level,
            start,
            level: 0,
            level_started: false,
            wanted: 0,
            present: vec![false; peak],
            sent: vec![0; peak],
            thinking: BinaryHeap::new(),
            waiting: HashMap::new(),
            flights: JoinSet::new(),
            slots: Arc::new(Semaphore::new(peak)),
            next: 0,
        }
    }

    /// Brings the books up to `now`: levels entered and left, users come, their thoughts ended.
    fn advance(&mut self, now: Instant, on_level: &mut impl FnMut(LevelEvent)) {
        let Some(elapsed) = now.checked_duration_since(self.start) else { return };
        while let Some(plan) = self.schedule.levels().get(self.level).cloned() {
            let (level, index_in_test) = (self.first_level + plan.index_in_test, plan.index_in_test);
            if !self.level_started {
                self.level_started = true;
                let at = self.start + plan.start;
                on_level(LevelEvent::Started { level, index_in_test, at, first: self.next });
            }
            if elapsed < plan.end() {
                self.come(users_at(&plan, elapsed - plan.start), now);
                self.send_due(level, now);
                return;
            }
            on_level(LevelEvent::Ended { level, index_in_test, at: self.start + plan.end() });
            self.level += 1;
            self.level_started = false;
        }
    }

    fn come(&mut self, wanted: u32, now: Instant) {
        for user in self.wanted..wanted {
            if !std::mem::replace(&mut self.present[user as usize], true) {
                self.thinking.push(Reverse((now, user)));
            }
        }
        self.wanted = wanted;
    }

    fn send_due(&mut self, level: u32, now: Instant) {
        while let Some(Reverse((wake, user))) = self.thinking.peek().copied()
            && wake <= now
        {
            self.thinking.pop();
            if user < self.wanted {
                self.send(level, user);
            } else {
                self.present[user as usize] = false;
            }
        }
    }

    fn send(&mut self, level: u32, user: u32) {
        let k = self.next;
        self.next += 1;
        self.sent[user as usize] += 1;
        let permit = Arc::clone(&self.slots).try_acquire_owned();
        let permit = permit.expect("a slot for each user, and each has one record in flight at most");
        self.shared.recorder.started(level, self.shared.first_sequence + k, 1);
        let due_us = self.shared.clock.now_us();
        let records = vec![DueRecord { k, due_us, poison: false, waiting_since: None }];
        let flight = flight::fly(Arc::clone(&self.shared), level, records, permit);
        self.waiting.insert(self.flights.spawn(flight).id(), user);
    }

    /// A record has its outcome: its user thinks, whatever the outcome was.
    fn landed(&mut self, landed: Result<(Id, ()), JoinError>) {
        log_panic(&landed);
        let id = landed.map_or_else(|error| error.id(), |(id, ())| id);
        let Some(user) = self.waiting.remove(&id) else { return };
        let thought = think_time(&self.users, user, self.sent[user as usize]);
        self.thinking.push(Reverse((self.shared.clock.instant() + thought, user)));
    }

    /// When a thought or a level ends, or the next user comes or goes; `None` after the last level.
    fn next_wake(&self) -> Option<Instant> {
        let plan = self.schedule.levels().get(self.level)?;
        if !self.level_started {
            return Some(self.start);
        }
        let changes = self.start + plan.start + next_change(plan, self.wanted);
        let thought = self.thinking.peek().map(|Reverse((wake, _))| *wake);
        Some(thought.map_or(changes, |wake| wake.min(changes)))
    }
}

/// Users that have come or are to go, of those between a level's two ends.
fn steps(plan: &LevelPlan) -> (u32, u32, u128) {
    let (from, to) = plan.users.unwrap_or_default();
    (from, to, u128::from(from.abs_diff(to)))
}

/// How many users there are `into` a level: over a ramp one after the other, evenly.
fn users_at(plan: &LevelPlan, into: Duration) -> u32 {
    let (from, to, whole) = steps(plan);
    let done = (whole * into.as_nanos() / plan.duration.as_nanos().max(1)).min(whole) as u32;
    if to >= from { from + done } else { from - done }
}

/// When, into its level, the number of users is another than `wanted`; at the latest its end.
fn next_change(plan: &LevelPlan, wanted: u32) -> Duration {
    let (from, _, whole) = steps(plan);
    let next = u128::from(wanted.abs_diff(from)) + 1;
    if next > whole {
        return plan.duration;
    }
    let at_nanos = (next * plan.duration.as_nanos()).div_ceil(whole);
    Duration::from_nanos(at_nanos as u64).min(plan.duration)
}

/// A pure function of the seed, the user, and how many records it has sent.
fn think_time(users: &Users, user: u32, sent: u64) -> Duration {
    let random = mix(mix(users.seed ^ (u64::from(user) << 32)) ^ sent);
    let span = (users.think_max - users.think_min).as_micros() as u64;
    // The upper half of the product is uniform over the span, both ends included.
    let beyond_us = ((u128::from(random) * (u128::from(span) + 1)) >> 64) as u64;
    users.think_min + Duration::from_micros(beyond_us)
}
