//! Three local services behind the SDK's HTTP client interface.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use bytes::Bytes;
use http_body_util::BodyExt;
use streamgauge::local::door::cbor;
use streamgauge::local::service::{ApiError, Service};
use streamgauge::platform::clock::Clock;

#[derive(Clone)]
pub struct Services {
    pub cloudwatch: Arc<dyn Service>,
    pub logs: Arc<dyn Service>,
    pub sqs: Arc<dyn Service>,
}

pub fn config(clock: Clock, services: Services) -> SdkConfig {
    let credentials = Credentials::from_keys("TESTKEY", "test-secret", None);
    SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://localhost:4566")
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .time_source(clock)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(Connector(services.clone()))))
        .build()
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
            let (status, body) = answer(&services, &parts, body).await;
            let response = http::Response::builder().status(status).body(SdkBody::from(body));
            let response = response.map_err(|error| ConnectorError::user(error.into()))?;
            response
                .try_into()
                .map_err(|error: aws_smithy_runtime_api::http::HttpError| ConnectorError::user(error.into()))
        })
    }
}

async fn answer(services: &Services, parts: &http::request::Parts, body: Bytes) -> (u16, Vec<u8>) {
    let Some(target) = parts.headers.get("x-amz-target") else {
        let operation = parts.uri.path().rsplit('/').next().unwrap_or("");
        let input = cbor::decode(&body).expect("the SDK sends CBOR");
        return match services.cloudwatch.call(operation, input).await {
            Ok(output) => (200, cbor::encode(&output)),
            Err(error) => (error.status, cbor::encode_error(&error)),
        };
    };
    let (service, operation) =
        target.to_str().ok().and_then(|target| target.split_once('.')).expect("a target");
    let service = if service == "AmazonSQS" { &services.sqs } else { &services.logs };
    match service.call_json(operation, body).await {
        Ok(body) => (200, body.to_vec()),
        Err(ApiError { status, code, message, .. }) => {
            (status, serde_json::json!({ "__type": code, "message": message }).to_string().into_bytes())
        }
    }
}
