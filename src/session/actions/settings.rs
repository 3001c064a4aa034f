//! What an action changes, as the services have it: read, set, and looked at until it stands.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use aws_sdk_kinesis::types::{ScalingType, StreamStatus};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::plan::ActionChange;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::platform::refusals::plain;
use crate::stack::Standing;

/// A setting is looked at this soon after it was made, then at twice the time, up to the longest: a mapping takes
/// seconds to follow, a stream with many shards minutes, and the services refuse more than a few looks a second.
const LOOK_FIRST: Duration = Duration::from_millis(250);
const LOOK_LONGEST: Duration = Duration::from_secs(2);

/// One setting of the pipeline that an action may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Whether the mapping reads the stream.
    Reads(bool),
    Shards(u32),
    /// Of the function; `None`: nothing is reserved.
    Reserved(Option<u32>),
    /// Of the mapping; `None` is left alone.
    Batch {
        batch_size: Option<u32>,
        batch_window_s: Option<u32>,
        parallelization: Option<u32>,
    },
}

impl Setting {
    /// What an action asks for.
    pub(super) fn wanted(change: &ActionChange) -> Setting {
        match *change {
            ActionChange::DisableMapping => Setting::Reads(false),
            ActionChange::Reshard { shards } => Setting::Shards(shards),
            ActionChange::ReservedConcurrency { value } => Setting::Reserved(Some(value)),
            ActionChange::ChangeBatch { batch_size, batch_window_s, parallelization } => {
                Setting::Batch { batch_size, batch_window_s, parallelization }
            }
        }
    }

    /// For example `reserved concurrency 5`.
    pub(super) fn text(&self) -> String {
        match self {
            Setting::Reads(true) => "mapping enabled".to_owned(),
            Setting::Reads(false) => ActionChange::DisableMapping.text(),
            Setting::Shards(shards) => ActionChange::Reshard { shards: *shards }.text(),
            Setting::Reserved(Some(value)) => ActionChange::ReservedConcurrency { value: *value }.text(),
            Setting::Reserved(None) => "no reserved concurrency".to_owned(),
            Setting::Batch { batch_size, batch_window_s, parallelization } => ActionChange::ChangeBatch {
                batch_size: *batch_size,
                batch_window_s: *batch_window_s,
                parallelization: *parallelization,
            }
            .text(),
        }
    }
}

/// Why a call did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The service said no: nothing has changed.
    Refused(String),
    /// Something else is being changed just now: asking again later will do.
    Busy(String),
    /// No answer, or none in time: it may have been done.
    Unknown(String),
}

impl Wrong {
    pub(super) fn text(&self) -> &str {
        let (Wrong::Refused(text) | Wrong::Busy(text) | Wrong::Unknown(text)) = self;
        text
    }
}

/// API references of UpdateEventSourceMapping, PutFunctionConcurrency and UpdateShardCount, "Errors".
const BUSY: [&str; 2] = ["ResourceInUseException", "ResourceConflictException"];
/// The service failed, or had too much to do beyond the SDK's own attempts.
const LATER: [&str; 6] = [
    "ServiceException",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "TooManyRequestsException",
    "ThrottlingException",
];

fn wrong<E, R>(error: SdkError<E, R>) -> Wrong
where
    E: Error + ProvideErrorMetadata + 'static,
    R: Debug + 'static,
{
    let text = plain(&error);
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    match code {
        Some(code) if BUSY.contains(&code) => Wrong::Busy(text),
        Some(code) if LATER.contains(&code) => Wrong::Unknown(text),
        Some(_) => Wrong::Refused(text),
        None => Wrong::Unknown(text),
    }
}

/// The pipeline that the actions of a run change.
#[derive(Clone)]
pub(super) struct Pipeline {
    clients: Clients,
    clock: Clock,
    stream: String,
    function: String,
    mapping: String,
}

impl Pipeline {
    pub(super) fn new(clients: &Clients, clock: Clock, standing: &Standing) -> Pipeline {
        Pipeline {
            clients: clients.clone(),
            clock,
            stream: standing.stream_name.clone(),
            function: standing.function_name.clone(),
            mapping: standing.mapping_uuid.clone(),
        }
    }

