//! Functions that are handlers inside this process: for virtual time, where a process could not run.
//!
//! The handler's duration is whatever time passes while it runs (under a paused clock: what it sleeps).
//! INIT really elapses before the first invocation of a sandbox.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::pool::IdlePool;
use super::report::{self, Report, Status};
use super::running::Running;
use super::{FunctionHost, FunctionVersion, InvokeOutcome};
use crate::local::lambda::logs::LogStream;
use crate::local::lambda::stream_name;
use crate::local::service::BoxFuture;
use crate::platform::clock::Clock;
use crate::platform::spread::Spread;

/// What the handler gets.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    pub function_arn: String,
    pub event: Bytes,
    /// Milliseconds since the epoch at which the invocation is given up.
    pub deadline_ms: i64,
    pub cold_start: bool,
    pub memory_mb: u32,
    pub log_stream: String,
    /// The function's own variables.
    pub environment: Arc<BTreeMap<String, String>>,
}

/// An error that the handler returns; the caller sees it as the error document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFailure {
    pub error_type: String,
    pub message: String,
}

pub type Handler =
    Arc<dyn Fn(Invocation) -> BoxFuture<'static, Result<Bytes, FunctionFailure>> + Send + Sync>;

/// Calls one handler for every function.
pub struct InProcessHost {
    clock: Clock,
    handler: Handler,
    init: Spread,
    /// What REPORT lines say about memory; `None` leaves it out.
    memory_used_mb: Option<u32>,
    idle: Mutex<IdlePool<Sandbox>>,
    running: Running,
    names: Mutex<fastrand::Rng>,
    inits: Mutex<fastrand::Rng>,
    closed: AtomicBool,
}

/// How the handler's work ended.
enum Ended {
    Answered(Result<Bytes, FunctionFailure>),
    TimedOut,
    Killed,
}

struct Sandbox {
    log: LogStream,
    environment: Arc<BTreeMap<String, String>>,
}

impl InProcessHost {
    /// `init` is what a cold start takes; `seed` makes the names of log streams repeat.
    pub fn new(clock: Clock, handler: Handler, init: impl Into<Spread>, seed: u64) -> InProcessHost {
        InProcessHost {
            clock,
            handler,
            init: init.into(),
            memory_used_mb: None,
            idle: Mutex::default(),
            running: Running::default(),
            names: Mutex::new(fastrand::Rng::with_seed(seed)),
            inits: Mutex::new(fastrand::Rng::with_seed(seed)),
            closed: AtomicBool::new(false),
        }
    }

    /// Prints this as `Max Memory Used`: a model, not a measurement. A function with less is killed whenever it is invoked.
    pub fn with_memory_used_mb(mut self, memory_used_mb: u32) -> InProcessHost {
        self.memory_used_mb = Some(memory_used_mb);
        self
    }

    fn cold(&self, function: &FunctionVersion) -> Sandbox {
        let name = stream_name(self.clock.now_ms(), &mut self.names.lock().expect("names lock"));
        Sandbox {
            log: function.logs.stream(&function.log_group, name, function.creates_log_group),
            environment: Arc::new(function.environment.clone()),
        }
    }

    /// Calls the handler, until its answer, its timeout or its end by [`FunctionHost::kill_running`].
    async fn work(&self, function: &FunctionVersion, invocation: Invocation) -> Ended {
        let mut ticket = self.running.enter(&function.name, &invocation.request_id);
        let ended = tokio::select! {
            biased;
            () = ticket.killed() => Ended::Killed,
            answer = (self.handler)(invocation) => Ended::Answered(answer),
            () = tokio::time::sleep(function.timeout) => Ended::TimedOut,
        };
        // Killed from within its own last step, it still must not answer.
        if ticket.is_killed() { Ended::Killed } else { ended }
    }

