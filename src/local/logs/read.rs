//! GetLogEvents and FilterLogEvents. API reference, the operations of these names.

use std::ops::Bound;

use serde_json::{Value, json};

use super::Logs;
use super::input::{group_of, invalid, limit, stream_name};
use super::pattern::Pattern;
use super::store::{Event, Group, Place, no_stream};
use crate::local::service::{ApiError, ApiResult};

/// Events of one page, and their bytes.
const PAGE_EVENTS: usize = 10_000;
const PAGE_BYTES: usize = 1_048_576;
/// `logStreamNames` of one FilterLogEvents call.
const STREAM_NAMES_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// A page goes on after (forward) or before (backward) a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    direction: Direction,
    place: Place,
}

impl Token {
    /// `f/<time><arrival>`, as long as AWS's tokens.
    fn text(self) -> String {
        let letter = if self.direction == Direction::Forward { 'f' } else { 'b' };
        format!("{letter}/{}", event_id(self.place))
    }

    fn read(text: &str) -> Result<Token, ApiError> {
        let parsed = text.split_once('/').and_then(|(letter, digits)| {
            let direction = match letter {
                "f" => Direction::Forward,
                "b" => Direction::Backward,
                _ => return None,
            };
            let (time, arrival) = digits.split_at_checked(20)?;
            Some(Token { direction, place: (time.parse().ok()?, arrival.parse().ok()?) })
        });
        parsed.ok_or_else(|| invalid("The specified nextToken is invalid."))
    }
}

/// 56 digits, as AWS's event ids; in the order of events.
fn event_id((at_ms, arrival): Place) -> String {
    format!("{at_ms:020}{arrival:036}")
}

/// The places that a query covers: times from `start_ms`, before `end_ms`.
#[derive(Clone, Copy)]
struct Window {
    start_ms: i64,
    end_ms: i64,
}

impl Window {
    /// `end_included` as FilterLogEvents has it; GetLogEvents leaves the end out.
    fn read(input: &Value, end_included: bool) -> Window {
        let end_ms = input["endTime"].as_i64().unwrap_or(i64::MAX);
        Window {
            start_ms: input["startTime"].as_i64().unwrap_or(0),
            end_ms: end_ms.saturating_add(i64::from(end_included)),
        }
    }

    /// The group's events in this window, from the token's place in its direction.
    fn events<'a>(
        self,
        group: &'a Group,
        direction: Direction,
        token: Option<Token>,
    ) -> Box<dyn Iterator<Item = (Place, &'a Event)> + 'a> {
        let mut low = Bound::Included((self.start_ms, 0));
        let mut high = Bound::Excluded((self.end_ms, 0));
        match token {
            Some(Token { direction: Direction::Forward, place }) if place >= (self.start_ms, 0) => {
                low = Bound::Excluded(place);
            }
            Some(Token { direction: Direction::Backward, place }) if place < (self.end_ms, 0) => {
                high = Bound::Excluded(place);
            }
            _ => {}
        }
        let (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) = (low, high) else {
            return Box::new(std::iter::empty());
        };
        if from >= to {
            return Box::new(std::iter::empty());
        }
        let range = group.events.range((low, high)).map(|(place, event)| (*place, event));
        match direction {
            Direction::Forward => Box::new(range),
            Direction::Backward => Box::new(range.rev()),
        }
    }
}

