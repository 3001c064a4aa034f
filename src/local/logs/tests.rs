//! The real client, its JSON handed to the service without a socket; and virtual time.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use serde_json::{Value, json};

use super::Logs;
use crate::local::cloudwatch::CloudWatch;
use crate::local::door::testing::context;
use crate::local::faults::Faults;
use crate::local::metrics::NoMetrics;
use crate::local::service::{Context, Service};
use crate::platform::clock::Clock;

const NOW_MS: i64 = 1_700_000_000_000;

fn service() -> Arc<Logs> {
    Logs::new(Context {
        clock: Clock::starting_at(NOW_MS * 1_000),
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        seed: 7,
        metrics: Arc::new(NoMetrics),
        faults: Arc::new(Faults::none()),
    })
}

#[derive(Clone)]
struct Door(Arc<Logs>);

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl HttpClient for Door {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Door {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let door = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").expect("a target").to_owned();
            let operation = target.strip_prefix("Logs_20140328.").expect("a target of Logs");
            let body = Bytes::copy_from_slice(request.body().bytes().expect("a body in memory"));
            let (status, body) = match door.0.call_json(operation, body).await {
                Ok(body) => (200, body.to_vec()),
                Err(error) => {
                    let shown = json!({"__type": error.code, "message": error.message});
                    (error.status, serde_json::to_vec(&shown).expect("JSON"))
                }
            };
            let response =
                http::Response::builder().status(status).body(SdkBody::from(body)).expect("a response");
            Ok(HttpResponse::try_from(response).expect("a response"))
        })
    }
}

fn client(logs: &Arc<Logs>) -> Client {
    let config = aws_sdk_cloudwatchlogs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .endpoint_url("http://localhost:4566")
        .http_client(Door(Arc::clone(logs)));
    Client::from_conf(config.build())
}

