//! Reads members of an AWS-shaped JSON input. The query protocol carries every value as text, so numbers
//! and booleans are accepted as strings too.

use serde_json::Value;

/// A string member; `None` when absent, null or not text.
pub fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// A number, or a string that holds one. Not a number and infinity are refused: JSON has neither.
pub fn number(input: &Value, name: &str) -> Option<f64> {
    input.get(name).and_then(as_number)
}

/// The value itself as a number.
pub fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// A whole number; fractions are refused.
pub fn integer(input: &Value, name: &str) -> Option<i64> {
    input.get(name).and_then(as_integer)
}

/// The value itself as a whole number.
pub fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub fn boolean(input: &Value, name: &str) -> Option<bool> {
    match input.get(name)? {
        Value::Bool(boolean) => Some(*boolean),
        Value::String(text) => match text.as_str() {
            "true" | "True" => Some(true),
            "false" | "False" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The items of a list; none when it is absent.
pub fn list<'a>(input: &'a Value, name: &str) -> &'a [Value] {
    input.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings of a list; items that are not text are skipped.
pub fn texts<'a>(input: &'a Value, name: &str) -> Vec<&'a str> {
    list(input, name).iter().filter_map(Value::as_str).collect()
}

/// A timestamp in milliseconds since the epoch, from epoch seconds (a number, or text) or RFC 3339.
pub fn timestamp_ms(input: &Value, name: &str) -> Option<i64> {
    let value = input.get(name)?;
    if let Some(seconds) = as_number(value) {
        return Some((seconds * 1_000.0).round() as i64);
    }
    let parsed: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(parsed.as_millisecond())
}

/// The pairs of a `[{"Key": .., "Value": ..}]` list, as tags are given.
pub fn tags(input: &Value, name: &str) -> Vec<(String, String)> {
    list(input, name)
        .iter()
        .filter_map(|tag| Some((text(tag, "Key")?.to_owned(), text(tag, "Value").unwrap_or("").to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_query_protocols_text_is_read_as_what_it_means() {
        let input = json!({"Period": "60", "Threshold": "1.5", "On": "true", "At": "2023-11-14T22:13:20Z"});
        assert_eq!(integer(&input, "Period"), Some(60));
        assert_eq!(number(&input, "Threshold"), Some(1.5));
        assert_eq!(boolean(&input, "On"), Some(true));
        assert_eq!(timestamp_ms(&input, "At"), Some(1_700_000_000_000));
        assert_eq!(timestamp_ms(&json!({"At": 1_700_000_000.25}), "At"), Some(1_700_000_000_250));
        assert_eq!(integer(&json!({"Period": 1.5}), "Period"), None);
    }
}
