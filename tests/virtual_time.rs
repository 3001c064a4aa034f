//! The whole main job through the other door: the real SDK clients and the real services in one process,
//! under tokio's paused clock. Minutes of load take seconds, and no socket or process is opened.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use streamgauge::consumer::{Handler, InvocationContext, QUEUE_URL_VARIABLE, ReceiptSender, Work};
use streamgauge::evidence::model::RunEnd;
use streamgauge::local::cloud::{Cloud, CloudSettings, HostKind};
use streamgauge::local::door::in_process::sdk_http_client;
use streamgauge::local::faults::FaultEvent;
use streamgauge::local::lambda::host::in_process::{FunctionFailure, InProcessHost, Invocation};
use streamgauge::platform::clients::{ClientSettings, Clients, Door, connect};
use streamgauge::platform::clock::Clock;
use streamgauge::session::progress::Silent;
use streamgauge::session::publish::publish;
use streamgauge::session::run::{RunRequest, run};
use streamgauge::stack::artifact::Artifact;
use streamgauge::stack::{self, UpRequest};
use streamgauge::{cost, plan};

const STARTS_US: i64 = 1_763_688_760_000_000;
const INIT: Duration = Duration::from_millis(80);
const WORK: Duration = Duration::from_millis(15);

/// Sends receipts to the local SQS without a client between: the function's own client is not under test.
struct ToQueue {
    cloud: Arc<OnceLock<Arc<Cloud>>>,
    queue_url: Arc<OnceLock<String>>,
}

impl ReceiptSender for ToQueue {
    async fn send(&self, message: String) -> Result<(), String> {
        let (Some(cloud), Some(url)) = (self.cloud.get(), self.queue_url.get()) else {
            return Err("the endpoint is not assembled yet".to_owned());
        };
        let sqs = cloud.service("sqs").ok_or("no SQS")?;
        let sent = sqs.call("SendMessage", json!({"QueueUrl": url, "MessageBody": message})).await;
        sent.map(drop).map_err(|error| error.to_string())
    }
}

fn host(clock: Clock, cloud: &Arc<OnceLock<Arc<Cloud>>>, seed: u64) -> InProcessHost {
    let queue_url = Arc::new(OnceLock::new());
    let sender = ToQueue { cloud: Arc::clone(cloud), queue_url: Arc::clone(&queue_url) };
    let now: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(move || clock.now_us());
    let handler = Arc::new(Handler::new(sender, now, Work::Modelled(Arc::new(|_| WORK)), seed));
    let call = move |invocation: Invocation| {
        let (handler, queue_url) = (Arc::clone(&handler), Arc::clone(&queue_url));
        let answer = async move {
            queue_url.get_or_init(|| invocation.environment[QUEUE_URL_VARIABLE].clone());
            let context = InvocationContext {
                request_id: invocation.request_id,
                memory_limit_mb: invocation.memory_mb,
                memory_used_mb: Arc::new(|| 64),
            };
            match handler.handle_bytes(&invocation.event, &context).await {
                Ok(answer) => Ok(Bytes::from(answer.to_string())),
                Err(error) => {
                    Err(FunctionFailure { error_type: "HandlerError".to_owned(), message: error.to_string() })
                }
            }
        };
        Box::pin(answer) as streamgauge::local::service::BoxFuture<'static, _>
    };
    InProcessHost::new(clock, Arc::new(call), INIT, seed)
}

struct Ran {
    report: Value,
    truth: Vec<FaultEvent>,
    _root: tempfile::TempDir,
}

/// Up, run, report, down: everything that `streamgauge test` does between its own start and end.
async fn test(plan_text: &str, faults: &[&str], seed: u64) -> Ran {
    let root = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(STARTS_US);
    let assembled = Arc::new(OnceLock::new());
    let cloud = Cloud::start(CloudSettings {
        clock,
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        seed,
        faults: faults.iter().map(|spec| spec.parse().unwrap()).collect(),
        work_dir: root.path().join("work"),
        host: HostKind::InProcess(Arc::new(host(clock, &assembled, seed))),
    })
    .unwrap();
    assembled.set(Arc::clone(&cloud)).ok().unwrap();
    let door = Door::InProcess(sdk_http_client(Arc::clone(&cloud)));
    let clients = connect(ClientSettings { region: None, door, clock }).await.unwrap();
    let plan = plan::parse(plan_text).unwrap();
    let standing = stack::up(&clients, clock, &up_request(&plan, root.path()), &|_| {}).await.unwrap();
    let finished = run(RunRequest {
        faults: faults.iter().map(|spec| (*spec).to_owned()).collect(),
        ..request(&clients, clock, plan, standing, root.path())
    })
    .await
    .unwrap();
    assert_eq!(finished.end, RunEnd::Completed, "{:?}", finished.failure);
    let published = publish(&finished.dir).unwrap();
    let left = stack::down(&clients, clock, "virtual", &|_| {}).await.unwrap();
    assert_eq!(left, Vec::<String>::new());
    cloud.end().await;
    let report = serde_json::from_str(&streamgauge::report::json(&published.model)).unwrap();
    Ran { report, truth: cloud.context().faults.log(), _root: root }
}

