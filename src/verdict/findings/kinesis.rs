//! What the stream refuses: on the write side, and on the read side.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::cost::{PriceBook, monthly_cost_of_shards};
use crate::evidence::model::Evidence;
use crate::plan::PARTITION_KEY_BYTES;
use crate::platform::clock::WallUs;
use crate::platform::limits;

use super::super::measure::key;
use super::{
    Change, EvidenceItem, Finding, Limit, MINUTE_US, Placed, cloudwatch_sum, count, first_point,
    first_second, level_in_minute, levels, shards, shown,
};

/// Refusals at or above this part of the capacity are explained by it: refusals begin a little below
/// the limit, because arrivals are not perfectly even within a second.
const NEAR_CAPACITY: f64 = 0.9;

/// What the shards take in, records/s, for records of one size; a partition key counts with its record.
struct Capacity {
    by_records_rps: f64,
    by_bytes_rps: f64,
    /// Part of the load that the busiest shard plausibly gets.
    busiest_share: f64,
    shards: f64,
}

impl Capacity {
    fn new(shards: u32, bytes: usize, keys: u32) -> Capacity {
        let shards = f64::from(shards.max(1));
        Capacity {
            by_records_rps: limits::SHARD_WRITE_RECORDS_PER_S as f64 * shards,
            by_bytes_rps: limits::SHARD_WRITE_BYTES_PER_S as f64 * shards
                / (bytes + PARTITION_KEY_BYTES) as f64,
            busiest_share: busiest_share(shards, f64::from(keys.max(1))),
            shards,
        }
    }

    /// Where every shard gets the same.
    fn even_rps(&self) -> f64 {
        self.by_records_rps.min(self.by_bytes_rps)
    }

    /// Where the busiest shard is full.
    fn hot_rps(&self) -> f64 {
        self.even_rps() / (self.busiest_share * self.shards)
    }

    fn limit(&self, rate: f64) -> Limit {
        if rate < self.even_rps() * NEAR_CAPACITY {
            let hot = self.shards > 1.0 && rate >= self.hot_rps() * NEAR_CAPACITY;
            return if hot { Limit::HotShard } else { Limit::KinesisWrite };
        }
        if self.by_bytes_rps < self.by_records_rps {
            Limit::KinesisWriteBytes
        } else {
            Limit::KinesisWriteRecords
        }
    }
}

/// Largest share that the busiest of `shards` plausibly gets when `keys` equally busy keys fall on them at
/// random: the mean and three standard deviations of a share.
fn busiest_share(shards: f64, keys: f64) -> f64 {
    let mean = 1.0 / shards;
    let deviation = (mean * (1.0 - mean) / keys).sqrt();
    (mean + 3.0 * deviation).min(1.0)
}

