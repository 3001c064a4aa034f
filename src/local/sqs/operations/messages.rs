//! Operations on messages: send, receive with long polling, delete, change visibility.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::local::members::{integer, text, texts};
use crate::local::service::{ApiError, ApiResult};
use crate::local::sqs::error::{self, invalid_value, missing, no_queue};
use crate::local::sqs::message::Message;
use crate::local::sqs::queue::{Receipt, Received};
use crate::local::sqs::{Handle, Sqs, batch};
use crate::platform::limits::SQS_MESSAGE_MAX_BYTES;

/// Messages of one ReceiveMessage answer. API reference.
const RECEIVE_MAX: i64 = 10;
/// The longest poll, seconds. Same source.
const WAIT_MAX_S: i64 = 20;

/// An optional whole number within bounds.
fn bounded(input: &Value, name: &str, low: i64, high: i64) -> Result<Option<i64>, ApiError> {
    let wrong = |shown: String| {
        invalid_value(format!(
            "Value {shown} for parameter {name} is invalid. Reason: Must be >= {low} and <= {high}, if provided."
        ))
    };
    match input.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match integer(input, name) {
            Some(number) if (low..=high).contains(&number) => Ok(Some(number)),
            _ => Err(wrong(value.to_string())),
        },
    }
}

impl Sqs {
    pub(in crate::local::sqs) fn send_message(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let sent = self.send_one(&handle, input)?;
        handle.changed.notify_waiters();
        self.emit_state(&handle);
        Ok(Value::Object(sent))
    }

    pub(in crate::local::sqs) fn send_message_batch(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let entries = batch::entries(input)?;
        let bytes: usize =
            entries.iter().map(|(_, entry)| text(entry, "MessageBody").map_or(0, str::len)).sum();
        if bytes > SQS_MESSAGE_MAX_BYTES {
            let message = format!(
                "Batch requests cannot be longer than {SQS_MESSAGE_MAX_BYTES} bytes. You have sent {bytes} bytes."
            );
            return Err(error::batch("BatchRequestTooLong", message));
        }
        let results = entries.into_iter().map(|(id, entry)| (id, self.send_one(&handle, entry))).collect();
        handle.changed.notify_waiters();
        self.emit_state(&handle);
        batch::outcome(results)
    }

    fn send_one(&self, handle: &Handle, input: &Value) -> batch::EntryResult {
        let delay_s = bounded(input, "DelaySeconds", 0, 900)?;
        let now_ms = self.ctx.clock.now_ms();
        let mut queue = handle.lock();
        let largest = queue.attributes.number("MaximumMessageSize") as usize;
        let message = Message::parse(input, self.message_id(), now_ms, largest)?;
        let (sent, bytes) = (message.sent(), message.bytes);
        let lost = text(input, "MessageBody")
            .is_some_and(|body| self.ctx.faults.lose_receipt(self.ctx.clock.now_us(), body));
        if !lost {
            queue.send(message, delay_s, now_ms)?;
        }
        self.emit(&queue.name, "NumberOfMessagesSent", "Count", 1.0);
        self.emit(&queue.name, "SentMessageSize", "Bytes", bytes as f64);
        Ok(sent)
    }

    pub(in crate::local::sqs) async fn receive_message(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let most = bounded(input, "MaxNumberOfMessages", 1, RECEIVE_MAX)?.unwrap_or(1) as usize;
        let visibility_s = bounded(input, "VisibilityTimeout", 0, 43_200)?;
        let wait_s = bounded(input, "WaitTimeSeconds", 0, WAIT_MAX_S)?
            .unwrap_or_else(|| handle.lock().attributes.number("ReceiveMessageWaitTimeSeconds"));
        let received = self.poll(&handle, most, visibility_s, wait_s).await?;
        let name = handle.lock().name.clone();
        if received.messages.is_empty() {
            self.emit(&name, "NumberOfEmptyReceives", "Count", 1.0);
            return Ok(json!({}));
        }
        self.emit(&name, "NumberOfMessagesReceived", "Count", received.messages.len() as f64);
        self.emit_state(&handle);
        let mut system = texts(input, "MessageSystemAttributeNames");
        system.extend(texts(input, "AttributeNames"));
        let wanted = texts(input, "MessageAttributeNames");
        let messages: Vec<Value> = received
            .messages
            .iter()
            .map(|(receipt, message)| {
                message.received(&receipt.handle(&name), &system, &wanted, &self.ctx.account)
            })
            .collect();
        Ok(json!({ "Messages": messages }))
    }

