//! Other consumers of the streams, that read beside the function: what they take of a shard's 5 reads and 2 MB a second
//! is missing to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::local::service::{ApiResult, Service};

/// Streams and shards come and go: they are looked for this often, in reads.
const READS_A_LOOK: u64 = 100;

/// Consumers that read every shard of every stream, from the latest record on, until this is dropped.
pub struct OtherReaders {
    reading: JoinHandle<()>,
}

impl OtherReaders {
    /// `reads_per_s`: GetRecords calls a second and shard, evenly spread; above zero.
    pub fn start(kinesis: Arc<dyn Service>, reads_per_s: u32) -> OtherReaders {
        let readers = Readers { kinesis, iterators: BTreeMap::new() };
        OtherReaders { reading: tokio::spawn(readers.read(Duration::from_secs(1) / reads_per_s)) }
    }
}

impl Drop for OtherReaders {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

struct Readers {
    kinesis: Arc<dyn Service>,
    /// By stream and open shard; none where the next is yet to be had.
    iterators: BTreeMap<(String, String), Option<String>>,
}

impl Readers {
    async fn read(mut self, every: Duration) {
        let mut due = tokio::time::interval(every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reads = 0;
        loop {
            due.tick().await;
            // A call that is refused for its own limit finds nothing, and is made again.
            if self.iterators.is_empty() || reads % READS_A_LOOK == 0 {
                let _ = self.look().await;
            }
            reads += 1;
            let shards: Vec<_> = self.iterators.keys().cloned().collect();
            for shard in shards {
                self.read_once(shard).await;
            }
        }
    }

    /// Finds the open shards, and forgets those that are gone.
    async fn look(&mut self) -> Result<(), crate::local::service::ApiError> {
        let streams = self.call("ListStreams", json!({})).await?;
        let mut open = BTreeMap::new();
        for stream in texts(&streams["StreamNames"]) {
            let shards = self.call("ListShards", json!({"StreamName": stream})).await?;
            let listed = shards["Shards"].as_array().into_iter().flatten();
            for shard in listed.filter(|shard| shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null())
            {
                let of = (stream.clone(), shard["ShardId"].as_str().unwrap_or_default().to_owned());
                let iterator = self.iterators.remove(&of).flatten();
                open.insert(of, iterator);
            }
        }
        self.iterators = open;
        Ok(())
    }

    async fn read_once(&mut self, of: (String, String)) {
        let Some(Some(iterator)) = self.iterators.get(&of).cloned() else {
            let from = json!({"StreamName": of.0, "ShardId": of.1, "ShardIteratorType": "LATEST"});
            if let Ok(answer) = self.call("GetShardIterator", from).await {
                self.iterators.insert(of, answer["ShardIterator"].as_str().map(str::to_owned));
            }
            return;
        };
        let next = match self.call("GetRecords", json!({"ShardIterator": iterator})).await {
            Ok(answer) => answer["NextShardIterator"].as_str().map(str::to_owned),
            // Refused: that is what the limit is for. The same iterator is good for the next time.
            Err(error) if error.code == "ProvisionedThroughputExceededException" => Some(iterator),
            // Too old, or of a stream that is gone.
            Err(_) => None,
        };
        self.iterators.insert(of, next);
    }

    async fn call(&self, operation: &str, input: Value) -> ApiResult {
        self.kinesis.call(operation, input).await
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
