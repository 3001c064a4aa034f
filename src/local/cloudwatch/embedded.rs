//! The embedded metric format: log lines that carry custom metrics, which CloudWatch Logs takes out of them.
//!
//! Source: CloudWatch user guide, "Specification: Embedded metric format".

use serde_json::Value;

use crate::local::members::{as_number, list, text};
use crate::local::metrics::{MetricSink, Sample};

/// Limits of the specification: metrics of a directive, values of a metric, dimensions of a set.
const METRICS_MAX: usize = 100;
const VALUES_MAX: usize = 100;
const DIMENSIONS_MAX: usize = 30;
/// How old, and how far ahead, a metric may be: as for PutMetricData.
const AGE_MAX_MS: i64 = 14 * 86_400_000;
const AHEAD_MAX_MS: i64 = 2 * 3_600_000;

/// Records the metrics that a log line carries and gives the number of values. Their time is the line's own
/// `Timestamp`, otherwise `logged_ms`, the time of the log event (both ms since the epoch). A line that is
/// none, or breaks the specification, records nothing of the directive that is wrong: that is what CloudWatch
/// does, without telling anybody.
pub fn record_embedded(line: &str, logged_ms: i64, now_ms: i64, sink: &dyn MetricSink) -> usize {
    // Most log lines are no JSON: they cost two looks.
    if !line.trim_start().starts_with('{') || !line.contains("\"_aws\"") {
        return 0;
    }
    let Ok(event) = serde_json::from_str::<Value>(line) else { return 0 };
    let Some(metadata) = event.get("_aws") else { return 0 };
    let at_ms = metadata.get("Timestamp").and_then(Value::as_i64).unwrap_or(logged_ms);
    if !(now_ms - AGE_MAX_MS..=now_ms + AHEAD_MAX_MS).contains(&at_ms) {
        return 0;
    }
    list(metadata, "CloudWatchMetrics")
        .iter()
        .map(|directive| record_directive(&event, directive, at_ms, sink))
        .sum()
}

fn record_directive(event: &Value, directive: &Value, at_ms: i64, sink: &dyn MetricSink) -> usize {
    let namespace = text(directive, "Namespace").filter(|namespace| !namespace.is_empty());
    let (Some(namespace), Some(sets)) = (namespace, dimension_sets(event, directive)) else { return 0 };
    let metrics = list(directive, "Metrics");
    if metrics.len() > METRICS_MAX || namespace.starts_with("AWS/") {
        return 0;
    }
    let mut recorded = 0;
    for metric in metrics {
        let Some(name) = text(metric, "Name") else { continue };
        let unit = text(metric, "Unit").unwrap_or("None");
        let high_resolution = metric.get("StorageResolution").and_then(Value::as_i64) == Some(1);
        let values = values(event.get(name));
        recorded += values.len();
        for dimensions in &sets {
            for &value in &values {
                let sample = Sample { namespace, metric: name, dimensions, unit, value };
                sink.record_at(sample, at_ms, high_resolution);
            }
        }
    }
    recorded
}

/// Each set as (name, value of that member); `None` when a name has no value or a set is too large.
fn dimension_sets<'a>(event: &'a Value, directive: &'a Value) -> Option<Vec<Vec<(&'a str, &'a str)>>> {
    let sets = list(directive, "Dimensions");
    if sets.is_empty() {
        return Some(vec![Vec::new()]);
    }
    let set = |set: &'a Value| -> Option<Vec<(&'a str, &'a str)>> {
        let names = set.as_array().filter(|names| names.len() <= DIMENSIONS_MAX)?;
        names.iter().map(|name| Some((name.as_str()?, text(event, name.as_str()?)?))).collect()
    };
    sets.iter().map(set).collect()
}

