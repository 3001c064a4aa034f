//! What tests of the whole main job in virtual time share: the real SDK clients and the real services in one
//! process, under tokio's paused clock. Minutes of load take seconds, and no socket or process is opened.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;
use serde_json::{Value, json};
use streamgauge::cli::rehearsal::{Between, Place};
use streamgauge::consumer::QUEUE_URL_VARIABLE;
use streamgauge::evidence::model::RunEnd;
use streamgauge::local::cloud::Cloud;
use streamgauge::local::faults::FaultEvent;
use streamgauge::local::lambda::host::in_process::{Handler, Invocation};
use streamgauge::local::service::{ApiResult, BoxFuture, Service};
use streamgauge::plan::Rehearsal;
use streamgauge::platform::clients::Clients;
use streamgauge::platform::clock::Clock;
use streamgauge::platform::spread::Spread;
use streamgauge::session::progress::Silent;
use streamgauge::session::publish::publish;
use streamgauge::session::run::{RunRequest, run};
use streamgauge::stack::artifact::Artifact;
use streamgauge::stack::{self, UpRequest};
use streamgauge::{cost, plan};

pub const WORK: Duration = Duration::from_millis(15);

/// Nothing takes time but a cold start and the function.
fn model(seed: u64, work: Duration) -> Rehearsal {
    Rehearsal {
        seed,
        put_latency: Spread::NONE,
        cold_start: Spread::fixed(Duration::from_millis(80)),
        per_batch: Spread::fixed(work),
        per_record: Spread::NONE,
        ..Rehearsal::default()
    }
}

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
    /// How long the function takes for each batch, beyond what the plan asks for.
    fn work(&self) -> Duration {
        WORK
    }
}

struct Deaf;
impl Listener for Deaf {}

/// The longest that the tool hides an on-failure message that it lists, and the waits of a batch's last retries.
const DEAD_LETTERS_REST: Duration = Duration::from_secs(120);

/// A rehearsal's place, listened to.
struct Heard<'l, L, B> {
    listener: &'l Arc<L>,
    /// Taken once.
    door: Cell<Option<B>>,
}

impl<L, B> Between for Heard<'_, L, B>
where
    L: Listener + 'static,
    B: FnOnce(&Arc<Cloud>, SharedHttpClient) -> SharedHttpClient,
{
    fn function(&self, function: Handler) -> Handler {
        let listener = Arc::clone(self.listener);
        Arc::new(move |invocation: Invocation| {
            // A function that is not the tool's own sends no receipts and accepts whatever comes.
            if !invocation.environment.contains_key(QUEUE_URL_VARIABLE) {
                return Box::pin(std::future::ready(Ok(Bytes::from_static(b"{}"))));
            }
            listener.invoked(&invocation.request_id, &invocation.event);
            function(invocation)
        })
    }

    fn receipts(&self, queue: Arc<dyn Service>) -> Arc<dyn Service> {
        Arc::new(Overheard { queue, listener: Arc::clone(self.listener) })
    }

    fn door(&self, cloud: &Arc<Cloud>, door: SharedHttpClient) -> SharedHttpClient {
        let between = self.door.take().expect("a place has one door");
        between(cloud, door)
    }
}

/// The queue for receipts.
struct Overheard<L> {
    queue: Arc<dyn Service>,
    listener: Arc<L>,
}

impl<L: Listener> Service for Overheard<L> {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        self.listener.sent(input["MessageBody"].as_str().expect("only receipts are sent through here"));
        self.queue.call(operation, input)
    }
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
        let faults = faults.iter().map(|spec| spec.parse().unwrap()).collect();
        let heard = Heard { listener, door: Cell::new(Some(between)) };
        let place = Place::new(&model(seed, listener.work()), "us-east-1", faults, &heard).await;
        let Place { clock, cloud, clients, .. } = place.unwrap_or_else(|error| panic!("{error:?}"));
        Field { cloud, clients, clock, root: tempfile::tempdir().unwrap() }
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
