//! One sandbox: a `bootstrap` process in its own process group, its Runtime API, its log stream.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::code::CodeDir;
use super::environment;
use super::guard::Guard;
use super::memory::{self, Memory, Watch};
use super::pump::Pump;
use super::runtime_api::{Event, RuntimeApi, Signal};
use crate::local::lambda::host::report::{self, Report, Status};
use crate::local::lambda::host::running::Ticket;
use crate::local::lambda::host::{FunctionVersion, InvokeOutcome};
use crate::local::lambda::logs::LogStream;
use crate::platform::clock::Clock;

/// Tries to start a `bootstrap` that the system reports busy: another thread's fork can hold its
/// descriptor for the blink between unpacking and exec.
const BUSY_TRIES: u32 = 10;
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// How often, and how many times, a killed group is looked at until it is empty. Where nobody reaps orphans
/// (a container without an init) it never is: then this is what ending a sandbox takes.
const EMPTIED_LOOK_EVERY: Duration = Duration::from_millis(2);
const EMPTIED_LOOKS: u32 = 100;

/// Dropping it kills the whole process group; a task of its own then waits until it is gone.
pub struct Sandbox {
    /// Taken when the sandbox ends.
    group: Option<Group>,
    api: RuntimeApi,
    pump: Pump,
    memory: Arc<Memory>,
    memory_limit_mb: u32,
    memory_used_mb: Option<u32>,
    /// It was killed for holding more than its limit.
    out_of_memory: bool,
    /// Set until the first REPORT line told it.
    init: Option<Duration>,
    /// Removed with the sandbox; the function's TMPDIR.
    _tmp: tempfile::TempDir,
    /// Keeps the code on disk.
    _code: Arc<CodeDir>,
}

/// What a sandbox is started with, beside the function.
pub struct Parts {
    pub code: Arc<CodeDir>,
    pub tmp: tempfile::TempDir,
    pub log: LogStream,
    pub endpoint_url: Option<String>,
    pub guard: Arc<Guard>,
    pub memory: Arc<Memory>,
    pub alive: mpsc::Sender<()>,
}

/// Which INIT: the one before the first invocation, or its repetition as a part of that invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Init,
    Invoke,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Phase::Init => "init",
            Phase::Invoke => "invoke",
        }
    }
}

/// How an invocation or INIT ended when it did not end well.
pub struct Failure {
    payload: Bytes,
    status: Status,
}

impl Failure {
    fn new(error_type: &str, message: &str) -> Failure {
        let payload = report::error_document(error_type, message);
        Failure { payload, status: Status::Error(error_type.to_owned()) }
    }

    /// The runtime's own error document; `errorType` goes to the REPORT line.
    fn reported(body: Bytes, fallback_type: &str) -> Failure {
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let error_type = document["errorType"].as_str().unwrap_or(fallback_type).to_owned();
        Failure { payload: body, status: Status::Error(error_type) }
    }
}