/// Refusals of puts: which limit, from which rate, and how many shards the plan's highest rate needs.
pub(super) fn write(evidence: &Evidence, book: &PriceBook) -> Option<Finding> {
    let refused: u64 = levels(evidence).map(|placed| placed.level.throttled).sum();
    let exceeded = cloudwatch_sum(evidence, key::WRITE_EXCEEDED).filter(|sum| *sum > 0.0);
    if refused == 0 && exceeded.is_none() {
        return None;
    }
    let (at_us, placed) = first_refusal(evidence)?;
    let rate = placed.rate_at(at_us);
    let environment = &evidence.environment;
    let mut items = vec![EvidenceItem {
        metric: "refusals that the client saw, first level".into(),
        at_us: Some(at_us),
        value: placed.level.throttled as f64,
        unit: "refusals",
        level: Some(placed.name()),
    }];
    items.extend(exceeded.map(|sum| EvidenceItem {
        metric: key::WRITE_EXCEEDED.into(),
        at_us: first_point(evidence, key::WRITE_EXCEEDED, |value| value > 0.0).map(|(at_us, _)| at_us),
        value: sum,
        unit: "records",
        level: None,
    }));
    let worst = levels(evidence).max_by_key(|placed| placed.level.failed).filter(|p| p.level.failed > 0);
    items.extend(worst.map(|worst| EvidenceItem {
        metric: "records that failed for good, worst level".into(),
        at_us: worst.level.started_us,
        value: worst.level.failed as f64,
        unit: "records",
        level: Some(worst.name()),
    }));
    let began = format!(
        "Refusals began at {} records/s of {} bytes ({}).",
        shown(rate),
        bytes_of(placed),
        placed.name()
    );
    if environment.stream_mode == "on-demand" {
        return Some(Finding {
            limit: Limit::KinesisWrite,
            from_rps: Some(rate),
            at_us: Some(at_us),
            evidence: items,
            change: None,
            monthly_cost_of_change: None,
            explanation: format!(
                "{began} The stream is on-demand: a new one takes 4 MB/s and 4,000 records/s, and at most twice \
                 its peak of the last 30 days. It grows with the load; a slower ramp, or loading it up before the \
                 test, moves this."
            ),
        });
    }
    let keys = evidence.plan.tests().nth(placed.test.plan_index).map_or(u32::MAX, |test| test.keys.count);
    let capacity = Capacity::new(environment.shards, bytes_of(placed), keys);
    // Where the receipts tell how the load fell on the shards, that decides, and not what the keys should have done.
    let skew = shards::skew(evidence, placed);
    items.extend(skew.as_ref().map(|skew| skew.evidence_item(placed)));
    let limit = if skew.is_some() { Limit::HotShard } else { capacity.limit(rate) };
    let change = match &skew {
        Some(_) => Some(shards::better_keys(evidence, placed)),
        None => change_for(evidence, limit, keys),
    };
    let why = match &skew {
        Some(skew) => hot_shard(&capacity, skew),
        None => why(evidence, limit, &capacity, keys),
    };
    Some(Finding {
        limit,
        from_rps: Some(rate),
        at_us: Some(at_us),
        evidence: items,
        change,
        monthly_cost_of_change: change.and_then(|change| monthly_cost(change, book)),
        explanation: format!("{began} {why}"),
    })
}

/// The first second with a refusal; without per-second rows the first level with one, or CloudWatch's
/// first minute.
fn first_refusal(evidence: &Evidence) -> Option<(WallUs, Placed<'_>)> {
    first_second(evidence, |row| row.throttled > 0)
        .or_else(|| {
            let placed = levels(evidence).find(|placed| placed.level.throttled > 0)?;
            Some((placed.level.started_us?, placed))
        })
        .or_else(|| {
            let (minute_us, _) = first_point(evidence, key::WRITE_EXCEEDED, |value| value > 0.0)?;
            level_in_minute(evidence, minute_us)
        })
}

fn bytes_of(placed: Placed<'_>) -> usize {
    placed.test.payload.bytes
}

/// Shards that the plan's highest rate needs, over all tests, with the rate and size that need them.
fn shards_needed(evidence: &Evidence) -> (u32, f64, usize) {
    let needs = evidence.plan.tests().map(|test| {
        let (peak_rps, bytes) = (test.peak_rps(), test.payload.bytes);
        let by_records = peak_rps / limits::SHARD_WRITE_RECORDS_PER_S as f64;
        let with_key = (bytes + PARTITION_KEY_BYTES) as f64;
        let by_bytes = peak_rps * with_key / limits::SHARD_WRITE_BYTES_PER_S as f64;
        (by_records.max(by_bytes).ceil().max(1.0) as u32, peak_rps, bytes)
    });
    needs.max_by_key(|(shards, ..)| *shards).unwrap_or((1, 0.0, 0))
}

fn change_for(evidence: &Evidence, limit: Limit, keys: u32) -> Option<Change> {
    let from = evidence.environment.shards.max(1);
    match limit {
        Limit::KinesisWriteRecords | Limit::KinesisWriteBytes => {
            let (needed, ..) = shards_needed(evidence);
            Some(Change::Shards { from, to: needed.max(from + 1) })
        }
        // With a hundred keys a shard the busiest gets at most about a third more than the mean; below that
        // more keys even it out, above it only more shards help.
        Limit::HotShard if keys < from.saturating_mul(100) => {
            Some(Change::PartitionKeys { from: keys, to: from.saturating_mul(100) })
        }
        Limit::HotShard => {
            let (needed, ..) = shards_needed(evidence);
            Some(Change::Shards { from, to: needed.max(from + 1) })
        }
        _ => None,
    }
}

