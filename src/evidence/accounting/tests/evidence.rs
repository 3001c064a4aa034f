//! What a [`Pipeline`] leaves behind: a run directory, and services that can be asked again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pipeline::{Fault, Invocation, LEVELS, Pipeline, RETENTION_US, START_US, Settings, Stored};
use crate::evidence::accounting::missing;
use crate::evidence::append::AppendFile;
use crate::evidence::confirm::{Lookup, confirm};
use crate::evidence::dead_letters::{DeadLetters, dead_letters};
use crate::evidence::events::{Event, EventLog};
use crate::evidence::receipts::ReceiptLine;
use crate::evidence::rundir::RunDir;
use crate::evidence::sends::SendsLine;
use crate::evidence::testing::{Fake, stream_summary};
use crate::load::outcome::FailReason;
use crate::platform::clock::Clock;
use crate::wire::receipt::{Receipt, RecordSeen};

pub const RUN: &str = "20261121-013240-k3f9";
const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
const PAGE: usize = 5;

/// Writes the files as the session does, and has the real lookups ask the pipeline's services.
pub async fn collect(pipeline: Arc<Pipeline>, root: &Path) -> RunDir {
    let dir = RunDir::create(root, &RUN.parse().expect("well formed")).expect("create");
    let log = dir.event_log().expect("open");
    levels(&pipeline, &log);
    sends(&pipeline, &dir);
    receipts(&pipeline, &dir);
    let complete = !pipeline.settings.has(Fault::CollectionCut);
    log.append(0, &Event::CollectionEnded { complete, unreadable: 0 }).expect("append");
    look_up(&pipeline, &dir, &log).await;
    log.sync().expect("sync");
    dir
}

async fn look_up(pipeline: &Arc<Pipeline>, dir: &RunDir, log: &EventLog) {
    let run = RUN.parse().expect("well formed");
    let clock = Clock::starting_at(pipeline.settings.ends_us());
    let services = services(Arc::clone(pipeline));
    let (sqs, kinesis) = (services.sqs(), services.kinesis());
    let bound = Duration::from_secs(50);
    let (dlq_url, stream_arn) = ("http://localhost/1/dlq", STREAM);
    let lookup = DeadLetters {
        sqs: &sqs,
        dlq_url,
        kinesis: &kinesis,
        stream_arn,
        run: &run,
        paths: &[],
        clock,
        bound,
    };
    let (dead, problem) = dead_letters(&lookup).await;
    assert_eq!(problem, None);
    log.append(0, &dead).expect("append");
    let retention = Duration::from_micros(RETENTION_US as u64);
    let missing = missing(dir, (START_US, pipeline.settings.ends_us()), retention).expect("missing");
    // The run's clock begins anew: the model's stream does not age while it is read.
    let clock = Clock::starting_at(pipeline.settings.ends_us());
    let (missing, from_us, kinesis) = (&missing, START_US, &kinesis);
    let lookup =
        Lookup { kinesis, stream_arn, run: &run, paths: &[], missing, from_us, clock, retention, bound };
    log.append(0, &confirm(&lookup).await).expect("append");
}

fn levels(pipeline: &Pipeline, log: &EventLog) {
    let count = pipeline.settings.per_level;
    for level in 0..LEVELS {
        let started = Event::LevelStarted {
            level: level as u32,
            starts_us: 0,
            from_rps: 1.0,
            target_rps: 1.0,
            duration_s: 1.0,
            first_sequence: level * count,
            count,
        };
        log.append(0, &started).expect("append");
    }
}

/// A line for each record, at the time at which it was due.
fn sends(pipeline: &Pipeline, dir: &RunDir) {
    let mut file = AppendFile::open(&dir.sends_jsonl()).expect("open");
    let mut pending = Vec::new();
    for sequence in 0..pipeline.settings.records() {
        let failed = pipeline.failed.contains(&sequence);
        if !failed && !pipeline.acked.contains(&sequence) {
            pending.push((sequence, sequence));
        }
        let line = SendsLine {
            generator_mb: None,
            v: 1,
            at_us: pipeline.settings.due_us(sequence),
            highest: Some(sequence),
            failed: failed.then_some((sequence, sequence, FailReason::UnknownOutcome)).into_iter().collect(),
            pending: pending.clone(),
            ..SendsLine::default()
        };
        file.line(&serde_json::to_string(&line).expect("json"));
    }
    file.sync().expect("sync");
}

fn receipts(pipeline: &Pipeline, dir: &RunDir) {
    let mut file = AppendFile::open(&dir.receipts_jsonl()).expect("open");
    for (index, invocation) in pipeline.invocations.iter().enumerate() {
        if !invocation.receipt_collected {
            continue;
        }
        // A small limit: the larger batches come in parts.
        for message in receipt(index as u128, invocation, pipeline.settings).to_messages(600) {
            file.line(&ReceiptLine::text(0, &message));
            if pipeline.settings.has(Fault::SqsRepeats) {
                file.line(&ReceiptLine::text(1, &message));
            }
        }
    }
    file.sync().expect("sync");
}

