//! Dashboards: stored and given back whole.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::{invalid_dashboard, invalid_value, missing, no_dashboard};
use crate::local::members::{text, texts};
use crate::local::service::{ApiError, ApiResult};

/// Widgets of a dashboard. CloudWatch user guide, "CloudWatch service quotas".
const WIDGETS_MAX: usize = 500;

#[derive(Default)]
pub struct Dashboards {
    by_name: BTreeMap<String, Dashboard>,
}

struct Dashboard {
    body: String,
    modified_s: f64,
}

impl Dashboards {
    /// # Errors
    /// When the name holds other characters than letters, digits, `-` and `_`, or the body is not a JSON
    /// object with a list of widgets that each have a type and properties.
    pub fn put(&mut self, input: &Value, now_s: f64) -> ApiResult {
        let name = text(input, "DashboardName").ok_or_else(|| missing("DashboardName"))?;
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 255 || !name.chars().all(known) {
            return Err(invalid_value(format!("The value {name:?} for DashboardName is not valid.")));
        }
        let body = text(input, "DashboardBody").ok_or_else(|| missing("DashboardBody"))?;
        check_body(body)?;
        self.by_name.insert(name.to_owned(), Dashboard { body: body.to_owned(), modified_s: now_s });
        Ok(json!({ "DashboardValidationMessages": [] }))
    }

    pub fn get(&self, input: &Value, arn: impl Fn(&str) -> String) -> ApiResult {
        let name = text(input, "DashboardName").ok_or_else(|| missing("DashboardName"))?;
        let dashboard = self.by_name.get(name).ok_or_else(|| no_dashboard(name))?;
        Ok(json!({ "DashboardArn": arn(name), "DashboardBody": dashboard.body, "DashboardName": name }))
    }

    pub fn list(&self, input: &Value, arn: impl Fn(&str) -> String) -> ApiResult {
        let prefix = text(input, "DashboardNamePrefix").unwrap_or("");
        let entries: Vec<Value> = self
            .by_name
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, dashboard)| {
                json!({
                    "DashboardName": name,
                    "DashboardArn": arn(name),
                    "LastModified": dashboard.modified_s,
                    "Size": dashboard.body.len(),
                })
            })
            .collect();
        Ok(json!({ "DashboardEntries": entries }))
    }

    /// Deletes all of the named dashboards, or none when one is missing (as AWS does). Gives their names.
    pub fn delete(&mut self, input: &Value) -> Result<Vec<String>, ApiError> {
        let names = texts(input, "DashboardNames");
        if names.is_empty() {
            return Err(missing("DashboardNames"));
        }
        if let Some(absent) = names.iter().find(|name| !self.by_name.contains_key(**name)) {
            return Err(no_dashboard(absent));
        }
        for name in &names {
            self.by_name.remove(*name);
        }
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }
}

fn check_body(body: &str) -> Result<(), ApiError> {
    let parsed: Value =
        serde_json::from_str(body).map_err(|error| invalid_dashboard(&error.to_string(), "/"))?;
    let widgets = parsed
        .get("widgets")
        .and_then(Value::as_array)
        .ok_or_else(|| invalid_dashboard("should have required property 'widgets'", "/"))?;
    if widgets.len() > WIDGETS_MAX {
        return Err(invalid_dashboard("has more than 500 widgets", "/widgets"));
    }
    for (index, widget) in widgets.iter().enumerate() {
        check_widget(widget, &format!("/widgets/{index}"))?;
    }
    Ok(())
}

