//! Red flags while the load runs: from the generator's counters and the receipts at once, and from what only
//! CloudWatch and the on-failure queue know, minutes late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::evidence::cloudwatch::peek::Minute;
use crate::evidence::collector::Extremes;
use crate::plan::{Flag, FlagAction, FlagPolicy};
use crate::platform::clock::WallUs;

use super::credentials::CredentialPause;
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
/// The same for invocations of a minute.
const ERROR_RATE_MIN_INVOCATIONS: f64 = 20.0;
/// CloudWatch's iterator age has a point a minute: this many on end must each be above the one before.
const GROWING_MINUTES: usize = 3;
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
    /// Failed for want of valid credentials.
    pub no_credentials: u64,
    pub throttled: u64,
    pub iterator_age_ms: Option<f64>,
    /// Of each level, from its receipts so far.
    pub extremes: BTreeMap<u32, Extremes>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    pub flag: Flag,
    pub level: Option<u32>,
    pub detail: String,
    pub stop: bool,
}

#[derive(Debug)]
pub struct Watch {
    policy: BTreeMap<Flag, FlagAction>,
    timeout_ms: f64,
    memory_mb: u32,
    /// Already raised on this level: once is enough to say.
    raised: BTreeSet<(Flag, Option<u32>)>,
    /// Messages in the on-failure queue at the first look, or when it was last told of.
    dlq_depth: Option<u64>,
    ages: VecDeque<f64>,
    gone_for_s: usize,
    pub(super) denials: Denials,
    pub(super) credentials: CredentialPause,
}

