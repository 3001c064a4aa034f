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
        let path = format!("/widgets/{index}");
        if text(widget, "type").is_none() {
            return Err(invalid_dashboard("should have required property 'type'", &path));
        }
        if !widget.get("properties").is_some_and(Value::is_object) {
            return Err(invalid_dashboard("should have required property 'properties'", &path));
        }
    }
    Ok(())
}
