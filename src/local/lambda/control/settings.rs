//! The settings of a function: checked against AWS's bounds, then kept as the API gives them back.

use serde_json::{Map, Value, json};

use super::{integer, validation};
use crate::local::lambda::destination::Destination;
use crate::local::lambda::state::{Function, invalid};
use crate::local::service::ApiError;
use crate::platform::limits::{FUNCTION_MEMORY_MB, FUNCTION_TIMEOUT_S};

/// MB of /tmp. Lambda developer guide, "Lambda quotas".
const EPHEMERAL_STORAGE_MB: std::ops::RangeInclusive<i64> = 512..=10_240;
/// Bytes of all environment variables. Same source.
const ENVIRONMENT_MAX_BYTES: usize = 4_096;
/// Environment variables that a function cannot set. Developer guide, "Defined runtime environment variables".
const RESERVED_VARIABLES: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];
/// Settings that would change what runs and that are not modelled: better refused than ignored.
const REFUSED: [&str; 7] = [
    "Layers",
    "FileSystemConfigs",
    "ImageConfig",
    "CapacityProviderConfig",
    "DurableConfig",
    "TenancyConfig",
    "CodeSigningConfigArn",
];
/// Settings that are kept as given. VpcConfig, TracingConfig, SnapStart, KMSKeyArn and EphemeralStorage have no
/// effect: a stack made for AWS names them, and nothing here depends on them.
const KEPT: [&str; 10] = [
    "Description",
    "Role",
    "Handler",
    "Runtime",
    "DeadLetterConfig",
    "KMSKeyArn",
    "SnapStart",
    "TracingConfig",
    "VpcConfig",
    "EphemeralStorage",
];

