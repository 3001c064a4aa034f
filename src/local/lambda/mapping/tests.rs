//! Mappings in virtual time, against a stand-in for Kinesis.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::local::faults::Faults;
use crate::local::lambda::testing::{QUEUE_ARN, START_MS, Seen, Stage, fail, ok, watching, zip_of};

const SHARD: &str = "shardId-000000000000";

async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn polls_once_a_second_and_delivers_what_is_there() {
    let watching = watching(Duration::from_millis(5), ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    for i in 0..250 {
        stage.kinesis.put(SHARD, &format!("k{i}"), "{}");
    }
    let uuid = stage.map(json!({})).await;
    pass(0.5).await;
    let shown = stage.call("GetEventSourceMapping", json!({"UUID": uuid})).await.unwrap();
    assert_eq!((&shown["State"], &shown["LastProcessingResult"]), (&json!("Enabled"), &json!("OK")));
    let batches: Vec<usize> = watching.seen.lock().unwrap().iter().map(|s| s.records.len()).collect();
    assert_eq!(batches, [100, 100, 50], "no window: what a poll brings goes at once");
    pass(10.0).await;
    assert_eq!(stage.kinesis.polls.lock().unwrap().len(), 11, "once a second");
    let ages = stage.metrics.of("IteratorAge", "FunctionName");
    assert_eq!(ages, [0.0, 105.0, 110.0], "cold start, then 5 ms each");
    stage.lambda.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_read_at_four_polls_a_second_at_most() {
    let watching = watching(Duration::from_millis(1), ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    for i in 0..35_000 {
        stage.kinesis.put(SHARD, &format!("k{i}"), "x");
    }
    stage.map(json!({"BatchSize": 10_000})).await;
    pass(5.0).await;
    assert_eq!(watching.seen.lock().unwrap().iter().map(|s| s.records.len()).sum::<usize>(), 35_000);
    let polls = stage.kinesis.polls.lock().unwrap();
    assert!(polls.windows(6).all(|six| six[5] - six[0] >= 1_000), "{polls:?}");
    assert!(polls[3] - polls[0] < 1_000, "and does not wait a second for each: {polls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_window_gathers_until_it_ends_or_the_batch_is_full() {
    let watching = watching(Duration::ZERO, ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    stage.kinesis.put(SHARD, "k", "first");
    stage.map(json!({"BatchSize": 10, "MaximumBatchingWindowInSeconds": 5})).await;
    pass(1.5).await;
    for _ in 0..3 {
        stage.kinesis.put(SHARD, "k", "more");
    }
    pass(3.0).await;
    assert!(watching.seen.lock().unwrap().is_empty(), "the window is open");
    pass(1.0).await;
    assert_eq!(watching.seen.lock().unwrap()[0].sequences(), [1, 2, 3, 4]);
    for _ in 0..12 {
        stage.kinesis.put(SHARD, "k", "many");
    }
    pass(1.1).await;
    assert_eq!(watching.seen.lock().unwrap().len(), 2, "a full batch does not wait");
    pass(5.1).await;
    let sizes: Vec<usize> = watching.seen.lock().unwrap().iter().map(|s| s.records.len()).collect();
    assert_eq!(sizes, [4, 10, 2]);
}

#[tokio::test(start_paused = true)]
async fn parallelization_runs_batches_at_once_and_keeps_the_order_of_each_key() {
    let watching = watching(Duration::from_millis(200), ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    for i in 0..400 {
        stage.kinesis.put(SHARD, &format!("k{}", i % 100), "{}");
    }
    stage.map(json!({"BatchSize": 10, "ParallelizationFactor": 10})).await;
    pass(3.0).await;
    let seen = watching.seen.lock().unwrap();
    let mut by_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (key, sequence) in seen.iter().flat_map(|batch| batch.records.clone()) {
        by_key.entry(key).or_default().push(sequence);
    }
    assert_eq!(by_key.values().map(Vec::len).sum::<usize>(), 400);
    assert!(by_key.values().all(|sequences| sequences.is_sorted()));
    let concurrent = stage.metrics.of("ConcurrentExecutions", "FunctionName");
    assert_eq!(concurrent.iter().copied().fold(0.0, f64::max), 10.0);
}

#[tokio::test(start_paused = true)]
async fn a_failing_batch_blocks_its_shard_and_is_given_up_to_the_queue() {
    let poison = |seen: &Seen| if seen.sequences().contains(&3) { fail() } else { ok(seen) };
    let watching = watching(Duration::ZERO, poison);
    let stage = Stage::in_process(watching.handler, Faults::none());
    for _ in 0..4 {
        stage.kinesis.put(SHARD, "k", "x");
    }
    let more = json!({
        "BatchSize": 4, "MaximumRetryAttempts": 2, "MetricsConfig": {"Metrics": ["EventCount"]},
        "DestinationConfig": {"OnFailure": {"Destination": QUEUE_ARN}},
    });
    stage.map(more).await;
    pass(0.2).await;
    stage.kinesis.put(SHARD, "k", "after");
    pass(5.0).await;
    let sequences: Vec<_> = watching.seen.lock().unwrap().iter().map(Seen::sequences).collect();
    assert_eq!(sequences, [vec![1, 2, 3, 4], vec![1, 2, 3, 4], vec![1, 2, 3, 4], vec![5]]);
    let sent = stage.sqs.of("SendMessage");
    assert_eq!(sent.len(), 1);
    let body: Value = serde_json::from_str(sent[0]["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(body["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(body["requestContext"]["approximateInvokeCount"], 3);
    assert_eq!(body["responseContext"]["functionError"], "Unhandled");
    let batch = &body["KinesisBatchInfo"];
    assert_eq!((&batch["startSequenceNumber"], &batch["endSequenceNumber"]), (&json!("1"), &json!("4")));
    assert_eq!((&batch["batchSize"], &batch["shardId"]), (&json!(4), &json!(SHARD)));
    assert_eq!(batch["approximateArrivalOfFirstRecord"], "2023-11-14T22:13:20.000Z");
    let count = |metric| stage.metrics.of(metric, "EventSourceMappingUUID").iter().sum::<f64>();
    assert_eq!((count("PolledEventCount"), count("InvokedEventCount")), (5.0, 13.0));
    assert_eq!((count("FailedInvokeEventCount"), count("DroppedEventCount")), (12.0, 0.0));
    assert_eq!(count("OnFailureDestinationDeliveredEventCount"), 4.0);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_gets_the_records_too() {
    let watching = watching(Duration::ZERO, |_| fail());
    let stage = Stage::in_process(watching.handler, Faults::none());
    for _ in 0..2 {
        stage.kinesis.put(SHARD, "k", "x");
    }
    let more = json!({
        "MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::lost"}},
    });
    let uuid = stage.map(more).await;
    pass(1.0).await;
    assert!(stage.sqs.of("SendMessage").is_empty());
    let puts = stage.s3.of("PutObject");
    assert_eq!((puts.len(), &puts[0]["Bucket"]), (1, &json!("lost")));
    let prefix = format!("aws/lambda/{uuid}/{SHARD}/2023/11/14/2023-11-14T22.13.20-");
    let key = puts[0]["Key"].as_str().unwrap();
    assert_eq!(key.strip_prefix(&prefix).map(str::len), Some(36), "{key}");
    let body = STANDARD.decode(puts[0]["Body"].as_str().unwrap()).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["KinesisBatchInfo"]["batchSize"], 2);
    let event: Value = serde_json::from_str(body["payload"].as_str().unwrap()).unwrap();
    assert_eq!(event["Records"][1]["kinesis"]["sequenceNumber"], "2");
    assert_eq!(event["Records"][1]["kinesis"]["data"], STANDARD.encode("x"));
}

#[tokio::test(start_paused = true)]
async fn bisect_and_partial_responses_let_the_good_ones_through() {
    let answer = |seen: &Seen| match seen.sequences().iter().find(|s| **s % 7 == 0) {
        Some(bad) => {
            let response = json!({"batchItemFailures": [{"itemIdentifier": bad.to_string()}]});
            Ok(Bytes::from(response.to_string()))
        }
        None => ok(seen),
    };
    let watching = watching(Duration::ZERO, answer);
    let stage = Stage::in_process(watching.handler, Faults::none());
    for _ in 0..20 {
        stage.kinesis.put(SHARD, "k", "x");
    }
    let more = json!({
        "MaximumRetryAttempts": 1, "BisectBatchOnFunctionError": true,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": {"OnFailure": {"Destination": QUEUE_ARN}},
    });
    stage.map(more).await;
    pass(10.0).await;
    let sent = stage.sqs.of("SendMessage");
    let starts: Vec<_> = sent
        .iter()
        .map(|message| serde_json::from_str::<Value>(message["MessageBody"].as_str().unwrap()).unwrap())
        .map(|body| {
            (
                body["KinesisBatchInfo"]["startSequenceNumber"].clone(),
                body["KinesisBatchInfo"]["batchSize"].clone(),
            )
        })
        .collect();
    assert_eq!(starts, [(json!("7"), json!(1)), (json!("14"), json!(1))]);
    let seen = watching.seen.lock().unwrap();
    assert_eq!(seen.last().unwrap().sequences().last(), Some(&20));
}

#[tokio::test(start_paused = true)]
async fn records_too_old_are_given_up_without_an_invocation() {
    let watching = watching(Duration::ZERO, |_| fail());
    let stage = Stage::in_process(watching.handler, Faults::none());
    stage.kinesis.put(SHARD, "k", "x");
    pass(100.0).await;
    let more = json!({
        "MaximumRecordAgeInSeconds": 60, "DestinationConfig": {"OnFailure": {"Destination": QUEUE_ARN}},
    });
    stage.map(more).await;
    pass(2.0).await;
    assert!(watching.seen.lock().unwrap().is_empty());
    let body = stage.sqs.of("SendMessage")[0]["MessageBody"].as_str().unwrap().to_owned();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(body["responseContext"], Value::Null);
    stage.kinesis.put(SHARD, "k", "fails until it is old");
    pass(120.0).await;
    assert_eq!(stage.sqs.of("SendMessage").len(), 2);
    assert!(watching.seen.lock().unwrap().len() > 4);
}

#[tokio::test(start_paused = true)]
async fn throttles_are_retried_without_counting() {
    let watching = watching(Duration::ZERO, ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    stage.kinesis.put(SHARD, "k", "x");
    let uuid = stage.map(json!({"MaximumRetryAttempts": 0, "Enabled": false})).await;
    let reserved = |n: u32| json!({"FunctionName": "f", "ReservedConcurrentExecutions": n});
    stage.call("PutFunctionConcurrency", reserved(0)).await.unwrap();
    stage.call("UpdateEventSourceMapping", json!({"UUID": uuid, "Enabled": true})).await.unwrap();
    pass(20.0).await;
    assert!(watching.seen.lock().unwrap().is_empty());
    assert!(stage.metrics.of("Throttles", "").len() > 3);
    stage.call("PutFunctionConcurrency", reserved(1)).await.unwrap();
    pass(31.0).await;
    assert_eq!(watching.seen.lock().unwrap()[0].sequences(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_goes_on_from_its_checkpoint_and_ends_when_deleted() {
    let watching = watching(Duration::from_millis(10), ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    stage.kinesis.put(SHARD, "k", "1");
    let uuid = stage.map(json!({})).await;
    let state =
        async || stage.call("GetEventSourceMapping", json!({"UUID": uuid})).await.map(|m| m["State"].clone());
    assert_eq!(state().await.unwrap(), "Creating");
    pass(0.5).await;
    stage.call("UpdateEventSourceMapping", json!({"UUID": uuid, "Enabled": false})).await.unwrap();
    assert_eq!(state().await.unwrap(), "Disabling");
    pass(0.1).await;
    assert_eq!(state().await.unwrap(), "Disabled");
    stage.kinesis.put(SHARD, "k", "2");
    pass(5.0).await;
    assert_eq!(watching.seen.lock().unwrap().len(), 1);
    stage
        .call("UpdateEventSourceMapping", json!({"UUID": uuid, "Enabled": true, "BatchSize": 7}))
        .await
        .unwrap();
    pass(0.5).await;
    let sequences: Vec<_> = watching.seen.lock().unwrap().iter().map(Seen::sequences).collect();
    assert_eq!(sequences, [[1], [2]]);
    let deleted = stage.call("DeleteEventSourceMapping", json!({"UUID": uuid})).await.unwrap();
    assert_eq!((&deleted["State"], &deleted["BatchSize"]), (&json!("Deleting"), &json!(7)));
    pass(0.1).await;
    assert_eq!(state().await.unwrap_err().code, "ResourceNotFoundException");
    let polls = stage.kinesis.polls.lock().unwrap().len();
    pass(5.0).await;
    assert_eq!(stage.kinesis.polls.lock().unwrap().len(), polls, "nothing polls any more");
}

#[tokio::test(start_paused = true)]
async fn starting_positions_and_a_latest_mapping_that_was_disabled_at_first() {
    let watching = watching(Duration::ZERO, ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    stage.kinesis.put(SHARD, "k", "before");
    pass(10.0).await;
    let uuid = stage.map(json!({"StartingPosition": "LATEST"})).await;
    pass(0.5).await;
    stage.call("UpdateEventSourceMapping", json!({"UUID": uuid, "Enabled": false})).await.unwrap();
    pass(0.1).await;
    stage.kinesis.put(SHARD, "k", "while it was disabled");
    stage.call("UpdateEventSourceMapping", json!({"UUID": uuid, "Enabled": true})).await.unwrap();
    pass(2.0).await;
    let sequences: Vec<_> = watching.seen.lock().unwrap().iter().map(Seen::sequences).collect();
    assert_eq!(sequences, [[2]]);
    let refused = stage.call(
        "CreateEventSourceMapping",
        json!({
            "FunctionName": "f", "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
            "StartingPosition": "AT_TIMESTAMP",
        }),
    );
    assert_eq!(refused.await.unwrap_err().code, "InvalidParameterValueException");
}

#[tokio::test(start_paused = true)]
async fn children_of_a_shard_wait_for_its_end_and_are_read_from_their_start() {
    let watching = watching(Duration::from_millis(300), ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    for _ in 0..5 {
        stage.kinesis.put("shardId-000000000000", "k", "x");
    }
    stage.map(json!({"BatchSize": 1, "StartingPosition": "LATEST"})).await;
    pass(0.5).await;
    for _ in 0..3 {
        stage.kinesis.put("shardId-000000000000", "k", "old shard");
    }
    stage.kinesis.put("shardId-000000000001", "k", "new shard");
    {
        let mut shards = stage.kinesis.shards.lock().unwrap();
        shards.get_mut("shardId-000000000000").unwrap().closed = true;
        shards.get_mut("shardId-000000000001").unwrap().parent = Some("shardId-000000000000".to_owned());
    }
    pass(30.0).await;
    let order: Vec<_> =
        watching.seen.lock().unwrap().iter().map(|s| (s.shard.ends_with('1'), s.sequences()[0])).collect();
    assert_eq!(order, [(false, 6), (false, 7), (false, 8), (true, 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_child_of_a_merge_waits_for_both_parents_and_new_shards_are_found() {
    let slow = |seen: &Seen| if seen.shard.ends_with('1') { fail() } else { ok(seen) };
    let watching = watching(Duration::ZERO, slow);
    let stage = Stage::in_process(watching.handler, Faults::none());
    let ids: Vec<String> = (0..3).map(|n| format!("shardId-00000000000{n}")).collect();
    stage.kinesis.put(&ids[0], "k", "left");
    stage.kinesis.put(&ids[1], "k", "right, and bad");
    stage.map(json!({"MaximumRetryAttempts": 2})).await;
    pass(0.2).await;
    stage.kinesis.put(&ids[2], "k", "merged");
    {
        let mut shards = stage.kinesis.shards.lock().unwrap();
        for parent in &ids[..2] {
            shards.get_mut(parent).unwrap().closed = true;
        }
        let child = shards.get_mut(&ids[2]).unwrap();
        (child.parent, child.adjacent) = (Some(ids[0].clone()), Some(ids[1].clone()));
    }
    pass(11.5).await;
    let order: Vec<_> = watching.seen.lock().unwrap().iter().map(|s| s.shard.clone()).collect();
    assert_eq!(order.iter().filter(|id| **id == ids[1]).count(), 3, "the bad parent was tried to its end");
    assert_eq!(order.last(), Some(&ids[2]), "then its child: {order:?}");
    assert_eq!(order.iter().filter(|id| **id == ids[2]).count(), 1);
    // A shard without parents, as a stream made larger by somebody else would have it.
    stage.kinesis.put("shardId-000000000003", "k", "new");
    pass(11.1).await;
    assert!(watching.seen.lock().unwrap().last().unwrap().shard.ends_with('3'), "within ten seconds");
}

#[tokio::test(start_paused = true)]
async fn latest_means_the_mappings_start_for_children_that_wait_too() {
    let watching = watching(Duration::ZERO, ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    stage.kinesis.put("shardId-000000000000", "k", "old");
    stage.kinesis.put("shardId-000000000001", "k", "older than the mapping");
    {
        let mut shards = stage.kinesis.shards.lock().unwrap();
        shards.get_mut("shardId-000000000000").unwrap().closed = true;
        shards.get_mut("shardId-000000000001").unwrap().parent = Some("shardId-000000000000".to_owned());
    }
    pass(1.0).await;
    stage.map(json!({"StartingPosition": "LATEST"})).await;
    pass(0.2).await;
    stage.kinesis.put("shardId-000000000001", "k", "newer");
    pass(20.0).await;
    let seen: Vec<_> =
        watching.seen.lock().unwrap().iter().map(|s| (s.shard.clone(), s.sequences())).collect();
    assert_eq!(seen, [("shardId-000000000001".to_owned(), vec![2])]);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_stops_lets_invocations_end_for_thirty_seconds() {
    let watching = watching(Duration::from_millis(2_500), ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    stage.kinesis.put(SHARD, "k", "x");
    let uuid = stage.map(json!({})).await;
    let enable =
        |enabled: bool| stage.call("UpdateEventSourceMapping", json!({"UUID": uuid, "Enabled": enabled}));
    pass(1.0).await;
    enable(false).await.unwrap();
    pass(3.0).await;
    assert_eq!(watching.seen.lock().unwrap().len(), 1, "it ended");
    enable(true).await.unwrap();
    pass(5.0).await;
    assert_eq!(watching.seen.lock().unwrap().len(), 1, "and it counted");
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_a_stop_waits_is_cut_off_and_comes_again() {
    let hangs = watching(Duration::from_secs(60), ok);
    let stage = Stage::in_process(hangs.handler, Faults::none());
    stage.kinesis.put(SHARD, "k", "x");
    stage.create_function(&zip_of("bootstrap", ""), json!({"Timeout": 900})).await;
    let uuid = stage.map(json!({})).await;
    pass(1.0).await;
    stage.call("UpdateEventSourceMapping", json!({"UUID": uuid, "Enabled": false})).await.unwrap();
    let state =
        async || stage.call("GetEventSourceMapping", json!({"UUID": uuid})).await.unwrap()["State"].clone();
    pass(29.0).await;
    assert_eq!(state().await, "Disabling");
    pass(2.0).await;
    assert_eq!(state().await, "Disabled");
    pass(60.0).await;
    assert!(hangs.seen.lock().unwrap().is_empty(), "it was cut off");
    stage.call("UpdateEventSourceMapping", json!({"UUID": uuid, "Enabled": true})).await.unwrap();
    pass(70.0).await;
    assert_eq!(hangs.seen.lock().unwrap()[0].sequences(), [1], "its record comes again");
}

/// With neither a number of retries nor an age, a batch that fails blocks its shard until the stream's own
/// retention ends it.
#[tokio::test(start_paused = true)]
async fn what_the_stream_no_longer_keeps_is_given_up() {
    let bad = |seen: &Seen| if seen.records[0].0 == "bad" { fail() } else { ok(seen) };
    let watching = watching(Duration::ZERO, bad);
    let stage = Stage::in_process(watching.handler, Faults::none());
    *stage.kinesis.retention_h.lock().unwrap() = 1;
    stage.map(json!({"DestinationConfig": {"OnFailure": {"Destination": QUEUE_ARN}}})).await;
    stage.kinesis.put(SHARD, "bad", "x");
    pass(3_500.0).await;
    stage.kinesis.put(SHARD, "good", "x");
    assert!(stage.sqs.of("SendMessage").is_empty());
    pass(150.0).await;
    let sent = stage.sqs.of("SendMessage");
    let body: Value = serde_json::from_str(sent[0]["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!((sent.len(), &body["requestContext"]["condition"]), (1, &json!("RecordAgeExceeded")));
    assert_eq!(watching.seen.lock().unwrap().last().unwrap().records[0].0, "good");
}

#[tokio::test(start_paused = true)]
async fn a_mapping_can_begin_at_a_time() {
    let watching = watching(Duration::ZERO, ok);
    let stage = Stage::in_process(watching.handler, Faults::none());
    stage.kinesis.put(SHARD, "k", "before");
    pass(10.0).await;
    stage.kinesis.put(SHARD, "k", "at");
    let at_s = (START_MS + 10_000) as f64 / 1_000.0;
    let more = json!({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": at_s});
    stage.map(more).await;
    pass(1.0).await;
    assert_eq!(watching.seen.lock().unwrap()[0].sequences(), [2]);
}

#[tokio::test(start_paused = true)]
async fn faults_redeliver_batches_and_swap_records_of_one_key() {
    let watching = watching(Duration::ZERO, ok);
    let faults = Faults::new(vec!["redeliver:count=1".parse().unwrap(), "swap:count=1".parse().unwrap()]);
    let stage = Stage::in_process(watching.handler, faults);
    stage.map(json!({})).await;
    for _ in 0..60 {
        stage.kinesis.put(SHARD, "k", "x");
        stage.kinesis.put(SHARD, "k", "y");
        pass(1.0).await;
    }
    pass(2.0).await;
    let seen = watching.seen.lock().unwrap();
    let swapped = seen.iter().filter(|batch| !batch.sequences().is_sorted()).count();
    let repeated = seen.windows(2).filter(|pair| pair[0].records == pair[1].records).count();
    assert!((1..=2).contains(&swapped), "a redelivered batch keeps its swap: {swapped}");
    assert_eq!(repeated, 1);
    let kinds: Vec<_> = stage.faults.log().iter().map(|event| (event.kind, event.shard.clone())).collect();
    let shard = format!("s/{SHARD}");
    assert!(kinds.contains(&("redeliver", shard.clone())) && kinds.contains(&("swap", shard)));
}

#[tokio::test(start_paused = true)]
async fn readiness_probes_are_left_alone_by_faults() {
    let watching = watching(Duration::ZERO, ok);
    let faults = Faults::new(vec!["redeliver:count=1".parse().unwrap()]);
    let stage = Stage::in_process(watching.handler, faults);
    stage.map(json!({})).await;
    for _ in 0..60 {
        stage.kinesis.put(SHARD, "k", r#"{"sg":{"r":"20261121-013240-k3f9","l":999,"s":0,"d":1}}"#);
        pass(1.0).await;
    }
    assert!(stage.faults.log().is_empty());
    assert_eq!(watching.seen.lock().unwrap().len(), 60);
}
