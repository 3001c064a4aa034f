//! Registered consumers: what enhanced fan-out needs before SubscribeToShard, which is refused.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::list::{created_then, token_age};
use super::stream::{Stream, TRANSITION_US};
use super::validate::{self, between, invalid_argument, required};
use super::{Kinesis, settings};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::clock::WallUs;
use crate::platform::limits;

/// The consumers of one stream, by name.
#[derive(Default)]
pub struct Consumers {
    by_name: BTreeMap<String, Consumer>,
}

#[derive(Clone)]
struct Consumer {
    arn: String,
    created_us: WallUs,
    /// When it is gone; set by DeregisterStreamConsumer.
    gone_us: Option<WallUs>,
}

impl Consumer {
    fn status(&self, now_us: WallUs) -> &'static str {
        match self.gone_us {
            Some(_) => "DELETING",
            None if now_us < self.created_us + TRANSITION_US => "CREATING",
            None => "ACTIVE",
        }
    }

    fn shown(&self, name: &str, now_us: WallUs) -> Value {
        json!({
            "ConsumerName": name,
            "ConsumerARN": self.arn,
            "ConsumerStatus": self.status(now_us),
            "ConsumerCreationTimestamp": self.created_us.div_euclid(1_000) as f64 / 1e3,
        })
    }
}

impl Consumers {
    fn standing(&mut self, now_us: WallUs) -> &mut BTreeMap<String, Consumer> {
        self.by_name.retain(|_, consumer| consumer.gone_us.is_none_or(|gone_us| now_us < gone_us));
        &mut self.by_name
    }

    pub fn count(&mut self, now_us: WallUs) -> usize {
        self.standing(now_us).len()
    }

