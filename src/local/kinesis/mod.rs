//! Kinesis Data Streams: streams of either capacity mode with their shards, limits, errors and metrics.
//!
//! Modelled on the API reference and developer guide, on the API model in botocore, and on what
//! kinesalite recorded from the service (messages, layout of sequence numbers). Not here: SubscribeToShard,
//! queues and channels, resource policies, warm throughput, request rates of the control plane.

mod bucket;
mod consumers;
mod control;
mod hash;
mod iterator;
mod layout;
mod list;
mod memory;
mod meter;
mod monitoring;
mod on_demand;
mod put;
mod read;
pub mod readers;
mod reshard;
mod sequence;
mod settings;
mod shard;
mod stream;
mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use self::layout::Layout;
use self::memory::Memory;
use self::meter::Meter;
use self::stream::{Status, Stream};
use self::validate::{Text, invalid_argument};
use super::service::{ApiError, ApiResult, BoxFuture, Context, Service, input_object, unknown_operation};

/// Bytes of records kept over all streams unless told otherwise: a day at 2 MiB/s would take 170 GiB. What
/// happens beyond it: see `memory.rs`.
pub const MEMORY_BOUND_BYTES: u64 = 1 << 30;

type Streams = BTreeMap<String, Arc<Stream>>;

pub struct Kinesis {
    ctx: Context,
    streams: RwLock<Streams>,
    memory: Memory,
}

impl Kinesis {
    pub fn new(ctx: Context) -> Arc<Kinesis> {
        Kinesis::with_memory_bounds(ctx, MEMORY_BOUND_BYTES, MEMORY_BOUND_BYTES)
    }

    /// As [`Kinesis::new`], keeping at most `bound` bytes of records, and at most `read_bound` as soon as some of them
    /// were read.
    pub fn with_memory_bounds(ctx: Context, bound: u64, read_bound: u64) -> Arc<Kinesis> {
        Arc::new(Kinesis { ctx, streams: RwLock::default(), memory: Memory::new(bound, read_bound) })
    }

    /// Changes whenever records were stored in the shard: mark the value seen, read the shard, then await
    /// the change. `None` when there is no such shard.
    pub fn shard_changed(&self, stream: &str, shard_id: &str) -> Option<watch::Receiver<u64>> {
        let stream = self.streams.read().expect("streams lock").get(stream).cloned()?;
        Some(self.layout(&stream).named(shard_id)?.subscribe())
    }

    fn now_us(&self) -> i64 {
        self.ctx.clock.now_us()
    }

