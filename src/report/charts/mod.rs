//! What the charts of a test show: its per-second rows, thinned to a bounded number of points, and what each level did.

mod capacity;
mod marked;
mod spectra;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::evidence::drawn::{self, FunctionSecond};
use crate::evidence::model::{Evidence, ReceiptSecond, SecondRow, TestEvidence};

pub use capacity::{CAPACITIES, LevelUse, Share};
pub use marked::{ActionSpan, FlagMark, LevelSpan};
pub use spectra::{Spectra, Spectrum};

/// Points of one line at most: more cannot be told apart on a screen.
const POINTS_MAX: u64 = 300;

/// Everything over time is in seconds since the whole second in which the test started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestCharts {
    pub levels: Vec<LevelSpan>,
    pub actions: Vec<ActionSpan>,
    pub flags: Vec<FlagMark>,
    /// Flags beyond those marked.
    pub flags_more: usize,
    pub points: Vec<Point>,
    /// Seconds that one point stands for.
    pub seconds_per_point: i64,
    pub duration_s: f64,
    /// What CloudWatch says of the function, by its periods.
    pub concurrency: Vec<Period>,
    pub throttles: Vec<Period>,
    /// Invocations that the mapping may run at once; `None` where that changed or is not known.
    pub lanes: Option<f64>,
    pub spectra: Spectra,
    /// Of each level that ran.
    pub used: Vec<LevelUse>,
}

/// A value of CloudWatch over a period of its own, or the largest of several periods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Period {
    pub from_s: f64,
    pub to_s: f64,
    pub value: f64,
}

/// Rates are means over the point's seconds, `p50` too; `p95`, ages, the backlog and concurrency are those of its worst
/// second, because percentiles cannot be averaged and a spike must not disappear. Cold starts are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub at_s: f64,
    pub target_rps: Option<f64>,
    pub acked_rps: Option<f64>,
    pub refused_rps: Option<f64>,
    pub put_p50_ms: Option<f64>,
    pub put_p95_ms: Option<f64>,
    pub e2e_p95_ms: Option<f64>,
    pub iterator_age_ms: Option<f64>,
    /// Acked and not yet settled, at the end of a second.
    pub backlog_records: Option<f64>,
    /// Invocations running at once, on average over a second.
    pub concurrency: Option<f64>,
    pub cold_starts: Option<f64>,
}

/// What falls into one point.
#[derive(Default)]
struct Bucket<'a> {
    sent: Vec<&'a SecondRow>,
    seen: Vec<&'a ReceiptSecond>,
    function: Vec<&'a FunctionSecond>,
    backlog: Option<u64>,
}

/// The time of a test that is drawn, ms since the epoch.
struct Span {
    /// The whole second in which the first level started: rows are aligned to whole seconds.
    base_ms: i64,
    load_start_ms: i64,
    load_end_ms: i64,
    end_ms: i64,
}

impl TestCharts {
    /// The charts of one test; empty where it never started.
    pub fn new(evidence: &Evidence, test: &TestEvidence) -> TestCharts {
        let Some(span) = Span::of(test) else { return TestCharts::default() };
        let drawn_ms = (span.end_ms - span.base_ms) as u64;
        let seconds_per_point = drawn_ms.div_ceil(1_000 * POINTS_MAX).max(1) as i64;
        let mut points = points(evidence, test, &span, seconds_per_point);
        if test.levels.iter().any(|level| level.users.is_some()) {
            // A closed loop asks for no rate.
            points.iter_mut().for_each(|point| point.target_rps = None);
        }
        let (flags, flags_more) = marked::flags(evidence, test, span.base_ms);
        TestCharts {
            levels: marked::levels(test, span.base_ms),
            actions: marked::actions(test, span.base_ms),
            flags,
            flags_more,
            points,
            seconds_per_point,
            duration_s: drawn_ms as f64 / 1_000.0,
            concurrency: periods(evidence, "lambda.ConcurrentExecutions.Maximum", &span),
            throttles: periods(evidence, "lambda.Throttles.Sum", &span),
            lanes: capacity::lanes(evidence, test).ok(),
            spectra: spectra::of(test),
            used: capacity::of(evidence, test),
        }
    }
}

/// The periods of a series that touch the test, at most [`POINTS_MAX`]: where there are more, the largest of several
/// stands for them.
fn periods(evidence: &Evidence, key: &str, span: &Span) -> Vec<Period> {
    let Some(series) = evidence.cloudwatch.series.get(key) else { return Vec::new() };
    let period_ms = i64::from(series.period_s.max(1)) * 1_000;
    let at_s = |ms: i64| (ms.clamp(span.base_ms, span.end_ms) - span.base_ms) as f64 / 1_000.0;
    let touching: Vec<&(i64, f64)> = series
        .points
        .iter()
        .filter(|(at_ms, value)| {
            at_ms + period_ms > span.base_ms && *at_ms < span.end_ms && value.is_finite()
        })
        .collect();
    let each = touching.len().div_ceil(POINTS_MAX as usize).max(1);
    let period = |several: &[&(i64, f64)]| {
        let (first, last) = several.first().zip(several.last())?;
        let value = several.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
        Some(Period { from_s: at_s(first.0), to_s: at_s(last.0 + period_ms), value })
    };
    touching.chunks(each).filter_map(period).collect()
}

