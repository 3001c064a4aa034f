//! Operations on queues: create, delete, find, configure, tag.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use crate::local::members::{integer, text, texts};
use crate::local::service::{ApiError, ApiResult};
use crate::local::sqs::attributes::Attributes;
use crate::local::sqs::error::{
    invalid_attribute_name, invalid_value, missing, no_queue, queue_exists, unsupported,
};
use crate::local::sqs::queue::{Depth, Queue};
use crate::local::sqs::{Handle, Sqs};

/// Queues of one ListQueues answer. API reference.
const LIST_MAX: i64 = 1_000;
/// Tags of a queue. SQS developer guide, "Quotas".
const TAGS_MAX: usize = 50;
/// Attributes that are told, not set.
const COMPUTED: &[&str] = &[
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

impl Sqs {
    pub(in crate::local::sqs) fn create_queue(&self, input: &Value) -> ApiResult {
        let name = text(input, "QueueName").ok_or_else(|| missing("QueueName"))?;
        check_name(name)?;
        let mut attributes = Attributes::default();
        attributes.update(input.get("Attributes").unwrap_or(&Value::Null))?;
        let mut registry = self.registry();
        if let Some(existing) = registry.get(name) {
            if let Some(attribute) = existing.lock().attributes.first_difference(&attributes) {
                return Err(queue_exists(&attribute));
            }
        } else {
            let tags = tag_map(input.get("tags").or_else(|| input.get("Tags")));
            let queue = Queue::new(name.to_owned(), attributes, tags, self.ctx.clock.now_ms());
            let handle =
                Handle { queue: Mutex::new(queue), changed: Notify::new(), deleted: AtomicBool::new(false) };
            registry.insert(name.to_owned(), Arc::new(handle));
        }
        Ok(json!({ "QueueUrl": self.queue_url(name) }))
    }

    pub(in crate::local::sqs) fn delete_queue(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let name = handle.lock().name.clone();
        self.registry().remove(&name);
        handle.deleted.store(true, Ordering::Release);
        handle.changed.notify_waiters();
        Ok(json!({}))
    }

    pub(in crate::local::sqs) fn get_queue_url(&self, input: &Value) -> ApiResult {
        let name = text(input, "QueueName").ok_or_else(|| missing("QueueName"))?;
        if !self.registry().contains_key(name) {
            return Err(no_queue());
        }
        Ok(json!({ "QueueUrl": self.queue_url(name) }))
    }

    pub(in crate::local::sqs) fn list_queues(&self, input: &Value) -> ApiResult {
        let prefix = text(input, "QueueNamePrefix").unwrap_or("");
        let most = integer(input, "MaxResults");
        if most.is_some_and(|most| !(1..=LIST_MAX).contains(&most)) {
            return Err(invalid_value(
                "Value for parameter MaxResults is invalid. Reason: Must be between 1 and 1000.",
            ));
        }
        let after = text(input, "NextToken").unwrap_or("");
        let registry = self.registry();
        let mut names = registry.keys().filter(|name| name.starts_with(prefix) && name.as_str() > after);
        let page: Vec<&String> = names.by_ref().take(most.unwrap_or(LIST_MAX) as usize).collect();
        let mut output =
            json!({ "QueueUrls": page.iter().map(|name| self.queue_url(name)).collect::<Vec<_>>() });
        // Without MaxResults the answer is cut and no token is given, as the API reference says.
        if let (Some(_), Some(_), Some(last)) = (most, names.next(), page.last()) {
            output["NextToken"] = Value::from(last.as_str());
        }
        Ok(output)
    }

    pub(in crate::local::sqs) fn get_queue_attributes(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let mut names = texts(input, "AttributeNames");
        if let Some(unknown) = names
            .iter()
            .find(|name| **name != "All" && !COMPUTED.contains(name) && !Attributes::is_known(name))
        {
            return Err(invalid_attribute_name(unknown));
        }
        if names.contains(&"All") {
            names = COMPUTED.iter().copied().chain(Attributes::names()).collect();
        }
        let mut queue = handle.lock();
        let depth = queue.depth(self.ctx.clock.now_ms());
        let mut given = Map::new();
        for name in names {
            if let Some(value) = self.attribute(&queue, depth, name) {
                given.insert(name.to_owned(), Value::from(value));
            }
        }
        Ok(if given.is_empty() { json!({}) } else { json!({ "Attributes": given }) })
    }

    fn attribute(&self, queue: &Queue, depth: Depth, name: &str) -> Option<String> {
        Some(match name {
            "ApproximateNumberOfMessages" => depth.visible.to_string(),
            "ApproximateNumberOfMessagesDelayed" => depth.delayed.to_string(),
            "ApproximateNumberOfMessagesNotVisible" => depth.in_flight.to_string(),
            "CreatedTimestamp" => queue.created_ms.div_euclid(1_000).to_string(),
            "LastModifiedTimestamp" => queue.modified_ms.div_euclid(1_000).to_string(),
            "QueueArn" => self.ctx.arn("sqs", &queue.name),
            _ => return queue.attributes.get(name),
        })
    }

    pub(in crate::local::sqs) fn set_queue_attributes(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let attributes = input.get("Attributes").ok_or_else(|| missing("Attributes"))?;
        let mut queue = handle.lock();
        queue.attributes.update(attributes)?;
        queue.modified_ms = self.ctx.clock.now_ms();
        Ok(json!({}))
    }

    pub(in crate::local::sqs) fn purge_queue(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let now_ms = self.ctx.clock.now_ms();
        let (name, depth) = {
            let mut queue = handle.lock();
            queue.purge(now_ms)?;
            (queue.name.clone(), queue.depth(now_ms))
        };
        self.emit_depth(&name, depth);
        Ok(json!({}))
    }

    pub(in crate::local::sqs) fn tag_queue(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let mut queue = handle.lock();
        let mut tags = queue.tags.clone();
        tags.extend(tag_map(input.get("Tags")));
        if tags.len() > TAGS_MAX {
            return Err(invalid_value(format!("Too many tags for a queue: at most {TAGS_MAX}.")));
        }
        queue.tags = tags;
        Ok(json!({}))
    }

    pub(in crate::local::sqs) fn untag_queue(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let mut queue = handle.lock();
        texts(input, "TagKeys").into_iter().for_each(|key| drop(queue.tags.remove(key)));
        Ok(json!({}))
    }

    pub(in crate::local::sqs) fn list_queue_tags(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let queue = handle.lock();
        Ok(if queue.tags.is_empty() { json!({}) } else { json!({ "Tags": queue.tags }) })
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.ends_with(".fifo") {
        return Err(unsupported("The local endpoint has no FIFO queues."));
    }
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 80 || !name.chars().all(known) {
        return Err(invalid_value(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ));
    }
    Ok(())
}

/// Tags of a queue are a map, unlike those of most services.
fn tag_map(tags: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = tags.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
