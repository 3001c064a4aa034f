//! What the charts over time show: per-second rows of one test, thinned to a bounded number of points.

use std::collections::BTreeMap;

use crate::evidence::model::{Evidence, ReceiptSecond, SecondRow, TestEvidence};
use crate::plan::StageKind;
use crate::platform::clock::WallUs;

/// Points of one line at most: more cannot be told apart on a screen.
const POINTS_MAX: u64 = 300;

/// Everything over time is in seconds since the whole second in which the test started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestCharts {
    pub levels: Vec<LevelSpan>,
    /// From asking for each action until it was asked to be reverted.
    pub actions: Vec<ActionSpan>,
    pub points: Vec<Point>,
    /// Seconds that one point stands for.
    pub seconds_per_point: i64,
    pub duration_s: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LevelSpan {
    pub name: String,
    pub hold: bool,
    pub void: bool,
    pub from_s: f64,
    pub to_s: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ActionSpan {
    pub text: String,
    pub from_s: f64,
    pub to_s: f64,
}

/// Rates are means over the point's seconds, `p50` too; `p95` and ages are those of its worst second,
/// because percentiles cannot be averaged.
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
}

/// What falls into one point.
#[derive(Default)]
struct Bucket<'a> {
    sent: Vec<&'a SecondRow>,
    seen: Vec<&'a ReceiptSecond>,
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
        let indices: Vec<u32> = test.levels.iter().map(|level| level.index).collect();
        let rows = evidence.seconds.iter().filter(|row| indices.contains(&row.level));
        // Receipts come in while the test drains, until it ended.
        let seen = evidence
            .receipt_seconds
            .iter()
            .filter(|row| row.at_ms >= span.base_ms && row.at_ms < span.end_ms);
        let drawn_ms = (span.end_ms - span.base_ms) as u64;
        let seconds_per_point = drawn_ms.div_ceil(1_000 * POINTS_MAX).max(1) as i64;
        let mut points = points(rows, seen, &span, seconds_per_point);
        if test.levels.iter().any(|level| level.users.is_some()) {
            // A closed loop asks for no rate.
            points.iter_mut().for_each(|point| point.target_rps = None);
        }
        TestCharts {
            levels: level_spans(test, span.base_ms),
            actions: action_spans(test, span.base_ms),
            points,
            seconds_per_point,
            duration_s: drawn_ms as f64 / 1_000.0,
        }
    }
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

fn level_spans(test: &TestEvidence, base_ms: i64) -> Vec<LevelSpan> {
    test.levels
        .iter()
        .filter_map(|level| {
            let start_s = (level.started_us? / 1_000 - base_ms) as f64 / 1_000.0;
            Some(LevelSpan {
                name: level.name.clone(),
                hold: level.kind == StageKind::Hold,
                void: level.void.is_some(),
                from_s: start_s,
                to_s: start_s + level.planned_s,
            })
        })
        .collect()
}

fn action_spans(test: &TestEvidence, base_ms: i64) -> Vec<ActionSpan> {
    let spans = test.actions.iter().filter(|action| action.refused.is_none());
    let at_s = |us: WallUs| (us / 1_000 - base_ms) as f64 / 1_000.0;
    spans
        .filter_map(|action| {
            let (from_us, to_us) = action.started_us.zip(action.reverting_us)?;
            Some(ActionSpan { text: action.text.clone(), from_s: at_s(from_us), to_s: at_s(to_us) })
        })
        .collect()
}

fn points<'a>(
    rows: impl Iterator<Item = &'a SecondRow>,
    seen: impl Iterator<Item = &'a ReceiptSecond>,
    span: &Span,
    seconds_per_point: i64,
) -> Vec<Point> {
    let bucket_of = |at_ms: i64| (at_ms - span.base_ms).max(0) / (1_000 * seconds_per_point);
    let mut buckets: BTreeMap<i64, Bucket<'_>> = BTreeMap::new();
    for row in rows {
        buckets.entry(bucket_of(row.at_ms)).or_default().sent.push(row);
    }
    for row in seen {
        buckets.entry(bucket_of(row.at_ms)).or_default().seen.push(row);
    }
    buckets
        .into_iter()
        .map(|(index, bucket)| {
            let at_s = index * seconds_per_point;
            let from_ms = span.base_ms + at_s * 1_000;
            let loaded_s = span.loaded_s(from_ms, from_ms + seconds_per_point * 1_000);
            point(at_s as f64, loaded_s, &bucket)
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
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
