//! Limits on the generator's side: they say nothing about the pipeline.

use rust_decimal::Decimal;

use crate::evidence::model::Evidence;
use crate::plan::PutMode;

use super::{Change, EvidenceItem, Finding, Limit, count, levels, shown};

/// Void levels: the generator could not keep its schedule.
pub(super) fn lagging(evidence: &Evidence) -> Option<Finding> {
    let void: Vec<_> = levels(evidence).filter(|placed| placed.level.void.is_some()).collect();
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
            "The generator, not the pipeline, was the limit on {}, first on {}: {why}. Such a level says \
             nothing about the pipeline. {remedy}",
            count(void.len() as u32, "level"),
            first.name()
        ),
    })
}

/// Records that waited for an in-flight slot: the waiting is charged to them, and the load was no longer
/// open.
pub(super) fn in_flight(evidence: &Evidence) -> Option<Finding> {
    let limited: Vec<_> = levels(evidence).filter(|placed| placed.level.in_flight_limited > 0).collect();
    let first = limited.first()?;
    let test = evidence.plan.tests().nth(first.test.plan_index)?;
    let waited: u64 = limited.iter().map(|placed| placed.level.in_flight_limited).sum();
    let worst = limited
        .iter()
        .max_by_key(|placed| placed.level.in_flight_limited)
        .expect("limited has at least `first`");
    // Little's law: records in flight = rate x time in flight, here for all but one in a hundred.
    let service = worst.level.service_time.as_ref().map_or(0.0, |service| service.p99);
    let needed = (worst.peak_rps() * service / 1_000.0).ceil() as u32;
    let to = needed.max(test.max_in_flight.saturating_mul(2));
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
        change: Some(Change::MaxInFlight { from: test.max_in_flight, to }),
        monthly_cost_of_change: Some(Decimal::ZERO),
        explanation: format!(
            "{waited} records waited for one of {} slots in flight, first on {}. Their waiting is counted in put \
             latency. With a service time of {service:.0} ms (p99) at {} records/s, {needed} records are in flight \
             at once: answers came too slowly, or the bound is too small.",
            test.max_in_flight,
            first.name(),
            shown(worst.peak_rps()),
        ),
    })
}