    /// The stream's shards as they are now.
    fn layout<'a>(&self, stream: &'a Stream) -> RwLockReadGuard<'a, Layout> {
        stream.layout(self.now_us(), &self.memory)
    }

    fn meter<'a>(&'a self, stream: &'a Stream) -> Meter<'a> {
        Meter { sink: &*self.ctx.metrics, stream: &stream.name }
    }

    fn not_found(&self, name: &str) -> ApiError {
        ApiError::invalid(
            "ResourceNotFoundException",
            format!("Stream {name} under account {} not found.", self.ctx.account),
        )
    }

    /// A stream in any state.
    fn find(&self, name: &str) -> Result<Arc<Stream>, ApiError> {
        let stream = self.streams.read().expect("streams lock").get(name).cloned();
        match stream {
            Some(stream) if stream.status(self.now_us()) != Status::Gone => Ok(stream),
            _ => Err(self.not_found(name)),
        }
    }

    /// The stream that a request names by name, by ARN, or by both.
    fn named(&self, name: Option<&str>, arn: Option<&str>) -> Result<Arc<Stream>, ApiError> {
        let arn_name = match arn {
            Some(arn) => {
                let (_, name) = arn.split_once(":stream/").ok_or_else(|| {
                    invalid_argument(format!("StreamARN {arn} is not the ARN of a stream."))
                })?;
                Some(name)
            }
            None => None,
        };
        let wanted = match (name, arn_name) {
            (Some(name), Some(arn_name)) if name != arn_name => {
                return Err(invalid_argument("StreamName and StreamARN name different streams."));
            }
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => return Err(invalid_argument("Either StreamName or StreamARN must be given.")),
        };
        validate::stream_name(wanted)?;
        let stream = self.find(wanted)?;
        if arn.is_some_and(|arn| arn != stream.arn) { Err(self.not_found(wanted)) } else { Ok(stream) }
    }

    /// The stream of a data-path request. AWS answers as if a stream that is not yet, or no longer, active
    /// were not there.
    fn active(&self, name: Option<&Text<'_>>, arn: Option<&Text<'_>>) -> Result<Arc<Stream>, ApiError> {
        let stream = self.named(name.map(|text| &**text), arn.map(|text| &**text))?;
        if stream.status(self.now_us()).serves() { Ok(stream) } else { Err(self.not_found(&stream.name)) }
    }

    fn rate_exceeded(&self, stream: &Stream, shard_id: &str) -> ApiError {
        ApiError::invalid("ProvisionedThroughputExceededException", self.rate_message(stream, shard_id))
    }

    fn rate_message(&self, stream: &Stream, shard_id: &str) -> String {
        let account = &self.ctx.account;
        format!("Rate exceeded for shard {shard_id} in stream {} under account {account}.", stream.name)
    }

    fn answer(&self, operation: &str, input: Value) -> ApiResult {
        match operation {
            "PutRecord" => put::put_record(self, serde::Deserialize::deserialize(&input)).and_then(value),
            "PutRecords" => put::put_records(self, serde::Deserialize::deserialize(&input)).and_then(value),
            "GetRecords" => read::get_records(self, serde::Deserialize::deserialize(&input)).and_then(value),
            "GetShardIterator" => read::get_shard_iterator(self, input),
            "CreateStream" => control::create(self, input),
            "DeleteStream" => control::delete(self, input),
            "DescribeStream" => control::describe(self, input),
            "DescribeStreamSummary" => control::summary(self, input),
            "ListStreams" => control::list_streams(self, input),
            "ListShards" => list::list_shards(self, input),
            "SplitShard" => reshard::split(self, input),
            "MergeShards" => reshard::merge(self, input),
            "UpdateShardCount" => reshard::update_shard_count(self, input),
            "UpdateStreamMode" => reshard::update_mode(self, input),
            "EnableEnhancedMonitoring" => monitoring::change(self, input, true),
            "DisableEnhancedMonitoring" => monitoring::change(self, input, false),
            "RegisterStreamConsumer" => consumers::register(self, input),
            "DescribeStreamConsumer" => consumers::describe(self, input),
            "ListStreamConsumers" => consumers::list(self, input),
            "DeregisterStreamConsumer" => consumers::deregister(self, input),
            "DescribeLimits" => control::limits(self),
            _ => {
                settings::answer(self, operation, input).unwrap_or_else(|| Err(unknown_operation(operation)))
            }
        }
    }

    /// The data path: typed from the request's bytes to the answer's, without a tree in between.
    fn answer_bytes(&self, operation: &str, body: &[u8]) -> Option<Result<Bytes, ApiError>> {
        match operation {
            "PutRecord" => Some(put::put_record(self, serde_json::from_slice(body)).and_then(bytes)),
            "PutRecords" => Some(put::put_records(self, serde_json::from_slice(body)).and_then(bytes)),
            "GetRecords" => Some(read::get_records(self, serde_json::from_slice(body)).and_then(bytes)),
            _ => None,
        }
    }
}

impl Service for Kinesis {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move { self.answer(operation, input) })
    }

    fn call_json<'a>(&'a self, operation: &'a str, body: Bytes) -> BoxFuture<'a, Result<Bytes, ApiError>> {
        Box::pin(async move {
            if let Some(answer) = self.answer_bytes(operation, &body) {
                return answer;
            }
            let input = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
            let input = input.map_err(validate::serialization)?;
            bytes(self.answer(operation, input_object(input)?)?)
        })
    }
}

fn value(output: impl serde::Serialize) -> ApiResult {
    serde_json::to_value(&output).map_err(internal)
}

fn bytes(output: impl serde::Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(&output).map(Bytes::from).map_err(internal)
}

/// What a request with DryRun gets when it would have been served.
fn dry_run(asked: Option<bool>) -> Result<(), ApiError> {
    if asked != Some(true) {
        return Ok(());
    }
    let message = "The request would have succeeded, but DryRun was specified.";
    Err(ApiError::invalid("DryRunOperationException", message))
}

fn internal(error: serde_json::Error) -> ApiError {
    ApiError::new(500, "InternalFailure", error.to_string())
}
