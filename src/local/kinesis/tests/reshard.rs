//! SplitShard, MergeShards, UpdateShardCount, UpdateStreamMode: what they do, and every refusal.

use super::*;

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const MIDDLE: &str = "170141183460469231731687303715884105728";

async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn status(kinesis: &Kinesis) -> Value {
    let summary = ok(kinesis, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
    summary["StreamDescriptionSummary"]["StreamStatus"].clone()
}

async fn open_count(kinesis: &Kinesis) -> Value {
    let summary = ok(kinesis, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
    summary["StreamDescriptionSummary"]["OpenShardCount"].clone()
}

async fn resize(kinesis: &Kinesis, target: i64) -> ApiResult {
    let input = json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
    call(kinesis, "UpdateShardCount", input).await
}

async fn shards(kinesis: &Kinesis) -> Vec<Value> {
    ok(kinesis, "ListShards", json!({"StreamName": "s"})).await["Shards"].as_array().expect("shards").clone()
}

#[tokio::test(start_paused = true)]
async fn a_split_closes_the_parent_when_the_stream_is_active_again() {
    let kinesis = active(1).await;
    let split =
        json!({"StreamName": "s", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": MIDDLE});
    assert_eq!(ok(&kinesis, "SplitShard", split).await, json!({}));
    assert_eq!(status(&kinesis).await, "UPDATING");
    assert_eq!(put(&kinesis, "k", "during").await["ShardId"], "shardId-000000000000");
    settle().await;
    assert_eq!((status(&kinesis).await, open_count(&kinesis).await), (json!("ACTIVE"), json!(2)));
    let listed = shards(&kinesis).await;
    assert_eq!(listed.len(), 3);
    assert!(listed[0]["SequenceNumberRange"]["EndingSequenceNumber"].is_string());
    assert!(listed[0]["ParentShardId"].is_null());
    for (child, range) in [(1, ("0", "170141183460469231731687303715884105727")), (2, (MIDDLE, ""))] {
        assert_eq!(listed[child]["ParentShardId"], "shardId-000000000000");
        assert!(listed[child]["AdjacentParentShardId"].is_null());
        assert!(listed[child]["SequenceNumberRange"]["EndingSequenceNumber"].is_null());
        assert_eq!(listed[child]["HashKeyRange"]["StartingHashKey"], range.0);
        if child == 1 {
            assert_eq!(listed[child]["HashKeyRange"]["EndingHashKey"], range.1);
        }
    }
    let after = put(&kinesis, "k", "after").await;
    assert_ne!(after["ShardId"], "shardId-000000000000");

    let from = iterator(&kinesis, "shardId-000000000000", "TRIM_HORIZON", json!({})).await;
    let page = ok(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
    assert_eq!(page["Records"].as_array().map(Vec::len), Some(1));
    assert!(page.get("NextShardIterator").is_none());
    let children = page["ChildShards"].as_array().expect("children");
    assert_eq!(children[1]["ShardId"], "shardId-000000000002");
    assert_eq!(children[1]["ParentShards"], json!(["shardId-000000000000"]));
    assert_eq!(children[1]["HashKeyRange"]["StartingHashKey"], MIDDLE);

    // "GetShardIterator returns a valid iterator for the last sequence number of the shard."
    let ending = listed[0]["SequenceNumberRange"]["EndingSequenceNumber"].clone();
    let starting = json!({"StartingSequenceNumber": ending});
    for (kind, more) in [("LATEST", json!({})), ("AFTER_SEQUENCE_NUMBER", starting)] {
        let from = iterator(&kinesis, "shardId-000000000000", kind, more).await;
        let page = ok(&kinesis, "GetRecords", json!({"ShardIterator": from})).await;
        assert_eq!((&page["Records"], page.get("NextShardIterator")), (&json!([]), None), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_merge_has_two_parents_in_either_order() {
    let kinesis = active(4).await;
    let merge =
        json!({"StreamName": "s", "ShardToMerge": "shardId-000000000002", "AdjacentShardToMerge": "1"});
    ok(&kinesis, "MergeShards", merge).await;
    settle().await;
    let listed = shards(&kinesis).await;
    assert_eq!(listed[4]["ParentShardId"], "shardId-000000000001");
    assert_eq!(listed[4]["AdjacentParentShardId"], "shardId-000000000002");
    assert_eq!(listed[4]["HashKeyRange"]["StartingHashKey"], listed[1]["HashKeyRange"]["StartingHashKey"]);
    assert_eq!(listed[4]["HashKeyRange"]["EndingHashKey"], listed[2]["HashKeyRange"]["EndingHashKey"]);
    assert_eq!(open_count(&kinesis).await, 3);
}

#[tokio::test(start_paused = true)]
async fn closed_shards_go_when_retention_ends() {
    let kinesis = active(2).await;
    let from = iterator(&kinesis, "1", "TRIM_HORIZON", json!({})).await;
    resize(&kinesis, 1).await.expect("merge");
    settle().await;
    assert_eq!(shards(&kinesis).await.len(), 3);
    let child_at = iterator(&kinesis, "2", "TRIM_HORIZON", json!({})).await;
    tokio::time::sleep(Duration::from_secs(24 * 3_600 - 2)).await;
    assert_eq!(shards(&kinesis).await.len(), 3);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let listed = shards(&kinesis).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["ParentShardId"], "shardId-000000000000", "its parents are still named");
    let gone = json!({"StreamName": "s", "ShardId": "1", "ShardIteratorType": "TRIM_HORIZON"});
    let error = refused(&kinesis, "GetShardIterator", gone).await;
    assert_eq!((error.code.as_str(), error.status), ("ResourceNotFoundException", 400));
    for iterator in [from, child_at] {
        let expired = refused(&kinesis, "GetRecords", json!({"ShardIterator": iterator})).await;
        assert_eq!(expired.code, "ExpiredIteratorException");
    }
}

#[tokio::test(start_paused = true)]
async fn a_longer_retention_keeps_closed_shards_longer() {
    let kinesis = active(2).await;
    resize(&kinesis, 1).await.expect("merge");
    settle().await;
    let longer = json!({"StreamName": "s", "RetentionPeriodHours": 48});
    ok(&kinesis, "IncreaseStreamRetentionPeriod", longer).await;
    tokio::time::sleep(Duration::from_secs(30 * 3_600)).await;
    assert_eq!(shards(&kinesis).await.len(), 3);
    let shorter = json!({"StreamName": "s", "RetentionPeriodHours": 24});
    ok(&kinesis, "DecreaseStreamRetentionPeriod", shorter).await;
    assert_eq!(shards(&kinesis).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn update_shard_count_keeps_its_limits() {
    let kinesis = active(4).await;
    for (target, words) in [
        (9, "cannot scale up over double your current open shard count. Current open shard count: 4"),
        (1, "cannot scale down below half your current open shard count."),
    ] {
        let error = resize(&kinesis, target).await.expect_err("out of bounds");
        assert_eq!(error.code, "LimitExceededException");
        assert!(error.message.contains(words), "{error}");
    }
    assert_eq!(resize(&kinesis, 4).await.expect_err("same").code, "InvalidArgumentException");
    assert_eq!(resize(&kinesis, 0).await.expect_err("none").code, "ValidationException");
    let other = json!({"StreamName": "s", "TargetShardCount": 5, "ScalingType": "SOME"});
    assert_eq!(refused(&kinesis, "UpdateShardCount", other).await.code, "ValidationException");
    let none = json!({"StreamName": "s", "TargetShardCount": 5});
    assert!(refused(&kinesis, "UpdateShardCount", none).await.message.contains("scalingType"));

    let answer = resize(&kinesis, 8).await.expect("double");
    let expected =
        json!({"StreamName": "s", "StreamARN": ARN, "CurrentShardCount": 4, "TargetShardCount": 8});
    assert_eq!(answer, expected);
    assert_eq!(resize(&kinesis, 9).await.expect_err("busy").code, "ResourceInUseException");
    settle().await;
    for target in [4, 8, 4, 8, 4, 8, 4, 8, 4] {
        resize(&kinesis, target).await.expect("within the day's ten");
        settle().await;
        assert_eq!(open_count(&kinesis).await, target);
    }
    let error = resize(&kinesis, 8).await.expect_err("the eleventh");
    assert_eq!(error.code, "LimitExceededException");
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    resize(&kinesis, 8).await.expect("a day later");
}

#[tokio::test(start_paused = true)]
async fn update_shard_count_ends_at_ten_thousand_and_at_the_accounts_limit() {
    let kinesis = active(6_000).await;
    assert!(resize(&kinesis, 10_001).await.expect_err("too many").message.contains("more than 10000"));
    ok(&kinesis, "CreateStream", json!({"StreamName": "t", "ShardCount": 12_000})).await;
    let error = resize(&kinesis, 9_000).await.expect_err("the account's limit");
    let words = "Current shard count for the account: 18000. Limit: 20000. Number of additional shards that \
                 would have resulted from this request: 3000.";
    assert!(error.code == "LimitExceededException" && error.message.contains(words), "{error}");
    resize(&kinesis, 8_000).await.expect("just within");
    let split = json!({"StreamName": "t", "ShardToSplit": "0", "NewStartingHashKey": "1000"});
    settle().await;
    assert_eq!(refused(&kinesis, "SplitShard", split).await.code, "LimitExceededException");
    assert_eq!(ok(&kinesis, "DescribeLimits", json!({})).await["OpenShardCount"], 20_000);
}

#[tokio::test(start_paused = true)]
async fn splits_and_merges_are_refused_in_the_words_of_the_service() {
    let kinesis = active(4).await;
    let max = u128::MAX.to_string();
    let split =
        |shard: &str, key: &str| json!({"StreamName": "s", "ShardToSplit": shard, "NewStartingHashKey": key});
    let merge = |one: &str, other: &str| json!({"StreamName": "s", "ShardToMerge": one, "AdjacentShardToMerge": other});
    ok(&kinesis, "MergeShards", merge("2", "3")).await;
    for (operation, input) in [("SplitShard", split("0", "99")), ("MergeShards", merge("0", "1"))] {
        let error = refused(&kinesis, operation, input).await;
        assert_eq!(error.code, "ResourceInUseException");
        assert!(error.message.contains("not ACTIVE, instead in state UPDATING"), "{error}");
    }
    settle().await;
    let bounds = "is not both greater than one plus the shard's StartingHashKey 0 and less than";
    for (operation, input, code, words) in [
        ("SplitShard", split("0", "1"), "InvalidArgumentException", bounds),
        ("SplitShard", split("0", &max), "InvalidArgumentException", bounds),
        ("SplitShard", split("0", "01"), "ValidationException", "newStartingHashKey"),
        ("SplitShard", split("3", MIDDLE), "InvalidArgumentException", "has already been merged or split"),
        ("SplitShard", split("9", "99"), "ResourceNotFoundException", "Could not find shard 9 in stream s"),
        ("SplitShard", json!({"StreamName": "s"}), "ValidationException", "shardToSplit"),
        (
            "SplitShard",
            json!({"StreamName": "t", "ShardToSplit": "0", "NewStartingHashKey": "9"}),
            "ResourceNotFoundException",
            "Stream t under account",
        ),
        ("MergeShards", merge("0", "4"), "InvalidArgumentException", "are not an adjacent pair"),
        ("MergeShards", merge("0", "0"), "InvalidArgumentException", "are not an adjacent pair"),
        ("MergeShards", merge("1", "2"), "InvalidArgumentException", "has already been merged or split"),
        ("MergeShards", merge("x", "2"), "ResourceNotFoundException", "Could not find shard x"),
        ("MergeShards", json!({"StreamName": "s", "ShardToMerge": "0"}), "ValidationException", "adjacent"),
    ] {
        let error = refused(&kinesis, operation, input).await;
        assert!(error.code == code && error.message.contains(words), "{operation}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_mode_is_switched_twice_a_day_and_keeps_the_shards() {
    let kinesis = active(6).await;
    let mode = |mode: &str| json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": mode}});
    ok(&kinesis, "UpdateStreamMode", mode("ON_DEMAND")).await;
    assert_eq!(status(&kinesis).await, "UPDATING");
    let again = refused(&kinesis, "UpdateStreamMode", mode("PROVISIONED")).await;
    assert_eq!(again.code, "ResourceInUseException");
    settle().await;
    let summary = ok(&kinesis, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
    assert_eq!(summary["StreamDescriptionSummary"]["StreamModeDetails"], json!({"StreamMode": "ON_DEMAND"}));
    assert_eq!(open_count(&kinesis).await, 6);
    let limits = ok(&kinesis, "DescribeLimits", json!({})).await;
    assert_eq!((&limits["OpenShardCount"], &limits["OnDemandStreamCount"]), (&json!(0), &json!(1)));
    let error = resize(&kinesis, 8).await.expect_err("the service scales it");
    assert_eq!(error.code, "ValidationException");

    ok(&kinesis, "UpdateStreamMode", mode("PROVISIONED")).await;
    settle().await;
    assert_eq!(open_count(&kinesis).await, 6);
    let third = refused(&kinesis, "UpdateStreamMode", mode("ON_DEMAND")).await;
    assert_eq!(third.code, "LimitExceededException");
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    ok(&kinesis, "UpdateStreamMode", mode("ON_DEMAND")).await;

    let name_only = json!({"StreamName": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    assert!(refused(&kinesis, "UpdateStreamMode", name_only).await.message.contains("streamARN"));
    assert_eq!(refused(&kinesis, "UpdateStreamMode", mode("BURST")).await.code, "ValidationException");
}