/// At most `limit` events and [`PAGE_BYTES`], but always one; and whether there are more.
fn page<'a>(
    events: impl Iterator<Item = (Place, &'a Event)>,
    limit: usize,
) -> (Vec<(Place, &'a Event)>, bool) {
    let mut page = Vec::new();
    let mut bytes = 0;
    for (place, event) in events {
        bytes += event.counted_bytes();
        if page.len() == limit || (!page.is_empty() && bytes > PAGE_BYTES) {
            return (page, true);
        }
        page.push((place, event));
    }
    (page, false)
}

impl Logs {
    pub(super) fn get_events(&self, input: &Value) -> ApiResult {
        let (name, stream) = (group_of(input)?, stream_name(input)?);
        let limit = limit(input, PAGE_EVENTS, PAGE_EVENTS)?;
        let token = input["nextToken"].as_str().map(Token::read).transpose()?;
        let window = Window::read(input, false);
        let from_head = input["startFromHead"].as_bool().unwrap_or(false);
        let direction = match token {
            Some(token) => token.direction,
            None if from_head => Direction::Forward,
            None => Direction::Backward,
        };
        let now_ms = self.now_ms();
        let mut store = self.store();
        let group = store.group_at(name, now_ms)?;
        if !group.streams.contains_key(stream) {
            return Err(no_stream());
        }
        let of_stream = window.events(group, direction, token).filter(|(_, event)| *event.stream == *stream);
        let (mut events, _) = page(of_stream, limit);
        if direction == Direction::Backward {
            events.reverse();
        }
        let (forward, backward) = neighbours(&events, token, window);
        let shown = events.iter().map(|(place, event)| {
            json!({"timestamp": place.0, "message": event.message, "ingestionTime": event.ingested_ms})
        });
        Ok(json!({
            "events": shown.collect::<Vec<Value>>(),
            "nextForwardToken": forward.text(), "nextBackwardToken": backward.text(),
        }))
    }

    pub(super) fn filter_events(&self, input: &Value) -> ApiResult {
        let name = group_of(input)?;
        let pattern = Pattern::parse(input["filterPattern"].as_str().unwrap_or_default()).map_err(invalid)?;
        let streams = Streams::read(input)?;
        let limit = limit(input, PAGE_EVENTS, PAGE_EVENTS)?;
        let token = input["nextToken"].as_str().map(Token::read).transpose()?;
        let from_head = input["startFromHead"].as_bool().unwrap_or(true);
        let direction = match token {
            Some(token) => token.direction,
            None if from_head => Direction::Forward,
            None => Direction::Backward,
        };
        let now_ms = self.now_ms();
        let mut store = self.store();
        let group = store.group_at(name, now_ms)?;
        if let Streams::Named(names) = &streams
            && !names.iter().all(|name| group.streams.contains_key(*name))
        {
            return Err(no_stream());
        }
        let matching = Window::read(input, true)
            .events(group, direction, token)
            .filter(|(_, event)| streams.has(&event.stream) && pattern.matches(&event.message));
        let (events, more) = page(matching, limit);
        let next = events.last().filter(|_| more).map(|(place, _)| Token { direction, place: *place });
        let shown = events.iter().map(|(place, event)| {
            json!({
                "logStreamName": &*event.stream, "timestamp": place.0, "message": event.message,
                "ingestionTime": event.ingested_ms, "eventId": event_id(*place),
            })
        });
        let mut output = json!({"events": shown.collect::<Vec<Value>>(), "searchedLogStreams": []});
        if let Some(next) = next {
            output["nextToken"] = json!(next.text());
        }
        Ok(output)
    }
}

/// Tokens of both ends of a page. At the end of the stream a token comes back as it was given; the other one
/// then leads to the event beside it.
fn neighbours(events: &[(Place, &Event)], token: Option<Token>, window: Window) -> (Token, Token) {
    let forward = |place| Token { direction: Direction::Forward, place };
    let backward = |place| Token { direction: Direction::Backward, place };
    match (events.first(), events.last(), token) {
        (Some((first, _)), Some((last, _)), _) => (forward(*last), backward(*first)),
        (_, _, Some(Token { direction: Direction::Forward, place: (at_ms, arrival) })) => {
            (forward((at_ms, arrival)), backward((at_ms, arrival.saturating_add(1))))
        }
        (_, _, Some(Token { direction: Direction::Backward, place: (at_ms, arrival) })) => {
            (forward((at_ms, arrival.saturating_sub(1))), backward((at_ms, arrival)))
        }
        (_, _, None) => {
            let place = (window.start_ms.max(0), 0);
            (forward(place), backward(place))
        }
    }
}

enum Streams<'a> {
    All,
    Prefix(&'a str),
    Named(Vec<&'a str>),
}

impl<'a> Streams<'a> {
    fn read(input: &'a Value) -> Result<Streams<'a>, ApiError> {
        match (input["logStreamNames"].as_array(), input["logStreamNamePrefix"].as_str()) {
            (Some(_), Some(_)) => {
                Err(invalid("logStreamNames and logStreamNamePrefix cannot both be set in the same request."))
            }
            (Some(names), None) if names.is_empty() || names.len() > STREAM_NAMES_MAX => {
                Err(invalid(format!("logStreamNames must have 1 to {STREAM_NAMES_MAX} items")))
            }
            (Some(names), None) => Ok(Streams::Named(names.iter().filter_map(Value::as_str).collect())),
            (None, Some(prefix)) => Ok(Streams::Prefix(prefix)),
            (None, None) => Ok(Streams::All),
        }
    }

    fn has(&self, stream: &str) -> bool {
        match self {
            Streams::All => true,
            Streams::Prefix(prefix) => stream.starts_with(prefix),
            Streams::Named(names) => names.contains(&stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_and_others_are_refused() {
        for token in [
            Token { direction: Direction::Forward, place: (0, 0) },
            Token { direction: Direction::Backward, place: (i64::MAX, u64::MAX) },
        ] {
            assert_eq!(Token::read(&token.text()).unwrap(), token);
            assert_eq!(token.text().len(), 58);
        }
        for text in ["", "f/", "x/00000000000000000000000", "f/é0000000000000000000000000000", "f"] {
            assert_eq!(Token::read(text).unwrap_err().code, "InvalidParameterException", "{text}");
        }
    }
}
