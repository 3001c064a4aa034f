//! A look at an existing pipeline: what stands, how it is set, who reads it.

use aws_sdk_kinesis::types::{StreamDescriptionSummary, StreamMode};
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput as Function;
use aws_sdk_lambda::types::EventSourceMappingConfiguration as Mapping;

use super::super::Standing;
use super::super::error::failed;
use super::readers::{NOT_LISTED, Readers, readers};
use super::{Configuration, Existing, ExistingError, Pipeline, StackError, TAG_ALLOW, TAG_ALLOW_VALUE};
use crate::platform::clients::Clients;
use crate::platform::limits;

/// Tags of a stream: 50 at most, ten a page at least.
const TAG_PAGES_MAX: usize = 10;

/// What a look gives before it is put in words.
struct Look {
    stream: StreamDescriptionSummary,
    readers: Readers,
    function: Function,
    reserved_concurrency: Option<u32>,
    concurrency_limit: Option<u32>,
}

/// Looks at the pipeline: an environment that stands, as a run takes it. `receipts_queue_url` is where the function
/// sends its receipts, if it does.
///
/// # Errors
/// Stream, function or mapping are not there or may not be asked.
pub async fn inspect(
    clients: &Clients,
    env: &str,
    pipeline: &Pipeline,
    receipts_queue_url: Option<&str>,
) -> Result<Standing, ExistingError> {
    let caller = clients.sts.get_caller_identity().send().await;
    let caller = caller.map_err(|error| failed("STS", "find out which account this is", error))?;
    let account = caller.account().unwrap_or_default().to_owned();
    check_place(&pipeline.stream, &clients.region, &account)?;
    check_place(&pipeline.function, &clients.region, &account)?;
    let look = look(clients, pipeline).await?;
    let mapping = look.mapping(&pipeline.stream)?;
    let mut lines = look.readers.lines();
    lines.push(NOT_LISTED.to_owned());
    let existing = Existing {
        readers: lines,
        configuration: look.configuration(mapping),
        allowed: is_allowed(clients, look.stream.stream_name()).await?,
        receipts: receipts_queue_url.is_some(),
    };
    let mut standing = look.standing(mapping);
    standing.env = env.to_owned();
    standing.account = account;
    standing.region = clients.region.clone();
    standing.receipts_queue_url = receipts_queue_url.unwrap_or_default().to_owned();
    standing.existing = Some(existing);
    Ok(standing)
}

/// Only the settings, to be compared with those of an earlier look.
///
/// # Errors
/// As [`inspect`].
pub async fn configuration(clients: &Clients, pipeline: &Pipeline) -> Result<Configuration, ExistingError> {
    let look = look(clients, pipeline).await?;
    Ok(match look.mapping(&pipeline.stream) {
        Ok(mapping) => look.configuration(mapping),
        // Deleted in the middle of a run: a change like any other.
        Err(_) => look.without_mapping(),
    })
}

fn check_place(name: &str, region: &str, account: &str) -> Result<(), ExistingError> {
    let mut parts = name.split(':').skip(3);
    let (Some(found_region), Some(found_account)) = (parts.next(), parts.next()) else { return Ok(()) };
    if found_region == region && found_account == account {
        return Ok(());
    }
    Err(ExistingError::Elsewhere {
        stream: name.to_owned(),
        found: format!("{found_region}, account {found_account}"),
        expected: format!("{region}, account {account}"),
    })
}

fn short_name(name: &str) -> &str {
    name.rsplit([':', '/']).next().unwrap_or(name)
}

async fn look(clients: &Clients, pipeline: &Pipeline) -> Result<Look, StackError> {
    let stream = short_name(&pipeline.stream);
    let described = clients.kinesis.describe_stream_summary().stream_name(stream).send().await;
    let described =
        described.map_err(|error| failed("Kinesis", format!("describe the stream {stream}"), error))?;
    let missing = || StackError::State {
        stack: stream.to_owned(),
        status: "without a description".to_owned(),
        reason: None,
    };
    let stream = described.stream_description_summary().cloned().ok_or_else(missing)?;
    let name = short_name(&pipeline.function);
    let function = clients.lambda.get_function_configuration().function_name(name).send().await;
    let function =
        function.map_err(|error| failed("Lambda", format!("look at the function {name}"), error))?;
    let reserved = clients.lambda.get_function_concurrency().function_name(name).send().await;
    // Neither is worth failing for: they serve a finding, and a comparison.
    let reserved = reserved.ok().and_then(|answer| answer.reserved_concurrent_executions());
    let reserved_concurrency = reserved.and_then(|reserved| u32::try_from(reserved).ok());
    Ok(Look {
        readers: readers(clients, stream.stream_arn()).await,
        concurrency_limit: concurrency_limit(clients, reserved_concurrency).await,
        stream,
        function,
        reserved_concurrency,
    })
}