/// What a function is made with when the request says nothing else.
pub fn defaults(name: &str, arn: &str) -> Map<String, Value> {
    let defaults = json!({
        "FunctionName": name,
        "FunctionArn": arn,
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "TracingConfig": {"Mode": "PassThrough"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": format!("/aws/lambda/{name}")},
    });
    match defaults {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Applies the settings of a request to a configuration. Returns whether the request names the log group.
pub fn apply(configuration: &mut Map<String, Value>, input: &Value) -> Result<bool, ApiError> {
    refuse(input)?;
    let memory = i64::from(*FUNCTION_MEMORY_MB.start())..=i64::from(*FUNCTION_MEMORY_MB.end());
    if let Some(memory_mb) = integer(input, "MemorySize", memory)? {
        configuration.insert("MemorySize".to_owned(), memory_mb.into());
    }
    let timeout = i64::from(*FUNCTION_TIMEOUT_S.start())..=i64::from(*FUNCTION_TIMEOUT_S.end());
    if let Some(timeout_s) = integer(input, "Timeout", timeout)? {
        configuration.insert("Timeout".to_owned(), timeout_s.into());
    }
    integer(&input["EphemeralStorage"], "Size", EPHEMERAL_STORAGE_MB)?;
    if let Some(description) = input["Description"].as_str().filter(|text| text.chars().count() > 256) {
        let constraint = "Member must have length less than or equal to 256";
        return Err(validation("description", description, constraint));
    }
    if let Some(Destination::Bucket(_)) = Destination::read(&input["DeadLetterConfig"]["TargetArn"])? {
        return Err(invalid("a dead-letter target is a standard SQS queue"));
    }
    runtime(&input["Runtime"])?;
    if let Value::Object(environment) = &input["Environment"] {
        let variables = environment.get("Variables").cloned().unwrap_or_else(|| json!({}));
        configuration.insert("Environment".to_owned(), json!({"Variables": variables_of(&variables)?}));
    }
    if !input["Architectures"].is_null() {
        configuration.insert("Architectures".to_owned(), architectures(&input["Architectures"])?);
    }
    for member in KEPT {
        if !input[member].is_null() {
            configuration.insert(member.to_owned(), input[member].clone());
        }
    }
    logging(configuration, &input["LoggingConfig"])
}

fn refuse(input: &Value) -> Result<(), ApiError> {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if let Some(member) = REFUSED.iter().find(|member| !empty(&input[**member])) {
        return Err(invalid(format!("the local endpoint does not have {member}")));
    }
    if input["PackageType"].as_str().is_some_and(|package| package != "Zip") {
        return Err(invalid("the local endpoint runs zip packages, not container images"));
    }
    if input["Publish"].as_bool() == Some(true) {
        return Err(invalid("the local endpoint has no versions: $LATEST alone runs"));
    }
    Ok(())
}

fn runtime(given: &Value) -> Result<(), ApiError> {
    match given.as_str() {
        None | Some("provided.al2023" | "provided.al2") => Ok(()),
        Some(other) => Err(invalid(format!(
            "the local endpoint runs provided.al2023 and provided.al2, not the runtime {other}"
        ))),
    }
}

fn architectures(given: &Value) -> Result<Value, ApiError> {
    let one = given.as_array().filter(|list| list.len() == 1).and_then(|list| list[0].as_str());
    match one {
        Some("x86_64" | "arm64") => Ok(given.clone()),
        _ => {
            Err(validation("architectures", &given.to_string(), "Member must be one of [x86_64] and [arm64]"))
        }
    }
}

fn variables_of(given: &Value) -> Result<Map<String, Value>, ApiError> {
    let mut variables = Map::new();
    let mut bytes = 0;
    for (name, value) in given.as_object().into_iter().flatten() {
        // CloudFormation hands numbers and booleans on as it found them; the variable is their text.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let well_formed = name.len() >= 2
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if RESERVED_VARIABLES.contains(&name.as_str()) {
            return Err(invalid(format!(
                "Lambda was unable to configure your environment variables because the environment variables \
                 you have provided contains reserved keys that are currently not supported for modification. \
                 Reserved keys used in this request: {name}"
            )));
        }
        if !well_formed {
            let constraint = "Map keys must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+";
            return Err(validation("environment.variables", name, constraint));
        }
        bytes += name.len() + text.len();
        variables.insert(name.clone(), text.into());
    }
    if bytes > ENVIRONMENT_MAX_BYTES {
        return Err(invalid(
            "Lambda was unable to configure your environment variables because the environment variables you \
             have provided exceeded the 4KB limit.",
        ));
    }
    Ok(variables)
}

fn logging(configuration: &mut Map<String, Value>, given: &Value) -> Result<bool, ApiError> {
    let Value::Object(given) = given else { return Ok(false) };
    if given.get("LogFormat").and_then(Value::as_str).is_some_and(|format| format != "Text") {
        return Err(invalid("the local endpoint writes log lines as Text, not as JSON"));
    }
    if let Some(Value::Object(logging)) = configuration.get_mut("LoggingConfig") {
        logging.extend(given.clone());
    }
    Ok(given.get("LogGroup").is_some_and(Value::is_string))
}

/// The configuration as the API shows it. What is created or updated is ready at once here, so only the
/// answer to the change itself shows the change under way, as in AWS.
pub fn shown(function: &Function, change: Option<Change>) -> Value {
    let mut shown = function.configuration.clone();
    let (state, last_update) = match change {
        Some(Change::Creating) => ("Pending", "Successful"),
        Some(Change::Updating) => ("Active", "InProgress"),
        None => ("Active", "Successful"),
    };
    shown.insert("State".to_owned(), state.into());
    shown.insert("LastUpdateStatus".to_owned(), last_update.into());
    match change {
        Some(Change::Creating) => {
            shown.insert("StateReason".to_owned(), "The function is being created.".into());
            shown.insert("StateReasonCode".to_owned(), "Creating".into());
        }
        Some(Change::Updating) => {
            shown.insert("LastUpdateStatusReason".to_owned(), "The function is being updated.".into());
        }
        None => {}
    }
    Value::Object(shown)
}

#[derive(Clone, Copy)]
pub enum Change {
    Creating,
    Updating,
}
