//! What the tests of this room run against: small stand-ins for the neighbours.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::host::FunctionHost;
use super::host::in_process::{FunctionFailure, Handler, InProcessHost, Invocation};
use super::{Lambda, Peers};
use crate::local::faults::Faults;
use crate::local::metrics::{MetricSink, Sample};
use crate::local::service::{ApiError, ApiResult, BoxFuture, Context, Service};
use crate::platform::clock::Clock;

pub const START_MS: i64 = 1_700_000_000_000;
pub const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
pub const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:dlq";

/// One stream whose shards are lists. Sequence numbers are indexes from 1; iterators say where they are.
pub struct FakeKinesis {
    pub clock: Clock,
    pub shards: Mutex<BTreeMap<String, Shard>>,
    /// Retention of the stream, hours.
    pub retention_h: Mutex<i64>,
    /// When each GetRecords came, ms since the epoch.
    pub polls: Mutex<Vec<i64>>,
}

#[derive(Default)]
pub struct Shard {
    /// Key, data, arrival in ms.
    pub records: Vec<(String, String, i64)>,
    pub closed: bool,
    pub parent: Option<String>,
    /// The second parent of a merge.
    pub adjacent: Option<String>,
}

impl FakeKinesis {
    pub fn put(&self, shard: &str, key: &str, data: &str) {
        let record = (key.to_owned(), data.to_owned(), self.clock.now_ms());
        self.shards.lock().unwrap().entry(shard.to_owned()).or_default().records.push(record);
    }

    fn iterator(&self, input: &Value) -> Value {
        let shards = self.shards.lock().unwrap();
        let id = input["ShardId"].as_str().unwrap();
        let records = &shards[id].records;
        let at = match input["ShardIteratorType"].as_str().unwrap() {
            "TRIM_HORIZON" => 0,
            "LATEST" => records.len(),
            "AFTER_SEQUENCE_NUMBER" => input["StartingSequenceNumber"].as_str().unwrap().parse().unwrap(),
            "AT_TIMESTAMP" => {
                let from_ms = (input["Timestamp"].as_f64().unwrap() * 1_000.0) as i64;
                records.iter().position(|r| r.2 >= from_ms).unwrap_or(records.len())
            }
            other => panic!("{other}"),
        };
        json!({"ShardIterator": format!("{id} {at}")})
    }

    fn records(&self, input: &Value) -> Value {
        self.polls.lock().unwrap().push(self.clock.now_ms());
        let shards = self.shards.lock().unwrap();
        let (id, at) = input["ShardIterator"].as_str().unwrap().split_once(' ').unwrap();
        let at: usize = at.parse().unwrap();
        let shard = &shards[id];
        let limit = input["Limit"].as_u64().unwrap() as usize;
        let given: Vec<Value> = shard.records[at..]
            .iter()
            .take(limit)
            .enumerate()
            .map(|(i, (key, data, arrival_ms))| {
                json!({
                    "SequenceNumber": (at + i + 1).to_string(), "PartitionKey": key,
                    "Data": STANDARD.encode(data), "ApproximateArrivalTimestamp": *arrival_ms as f64 / 1_000.0,
                })
            })
            .collect();
        let next = at + given.len();
        let behind = if next < shard.records.len() { 1_000 } else { 0 };
        let mut answer = json!({"Records": given, "MillisBehindLatest": behind});
        if !(shard.closed && next == shard.records.len()) {
            answer["NextShardIterator"] = format!("{id} {next}").into();
        }
        answer
    }

    fn list(&self) -> Value {
        let shards = self.shards.lock().unwrap();
        let shown = shards.iter().map(|(id, shard)| {
            json!({"ShardId": id, "ParentShardId": shard.parent, "AdjacentParentShardId": shard.adjacent})
        });
        json!({"Shards": shown.collect::<Vec<_>>()})
    }
}

