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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::evidence::cells::{LevelCells, read};
    use crate::evidence::hlog::{self, LoadMetric};
    use crate::evidence::model::SecondRow;
    use crate::verdict::fixture::{START_US, evidence};

    /// The fixture's second level holds 10/s for 300 s, from 30 s after the start: cells of three seconds.
    #[test]
    fn neighbours_are_taken_together_and_other_levels_apart() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut log = hlog::header(START_US, "20261121-100000-k3f9").into_bytes();
        let mut one = hlog::histogram();
        one.record_n(2_000, 10).expect("in range");
        let mut line = |level, metric, second| {
            let (start, length) = (Duration::from_secs(second), Duration::from_secs(1));
            log.extend(hlog::interval(level, metric, start, length, &one));
        };
        for second in 30..330 {
            line(1, LoadMetric::PutLatency, second);
        }
        line(1, LoadMetric::GeneratorLag, 30);
        line(2, LoadMetric::ServiceTime, 340);
        std::fs::write(dir.path().join("run.json"), "{}").expect("write");
        std::fs::write(dir.path().join("intervals.hlog"), &log).expect("write");
        let mut evidence = evidence();
        let row = |second: i64, acked| SecondRow {
            at_ms: START_US / 1_000 + second * 1_000,
            level: 1,
            acked,
            ..SecondRow::default()
        };
        // Nothing was answered between 32 s and 38 s: those seconds count all the same.
        evidence.seconds = vec![row(30, 10), row(31, 11), row(38, 12)];
        let cells = read(dir.path(), &evidence).expect("read");
        let hold = &cells[0][1];
        assert_eq!(hold.put_latency.len(), 100);
        assert!(hold.put_latency.iter().all(|cell| *cell == [(2_000, 30)]), "{:?}", hold.put_latency[0]);
        assert_eq!((hold.service_time.len(), hold.e2e.len()), (0, 0));
        let told: Vec<(u64, u64)> = hold.traffic.iter().map(|cell| (cell.seconds, cell.acked)).collect();
        assert_eq!(told, [(3, 21), (3, 0), (3, 12)]);
        assert_eq!(cells[0][2].service_time, [vec![(2_000, 10)]]);
        assert_eq!(cells[0][0], LevelCells::default());
    }
}