impl Sandbox {
    /// Starts the process. INIT is not over yet: [`Sandbox::init`] waits for it.
    pub async fn spawn(clock: &Clock, function: &FunctionVersion, parts: Parts) -> io::Result<Sandbox> {
        let api = RuntimeApi::start().await?;
        let environment = environment::of(function, api.address, &parts);
        let mut child = spawn(parts.code.path(), &environment).await?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the process has no pipes"));
        };
        let group = Group::of(child, parts.guard, parts.alive);
        group.watch().await;
        tracing::debug!(function = function.name, at_ms = clock.now_ms(), "a sandbox starts");
        Ok(Sandbox {
            group: Some(group),
            api,
            pump: Pump::start(parts.log, stdout, stderr),
            memory: parts.memory,
            memory_limit_mb: function.memory_mb,
            memory_used_mb: None,
            out_of_memory: false,
            init: None,
            _tmp: parts.tmp,
            _code: parts.code,
        })
    }

    /// Waits until the runtime asks for its first invocation, at most this long. A failure means that it never
    /// will.
    pub async fn init(
        &mut self,
        clock: &Clock,
        request_id: &str,
        started: Instant,
        phase: Phase,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let mut watch = self.watch_memory();
        let failure = tokio::select! {
            biased;
            signal = self.api.signals.recv() => match signal {
                Some(Signal::InitError { body }) => Failure::reported(body, "Runtime.InitError"),
                _ => {
                    // As part of an invocation INIT has no line and no price of its own.
                    self.init = (phase == Phase::Init).then(|| clock.instant().duration_since(started));
                    return Ok(());
                }
            },
            status = exit(&mut self.group) => exited(request_id, status),
            () = exceeded(&mut watch) => killed(&mut self.group, request_id).await,
            () = tokio::time::sleep_until(started + timeout) => Failure {
                payload: report::timeout_document(request_id, timeout),
                status: Status::Timeout,
            },
        };
        self.out_of_memory |= watch.is_some_and(|watch| watch.is_exceeded());
        let took = clock.instant().duration_since(started);
        self.pump.write(report::init_report_line(took, phase.as_str(), &failure.status)).await;
        Err(failure)
    }

    /// Writes START, for an invocation that INIT is a part of.
    pub async fn announce(&self, request_id: &str) {
        self.pump.write(report::start_line(request_id)).await;
    }

    fn watch_memory(&self) -> Option<Watch> {
        let group = self.group.as_ref()?.id?;
        Some(self.memory.watch(group, self.memory_limit_mb))
    }

    /// One invocation, which `ticket` may cut off, and which began at `began` if INIT is a part of it. The
    /// flag says whether the sandbox can serve another.
    pub async fn invoke(
        &mut self,
        clock: &Clock,
        function: &FunctionVersion,
        event: Bytes,
        request_id: &str,
        mut ticket: Ticket,
        began: Option<Instant>,
    ) -> (InvokeOutcome, bool) {
        if began.is_none() {
            self.announce(request_id).await;
        }
        let now = clock.instant();
        let started = began.unwrap_or(now);
        let left = (started + function.timeout).duration_since(now);
        let deadline_ms = clock.now_ms() + left.as_millis() as i64;
        let event = Event {
            request_id: request_id.to_owned(),
            deadline_ms,
            function_arn: function.arn.clone(),
            body: event,
        };
        let mut watch = self.watch_memory();
        let (result, alive) = tokio::select! {
            biased;
            () = ticket.killed() => (Err(killed(&mut self.group, request_id).await), false),
            answer = answer(&mut self.api, event, request_id) => (answer, true),
            status = exit(&mut self.group) => (Err(exited(request_id, status)), false),
            () = exceeded(&mut watch) => (Err(killed(&mut self.group, request_id).await), false),
            () = tokio::time::sleep_until(started + function.timeout) => {
                self.pump.write(report::timeout_line(clock.now_ms(), request_id, function.timeout)).await;
                let payload = report::timeout_document(request_id, function.timeout);
                (Err(Failure { payload, status: Status::Timeout }), false)
            }
        };
        self.out_of_memory |= !alive && watch.is_some_and(|watch| watch.is_exceeded());
        let duration = clock.instant().duration_since(started).min(function.timeout);
        (self.conclude(function, request_id, duration, result).await, alive)
    }

    /// Writes END and REPORT.
    pub async fn conclude(
        &mut self,
        function: &FunctionVersion,
        request_id: &str,
        duration: Duration,
        result: Result<Bytes, Failure>,
    ) -> InvokeOutcome {
        let peak_mb = self.group.as_ref().and_then(Group::peak_memory_mb);
        self.memory_used_mb = peak_mb.or(self.memory_used_mb);
        let memory_size_mb = function.memory_mb;
        // File pages may bring the peak above the limit. No sandbox of AWS has more than its memory.
        let memory_used_mb = match self.out_of_memory {
            true => Some(memory_size_mb),
            false => self.memory_used_mb.map(|used_mb| used_mb.min(memory_size_mb)),
        };
        let init = self.init.take();
        let (payload, failed, status) = match result {
            Ok(payload) => (payload, false, Status::Ok),
            Err(failure) => (failure.payload, true, failure.status),
        };
        let report = Report { request_id, duration, init, memory_size_mb, memory_used_mb, status };
        self.pump.write(report::end_line(request_id)).await;
        self.pump.write(report.line()).await;
        InvokeOutcome { payload, failed, duration, init, log_tail: self.pump.take_tail().await }
    }

    /// Whether the process is still there: one that exited while idle is of no use.
    pub fn is_running(&mut self) -> bool {
        self.group.as_mut().is_some_and(|group| matches!(group.child.try_wait(), Ok(None)))
    }

    /// Kills the process group and waits until all of it is gone.
    pub async fn end(mut self) {
        if let Some(group) = self.group.take() {
            group.end().await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let Some(mut group) = self.group.take() else { return };
        group.kill();
        // Without a runtime nobody waits any more: the process is killed, and reaped with the tool.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(group.end());
        }
    }
}

/// The end of the process. Safe to cancel.
async fn exit(group: &mut Option<Group>) -> io::Result<ExitStatus> {
    match group {
        Some(group) => group.child.wait().await,
        None => Err(io::Error::other("the sandbox has ended")),
    }
}

