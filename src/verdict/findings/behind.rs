//! Iterator age that grows: records arrive faster than the event source mapping and the function take them.

use rust_decimal::Decimal;

use crate::cost::PriceBook;
use crate::evidence::model::Evidence;
use crate::plan::StageKind;
use crate::platform::clock::WallUs;
use crate::platform::limits;

use super::super::measure::key;
use super::super::recovery::LANES_BUSY;
use super::{Change, EvidenceItem, Finding, Limit, Placed, count, kinesis, levels, shards, shown};

/// Iterator age must rise by this much over a level to count as falling behind: a pipeline that keeps up
/// goes up and down by a poll's second.
const AGE_RISE_MS: f64 = 2_000.0;
/// Seconds with a receipt that a level must have for its iterator age to have a course.
const SECONDS_MIN: usize = 6;
/// Part of the function's time from which on it is the sink that limits.
const SINK_PART: f64 = 0.5;

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
    let skew = shards::skew(evidence, placed);
    // Each shard has lanes of its own: those of the busiest are full long before all are.
    let hot = skew
        .as_ref()
        .filter(|skew| busy.is_some_and(|busy| busy < LANES_BUSY && busy * skew.factor >= LANES_BUSY));
    if let (Some(skew), Some(busy)) = (hot, busy) {
        items.push(skew.evidence_item(placed));
        return Some(hot_lanes(evidence, placed, &rise, rate, items, skew, busy));
    }
    let saturated = busy.is_some_and(|busy| busy >= LANES_BUSY);
    let sink = sink_part(placed).filter(|part| saturated && *part >= SINK_PART);
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
        limit: if sink.is_some() { Limit::Sink } else { Limit::LambdaFallingBehind },
        from_rps: Some(rate),
        at_us: Some(rise.at_us),
        evidence: items,
        change,
        monthly_cost_of_change: change.and_then(|change| kinesis::monthly_cost(change, book)),
        explanation: format!(
            "{grew} {}{}",
            cause(evidence, placed, lanes, invocations_per_s, duration_ms, busy),
            sink.map_or_else(String::new, |part| format!(
                " The sink takes {:.0} % of the function's time: a faster sink, or larger writes to it, moves it \
                 too, and more lanes load it more.",
                part * 100.0
            ))
        ),
    })
}

/// Part of the function's time on a record that the sink takes.
fn sink_part(placed: Placed<'_>) -> Option<f64> {
    let (sink, function) = (placed.level.stage_sink.as_ref()?, placed.level.stage_function.as_ref()?);
    (function.avg > 0.0).then(|| sink.avg / function.avg)
}

/// The lanes of one shard are full while others idle.
fn hot_lanes(
    evidence: &Evidence,
    placed: Placed<'_>,
    rise: &Rise,
    rate: f64,
    items: Vec<EvidenceItem>,
    skew: &shards::Skew,
    busy: f64,
) -> Finding {
    let change = shards::better_keys(evidence, placed);
    Finding {
        limit: Limit::HotShard,
        from_rps: Some(rate),
        at_us: Some(rise.at_us),
        evidence: items,
        change: Some(change),
        // Keys are free.
        monthly_cost_of_change: Some(Decimal::ZERO),
        explanation: format!(
            "Iterator age grew from {} to {} ms on {} while all lanes together were busy {:.0} % of the time: {}. Its \
             lanes are full and those of the other shards idle; more shards or lanes would stay idle, too.",
            shown(rise.first_ms),
            shown(rise.last_ms),
            placed.name(),
            busy * 100.0,
            skew.text()
        ),
    }
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
    // Lanes that are always busy fall behind at the first hiccup: as many as are busy for `LANES_BUSY` of the time.
    let needed = (f64::from(lanes) * wanted_rps / processed_rps / LANES_BUSY).ceil() as u32;
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
