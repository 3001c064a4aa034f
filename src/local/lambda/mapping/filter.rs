//! `FilterCriteria`: which records reach the function. Lambda developer guide, "Control which events Lambda
//! sends to your function": a record passes when any filter matches; inside a filter all fields must.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::local::lambda::state::invalid;
use crate::local::service::ApiError;

/// Filters of one mapping. Same source: 5 by default.
const FILTERS_MAX: usize = 5;
/// The operators that this understands.
const OPERATORS: [&str; 6] = ["prefix", "suffix", "equals-ignore-case", "anything-but", "numeric", "exists"];

/// Checked filters; empty lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    patterns: Vec<Map<String, Value>>,
}

impl Filter {
    /// Reads `{"Filters": [{"Pattern": "<JSON>"}]}`. What is not understood is refused, not ignored.
    pub fn read(criteria: &Value) -> Result<Filter, ApiError> {
        let filters = criteria["Filters"].as_array().map_or(&[][..], Vec::as_slice);
        if filters.len() > FILTERS_MAX {
            return Err(invalid(format!("a mapping takes at most {FILTERS_MAX} filters")));
        }
        let patterns = filters.iter().map(|filter| {
            let text = filter["Pattern"].as_str().unwrap_or("{}");
            match serde_json::from_str(text) {
                Ok(Value::Object(pattern)) => check(&pattern).map(|()| pattern),
                _ => Err(invalid(format!("Invalid filter pattern definition: {text}"))),
            }
        });
        Ok(Filter { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// `record` as GetRecords gives it.
    pub fn passes(&self, record: &Value) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let data = record["Data"].as_str().and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default();
        let json_data = serde_json::from_slice::<Value>(&data).ok();
        // A pattern on the data drops what is no JSON; one on the metadata alone does not look at it.
        let candidate = json!({
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
            "data": json_data.unwrap_or_else(|| String::from_utf8_lossy(&data).into()),
        });
        self.patterns.iter().any(|pattern| object_matches(pattern, &candidate))
    }
}

fn check(pattern: &Map<String, Value>) -> Result<(), ApiError> {
    for (name, rule) in pattern {
        match rule {
            Value::Array(branches) if name == "$or" => {
                for branch in branches {
                    let branch = branch.as_object().ok_or_else(|| invalid("$or takes a list of patterns"))?;
                    check(branch)?;
                }
            }
            Value::Object(inner) => check(inner)?,
            Value::Array(rules) => rules.iter().try_for_each(|rule| check_rule(name, rule))?,
            _ => {
                return Err(invalid(format!(
                    "Invalid filter pattern definition: {name} must be a list or an object"
                )));
            }
        }
    }
    Ok(())
}

fn check_rule(name: &str, rule: &Value) -> Result<(), ApiError> {
    match rule {
        Value::Object(operator) => match operator.keys().find(|key| !OPERATORS.contains(&key.as_str())) {
            Some(unknown) => Err(invalid(format!("Invalid filter pattern definition: {unknown} at {name}"))),
            None => Ok(()),
        },
        Value::Array(_) => {
            Err(invalid(format!("Invalid filter pattern definition: a list in a list at {name}")))
        }
        _ => Ok(()),
    }
}

fn object_matches(pattern: &Map<String, Value>, candidate: &Value) -> bool {
    pattern.iter().all(|(name, rule)| match rule {
        Value::Array(branches) if name == "$or" => {
            branches.iter().filter_map(Value::as_object).any(|branch| object_matches(branch, candidate))
        }
        Value::Object(inner) => object_matches(inner, &candidate[name]),
        Value::Array(rules) => rules.iter().any(|rule| rule_matches(rule, candidate.get(name))),
        _ => false,
    })
}

fn rule_matches(rule: &Value, found: Option<&Value>) -> bool {
    if let Some(operator) = rule.as_object() {
        return operator.iter().all(|(name, operand)| operator_matches(name, operand, found));
    }
    match found {
        // A list matches when one of its items does.
        Some(Value::Array(items)) => items.iter().any(|item| item == rule),
        Some(found) => found == rule,
        None => false,
    }
}

fn operator_matches(name: &str, operand: &Value, found: Option<&Value>) -> bool {
    if name == "exists" {
        return operand.as_bool() == Some(found.is_some());
    }
    let Some(found) = found else { return false };
    let texts = (found.as_str(), operand.as_str());
    match (name, texts) {
        ("prefix", (Some(text), Some(prefix))) => text.starts_with(prefix),
        ("suffix", (Some(text), Some(suffix))) => text.ends_with(suffix),
        ("equals-ignore-case", (Some(text), Some(other))) => text.eq_ignore_ascii_case(other),
        ("anything-but", _) => match operand {
            Value::Array(others) => !others.contains(found),
            Value::Object(_) => !rule_matches(operand, Some(found)),
            other => found != other,
        },
        ("numeric", _) => numeric(operand, found),
        _ => false,
    }
}

/// `[">", 0, "<=", 5]`.
fn numeric(operand: &Value, found: &Value) -> bool {
    let (Some(found), Some(conditions)) = (found.as_f64(), operand.as_array()) else { return false };
    !conditions.is_empty()
        && conditions.chunks(2).all(|condition| match condition {
            [operator, bound] => match (operator.as_str(), bound.as_f64()) {
                (Some("="), Some(bound)) => found == bound,
                (Some(">"), Some(bound)) => found > bound,
                (Some(">="), Some(bound)) => found >= bound,
                (Some("<"), Some(bound)) => found < bound,
                (Some("<="), Some(bound)) => found <= bound,
                _ => false,
            },
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(pattern: Value, data: &str) -> bool {
        let criteria = json!({"Filters": [{"Pattern": pattern.to_string()}]});
        let record = json!({"PartitionKey": "k1", "Data": STANDARD.encode(data), "SequenceNumber": "1"});
        Filter::read(&criteria).unwrap().passes(&record)
    }

    #[test]
    fn patterns_match_as_documented() {
        let data = r#"{"City": "Seattle", "Temperature": 55, "tags": ["a", "b"]}"#;
        let on_data = |rules: Value| passes(json!({"data": rules}), data);
        assert!(on_data(json!({"City": ["Seattle", "Boston"]})));
        assert!(!on_data(json!({"City": ["Boston"]})));
        assert!(on_data(json!({"Temperature": [{"numeric": [">", 50, "<=", 60]}]})));
        assert!(!on_data(json!({"Temperature": [{"numeric": [">", 60]}]})));
        assert!(on_data(json!({"City": [{"prefix": "Sea"}], "Wind": [{"exists": false}]})));
        assert!(on_data(json!({"City": [{"anything-but": ["Boston"]}], "tags": ["b"]})));
        assert!(on_data(json!({"$or": [{"City": ["Boston"]}, {"Temperature": [55]}]})));
        assert!(!on_data(json!({"City": [{"exists": false}]})));
        assert!(passes(json!({"partitionKey": ["k1"]}), "no json"));
        assert!(!passes(json!({"data": {"City": ["Seattle"]}}), "no json"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for pattern in [r#"{"data": {"a": [{"wildcard": "x*"}]}}"#, r#"{"data": 1}"#, "[]", "no json"] {
            assert!(Filter::read(&json!({"Filters": [{"Pattern": pattern}]})).is_err(), "{pattern}");
        }
    }
}
