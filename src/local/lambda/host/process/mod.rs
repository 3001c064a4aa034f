//! Functions as real processes: cold starts, crashes and memory are measured, not modelled.
//!
//! Not the isolation of a Lambda sandbox: the process is as free as the user who runs the tool. Its memory size
//! is enforced by looking, see [`memory`].

mod code;
mod environment;
mod guard;
mod memory;
mod pump;
mod runtime_api;
mod sandbox;
#[cfg(all(test, unix))]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::time::Instant;

use super::pool::IdlePool;
use super::running::Running;
use super::{FunctionHost, FunctionVersion, INIT_TIMEOUT, InvokeOutcome, report};
use crate::local::lambda::stream_name;
use crate::local::service::BoxFuture;
use crate::platform::clock::Clock;
use code::Codes;
use guard::Guard;
use memory::Memory;
use sandbox::{Parts, Phase, Sandbox};

/// How long `shutdown` waits for the last process to go. They are killed, not asked.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often idle sandboxes are looked over.
const EXPIRY_EVERY: Duration = Duration::from_secs(30);

/// Starts the `bootstrap` of functions. Everything that it puts on disk is in one folder under its work
/// directory, which goes at [`FunctionHost::shutdown`], when the host is dropped, or when its guard notices
/// that the tool is gone.
pub struct ProcessHost {
    inner: Arc<Inner>,
    /// Whoever waits here knows that every sandbox is gone.
    gone: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

struct Inner {
    clock: Clock,
    work_dir: PathBuf,
    endpoint_url: Arc<OnceLock<String>>,
    /// Made with the first sandbox.
    ground: OnceCell<Ground>,
    codes: Codes,
    idle: Mutex<IdlePool<Sandbox>>,
    running: Running,
    names: Mutex<fastrand::Rng>,
    alive: Mutex<Option<mpsc::Sender<()>>>,
    closed: watch::Sender<bool>,
}

struct Ground {
    /// `None` once it was removed.
    folder: Mutex<Option<tempfile::TempDir>>,
    path: PathBuf,
    guard: Arc<Guard>,
    memory: Arc<Memory>,
}

impl ProcessHost {
    /// `endpoint_url` becomes the functions' `AWS_ENDPOINT_URL`; it may be set later, before the first
    /// invocation. `seed` names the log streams.
    pub fn new(
        clock: Clock,
        work_dir: PathBuf,
        endpoint_url: Arc<OnceLock<String>>,
        seed: u64,
    ) -> ProcessHost {
        let (alive, gone) = mpsc::channel(1);
        let inner = Inner {
            clock,
            work_dir,
            endpoint_url,
            ground: OnceCell::new(),
            codes: Codes::default(),
            idle: Mutex::default(),
            running: Running::default(),
            names: Mutex::new(fastrand::Rng::with_seed(seed)),
            alive: Mutex::new(Some(alive)),
            closed: watch::Sender::new(false),
        };
        ProcessHost { inner: Arc::new(inner), gone: tokio::sync::Mutex::new(gone) }
    }
}

impl FunctionHost for ProcessHost {
    fn invoke<'a>(
        &'a self,
        function: &'a FunctionVersion,
        event: Bytes,
        request_id: &'a str,
    ) -> BoxFuture<'a, InvokeOutcome> {
        Box::pin(async move {
            let mut closed = self.inner.closed.subscribe();
            tokio::select! {
                biased;
                // Dropping the other branch kills its sandbox.
                _ = closed.wait_for(|closed| *closed) => super::closed_outcome(),
                outcome = self.inner.invoke(function, event, request_id) => outcome,
            }
        })
    }

    fn retire<'a>(&'a self, function_arn: &'a str, below_revision: u64) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let retired =
                self.inner.idle.lock().expect("idle sandboxes lock").retire(function_arn, below_revision);
            self.inner.codes.release(function_arn);
            end_all(retired).await;
        })
    }

    fn has_idle(&self, function: &FunctionVersion) -> bool {
        let idle = self.inner.idle.lock().expect("idle sandboxes lock");
        idle.has(&function.arn, function.revision, self.inner.clock.instant())
    }

    fn kill_running(&self, function: &str) -> usize {
        self.inner.running.kill(function)
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.inner.closed.send_replace(true);
            let idle = self.inner.idle.lock().expect("idle sandboxes lock").drain();
            end_all(idle).await;
            self.inner.alive.lock().expect("alive lock").take();
            let mut gone = self.gone.lock().await;
            if tokio::time::timeout(SHUTDOWN_TIMEOUT, gone.recv()).await.is_err() {
                tracing::warn!("a function's sandbox did not end in time");
            }
            self.inner.codes.clear();
            if let Some(ground) = self.inner.ground.get() {
                ground.remove().await;
            }
        })
    }
}

async fn end_all(sandboxes: Vec<Sandbox>) {
    // All are killed at once; then each is waited for.
    let ending: Vec<_> = sandboxes.into_iter().map(|sandbox| tokio::spawn(sandbox.end())).collect();
    for end in ending {
        let _ = end.await;
    }
}

impl Inner {
    async fn invoke(
        self: &Arc<Self>,
        function: &FunctionVersion,
        event: Bytes,
        request_id: &str,
    ) -> InvokeOutcome {
        let (mut sandbox, began) = match self.warm(function).await {
            Some(warm) => (warm, None),
            None => match self.cold(function, request_id).await {
                Ok(cold) => cold,
                Err(outcome) => return outcome,
            },
        };
        let ticket = self.running.enter(&function.name);
        let (outcome, alive) = sandbox.invoke(&self.clock, function, event, request_id, ticket, began).await;
        if alive {
            let now = self.clock.instant();
            let surplus = {
                let mut idle = self.idle.lock().expect("idle sandboxes lock");
                idle.put(&function.arn, function.revision, now, sandbox)
            };
            end_all(surplus.into_iter().collect()).await;
        } else {
            // The caller need not wait for the end; `shutdown` does.
            tokio::spawn(sandbox.end());
        }
        outcome
    }

