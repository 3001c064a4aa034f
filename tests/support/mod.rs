//! What tests of the whole main job in virtual time share: the real SDK clients and the real services in one
//! process, under tokio's paused clock. Minutes of load take seconds, and no socket or process is opened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use streamgauge::consumer::{
    Handler, InvocationContext, ON_POISON_VARIABLE, QUEUE_URL_VARIABLE, ReceiptSender, Work, on_poison_from,
};
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
pub const WORK: Duration = Duration::from_millis(15);

/// Sends receipts to the local SQS without a client between: the function's own client is not under test.
struct ToQueue {
    cloud: Arc<OnceLock<Arc<Cloud>>>,
    queue_url: String,
}

impl ReceiptSender for ToQueue {
    async fn send(&self, message: String) -> Result<(), String> {
        let Some(cloud) = self.cloud.get() else {
            return Err("the endpoint is not assembled yet".to_owned());
        };
        let sqs = cloud.service("sqs").ok_or("no SQS")?;
        let sent = sqs.call("SendMessage", json!({"QueueUrl": self.queue_url, "MessageBody": message})).await;
        sent.map(drop).map_err(|error| error.to_string())
    }
}

fn host(clock: Clock, cloud: &Arc<OnceLock<Arc<Cloud>>>, seed: u64) -> InProcessHost {
    let (cloud, handler) = (Arc::clone(cloud), Arc::new(OnceLock::new()));
    let call = move |invocation: Invocation| {
        let (cloud, handler) = (Arc::clone(&cloud), Arc::clone(&handler));
        let answer = async move {
            // A function that is not the tool's own sends no receipts and accepts whatever comes.
            if !invocation.environment.contains_key(QUEUE_URL_VARIABLE) {
                return Ok(Bytes::from_static(b"{}"));
            }
            // What the stack sets is known with the first invocation.
            let handler = handler.get_or_init(|| {
                let of = |name: &str| invocation.environment.get(name).cloned();
                let queue_url = of(QUEUE_URL_VARIABLE).expect("the stack sets it");
                let on_poison = on_poison_from(of(ON_POISON_VARIABLE)).expect("the stack sets a known one");
                let work = Work::Modelled(Arc::new(|_| WORK));
                let now: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(move || clock.now_us());
                Handler::new(ToQueue { cloud, queue_url }, now, work, seed).on_poison(on_poison)
            });
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

pub struct Ran {
    pub report: Value,
    pub truth: Vec<FaultEvent>,
    /// Run directory; goes with the rest of this.
    pub dir: PathBuf,
    _root: tempfile::TempDir,
}

/// The services in this process, and the real clients to them.
pub struct Services {
    pub cloud: Arc<Cloud>,
    pub clients: Clients,
    pub clock: Clock,
    pub root: tempfile::TempDir,
}

/// Starts services with these faults.
pub async fn services(faults: &[&str], seed: u64) -> Services {
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
    Services { cloud, clients, clock, root }
}

/// Up, run, report, down: everything that `streamgauge test` does between its own start and end.
pub async fn test(plan_text: &str, faults: &[&str], seed: u64) -> Ran {
    let Services { cloud, clients, clock, root } = services(faults, seed).await;
    let plan = plan::parse(plan_text).unwrap();
    let standing = stack::up(&clients, clock, &up_request(&plan, root.path()), &|_| {}).await.unwrap();
    let planted = faults.iter().map(|spec| (*spec).to_owned()).collect();
    let request = RunRequest { faults: planted, ..request(&clients, clock, plan, standing, root.path()) };
    let finished = run(request).await.unwrap();
    assert_eq!(finished.end, RunEnd::Completed, "{:?}", finished.failure);
    let published = publish(&finished.dir).unwrap();
    let left = stack::down(&clients, clock, "virtual", &|_| {}).await.unwrap();
    assert_eq!(left, Vec::<String>::new());
    cloud.end().await;
    let report = serde_json::from_str(&streamgauge::report::json(&published.model)).unwrap();
    Ran { report, truth: cloud.context().faults.log(), dir: finished.dir, _root: root }
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

/// A run of the whole plan that nobody stops.
pub fn request(
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

pub fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name)).unwrap()
}
