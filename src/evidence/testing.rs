//! A stand-in for AWS in tests of this room: real SDK clients whose requests a closure answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

type AnswerFn = dyn Fn(&str, Value) -> Answer + Send + Sync;
type Answer = Pin<Box<dyn Future<Output = (u16, Value)> + Send>>;

/// Takes an operation (`ReceiveMessage`) and its input; gives an HTTP status and a JSON body.
#[derive(Clone)]
pub struct Fake(Arc<AnswerFn>);

impl Fake {
    pub fn new<F>(answer: impl Fn(&str, Value) -> F + Send + Sync + 'static) -> Fake
    where
        F: Future<Output = (u16, Value)> + Send + 'static,
    {
        Fake(Arc::new(move |operation, input| Box::pin(answer(operation, input))))
    }

    fn http(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .retry_config(aws_sdk_sqs::config::retry::RetryConfig::disabled())
            .sleep_impl(TokioSleep::new())
            .http_client(self.http());
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    pub fn kinesis(&self) -> aws_sdk_kinesis::Client {
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
            .region(aws_sdk_kinesis::config::Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .retry_config(aws_sdk_kinesis::config::retry::RetryConfig::disabled())
            .sleep_impl(TokioSleep::new())
            .http_client(self.http());
        aws_sdk_kinesis::Client::from_conf(config.build())
    }
}

/// The answer to DescribeStreamSummary, of which the retention matters.
pub fn stream_summary(retention_hours: u32) -> Value {
    json!({ "StreamDescriptionSummary": {
        "StreamName": "s",
        "StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/s",
        "StreamStatus": "ACTIVE",
        "RetentionPeriodHours": retention_hours,
        "StreamCreationTimestamp": 1_763_688_000,
        "EnhancedMonitoring": [],
        "OpenShardCount": 2,
    } })
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let input = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or(Value::Null);
        let answer = (self.0)(operation, input);
        HttpConnectorFuture::new(async move {
            let (status, body) = answer.await;
            let status = status.try_into().expect("a status");
            Ok(HttpResponse::new(status, SdkBody::from(body.to_string())))
        })
    }
}