/// Reserved concurrency, or the account's limit; `None` when the account may not be asked.
async fn concurrency_limit(clients: &Clients, reserved: Option<u32>) -> Option<u32> {
    if reserved.is_some() {
        return reserved;
    }
    let settings = clients.lambda.get_account_settings().send().await.ok()?;
    u32::try_from(settings.account_limit()?.concurrent_executions()).ok()
}

async fn is_allowed(clients: &Clients, stream: &str) -> Result<bool, StackError> {
    let mut after = None;
    for _ in 0..TAG_PAGES_MAX {
        let call = clients.kinesis.list_tags_for_stream().stream_name(stream);
        let answer = call.set_exclusive_start_tag_key(after.take()).send().await;
        let answer = answer.map_err(|error| failed("Kinesis", "read the stream's tags", error))?;
        if answer.tags().iter().any(|tag| tag.key() == TAG_ALLOW && tag.value() == Some(TAG_ALLOW_VALUE)) {
            return Ok(true);
        }
        after = answer.tags().last().map(|tag| tag.key().to_owned());
        if !answer.has_more_tags() || after.is_none() {
            break;
        }
    }
    Ok(false)
}

fn count(value: Option<i32>) -> u32 {
    value.and_then(|value| u32::try_from(value).ok()).unwrap_or_default()
}

impl Look {
    /// The function's mapping on the stream. Of several the first by its id; the others are among the readers.
    fn mapping(&self, stream: &str) -> Result<&Mapping, ExistingError> {
        let arn = self.function.function_arn().unwrap_or_default();
        // A mapping may call a version or an alias.
        let ours = |mapping: &&Mapping| {
            let called = mapping.function_arn().unwrap_or_default();
            called.strip_prefix(arn).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        self.readers.mappings.iter().find(ours).ok_or_else(|| ExistingError::NotConnected {
            stream: short_name(stream).to_owned(),
            function: self.function.function_name().unwrap_or_default().to_owned(),
            readers: self.readers.lines(),
        })
    }

    fn mode(&self) -> &'static str {
        match self.stream.stream_mode_details().map(|details| details.stream_mode()) {
            Some(StreamMode::OnDemand) => "on-demand",
            _ => "provisioned",
        }
    }

    fn architecture(&self) -> &str {
        // Lambda API reference, GetFunctionConfiguration: x86_64 where none is given.
        self.function.architectures().first().map_or("x86_64", |architecture| architecture.as_str())
    }

    fn log_group(&self) -> String {
        let told = self.function.logging_config().and_then(|logging| logging.log_group());
        let name = self.function.function_name().unwrap_or_default();
        told.map_or_else(|| format!("/aws/lambda/{name}"), str::to_owned)
    }

    fn standing(&self, mapping: &Mapping) -> Standing {
        let (stream, function) = (&self.stream, &self.function);
        Standing {
            stream_name: stream.stream_name().to_owned(),
            stream_arn: stream.stream_arn().to_owned(),
            stream_mode: self.mode().to_owned(),
            shards: count(Some(stream.open_shard_count())),
            retention_hours: count(Some(stream.retention_period_hours())),
            max_record_kib: stream
                .max_record_size_in_kib()
                .map_or(limits::RECORD_MAX_KIB_DEFAULT, |kib| count(Some(kib))),
            function_name: function.function_name().unwrap_or_default().to_owned(),
            function_arn: function.function_arn().unwrap_or_default().to_owned(),
            architecture: self.architecture().to_owned(),
            memory_mb: count(function.memory_size()),
            timeout_s: count(function.timeout()),
            batch_size: count(mapping.batch_size()),
            batch_window_s: count(mapping.maximum_batching_window_in_seconds()),
            parallelization: mapping.parallelization_factor().map_or(1, |factor| count(Some(factor))),
            retries: mapping.maximum_retry_attempts().unwrap_or(-1),
            bisect_on_error: mapping.bisect_batch_on_function_error().unwrap_or(false),
            partial_batch_response: !mapping.function_response_types().is_empty(),
            max_record_age_s: mapping.maximum_record_age_in_seconds().unwrap_or(-1),
            concurrency_limit: self.concurrency_limit,
            mapping_uuid: mapping.uuid().unwrap_or_default().to_owned(),
            log_group: self.log_group(),
            ..Standing::default()
        }
    }

