//! Cuts tests into windows. Histograms of a window are added up and then asked: percentiles are never averaged.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::sparse::{Sparse, counts};
use super::timeline::{TestTimes, Timeline};
use crate::evidence::hlog::histogram;
use crate::evidence::model::{Dist, SecondRow, TestEvidence, TestWindows, Window};
use crate::evidence::recorder::interval_s;
use crate::plan::{Plan, Stage, StageKind};
use crate::platform::clock::WallUs;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{LevelCounts, Receipt};

const SECOND_US: i64 = 1_000_000;
const STEP_S: i64 = 10;
const TAIL_S: i64 = 60;
/// A hold's windows: as many as this, but no longer than a minute each.
const HOLD_WINDOWS: i64 = 30;
const HOLD_WINDOW_MAX_S: i64 = 60;
/// A test's fine windows: as many as this, but no longer than ten seconds each.
const FINE_WINDOWS: i64 = 60;
/// Windows whose latencies are still open. What comes later than that many windows is not in their percentiles.
const OPEN_MAX: usize = 16;

/// The windows of every test of the run.
#[derive(Clone)]
pub(super) struct WindowSums {
    tests: Vec<[Grid; 4]>,
    /// Tells which latencies are one to a histogram.
    scale: Histogram<u64>,
}

/// Windows in order of time, which do not overlap.
#[derive(Clone, Default)]
struct Grid {
    windows: Vec<Window>,
    puts: BTreeMap<usize, Sparse>,
    ends: BTreeMap<usize, Sparse>,
    generator: BTreeMap<usize, (f64, u32)>,
}

/// A level's whole seconds.
struct Span<'a> {
    level: u32,
    stage: &'a Stage,
    from_us: WallUs,
    to_us: WallUs,
}

impl WindowSums {
    pub(super) fn new(timeline: &Timeline, plan: &Plan) -> WindowSums {
        let planned = timeline.tests.iter().filter_map(|test| plan.tests().nth(test.plan_index));
        let interval_s = interval_s(planned.map(crate::plan::Test::duration).sum());
        let tests = timeline.tests.iter().filter(|test| plan.tests().nth(test.plan_index).is_some());
        let tests = tests.map(|test| grids(&spans(timeline, plan, test), interval_s)).collect();
        WindowSums { tests, scale: histogram() }
    }

    /// An interval of acked records, `middle_us` its middle.
    pub(super) fn put(&mut self, middle_us: WallUs, latencies: &Histogram<u64>) {
        let latencies: Vec<(u64, u64)> = counts(latencies).collect();
        for grid in self.tests.iter_mut().flatten() {
            if let Some(index) = grid.at(middle_us) {
                if let Some(puts) = open(&mut grid.puts, index) {
                    puts.add(latencies.iter().copied());
                }
                let (open, windows) = (&mut grid.puts, &mut grid.windows);
                close(open, windows, OPEN_MAX, &self.scale, |window| &mut window.put_latency);
            }
        }
    }

    pub(super) fn receipt(&mut self, receipt: &Receipt<LevelCounts>) {
        if receipt.records.iter().all(|record| record.level == PROBE_LEVEL) {
            return;
        }
        let age_ms = receipt.iterator_age_ms();
        for grid in self.tests.iter_mut().flatten() {
            let Some(index) = grid.at(receipt.started_us) else { continue };
            let window = &mut grid.windows[index];
            let larger =
                |known: &mut Option<f64>, value: f64| *known = Some(known.map_or(value, |k| k.max(value)));
            larger(&mut window.iterator_age_max_ms, age_ms);
            larger(&mut window.memory_used_mb, f64::from(receipt.memory_used_mb));
            for level in receipt.levels.iter().filter(|level| level.level != PROBE_LEVEL) {
                if let Some(ends) = open(&mut grid.ends, index) {
                    ends.add(level.e2e.iter());
                }
            }
            close(&mut grid.ends, &mut grid.windows, OPEN_MAX, &self.scale, |window| &mut window.e2e);
        }
    }

    /// Closes every window, counts the seconds and the generator's memory into them, and hands each test its own.
    pub(super) fn finish(
        mut self,
        seconds: &[SecondRow],
        generator: &[(WallUs, f64)],
        tests: &mut [TestEvidence],
    ) {
        for grid in self.tests.iter_mut().flatten() {
            for row in seconds {
                grid.second(row);
            }
            for (at_us, mb) in generator {
                if let Some(index) = grid.at(*at_us) {
                    let (sum, count) = grid.generator.entry(index).or_default();
                    (*sum, *count) = (*sum + mb, *count + 1);
                }
            }
            grid.finish(&self.scale);
        }
        for (test, [steps, fine, hold, tails]) in tests.iter_mut().zip(self.tests) {
            test.windows = TestWindows {
                steps: steps.windows,
                fine: fine.windows,
                hold: hold.windows,
                tails: tails.windows,
            };
            for windows in [&mut test.windows.steps, &mut test.windows.fine, &mut test.windows.hold] {
                windows.iter_mut().for_each(|window| due(window, &test.levels, seconds));
            }
        }
    }
}

