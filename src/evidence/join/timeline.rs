//! When what happened, from the event log.

use std::collections::BTreeMap;

use crate::evidence::events::{End, Event, Logged};
use crate::evidence::model::RunEnd;
use crate::plan::Plan;
use crate::platform::clock::WallUs;

pub(super) struct Timeline {
    /// The tests that the run was to make, in order.
    pub tests: Vec<TestTimes>,
    pub levels: BTreeMap<u32, LevelTimes>,
    pub ended_us: Option<WallUs>,
    pub end: RunEnd,
    pub generator_peak_mb: Option<f64>,
    /// The last time that any file knows of.
    pub last_us: Option<WallUs>,
}

#[derive(Clone, Debug)]
pub(super) struct TestTimes {
    /// Index into `plan.tests()`.
    pub plan_index: usize,
    pub first_level: u32,
    pub started_us: Option<WallUs>,
    pub ended_us: Option<WallUs>,
    pub drained_s: Option<f64>,
    pub complete: bool,
}

#[derive(Clone, Debug)]
pub(super) struct LevelTimes {
    pub starts_us: WallUs,
    pub ended_us: Option<WallUs>,
    pub planned_s: f64,
    pub complete: bool,
    pub first_sequence: u64,
    pub count: u64,
}

impl LevelTimes {
    /// When the level ended, as far as is known: by its plan when it ran to its end, otherwise when it was
    /// stopped, or when the files end.
    pub(super) fn end_us(&self, last_us: Option<WallUs>) -> WallUs {
        let planned_us = self.starts_us + (self.planned_s * 1e6) as i64;
        match (self.complete, self.ended_us.or(last_us)) {
            (true, _) | (false, None) => planned_us,
            (false, Some(us)) => us.clamp(self.starts_us, planned_us),
        }
    }
}

impl Timeline {
    pub(super) fn new(events: &[Logged], plan: &Plan, last_send_us: Option<WallUs>) -> Timeline {
        let mut timeline = Timeline {
            tests: Vec::new(),
            levels: BTreeMap::new(),
            ended_us: None,
            end: RunEnd::Killed,
            generator_peak_mb: None,
            last_us: last_send_us.max(events.iter().map(|logged| logged.at_us).max()),
        };
        let mut current = None;
        for logged in events {
            timeline.take(logged, &mut current, plan);
        }
        timeline.number_levels(plan);
        timeline.cut_counts();
        timeline
    }

    fn take(&mut self, logged: &Logged, current: &mut Option<usize>, plan: &Plan) {
        match &logged.event {
            Event::RunStarted { tests } => {
                self.tests.extend(tests.iter().filter(|index| plan.tests().nth(**index).is_some()).map(
                    |plan_index| TestTimes {
                        plan_index: *plan_index,
                        first_level: 0,
                        started_us: None,
                        ended_us: None,
                        drained_s: None,
                        complete: false,
                    },
                ));
            }
            Event::TestStarted { test_index, first_level, .. } => {
                *current = self.tests.iter().position(|test| test.plan_index == *test_index);
                if let Some(test) = current.and_then(|index| self.tests.get_mut(index)) {
                    test.started_us = Some(logged.at_us);
                    test.first_level = *first_level;
                }
            }
            Event::TestEnded { drained_s, complete } => {
                if let Some(test) = current.and_then(|index| self.tests.get_mut(index)) {
                    test.ended_us = Some(logged.at_us);
                    test.drained_s = *drained_s;
                    test.complete = *complete;
                }
            }
            Event::LevelStarted { level, starts_us, duration_s, first_sequence, count, .. } => {
                let times = LevelTimes {
                    starts_us: *starts_us,
                    ended_us: None,
                    planned_s: *duration_s,
                    complete: false,
                    first_sequence: *first_sequence,
                    count: *count,
                };
                self.levels.insert(*level, times);
            }
            Event::LevelEnded { level, complete } => {
                if let Some(level) = self.levels.get_mut(level) {
                    level.ended_us = Some(logged.at_us);
                    level.complete = *complete;
                }
            }
            Event::RunEnded { end, generator_peak_mb } => {
                self.ended_us = Some(logged.at_us);
                self.generator_peak_mb = *generator_peak_mb;
                self.end = match end {
                    End::Completed => RunEnd::Completed,
                    End::Stopped { reason } => RunEnd::Stopped(reason.clone()),
                };
            }
            _ => {}
        }
    }

    /// What a level of virtual users did not send of the most that they could goes to the next one.
    fn cut_counts(&mut self) {
        let mut next_first = u64::MAX;
        for times in self.levels.values_mut().rev() {
            times.count = times.count.min(next_first.saturating_sub(times.first_sequence));
            next_first = times.first_sequence;
        }
    }

    /// Tests that never started get the numbers that their levels would have had.
    fn number_levels(&mut self, plan: &Plan) {
        let mut next = 0;
        for test in &mut self.tests {
            if test.started_us.is_none() {
                test.first_level = next;
            }
            let stages = plan.tests().nth(test.plan_index).map_or(0, |test| test.stages.len());
            next = test.first_level + stages as u32;
        }
    }

    /// (first sequence, last sequence, index into `plan.tests()`) of every level that has records, ascending.
    pub(super) fn planned(&self) -> Vec<(u64, u64, usize)> {
        let mut planned: Vec<_> = self
            .levels
            .iter()
            .filter(|(_, times)| times.count > 0)
            .filter_map(|(level, times)| {
                let last = times.first_sequence.saturating_add(times.count - 1);
                Some((times.first_sequence, last, self.test_of(*level)?))
            })
            .collect();
        planned.sort_unstable();
        planned
    }

    /// Index into `plan.tests()` of the test that a started level belongs to.
    fn test_of(&self, level: u32) -> Option<usize> {
        let test = self.tests.iter().filter(|test| test.started_us.is_some() && test.first_level <= level);
        test.max_by_key(|test| test.first_level).map(|test| test.plan_index)
    }
}
