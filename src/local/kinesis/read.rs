//! GetShardIterator and GetRecords.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::iterator::{EXPIRES_AFTER_US, ShardIterator};
use super::layout::{Layout, ShardSlot, shard_id};
use super::list::hash_key_range;
use super::monitoring::meter_read;
use super::sequence::Sequence;
use super::shard::{Page, Record, Shard};
use super::stream::Stream;
use super::validate::{self, Text, between, constraint, invalid_argument, required};
use super::{Kinesis, dry_run};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::clock::rfc3339;
use crate::platform::limits;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetShardIteratorInput {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    /// Epoch seconds.
    timestamp: Option<f64>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRecordsInput<'a> {
    #[serde(borrow)]
    shard_iterator: Option<Text<'a>>,
    limit: Option<i64>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRecordsOutput {
    records: Vec<RecordOut>,
    /// None at the end of a closed shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<String>,
    millis_behind_latest: i64,
    /// At the end of a closed shard: where its keys went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecordOut {
    #[serde(serialize_with = "decimal")]
    sequence_number: Sequence,
    /// Epoch seconds with milliseconds.
    approximate_arrival_timestamp: f64,
    #[serde(rename = "Data", serialize_with = "base64_data")]
    record: Record,
    partition_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<&'static str>,
}

fn decimal<S: Serializer>(sequence: &Sequence, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(sequence)
}

fn base64_data<S: Serializer>(record: &Record, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(record.data()))
}

pub fn get_shard_iterator(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: GetShardIteratorInput = validate::input(input)?;
    let id = required(input.shard_id.as_deref(), "shardId")?;
    let kind = required(input.shard_iterator_type.as_deref(), "shardIteratorType")?;
    let stream = kinesis.named(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let now_us = kinesis.now_us();
    if !stream.status(now_us).serves() {
        return Err(kinesis.not_found(&stream.name));
    }
    let layout = kinesis.layout(&stream);
    let slot = layout.named(id).ok_or_else(|| no_shard(kinesis, &stream, id))?;
    let mut shard = slot.lock();
    let count = start(kinesis, &stream, slot, &shard, kind, &input)?;
    dry_run(input.dry_run)?;
    shard.take_iterator_call(now_us).map_err(|_| kinesis.rate_exceeded(&stream, &slot.id))?;
    let iterator = ShardIterator {
        stream: stream.name.clone(),
        created_us: stream.created_us,
        shard: shard.index,
        count,
        issued_us: now_us,
    };
    Ok(json!({ "ShardIterator": iterator.encode() }))
}

/// Count of the record that an iterator of this type starts at.
fn start(
    kinesis: &Kinesis,
    stream: &Stream,
    slot: &ShardSlot,
    shard: &Shard,
    kind: &str,
    input: &GetShardIteratorInput,
) -> Result<u64, ApiError> {
    let unmatched = |what: &str| {
        invalid_argument(format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber \
             or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber or (3) AT_TIMESTAMP and Timestamp. \
             Request specified {kind} and {what}."
        ))
    };
    let at_sequence = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
    if input.starting_sequence_number.is_some() && !at_sequence {
        return Err(unmatched("also a StartingSequenceNumber"));
    }
    match kind {
        // Whatever is the oldest when it is used.
        "TRIM_HORIZON" => Ok(0),
        "LATEST" => Ok(shard.next_count()),
        "AT_TIMESTAMP" => {
            let at_s = input.timestamp.ok_or_else(|| {
                invalid_argument(
                    "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request \
                     has no timestamp parameter.",
                )
            })?;
            let now_ms = kinesis.now_us().div_euclid(1_000);
            let at_ms = (at_s * 1_000.0).round() as i64;
            if at_ms > now_ms {
                return Err(invalid_argument(format!(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                     timestampInMillis: {at_ms}, currentTimestampInMillis: {now_ms}"
                )));
            }
            Ok(shard.count_at(at_ms))
        }
        "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" => {
            let text = input
                .starting_sequence_number
                .as_deref()
                .ok_or_else(|| unmatched("no StartingSequenceNumber"))?;
            let sequence = sequence_of(kinesis, stream, slot, shard, text)?;
            Ok(sequence.count + u64::from(kind == "AFTER_SEQUENCE_NUMBER"))
        }
        _ => Err(constraint(
            &format!("'{kind}'"),
            "shardIteratorType",
            "Member must satisfy enum value set: \
             [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
        )),
    }
}

fn sequence_of(
    kinesis: &Kinesis,
    stream: &Stream,
    slot: &ShardSlot,
    shard: &Shard,
    text: &str,
) -> Result<Sequence, ApiError> {
    let wrong = |why: &str| {
        invalid_argument(format!(
            "StartingSequenceNumber {text} used in GetShardIterator on shard {} in stream {} under account {} \
             is invalid{why}",
            slot.id, stream.name, kinesis.ctx.account
        ))
    };
    let sequence = Sequence::parse(text).ok_or_else(|| wrong("."))?;
    if sequence.shard_index != shard.index {
        return Err(invalid_argument(format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {}",
            shard_id(sequence.shard_index),
            slot.id
        )));
    }
    let ending = slot.closed().is_some_and(|closed| closed.ending == sequence);
    if !shard.gave(sequence) || (sequence.count > shard.next_count() && !ending) {
        return Err(wrong(" because it did not come from this stream."));
    }
    Ok(sequence)
}

