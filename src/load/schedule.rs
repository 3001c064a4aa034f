//! When each record is due. Pure: the integral of the planned rate, inverted in closed form.
//!
//! The convention is that of k6's ramping-arrival-rate: record `k` (from 0) is due when the integral of the
//! rate over time reaches `k + 1`. So a hold of 10 s at 50/s has exactly 500 records, the last one due at
//! its very end, and a ramp of 3 s from 0 to 50/s has 75. What is left of a record at the end of a stage
//! carries over to the next. Each due time is computed from `k` alone: nothing accumulates, nothing drifts.
//!
//! With Poisson arrivals a level has the same records, which then lie in it at random (`arrivals`). A level that
//! replays a series has several segments, each of one rate; any other has one.

use std::sync::Arc;
use std::time::Duration;

use super::arrivals::Points;
use crate::plan::{self, Arrivals, RateStep, Stage, StageKind};

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
    /// Of a replay: its rates, as the stage has them.
    pub steps: Arc<[RateStep]>,
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
    /// Integral of the rate before this stage, and at its end, records.
    area_before: f64,
    area_after: f64,
}

impl LevelPlan {
    pub fn end(&self) -> Duration {
        self.start + self.duration
    }
}

/// A part of the schedule in which the rate is linear.
#[derive(Clone, Debug, PartialEq)]
struct Segment {
    from_rps: f64,
    target_rps: f64,
    /// From the start of the test.
    start: Duration,
    duration: Duration,
    /// Its first record, if it has one.
    first: u64,
    /// Integral of the rate before it, records.
    area_before: f64,
}

impl Segment {
    /// When the integral from the start of the test on reaches `area` records.
    fn time_of(&self, area: f64) -> Duration {
        self.start + self.offset_of((area - self.area_before).max(0.0))
    }

    /// Time into the segment at which the integral over it reaches `area` records.
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
    segments: Vec<Segment>,
    arrivals: Arrivals,
    total: u64,
    duration: Duration,
}

/// The segments of a stage: how long, from which rate and to which.
fn segments_of(stage: &Stage) -> Vec<(Duration, f64, f64)> {
    if stage.steps.is_empty() {
        return vec![(stage.duration, stage.from_rps, stage.target_rps)];
    }
    let ends = stage.steps.iter().skip(1).map(|step| step.after).chain([stage.duration]);
    stage.steps.iter().zip(ends).map(|(step, end)| (end - step.after, step.rps, step.rps)).collect()
}

impl Schedule {
    pub fn new(test: &plan::Test) -> Schedule {
        if let Some(users) = &test.users {
            return Schedule::of_users(test, users);
        }
        let mut levels = Vec::with_capacity(test.stages.len());
        let mut segments = Vec::new();
        let (mut start, mut area, mut total) = (Duration::ZERO, 0.0_f64, 0);
        for (index, stage) in test.stages.iter().enumerate() {
            let (first, area_before) = (total, area);
            let mut segment_start = start;
            for (duration, from_rps, target_rps) in segments_of(stage) {
                let start = segment_start;
                segments.push(Segment {
                    from_rps,
                    target_rps,
                    start,
                    duration,
                    first: total,
                    area_before: area,
                });
                area += (from_rps + target_rps) / 2.0 * duration.as_secs_f64();
                if (area - area.round()).abs() < SNAP_RECORDS {
                    area = area.round();
                }
                total = area.floor() as u64;
                segment_start += duration;
            }
            levels.push(LevelPlan {
                index_in_test: index as u32,
                kind: stage.kind,
                from_rps: stage.from_rps,
                target_rps: stage.target_rps,
                steps: Arc::clone(&stage.steps),
                start,
                duration: stage.duration,
                first,
                count: total - first,
                poison: stage.poison.min(total - first),
                users: None,
                area_before,
                area_after: area,
            });
            start += stage.duration;
        }
        Schedule { levels, segments, arrivals: test.arrivals, total, duration: start }
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
                steps: Arc::default(),
                start,
                duration: stage.duration,
                first: total,
                count,
                poison: 0,
                users: Some(*counts),
                area_before: 0.0,
                area_after: 0.0,
            });
            total = total.saturating_add(count);
            start += stage.duration;
        }
        Schedule { levels, segments: Vec::new(), arrivals: Arrivals::Even, total, duration: start }
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
        match self.arrivals {
            Arrivals::Even => {
                let after = self.segments.partition_point(|segment| segment.first <= k);
                self.segments[after.saturating_sub(1)].time_of((k + 1) as f64)
            }
            Arrivals::Poisson { seed } => self.random_due(seed, k),
        }
    }

    /// The level's points are uniform in the integral of its rate.
    fn random_due(&self, seed: u64, k: u64) -> Duration {
        let level = self.level_of(k);
        let place = Points::new(seed, level.index_in_test, level.count).place(k - level.first);
        let area = level.area_before + place * (level.area_after - level.area_before);
        let after = self.segments.partition_point(|segment| segment.area_before <= area);
        self.segments[after.saturating_sub(1)].time_of(area).clamp(level.start, level.end())
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
#[path = "schedule_tests.rs"]
mod tests;
