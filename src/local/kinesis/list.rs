//! ListShards, and how a shard is shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Kinesis;
use super::layout::{Layout, ShardSlot, shard_id, shard_index};
use super::stream::{Status, Stream};
use super::validate::{self, between, constraint, invalid_argument, required};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::clock::{WallUs, rfc3339};
use crate::platform::limits;

/// A token can be used for 300 seconds. Kinesis API reference, ListShards and ListStreamConsumers.
pub const TOKEN_EXPIRES_AFTER_US: i64 = 300_000_000;

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
    /// Epoch seconds.
    stream_creation_timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: Option<String>,
    shard_id: Option<String>,
    /// Epoch seconds.
    timestamp: Option<f64>,
}

/// Which shards are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    All,
    Open,
    /// Open at a time, epoch milliseconds.
    At(i64),
    /// Open at a time or later.
    From(i64),
}

impl Filter {
    fn takes(self, slot: &ShardSlot) -> bool {
        let (created_us, closed) = (slot.created_us, slot.closed());
        let ended = |before_ms: i64| closed.is_some_and(|closed| closed.at_us < before_ms * 1_000);
        match self {
            Filter::All => true,
            Filter::Open => closed.is_none(),
            Filter::At(ms) => created_us.div_euclid(1_000) <= ms && !ended(ms),
            Filter::From(ms) => !ended(ms),
        }
    }
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    stream: String,
    created_us: WallUs,
    issued_us: WallUs,
    after: u32,
    filter: Filter,
}

impl Token {
    fn encode(&self) -> String {
        let Token { stream, created_us, issued_us, after, filter } = self;
        let filter = match filter {
            Filter::All => "all".to_owned(),
            Filter::Open => "open".to_owned(),
            Filter::At(ms) => format!("at{ms}"),
            Filter::From(ms) => format!("from{ms}"),
        };
        STANDARD.encode(format!("{stream}/{created_us}/{issued_us}/{after}/{filter}"))
    }

    fn decode(text: &str) -> Option<Token> {
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let parts: Vec<&str> = text.split('/').collect();
        let [stream, created_us, issued_us, after, filter] = parts[..] else { return None };
        let filter = match filter {
            "all" => Filter::All,
            "open" => Filter::Open,
            _ => match (filter.strip_prefix("at"), filter.strip_prefix("from")) {
                (Some(ms), _) => Filter::At(ms.parse().ok()?),
                (_, Some(ms)) => Filter::From(ms.parse().ok()?),
                (None, None) => return None,
            },
        };
        Some(Token {
            stream: stream.to_owned(),
            created_us: created_us.parse().ok()?,
            issued_us: issued_us.parse().ok()?,
            after: after.parse().ok()?,
            filter,
        })
    }
}

