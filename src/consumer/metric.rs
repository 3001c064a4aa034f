//! The one line of embedded metrics that an invocation may print: CloudWatch Logs makes the custom metric
//! `EndToEndLatency` of it, which the dashboard shows.
//!
//! Source: CloudWatch user guide, "Specification: Embedded metric format".

use serde_json::json;

/// Namespace and metric as `dashboards/pipeline.json` asks for them.
const NAMESPACE: &str = "streamgauge";
const METRIC: &str = "EndToEndLatency";
/// Values that one metric of a line may have, by the specification.
const VALUES_MAX: usize = 100;

/// The line, without a line break; `None` for no ages. `ages_ms` are from each record's arrival in the stream to the
/// function's end, ms; of more than 100 the line has 100 in their place, evenly spread over their order, the
/// smallest and the largest among them: percentiles stay, the metric's sample count is that of the line.
pub(super) fn line(function: &str, at_ms: i64, mut ages_ms: Vec<i64>) -> Option<String> {
    if ages_ms.is_empty() {
        return None;
    }
    ages_ms.sort_unstable();
    let last = ages_ms.len() - 1;
    let places = ages_ms.len().min(VALUES_MAX);
    // Clocks that disagree may make an age negative, and a negative latency is nobody's.
    let spread = |place: usize| ages_ms[place * last / (places - 1).max(1)].max(0);
    let values: Vec<i64> = (0..places).map(spread).collect();
    let line = json!({
        "_aws": {
            "Timestamp": at_ms,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["FunctionName"]],
                "Metrics": [{ "Name": METRIC, "Unit": "Milliseconds" }],
            }],
        },
        "FunctionName": function,
        METRIC: values,
    });
    Some(line.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn values(ages_ms: Vec<i64>) -> Vec<i64> {
        let line: Value = serde_json::from_str(&line("f", 7, ages_ms).expect("a line")).expect("JSON");
        serde_json::from_value(line[METRIC].clone()).expect("whole numbers")
    }

    #[test]
    fn a_small_batch_has_every_age_and_a_large_one_its_order() {
        assert_eq!(line("f", 7, Vec::new()), None);
        assert_eq!(values(vec![5]), [5]);
        assert_eq!(values(vec![30, -2, 10]), [0, 10, 30]);
        let large = values((0..10_000).rev().collect());
        assert_eq!((large.len(), large[0], large[99]), (100, 0, 9_999));
        assert!((4_900..=5_100).contains(&large[50]), "{}", large[50]);
    }

    #[test]
    fn the_dashboard_asks_for_this_metric() {
        let dashboard = include_str!("../../dashboards/pipeline.json");
        assert!(dashboard.contains(&format!(r#"["{NAMESPACE}", "{METRIC}", "FunctionName", "#)));
    }
}