fn hot_shard(capacity: &Capacity, skew: &shards::Skew) -> String {
    format!(
        "{} take in {} records/s of that size where keys spread evenly, but {}: each shard has its own limit, and a \
         record's key decides on the shard. More shards would not take load off it.",
        count(skew.shards, "shard"),
        shown(capacity.even_rps().floor()),
        skew.text()
    )
}

fn why(evidence: &Evidence, limit: Limit, capacity: &Capacity, keys: u32) -> String {
    let shards = evidence.environment.shards.max(1);
    let (needed, peak_rps, bytes) = shards_needed(evidence);
    let takes = format!(
        "{} {} in {} records/s by number (1,000 a shard) and {} by bytes (1 MiB/s a shard, each key's {} \
         bytes counted in)",
        count(shards, "shard"),
        if shards == 1 { "takes" } else { "take" },
        shown(capacity.by_records_rps),
        shown(capacity.by_bytes_rps.floor()),
        PARTITION_KEY_BYTES,
    );
    match limit {
        Limit::KinesisWriteRecords | Limit::KinesisWriteBytes => {
            let which = if limit == Limit::KinesisWriteBytes { "the byte limit" } else { "the record limit" };
            let to = needed.max(shards + 1);
            let left = headroom(to, peak_rps, bytes);
            let room = if left < 1.0 {
                let more = headroom(to + 1, peak_rps, bytes);
                format!("{} leave no headroom there, {} would leave {more:.0} %", count(to, "shard"), to + 1)
            } else {
                format!("{} leave {left:.0} % headroom there", count(to, "shard"))
            };
            format!(
                "{takes}; {which} comes first. The plan's highest rate, {} records/s of {bytes} bytes, needs {}; {room}.",
                shown(peak_rps),
                count(needed, "shard"),
            )
        }
        Limit::HotShard => format!(
            "{takes}, more than was asked for, but {keys} partition keys fall unevenly: the busiest shard \
             may get up to {:.0} % of the load instead of {:.0} %, and is then full at {} records/s.",
            capacity.busiest_share * 100.0,
            100.0 / capacity.shards,
            shown(capacity.hot_rps().floor()),
        ),
        _ => format!(
            "{takes}, more than was asked for. Capacity does not explain it: look for bursts shorter than a \
             second, another producer on the stream, or an injected fault."
        ),
    }
}

/// Part of the capacity of `shards` that a rate leaves free, percent.
fn headroom(shards: u32, rate: f64, bytes: usize) -> f64 {
    let capacity = Capacity::new(shards, bytes, u32::MAX).even_rps();
    ((capacity - rate) / capacity * 100.0).max(0.0)
}

/// USD a month that a change of shards adds; partition keys cost nothing.
pub(super) fn monthly_cost(change: Change, book: &PriceBook) -> Option<Decimal> {
    match change {
        Change::Shards { from, to } => {
            Some(monthly_cost_of_shards(to, book)? - monthly_cost_of_shards(from, book)?)
        }
        _ => Some(Decimal::ZERO),
    }
}

/// Puts that failed for another reason than throughput.
pub(super) fn errors(evidence: &Evidence) -> Option<Finding> {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for placed in levels(evidence) {
        for (reason, count) in
            placed.level.failed_by_reason.iter().filter(|(reason, _)| *reason != "throttled")
        {
            *reasons.entry(reason).or_default() += count;
        }
    }
    reasons.retain(|_, count| *count > 0);
    let failed: u64 = reasons.values().sum();
    if failed == 0 {
        return None;
    }
    let other = |placed: &Placed<'_>| {
        placed.level.failed_by_reason.iter().any(|(reason, count)| reason != "throttled" && *count > 0)
    };
    let first_level = levels(evidence).find(other)?;
    let index = first_level.level.index;
    let at_us = first_second(evidence, |row| row.level == index && row.failed > 0)
        .map(|(at_us, _)| at_us)
        .or(first_level.level.started_us);
    let listed: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    Some(Finding {
        limit: Limit::PutErrors,
        from_rps: at_us.map(|at_us| first_level.rate_at(at_us)),
        at_us,
        evidence: reasons
            .iter()
            .map(|(reason, count)| EvidenceItem {
                metric: format!("failed: {reason}"),
                at_us,
                value: *count as f64,
                unit: "records",
                level: Some(first_level.name()),
            })
            .collect(),
        change: None,
        monthly_cost_of_change: None,
        explanation: format!(
            "{failed} records failed for another reason than throughput ({}), first on {}. The event log names \
             the error.",
            listed.join(", "),
            first_level.name()
        ),
    })
}