fn event(at_ms: i64, message: &str) -> InputLogEvent {
    InputLogEvent::builder().timestamp(at_ms).message(message).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn lines_of_a_function_are_found_again() {
    let logs = service();
    let client = client(&logs);
    let group = "/aws/lambda/f";
    client.create_log_group().log_group_name(group).tags("streamgauge", "env").send().await.unwrap();
    let twice = client.create_log_group().log_group_name(group).send().await.unwrap_err();
    assert!(twice.into_service_error().is_resource_already_exists_exception());
    client.put_retention_policy().log_group_name(group).retention_in_days(7).send().await.unwrap();
    for stream in ["2023/11/14/[$LATEST]a", "2023/11/14/[$LATEST]b"] {
        client.create_log_stream().log_group_name(group).log_stream_name(stream).send().await.unwrap();
        let put = client.put_log_events().log_group_name(group).log_stream_name(stream);
        let put = put.log_events(event(NOW_MS, "START RequestId: 1"));
        put.log_events(event(NOW_MS + 5, "REPORT RequestId: 1\tDuration: 4.2 ms")).send().await.unwrap();
    }
    let found = client.filter_log_events().log_group_name(group).filter_pattern("REPORT Duration");
    let found = found.start_time(NOW_MS + 5).end_time(NOW_MS + 5).send().await.unwrap();
    assert_eq!(found.events().len(), 2);
    assert_eq!(found.events()[1].log_stream_name(), Some("2023/11/14/[$LATEST]b"));
    assert_eq!(found.events()[1].ingestion_time(), Some(NOW_MS));
    assert_ne!(found.events()[0].event_id(), found.events()[1].event_id());
    let groups = client.describe_log_groups().log_group_name_prefix("/aws/").send().await.unwrap();
    let described = &groups.log_groups()[0];
    assert_eq!(described.arn(), Some("arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f:*"));
    assert_eq!(
        (described.retention_in_days(), described.stored_bytes()),
        (Some(7), Some(2 * (18 + 36 + 52)))
    );
    let tags = client
        .list_tags_for_resource()
        .resource_arn(described.log_group_arn().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(tags.tags().unwrap()["streamgauge"], "env");
    let streams = client.describe_log_streams().log_group_name(group).limit(1).send().await.unwrap();
    assert_eq!(streams.log_streams()[0].last_event_timestamp(), Some(NOW_MS + 5));
    let rest = client.describe_log_streams().log_group_name(group).set_next_token(streams.next_token);
    assert_eq!(rest.send().await.unwrap().log_streams().len(), 1);
    client.delete_log_group().log_group_name(group).send().await.unwrap();
    let gone =
        client.put_log_events().log_group_name(group).log_stream_name("s").log_events(event(NOW_MS, "m"));
    assert_eq!(gone.send().await.unwrap_err().code(), Some("ResourceNotFoundException"));
}

async fn with_events(messages: impl IntoIterator<Item = String>) -> Arc<Logs> {
    let logs = service();
    logs.call("CreateLogGroup", json!({"logGroupName": "g"})).await.unwrap();
    let stream = json!({"logGroupName": "g", "logStreamName": "s"});
    logs.call("CreateLogStream", stream.clone()).await.unwrap();
    for (at, message) in (0_i64..).zip(messages) {
        let mut input = stream.clone();
        input["logEvents"] = json!([{"timestamp": NOW_MS + at, "message": message}]);
        logs.call("PutLogEvents", input).await.unwrap();
    }
    logs
}

fn messages(output: &Value) -> Vec<&str> {
    output["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn filtered_pages_end_at_the_limit_and_at_a_megabyte() {
    let logs = with_events((0..5).map(|n| format!("{n}{}", "x".repeat(400_000)))).await;
    let mut input = json!({"logGroupName": "g"});
    let mut sizes = Vec::new();
    loop {
        let page = logs.call("FilterLogEvents", input.clone()).await.unwrap();
        sizes.push(messages(&page).len());
        let Some(next) = page.get("nextToken") else { break };
        input["nextToken"] = next.clone();
    }
    assert_eq!(sizes, [2, 2, 1]);
    let newest = json!({"logGroupName": "g", "limit": 1, "startFromHead": false});
    let newest = logs.call("FilterLogEvents", newest).await.unwrap();
    assert!(messages(&newest)[0].starts_with('4'));
    let last = json!({"logGroupName": "g", "limit": 1, "startTime": NOW_MS + 4});
    assert_eq!(logs.call("FilterLogEvents", last).await.unwrap().get("nextToken"), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_read_from_both_ends() {
    let logs = with_events((0..5).map(|n| n.to_string())).await;
    let get = async |more: Value| {
        let mut input = json!({"logGroupName": "g", "logStreamName": "s", "limit": 2});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        logs.call("GetLogEvents", input).await.unwrap()
    };
    let tail = get(json!({})).await;
    assert_eq!(messages(&tail), ["3", "4"]);
    let before = get(json!({"nextToken": tail["nextBackwardToken"]})).await;
    assert_eq!(messages(&before), ["1", "2"]);
    let end = get(json!({"nextToken": tail["nextForwardToken"]})).await;
    assert_eq!(end["events"], json!([]));
    assert_eq!(end["nextForwardToken"], tail["nextForwardToken"]);
    assert_eq!(messages(&get(json!({"nextToken": end["nextBackwardToken"]})).await), ["3", "4"]);
    let head = get(json!({"startFromHead": true})).await;
    assert_eq!(messages(&head), ["0", "1"]);
    let beginning = get(json!({"nextToken": head["nextBackwardToken"]})).await;
    assert_eq!(beginning["events"], json!([]));
    assert_eq!(messages(&get(json!({"nextToken": beginning["nextForwardToken"]})).await), ["0", "1"]);
    let window = get(json!({"startTime": NOW_MS + 1, "endTime": NOW_MS + 2, "startFromHead": true})).await;
    assert_eq!(messages(&window), ["1"]);
    let backwards = get(json!({"startTime": NOW_MS + 3, "endTime": NOW_MS + 1})).await;
    assert_eq!(backwards["events"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_refused() {
    let logs = with_events(["m".to_owned()]).await;
    let put = async |events: Value| {
        let input = json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events});
        logs.call("PutLogEvents", input).await.map_err(|error| error.code)
    };
    let invalid = Err("InvalidParameterException".to_owned());
    let at = |at_ms: i64| json!({"timestamp": at_ms, "message": "m"});
    assert_eq!(put(json!([])).await, invalid);
    assert_eq!(put(json!([at(NOW_MS), at(NOW_MS - 1)])).await, invalid);
    assert_eq!(put(json!([{"timestamp": NOW_MS, "message": ""}])).await, invalid);
    assert_eq!(put(json!([{"timestamp": NOW_MS, "message": "x".repeat(1_048_551)}])).await, invalid);
    assert_eq!(put(json!([at(NOW_MS - 86_400_001), at(NOW_MS)])).await, invalid);
    assert!(put(json!([{"timestamp": NOW_MS, "message": "x".repeat(1_048_550)}])).await.is_ok());
    let rejected = put(json!([at(NOW_MS), at(NOW_MS + 7_200_001)])).await.unwrap();
    assert_eq!(rejected["rejectedLogEventsInfo"], json!({"tooNewLogEventStartIndex": 1}));
    let code = async |operation: &str, input: Value| logs.call(operation, input).await.unwrap_err().code;
    assert_eq!(code("CreateLogGroup", json!({"logGroupName": "a b"})).await, "InvalidParameterException");
    assert_eq!(
        code("CreateLogStream", json!({"logGroupName": "g", "logStreamName": "a:b"})).await,
        "InvalidParameterException"
    );
    assert_eq!(
        code("PutRetentionPolicy", json!({"logGroupName": "g", "retentionInDays": 2})).await,
        "InvalidParameterException"
    );
    assert_eq!(
        code("FilterLogEvents", json!({"logGroupName": "g", "filterPattern": "{"})).await,
        "InvalidParameterException"
    );
    let unknown = json!({"logGroupName": "g", "logStreamNames": ["absent"]});
    assert_eq!(code("FilterLogEvents", unknown).await, "ResourceNotFoundException");
    assert_eq!(code("StartQuery", json!({})).await, "UnknownOperationException");
}

#[tokio::test(start_paused = true)]
async fn retention_passes_in_virtual_time() {
    let logs = with_events(["old".to_owned()]).await;
    logs.call("PutRetentionPolicy", json!({"logGroupName": "g", "retentionInDays": 1})).await.unwrap();
    tokio::time::sleep(Duration::from_secs(86_399)).await;
    let find = async || logs.call("FilterLogEvents", json!({"logGroupName": "g"})).await.unwrap();
    assert_eq!(messages(&find().await), ["old"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(find().await["events"], json!([]));
    assert_eq!(logs.dropped_events("g"), Some(0));
}

#[tokio::test(start_paused = true)]
async fn lines_in_the_embedded_metric_format_become_metrics() {
    let clock = Clock::starting_at(NOW_MS * 1_000);
    let cloudwatch = CloudWatch::new(clock, "us-east-1".to_owned(), "000000000000".to_owned());
    let logs = Logs::new(context(clock, cloudwatch.clone()));
    let named = json!({"logGroupName": "/g", "logStreamName": "s"});
    logs.call("CreateLogGroup", named.clone()).await.unwrap();
    logs.call("CreateLogStream", named.clone()).await.unwrap();
    let line = |value: u32| {
        let metric = json!({"Name": "Orders", "Unit": "Count", "StorageResolution": 1});
        let directive = json!({"Namespace": "Shop", "Dimensions": [["Country"]], "Metrics": [metric]});
        let metadata = json!({"Timestamp": NOW_MS - 60_000, "CloudWatchMetrics": [directive]});
        json!({"_aws": metadata, "Country": "PT", "Orders": [value, 1]}).to_string()
    };
    let events =
        |at_ms: i64| json!([{"timestamp": at_ms, "message": line(3)}, {"timestamp": at_ms, "message": "x"}]);
    let mut put = named.clone();
    put["logEvents"] = events(NOW_MS);
    logs.call("PutLogEvents", put).await.unwrap();
    let mut rejected = named;
    rejected["logEvents"] = events(NOW_MS - 30 * 86_400_000);
    logs.call("PutLogEvents", rejected).await.unwrap();
    let asked = json!({
        "Namespace": "Shop", "MetricName": "Orders", "Statistics": ["Sum", "SampleCount"], "Period": 1,
        "Dimensions": [{"Name": "Country", "Value": "PT"}],
        "StartTime": (NOW_MS - 61_000) / 1_000, "EndTime": NOW_MS / 1_000,
    });
    let answer = cloudwatch.call("GetMetricStatistics", asked).await.unwrap();
    let points = answer["Datapoints"].as_array().unwrap();
    assert_eq!(points.len(), 1, "a line that is rejected counts for nothing: {answer}");
    assert_eq!((points[0]["Sum"].as_f64(), points[0]["SampleCount"].as_f64()), (Some(4.0), Some(2.0)));
    assert_eq!(points[0]["Timestamp"].as_f64(), Some((NOW_MS - 60_000) as f64 / 1_000.0));
}
