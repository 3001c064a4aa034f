//! Reads one shard through GetShardIterator and GetRecords, no faster than Kinesis allows and no slower than
//! Lambda polls.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::config::{Config, Start};
use super::progress::Shard;
use crate::local::lambda::state::Shared;
use crate::local::service::{ApiError, BoxFuture};
use crate::platform::limits::{GET_RECORDS_MAX_RECORDS, SHARD_READ_BYTES_PER_S, SHARD_READ_CALLS_PER_S};

/// Base rate of a standard iterator. Lambda developer guide, "Polling and batching streams": once a second.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Between polls while there is more to read. One read a second below the shard's limit of 5: others read too.
const POLL_AGAIN: Duration = Duration::from_millis(1_000 / (SHARD_READ_CALLS_PER_S - 1));
/// After a refused or failed poll.
const POLL_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Where to read on.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    stream: String,
    shard: String,
    start: Value,
    /// Sequence number of the last record read.
    last: Option<String>,
    iterator: Option<String>,
}

/// What one poll gave.
pub struct Polled {
    pub at: Instant,
    /// As GetRecords gives them.
    pub records: Vec<Value>,
    iterator: Option<String>,
    /// The shard is closed and has no more.
    pub closed: bool,
    pub next_poll: Instant,
    pub problem: Option<String>,
}

impl Reader {
    pub fn new(shared: Arc<Shared>, config: &Config, shard: &str, from: Shard) -> Reader {
        Reader {
            shared,
            stream: config.stream.clone(),
            shard: shard.to_owned(),
            start: starting_at(config.start, &from),
            last: from.position,
            iterator: None,
        }
    }

    /// One poll. Its answer must be given to [`Reader::went`] before the next one.
    pub fn poll(&self) -> BoxFuture<'static, Polled> {
        let reader = self.clone();
        Box::pin(async move {
            let began = reader.shared.ctx.clock.instant();
            match reader.read().await {
                Ok(answer) => reader.polled(began, answer),
                Err(error) => reader.failed(began, &error),
            }
        })
    }

    pub fn went(&mut self, polled: &Polled) {
        self.iterator.clone_from(&polled.iterator);
        if let Some(sequence) = polled.records.last().and_then(|record| record["SequenceNumber"].as_str()) {
            self.last = Some(sequence.to_owned());
        }
    }

    async fn read(&self) -> Result<Value, ApiError> {
        let kinesis = &self.shared.peers.kinesis;
        let iterator = match &self.iterator {
            Some(iterator) => iterator.clone(),
            None => {
                let mut input = match &self.last {
                    Some(last) => json!({
                        "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": last,
                    }),
                    None => self.start.clone(),
                };
                input["StreamName"] = self.stream.as_str().into();
                input["ShardId"] = self.shard.as_str().into();
                let answer = kinesis.call("GetShardIterator", input).await?;
                answer["ShardIterator"].as_str().unwrap_or_default().to_owned()
            }
        };
        // The largest poll, whatever the batch size: 5 polls a second of small ones would be the bottleneck.
        kinesis.call("GetRecords", json!({"ShardIterator": iterator, "Limit": GET_RECORDS_MAX_RECORDS})).await
    }

    fn polled(&self, began: Instant, mut answer: Value) -> Polled {
        let at = self.shared.ctx.clock.instant();
        let records = match answer["Records"].take() {
            Value::Array(records) => records,
            _ => Vec::new(),
        };
        let iterator = answer["NextShardIterator"].as_str().map(str::to_owned);
        let more = answer["MillisBehindLatest"].as_i64().unwrap_or(0) > 0
            || records.len() >= GET_RECORDS_MAX_RECORDS;
        // A poll that took more than its share of the shard's bytes delays the next one: Kinesis would refuse it.
        let bytes: usize = records.iter().map(record_bytes).sum();
        let share = Duration::from_secs_f64(bytes as f64 / SHARD_READ_BYTES_PER_S as f64);
        let pause = if more { POLL_AGAIN.max(share) } else { POLL_EVERY.max(share) };
        let next_poll = began + pause + self.shared.host.poll_late();
        Polled { at, closed: iterator.is_none(), records, iterator, next_poll, problem: None }
    }

    fn failed(&self, began: Instant, error: &ApiError) -> Polled {
        // An iterator is good for 5 minutes; a blocked shard outlives it. A new one is taken at once.
        let expired = error.code == "ExpiredIteratorException";
        let throttled = error.code == "ProvisionedThroughputExceededException";
        Polled {
            at: self.shared.ctx.clock.instant(),
            records: Vec::new(),
            iterator: if throttled { self.iterator.clone() } else { None },
            closed: false,
            next_poll: began + if expired { POLL_AGAIN } else { POLL_AFTER_ERROR },
            problem: (!expired && !throttled).then(|| format!("PROBLEM: {error}")),
        }
    }
}

/// Decoded data plus partition key: what counts against the shard's read limit.
fn record_bytes(record: &Value) -> usize {
    let length = |member: &str| record[member].as_str().map_or(0, str::len);
    length("Data") / 4 * 3 + length("PartitionKey")
}

/// Where a shard is read from when none of it is done yet.
fn starting_at(start: Start, shard: &Shard) -> Value {
    match start {
        // A shard that came later is read whole: what went into it went in while the mapping stood.
        _ if shard.late => json!({"ShardIteratorType": "TRIM_HORIZON"}),
        Start::TrimHorizon => json!({"ShardIteratorType": "TRIM_HORIZON"}),
        // A mapping that was disabled before its first record goes on from where it first began.
        Start::Latest if shard.resumed => {
            json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": shard.since_ms as f64 / 1_000.0})
        }
        Start::Latest => json!({"ShardIteratorType": "LATEST"}),
        Start::AtTimestamp(at_s) => json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": at_s}),
    }
}
