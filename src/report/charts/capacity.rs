//! What each level used of the capacity that is paid for.

use crate::evidence::model::{Evidence, LevelEvidence, TestEvidence};
use crate::platform::limits;

/// Share of a capacity.
#[derive(Clone, Debug, PartialEq)]
pub struct Used {
    pub used: f64,
    pub paid: f64,
    /// Of both.
    pub unit: &'static str,
}

impl Used {
    pub fn percent(&self) -> f64 {
        self.used / self.paid * 100.0
    }
}

/// Why a share is not known.
pub type Share = Result<Used, &'static str>;

/// The shares of one level, in the order of [`CAPACITIES`].
#[derive(Clone, Debug, PartialEq)]
pub struct LevelUse {
    pub name: String,
    pub shares: [Share; 5],
}

/// What is paid for, in two words each.
pub const CAPACITIES: [[&str; 2]; 5] = [
    ["write", "records"],
    ["write", "bytes"],
    ["read", "bytes"],
    ["function", "lanes"],
    ["function", "memory"],
];

const ON_DEMAND: &str = "an on-demand stream has no shards to pay for";
const RESHARDED: &str = "the number of shards changed during the test";
const NO_BYTES: &str = "what the records weighed is not known";
const NO_MINUTE: &str = "CloudWatch gave no whole minute inside the level";
const NO_RECEIPTS: &str = "not measured without receipts";
const GET_RECORDS_BYTES: &str = "kinesis.GetRecords.Bytes.Sum";

/// Of every level that ran.
pub(super) fn of(evidence: &Evidence, test: &TestEvidence) -> Vec<LevelUse> {
    let levels = test.levels.iter().filter(|level| level.sent > 0);
    levels.filter_map(|level| Some(level_use(evidence, test, level, window_ms(level)?))).collect()
}

/// From when to when a level ran, ms since the epoch.
fn window_ms(level: &LevelEvidence) -> Option<(i64, i64)> {
    let from_ms = level.started_us? / 1_000;
    // One that was cut off says how long it lasted by its rate.
    let cut_off = !level.finished && level.achieved_rps > 0.0;
    let lasted_s = if cut_off { level.acked as f64 / level.achieved_rps } else { level.planned_s };
    (lasted_s > 0.0).then_some((from_ms, from_ms + (lasted_s * 1_000.0) as i64))
}

fn level_use(
    evidence: &Evidence,
    test: &TestEvidence,
    level: &LevelEvidence,
    (from_ms, to_ms): (i64, i64),
) -> LevelUse {
    let lasted_s = (to_ms - from_ms) as f64 / 1_000.0;
    let shards = shards(evidence, test);
    let of_shards = |used: Result<f64, &'static str>, each: u64, unit| {
        let paid = shards? * each as f64;
        Ok(Used { used: used?, paid, unit })
    };
    let bytes_per_s = level.put.map(|put| put.bytes as f64 / lasted_s).filter(|bytes| *bytes > 0.0);
    let read = bytes_read_per_s(evidence, from_ms, to_ms).ok_or(NO_MINUTE);
    let busy = busy_lanes(evidence, from_ms, to_ms).ok_or(NO_RECEIPTS);
    let memory_mb = level.memory_used_mb_max.filter(|_| evidence.environment.memory_mb > 0);
    LevelUse {
        name: level.name.clone(),
        shares: [
            of_shards(Ok(level.achieved_rps), limits::SHARD_WRITE_RECORDS_PER_S, "records/s"),
            of_shards(bytes_per_s.ok_or(NO_BYTES), limits::SHARD_WRITE_BYTES_PER_S, "bytes/s"),
            of_shards(read, limits::SHARD_READ_BYTES_PER_S, "bytes/s"),
            lanes(evidence, test).and_then(|paid| Ok(Used { used: busy?, paid, unit: "at once" })),
            memory_mb.map_or(Err(NO_RECEIPTS), |used_mb| {
                let paid = f64::from(evidence.environment.memory_mb);
                Ok(Used { used: f64::from(used_mb), paid, unit: "MB" })
            }),
        ],
    }
}

fn shards(evidence: &Evidence, test: &TestEvidence) -> Result<f64, &'static str> {
    let environment = &evidence.environment;
    let resharded = |action: &crate::evidence::actions::ActionEvidence| {
        action.kind == "reshard" && action.refused.is_none()
    };
    if environment.stream_mode == "on-demand" {
        Err(ON_DEMAND)
    } else if test.actions.iter().any(resharded) {
        Err(RESHARDED)
    } else {
        Ok(f64::from(environment.shards.max(1)))
    }
}

/// How many invocations the mapping may run at once: shards x parallelization, or the function's limit where that is less.
pub(super) fn lanes(evidence: &Evidence, test: &TestEvidence) -> Result<f64, &'static str> {
    let environment = &evidence.environment;
    let lanes = shards(evidence, test)? * f64::from(environment.parallelization.max(1));
    Ok(environment.concurrency_limit.map_or(lanes, |limit| lanes.min(f64::from(limit.max(1)))))
}

/// Mean number of invocations that ran at once, over the whole seconds of a time.
fn busy_lanes(evidence: &Evidence, from_ms: i64, to_ms: i64) -> Option<f64> {
    let first_ms = from_ms + (-from_ms).rem_euclid(1_000);
    let last_ms = to_ms - to_ms.rem_euclid(1_000);
    let inside = evidence.function_seconds.iter().filter(|row| row.at_ms >= first_ms && row.at_ms < last_ms);
    let busy_ms: f64 = inside.map(|row| row.busy_ms).sum();
    (evidence.delivery.measured && last_ms > first_ms).then(|| busy_ms / (last_ms - first_ms) as f64)
}

/// Over the whole periods of CloudWatch inside a time: by every reader of the stream together.
fn bytes_read_per_s(evidence: &Evidence, from_ms: i64, to_ms: i64) -> Option<f64> {
    let series = evidence.cloudwatch.series.get(GET_RECORDS_BYTES)?;
    let period_ms = i64::from(series.period_s.max(1)) * 1_000;
    let inside: Vec<f64> = series
        .points
        .iter()
        .filter(|(at_ms, _)| *at_ms >= from_ms && at_ms + period_ms <= to_ms)
        .map(|(_, bytes)| *bytes)
        .collect();
    let lasted_s = (inside.len() as i64 * period_ms) as f64 / 1_000.0;
    (!inside.is_empty()).then(|| inside.iter().sum::<f64>() / lasted_s)
}
