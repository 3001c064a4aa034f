//! What the function and its event source mapping give way with.

use rust_decimal::Decimal;

use crate::cost::{self, PriceBook};
use crate::evidence::model::{Evidence, TestEvidence};
use crate::plan::StageKind;
use crate::platform::clock::WallUs;
use crate::platform::limits;

use super::super::measure::key;
use super::{
    Change, EvidenceItem, Finding, Limit, Placed, cloudwatch_max, cloudwatch_sum, count, first_point,
    kinesis, level_at, levels, shown,
};

/// Iterator age must rise by this much over a level to count as falling behind: a pipeline that keeps up
/// goes up and down by a poll's second.
const AGE_RISE_MS: f64 = 2_000.0;
/// Seconds with a receipt that a level must have for its iterator age to have a course.
const SECONDS_MIN: usize = 6;
/// Lanes busy for at least this part of the time are the limit.
const LANES_BUSY: f64 = 0.8;
/// Part of the timeout from which on the duration is a finding (the alarm's default too).
const NEAR_TIMEOUT: f64 = 0.8;
/// Part of the memory from which on it is a finding, and the part that the change aims at.
const MEMORY_HIGH: f64 = 0.9;
const MEMORY_AIM: f64 = 0.7;

/// How iterator age moved over one level, from the receipts.
struct Rise {
    first_ms: f64,
    last_ms: f64,
    at_us: WallUs,
    processed_rps: f64,
    invocations_per_s: f64,
}

/// Iterator age at the start and the end of a level: medians of the first and last fifth of its seconds.
fn rise(evidence: &Evidence, placed: Placed<'_>) -> Option<Rise> {
    let from_ms = placed.level.started_us? / 1_000;
    let to_ms = from_ms + (placed.level.planned_s * 1_000.0) as i64;
    let seconds: Vec<_> =
        evidence.receipt_seconds.iter().filter(|row| row.at_ms >= from_ms && row.at_ms < to_ms).collect();
    if seconds.len() < SECONDS_MIN {
        return None;
    }
    let fifth = (seconds.len() / 5).max(1);
    let ages = |part: &[&crate::evidence::model::ReceiptSecond]| {
        let mut ages: Vec<f64> = part.iter().map(|row| row.iterator_age_max_ms).collect();
        ages.sort_by(f64::total_cmp);
        ages[ages.len() / 2]
    };
    let first_ms = ages(&seconds[..fifth]);
    let last_ms = ages(&seconds[seconds.len() - fifth..]);
    let began = seconds.iter().find(|row| row.iterator_age_max_ms > first_ms + AGE_RISE_MS / 2.0)?;
    // While it falls behind, what is delivered a second is all that the function can carry.
    let late = &seconds[seconds.len() / 2..];
    // Seconds without a receipt have no row, so the time is taken from the rows: each covers its second.
    let late_s = (late[late.len() - 1].at_ms + 1_000 - late[0].at_ms) as f64 / 1_000.0;
    Some(Rise {
        first_ms,
        last_ms,
        at_us: began.at_ms * 1_000,
        processed_rps: late.iter().map(|row| row.records).sum::<u64>() as f64 / late_s,
        invocations_per_s: late.iter().map(|row| row.invocations).sum::<u64>() as f64 / late_s,
    })
}

/// Iterator age that grows across a level: records arrive faster than the function takes them.
pub(super) fn falling_behind(evidence: &Evidence, book: &PriceBook) -> Option<Finding> {
    let (placed, rise) = levels(evidence)
        .filter_map(|placed| Some((placed, rise(evidence, placed)?)))
        .find(|(_, rise)| rise.last_ms - rise.first_ms >= AGE_RISE_MS)?;
    let environment = &evidence.environment;
    let lanes = environment.shards.max(1) * environment.parallelization.max(1);
    let seconds = placed.level.planned_s.max(1.0);
    let invocations_per_s = rise.invocations_per_s;
    let duration_ms = mean_duration_ms(evidence, placed);
    let busy = duration_ms.map(|duration_ms| invocations_per_s * duration_ms / 1_000.0 / f64::from(lanes));
    // Behind is behind, whoever was too slow to send: but a void level was not asked what its plan says.
    let void = placed.level.void.is_some();
    let rate = if void { placed.level.achieved_rps } else { placed.rate_at(rise.at_us) };
    let age = |what: &str, at_us, value| EvidenceItem {
        metric: format!("iterator age, {what} of the level"),
        at_us,
        value,
        unit: "ms",
        level: Some(placed.name()),
    };
    let level_end_us = placed.level.started_us.map(|start_us| start_us + (seconds * 1e6) as i64);
    let mut items =
        vec![age("start", placed.level.started_us, rise.first_ms), age("end", level_end_us, rise.last_ms)];
    items.extend(busy.map(|busy| EvidenceItem {
        metric: "lanes busy".into(),
        at_us: Some(rise.at_us),
        value: busy * 100.0,
        unit: "%",
        level: Some(placed.name()),
    }));
    let saturated = busy.is_some_and(|busy| busy >= LANES_BUSY);
    let ramp = placed.level.kind == StageKind::Ramp;
    let wanted_rps = if ramp && !void { placed.peak_rps() } else { rate };
    let change = if saturated { more_lanes(evidence, wanted_rps, rise.processed_rps, lanes) } else { None };
    let grew = format!(
        "Iterator age grew from {} to {} ms on {}: the function took {} records/s of {} that were {}.",
        shown(rise.first_ms),
        shown(rise.last_ms),
        placed.name(),
        shown(rise.processed_rps),
        shown(wanted_rps),
        if void { "acked (the level is void)" } else { "asked for" },
    );
    Some(Finding {
        limit: Limit::LambdaFallingBehind,
        from_rps: Some(rate),
        at_us: Some(rise.at_us),
        evidence: items,
        change,
        monthly_cost_of_change: change.and_then(|change| kinesis::monthly_cost(change, book)),
        explanation: format!(
            "{grew} {}",
            cause(evidence, placed, lanes, invocations_per_s, duration_ms, busy)
        ),
    })
}

