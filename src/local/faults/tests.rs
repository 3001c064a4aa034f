//! Faults in a whole pipeline: Kinesis, mapping, function and receipts, in one process and in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use super::{CrashPoint, FaultEvent};
use crate::consumer::{Handler, InvocationContext, ReceiptSender, Work};
use crate::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use crate::local::door::response::NoAnswer;
use crate::local::lambda::host::in_process::{FunctionFailure, InProcessHost, Invocation};
use crate::platform::clock::Clock;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::Receipt;

const STARTS_US: i64 = 1_763_688_760_000_000;
const RUN: &str = "20261121-013240-k3f9";
const WORK: Duration = Duration::from_millis(15);
const BATCH: u64 = 10;

type Assembled = Arc<OnceLock<Arc<Cloud>>>;

/// Sends to the queue of [`Pipeline`], through whatever stands in front of SQS.
struct ToQueue(Assembled);

impl ReceiptSender for ToQueue {
    async fn send(&self, message: String) -> Result<(), String> {
        let sqs = self.0.get().and_then(|cloud| cloud.service("sqs")).ok_or("not assembled yet")?;
        let sent = sqs.call("SendMessage", json!({"QueueUrl": "receipts", "MessageBody": message})).await;
        sent.map(drop).map_err(|error| error.to_string())
    }
}

fn host(clock: Clock, assembled: &Assembled) -> InProcessHost {
    let now: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(move || clock.now_us());
    let work = Work::Modelled(Arc::new(|_| WORK));
    let handler = Arc::new(Handler::new(ToQueue(assembled.clone()), now, work, 1));
    let call = move |invocation: Invocation| {
        let handler = handler.clone();
        let answer = async move {
            let context = InvocationContext {
                request_id: invocation.request_id,
                memory_limit_mb: invocation.memory_mb,
                memory_used_mb: Arc::new(|| 64),
            };
            let answered = handler.handle_bytes(&invocation.event, &context).await;
            let answered = answered.map(|answer| Bytes::from(answer.to_string()));
            answered.map_err(|error| FunctionFailure::new(error.kind(), error.to_string()))
        };
        Box::pin(answer) as crate::local::service::BoxFuture<'static, _>
    };
    InProcessHost::new(clock, Arc::new(call), Duration::from_millis(80), 1)
}

/// A stream of one shard, a function with its mapping, a queue for its receipts.
struct Pipeline {
    cloud: Arc<Cloud>,
}

impl Pipeline {
    async fn with(faults: &[&str]) -> Pipeline {
        let clock = Clock::starting_at(STARTS_US);
        let assembled = Assembled::default();
        let cloud = Cloud::start(CloudSettings {
            clock,
            region: "us-east-1".to_owned(),
            account: LOCAL_ACCOUNT.to_owned(),
            seed: 1,
            faults: faults.iter().map(|spec| spec.parse().expect("spec")).collect(),
            work_dir: PathBuf::new(),
            host: HostKind::InProcess(Arc::new(host(clock, &assembled))),
            memory: Default::default(),
        })
        .expect("the account is one");
        assembled.set(cloud.clone()).ok().expect("once");
        let pipeline = Pipeline { cloud };
        pipeline.call("kinesis", "CreateStream", json!({"StreamName": "s", "ShardCount": 1})).await;
        pipeline.call("sqs", "CreateQueue", json!({"QueueName": "receipts"})).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let function = json!({
            "FunctionName": "f", "Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 60,
            "Role": format!("arn:aws:iam::{LOCAL_ACCOUNT}:role/r"), "Code": {"ZipFile": STANDARD.encode(zip())},
        });
        assert_eq!(pipeline.rest("lambda", "POST", "/2015-03-31/functions", function).await.status(), 201);
        let mapping = json!({
            "FunctionName": "f", "StartingPosition": "TRIM_HORIZON", "BatchSize": BATCH,
            "EventSourceArn": format!("arn:aws:kinesis:us-east-1:{LOCAL_ACCOUNT}:stream/s"),
        });
        let path = "/2015-03-31/event-source-mappings";
        assert_eq!(pipeline.rest("lambda", "POST", path, mapping).await.status(), 202);
        pipeline
    }

