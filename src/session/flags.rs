//! Red flags while the load runs, from what is known live: the generator's counters and the receipts.
//! CloudWatch is minutes late; what it adds stands in the report.

use std::collections::{BTreeMap, VecDeque};

use crate::plan::{Flag, FlagAction, FlagPolicy};
use crate::platform::clock::WallUs;

use super::denials::Denials;

/// Iterator age is "growing without a pause" when each of this many seconds was above the one before ...
const GROWING_S: usize = 15;
/// ... and it is above what a batch window and an idle poll explain.
const GROWING_FROM_MS: f64 = 5_000.0;
/// spec/metrics.md, "Red flags".
const ERROR_RATE_PERCENT: f64 = 1.0;
const DURATION_PERCENT_OF_TIMEOUT: f64 = 80.0;
const MEMORY_PERCENT: f64 = 90.0;
/// A rate over fewer records is noise.
const ERROR_RATE_MIN_RECORDS: u64 = 100;
/// Records that could not be sent for this long, and none acked: the environment is gone.
const GONE_S: usize = 5;

/// One second of live figures.
#[derive(Clone, Debug, Default)]
pub struct Second {
    pub at_us: WallUs,
    pub level: Option<u32>,
    /// Since the second before.
    pub acked: u64,
    pub failed: u64,
    pub not_sent: u64,
    pub throttled: u64,
    pub iterator_age_ms: Option<f64>,
    pub function_duration_max_ms: f64,
    pub memory_used_mb: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    pub flag: Flag,
    pub detail: String,
    pub stop: bool,
}

#[derive(Debug)]
pub struct Watch {
    policy: BTreeMap<Flag, FlagAction>,
    timeout_ms: f64,
    memory_mb: u32,
    /// Already raised on this level: once is enough to say.
    raised: BTreeMap<Flag, Option<u32>>,
    ages: VecDeque<f64>,
    gone_for_s: usize,
    pub(super) denials: Denials,
}

impl Watch {
    pub fn new(policy: &[FlagPolicy], timeout_s: u32, memory_mb: u32) -> Watch {
        Watch {
            policy: policy.iter().map(|policy| (policy.flag, policy.action)).collect(),
            timeout_ms: f64::from(timeout_s) * 1_000.0,
            memory_mb,
            raised: BTreeMap::new(),
            ages: VecDeque::new(),
            gone_for_s: 0,
            denials: Denials::default(),
        }
    }

    /// The flags that this second raises, each once a level.
    pub fn second(&mut self, second: &Second) -> Vec<Raised> {
        let mut found = Vec::new();
        if second.throttled > 0 {
            found.push((
                Flag::WriteThroughputExceeded,
                format!("{} records refused in a second", second.throttled),
            ));
        }
        let tried = second.acked + second.failed;
        let error_percent = 100.0 * second.failed as f64 / tried.max(1) as f64;
        if tried >= ERROR_RATE_MIN_RECORDS && error_percent > ERROR_RATE_PERCENT {
            found.push((Flag::ErrorRate, format!("{error_percent:.1} % of the records of a second failed")));
        }
        if second.function_duration_max_ms > self.timeout_ms * DURATION_PERCENT_OF_TIMEOUT / 100.0 {
            found.push((
                Flag::LambdaDuration,
                format!(
                    "an invocation took {:.0} ms of {:.0}",
                    second.function_duration_max_ms, self.timeout_ms
                ),
            ));
        }
        if f64::from(second.memory_used_mb) > f64::from(self.memory_mb) * MEMORY_PERCENT / 100.0 {
            found.push((Flag::Memory, format!("{} of {} MB used", second.memory_used_mb, self.memory_mb)));
        }
        if let Some(detail) = self.age_grows(second.iterator_age_ms) {
            found.push((Flag::IteratorAgeGrowing, detail));
        }
        found.into_iter().filter_map(|(flag, detail)| self.once(flag, second.level, detail)).collect()
    }

    /// Whether the environment has been out of reach for long enough to give up.
    pub fn environment_gone(&mut self, second: &Second) -> bool {
        self.gone_for_s = if second.acked == 0 && second.not_sent > 0 {
            self.gone_for_s + 1
        } else if second.acked > 0 {
            0
        } else {
            self.gone_for_s
        };
        self.gone_for_s >= GONE_S
    }

    fn once(&mut self, flag: Flag, level: Option<u32>, detail: String) -> Option<Raised> {
        if self.raised.get(&flag) == Some(&level) {
            return None;
        }
        self.raised.insert(flag, level);
        let stop = self.policy.get(&flag) == Some(&FlagAction::Stop);
        Some(Raised { flag, detail, stop })
    }

    fn age_grows(&mut self, age_ms: Option<f64>) -> Option<String> {
        let age_ms = age_ms?;
        if self.ages.back().is_some_and(|last| age_ms <= *last) {
            self.ages.clear();
        }
        self.ages.push_back(age_ms);
        if self.ages.len() > GROWING_S {
            self.ages.pop_front();
        }
        let grows = self.ages.len() == GROWING_S && age_ms > GROWING_FROM_MS;
        grows.then(|| format!("iterator age grew for {GROWING_S} s on end, to {age_ms:.0} ms"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(policy: &[FlagPolicy]) -> Watch {
        Watch::new(policy, 60, 512)
    }

    #[test]
    fn a_refusal_is_raised_once_a_level_and_stops_where_the_plan_says_so() {
        let policy = [FlagPolicy { flag: Flag::WriteThroughputExceeded, action: FlagAction::Stop }];
        let mut watch = watch(&policy);
        let second = Second { level: Some(1), acked: 5, throttled: 3, ..Second::default() };
        let raised = watch.second(&second);
        assert_eq!(raised.len(), 1);
        assert!(raised[0].stop);
        assert!(watch.second(&second).is_empty());
        assert_eq!(watch.second(&Second { level: Some(2), ..second }).len(), 1);
    }

    #[test]
    fn iterator_age_must_grow_without_a_pause() {
        let mut watch = watch(&[]);
        let mut raised = 0;
        for second in 0..40 {
            let age = if second == 10 { 1_000.0 } else { 5_000.0 + f64::from(second) };
            raised += watch.second(&Second { iterator_age_ms: Some(age), ..Second::default() }).len();
            assert_eq!(raised, usize::from(second >= 24), "second {second}");
        }
    }

    #[test]
    fn the_environment_is_gone_after_seconds_without_a_connection() {
        let mut watch = watch(&[]);
        let gone = Second { not_sent: 4, ..Second::default() };
        for _ in 0..GONE_S - 1 {
            assert!(!watch.environment_gone(&gone));
        }
        assert!(!watch.environment_gone(&Second { acked: 1, ..Second::default() }));
        assert!((0..GONE_S).any(|_| watch.environment_gone(&gone)));
    }
}
