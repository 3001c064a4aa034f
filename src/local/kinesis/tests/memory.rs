//! The bound on memory: what goes, what is refused, and how a reader can tell.

use super::*;

/// Bytes that a record of this file's takes: key, data, bookkeeping.
const RECORD_BYTES: u64 = 1 + 100 + 72;

async fn keeping(records: u64, shards: u32) -> Arc<Kinesis> {
    let context = context(Faults::none(), Arc::new(NoMetrics));
    with_stream(Kinesis::with_memory_bounds(context, records * RECORD_BYTES, records * RECORD_BYTES), shards)
        .await
}

#[tokio::test(start_paused = true)]
async fn records_that_were_read_go_beyond_a_lower_bound_than_unread_ones() {
    let context = context(Faults::none(), Arc::new(NoMetrics));
    let kinesis = Kinesis::with_memory_bounds(context, 400 * RECORD_BYTES, 100 * RECORD_BYTES);
    let kinesis = with_stream(kinesis, 1).await;
    let from = iterator(&kinesis, "0", "TRIM_HORIZON", json!({})).await;
    let mut written = Vec::new();
    for _ in 0..200 {
        written.push(put_one(&kinesis).await);
    }
    assert_eq!(read(&kinesis, &from).await, written, "nobody had read them");
    tokio::time::sleep(Duration::from_secs(1)).await;
    put_one(&kinesis).await;
    let oldest = iterator(&kinesis, "0", "TRIM_HORIZON", json!({})).await;
    let kept = read(&kinesis, &oldest).await.len();
    assert!((1..=100).contains(&kept), "{kept} of those that were read are kept");
}

async fn try_put(kinesis: &Kinesis) -> ApiResult {
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [7; 100]);
    call(kinesis, "PutRecord", json!({"StreamName": "s", "PartitionKey": "k", "Data": data})).await
}

async fn put_one(kinesis: &Kinesis) -> String {
    try_put(kinesis).await.expect("room")["SequenceNumber"].as_str().expect("text").to_owned()
}

#[tokio::test(start_paused = true)]
async fn with_a_reader_that_keeps_up_writing_goes_on_and_it_misses_nothing() {
    let kinesis = keeping(100, 1).await;
    let mut from = iterator(&kinesis, "0", "TRIM_HORIZON", json!({})).await;
    let (mut written, mut read) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        for _ in 0..40 {
            written.push(put_one(&kinesis).await);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
        let page = ok(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
        let numbers = page["Records"].as_array().expect("records").iter();
        read.extend(numbers.map(|record| record["SequenceNumber"].as_str().expect("text").to_owned()));
        from = page["NextShardIterator"].as_str().expect("open").to_owned();
    }
    assert_eq!(read, written);
}

#[tokio::test(start_paused = true)]
async fn unread_records_of_a_shard_that_is_read_are_never_thrown_away() {
    let kinesis = keeping(100, 1).await;
    let from = iterator(&kinesis, "0", "TRIM_HORIZON", json!({})).await;
    ok(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
    let mut written = 0;
    let error = loop {
        match try_put(&kinesis).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(written, 101, "one more than the bound, then none");
    assert_eq!((error.status, error.code.as_str()), (500, "InternalFailure"));
    let batch = json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": ""}]});
    assert_eq!(refused(&kinesis, "PutRecords", batch).await.code, "InternalFailure");
    assert_eq!(read(&kinesis, &from).await.len(), written);
    tokio::time::sleep(Duration::from_secs(1)).await;
    put_one(&kinesis).await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_goes_oldest_first() {
    let kinesis = keeping(100, 1).await;
    for _ in 0..250 {
        put_one(&kinesis).await;
    }
    let from = iterator(&kinesis, "0", "TRIM_HORIZON", json!({})).await;
    let kept = read(&kinesis, &from).await.len();
    assert!((50..=101).contains(&kept), "{kept}");
}

/// How whoever confirms losses tells a record that was trimmed from one that never was there.
#[tokio::test(start_paused = true)]
async fn the_first_record_at_the_trim_horizon_says_what_was_trimmed() {
    let kinesis = keeping(100, 1).await;
    let starting = |kinesis: Arc<Kinesis>| async move {
        let listed = ok(&kinesis, "ListShards", json!({"StreamName": "s"})).await;
        listed["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"].clone()
    };
    let before = starting(kinesis.clone()).await;
    let mut written = Vec::new();
    for _ in 0..250 {
        written.push(put_one(&kinesis).await);
    }
    let horizon = iterator(&kinesis, "0", "TRIM_HORIZON", json!({})).await;
    let first = read(&kinesis, &horizon).await.remove(0);
    assert_eq!(before, starting(kinesis.clone()).await, "StartingSequenceNumber does not move");
    assert!(written[0] < first && written.contains(&first));
    for (asked, expected) in [(&written[0], &first), (&written[249], &written[249])] {
        let at = json!({"StartingSequenceNumber": asked});
        let at = iterator(&kinesis, "0", "AT_SEQUENCE_NUMBER", at).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(&read(&kinesis, &at).await[0], expected, "reading begins at what is left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_leaves_room_and_the_last_record_of_a_shard_stays() {
    let kinesis = keeping(10, 1).await;
    ok(&kinesis, "CreateStream", json!({"StreamName": "t", "ShardCount": 1})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ok(&kinesis, "PutRecord", json!({"StreamName": "t", "PartitionKey": "k", "Data": "AA=="})).await;
    for _ in 0..40 {
        put_one(&kinesis).await;
    }
    let latest = json!({"StreamName": "t", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON"});
    let from = ok(&kinesis, "GetShardIterator", latest).await["ShardIterator"].clone();
    let page = ok(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
    assert_eq!(page["Records"].as_array().map(Vec::len), Some(1));
    ok(&kinesis, "DeleteStream", json!({"StreamName": "s"})).await;
    let held = kinesis.memory.held.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(held, 1 + 1 + 72);
}
