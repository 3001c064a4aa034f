//! The performance profile of a campaign: by payload and rate, where it broke, how steady it was.

use std::collections::BTreeMap;

use crate::report::model::{LevelReport, TestReport};

use super::complete::{ProfileCell, Stability};
use super::input::Gathered;
use super::model::PlacedBreakingPoint;

/// Criteria on how figures went over time, by how their texts begin.
const STEADINESS: [&str; 4] = ["drift(", "recovery(", "scaling_time", "throughput_ratio.min"];

/// A level and its test.
type Placed<'t> = (&'t TestReport, &'t LevelReport);

/// The holds that finished, by payload (smallest first) and rate. Where several fall into one cell the worst counts:
/// the highest p95, the lowest success; a void one only where there is no other.
pub fn cells<'t>(tests: impl Iterator<Item = &'t TestReport>) -> Vec<ProfileCell> {
    // Keyed by bytes and by millionths of a record/s, so that rates have an order.
    let mut cells: BTreeMap<(u64, &str, i64), Vec<Placed<'_>>> = BTreeMap::new();
    for test in tests {
        for level in test.levels.iter().filter(|level| level.kind == "hold" && level.finished) {
            let Some(rate_rps) = level.target_rps.filter(|rate_rps| *rate_rps > 0.0) else { continue };
            let key = (test.payload.bytes, test.payload.name.as_str(), (rate_rps * 1e6).round() as i64);
            cells.entry(key).or_default().push((test, level));
        }
    }
    cells.into_iter().map(|((bytes, payload, rate), levels)| cell(payload, bytes, rate, &levels)).collect()
}

fn cell(payload: &str, bytes: u64, rate: i64, levels: &[Placed<'_>]) -> ProfileCell {
    let void = levels.iter().all(|(_, level)| level.void.is_some());
    let counted = || levels.iter().map(|(_, level)| level).filter(|level| void || level.void.is_none());
    ProfileCell {
        payload: payload.to_owned(),
        bytes,
        rate_rps: rate as f64 / 1e6,
        put_p95_ms: counted().filter_map(|level| Some(level.put_latency_ms?.p95)).reduce(f64::max),
        success_percent: counted().filter_map(|level| level.success_percent).reduce(f64::min),
        void,
        levels: levels.iter().map(|(test, level)| format!("{} / {}", test.id, level.name)).collect(),
    }
}

pub(super) fn breaking_points(gathered: &Gathered) -> Vec<PlacedBreakingPoint> {
    let found = gathered.results().filter_map(|placed| {
        Some(PlacedBreakingPoint {
            test: placed.test.id.clone(),
            run: placed.part.id().to_owned(),
            found: placed.test.breaking_point.clone()?,
        })
    });
    found.collect()
}

pub(super) fn stability(gathered: &Gathered) -> Vec<Stability> {
    let mut list = Vec::new();
    for placed in gathered.results() {
        for criterion in &placed.test.criteria {
            if STEADINESS.iter().any(|start| criterion.text.starts_with(start)) {
                list.push(Stability {
                    test: placed.test.id.clone(),
                    run: placed.part.id().to_owned(),
                    criterion: criterion.clone(),
                });
            }
        }
    }
    list
}