/// Minutes in which reads were refused. The tool reads the stream, too, for missing records and dead letters, once
/// a test's load is over: minutes that last longer than a load are then not counted.
fn refused_reads(evidence: &Evidence) -> Vec<(WallUs, f64)> {
    let ends_us =
        |placed: &Placed<'_>| placed.level.started_us.map(|us| us + (placed.level.planned_s * 1e6) as i64);
    let loads: Vec<(WallUs, WallUs)> = evidence
        .tests
        .iter()
        .filter_map(|test| {
            let of_test = |level| Placed { test, level };
            let ends = test.levels.iter().map(of_test).filter_map(|placed| ends_us(&placed)).max()?;
            Some((test.levels.iter().filter_map(|level| level.started_us).min()?, ends))
        })
        .collect();
    let series = evidence.cloudwatch.series.get(key::READ_EXCEEDED);
    let points = series.map_or(&[][..], |series| &series.points);
    let minutes =
        points.iter().map(|(at_ms, value)| (at_ms * 1_000, *value)).filter(|(_, value)| *value > 0.0);
    let under_load = |at_us: WallUs| {
        loads.iter().any(|(from_us, to_us)| {
            let whole = at_us + MINUTE_US <= *to_us;
            at_us + MINUTE_US > *from_us && (whole || (!evidence.re_read && at_us <= *to_us + MINUTE_US))
        })
    };
    minutes.filter(|(at_us, _)| under_load(*at_us)).collect()
}

/// Reads that the stream refused: 2 MB/s and 5 calls/s a shard, shared by all readers.
pub(super) fn read(evidence: &Evidence, book: &PriceBook) -> Option<Finding> {
    let points = refused_reads(evidence);
    let exceeded: f64 = points.iter().map(|(_, calls)| calls).sum();
    let (minute_us, _) = *points.first()?;
    let (at_us, placed) = match level_in_minute(evidence, minute_us) {
        Some((at_us, placed)) => (Some(at_us), Some(placed)),
        None => (Some(minute_us), None),
    };
    let from_rps = placed.zip(at_us).map(|(placed, at_us)| placed.rate_at(at_us));
    let shards = evidence.environment.shards.max(1);
    let bytes_per_s = placed.zip(from_rps).map_or(0.0, |(placed, rate)| rate * bytes_of(placed) as f64);
    let by_bytes = bytes_per_s > limits::SHARD_READ_BYTES_PER_S as f64 * f64::from(shards) * NEAR_CAPACITY;
    let change = by_bytes.then_some(Change::Shards { from: shards, to: shards + 1 });
    Some(Finding {
        limit: Limit::KinesisRead,
        from_rps,
        at_us,
        evidence: vec![EvidenceItem {
            metric: key::READ_EXCEEDED.into(),
            at_us,
            value: exceeded,
            unit: "calls",
            level: placed.map(|placed| placed.name()),
        }],
        change,
        monthly_cost_of_change: change.and_then(|change| monthly_cost(change, book)),
        explanation: if by_bytes {
            format!(
                "{exceeded:.0} reads were refused; {bytes_per_s:.0} bytes/s are near the 2 MiB/s that a shard gives out."
            )
        } else {
            format!(
                "{exceeded:.0} reads were refused though the bytes are far below the 2 MiB/s that a shard gives \
                 out: more than 5 reads a second on a shard, so another reader shares the stream."
            )
        },
    })
}