impl Span {
    fn of(test: &TestEvidence) -> Option<Span> {
        let started =
            || test.levels.iter().filter_map(|level| Some((level.started_us? / 1_000, level.planned_s)));
        let load_start_ms = started().map(|(start_ms, _)| start_ms).min()?;
        let load_end_ms =
            started().map(|(start_ms, planned_s)| start_ms + (planned_s * 1_000.0) as i64).max()?;
        Some(Span {
            base_ms: load_start_ms - load_start_ms.rem_euclid(1_000),
            load_start_ms,
            load_end_ms,
            end_ms: test.ended_us.map_or(load_end_ms, |end_us| (end_us / 1_000).max(load_end_ms)),
        })
    }

    /// Seconds under load between two times: a level need not start or end with a whole second.
    fn loaded_s(&self, from_ms: i64, to_ms: i64) -> f64 {
        (to_ms.min(self.load_end_ms) - from_ms.max(self.load_start_ms)).max(0) as f64 / 1_000.0
    }
}

fn points(evidence: &Evidence, test: &TestEvidence, span: &Span, seconds_per_point: i64) -> Vec<Point> {
    let indices: Vec<u32> = test.levels.iter().map(|level| level.index).collect();
    // Receipts come in while the test drains, until it ended.
    let during = |at_ms: i64| at_ms >= span.base_ms && at_ms < span.end_ms;
    let bucket_of = |at_ms: i64| (at_ms - span.base_ms).max(0) / (1_000 * seconds_per_point);
    let mut buckets: BTreeMap<i64, Bucket<'_>> = BTreeMap::new();
    for row in evidence.seconds.iter().filter(|row| indices.contains(&row.level)) {
        buckets.entry(bucket_of(row.at_ms)).or_default().sent.push(row);
    }
    for row in evidence.receipt_seconds.iter().filter(|row| during(row.at_ms)) {
        buckets.entry(bucket_of(row.at_ms)).or_default().seen.push(row);
    }
    for row in evidence.function_seconds.iter().filter(|row| during(row.at_ms)) {
        buckets.entry(bucket_of(row.at_ms)).or_default().function.push(row);
    }
    // Nothing is known of what the function did after the last receipt that was collected.
    let known_until_ms = evidence.function_seconds.last().map_or(i64::MIN, |row| row.at_ms);
    if evidence.delivery.measured {
        let backlog = drawn::backlog(&evidence.seconds, &evidence.function_seconds);
        let is_known = |at_ms: i64| evidence.delivery.complete || at_ms <= known_until_ms;
        let during = backlog.range(span.base_ms..span.end_ms).filter(|(at_ms, _)| is_known(**at_ms));
        for (at_ms, records) in during {
            let bucket = buckets.entry(bucket_of(*at_ms)).or_default();
            bucket.backlog = bucket.backlog.max(Some(*records));
        }
    }
    buckets
        .into_iter()
        .map(|(index, bucket)| {
            let at_s = index * seconds_per_point;
            let from_ms = span.base_ms + at_s * 1_000;
            let loaded_s = span.loaded_s(from_ms, from_ms + seconds_per_point * 1_000);
            let idle = evidence.delivery.measured && from_ms <= known_until_ms;
            Point {
                concurrency: busiest(&bucket).or(idle.then_some(0.0)),
                ..point(at_s as f64, loaded_s, &bucket)
            }
        })
        .collect()
}

/// Less load than this in a point gives no rate: a few records over a few milliseconds.
const LOADED_S_MIN: f64 = 0.2;

fn point(at_s: f64, loaded_s: f64, bucket: &Bucket<'_>) -> Point {
    // The second in which one level follows another has a row for each: they add up.
    let rate = |value: fn(&SecondRow) -> u64| {
        let sum: u64 = bucket.sent.iter().map(|row| value(row)).sum();
        (!bucket.sent.is_empty() && loaded_s >= LOADED_S_MIN).then(|| sum as f64 / loaded_s)
    };
    let targets: Vec<f64> = bucket.sent.iter().map(|row| row.target_rps).collect();
    // A second without an answer has no latency: its zero is not one.
    let answered = || bucket.sent.iter().filter(|row| row.put_max_ms > 0.0);
    let p50s: Vec<f64> = answered().map(|row| row.put_p50_ms).collect();
    let worst_seen = |value: fn(&ReceiptSecond) -> f64| {
        bucket.seen.iter().filter(|row| row.records > 0).map(|row| value(row)).reduce(f64::max)
    };
    Point {
        at_s,
        target_rps: mean(&targets).filter(|_| loaded_s >= LOADED_S_MIN),
        acked_rps: rate(|row| row.acked),
        refused_rps: rate(|row| row.throttled),
        put_p50_ms: mean(&p50s),
        put_p95_ms: answered().map(|row| row.put_p95_ms).reduce(f64::max),
        e2e_p95_ms: worst_seen(|row| row.e2e_p95_ms),
        iterator_age_ms: worst_seen(|row| row.iterator_age_max_ms),
        backlog_records: bucket.backlog.map(|records| records as f64),
        concurrency: None,
        cold_starts: (!bucket.function.is_empty())
            .then(|| bucket.function.iter().map(|row| row.cold_starts as f64).sum()),
    }
}

/// Invocations at once in the busiest second.
fn busiest(bucket: &Bucket<'_>) -> Option<f64> {
    bucket.function.iter().map(|row| row.busy_ms / 1_000.0).reduce(f64::max)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
