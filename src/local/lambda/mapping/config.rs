//! The settings of a mapping: checked against AWS's bounds, kept as the API gives them back, and read into
//! what the pollers go by.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::lanes::Gather;
use super::settle::Policy;
use crate::local::lambda::control::{integer, validation};
use crate::local::lambda::destination::Destination;
use crate::local::lambda::state::invalid;
use crate::local::service::ApiError;
use crate::platform::limits::{
    MAPPING_BATCH_SIZE, MAPPING_PARALLELIZATION, MAPPING_RECORD_AGE_S, MAPPING_RETRIES, MAPPING_WINDOW_S,
};

/// Smallest maximum record age when there is one. Lambda developer guide, Kinesis parameters.
const RECORD_AGE_MIN_S: i64 = 60;

/// What the pollers go by.
#[derive(Clone, Debug)]
pub struct Config {
    pub function: String,
    pub function_arn: String,
    pub stream: String,
    pub stream_arn: String,
    pub start: Start,
    pub gather: Gather,
    pub parallelization: usize,
    pub policy: Policy,
    pub max_age: Option<Duration>,
    pub partial_responses: bool,
    pub on_failure: Option<Destination>,
    /// Whether the mapping's own metrics are emitted.
    pub event_metrics: bool,
    pub filter: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    TrimHorizon,
    Latest,
    /// Seconds since the epoch.
    AtTimestamp(f64),
}

/// Members that belong to other event sources, or that are not modelled and would change what happens.
const REFUSED: [&str; 9] = [
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "ScalingConfig",
    "ProvisionedPollerConfig",
];

/// Members that are kept as given.
const KEPT: [&str; 8] = [
    "StartingPosition",
    "StartingPositionTimestamp",
    "DestinationConfig",
    "FilterCriteria",
    "FunctionResponseTypes",
    "MetricsConfig",
    "LoggingConfig",
    "KMSKeyArn",
];

