//! The services of this room behind the real SDK clients, for their tests: requests are serialized, signed
//! and parsed by the SDK and never leave the process.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::cbor;
use crate::local::faults::Faults;
use crate::local::metrics::MetricSink;
use crate::local::service::{ApiError, Context, HttpService, Service};
use crate::platform::clock::Clock;

/// What stands behind the door; a request for a service that is absent is an error of the test.
#[derive(Clone, Default)]
pub struct Services {
    pub cloudwatch: Option<Arc<dyn Service>>,
    pub logs: Option<Arc<dyn Service>>,
    pub sqs: Option<Arc<dyn Service>>,
    pub s3: Option<Arc<dyn HttpService>>,
}

/// A context as the endpoint makes it, at `clock`.
pub fn context(clock: Clock, metrics: Arc<dyn MetricSink>) -> Context {
    Context {
        clock,
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        seed: 1,
        metrics,
        faults: Arc::new(Faults::none()),
    }
}

/// An SDK configuration whose HTTP client is the services.
pub fn config(clock: Clock, services: Services) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://localhost:4566")
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
            Credentials::from_keys("TESTKEY", "test-secret", None),
        ))
        .time_source(clock)
        .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
            aws_smithy_async::rt::sleep::TokioSleep::new(),
        ))
        .retry_config(RetryConfig::disabled())
        .http_client(http_client(services))
        .build()
}

fn http_client(services: Services) -> SharedHttpClient {
    http_client_fn(move |_, _| SharedHttpConnector::new(Connector(services.clone())))
}

#[derive(Clone)]
struct Connector(Services);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let services = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
            let response = answer(&services, http::Request::from_parts(parts, body)).await;
            let response = response.map(SdkBody::from);
            response
                .try_into()
                .map_err(|error: aws_smithy_runtime_api::http::HttpError| ConnectorError::user(error.into()))
        })
    }
}

async fn answer(services: &Services, request: http::Request<Bytes>) -> http::Response<Bytes> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    assert!(header("authorization").is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256")), "signed");
    // Whatever host a queue URL names: an SDK with an endpoint of its own goes there.
    assert!(request.uri().host().is_some_and(|host| host.ends_with("localhost")), "{}", request.uri());
    if header("smithy-protocol") == Some("rpc-v2-cbor") {
        let operation = request.uri().path().rsplit('/').next().unwrap_or("").to_owned();
        let service = services.cloudwatch.as_ref().expect("a CloudWatch behind the door");
        let result = match cbor::decode(request.body()) {
            Ok(input) => service.call(&operation, input).await,
            Err(error) => Err(ApiError::invalid("SerializationException", error)),
        };
        return match result {
            Ok(output) => respond(200, "application/cbor", cbor::encode(&output).into(), None),
            Err(error) => {
                respond(error.status, "application/cbor", cbor::encode_error(&error).into(), Some(&error))
            }
        };
    }
    let Some(target) = header("x-amz-target").map(str::to_owned) else {
        return services.s3.as_ref().expect("an S3 behind the door").http(request).await;
    };
    let (service, operation) = target.split_once('.').expect("a target with an operation");
    let service = if service == "AmazonSQS" { &services.sqs } else { &services.logs };
    let service = service.as_ref().expect("the service behind the door");
    match service.call_json(operation, request.into_body()).await {
        Ok(body) => respond(200, "application/x-amz-json-1.0", body, None),
        Err(error) => {
            let mut body = error.members.clone();
            body.insert("__type".to_owned(), error.code.as_str().into());
            body.insert("message".to_owned(), error.message.as_str().into());
            let body = serde_json::to_vec(&body).expect("a map is JSON");
            respond(error.status, "application/x-amz-json-1.0", body.into(), Some(&error))
        }
    }
}

fn respond(status: u16, content_type: &str, body: Bytes, error: Option<&ApiError>) -> http::Response<Bytes> {
    let mut response = http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("x-amzn-requestid", "00000000-0000-0000-0000-000000000000");
    if content_type == "application/cbor" {
        response = response.header("smithy-protocol", "rpc-v2-cbor");
    }
    if let Some(code) = error.and_then(|error| error.members.get("__query_code")?.as_str()) {
        response = response.header("x-amzn-query-error", format!("{code};Sender"));
    }
    response.body(body).expect("a valid response")
}