    /// Waits for the first message, at most `wait_s`: for a send, or for a delay or a visibility timeout
    /// to end, whichever is first.
    async fn poll(
        &self,
        handle: &Handle,
        most: usize,
        visibility_s: Option<i64>,
        wait_s: i64,
    ) -> Result<Received, ApiError> {
        let clock = self.ctx.clock;
        let deadline = clock.instant() + Duration::from_secs(wait_s as u64);
        loop {
            // Registered before looking, so that a send between looking and waiting is not missed.
            let changed = handle.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if handle.deleted.load(Ordering::Acquire) {
                return Err(no_queue());
            }
            let now_ms = clock.now_ms();
            let (mut received, next_visible_ms) = {
                let mut queue = handle.lock();
                let received = queue.receive(most, visibility_s, now_ms)?;
                (received, queue.next_visible_ms())
            };
            self.redrive(handle, &mut received, now_ms);
            if !received.messages.is_empty() || clock.instant() >= deadline {
                return Ok(received);
            }
            let next =
                next_visible_ms.map_or(deadline, |at_ms| clock.instant_of(at_ms * 1_000).min(deadline));
            tokio::select! {
                biased;
                () = &mut changed => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Moves what was received too often to the queue of the redrive policy, as it was sent; it is dropped
    /// when that queue is gone.
    fn redrive(&self, from: &Handle, received: &mut Received, now_ms: i64) {
        if received.redriven.is_empty() {
            return;
        }
        let target = from.lock().attributes.redrive.as_ref().map(|policy| policy.target_arn.clone());
        let target = target.and_then(|arn| self.find(&json!({ "QueueUrl": arn })).ok());
        let messages = std::mem::take(&mut received.redriven);
        let Some(target) = target else {
            tracing::warn!(count = messages.len(), "the redrive policy names a queue that does not exist");
            return;
        };
        for message in messages {
            if let Err(error) = target.lock().send(message, Some(0), now_ms) {
                tracing::warn!(%error, "a message could not be moved to the dead-letter queue");
            }
        }
        target.changed.notify_waiters();
        self.emit_state(&target);
    }

    pub(in crate::local::sqs) fn delete_message(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        self.delete_one(&handle, input)?;
        self.emit_state(&handle);
        Ok(json!({}))
    }

    pub(in crate::local::sqs) fn delete_message_batch(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let entries = batch::entries(input)?;
        let results = entries.into_iter().map(|(id, entry)| (id, self.delete_one(&handle, entry))).collect();
        self.emit_state(&handle);
        batch::outcome(results)
    }

    fn delete_one(&self, handle: &Handle, input: &Value) -> batch::EntryResult {
        let receipt = text(input, "ReceiptHandle").ok_or_else(|| missing("ReceiptHandle"))?;
        let mut queue = handle.lock();
        let receipt = Receipt::parse(receipt, &queue.name)?;
        if queue.delete(receipt, self.ctx.clock.now_ms()) {
            self.emit(&queue.name, "NumberOfMessagesDeleted", "Count", 1.0);
        }
        Ok(Map::new())
    }

    pub(in crate::local::sqs) fn change_message_visibility(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        self.change_one(&handle, input)?;
        handle.changed.notify_waiters();
        Ok(json!({}))
    }

    pub(in crate::local::sqs) fn change_message_visibility_batch(&self, input: &Value) -> ApiResult {
        let handle = self.find(input)?;
        let entries = batch::entries(input)?;
        let results = entries.into_iter().map(|(id, entry)| (id, self.change_one(&handle, entry))).collect();
        handle.changed.notify_waiters();
        batch::outcome(results)
    }

    fn change_one(&self, handle: &Handle, input: &Value) -> batch::EntryResult {
        let receipt = text(input, "ReceiptHandle").ok_or_else(|| missing("ReceiptHandle"))?;
        let visibility_s =
            bounded(input, "VisibilityTimeout", 0, 43_200)?.ok_or_else(|| missing("VisibilityTimeout"))?;
        let mut queue = handle.lock();
        let receipt = Receipt::parse(receipt, &queue.name)?;
        queue.change_visibility(receipt, visibility_s, self.ctx.clock.now_ms())?;
        Ok(Map::new())
    }

    fn emit_state(&self, handle: &Arc<Handle>) {
        let (name, depth) = {
            let mut queue = handle.lock();
            (queue.name.clone(), queue.depth(self.ctx.clock.now_ms()))
        };
        self.emit_depth(&name, depth);
    }
}
