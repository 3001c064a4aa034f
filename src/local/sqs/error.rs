//! SQS's errors: the JSON protocol's shape, and the query protocol's code that older clients still match on
//! (header `x-amzn-query-error`). Source: API model 2012-11-05, trait `awsQueryError`.

use serde_json::Value;

use crate::local::service::ApiError;

fn error(shape: &str, query_code: &str, message: String) -> ApiError {
    let mut error = ApiError::invalid(shape, message);
    error.members.insert("__query_code".to_owned(), Value::from(query_code));
    error
}

pub fn no_queue() -> ApiError {
    error(
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist.".to_owned(),
    )
}

pub fn queue_exists(attribute: &str) -> ApiError {
    error(
        "QueueNameExists",
        "QueueAlreadyExists",
        format!("A queue already exists with the same name and a different value for attribute {attribute}"),
    )
}

pub fn missing(parameter: &str) -> ApiError {
    let message = format!("The request must contain the parameter {parameter}.");
    error("MissingParameter", "MissingParameter", message)
}

pub fn invalid_value(message: impl Into<String>) -> ApiError {
    error("InvalidParameterValue", "InvalidParameterValue", message.into())
}

pub fn invalid_attribute_name(name: &str) -> ApiError {
    error("InvalidAttributeName", "InvalidAttributeName", format!("Unknown Attribute {name}."))
}

pub fn invalid_attribute_value(name: &str) -> ApiError {
    let message = format!("Invalid value for the parameter {name}.");
    error("InvalidAttributeValue", "InvalidAttributeValue", message)
}

pub fn invalid_contents() -> ApiError {
    let message = "The message contains characters outside the allowed set.".to_owned();
    error("InvalidMessageContents", "InvalidMessageContents", message)
}

pub fn invalid_handle(handle: &str) -> ApiError {
    let message = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
    error("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", message)
}

pub fn not_in_flight() -> ApiError {
    error(
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",
        "The message is not available for visibility timeout change.".to_owned(),
    )
}

pub fn over_limit() -> ApiError {
    let message = "The maximum number of in flight messages is reached.".to_owned();
    error("OverLimit", "OverLimit", message)
}

pub fn purge_in_progress(name: &str) -> ApiError {
    error(
        "PurgeQueueInProgress",
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds."),
    )
}

pub fn throttled(message: impl Into<String>) -> ApiError {
    error("RequestThrottled", "RequestThrottled", message.into())
}

pub fn unsupported(message: impl Into<String>) -> ApiError {
    error("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", message.into())
}

/// The errors of a batch as a whole; `shape` is also the tail of its query code.
pub fn batch(shape: &str, message: impl Into<String>) -> ApiError {
    error(shape, &format!("AWS.SimpleQueueService.{shape}"), message.into())
}
