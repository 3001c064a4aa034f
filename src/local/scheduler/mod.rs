//! EventBridge Scheduler, as far as one-time schedules that delete a stack: API model of 2021-06-30. A schedule
//! fires on the platform clock. Only the default group is there, and only `at(...)`; the rest is refused by name.

mod fire;
mod rest;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use bytes::Bytes;
use serde_json::{Value, json};

use super::members::{integer, text};
use super::service::{ApiError, ApiResult, BoxFuture, Context, HttpService, Service, unknown_operation};
use schedule::Schedule;

/// The one group of this endpoint.
const DEFAULT_GROUP: &str = "default";
/// Schedules of one account. AWS takes a million; a test run needs a handful.
const SCHEDULES_MAX: usize = 10_000;
/// Schedules in one page of a list. EventBridge Scheduler API reference, ListSchedules.
const PAGE_MAX: i64 = 100;

/// The service. Must be used inside a tokio runtime: each schedule that waits is a task.
pub struct Scheduler {
    shared: Arc<Shared>,
}

struct Shared {
    context: Context,
    /// Asked whether a schedule's role is one that the service may assume.
    iam: Arc<dyn Service>,
    /// What schedules call. Weak, because CloudFormation itself makes schedules.
    cloudformation: OnceLock<Weak<dyn Service>>,
    schedules: Mutex<BTreeMap<String, Schedule>>,
}

impl Shared {
    fn schedules(&self) -> MutexGuard<'_, BTreeMap<String, Schedule>> {
        self.schedules.lock().expect("no holder of the schedules panics")
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        for schedule in self.shared.schedules().values() {
            schedule.stop();
        }
    }
}

impl Scheduler {
    pub fn new(context: Context, iam: Arc<dyn Service>) -> Arc<Scheduler> {
        let shared = Shared { context, iam, cloudformation: OnceLock::new(), schedules: Mutex::default() };
        Arc::new(Scheduler { shared: Arc::new(shared) })
    }

    /// Tells what schedules call. Once: a second call changes nothing.
    pub fn connect(&self, cloudformation: &Arc<dyn Service>) {
        let _ = self.shared.cloudformation.set(Arc::downgrade(cloudformation));
    }

    async fn dispatch(&self, operation: &str, input: Value) -> ApiResult {
        match operation {
            "CreateSchedule" => self.put(&input, false).await,
            "UpdateSchedule" => self.put(&input, true).await,
            "GetSchedule" => self.get(&input),
            "DeleteSchedule" => self.delete(&input),
            "ListSchedules" => self.list(&input),
            _ => Err(unknown_operation(operation)),
        }
    }

    /// `UpdateSchedule` replaces all of a schedule: what is left out goes back to its default.
    async fn put(&self, input: &Value, is_update: bool) -> ApiResult {
        let context = &self.shared.context;
        let name = name(input)?;
        let mut schedule = Schedule::read(input, context)?;
        self.check_role(input).await?;
        let arn = arn(context, &name);
        let mut schedules = self.shared.schedules();
        match (schedules.get(&name), is_update) {
            (Some(_), false) => {
                let message = format!("Schedule {name} already exists.");
                return Err(ApiError::new(409, "ConflictException", message));
            }
            (None, true) => return Err(missing(&name)),
            (None, false) if schedules.len() >= SCHEDULES_MAX => {
                let message = format!("the local endpoint keeps at most {SCHEDULES_MAX} schedules");
                return Err(ApiError::new(402, "ServiceQuotaExceededException", message));
            }
            (Some(before), true) => {
                schedule.created_ms = before.created_ms;
                before.stop();
            }
            (None, false) => {}
        }
        if schedule.is_enabled() {
            schedule.task = Some(fire::wait(Arc::downgrade(&self.shared), name.clone(), schedule.at_us));
        }
        schedules.insert(name, schedule);
        Ok(json!({"ScheduleArn": arn}))
    }

