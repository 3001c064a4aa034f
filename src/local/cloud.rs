//! The endpoint as a whole: its services, and what the doors need to know about them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::watch;

use super::cloudformation::CloudFormation;
use super::cloudwatch::CloudWatch;
use super::faults::{Asker, FaultSpec, Faults, FaultyHttp, FaultyService, KillingSqs};
use super::iam::Iam;
use super::kinesis::{self, Kinesis};
use super::lambda::host::FunctionHost;
use super::lambda::host::process::ProcessHost;
use super::lambda::{Lambda, Peers};
use super::logs::{self, Logs};
use super::metrics::MetricSink;
use super::s3::S3;
use super::scheduler::Scheduler;
use super::service::{BoxFuture, Context, HttpService, Service};
use super::sqs::Sqs;
use super::sts::Sts;
use crate::platform::clock::Clock;

/// The account of the local endpoint: AWS's documentation uses it, nobody owns it.
pub const LOCAL_ACCOUNT: &str = "123456789012";

pub struct CloudSettings {
    pub clock: Clock,
    pub region: String,
    /// Twelve digits.
    pub account: String,
    pub seed: u64,
    pub faults: Vec<FaultSpec>,
    /// Where functions are unpacked.
    pub work_dir: PathBuf,
    pub host: HostKind,
    pub memory: MemoryBounds,
}

/// What the endpoint keeps at most; the oldest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBounds {
    /// Bytes of records that Kinesis keeps over all streams; what happens beyond: `kinesis/memory.rs`.
    pub records_bytes: u64,
    /// Beyond so many bytes of records those that were read go.
    pub read_records_bytes: u64,
    /// Bytes of events in a log group, what keeping them takes included.
    pub log_group_bytes: u64,
}

impl Default for MemoryBounds {
    fn default() -> MemoryBounds {
        let records_bytes = kinesis::MEMORY_BOUND_BYTES;
        let log_group_bytes = logs::store::GROUP_BYTES_MAX;
        MemoryBounds { records_bytes, read_records_bytes: records_bytes, log_group_bytes }
    }
}

/// What runs functions.
pub enum HostKind {
    /// A process a sandbox.
    Process,
    /// A handler inside this process, which may run in virtual time.
    InProcess(Arc<dyn FunctionHost>),
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("'{0}' is not an account id of twelve digits")]
    Account(String),
}

/// What a service has to do before the process may end.
type Ending = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

pub struct Cloud {
    ctx: Context,
    /// By the name that requests are signed for: `kinesis`, `monitoring`, `sqs`, ...
    services: BTreeMap<&'static str, Arc<dyn Service>>,
    http_services: BTreeMap<&'static str, Arc<dyn HttpService>>,
    token: String,
    shutdown: watch::Sender<bool>,
    /// `http://127.0.0.1:<port>`, from the moment the TCP door is open: what functions are given to reach it.
    endpoint_url: Arc<OnceLock<String>>,
    endings: Mutex<Vec<Ending>>,
    requests: AtomicU64,
}

