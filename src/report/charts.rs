//! What the charts over time show: per-second rows of one test, thinned to a bounded number of points.

use std::collections::BTreeMap;

use crate::evidence::model::{Evidence, ReceiptSecond, SecondRow, TestEvidence};

/// Points of one line at most: more cannot be told apart on a screen.
const POINTS_MAX: u64 = 300;

/// Everything over time is in seconds since the start of the test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestCharts {
    pub levels: Vec<LevelSpan>,
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

#[derive(Default)]
struct Bucket<'a> {
    sent: Vec<&'a SecondRow>,
    seen: Vec<&'a ReceiptSecond>,
}

impl TestCharts {
    /// The charts of one test; empty where it never started.
    pub fn new(evidence: &Evidence, test: &TestEvidence) -> TestCharts {
        let spans: Vec<(i64, i64)> = test
            .levels
            .iter()
            .filter_map(|level| {
                let from_ms = level.started_us? / 1_000;
                Some((from_ms, from_ms + (level.planned_s * 1_000.0) as i64))
            })
            .collect();
        let (Some(from_ms), Some(load_end_ms)) =
            (spans.iter().map(|span| span.0).min(), spans.iter().map(|span| span.1).max())
        else {
            return TestCharts::default();
        };
        let indices: Vec<u32> = test.levels.iter().map(|level| level.index).collect();
        let rows: Vec<&SecondRow> =
            evidence.seconds.iter().filter(|row| indices.contains(&row.level)).collect();
        // Receipts come in while the test drains; the next test's start cuts them off.
        let end_ms = test.ended_us.map_or(load_end_ms, |end_us| (end_us / 1_000).max(load_end_ms));
        let seen: Vec<&ReceiptSecond> = evidence
            .receipt_seconds
            .iter()
            .filter(|row| row.at_ms >= from_ms && row.at_ms < end_ms)
            .collect();
        let seconds_per_point = ((end_ms - from_ms) as u64).div_ceil(1_000 * POINTS_MAX).max(1) as i64;
        TestCharts {
            levels: level_spans(test, from_ms),
            points: points(&rows, &seen, from_ms, seconds_per_point),
            seconds_per_point,
            duration_s: (end_ms - from_ms) as f64 / 1_000.0,
        }
    }
}

fn level_spans(test: &TestEvidence, from_ms: i64) -> Vec<LevelSpan> {
    test.levels
        .iter()
        .filter_map(|level| {
            let start_s = (level.started_us? / 1_000 - from_ms) as f64 / 1_000.0;
            Some(LevelSpan {
                name: level.name.clone(),
                hold: level.kind == crate::plan::StageKind::Hold,
                void: level.void.is_some(),
                from_s: start_s,
                to_s: start_s + level.planned_s,
            })
        })
        .collect()
}

fn points(rows: &[&SecondRow], seen: &[&ReceiptSecond], from_ms: i64, seconds_per_point: i64) -> Vec<Point> {
    let bucket_of = |at_ms: i64| (at_ms - from_ms).max(0) / (1_000 * seconds_per_point);
    let mut buckets: BTreeMap<i64, Bucket<'_>> = BTreeMap::new();
    for row in rows {
        buckets.entry(bucket_of(row.at_ms)).or_default().sent.push(row);
    }
    for row in seen {
        buckets.entry(bucket_of(row.at_ms)).or_default().seen.push(row);
    }
    buckets.into_iter().map(|(index, bucket)| point((index * seconds_per_point) as f64, &bucket)).collect()
}

fn point(at_s: f64, bucket: &Bucket<'_>) -> Point {
    let mean = |value: fn(&SecondRow) -> f64| {
        let sum: f64 = bucket.sent.iter().map(|row| value(row)).sum();
        (!bucket.sent.is_empty()).then(|| sum / bucket.sent.len() as f64)
    };
    // A second without an answer has no latency: its zero is not one.
    let answered = || bucket.sent.iter().filter(|row| row.put_max_ms > 0.0);
    let p50s: Vec<f64> = answered().map(|row| row.put_p50_ms).collect();
    let worst_seen = |value: fn(&ReceiptSecond) -> f64| {
        bucket.seen.iter().filter(|row| row.records > 0).map(|row| value(row)).reduce(f64::max)
    };
    Point {
        at_s,
        target_rps: mean(|row| row.target_rps),
        acked_rps: mean(|row| row.acked as f64),
        refused_rps: mean(|row| row.throttled as f64),
        put_p50_ms: (!p50s.is_empty()).then(|| p50s.iter().sum::<f64>() / p50s.len() as f64),
        put_p95_ms: answered().map(|row| row.put_p95_ms).reduce(f64::max),
        e2e_p95_ms: worst_seen(|row| row.e2e_p95_ms),
        iterator_age_ms: worst_seen(|row| row.iterator_age_max_ms),
    }
}
