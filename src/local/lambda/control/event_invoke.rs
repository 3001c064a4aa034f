//! How asynchronous invocations of a function are treated: the event invoke configuration. API reference,
//! PutFunctionEventInvokeConfig.

use serde_json::{Map, Value, json};

use super::{integer, page};
use crate::local::lambda::destination::Destination;
use crate::local::lambda::state::{Shared, invalid, user};
use crate::local::service::{ApiError, ApiResult};

const RETRIES: std::ops::RangeInclusive<i64> = 0..=2;
const EVENT_AGE_S: std::ops::RangeInclusive<i64> = 60..=21_600;
const PAGE_MAX: usize = 50;

impl Shared {
    /// Replaces the configuration (`replaces`), or changes what the request names.
    pub fn put_event_invoke(&self, input: &Value, replaces: bool) -> ApiResult {
        let name = self.function_name(input)?;
        let at_s = self.ctx.clock.now_ms() as f64 / 1_000.0;
        let arn = format!("{}:$LATEST", self.function_arn(&name));
        self.with_function(&name, |function| {
            let known = function.event_invoke.clone();
            let mut settings = match (replaces, known) {
                (true, _) => Map::new(),
                (false, Some(settings)) => settings,
                (false, None) => return Err(none_there(&arn)),
            };
            apply(&mut settings, input)?;
            settings.insert("FunctionArn".to_owned(), arn.into());
            settings.insert("LastModified".to_owned(), at_s.into());
            function.event_invoke = Some(settings.clone());
            Ok(Value::Object(settings))
        })?
    }

    pub fn get_event_invoke(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        let known = self.with_function(&name, |function| function.event_invoke.clone())?;
        known.map(Value::Object).ok_or_else(|| none_there(&self.function_arn(&name)))
    }

    pub fn delete_event_invoke(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        let known = self.with_function(&name, |function| function.event_invoke.take())?;
        known.map(|_| json!({})).ok_or_else(|| none_there(&self.function_arn(&name)))
    }

    pub fn list_event_invoke(&self, input: &Value) -> ApiResult {
        let name = self.function_name(input)?;
        let known = self.with_function(&name, |function| function.event_invoke.clone())?;
        let shown = known.into_iter().map(Value::Object).collect();
        Ok(page(input, "FunctionEventInvokeConfigs", shown, PAGE_MAX))
    }
}

fn apply(settings: &mut Map<String, Value>, input: &Value) -> Result<(), ApiError> {
    for (member, bounds) in [("MaximumRetryAttempts", RETRIES), ("MaximumEventAgeInSeconds", EVENT_AGE_S)] {
        if let Some(value) = integer(input, member, bounds)? {
            settings.insert(member.to_owned(), value.into());
        }
    }
    let destinations = &input["DestinationConfig"];
    if let Some(Destination::Bucket(_)) = Destination::read(&destinations["OnSuccess"]["Destination"])? {
        return Err(invalid("S3 buckets are supported only for on-failure destinations"));
    }
    Destination::read(&destinations["OnFailure"]["Destination"])?;
    if !destinations.is_null() {
        settings.insert("DestinationConfig".to_owned(), destinations.clone());
    }
    Ok(())
}

fn none_there(arn: &str) -> ApiError {
    let message = format!("The function {arn} doesn't have an EventInvokeConfig");
    user(ApiError::new(404, "ResourceNotFoundException", message))
}
