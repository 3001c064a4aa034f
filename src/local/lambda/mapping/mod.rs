//! Event source mappings for Kinesis: their API. `run` follows what is asked for, `poller` has a shard.

mod config;
mod deliver;
mod discarded;
mod event;
mod filter;
mod lanes;
mod poller;
mod progress;
#[cfg(test)]
mod property_tests;
mod reader;
mod run;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::config::Config;
use self::progress::{Progress, State};
use self::run::Wanted;
use super::control::{page, tags_of};
use super::state::{Shared, invalid, user};
use crate::local::service::{ApiError, ApiResult};

/// Items of one page of ListEventSourceMappings. API reference.
const MAPPINGS_PAGE_MAX: usize = 100;

/// All mappings.
pub struct Mappings {
    shared: Arc<Shared>,
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
}

struct Entry {
    /// Settings as the API gives them back, without state and result.
    settings: Map<String, Value>,
    tags: BTreeMap<String, String>,
    progress: Arc<Progress>,
    wanted: watch::Sender<Wanted>,
    task: JoinHandle<()>,
}

impl Entry {
    fn shown(&self) -> Value {
        let mut shown = self.settings.clone();
        shown.insert("State".to_owned(), format!("{:?}", self.progress.state()).into());
        shown.insert("StateTransitionReason".to_owned(), "User action".into());
        shown.insert("LastProcessingResult".to_owned(), self.progress.last_result().into());
        Value::Object(shown)
    }
}

impl Mappings {
    pub fn new(shared: Arc<Shared>) -> Mappings {
        Mappings { shared, entries: Arc::default() }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().expect("mappings lock")
    }

    pub async fn create(&self, input: Value) -> ApiResult {
        let function_arn = self.target(&input)?;
        let mut settings = config::defaults();
        config::apply(&mut settings, &input)?;
        settings.insert("EventSourceArn".to_owned(), input["EventSourceArn"].clone());
        settings.insert("FunctionArn".to_owned(), function_arn.into());
        let config = Arc::new(Config::read(&settings)?);
        self.check_stream(&config).await?;
        let uuid = self.shared.uuid();
        let arn = self.shared.ctx.arn("lambda", &format!("event-source-mapping:{uuid}"));
        settings.insert("UUID".to_owned(), uuid.as_str().into());
        settings.insert("EventSourceMappingArn".to_owned(), arn.into());
        self.stamp(&mut settings);
        let mut entries = self.entries();
        let same = |entry: &&Entry| {
            entry.settings["EventSourceArn"] == settings["EventSourceArn"]
                && entry.settings["FunctionArn"] == settings["FunctionArn"]
        };
        if let Some(other) = entries.values().find(same) {
            return Err(exists_already(&config, &other.settings["UUID"]));
        }
        let progress = Arc::new(Progress::new(State::Creating));
        let enabled = enabled(&input).unwrap_or(true);
        let (wanted, task) = self.start(&uuid, progress.clone(), want(enabled, &config));
        let tags = tags_of(&input["Tags"]);
        let entry = Entry { settings, tags, progress, wanted, task };
        let answer = entry.shown();
        entries.insert(uuid, entry);
        Ok(answer)
    }

    /// Starts the mapping's task, which takes the entry away when the mapping is gone.
    fn start(
        &self,
        uuid: &str,
        progress: Arc<Progress>,
        first: Wanted,
    ) -> (watch::Sender<Wanted>, JoinHandle<()>) {
        let (wanted, receiver) = watch::channel(first);
        let mapping = run::Mapping { shared: self.shared.clone(), uuid: uuid.into(), progress };
        let entries = self.entries.clone();
        let uuid = uuid.to_owned();
        let task = tokio::spawn(async move {
            run::follow(mapping, receiver).await;
            entries.lock().expect("mappings lock").remove(&uuid);
        });
        (wanted, task)
    }

    /// The ARN of the function, which must exist.
    fn target(&self, input: &Value) -> Result<String, ApiError> {
        let name = self.shared.function_name(input)?;
        match self.shared.with_function(&name, |_| ()) {
            Ok(()) => Ok(self.shared.function_arn(&name)),
            Err(_) => Err(invalid(format!("Function does not exist: {name}"))),
        }
    }

    async fn check_stream(&self, config: &Config) -> Result<(), ApiError> {
        let input = json!({"StreamName": config.stream});
        match self.shared.peers.kinesis.call("DescribeStreamSummary", input).await {
            Err(error) if error.code == "ResourceNotFoundException" => {
                Err(invalid(format!("Stream not found: {}", config.stream_arn)))
            }
            // Other errors pass: the mapping's own task meets them and says so in LastProcessingResult.
            _ => Ok(()),
        }
    }

    pub fn get(&self, input: &Value) -> ApiResult {
        self.with(input, |entry| entry.shown())
    }

