//! When each record is due. Pure: the integral of the planned rate, inverted in closed form.
//!
//! The convention is that of k6's ramping-arrival-rate: record `k` (from 0) is due when the integral of the
//! rate over time reaches `k + 1`. So a hold of 10 s at 50/s has exactly 500 records, the last one due at
//! its very end, and a ramp of 3 s from 0 to 50/s has 75. What is left of a record at the end of a stage
//! carries over to the next. Each due time is computed from `k` alone: nothing accumulates, nothing drifts.

use std::time::Duration;

use crate::plan::{self, StageKind};

/// The integral is snapped to a whole record when it is this close: a rate such as 0.1/s has no exact
/// binary form, and its tenth second must bring a record. At 10^12 records, the spacing of f64 is 10^-4;
/// at the 10^9 of a heavy month it is 10^-7.
const SNAP_RECORDS: f64 = 1e-6;

/// One stage with its share of the records.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelPlan {
    /// Index of the stage within the test.
    pub index_in_test: u32,
    pub kind: StageKind,
    pub from_rps: f64,
    pub target_rps: f64,
    /// From the start of the test.
    pub start: Duration,
    pub duration: Duration,
    /// Its first record, as a number within the test. With users: the first one possible.
    pub first: u64,
    /// With users: the most that there can be.
    pub count: u64,
    /// How many of them are poison.
    pub poison: u64,
    /// Users at its start and its end; the rates are 0 then, for there are none to keep to.
    pub users: Option<(u32, u32)>,
    /// Integral of the rate before this stage, records.
    area_before: f64,
}

impl LevelPlan {
    pub fn end(&self) -> Duration {
        self.start + self.duration
    }

    /// Time into the level at which the integral over it reaches `area` records.
    fn offset_of(&self, area: f64) -> Duration {
        let duration_s = self.duration.as_secs_f64();
        let slope = (self.target_rps - self.from_rps) / duration_s;
        // Solves from * t + slope * t^2 / 2 = area; this form of the root loses no digits when slope is
        // small or negative, and is area / from for a hold.
        let root = (self.from_rps * self.from_rps + 2.0 * slope * area).max(0.0).sqrt();
        let offset_s = 2.0 * area / (self.from_rps + root);
        if offset_s.is_finite() {
            Duration::from_secs_f64(offset_s.clamp(0.0, duration_s)).min(self.duration)
        } else {
            Duration::ZERO
        }
    }
}

/// The due time of every record of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    levels: Vec<LevelPlan>,
    total: u64,
    duration: Duration,
}

impl Schedule {
    pub fn new(test: &plan::Test) -> Schedule {
        if let Some(users) = &test.users {
            return Schedule::of_users(test, users);
        }
        let mut levels = Vec::with_capacity(test.stages.len());
        let (mut start, mut area, mut total) = (Duration::ZERO, 0.0, 0);
        for (index, stage) in test.stages.iter().enumerate() {
            let area_before = area;
            area += (stage.from_rps + stage.target_rps) / 2.0 * stage.duration.as_secs_f64();
            if (area - area.round()).abs() < SNAP_RECORDS {
                area = area.round();
            }
            let first = total;
            total = area.floor() as u64;
            levels.push(LevelPlan {
                index_in_test: index as u32,
                kind: stage.kind,
                from_rps: stage.from_rps,
                target_rps: stage.target_rps,
                start,
                duration: stage.duration,
                first,
                count: total - first,
                poison: stage.poison.min(total - first),
                users: None,
                area_before,
            });
            start += stage.duration;
        }
        Schedule { levels, total, duration: start }
    }

    /// Of a closed loop only the levels are known; `total` and the counts are the most that can be sent.
    fn of_users(test: &plan::Test, users: &plan::Users) -> Schedule {
        let mut levels = Vec::with_capacity(test.stages.len());
        let (mut start, mut total) = (Duration::ZERO, 0_u64);
        for (index, (stage, counts)) in test.stages.iter().zip(&users.counts).enumerate() {
            let count = users.records_max(index, stage.duration);
            levels.push(LevelPlan {
                index_in_test: index as u32,
                kind: stage.kind,
                from_rps: 0.0,
                target_rps: 0.0,
                start,
                duration: stage.duration,
                first: total,
                count,
                poison: 0,
                users: Some(*counts),
                area_before: 0.0,
            });
            total = total.saturating_add(count);
            start += stage.duration;
        }
        Schedule { levels, total, duration: start }
    }

    pub fn levels(&self) -> &[LevelPlan] {
        &self.levels
    }

