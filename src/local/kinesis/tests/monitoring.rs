//! Enhanced monitoring: what is on, and what it counts.

use super::*;

#[tokio::test(start_paused = true)]
async fn shard_level_metrics_are_switched_on_and_off() {
    let kinesis = active(1).await;
    let with = |metrics: Value| json!({"StreamName": "s", "ShardLevelMetrics": metrics});
    let on = ok(&kinesis, "EnableEnhancedMonitoring", with(json!(["OutgoingBytes", "IncomingBytes"]))).await;
    assert_eq!(on["CurrentShardLevelMetrics"], json!([]));
    assert_eq!(on["DesiredShardLevelMetrics"], json!(["IncomingBytes", "OutgoingBytes"]));
    assert_eq!(on["StreamARN"], "arn:aws:kinesis:us-east-1:000000000000:stream/s");
    let all = ok(&kinesis, "EnableEnhancedMonitoring", with(json!(["ALL"]))).await;
    assert_eq!(all["DesiredShardLevelMetrics"].as_array().map(Vec::len), Some(7));
    let described = ok(&kinesis, "DescribeStream", json!({"StreamName": "s"})).await;
    let shown = &described["StreamDescription"]["EnhancedMonitoring"][0]["ShardLevelMetrics"];
    assert_eq!(shown, &all["DesiredShardLevelMetrics"]);
    let off = ok(&kinesis, "DisableEnhancedMonitoring", with(json!(["ALL"]))).await;
    assert_eq!(off["CurrentShardLevelMetrics"].as_array().map(Vec::len), Some(7));
    assert_eq!(off["DesiredShardLevelMetrics"], json!([]));
    for (metrics, words) in [
        (json!([]), "greater than or equal to 1"),
        (json!(vec!["ALL"; 8]), "less than or equal to 7"),
        (json!(["Sums"]), "enum value set"),
        (json!(null), "must not be null"),
    ] {
        let error = refused(&kinesis, "EnableEnhancedMonitoring", with(metrics)).await;
        assert!(error.code == "ValidationException" && error.message.contains(words), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_shard_counts_its_own() {
    let sums = Arc::new(Sums::default());
    let kinesis = with_stream(Kinesis::new(context(Faults::none(), sums.clone())), 2).await;
    let low = json!({"PartitionKey": "k", "Data": "AAAA", "ExplicitHashKey": "0"});
    let high = json!({"PartitionKey": "k", "Data": "AAAA", "ExplicitHashKey": u128::MAX.to_string()});
    ok(&kinesis, "PutRecords", json!({"StreamName": "s", "Records": [low, high]})).await;
    assert!(sums.0.lock().expect("sums").keys().all(|metric| !metric.contains("shardId")));

    ok(&kinesis, "EnableEnhancedMonitoring", json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]})).await;
    for _ in 0..3 {
        let records = vec![low.clone(); 499];
        ok(&kinesis, "PutRecords", json!({"StreamName": "s", "Records": records})).await;
    }
    let mut one = high;
    one["StreamName"] = json!("s");
    ok(&kinesis, "PutRecord", one).await;
    let from = iterator(&kinesis, "0", "TRIM_HORIZON", json!({})).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ok(&kinesis, "GetRecords", json!({"ShardIterator": from, "Limit": 2})).await;
    for _ in 0..4 {
        ok(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
    }
    refused(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
    let sums = sums.0.lock().expect("sums");
    let accepted = 999.0;
    for (metric, sum) in [
        ("shardId-000000000000 IncomingRecords", accepted),
        ("shardId-000000000000 IncomingBytes", accepted * 4.0),
        ("shardId-000000000000 WriteProvisionedThroughputExceeded", 3.0 * 499.0 - accepted),
        ("shardId-000000000001 IncomingRecords", 1.0),
        ("shardId-000000000001 IncomingBytes", 4.0),
        ("shardId-000000000000 OutgoingRecords", 2.0 + 4.0 * 1_000.0),
        ("shardId-000000000000 OutgoingBytes", 8.0 + 4.0 * 4_000.0),
        ("shardId-000000000000 IteratorAgeMilliseconds", 3_000.0),
        ("shardId-000000000000 ReadProvisionedThroughputExceeded", 1.0),
    ] {
        assert_eq!(sums.get(metric), Some(&sum), "{metric} in {sums:?}");
    }
    assert!(!sums.contains_key("shardId-000000000001 OutgoingRecords"), "nobody read it");
}
