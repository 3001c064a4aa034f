//! The service by itself, through [`Service::call`] and [`Service::call_json`], in virtual time.

mod consumers;
mod lineage;
mod listing;
mod memory;
mod monitoring;
mod on_demand;
mod reshard;

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::local::faults::Faults;
use crate::local::metrics::{MetricSink, NoMetrics, Sample};
use crate::platform::clock::Clock;

const START_US: i64 = 1_790_000_000_000_000;

fn context(faults: Faults, metrics: Arc<dyn MetricSink>) -> Context {
    Context {
        clock: Clock::starting_at(START_US),
        region: "us-east-1".into(),
        account: "000000000000".into(),
        seed: 1,
        metrics,
        faults: Arc::new(faults),
    }
}

async fn active(shards: u32) -> Arc<Kinesis> {
    with_stream(Kinesis::new(context(Faults::none(), Arc::new(NoMetrics))), shards).await
}

async fn with_stream(kinesis: Arc<Kinesis>, shards: u32) -> Arc<Kinesis> {
    call(&kinesis, "CreateStream", json!({"StreamName": "s", "ShardCount": shards})).await.expect("create");
    tokio::time::sleep(Duration::from_secs(2)).await;
    kinesis
}

async fn call(kinesis: &Kinesis, operation: &str, input: Value) -> ApiResult {
    kinesis.call(operation, input).await
}

async fn ok(kinesis: &Kinesis, operation: &str, input: Value) -> Value {
    call(kinesis, operation, input).await.unwrap_or_else(|error| panic!("{operation}: {error}"))
}

async fn refused(kinesis: &Kinesis, operation: &str, input: Value) -> ApiError {
    call(kinesis, operation, input).await.expect_err(operation)
}

async fn put(kinesis: &Kinesis, key: &str, data: &str) -> Value {
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, data);
    ok(kinesis, "PutRecord", json!({"StreamName": "s", "PartitionKey": key, "Data": data})).await
}

async fn iterator(kinesis: &Kinesis, shard: &str, kind: &str, more: Value) -> String {
    let mut input = json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind});
    input.as_object_mut().expect("object").extend(more.as_object().cloned().unwrap_or_default());
    ok(kinesis, "GetShardIterator", input).await["ShardIterator"].as_str().expect("text").to_owned()
}

