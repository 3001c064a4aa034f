//! One standard queue as a state machine over time: delayed, visible, in flight, gone.

use std::collections::{BTreeMap, BTreeSet};

use super::attributes::Attributes;
use super::error::{invalid_handle, not_in_flight, over_limit, purge_in_progress, throttled};
use super::message::Message;
use crate::local::service::ApiError;

/// Messages of a standard queue in flight. SQS developer guide, "Quotas".
const IN_FLIGHT_MAX: usize = 120_000;
/// Bytes that one local queue holds; AWS has no such limit. Bounds this process's memory.
const STORED_MAX_BYTES: usize = 512 * 1_048_576;
/// Between two purges. API reference, PurgeQueue.
const PURGE_EVERY_MS: i64 = 60_000;
/// Longest time that a message stays invisible after it was received. API reference.
const VISIBILITY_MAX_S: i64 = 43_200;

/// Messages are numbered as they are sent, which is also their order by age.
type Number = u64;

pub struct Queue {
    pub name: String,
    pub attributes: Attributes,
    pub tags: BTreeMap<String, String>,
    pub created_ms: i64,
    pub modified_ms: i64,
    messages: BTreeMap<Number, Stored>,
    /// Delayed or in flight, by the time at which they can be received (again).
    waiting: BTreeSet<(i64, Number)>,
    visible: BTreeSet<Number>,
    delayed: usize,
    stored_bytes: usize,
    next_number: Number,
    purged_ms: Option<i64>,
}

struct Stored {
    message: Message,
    place: Place,
    /// Counts receives: a receipt handle is good while nothing received the message again.
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Visible,
    Delayed { until_ms: i64 },
    InFlight { until_ms: i64 },
}

/// What a receipt handle says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub number: Number,
    pub generation: u64,
}

/// Approximate numbers, which here are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub visible: usize,
    pub in_flight: usize,
    pub delayed: usize,
    /// Age of the oldest message that was not deleted.
    pub oldest_s: i64,
}

/// What one receive took out.
#[derive(Default)]
pub struct Received {
    pub messages: Vec<(Receipt, Message)>,
    /// Received too often: for the queue that the redrive policy names.
    pub redriven: Vec<Message>,
}

impl Queue {
    pub fn new(name: String, attributes: Attributes, tags: BTreeMap<String, String>, now_ms: i64) -> Queue {
        Queue {
            name,
            attributes,
            tags,
            created_ms: now_ms,
            modified_ms: now_ms,
            messages: BTreeMap::new(),
            waiting: BTreeSet::new(),
            visible: BTreeSet::new(),
            delayed: 0,
            stored_bytes: 0,
            next_number: 0,
            purged_ms: None,
        }
    }

    /// Takes a message in; it can be received after `delay_s`, or the queue's own delay.
    ///
    /// # Errors
    /// When this process holds as much as it may.
    pub fn send(&mut self, message: Message, delay_s: Option<i64>, now_ms: i64) -> Result<(), ApiError> {
        self.advance(now_ms);
        if self.stored_bytes + message.bytes > STORED_MAX_BYTES {
            return Err(throttled(format!(
                "the local endpoint keeps at most {STORED_MAX_BYTES} bytes a queue"
            )));
        }
        let delay_s = delay_s.unwrap_or_else(|| self.attributes.number("DelaySeconds"));
        let number = self.next_number;
        self.next_number += 1;
        self.stored_bytes += message.bytes;
        let place = if delay_s > 0 {
            let until_ms = now_ms + delay_s * 1_000;
            self.waiting.insert((until_ms, number));
            self.delayed += 1;
            Place::Delayed { until_ms }
        } else {
            self.visible.insert(number);
            Place::Visible
        };
        self.messages.insert(number, Stored { message, place, generation: 0 });
        Ok(())
    }

    /// Takes up to `most` visible messages out for `visibility_s` (or the queue's own timeout).
    ///
    /// # Errors
    /// When as many messages are in flight as SQS allows.
    pub fn receive(
        &mut self,
        most: usize,
        visibility_s: Option<i64>,
        now_ms: i64,
    ) -> Result<Received, ApiError> {
        self.advance(now_ms);
        let visibility_s = visibility_s.unwrap_or_else(|| self.attributes.number("VisibilityTimeout"));
        let mut received = Received::default();
        while received.messages.len() < most {
            let Some(number) = self.visible.first().copied() else { break };
            if self.waiting.len() - self.delayed >= IN_FLIGHT_MAX {
                if received.messages.is_empty() {
                    return Err(over_limit());
                }
                break;
            }
            self.visible.remove(&number);
            if self.is_due_for_redrive(number) {
                received.redriven.extend(self.remove(number));
                continue;
            }
            let Some(stored) = self.messages.get_mut(&number) else { continue };
            stored.generation += 1;
            stored.message.receive_count += 1;
            stored.message.first_received_ms.get_or_insert(now_ms);
            let receipt = Receipt { number, generation: stored.generation };
            received.messages.push((receipt, stored.message.clone()));
            if visibility_s > 0 {
                let until_ms = now_ms + visibility_s * 1_000;
                stored.place = Place::InFlight { until_ms };
                self.waiting.insert((until_ms, number));
            }
        }
        // A timeout of zero makes what was received visible at once, but not twice in one answer.
        if visibility_s <= 0 {
            self.visible.extend(received.messages.iter().map(|(receipt, _)| receipt.number));
        }
        Ok(received)
    }