    pub async fn update(&self, input: Value) -> ApiResult {
        let function_arn = match &input["FunctionName"] {
            Value::Null => None,
            _ => Some(self.target(&input)?),
        };
        for fixed in ["EventSourceArn", "StartingPosition", "StartingPositionTimestamp"] {
            if !input[fixed].is_null() {
                return Err(invalid(format!("{fixed} cannot be changed")));
            }
        }
        self.with(&input, |entry| {
            if entry.progress.state() == State::Deleting {
                return Err(in_use(&entry.settings["UUID"]));
            }
            let mut settings = entry.settings.clone();
            config::apply(&mut settings, &input)?;
            if let Some(arn) = function_arn {
                settings.insert("FunctionArn".to_owned(), arn.into());
            }
            let config = Arc::new(Config::read(&settings)?);
            self.stamp(&mut settings);
            entry.settings = settings;
            let was_enabled = matches!(*entry.wanted.borrow(), Wanted::Running(_));
            let enabled = enabled(&input).unwrap_or(was_enabled);
            entry.progress.set_state(match (was_enabled, enabled) {
                (false, true) => State::Enabling,
                (true, false) => State::Disabling,
                (true, true) => State::Updating,
                (false, false) => State::Disabled,
            });
            entry.wanted.send_replace(want(enabled, &config));
            Ok(entry.shown())
        })?
    }

    pub fn delete(&self, input: &Value) -> ApiResult {
        self.with(input, |entry| {
            entry.progress.set_state(State::Deleting);
            entry.wanted.send_replace(Wanted::Gone);
            entry.shown()
        })
    }

    pub fn list(&self, input: &Value) -> ApiResult {
        let function_arn = match &input["FunctionName"] {
            Value::Null => None,
            _ => Some(self.shared.function_arn(&self.shared.function_name(input)?)),
        };
        let stream_arn = input["EventSourceArn"].as_str();
        let entries = self.entries();
        let wanted = entries.values().filter(|entry| {
            stream_arn.is_none_or(|arn| entry.settings["EventSourceArn"] == arn)
                && function_arn.as_deref().is_none_or(|arn| entry.settings["FunctionArn"] == arn)
        });
        let shown = wanted.map(Entry::shown).collect();
        Ok(page(input, "EventSourceMappings", shown, MAPPINGS_PAGE_MAX))
    }

    /// `None`: the resource is no mapping.
    pub fn tag(&self, input: &Value) -> Option<ApiResult> {
        let tags = tags_of(&input["Tags"]);
        self.tagged(input, |entry| {
            entry.tags.extend(tags);
            json!({})
        })
    }

    /// `None`: the resource is no mapping.
    pub fn untag(&self, input: &Value) -> Option<ApiResult> {
        let keys: Vec<&str> =
            input["TagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.tagged(input, |entry| {
            entry.tags.retain(|key, _| !keys.contains(&key.as_str()));
            json!({})
        })
    }

    /// `None`: the resource is no mapping.
    pub fn tags(&self, input: &Value) -> Option<ApiResult> {
        self.tagged(input, |entry| json!({"Tags": entry.tags}))
    }

    fn tagged(&self, input: &Value, work: impl FnOnce(&mut Entry) -> Value) -> Option<ApiResult> {
        let (_, uuid) = input["Resource"].as_str()?.rsplit_once(":event-source-mapping:")?;
        Some(self.with(&json!({"UUID": uuid}), work))
    }

    fn with<T>(&self, input: &Value, work: impl FnOnce(&mut Entry) -> T) -> Result<T, ApiError> {
        let uuid = input["UUID"].as_str().unwrap_or_default();
        self.entries().get_mut(uuid).map(work).ok_or_else(|| {
            user(ApiError::new(
                404,
                "ResourceNotFoundException",
                "The resource you requested does not exist.",
            ))
        })
    }

    /// Epoch seconds, as the API has the timestamps of mappings.
    fn stamp(&self, settings: &mut Map<String, Value>) {
        let at_s = self.shared.ctx.clock.now_ms() as f64 / 1_000.0;
        settings.insert("LastModified".to_owned(), at_s.into());
    }

    /// Ends every mapping now, invocations under way included.
    pub async fn shutdown(&self) {
        let entries = std::mem::take(&mut *self.entries());
        for entry in entries.values() {
            entry.task.abort();
        }
        for entry in entries.into_values() {
            // An error is the abort itself.
            let _ = entry.task.await;
        }
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        for entry in self.entries().values() {
            entry.task.abort();
        }
    }
}

fn want(enabled: bool, config: &Arc<Config>) -> Wanted {
    if enabled { Wanted::Running(config.clone()) } else { Wanted::Stopped }
}

/// CloudFormation parameters arrive as strings.
fn enabled(input: &Value) -> Option<bool> {
    match &input["Enabled"] {
        Value::Bool(enabled) => Some(*enabled),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn exists_already(config: &Config, uuid: &Value) -> ApiError {
    user(ApiError::new(
        409,
        "ResourceConflictException",
        format!(
            "The event source arn (\" {} \") and function (\" {} \") provided mapping already exists. Please \
             update or delete the existing mapping with UUID {}",
            config.stream_arn,
            config.function,
            uuid.as_str().unwrap_or_default()
        ),
    ))
}

fn in_use(uuid: &Value) -> ApiError {
    user(ApiError::new(
        400,
        "ResourceInUseException",
        format!(
            "Cannot update the event source mapping {} because it is in use.",
            uuid.as_str().unwrap_or_default()
        ),
    ))
}
