//! SQS: standard queues with long polling, visibility, delay, retention and redrive.
//!
//! Not here: FIFO queues (refused), permissions, encryption, message move tasks, and the 60 seconds for
//! which AWS refuses to create a queue of a deleted name.

mod attributes;
mod batch;
mod error;
mod message;
mod operations;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde_json::Value;
use tokio::sync::Notify;

use self::error::{missing, no_queue};
use self::queue::{Depth, Queue};
use super::members::text;
use super::metrics::Sample;
use super::service::{ApiError, ApiResult, BoxFuture, Context, Service, unknown_operation};

/// In queue URLs until the door knows its port.
const DEFAULT_URL: &str = "http://localhost:4566";

pub struct Sqs {
    ctx: Context,
    queues: Mutex<BTreeMap<String, Arc<Handle>>>,
    /// `scheme://host:port` of the queue URLs that are given out, once the door knows its port.
    endpoint_url: Arc<OnceLock<String>>,
    random: Mutex<fastrand::Rng>,
}

/// A queue and what wakes its long polls.
struct Handle {
    queue: Mutex<Queue>,
    /// Messages may have become visible, or the queue was deleted.
    changed: Notify,
    deleted: std::sync::atomic::AtomicBool,
}

impl Handle {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no panic while a queue is locked")
    }
}

impl Sqs {
    /// `endpoint_url` may be set later: requests are resolved by a queue URL's path alone, so that URLs given
    /// out before stay good.
    pub fn new(ctx: Context, endpoint_url: Arc<OnceLock<String>>) -> Arc<Sqs> {
        let random = Mutex::new(fastrand::Rng::with_seed(ctx.seed ^ 0x5153_5153));
        Arc::new(Sqs { ctx, queues: Mutex::default(), endpoint_url, random })
    }

    /// The URL of the queue of that name, whether it exists or not.
    pub fn queue_url(&self, name: &str) -> String {
        let endpoint_url = self.endpoint_url.get().map_or(DEFAULT_URL, String::as_str);
        format!("{endpoint_url}/{}/{name}", self.ctx.account)
    }

    fn registry(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Handle>>> {
        self.queues.lock().expect("no panic while the queues are locked")
    }

    /// The queue that `QueueUrl` names; an ARN is taken too, for callers inside the endpoint.
    fn find(&self, input: &Value) -> Result<Arc<Handle>, ApiError> {
        let url = text(input, "QueueUrl").ok_or_else(|| missing("QueueUrl"))?;
        let name = url.rsplit(['/', ':']).next().unwrap_or(url);
        self.registry().get(name).cloned().ok_or_else(no_queue)
    }

    /// A random UUID, version 4, from the seed.
    fn message_id(&self) -> String {
        let bits = self.random.lock().expect("no panic while the generator is locked").u128(..);
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn emit(&self, queue: &str, metric: &str, unit: &str, value: f64) {
        let dimensions = [("QueueName", queue)];
        self.ctx.metrics.record(Sample {
            namespace: "AWS/SQS",
            metric,
            dimensions: &dimensions,
            unit,
            value,
        });
    }

    /// Depth and age, sampled whenever something changed.
    fn emit_depth(&self, queue: &str, depth: Depth) {
        self.emit(queue, "ApproximateNumberOfMessagesVisible", "Count", depth.visible as f64);
        self.emit(queue, "ApproximateNumberOfMessagesNotVisible", "Count", depth.in_flight as f64);
        self.emit(queue, "ApproximateNumberOfMessagesDelayed", "Count", depth.delayed as f64);
        self.emit(queue, "ApproximateAgeOfOldestMessage", "Seconds", depth.oldest_s as f64);
    }
}

impl Service for Sqs {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move {
            match operation {
                "SendMessage" => self.send_message(&input),
                "SendMessageBatch" => self.send_message_batch(&input),
                "ReceiveMessage" => self.receive_message(&input).await,
                "DeleteMessage" => self.delete_message(&input),
                "DeleteMessageBatch" => self.delete_message_batch(&input),
                "ChangeMessageVisibility" => self.change_message_visibility(&input),
                "ChangeMessageVisibilityBatch" => self.change_message_visibility_batch(&input),
                "CreateQueue" => self.create_queue(&input),
                "DeleteQueue" => self.delete_queue(&input),
                "GetQueueUrl" => self.get_queue_url(&input),
                "ListQueues" => self.list_queues(&input),
                "GetQueueAttributes" => self.get_queue_attributes(&input),
                "SetQueueAttributes" => self.set_queue_attributes(&input),
                "PurgeQueue" => self.purge_queue(&input),
                "TagQueue" => self.tag_queue(&input),
                "UntagQueue" => self.untag_queue(&input),
                "ListQueueTags" => self.list_queue_tags(&input),
                _ => Err(unknown_operation(operation)),
            }
        })
    }
}
