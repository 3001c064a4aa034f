//! Shard-level metrics, which a stream has when they are asked for. Kinesis developer guide, "Enhanced
//! shard-level metrics".

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::layout::ShardSlot;
use super::meter::Meter;
use super::settings::{StreamRef, active};
use super::shard::Page;
use super::stream::Stream;
use super::validate::{self, constraint, required};
use crate::local::service::{ApiError, ApiResult};

/// Bit n of a stream's setting is the n-th of these. Kinesis API reference, EnableEnhancedMonitoring.
const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
];
const ALL: u8 = 0x7F;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MonitoringInput {
    shard_level_metrics: Option<Vec<String>>,
}

pub fn change(kinesis: &Kinesis, input: Value, enable: bool) -> ApiResult {
    let stream = StreamRef::of(input.clone())?.find(kinesis)?;
    let asked = validate::input::<MonitoringInput>(input)?.shard_level_metrics;
    let asked = bits(&required(asked, "shardLevelMetrics")?)?;
    active(kinesis, &stream)?;
    let before = if enable {
        stream.shard_metrics.fetch_or(asked, Ordering::Relaxed)
    } else {
        stream.shard_metrics.fetch_and(!asked, Ordering::Relaxed)
    };
    let after = if enable { before | asked } else { before & !asked };
    Ok(json!({
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "CurrentShardLevelMetrics": named(before),
        "DesiredShardLevelMetrics": named(after),
    }))
}

fn bits(names: &[String]) -> Result<u8, ApiError> {
    let shown = || format!("'[{}]'", names.join(", "));
    let refuse = |rule: &str| Err(constraint(&shown(), "shardLevelMetrics", rule));
    if names.is_empty() {
        return refuse("Member must have length greater than or equal to 1");
    }
    if names.len() > METRICS.len() {
        return refuse("Member must have length less than or equal to 7");
    }
    let mut bits = 0;
    for name in names {
        bits |= match METRICS.iter().position(|metric| metric == name) {
            Some(bit) => 1 << bit,
            None if name == "ALL" => ALL,
            None => {
                return refuse(&format!(
                    "Member must satisfy constraint: [Member must satisfy enum value set: [{}, ALL]]",
                    METRICS.join(", ")
                ));
            }
        };
    }
    Ok(bits)
}

/// The shard-level metrics that a stream has.
pub fn names(stream: &Stream) -> Vec<&'static str> {
    named(stream.shard_metrics.load(Ordering::Relaxed))
}

fn named(bits: u8) -> Vec<&'static str> {
    METRICS.iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0).map(|(_, name)| *name).collect()
}

/// What one write did to each shard that it touched; nothing while the stream has no such metrics.
pub struct ShardTally<'a> {
    bits: u8,
    shards: BTreeMap<u32, (&'a ShardSlot, Written)>,
}

#[derive(Default)]
struct Written {
    records: u64,
    bytes: u64,
    refused: u64,
}

impl<'a> ShardTally<'a> {
    pub fn new(stream: &Stream) -> ShardTally<'a> {
        ShardTally { bits: stream.shard_metrics.load(Ordering::Relaxed), shards: BTreeMap::new() }
    }

    /// A record of so many bytes was written; or one was refused.
    pub fn add(&mut self, slot: &'a ShardSlot, written_bytes: Option<u64>) {
        if self.bits == 0 {
            return;
        }
        let (_, written) = self.shards.entry(slot.index).or_insert_with(|| (slot, Written::default()));
        match written_bytes {
            Some(bytes) => {
                written.records += 1;
                written.bytes += bytes;
            }
            None => written.refused += 1,
        }
    }

    pub fn record(&self, meter: &Meter<'_>) {
        for (slot, written) in self.shards.values() {
            sample(self.bits, meter, slot, "IncomingBytes", "Bytes", written.bytes as f64);
            sample(self.bits, meter, slot, "IncomingRecords", "Count", written.records as f64);
            let refused = written.refused as f64;
            sample(self.bits, meter, slot, "WriteProvisionedThroughputExceeded", "Count", refused);
        }
    }
}

/// The shard-level metrics of one read: its page and number of records, or none when it was refused.
pub fn meter_read(stream: &Stream, slot: &ShardSlot, meter: &Meter<'_>, read: Option<(&Page, u64)>) {
    let bits = stream.shard_metrics.load(Ordering::Relaxed);
    if bits == 0 {
        return;
    }
    let refused = f64::from(u8::from(read.is_none()));
    sample(bits, meter, slot, "ReadProvisionedThroughputExceeded", "Count", refused);
    if let Some((page, records)) = read {
        sample(bits, meter, slot, "OutgoingBytes", "Bytes", page.bytes as f64);
        sample(bits, meter, slot, "OutgoingRecords", "Count", records as f64);
        sample(bits, meter, slot, "IteratorAgeMilliseconds", "Milliseconds", page.behind_ms as f64);
    }
}

fn sample(bits: u8, meter: &Meter<'_>, slot: &ShardSlot, metric: &'static str, unit: &str, value: f64) {
    let bit = METRICS.iter().position(|known| *known == metric);
    if bit.is_some_and(|bit| bits & 1 << bit != 0) {
        meter.shard(&slot.id, metric, unit, value);
    }
}
