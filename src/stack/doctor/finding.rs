//! What `doctor` says: one finding a check.

use serde::Serialize;

/// How bad it is. Ordered: the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    Warning,
    Stop,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Stop => "stop",
        }
    }
}

/// What would have to change: the plan, or the account, the network or this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Concern {
    Plan,
    Environment,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Stable name, for scripts: `stream-capacity`.
    pub check: &'static str,
    pub level: Level,
    pub concern: Concern,
    /// What was found, in words.
    pub found: String,
    /// What it takes; `None` where that is not a quantity.
    pub needed: Option<String>,
    /// One line of what to do; every warning and every stop has one.
    pub hint: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            check,
            level: Level::Ok,
            concern: Concern::Environment,
            found: found.into(),
            needed: None,
            hint: None,
        }
    }

    pub fn warning(check: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, hint: Some(hint.into()), ..Finding::ok(check, found) }
    }

    /// A stop that the account, the network or this machine is the reason of.
    pub fn stop(check: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { level: Level::Stop, ..Finding::warning(check, found, hint) }
    }

    /// It is the plan that would have to change.
    pub fn of_plan(self) -> Finding {
        Finding { concern: Concern::Plan, ..self }
    }

    pub fn needed(self, needed: impl Into<String>) -> Finding {
        Finding { needed: Some(needed.into()), ..self }
    }
}