impl Cloud {
    /// All services, ready to be asked.
    ///
    /// # Errors
    /// When the account is not one.
    pub fn start(settings: CloudSettings) -> Result<Arc<Cloud>, StartError> {
        let CloudSettings { clock, region, account, seed, faults, work_dir, host, memory } = settings;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(StartError::Account(account));
        }
        let cloudwatch = CloudWatch::new(clock, region.clone(), account.clone());
        let metrics: Arc<dyn MetricSink> = cloudwatch.clone();
        let ctx = Context { clock, region, account, seed, metrics, faults: Arc::new(Faults::new(faults)) };
        let cloud = Cloud::builder(ctx.clone());
        let (kinesis, s3) = (
            Kinesis::with_memory_bounds(ctx.clone(), memory.records_bytes, memory.read_records_bytes),
            S3::new(ctx.clone()),
        );
        let (sqs, logs) =
            (Sqs::new(ctx.clone(), cloud.endpoint_url()), Logs::bounded(ctx.clone(), memory.log_group_bytes));
        let host = match host {
            HostKind::Process => Arc::new(ProcessHost::new(clock, work_dir, cloud.endpoint_url(), seed)),
            HostKind::InProcess(host) => host,
        };
        let peers = Peers {
            // The mapping reads through the faults too: `op=GetRecords` strikes it.
            kinesis: faulty(&ctx, Asker::Mapping, "kinesis", kinesis.clone()),
            sqs: sqs.clone(),
            s3: s3.clone(),
            logs: logs.clone(),
        };
        let killing = KillingSqs::in_front_of(sqs.clone(), Arc::clone(&host), Arc::clone(&ctx.faults), clock);
        let lambda = Lambda::new(ctx.clone(), peers, host);
        let iam = Iam::new(ctx.clone());
        let scheduler = Scheduler::new(ctx.clone(), iam.clone());
        let for_stacks: [(&'static str, Arc<dyn Service>); 8] = [
            ("kinesis", kinesis.clone()),
            ("lambda", lambda.clone()),
            ("sqs", sqs.clone()),
            ("s3", s3.clone()),
            ("logs", logs.clone()),
            ("monitoring", cloudwatch.clone()),
            ("iam", iam.clone()),
            ("scheduler", scheduler.clone()),
        ];
        // CloudFormation asks with the permissions of whoever asked it.
        let for_stacks = for_stacks
            .into_iter()
            .map(|(name, service)| (name, faulty(&ctx, Asker::Stack, name, service)))
            .collect();
        let cloudformation = CloudFormation::new(ctx.clone(), for_stacks);
        // Schedules call through the faults too: `op=DeleteStack` strikes them.
        let cloudformation: Arc<dyn Service> = faulty(&ctx, Asker::Door, "cloudformation", cloudformation);
        scheduler.connect(&cloudformation);
        let ending = Arc::clone(&lambda);
        Ok(cloud
            .service("kinesis", kinesis)
            .service("sqs", killing)
            .service("logs", logs)
            .service("iam", iam)
            .service("monitoring", cloudwatch)
            .faulted("cloudformation", cloudformation)
            .service("sts", Sts::new(ctx))
            .http_service("lambda", lambda)
            .http_service("s3", s3)
            .http_service("scheduler", scheduler)
            .ending(move || async move { ending.shutdown().await })
            .build())
    }

    pub fn builder(ctx: Context) -> CloudBuilder {
        CloudBuilder {
            ctx,
            services: BTreeMap::new(),
            http_services: BTreeMap::new(),
            endpoint_url: Arc::default(),
            endings: Vec::new(),
        }
    }

    pub fn context(&self) -> &Context {
        &self.ctx
    }

    /// By the name that requests are signed for.
    pub fn service(&self, name: &str) -> Option<&Arc<dyn Service>> {
        self.services.get(name)
    }

    pub fn http_service(&self, name: &str) -> Option<&Arc<dyn HttpService>> {
        self.http_services.get(name)
    }

    pub fn service_names(&self) -> impl Iterator<Item = &'static str> {
        let mut names: Vec<_> = self.services.keys().chain(self.http_services.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }

    /// What `/_streamgauge/shutdown` and `/_streamgauge/faults` ask for, as `Authorization: Bearer <token>`.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// False from the moment a shutdown was asked for.
    pub fn is_ready(&self) -> bool {
        !*self.shutdown.borrow()
    }

    /// Asks whoever serves this cloud to end.
    pub fn shut_down(&self) {
        self.shutdown.send_replace(true);
    }

    /// Turns true when a shutdown was asked for: what [`super::door::http::serve`] takes.
    pub fn shutdown_asked(&self) -> watch::Receiver<bool> {
        self.shutdown.subscribe()
    }

    /// Set once by the TCP door; shared with what starts functions.
    pub fn endpoint_url(&self) -> &Arc<OnceLock<String>> {
        &self.endpoint_url
    }

    /// Ends the services: mappings and sandboxes, for example. A second call does nothing.
    pub async fn end(&self) {
        self.shut_down();
        let endings = std::mem::take(&mut *self.endings.lock().expect("endings lock"));
        for ending in endings {
            ending().await;
        }
    }

    /// Requests answered so far: an endpoint in which this stands still is idle.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// A new request id, in the form of a UUID. They repeat from run to run with the seed.
    pub fn request_id(&self) -> String {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        let bits =
            fastrand::Rng::with_seed(self.ctx.seed ^ count.wrapping_mul(0x9E37_79B9_7F4A_7C15)).u128(..);
        let (high, low) = ((bits >> 64) as u64, bits as u64);
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xFFFF,
            high & 0xFFF,
            low >> 48 & 0x3FFF | 0x8000,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}

pub struct CloudBuilder {
    ctx: Context,
    services: BTreeMap<&'static str, Arc<dyn Service>>,
    http_services: BTreeMap<&'static str, Arc<dyn HttpService>>,
    endpoint_url: Arc<OnceLock<String>>,
    endings: Vec<Ending>,
}

impl CloudBuilder {
    /// The address of the TCP door, to share with what starts functions before the door is open.
    pub fn endpoint_url(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.endpoint_url)
    }

