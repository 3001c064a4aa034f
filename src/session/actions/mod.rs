//! Actions during load: what a stage changes in the pipeline, beside the load and never in its way. Whatever ends
//! the load (its plan, a red flag, the budget, Ctrl-C, an error, a panic), every action is reverted.

mod lane;
pub mod left;
mod settings;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::evidence::events::EventLog;
use crate::plan::{ActionChange, Test};

use super::SessionError;
use super::run::RunRequest;
use super::stop::Stop;
use lane::{Due, Lane};
use settings::Pipeline;

/// What is not reverted yet, over a whole run. Clones are the same.
#[derive(Clone)]
pub(super) struct Pending {
    /// Lanes that are at work.
    lanes: Arc<watch::Sender<usize>>,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Default for Pending {
    fn default() -> Pending {
        Pending { lanes: Arc::new(watch::channel(0).0), failed: Arc::default() }
    }
}

impl Pending {
    /// How many lanes are at work; none: everything is reverted, or could not be.
    pub(super) fn lanes(&self) -> watch::Receiver<usize> {
        self.lanes.subscribe()
    }

    /// Returns once every action is reverted or given up; each lane bounds its own waits.
    pub(super) async fn settled(&self) {
        // The sender is here: it cannot be gone.
        let _ = self.lanes().wait_for(|lanes| *lanes == 0).await;
    }

    /// Runs `work`, and returns or panics as it does once [`Pending::settled`] does: what a session that ended in
    /// the middle has dropped is being reverted in tasks of their own.
    pub(super) async fn settled_after<T>(self, work: impl Future<Output = T>) -> T {
        let ended = AssertUnwindSafe(work).catch_unwind().await;
        self.settled().await;
        ended.unwrap_or_else(|panicked| resume_unwind(panicked))
    }

    /// An error where something could not be reverted and the environment is not gone anyway: what comes after would
    /// be measured on another pipeline than the plan's.
    pub(super) fn all_reverted(&self, stopped: &Option<Stop>) -> Result<(), SessionError> {
        let failures = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match stopped {
            Some(Stop::EnvironmentGone(_)) => Ok(()),
            _ if failures.is_empty() => Ok(()),
            _ => Err(SessionError::NotReverted(failures)),
        }
    }

    fn failed(&self, what: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// Counts a lane as long as it lives, also when it panics.
struct AtWork(Pending);

impl AtWork {
    fn new(pending: &Pending) -> AtWork {
        pending.lanes.send_modify(|lanes| *lanes += 1);
        AtWork(pending.clone())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.lanes.send_modify(|lanes| *lanes -= 1);
    }
}

/// The actions of one test. Dropping it ends them as [`Actions::end`] does.
pub(super) struct Actions {
    over: watch::Sender<bool>,
}

impl Actions {
    /// Begins the actions of a test whose load starts at `start`, and whose first level is `first_level` of the run.
    pub(super) fn start(
        request: &RunRequest,
        events: &EventLog,
        pending: &Pending,
        test: &Test,
        first_level: u32,
        start: Instant,
    ) -> Actions {
        let (over, load_over) = watch::channel(false);
        let due = due(test, first_level, start);
        for lane in 0..LANES {
            let due: Vec<Due> =
                due.iter().filter(|due| lane_of(&due.action.change) == lane).cloned().collect();
            if due.is_empty() {
                continue;
            }
            let lane = Lane {
                pipeline: Pipeline::new(&request.clients, request.clock, &request.standing),
                clock: request.clock,
                events: events.clone(),
                progress: Arc::clone(&request.progress),
                asked: request.stop.clone(),
                over: load_over.clone(),
                due,
                pending: pending.clone(),
            };
            let at_work = AtWork::new(pending);
            tokio::spawn(async move {
                let _at_work = at_work;
                lane.run().await;
            });
        }
        Actions { over }
    }

    /// The load has ended: what is not reverted yet is reverted now. [`Pending::settled`] waits for it.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
    }
}

/// Actions on one resource wait for each other: a service takes one change of it at a time.
const LANES: usize = 3;

fn lane_of(change: &ActionChange) -> usize {
    match change {
        ActionChange::DisableMapping | ActionChange::ChangeBatch { .. } => 0,
        ActionChange::Reshard { .. } => 1,
        ActionChange::ReservedConcurrency { .. } => 2,
    }
}

fn due(test: &Test, first_level: u32, start: Instant) -> Vec<Due> {
    let mut due = Vec::new();
    let mut stage_at = Duration::ZERO;
    for (level, stage) in (first_level..).zip(&test.stages) {
        for (index, action) in (0..).zip(&stage.actions) {
            due.push(Due { level, index, at: start + stage_at + action.at, action: action.clone() });
        }
        stage_at += stage.duration;
    }
    due
}
