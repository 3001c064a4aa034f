//! Tags, retention, record size, encryption; the account's settings; and what is refused by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::stream::{Status, Stream};
use super::validate::{self, between, constraint, invalid_argument, required};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::limits;

/// Tags that one stream can have. Kinesis API reference, AddTagsToStream.
pub const MAX_TAGS: usize = 50;

/// The stream that a request is about.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamRef {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
}

impl StreamRef {
    pub fn of(input: Value) -> Result<StreamRef, ApiError> {
        validate::input(input)
    }

    pub fn find(&self, kinesis: &Kinesis) -> Result<Arc<Stream>, ApiError> {
        let arn = self.stream_arn.as_deref().or(self.resource_arn.as_deref());
        kinesis.named(self.stream_name.as_deref(), arn)
    }
}

/// `None` for an operation that is not here.
pub fn answer(kinesis: &Kinesis, operation: &str, input: Value) -> Option<ApiResult> {
    Some(match operation {
        "AddTagsToStream" | "TagResource" => add_tags(kinesis, input),
        "RemoveTagsFromStream" | "UntagResource" => remove_tags(kinesis, input),
        "ListTagsForStream" => list_tags(kinesis, input),
        "ListTagsForResource" => list_resource_tags(kinesis, input),
        "IncreaseStreamRetentionPeriod" => retention(kinesis, input, true),
        "DecreaseStreamRetentionPeriod" => retention(kinesis, input, false),
        "UpdateMaxRecordSize" => max_record_size(kinesis, input),
        "StartStreamEncryption" => encryption(kinesis, input, true),
        "StopStreamEncryption" => encryption(kinesis, input, false),
        "DescribeAccountSettings" => {
            Ok(json!({ "MinimumThroughputBillingCommitment": { "Status": "DISABLED" } }))
        }
        "UpdateStreamWarmThroughput" => warm_throughput(kinesis, input),
        "SubscribeToShard" => Err(not_modelled(
            "SubscribeToShard answers with an HTTP/2 event stream, which the local endpoint does not have: read \
             with GetRecords",
        )),
        _ => return None,
    })
}

fn not_modelled(message: &str) -> ApiError {
    ApiError::invalid("ValidationException", message)
}

/// As in an account that made no commitment: DescribeAccountSettings says so.
fn warm_throughput(kinesis: &Kinesis, input: Value) -> ApiResult {
    StreamRef::of(input)?.find(kinesis)?;
    Err(not_modelled(
        "UpdateStreamWarmThroughput needs an account with MinimumThroughputBillingCommitment enabled, which the \
         local endpoint does not model",
    ))
}

/// The stream, which must be active to be changed.
fn changeable(kinesis: &Kinesis, input: Value) -> Result<Arc<Stream>, ApiError> {
    let stream = StreamRef::of(input)?.find(kinesis)?;
    active(kinesis, &stream)?;
    Ok(stream)
}

