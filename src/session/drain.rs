//! After a test: wait until every acked record was processed or given up, or until nothing comes any more.

use std::time::Duration;

use tokio::sync::watch;

use crate::evidence::collector::{Collector, LiveReceipts};
use crate::evidence::recorder::LoadRecorder;
use crate::evidence::sequences::SequenceSet;
use crate::platform::clock::Clock;

use super::SessionError;
use super::lookups::OnFailureQueue;
use super::progress::Progress;

/// Nothing new for this long beyond the batch window, although records are outstanding, means that they
/// will not come by themselves: idle polls are a second apart, a retry waits a few.
const QUIET: Duration = Duration::from_secs(10);
/// The same while batches fail: a mapping waits longer before each retry. Lambda does not say how long; the
/// local endpoint waits 30 s at most.
const QUIET_FAILING: Duration = Duration::from_secs(60);
/// The on-failure queue is looked into this often at most, while records that failed are outstanding.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the recorder holds is written this often while nothing is sent.
const TICK: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drained {
    /// All acked records were processed or given up, this long after the last was sent.
    All { after: Duration },
    /// Records are outstanding, but none came for a while.
    Quiet { outstanding: u64, waited: Duration },
    /// The plan's `drain` bound passed while records were still coming.
    Bound { outstanding: u64, waited: Duration },
    /// The user would not wait.
    Interrupted { outstanding: u64 },
}

/// Whether the user goes on waiting: lost with the next request to stop after it was made.
pub struct Patience {
    asked: watch::Receiver<u32>,
    before: u32,
}

impl Patience {
    pub fn new(asked: &watch::Receiver<u32>) -> Patience {
        Patience { before: *asked.borrow(), asked: asked.clone() }
    }

    /// Resolves once it is lost; never if it is not.
    pub async fn lost(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked > self.before).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

pub struct DrainSpec {
    /// `drain:` of the plan.
    pub bound: Duration,
    /// Batch window of the mapping.
    pub batch_window: Duration,
    /// Lanes of actions that are still being reverted: until then nothing may come, and that says nothing.
    pub reverting: watch::Receiver<usize>,
}

/// How far the function was behind when it last spoke: what waited that long in the stream, behind batches that
/// take as long as the longest so far, may be as long in coming.
fn behind(live: &LiveReceipts) -> Duration {
    let age = Duration::from_secs_f64(live.iterator_age_ms.unwrap_or(0.0).max(0.0) / 1_000.0);
    age + Duration::from_micros(live.duration_max_us)
}

/// Waits for the records of the run so far. What failed is looked for in the on-failure queue.
///
/// # Errors
/// The recorder or the event log cannot write.
pub(super) async fn drain(
    spec: DrainSpec,
    recorder: &LoadRecorder,
    collector: &Collector,
    clock: Clock,
    patience: Patience,
    progress: &dyn Progress,
    on_failure: OnFailureQueue<'_>,
) -> Result<Drained, SessionError> {
    let started = clock.instant();
    let mut live = collector.live();
    let mut reverting = spec.reverting.clone();
    let mut seen_before = 0;
    let (mut last_new, mut last_look) = (started, None);
    let mut dead = SequenceSet::new();
    loop {
        recorder.tick(clock.now_us())?;
        let acked = recorder.live().acked_total;
        let (seen, behind) = {
            let live = live.borrow_and_update();
            (live.records_seen + live.records_failed, behind(&live))
        };
        let waited_for = collector.unseen_of(&recorder.acked()).minus(&dead);
        let failing = collector.failed_of(&waited_for);
        let outstanding = waited_for.len();
        let now = clock.instant();
        if outstanding == 0 {
            return Ok(Drained::All { after: now - started });
        }
        let is_reverting = *reverting.borrow_and_update() > 0;
        if seen > seen_before || is_reverting {
            (seen_before, last_new) = (seen, now);
        }
        let quiet = if failing.is_empty() { QUIET } else { QUIET_FAILING };
        let quiet_bound = quiet + behind + spec.batch_window * 2;
        if now - last_new >= quiet_bound {
            return Ok(Drained::Quiet { outstanding, waited: now - started });
        }
        if now - started >= spec.bound && !is_reverting {
            return Ok(Drained::Bound { outstanding, waited: now - started });
        }
        if !failing.is_empty() && last_look.is_none_or(|last| now - last >= LOOK_EVERY) {
            last_look = Some(now);
            let found = on_failure.look().await?;
            if !found.minus(&dead).is_empty() {
                dead = dead.union(&found);
                last_new = clock.instant();
                continue;
            }
        }
        progress.step_live(&format!("draining: {outstanding} of {acked} acked records not seen yet"));
        let bound_at = if is_reverting { now + TICK } else { started + spec.bound };
        let wake = (last_new + quiet_bound).min(bound_at).min(now + TICK);
        tokio::select! {
            biased;
            changed = live.changed() => if changed.is_err() {
                return Ok(Drained::Quiet { outstanding, waited: now - started });
            },
            () = patience.lost() => return Ok(Drained::Interrupted { outstanding }),
            _ = reverting.changed(), if is_reverting => {}
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}
