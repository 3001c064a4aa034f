//! A campaign: the runs of one plan on one environment, each the parent of the next, until all tests have
//! finished. It has no file of its own: it is read from the run directories, so that nothing can contradict them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::evidence::attempts::Attempts;
use crate::evidence::error::EvidenceError;
use crate::evidence::rundir::{KeptFiles, RunDir, RunHeader};
use crate::plan::compare::{PlanChanges, changes, is_same_test};
use crate::plan::{Plan, parse_with};
use crate::platform::clock::WallUs;
use crate::wire::run_id::RunId;

use super::SessionError;

#[cfg(test)]
#[path = "campaign_tests.rs"]
mod tests;

/// Whose campaign: a plan is known by its name, so that it is found again after its text was changed.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// `local` or `aws`.
    pub target: &'a str,
    pub env: &'a str,
    /// `None`: whichever plan ran last.
    pub plan: Option<&'a str>,
}

/// A run that left a directory.
#[derive(Debug)]
pub struct PastRun {
    pub dir: RunDir,
    pub header: RunHeader,
    /// The plan as it was then; `None` where this version cannot read it.
    pub plan: Option<Plan>,
    pub attempts: Attempts,
    /// A process works on it now.
    pub alive: bool,
}

/// The runs from the one that began it to the newest. Never empty.
#[derive(Debug)]
pub struct Campaign {
    pub runs: Vec<PastRun>,
}

/// What the run directories tell.
#[derive(Debug, Default)]
pub struct Past {
    pub campaign: Option<Campaign>,
    /// The number of the next run.
    pub next_number: u64,
    /// What could not be read, for the user.
    pub notes: Vec<String>,
}

/// What a new run goes on from.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    pub parent: Option<RunId>,
    /// [`RunHeader::number`].
    pub number: u64,
    /// For the run's event log, and so for its report.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestState {
    /// It ran to its end, as the plan has it now.
    Finished,
    Running,
    /// It was begun and did not come to its end: it is run again, whole.
    Interrupted,
    /// It ran to its end, and the plan was changed since: it is run again.
    Outdated,
    NotRun,
}

impl TestState {
    pub fn as_str(self) -> &'static str {
        match self {
            TestState::Finished => "finished",
            TestState::Running => "running",
            TestState::Interrupted => "interrupted",
            TestState::Outdated => "outdated",
            TestState::NotRun => "not run",
        }
    }
}

/// Where one test of a plan stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TestStanding<'c> {
    /// Index into `plan.tests()`.
    pub index: usize,
    pub state: TestState,
    /// The run that says so; `None` where there is none.
    pub run: Option<&'c RunDir>,
    pub started_us: Option<WallUs>,
    pub ended_us: Option<WallUs>,
}

/// What `--resume` comes to.
#[derive(Debug)]
pub enum Resumed {
    Run {
        selected: Vec<usize>,
        lineage: Lineage,
    },
    /// All that were asked for have finished.
    NothingLeft,
}

/// Runs by their ids.
type Headers = BTreeMap<RunId, (RunDir, RunHeader)>;

impl Past {
    /// Reads the run directories under `root`. One that cannot be read is left out, with a note.
    ///
    /// # Errors
    /// `root` is there and cannot be read.
    pub fn read(root: &Path, who: Who<'_>) -> Result<Past, SessionError> {
        let mut past = Past::default();
        let mut theirs = past.runs_of(root, who)?;
        past.campaign = newest_chain(&mut theirs, who.plan, &mut past.notes)?;
        Ok(past)
    }

    /// Every campaign of the plan there, the newest first; each run is in one of them.
    ///
    /// # Errors
    /// As [`Past::read`].
    pub fn campaigns(root: &Path, who: Who<'_>) -> Result<(Vec<Campaign>, Vec<String>), SessionError> {
        let mut past = Past::default();
        let mut theirs = past.runs_of(root, who)?;
        let mut campaigns = Vec::new();
        while let Some(campaign) = newest_chain(&mut theirs, who.plan, &mut past.notes)? {
            campaigns.push(campaign);
        }
        Ok((campaigns, past.notes))
    }