/// The generator kept pace where no record waited for a slot: what it started is then what was due, however the
/// arrivals are spread. Elsewhere it is the area under the planned rate.
fn due(window: &mut Window, levels: &[crate::evidence::model::LevelEvidence], seconds: &[SecondRow]) {
    let Some(level) = levels.iter().find(|level| level.index == window.level) else { return };
    let Some(started_us) = level.started_us.filter(|_| level.in_flight_limited > 0) else { return };
    let rate_at = |at_us: WallUs| {
        let along = (at_us - started_us) as f64 / 1e6 / level.planned_s.max(f64::MIN_POSITIVE);
        level.from_rps + (level.target_rps - level.from_rps) * along.clamp(0.0, 1.0)
    };
    let window_s = (window.to_us - window.from_us) as f64 / 1e6;
    window.due = match level.kind {
        StageKind::Hold => level.target_rps * window_s,
        StageKind::Ramp => f64::midpoint(rate_at(window.from_us), rate_at(window.to_us)) * window_s,
        // Its rate steps; the recorder kept what it was in each second.
        StageKind::Replay => seconds
            .iter()
            .filter(|row| row.level == level.index)
            .filter(|row| (window.from_us..window.to_us).contains(&(row.at_ms * 1_000)))
            .map(|row| row.target_rps)
            .sum(),
    };
}

fn spans<'a>(timeline: &Timeline, plan: &'a Plan, test: &TestTimes) -> Vec<Span<'a>> {
    let stages = plan.tests().nth(test.plan_index).map_or(&[][..], |planned| &planned.stages);
    let numbered = (test.first_level..).zip(stages).filter(|_| test.started_us.is_some());
    let span = |(level, stage)| {
        let times = timeline.levels.get(&level)?;
        let from_us = (times.starts_us + SECOND_US - 1).div_euclid(SECOND_US) * SECOND_US;
        let to_us = times.end_us(timeline.last_us).div_euclid(SECOND_US) * SECOND_US;
        (to_us > from_us).then_some(Span { level, stage, from_us, to_us })
    };
    numbered.filter_map(span).collect()
}

fn grids(spans: &[Span<'_>], interval_s: i64) -> [Grid; 4] {
    let seconds = |span: &Span<'_>| (span.to_us - span.from_us) / SECOND_US;
    // Narrower than the intervals of the log, some windows would stay empty.
    let width_s = |wanted_s: i64, max_s: i64| {
        let bounded_s = wanted_s.clamp(1, max_s);
        (bounded_s + interval_s - 1) / interval_s * interval_s
    };
    let whole_s: i64 = spans.iter().map(seconds).sum();
    let holds = spans.iter().filter(|span| span.stage.kind == StageKind::Hold && span.stage.target_rps > 0.0);
    let longest = holds.rev().max_by_key(|span| seconds(span));
    let hold = longest.map_or_else(Grid::default, |span| {
        Grid::of(std::slice::from_ref(span), width_s(seconds(span) / HOLD_WINDOWS, HOLD_WINDOW_MAX_S))
    });
    let long = spans.iter().filter(|span| seconds(span) >= TAIL_S);
    let tails: Vec<Span<'_>> =
        long.map(|span| Span { from_us: span.to_us - TAIL_S * SECOND_US, ..*span }).collect();
    [
        Grid::of(spans, STEP_S),
        Grid::of(spans, width_s(whole_s / FINE_WINDOWS, STEP_S)),
        hold,
        Grid::of(&tails, TAIL_S),
    ]
}

impl Grid {
    fn of(spans: &[Span<'_>], width_s: i64) -> Grid {
        let mut windows = Vec::new();
        for span in spans {
            let mut from_us = span.from_us;
            while from_us < span.to_us {
                let full_us = from_us + width_s * SECOND_US;
                let (to_us, whole) = (full_us.min(span.to_us), full_us <= span.to_us);
                windows.push(Window { level: span.level, from_us, to_us, whole, ..Window::default() });
                from_us = to_us;
            }
        }
        Grid { windows, ..Grid::default() }
    }

    /// The window that holds a time.
    fn at(&self, at_us: WallUs) -> Option<usize> {
        let index = self.windows.partition_point(|window| window.from_us <= at_us).checked_sub(1)?;
        (at_us < self.windows[index].to_us).then_some(index)
    }

    fn second(&mut self, row: &SecondRow) {
        let Some(index) = self.at(row.at_ms * 1_000) else { return };
        let window = &mut self.windows[index];
        if window.level == row.level {
            window.due += row.sent as f64;
            window.acked += row.acked;
            window.failed += row.failed;
            window.throttled += row.throttled;
        }
    }

    fn finish(&mut self, scale: &Histogram<u64>) {
        close(&mut self.puts, &mut self.windows, 0, scale, |window| &mut window.put_latency);
        close(&mut self.ends, &mut self.windows, 0, scale, |window| &mut window.e2e);
        for (index, (sum, count)) in std::mem::take(&mut self.generator) {
            self.windows[index].generator_mb = Some(sum / f64::from(count));
        }
    }
}

/// The latencies of a window, while it is open.
fn open(all: &mut BTreeMap<usize, Sparse>, index: usize) -> Option<&mut Sparse> {
    // A closed window that is opened again would forget what it knew.
    let oldest = all.keys().next().copied().unwrap_or(0);
    (index >= oldest || all.len() < OPEN_MAX).then(|| all.entry(index).or_default())
}

/// Closes the oldest until `keep` are open.
fn close(
    open: &mut BTreeMap<usize, Sparse>,
    windows: &mut [Window],
    keep: usize,
    scale: &Histogram<u64>,
    part: impl Fn(&mut Window) -> &mut Option<Dist>,
) {
    while open.len() > keep {
        let Some((index, mut latencies)) = open.pop_first() else { return };
        let known = part(&mut windows[index]);
        if known.is_none() {
            *known = latencies.dist(scale);
        }
    }
}
