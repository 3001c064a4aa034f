//! What each answer of Kinesis means for the records, through the real client.

use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_sdk_kinesis::config::{BehaviorVersion, Config, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers every request with one status and body, and counts them.
#[derive(Clone, Debug)]
struct Canned {
    status: u16,
    body: String,
    requests: Arc<Mutex<Vec<(String, serde_json::Value)>>>,
}

impl HttpConnector for Canned {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let sent = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        self.requests.lock().unwrap().push((target, sent));
        let status = self.status.try_into().unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(self.body.clone()))))
    }
}

impl HttpClient for Canned {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn config() -> aws_sdk_kinesis::config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
}

fn records(count: usize) -> Vec<OutRecord> {
    let record =
        |i| OutRecord { key: format!("key-{i:06}"), hash_key: None, data: Bytes::from_static(b"data") };
    (0..count).map(record).collect()
}

type Requests = Vec<(String, serde_json::Value)>;

async fn put(mode: PutMode, count: usize, status: u16, body: &str) -> (Vec<PutResult>, Requests) {
    let canned = Canned { status, body: body.to_owned(), requests: Arc::default() };
    let client = Client::from_conf(config().http_client(canned.clone()).build());
    let results = KinesisDriver::new(client, "stream", mode).put(&records(count)).await;
    let requests = canned.requests.lock().unwrap().clone();
    (results, requests)
}

fn failed(code: &str, retryable: bool) -> PutResult {
    PutResult::Failed { code: code.to_owned(), message: "m".to_owned(), retryable }
}

#[tokio::test]
async fn one_record_is_one_put_record() {
    let body = r#"{"ShardId":"shardId-000000000000","SequenceNumber":"1"}"#;
    let (results, requests) = put(PutMode::Record, 1, 200, body).await;
    assert_eq!(results, [PutResult::Acked]);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].0, "Kinesis_20131202.PutRecord");
    let sent = serde_json::json!({"StreamName": "stream", "PartitionKey": "key-000000", "Data": "ZGF0YQ=="});
    assert_eq!(requests[0].1, sent);
}

#[tokio::test]
async fn a_batch_is_one_put_records_with_a_result_for_each() {
    let body = r#"{"FailedRecordCount":2,"Records":[
        {"ShardId":"shardId-000000000000","SequenceNumber":"1"},
        {"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded"},
        {"ErrorCode":"InternalFailure","ErrorMessage":"m"}]}"#;
    let (results, requests) = put(PutMode::Batch, 4, 200, body).await;
    let missing = PutResult::Unknown { message: "the answer has no result for this record".to_owned() };
    assert_eq!(results, [PutResult::Acked, PutResult::Throttled, failed("InternalFailure", true), missing]);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].0, "Kinesis_20131202.PutRecords");
    assert_eq!(requests[0].1["Records"][3]["PartitionKey"], "key-000003");
    let (results, _) =
        put(PutMode::Batch, 1, 200, r#"{"Records":[{"SequenceNumber":"1","ShardId":"s"}]}"#).await;
    assert_eq!(results, [PutResult::Acked]);
}

#[tokio::test]
async fn errors_are_told_apart_and_never_retried_by_the_client() {
    let throttled = |_: &str| PutResult::Throttled;
    let for_good = |code: &str| failed(code, false);
    let for_now = |code: &str| failed(code, true);
    type Meaning<'a> = &'a dyn Fn(&str) -> PutResult;
    let cases: [(u16, &str, Meaning<'_>); 8] = [
        (400, "ProvisionedThroughputExceededException", &throttled),
        (400, "ThrottlingException", &throttled),
        (400, "ResourceNotFoundException", &for_good),
        (400, "AccessDeniedException", &for_good),
        (400, "ValidationException", &for_good),
        (400, "KMSThrottlingException", &for_now),
        (500, "InternalFailureException", &for_now),
        (503, "SomethingNew", &for_now),
    ];
    for (status, code, meaning) in cases {
        for mode in [PutMode::Record, PutMode::Batch] {
            let body = format!(r#"{{"__type":"{code}","message":"m"}}"#);
            let (results, requests) = put(mode, 1, status, &body).await;
            assert_eq!(results, [meaning(code)], "{code}");
            assert_eq!(requests.len(), 1, "{code} is one request");
        }
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_unknown() {
    let (results, _) = put(PutMode::Batch, 2, 200, "{\"Records\": [").await;
    assert!(
        matches!(results.as_slice(), [PutResult::Unknown { .. }, PutResult::Unknown { .. }]),
        "{results:?}"
    );
}

/// A client on a real socket.
fn client_at(port: u16) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let endpoint = format!("http://127.0.0.1:{port}");
    Client::from_conf(config().http_client(http).endpoint_url(endpoint).build())
}

#[tokio::test]
async fn a_refused_connection_has_not_sent_anything() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let results = KinesisDriver::new(client_at(port), "stream", PutMode::Record).put(&records(1)).await;
    assert!(matches!(results.as_slice(), [PutResult::NotSent { .. }]), "{results:?}");
}

#[tokio::test]
async fn a_connection_that_closes_before_the_answer_is_unknown() {
    for partial_answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 16_384];
            assert!(socket.read(&mut request).await.unwrap() > 0);
            socket.write_all(partial_answer.as_bytes()).await.unwrap();
        };
        let driver = KinesisDriver::new(client_at(port), "stream", PutMode::Record);
        let (results, ()) = {
            let records = records(1);
            tokio::join!(driver.put(&records), server)
        };
        assert!(matches!(results.as_slice(), [PutResult::Unknown { .. }]), "{results:?}");
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let canned = Canned { status: 200, body: String::new(), requests: Arc::default() };
    let provider = aws_sdk_kinesis::config::SharedCredentialsProvider::new(NoCredentials);
    let config = config().credentials_provider(provider).http_client(canned.clone()).build();
    let results =
        KinesisDriver::new(Client::from_conf(config), "stream", PutMode::Record).put(&records(1)).await;
    assert!(matches!(results.as_slice(), [PutResult::NoCredentials { .. }]), "{results:?}");
    assert!(canned.requests.lock().unwrap().is_empty());
}

#[derive(Debug)]
struct NoCredentials;

impl aws_credential_types::provider::ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = aws_credential_types::provider::error::CredentialsError::not_loaded("none");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
    }
}
