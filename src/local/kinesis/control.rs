//! Streams come and go, and are described.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::settings::{MAX_TAGS, StreamRef};
use super::stream::{Settings, Status, Stream};
use super::validate::{self, between, constraint, invalid_argument, required};
use super::{Kinesis, Streams};
use super::{list, monitoring};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::clock::WallUs;
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
pub struct ModeDetails {
    stream_mode: Option<String>,
}

impl ModeDetails {
    /// Whether ON_DEMAND is meant.
    pub fn on_demand(&self) -> Result<bool, ApiError> {
        match self.stream_mode.as_deref() {
            Some("PROVISIONED") => Ok(false),
            Some("ON_DEMAND") => Ok(true),
            Some(other) => {
                let rule = "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]";
                Err(constraint(&format!("'{other}'"), "streamModeDetails.streamMode", rule))
            }
            None => Err(constraint("null", "streamModeDetails.streamMode", "Member must not be null")),
        }
    }
}

pub fn create(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: CreateStreamInput = validate::input(input)?;
    let name = required(input.stream_name, "streamName")?;
    validate::stream_name(&name)?;
    let on_demand = input.stream_mode_details.map_or(Ok(false), |details| details.on_demand())?;
    refuse_what_is_not_modelled(input.warm_throughput, input.record_distribution_strategy.as_deref())?;
    let shards = match (on_demand, input.shard_count) {
        (true, None) => limits::ON_DEMAND_SHARDS,
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
    insert(kinesis, Stream::new(name, arn, on_demand, shards, settings, kinesis.now_us()), shards)
}

pub fn refuse_what_is_not_modelled(warm: Option<i64>, distribution: Option<&str>) -> Result<(), ApiError> {
    let refused = match (warm, distribution) {
        (Some(mibps), _) if mibps > 0 => "WarmThroughputMiBps",
        (_, Some("AUTO")) => "RecordDistributionStrategy AUTO",
        _ => return Ok(()),
    };
    Err(ApiError::invalid("ValidationException", format!("the local endpoint does not model {refused}")))
}

fn insert(kinesis: &Kinesis, stream: Stream, shards: u32) -> ApiResult {
    let now_us = kinesis.now_us();
    let mut streams = kinesis.streams.write().expect("streams lock");
    streams.retain(|_, stream| stream.status(now_us) != Status::Gone);
    if streams.contains_key(&stream.name) {
        let account = &kinesis.ctx.account;
        let message = format!("Stream {} under account {account} already exists.", stream.name);
        return Err(ApiError::invalid("ResourceInUseException", message));
    }
    if stream.on_demand() {
        check_on_demand_limit(&streams)?;
    } else {
        check_shard_limit(kinesis, &streams, shards as usize)?;
    }
    streams.insert(stream.name.clone(), Arc::new(stream));
    Ok(json!({}))
}

/// # Errors
/// `LimitExceededException` when the account cannot have one more on-demand stream.
pub fn check_on_demand_limit(streams: &Streams) -> Result<(), ApiError> {
    let max = limits::ON_DEMAND_STREAMS_MAX;
    if streams.values().filter(|stream| stream.on_demand()).count() < max {
        return Ok(());
    }
    let message = format!("An account can have at most {max} streams in ON_DEMAND mode.");
    Err(ApiError::invalid("LimitExceededException", message))
}

/// # Errors
/// `LimitExceededException` when the account cannot have `additional` shards more.
pub fn check_shard_limit(kinesis: &Kinesis, streams: &Streams, additional: usize) -> Result<(), ApiError> {
    let open = provisioned_shards(streams, kinesis.now_us());
    if open + additional <= limits::SHARDS_MAX as usize {
        return Ok(());
    }
    Err(ApiError::invalid(
        "LimitExceededException",
        format!(
            "This request would exceed the shard limit for the account {} in {}. Current shard count for the \
             account: {open}. Limit: {}. Number of additional shards that would have resulted from this \
             request: {additional}.",
            kinesis.ctx.account,
            kinesis.ctx.region,
            limits::SHARDS_MAX,
        ),
    ))
}

/// Those of on-demand streams do not count.
fn provisioned_shards(streams: &Streams, now_us: WallUs) -> usize {
    let standing = streams.values().filter(|stream| stream.status(now_us) != Status::Gone);
    standing.filter(|stream| !stream.on_demand()).map(|stream| stream.reserved_shards()).sum()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteInput {
    enforce_consumer_deletion: Option<bool>,
}

pub fn delete(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = StreamRef::of(input.clone())?.find(kinesis)?;
    let input: DeleteInput = validate::input(input)?;
    let now_us = kinesis.now_us();
    let consumers = stream.consumers.lock().expect("consumers lock").count(now_us);
    if consumers > 0 && !input.enforce_consumer_deletion.unwrap_or(false) {
        return Err(ApiError::invalid(
            "ResourceInUseException",
            format!(
                "Stream {} under account {} has {consumers} registered consumers. Deregister them, or set \
                 EnforceConsumerDeletion.",
                stream.name, kinesis.ctx.account
            ),
        ));
    }
    stream.delete(now_us);
    // The records go at once: nothing can be read from a stream that is being deleted.
    kinesis.layout(&stream).all().for_each(|slot| slot.lock().clear(&kinesis.memory));
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
    let limit = limit.min(limits::DESCRIBE_STREAM_MAX_SHARDS);
    let stream = kinesis.named(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let after = list::index_after(input.exclusive_start_shard_id.as_deref())?;
    let mut description = common(kinesis, &stream);
    let mut shards = Vec::new();
    // AWS shows no shards before the stream is active.
    if stream.status(kinesis.now_us()) != Status::Creating {
        shards = list::shards(&kinesis.layout(&stream), after, limit + 1, |_| true);
    }
    description.insert("HasMoreShards".into(), json!(shards.len() > limit));
    shards.truncate(limit);
    description.insert("Shards".into(), json!(shards));
    Ok(json!({ "StreamDescription": description }))
}

pub fn summary(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = StreamRef::of(input)?.find(kinesis)?;
    let consumers = stream.consumers.lock().expect("consumers lock").count(kinesis.now_us());
    let mut summary = common(kinesis, &stream);
    summary.insert("OpenShardCount".into(), json!(kinesis.layout(&stream).open().len()));
    summary.insert("ConsumerCount".into(), json!(consumers));
    summary.insert("MaxRecordSizeInKiB".into(), json!(stream.settings().max_record_kib));
    Ok(json!({ "StreamDescriptionSummary": summary }))
}

/// What DescribeStream and DescribeStreamSummary share.
fn common(kinesis: &Kinesis, stream: &Stream) -> Map<String, Value> {
    let settings = stream.settings();
    let mut members = summary_members(kinesis, stream);
    members.insert("RetentionPeriodHours".into(), json!(settings.retention_hours));
    members.insert("EnhancedMonitoring".into(), json!([{ "ShardLevelMetrics": monitoring::names(stream) }]));
    let encryption = if settings.kms_key.is_some() { "KMS" } else { "NONE" };
    members.insert("EncryptionType".into(), json!(encryption));
    if let Some(key) = settings.kms_key {
        members.insert("KeyId".into(), json!(key));
    }
    members
}

fn summary_members(kinesis: &Kinesis, stream: &Stream) -> Map<String, Value> {
    let mode = if stream.on_demand() { "ON_DEMAND" } else { "PROVISIONED" };
    let mut members = Map::new();
    members.insert("StreamName".into(), json!(stream.name));
    members.insert("StreamARN".into(), json!(stream.arn));
    members.insert("StreamStatus".into(), json!(stream.status(kinesis.now_us()).as_str()));
    members.insert("StreamModeDetails".into(), json!({ "StreamMode": mode }));
    members.insert("StreamCreationTimestamp".into(), json!(stream.created_us.div_euclid(1_000) as f64 / 1e3));
    members
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

pub fn limits(kinesis: &Kinesis) -> ApiResult {
    let now_us = kinesis.now_us();
    let streams = kinesis.streams.read().expect("streams lock");
    let standing = streams.values().filter(|stream| stream.status(now_us) != Status::Gone);
    Ok(json!({
        "ShardLimit": limits::SHARDS_MAX,
        "OpenShardCount": provisioned_shards(&streams, now_us),
        "OnDemandStreamCount": standing.filter(|stream| stream.on_demand()).count(),
        "OnDemandStreamCountLimit": limits::ON_DEMAND_STREAMS_MAX,
    }))
}