pub fn defaults() -> Map<String, Value> {
    let defaults = json!({
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "BisectBatchOnFunctionError": false,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "DestinationConfig": {"OnFailure": {}},
    });
    match defaults {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Applies the members of a request to a mapping's settings.
pub fn apply(settings: &mut Map<String, Value>, input: &Value) -> Result<(), ApiError> {
    for member in REFUSED {
        let given = &input[member];
        let empty = given.is_null() || given.as_array().is_some_and(Vec::is_empty);
        if !empty {
            return Err(invalid(format!(
                "the local endpoint maps Kinesis streams: it does not have {member}"
            )));
        }
    }
    let wide = |bounds: std::ops::RangeInclusive<u32>| i64::from(*bounds.start())..=i64::from(*bounds.end());
    let signed =
        |bounds: std::ops::RangeInclusive<i32>| i64::from(*bounds.start())..=i64::from(*bounds.end());
    let integers = [
        ("BatchSize", wide(MAPPING_BATCH_SIZE)),
        ("MaximumBatchingWindowInSeconds", wide(MAPPING_WINDOW_S)),
        ("ParallelizationFactor", wide(MAPPING_PARALLELIZATION)),
        ("MaximumRetryAttempts", signed(MAPPING_RETRIES)),
        ("MaximumRecordAgeInSeconds", signed(MAPPING_RECORD_AGE_S)),
        ("TumblingWindowInSeconds", 0..=900),
    ];
    for (member, bounds) in integers {
        if let Some(value) = integer(input, member, bounds)? {
            settings.insert(member.to_owned(), value.into());
        }
    }
    match &input["BisectBatchOnFunctionError"] {
        Value::Null => {}
        given => {
            // CloudFormation parameters arrive as strings.
            let bisect = given == &Value::Bool(true) || given == "true";
            settings.insert("BisectBatchOnFunctionError".to_owned(), bisect.into());
        }
    }
    let response_types = input["FunctionResponseTypes"].as_array().into_iter().flatten();
    if let Some(other) = response_types.into_iter().find(|kind| *kind != "ReportBatchItemFailures") {
        let constraint = "Member must satisfy enum value set: [ReportBatchItemFailures]";
        return Err(validation("functionResponseTypes", &other.to_string(), constraint));
    }
    for member in KEPT {
        if !input[member].is_null() {
            settings.insert(member.to_owned(), input[member].clone());
        }
    }
    if settings["TumblingWindowInSeconds"] != 0 {
        return Err(invalid("the local endpoint does not have tumbling windows"));
    }
    if (0..RECORD_AGE_MIN_S).contains(&settings["MaximumRecordAgeInSeconds"].as_i64().unwrap_or(-1)) {
        return Err(invalid(format!(
            "MaximumRecordAgeInSeconds must be -1 or at least {RECORD_AGE_MIN_S} seconds"
        )));
    }
    Ok(())
}

impl Config {
    /// Reads checked settings. `settings` holds EventSourceArn, FunctionArn and StartingPosition.
    pub fn read(settings: &Map<String, Value>) -> Result<Config, ApiError> {
        let settings = Value::Object(settings.clone());
        let text = |member: &str| settings[member].as_str().unwrap_or_default().to_owned();
        let number = |member: &str| settings[member].as_i64().unwrap_or_default();
        let stream_arn = text("EventSourceArn");
        let function_arn = text("FunctionArn");
        let has = |list: &Value, wanted: &str| list.as_array().is_some_and(|l| l.iter().any(|v| v == wanted));
        let seconds = |member: &str| u64::try_from(number(member)).ok().map(Duration::from_secs);
        Ok(Config {
            function: function_arn.rsplit(':').next().unwrap_or_default().to_owned(),
            function_arn,
            stream: stream_name(&stream_arn)?,
            stream_arn,
            start: start(&settings)?,
            gather: Gather {
                batch_size: number("BatchSize") as usize,
                window: seconds("MaximumBatchingWindowInSeconds").unwrap_or_default(),
            },
            parallelization: number("ParallelizationFactor") as usize,
            policy: Policy {
                retries_max: u32::try_from(number("MaximumRetryAttempts")).ok(),
                bisect: settings["BisectBatchOnFunctionError"] == true,
            },
            max_age: seconds("MaximumRecordAgeInSeconds"),
            partial_responses: has(&settings["FunctionResponseTypes"], "ReportBatchItemFailures"),
            on_failure: on_failure(&settings["DestinationConfig"])?,
            event_metrics: has(&settings["MetricsConfig"]["Metrics"], "EventCount"),
            filter: Filter::read(&settings["FilterCriteria"])?,
        })
    }
}

fn stream_name(arn: &str) -> Result<String, ApiError> {
    match arn.split_once(":stream/") {
        Some((before, name)) if before.contains(":kinesis:") && !name.contains('/') => Ok(name.to_owned()),
        Some((before, _)) if before.contains(":kinesis:") => {
            Err(invalid("the local endpoint does not have enhanced fan-out consumers: give the stream's ARN"))
        }
        _ => Err(invalid(format!("the local endpoint maps Kinesis streams only, not {arn:?}"))),
    }
}

fn start(settings: &Value) -> Result<Start, ApiError> {
    match (settings["StartingPosition"].as_str(), settings["StartingPositionTimestamp"].as_f64()) {
        (Some("TRIM_HORIZON"), None) => Ok(Start::TrimHorizon),
        (Some("LATEST"), None) => Ok(Start::Latest),
        (Some("AT_TIMESTAMP"), Some(at_s)) => Ok(Start::AtTimestamp(at_s)),
        (Some("AT_TIMESTAMP"), None) => {
            Err(invalid("StartingPositionTimestamp must be given with the StartingPosition AT_TIMESTAMP"))
        }
        (Some(_), Some(_)) => Err(invalid("StartingPositionTimestamp is for AT_TIMESTAMP only")),
        (given, None) => Err(invalid(format!(
            "1 validation error detected: StartingPosition {given:?} must be TRIM_HORIZON, LATEST or AT_TIMESTAMP"
        ))),
        (None, Some(_)) => Err(invalid("StartingPosition must be given for a Kinesis stream")),
    }
}

fn on_failure(destinations: &Value) -> Result<Option<Destination>, ApiError> {
    if destinations["OnSuccess"]["Destination"].is_string() {
        return Err(invalid("a mapping of a stream has no OnSuccess destination"));
    }
    Destination::read(&destinations["OnFailure"]["Destination"])
}
