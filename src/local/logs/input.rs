//! Members of requests, checked as CloudWatch Logs checks them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::local::service::ApiError;

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::invalid("InvalidParameterException", message)
}

pub fn text<'a>(input: &'a Value, member: &str) -> Result<&'a str, ApiError> {
    let given = input[member].as_str().filter(|text| !text.is_empty());
    given.ok_or_else(|| invalid(format!("1 validation error detected: '{member}' must not be null or empty")))
}

/// `logGroupName`, of characters that a name may have.
pub fn group_name(input: &Value) -> Result<&str, ApiError> {
    let name = text(input, "logGroupName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '#');
    if name.len() > 512 || !name.chars().all(allowed) {
        let message = format!(
            "1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
        );
        return Err(invalid(message));
    }
    Ok(name)
}

/// `logStreamName`, of characters that a name may have.
pub fn stream_name(input: &Value) -> Result<&str, ApiError> {
    let name = text(input, "logStreamName")?;
    if name.chars().count() > 512 || name.contains([':', '*']) {
        let message = format!(
            "1 validation error detected: Value '{name}' at 'logStreamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [^:*]*"
        );
        return Err(invalid(message));
    }
    Ok(name)
}

/// The group that is named by `logGroupName`, or by `logGroupIdentifier`: a name or an ARN.
pub fn group_of(input: &Value) -> Result<&str, ApiError> {
    match (input["logGroupName"].as_str(), input["logGroupIdentifier"].as_str()) {
        (Some(_), Some(_)) => {
            Err(invalid("LogGroupName and LogGroupIdentifier cannot both be set in the same request."))
        }
        (None, Some(identifier)) => Ok(name_of(identifier)),
        _ => group_name(input),
    }
}

/// The name in `arn:aws:logs:<region>:<account>:log-group:<name>[:*]`; a name is its own.
pub fn name_of(identifier: &str) -> &str {
    let name = identifier.split_once(":log-group:").map_or(identifier, |(_, name)| name);
    name.strip_suffix(":*").unwrap_or(name)
}

/// A whole number within bounds, or the default.
pub fn limit(input: &Value, default: usize, max: usize) -> Result<usize, ApiError> {
    match &input["limit"] {
        Value::Null => Ok(default),
        given => given
            .as_u64()
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| (1..=max).contains(limit))
            .ok_or_else(|| {
                invalid(format!("1 validation error detected: 'limit' must be between 1 and {max}"))
            }),
    }
}

/// A map of tags.
pub fn tags(value: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| {
            let value = value.as_str().ok_or_else(|| invalid("a tag's value must be text"))?;
            if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
                return Err(invalid("a tag's key has 1 to 128 characters, its value at most 256"));
            }
            Ok((key.clone(), value.to_owned()))
        })
        .collect()
}
