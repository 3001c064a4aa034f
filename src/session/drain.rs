//! After a test: wait until every acked record has been seen, or until nothing comes any more.

use std::time::Duration;

use tokio::sync::watch;

use crate::evidence::EvidenceError;
use crate::evidence::collector::Collector;
use crate::evidence::recorder::LoadRecorder;
use crate::platform::clock::Clock;

use super::progress::Progress;

/// Nothing new for this long beyond the batch window, although records are outstanding, means that they
/// will not come by themselves: idle polls are a second apart, a retry waits a few.
const QUIET: Duration = Duration::from_secs(10);

/// What the recorder holds is written this often while nothing is sent.
const TICK: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drained {
    /// All acked records were seen, this long after the last was sent.
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
}

/// Waits for the records of the run so far.
///
/// # Errors
/// The recorder cannot write.
pub async fn drain(
    spec: DrainSpec,
    recorder: &LoadRecorder,
    collector: &Collector,
    clock: Clock,
    patience: Patience,
    progress: &dyn Progress,
) -> Result<Drained, EvidenceError> {
    let started = clock.instant();
    let quiet_bound = QUIET + spec.batch_window * 2;
    let mut live = collector.live();
    let mut seen_before = 0;
    let mut last_new = started;
    loop {
        recorder.tick(clock.now_us())?;
        let acked = recorder.live().acked_total;
        let seen = live.borrow_and_update().records_seen;
        let outstanding = collector.unseen_of(&recorder.acked());
        let now = clock.instant();
        if outstanding == 0 {
            return Ok(Drained::All { after: now - started });
        }
        if seen > seen_before {
            (seen_before, last_new) = (seen, now);
        }
        if now - last_new >= quiet_bound {
            return Ok(Drained::Quiet { outstanding, waited: now - started });
        }
        if now - started >= spec.bound {
            return Ok(Drained::Bound { outstanding, waited: now - started });
        }
        progress.step_live(&format!("draining: {outstanding} of {acked} acked records not seen yet"));
        let wake = (last_new + quiet_bound).min(started + spec.bound).min(now + TICK);
        tokio::select! {
            biased;
            changed = live.changed() => if changed.is_err() {
                return Ok(Drained::Quiet { outstanding, waited: now - started });
            },
            () = patience.lost() => return Ok(Drained::Interrupted { outstanding }),
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}
