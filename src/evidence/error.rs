//! What can go wrong with a run directory.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file is there, and is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content { path: PathBuf, reason: String },
    /// A directory without `run.json`, and the files of a run that are in it.
    #[error("{}: {}", path.display(), no_run(.found))]
    NoRun { path: PathBuf, found: Vec<&'static str> },
    /// `run.json`, without which nothing can be told of the rest.
    #[error("{} is torn or damaged: {reason}; without it the run's plan is not known, and the rest cannot be reported on", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{}: {reason}", path.display())]
    Newer { path: PathBuf, reason: String },
    #[error(
        "the plan kept in the run directory, by streamgauge {tool_version}, is none for this version: {reason}"
    )]
    Plan { reason: String, tool_version: String },
}

fn no_run(found: &[&str]) -> String {
    match found {
        [] => "there is no run.json and no evidence: a run that never began, or no run at all".to_owned(),
        found => format!(
            "there is no run.json, which holds the plan: what is left ({}) cannot be reported on without it",
            found.join(", ")
        ),
    }
}

impl EvidenceError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> EvidenceError + '_ {
        move |source| EvidenceError::Io { path: path.to_owned(), source }
    }

    pub(crate) fn content(path: &Path, reason: impl Into<String>) -> EvidenceError {
        EvidenceError::Content { path: path.to_owned(), reason: reason.into() }
    }

    /// Nothing more can be written: the run has to stop, and says so.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, EvidenceError::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        ))
    }

    /// One line of what to do, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            EvidenceError::Damaged { .. } | EvidenceError::Plan { .. } => Some(
                "what was reported at the time is in report.json, report.md and report.html beside it, if the run came so far",
            ),
            EvidenceError::Newer { .. } => {
                Some("report on it with the version that wrote it, or a later one")
            }
            _ => self
                .is_disk_full()
                .then_some("free some space, or let `.streamgauge/` stand on a larger disk"),
        }
    }
}