    /// Records of the test.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// End of the last level, from the start of the test.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The level whose record `k` is; the last one for a `k` past the end.
    pub fn level_of(&self, k: u64) -> &LevelPlan {
        // Levels without records share their `first` with the next one, which is then the right one.
        let after = self.levels.partition_point(|level| level.first <= k);
        &self.levels[after.saturating_sub(1)]
    }

    /// Whether the function is to fail on record `k`.
    pub fn is_poison(&self, k: u64) -> bool {
        let level = self.level_of(k);
        k.checked_sub(level.first).is_some_and(|index| is_poison(index, level.count, level.poison))
    }

    /// When record `k` is due, from the start of the test; its end for a `k` past the last record.
    pub fn due(&self, k: u64) -> Duration {
        if k >= self.total {
            return self.duration;
        }
        let level = self.level_of(k);
        level.start + level.offset_of((k + 1) as f64 - level.area_before)
    }
}

/// The poisoned records of a level, as [`is_poison`] has them, ascending.
pub fn poison_places(count: u64, poison: u64) -> impl Iterator<Item = u64> {
    let poison = poison.min(count);
    (0..poison).map(move |part| {
        let (part, count, poison) = (u128::from(part), u128::from(count), u128::from(poison));
        ((2 * part + 1) * count / (2 * poison)) as u64
    })
}