    /// The flag says whether the sandbox can serve another.
    async fn run(
        &self,
        function: &FunctionVersion,
        event: Bytes,
        request_id: &str,
        sandbox: &mut Sandbox,
        init: Option<Duration>,
    ) -> (InvokeOutcome, bool) {
        sandbox.log.write(report::start_line(request_id)).await;
        let started = self.clock.instant();
        let invocation = Invocation {
            request_id: request_id.to_owned(),
            function_arn: function.arn.clone(),
            event,
            deadline_ms: self.clock.now_ms() + function.timeout.as_millis() as i64,
            cold_start: init.is_some(),
            memory_mb: function.memory_mb,
            log_stream: sandbox.log.name().to_owned(),
            environment: sandbox.environment.clone(),
        };
        let out_of_memory = self.memory_used_mb.is_some_and(|used_mb| used_mb > function.memory_mb);
        let ended = if out_of_memory { Ended::Killed } else { self.work(function, invocation).await };
        let duration = self.clock.instant().duration_since(started).min(function.timeout);
        // A sandbox that was killed or ran out of time is gone, as its process would be.
        let alive = matches!(ended, Ended::Answered(_));
        let (payload, status) = match ended {
            Ended::Answered(Ok(payload)) => (payload, Status::Ok),
            Ended::Answered(Err(failure)) => {
                let document = report::error_document(&failure.error_type, &failure.message);
                (document, Status::Error(failure.error_type))
            }
            Ended::TimedOut => {
                let line = report::timeout_line(self.clock.now_ms(), request_id, function.timeout);
                sandbox.log.write(line).await;
                (report::timeout_document(request_id, function.timeout), Status::Timeout)
            }
            Ended::Killed => {
                let message = format!("RequestId: {request_id} Error: {}", super::KILLED);
                let error_type = "Runtime.ExitError";
                (report::error_document(error_type, &message), Status::Error(error_type.to_owned()))
            }
        };
        sandbox.log.write(report::end_line(request_id)).await;
        let memory_size_mb = function.memory_mb;
        let memory_used_mb = self.memory_used_mb.map(|used_mb| used_mb.min(memory_size_mb));
        let failed = status != Status::Ok;
        let report = Report { request_id, duration, init, memory_size_mb, memory_used_mb, status };
        sandbox.log.write(report.line()).await;
        (InvokeOutcome { payload, failed, duration, init, log_tail: sandbox.log.take_tail() }, alive)
    }
}

impl FunctionHost for InProcessHost {
    fn invoke<'a>(
        &'a self,
        function: &'a FunctionVersion,
        event: Bytes,
        request_id: &'a str,
    ) -> BoxFuture<'a, InvokeOutcome> {
        Box::pin(async move {
            if self.closed.load(Ordering::Acquire) {
                return super::closed_outcome();
            }
            let warm = {
                let mut idle = self.idle.lock().expect("idle sandboxes lock");
                drop(idle.expire(self.clock.instant()));
                idle.take(&function.arn, function.revision, self.clock.instant())
            };
            let init = warm.is_none().then(|| self.init.draw(&mut self.inits.lock().expect("inits lock")));
            let mut sandbox = warm.unwrap_or_else(|| self.cold(function));
            if let Some(init) = init {
                tokio::time::sleep(init).await;
            }
            let (outcome, alive) = self.run(function, event, request_id, &mut sandbox, init).await;
            if alive {
                let mut idle = self.idle.lock().expect("idle sandboxes lock");
                idle.put(&function.arn, function.revision, self.clock.instant(), sandbox);
            }
            outcome
        })
    }

    fn retire<'a>(&'a self, function_arn: &'a str, below_revision: u64) -> BoxFuture<'a, ()> {
        self.idle.lock().expect("idle sandboxes lock").retire(function_arn, below_revision);
        Box::pin(std::future::ready(()))
    }

    fn has_idle(&self, function: &FunctionVersion) -> bool {
        let idle = self.idle.lock().expect("idle sandboxes lock");
        idle.has(&function.arn, function.revision, self.clock.instant())
    }

    fn kill_running(&self, function: &str) -> usize {
        self.running.kill(function)
    }

    fn kill_invocation(&self, request_id: &str) -> bool {
        self.running.kill_invocation(request_id)
    }

    fn runs(&self, request_id: &str) -> bool {
        self.running.runs(request_id)
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.closed.store(true, Ordering::Release);
        self.idle.lock().expect("idle sandboxes lock").drain();
        Box::pin(std::future::ready(()))
    }
}