    async fn call(&self, service: &str, operation: &str, input: Value) -> Value {
        let service = self.cloud.service(service).expect("a service");
        service.call(operation, input).await.expect(operation)
    }

    async fn rest(&self, service: &str, method: &str, path: &str, body: Value) -> Response<Bytes> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri(path).header("host", "localhost").body(body);
        self.cloud.http_service(service).expect("a service").http(request.expect("a request")).await
    }

    /// Puts the records of a level, a batch each 100 ms, and waits until all are through.
    async fn put(&self, level: u32, sequences: std::ops::Range<u64>) {
        for sequence in sequences {
            let input = json!({"StreamName": "s", "PartitionKey": "k", "Data": data(level, sequence)});
            self.call("kinesis", "PutRecord", input).await;
            if sequence % BATCH == BATCH - 1 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
    }

    /// Every receipt in the queue.
    async fn receipts(&self) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        loop {
            let input =
                json!({"QueueUrl": "receipts", "MaxNumberOfMessages": 10, "VisibilityTimeout": 3_600});
            let answer = self.call("sqs", "ReceiveMessage", input).await;
            let Some(messages) = answer["Messages"].as_array() else { return receipts };
            let bodies = messages.iter().map(|message| message["Body"].as_str().expect("a body"));
            receipts.extend(bodies.map(|body| Receipt::from_message(body).expect("a receipt")));
        }
    }

    fn truth(&self, kind: &str) -> Vec<FaultEvent> {
        let log = self.cloud.context().faults.log();
        log.into_iter().filter(|event| event.kind == kind).collect()
    }

    fn struck(&self, kind: &str) -> u64 {
        self.cloud.context().faults.struck()[kind].strikes
    }
}

fn zip() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    archive.start_file("bootstrap", options).expect("start");
    archive.write_all(b"#!/bin/sh\n").expect("write");
    archive.finish().expect("finish").into_inner()
}

