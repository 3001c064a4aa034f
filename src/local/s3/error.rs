//! The errors of S3, with their statuses. S3 API reference, "Error responses".

use serde_json::json;

use crate::local::service::ApiError;

pub fn no_such_bucket(bucket: &str) -> ApiError {
    let error = ApiError::new(404, "NoSuchBucket", "The specified bucket does not exist");
    with(error, "BucketName", bucket)
}

pub fn no_such_key(key: &str) -> ApiError {
    with(ApiError::new(404, "NoSuchKey", "The specified key does not exist."), "Key", key)
}

pub fn no_such_version(key: &str, version_id: &str) -> ApiError {
    let error = ApiError::new(404, "NoSuchVersion", "The specified version does not exist.");
    with(with(error, "Key", key), "VersionId", version_id)
}

pub fn no_such_upload(upload_id: &str) -> ApiError {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may \
                   have been aborted or completed.";
    with(ApiError::new(404, "NoSuchUpload", message), "UploadId", upload_id)
}

pub fn invalid_argument(message: impl Into<String>) -> ApiError {
    ApiError::invalid("InvalidArgument", message)
}

pub fn malformed_xml() -> ApiError {
    ApiError::invalid(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// What this endpoint does not model is refused, never silently accepted.
pub fn not_implemented(what: &str) -> ApiError {
    ApiError::new(501, "NotImplemented", format!("the local endpoint does not implement {what}"))
}

/// A member beside the message, which the error's XML shows as an element.
pub fn with(mut error: ApiError, name: &str, value: &str) -> ApiError {
    error.members.insert(name.to_owned(), json!(value));
    error
}
