//! Where functions run. [`process::ProcessHost`] starts the uploaded `bootstrap` as real processes;
//! [`in_process::InProcessHost`] calls a handler inside this process, under whatever clock tokio has.

pub mod in_process;
pub mod pool;
pub mod process;
pub mod reference;
pub mod report;
pub mod running;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::logs::Logs;
use crate::local::service::BoxFuture;

/// The code of a function: one version of it, however many sandboxes run it.
#[derive(Debug)]
pub struct Code {
    /// The deployment package, a zip.
    pub zip: Bytes,
    /// SHA-256 of the zip, hex.
    pub sha256_hex: String,
}

/// Everything that a sandbox is started from. A change of any of it gives a new `revision`.
#[derive(Clone)]
pub struct FunctionVersion {
    pub name: String,
    /// Without a qualifier.
    pub arn: String,
    /// Rises with every change of code or configuration, over all functions: a sandbox serves one revision.
    pub revision: u64,
    pub code: Arc<Code>,
    pub handler: String,
    pub memory_mb: u32,
    pub timeout: Duration,
    pub environment: BTreeMap<String, String>,
    pub region: String,
    pub log_group: String,
    /// Whether a missing log group is created: it is Lambda's default group, declared by nobody.
    pub creates_log_group: bool,
    /// Where its log lines go.
    pub logs: Logs,
}

/// What became of one invocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InvokeOutcome {
    /// The function's answer, or the error document when `failed`.
    pub payload: Bytes,
    /// The function (not the service) failed: an error, a crash or a timeout. AWS calls it `Unhandled`.
    pub failed: bool,
    /// From handing the event over to the answer; INIT excluded, as in the metric `Duration`.
    pub duration: Duration,
    /// Present on a cold start.
    pub init: Option<Duration>,
    /// The last 4 KB of what this invocation logged (`LogType: Tail`).
    pub log_tail: Vec<u8>,
}

/// Runs functions. Dropping an `invoke` future ends its sandbox.
pub trait FunctionHost: Send + Sync {
    /// One invocation, bounded by the function's timeout and a bound on INIT. Never throttles: concurrency is
    /// decided before.
    fn invoke<'a>(
        &'a self,
        function: &'a FunctionVersion,
        event: Bytes,
        request_id: &'a str,
    ) -> BoxFuture<'a, InvokeOutcome>;

    /// Whether an invocation now would find a warm sandbox.
    fn has_idle(&self, function: &FunctionVersion) -> bool;

    /// Ends the idle sandboxes of a function whose revision is below this one, and all of its busy ones
    /// as they fall idle. Resolves when the idle ones are gone.
    fn retire<'a>(&'a self, function_arn: &'a str, below_revision: u64) -> BoxFuture<'a, ()>;

    /// Kills the sandboxes that run an invocation of the function (its name) at this instant, as a crash would:
    /// an answer that arrives later counts for nothing, the caller gets `Runtime.ExitError` with `signal:
    /// killed`, and the next invocation starts cold. Returns how many were killed; those still in INIT and
    /// idle ones are left alone. May be called from inside the invocation itself, whose work up to its next
    /// await still happens: wait after the call to keep it from going on.
    fn kill_running(&self, function: &str) -> usize;

    /// As [`FunctionHost::kill_running`], for one invocation. False when it does not run (any more).
    fn kill_invocation(&self, request_id: &str) -> bool;

    /// Whether this invocation runs now.
    fn runs(&self, request_id: &str) -> bool;

    /// Ends every sandbox, busy or not, and removes every temporary folder. Later invocations fail.
    fn shutdown(&self) -> BoxFuture<'_, ()>;

    /// How much later than it is due the next poll of a stream begins. Time that passes by itself has its own lateness;
    /// a host in virtual time, where every timer is exact, has what it models.
    fn poll_late(&self) -> Duration {
        Duration::ZERO
    }
}

/// How long the first INIT of a sandbox may take. Lambda developer guide, "Init phase": 10 s. The second one has
/// the function's own timeout.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sandboxes kept idle for one function; beyond it the one idle longest is ended. AWS documents no number.
pub const IDLE_SANDBOXES_MAX: usize = 64;

/// How long a sandbox may be idle. AWS documents no number; observers report 5 to 15 minutes.
pub const IDLE_FOR_MAX: Duration = Duration::from_secs(10 * 60);

/// What a process says that was ended by SIGKILL.
const KILLED: &str = "Runtime exited with error: signal: killed";

/// The answer of a host that was shut down.
fn closed_outcome() -> InvokeOutcome {
    let payload = report::error_document("Sandbox.Closed", "the local endpoint is shutting down");
    InvokeOutcome { payload, failed: true, ..InvokeOutcome::default() }
}