impl Watch {
    pub fn new(policy: &[FlagPolicy], timeout_s: u32, memory_mb: u32) -> Watch {
        Watch {
            policy: policy.iter().map(|policy| (policy.flag, policy.action)).collect(),
            timeout_ms: f64::from(timeout_s) * 1_000.0,
            memory_mb,
            raised: BTreeSet::new(),
            dlq_depth: None,
            ages: VecDeque::new(),
            gone_for_s: 0,
            denials: Denials::default(),
            credentials: CredentialPause::default(),
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
        // Expired credentials are the user's side: they pause the run, and say nothing of the pipeline.
        let failed = second.failed.saturating_sub(second.no_credentials);
        let tried = second.acked + failed;
        let error_percent = 100.0 * failed as f64 / tried.max(1) as f64;
        if tried >= ERROR_RATE_MIN_RECORDS && error_percent > ERROR_RATE_PERCENT {
            found.push((Flag::ErrorRate, format!("{error_percent:.1} % of the records of a second failed")));
        }
        if let Some(detail) = self.age_grows(second.iterator_age_ms) {
            found.push((Flag::IteratorAgeGrowing, detail));
        }
        let mut raised: Vec<Raised> =
            found.into_iter().filter_map(|(flag, detail)| self.once(flag, second.level, detail)).collect();
        for (level, worst) in &second.extremes {
            raised.extend(self.extremes(*level, worst));
        }
        raised
    }

    /// Receipts name the levels of their records, so these are noted with the level that they belong to.
    fn extremes(&mut self, level: u32, worst: &Extremes) -> Vec<Raised> {
        let longest_ms = worst.duration_us as f64 / 1_000.0;
        let mut raised = Vec::from_iter(self.duration(Some(level), longest_ms));
        if f64::from(worst.memory_used_mb) > f64::from(self.memory_mb) * MEMORY_PERCENT / 100.0 {
            let detail = format!("{} of {} MB used", worst.memory_used_mb, self.memory_mb);
            raised.extend(self.once(Flag::Memory, Some(level), detail));
        }
        raised
    }

    fn duration(&mut self, level: Option<u32>, longest_ms: f64) -> Option<Raised> {
        if longest_ms <= self.timeout_ms * DURATION_PERCENT_OF_TIMEOUT / 100.0 {
            return None;
        }
        let detail = format!("an invocation took {longest_ms:.0} ms of {:.0}", self.timeout_ms);
        self.once(Flag::LambdaDuration, level, detail)
    }

    /// The flags that a minute of CloudWatch raises. `own_reads`: the tool itself may have read the stream then, for
    /// records that it missed, and met the limit of five reads a second.
    pub fn minute(
        &mut self,
        at_ms: i64,
        minute: &Minute,
        level: Option<u32>,
        own_reads: bool,
    ) -> Vec<Raised> {
        let mut found = Vec::new();
        let when = format!("in the minute from {}", minute_text(at_ms));
        if let Some(count) = minute.throttles.filter(|count| *count > 0.0) {
            found.push((Flag::LambdaThrottles, format!("{count:.0} invocations throttled {when}")));
        }
        if let Some(count) = minute.reads_refused.filter(|count| *count > 0.0 && !own_reads) {
            found.push((Flag::ReadThroughputExceeded, format!("{count:.0} reads refused {when}")));
        }
        if let (Some(errors), Some(invocations)) = (minute.errors, minute.invocations) {
            let percent = 100.0 * errors / invocations.max(1.0);
            if invocations >= ERROR_RATE_MIN_INVOCATIONS && percent > ERROR_RATE_PERCENT {
                found.push((Flag::ErrorRate, format!("{percent:.1} % of the invocations failed {when}")));
            }
        }
        let mut raised: Vec<Raised> =
            found.into_iter().filter_map(|(flag, detail)| self.once(flag, level, detail)).collect();
        raised.extend(minute.duration_max_ms.and_then(|longest_ms| self.duration(level, longest_ms)));
        raised
    }

    /// Iterator age by CloudWatch, for functions that send no receipts: whole minutes, oldest first.
    pub fn ages_by_minute(&mut self, ages_ms: &[f64], level: Option<u32>) -> Option<Raised> {
        let last = &ages_ms[ages_ms.len().checked_sub(GROWING_MINUTES)?..];
        let grows =
            last.windows(2).all(|pair| pair[0] < pair[1]) && last[GROWING_MINUTES - 1] > GROWING_FROM_MS;
        let detail = format!(
            "iterator age grew for {GROWING_MINUTES} minutes on end, to {:.0} ms (CloudWatch)",
            last[GROWING_MINUTES - 1]
        );
        grows.then(|| self.once(Flag::IteratorAgeGrowing, level, detail))?
    }

    /// A look into the on-failure queue: what it held before the run is not of the run.
    pub fn dlq(&mut self, depth: u64, level: Option<u32>) -> Option<Raised> {
        let before = *self.dlq_depth.get_or_insert(depth);
        if depth <= before {
            return None;
        }
        self.dlq_depth = Some(depth);
        let detail = format!("{} more messages in the on-failure queue: {depth}", depth - before);
        self.once(Flag::DlqFilling, level, detail)
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
        if !self.raised.insert((flag, level)) {
            return None;
        }
        let stop = self.policy.get(&flag) == Some(&FlagAction::Stop);
        Some(Raised { flag, level, detail, stop })
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

/// `10:32 UTC`.
fn minute_text(at_ms: i64) -> String {
    let minutes = at_ms.div_euclid(60_000).rem_euclid(24 * 60);
    format!("{:02}:{:02} UTC", minutes / 60, minutes % 60)
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

    fn flags(raised: &[Raised]) -> Vec<(Flag, Option<u32>)> {
        raised.iter().map(|raised| (raised.flag, raised.level)).collect()
    }

    #[test]
    fn extremes_are_of_the_level_whose_receipts_say_them() {
        let mut watch = watch(&[]);
        let calm = Extremes { duration_us: 48_000_000, memory_used_mb: 460 };
        let worst = Extremes { duration_us: 48_000_001, memory_used_mb: 461 };
        let second = Second { level: Some(2), extremes: [(1, worst), (2, calm)].into(), ..Second::default() };
        assert_eq!(flags(&watch.second(&second)), [(Flag::LambdaDuration, Some(1)), (Flag::Memory, Some(1))]);
        assert!(watch.second(&second).is_empty(), "once a level");
    }

    #[test]
    fn a_minute_of_cloudwatch_raises_what_nothing_else_tells() {
        let mut watch = watch(&[]);
        let quiet = Minute { errors: Some(1.0), invocations: Some(100.0), ..Minute::default() };
        assert_eq!(watch.minute(0, &quiet, Some(1), false), []);
        let loud = Minute {
            reads_refused: Some(2.0),
            throttles: Some(3.0),
            errors: Some(2.0),
            invocations: Some(100.0),
            duration_max_ms: Some(60_000.0),
            iterator_age_max_ms: None,
        };
        let expected = [
            (Flag::LambdaThrottles, Some(1)),
            (Flag::ReadThroughputExceeded, Some(1)),
            (Flag::ErrorRate, Some(1)),
            (Flag::LambdaDuration, Some(1)),
        ];
        let raised = watch.minute(37_920_000, &loud, Some(1), false);
        assert_eq!(flags(&raised), expected);
        assert_eq!(raised[0].detail, "3 invocations throttled in the minute from 10:32 UTC");
        let own_reads = watch.minute(37_980_000, &loud, Some(2), true);
        assert!(!flags(&own_reads).contains(&(Flag::ReadThroughputExceeded, Some(2))), "{own_reads:?}");
        let few = Minute { errors: Some(1.0), invocations: Some(19.0), ..Minute::default() };
        assert_eq!(watch.minute(0, &few, Some(3), false), [], "one of a few is noise");
    }

    #[test]
    fn what_the_queue_held_before_is_not_of_the_run() {
        let mut watch = watch(&[FlagPolicy { flag: Flag::DlqFilling, action: FlagAction::Stop }]);
        assert_eq!(watch.dlq(7, None), None);
        assert_eq!(watch.dlq(6, None), None);
        let raised = watch.dlq(9, Some(1)).unwrap();
        assert!(raised.stop && raised.detail.contains("2 more messages"), "{raised:?}");
        assert_eq!(watch.dlq(10, Some(1)), None, "once a level");
    }

    #[test]
    fn minutes_of_age_must_each_be_above_the_one_before() {
        let mut watch = watch(&[]);
        assert_eq!(watch.ages_by_minute(&[4_000.0, 6_000.0], None), None);
        assert_eq!(watch.ages_by_minute(&[4_000.0, 6_000.0, 6_000.0], None), None);
        assert_eq!(watch.ages_by_minute(&[1.0, 2.0, 3.0], None), None);
        assert!(watch.ages_by_minute(&[9_000.0, 4_000.0, 6_000.0, 7_000.0], None).is_some());
    }
}