    /// What stands now where `like` would be set; `None` while it is being changed.
    pub(super) async fn now(&self, like: &Setting) -> Result<Option<Setting>, Wrong> {
        match like {
            Setting::Reads(_) | Setting::Batch { .. } => self.mapping(like).await,
            Setting::Shards(_) => {
                let asked = self.clients.kinesis.describe_stream_summary().stream_name(&self.stream);
                let answer = asked.send().await.map_err(wrong)?;
                let Some(stream) = answer.stream_description_summary() else { return Ok(None) };
                let is_active = *stream.stream_status() == StreamStatus::Active;
                Ok(is_active.then(|| Setting::Shards(stream.open_shard_count().try_into().unwrap_or(0))))
            }
            Setting::Reserved(_) => {
                let asked = self.clients.lambda.get_function_concurrency().function_name(&self.function);
                let answer = asked.send().await.map_err(wrong)?;
                let reserved = answer.reserved_concurrent_executions();
                Ok(Some(Setting::Reserved(reserved.and_then(|value| value.try_into().ok()))))
            }
        }
    }

    async fn mapping(&self, like: &Setting) -> Result<Option<Setting>, Wrong> {
        let asked = self.clients.lambda.get_event_source_mapping().uuid(&self.mapping);
        let mapping = asked.send().await.map_err(wrong)?;
        // Lambda API reference, EventSourceMappingConfiguration: the other states are on the way to one of these.
        let reads = match mapping.state() {
            Some("Enabled") => true,
            Some("Disabled") => false,
            _ => return Ok(None),
        };
        let Setting::Batch { batch_size, batch_window_s, parallelization } = like else {
            return Ok(Some(Setting::Reads(reads)));
        };
        let whole = |value: Option<i32>, default| {
            Some(value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default))
        };
        Ok(Some(Setting::Batch {
            batch_size: batch_size.and(whole(mapping.batch_size(), 100)),
            batch_window_s: batch_window_s.and(whole(mapping.maximum_batching_window_in_seconds(), 0)),
            parallelization: parallelization.and(whole(mapping.parallelization_factor(), 1)),
        }))
    }

    /// Asks for a setting. What is asked for may take a while to stand.
    async fn ask(&self, setting: &Setting) -> Result<(), Wrong> {
        let whole = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        match setting {
            Setting::Reads(reads) => {
                let call = self.clients.lambda.update_event_source_mapping().uuid(&self.mapping);
                call.enabled(*reads).send().await.map(drop).map_err(wrong)
            }
            Setting::Batch { batch_size, batch_window_s, parallelization } => {
                let call = self.clients.lambda.update_event_source_mapping().uuid(&self.mapping);
                let call = call
                    .set_batch_size(batch_size.map(whole))
                    .set_maximum_batching_window_in_seconds(batch_window_s.map(whole))
                    .set_parallelization_factor(parallelization.map(whole));
                call.send().await.map(drop).map_err(wrong)
            }
            Setting::Shards(shards) => {
                let call = self.clients.kinesis.update_shard_count().stream_name(&self.stream);
                let call = call.target_shard_count(whole(*shards)).scaling_type(ScalingType::UniformScaling);
                call.send().await.map(drop).map_err(wrong)
            }
            Setting::Reserved(Some(value)) => {
                let call = self.clients.lambda.put_function_concurrency().function_name(&self.function);
                call.reserved_concurrent_executions(whole(*value)).send().await.map(drop).map_err(wrong)
            }
            Setting::Reserved(None) => {
                let call = self.clients.lambda.delete_function_concurrency().function_name(&self.function);
                call.send().await.map(drop).map_err(wrong)
            }
        }
    }

    /// Asks for a setting, again while the service is busy with another change.
    ///
    /// # Errors
    /// [`Wrong::Busy`] when it is still busy after `bound`; any other error at once.
    pub(super) async fn set(&self, setting: &Setting, bound: Duration) -> Result<(), Wrong> {
        let until = self.clock.instant() + bound;
        let mut pause = LOOK_FIRST;
        loop {
            match self.ask(setting).await {
                Err(Wrong::Busy(_)) if self.clock.instant() + pause < until => {}
                answered => return answered,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_LONGEST);
        }
    }

    /// Looks until a setting that was asked for stands.
    ///
    /// # Errors
    /// [`Wrong::Unknown`] when it does not within `bound`, or could not be looked at.
    pub(super) async fn stands(&self, setting: &Setting, bound: Duration) -> Result<(), Wrong> {
        let until = self.clock.instant() + bound;
        let mut pause = LOOK_FIRST;
        loop {
            let found = self.now(setting).await;
            if found.as_ref().is_ok_and(|found| found.as_ref() == Some(setting)) {
                return Ok(());
            }
            if let Err(Wrong::Refused(text)) = found {
                return Err(Wrong::Unknown(text));
            }
            if self.clock.instant() + pause >= until {
                let told = found.err().map(|wrong| format!(": {}", wrong.text())).unwrap_or_default();
                let bound_s = bound.as_secs();
                return Err(Wrong::Unknown(format!("{} not within {bound_s} s{told}", setting.text())));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_LONGEST);
        }
    }
}