    /// As AWS checks it: the role has to be there, and to trust the service.
    async fn check_role(&self, input: &Value) -> Result<(), ApiError> {
        let role = input["Target"]["RoleArn"].as_str().unwrap_or_default();
        let name = role.rsplit('/').next().unwrap_or_default();
        let found = self.shared.iam.call("GetRole", json!({"RoleName": name})).await;
        let trusts = |role: &Value| {
            let policy = role["Role"]["AssumeRolePolicyDocument"].as_str().unwrap_or_default();
            policy.contains("scheduler.amazonaws.com")
        };
        match found {
            Ok(role) if trusts(&role) => Ok(()),
            _ => Err(invalid(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
            )),
        }
    }

    fn get(&self, input: &Value) -> ApiResult {
        let name = name(input)?;
        let schedules = self.shared.schedules();
        let schedule = schedules.get(&name).ok_or_else(|| missing(&name))?;
        Ok(schedule.describe(&name, &arn(&self.shared.context, &name)))
    }

    fn delete(&self, input: &Value) -> ApiResult {
        let name = name(input)?;
        let removed = self.shared.schedules().remove(&name).ok_or_else(|| missing(&name))?;
        removed.stop();
        Ok(json!({}))
    }

    fn list(&self, input: &Value) -> ApiResult {
        let group = text(input, "GroupName").unwrap_or(DEFAULT_GROUP);
        let prefix = text(input, "NamePrefix").unwrap_or_default();
        let after = text(input, "NextToken").unwrap_or_default();
        let most = integer(input, "MaxResults").unwrap_or(PAGE_MAX);
        if !(1..=PAGE_MAX).contains(&most) {
            return Err(invalid(format!("MaxResults: found {most}, expected 1 to {PAGE_MAX}")));
        }
        let schedules = self.shared.schedules();
        let wanted = |(name, schedule): &(&String, &Schedule)| {
            group == DEFAULT_GROUP
                && name.starts_with(prefix)
                && name.as_str() > after
                && text(input, "State").is_none_or(|state| state == schedule.state())
        };
        let mut page: Vec<_> = schedules.iter().filter(wanted).take(most as usize + 1).collect();
        let more = page.len() > most as usize;
        page.truncate(most as usize);
        let listed: Vec<Value> = page
            .iter()
            .map(|(name, schedule)| schedule.summary(name, &arn(&self.shared.context, name)))
            .collect();
        let mut output = json!({"Schedules": listed});
        if let (true, Some((last, _))) = (more, page.last()) {
            output["NextToken"] = json!(last);
        }
        Ok(output)
    }
}

/// A name in the default group.
fn name(input: &Value) -> Result<String, ApiError> {
    let name = text(input, "Name").unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(invalid(format!(
            "Name: found '{name}', expected 1 to 64 of 0-9, a-z, A-Z, '-', '_', '.'"
        )));
    }
    match text(input, "GroupName") {
        None | Some(DEFAULT_GROUP) => Ok(name.to_owned()),
        Some(group) => {
            let message = format!("Schedule group {group} does not exist.");
            Err(ApiError::new(404, "ResourceNotFoundException", message))
        }
    }
}

fn arn(context: &Context, name: &str) -> String {
    context.arn("scheduler", &format!("schedule/{DEFAULT_GROUP}/{name}"))
}

fn missing(name: &str) -> ApiError {
    ApiError::new(404, "ResourceNotFoundException", format!("Schedule {name} does not exist."))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::invalid("ValidationException", message)
}

impl Service for Scheduler {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(self.dispatch(operation, input))
    }
}

impl HttpService for Scheduler {
    fn http<'a>(&'a self, request: http::Request<Bytes>) -> BoxFuture<'a, http::Response<Bytes>> {
        Box::pin(rest::answer(self, request))
    }

    fn operation(&self, request: &http::Request<Bytes>) -> String {
        rest::operation(request).to_owned()
    }

    fn refusal(&self, _: &http::Method, _: &str, error: &ApiError) -> http::Response<Bytes> {
        rest::error_response(error)
    }
}
