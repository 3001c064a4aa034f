//! CloudWatch Logs, as far as functions write to it and the tool reads from it: groups, streams, events,
//! filtering by terms. Not here: subscriptions, metric filters, Insights, exports. Retention is kept and
//! returned; nothing local lives long enough for it.

mod filter;
mod group;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};

use self::filter::Pattern;
use self::group::{Event, Group, Stream};
use super::members::{integer, list, text, texts};
use super::service::{ApiError, ApiResult, BoxFuture, Context, Service, unknown_operation};

/// Events and bytes of one page of FilterLogEvents and GetLogEvents: their API reference.
const PAGE_EVENTS: usize = 10_000;
const PAGE_BYTES: usize = 1_048_576;
/// PutLogEvents API reference: events and bytes a call, and how far from now they may be.
const PUT_EVENTS: usize = 10_000;
const PUT_BYTES: usize = 1_048_576;
const TOO_OLD_MS: i64 = 14 * 24 * 3_600_000;
const TOO_NEW_MS: i64 = 2 * 3_600_000;

pub struct Logs {
    ctx: Context,
    groups: Mutex<BTreeMap<String, Group>>,
}

impl Logs {
    pub fn new(ctx: Context) -> Arc<Logs> {
        Arc::new(Logs { ctx, groups: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.groups.lock().expect("no panic while the groups are locked")
    }

    fn answer(&self, operation: &str, input: &Value) -> ApiResult {
        match operation {
            "CreateLogGroup" => self.create_group(input),
            "DeleteLogGroup" => self.delete_group(input),
            "DescribeLogGroups" => self.describe_groups(input),
            "PutRetentionPolicy" => self.put_retention(input, integer(input, "retentionInDays")),
            "DeleteRetentionPolicy" => self.put_retention(input, None),
            "CreateLogStream" => self.create_stream(input),
            "DeleteLogStream" => self.delete_stream(input),
            "DescribeLogStreams" => self.describe_streams(input),
            "PutLogEvents" => self.put_events(input),
            "FilterLogEvents" | "GetLogEvents" => self.read_events(operation, input),
            "TagResource" | "TagLogGroup" => self.tag(input),
            "UntagResource" | "UntagLogGroup" => self.untag(input),
            "ListTagsForResource" | "ListTagsLogGroup" => {
                self.in_group(input, |group| json!({"tags": group.tags}))
            }
            _ => Err(unknown_operation(operation)),
        }
    }

    /// Does something to the group that the input names, by name, identifier or ARN.
    fn in_group(&self, input: &Value, change: impl FnOnce(&mut Group) -> Value) -> ApiResult {
        let name = group_name(input)?;
        self.lock().get_mut(&name).map(change).ok_or_else(no_group)
    }

    fn create_group(&self, input: &Value) -> ApiResult {
        let name = group_name(input)?;
        if name.is_empty() || name.len() > 512 {
            return Err(invalid("logGroupName must have 1 to 512 characters"));
        }
        let mut groups = self.lock();
        if groups.contains_key(&name) {
            return Err(exists("The specified log group already exists"));
        }
        let class = text(input, "logGroupClass").map(str::to_owned);
        let created_ms = self.ctx.clock.now_ms();
        groups.insert(name, Group::new(created_ms, class, tags(input)));
        Ok(json!({}))
    }

    fn delete_group(&self, input: &Value) -> ApiResult {
        self.lock().remove(&group_name(input)?).map(|_| json!({})).ok_or_else(no_group)
    }

    fn describe_groups(&self, input: &Value) -> ApiResult {
        let prefix = text(input, "logGroupNamePrefix").unwrap_or_default();
        let pattern = text(input, "logGroupNamePattern").unwrap_or_default();
        let groups = self.lock();
        let found: Vec<Value> = groups
            .iter()
            .filter(|(name, _)| name.starts_with(prefix) && name.contains(pattern))
            .map(|(name, group)| {
                let arn = self.ctx.arn("logs", &format!("log-group:{name}"));
                json!({
                    "logGroupName": name, "arn": format!("{arn}:*"), "logGroupArn": arn,
                    "creationTime": group.created_ms, "retentionInDays": group.retention_days,
                    "storedBytes": group.stored_bytes(), "metricFilterCount": 0,
                    "logGroupClass": group.class.as_deref().unwrap_or("STANDARD"),
                })
            })
            .map(without_nulls)
            .collect();
        Ok(json!({"logGroups": found}))
    }

    fn put_retention(&self, input: &Value, days: Option<i64>) -> ApiResult {
        self.in_group(input, |group| {
            group.retention_days = days;
            json!({})
        })
    }

    fn create_stream(&self, input: &Value) -> ApiResult {
        let stream = stream_name(input)?;
        let mut groups = self.lock();
        let group = groups.get_mut(&group_name(input)?).ok_or_else(no_group)?;
        if group.streams.contains_key(stream) {
            return Err(exists("The specified log stream already exists"));
        }
        let created_ms = self.ctx.clock.now_ms();
        group.streams.insert(stream.to_owned(), Stream { created_ms, ..Stream::default() });
        Ok(json!({}))
    }

    fn delete_stream(&self, input: &Value) -> ApiResult {
        let stream = stream_name(input)?;
        let mut groups = self.lock();
        let group = groups.get_mut(&group_name(input)?).ok_or_else(no_group)?;
        if group.remove_stream(stream) { Ok(json!({})) } else { Err(no_stream()) }
    }

    fn describe_streams(&self, input: &Value) -> ApiResult {
        let prefix = text(input, "logStreamNamePrefix").unwrap_or_default();
        let name = group_name(input)?;
        let arn = self.ctx.arn("logs", &format!("log-group:{name}:log-stream"));
        self.in_group(input, |group| {
            let streams = group.streams.iter().filter(|(name, _)| name.starts_with(prefix));
            let found: Vec<Value> = streams
                .map(|(name, stream)| {
                    without_nulls(json!({
                        "logStreamName": name, "arn": format!("{arn}:{name}"), "creationTime": stream.created_ms,
                        "firstEventTimestamp": stream.first_ms, "lastEventTimestamp": stream.last_ms,
                    }))
                })
                .collect();
            json!({"logStreams": found})
        })
    }

    fn put_events(&self, input: &Value) -> ApiResult {
        let stream = stream_name(input)?;
        let events = list(input, "logEvents");
        let bytes: usize = events
            .iter()
            .map(|event| text(event, "message").map_or(0, str::len) + group::EVENT_OVERHEAD_BYTES)
            .sum();
        if events.is_empty() || events.len() > PUT_EVENTS || bytes > PUT_BYTES {
            return Err(invalid(format!(
                "logEvents must hold 1 to {PUT_EVENTS} events of {PUT_BYTES} bytes in all"
            )));
        }
        let now_ms = self.ctx.clock.now_ms();
        let mut groups = self.lock();
        let group = groups.get_mut(&group_name(input)?).ok_or_else(no_group)?;
        if !group.streams.contains_key(stream) {
            return Err(no_stream());
        }
        let mut rejected = Map::new();
        for (index, event) in events.iter().enumerate() {
            let (Some(at_ms), Some(message)) = (integer(event, "timestamp"), text(event, "message")) else {
                return Err(invalid("each event needs a timestamp and a message"));
            };
            if at_ms < now_ms - TOO_OLD_MS {
                rejected.insert("tooOldLogEventEndIndex".to_owned(), json!(index + 1));
            } else if at_ms > now_ms + TOO_NEW_MS {
                rejected.entry("tooNewLogEventStartIndex").or_insert(json!(index));
            } else {
                group.push(stream, at_ms, now_ms, message.to_owned());
            }
        }
        let mut answer = json!({"nextSequenceToken": "1"});
        if !rejected.is_empty() {
            answer["rejectedLogEventsInfo"] = Value::Object(rejected);
        }
        Ok(answer)
    }

    /// FilterLogEvents and GetLogEvents differ in names, and in how they end.
    fn read_events(&self, operation: &str, input: &Value) -> ApiResult {
        let filtering = operation == "FilterLogEvents";
        let pattern = Pattern::parse(text(input, "filterPattern").unwrap_or_default()).map_err(invalid)?;
        let from_ms = integer(input, "startTime").unwrap_or(0);
        // FilterLogEvents includes the end, GetLogEvents does not.
        let to_ms =
            integer(input, "endTime").map_or(i64::MAX, |end| end.saturating_add(i64::from(filtering)));
        let limit =
            integer(input, "limit").map_or(PAGE_EVENTS, |limit| limit.clamp(1, PAGE_EVENTS as i64) as usize);
        let streams = if filtering { texts(input, "logStreamNames") } else { vec![stream_name(input)?] };
        let prefix = text(input, "logStreamNamePrefix").unwrap_or_default();
        let after = text(input, "nextToken").map(parse_token).transpose()?;
        self.in_group(input, |group| {
            let wanted = |event: &&Event| {
                (streams.is_empty() || streams.contains(&&*event.stream))
                    && event.stream.starts_with(prefix)
                    && after.is_none_or(|after| (event.timestamp_ms, event.id) > after)
                    && pattern.matches(&event.message)
            };
            let (mut page, mut bytes, mut more) = (Vec::new(), 0, false);
            for event in group.between(from_ms, to_ms).filter(wanted) {
                bytes += event.message.len() + group::EVENT_OVERHEAD_BYTES;
                if page.len() == limit || (bytes > PAGE_BYTES && !page.is_empty()) {
                    more = true;
                    break;
                }
                page.push(event);
            }
            let last = page.last().map(|event| (event.timestamp_ms, event.id)).or(after);
            let events: Vec<Value> = page.iter().map(|event| shown(event, filtering)).collect();
            let token = last.map(|(at_ms, id)| format!("{at_ms}/{id}"));
            match filtering {
                true if more => json!({"events": events, "searchedLogStreams": [], "nextToken": token}),
                true => json!({"events": events, "searchedLogStreams": []}),
                // GetLogEvents says that it is at the end by giving the same token again.
                false => json!({
                    "events": events, "nextForwardToken": token.as_deref().unwrap_or("0/0"), "nextBackwardToken": "0/0",
                }),
            }
        })
    }

    fn tag(&self, input: &Value) -> ApiResult {
        self.in_group(input, |group| {
            group.tags.extend(tags(input));
            json!({})
        })
    }

    fn untag(&self, input: &Value) -> ApiResult {
        self.in_group(input, |group| {
            for key in texts(input, "tagKeys").into_iter().chain(texts(input, "tags")) {
                group.tags.remove(key);
            }
            json!({})
        })
    }
}

impl Service for Logs {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move { self.answer(operation, &input) })
    }
}

