//! What tests of the whole main job in virtual time share: the real SDK clients and the real services in one
//! process, under tokio's paused clock. Minutes of load take seconds, and no socket or process is opened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;
use serde_json::{Value, json};
use streamgauge::consumer::{
    ENVELOPE_PATHS_VARIABLE, Handler, InvocationContext, ON_POISON_VARIABLE, QUEUE_URL_VARIABLE,
    ReceiptSender, Work, envelope_paths_from, on_poison_from,
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

/// Hears what goes on between the parts, for tests whose truth must not come from what is under test.
pub trait Listener: Send + Sync {
    /// The door that the tool's clients go through, listened to.
    fn door(self: Arc<Self>, door: SharedHttpClient) -> SharedHttpClient {
        door
    }
    /// A batch reached the function, whatever becomes of it there.
    fn invoked(&self, _request_id: &str, _event: &[u8]) {}
    /// The function sent a receipt, whatever becomes of it.
    fn sent(&self, _message: &str) {}
    /// A message stood in the on-failure queue a while after the run.
    fn dead_letter(&self, _body: &str) {}
    /// The services are up; nothing stands in them yet.
    fn assembled(&self, _cloud: &Arc<Cloud>) {}
    /// How long the function works on each batch.
    fn work(&self) -> Duration {
        WORK
    }
    /// What the function says that it uses.
    fn memory_used_mb(&self) -> u32 {
        64
    }
    /// Whether the function fails on this batch as a whole, before it works on it.
    fn fails(&self) -> bool {
        false
    }
}

struct Deaf;
impl Listener for Deaf {}

/// The longest that the tool hides an on-failure message that it lists, and the waits of a batch's last retries.
const DEAD_LETTERS_REST: Duration = Duration::from_secs(120);

/// Sends receipts to the local SQS without a client between: the function's own client is not under test.
struct ToQueue<L: Listener> {
    cloud: Arc<OnceLock<Arc<Cloud>>>,
    queue_url: String,
    listener: Arc<L>,
}

impl<L: Listener> ReceiptSender for ToQueue<L> {
    async fn send(&self, message: String) -> Result<(), String> {
        let Some(cloud) = self.cloud.get() else {
            return Err("the endpoint is not assembled yet".to_owned());
        };
        self.listener.sent(&message);
        let sqs = cloud.service("sqs").ok_or("no SQS")?;
        let sent = sqs.call("SendMessage", json!({"QueueUrl": self.queue_url, "MessageBody": message})).await;
        sent.map(drop).map_err(|error| error.to_string())
    }
}

fn host<L: Listener + 'static>(
    clock: Clock,
    cloud: &Arc<OnceLock<Arc<Cloud>>>,
    seed: u64,
    listener: &Arc<L>,
) -> InProcessHost {
    let (cloud, handler, listener) = (Arc::clone(cloud), Arc::new(OnceLock::new()), Arc::clone(listener));
    let call = move |invocation: Invocation| {
        let (cloud, handler, listener) = (Arc::clone(&cloud), Arc::clone(&handler), Arc::clone(&listener));
        let answer = async move {
            // A function that is not the tool's own sends no receipts and accepts whatever comes.
            if !invocation.environment.contains_key(QUEUE_URL_VARIABLE) {
                return Ok(Bytes::from_static(b"{}"));
            }
            listener.invoked(&invocation.request_id, &invocation.event);
            if listener.fails() {
                let message = "planted".to_owned();
                return Err(FunctionFailure { error_type: "Runtime.Planted".to_owned(), message });
            }
            let memory_used_mb = listener.memory_used_mb();
            // What the stack sets is known with the first invocation.
            let handler = handler.get_or_init(|| {
                let of = |name: &str| invocation.environment.get(name).cloned();
                let queue_url = of(QUEUE_URL_VARIABLE).expect("the stack sets it");
                let on_poison = on_poison_from(of(ON_POISON_VARIABLE)).expect("the stack sets a known one");
                let working = Arc::clone(&listener);
                let work = Work::Modelled(Arc::new(move |_| working.work()));
                let now: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(move || clock.now_us());
                let sender = ToQueue { cloud, queue_url, listener };
                let paths =
                    envelope_paths_from(of(ENVELOPE_PATHS_VARIABLE)).expect("the stack sets known ones");
                Handler::new(sender, now, work, seed).on_poison(on_poison).envelope_paths(paths)
            });
            let context = InvocationContext {
                request_id: invocation.request_id,
                memory_limit_mb: invocation.memory_mb,
                memory_used_mb: Arc::new(move || memory_used_mb),
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

pub struct Ran {
    pub report: Value,
    pub end: RunEnd,
    pub truth: Vec<FaultEvent>,
    /// Run directory; goes with the rest of this.
    pub dir: PathBuf,
    _root: tempfile::TempDir,
}

/// The services in this process, and the real clients to them.
pub struct Field {
    pub cloud: Arc<Cloud>,
    pub clients: Clients,
    pub clock: Clock,
    pub root: tempfile::TempDir,
}

impl Field {
    pub async fn new(faults: &[&str], seed: u64) -> Field {
        Field::seen_through(faults, seed, |_, door| door).await
    }

    /// `between` may put another HTTP client between the SDK and the endpoint.
    pub async fn seen_through(
        faults: &[&str],
        seed: u64,
        between: impl FnOnce(&Arc<Cloud>, SharedHttpClient) -> SharedHttpClient,
    ) -> Field {
        Field::heard(faults, seed, &Arc::new(Deaf), between).await
    }

    /// What the function is handed is told to `listener`.
    pub async fn heard<L: Listener + 'static>(
        faults: &[&str],
        seed: u64,
        listener: &Arc<L>,
        between: impl FnOnce(&Arc<Cloud>, SharedHttpClient) -> SharedHttpClient,
    ) -> Field {
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
            host: HostKind::InProcess(Arc::new(host(clock, &assembled, seed, listener))),
            memory: Default::default(),
        })
        .unwrap();
        assembled.set(Arc::clone(&cloud)).ok().unwrap();
        listener.assembled(&cloud);
        let door = Door::InProcess(between(&cloud, sdk_http_client(Arc::clone(&cloud))));
        let clients = connect(ClientSettings { region: None, door, clock }).await.unwrap();
        Field { cloud, clients, clock, root }
    }
}

/// Up, run, report, down: everything that `streamgauge test` does between its own start and end.
pub async fn test(plan_text: &str, faults: &[&str], seed: u64) -> Ran {
    test_heard(plan_text, faults, seed, &Arc::new(Deaf)).await
}

/// [`test`], listened to.
pub async fn test_heard<L: Listener + 'static>(
    plan_text: &str,
    faults: &[&str],
    seed: u64,
    listener: &Arc<L>,
) -> Ran {
    let ran = test_however_it_ends(plan_text, faults, seed, listener).await;
    assert_eq!(ran.end, RunEnd::Completed);
    ran
}

