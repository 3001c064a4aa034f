//! ListShards with its filters and tokens, and the pages of DescribeStream.

use super::*;

const START_S: f64 = (START_US / 1_000_000) as f64;

async fn listed(kinesis: &Kinesis, filter: Value) -> Vec<usize> {
    let answer = ok(kinesis, "ListShards", json!({"StreamName": "s", "ShardFilter": filter})).await;
    let id =
        |shard: &Value| shard["ShardId"].as_str().expect("text")["shardId-".len()..].parse().expect("index");
    answer["Shards"].as_array().expect("shards").iter().map(id).collect()
}

/// Shards 0 and 1, merged into 2 at about 1 h, split into 3 and 4 at about 20 h; now it is 30 h.
async fn with_history() -> Arc<Kinesis> {
    let kinesis = active(2).await;
    let hours = |hours: u64| tokio::time::sleep(Duration::from_secs(hours * 3_600));
    hours(1).await;
    let merge = json!({"StreamName": "s", "ShardToMerge": "0", "AdjacentShardToMerge": "1"});
    ok(&kinesis, "MergeShards", merge).await;
    hours(19).await;
    let split = json!({"StreamName": "s", "ShardToSplit": "2", "NewStartingHashKey": "1000"});
    ok(&kinesis, "SplitShard", split).await;
    hours(10).await;
    kinesis
}

#[tokio::test(start_paused = true)]
async fn each_filter_gives_the_shards_of_its_time() {
    let kinesis = with_history().await;
    let at_h = |kind: &str, hours: f64| json!({"Type": kind, "Timestamp": START_S + hours * 3_600.0});
    // The merged shards went with their records.
    assert_eq!(listed(&kinesis, json!({"Type": "FROM_TRIM_HORIZON"})).await, [2, 3, 4]);
    assert_eq!(listed(&kinesis, json!({"Type": "AT_TRIM_HORIZON"})).await, [2]);
    assert_eq!(listed(&kinesis, json!({"Type": "AT_LATEST"})).await, [3, 4]);
    assert_eq!(listed(&kinesis, at_h("AT_TIMESTAMP", 10.0)).await, [2]);
    assert_eq!(listed(&kinesis, at_h("AT_TIMESTAMP", 25.0)).await, [3, 4]);
    assert_eq!(listed(&kinesis, at_h("FROM_TIMESTAMP", 25.0)).await, [3, 4]);
    assert_eq!(listed(&kinesis, at_h("FROM_TIMESTAMP", 19.0)).await, [2, 3, 4]);
    assert_eq!(listed(&kinesis, at_h("FROM_TIMESTAMP", -99.0)).await, [2, 3, 4]);
    assert_eq!(
        listed(&kinesis, json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000003"})).await,
        [4]
    );
    assert_eq!(listed(&kinesis, json!(null)).await, [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_new_stream_was_open_at_its_trim_horizon() {
    assert_eq!(listed(&*active(2).await, json!({"Type": "AT_TRIM_HORIZON"})).await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_says_too_much_or_too_little_is_refused() {
    let kinesis = active(1).await;
    for (filter, code) in [
        (json!({}), "ValidationException"),
        (json!({"Type": "OPEN"}), "ValidationException"),
        (json!({"Type": "AT_TIMESTAMP"}), "InvalidArgumentException"),
        (json!({"Type": "AFTER_SHARD_ID"}), "InvalidArgumentException"),
        (json!({"Type": "AT_LATEST", "ShardId": "0"}), "InvalidArgumentException"),
        (json!({"Type": "AT_LATEST", "Timestamp": 1}), "InvalidArgumentException"),
        (json!({"Type": "AFTER_SHARD_ID", "ShardId": "s-x"}), "InvalidArgumentException"),
    ] {
        let input = json!({"StreamName": "s", "ShardFilter": filter});
        assert_eq!(refused(&kinesis, "ListShards", input).await.code, code, "{filter}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_ten_thousand_shards_give_each_once() {
    let kinesis = active(10_000).await;
    let mut input = json!({"StreamName": "s", "MaxResults": 10_000, "ShardFilter": {"Type": "AT_LATEST"}});
    let (mut seen, mut pages) = (0, 0);
    loop {
        let page = ok(&kinesis, "ListShards", input).await;
        for shard in page["Shards"].as_array().expect("shards") {
            assert_eq!(shard["ShardId"], format!("shardId-{seen:012}"));
            seen += 1;
        }
        pages += 1;
        if page["NextToken"].is_null() {
            break;
        }
        input = json!({"NextToken": page["NextToken"]});
    }
    assert_eq!((seen, pages), (10_000, 10), "at most a thousand a page, whatever is asked for");

    let described = ok(&kinesis, "DescribeStream", json!({"StreamName": "s", "Limit": 5_000})).await;
    let description = &described["StreamDescription"];
    assert_eq!(description["Shards"].as_array().map(Vec::len), Some(100));
    assert_eq!(description["HasMoreShards"], true);
    let rest = json!({"StreamName": "s", "ExclusiveStartShardId": "shardId-000000009989"});
    let described = ok(&kinesis, "DescribeStream", rest).await;
    assert_eq!(described["StreamDescription"]["Shards"].as_array().map(Vec::len), Some(10));
    assert_eq!(described["StreamDescription"]["HasMoreShards"], false);
}

#[tokio::test(start_paused = true)]
async fn tokens_stand_alone_keep_their_filter_and_expire() {
    let kinesis = with_history().await;
    let first = json!({"StreamName": "s", "MaxResults": 1, "ShardFilter": {"Type": "AT_LATEST"}});
    let token = ok(&kinesis, "ListShards", first).await["NextToken"].clone();
    let second = ok(&kinesis, "ListShards", json!({"NextToken": token})).await;
    assert_eq!(second["Shards"][0]["ShardId"], "shardId-000000000004");
    assert!(second["NextToken"].is_null());
    for (member, value) in [
        ("StreamName", json!("s")),
        ("ExclusiveStartShardId", json!("0")),
        ("StreamCreationTimestamp", json!(START_S)),
    ] {
        let error = refused(&kinesis, "ListShards", json!({"NextToken": token, member: value})).await;
        assert_eq!(error.message, format!("NextToken and {member} cannot be provided together."));
    }
    let wrong = refused(&kinesis, "ListShards", json!({"NextToken": "?"})).await;
    assert_eq!(wrong.code, "InvalidArgumentException");
    tokio::time::sleep(Duration::from_secs(301)).await;
    let late = refused(&kinesis, "ListShards", json!({"NextToken": token})).await;
    assert_eq!(late.code, "ExpiredNextTokenException");

    let then = json!({"StreamName": "s", "StreamCreationTimestamp": START_S});
    ok(&kinesis, "ListShards", then).await;
    let other = json!({"StreamName": "s", "StreamCreationTimestamp": START_S - 60.0});
    assert_eq!(refused(&kinesis, "ListShards", other).await.code, "ResourceNotFoundException");
}