/// A number, or a list of numbers.
fn values(member: Option<&Value>) -> Vec<f64> {
    match member {
        Some(Value::Array(values)) if values.len() <= VALUES_MAX => {
            values.iter().filter_map(as_number).collect()
        }
        Some(Value::Number(number)) => number.as_f64().into_iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const AT_MS: i64 = 1_574_109_732_004;

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl MetricSink for Seen {
        fn record(&self, _: Sample<'_>) {
            unreachable!("an embedded metric has a time");
        }

        fn record_at(&self, s: Sample<'_>, at_ms: i64, high: bool) {
            let seen = format!("{} {} {:?} {} {}", s.namespace, s.metric, s.dimensions, s.unit, s.value);
            let resolution_s = if high { 1 } else { 60 };
            self.0.lock().unwrap().push(format!("{seen} at {at_ms} by {resolution_s} s"));
        }
    }

    #[test]
    fn the_specifications_example_is_recorded() {
        let seen = Seen::default();
        let line = r#"{"_aws": {"Timestamp": 1574109732004, "CloudWatchMetrics": [{
            "Namespace": "lambda-function-metrics", "Dimensions": [["functionVersion"], []],
            "Metrics": [{"Name": "time", "Unit": "Milliseconds", "StorageResolution": 60}, {"Name": "sizes", "StorageResolution": 1}]}]},
            "functionVersion": "$LATEST", "time": 100, "sizes": [1, 2.5], "requestId": "989ffbf8"}"#;
        assert_eq!(record_embedded(line, 0, AT_MS + 1_000, &seen), 3);
        assert_eq!(
            *seen.0.lock().unwrap(),
            [
                r#"lambda-function-metrics time [("functionVersion", "$LATEST")] Milliseconds 100 at 1574109732004 by 60 s"#,
                r#"lambda-function-metrics time [] Milliseconds 100 at 1574109732004 by 60 s"#,
                r#"lambda-function-metrics sizes [("functionVersion", "$LATEST")] None 1 at 1574109732004 by 1 s"#,
                r#"lambda-function-metrics sizes [("functionVersion", "$LATEST")] None 2.5 at 1574109732004 by 1 s"#,
                r#"lambda-function-metrics sizes [] None 1 at 1574109732004 by 1 s"#,
                r#"lambda-function-metrics sizes [] None 2.5 at 1574109732004 by 1 s"#,
            ]
        );
    }

    #[test]
    fn the_time_is_the_lines_own_or_the_events_and_not_too_far_off() {
        let seen = Seen::default();
        let line = |time: &str| {
            format!(
                r#"{{"_aws": {{{time}"CloudWatchMetrics": [{{"Namespace": "N", "Metrics": [{{"Name": "a"}}]}}]}}, "a": 1}}"#
            )
        };
        assert_eq!(record_embedded(&line(""), AT_MS, AT_MS, &seen), 1);
        let own = line(&format!(r#""Timestamp": {}, "#, AT_MS - 5));
        assert_eq!(record_embedded(&own, AT_MS, AT_MS, &seen), 1);
        assert_eq!(record_embedded(&own, AT_MS, AT_MS + AGE_MAX_MS, &seen), 0, "too old");
        assert_eq!(record_embedded(&own, AT_MS, AT_MS - 6 - AHEAD_MAX_MS, &seen), 0, "too far ahead");
        let seen = seen.0.lock().unwrap();
        assert!(seen[0].ends_with(&format!("at {AT_MS} by 60 s")), "{seen:?}");
        assert!(seen[1].ends_with(&format!("at {} by 60 s", AT_MS - 5)), "{seen:?}");
    }

    #[test]
    fn lines_that_are_none_record_nothing() {
        let seen = Seen::default();
        for line in [
            "START RequestId: a",
            r#"{"_aws": 1"#,
            r#"{"_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "a"}]}]}, "a": 1}"#,
            r#"{"_aws": {"CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["gone"]], "Metrics": [{"Name": "a"}]}]}, "a": 1}"#,
            r#"{"_aws": {"CloudWatchMetrics": [{"Namespace": "AWS/Lambda", "Metrics": [{"Name": "Errors"}]}]}, "Errors": 1}"#,
        ] {
            assert_eq!(record_embedded(line, AT_MS, AT_MS, &seen), 0, "{line}");
        }
        assert!(seen.0.lock().unwrap().is_empty());
    }
}