pub fn get_records(
    kinesis: &Kinesis,
    input: Result<GetRecordsInput<'_>, serde_json::Error>,
) -> Result<GetRecordsOutput, ApiError> {
    let input = input.map_err(validate::serialization)?;
    let began_us = kinesis.now_us();
    let text: &str = required(input.shard_iterator.as_ref(), "shardIterator")?;
    let max = limits::GET_RECORDS_MAX_RECORDS as i64;
    let limit = between(input.limit, max, 1, max, "limit")?;
    let mut iterator =
        ShardIterator::decode(text).ok_or_else(|| invalid_argument("Invalid ShardIterator."))?;
    check_age(&iterator, began_us)?;
    let (stream, index) = (kinesis.find(&iterator.stream)?, iterator.shard);
    let gone = || no_shard(kinesis, &stream, &shard_id(index));
    if !stream.status(began_us).serves()
        || stream.created_us != iterator.created_us
        || input.stream_arn.as_ref().is_some_and(|arn| **arn != *stream.arn)
    {
        return Err(gone());
    }
    let layout = kinesis.layout(&stream);
    let slot = layout.get(index).ok_or_else(gone)?;
    dry_run(input.dry_run)?;
    let (page, records) = read(kinesis, &stream, slot, iterator.count, limit as usize, began_us)?;
    iterator.count = page.next_count;
    iterator.issued_us = began_us;
    let ended = slot.closed().filter(|_| page.at_tip);
    Ok(GetRecordsOutput {
        records,
        next_shard_iterator: ended.is_none().then(|| iterator.encode()),
        millis_behind_latest: page.behind_ms,
        child_shards: ended.map_or_else(Vec::new, |closed| children(&layout, &closed.children)),
    })
}

fn children(layout: &Layout, indexes: &[u32]) -> Vec<Value> {
    let shown = |child: &ShardSlot| {
        json!({
            "ShardId": child.id,
            "ParentShards": child.parents.iter().map(|parent| shard_id(*parent)).collect::<Vec<_>>(),
            "HashKeyRange": hash_key_range(child),
        })
    };
    indexes.iter().filter_map(|index| layout.get(*index)).map(|child| shown(child)).collect()
}

/// Reads a page and records the call's metrics.
fn read(
    kinesis: &Kinesis,
    stream: &Stream,
    slot: &ShardSlot,
    count: u64,
    limit: usize,
    began_us: i64,
) -> Result<(Page, Vec<RecordOut>), ApiError> {
    let (keep_ms, _, encrypted) = stream.record_rules();
    let page = {
        let mut shard = slot.lock();
        shard.trim(began_us, keep_ms, &kinesis.memory);
        shard.read(count, limit, began_us).map(|mut page| {
            let records = std::mem::take(&mut page.records);
            let out = records.into_iter().map(|record| out(&shard, record, encrypted)).collect::<Vec<_>>();
            (page, out)
        })
    };
    let meter = kinesis.meter(stream);
    meter.count("GetRecords.Success", u64::from(page.is_ok()));
    meter.ms("GetRecords.Latency", (kinesis.now_us() - began_us) as f64 / 1_000.0);
    meter.count("ReadProvisionedThroughputExceeded", u64::from(page.is_err()));
    meter_read(stream, slot, &meter, page.as_ref().ok().map(|(page, records)| (page, records.len() as u64)));
    let (page, records) = page.map_err(|_| kinesis.rate_exceeded(stream, &slot.id))?;
    meter.bytes("GetRecords.Bytes", page.bytes);
    meter.count("GetRecords.Records", records.len() as u64);
    meter.ms("GetRecords.IteratorAgeMilliseconds", page.behind_ms as f64);
    Ok((page, records))
}

fn out(shard: &Shard, record: Record, encrypted: bool) -> RecordOut {
    RecordOut {
        sequence_number: shard.sequence(record.count, record.arrival_ms),
        approximate_arrival_timestamp: record.arrival_ms as f64 / 1_000.0,
        partition_key: String::from_utf8_lossy(record.key()).into_owned(),
        record,
        encryption_type: encrypted.then_some("KMS"),
    }
}

fn check_age(iterator: &ShardIterator, now_us: i64) -> Result<(), ApiError> {
    if now_us - iterator.issued_us <= EXPIRES_AFTER_US {
        return Ok(());
    }
    Err(ApiError::invalid(
        "ExpiredIteratorException",
        format!(
            "Iterator expired. The iterator was created at time {} while right now it is {} which is further in \
             the future than the tolerated delay of 300000 milliseconds.",
            rfc3339(iterator.issued_us),
            rfc3339(now_us)
        ),
    ))
}

fn no_shard(kinesis: &Kinesis, stream: &Stream, shard_id: &str) -> ApiError {
    ApiError::invalid(
        "ResourceNotFoundException",
        format!(
            "Shard {shard_id} in stream {} under account {} does not exist",
            stream.name, kinesis.ctx.account
        ),
    )
}
