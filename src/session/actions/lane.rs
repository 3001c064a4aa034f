//! The actions on one resource, one after the other: each at its time, and each reverted, whatever ends the load.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::evidence::events::{ActionStep, Event, EventLog};
use crate::plan::Action;
use crate::platform::clock::Clock;
use crate::session::progress::Progress;

use super::Pending;
use super::settings::{Pipeline, Setting, Wrong};

/// A stream of some hundred shards takes minutes to have others; a mapping takes less than one to follow.
const STANDS_BOUND: Duration = Duration::from_secs(15 * 60);
/// While the service is busy, with a reshard for example.
const BUSY_BOUND: Duration = Duration::from_secs(15 * 60);
/// To revert is tried again for this long while no answer comes.
const REVERT_BOUND: Duration = Duration::from_secs(60);
const REVERT_AGAIN: Duration = Duration::from_secs(2);
/// The request to stop with which nothing is waited for any more.
const IMPATIENT: u32 = 2;

/// An action with its place in the run.
#[derive(Clone)]
pub(super) struct Due {
    /// Level of the run, and index in its stage's actions.
    pub level: u32,
    pub index: u32,
    pub at: Instant,
    pub action: Action,
}

/// What happens when.
#[derive(Clone, Copy)]
enum Turn {
    Revert(usize),
    Apply(usize),
}

pub(super) struct Lane {
    pub pipeline: Pipeline,
    pub clock: Clock,
    pub events: EventLog,
    pub progress: Arc<dyn Progress>,
    /// How often the user asked to stop.
    pub asked: watch::Receiver<u32>,
    /// The load has ended, or whoever looked after it is gone.
    pub over: watch::Receiver<bool>,
    pub due: Vec<Due>,
    pub pending: Pending,
}

/// An action that may have changed something, and what stood before it.
struct Applied {
    due: usize,
    before: Setting,
}

impl Lane {
    /// Until every action is reverted.
    pub(super) async fn run(mut self) {
        let mut applied: Vec<Applied> = Vec::new();
        for (at, turn) in self.turns() {
            let ended = tokio::select! {
                biased;
                () = over(&mut self.over) => true,
                () = tokio::time::sleep_until(at) => false,
            };
            if ended {
                break;
            }
            match turn {
                Turn::Apply(due) => applied.extend(self.apply(due).await),
                Turn::Revert(due) => {
                    if let Some(place) = applied.iter().position(|one| one.due == due) {
                        self.revert(&applied.remove(place)).await;
                    }
                }
            }
        }
        // The one that came last first: it was made on top of the others.
        for one in applied.iter().rev() {
            self.revert(one).await;
        }
    }

    /// In order; what is reverted at the time at which another begins comes first.
    fn turns(&self) -> Vec<(Instant, Turn)> {
        let mut turns: Vec<(Instant, Turn)> = Vec::new();
        for (i, due) in self.due.iter().enumerate() {
            turns.push((due.at, Turn::Apply(i)));
            turns.push((due.at + due.action.lasts, Turn::Revert(i)));
        }
        turns.sort_by_key(|(at, turn)| (*at, matches!(turn, Turn::Apply(_))));
        turns
    }

    /// `None` where it was refused: nothing has changed then.
    async fn apply(&mut self, due: usize) -> Option<Applied> {
        let wanted = Setting::wanted(&self.due[due].action.change);
        // Written before anything is asked for: after a kill the next run knows of it.
        self.tell(due, ActionStep::Started, None);
        self.progress.step(&format!("action: {}", self.due[due].action.text()));
        let before = match self.before(&wanted).await {
            Ok(before) => before,
            Err(wrong) => {
                self.refused(due, &wrong);
                return None;
            }
        };
        let asked = self.pipeline.set(&wanted, BUSY_BOUND).await;
        if let Err(wrong @ (Wrong::Refused(_) | Wrong::Busy(_))) = &asked {
            self.refused(due, wrong);
            return None;
        }
        let stood = tokio::select! {
            biased;
            () = over(&mut self.over) => Ok(()),
            stood = self.pipeline.stands(&wanted, STANDS_BOUND) => stood.map(|()| {
                self.tell(due, ActionStep::InForce, None);
            }),
        };
        if let Err(wrong) = stood {
            self.note(format!("action {}: {}", self.due[due].action.text(), wrong.text()));
        }
        Some(Applied { due, before })
    }

