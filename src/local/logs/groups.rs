//! Groups, streams and tags. API reference, the operations of these names.

use serde_json::{Value, json};

use super::Logs;
use super::input::{group_name, group_of, invalid, limit, name_of, stream_name, tags, text};
use super::store::{Group, Stream, no_group};
use crate::local::service::{ApiError, ApiResult};

/// API reference, PutRetentionPolicy.
const RETENTION_DAYS: [i64; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1_096, 1_827, 2_192, 2_557, 2_922, 3_288,
    3_653,
];
/// Groups or streams of one page. API reference, DescribeLogGroups, `limit`.
const DESCRIBE_MAX: usize = 50;
/// API reference, TagResource.
const TAGS_MAX: usize = 50;

impl Logs {
    pub(super) fn create_group(&self, input: &Value) -> ApiResult {
        let name = group_name(input)?;
        if name.starts_with("aws/") {
            return Err(invalid("Log groups starting with 'aws/' are reserved for AWS."));
        }
        let class = input["logGroupClass"].as_str().unwrap_or("STANDARD");
        if !["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"].contains(&class) {
            return Err(invalid(format!("'{class}' is no log group class")));
        }
        let tags = tags(&input["tags"])?;
        if tags.len() > TAGS_MAX {
            return Err(invalid(format!("a log group has at most {TAGS_MAX} tags")));
        }
        let group = Group {
            created_ms: self.now_ms(),
            class: class.to_owned(),
            kms_key_id: input["kmsKeyId"].as_str().map(str::to_owned),
            deletion_protected: input["deletionProtectionEnabled"].as_bool().unwrap_or(false),
            tags,
            ..Group::default()
        };
        self.store().create_group(name, group)?;
        Ok(json!({}))
    }

