//! PutRecord and PutRecords: the hot path.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use super::layout::{Layout, ShardSlot};
use super::memory::make_room;
use super::monitoring::ShardTally;
use super::sequence::Sequence;
use super::shard::Record;
use super::stream::Stream;
use super::validate::{self, Text, constraint, invalid_argument, length_at_most, required};
use super::{Kinesis, dry_run, hash};
use crate::local::faults;
use crate::local::service::ApiError;
use crate::platform::limits;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    data: Option<Text<'a>>,
    partition_key: Option<Text<'a>>,
    explicit_hash_key: Option<Text<'a>>,
    sequence_number_for_ordering: Option<Text<'a>>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordsInput<'a> {
    #[serde(borrow)]
    stream_name: Option<Text<'a>>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    records: Option<Vec<Entry<'a>>>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    data: Option<Text<'a>>,
    partition_key: Option<Text<'a>>,
    explicit_hash_key: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordOutput {
    shard_id: String,
    #[serde(serialize_with = "decimal")]
    sequence_number: Sequence,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutRecordsOutput {
    failed_record_count: u64,
    records: Vec<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<&'static str>,
}

/// One record's entry in the answer: the members of either outcome.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    #[serde(rename_all = "PascalCase")]
    Written {
        #[serde(serialize_with = "decimal")]
        sequence_number: Sequence,
        shard_id: String,
    },
    #[serde(rename_all = "PascalCase")]
    Refused { error_code: &'static str, error_message: String },
}

fn decimal<S: Serializer>(sequence: &Sequence, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(sequence)
}

/// A record that passed validation: what it is, and which open shard it goes to.
struct Ready {
    shard: usize,
    record: Record,
}

pub fn put_record(
    kinesis: &Kinesis,
    input: Result<PutRecordInput<'_>, serde_json::Error>,
) -> Result<PutRecordOutput, ApiError> {
    let input = input.map_err(validate::serialization)?;
    let began_us = kinesis.now_us();
    let stream = kinesis.active(input.stream_name.as_ref(), input.stream_arn.as_ref())?;
    make_room(kinesis)?;
    let layout = kinesis.layout(&stream);
    let (keep_ms, max_bytes, encrypted) = stream.record_rules();
    let entry = Entry {
        data: input.data,
        partition_key: input.partition_key,
        explicit_hash_key: input.explicit_hash_key,
    };
    let ready = check(&layout, &entry, max_bytes, &|member| member.to_owned())?;
    if let Some(after) = &input.sequence_number_for_ordering
        && Sequence::parse(after).is_none()
    {
        return Err(invalid_argument(format!(
            "ExclusiveMinimumSequenceNumber {} used in PutRecord on stream {} under account {} is invalid.",
            &**after, stream.name, kinesis.ctx.account
        )));
    }
    dry_run(input.dry_run)?;
    let (slot, size) = (&layout.open()[ready.shard], ready.record.size());
    let written = write(kinesis, &stream, slot, "PutRecord", ready.record, keep_ms);
    let meter = kinesis.meter(&stream);
    meter.count("PutRecord.Success", u64::from(written.is_some()));
    meter.ms("PutRecord.Latency", (kinesis.now_us() - began_us) as f64 / 1_000.0);
    meter.count("WriteProvisionedThroughputExceeded", u64::from(written.is_none()));
    let mut tally = ShardTally::new(&stream);
    tally.add(slot, written.is_some().then_some(size));
    tally.record(&meter);
    let Some(sequence_number) = written else { return Err(kinesis.rate_exceeded(&stream, &slot.id)) };
    slot.notify();
    stream.count_written(1, size);
    meter.bytes("PutRecord.Bytes", size);
    meter.count("IncomingRecords", 1);
    meter.bytes("IncomingBytes", size);
    Ok(PutRecordOutput {
        shard_id: slot.id.clone(),
        sequence_number,
        encryption_type: encrypted.then_some("KMS"),
    })
}

pub fn put_records(
    kinesis: &Kinesis,
    input: Result<PutRecordsInput<'_>, serde_json::Error>,
) -> Result<PutRecordsOutput, ApiError> {
    let input = input.map_err(validate::serialization)?;
    let began_us = kinesis.now_us();
    let stream = kinesis.active(input.stream_name.as_ref(), input.stream_arn.as_ref())?;
    make_room(kinesis)?;
    let layout = kinesis.layout(&stream);
    let (keep_ms, max_bytes, encrypted) = stream.record_rules();
    let ready = check_all(&layout, &required(input.records, "records")?, max_bytes)?;
    dry_run(input.dry_run)?;
    let total = ready.len() as u64;
    let mut tally = ShardTally::new(&stream);
    let (mut accepted, mut accepted_bytes) = (0, 0);
    let mut touched: Vec<usize> = Vec::new();
    let mut records = Vec::with_capacity(ready.len());
    for ready in ready {
        let (shard, size) = (ready.shard, ready.record.size());
        let slot = &layout.open()[shard];
        let written = write(kinesis, &stream, slot, "PutRecords", ready.record, keep_ms);
        tally.add(slot, written.is_some().then_some(size));
        records.push(match written {
            Some(sequence_number) => {
                accepted += 1;
                accepted_bytes += size;
                if touched.last() != Some(&shard) {
                    touched.push(shard);
                }
                Outcome::Written { sequence_number, shard_id: slot.id.clone() }
            }
            None => Outcome::Refused {
                error_code: "ProvisionedThroughputExceededException",
                error_message: kinesis.rate_message(&stream, &slot.id),
            },
        });
    }
    touched.sort_unstable();
    touched.dedup();
    touched.iter().for_each(|shard| layout.open()[*shard].notify());

    stream.count_written(accepted, accepted_bytes);

    let refused = total - accepted;
    let meter = kinesis.meter(&stream);
    tally.record(&meter);
    meter.count("PutRecords.Success", u64::from(accepted > 0));
    meter.ms("PutRecords.Latency", (kinesis.now_us() - began_us) as f64 / 1_000.0);
    meter.bytes("PutRecords.Bytes", accepted_bytes);
    meter.count("PutRecords.TotalRecords", total);
    meter.count("PutRecords.SuccessfulRecords", accepted);
    // Internal failures only: this endpoint has none. Refusals for throughput are ThrottledRecords.
    meter.count("PutRecords.FailedRecords", 0);
    meter.count("PutRecords.ThrottledRecords", refused);
    meter.count("WriteProvisionedThroughputExceeded", refused);
    meter.count("IncomingRecords", accepted);
    meter.bytes("IncomingBytes", accepted_bytes);
    let encryption_type = encrypted.then_some("KMS");
    Ok(PutRecordsOutput { failed_record_count: refused, records, encryption_type })
}

/// Writes one record: `None` when its shard's rate refuses it.
fn write(
    kinesis: &Kinesis,
    stream: &Stream,
    slot: &ShardSlot,
    op: &str,
    record: Record,
    keep_ms: i64,
) -> Option<Sequence> {
    let faults = &kinesis.ctx.faults;
    let mut shard = slot.lock();
    // Read under the lock: arrival times must not run backwards within a shard.
    let now_us = kinesis.now_us();
    let sequence = shard.admit(record.size(), now_us).ok()?;
    let dropped = faults.drops() && faults::may_drop(record.data()) && {
        let shard_name = format!("{}/{}", stream.name, slot.id);
        faults.drop_after_ack(op, now_us, &shard_name, &sequence.to_string())
    };
    if !dropped {
        shard.store(record, sequence.count, now_us, keep_ms, &kinesis.memory);
    }
    Some(sequence)
}

fn check_all(layout: &Layout, entries: &[Entry<'_>], max_bytes: u64) -> Result<Vec<Ready>, ApiError> {
    let shown = || format!("[{}]", vec!["PutRecordsRequestEntry"; entries.len().min(8)].join(", "));
    if entries.is_empty() {
        return Err(constraint("[]", "records", "Member must have length greater than or equal to 1"));
    }
    length_at_most(&shown(), entries.len(), limits::PUT_RECORDS_MAX_RECORDS, "records")?;
    let mut ready = Vec::with_capacity(entries.len());
    let mut total = 0;
    for (entry, number) in entries.iter().zip(1..) {
        let checked = check(layout, entry, max_bytes, &|member| format!("records.{number}.member.{member}"))?;
        total += checked.record.size();
        ready.push(checked);
    }
    if total > limits::PUT_RECORDS_MAX_BYTES as u64 {
        return Err(invalid_argument(format!(
            "Records size exceeds {} MB limit",
            limits::PUT_RECORDS_MAX_BYTES / 1_048_576
        )));
    }
    Ok(ready)
}

/// `member` names a member of the entry as messages name it.
fn check(
    layout: &Layout,
    entry: &Entry<'_>,
    max_bytes: u64,
    member: &dyn Fn(&str) -> String,
) -> Result<Ready, ApiError> {
    let key: &str = required(entry.partition_key.as_ref(), &member("partitionKey"))?;
    let data: &str = required(entry.data.as_ref(), &member("data"))?;
    if key.is_empty() {
        let rule = "Member must have length greater than or equal to 1";
        return Err(constraint("''", &member("partitionKey"), rule));
    }
    // Characters, not bytes; a key of at most 256 bytes need not be counted.
    if key.len() > limits::PARTITION_KEY_MAX_CHARS {
        let length = key.chars().count();
        length_at_most(
            &format!("'{key}'"),
            length,
            limits::PARTITION_KEY_MAX_CHARS,
            &member("partitionKey"),
        )?;
    }
    let hash_key = match &entry.explicit_hash_key {
        Some(text) => hash::parse_hash_key(text).ok_or_else(|| {
            invalid_argument(format!(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. \
                 Specified value was {}",
                &**text
            ))
        })?,
        None => hash::hash_key(key),
    };
    let blob = blob(key, data)?;
    let size = blob.len() as u64;
    if size > max_bytes {
        let shown = format!("java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]");
        length_at_most(&shown, blob.len(), max_bytes as usize, &member("data"))?;
    }
    // At most 256 characters of four bytes each.
    let record = Record::new(key.len() as u16, blob);
    Ok(Ready { shard: layout.shard_of(hash_key), record })
}

/// The partition key followed by the decoded data.
fn blob(key: &str, data: &str) -> Result<Bytes, ApiError> {
    let padding = data.bytes().rev().take(2).filter(|byte| *byte == b'=').count();
    let decoded_len = (data.len() / 4 * 3).saturating_sub(padding);
    let mut blob = vec![0; key.len() + decoded_len];
    let (head, tail) = blob.split_at_mut(key.len());
    head.copy_from_slice(key.as_bytes());
    match STANDARD.decode_slice(data, tail) {
        Ok(written) if written == decoded_len => Ok(Bytes::from(blob)),
        Ok(_) => Err(validate::serialization("the Base64 of a blob is of uneven length")),
        Err(error) => Err(validate::serialization(format!("a blob is not Base64: {error}"))),
    }
}
