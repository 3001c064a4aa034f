//! Why a run is stopped early.

use tokio::sync::watch;

use super::SessionError;
use crate::evidence::model::RunEnd;

/// Why the load ended before its plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    Interrupted,
    RedFlag(String),
    Budget(String),
    EnvironmentGone(String),
    Denied(String),
}

impl Stop {
    pub(super) fn reason(&self) -> String {
        match self {
            Stop::Interrupted => "interrupted".to_owned(),
            Stop::RedFlag(detail) => format!("red flag: {detail}"),
            Stop::Budget(detail) => format!("budget: {detail}"),
            Stop::EnvironmentGone(detail) => format!("the environment is out of reach: {detail}"),
            Stop::Denied(detail) => format!("not allowed to put records: {detail}"),
        }
    }
}

/// How the run is said to have ended, and what of the environment failed under it.
pub(super) fn end_of(ended: Result<Option<Stop>, SessionError>) -> (RunEnd, Option<SessionError>) {
    match ended {
        Ok(None) => (RunEnd::Completed, None),
        Ok(Some(stop @ Stop::EnvironmentGone(_))) => {
            (RunEnd::Stopped(stop.reason()), Some(SessionError::EnvironmentGone(stop.reason())))
        }
        Ok(Some(Stop::Denied(detail))) => {
            let doing = "put records into the stream";
            let reason = Stop::Denied(detail.clone()).reason();
            (RunEnd::Stopped(reason), Some(SessionError::Denied { doing, detail }))
        }
        Ok(Some(stop)) => (RunEnd::Stopped(stop.reason()), None),
        Err(error) => (RunEnd::Stopped(error.to_string()), Some(error)),
    }
}

/// Says so when it goes, however that happens.
pub(super) struct StopOnDrop(pub watch::Sender<bool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}
