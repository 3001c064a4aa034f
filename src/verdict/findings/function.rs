//! What the function gives way with: concurrency, time, memory, errors.

use rust_decimal::Decimal;

use crate::cost::{self, PriceBook};
use crate::evidence::model::{Evidence, TestEvidence};
use crate::platform::clock::WallUs;
use crate::platform::limits;

use super::super::measure::key;
use super::{
    Change, EvidenceItem, Finding, Limit, Placed, cloudwatch_max, cloudwatch_sum, count, first_point,
    level_in_minute, levels,
};

/// Part of the timeout from which on the duration is a finding (the alarm's default too).
const NEAR_TIMEOUT: f64 = 0.8;
/// Part of the memory from which on it is a finding, and the part that the change aims at.
const MEMORY_HIGH: f64 = 0.9;
const MEMORY_AIM: f64 = 0.7;

/// Invocations refused for want of concurrency.
pub(super) fn throttled(evidence: &Evidence) -> Option<Finding> {
    let throttles = cloudwatch_sum(evidence, key::LAMBDA_THROTTLES).filter(|sum| *sum > 0.0)?;
    let (at_us, level) = when(evidence, key::LAMBDA_THROTTLES, |value| value > 0.0);
    let environment = &evidence.environment;
    let lanes = environment.shards.max(1) * environment.parallelization.max(1);
    let limit = environment.concurrency_limit;
    let change = limit.map(|from| Change::Concurrency { from, to: lanes.max(from + 1) });
    let mut items = vec![item(key::LAMBDA_THROTTLES, at_us, throttles, "invocations", level)];
    if let Some((most, test)) = cloudwatch_max(evidence, key::LAMBDA_CONCURRENCY_MAX) {
        items.push(EvidenceItem {
            metric: key::LAMBDA_CONCURRENCY_MAX.into(),
            at_us: test.started_us,
            value: most,
            unit: "executions",
            level: None,
        });
    }
    let may = limit.map_or_else(
        || "the account's unreserved concurrency".to_owned(),
        |limit| format!("its limit of {limit} concurrent executions"),
    );
    Some(Finding {
        limit: Limit::LambdaConcurrency,
        from_rps: level.zip(at_us).map(|(level, at_us)| level.rate_at(at_us)),
        at_us,
        evidence: items,
        change,
        // Concurrency itself is not charged.
        monthly_cost_of_change: change.map(|_| Decimal::ZERO),
        explanation: format!(
            "{throttles:.0} invocations were throttled by {may}; the mapping alone uses up to {lanes} at once \
             ({} x parallelization {}).",
            count(environment.shards, "shard"),
            environment.parallelization
        ),
    })
}

/// The longest invocation came near the timeout.
pub(super) fn near_timeout(evidence: &Evidence) -> Option<Finding> {
    let timeout_s = evidence.environment.timeout_s;
    let (longest_ms, test) = cloudwatch_max(evidence, key::LAMBDA_DURATION_MAX)?;
    let timeout_ms = f64::from(timeout_s) * 1_000.0;
    if timeout_s == 0 || longest_ms < timeout_ms * NEAR_TIMEOUT {
        return None;
    }
    let (at_us, level) = when(evidence, key::LAMBDA_DURATION_MAX, |value| value >= timeout_ms * NEAR_TIMEOUT);
    // Twice the longest seen leaves it below half of the timeout, where it is called good.
    let to = ((longest_ms * 2.0 / 1_000.0).ceil() as u32).clamp(timeout_s, *limits::FUNCTION_TIMEOUT_S.end());
    let change = (to > timeout_s).then_some(Change::TimeoutS { from: timeout_s, to });
    Some(Finding {
        limit: Limit::LambdaDuration,
        from_rps: level.zip(at_us).map(|(level, at_us)| level.rate_at(at_us)),
        at_us: at_us.or(test.started_us),
        evidence: vec![item(key::LAMBDA_DURATION_MAX, at_us, longest_ms, "ms", level)],
        change,
        monthly_cost_of_change: change.map(|_| Decimal::ZERO),
        explanation: format!(
            "The longest invocation of test {} took {longest_ms:.0} ms, {:.0} % of the timeout of {timeout_s} s. At \
             the timeout it is killed and the whole batch comes again.",
            test.id,
            longest_ms / timeout_ms * 100.0
        ),
    })
}

