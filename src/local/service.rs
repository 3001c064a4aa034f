//! What a local service is: operations on AWS-shaped JSON. The doors translate protocols into this and
//! back, and services call each other through it too (CloudFormation creates a stream by `CreateStream`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::platform::clock::Clock;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What all services of one endpoint share.
#[derive(Clone)]
pub struct Context {
    pub clock: Clock,
    pub region: String,
    pub account: String,
    /// Seeds every random choice, so that a run in virtual time repeats.
    pub seed: u64,
    pub metrics: Arc<dyn super::metrics::MetricSink>,
    pub faults: Arc<super::faults::Faults>,
}

impl Context {
    /// `arn:aws:<service>:<region>:<account>:<resource>`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }
}

/// An error as AWS gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// HTTP status: 400, 403, 404, 409, 429, 500, 503.
    pub status: u16,
    /// For example `ResourceNotFoundException`.
    pub code: String,
    pub message: String,
    /// Further members of the error's shape, beside the message (Lambda's `Type`, for example).
    pub members: serde_json::Map<String, Value>,
}

impl ApiError {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> ApiError {
        ApiError { status, code: code.to_owned(), message: message.into(), members: serde_json::Map::new() }
    }
    pub fn invalid(code: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(400, code, message)
    }
    /// No answer at all: the door closes the connection instead of sending a response.
    pub fn no_answer() -> ApiError {
        ApiError::new(0, "NoAnswer", "the answer was lost")
    }
    pub fn is_no_answer(&self) -> bool {
        self.status == 0
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

pub type ApiResult = Result<Value, ApiError>;

/// One service. Inputs and outputs are JSON objects with the members of the AWS API model: blobs are
/// base64 strings, timestamps are numbers of epoch seconds, enums strings, whatever the wire protocol.
pub trait Service: Send + Sync {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult>;

    /// The JSON door's path: bytes in, bytes out. A service with a hot data path overrides it.
    fn call_json<'a>(&'a self, operation: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, ApiError>> {
        Box::pin(async move {
            let input = if body.is_empty() {
                Value::Object(serde_json::Map::new())
            } else {
                serde_json::from_slice(&body)
                    .map_err(|error| ApiError::invalid("SerializationException", error.to_string()))?
            };
            let output = self.call(operation, input).await?;
            let bytes = serde_json::to_vec(&output)
                .map_err(|error| ApiError::new(500, "InternalFailure", error.to_string()))?;
            Ok(Bytes::from(bytes))
        })
    }
}

/// A service whose API is REST (Lambda, S3): it sees the request as it came, protections already passed.
pub trait HttpService: Send + Sync {
    fn http<'a>(&'a self, request: http::Request<Bytes>) -> BoxFuture<'a, http::Response<Bytes>>;

    /// The operation that the request means, by its name in the API model; empty when it means none.
    fn operation(&self, request: &http::Request<Bytes>) -> String;

    /// An error as this API answers a request with this method and path.
    fn refusal(&self, method: &http::Method, path: &str, error: &ApiError) -> http::Response<Bytes>;
}

/// The error for an operation that this endpoint does not have.
pub fn unknown_operation(operation: &str) -> ApiError {
    ApiError::invalid("UnknownOperationException", format!("the local endpoint has no operation {operation}"))
}
