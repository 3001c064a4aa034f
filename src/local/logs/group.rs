//! A log group: its streams and its events in order of time, bounded.

use std::collections::{BTreeMap, VecDeque};

/// A group keeps this much; the oldest events go first. A day of REPORT lines at 100 invocations/s is less.
pub const GROUP_MAX_BYTES: usize = 256 * 1_048_576;
/// What CloudWatch Logs counts for an event beside its message: PutLogEvents API reference.
pub const EVENT_OVERHEAD_BYTES: usize = 26;

#[derive(Clone, Debug)]
pub struct Event {
    /// Never repeats within a group.
    pub id: u64,
    pub timestamp_ms: i64,
    pub ingested_ms: i64,
    pub stream: std::sync::Arc<str>,
    pub message: String,
}

#[derive(Debug, Default)]
pub struct Stream {
    pub created_ms: i64,
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
}

#[derive(Debug, Default)]
pub struct Group {
    pub created_ms: i64,
    pub retention_days: Option<i64>,
    pub class: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub streams: BTreeMap<String, Stream>,
    events: VecDeque<Event>,
    bytes: usize,
    next_id: u64,
    /// Events that went for want of room.
    pub dropped: u64,
}

impl Group {
    pub fn stored_bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event to a stream that exists.
    pub fn push(&mut self, stream: &str, timestamp_ms: i64, ingested_ms: i64, message: String) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.first_ms = Some(stream.first_ms.map_or(timestamp_ms, |first| first.min(timestamp_ms)));
            stream.last_ms = Some(stream.last_ms.map_or(timestamp_ms, |last| last.max(timestamp_ms)));
        }
        self.bytes += message.len() + EVENT_OVERHEAD_BYTES;
        let event = Event { id: self.next_id, timestamp_ms, ingested_ms, stream: stream.into(), message };
        self.next_id += 1;
        // Events come almost in order: look for the place from the end.
        let later = self.events.iter().rev().take_while(|other| other.timestamp_ms > timestamp_ms).count();
        self.events.insert(self.events.len() - later, event);
        while self.bytes > GROUP_MAX_BYTES
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.message.len() + EVENT_OVERHEAD_BYTES;
            self.dropped += 1;
        }
    }

    /// Events with `from_ms <= timestamp < to_ms`, by time and then in the order in which they came.
    pub fn between(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Event> {
        let first = self.events.partition_point(|event| event.timestamp_ms < from_ms);
        self.events.range(first..).take_while(move |event| event.timestamp_ms < to_ms)
    }

    pub fn remove_stream(&mut self, name: &str) -> bool {
        let removed = self.streams.remove(name).is_some();
        self.events.retain(|event| &*event.stream != name);
        self.bytes = self.events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
        removed
    }
}
