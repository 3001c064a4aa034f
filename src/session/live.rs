//! The test under load, second by second: what the flags and the display look at.

use crate::evidence::recorder::LiveLoad;
use crate::evidence::sends::LevelCounters;
use crate::load::outcome::FailReason;
use crate::load::schedule::LevelPlan;
use crate::plan::{StageKind, Test};

use super::flags::Second;
use super::progress::LiveLevel;

/// Levels and sequences count over the whole run.
#[derive(Clone, Copy)]
pub(super) struct Next {
    pub level: u32,
    pub sequence: u64,
}

/// The test under load, as the live display sees it.
pub(super) struct LiveState {
    test_id: String,
    pub levels: Vec<LevelPlan>,
    /// The test's first level and sequence.
    pub first: Next,
    pub level: Option<(u32, LevelPlan)>,
    /// A second ago.
    pub before: LiveLoad,
    /// What was shown then.
    pub shown: LiveLevel,
}

impl LiveState {
    pub fn new(test: &Test, levels: Vec<LevelPlan>, first: Next) -> LiveState {
        LiveState {
            test_id: test.id.clone(),
            levels,
            first,
            level: None,
            before: LiveLoad::default(),
            shown: LiveLevel::default(),
        }
    }

    /// What came since the look before: counters are those of a level and start again with it.
    pub fn second(&self, at_us: i64, load: &LiveLoad) -> Second {
        let zero = LiveLoad::default();
        let before = if load.level == self.before.level { &self.before.counters } else { &zero.counters };
        let failed_for = |reason: FailReason| {
            let of = |counters: &LevelCounters| counters.failed_by_reason.get(&reason).copied().unwrap_or(0);
            of(&load.counters).saturating_sub(of(before))
        };
        Second {
            at_us,
            level: load.level,
            acked: load.acked_total.saturating_sub(self.before.acked_total),
            failed: load.counters.failed.saturating_sub(before.failed),
            not_sent: failed_for(FailReason::NotSent),
            no_credentials: failed_for(FailReason::NoCredentials),
            throttled: load.counters.throttled.saturating_sub(before.throttled),
            ..Second::default()
        }
    }

    pub fn figures(&self, load: &LiveLoad, second: &Second) -> LiveLevel {
        let level = self.level.as_ref().map(|(level, plan)| (*level, plan));
        let figures = self.figures_of(level, load);
        LiveLevel { achieved_rps: second.acked as f64, iterator_age_ms: second.iterator_age_ms, ..figures }
    }

    /// The last figures of a level that is over, its late answers counted in; what is not of a level is as `shown`.
    pub fn of_level(&self, level: u32, load: &LiveLoad, shown: &LiveLevel) -> Option<LiveLevel> {
        let plan = self.levels.get(level.checked_sub(self.first.level)? as usize)?;
        let duration_s = plan.duration.as_secs_f64();
        let figures = self.figures_of(Some((level, plan)), load);
        Some(LiveLevel {
            achieved_rps: if duration_s > 0.0 { load.counters.acked as f64 / duration_s } else { 0.0 },
            target_rps: plan.users.is_none().then_some((plan.from_rps + plan.target_rps) / 2.0),
            test: figures.test,
            level: figures.level,
            level_number: figures.level_number,
            put_p50_ms: figures.put_p50_ms,
            put_p95_ms: figures.put_p95_ms,
            put_p99_ms: figures.put_p99_ms,
            acked_in_level: figures.acked_in_level,
            failed: figures.failed,
            throttled: figures.throttled,
            ..shown.clone()
        })
    }

    fn figures_of(&self, level: Option<(u32, &LevelPlan)>, load: &LiveLoad) -> LiveLevel {
        let measured = |value: f64| (load.counters.acked > 0).then_some(value);
        let (name, target_rps) = match level {
            Some((_, LevelPlan { users: Some((from, to)), .. })) => {
                (format!("closed loop {from} -> {to} users"), None)
            }
            Some((_, plan)) if plan.kind == StageKind::Replay => {
                (format!("replay {:.1}/s mean", plan.target_rps), Some(plan.target_rps))
            }
            Some((_, plan)) if plan.from_rps == plan.target_rps => {
                (format!("hold {}/s", plan.target_rps), Some(plan.target_rps))
            }
            Some((_, plan)) => {
                (format!("ramp {} -> {}/s", plan.from_rps, plan.target_rps), Some(plan.target_rps))
            }
            None => (String::new(), None),
        };
        LiveLevel {
            test: self.test_id.clone(),
            level: name,
            level_number: level.map_or(0, |(level, _)| level - self.first.level + 1),
            levels: self.levels.len() as u32,
            target_rps,
            put_p50_ms: measured(load.put_p50_ms),
            put_p95_ms: measured(load.put_p95_ms),
            put_p99_ms: measured(load.put_p99_ms),
            acked_in_level: load.counters.acked,
            acked: load.acked_total,
            failed: load.counters.failed,
            throttled: load.counters.throttled,
            in_flight: load.in_flight,
            ..LiveLevel::default()
        }
    }
}