/// The function used nearly all of its memory.
pub(super) fn memory(evidence: &Evidence, book: &PriceBook) -> Option<Finding> {
    let from = evidence.environment.memory_mb;
    let high = |used_mb: u32| f64::from(used_mb) > f64::from(from) * MEMORY_HIGH;
    let placed =
        levels(evidence).find(|placed| from > 0 && placed.level.memory_used_mb_max.is_some_and(high))?;
    let used_mb = levels(evidence).filter_map(|placed| placed.level.memory_used_mb_max).max()?;
    // Lambda takes any whole MB; steps of 64 are what people set.
    let aim = (f64::from(used_mb) / MEMORY_AIM / 64.0).ceil() as u32 * 64;
    let to = aim.clamp(from, *limits::FUNCTION_MEMORY_MB.end());
    let change = (to > from).then_some(Change::MemoryMb { from, to });
    Some(Finding {
        limit: Limit::LambdaMemory,
        from_rps: Some(placed.peak_rps()),
        at_us: placed.level.started_us,
        evidence: vec![EvidenceItem {
            metric: "memory used, max".into(),
            at_us: placed.level.started_us,
            value: f64::from(used_mb),
            unit: "MB",
            level: Some(placed.name()),
        }],
        change,
        monthly_cost_of_change: change.and_then(|_| memory_cost(evidence, book, from, to)),
        explanation: format!(
            "The function used {used_mb} MB of its {from} MB ({:.0} %), first above 90 % on {}. {to} MB bring it to \
             about {:.0} %. The cost assumes the rate and duration of this run; more memory is more CPU too, so the \
             duration usually falls.",
            f64::from(used_mb) / f64::from(from) * 100.0,
            placed.name(),
            f64::from(used_mb) / f64::from(to.max(1)) * 100.0
        ),
    })
}

/// The billed time of the load window, a month long, at the memory more.
fn memory_cost(evidence: &Evidence, book: &PriceBook, from: u32, to: u32) -> Option<Decimal> {
    let usage = &evidence.usage;
    let of = |memory_mb: u32| {
        let sized = crate::evidence::model::Usage { memory_mb, ..usage.clone() };
        cost::price(&sized, book).pipeline.total_of(&["Lambda"])
    };
    let more = of(to)? - of(from)?;
    let window_s = Decimal::from((usage.load_window_s * 1_000.0) as u64) / Decimal::from(1_000u32);
    let month_s = book.hours_per_month * Decimal::from(3_600u32);
    (more * month_s).checked_div(window_s).map(|cost| cost.round_dp(2).normalize())
}

/// Invocations that ended in an error.
pub(super) fn errors(evidence: &Evidence) -> Option<Finding> {
    let errors = cloudwatch_sum(evidence, key::LAMBDA_ERRORS).filter(|sum| *sum > 0.0)?;
    let (at_us, level) = when(evidence, key::LAMBDA_ERRORS, |value| value > 0.0);
    let first: Option<&TestEvidence> = evidence
        .tests
        .iter()
        .find(|test| test.cloudwatch.get(key::LAMBDA_ERRORS).is_some_and(|errors| *errors > 0.0));
    Some(Finding {
        limit: Limit::LambdaErrors,
        from_rps: level.zip(at_us).map(|(level, at_us)| level.rate_at(at_us)),
        at_us: at_us.or(first.and_then(|test| test.started_us)),
        evidence: vec![item(key::LAMBDA_ERRORS, at_us, errors, "invocations", level)],
        change: None,
        monthly_cost_of_change: None,
        explanation: format!(
            "{errors:.0} invocations ended in an error, first in test {}. A failed batch comes again{} and holds its \
             shard meanwhile. The function's log names the error.",
            first.map_or("-", |test| test.id.as_str()),
            if evidence.environment.bisect_on_error { ", cut in half," } else { "" }
        ),
    })
}

/// The first minute of which `is` holds, and the level that has most of it.
fn when<'a>(
    evidence: &'a Evidence,
    key: &str,
    is: impl Fn(f64) -> bool,
) -> (Option<WallUs>, Option<Placed<'a>>) {
    let Some((minute_us, _)) = first_point(evidence, key, is) else { return (None, None) };
    match level_in_minute(evidence, minute_us) {
        Some((at_us, placed)) => (Some(at_us), Some(placed)),
        None => (Some(minute_us), None),
    }
}

fn item(
    metric: &str,
    at_us: Option<WallUs>,
    value: f64,
    unit: &'static str,
    level: Option<Placed<'_>>,
) -> EvidenceItem {
    EvidenceItem { metric: metric.into(), at_us, value, unit, level: level.map(|level| level.name()) }
}
