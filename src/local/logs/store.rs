//! What is kept: groups, their streams, and events in order of time, within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::local::service::ApiError;

/// Memory of one group's events. CloudWatch has no such limit; the oldest go first.
pub const GROUP_BYTES_MAX: u64 = 64 << 20;
/// Memory of all groups' events together: beyond it the largest group loses its oldest.
pub const TOTAL_BYTES_MAX: u64 = 512 << 20;
/// What an event takes in memory beside its message: more than the 26 bytes that AWS counts.
const EVENT_MEMORY_BYTES: u64 = 128;
/// What an event counts beside its message. API reference, PutLogEvents.
pub const EVENT_OVERHEAD_BYTES: usize = 26;
/// AWS allows 1,000,000 groups a region, and streams without limit; memory does not.
const GROUPS_MAX: usize = 10_000;
const STREAMS_MAX: usize = 100_000;
const DAY_MS: i64 = 86_400_000;

/// Where an event stands: its time in milliseconds, then the order of arrival. Arrivals count from 1, so that
/// there is a place before each event and one after it.
pub type Place = (i64, u64);

pub struct Store {
    pub groups: BTreeMap<String, Group>,
    bytes: u64,
    arrivals: u64,
    group_bytes_max: u64,
    total_bytes_max: u64,
}

#[derive(Default)]
pub struct Group {
    pub created_ms: i64,
    /// `None` keeps events for ever.
    pub retention_days: Option<i64>,
    pub class: String,
    pub kms_key_id: Option<String>,
    pub deletion_protected: bool,
    pub tags: BTreeMap<String, String>,
    pub streams: BTreeMap<String, Stream>,
    /// Of all streams.
    pub events: BTreeMap<Place, Event>,
    /// As AWS counts: messages, and 26 for each.
    pub stored_bytes: u64,
    /// Events that went because of the bounds on memory, since the group was created.
    pub dropped: u64,
    /// Memory of the events.
    pub(super) bytes: u64,
}

#[derive(Default)]
pub struct Stream {
    pub created_ms: i64,
    /// Times of the earliest and the latest event; nothing before the first one.
    pub span_ms: Option<(i64, i64)>,
    pub last_ingested_ms: Option<i64>,
    /// Shared with the stream's events.
    pub name: Arc<str>,
}

#[derive(Debug)]
pub struct Event {
    pub stream: Arc<str>,
    pub ingested_ms: i64,
    pub message: Box<str>,
}

impl Event {
    /// Bytes as AWS counts them.
    pub fn counted_bytes(&self) -> usize {
        self.message.len() + EVENT_OVERHEAD_BYTES
    }

    fn memory_bytes(&self) -> u64 {
        self.message.len() as u64 + EVENT_MEMORY_BYTES
    }
}

impl Default for Store {
    fn default() -> Store {
        Store::bounded(GROUP_BYTES_MAX, TOTAL_BYTES_MAX)
    }
}

impl Store {
    pub fn bounded(group_bytes_max: u64, total_bytes_max: u64) -> Store {
        Store { groups: BTreeMap::new(), bytes: 0, arrivals: 0, group_bytes_max, total_bytes_max }
    }

    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn group(&self, name: &str) -> Result<&Group, ApiError> {
        self.groups.get(name).ok_or_else(no_group)
    }

