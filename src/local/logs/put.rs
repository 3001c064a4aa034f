//! PutLogEvents: what is taken, what is rejected. API reference, PutLogEvents.

use serde_json::{Value, json};

use super::Logs;
use super::input::{group_name, invalid, stream_name};
use super::store::{EVENT_OVERHEAD_BYTES, no_stream};
use crate::local::cloudwatch::record_embedded;
use crate::local::service::{ApiError, ApiResult};

/// Events of one call.
const EVENTS_MAX: usize = 10_000;
/// Bytes of one call: messages, and 26 for each event.
const BYTES_MAX: usize = 1_048_576;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Events further in the future are rejected.
const FUTURE_MAX_MS: i64 = 2 * HOUR_MS;
/// Older events are rejected.
const AGE_MAX_MS: i64 = 14 * DAY_MS;

impl Logs {
    pub(super) fn put_events(&self, mut input: Value) -> ApiResult {
        let given = match input["logEvents"].take() {
            Value::Array(events) => events,
            _ => Vec::new(),
        };
        let (name, stream) = (group_name(&input)?, stream_name(&input)?);
        let events = read(given)?;
        let now_ms = self.now_ms();
        let mut store = self.store();
        let group = store.group_at(name, now_ms)?;
        if !group.streams.contains_key(stream) {
            return Err(no_stream());
        }
        let split = Split::of(&events, now_ms, group.retention_days);
        let taking = &events[split.old.max(split.expired)..split.new];
        if let (Some(first), Some(last)) = (taking.first(), taking.last())
            && last.0 - first.0 > DAY_MS
        {
            return Err(invalid(
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
            ));
        }
        let count = taking.len();
        // CloudWatch takes metrics out of the lines themselves, whoever logs them.
        for (at_ms, line) in taking {
            record_embedded(line, *at_ms, now_ms, &*self.context.metrics);
        }
        let taken = events.into_iter().skip(split.old.max(split.expired)).take(count);
        store.add(name, stream, taken, now_ms)?;
        Ok(split.answer())
    }
}

fn read(given: Vec<Value>) -> Result<Vec<(i64, Box<str>)>, ApiError> {
    if given.is_empty() || given.len() > EVENTS_MAX {
        return Err(invalid(format!(
            "1 validation error detected: 'logEvents' must have 1 to {EVENTS_MAX} items, not {}",
            given.len()
        )));
    }
    let mut events: Vec<(i64, Box<str>)> = Vec::with_capacity(given.len());
    let mut bytes = 0;
    for mut event in given {
        let at_ms = event["timestamp"].as_i64().filter(|at_ms| *at_ms >= 0);
        let at_ms = at_ms.ok_or_else(|| {
            invalid("1 validation error detected: 'timestamp' must not be null or negative")
        })?;
        let Value::String(message) = event["message"].take() else {
            return Err(invalid("1 validation error detected: 'message' must not be null"));
        };
        if message.is_empty() {
            return Err(invalid("Log event message must not be empty."));
        }
        if events.last().is_some_and(|(before_ms, _)| *before_ms > at_ms) {
            let message = "Log events in a single PutLogEvents request must be in chronological order.";
            return Err(invalid(message));
        }
        bytes += message.len() + EVENT_OVERHEAD_BYTES;
        events.push((at_ms, message.into_boxed_str()));
    }
    if bytes > BYTES_MAX {
        return Err(invalid(format!("Upload too large: {bytes} bytes exceeds limit of {BYTES_MAX}")));
    }
    Ok(events)
}

/// Where a batch in order of time falls apart: `[..old]` is too old, `[..expired]` past the group's retention,
/// `[new..]` too new.
#[derive(Debug, PartialEq, Eq)]
struct Split {
    old: usize,
    expired: usize,
    new: usize,
    count: usize,
}

impl Split {
    fn of(events: &[(i64, Box<str>)], now_ms: i64, retention_days: Option<i64>) -> Split {
        let before = |limit_ms: i64| events.partition_point(|(at_ms, _)| *at_ms < limit_ms);
        let old = before(now_ms - AGE_MAX_MS);
        let expired = retention_days.map_or(0, |days| before(now_ms.saturating_sub(days * DAY_MS)));
        let new = before(now_ms + FUTURE_MAX_MS + 1);
        Split { old, expired, new, count: events.len() }
    }

    fn answer(&self) -> Value {
        // Tokens have no meaning any more, but older clients pass them on. API reference, PutLogEvents.
        let mut output = json!({"nextSequenceToken": "0"});
        let mut rejected = serde_json::Map::new();
        if self.old > 0 {
            rejected.insert("tooOldLogEventEndIndex".to_owned(), json!(self.old));
        }
        if self.expired > 0 {
            rejected.insert("expiredLogEventEndIndex".to_owned(), json!(self.expired));
        }
        if self.new < self.count {
            rejected.insert("tooNewLogEventStartIndex".to_owned(), json!(self.new));
        }
        if !rejected.is_empty() {
            output["rejectedLogEventsInfo"] = Value::Object(rejected);
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_falls_apart_at_the_documented_times() {
        let now_ms = 100 * DAY_MS;
        let events: Vec<(i64, Box<str>)> = [
            now_ms - AGE_MAX_MS - 1,
            now_ms - AGE_MAX_MS,
            now_ms - 2 * DAY_MS,
            now_ms,
            now_ms + FUTURE_MAX_MS,
            now_ms + FUTURE_MAX_MS + 1,
        ]
        .map(|at_ms| (at_ms, "m".into()))
        .into();
        assert_eq!(Split::of(&events, now_ms, None), Split { old: 1, expired: 0, new: 5, count: 6 });
        let split = Split::of(&events, now_ms, Some(1));
        let expected =
            json!({"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 3, "tooNewLogEventStartIndex": 5});
        assert_eq!(split.answer()["rejectedLogEventsInfo"], expected);
        assert_eq!(Split::of(&events[3..5], now_ms, None).answer().get("rejectedLogEventsInfo"), None);
    }
}
