//! SplitShard, MergeShards, UpdateShardCount and UpdateStreamMode.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::control::{ModeDetails, check_on_demand_limit, check_shard_limit, refuse_what_is_not_modelled};
use super::hash::parse_hash_key;
use super::layout::{Change, Layout, ShardSlot};
use super::settings::{StreamRef, active};
use super::stream::Stream;
use super::validate::{self, constraint, invalid_argument, required};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::limits;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReshardInput {
    shard_to_split: Option<String>,
    new_starting_hash_key: Option<String>,
    shard_to_merge: Option<String>,
    adjacent_shard_to_merge: Option<String>,
    target_shard_count: Option<i64>,
    scaling_type: Option<String>,
}

pub fn split(kinesis: &Kinesis, input: Value) -> ApiResult {
    let request: ReshardInput = validate::input(input.clone())?;
    let id = required(request.shard_to_split, "shardToSplit")?;
    let key = required(request.new_starting_hash_key, "newStartingHashKey")?;
    let at = parse_hash_key(&key).ok_or_else(|| {
        let rule = r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})";
        constraint(&format!("'{key}'"), "newStartingHashKey", rule)
    })?;
    change(kinesis, input, |stream, layout| {
        let slot = open_shard(kinesis, stream, layout, &id)?;
        // The service's own words; kinesalite read the bounds off it too.
        if at <= slot.first_hash.saturating_add(1) || at >= slot.last_hash {
            return Err(invalid_argument(format!(
                "NewStartingHashKey {at} used in SplitShard() on shard {} in stream {} under account {} is not \
                 both greater than one plus the shard's StartingHashKey {} and less than the shard's \
                 EndingHashKey {}.",
                slot.id, stream.name, kinesis.ctx.account, slot.first_hash, slot.last_hash
            )));
        }
        Ok((Change::Split { shard: slot.index, at }, 1))
    })?;
    Ok(json!({}))
}

pub fn merge(kinesis: &Kinesis, input: Value) -> ApiResult {
    let request: ReshardInput = validate::input(input.clone())?;
    let first = required(request.shard_to_merge, "shardToMerge")?;
    let second = required(request.adjacent_shard_to_merge, "adjacentShardToMerge")?;
    change(kinesis, input, |stream, layout| {
        let first = open_shard(kinesis, stream, layout, &first)?;
        let second = open_shard(kinesis, stream, layout, &second)?;
        let touch =
            |left: &ShardSlot, right: &ShardSlot| left.last_hash.checked_add(1) == Some(right.first_hash);
        let left = match (touch(first, second), touch(second, first)) {
            (true, _) => first,
            (_, true) => second,
            _ => {
                return Err(invalid_argument(format!(
                    "Shards {} and {} in stream {} under account {} are not an adjacent pair of shards \
                     eligible for merging",
                    first.id, second.id, stream.name, kinesis.ctx.account
                )));
            }
        };
        Ok((Change::Merge { left: left.index }, 0))
    })?;
    Ok(json!({}))
}

pub fn update_shard_count(kinesis: &Kinesis, input: Value) -> ApiResult {
    let request: ReshardInput = validate::input(input.clone())?;
    let target = required(request.target_shard_count, "targetShardCount")?;
    let target = validate::between(Some(target), 1, 1, i64::from(i32::MAX), "targetShardCount")? as u32;
    let scaling = required(request.scaling_type, "scalingType")?;
    if scaling != "UNIFORM_SCALING" {
        let rule = "Member must satisfy enum value set: [UNIFORM_SCALING]";
        return Err(constraint(&format!("'{scaling}'"), "scalingType", rule));
    }
    let mut open = 0;
    let stream = change(kinesis, input, |_, layout| {
        open = layout.open().len() as u32;
        check_target(open, target)?;
        Ok((Change::Resize { target }, target.saturating_sub(open) as usize))
    })?;
    Ok(json!({
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "CurrentShardCount": open,
        "TargetShardCount": target,
    }))
}