    fn is_due_for_redrive(&self, number: Number) -> bool {
        let most = self.attributes.redrive.as_ref().map(|policy| policy.max_receive_count);
        let count = self.messages.get(&number).map(|stored| stored.message.receive_count);
        matches!((most, count), (Some(most), Some(count)) if count >= most)
    }

    /// Deletes by receipt. A handle of an earlier receive succeeds and deletes nothing, as the API reference
    /// of DeleteMessage says. Gives whether something was deleted.
    pub fn delete(&mut self, receipt: Receipt, now_ms: i64) -> bool {
        self.advance(now_ms);
        match self.messages.get(&receipt.number) {
            Some(stored) if stored.generation == receipt.generation => self.remove(receipt.number).is_some(),
            _ => false,
        }
    }

    /// Sets how long from now a message in flight stays invisible; 0 makes it visible.
    ///
    /// # Errors
    /// When the message is not in flight under this receipt.
    pub fn change_visibility(
        &mut self,
        receipt: Receipt,
        visibility_s: i64,
        now_ms: i64,
    ) -> Result<(), ApiError> {
        self.advance(now_ms);
        let stored = self.messages.get_mut(&receipt.number).ok_or_else(not_in_flight)?;
        let Place::InFlight { until_ms } = stored.place else { return Err(not_in_flight()) };
        if stored.generation != receipt.generation {
            return Err(not_in_flight());
        }
        self.waiting.remove(&(until_ms, receipt.number));
        let until_ms = now_ms + visibility_s.min(VISIBILITY_MAX_S) * 1_000;
        if until_ms > now_ms {
            stored.place = Place::InFlight { until_ms };
            self.waiting.insert((until_ms, receipt.number));
        } else {
            stored.place = Place::Visible;
            self.visible.insert(receipt.number);
        }
        Ok(())
    }

    /// # Errors
    /// When the last purge was less than a minute ago.
    pub fn purge(&mut self, now_ms: i64) -> Result<(), ApiError> {
        if self.purged_ms.is_some_and(|at| now_ms - at < PURGE_EVERY_MS) {
            return Err(purge_in_progress(&self.name));
        }
        self.purged_ms = Some(now_ms);
        self.messages.clear();
        self.waiting.clear();
        self.visible.clear();
        (self.delayed, self.stored_bytes) = (0, 0);
        Ok(())
    }

    pub fn depth(&mut self, now_ms: i64) -> Depth {
        self.advance(now_ms);
        let oldest = self.messages.first_key_value();
        Depth {
            visible: self.visible.len(),
            in_flight: self.waiting.len() - self.delayed,
            delayed: self.delayed,
            oldest_s: oldest.map_or(0, |(_, stored)| (now_ms - stored.message.sent_ms).max(0) / 1_000),
        }
    }

    /// When the next delayed or in-flight message becomes visible.
    pub fn next_visible_ms(&self) -> Option<i64> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Does what time has done: messages become visible, or pass their retention.
    fn advance(&mut self, now_ms: i64) {
        while let Some(&(until_ms, number)) = self.waiting.first() {
            if until_ms > now_ms {
                break;
            }
            self.waiting.pop_first();
            if let Some(stored) = self.messages.get_mut(&number) {
                self.delayed -= usize::from(matches!(stored.place, Place::Delayed { .. }));
                stored.place = Place::Visible;
                self.visible.insert(number);
            }
        }
        let oldest_kept_ms = now_ms - self.attributes.number("MessageRetentionPeriod") * 1_000;
        while let Some((&number, stored)) = self.messages.first_key_value() {
            if stored.message.sent_ms > oldest_kept_ms {
                break;
            }
            self.remove(number);
        }
    }

    fn remove(&mut self, number: Number) -> Option<Message> {
        let stored = self.messages.remove(&number)?;
        match stored.place {
            Place::Visible => drop(self.visible.remove(&number)),
            Place::Delayed { until_ms } => {
                self.waiting.remove(&(until_ms, number));
                self.delayed -= 1;
            }
            Place::InFlight { until_ms } => drop(self.waiting.remove(&(until_ms, number))),
        }
        self.stored_bytes -= stored.message.bytes;
        Some(stored.message)
    }
}

impl Receipt {
    /// The handle is opaque to clients; it names the queue so that one of another queue is refused.
    pub fn handle(self, queue: &str) -> String {
        use base64::Engine;
        let text = format!("{queue}/{}/{}", self.number, self.generation);
        base64::engine::general_purpose::STANDARD.encode(text)
    }

    /// # Errors
    /// When it is no handle of this queue.
    pub fn parse(handle: &str, queue: &str) -> Result<Receipt, ApiError> {
        use base64::Engine;
        let read = || {
            let text = base64::engine::general_purpose::STANDARD.decode(handle).ok()?;
            let text = String::from_utf8(text).ok()?;
            let (number, generation) = text.strip_prefix(queue)?.strip_prefix('/')?.split_once('/')?;
            Some(Receipt { number: number.parse().ok()?, generation: generation.parse().ok()? })
        };
        read().ok_or_else(|| invalid_handle(handle))
    }
}