/// [`test_heard`] of a run that may be stopped early.
pub async fn test_however_it_ends<L: Listener + 'static>(
    plan_text: &str,
    faults: &[&str],
    seed: u64,
    listener: &Arc<L>,
) -> Ran {
    let plan = plan::parse(plan_text).unwrap_or_else(|error| panic!("{error:?}\n{plan_text}"));
    // Boxed: the compiler follows types only so deep.
    Box::pin(test_of_plan(plan, faults, seed, listener)).await
}

/// [`test_however_it_ends`], of a plan that was read by the test: one that names files.
pub async fn test_of_plan<L: Listener + 'static>(
    plan: plan::Plan,
    faults: &[&str],
    seed: u64,
    listener: &Arc<L>,
) -> Ran {
    let between = |_: &Arc<Cloud>, door| Arc::clone(listener).door(door);
    let Field { cloud, clients, clock, root } = Field::heard(faults, seed, listener, between).await;
    let standing = stack::up(&clients, clock, &up_request(&plan, root.path()), &|_| {}).await.unwrap();
    let dlq_url = standing.dlq_url.clone();
    let planted = faults.iter().map(|spec| (*spec).to_owned()).collect();
    let request = RunRequest { faults: planted, ..request(&clients, clock, plan, standing, root.path()) };
    let finished = run(request).await.unwrap();
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    let published = publish(&finished.dir).unwrap();
    hear_dead_letters(&cloud, &dlq_url, listener.as_ref()).await;
    let left = stack::down(&clients, clock, "virtual", &|_| {}).await.unwrap();
    assert_eq!(left, Vec::<String>::new());
    cloud.end().await;
    let report = serde_json::from_str(&streamgauge::report::json(&published.model)).unwrap();
    Ran { report, end: finished.end, truth: cloud.context().faults.log(), dir: finished.dir, _root: root }
}

/// Reads the on-failure queue empty, past the tool's own lookup and past the faults.
async fn hear_dead_letters(cloud: &Cloud, dlq_url: &str, listener: &impl Listener) {
    tokio::time::sleep(DEAD_LETTERS_REST).await;
    let sqs = cloud.service("sqs").expect("the endpoint has SQS");
    loop {
        let poll = json!({"QueueUrl": dlq_url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 43_200});
        let answer = sqs.call("ReceiveMessage", poll).await.unwrap();
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        if messages.is_empty() {
            return;
        }
        messages.iter().for_each(|message| listener.dead_letter(message["Body"].as_str().unwrap()));
    }
}

pub fn up_request(plan: &plan::Plan, root: &Path) -> UpRequest {
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
        lineage: Default::default(),
        rehearsal: None,
    }
}

pub fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name)).unwrap()
}