    fn creating(&mut self, now_us: WallUs) -> usize {
        self.standing(now_us).values().filter(|consumer| consumer.status(now_us) == "CREATING").count()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsumerInput {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

pub fn register(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: ConsumerInput = validate::input(input)?;
    let arn = required(input.stream_arn, "streamARN")?;
    let name = required(input.consumer_name, "consumerName")?;
    validate::name(&name, "consumerName")?;
    if input.tags.is_some_and(|tags| !tags.is_empty()) {
        let message = "the local endpoint does not model tags of consumers";
        return Err(ApiError::invalid("ValidationException", message));
    }
    let stream = kinesis.named(None, Some(&arn))?;
    // Held to the end, so that the limit over all streams holds too.
    let streams = kinesis.streams.write().expect("streams lock");
    settings::active(kinesis, &stream)?;
    let now_us = kinesis.now_us();
    let count = |stream: &Stream| stream.consumers.lock().expect("consumers lock").creating(now_us);
    let creating: usize = streams.values().map(|stream| count(stream)).sum();
    let mut consumers = stream.consumers.lock().expect("consumers lock");
    let standing = consumers.standing(now_us);
    if standing.contains_key(&name) {
        let message = format!("Consumer {name} under stream {arn} already exists.");
        return Err(ApiError::invalid("ResourceInUseException", message));
    }
    let limit = |why: String| Err(ApiError::invalid("LimitExceededException", why));
    if standing.len() >= limits::CONSUMERS_MAX {
        return limit(format!(
            "Stream {arn} has {} registered consumers, the most it can have.",
            standing.len()
        ));
    }
    if creating >= limits::CONSUMERS_CREATING_MAX {
        return limit(format!("{creating} consumers are in CREATING state, the most that can be at once."));
    }
    let consumer = Consumer {
        arn: format!("{arn}/consumer/{name}:{}", now_us.div_euclid(1_000_000)),
        created_us: now_us,
        gone_us: None,
    };
    let shown = consumer.shown(&name, now_us);
    standing.insert(name, consumer);
    Ok(json!({ "Consumer": shown }))
}

pub fn describe(kinesis: &Kinesis, input: Value) -> ApiResult {
    let now_us = kinesis.now_us();
    let shown = with(kinesis, input, |stream, name, consumer| {
        let mut shown = consumer.shown(name, now_us);
        shown["StreamARN"] = json!(stream.arn);
        shown
    })?;
    Ok(json!({ "ConsumerDescription": shown }))
}

pub fn deregister(kinesis: &Kinesis, input: Value) -> ApiResult {
    let gone_us = kinesis.now_us() + TRANSITION_US;
    with(kinesis, input, |_, _, consumer| {
        consumer.gone_us.get_or_insert(gone_us);
    })?;
    Ok(json!({}))
}

/// Does something with the consumer that a request names by its ARN, or by its stream and name, or by all.
fn with<T>(
    kinesis: &Kinesis,
    input: Value,
    what: impl FnOnce(&Stream, &str, &mut Consumer) -> T,
) -> Result<T, ApiError> {
    let input: ConsumerInput = validate::input(input)?;
    let unclear = || invalid_argument("Must specify either ConsumerARN, or both StreamARN and ConsumerName.");
    let of_arn = match &input.consumer_arn {
        Some(arn) => {
            let parts = arn.split_once("/consumer/").and_then(|(stream, rest)| {
                let (name, _) = rest.rsplit_once(':')?;
                Some((stream.to_owned(), name.to_owned()))
            });
            let wrong = || invalid_argument(format!("ConsumerARN {arn} is not the ARN of a consumer."));
            Some(parts.ok_or_else(wrong)?)
        }
        None => None,
    };
    let (stream_arn, name) = match (of_arn, input.stream_arn, input.consumer_name) {
        (Some((stream, name)), given_stream, given_name) => {
            if given_stream.is_some_and(|given| given != stream)
                || given_name.is_some_and(|given| given != name)
            {
                return Err(invalid_argument(
                    "ConsumerARN, StreamARN and ConsumerName name different consumers.",
                ));
            }
            (stream, name)
        }
        (None, Some(stream), Some(name)) => (stream, name),
        (None, _, _) => return Err(unclear()),
    };
    let stream = kinesis.named(None, Some(&stream_arn))?;
    let mut consumers = stream.consumers.lock().expect("consumers lock");
    let found = consumers.standing(kinesis.now_us()).get_mut(&name);
    // An ARN says when the consumer was registered: another one of the same name is not meant.
    match found.filter(|consumer| input.consumer_arn.as_ref().is_none_or(|arn| *arn == consumer.arn)) {
        Some(consumer) => Ok(what(&stream, &name, consumer)),
        None => Err(ApiError::invalid(
            "ResourceNotFoundException",
            format!("Consumer {name} under stream {stream_arn} not found."),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    /// Epoch seconds.
    stream_creation_timestamp: Option<f64>,
}

pub fn list(kinesis: &Kinesis, input: Value) -> ApiResult {
    let input: ListInput = validate::input(input)?;
    let arn = required(input.stream_arn, "streamARN")?;
    let limit = between(input.max_results, 100, 1, 10_000, "maxResults")?.min(100) as usize;
    let stream = kinesis.named(None, Some(&arn))?;
    let now_us = kinesis.now_us();
    let after = match &input.next_token {
        Some(_) if input.stream_creation_timestamp.is_some() => {
            let message = "NextToken and StreamCreationTimestamp cannot be provided together.";
            return Err(invalid_argument(message));
        }
        Some(token) => {
            let (issued_us, after) =
                read_token(token).ok_or_else(|| invalid_argument("NextToken is invalid."))?;
            token_age(issued_us, now_us)?;
            after
        }
        None => String::new(),
    };
    created_then(kinesis, &stream, input.stream_creation_timestamp)?;
    let mut consumers = stream.consumers.lock().expect("consumers lock");
    let rest: Vec<_> = consumers.standing(now_us).iter().filter(|(name, _)| **name > after).collect();
    let page = &rest[..rest.len().min(limit)];
    let shown: Vec<Value> = page.iter().map(|(name, consumer)| consumer.shown(name, now_us)).collect();
    let mut output = json!({ "Consumers": shown });
    if let Some((last, _)) = page.last().filter(|_| rest.len() > limit) {
        output["NextToken"] = json!(STANDARD.encode(format!("{now_us}/{last}")));
    }
    Ok(output)
}

/// (When it was given, the last name before.)
fn read_token(token: &str) -> Option<(WallUs, String)> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (issued_us, name) = text.split_once('/')?;
    Some((issued_us.parse().ok()?, name.to_owned()))
}