fn up_request(plan: &plan::Plan, root: &Path) -> UpRequest {
    let script = root.join("function");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    UpRequest {
        env: "virtual".to_owned(),
        environment: plan.environment.clone(),
        tags: plan.tags.clone(),
        function_zip: Artifact::from_executable(&script).unwrap(),
    }
}

fn request(
    clients: &Clients,
    clock: Clock,
    plan: plan::Plan,
    standing: stack::Standing,
    root: &Path,
) -> RunRequest {
    let (sender, stop) = tokio::sync::watch::channel(0);
    // Nobody asks to stop.
    std::mem::forget(sender);
    RunRequest {
        clients: clients.clone(),
        clock,
        selected: (0..plan.tests().count()).collect(),
        plan,
        env: "virtual".to_owned(),
        standing,
        runs: root.join("runs"),
        faults: Vec::new(),
        prices: cost::BUILTIN_PRICES.to_owned(),
        max_cost_usd: None,
        stop,
        progress: Arc::new(Silent),
    }
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_quickstart_passes_and_every_record_is_delivered() {
    let ran = test(&shipped("quickstart.yaml"), &[], 1).await;
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
    let delivery = &ran.report["delivery"];
    assert_eq!((&delivery["acked"], &delivery["delivered"]), (&json!(9_000), &json!(9_000)), "{delivery}");
    assert_eq!(delivery["lost"], 0);
    // The function takes 15 ms a batch and nothing else takes time: the stages say so.
    for level in ran.report["tests"][0]["levels"].as_array().unwrap() {
        let function_ms = level["stages_ms"]["function"]["p50"].as_f64().unwrap();
        assert!((14.9..15.1).contains(&function_ms), "{function_ms}");
        assert_eq!(
            level["put_latency_ms"]["p50"].as_f64().unwrap().round(),
            level["generator_lag_ms"]["p50"].as_f64().unwrap().round()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_breaking_point_is_the_shards_write_limit() {
    let ran = test(&shipped("breaking-point.yaml"), &[], 1).await;
    assert_eq!(ran.report["run"]["verdict"], "fail");
    let finding = &ran.report["findings"][0];
    assert!(finding["limit"].as_str().unwrap().contains("Kinesis write"), "{finding}");
    let from_rps = finding["from_rps"].as_f64().unwrap();
    assert!((1_000.0..=1_200.0).contains(&from_rps), "{finding}");
    let delivery = &ran.report["delivery"];
    assert_eq!(delivery["delivered"], delivery["acked"], "{delivery}");
    assert_eq!(delivery["lost"], 0, "{delivery}");
    // One shard takes 1,000 a second: the last level is refused down to that.
    let last = ran.report["tests"][0]["levels"].as_array().unwrap().last().unwrap().clone();
    let achieved = last["achieved_rps"].as_f64().unwrap();
    assert!((990.0..=1_010.0).contains(&achieved), "{achieved}");
}

/// Whatever the seed plants, the accounting finds exactly that.
#[tokio::test(start_paused = true)]
async fn the_accounting_equals_the_truth_for_many_seeds() {
    let text = shipped("quickstart.yaml")
        .replacen("  payload: medium", "  keys: {count: 7}\n  payload: small", 1)
        .replacen("put: record", "put: batch", 1);
    assert!(text.contains("keys:") && text.contains("put: batch"), "the shipped plan has changed");
    for seed in 1..=3 {
        let (drops, redelivered, swaps) = (seed * 11, seed % 3 + 1, seed % 4 + 1);
        let faults = [
            format!("drop:count={drops},seed={seed}"),
            format!("redeliver:count={redelivered},seed={seed}"),
            format!("swap:count={swaps},seed={seed}"),
        ];
        let ran = test(&text, &faults.each_ref().map(String::as_str), seed).await;
        let of = |kind: &str| ran.truth.iter().filter(|event| event.kind == kind).collect::<Vec<_>>();
        let struck =
            |kind: &str| of(kind).iter().map(|event| event.kinesis_sequences.len() as u64).sum::<u64>();
        let delivery = &ran.report["delivery"];
        let why = format!("seed {seed}: {delivery}\n{:?}", ran.truth);
        assert_eq!(
            (of("drop").len() as u64, of("redeliver").len() as u64, of("swap").len() as u64),
            (drops, redelivered, swaps),
            "{why}"
        );
        assert_eq!(delivery["acked"], 9_000, "{why}");
        assert_eq!(delivery["lost"], drops, "{why}");
        assert_eq!(delivery["delivered"], 9_000 - drops, "{why}");
        assert_eq!(delivery["unconfirmed"], 0, "{why}");
        assert_eq!(delivery["duplicated"]["redelivery"], struck("redeliver"), "{why}");
        assert_eq!(delivery["duplicated"]["producer"], 0, "{why}");
        assert_eq!(delivery["out_of_order"], swaps, "{why}");
    }
}