async fn answer(api: &mut RuntimeApi, event: Event, wanted: &str) -> Result<Bytes, Failure> {
    if api.events.send(event).await.is_err() {
        return Err(Failure::new("Runtime.ApiGone", "the Runtime API ended"));
    }
    loop {
        match api.signals.recv().await {
            Some(Signal::Response { request_id, body }) if request_id == wanted => return Ok(body),
            Some(Signal::Error { request_id, body }) if request_id == wanted => {
                return Err(Failure::reported(body, "Runtime.UnknownError"));
            }
            Some(Signal::TooLarge { request_id }) if request_id == wanted => {
                let message = "Response payload size exceeded maximum allowed payload size (6291556 bytes).";
                return Err(Failure::new("Function.ResponseSizeTooLarge", message));
            }
            Some(_) => {}
            None => return Err(Failure::new("Runtime.ApiGone", "the Runtime API ended")),
        }
    }
}

/// The limit of the memory passed. Safe to cancel.
async fn exceeded(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.exceeded().await,
        None => std::future::pending().await,
    }
}

/// Kills the process group and waits for the process: SIGKILL leaves it no choice.
async fn killed(group: &mut Option<Group>, request_id: &str) -> Failure {
    if let Some(group) = group {
        group.kill();
    }
    exited(request_id, exit(group).await)
}

/// The failure of a process that ended before it answered.
fn exited(request_id: &str, status: io::Result<ExitStatus>) -> Failure {
    let how = match status {
        Ok(status) if status.success() => "Runtime exited without providing a reason".to_owned(),
        Ok(status) => match status.code() {
            Some(code) => format!("Runtime exited with error: exit status {code}"),
            None => format!("Runtime exited with error: {}", signal_name(status)),
        },
        Err(error) => format!("Runtime exited with error: {error}"),
    };
    Failure::new("Runtime.ExitError", &format!("RequestId: {request_id} Error: {how}"))
}

#[cfg(unix)]
fn signal_name(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(9) => "signal: killed".to_owned(),
        Some(number) => format!("signal: {number}"),
        None => "unknown".to_owned(),
    }
}

#[cfg(not(unix))]
fn signal_name(status: ExitStatus) -> String {
    status.to_string()
}

/// A process that leads its own group.
struct Group {
    child: Child,
    id: Option<u32>,
    guard: Arc<Guard>,
    /// The host waits at shutdown until the last of these is gone.
    _alive: mpsc::Sender<()>,
}

impl Group {
    fn of(child: Child, guard: Arc<Guard>, alive: mpsc::Sender<()>) -> Group {
        let id = child.id();
        Group { child, id, guard, _alive: alive }
    }

    async fn end(mut self) {
        self.kill();
        let _ = self.child.wait().await;
        self.emptied().await;
        self.forget().await;
    }

    async fn watch(&self) {
        if let Some(id) = self.id {
            self.guard.watch(id).await;
        }
    }

    async fn forget(&mut self) {
        if let Some(id) = self.id.take() {
            self.guard.forget(id).await;
        }
    }

    /// Kills the process and whatever it started.
    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.id.and_then(|id| rustix::process::Pid::from_raw(id as i32)) {
            // An error means that the group is gone already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.start_kill();
    }

    /// Waits until what the process started is gone too. Nothing tells of the end of another process's
    /// children, so this looks again and again, for a while: killed, they are gone within milliseconds.
    async fn emptied(&self) {
        #[cfg(unix)]
        if let Some(group) = self.id.and_then(|id| rustix::process::Pid::from_raw(id as i32)) {
            for _ in 0..EMPTIED_LOOKS {
                if rustix::process::test_kill_process_group(group).is_err() {
                    return;
                }
                tokio::time::sleep(EMPTIED_LOOK_EVERY).await;
            }
        }
    }

    /// The largest resident set so far, in MB as Lambda prints it; `None` where `/proc` does not tell.
    fn peak_memory_mb(&self) -> Option<u32> {
        let kib = memory::kib(&memory::status(self.child.id()?)?, "VmHWM")?;
        u32::try_from(kib.div_ceil(1_024)).ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.kill();
        }
    }
}

/// Starts `bootstrap` with nothing inherited but what is given.
async fn spawn(task_root: &Path, environment: &BTreeMap<String, String>) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        let mut command = Command::new(task_root.join("bootstrap"));
        command.env_clear().envs(environment).current_dir(task_root);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                tries += 1;
                tokio::time::sleep(BUSY_WAIT).await;
            }
            spawned => return spawned,
        }
    }
}
