//! Streams come and go, and are described.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Kinesis;
use super::settings::{MAX_TAGS, StreamRef};
use super::stream::{ON_DEMAND_SHARDS, Settings, ShardSlot, Status, Stream};
use super::validate::{self, between, constraint, invalid_argument, required};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::limits;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateStreamInput {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_kib: Option<i64>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput: Option<i64>,
    record_distribution_strategy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeDetails {
    stream_mode: Option<String>,
}

pub fn create(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: CreateStreamInput = validate::input(input)?;
    let name = required(input.stream_name, "streamName")?;
    validate::stream_name(&name)?;
    let mode = input.stream_mode_details.and_then(|details| details.stream_mode);
    let on_demand = match mode.as_deref().unwrap_or("PROVISIONED") {
        "PROVISIONED" => false,
        "ON_DEMAND" => true,
        other => {
            let rule = "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]";
            return Err(constraint(&format!("'{other}'"), "streamModeDetails.streamMode", rule));
        }
    };
    refuse_what_is_not_modelled(input.warm_throughput, input.record_distribution_strategy.as_deref())?;
    let shards = match (on_demand, input.shard_count) {
        (true, None) => ON_DEMAND_SHARDS,
        (true, Some(_)) => {
            return Err(invalid_argument("ShardCount must not be given for a stream in ON_DEMAND mode."));
        }
        (false, None) => return Err(constraint("null", "shardCount", "Member must not be null")),
        (false, count) => between(count, 0, 1, 100_000, "shardCount")? as u32,
    };
    let max_record_kib = between(
        input.max_record_kib,
        i64::from(limits::RECORD_MAX_KIB_DEFAULT),
        i64::from(limits::RECORD_MAX_KIB_DEFAULT),
        i64::from(limits::RECORD_MAX_KIB_LARGEST),
        "maxRecordSizeInKiB",
    )? as u32;
    let tags = input.tags.unwrap_or_default();
    if tags.len() > MAX_TAGS {
        return Err(invalid_argument(format!("A stream cannot have more than {MAX_TAGS} tags.")));
    }
    let settings = Settings { max_record_kib, tags, ..Settings::default() };
    let arn = kinesis.ctx.arn("kinesis", &format!("stream/{name}"));
    insert(kinesis, Stream::new(name, arn, on_demand, shards, settings, kinesis.now_us()))
}

fn refuse_what_is_not_modelled(warm: Option<i64>, distribution: Option<&str>) -> Result<(), ApiError> {
    let refused = match (warm, distribution) {
        (Some(mibps), _) if mibps > 0 => "WarmThroughputMiBps",
        (_, Some("AUTO")) => "RecordDistributionStrategy AUTO",
        _ => return Ok(()),
    };
    Err(ApiError::invalid("ValidationException", format!("the local endpoint does not model {refused}")))
}

fn insert(kinesis: &Kinesis, stream: Stream) -> ApiResult {
    let now_us = kinesis.now_us();
    let mut streams = kinesis.streams.write().expect("streams lock");
    streams.retain(|_, stream| stream.status(now_us) != Status::Gone);
    let account = &kinesis.ctx.account;
    if streams.contains_key(&stream.name) {
        let message = format!("Stream {} under account {account} already exists.", stream.name);
        return Err(ApiError::invalid("ResourceInUseException", message));
    }
    let open = open_shards(streams.values());
    if open + stream.shards.len() > limits::SHARDS_MAX as usize {
        return Err(ApiError::invalid(
            "LimitExceededException",
            format!(
                "This request would exceed the shard limit for the account {account} in {}. Current shard count \
                 for the account: {open}. Limit: {}. Number of additional shards that would have resulted from \
                 this request: {}.",
                kinesis.ctx.region,
                limits::SHARDS_MAX,
                stream.shards.len()
            ),
        ));
    }
    streams.insert(stream.name.clone(), Arc::new(stream));
    Ok(json!({}))
}

fn open_shards<'a>(streams: impl Iterator<Item = &'a Arc<Stream>>) -> usize {
    streams.filter(|stream| !stream.on_demand).map(|stream| stream.shards.len()).sum()
}

