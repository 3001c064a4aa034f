//! Refusals of malformed input, in AWS's words (as kinesalite recorded them from the service).

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::local::service::ApiError;

/// A string that borrows from the request where it can. (serde borrows for a plain `Cow` field, but not
/// for one inside an `Option`.)
#[derive(Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// Reads an operation's input; members that it does not know are ignored, as AWS ignores them.
pub fn input<T: DeserializeOwned>(input: Value) -> Result<T, ApiError> {
    T::deserialize(input).map_err(serialization)
}

pub fn serialization(error: impl std::fmt::Display) -> ApiError {
    ApiError::invalid("SerializationException", error.to_string())
}

pub fn invalid_argument(message: impl Into<String>) -> ApiError {
    ApiError::invalid("InvalidArgumentException", message)
}

/// `Value 'x' at 'streamName' failed to satisfy constraint: ...`; `value` comes quoted if it is text.
pub fn constraint(value: &str, member: &str, rule: &str) -> ApiError {
    ApiError::invalid(
        "ValidationException",
        format!(
            "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {rule}"
        ),
    )
}

pub fn required<T>(value: Option<T>, member: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| constraint("null", member, "Member must not be null"))
}

pub fn length_at_most(value: &str, length: usize, max: usize, member: &str) -> Result<(), ApiError> {
    if length <= max {
        return Ok(());
    }
    Err(constraint(value, member, &format!("Member must have length less than or equal to {max}")))
}

/// A name of a stream: `[a-zA-Z0-9_.-]+`, at most 128. Kinesis API reference, CreateStream.
pub fn stream_name(value: &str) -> Result<(), ApiError> {
    name(value, "streamName")
}

/// A name of a stream or consumer.
pub fn name(value: &str, member: &str) -> Result<(), ApiError> {
    if value.is_empty() {
        return Err(constraint("''", member, "Member must have length greater than or equal to 1"));
    }
    length_at_most(&format!("'{value}'"), value.len(), 128, member)?;
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
        return Err(constraint(&format!("'{value}'"), member, rule));
    }
    Ok(())
}

/// A number within bounds; `default` when it is not given.
pub fn between(value: Option<i64>, default: i64, min: i64, max: i64, member: &str) -> Result<i64, ApiError> {
    let value = value.unwrap_or(default);
    let rule = if value < min {
        format!("Member must have value greater than or equal to {min}")
    } else if value > max {
        format!("Member must have value less than or equal to {max}")
    } else {
        return Ok(value);
    };
    Err(constraint(&format!("'{value}'"), member, &rule))
}