/// What the user guide's "Dashboard body structure and syntax" requires of each kind of widget.
fn check_widget(widget: &Value, path: &str) -> Result<(), ApiError> {
    let kind = text(widget, "type")
        .ok_or_else(|| invalid_dashboard("should have required property 'type'", path))?;
    let properties = widget
        .get("properties")
        .filter(|properties| properties.is_object())
        .ok_or_else(|| invalid_dashboard("should have required property 'properties'", path))?;
    for (member, least, most) in [("x", 0, 23), ("y", 0, i64::MAX), ("width", 1, 24), ("height", 1, 1_000)] {
        if let Some(value) = widget.get(member)
            && !value.as_i64().is_some_and(|value| (least..=most).contains(&value))
        {
            let message = format!("should be a whole number between {least} and {most}");
            return Err(invalid_dashboard(&message, &format!("{path}/{member}")));
        }
    }
    let required: &[&str] = match kind {
        // A metric widget may draw an alarm, which its annotations name, in place of metrics.
        "metric" if properties.pointer("/annotations/alarms").is_some() => &["region"],
        "metric" => &["region", "metrics"],
        "log" => &["region", "query"],
        "text" => &["markdown"],
        "alarm" => &["alarms"],
        "explorer" => &["metrics"],
        "custom" => &["endpoint"],
        _ => {
            return Err(invalid_dashboard(
                "should be equal to one of the allowed values",
                &format!("{path}/type"),
            ));
        }
    };
    let path = format!("{path}/properties");
    if let Some(absent) = required.iter().find(|name| properties.get(**name).is_none()) {
        return Err(invalid_dashboard(&format!("should have required property '{absent}'"), &path));
    }
    check_metrics(properties, kind, &path)
}

/// Each line of a metric widget is an array: namespace, metric, dimensions in pairs, and at most one object of
/// options at its end; or only an object with an expression.
fn check_metrics(properties: &Value, kind: &str, path: &str) -> Result<(), ApiError> {
    let Some(metrics) = properties.get("metrics").filter(|_| kind == "metric") else { return Ok(()) };
    let invalid = |message: &str, path: String| Err(invalid_dashboard(message, &path));
    let Some(metrics) = metrics.as_array() else {
        return invalid("should be array", format!("{path}/metrics"));
    };
    for (index, metric) in metrics.iter().enumerate() {
        let path = format!("{path}/metrics/{index}");
        let Some(items) = metric.as_array() else { return invalid("should be array", path) };
        let options = items.last().filter(|last| last.is_object());
        let names = &items[..items.len() - usize::from(options.is_some())];
        if names.iter().any(|name| !name.is_string()) {
            return invalid("should hold text, and options only at its end", path);
        }
        let expression = options.is_some_and(|options| options.get("expression").is_some());
        if !(names.is_empty() && expression) && (names.len() < 2 || names.len() % 2 != 0) {
            return invalid("should name a namespace, a metric, and dimensions in pairs", path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(widget: Value) -> Result<Value, ApiError> {
        let body = json!({ "widgets": [widget] }).to_string();
        Dashboards::default().put(&json!({ "DashboardName": "d", "DashboardBody": body }), 0.0)
    }

    #[test]
    fn widgets_that_the_user_guide_does_not_allow_are_refused_with_their_path() {
        let metric =
            |metrics: Value| json!({ "type": "metric", "properties": { "region": "r", "metrics": metrics } });
        put(metric(json!([["N", "M", "D", "v", { "stat": "p99" }], [{ "expression": "a*2" }], ["N", "M"]])))
            .unwrap();
        put(json!({ "type": "metric", "properties": { "region": "r", "annotations": { "alarms": ["a"] } } }))
            .unwrap();
        let cases = [
            (json!({ "type": "pie", "properties": {} }), "/widgets/0/type"),
            (json!({ "type": "text", "properties": {} }), "/widgets/0/properties"),
            (json!({ "type": "text", "width": 25, "properties": { "markdown": "" } }), "/widgets/0/width"),
            (json!({ "type": "log", "properties": { "query": "fields @message" } }), "/widgets/0/properties"),
            (metric(json!([["N", "M", "D"]])), "/widgets/0/properties/metrics/0"),
            (metric(json!([["N", { "stat": "p99" }, "M"]])), "/widgets/0/properties/metrics/0"),
        ];
        for (widget, path) in cases {
            let error = put(widget.clone()).unwrap_err();
            assert_eq!(error.members["dashboardValidationMessages"][0]["DataPath"], path, "{widget}");
        }
    }
}
