//! The service behind the real SDK client, which serializes, signs and parses; and a mapping on the real
//! local Kinesis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    DestinationConfig, EventSourcePosition, FunctionCode, InvocationType, LastUpdateStatus, OnFailure,
    Runtime, State,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::HttpError;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::host::in_process::{Handler, InProcessHost};
use super::testing::{QUEUE_ARN, STREAM_ARN, Seen, Stage, Watching, fail, ok, watching, zip_of};
use super::{Lambda, Peers};
use crate::local::faults::Faults;
use crate::local::kinesis::Kinesis;
use crate::local::s3::S3;
use crate::local::service::{HttpService, Service};
use crate::local::sqs::Sqs;

#[derive(Clone)]
struct Door(Arc<Lambda>);

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl HttpConnector for Door {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let lambda = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
            let response = lambda.http(http::Request::from_parts(parts, body)).await.map(SdkBody::from);
            response.try_into().map_err(|error: HttpError| ConnectorError::user(error.into()))
        })
    }
}

fn client(stage: &Stage) -> Client {
    let door = Door(stage.lambda.clone());
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url("http://localhost:4566")
        .credentials_provider(Credentials::from_keys("TESTKEY", "test-secret", None))
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .retry_config(aws_smithy_types::retry::RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(door.clone())))
        .build();
    Client::from_conf(config)
}