impl Service for FakeKinesis {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move {
            match operation {
                "ListShards" => Ok(self.list()),
                "GetShardIterator" => Ok(self.iterator(&input)),
                "GetRecords" => Ok(self.records(&input)),
                "DescribeStreamSummary" if input["StreamName"] == "s" => {
                    let hours = *self.retention_h.lock().unwrap();
                    Ok(json!({"StreamDescriptionSummary": {"RetentionPeriodHours": hours}}))
                }
                _ => Err(ApiError::invalid("ResourceNotFoundException", "no such stream")),
            }
        })
    }
}

/// Keeps every call; answers what its kind of service would.
#[derive(Default)]
pub struct Recorder {
    pub calls: Mutex<Vec<(String, Value)>>,
}

impl Recorder {
    pub fn of(&self, operation: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == operation).map(|(_, input)| input.clone()).collect()
    }

    /// All log lines.
    pub fn lines(&self) -> Vec<String> {
        let puts = self.of("PutLogEvents");
        let events = puts.iter().flat_map(|put| put["logEvents"].as_array().unwrap());
        events.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Service for Recorder {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        let answer = match operation {
            "GetQueueUrl" => {
                json!({"QueueUrl": format!("http://127.0.0.1/{}", input["QueueName"].as_str().unwrap())})
            }
            "GetObject" => json!({"Body": STANDARD.encode(zip_of("bootstrap", "#!/bin/sh\n"))}),
            _ => json!({}),
        };
        self.calls.lock().unwrap().push((operation.to_owned(), input));
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// Metric, dimensions, value.
type Kept = (String, Vec<(String, String)>, f64);

/// Keeps every sample.
#[derive(Default)]
pub struct Metrics {
    samples: Mutex<Vec<Kept>>,
}

impl MetricSink for Metrics {
    fn record(&self, sample: Sample<'_>) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let dimensions = sample.dimensions.iter().map(own).collect();
        self.samples.lock().unwrap().push((sample.metric.to_owned(), dimensions, sample.value));
    }
}

impl Metrics {
    /// Values of a metric under one dimension name; `""` is the account.
    pub fn of(&self, metric: &str, dimension: &str) -> Vec<f64> {
        let samples = self.samples.lock().unwrap();
        let matches = |d: &[(String, String)]| match d {
            [] => dimension.is_empty(),
            [(name, _)] => name == dimension,
            _ => false,
        };
        samples.iter().filter(|(m, d, _)| m == metric && matches(d)).map(|(_, _, value)| *value).collect()
    }
}

/// A Lambda with its surroundings.
pub struct Stage {
    pub lambda: Arc<Lambda>,
    pub kinesis: Arc<FakeKinesis>,
    pub sqs: Arc<Recorder>,
    pub s3: Arc<Recorder>,
    pub logs: Arc<Recorder>,
    pub metrics: Arc<Metrics>,
    pub faults: Arc<Faults>,
}

impl Stage {
    pub fn new(clock: Clock, host: Arc<dyn FunctionHost>, faults: Faults) -> Stage {
        let kinesis = Arc::new(FakeKinesis {
            clock,
            shards: Mutex::default(),
            retention_h: Mutex::new(24),
            polls: Mutex::default(),
        });
        let (sqs, logs): (Arc<Recorder>, Arc<Recorder>) = Default::default();
        let metrics = Arc::new(Metrics::default());
        let faults = Arc::new(faults);
        let ctx = Context {
            clock,
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            seed: 1,
            metrics: metrics.clone(),
            faults: faults.clone(),
        };
        let s3 = Arc::new(Recorder::default());
        let peers = Peers { kinesis: kinesis.clone(), sqs: sqs.clone(), s3: s3.clone(), logs: logs.clone() };
        Stage { lambda: Lambda::new(ctx, peers, host), kinesis, sqs, s3, logs, metrics, faults }
    }

    /// In virtual time.
    pub fn in_process(handler: Handler, faults: Faults) -> Stage {
        let clock = Clock::starting_at(START_MS * 1_000);
        let host = InProcessHost::new(clock, handler, Duration::from_millis(100), 7);
        Stage::new(clock, Arc::new(host), faults)
    }

    pub async fn call(&self, operation: &str, input: Value) -> ApiResult {
        self.lambda.call(operation, input).await
    }

    pub async fn create_function(&self, zip: &[u8], more: Value) {
        let mut input = json!({
            "FunctionName": "f", "Runtime": "provided.al2023", "Handler": "bootstrap",
            "Role": "arn:aws:iam::000000000000:role/r", "MemorySize": 512, "Timeout": 3,
            "Code": {"ZipFile": STANDARD.encode(zip)},
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("CreateFunction", input).await.unwrap();
    }

    /// A function and a mapping from TRIM_HORIZON; gives the mapping's UUID.
    pub async fn map(&self, more: Value) -> String {
        if self.call("GetFunction", json!({"FunctionName": "f"})).await.is_err() {
            self.create_function(&zip_of("bootstrap", ""), json!({})).await;
        }
        let mut input = json!({
            "FunctionName": "f", "EventSourceArn": STREAM_ARN, "StartingPosition": "TRIM_HORIZON",
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mapping = self.call("CreateEventSourceMapping", input).await.unwrap();
        mapping["UUID"].as_str().unwrap().to_owned()
    }
}

pub fn zip_of(name: &str, content: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    archive.start_file(name, options).unwrap();
    archive.write_all(content.as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}

/// What one invocation carried.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// ms since [`START_MS`].
    pub at_ms: i64,
    pub shard: String,
    /// Partition key and sequence number of each record; 0 where the number is a real one, of 56 digits.
    pub records: Vec<(String, u64)>,
    /// Sequence numbers as they came.
    pub digits: Vec<String>,
}

impl Seen {
    pub fn sequences(&self) -> Vec<u64> {
        self.records.iter().map(|(_, sequence)| *sequence).collect()
    }
}

/// A handler that keeps what it sees, takes `work` for each batch, and answers what `answer` says.
pub struct Watching {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub handler: Handler,
}

pub fn watching(
    work: Duration,
    answer: impl Fn(&Seen) -> Result<Bytes, FunctionFailure> + Send + Sync + 'static,
) -> Watching {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let kept = seen.clone();
    let answer = Arc::new(answer);
    let handler: Handler = Arc::new(move |invocation: Invocation| {
        let (kept, answer) = (kept.clone(), answer.clone());
        Box::pin(async move {
            let at_ms = invocation.deadline_ms - 3_000 - START_MS;
            let seen = parse(&invocation.event, at_ms);
            tokio::time::sleep(work).await;
            kept.lock().unwrap().push(seen.clone());
            answer(&seen)
        })
    });
    Watching { seen, handler }
}

fn parse(event: &[u8], at_ms: i64) -> Seen {
    let event: Value = serde_json::from_slice(event).unwrap();
    let records = event["Records"].as_array().unwrap();
    let id = |record: &Value| record["eventID"].as_str().unwrap().split_once(':').unwrap().0.to_owned();
    let one = |record: &Value| {
        let kinesis = &record["kinesis"];
        let sequence = kinesis["sequenceNumber"].as_str().unwrap().parse().unwrap_or(0);
        (kinesis["partitionKey"].as_str().unwrap().to_owned(), sequence)
    };
    let digits = |record: &Value| record["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned();
    Seen {
        at_ms,
        shard: records.first().map(id).unwrap_or_default(),
        records: records.iter().map(one).collect(),
        digits: records.iter().map(digits).collect(),
    }
}

pub fn ok(_: &Seen) -> Result<Bytes, FunctionFailure> {
    Ok(Bytes::from_static(b"null"))
}

pub fn fail() -> Result<Bytes, FunctionFailure> {
    Err(FunctionFailure::new("Boom", "no"))
}