    /// Adds what [`Cloud::end`] awaits, in the order of adding. It must be bounded.
    pub fn ending<F>(mut self, ending: impl FnOnce() -> F + Send + 'static) -> CloudBuilder
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.endings.push(Box::new(move || Box::pin(ending())));
        self
    }

    /// Adds a service with an RPC protocol, under the name that its requests are signed for. Faults that
    /// strike whole requests are put in front of it.
    pub fn service(mut self, name: &'static str, service: Arc<dyn Service>) -> CloudBuilder {
        self.services.insert(name, faulty(&self.ctx, Asker::Door, name, service));
        self
    }

    /// Adds a service that has its faults in front already.
    fn faulted(mut self, name: &'static str, service: Arc<dyn Service>) -> CloudBuilder {
        self.services.insert(name, service);
        self
    }

    /// Adds a service with a REST protocol, which the doors hand its requests to as they came. Faults are put
    /// in front of it, too.
    pub fn http_service(mut self, name: &'static str, service: Arc<dyn HttpService>) -> CloudBuilder {
        let ctx = &self.ctx;
        let service = match ctx.faults.specs().iter().any(FaultSpec::strikes_requests) {
            true => Arc::new(FaultyHttp::new(name, service, Arc::clone(&ctx.faults), ctx.clock)),
            false => service,
        };
        self.http_services.insert(name, service);
        self
    }

    pub fn build(self) -> Arc<Cloud> {
        Arc::new(Cloud {
            ctx: self.ctx,
            services: self.services,
            http_services: self.http_services,
            token: random_token(),
            shutdown: watch::Sender::new(false),
            endpoint_url: self.endpoint_url,
            endings: Mutex::new(self.endings),
            requests: AtomicU64::new(0),
        })
    }
}

/// `service` with the faults in front, or itself when there are none: the data path pays nothing.
fn faulty(ctx: &Context, asker: Asker, name: &'static str, service: Arc<dyn Service>) -> Arc<dyn Service> {
    if !ctx.faults.specs().iter().any(FaultSpec::strikes_requests) {
        return service;
    }
    Arc::new(FaultyService::new(asker, name, service, Arc::clone(&ctx.faults), ctx.clock))
}

/// 32 hex digits. Not from the seed: it must not be guessed. The hasher's keys come from the operating
/// system's randomness, and SipHash does not give them away.
fn random_token() -> String {
    let word = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(account: &str) -> CloudSettings {
        CloudSettings {
            clock: Clock::starting_at(0),
            region: "us-east-1".into(),
            account: account.into(),
            seed: 7,
            faults: Vec::new(),
            work_dir: PathBuf::new(),
            host: HostKind::Process,
            memory: Default::default(),
        }
    }

    #[tokio::test]
    async fn request_ids_are_distinct_uuids_that_repeat_with_the_seed() {
        let ids = |cloud: Arc<Cloud>| (0..1_000).map(|_| cloud.request_id()).collect::<Vec<_>>();
        let first = ids(Cloud::start(settings(LOCAL_ACCOUNT)).expect("start"));
        assert_eq!(first, ids(Cloud::start(settings(LOCAL_ACCOUNT)).expect("start")));
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), 1_000);
        assert!(first.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4'));
    }

    #[tokio::test]
    async fn endings_are_awaited_once_in_order() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut builder =
            Cloud::builder(Cloud::start(settings(LOCAL_ACCOUNT)).expect("start").context().clone());
        for name in ["mappings", "sandboxes"] {
            let order = Arc::clone(&order);
            builder = builder.ending(move || async move { order.lock().expect("order").push(name) });
        }
        let cloud = builder.build();
        cloud.end().await;
        cloud.end().await;
        assert_eq!(*order.lock().expect("order"), ["mappings", "sandboxes"]);
        assert!(!cloud.is_ready());
    }

    #[tokio::test]
    async fn tokens_differ_and_accounts_are_checked() {
        let token = |cloud: Arc<Cloud>| cloud.token().to_owned();
        let (a, b) = (Cloud::start(settings(LOCAL_ACCOUNT)), Cloud::start(settings(LOCAL_ACCOUNT)));
        assert_ne!(token(a.expect("start")), token(b.expect("start")));
        assert!(Cloud::start(settings("12")).is_err());
    }
}