    /// The runs under `root` on that target and environment, of any plan; counts the runs and notes what cannot be read.
    fn runs_of(&mut self, root: &Path, who: Who<'_>) -> Result<Headers, SessionError> {
        let mut theirs = Headers::new();
        self.next_number = 1;
        for path in entries(root)? {
            let header = RunDir::open(&path).and_then(|dir| dir.read_run().map(|header| (dir, header)));
            match header {
                Ok((dir, header)) => {
                    self.next_number = self.next_number.max(header.number + 1);
                    if header.target == who.target && header.environment == who.env && !header.rehearsal {
                        theirs.insert(header.id.clone(), (dir, header));
                    }
                }
                Err(error) => {
                    self.notes.push(format!("left out, a run that never began or is damaged: {error}"))
                }
            }
        }
        Ok(theirs)
    }

    /// What a run without `--resume` goes on from: one of the whole plan begins a campaign; one of a selection is a
    /// part of the one that is there, unless the plan has been changed.
    pub fn anew(&self, plan: &Plan, selected: &[usize]) -> Lineage {
        let is_whole = selected.len() == plan.tests().count();
        let newest = self.campaign.as_ref().map(|campaign| &campaign.newest().header);
        let parent = newest.filter(|header| !is_whole && header.plan_hash == plan.hash);
        Lineage {
            parent: parent.map(|header| header.id.clone()),
            number: self.next_number,
            notes: Vec::new(),
        }
    }

    /// The tests among `selected` that have not finished.
    ///
    /// # Errors
    /// The plan was changed since the last run, and `accepts_changes` is not set: how.
    pub fn resume(
        &self,
        plan: &Plan,
        selected: &[usize],
        accepts_changes: bool,
    ) -> Result<Resumed, PlanChanges> {
        let mut lineage = Lineage { number: self.next_number, ..Lineage::default() };
        let Some(campaign) = &self.campaign else {
            return Ok(Resumed::Run { selected: selected.to_vec(), lineage });
        };
        let parent = &campaign.newest().header.id;
        let changed = campaign.changes(plan);
        if !changed.is_empty() {
            if !accepts_changes {
                return Err(changed);
            }
            let what = changed.lines().join("; ");
            lineage
                .notes
                .push(format!("the plan was changed after run {parent}, which was accepted: {what}"));
        }
        let standings = campaign.standings(plan);
        let is_finished = |index: &usize| standings[*index].state == TestState::Finished;
        let left: Vec<usize> = selected.iter().copied().filter(|index| !is_finished(index)).collect();
        if left.is_empty() {
            return Ok(Resumed::NothingLeft);
        }
        let finished = standings.iter().filter(|standing| standing.state == TestState::Finished).count();
        lineage
            .notes
            .push(format!("goes on from run {parent}: {finished} of {} tests had finished", standings.len()));
        lineage.parent = Some(parent.clone());
        Ok(Resumed::Run { selected: left, lineage })
    }
}

impl Campaign {
    pub fn newest(&self) -> &PastRun {
        self.runs.last().expect("a campaign has at least one run")
    }

    /// What `plan` has otherwise than the newest run had.
    pub fn changes(&self, plan: &Plan) -> PlanChanges {
        let newest = self.newest();
        match &newest.plan {
            _ if newest.header.plan_hash == plan.hash => PlanChanges::default(),
            Some(before) => changes(before, plan),
            None => {
                PlanChanges { keys: vec!["a plan that this version cannot read any more"], tests: Vec::new() }
            }
        }
    }