    /// The group without what its retention has passed.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn group_at(&mut self, name: &str, now_ms: i64) -> Result<&mut Group, ApiError> {
        let group = self.groups.get_mut(name).ok_or_else(no_group)?;
        if let Some(days) = group.retention_days {
            let oldest = (now_ms.saturating_sub(days.saturating_mul(DAY_MS)), 0);
            while group.events.first_key_value().is_some_and(|(place, _)| *place < oldest) {
                self.bytes -= group.remove_oldest();
            }
        }
        Ok(group)
    }

    /// # Errors
    /// `ResourceAlreadyExistsException`, `LimitExceededException`.
    pub fn create_group(&mut self, name: &str, group: Group) -> Result<(), ApiError> {
        if self.groups.contains_key(name) {
            let message = "The specified log group already exists";
            return Err(ApiError::invalid("ResourceAlreadyExistsException", message));
        }
        if self.groups.len() == GROUPS_MAX {
            let message = format!("the local endpoint keeps {GROUPS_MAX} log groups at most");
            return Err(ApiError::invalid("LimitExceededException", message));
        }
        self.groups.insert(name.to_owned(), group);
        Ok(())
    }

    /// # Errors
    /// `ResourceNotFoundException`; `ValidationException` when it is protected.
    pub fn delete_group(&mut self, name: &str) -> Result<(), ApiError> {
        if self.group(name)?.deletion_protected {
            let message = "The log group is protected from deletion";
            return Err(ApiError::invalid("ValidationException", message));
        }
        if let Some(group) = self.groups.remove(name) {
            self.bytes -= group.bytes;
        }
        Ok(())
    }

    /// # Errors
    /// `ResourceNotFoundException`, `ResourceAlreadyExistsException`, `LimitExceededException`.
    pub fn create_stream(&mut self, group: &str, stream: &str, now_ms: i64) -> Result<(), ApiError> {
        let group = self.groups.get_mut(group).ok_or_else(no_group)?;
        if group.streams.contains_key(stream) {
            let message = "The specified log stream already exists";
            return Err(ApiError::invalid("ResourceAlreadyExistsException", message));
        }
        if group.streams.len() == STREAMS_MAX {
            let message = format!("the local endpoint keeps {STREAMS_MAX} log streams a group at most");
            return Err(ApiError::invalid("LimitExceededException", message));
        }
        let created = Stream { created_ms: now_ms, name: Arc::from(stream), ..Stream::default() };
        group.streams.insert(stream.to_owned(), created);
        Ok(())
    }

    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn delete_stream(&mut self, group: &str, stream: &str) -> Result<(), ApiError> {
        let group = self.groups.get_mut(group).ok_or_else(no_group)?;
        group.streams.remove(stream).ok_or_else(no_stream)?;
        let bytes_before = group.bytes;
        let Group { events, stored_bytes, bytes, .. } = group;
        events.retain(|_, event| {
            let stays = *event.stream != *stream;
            if !stays {
                *stored_bytes -= event.counted_bytes() as u64;
                *bytes -= event.memory_bytes();
            }
            stays
        });
        self.bytes -= bytes_before - group.bytes;
        Ok(())
    }

    /// Adds events (time in milliseconds, message) to a stream; drops the oldest where the bounds ask for it.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn add(
        &mut self,
        group: &str,
        stream: &str,
        events: impl Iterator<Item = (i64, Box<str>)>,
        now_ms: i64,
    ) -> Result<(), ApiError> {
        let into = self.groups.get_mut(group).ok_or_else(no_group)?;
        let stream = into.streams.get_mut(stream).ok_or_else(no_stream)?;
        for (at_ms, message) in events {
            let event = Event { stream: Arc::clone(&stream.name), ingested_ms: now_ms, message };
            self.arrivals += 1;
            self.bytes += event.memory_bytes();
            into.bytes += event.memory_bytes();
            into.stored_bytes += event.counted_bytes() as u64;
            into.events.insert((at_ms, self.arrivals), event);
            let span_ms = stream.span_ms.get_or_insert((at_ms, at_ms));
            *span_ms = (span_ms.0.min(at_ms), span_ms.1.max(at_ms));
            stream.last_ingested_ms = Some(now_ms);
        }
        while into.bytes > self.group_bytes_max {
            self.bytes -= into.drop_oldest(group);
        }
        while self.bytes > self.total_bytes_max {
            let Some((name, largest)) = self.groups.iter_mut().max_by_key(|(_, group)| group.bytes) else {
                break;
            };
            self.bytes -= largest.drop_oldest(name);
        }
        Ok(())
    }
}

impl Group {
    /// The bytes of memory that became free.
    fn remove_oldest(&mut self) -> u64 {
        let Some((_, event)) = self.events.pop_first() else { return 0 };
        self.bytes -= event.memory_bytes();
        self.stored_bytes -= event.counted_bytes() as u64;
        event.memory_bytes()
    }

    fn drop_oldest(&mut self, name: &str) -> u64 {
        if self.dropped == 0 {
            tracing::warn!(group = name, "a log group is full: its oldest events are dropped from now on");
        }
        self.dropped += 1;
        self.remove_oldest()
    }
}

pub fn no_group() -> ApiError {
    ApiError::invalid("ResourceNotFoundException", "The specified log group does not exist.")
}

pub fn no_stream() -> ApiError {
    ApiError::invalid("ResourceNotFoundException", "The specified log stream does not exist.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(store: &mut Store, group: &str, count: i64) {
        let _ = store.create_group(group, Group::default());
        let _ = store.create_stream(group, "s", 0);
        store.add(group, "s", (0..count).map(|at| (at, "x".repeat(72).into_boxed_str())), 0).unwrap();
    }

    fn recounted(store: &Store) -> (u64, u64, u64) {
        let groups = store.groups.values();
        let memory = groups.clone().flat_map(|group| group.events.values()).map(Event::memory_bytes).sum();
        let counted: usize =
            groups.clone().flat_map(|group| group.events.values()).map(Event::counted_bytes).sum();
        assert_eq!(groups.clone().map(|group| group.bytes).sum::<u64>(), memory);
        assert_eq!(groups.map(|group| group.stored_bytes).sum::<u64>(), counted as u64);
        (store.bytes, memory, counted as u64)
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        // Each event takes 200 bytes: five fit a group, eight all groups.
        let mut store = Store::bounded(1_000, 1_600);
        filled(&mut store, "a", 7);
        let group = store.group("a").unwrap();
        assert_eq!((group.dropped, group.events.len()), (2, 5));
        assert_eq!(group.events.first_key_value().unwrap().0.0, 2);
        filled(&mut store, "b", 4);
        assert_eq!(store.group("a").unwrap().dropped, 3);
        assert_eq!(recounted(&store), (1_600, 1_600, 784));
        store.delete_stream("b", "s").unwrap();
        assert_eq!(recounted(&store), (800, 800, 392));
        store.delete_group("a").unwrap();
        assert_eq!(recounted(&store), (0, 0, 0));
    }

    #[test]
    fn what_the_retention_has_passed_is_gone() {
        let mut store = Store::default();
        filled(&mut store, "a", 3);
        store.groups.get_mut("a").unwrap().retention_days = Some(1);
        assert_eq!(store.group_at("a", DAY_MS).unwrap().events.len(), 3);
        let group = store.group_at("a", DAY_MS + 2).unwrap();
        assert_eq!((group.events.len(), group.dropped), (1, 0));
        assert_eq!(recounted(&store).0, 200);
    }
}