    /// The idle sandbox used last, leaving out those whose process ended meanwhile.
    async fn warm(&self, function: &FunctionVersion) -> Option<Sandbox> {
        loop {
            let now = self.clock.instant();
            let taken =
                self.idle.lock().expect("idle sandboxes lock").take(&function.arn, function.revision, now);
            let mut sandbox = taken?;
            if sandbox.is_running() {
                return Some(sandbox);
            }
            sandbox.end().await;
        }
    }

    /// A new sandbox, ready for the invocation, and when the invocation began if INIT was part of it.
    ///
    /// An INIT that fails or takes too long is not the invocation's end: Lambda starts the sandbox once more,
    /// now within the function's own timeout. Developer guide, "Failures during the Init phase".
    async fn cold(
        self: &Arc<Self>,
        function: &FunctionVersion,
        request_id: &str,
    ) -> Result<(Sandbox, Option<Instant>), InvokeOutcome> {
        let log_stream = stream_name(self.clock.now_ms(), &mut self.names.lock().expect("names lock"));
        let (mut first, started) = self.start(function, request_id, &log_stream).await?;
        if first.init(&self.clock, request_id, started, Phase::Init, INIT_TIMEOUT).await.is_ok() {
            return Ok((first, None));
        }
        first.end().await;
        let (mut second, began) = self.start(function, request_id, &log_stream).await?;
        second.announce(request_id).await;
        match second.init(&self.clock, request_id, began, Phase::Invoke, function.timeout).await {
            Ok(()) => Ok((second, Some(began))),
            Err(failure) => {
                let took = self.clock.instant().duration_since(began).min(function.timeout);
                let outcome = second.conclude(function, request_id, took, Err(failure)).await;
                second.end().await;
                Err(outcome)
            }
        }
    }

    /// Starts a process. INIT is counted from the instant given: unpacking the code is not billed by AWS either.
    async fn start(
        self: &Arc<Self>,
        function: &FunctionVersion,
        request_id: &str,
        log_stream: &str,
    ) -> Result<(Sandbox, Instant), InvokeOutcome> {
        let parts = self.parts(function, log_stream).await.map_err(|error| no_sandbox(request_id, &error))?;
        let started = self.clock.instant();
        let spawned = Sandbox::spawn(&self.clock, function, parts).await;
        Ok((spawned.map_err(|error| no_bootstrap(request_id, &error))?, started))
    }

    async fn parts(self: &Arc<Self>, function: &FunctionVersion, log_stream: &str) -> io::Result<Parts> {
        let ground = self.ground.get_or_try_init(|| self.break_ground()).await?;
        let alive = self.alive.lock().expect("alive lock").clone();
        let alive = alive.ok_or_else(|| io::Error::other("the host is shut down"))?;
        let code = self.codes.get(&function.arn, &function.code, &ground.path).await?;
        let tmp = tempfile::Builder::new().prefix("tmp-").tempdir_in(&ground.path)?;
        let log =
            function.logs.stream(&function.log_group, log_stream.to_owned(), function.creates_log_group);
        let endpoint_url = self.endpoint_url.get().cloned();
        let (guard, memory) = (ground.guard.clone(), ground.memory.clone());
        Ok(Parts { code, tmp, log, endpoint_url, guard, memory, alive })
    }

    async fn break_ground(self: &Arc<Self>) -> io::Result<Ground> {
        fs_err::create_dir_all(&self.work_dir)?;
        let folder = tempfile::Builder::new().prefix("lambda-").tempdir_in(&self.work_dir)?;
        let path = folder.path().to_owned();
        tokio::spawn(expire_idle(Arc::downgrade(self)));
        let guard = Arc::new(Guard::start(&path));
        Ok(Ground { folder: Mutex::new(Some(folder)), path, guard, memory: Arc::new(Memory::start()) })
    }
}

impl Ground {
    async fn remove(&self) {
        self.guard.end().await;
        let folder = self.folder.lock().expect("folder lock").take();
        if let Some(folder) = folder
            && let Err(error) = remove_dir(folder.path())
        {
            tracing::warn!(%error, "the functions' work folder stays behind");
        }
    }
}

/// The guard removes the folder as a rule; this is for where there is no guard.
fn remove_dir(path: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Ends sandboxes that are idle for too long, until the host is gone.
async fn expire_idle(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(EXPIRY_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        if *inner.closed.borrow() {
            return;
        }
        let expired = inner.idle.lock().expect("idle sandboxes lock").expire(inner.clock.instant());
        end_all(expired).await;
    }
}

fn no_sandbox(request_id: &str, error: &io::Error) -> InvokeOutcome {
    let message = format!("RequestId: {request_id} Error: no sandbox could be made: {error}");
    let payload = report::error_document("Sandbox.Failure", &message);
    InvokeOutcome { payload, failed: true, ..InvokeOutcome::default() }
}

/// As Lambda words it, with the system's reason.
fn no_bootstrap(request_id: &str, error: &io::Error) -> InvokeOutcome {
    let message = format!("RequestId: {request_id} Error: Couldn't find valid bootstrap(s): {error}");
    let payload = report::error_document("Runtime.InvalidEntrypoint", &message);
    InvokeOutcome { payload, failed: true, ..InvokeOutcome::default() }
}
