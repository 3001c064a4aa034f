//! Records of many keys, while shards split and merge: a reader that takes children after their parents sees
//! every record once, and those of each key in order.

use std::collections::BTreeSet;

use base64::Engine;

use super::*;

/// Reads every shard to its end, children after their parents, as consumers do. Returns (key, number that was
/// put, sequence number) in the order of reading.
async fn read_lineage(kinesis: &Kinesis) -> Vec<(String, usize, String)> {
    let mut done = BTreeSet::new();
    let mut read = Vec::new();
    loop {
        let listed = ok(kinesis, "ListShards", json!({"StreamName": "s"})).await;
        let shards = listed["Shards"].as_array().expect("shards").clone();
        let ready = shards.iter().find(|shard| {
            let parents = [&shard["ParentShardId"], &shard["AdjacentParentShardId"]];
            let drained = parents.iter().all(|parent| parent.is_null() || done.contains(&parent.to_string()));
            drained && !done.contains(&shard["ShardId"].to_string())
        });
        let Some(shard) = ready else { return read };
        let id = shard["ShardId"].as_str().expect("text");
        let closed = shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string();
        let mut next = Some(iterator(kinesis, id, "TRIM_HORIZON", json!({})).await);
        while let Some(from) = next.take() {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let page = ok(kinesis, "GetRecords", json!({"ShardIterator": from, "Limit": 50})).await;
            for record in page["Records"].as_array().expect("records") {
                let text = |member: &str| record[member].as_str().expect("text").to_owned();
                let data = base64::engine::general_purpose::STANDARD.decode(text("Data")).expect("base64");
                let number = String::from_utf8(data).expect("text").parse().expect("number");
                read.push((text("PartitionKey"), number, text("SequenceNumber")));
            }
            let ended = page.get("NextShardIterator").is_none();
            assert!(closed || !ended, "only a closed shard ends");
            let children = page["ChildShards"].as_array().map_or(0, Vec::len);
            assert_eq!(children > 0, ended, "children are named where a shard ends, and only there");
            let at_tip = page["MillisBehindLatest"] == 0;
            if closed || !at_tip {
                next = page["NextShardIterator"].as_str().map(str::to_owned);
            }
        }
        done.insert(shard["ShardId"].to_string());
    }
}

/// Splits, merges or resizes: as the step says, whatever shards are open.
async fn change(kinesis: &Kinesis, step: usize) {
    let listed = ok(kinesis, "ListShards", json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}}));
    let mut open = listed.await["Shards"].as_array().expect("shards").clone();
    let hash = |shard: &Value, member: &str| -> u128 {
        shard["HashKeyRange"][member].as_str().expect("text").parse().expect("number")
    };
    open.sort_by_key(|shard| hash(shard, "StartingHashKey"));
    let at = step * 7 % open.len();
    let (operation, input) = match step % 3 {
        0 => {
            let (first, last) = (hash(&open[at], "StartingHashKey"), hash(&open[at], "EndingHashKey"));
            let middle = (first + (last - first) / 3).to_string();
            let shard = &open[at]["ShardId"];
            ("SplitShard", json!({"StreamName": "s", "ShardToSplit": shard, "NewStartingHashKey": middle}))
        }
        1 if open.len() > 1 => {
            let at = at.min(open.len() - 2);
            let (left, right) = (&open[at]["ShardId"], &open[at + 1]["ShardId"]);
            ("MergeShards", json!({"StreamName": "s", "ShardToMerge": left, "AdjacentShardToMerge": right}))
        }
        _ => {
            let target = if open.len() > 4 { open.len() - 2 } else { open.len() + 1 };
            let scaling = "UNIFORM_SCALING";
            let input = json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": scaling});
            ("UpdateShardCount", input)
        }
    };
    ok(kinesis, operation, input).await;
}

#[tokio::test(start_paused = true)]
async fn every_record_is_read_once_and_those_of_a_key_in_order() {
    let kinesis = active(2).await;
    let mut put_count = 0;
    for step in 0..24 {
        change(&kinesis, step).await;
        // Before, while and after the change comes into force.
        for _ in 0..6 {
            for key in 0..40 {
                put(&kinesis, &format!("key {key}"), &put_count.to_string()).await;
                put_count += 1;
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
    let read = read_lineage(&kinesis).await;
    assert_eq!(read.len(), put_count);
    let mut last: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (key, number, sequence) in &read {
        if let Some((before, sequence_before)) = last.insert(key, (*number, sequence)) {
            assert!(before < *number, "{key}: {number} after {before}");
            assert!(sequence_before < sequence.as_str(), "numbers of a key rise over the lineage");
        }
    }
    assert_eq!(last.len(), 40);
}
