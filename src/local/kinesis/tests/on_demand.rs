//! An on-demand stream from the outside: what it takes in, and when it grows.

use super::*;

async fn on_demand() -> Arc<Kinesis> {
    let kinesis = Kinesis::new(context(Faults::none(), Arc::new(NoMetrics)));
    let mode = json!({"StreamName": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    ok(&kinesis, "CreateStream", mode).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    kinesis
}

/// Puts so many records a second for so many seconds; returns how many were refused.
async fn load(kinesis: &Kinesis, per_s: usize, seconds: usize) -> usize {
    let mut refused = 0;
    for second in 0..seconds {
        for batch in 0..per_s / 500 {
            let entry = |n: usize| {
                // Evenly over the hash range: 500 steps, and a bit further for each batch.
                let hash_key = (u128::MAX / 500) * n as u128 + (second * 31 + batch) as u128;
                json!({"PartitionKey": "k", "Data": "", "ExplicitHashKey": hash_key.to_string()})
            };
            let records: Vec<Value> = (0..500).map(entry).collect();
            let answer = ok(kinesis, "PutRecords", json!({"StreamName": "s", "Records": records})).await;
            refused += answer["FailedRecordCount"].as_u64().expect("number") as usize;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    refused
}

async fn open_count(kinesis: &Kinesis) -> u64 {
    let summary = ok(kinesis, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
    summary["StreamDescriptionSummary"]["OpenShardCount"].as_u64().expect("number")
}

#[tokio::test(start_paused = true)]
async fn twice_the_peak_passes_a_quarter_of_an_hour_later_and_not_before() {
    let kinesis = on_demand().await;
    assert_eq!(open_count(&kinesis).await, 4);
    assert_eq!(load(&kinesis, 3_500, 70).await, 0, "4,000 records a second pass");
    assert!(load(&kinesis, 7_000, 3).await > 7_000, "the double at once does not");
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    assert_eq!(open_count(&kinesis).await, 4);
    tokio::time::sleep(Duration::from_secs(6 * 60)).await;
    assert_eq!(open_count(&kinesis).await, 8);
    assert_eq!(load(&kinesis, 7_000, 5).await, 0);
    let closed = ok(&kinesis, "ListShards", json!({"StreamName": "s"})).await;
    assert_eq!(closed["Shards"].as_array().map(Vec::len), Some(4 + 8), "each was split");
}

#[tokio::test(start_paused = true)]
async fn a_key_has_the_limits_of_one_shard() {
    let kinesis = on_demand().await;
    let entry = json!({"PartitionKey": "hot", "Data": ""});
    for expected in [0, 0, 500] {
        let records = json!({"StreamName": "s", "Records": vec![entry.clone(); 500]});
        assert_eq!(ok(&kinesis, "PutRecords", records).await["FailedRecordCount"], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_has_fifty_on_demand_streams() {
    let kinesis = on_demand().await;
    let create =
        |n: usize| json!({"StreamName": format!("s{n}"), "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    for n in 1..50 {
        ok(&kinesis, "CreateStream", create(n)).await;
    }
    assert_eq!(refused(&kinesis, "CreateStream", create(50)).await.code, "LimitExceededException");
}