    /// What stands where `wanted` is to be set, once nothing else is being changed there.
    async fn before(&self, wanted: &Setting) -> Result<Setting, Wrong> {
        let until = self.clock.instant() + BUSY_BOUND;
        loop {
            if let Some(before) = self.pipeline.now(wanted).await? {
                return Ok(before);
            }
            if self.clock.instant() >= until {
                return Err(Wrong::Busy("another change does not end".to_owned()));
            }
            tokio::time::sleep(REVERT_AGAIN).await;
        }
    }

    async fn revert(&mut self, applied: &Applied) {
        let due = applied.due;
        self.tell(due, ActionStep::Reverting, None);
        self.progress.step(&format!("action over: back to {}", applied.before.text()));
        if let Err(wrong) = self.ask_back(&applied.before).await {
            let text = wrong.text().to_owned();
            self.progress.step(&format!("not reverted: {}: {text}", self.due[due].action.text()));
            self.tell(due, ActionStep::NotReverted, Some(text.clone()));
            self.pending.failed(format!("{} stands: {text}", self.due[due].action.change.text()));
            return;
        }
        let stood = tokio::select! {
            biased;
            () = impatient(&mut self.asked) => {
                Err(Wrong::Unknown("asked for, and not waited for".to_owned()))
            }
            stood = self.pipeline.stands(&applied.before, STANDS_BOUND) => stood,
        };
        self.tell(due, ActionStep::Reverted, stood.err().map(|wrong| wrong.text().to_owned()));
    }

    /// Asks for what stood before, again while no answer comes and the user waits.
    async fn ask_back(&mut self, before: &Setting) -> Result<(), Wrong> {
        let until = self.clock.instant() + REVERT_BOUND;
        loop {
            match self.pipeline.set(before, BUSY_BOUND).await {
                Err(Wrong::Unknown(_)) if self.clock.instant() < until => {}
                // The service said that this stands already: an apply without an answer had no effect.
                Err(Wrong::Refused(_)) if self.stands_now(before).await => return Ok(()),
                answered => return answered,
            }
            let impatient = tokio::select! {
                biased;
                () = impatient(&mut self.asked) => true,
                () = tokio::time::sleep(REVERT_AGAIN) => false,
            };
            if impatient {
                return self.pipeline.set(before, REVERT_AGAIN).await;
            }
        }
    }

    async fn stands_now(&self, setting: &Setting) -> bool {
        self.pipeline.now(setting).await.is_ok_and(|found| found.as_ref() == Some(setting))
    }

    fn refused(&self, due: usize, wrong: &Wrong) {
        let text = wrong.text().to_owned();
        self.progress.step(&format!("action refused: {}: {text}", self.due[due].action.text()));
        self.tell(due, ActionStep::Refused, Some(text));
    }

    fn tell(&self, due: usize, step: ActionStep, detail: Option<String>) {
        let Due { level, index, action, .. } = &self.due[due];
        let kind = action.change.kind().to_owned();
        self.write(&Event::Action { level: *level, action: *index, kind, step, detail });
    }

    fn note(&self, text: String) {
        self.progress.step(&text);
        self.write(&Event::Note { text });
    }

    /// A disk that is full must not keep anything from being reverted; the log keeps the event for its next write,
    /// and the session's own writes end the run.
    fn write(&self, event: &Event) {
        let _ = self.events.append(self.clock.now_us(), event);
    }
}

/// Returns once the load is over, or nobody is left to say so.
async fn over(over: &mut watch::Receiver<bool>) {
    let _ = over.wait_for(|over| *over).await;
}

/// Returns once the user will not wait any more; never if that does not happen.
async fn impatient(asked: &mut watch::Receiver<u32>) {
    if asked.wait_for(|asked| *asked >= IMPATIENT).await.is_err() {
        std::future::pending::<()>().await;
    }
}
