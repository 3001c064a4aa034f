//! What can go wrong with stacks, in words for the person who reads them.

use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::artifact::ArtifactError;
use crate::platform::refusals::{innermost, is_denial};

#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error("cannot reach {service} to {doing}: {detail}")]
    Unreachable { service: &'static str, doing: String, detail: String },
    #[error("{service} does not accept the credentials to {doing}: {detail}")]
    Credentials { service: &'static str, doing: String, detail: String },
    #[error("no credentials to {doing}: {detail}")]
    NoCredentials { doing: String, detail: String },
    #[error("not allowed to {doing}: {detail}")]
    Denied { doing: String, detail: String },
    #[error("{service} refused to {doing}: {code}: {message}{}", in_request(.request_id))]
    Api { service: &'static str, doing: String, code: String, message: String, request_id: Option<String> },
    #[error("stack {stack} could not be created: {resource} ({kind}): {reason}")]
    Failed { stack: String, resource: String, kind: String, reason: String },
    #[error("stack {stack} could not be changed and stands as before: {resource} ({kind}): {reason}")]
    UpdateFailed { stack: String, resource: String, kind: String, reason: String },
    #[error("stack {stack} could not be changed, nor brought back ({status}): {resource} ({kind}): {reason}")]
    RollbackFailed { stack: String, resource: String, kind: String, reason: String, status: String },
    #[error("no change set can be made for stack {stack}: {reason}")]
    ChangeSet { stack: String, reason: String },
    #[error("a stack {stack} stands that streamgauge did not make for this environment: it is left alone")]
    NotOurs { stack: String },
    #[error("stack {stack} is {status}{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    State { stack: String, status: String, reason: Option<String> },
    #[error("stack {stack} stands already; its names start with {stands}, the plan's with {wanted}")]
    OtherPrefix { stack: String, stands: String, wanted: String },
    #[error("stack {stack} is still {status} after {} s", after.as_secs())]
    TimedOut { stack: String, status: String, after: Duration },
    #[error("stack {stack} has no output {output}")]
    NoOutput { stack: String, output: &'static str },
    #[error(
        "environment name {env:?} is not 1 to 20 lower-case letters, digits and hyphens, starting with a letter"
    )]
    Name { env: String },
    #[error("template {name}: {detail}")]
    Template { name: String, detail: String },
    #[error("the function's zip is for {zip}, the plan asks for {plan}")]
    Architecture { zip: &'static str, plan: &'static str },
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

fn in_request(id: &Option<String>) -> String {
    id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default()
}

impl StackError {
    /// One line of what to do.
    pub fn hint(&self) -> String {
        match self {
            StackError::Unreachable { .. } => {
                "check the network, the region and --endpoint-url; a local environment may have ended: streamgauge status".into()
            }
            StackError::Credentials { .. } => {
                "log in again (aws sso login) or pass another --profile; aws sts get-caller-identity shows who you are".into()
            }
            StackError::NoCredentials { .. } => {
                "log in (aws sso login, aws configure), set AWS_PROFILE or pass --profile; aws sts get-caller-identity shows who you are".into()
            }
            StackError::Denied { .. } => {
                "ask for this permission; docs/permissions.md has all that streamgauge needs".into()
            }
            StackError::Api { code, .. } if code.contains("Throttling") => {
                "AWS limits how often this may be asked: wait a minute and run it again".into()
            }
            StackError::Api { code, .. } if code == "InsufficientCapabilitiesException" => {
                "the template names an IAM role, which streamgauge acknowledges; your organization may forbid it".into()
            }
            StackError::Api { .. } => "run with -v for the whole exchange".into(),
            StackError::Failed { reason, .. } => failure_hint(reason).into(),
            StackError::UpdateFailed { reason, .. } => match failure_hint(reason) {
                CREATE_ROLLED_BACK => "the environment can be used as it was; mend the plan and run up again".into(),
                known => known.into(),
            },
            StackError::RollbackFailed { .. } => "streamgauge down removes it; then up makes it anew".into(),
            StackError::ChangeSet { reason, .. } => match failure_hint(reason) {
                CREATE_ROLLED_BACK => "nothing was changed; the reason is CloudFormation's own".into(),
                known => known.into(),
            },
            StackError::NotOurs { .. } => "use another --env".into(),
            StackError::State { status, .. } if status == "REVIEW_IN_PROGRESS" => {
                "an up is being asked about elsewhere, or was killed before it was answered: streamgauge down removes it".into()
            }
            StackError::State { status, .. } if status.ends_with("_IN_PROGRESS") => {
                "another up or down is at work on it: wait for its end, then run this again".into()
            }
            StackError::State { status, .. } if status == "UPDATE_ROLLBACK_FAILED" => {
                "continue the rollback in the CloudFormation console, or remove it: streamgauge down".into()
            }
            StackError::State { .. } => "remove it first: streamgauge down".into(),
            StackError::OtherPrefix { .. } => {
                "names are not changed in place: streamgauge down, then up; or use another --env".into()
            }
            StackError::TimedOut { .. } => {
                "the stack's events in the CloudFormation console say what it waits for; streamgauge status shows it".into()
            }
            StackError::NoOutput { .. } => "the stack was made by another version: streamgauge down, then up".into(),
            StackError::Name { .. } => "pass another --env".into(),
            StackError::Template { .. } => "mend the template, or use the one built in".into(),
            StackError::Architecture { .. } => {
                "set function.architecture in the plan, or build the consumer for the other one".into()
            }
            StackError::Artifact(error) => error.hint(),
        }
    }
}

const CREATE_ROLLED_BACK: &str = "the stack was rolled back: streamgauge down removes what is left of it";

/// What helps against the common reasons why a resource cannot be created.
fn failure_hint(reason: &str) -> &'static str {
    let has = |needle: &str| reason.to_ascii_lowercase().contains(needle);
    if has("already exists") || has("alreadyexists") || has("resourceinuse") {
        "something with this name stands outside the stack: remove it, or use another --env"
    } else if has("not authorized") || has("accessdenied") || has("access denied") {
        "ask for this permission; docs/permissions.md has all that streamgauge needs"
    } else if has("limit") || has("quota") {
        "a quota of the account is reached: streamgauge doctor compares quotas with the plan"
    } else if has("unreservedconcurrentexecution") {
        "reserve less concurrency in the plan: 100 must stay unreserved in the account"
    } else {
        CREATE_ROLLED_BACK
    }
}

/// Codes of credentials that are wrong, expired or unknown. SDK reference, "Common errors".
const CREDENTIAL_CODES: [&str; 9] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Turns an SDK error of `service`, met on the way to `doing`, into one that reads plainly.
pub fn failed<E, R>(service: &'static str, doing: impl Into<String>, error: SdkError<E, R>) -> StackError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let doing = doing.into();
    if let Some(answered) = error.as_service_error() {
        let code = answered.code().unwrap_or("unknown").to_owned();
        let message = answered.message().unwrap_or("no message").to_owned();
        if CREDENTIAL_CODES.contains(&code.as_str()) {
            return StackError::Credentials { service, doing, detail: format!("{code}: {message}") };
        }
        if is_denial(&code) {
            return StackError::Denied { doing, detail: message };
        }
        let request_id = answered.meta().extra("aws_request_id").map(str::to_owned);
        return StackError::Api { service, doing, code, message, request_id };
    }
    let detail = innermost(&error);
    let all = DisplayErrorContext(&error).to_string();
    match &error {
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) if all.contains("redentials") => {
            StackError::NoCredentials { doing, detail }
        }
        _ => StackError::Unreachable { service, doing, detail },
    }
}