    pub(super) fn describe_groups(&self, input: &Value) -> ApiResult {
        let (prefix, pattern) = (input["logGroupNamePrefix"].as_str(), input["logGroupNamePattern"].as_str());
        if prefix.is_some() && pattern.is_some() {
            return Err(invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
            ));
        }
        let named: Option<Vec<&str>> = input["logGroupIdentifiers"]
            .as_array()
            .map(|identifiers| identifiers.iter().filter_map(Value::as_str).map(name_of).collect());
        let class = input["logGroupClass"].as_str();
        let limit = limit(input, DESCRIBE_MAX, DESCRIBE_MAX)?;
        let after = input["nextToken"].as_str();
        let store = self.store();
        let mut groups = store.groups.iter().filter(|(name, group)| {
            after.is_none_or(|after| name.as_str() > after)
                && prefix.is_none_or(|prefix| name.starts_with(prefix))
                && pattern.is_none_or(|pattern| name.contains(pattern))
                && named.as_ref().is_none_or(|named| named.contains(&name.as_str()))
                && class.is_none_or(|class| group.class == class)
        });
        let page: Vec<_> = groups.by_ref().take(limit).collect();
        let more = groups.next().is_some();
        let next = page.last().filter(|_| more).map(|(name, _)| (*name).clone());
        let shown: Vec<Value> =
            page.into_iter().map(|(name, group)| self.describe_group(name, group)).collect();
        Ok(paged(json!({"logGroups": shown}), next))
    }

    fn describe_group(&self, name: &str, group: &Group) -> Value {
        let arn = self.context.arn("logs", &format!("log-group:{name}"));
        let mut shown = json!({
            "logGroupName": name, "creationTime": group.created_ms, "metricFilterCount": 0, "arn": format!("{arn}:*"),
            "logGroupArn": arn, "storedBytes": group.stored_bytes, "logGroupClass": group.class,
            "deletionProtectionEnabled": group.deletion_protected,
        });
        if let Some(days) = group.retention_days {
            shown["retentionInDays"] = json!(days);
        }
        if let Some(key) = &group.kms_key_id {
            shown["kmsKeyId"] = json!(key);
        }
        shown
    }

    pub(super) fn put_retention(&self, input: &Value) -> ApiResult {
        let days = input["retentionInDays"].as_i64().filter(|days| RETENTION_DAYS.contains(days));
        let days = days.ok_or_else(|| {
            let allowed = RETENTION_DAYS.map(|days| days.to_string());
            invalid(format!("retentionInDays must be one of {}", allowed.join(", ")))
        })?;
        self.change(group_name(input)?, |group| group.retention_days = Some(days))
    }

    pub(super) fn delete_retention(&self, input: &Value) -> ApiResult {
        self.change(group_name(input)?, |group| group.retention_days = None)
    }

    /// The key is kept and shown; nothing is encrypted.
    pub(super) fn set_key(&self, input: &Value, key: Option<&str>) -> ApiResult {
        self.change(group_name(input)?, |group| group.kms_key_id = key.map(str::to_owned))
    }

    pub(super) fn put_deletion_protection(&self, input: &Value) -> ApiResult {
        let protected = input["deletionProtectionEnabled"].as_bool();
        let protected = protected.ok_or_else(|| invalid("deletionProtectionEnabled must be given"))?;
        self.change(name_of(text(input, "logGroupIdentifier")?), |group| group.deletion_protected = protected)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Group)) -> ApiResult {
        let mut store = self.store();
        change(store.groups.get_mut(name).ok_or_else(no_group)?);
        Ok(json!({}))
    }

    pub(super) fn create_stream(&self, input: &Value) -> ApiResult {
        self.store().create_stream(group_name(input)?, stream_name(input)?, self.now_ms())?;
        Ok(json!({}))
    }

    pub(super) fn describe_streams(&self, input: &Value) -> ApiResult {
        let name = group_of(input)?;
        let prefix = input["logStreamNamePrefix"].as_str();
        let by_time = match input["orderBy"].as_str() {
            None | Some("LogStreamName") => false,
            Some("LastEventTime") if prefix.is_some() => {
                return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
            }
            Some("LastEventTime") => true,
            Some(other) => return Err(invalid(format!("'{other}' is no order of log streams"))),
        };
        let descending = input["descending"].as_bool().unwrap_or(false);
        let limit = limit(input, DESCRIBE_MAX, DESCRIBE_MAX)?;
        let after = input["nextToken"].as_str();
        let store = self.store();
        let group = store.group(name)?;
        let starts =
            |(stream, _): &(&String, &Stream)| prefix.is_none_or(|prefix| stream.starts_with(prefix));
        let mut streams: Vec<(&String, &Stream)> = group.streams.iter().filter(starts).collect();
        if by_time {
            // Streams without an event come first; the sort is stable, so that names decide ties.
            streams.sort_by_key(|(_, stream)| stream.span_ms.map(|(_, last_ms)| last_ms));
        }
        if descending {
            streams.reverse();
        }
        // A token is the last name shown: later pages follow it wherever it stands then.
        let seen = after.and_then(|after| streams.iter().position(|(stream, _)| *stream == after));
        let begin = seen.map_or(0, |at| at + 1);
        if after.is_some() && seen.is_none() {
            return Err(invalid("The specified nextToken is invalid."));
        }
        let page = &streams[begin..streams.len().min(begin + limit)];
        let more = begin + page.len() < streams.len();
        let next = page.last().filter(|_| more).map(|(stream, _)| (*stream).clone());
        let shown = page.iter().map(|(stream, described)| self.describe_stream(name, stream, described));
        Ok(paged(json!({"logStreams": shown.collect::<Vec<Value>>()}), next))
    }

    fn describe_stream(&self, group: &str, name: &str, stream: &Stream) -> Value {
        // AWS reports zero bytes for every stream since 2019. API reference, LogStream.
        let mut shown = json!({
            "logStreamName": name, "creationTime": stream.created_ms, "storedBytes": 0,
            "arn": self.context.arn("logs", &format!("log-group:{group}:log-stream:{name}")),
        });
        if let Some((first_ms, last_ms)) = stream.span_ms {
            shown["firstEventTimestamp"] = json!(first_ms);
            shown["lastEventTimestamp"] = json!(last_ms);
        }
        if let Some(ingested_ms) = stream.last_ingested_ms {
            shown["lastIngestionTime"] = json!(ingested_ms);
        }
        shown
    }

    /// For TagResource (`resource` is an ARN) and TagLogGroup (a name).
    pub(super) fn tag(&self, resource: &str, input: &Value) -> ApiResult {
        let added = tags(&input["tags"])?;
        let mut store = self.store();
        let group = store.groups.get_mut(name_of(resource)).ok_or_else(no_group)?;
        let mut tags = group.tags.clone();
        tags.extend(added);
        if tags.len() > TAGS_MAX {
            let message = format!("a log group has at most {TAGS_MAX} tags");
            return Err(ApiError::invalid("TooManyTagsException", message));
        }
        group.tags = tags;
        Ok(json!({}))
    }

    pub(super) fn untag(&self, resource: &str, keys: &Value) -> ApiResult {
        let keys = keys.as_array().into_iter().flatten().filter_map(Value::as_str);
        self.change(name_of(resource), |group| {
            for key in keys {
                group.tags.remove(key);
            }
        })
    }

    pub(super) fn list_tags(&self, resource: &str) -> ApiResult {
        Ok(json!({"tags": self.store().group(name_of(resource))?.tags}))
    }
}

fn paged(mut output: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        output["nextToken"] = json!(next);
    }
    output
}
