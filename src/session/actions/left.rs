//! What an action left standing because its run was killed: looked for before the next run, and put back.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::evidence::events::{ActionStep, Event, read_events};
use crate::evidence::rundir::RunDir;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::session::SessionError;
use crate::session::progress::Progress;
use crate::session::run::RunRequest;
use crate::stack::Standing;
use crate::wire::run_id::RunId;

use super::settings::{Pipeline, Setting, Wrong};

/// A reshard may still be under way, and is then waited for.
const BOUND: Duration = Duration::from_secs(15 * 60);
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Run directories that are looked through, the newest first.
const RUNS_MAX: usize = 20;

/// A setting that is not what the environment was stood up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    found: Setting,
    made: Setting,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} instead of {}", self.found.text(), self.made.text())
    }
}

/// The settings that an action can change, as the environment was stood up with them.
fn made(standing: &Standing) -> Vec<Setting> {
    let mut made = vec![
        Setting::Reads(true),
        Setting::Reserved(standing.reserved_concurrency),
        Setting::Batch {
            batch_size: Some(standing.batch_size),
            batch_window_s: Some(standing.batch_window_s),
            parallelization: Some(standing.parallelization),
        },
    ];
    if standing.stream_mode == "provisioned" {
        made.push(Setting::Shards(standing.shards));
    }
    made
}

/// What stands otherwise than the environment was stood up, and what could not be looked at. Nothing is changed.
/// A change that is under way is waited for until `bound`.
pub async fn look(
    clients: &Clients,
    clock: Clock,
    standing: &Standing,
    bound: Duration,
) -> (Vec<Left>, Vec<String>) {
    let pipeline = Pipeline::new(clients, clock, standing);
    let (mut left, mut unseen) = (Vec::new(), Vec::new());
    for made in made(standing) {
        match settled(&pipeline, clock, &made, bound).await {
            Ok(found) if found == made => {}
            Ok(found) => left.push(Left { found, made }),
            Err(wrong) => unseen.push(wrong.text().to_owned()),
        }
    }
    (left, unseen)
}

/// What stands once a change that is under way has ended.
async fn settled(
    pipeline: &Pipeline,
    clock: Clock,
    like: &Setting,
    bound: Duration,
) -> Result<Setting, Wrong> {
    let until = clock.instant() + bound;
    loop {
        if let Some(found) = pipeline.now(like).await? {
            return Ok(found);
        }
        if clock.instant() >= until {
            return Err(Wrong::Busy("a change of the pipeline does not end".to_owned()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// [`put_back`] for a run that is about to begin; nothing of an existing pipeline, which is somebody else's.
///
/// # Errors
/// As [`put_back`].
pub(in crate::session) async fn before_run(
    request: &RunRequest,
    id: &RunId,
) -> Result<Vec<String>, SessionError> {
    let RunRequest { clients, clock, standing, runs, progress, .. } = request;
    match standing.existing {
        Some(_) => Ok(Vec::new()),
        None => {
            let journal = unreverted(runs, &standing.env, Some(id));
            put_back(clients, *clock, standing, journal, &**progress).await
        }
    }
}

/// Puts back what stands otherwise than the environment was stood up, and says so: what it did, one line each.
/// `journal`: what [`unreverted`] found.
///
/// # Errors
/// It could not be put back: a run would measure another pipeline than its plan says.
async fn put_back(
    clients: &Clients,
    clock: Clock,
    standing: &Standing,
    journal: Option<String>,
    progress: &dyn Progress,
) -> Result<Vec<String>, SessionError> {
    let (left, unseen) = look(clients, clock, standing, BOUND).await;
    if let (Some(run), Some(why)) = (&journal, unseen.first()) {
        return Err(SessionError::NotReverted(vec![format!(
            "the run {run} ended in the middle of an action, and what it left cannot be looked at: {why}"
        )]));
    }
    let pipeline = Pipeline::new(clients, clock, standing);
    let untold =
        |why: &String| format!("not looked at, whether an action of an earlier run still stands: {why}");
    let mut told: Vec<String> = unseen.iter().map(untold).collect();
    told.iter().for_each(|line| progress.step(line));
    for left in left {
        let by = match &journal {
            Some(run) => format!("the run {run} ended in the middle of an action"),
            None => "changed since the environment was stood up".to_owned(),
        };
        let line = format!("{by}: {left}; put back");
        progress.step(&line);
        let back = match pipeline.set(&left.made, BOUND).await {
            Ok(()) => pipeline.stands(&left.made, BOUND).await,
            refused => refused,
        };
        back.map_err(|wrong| SessionError::NotReverted(vec![format!("{left}: {}", wrong.text())]))?;
        told.push(line);
    }
    Ok(told)
}

/// The last run on the environment, `but` left out, if its journal has an action that was begun and not reverted.
pub fn unreverted(runs: &Path, env: &str, but: Option<&RunId>) -> Option<String> {
    let mut ids = RunDir::list(runs).ok()?;
    ids.sort_by_key(|id| std::cmp::Reverse(id.to_string()));
    for id in ids.into_iter().filter(|id| Some(id) != but).take(RUNS_MAX) {
        let Ok(dir) = RunDir::open(&runs.join(id.as_str())) else { continue };
        if !dir.read_run().is_ok_and(|header| header.environment == env) {
            continue;
        }
        let events = read_events(&dir.events_jsonl(), &mut Vec::new()).unwrap_or_default();
        let mut open: BTreeSet<(u32, u32)> = BTreeSet::new();
        for logged in &events {
            let Event::Action { level, action, step, .. } = &logged.event else { continue };
            match step {
                ActionStep::Started => open.insert((*level, *action)),
                ActionStep::Refused | ActionStep::Reverted => open.remove(&(*level, *action)),
                ActionStep::InForce | ActionStep::Reverting | ActionStep::NotReverted => false,
            };
        }
        return (!open.is_empty()).then(|| id.to_string());
    }
    None
}
