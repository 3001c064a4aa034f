//! Durations and sizes as they are written in a plan.

use std::time::Duration;

/// What [`duration`] reads, as an error says it.
pub const DURATION_EXPECTED: &str = "a duration such as 500ms, 30s, 5m, 24h or 2m30s";
/// The same as a regular expression, for the JSON Schema.
pub(super) const DURATION_PATTERN: &str = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
/// Units of a duration, in the order in which they may follow each other, in milliseconds.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Whole numbers, each with its unit, largest unit first: `24h`, `2m30s`, `500ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = DURATION_UNITS.iter();
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, unit_ms) = units.find(|(name, _)| *name == unit)?;
        total_ms = total_ms.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit_ms)?)?;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(total_ms))
}

/// As [`duration`] reads it.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest_ms = duration.as_millis() as u64;
    let mut text = String::new();
    for (unit, unit_ms) in DURATION_UNITS {
        if rest_ms >= unit_ms {
            text.push_str(&format!("{}{unit}", rest_ms / unit_ms));
            rest_ms %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The named payloads of the four-week plan, in bytes.
pub(super) const PAYLOADS: [(&str, usize); 5] =
    [("small", 100), ("medium", 500), ("large", 1_024), ("very-large", 5_120), ("maximum", 10_240)];
/// What `payload:` takes, as an error says it.
pub(super) const PAYLOAD_EXPECTED: &str = "small, medium, large, very-large, maximum, a size such as 700B or 2KiB, {bytes: 700}, {template: FILE} or {replay: FILE}";
pub(super) const PAYLOAD_PATTERN: &str = "^(small|medium|large|very-large|maximum|[0-9]+(B|KiB|MiB))$";

/// A payload's name or size: name and bytes.
pub(super) fn payload(text: &str) -> Option<(String, usize)> {
    if let Some((name, bytes)) = PAYLOADS.iter().find(|(name, _)| *name == text) {
        return Some(((*name).to_owned(), *bytes));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit_bytes: usize = match unit {
        "B" => 1,
        "KiB" => 1_024,
        "MiB" => 1_048_576,
        _ => return None,
    };
    let bytes = number.parse::<usize>().ok()?.checked_mul(unit_bytes)?;
    Some((payload_name(bytes), bytes))
}

/// The name of a payload whose size the plan gives.
pub(super) fn payload_name(bytes: usize) -> String {
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, ms) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("2m30s", 150_000),
            ("500ms", 500),
            ("1h1m1s1ms", 3_661_001),
            ("0s", 0),
        ] {
            let read = duration(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(read, Duration::from_millis(ms), "{text}");
            assert_eq!(duration(&show_duration(read)), Some(read), "{text}");
        }
        for text in
            ["", "30", "s", "1.5s", "30s2m", "5m5m", "-5s", "5 m", "5d", "1e3s", "99999999999999999999h"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn reads_payloads() {
        assert_eq!(payload("very-large"), Some(("very-large".to_owned(), 5_120)));
        assert_eq!(payload("2KiB"), Some(("2048 bytes".to_owned(), 2_048)));
        assert_eq!(payload("700B"), Some(("700 bytes".to_owned(), 700)));
        for text in ["", "700", "KiB", "2kb", "-1B", "big", "99999999999999999999B"] {
            assert_eq!(payload(text), None, "{text}");
        }
    }
}