fn data(level: u32, sequence: u64) -> String {
    STANDARD.encode(format!(r#"{{"sg":{{"r":"{RUN}","l":{level},"s":{sequence},"d":{STARTS_US}}}}}"#))
}

/// How often each sequence is in the receipts.
fn seen(receipts: &[Receipt]) -> BTreeMap<u64, usize> {
    let mut seen = BTreeMap::new();
    for record in receipts.iter().flat_map(|receipt| &receipt.records) {
        *seen.entry(record.sequence).or_insert(0) += 1;
    }
    seen
}

fn sequences(events: &[FaultEvent]) -> Vec<u64> {
    let receipts = events.iter().map(|event| event.receipt.as_ref().expect("a receipt"));
    receipts.flat_map(|receipt| receipt.records.iter().map(|(_, sequence)| *sequence)).collect()
}

fn request_ids(events: &[FaultEvent]) -> BTreeSet<String> {
    events.iter().map(|event| event.receipt.as_ref().expect("a receipt").request_id.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn killed_before_its_receipt_an_invocation_leaves_none_and_its_batch_comes_again() {
    let pipeline = Pipeline::with(&["kill-function:count=3,at=work"]).await;
    pipeline.put(0, 0..600).await;
    let (truth, receipts) = (pipeline.truth("kill-function"), pipeline.receipts().await);
    assert_eq!((truth.len(), request_ids(&truth).len()), (3, 3), "{truth:?}");
    assert!(truth.iter().all(|event| event.at == Some(CrashPoint::Work) && event.records == BATCH));
    let killed = request_ids(&truth);
    assert!(receipts.iter().all(|receipt| !killed.contains(&receipt.request_id)));
    assert_eq!(seen(&receipts), (0..600).map(|sequence| (sequence, 1)).collect());
}

#[tokio::test(start_paused = true)]
async fn killed_after_its_receipt_an_invocation_is_seen_twice() {
    let pipeline = Pipeline::with(&["kill-function:count=3,at=receipt"]).await;
    pipeline.put(0, 0..600).await;
    let (truth, receipts) = (pipeline.truth("kill-function"), pipeline.receipts().await);
    assert_eq!((truth.len(), truth[0].at), (3, Some(CrashPoint::Receipt)));
    let killed = request_ids(&truth);
    assert_eq!(receipts.iter().filter(|receipt| killed.contains(&receipt.request_id)).count(), 3);
    let mut expected: BTreeMap<u64, usize> = (0..600).map(|sequence| (sequence, 1)).collect();
    sequences(&truth).into_iter().for_each(|sequence| *expected.entry(sequence).or_insert(0) += 1);
    assert_eq!(seen(&receipts), expected);
}

#[tokio::test(start_paused = true)]
async fn a_period_kills_once_in_each_and_the_seed_chooses_the_crash_points() {
    let run = async |seed: u64| {
        let pipeline = Pipeline::with(&[&format!("kill-function:every=1s,seed={seed}")]).await;
        pipeline.put(0, 0..2_000).await;
        let seen = seen(&pipeline.receipts().await);
        assert!((0..2_000).all(|sequence| seen.contains_key(&sequence)), "all come through in the end");
        pipeline.truth("kill-function")
    };
    let truth = run(4).await;
    assert!(truth.len() > 5, "{}", truth.len());
    assert!(truth.windows(2).all(|pair| pair[1].at_us - pair[0].at_us >= 1_000_000));
    let points: BTreeSet<bool> = truth.iter().map(|event| event.at == Some(CrashPoint::Work)).collect();
    assert_eq!(points.len(), 2, "both kinds of crash");
    assert_eq!(run(4).await, truth, "the same seed, the same strikes");
    assert_ne!(run(5).await, truth);
}

#[tokio::test(start_paused = true)]
async fn a_lost_receipt_is_acknowledged_and_never_comes() {
    let pipeline = Pipeline::with(&["lost-receipt:count=2,seed=3"]).await;
    pipeline.put(0, 0..600).await;
    let (truth, receipts) = (pipeline.truth("lost-receipt"), pipeline.receipts().await);
    assert_eq!(truth.len(), 2);
    let lost = sequences(&truth);
    assert_eq!(lost.len() as u64, 2 * BATCH);
    // The function was told that all is well: nothing is delivered again.
    let kept = (0..600).filter(|sequence| !lost.contains(sequence)).map(|sequence| (sequence, 1));
    assert_eq!(seen(&receipts), kept.collect());
    let event = &truth[0];
    assert_eq!((&*event.op, &*event.shard), ("SendMessage", "s/shardId-000000000000"));
    assert_eq!(event.kinesis_sequences.len() as u64, event.records);
    assert_eq!(event.receipt.as_ref().map(|receipt| &*receipt.run), Some(RUN));
}

#[tokio::test(start_paused = true)]
async fn receipts_of_probes_are_left_alone() {
    let pipeline = Pipeline::with(&["lost-receipt:count=40", "kill-function:count=40"]).await;
    pipeline.put(PROBE_LEVEL, 0..50).await;
    assert_eq!(seen(&pipeline.receipts().await).len(), 50);
    assert_eq!((pipeline.struck("lost-receipt"), pipeline.struck("kill-function")), (0, 0));
}

fn batch(sequences: std::ops::Range<u64>) -> Value {
    let records = sequences.map(|sequence| json!({"PartitionKey": "k", "Data": data(0, sequence)}));
    json!({"StreamName": "s", "Records": records.collect::<Vec<_>>()})
}

#[tokio::test(start_paused = true)]
async fn a_throttle_refuses_single_records_of_a_batch() {
    let pipeline = Pipeline::with(&["throttle:rate=20%,seed=9"]).await;
    let mut refused = Vec::new();
    for round in 0..10 {
        let answer = pipeline.call("kinesis", "PutRecords", batch(round * 100..round * 100 + 100)).await;
        let records = answer["Records"].as_array().expect("records").clone();
        let of_round = (0..100).filter(|index| records[*index as usize]["ErrorCode"].is_string());
        let of_round: Vec<u64> = of_round.map(|index| round * 100 + index).collect();
        assert_eq!(answer["FailedRecordCount"], of_round.len());
        let error = &records[(of_round[0] % 100) as usize];
        assert_eq!(error["ErrorCode"], "ProvisionedThroughputExceededException", "{error}");
        refused.extend(of_round);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((120..280).contains(&refused.len()), "{}", refused.len());
    let truth = pipeline.truth("throttle");
    assert_eq!(truth.iter().map(|event| event.records).sum::<u64>(), refused.len() as u64);
    assert!(truth.iter().all(|event| event.op == "PutRecords" && event.shard == "s"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let seen = seen(&pipeline.receipts().await);
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), {
        (0..1_000).filter(|sequence| !refused.contains(sequence)).collect::<Vec<_>>()
    });
    let one = json!({"StreamName": "s", "PartitionKey": "k", "Data": data(0, 0)});
    let kinesis = pipeline.cloud.service("kinesis").expect("Kinesis");
    let mut errors = Vec::new();
    for _ in 0..50 {
        errors.extend(kinesis.call("PutRecord", one.clone()).await.err());
    }
    assert!(!errors.is_empty() && errors.iter().all(|error| error.message.starts_with("Rate exceeded")));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_batch_is_known_record_by_record() {
    let pipeline = Pipeline::with(&["throttle:rate=30%", "lost-answer:rate=100%"]).await;
    let kinesis = pipeline.cloud.service("kinesis").expect("Kinesis");
    let error = kinesis.call("PutRecords", batch(0..100)).await.expect_err("the answer is lost");
    assert!(error.is_no_answer());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let [event] = &pipeline.truth("lost-answer")[..] else { panic!("one strike") };
    let receipts = pipeline.receipts().await;
    let records = receipts.iter().flat_map(|receipt| &receipt.records);
    let delivered: Vec<String> = records.map(|record| record.kinesis_sequence.to_string()).collect();
    assert!((40..100).contains(&delivered.len()), "{}", delivered.len());
    assert_eq!(event.kinesis_sequences, delivered);
    assert_eq!(event.records + pipeline.truth("throttle")[0].records, 100);
}

#[tokio::test(start_paused = true)]
async fn rest_services_are_struck_with_the_errors_that_each_gives() {
    let faults =
        ["throttle:rate=100%,op=Invoke", "error:rate=100%,op=GetFunction", "latency:for=2s,op=GetObject"];
    let more = [
        "throttle:rate=100%,op=PutObject",
        "error:rate=100%,op=HeadBucket",
        "lost-answer:count=1,op=ListFunctions",
    ];
    let pipeline = Pipeline::with(&[faults, more].concat()).await;
    let text = |response: &Response<Bytes>| String::from_utf8_lossy(response.body()).into_owned();
    let error_type = |response: &Response<Bytes>| {
        response.headers().get("x-amzn-errortype").map(|value| value.to_str().expect("text").to_owned())
    };
    let functions = "/2015-03-31/functions";

    let invoke = pipeline.rest("lambda", "POST", &format!("{functions}/f/invocations"), json!({})).await;
    assert_eq!(
        (invoke.status().as_u16(), error_type(&invoke).as_deref()),
        (429, Some("TooManyRequestsException"))
    );
    assert!(text(&invoke).contains("FunctionInvocationRateLimitExceeded"), "{}", text(&invoke));
    let get = pipeline.rest("lambda", "GET", &format!("{functions}/f"), Value::Null).await;
    assert_eq!((get.status().as_u16(), error_type(&get).as_deref()), (500, Some("ServiceException")));
    let put = pipeline.rest("s3", "PUT", "/bucket/key", json!({})).await;
    assert_eq!(put.status(), 503);
    assert!(text(&put).contains("<Code>SlowDown</Code>"), "{}", text(&put));
    let head = pipeline.rest("s3", "HEAD", "/bucket", Value::Null).await;
    assert_eq!((head.status().as_u16(), head.body().len()), (500, 0));

    let before_us = pipeline.cloud.context().clock.now_us();
    assert_eq!(pipeline.rest("s3", "GET", "/bucket/key", Value::Null).await.status(), 404);
    assert_eq!(pipeline.cloud.context().clock.now_us() - before_us, 2_000_000);
    let mut lost = 0;
    for _ in 0..super::strikes::RECORD_SPAN {
        let response = pipeline.rest("lambda", "GET", functions, Value::Null).await;
        lost += usize::from(response.extensions().get::<NoAnswer>().is_some());
    }
    assert_eq!(lost, 1);
    for kind in ["throttle", "error"] {
        assert_eq!((pipeline.struck(kind), pipeline.truth(kind).len()), (2, 2), "{kind}");
    }
}