pub fn receipt(id: u128, invocation: &Invocation, settings: Settings) -> Receipt {
    let arrived_ms = || invocation.records.iter().map(|(record, _)| record.arrived_us / 1_000);
    let records = invocation.records.iter().map(|(record, outcome)| RecordSeen {
        level: settings.level(record.sequence),
        sequence: record.sequence,
        kinesis_sequence: record.number.to_string().as_str().into(),
        outcome: *outcome,
    });
    Receipt {
        id: format!("{id:032x}"),
        part: 0,
        parts: 1,
        run: RUN.parse().expect("well formed"),
        request_id: String::new(),
        stream: "s".into(),
        shard: shard_id(invocation.shard),
        started_us: invocation.started_us,
        duration_us: 1,
        cold_start: false,
        memory_used_mb: 1,
        memory_limit_mb: 1,
        arrival_ms: (arrived_ms().min().unwrap_or(0), arrived_ms().max().unwrap_or(0)),
        sink_errors: 0,
        records: records.collect(),
        levels: Vec::new(),
        arrivals: Vec::new(),
    }
}

fn shard_id(shard: usize) -> String {
    format!("shardId-{shard:012}")
}

/// SQS with the on-failure messages, Kinesis with what was not trimmed.
fn services(pipeline: Arc<Pipeline>) -> Fake {
    let received = AtomicUsize::new(0);
    Fake::new(move |operation, input| {
        let answer = match operation {
            "ReceiveMessage" => {
                let from = received.fetch_add(10, Ordering::Relaxed).min(pipeline.given_up.len());
                let to = (from + 10).min(pipeline.given_up.len());
                json!({ "Messages": pipeline.given_up[from..to].iter().map(on_failure).collect::<Vec<_>>() })
            }
            "ListShards" => json!({ "Shards": (0..3).map(shard).collect::<Vec<_>>() }),
            "DescribeStreamSummary" => stream_summary(24),
            "GetShardIterator" => iterator(&pipeline, &input),
            "GetRecords" => page(&pipeline, input["ShardIterator"].as_str().expect("text")),
            other => panic!("nothing asks for {other}"),
        };
        std::future::ready((200, answer))
    })
}

/// The members that are read. Shape: Lambda developer guide, on-failure destinations of streams.
fn on_failure((shard, first, last): &(usize, u64, u64)) -> Value {
    let body = json!({ "KinesisBatchInfo": {
        "shardId": shard_id(*shard),
        "startSequenceNumber": first.to_string(),
        "endSequenceNumber": last.to_string(),
        "streamArn": STREAM,
    } });
    json!({ "MessageId": first.to_string(), "ReceiptHandle": "h", "Body": body.to_string() })
}

fn shard(shard: usize) -> Value {
    json!({
        "ShardId": shard_id(shard),
        "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "1" },
        "SequenceNumberRange": { "StartingSequenceNumber": "0" },
    })
}

/// `shard:index into what is readable`.
fn iterator(pipeline: &Pipeline, input: &Value) -> Value {
    let shard = (0..3).find(|shard| input["ShardId"] == shard_id(*shard)).expect("known");
    let from: u64 = input["StartingSequenceNumber"].as_str().map_or(0, |text| text.parse().expect("ours"));
    let at = pipeline.readable(shard).iter().take_while(|record| record.number < from).count();
    json!({ "ShardIterator": format!("{shard}:{at}") })
}

fn page(pipeline: &Pipeline, iterator: &str) -> Value {
    let (shard, at) = iterator.split_once(':').expect("ours");
    let (shard, at): (usize, usize) = (shard.parse().expect("ours"), at.parse().expect("ours"));
    let readable = pipeline.readable(shard);
    let end = (at + PAGE).min(readable.len());
    let records: Vec<_> =
        readable[at..end].iter().map(|record| on_the_wire(record, pipeline.settings)).collect();
    json!({
        "Records": records,
        "MillisBehindLatest": if end == readable.len() { 0 } else { 1_000 },
        "NextShardIterator": format!("{shard}:{end}"),
    })
}

fn on_the_wire(record: &Stored, settings: Settings) -> Value {
    let (level, sequence) = (settings.level(record.sequence), record.sequence);
    let data = format!(r#"{{"sg":{{"r":"{RUN}","l":{level},"s":{sequence},"d":1}}}}"#);
    json!({
        "SequenceNumber": record.number.to_string(),
        "PartitionKey": "k",
        "ApproximateArrivalTimestamp": record.arrived_us as f64 / 1e6,
        "Data": STANDARD.encode(data),
    })
}