fn shown(event: &Event, filtering: bool) -> Value {
    let mut shown = json!({"timestamp": event.timestamp_ms, "message": event.message, "ingestionTime": event.ingested_ms});
    if filtering {
        shown["logStreamName"] = json!(&*event.stream);
        shown["eventId"] = json!(format!("{:056}", event.id));
    }
    shown
}

fn parse_token(token: &str) -> Result<(i64, u64), ApiError> {
    let parsed = token.split_once('/').and_then(|(at_ms, id)| Some((at_ms.parse().ok()?, id.parse().ok()?)));
    parsed.ok_or_else(|| invalid("The specified nextToken is invalid."))
}

/// The group by `logGroupName`, `logGroupIdentifier` or an ARN.
fn group_name(input: &Value) -> Result<String, ApiError> {
    let given =
        ["logGroupName", "logGroupIdentifier", "resourceArn"].into_iter().find_map(|name| text(input, name));
    let given = given.ok_or_else(|| invalid("logGroupName is missing"))?;
    let name = given.split_once(":log-group:").map_or(given, |(_, name)| name);
    Ok(name.trim_end_matches(":*").to_owned())
}

fn stream_name(input: &Value) -> Result<&str, ApiError> {
    text(input, "logStreamName")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| invalid("logStreamName is missing"))
}

fn tags(input: &Value) -> BTreeMap<String, String> {
    let given = input.get("tags").and_then(Value::as_object).into_iter().flatten();
    given.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}

fn no_group() -> ApiError {
    ApiError::invalid("ResourceNotFoundException", "The specified log group does not exist.")
}

fn no_stream() -> ApiError {
    ApiError::invalid("ResourceNotFoundException", "The specified log stream does not exist.")
}

fn exists(message: &str) -> ApiError {
    ApiError::invalid("ResourceAlreadyExistsException", message)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::invalid("InvalidParameterException", message)
}
