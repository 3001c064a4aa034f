//! The errors that faults answer with, as each service gives them. Sources: the services' API references and
//! API models ("Common Errors", the exceptions' `error` traits), S3's "Error responses".

use serde_json::Value;

use crate::local::cloud::LOCAL_ACCOUNT;
use crate::local::service::ApiError;
use crate::platform::permissions;

/// Refused for throughput.
pub fn throttled(service: &str, operation: &str) -> ApiError {
    match (service, operation) {
        ("kinesis", "GetRecords" | "GetShardIterator") => ApiError::invalid(
            "ProvisionedThroughputExceededException",
            "Rate exceeded for the stream (a fault on request).",
        ),
        ("kinesis", _) => ApiError::invalid("LimitExceededException", "Rate exceeded (a fault on request)."),
        ("lambda", _) => {
            let reason = match operation {
                "Invoke" => "FunctionInvocationRateLimitExceeded",
                _ => "CallerRateLimitExceeded",
            };
            let error = ApiError::new(429, "TooManyRequestsException", "Rate Exceeded.");
            with(with(error, "Type", "User"), "Reason", reason)
        }
        ("s3", _) => ApiError::new(503, "SlowDown", "Please reduce your request rate."),
        // The door tells older clients the code of the query protocol.
        ("sqs", _) => {
            with(ApiError::invalid("RequestThrottled", "Rate exceeded"), "__query_code", "RequestThrottled")
        }
        ("logs", _) => ApiError::invalid("ThrottlingException", "Rate exceeded"),
        _ => ApiError::invalid("Throttling", "Rate exceeded"),
    }
}

/// An internal error.
pub fn failed(service: &str) -> ApiError {
    let message = "Internal service failure (a fault on request).";
    match service {
        "lambda" => with(ApiError::new(500, "ServiceException", message), "Type", "Service"),
        "s3" => ApiError::new(500, "InternalError", "We encountered an internal error. Please try again."),
        "monitoring" => ApiError::new(500, "InternalServiceError", message),
        "iam" => ApiError::new(500, "ServiceFailure", message),
        _ => ApiError::new(500, "InternalFailure", message),
    }
}

/// The error that was asked for, with the status and the words that AWS gives it. A refusal for want of a
/// permission names it: IAM user guide, "Troubleshoot access denied error messages".
pub fn refused(service: &str, operation: &str, code: &str) -> ApiError {
    let has = |part: &str| code.contains(part);
    let message = if has("AccessDenied") || has("NotAuthorized") || has("UnauthorizedOperation") {
        let actions = permissions::actions(service, operation);
        let action = actions.first().cloned().unwrap_or_default();
        format!(
            "User: arn:aws:iam::{LOCAL_ACCOUNT}:user/somebody is not authorized to perform: {action} because no \
             identity-based policy allows the {action} action"
        )
    } else if has("ExpiredToken") {
        "The security token included in the request is expired".to_owned()
    } else if has("UnrecognizedClient") || has("InvalidClientTokenId") {
        "The security token included in the request is invalid.".to_owned()
    } else {
        format!("{operation} was refused (a fault on request).")
    };
    let is_json = matches!(service, "kinesis" | "sqs" | "logs");
    let status = match code {
        _ if is_json => 400,
        _ if has("AccessDenied") || has("Token") => 403,
        _ if has("AlreadyExists") || has("Conflict") => 409,
        _ => 400,
    };
    ApiError::new(status, code, message)
}

fn with(mut error: ApiError, member: &str, value: &str) -> ApiError {
    error.members.insert(member.to_owned(), Value::from(value));
    error
}
