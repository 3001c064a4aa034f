//! What the actions of a test did, and what they cost, as plain data.

use super::recovery::Recovery;
use crate::platform::clock::WallUs;

/// One planned action of a test that was started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActionEvidence {
    /// Level of the run that it belongs to.
    pub level: u32,
    /// As the plan writes it: `disable_mapping`.
    pub kind: String,
    /// For example `mapping disabled for 20s`.
    pub text: String,
    /// By the plan nothing is handed to the function while it is in force.
    pub stops_the_consumer: bool,
    /// By the level's start; `None`: the level was never started.
    pub planned_us: Option<WallUs>,
    /// `None`: the load had ended before its time.
    pub started_us: Option<WallUs>,
    /// When the service had done it; `None`: it was not seen to.
    pub in_force_us: Option<WallUs>,
    /// When the service was asked for what stood before.
    pub reverting_us: Option<WallUs>,
    /// When that stood again.
    pub reverted_us: Option<WallUs>,
    /// The service's words; nothing has changed then.
    pub refused: Option<String>,
    /// Why what stood before does not stand again, or is not known to.
    pub not_reverted: Option<String>,
    /// Records that were acked and not yet settled ([`super::drawn::backlog`]), at most, by whole seconds, from the start
    /// of the action until all was caught up. `None` without receipts.
    pub backlog_max_records: Option<u64>,
    /// When all records that had been due by the start of the revert were processed, and the iterator age was back
    /// under [`ActionEvidence::age_limit_ms`].
    pub caught_up_us: Option<WallUs>,
    /// 1 s, or 1.2 times the largest iterator age of the minute before the action where that is more.
    pub age_limit_ms: f64,
    /// Why it is not known when all was caught up; `None` where it is.
    pub not_caught_up: Option<String>,
    /// Where it kept records from the function and was reverted, and a batch came afterwards.
    pub recovery: Option<Recovery>,
}

impl ActionEvidence {
    /// As long as it lasted nothing was handed to the function.
    pub fn is_outage(&self) -> bool {
        self.stops_the_consumer && self.started_us.is_some() && self.refused.is_none()
    }

    /// From the start of the revert until all was caught up.
    pub fn catch_up_s(&self) -> Option<f64> {
        let (from_us, to_us) = self.reverting_us.zip(self.caught_up_us)?;
        Some((to_us - from_us).max(0) as f64 / 1e6)
    }

    /// From the start until the service had done it.
    pub fn settled_s(&self) -> Option<f64> {
        let (from_us, to_us) = self.started_us.zip(self.in_force_us)?;
        Some((to_us - from_us).max(0) as f64 / 1e6)
    }
}