pub fn delete(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = StreamRef::of(input)?.find(kinesis)?;
    stream.delete(kinesis.now_us());
    // The records go at once: nothing can be read from a stream that is being deleted.
    stream.shards.iter().for_each(|slot| slot.lock().clear(&kinesis.memory));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInput {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
}

pub fn describe(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: DescribeInput = validate::input(input)?;
    let limit = between(input.limit, 100, 1, 10_000, "limit")? as usize;
    let stream = kinesis.named(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let mut description = common(kinesis, &stream);
    let shards = shards_after(kinesis, &stream, input.exclusive_start_shard_id.as_deref());
    let page: Vec<Value> = shards.iter().take(limit).map(shard_json).collect();
    description.insert("HasMoreShards".into(), json!(shards.len() > limit));
    description.insert("Shards".into(), json!(page));
    Ok(json!({ "StreamDescription": description }))
}

pub fn summary(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = StreamRef::of(input)?.find(kinesis)?;
    let mut summary = common(kinesis, &stream);
    summary.insert("OpenShardCount".into(), json!(stream.shards.len()));
    summary.insert("ConsumerCount".into(), json!(0));
    summary.insert("MaxRecordSizeInKiB".into(), json!(stream.settings().max_record_kib));
    Ok(json!({ "StreamDescriptionSummary": summary }))
}

/// What DescribeStream and DescribeStreamSummary share.
fn common(kinesis: &Kinesis, stream: &Stream) -> Map<String, Value> {
    let settings = stream.settings();
    let mut members = summary_members(kinesis, stream);
    members.insert("RetentionPeriodHours".into(), json!(settings.retention_hours));
    members.insert("EnhancedMonitoring".into(), json!([{ "ShardLevelMetrics": [] }]));
    let encryption = if settings.kms_key.is_some() { "KMS" } else { "NONE" };
    members.insert("EncryptionType".into(), json!(encryption));
    if let Some(key) = settings.kms_key {
        members.insert("KeyId".into(), json!(key));
    }
    members
}

fn summary_members(kinesis: &Kinesis, stream: &Stream) -> Map<String, Value> {
    let mode = if stream.on_demand { "ON_DEMAND" } else { "PROVISIONED" };
    let mut members = Map::new();
    members.insert("StreamName".into(), json!(stream.name));
    members.insert("StreamARN".into(), json!(stream.arn));
    members.insert("StreamStatus".into(), json!(stream.status(kinesis.now_us()).as_str()));
    members.insert("StreamModeDetails".into(), json!({ "StreamMode": mode }));
    members.insert("StreamCreationTimestamp".into(), json!(stream.created_us.div_euclid(1_000) as f64 / 1e3));
    members
}

/// AWS shows no shards before the stream is active.
fn shards_after<'a>(kinesis: &Kinesis, stream: &'a Stream, after: Option<&str>) -> &'a [ShardSlot] {
    if stream.status(kinesis.now_us()) == Status::Creating {
        return &[];
    }
    let from = after.map_or(0, |id| stream.shards.partition_point(|slot| slot.id.as_str() <= id));
    &stream.shards[from..]
}

