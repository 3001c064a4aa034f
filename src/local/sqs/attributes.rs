//! Queue attributes: what can be set, in which bounds, and what it is when nobody set it.
//!
//! Source: SQS API reference, CreateQueue and SetQueueAttributes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::error::{invalid_attribute_name, invalid_attribute_value, unsupported};
use crate::local::members::as_integer;
use crate::local::service::ApiError;

/// Numbers: (name, bounds, default).
const NUMBERS: &[(&str, RangeInclusive<i64>, i64)] = &[
    ("DelaySeconds", 0..=900, 0),
    ("KmsDataKeyReusePeriodSeconds", 60..=86_400, 300),
    ("MaximumMessageSize", 1_024..=1_048_576, 1_048_576),
    ("MessageRetentionPeriod", 60..=1_209_600, 345_600),
    ("ReceiveMessageWaitTimeSeconds", 0..=20, 0),
    ("VisibilityTimeout", 0..=43_200, 30),
];
/// Stored and given back, without effect here (but `RedrivePolicy`, see [`RedrivePolicy`]).
const TEXTS: &[&str] =
    &["KmsMasterKeyId", "Policy", "RedriveAllowPolicy", "RedrivePolicy", "SqsManagedSseEnabled"];
const FIFO: &[&str] =
    &["ContentBasedDeduplication", "DeduplicationScope", "FifoQueue", "FifoThroughputLimit"];

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq)]
pub struct RedrivePolicy {
    pub target_arn: String,
    pub max_receive_count: u32,
}

/// What was set, as text: that is how the API gives it back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    set: BTreeMap<String, String>,
    pub redrive: Option<RedrivePolicy>,
}

impl Attributes {
    /// Checks `{"name": "value"}` and sets it.
    ///
    /// # Errors
    /// Unknown names, values out of bounds, and FIFO queues, which this endpoint does not have.
    pub fn update(&mut self, input: &Value) -> Result<(), ApiError> {
        let mut updated = self.clone();
        for (name, value) in input.as_object().into_iter().flatten() {
            updated.set_one(name, value)?;
        }
        *self = updated;
        Ok(())
    }

    fn set_one(&mut self, name: &str, value: &Value) -> Result<(), ApiError> {
        let wrong = || invalid_attribute_value(name);
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let Some((_, bounds, _)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
            as_integer(value).filter(|number| bounds.contains(number)).ok_or_else(wrong)?;
        } else if FIFO.contains(&name) {
            if name == "FifoQueue" && shown == "false" {
                return Ok(());
            }
            return Err(unsupported("The local endpoint has no FIFO queues."));
        } else if !TEXTS.contains(&name) {
            return Err(invalid_attribute_name(name));
        }
        if name == "RedrivePolicy" {
            self.redrive =
                if shown.is_empty() { None } else { Some(parse_redrive(&shown).ok_or_else(wrong)?) };
        }
        if shown.is_empty() {
            self.set.remove(name);
        } else {
            self.set.insert(name.to_owned(), shown);
        }
        Ok(())
    }

    /// The first attribute whose value is not that of `self`, out of those given.
    pub fn first_difference(&self, other: &Attributes) -> Option<String> {
        other.set.keys().find(|name| other.get(name) != self.get(name)).cloned()
    }

    /// What was set, or the default.
    pub fn get(&self, name: &str) -> Option<String> {
        if let Some(value) = self.set.get(name) {
            return Some(value.clone());
        }
        match name {
            "SqsManagedSseEnabled" => Some((!self.set.contains_key("KmsMasterKeyId")).to_string()),
            // A KMS setting without a key would confuse a reader.
            "KmsDataKeyReusePeriodSeconds" => None,
            _ => NUMBERS.iter().find(|(known, ..)| *known == name).map(|(.., default)| default.to_string()),
        }
    }

    /// One of the numeric attributes, in its own unit.
    pub fn number(&self, name: &str) -> i64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Whether the API knows the attribute as one of a standard queue.
    pub fn is_known(name: &str) -> bool {
        NUMBERS.iter().any(|(known, ..)| *known == name) || TEXTS.contains(&name)
    }

    /// All names that `All` stands for.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NUMBERS.iter().map(|(name, ..)| *name).chain(TEXTS.iter().copied())
    }
}

fn parse_redrive(text: &str) -> Option<RedrivePolicy> {
    let policy: Value = serde_json::from_str(text).ok()?;
    let count = as_integer(policy.get("maxReceiveCount")?)?;
    Some(RedrivePolicy {
        target_arn: policy.get("deadLetterTargetArn")?.as_str()?.to_owned(),
        max_receive_count: u32::try_from(count).ok().filter(|count| (1..=1_000).contains(count))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bounds_defaults_and_unknown_names() {
        let mut attributes = Attributes::default();
        assert_eq!(attributes.number("VisibilityTimeout"), 30);
        attributes.update(&json!({ "VisibilityTimeout": "5", "DelaySeconds": 7 })).unwrap();
        assert_eq!((attributes.number("VisibilityTimeout"), attributes.number("DelaySeconds")), (5, 7));
        let refused = |input| Attributes::default().update(&input).unwrap_err().code;
        assert_eq!(refused(json!({ "VisibilityTimeout": "43201" })), "InvalidAttributeValue");
        assert_eq!(refused(json!({ "Nope": "1" })), "InvalidAttributeName");
        assert_eq!(refused(json!({ "FifoQueue": "true" })), "UnsupportedOperation");
        assert_eq!(refused(json!({ "RedrivePolicy": "{}" })), "InvalidAttributeValue");
        attributes.update(&json!({ "DelaySeconds": 1, "Nope": 2 })).unwrap_err();
        assert_eq!(attributes.number("DelaySeconds"), 7, "all of it or nothing");
    }
}