    fn configuration(&self, mapping: &Mapping) -> Configuration {
        let mut all = self.without_mapping();
        let number =
            |value: Option<i32>| value.map_or_else(|| "default".to_owned(), |value| value.to_string());
        let filters = mapping.filter_criteria().map_or(&[][..], |criteria| criteria.filters());
        let patterns: Vec<&str> = filters.iter().filter_map(|filter| filter.pattern()).collect();
        let on_failure = mapping.destination_config().and_then(|config| config.on_failure()?.destination());
        // Settled states only: a mapping that is being updated is on its way to one of them.
        let state = mapping.state().unwrap_or_default();
        let settings = [
            ("id", mapping.uuid().unwrap_or_default().to_owned()),
            ("enabled", (!state.starts_with("Disabl")).to_string()),
            ("calls", mapping.function_arn().unwrap_or_default().to_owned()),
            ("reads", mapping.event_source_arn().unwrap_or_default().to_owned()),
            ("batch_size", number(mapping.batch_size())),
            ("batch_window_s", number(mapping.maximum_batching_window_in_seconds())),
            ("parallelization", number(mapping.parallelization_factor())),
            ("retries", number(mapping.maximum_retry_attempts())),
            ("max_record_age_s", number(mapping.maximum_record_age_in_seconds())),
            ("tumbling_window_s", number(mapping.tumbling_window_in_seconds())),
            ("bisect_on_error", mapping.bisect_batch_on_function_error().unwrap_or(false).to_string()),
            ("partial_batch_response", (!mapping.function_response_types().is_empty()).to_string()),
            ("filters", patterns.join(" ")),
            ("on_failure", on_failure.unwrap_or("none").to_owned()),
        ];
        all.extend(settings.map(|(name, value)| (format!("mapping.{name}"), value)));
        all
    }

    fn without_mapping(&self) -> Configuration {
        let (stream, function) = (&self.stream, &self.function);
        let limit = |limit: Option<u32>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        let layers: Vec<&str> = function.layers().iter().filter_map(|layer| layer.arn()).collect();
        let readers: Vec<&str> = (self.readers.mappings.iter().filter_map(|mapping| mapping.uuid()))
            .chain(self.readers.consumers.iter().map(|(name, _)| name.as_str()))
            .collect();
        let settings = [
            ("stream.mode", self.mode().to_owned()),
            ("stream.shards", stream.open_shard_count().to_string()),
            ("stream.retention_hours", stream.retention_period_hours().to_string()),
            (
                "stream.encryption",
                stream.encryption_type().map_or("NONE", |encryption| encryption.as_str()).to_owned(),
            ),
            ("stream.key", stream.key_id().unwrap_or("none").to_owned()),
            ("stream.readers", readers.join(" ")),
            ("function.memory_mb", count(function.memory_size()).to_string()),
            ("function.timeout_s", count(function.timeout()).to_string()),
            ("function.architecture", self.architecture().to_owned()),
            ("function.code_sha256", function.code_sha256().unwrap_or_default().to_owned()),
            ("function.runtime", function.runtime().map_or("none", |runtime| runtime.as_str()).to_owned()),
            ("function.handler", function.handler().unwrap_or("none").to_owned()),
            ("function.layers", layers.join(" ")),
            ("function.reserved_concurrency", limit(self.reserved_concurrency)),
            ("function.concurrency_limit", limit(self.concurrency_limit)),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