#[tokio::test(start_paused = true)]
async fn the_sdk_creates_invokes_maps_and_reads_errors() {
    let stage = Stage::in_process(watching(Duration::ZERO, ok).handler, Faults::none());
    let client = client(&stage);
    let code = FunctionCode::builder().zip_file(Blob::new(zip_of("bootstrap", ""))).build();
    let create = client
        .create_function()
        .function_name("f")
        .runtime(Runtime::from("provided.al2023"))
        .handler("bootstrap")
        .role("arn:aws:iam::000000000000:role/r")
        .code(code)
        .tags("a", "b");
    let created = create.send().await.unwrap();
    assert_eq!((created.state(), created.memory_size()), (Some(&State::Pending), Some(128)));
    let got = client.get_function().function_name("f").send().await.unwrap();
    let configuration = got.configuration().unwrap();
    assert_eq!(configuration.last_update_status(), Some(&LastUpdateStatus::Successful));
    assert_eq!(got.tags().unwrap()["a"], "b");
    let answer = client
        .invoke()
        .function_name("f")
        .payload(Blob::new(br#"{"Records":[]}"#.to_vec()))
        .send()
        .await
        .unwrap();
    assert_eq!((answer.status_code(), answer.payload().unwrap().as_ref()), (200, &b"null"[..]));
    assert_eq!((answer.executed_version(), answer.function_error()), (Some("$LATEST"), None));
    client
        .put_function_concurrency()
        .function_name("f")
        .reserved_concurrent_executions(0)
        .send()
        .await
        .unwrap();
    let throttled = client.invoke().function_name("f").send().await.unwrap_err().into_service_error();
    assert!(throttled.is_too_many_requests_exception());
    assert_eq!(throttled.message(), Some("Rate Exceeded."));
    client.delete_function_concurrency().function_name("f").send().await.unwrap();
    let map = client.create_event_source_mapping().function_name("f").event_source_arn(STREAM_ARN);
    let mapping = map.starting_position(EventSourcePosition::TrimHorizon).send().await.unwrap();
    assert_eq!((mapping.state(), mapping.batch_size()), (Some("Creating"), Some(100)));
    let uuid = mapping.uuid().unwrap();
    assert_eq!(mapping.last_modified().unwrap().secs(), 1_700_000_000);
    let list = client.list_event_source_mappings().function_name("f").send().await.unwrap();
    assert_eq!(list.event_source_mappings()[0].uuid(), Some(uuid));
    let update = client.update_event_source_mapping().uuid(uuid).enabled(false).batch_size(5);
    assert_eq!(update.send().await.unwrap().batch_size(), Some(5));
    let arn = mapping.event_source_mapping_arn().unwrap();
    client.tag_resource().resource(arn).tags("k", "v").send().await.unwrap();
    assert_eq!(client.list_tags().resource(arn).send().await.unwrap().tags().unwrap()["k"], "v");
    assert_eq!(
        client.delete_event_source_mapping().uuid(uuid).send().await.unwrap().state(),
        Some("Deleting")
    );
    let settings = client.get_account_settings().send().await.unwrap();
    assert_eq!(settings.account_limit().unwrap().unreserved_concurrent_executions(), Some(1_000));
    client.delete_function().function_name("f").send().await.unwrap();
    let gone = client.get_function().function_name("f").send().await.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception());
    assert!(gone.message().unwrap().starts_with("Function not found: arn:aws:lambda:"));
}

#[tokio::test(start_paused = true)]
async fn the_sdk_sends_events_and_configures_them() {
    let stage = Stage::in_process(watching(Duration::ZERO, |_| fail()).handler, Faults::none());
    stage.create_function(&zip_of("bootstrap", ""), json!({})).await;
    let client = client(&stage);
    let put = client.put_function_event_invoke_config().function_name("f").maximum_retry_attempts(0);
    let on_failure = OnFailure::builder().destination(QUEUE_ARN).build();
    let destinations = DestinationConfig::builder().on_failure(on_failure).build();
    let put = put.destination_config(destinations).send().await.unwrap();
    assert_eq!(put.last_modified().unwrap().secs(), 1_700_000_000);
    assert!(put.function_arn().unwrap().ends_with(":function:f:$LATEST"));
    let update = client.update_function_event_invoke_config().function_name("f");
    update.maximum_event_age_in_seconds(60).send().await.unwrap();
    let got = client.get_function_event_invoke_config().function_name("f").send().await.unwrap();
    assert_eq!((got.maximum_retry_attempts(), got.maximum_event_age_in_seconds()), (Some(0), Some(60)));
    let event = Blob::new(br#"{"Records":[]}"#.to_vec());
    let invoke = client.invoke().function_name("f").invocation_type(InvocationType::Event).payload(event);
    let accepted = invoke.send().await.unwrap();
    assert_eq!((accepted.status_code(), accepted.payload()), (202, None));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.sqs.of("SendMessage").len(), 1);
    let list = client.list_function_event_invoke_configs().function_name("f").send().await.unwrap();
    assert_eq!(list.function_event_invoke_configs().len(), 1);
    client.delete_function_event_invoke_config().function_name("f").send().await.unwrap();
    let none = client.get_function_event_invoke_config().function_name("f").send().await.unwrap_err();
    assert!(none.into_service_error().is_resource_not_found_exception());
    let provisioned = client.put_provisioned_concurrency_config().function_name("f").qualifier("live");
    let refused = provisioned.provisioned_concurrent_executions(1).send().await.unwrap_err();
    assert!(refused.message().unwrap().contains("no versions and no aliases"), "{refused:?}");
}

/// A stage whose Lambda has other neighbours than the stand-ins.
fn with_peers(stage: Stage, handler: Handler, peers: impl FnOnce(Peers) -> Peers) -> Stage {
    let ctx = stage.lambda.shared.ctx.clone();
    let host = InProcessHost::new(ctx.clock, handler, Duration::from_millis(80), 1);
    let peers = peers(stage.lambda.shared.peers.clone());
    Stage { lambda: Lambda::new(ctx, peers, Arc::new(host)), ..stage }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_found_in_the_real_bucket_and_the_real_queue() {
    let watching = watching(Duration::ZERO, |_| fail());
    let stage = Stage::in_process(watching.handler.clone(), Faults::none());
    let ctx = stage.lambda.shared.ctx.clone();
    let (s3, sqs) = (S3::new(ctx.clone()), Sqs::new(ctx.clone(), Arc::default()));
    s3.call("CreateBucket", json!({"Bucket": "lost"})).await.unwrap();
    let queue = sqs.call("CreateQueue", json!({"QueueName": "dlq"})).await.unwrap();
    let (bucket, messages) = (s3.clone(), sqs.clone());
    let stage = with_peers(stage, watching.handler, |peers| Peers { s3, sqs, ..peers });
    stage.kinesis.put("shardId-000000000000", "k", "x");
    for destination in ["arn:aws:s3:::lost", QUEUE_ARN] {
        let uuid = stage
            .map(json!({
                "MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": destination}},
            }))
            .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stage.call("DeleteEventSourceMapping", json!({"UUID": uuid})).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let objects = bucket.call("ListObjectsV2", json!({"Bucket": "lost", "Prefix": "aws/lambda/"})).await;
    let key = objects.unwrap()["Contents"][0]["Key"].clone();
    let object = bucket.call("GetObject", json!({"Bucket": "lost", "Key": key})).await.unwrap();
    let body = base64_json(&object["Body"]);
    assert_eq!(body["KinesisBatchInfo"]["shardId"], "shardId-000000000000");
    assert!(body["payload"].is_string());
    let received = messages.call("ReceiveMessage", json!({"QueueUrl": queue["QueueUrl"]})).await.unwrap();
    let body: Value = serde_json::from_str(received["Messages"][0]["Body"].as_str().unwrap()).unwrap();
    assert_eq!(body["KinesisBatchInfo"]["batchSize"], 1);
    assert!(body["payload"].is_null());
}

fn base64_json(encoded: &Value) -> Value {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.as_str().unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// 900 records/s for 20 s over two shards: all of them once, each key in order, and no read refused.
#[tokio::test(start_paused = true)]
async fn a_mapping_keeps_up_with_the_local_kinesis() {
    let (kinesis, stage, watching) = on_real_kinesis().await;
    stage.map(json!({"ParallelizationFactor": 4, "BatchSize": 200})).await;
    for tick in 0..200 {
        put_ninety(&kinesis, tick).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    stage.lambda.shutdown().await;
    let seen = watching.seen.lock().unwrap();
    assert_eq!(seen.iter().map(|batch| batch.records.len()).sum::<usize>(), 18_000);
    let shards: std::collections::BTreeSet<_> = seen.iter().map(|batch| batch.shard.clone()).collect();
    assert_eq!(shards.len(), 2);
    assert_in_order(&seen);
    assert!(
        stage.metrics.of("ReadProvisionedThroughputExceeded", "StreamName").iter().all(|count| *count == 0.0)
    );
    assert_eq!(stage.metrics.of("GetRecords.Records", "StreamName").iter().sum::<f64>(), 18_000.0);
    let oldest = stage.metrics.of("IteratorAge", "FunctionName").into_iter().fold(0.0, f64::max);
    assert!(oldest < 1_500.0, "{oldest}");
}

/// The same while the shards are doubled and halved: children are read after their parents.
#[tokio::test(start_paused = true)]
async fn a_mapping_follows_the_shards_of_the_local_kinesis() {
    let (kinesis, stage, watching) = on_real_kinesis().await;
    stage.map(json!({"ParallelizationFactor": 4, "BatchSize": 200})).await;
    for tick in 0..200 {
        if let Some(target) = BTreeMap::from([(40, 4), (90, 3), (140, 2)]).get(&tick) {
            let scaling = "UNIFORM_SCALING";
            let input = json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": scaling});
            kinesis.call("UpdateShardCount", input).await.unwrap();
        }
        put_ninety(&kinesis, tick).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    stage.lambda.shutdown().await;
    let seen = watching.seen.lock().unwrap();
    assert_eq!(seen.iter().map(|batch| batch.records.len()).sum::<usize>(), 18_000);
    let shards: std::collections::BTreeSet<_> = seen.iter().map(|batch| batch.shard.clone()).collect();
    assert!(shards.len() >= 2 + 4 + 3 + 2, "{shards:?}");
    assert_in_order(&seen);
}

/// A stage whose mappings read from a real stream of two shards.
async fn on_real_kinesis() -> (Arc<Kinesis>, Stage, Watching) {
    let watching = watching(Duration::from_millis(20), ok);
    let stage = Stage::in_process(watching.handler.clone(), Faults::none());
    let kinesis = Kinesis::new(stage.lambda.shared.ctx.clone());
    kinesis.call("CreateStream", json!({"StreamName": "s", "ShardCount": 2})).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let read = kinesis.clone();
    let stage = with_peers(stage, watching.handler.clone(), |peers| Peers { kinesis: read, ..peers });
    (kinesis, stage, watching)
}

/// Puts ninety records of 333 keys in turn, and lets 100 ms pass.
async fn put_ninety(kinesis: &Kinesis, tick: usize) {
    let records: Vec<_> = (0..90)
        .map(|i| json!({"Data": "e30=", "PartitionKey": format!("key-{}", (tick * 90 + i) % 333)}))
        .collect();
    let put = kinesis.call("PutRecords", json!({"StreamName": "s", "Records": records})).await.unwrap();
    assert_eq!(put["FailedRecordCount"], 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn assert_in_order(seen: &[Seen]) {
    let mut last: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for batch in seen {
        for ((key, _), digits) in batch.records.iter().zip(&batch.digits) {
            let sequence = (digits.len(), digits.as_str());
            assert!(last.insert(key, sequence).is_none_or(|before| before < sequence), "{key}");
        }
    }
}