async fn read(kinesis: &Kinesis, iterator: &str) -> Vec<String> {
    let page = ok(kinesis, "GetRecords", json!({"ShardIterator": iterator})).await;
    let records = page["Records"].as_array().expect("records").iter();
    records.map(|record| record["SequenceNumber"].as_str().expect("text").to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_created_described_and_deleted() {
    let kinesis = Kinesis::new(context(Faults::none(), Arc::new(NoMetrics)));
    ok(&kinesis, "CreateStream", json!({"StreamName": "s", "ShardCount": 3, "Tags": {"a": "1"}})).await;
    let status = |value: Value| value["StreamDescriptionSummary"]["StreamStatus"].clone();
    assert_eq!(status(ok(&kinesis, "DescribeStreamSummary", json!({"StreamName": "s"})).await), "CREATING");
    assert_eq!(
        refused(&kinesis, "PutRecord", json!({"StreamName": "s", "PartitionKey": "k", "Data": ""}))
            .await
            .message,
        "Stream s under account 000000000000 not found."
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let described = ok(&kinesis, "DescribeStream", json!({"StreamARN": arn})).await;
    let description = &described["StreamDescription"];
    assert_eq!(description["StreamStatus"], "ACTIVE");
    assert_eq!(description["Shards"].as_array().map(Vec::len), Some(3));
    assert_eq!(description["Shards"][2]["ShardId"], "shardId-000000000002");
    assert_eq!(description["RetentionPeriodHours"], 24);
    let tags = ok(&kinesis, "ListTagsForResource", json!({"ResourceARN": arn})).await;
    assert_eq!(tags, json!({"Tags": [{"Key": "a", "Value": "1"}]}));

    ok(&kinesis, "DeleteStream", json!({"StreamName": "s"})).await;
    assert_eq!(status(ok(&kinesis, "DescribeStreamSummary", json!({"StreamName": "s"})).await), "DELETING");
    let again = json!({"StreamName": "s", "ShardCount": 1});
    assert_eq!(refused(&kinesis, "CreateStream", again.clone()).await.code, "ResourceInUseException");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let gone = refused(&kinesis, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
    assert_eq!(gone.code, "ResourceNotFoundException");
    assert_eq!(ok(&kinesis, "ListStreams", json!({})).await["StreamNames"], json!([]));
    ok(&kinesis, "CreateStream", again).await;
}

#[tokio::test(start_paused = true)]
async fn each_iterator_type_starts_where_it_says() {
    let kinesis = active(1).await;
    let shard = "shardId-000000000000";
    let mut given = Vec::new();
    for n in 0..4 {
        given.push(
            put(&kinesis, "k", &n.to_string()).await["SequenceNumber"].as_str().expect("text").to_owned(),
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let second_at = (START_US / 1_000_000 + 2 + 1) as f64;
    let all = iterator(&kinesis, shard, "TRIM_HORIZON", json!({})).await;
    let latest = iterator(&kinesis, shard, "LATEST", json!({})).await;
    let starting = json!({"StartingSequenceNumber": given[2]});
    let at = iterator(&kinesis, shard, "AT_SEQUENCE_NUMBER", starting.clone()).await;
    let after = iterator(&kinesis, shard, "AFTER_SEQUENCE_NUMBER", starting).await;
    let timed = iterator(&kinesis, shard, "AT_TIMESTAMP", json!({"Timestamp": second_at})).await;
    let mut expected = given.clone();
    expected.push(put(&kinesis, "k", "late").await["SequenceNumber"].as_str().expect("text").to_owned());
    assert_eq!(read(&kinesis, &all).await, expected);
    assert_eq!(read(&kinesis, &latest).await, expected[4..]);
    assert_eq!(read(&kinesis, &at).await, expected[2..]);
    assert_eq!(read(&kinesis, &after).await, expected[3..]);
    assert_eq!(read(&kinesis, &timed).await, expected[1..]);

    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!(read(&kinesis, &all).await, expected);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let expired = refused(&kinesis, "GetRecords", json!({"ShardIterator": all})).await;
    assert_eq!(expired.code, "ExpiredIteratorException");
}

#[tokio::test(start_paused = true)]
async fn records_come_back_as_they_were_put() {
    let kinesis = active(4).await;
    for n in 0..40 {
        let answer = put(&kinesis, &format!("key \"{n}\" \u{e9}"), &format!("data {n}")).await;
        let expected = hash::hash_key(&format!("key \"{n}\" \u{e9}")) >> 126;
        assert_eq!(answer["ShardId"], format!("shardId-{expected:012}"));
    }
    let explicit = json!({"StreamName": "s", "PartitionKey": "k", "Data": "", "ExplicitHashKey": "0"});
    assert_eq!(ok(&kinesis, "PutRecord", explicit).await["ShardId"], "shardId-000000000000");
    let mut seen = 0;
    for shard in 0..4 {
        let from = iterator(&kinesis, &layout::shard_id(shard), "TRIM_HORIZON", json!({})).await;
        let body = Bytes::from(json!({"ShardIterator": from}).to_string());
        let page = kinesis.call_json("GetRecords", body).await.expect("read");
        let page: Value = serde_json::from_slice(&page).expect("json");
        assert_eq!(page["MillisBehindLatest"], 0);
        for record in page["Records"].as_array().expect("records") {
            assert_eq!(record["ApproximateArrivalTimestamp"], json!((START_US / 1_000_000 + 2) as f64));
            seen += 1;
        }
    }
    assert_eq!(seen, 41);
}

#[tokio::test(start_paused = true)]
async fn malformed_requests_are_refused_in_the_words_of_the_service() {
    let kinesis = active(1).await;
    let entry = json!({"PartitionKey": "k", "Data": "AA=="});
    let too_many = vec![entry.clone(); 501];
    let long_key = "k".repeat(257);
    let over = "A".repeat(1_048_576 / 3 * 4 + 4);
    for (operation, input, code, words) in [
        (
            "PutRecord",
            json!({"PartitionKey": "k", "Data": ""}),
            "InvalidArgumentException",
            "Either StreamName or",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "Data": ""}),
            "ValidationException",
            "Value null at 'partitionKey'",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "", "Data": ""}),
            "ValidationException",
            "or equal to 1",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": long_key, "Data": ""}),
            "ValidationException",
            "or equal to 256",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "?"}),
            "SerializationException",
            "Base64",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": over}),
            "ValidationException",
            "at 'data'",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": 1, "Data": ""}),
            "SerializationException",
            "",
        ),
        (
            "PutRecord",
            json!({"StreamName": "t", "PartitionKey": "k", "Data": ""}),
            "ResourceNotFoundException",
            "Stream t",
        ),
        ("PutRecords", json!({"StreamName": "s", "Records": []}), "ValidationException", "or equal to 1"),
        (
            "PutRecords",
            json!({"StreamName": "s", "Records": too_many}),
            "ValidationException",
            "or equal to 500",
        ),
        (
            "PutRecords",
            json!({"StreamName": "s", "Records": [entry, {"Data": ""}]}),
            "ValidationException",
            "records.2.member.partitionKey",
        ),
        (
            "GetRecords",
            json!({"ShardIterator": "AAAA"}),
            "InvalidArgumentException",
            "Invalid ShardIterator.",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-000000000001", "ShardIteratorType": "LATEST"}),
            "ResourceNotFoundException",
            "does not exist",
        ),
        (
            "CreateStream",
            json!({"StreamName": "s p", "ShardCount": 1}),
            "ValidationException",
            "[a-zA-Z0-9_.-]+",
        ),
        (
            "CreateStream",
            json!({"StreamName": "x", "ShardCount": 20_000}),
            "LimitExceededException",
            "exceed the shard limit",
        ),
        ("SubscribeToShard", json!({}), "ValidationException", "SubscribeToShard"),
        ("CreateQueue", json!({}), "UnknownOperationException", "CreateQueue"),
        (
            "UpdateStreamWarmThroughput",
            json!({"StreamName": "s", "WarmThroughputMiBps": 10}),
            "ValidationException",
            "MinimumThroughputBillingCommitment",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "AT_TIMESTAMP"}),
            "InvalidArgumentException",
            "Must specify timestampInMillis",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 2e9}),
            "InvalidArgumentException",
            "cannot be greater than the currentTimestampInMillis",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "AT_SEQUENCE_NUMBER"}),
            "InvalidArgumentException",
            "Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber",
        ),
        (
            "GetShardIterator",
            json!({
                "StreamName": "s", "ShardId": "0", "ShardIteratorType": "LATEST", "StartingSequenceNumber": "1",
            }),
            "InvalidArgumentException",
            "Request specified LATEST and also a StartingSequenceNumber",
        ),
        (
            "GetShardIterator",
            json!({
                "StreamName": "s", "ShardId": "0", "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "StartingSequenceNumber": "7",
            }),
            "InvalidArgumentException",
            "StartingSequenceNumber 7 used in GetShardIterator on shard shardId-000000000000 in stream s",
        ),
        (
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "0", "ShardIteratorType": "NEWEST"}),
            "ValidationException",
            "at 'shardIteratorType'",
        ),
        (
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "", "DryRun": true}),
            "DryRunOperationException",
            "would have succeeded",
        ),
        (
            "PutRecords",
            json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": ""}], "DryRun": true}),
            "DryRunOperationException",
            "would have succeeded",
        ),
        (
            "IncreaseStreamRetentionPeriod",
            json!({"StreamName": "s", "RetentionPeriodHours": 9_000}),
            "InvalidArgumentException",
            "too long",
        ),
    ] {
        let error = refused(&kinesis, operation, input).await;
        assert!(error.code == code && error.message.contains(words), "{operation}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn put_records_larger_than_ten_mebibytes_are_refused_whole() {
    let kinesis = active(1).await;
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    ok(&kinesis, "UpdateMaxRecordSize", json!({"StreamARN": arn, "MaxRecordSizeInKiB": 10_240})).await;
    let data = "A".repeat(7 * 1_048_576);
    let entry = json!({"PartitionKey": "k", "Data": data});
    let two = json!({"StreamName": "s", "Records": [entry, entry]});
    assert!(refused(&kinesis, "PutRecords", two).await.message.contains("exceeds 10 MB"));
    let one = ok(&kinesis, "PutRecords", json!({"StreamName": "s", "Records": [entry]})).await;
    assert_eq!(one["FailedRecordCount"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_record_is_acked_and_never_stored_and_probes_are_spared() {
    let faults = Faults::new(vec!["drop:count=2".parse().expect("spec")]);
    let kinesis = with_stream(Kinesis::new(context(faults, Arc::new(NoMetrics))), 1).await;
    for _ in 0..900 {
        put(&kinesis, "k", r#"{"sg":{"r":"20261121-013240-k3f9","l":999,"s":1,"d":1}}"#).await;
    }
    let mut acked = Vec::new();
    for second in 0..4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for n in 0..1_000 {
            let answer =
                put(&kinesis, "k", &format!(r#"{{"sg":{{"l":0,"s":{}}}}}"#, second * 1_000 + n)).await;
            acked.push(answer["SequenceNumber"].as_str().expect("text").to_owned());
        }
    }
    let from = iterator(&kinesis, "shardId-000000000000", "TRIM_HORIZON", json!({})).await;
    let stored = read(&kinesis, &from).await;
    let dropped: Vec<String> =
        kinesis.ctx.faults.log().into_iter().flat_map(|event| event.kinesis_sequences).collect();
    assert_eq!(stored.len(), 4_900 - 2);
    assert_eq!(
        acked.iter().filter(|number| !stored.contains(number)).collect::<Vec<_>>(),
        dropped.iter().collect::<Vec<_>>()
    );
}

#[derive(Default)]
struct Sums(Mutex<BTreeMap<String, f64>>);

impl MetricSink for Sums {
    fn record(&self, sample: Sample<'_>) {
        assert_eq!((sample.namespace, sample.dimensions[0]), ("AWS/Kinesis", ("StreamName", "s")));
        let metric = match sample.dimensions[1..] {
            [] => sample.metric.to_owned(),
            [("ShardId", shard)] => format!("{shard} {}", sample.metric),
            _ => panic!("{:?}", sample.dimensions),
        };
        *self.0.lock().expect("sums").entry(metric).or_default() += sample.value;
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_count_what_was_accepted_and_what_was_refused() {
    let sums = Arc::new(Sums::default());
    let kinesis = with_stream(Kinesis::new(context(Faults::none(), sums.clone())), 1).await;
    for _ in 0..3 {
        let entry = json!({"PartitionKey": "k", "Data": "AAAA"});
        ok(&kinesis, "PutRecords", json!({"StreamName": "s", "Records": vec![entry; 400]})).await;
    }
    let error =
        refused(&kinesis, "PutRecord", json!({"StreamName": "s", "PartitionKey": "k", "Data": ""})).await;
    assert_eq!(
        error.message,
        "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000."
    );
    let from = iterator(&kinesis, "shardId-000000000000", "TRIM_HORIZON", json!({})).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    ok(&kinesis, "GetRecords", json!({"ShardIterator": from, "Limit": 10})).await;
    for _ in 0..4 {
        ok(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    refused(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
    let sums = sums.0.lock().expect("sums");
    for (metric, sum) in [
        ("IncomingRecords", 1_000.0),
        ("IncomingBytes", 4_000.0),
        ("PutRecords.Success", 3.0),
        ("PutRecords.TotalRecords", 1_200.0),
        ("PutRecords.SuccessfulRecords", 1_000.0),
        ("PutRecords.ThrottledRecords", 200.0),
        ("PutRecords.FailedRecords", 0.0),
        ("PutRecord.Success", 0.0),
        ("WriteProvisionedThroughputExceeded", 201.0),
        ("GetRecords.Success", 5.0),
        ("GetRecords.Records", 4_010.0),
        ("GetRecords.IteratorAgeMilliseconds", 7_000.0),
        ("ReadProvisionedThroughputExceeded", 1.0),
    ] {
        assert_eq!(sums.get(metric), Some(&sum), "{metric} in {sums:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_shard_wakes_who_waits() {
    let kinesis = active(1).await;
    let mut changed = kinesis.shard_changed("s", "shardId-000000000000").expect("shard");
    assert!(kinesis.shard_changed("s", "shardId-000000000001").is_none());
    put(&kinesis, "k", "x").await;
    changed.changed().await.expect("stream stands");
}