/// The default limits that the API reference of UpdateShardCount lists.
fn check_target(open: u32, target: u32) -> Result<(), ApiError> {
    let counts = format!("Current open shard count: {open} Target shard count: {target}");
    let max = limits::UPDATE_SHARD_COUNT_MAX;
    if target == open {
        return Err(invalid_argument(format!("The stream has {target} open shards already. {counts}")));
    }
    if target > open.saturating_mul(2) {
        return Err(limit_exceeded(format!(
            "UpdateShardCount cannot scale up over double your current open shard count. {counts}"
        )));
    }
    if u64::from(target) * 2 < u64::from(open) {
        return Err(limit_exceeded(format!(
            "UpdateShardCount cannot scale down below half your current open shard count. {counts}"
        )));
    }
    if target > max || (open > max && target == max) {
        return Err(limit_exceeded(format!(
            "UpdateShardCount cannot scale to more than {max} shards. {counts}"
        )));
    }
    Ok(())
}

/// Begins what `plan` says: a change, and how many shards more it makes for the account.
fn change(
    kinesis: &Kinesis,
    input: Value,
    plan: impl FnOnce(&Stream, &Layout) -> Result<(Change, usize), ApiError>,
) -> Result<Arc<Stream>, ApiError> {
    // Looked up first: this takes the lock on all streams for a moment.
    let stream = StreamRef::of(input)?.find(kinesis)?;
    // One change at a time, so that the account's limit holds.
    let streams = kinesis.streams.write().expect("streams lock");
    active(kinesis, &stream)?;
    if stream.on_demand() {
        return Err(ApiError::invalid(
            "ValidationException",
            format!(
                "Stream {} under account {} is in ON_DEMAND mode: its shards are scaled by the service.",
                stream.name, kinesis.ctx.account
            ),
        ));
    }
    let (change, additional) = plan(&stream, &kinesis.layout(&stream))?;
    if additional > 0 {
        check_shard_limit(kinesis, &streams, additional)?;
    }
    let now_us = kinesis.now_us();
    if matches!(change, Change::Resize { .. }) && !stream.take_resize(now_us) {
        return Err(limit_exceeded(format!(
            "UpdateShardCount was called {} times for stream {} under account {} in the last 24 hours; it cannot \
             be called more often.",
            limits::UPDATE_SHARD_COUNT_PER_DAY,
            stream.name,
            kinesis.ctx.account
        )));
    }
    stream.begin(change, now_us);
    drop(streams);
    Ok(stream)
}

/// An open shard by its id.
fn open_shard<'a>(
    kinesis: &Kinesis,
    stream: &Stream,
    layout: &'a Layout,
    id: &str,
) -> Result<&'a ShardSlot, ApiError> {
    let (name, account) = (&stream.name, &kinesis.ctx.account);
    let slot = layout.named(id).ok_or_else(|| {
        let message = format!("Could not find shard {id} in stream {name} under account {account}.");
        ApiError::invalid("ResourceNotFoundException", message)
    })?;
    if slot.closed().is_some() {
        return Err(invalid_argument(format!(
            "Shard {} in stream {name} under account {account} has already been merged or split, and thus is not \
             eligible for merging or splitting.",
            slot.id
        )));
    }
    Ok(slot)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeInput {
    stream_mode_details: Option<ModeDetails>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput: Option<i64>,
}

pub fn update_mode(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: ModeInput = validate::input(input)?;
    let arn = required(input.stream_arn, "streamARN")?;
    let on_demand = required(input.stream_mode_details, "streamModeDetails")?.on_demand()?;
    let stream = kinesis.named(None, Some(&arn))?;
    refuse_what_is_not_modelled(input.warm_throughput, None)?;
    let streams = kinesis.streams.write().expect("streams lock");
    active(kinesis, &stream)?;
    let open = kinesis.layout(&stream).open().len();
    match (stream.on_demand(), on_demand) {
        (true, true) | (false, false) => return Ok(json!({})),
        // Shards of on-demand streams do not count until they are provisioned ones.
        (true, false) => check_shard_limit(kinesis, &streams, open)?,
        (false, true) => check_on_demand_limit(&streams)?,
    }
    if !stream.switch_mode(on_demand, kinesis.now_us()) {
        return Err(limit_exceeded(format!(
            "The mode of stream {} under account {} was switched {} times in the last 24 hours; it cannot be \
             switched more often.",
            stream.name,
            kinesis.ctx.account,
            limits::MODE_SWITCHES_PER_DAY
        )));
    }
    Ok(json!({}))
}

fn limit_exceeded(message: String) -> ApiError {
    ApiError::invalid("LimitExceededException", message)
}
