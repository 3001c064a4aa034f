//! The run that others of its plan are held against, by the user's choice:
//! `.streamgauge/baselines/<plan>.<target>.<environment>.json`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::verdict::compare::KeptRun;

use super::SessionError;
use super::kept::{Whose, slug};
use super::publish::write_whole;

const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    pub v: u32,
    pub plan: String,
    pub target: String,
    pub environment: String,
    /// Id of the run.
    pub run: String,
    /// Its directory, as it was named.
    pub dir: PathBuf,
}

/// Where it is kept, under `root` (`.streamgauge`).
pub fn path(root: &Path, whose: Whose<'_>) -> PathBuf {
    root.join("baselines").join(format!("{}.{}.{}.json", slug(whose.plan), whose.target, slug(whose.env)))
}

/// `None`: no run was named.
///
/// # Errors
/// The file is there and is not what it should be.
pub fn read(root: &Path, whose: Whose<'_>) -> Result<Option<Baseline>, SessionError> {
    let path = path(root, whose);
    let unreadable = |error: String| SessionError::Unreadable { path: path.clone(), error };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let found: Baseline = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if found.v != VERSION {
        return Err(unreadable(format!("format {}; this version reads format {VERSION}", found.v)));
    }
    Ok(Some(found))
}

/// Names the run at `dir`, which `kept` is of.
///
/// # Errors
/// The file cannot be written.
pub fn write(root: &Path, kept: &KeptRun, dir: &Path) -> Result<Baseline, SessionError> {
    let head = &kept.run;
    let whose = Whose { plan: &head.plan, target: &head.target, env: kept.environment_name() };
    let baseline = Baseline {
        v: VERSION,
        plan: head.plan.clone(),
        target: head.target.clone(),
        environment: whose.env.to_owned(),
        run: head.id.clone(),
        dir: dir.to_owned(),
    };
    let path = path(root, whose);
    let mut text = serde_json::to_string_pretty(&baseline).expect("plain members always serialize");
    text.push('\n');
    let written = match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).and_then(|()| write_whole(&path, &text)),
        None => write_whole(&path, &text),
    };
    written.map_err(|error| SessionError::Unwritable { path, error })?;
    Ok(baseline)
}

/// Forgets it. False: there was none.
///
/// # Errors
/// The file cannot be removed.
pub fn clear(root: &Path, whose: Whose<'_>) -> Result<bool, SessionError> {
    let path = path(root, whose);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(SessionError::Unwritable { path, error }),
    }
}

/// Why a run cannot stand for its plan; `None` when it can.
pub fn unfit(kept: &KeptRun, whose: Whose<'_>) -> Option<String> {
    let head = &kept.run;
    let env = kept.environment_name();
    if head.plan != whose.plan {
        return Some(format!("it is a run of the plan '{}', not of '{}'", head.plan, whose.plan));
    }
    if (head.target.as_str(), env) != (whose.target, whose.env) {
        return Some(format!(
            "it ran with --target {} --env {env}, and this is --target {} --env {}",
            head.target, whose.target, whose.env
        ));
    }
    if head.rehearsal {
        return Some("it is a rehearsal: what it says is predicted, not measured".to_owned());
    }
    if !kept.is_complete() {
        return Some(format!("it did not come to its end: {}", head.end));
    }
    if let Some(test) = kept.tests.iter().find(|test| !test.finished) {
        return Some(format!("its test {} did not finish", test.id));
    }
    let judged = || kept.tests.iter().flat_map(|test| &test.levels).filter(|level| level.judged);
    if judged().next().is_none() {
        return Some("it has no judged level".to_owned());
    }
    let void = judged().find_map(|level| Some((&level.name, level.void.as_ref()?)));
    void.map(|(name, why)| format!("its level {name} is void: {why}"))
}
