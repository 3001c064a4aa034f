//! The control plane of functions.

mod access;
mod code;
mod event_invoke;
mod functions;
mod settings;

pub use functions::tags_of;
use serde_json::Value;

use super::state::user;
use crate::local::service::ApiError;

/// The error for a member out of its bounds, as AWS words it.
pub fn validation(member: &str, value: &str, constraint: &str) -> ApiError {
    user(ApiError::invalid(
        "ValidationException",
        format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
        ),
    ))
}

/// An integer member within its bounds, or `None` when it is absent.
pub fn integer(
    input: &Value,
    member: &str,
    bounds: std::ops::RangeInclusive<i64>,
) -> Result<Option<i64>, ApiError> {
    let given = match &input[member] {
        Value::Null => return Ok(None),
        // CloudFormation parameters arrive as strings.
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    let name = format!("{}{}", member[..1].to_ascii_lowercase(), &member[1..]);
    match given {
        Some(value) if value < *bounds.start() => Err(validation(
            &name,
            &value.to_string(),
            &format!("Member must have value greater than or equal to {}", bounds.start()),
        )),
        Some(value) if value > *bounds.end() => Err(validation(
            &name,
            &value.to_string(),
            &format!("Member must have value less than or equal to {}", bounds.end()),
        )),
        Some(value) => Ok(Some(value)),
        None => Err(validation(&name, &input[member].to_string(), "Member must be an integer")),
    }
}

/// A page of `items`: `Marker` is the index to go on from.
pub fn page(input: &Value, member: &str, items: Vec<Value>, largest: usize) -> Value {
    let from = input["Marker"].as_str().and_then(|marker| marker.parse().ok()).unwrap_or(0).min(items.len());
    let count = input["MaxItems"].as_u64().map_or(largest, |n| (n as usize).clamp(1, largest));
    let to = (from + count).min(items.len());
    let mut answer = serde_json::Map::new();
    if to < items.len() {
        answer.insert("NextMarker".to_owned(), to.to_string().into());
    }
    answer.insert(member.to_owned(), items[from..to].to_vec().into());
    Value::Object(answer)
}
