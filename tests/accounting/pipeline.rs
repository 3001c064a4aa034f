//! One run: the real SDK clients, the real session and the real services in one process, in virtual time.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
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
use streamgauge::session::run::{RunRequest, run as session_run};
use streamgauge::stack::artifact::Artifact;
use streamgauge::stack::{self, UpRequest};
use streamgauge::wire::receipt::Receipt;
use streamgauge::{cost, plan};

use super::taps::{Heard, Tap, listening};

const STARTS_US: i64 = 1_763_688_760_000_000;
const INIT: Duration = Duration::from_millis(80);
const WORK: Duration = Duration::from_millis(15);

/// What a seed comes to: a small plan and some faults.
#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    pub plan: String,
    pub faults: Vec<String>,
}

impl Scenario {
    /// Three seconds of load, up to 500 records. The faults come in any combination, and often enough to meet.
    pub fn of(seed: u64) -> Scenario {
        let mut rng = fastrand::Rng::with_seed(seed);
        let put = if rng.u32(..4) == 0 { "record" } else { "batch" };
        let (keys, shards, rate) = (rng.u32(1..12), rng.u32(1..4), rng.u32(60..200));
        let (batch_size, parallelization) = (rng.u32(5..60), rng.u32(1..3));
        let plan = format!(
            "schema: streamgauge/plan/v1\nname: faults\ndrain: 60s\nenvironment:\n  stream: {{shards: {shards}}}\n  \
             function: {{batch_size: {batch_size}, parallelization: {parallelization}}}\nphases:\n  - name: p\n    \
             tests:\n      - id: t\n        name: t\n        payload: small\n        put: {put}\n        \
             keys: {{count: {keys}, seed: {seed}}}\n        attempt_timeout: 2s\n        stages:\n          \
             - {{duration: 1s, target: {rate}}}\n          - {{duration: 2s, target: {rate}}}\n"
        );
        let mut faults = Vec::new();
        let mut add = |spec: String| {
            if rng.bool() {
                faults.push(format!("{spec},seed={}", rng.u32(..1_000)));
            }
        };
        let counts = fastrand::Rng::with_seed(!seed);
        let mut counts = counts;
        add(format!("drop:count={}", counts.u32(1..9)));
        add(format!("redeliver:count={}", counts.u32(1..4)));
        add(format!("swap:count={}", counts.u32(1..5)));
        add(format!("lost-answer:rate={}%", counts.u32(1..15)));
        add(format!("throttle:rate={}%", counts.u32(1..15)));
        add(format!("error:rate={}%", counts.u32(1..10)));
        add(format!("kill-function:count={}", counts.u32(1..3)));
        add(format!("lost-receipt:count={}", counts.u32(1..3)));
        Scenario { seed, plan, faults }
    }
}

pub struct Ran {
    pub seed: u64,
    pub keys: plan::Keys,
    pub report: Value,
    pub faults: Vec<FaultEvent>,
    pub heard: Heard,
}

/// Sends receipts to the local SQS without a client between: the function's own client is not under test.
struct ToQueue {
    cloud: Arc<OnceLock<Arc<Cloud>>>,
    queue_url: Arc<OnceLock<String>>,
    tap: Tap,
}

impl ReceiptSender for ToQueue {
    async fn send(&self, message: String) -> Result<(), String> {
        let (Some(cloud), Some(url)) = (self.cloud.get(), self.queue_url.get()) else {
            return Err("the endpoint is not assembled yet".to_owned());
        };
        let receipt = Receipt::from_message(&message).map_err(|error| error.to_string())?;
        self.tap.lock().unwrap().receipts.push(receipt);
        let sqs = cloud.service("sqs").ok_or("no SQS")?;
        let sent = sqs.call("SendMessage", json!({"QueueUrl": url, "MessageBody": message})).await;
        sent.map(drop).map_err(|error| error.to_string())
    }
}

fn host(clock: Clock, cloud: &Arc<OnceLock<Arc<Cloud>>>, seed: u64, tap: &Tap) -> InProcessHost {
    let queue_url = Arc::new(OnceLock::new());
    let sender =
        ToQueue { cloud: Arc::clone(cloud), queue_url: Arc::clone(&queue_url), tap: Arc::clone(tap) };
    let now: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(move || clock.now_us());
    let handler = Arc::new(Handler::new(sender, now, Work::Modelled(Arc::new(|_| WORK)), seed));
    let tap = Arc::clone(tap);
    let call = move |invocation: Invocation| {
        let (handler, queue_url, tap) = (Arc::clone(&handler), Arc::clone(&queue_url), Arc::clone(&tap));
        let answer = async move {
            tap.lock().unwrap().handled(&invocation.event);
            queue_url.get_or_init(|| invocation.environment[QUEUE_URL_VARIABLE].clone());
            let context = InvocationContext {
                request_id: invocation.request_id,
                memory_limit_mb: invocation.memory_mb,
                memory_used_mb: Arc::new(|| 64),
            };
            let answered = handler.handle_bytes(&invocation.event, &context).await;
            answered.map(|answer| Bytes::from(answer.to_string())).map_err(|error| FunctionFailure {
                error_type: error.kind().to_owned(),
                message: error.to_string(),
            })
        };
        Box::pin(answer) as streamgauge::local::service::BoxFuture<'static, _>
    };
    InProcessHost::new(clock, Arc::new(call), INIT, seed)
}

/// Up, run, report, down: everything that `streamgauge test` does between its own start and end.
pub async fn run(scenario: &Scenario) -> Ran {
    let root = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(STARTS_US);
    let tap: Tap = Arc::new(Mutex::new(Heard::default()));
    let assembled = Arc::new(OnceLock::new());
    let cloud = Cloud::start(CloudSettings {
        clock,
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        seed: scenario.seed,
        faults: scenario.faults.iter().map(|spec| spec.parse().unwrap()).collect(),
        work_dir: root.path().join("work"),
        host: HostKind::InProcess(Arc::new(host(clock, &assembled, scenario.seed, &tap))),
    })
    .unwrap();
    assembled.set(Arc::clone(&cloud)).ok().unwrap();
    let door = Door::InProcess(listening(sdk_http_client(Arc::clone(&cloud)), Arc::clone(&tap)));
    let clients = connect(ClientSettings { region: None, door, clock }).await.unwrap();
    let plan = plan::parse(&scenario.plan).unwrap_or_else(|error| panic!("{error:?}\n{}", scenario.plan));
    let keys = plan.tests().next().unwrap().keys.clone();
    let standing = stack::up(&clients, clock, &up_request(&plan, root.path()), &|_| {}).await.unwrap();
    let finished = session_run(request(&clients, clock, plan, standing, root.path())).await.unwrap();
    assert_eq!(finished.end, RunEnd::Completed, "{scenario:?}: {:?}", finished.failure);
    let published = publish(&finished.dir).unwrap();
    cloud.end().await;
    let report = serde_json::from_str(&streamgauge::report::json(&published.model)).unwrap();
    let heard = std::mem::take(&mut *tap.lock().unwrap());
    Ran { seed: scenario.seed, keys, report, faults: cloud.context().faults.log(), heard }
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
