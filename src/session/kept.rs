//! Runs for comparisons and histories: as their `report.json` has them, with or without the evidence beside it.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::evidence::cells;
use crate::evidence::rundir::{RunDir, RunHeader};
use crate::report;
use crate::verdict::compare::{KeptRun, Side, differences};

use super::SessionError;
use super::publish::{Worked, work_out};

/// Earlier runs alike that are read at most: more would not widen what is known of their range by much.
const EARLIER_MAX: usize = 20;
/// A report of a plan of thousands of levels has a few megabytes; what is larger is none.
const REPORT_MAX_BYTES: u64 = 256 << 20;

/// What a report is made of: it is of today as long as none of these is newer.
const EVIDENCE: [&str; 8] = [
    "run.json",
    "environment.json",
    "events.jsonl",
    "sends.jsonl",
    "receipts.jsonl",
    "intervals.hlog",
    "metrics.json",
    "prices.yaml",
];

/// A run to compare: a run directory, or a directory with nothing but a `report.json`, which has no intervals.
///
/// # Errors
/// Neither the evidence nor a `report.json` can be read.
pub fn side(dir: &Path) -> Result<Side, SessionError> {
    if !dir.join("run.json").is_file() {
        let kept = kept_report(dir)?;
        return Ok(Side { kept, cells: Err("there is only its report.json".to_owned()), plan: None });
    }
    let worked = match work_out(dir) {
        Ok(worked) => worked,
        // Evidence of another version may still have its report; otherwise the first error is the one that counts.
        Err(error) => {
            let Ok(kept) = kept_report(dir) else { return Err(error) };
            return Ok(Side { kept, cells: Err(error.to_string()), plan: None });
        }
    };
    let cells = cells::read(dir, &worked.evidence)?;
    Ok(Side { kept: of_model(dir, &worked)?, cells: Ok(cells), plan: Some(worked.evidence.plan) })
}

/// A run for a history: its `report.json` where that is as new as the evidence, else worked out.
///
/// # Errors
/// As [`side`].
pub fn kept(dir: &Path) -> Result<KeptRun, SessionError> {
    if is_of_today(dir)
        && let Ok(kept) = kept_report(dir)
    {
        return Ok(kept);
    }
    of_model(dir, &work_out(dir)?)
}

fn is_of_today(dir: &Path) -> bool {
    let changed = |name: &str| std::fs::metadata(dir.join(name)).and_then(|found| found.modified()).ok();
    let Some(report) = changed("report.json") else { return false };
    EVIDENCE.iter().filter_map(|name| changed(name)).all(|evidence| evidence <= report)
}

fn kept_report(dir: &Path) -> Result<KeptRun, SessionError> {
    use std::io::Read;
    let path = dir.join("report.json");
    let unreadable = |error: String| SessionError::Unreadable { path: path.clone(), error };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&path).map_err(|error| unreadable(error.to_string()))?;
    file.take(REPORT_MAX_BYTES).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    KeptRun::parse(&bytes).map_err(unreadable)
}

fn of_model(dir: &Path, worked: &Worked) -> Result<KeptRun, SessionError> {
    // By way of the text, because that is what a run without evidence is read from: one road for both.
    let unreadable = |error: String| SessionError::Unreadable { path: dir.to_owned(), error };
    KeptRun::parse(report::json(&worked.model).as_bytes()).map_err(unreadable)
}

/// Whose runs: those of a plan, known by its name, on one environment.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    pub plan: &'a str,
    /// `local` or `aws`.
    pub target: &'a str,
    pub env: &'a str,
}

/// The runs under `root` of that plan, oldest first, rehearsals apart. A directory that cannot be read is left out,
/// with a note.
///
/// # Errors
/// `root` is there and cannot be read.
pub fn runs_of(
    root: &Path,
    whose: Whose<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<(PathBuf, RunHeader)>, SessionError> {
    let mut found = Vec::new();
    for run in RunDir::list(root)? {
        let path = root.join(run.as_str());
        match RunDir::open(&path).and_then(|dir| dir.read_run()) {
            Ok(header) if is_whose(&header, whose) && !header.rehearsal => found.push((path, header)),
            Ok(_) => {}
            Err(error) => notes.push(format!("left out: {error}")),
        }
    }
    // By number: an id is a wall time, which may have been set back.
    found.sort_by(|(_, left), (_, right)| (left.number, &left.id).cmp(&(right.number, &right.id)));
    Ok(found)
}

fn is_whose(header: &RunHeader, whose: Whose<'_>) -> bool {
    header.plan_name == whose.plan && header.target == whose.target && header.environment == whose.env
}

/// Finished runs under `root` with the plan and the configuration of `before`, that began before `after` did; neither of
/// the two. The newest first, so many that their range is known.
///
/// # Errors
/// As [`runs_of`].
pub fn earlier_alike(root: &Path, before: &KeptRun, after: &KeptRun) -> Result<Vec<KeptRun>, SessionError> {
    let head = &before.run;
    let whose = Whose { plan: &head.plan, target: &head.target, env: before.environment_name() };
    // What cannot be read is no sibling.
    let runs = runs_of(root, whose, &mut Vec::new())?;
    let is_neither = |header: &RunHeader| ![&head.id, &after.run.id].contains(&&header.id.to_string());
    let candidates =
        runs.into_iter().rev().filter(|(_, header)| header.plan_hash == head.plan_hash && is_neither(header));
    let is_alike = |run: &KeptRun| {
        run.is_complete() && differences(before, run).is_empty() && run.run.started_at < after.run.started_at
    };
    Ok(candidates.filter_map(|(path, _)| kept(&path).ok()).filter(is_alike).take(EARLIER_MAX).collect())
}

/// A plan's name as part of a file's name: letters, digits and `-`, with a few digits of
/// its hash where that is not the whole name, so that no two plans share a file.
pub fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let short: String = name.chars().map(plain).take(40).collect();
    if short == name {
        short
    } else {
        format!("{short}-{}", &hex::encode(Sha256::digest(name.as_bytes()))[..8])
    }
}