/// Mean duration of an invocation: CloudWatch for the level, else for the test, else what was billed.
fn mean_duration_ms(evidence: &Evidence, placed: Placed<'_>) -> Option<f64> {
    let of_level =
        placed.level.cloudwatch.get(key::LAMBDA_DURATION_AVG).and_then(|value| value.as_ref().ok());
    let of_test = placed.test.cloudwatch.get(key::LAMBDA_DURATION_AVG);
    of_level.or(of_test).copied().or_else(|| {
        let usage = &evidence.usage;
        (usage.invocations > 0).then(|| usage.billed_ms as f64 / usage.invocations as f64)
    })
}

/// As many lanes as the wanted rate needs at the speed that one lane showed: first by parallelization,
/// which costs nothing, beyond ten a shard by shards.
fn more_lanes(evidence: &Evidence, wanted_rps: f64, processed_rps: f64, lanes: u32) -> Option<Change> {
    if processed_rps <= 0.0 {
        return None;
    }
    let environment = &evidence.environment;
    let needed = (f64::from(lanes) * wanted_rps / processed_rps).ceil() as u32;
    let needed = needed.max(lanes + 1);
    let (shards, from) = (environment.shards.max(1), environment.parallelization.max(1));
    let to = needed.div_ceil(shards).max(from + 1);
    if to <= *limits::MAPPING_PARALLELIZATION.end() {
        return Some(Change::Parallelization { from, to });
    }
    Some(Change::Shards { from: shards, to: needed.div_ceil(from).max(shards + 1) })
}

fn cause(
    evidence: &Evidence,
    placed: Placed<'_>,
    lanes: u32,
    invocations_per_s: f64,
    duration_ms: Option<f64>,
    busy: Option<f64>,
) -> String {
    let environment = &evidence.environment;
    let (Some(duration_ms), Some(busy)) = (duration_ms, busy) else {
        return "Its duration is not known, so the numbers do not tell why.".to_owned();
    };
    let lanes_text = format!(
        "{} x parallelization {} give {}; {invocations_per_s:.1} invocations/s of {duration_ms:.0} ms keep that busy \
         {:.0} % of the time",
        count(environment.shards, "shard"),
        environment.parallelization,
        count(lanes, "lane"),
        busy * 100.0
    );
    if busy >= LANES_BUSY {
        let full = placed
            .level
            .records_per_invocation
            .is_some_and(|each| each >= f64::from(environment.batch_size) * 0.9);
        let batches = if full {
            format!(
                " Batches are full ({} records), so a larger batch size may help too.",
                environment.batch_size
            )
        } else {
            String::new()
        };
        return format!("{lanes_text}: more concurrency is what moves it.{batches}");
    }
    let sum = |key: &str| placed.test.cloudwatch.get(key).copied().unwrap_or(0.0);
    if sum(key::LAMBDA_ERRORS) > 0.0 {
        return format!(
            "{lanes_text}, but {:.0} invocations failed, and a failed batch holds its shard until it succeeds or \
             expires.",
            sum(key::LAMBDA_ERRORS)
        );
    }
    if sum(key::LAMBDA_THROTTLES) > 0.0 {
        return format!("{lanes_text}, but {:.0} invocations were throttled.", sum(key::LAMBDA_THROTTLES));
    }
    format!("{lanes_text}, so the waiting is before the function: polling, the batch window or reads.")
}

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

fn when<'a>(
    evidence: &'a Evidence,
    key: &str,
    is: impl Fn(f64) -> bool,
) -> (Option<WallUs>, Option<Placed<'a>>) {
    let at_us = first_point(evidence, key, is).map(|(at_us, _)| at_us);
    (at_us, at_us.and_then(|at_us| level_at(evidence, at_us)))
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
