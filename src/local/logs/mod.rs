//! CloudWatch Logs: groups, streams, events, and the searches that the tool and its users make.
//!
//! Not modelled: metric filters, subscriptions, Insights queries, throttling.

mod groups;
mod input;
mod pattern;
mod put;
mod read;
pub mod store;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use self::input::{group_name, stream_name, text};
use self::store::{GROUP_BYTES_MAX, Store, TOTAL_BYTES_MAX};
use super::service::{ApiResult, BoxFuture, Context, Service, unknown_operation};

pub struct Logs {
    context: Context,
    store: Mutex<Store>,
}

impl Logs {
    pub fn new(context: Context) -> Arc<Logs> {
        Logs::bounded(context, GROUP_BYTES_MAX)
    }

    /// Keeps that many bytes of a group's events; the oldest go first.
    pub fn bounded(context: Context, group_bytes_max: u64) -> Arc<Logs> {
        Arc::new(Logs { context, store: Mutex::new(Store::bounded(group_bytes_max, TOTAL_BYTES_MAX)) })
    }

    /// Events of a group that went because memory is bounded; `None` without such a group.
    pub fn dropped_events(&self, group: &str) -> Option<u64> {
        self.store().groups.get(group).map(|group| group.dropped)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Nothing in here panics halfway through a change; a poisoned store is still whole.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        self.context.clock.now_ms()
    }

    fn operate(&self, operation: &str, input: Value) -> ApiResult {
        match operation {
            "PutLogEvents" => self.put_events(input),
            "GetLogEvents" => self.get_events(&input),
            "FilterLogEvents" => self.filter_events(&input),
            "CreateLogGroup" => self.create_group(&input),
            "DeleteLogGroup" => self.store().delete_group(group_name(&input)?).map(|()| json!({})),
            "DescribeLogGroups" => self.describe_groups(&input),
            "PutRetentionPolicy" => self.put_retention(&input),
            "DeleteRetentionPolicy" => self.delete_retention(&input),
            "PutLogGroupDeletionProtection" => self.put_deletion_protection(&input),
            "AssociateKmsKey" => self.set_key(&input, Some(text(&input, "kmsKeyId")?)),
            "DisassociateKmsKey" => self.set_key(&input, None),
            "CreateLogStream" => self.create_stream(&input),
            "DeleteLogStream" => {
                self.store().delete_stream(group_name(&input)?, stream_name(&input)?).map(|()| json!({}))
            }
            "DescribeLogStreams" => self.describe_streams(&input),
            "TagResource" => self.tag(text(&input, "resourceArn")?, &input),
            "UntagResource" => self.untag(text(&input, "resourceArn")?, &input["tagKeys"]),
            "ListTagsForResource" => self.list_tags(text(&input, "resourceArn")?),
            "TagLogGroup" => self.tag(group_name(&input)?, &input),
            "UntagLogGroup" => self.untag(group_name(&input)?, &input["tags"]),
            "ListTagsLogGroup" => self.list_tags(group_name(&input)?),
            _ => Err(unknown_operation(operation)),
        }
    }
}

impl Service for Logs {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move { self.operate(operation, input) })
    }
}
