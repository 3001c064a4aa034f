//! Limits on the generator's side: they say nothing about the pipeline.

use rust_decimal::Decimal;

use crate::evidence::model::{Evidence, GENERATOR_LAG_P99_MAX_MS, LevelEvidence};
use crate::plan::PutMode;

use super::{Change, EvidenceItem, Finding, Limit, count, levels, shown};

/// Part of a level's records that must have waited for a slot to be a finding: a few always meet a stall.
const WAITED_PART: f64 = 0.01;

/// Void levels: the generator could not keep its schedule.
pub(super) fn lagging(evidence: &Evidence) -> Option<Finding> {
    // A level that was never started, of which nothing was sent, under which the pipeline was changed, or whose
    // credentials ended is void for that: no limit of the generator.
    let lags =
        |level: &LevelEvidence| level.generator_lag.is_some_and(|lag| lag.p99 > GENERATOR_LAG_P99_MAX_MS);
    let lagged = |level: &LevelEvidence| {
        level.void.is_some() && lags(level) && !level.failed_by_reason.contains_key("no_credentials")
    };
    let void: Vec<_> = levels(evidence).filter(|placed| lagged(placed.level)).collect();
    let first = void.first()?;
    let why = first.level.void.as_deref().unwrap_or_default();
    let mut items = Vec::new();
    for placed in &void {
        if let Some(lag) = &placed.level.generator_lag {
            items.push(EvidenceItem {
                metric: "generator lag p99".into(),
                at_us: placed.level.started_us,
                value: lag.p99,
                unit: "ms",
                level: Some(placed.name()),
            });
        }
    }
    let put = evidence.plan.tests().nth(first.test.plan_index).map(|test| test.put);
    let batch = put == Some(PutMode::Record);
    let remedy = if batch {
        "It sends one PutRecord a record; PutRecords costs it a fraction of that."
    } else {
        "It sends batches already, so the host is the limit."
    };
    Some(Finding {
        limit: Limit::Generator,
        from_rps: Some(first.peak_rps()),
        at_us: first.level.started_us,
        evidence: items,
        change: Some(if batch { Change::PutBatch } else { Change::GeneratorHost }),
        // Batching is free of charge; what a larger host costs depends on where it stands.
        monthly_cost_of_change: batch.then_some(Decimal::ZERO),
        explanation: format!(
            "{} void, first {}: {why}. A void level says nothing about the pipeline. {remedy}",
            if void.len() == 1 { "1 level is".to_owned() } else { format!("{} levels are", void.len()) },
            first.name()
        ),
    })
}

/// Records that waited for an in-flight slot: the waiting is charged to them, and the load was no longer
/// open.
pub(super) fn in_flight(evidence: &Evidence) -> Option<Finding> {
    let enough = |level: &LevelEvidence| level.in_flight_limited as f64 > level.sent as f64 * WAITED_PART;
    let limited: Vec<_> = levels(evidence).filter(|placed| enough(placed.level)).collect();
    let first = limited.first()?;
    let test = evidence.plan.tests().nth(first.test.plan_index)?;
    let waited: u64 = limited.iter().map(|placed| placed.level.in_flight_limited).sum();
    let worst = limited
        .iter()
        .max_by_key(|placed| placed.level.in_flight_limited)
        .expect("limited has at least `first`");
    // Little's law: records in flight = rate x time in flight, here while answers are slowest.
    let slowest_ms = worst.level.service_time.as_ref().map_or(0.0, |service| service.max);
    let needed = (worst.peak_rps() * slowest_ms / 1_000.0).ceil() as u32;
    let change =
        (needed > test.max_in_flight).then_some(Change::MaxInFlight { from: test.max_in_flight, to: needed });
    let cause = if change.is_some() {
        "the bound is too small for answers that slow"
    } else {
        "fewer than the bound, so the slots filled up while the generator or its target stood still"
    };
    Some(Finding {
        limit: Limit::InFlight,
        from_rps: Some(first.peak_rps()),
        at_us: first.level.started_us,
        evidence: limited
            .iter()
            .map(|placed| EvidenceItem {
                metric: "records that waited for a slot in flight".into(),
                at_us: placed.level.started_us,
                value: placed.level.in_flight_limited as f64,
                unit: "records",
                level: Some(placed.name()),
            })
            .collect(),
        change,
        monthly_cost_of_change: change.map(|_| Decimal::ZERO),
        explanation: format!(
            "{} waited for one of {} slots in flight, first on {}. Their waiting is counted in put latency. The \
             slowest answer took {slowest_ms:.0} ms; at {} records/s that is {} in flight at once: {cause}.",
            count(waited as u32, "record"),
            shown(f64::from(test.max_in_flight)),
            first.name(),
            shown(worst.peak_rps()),
            count(needed, "record"),
        ),
    })
}