/// Whether the record at `index` (from 0) of a level of `count` records is one of its `poison` ones: the level
/// is cut into so many equal parts, and the middle of each is poisoned. Plain, so that a repeated run fails on
/// the same records, and a single one stands in the middle of its level.
pub fn is_poison(index: u64, count: u64, poison: u64) -> bool {
    if index >= count || poison == 0 {
        return false;
    }
    let (index, count, poison) = (u128::from(index), u128::from(count), u128::from(poison.min(count)));
    let part = index * poison / count;
    // A part may begin between two records, so the middle of the next one may be this record too.
    [part, (part + 1).min(poison - 1)].iter().any(|part| (2 * part + 1) * count / (2 * poison) == index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::testing::test_of;

    /// (seconds, target) as in a plan.
    fn schedule(stages: &[(f64, f64)]) -> Schedule {
        Schedule::new(&test_of(stages))
    }

    fn counts(schedule: &Schedule) -> Vec<u64> {
        schedule.levels().iter().map(|level| level.count).collect()
    }

    fn due_ms(schedule: &Schedule) -> Vec<u128> {
        (0..schedule.total()).map(|k| schedule.due(k).as_millis()).collect()
    }

    /// k6's published example: lib/executor/ramping_arrival_rate_test.go, TestRampingArrivalRateCal.
    #[test]
    fn agrees_with_the_worked_example_of_k6() {
        let schedule = schedule(&[(5.0, 1.0), (1.0, 1.0), (5.0, 0.0)]);
        assert_eq!(due_ms(&schedule), [3_162, 4_472, 5_500, 6_527, 7_837, 11_000]);
    }

    /// The same test with a time unit of a third of a second: three times the rate.
    #[test]
    fn agrees_with_the_worked_example_of_k6_at_three_times_the_rate() {
        let schedule = schedule(&[(5.0, 3.0), (1.0, 3.0), (5.0, 0.0)]);
        let published = [
            1_825, 2_581, 3_162, 3_651, 4_082, 4_472, 4_830, 5_166, 5_499, 5_833, 6_169, 6_527, 6_917, 7_348,
            7_837, 8_418, 9_174, 10_999,
        ];
        let ours = due_ms(&schedule);
        assert_eq!(ours.len(), published.len());
        for (ours, published) in ours.iter().zip(published) {
            assert!(ours.abs_diff(published) <= 1, "{ours} and {published}");
        }
    }

    #[test]
    fn counts_are_exact() {
        let quickstart = schedule(&[(3.0, 50.0), (10.0, 50.0), (3.0, 200.0), (10.0, 200.0)]);
        assert_eq!(counts(&quickstart), [75, 500, 375, 2_000]);
        assert_eq!(quickstart.due(74), Duration::from_secs(3));
        assert_eq!(quickstart.due(75), Duration::from_millis(3_020));
        assert_eq!(quickstart.due(574), Duration::from_secs(13));
        // 0.1 has no exact binary form: 3,600 s at 0.1/s are 360 records all the same, whatever came before.
        assert_eq!(counts(&schedule(&[(10.0, 0.1), (3_600.0, 0.1), (10.0, 0.1)])), [0, 360, 1]);
        // Half a record is left after the ramp; the hold brings the other half.
        assert_eq!(counts(&schedule(&[(1.0, 3.0), (1.0, 3.0)])), [1, 3]);
    }

    #[test]
    fn the_second_week_of_the_plan_has_its_published_size() {
        // 2.1: 2 m to 100, hold 30 m, 2 m to 0.
        let sustained = schedule(&[(120.0, 100.0), (1_800.0, 100.0), (120.0, 0.0)]);
        assert_eq!(counts(&sustained), [6_000, 180_000, 6_000]);
    }

    #[test]
    fn does_not_drift_over_a_day_at_2000_a_second() {
        let day = schedule(&[(10.0, 2_000.0), (86_400.0, 2_000.0)]);
        assert_eq!(day.total(), 10_000 + 172_800_000);
        for k in [10_000, 1_000_000, 86_410_000, 172_809_999_u64] {
            let exact_us = 10_000_000 + (k + 1 - 10_000) * 500;
            assert!(day.due(k).as_nanos().abs_diff(u128::from(exact_us) * 1_000) <= 1, "{k}");
        }
    }

    #[test]
    fn silent_levels_have_no_records_and_end_nowhere() {
        let paused = schedule(&[(2.0, 10.0), (2.0, 0.0), (60.0, 0.0), (2.0, 10.0)]);
        assert_eq!(counts(&paused), [10, 10, 0, 10]);
        assert_eq!(paused.level_of(20).index_in_test, 3);
        assert!(paused.due(20) > Duration::from_secs(64));
        assert_eq!((paused.due(30), paused.duration()), (Duration::from_secs(66), Duration::from_secs(66)));
    }

    /// Reference model: the rate integrated by the midpoint rule in steps, record by record.
    fn integrated(stages: &[(f64, f64)], until: Duration) -> f64 {
        let (mut area, mut from, mut left_s) = (0.0, 0.0, until.as_secs_f64());
        for (duration_s, target) in stages {
            let steps = 1_000;
            let step_s = duration_s / f64::from(steps);
            for i in 0..steps {
                let taken_s = step_s.min(left_s);
                let middle_s = f64::from(i) * step_s + taken_s / 2.0;
                area += taken_s * (from + (target - from) * middle_s / duration_s);
                left_s -= taken_s;
            }
            from = *target;
        }
        area
    }

    proptest! {
        #[test]
        fn a_record_is_due_when_the_integral_reaches_its_number(
            stages in prop::collection::vec((1_u32..20_000, 0_u32..3_000), 1..6),
            pick in 0.0..1.0_f64,
        ) {
            let stages: Vec<(f64, f64)> =
                stages.iter().map(|(ms, rate)| (f64::from(*ms) / 1e3, f64::from(*rate) / 10.0)).collect();
            let schedule = schedule(&stages);
            prop_assume!(schedule.total() > 0);
            let k = ((schedule.total() - 1) as f64 * pick) as u64;
            let due = schedule.due(k);
            // A rate near zero makes the time uncertain, but never the integral at that time.
            prop_assert!((integrated(&stages, due) - (k + 1) as f64).abs() < 1e-3);
            let level = schedule.level_of(k);
            prop_assert!(level.first <= k && k < level.first + level.count);
            prop_assert!(level.start <= due && due <= level.end());
        }

        #[test]
        fn due_times_never_go_back_and_counts_add_up(
            stages in prop::collection::vec((1_u32..5_000, 0_u32..500), 1..8),
        ) {
            let stages: Vec<(f64, f64)> =
                stages.iter().map(|(ms, rate)| (f64::from(*ms) / 1e3, f64::from(*rate))).collect();
            let schedule = schedule(&stages);
            let mut previous = Duration::ZERO;
            for k in 0..schedule.total() {
                let due = schedule.due(k);
                prop_assert!(previous <= due, "{k}");
                previous = due;
            }
            prop_assert_eq!(schedule.total(), counts(&schedule).iter().sum::<u64>());
            let area = integrated(&stages, schedule.duration());
            prop_assert!((schedule.total() as f64) <= area + 1e-3 && area < schedule.total() as f64 + 1.0 + 1e-3);
        }
    }

    #[test]
    fn poison_stands_in_the_middle_of_equal_parts() {
        let places = |count, poison| poison_places(count, poison).collect::<Vec<_>>();
        assert_eq!(places(500, 1), [250]);
        assert_eq!(places(10, 3), [1, 5, 8]);
        assert_eq!(places(2, 5), [0, 1], "no more than there are");
        assert!(places(7, 0).is_empty());
    }

    proptest! {
        #[test]
        fn each_record_knows_whether_it_is_poison(count in 0_u64..500, poison in 0_u64..600) {
            let asked: Vec<u64> = (0..count + 2).filter(|index| is_poison(*index, count, poison)).collect();
            prop_assert_eq!(asked, poison_places(count, poison).collect::<Vec<_>>());
        }
    }
}
