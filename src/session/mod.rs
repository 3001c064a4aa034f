//! What a verb does: readiness, tests in order with live state and flags, drain, collection, metrics,
//! publishing. It never prints: it tells a [`progress::Progress`].

pub mod actions;
pub mod baseline;
pub mod budget;
pub mod campaign;
mod cloudwatch_watch;
mod credentials;
mod denials;
pub mod drain;
pub mod environment;
mod existing;
pub mod flags;
mod headers;
mod host;
pub mod kept;
pub mod lifetime;
mod live;
pub mod lock;
mod lookups;
pub mod metrics;
pub mod period;
pub mod progress;
pub mod publish;
pub mod readiness;
pub mod run;
mod shards;
mod stop;
mod tick;

use std::path::PathBuf;
use std::time::Duration;

use crate::evidence::EvidenceError;
use crate::stack::StackError;

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("another streamgauge is working on the environment '{env}'")]
    Busy { env: String },
    #[error("the environment '{env}' is not up")]
    NotUp { env: String },
    #[error("the environment '{env}' is up already")]
    AlreadyUp { env: String },
    #[error("cannot write {}: {error}", path.display())]
    Unwritable { path: PathBuf, error: std::io::Error },
    #[error("not allowed to {doing}: {detail}")]
    Denied { doing: &'static str, detail: String },
    #[error("no probe record came through the pipeline within {} s{}", waited.as_secs(), told(.last_error))]
    NotReady { waited: Duration, last_error: Option<String> },
    #[error("{0}")]
    Evidence(#[from] EvidenceError),
    #[error("the plan and the environment do not go together: {0}")]
    Mismatch(String),
    #[error("{0}")]
    EnvironmentGone(String),
    #[error("left behind in the environment '{env}': {}", left.join(", "))]
    LeftBehind { env: String, left: Vec<String> },
    #[error("the environment could end before the run does: {0}")]
    NotExtended(StackError),
    #[error("taking down failed: {0}")]
    Down(StackError),
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: String },
    #[error("an action of the plan could not be reverted: {}", .0.join("; "))]
    NotReverted(Vec<String>),
    #[error("internal error: {0}")]
    Panic(String),
}

fn told(error: &Option<String>) -> String {
    error.as_ref().map(|error| format!("; last error: {error}")).unwrap_or_default()
}

impl SessionError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SessionError::Busy { env } => {
                Some(format!("wait for it, or work on another environment: --env {env}-2"))
            }
            SessionError::NotUp { env } => Some(format!("streamgauge up --env {env}")),
            SessionError::AlreadyUp { env } => Some(format!(
                "streamgauge run PLAN --env {env} uses it; streamgauge down --env {env} ends it; --env NAME takes another"
            )),
            SessionError::Unwritable { error, .. } if error.kind() == std::io::ErrorKind::StorageFull => {
                Some("make room on the disk; `streamgauge report RUN` writes the reports again".to_owned())
            }
            SessionError::Unwritable { .. } => {
                Some("streamgauge writes to .streamgauge/ in the current directory; run it where you may write".to_owned())
            }
            SessionError::Denied { .. } => {
                Some("ask for this permission; docs/permissions.md has all that streamgauge needs".to_owned())
            }
            SessionError::NotReady { .. } => Some(
                "the function does not start, fails, or its role lacks a permission: its log group tells"
                    .to_owned(),
            ),
            SessionError::Mismatch(_) => {
                Some("streamgauge down, then up with this plan".to_owned())
            }
            SessionError::EnvironmentGone(_) => Some(
                "what was measured until then is kept and reported; with --target local the endpoint has ended".to_owned(),
            ),
            SessionError::LeftBehind { env, .. } => Some(format!("streamgauge down --env {env} tries again")),
            SessionError::NotReverted(_) => Some(
                "streamgauge run puts it back before it begins; streamgauge down takes everything down".to_owned(),
            ),
            SessionError::Down(error) | SessionError::NotExtended(error) => Some(error.hint()),
            SessionError::Evidence(error) => error.hint().map(str::to_owned),
            SessionError::Unreadable { .. } => None,
            SessionError::Panic(_) => Some("please report this, with the lines above".to_owned()),
        }
    }
}
