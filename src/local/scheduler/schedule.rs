//! One schedule: what was asked for, checked, and how it is shown.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::task::AbortHandle;

use super::{DEFAULT_GROUP, invalid};
use crate::local::members::{integer, text};
use crate::local::service::{ApiError, Context};

/// The one target of this endpoint's schedules: a universal target, "aws-sdk:<service>:<operation>".
pub const DELETE_STACK: &str = "arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack";
/// Retries and their age unless told otherwise, and at most. API reference, RetryPolicy.
const RETRIES_MAX: i64 = 185;
const EVENT_AGE_MAX_S: i64 = 86_400;
const EVENT_AGE_MIN_S: i64 = 60;

pub struct Schedule {
    /// Members as they were given, for `GetSchedule`.
    given: Map<String, Value>,
    pub at_us: i64,
    pub created_ms: i64,
    modified_ms: i64,
    /// Waits for `at_us`; `None` when the schedule is disabled.
    pub task: Option<AbortHandle>,
}

/// What a schedule that is due does.
#[derive(Clone)]
pub struct Due {
    /// Input of `DeleteStack`.
    pub input: Value,
    pub retries_max: u32,
    pub retry_for: Duration,
    /// `ActionAfterCompletion: DELETE`.
    pub is_removed_after: bool,
}

impl Schedule {
    /// # Errors
    /// `ValidationException` when something is missing, wrong, or not there locally.
    pub fn read(input: &Value, context: &Context) -> Result<Schedule, ApiError> {
        const KEPT: [&str; 10] = [
            "ActionAfterCompletion",
            "Description",
            "EndDate",
            "FlexibleTimeWindow",
            "KmsKeyArn",
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "StartDate",
            "State",
            "Target",
        ];
        let mut given: Map<String, Value> = KEPT
            .into_iter()
            .filter_map(|member| Some((member.to_owned(), input.get(member)?.clone())))
            .filter(|(_, value)| !value.is_null())
            .collect();
        for (member, default) in [("State", "ENABLED"), ("ActionAfterCompletion", "NONE")] {
            given.entry(member).or_insert_with(|| json!(default));
        }
        given.entry("ScheduleExpressionTimezone").or_insert_with(|| json!("UTC"));
        check_choices(&Value::Object(given.clone()))?;
        check_target(&input["Target"])?;
        let zone = given["ScheduleExpressionTimezone"].as_str().unwrap_or_default();
        let at_us = at_us(text(input, "ScheduleExpression").unwrap_or_default(), zone)?;
        let now_ms = context.clock.now_ms();
        Ok(Schedule { given, at_us, created_ms: now_ms, modified_ms: now_ms, task: None })
    }

    pub fn state(&self) -> &str {
        self.given["State"].as_str().unwrap_or_default()
    }

    pub fn is_enabled(&self) -> bool {
        self.state() == "ENABLED"
    }

    /// It fires no more.
    pub fn stop(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    pub fn due(&self) -> Due {
        let target = &self.given["Target"];
        let policy = &target["RetryPolicy"];
        let bounded = |member: &str, least: i64, most: i64| {
            integer(policy, member).unwrap_or(most).clamp(least, most) as u64
        };
        let input = target["Input"].as_str().unwrap_or("{}");
        Due {
            input: serde_json::from_str(input).unwrap_or_default(),
            retries_max: bounded("MaximumRetryAttempts", 0, RETRIES_MAX) as u32,
            retry_for: Duration::from_secs(bounded(
                "MaximumEventAgeInSeconds",
                EVENT_AGE_MIN_S,
                EVENT_AGE_MAX_S,
            )),
            is_removed_after: self.given["ActionAfterCompletion"] == "DELETE",
        }
    }

    pub fn describe(&self, name: &str, arn: &str) -> Value {
        let mut shown = self.given.clone();
        shown.extend(self.head(name, arn));
        Value::Object(shown)
    }

    pub fn summary(&self, name: &str, arn: &str) -> Value {
        let mut shown = self.head(name, arn);
        shown.insert("State".into(), self.given["State"].clone());
        shown.insert("Target".into(), json!({"Arn": self.given["Target"]["Arn"]}));
        Value::Object(shown)
    }

    fn head(&self, name: &str, arn: &str) -> Map<String, Value> {
        let seconds = |ms: i64| json!(ms as f64 / 1_000.0);
        [
            ("Name", json!(name)),
            ("Arn", json!(arn)),
            ("GroupName", json!(DEFAULT_GROUP)),
            ("CreationDate", seconds(self.created_ms)),
            ("LastModificationDate", seconds(self.modified_ms)),
        ]
        .into_iter()
        .map(|(member, value)| (member.to_owned(), value))
        .collect()
    }
}

fn check_choices(given: &Value) -> Result<(), ApiError> {
    let one_of = |what: &str, value: &Value, allowed: [&str; 2]| match value.as_str() {
        Some(found) if allowed.contains(&found) => Ok(()),
        found => Err(invalid(format!(
            "{what}: found '{}', expected one of {}",
            found.unwrap_or_default(),
            allowed.join(", ")
        ))),
    };
    one_of("State", &given["State"], ["ENABLED", "DISABLED"])?;
    one_of("ActionAfterCompletion", &given["ActionAfterCompletion"], ["NONE", "DELETE"])?;
    one_of("FlexibleTimeWindow.Mode", &given["FlexibleTimeWindow"]["Mode"], ["OFF", "FLEXIBLE"])?;
    match given["FlexibleTimeWindow"]["Mode"] == "FLEXIBLE" {
        true => Err(invalid("the local endpoint fires on time: FlexibleTimeWindow.Mode has to be OFF")),
        false => Ok(()),
    }
}

fn check_target(target: &Value) -> Result<(), ApiError> {
    let arn = text(target, "Arn").unwrap_or_default();
    if arn != DELETE_STACK {
        return Err(invalid(format!(
            "the local endpoint's schedules have one target, {DELETE_STACK}; this is '{arn}'"
        )));
    }
    if text(target, "RoleArn").is_none_or(|role| !role.starts_with("arn:aws:iam::")) {
        return Err(invalid("Target.RoleArn: expected the ARN of a role"));
    }
    let input: Option<Value> = text(target, "Input").and_then(|text| serde_json::from_str(text).ok());
    match input {
        Some(Value::Object(members)) if members.get("StackName").is_some_and(Value::is_string) => Ok(()),
        _ => Err(invalid("Target.Input: expected a JSON object with the member StackName")),
    }
}

/// `at(2026-11-21T06:00:00)` in the time zone. User guide, "Schedule types".
fn at_us(expression: &str, zone: &str) -> Result<i64, ApiError> {
    let wrong = || {
        invalid(format!(
            "Invalid Schedule Expression {expression}: the local endpoint knows at(yyyy-mm-ddThh:mm:ss)."
        ))
    };
    let inside = expression.strip_prefix("at(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(wrong)?;
    if zone != "UTC" {
        return Err(invalid(format!("the local endpoint knows the time zone UTC alone; this is '{zone}'")));
    }
    let local: jiff::civil::DateTime = inside.parse().map_err(|_| wrong())?;
    let at = local.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
    Ok(at.timestamp().as_microsecond())
}