    /// Why a run there cannot be a part of this campaign; `None` when it can.
    pub fn mismatch(&self, region: &str, faults: &[String]) -> Option<String> {
        let header = &self.newest().header;
        if header.region != region {
            return Some(format!("run {} was in {}, this would be in {region}", header.id, header.region));
        }
        let told = |faults: &[String]| match faults {
            [] => "no planted faults".to_owned(),
            faults => format!("the planted faults {}", faults.join(", ")),
        };
        (header.faults != faults).then(|| {
            format!("run {} had {}, this would have {}", header.id, told(&header.faults), told(faults))
        })
    }

    /// Each test of `plan`, in its order.
    pub fn standings(&self, plan: &Plan) -> Vec<TestStanding<'_>> {
        plan.tests().enumerate().map(|(index, test)| self.standing(index, &test.id, plan)).collect()
    }

    fn standing(&self, index: usize, id: &str, plan: &Plan) -> TestStanding<'_> {
        let mut found = TestStanding::not_run(index);
        // Newest first: an end that counts is final, otherwise the newest attempt says what became of it.
        for run in self.runs.iter().rev() {
            for attempt in run.attempts.list.iter().rev().filter(|attempt| attempt.id == id) {
                let state = match attempt.ended_us {
                    Some(_) if attempt.complete && run.counts_for(plan, id) => TestState::Finished,
                    Some(_) if attempt.complete => TestState::Outdated,
                    None if run.alive => TestState::Running,
                    _ => TestState::Interrupted,
                };
                let is_final = matches!(state, TestState::Finished | TestState::Running);
                if is_final || found.state == TestState::NotRun {
                    found.state = state;
                    found.run = Some(&run.dir);
                    (found.started_us, found.ended_us) = (Some(attempt.started_us), attempt.ended_us);
                }
                if is_final {
                    return found;
                }
            }
        }
        found
    }
}

impl TestStanding<'_> {
    pub fn not_run(index: usize) -> TestStanding<'static> {
        TestStanding { index, state: TestState::NotRun, run: None, started_us: None, ended_us: None }
    }
}

impl PastRun {
    /// Whether the test was then what it is in `plan`.
    fn counts_for(&self, plan: &Plan, id: &str) -> bool {
        self.header.plan_hash == plan.hash
            || self.plan.as_ref().is_some_and(|before| is_same_test(before, plan, id))
    }
}

/// The directories under `root` that are named like runs, by name.
fn entries(root: &Path) -> Result<Vec<std::path::PathBuf>, SessionError> {
    let unreadable =
        |error: std::io::Error| SessionError::Unreadable { path: root.to_owned(), error: error.to_string() };
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_str().is_some_and(|name| name.parse::<RunId>().is_ok()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Takes the newest run of the plan and its ancestors out of `theirs`; `None` where it has none.
fn newest_chain(
    theirs: &mut Headers,
    plan: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Option<Campaign>, EvidenceError> {
    let newest = theirs
        .values()
        .filter(|(_, header)| plan.is_none_or(|name| header.plan_name == name))
        // By number: an id is a wall time, which may have been set back.
        .max_by_key(|(_, header)| (header.number, &header.id))
        .map(|(_, header)| header.id.clone());
    newest.map(|newest| Ok(Campaign { runs: chain(newest, theirs, notes)? })).transpose()
}

/// From the first ancestor that is there to `newest`.
fn chain(
    newest: RunId,
    theirs: &mut Headers,
    notes: &mut Vec<String>,
) -> Result<Vec<PastRun>, EvidenceError> {
    let mut runs: Vec<PastRun> = Vec::new();
    let mut next = Some(newest);
    // Each is taken out of the map: a circle of parents ends too.
    while let Some(id) = next {
        let Some((dir, header)) = theirs.remove(&id) else {
            notes.push(format!("run {id} is gone: what it finished counts as not run"));
            break;
        };
        next = header.parent.clone();
        let attempts = Attempts::read(&dir, notes)?;
        let kept = KeptFiles { dir: &dir, header: &header };
        let (plan, alive) = (parse_with(&header.plan_text, &kept).ok(), dir.is_alive());
        runs.push(PastRun { dir, header, plan, attempts, alive });
    }
    runs.reverse();
    Ok(runs)
}