fn shard_json(slot: &ShardSlot) -> Value {
    json!({
        "ShardId": slot.id,
        "HashKeyRange": {
            "StartingHashKey": slot.first_hash.to_string(),
            "EndingHashKey": slot.last_hash.to_string(),
        },
        "SequenceNumberRange": { "StartingSequenceNumber": slot.lock().starting_sequence().to_string() },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListStreamsInput {
    limit: Option<i64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

pub fn list_streams(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: ListStreamsInput = validate::input(input)?;
    let limit = between(input.limit, 100, 1, 10_000, "limit")? as usize;
    // A token is the last name given.
    let after = input.next_token.or(input.exclusive_start_stream_name).unwrap_or_default();
    let now_us = kinesis.now_us();
    let streams = kinesis.streams.read().expect("streams lock");
    let all: Vec<&Arc<Stream>> = streams
        .values()
        .filter(|stream| stream.name > after && stream.status(now_us) != Status::Gone)
        .collect();
    let page = &all[..all.len().min(limit)];
    let more = all.len() > page.len();
    let mut output = json!({
        "StreamNames": page.iter().map(|stream| &stream.name).collect::<Vec<_>>(),
        "HasMoreStreams": more,
        "StreamSummaries": page.iter().map(|stream| summary_members(kinesis, stream)).collect::<Vec<_>>(),
    });
    if let Some(last) = page.last().filter(|_| more) {
        output["NextToken"] = json!(last.name);
    }
    Ok(output)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShardsInput {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<i64>,
    shard_filter: Option<ShardFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: Option<String>,
    shard_id: Option<String>,
}

pub fn list_shards(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: ListShardsInput = validate::input(input)?;
    let limit = between(input.max_results, 1_000, 1, 10_000, "maxResults")? as usize;
    let (stream, after) = match &input.next_token {
        Some(_) if input.stream_name.is_some() || input.stream_arn.is_some() => {
            return Err(invalid_argument("NextToken and StreamName cannot be provided together."));
        }
        Some(token) => {
            let (name, after) = read_token(token).ok_or_else(|| invalid_argument("NextToken is invalid."))?;
            (kinesis.find(&name)?, Some(after))
        }
        None => {
            let stream = kinesis.named(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
            (stream, input.exclusive_start_shard_id.or(filtered_after(input.shard_filter)?))
        }
    };
    if stream.status(kinesis.now_us()) == Status::Creating {
        let message = format!("Stream {} is not ACTIVE, instead in state CREATING", stream.name);
        return Err(ApiError::invalid("ResourceInUseException", message));
    }
    let shards = shards_after(kinesis, &stream, after.as_deref());
    let page = &shards[..shards.len().min(limit)];
    let mut output = json!({ "Shards": page.iter().map(shard_json).collect::<Vec<_>>() });
    if let Some(last) = page.last().filter(|_| shards.len() > limit) {
        output["NextToken"] = json!(STANDARD.encode(format!("{}/{}", stream.name, last.id)));
    }
    Ok(output)
}

/// No shard here was ever closed, so that every filter by time gives all of them.
fn filtered_after(filter: Option<ShardFilter>) -> Result<Option<String>, ApiError> {
    let Some(filter) = filter else { return Ok(None) };
    let kind = required(filter.r#type, "shardFilter.type")?;
    match kind.as_str() {
        "AFTER_SHARD_ID" => Ok(Some(required(filter.shard_id, "shardFilter.shardId")?)),
        "AT_TRIM_HORIZON" | "FROM_TRIM_HORIZON" | "AT_LATEST" | "AT_TIMESTAMP" | "FROM_TIMESTAMP" => Ok(None),
        _ => Err(constraint(
            &format!("'{kind}'"),
            "shardFilter.type",
            "Member must satisfy enum value set: [AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, \
             AT_TIMESTAMP, FROM_TIMESTAMP]",
        )),
    }
}

/// (Stream, last shard given.)
fn read_token(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (name, shard) = text.split_once('/')?;
    Some((name.to_owned(), shard.to_owned()))
}

pub fn limits(kinesis: &Kinesis) -> ApiResult {
    let now_us = kinesis.now_us();
    let streams = kinesis.streams.read().expect("streams lock");
    let standing = || streams.values().filter(|stream| stream.status(now_us) != Status::Gone);
    Ok(json!({
        "ShardLimit": limits::SHARDS_MAX,
        "OpenShardCount": open_shards(standing()),
        "OnDemandStreamCount": standing().filter(|stream| stream.on_demand).count(),
        "OnDemandStreamCountLimit": 50,
    }))
}
