//! Reads members of a request. The query protocol has only text: numbers and booleans come as such, lists
//! as arrays.

use std::collections::BTreeMap;

use serde_json::Value;

use super::parameters::scalar_text;
use super::template::invalid;
use crate::local::service::ApiError;

/// A required member.
///
/// # Errors
/// `ValidationError` when it is not there.
pub fn text(input: &Value, member: &str) -> Result<String, ApiError> {
    input[member].as_str().map(str::to_owned).ok_or_else(|| {
        let camel = format!("{}{}", member[..1].to_lowercase(), &member[1..]);
        invalid(format!(
            "1 validation error detected: Value null at '{camel}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

pub fn list<'v>(input: &'v Value, member: &str) -> &'v [Value] {
    input[member].as_array().map(Vec::as_slice).unwrap_or_default()
}

pub fn texts(input: &Value, member: &str) -> Vec<String> {
    list(input, member).iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
}

pub fn pairs(input: &Value, member: &str, key: &str, value: &str) -> BTreeMap<String, String> {
    list(input, member)
        .iter()
        .filter_map(|one| Some((one[key].as_str()?.to_owned(), scalar_text(&one[value])?)))
        .collect()
}

pub fn flag(input: &Value, member: &str) -> bool {
    matches!(scalar_text(&input[member]).as_deref(), Some("true"))
}

/// Refuses a value that is not one of an enumeration's.
pub fn one_of<'v>(input: &'v Value, member: &str, known: &[&str]) -> Result<Option<&'v str>, ApiError> {
    match input[member].as_str() {
        Some(given) if !known.contains(&given) => {
            let camel = format!("{}{}", member[..1].to_lowercase(), &member[1..]);
            Err(invalid(format!(
                "1 validation error detected: Value '{given}' at '{camel}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
                known.join(", ")
            )))
        }
        given => Ok(given),
    }
}