pub fn list_shards(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: ListShardsInput = validate::input(input)?;
    let limit = between(input.max_results, 1_000, 1, 10_000, "maxResults")? as usize;
    let limit = limit.min(limits::LIST_SHARDS_MAX_SHARDS);
    let now_us = kinesis.now_us();
    let (stream, after, filter) = match &input.next_token {
        Some(token) => {
            let (stream, token) = continued(kinesis, &input, token)?;
            (stream, Some(token.after), token.filter)
        }
        None => {
            let stream = kinesis.named(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
            created_then(kinesis, &stream, input.stream_creation_timestamp)?;
            let (filter, filter_after) = filter(&stream, input.shard_filter, now_us)?;
            (stream, index_after(input.exclusive_start_shard_id.as_deref())?.or(filter_after), filter)
        }
    };
    if stream.status(now_us) == Status::Creating {
        let message = format!("Stream {} is not ACTIVE, instead in state CREATING", stream.name);
        return Err(ApiError::invalid("ResourceInUseException", message));
    }
    let mut last = 0;
    let takes = |slot: &ShardSlot| filter.takes(slot);
    let mut page = shards(&kinesis.layout(&stream), after, limit + 1, takes);
    let more = page.len() > limit;
    page.truncate(limit);
    if let Some(id) = page.last().and_then(|shard| shard["ShardId"].as_str()) {
        last = shard_index(id).unwrap_or(0);
    }
    let mut output = json!({ "Shards": page });
    if more {
        let (stream, created_us) = (stream.name.clone(), stream.created_us);
        let token = Token { stream, created_us, issued_us: now_us, after: last, filter };
        output["NextToken"] = json!(token.encode());
    }
    Ok(output)
}

/// What a token goes on with.
fn continued(
    kinesis: &Kinesis,
    input: &ListShardsInput,
    token: &str,
) -> Result<(std::sync::Arc<Stream>, Token), ApiError> {
    let beside = [
        ("StreamName", input.stream_name.is_some() || input.stream_arn.is_some()),
        ("ExclusiveStartShardId", input.exclusive_start_shard_id.is_some()),
        ("StreamCreationTimestamp", input.stream_creation_timestamp.is_some()),
    ];
    if let Some((member, _)) = beside.iter().find(|(_, given)| *given) {
        return Err(invalid_argument(format!("NextToken and {member} cannot be provided together.")));
    }
    let token = Token::decode(token).ok_or_else(|| invalid_argument("NextToken is invalid."))?;
    token_age(token.issued_us, kinesis.now_us())?;
    let stream = kinesis.find(&token.stream)?;
    if stream.created_us != token.created_us {
        return Err(kinesis.not_found(&token.stream));
    }
    Ok((stream, token))
}

/// # Errors
/// `ExpiredNextTokenException` when a token is too old.
pub fn token_age(issued_us: WallUs, now_us: WallUs) -> Result<(), ApiError> {
    if now_us - issued_us <= TOKEN_EXPIRES_AFTER_US {
        return Ok(());
    }
    Err(ApiError::invalid(
        "ExpiredNextTokenException",
        format!(
            "NextToken expired. It was created at {} while right now it is {}, which is more than 300 seconds later.",
            rfc3339(issued_us),
            rfc3339(now_us)
        ),
    ))
}

/// # Errors
/// `ResourceNotFoundException` when the stream of this name was created at another time than `given_s`.
pub fn created_then(kinesis: &Kinesis, stream: &Stream, given_s: Option<f64>) -> Result<(), ApiError> {
    // The API shows the time in milliseconds; some clients send whole seconds back.
    match given_s {
        Some(at_s) if (at_s - stream.created_us as f64 / 1e6).abs() >= 1.0 => {
            Err(kinesis.not_found(&stream.name))
        }
        _ => Ok(()),
    }
}

/// (Which shards, and above which index.)
fn filter(
    stream: &Stream,
    filter: Option<ShardFilter>,
    now_us: WallUs,
) -> Result<(Filter, Option<u32>), ApiError> {
    let Some(filter) = filter else { return Ok((Filter::All, None)) };
    let kind = required(filter.r#type, "shardFilter.type")?;
    let by_time = matches!(kind.as_str(), "AT_TIMESTAMP" | "FROM_TIMESTAMP");
    let by_id = kind == "AFTER_SHARD_ID";
    for (member, given, wanted) in
        [("ShardId", filter.shard_id.is_some(), by_id), ("Timestamp", filter.timestamp.is_some(), by_time)]
    {
        if given != wanted {
            let must = if wanted { "must" } else { "must not" };
            return Err(invalid_argument(format!(
                "ShardFilter's {member} {must} be given with the Type {kind}."
            )));
        }
    }
    let at_ms = (filter.timestamp.unwrap_or_default() * 1_000.0).round() as i64;
    let keep_ms = i64::from(stream.settings().retention_hours) * 3_600_000;
    let horizon_ms = (now_us.div_euclid(1_000) - keep_ms).max(stream.created_us.div_euclid(1_000));
    match kind.as_str() {
        "AFTER_SHARD_ID" => Ok((Filter::All, index_after(filter.shard_id.as_deref())?)),
        "FROM_TRIM_HORIZON" => Ok((Filter::All, None)),
        "AT_TRIM_HORIZON" => Ok((Filter::At(horizon_ms), None)),
        "AT_LATEST" => Ok((Filter::Open, None)),
        "AT_TIMESTAMP" => Ok((Filter::At(at_ms), None)),
        "FROM_TIMESTAMP" => Ok((Filter::From(at_ms.max(horizon_ms)), None)),
        _ => Err(constraint(
            &format!("'{kind}'"),
            "shardFilter.type",
            "Member must satisfy enum value set: [AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, \
             AT_TIMESTAMP, FROM_TIMESTAMP]",
        )),
    }
}

/// The index in a shard's id that a listing starts after.
pub fn index_after(id: Option<&str>) -> Result<Option<u32>, ApiError> {
    let index = |id: &str| {
        shard_index(id).ok_or_else(|| invalid_argument(format!("Shard ID {id} is not the ID of a shard.")))
    };
    id.map(index).transpose()
}

/// At most `limit` shards in the order of creation.
pub fn shards(
    layout: &Layout,
    after: Option<u32>,
    limit: usize,
    takes: impl Fn(&ShardSlot) -> bool,
) -> Vec<Value> {
    let shown = |slot: &std::sync::Arc<ShardSlot>| takes(slot).then(|| shard_json(slot));
    match after {
        Some(index) => layout.after(index).filter_map(shown).take(limit).collect(),
        None => layout.all().filter_map(shown).take(limit).collect(),
    }
}

fn shard_json(slot: &ShardSlot) -> Value {
    let mut shard = json!({
        "ShardId": slot.id,
        "HashKeyRange": hash_key_range(slot),
        "SequenceNumberRange": { "StartingSequenceNumber": slot.lock().starting_sequence().to_string() },
    });
    for (member, parent) in ["ParentShardId", "AdjacentParentShardId"].into_iter().zip(&slot.parents) {
        shard[member] = json!(shard_id(*parent));
    }
    if let Some(closed) = slot.closed() {
        shard["SequenceNumberRange"]["EndingSequenceNumber"] = json!(closed.ending.to_string());
    }
    shard
}

pub fn hash_key_range(slot: &ShardSlot) -> Value {
    json!({ "StartingHashKey": slot.first_hash.to_string(), "EndingHashKey": slot.last_hash.to_string() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_reads_back(
            stream in "[a-zA-Z0-9_.-]{1,128}", created_us in 0i64.., issued_us in 0i64.., after in any::<u32>(),
            kind in 0u8..4, ms in any::<i64>(),
        ) {
            let filter = [Filter::All, Filter::Open, Filter::At(ms), Filter::From(ms)][usize::from(kind)];
            let token = Token { stream, created_us, issued_us, after, filter };
            prop_assert_eq!(Token::decode(&token.encode()), Some(token));
        }

        #[test]
        fn never_panics_on_other_text(text in ".{0,80}") {
            let _ = Token::decode(&text);
        }
    }
}