/// # Errors
/// `ResourceInUseException` while the stream is created, changed or deleted.
pub fn active(kinesis: &Kinesis, stream: &Stream) -> Result<(), ApiError> {
    match stream.status(kinesis.now_us()) {
        Status::Active => Ok(()),
        status => Err(ApiError::invalid(
            "ResourceInUseException",
            format!(
                "Stream {} under account {} not ACTIVE, instead in state {}",
                stream.name,
                kinesis.ctx.account,
                status.as_str()
            ),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsInput {
    tags: Option<BTreeMap<String, String>>,
    tag_keys: Option<Vec<String>>,
    exclusive_start_tag_key: Option<String>,
    limit: Option<i64>,
}

fn add_tags(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = StreamRef::of(input.clone())?.find(kinesis)?;
    let added = required(validate::input::<TagsInput>(input)?.tags, "tags")?;
    for (key, value) in &added {
        validate::length_at_most(&format!("'{key}'"), key.chars().count(), 128, "tags.key")?;
        validate::length_at_most(&format!("'{value}'"), value.chars().count(), 256, "tags.value")?;
    }
    let mut settings = stream.settings.write().expect("settings lock");
    let mut tags = settings.tags.clone();
    tags.extend(added);
    if tags.len() > MAX_TAGS {
        return Err(invalid_argument(format!(
            "Failed to add tags to stream {} under account {} because a given stream cannot have more than \
             {MAX_TAGS} tags associated with it.",
            stream.name, kinesis.ctx.account
        )));
    }
    settings.tags = tags;
    Ok(json!({}))
}

fn remove_tags(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = StreamRef::of(input.clone())?.find(kinesis)?;
    let keys = required(validate::input::<TagsInput>(input)?.tag_keys, "tagKeys")?;
    stream.settings.write().expect("settings lock").tags.retain(|key, _| !keys.contains(key));
    Ok(json!({}))
}

fn list_tags(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = StreamRef::of(input.clone())?.find(kinesis)?;
    let input: TagsInput = validate::input(input)?;
    let limit = between(input.limit, 50, 1, 50, "limit")? as usize;
    let after = input.exclusive_start_tag_key.unwrap_or_default();
    let tags = stream.settings().tags;
    let rest: Vec<Value> = tags.iter().filter(|(key, _)| **key > after).map(tag).collect();
    Ok(json!({ "Tags": rest[..rest.len().min(limit)], "HasMoreTags": rest.len() > limit }))
}

fn list_resource_tags(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = StreamRef::of(input)?.find(kinesis)?;
    Ok(json!({ "Tags": stream.settings().tags.iter().map(tag).collect::<Vec<_>>() }))
}

fn tag((key, value): (&String, &String)) -> Value {
    json!({ "Key": key, "Value": value })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeInput {
    retention_period_hours: Option<i64>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_kib: Option<i64>,
    encryption_type: Option<String>,
    key_id: Option<String>,
}

fn retention(kinesis: &Kinesis, input: Value, increase: bool) -> ApiResult {
    let stream = changeable(kinesis, input.clone())?;
    let change: ChangeInput = validate::input(input)?;
    let hours = required(change.retention_period_hours, "retentionPeriodHours")?;
    let (min, max) = (*limits::RETENTION_HOURS.start(), *limits::RETENTION_HOURS.end());
    let mut settings = stream.settings.write().expect("settings lock");
    let current = settings.retention_hours;
    let refuse = |why: String| {
        Err(invalid_argument(format!(
            "Requested retention period ({hours} hours) for stream {} {why}",
            stream.name
        )))
    };
    if hours < i64::from(min) {
        return refuse(format!("is too short. Minimum allowed retention period is {min} hours."));
    }
    if hours > i64::from(max) {
        return refuse(format!("is too long. Maximum allowed retention period is {max} hours."));
    }
    if increase && hours < i64::from(current) {
        return refuse(format!(
            "can not be shorter than existing retention period ({current} hours). Use DecreaseRetentionPeriod API."
        ));
    }
    if !increase && hours > i64::from(current) {
        return refuse(format!(
            "can not be longer than existing retention period ({current} hours). Use IncreaseRetentionPeriod API."
        ));
    }
    settings.retention_hours = hours as u32;
    // Closed shards go with their records.
    stream.look_again();
    Ok(json!({}))
}

fn max_record_size(kinesis: &Kinesis, input: Value) -> ApiResult {
    let stream = changeable(kinesis, input.clone())?;
    let change: ChangeInput = validate::input(input)?;
    let kib = required(change.max_record_kib, "maxRecordSizeInKiB")?;
    let (min, max) = (i64::from(limits::RECORD_MAX_KIB_DEFAULT), i64::from(limits::RECORD_MAX_KIB_LARGEST));
    let kib = between(Some(kib), min, min, max, "maxRecordSizeInKiB")?;
    stream.settings.write().expect("settings lock").max_record_kib = kib as u32;
    Ok(json!({}))
}

/// Remembers the key; nothing is encrypted.
fn encryption(kinesis: &Kinesis, input: Value, start: bool) -> ApiResult {
    let stream = changeable(kinesis, input.clone())?;
    let change: ChangeInput = validate::input(input)?;
    let kind = required(change.encryption_type, "encryptionType")?;
    let key = required(change.key_id, "keyId")?;
    if kind != "KMS" {
        let rule = "Member must satisfy enum value set: [KMS]";
        return Err(constraint(&format!("'{kind}'"), "encryptionType", rule));
    }
    stream.settings.write().expect("settings lock").kms_key = start.then_some(key);
    Ok(json!({}))
}
