//! Why a run is stopped early.

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
