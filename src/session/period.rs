//! From a campaign's run directories to the report of a day, a week or all of it: a pure function of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::plan::Plan;
use crate::platform::clock::{WallUs, rfc3339};
use crate::report::period::{self, Gathered, Kind, Part, PeriodModel, Request, State, Wanted};

use super::SessionError;
use super::campaign::{Campaign, Past, PastRun, TestState, Who};
use super::publish::{Worked, work_out, write_whole};

/// Runs that are worked out at a time, at most: each holds its evidence meanwhile.
const AT_A_TIME_MAX: usize = 4;
/// How long nothing is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What may be asked of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Week(u32),
    /// Such as `2026-11-21`, in UTC.
    Day(String),
    Campaign,
}

/// Whose report, and how its commands begin.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub scope: &'a Scope,
    pub plan: &'a Plan,
    /// `local` or `aws`.
    pub target: &'a str,
    pub env: &'a str,
    /// How a command goes on after `streamgauge run`.
    pub run_arguments: &'a str,
}

/// What came of it.
#[derive(Debug)]
pub enum Reported {
    Model(Box<PeriodModel>),
    /// No run of the plan is there.
    NoRun,
    /// No test began on that day; on these some did.
    NothingThatDay {
        days: Vec<String>,
    },
}

/// Reads the run directories under `root` and works the report out; writes nothing. `told` hears, about every second,
/// how many runs of how many are done.
///
/// # Errors
/// `root` or a campaign's event log is there and cannot be read. A run that cannot be worked out is left out with a note.
pub fn work_out_period(
    root: &Path,
    asked: &Asked<'_>,
    told: &dyn Fn(usize, usize),
) -> Result<Reported, SessionError> {
    let who = Who { target: asked.target, env: asked.env, plan: Some(&asked.plan.name) };
    let (campaigns, mut notes) = Past::campaigns(root, who)?;
    let Some((newest, earlier)) = campaigns.split_first() else { return Ok(Reported::NoRun) };
    let (wanted, before) = match asked.scope {
        Scope::Week(week) => (of_plan(newest, asked.plan, Some(*week)), Vec::new()),
        Scope::Campaign => {
            let earlier = earlier.first();
            let before = earlier.map_or_else(Vec::new, |earlier| of_plan(earlier, asked.plan, None));
            (of_plan(newest, asked.plan, None), before.into_iter().filter(has_ended).collect())
        }
        Scope::Day(day) => {
            let wanted = of_day(&campaigns, asked.plan, day);
            if wanted.is_empty() {
                return Ok(Reported::NothingThatDay { days: days(&campaigns) });
            }
            (wanted, Vec::new())
        }
    };
    if !matches!(asked.scope, Scope::Day(_)) {
        let changes = newest.changes(asked.plan).lines();
        if !changes.is_empty() {
            notes.push(format!("the plan was changed since it ran last: {}", changes.join("; ")));
        }
    }
    let runs: Vec<&PastRun> = campaigns.iter().flat_map(|campaign| &campaign.runs).collect();
    let mut gathered = gather(&runs, vec![wanted, before], told, &mut notes).into_iter();
    let now = gathered.next().unwrap_or_default();
    let then = gathered.next().filter(|then| !then.parts.is_empty());
    let request = request(asked);
    Ok(Reported::Model(Box::new(period::build(&request, &now, then.as_ref(), notes))))
}

fn request<'a>(asked: &Asked<'a>) -> Request<'a> {
    let (kind, week, day) = match asked.scope {
        Scope::Week(week) => (Kind::Week, Some(*week), None),
        Scope::Day(day) => (Kind::Day, None, Some(day.as_str())),
        Scope::Campaign => (Kind::Campaign, None, None),
    };
    Request {
        kind,
        week,
        day,
        plan: asked.plan,
        environment: asked.env,
        target: asked.target,
        run_arguments: asked.run_arguments,
    }
}

/// The plan's tests, each with the run that holds it.
fn of_plan(campaign: &Campaign, plan: &Plan, week: Option<u32>) -> Vec<Wanted> {
    let tests = plan.phases.iter().flat_map(|phase| phase.tests.iter().map(move |test| (phase.week, test)));
    let placed = tests.zip(campaign.standings(plan));
    placed
        .filter(|((of, _), _)| week.is_none_or(|week| week == *of))
        .map(|((week, test), standing)| Wanted {
            id: test.id.clone(),
            name: test.name.clone(),
            week: Some(week),
            state: state(standing.state),
            run: standing
                .run
                .and_then(|dir| dir.path().file_name())
                .map(|name| name.to_string_lossy().into()),
        })
        .collect()
}

fn state(state: TestState) -> State {
    match state {
        TestState::Finished => State::Finished,
        TestState::Running => State::Running,
        TestState::Interrupted => State::Interrupted,
        TestState::Outdated => State::Outdated,
        TestState::NotRun => State::NotRun,
    }
}

fn has_ended(wanted: &Wanted) -> bool {
    matches!(wanted.state, State::Finished | State::Outdated)
}

/// The day of a time, in UTC: `2026-11-21`.
fn day_of(at_us: WallUs) -> String {
    rfc3339(at_us).chars().take(10).collect()
}

/// Every test that began on that day, whatever became of it later, in the order in which they did.
fn of_day(campaigns: &[Campaign], plan: &Plan, day: &str) -> Vec<Wanted> {
    let mut found: Vec<(WallUs, Wanted)> = Vec::new();
    for run in campaigns.iter().flat_map(|campaign| &campaign.runs) {
        for attempt in run.attempts.list.iter().filter(|attempt| day_of(attempt.started_us) == day) {
            let state = match attempt.ended_us {
                Some(_) if attempt.complete => State::Finished,
                None if run.alive => State::Running,
                _ => State::Interrupted,
            };
            let then = run.plan.as_ref().unwrap_or(plan);
            let known = then.tests().find(|test| test.id == attempt.id);
            let phases = then.phases.iter();
            let week =
                phases.filter(|phase| phase.tests.iter().any(|test| test.id == attempt.id)).map(|it| it.week);
            let wanted = Wanted {
                id: attempt.id.clone(),
                name: known.map_or_else(String::new, |test| test.name.clone()),
                week: week.min(),
                state,
                run: Some(run.header.id.to_string()),
            };
            found.push((attempt.started_us, wanted));
        }
    }
    found.sort_by_key(|(started_us, _)| *started_us);
    found.into_iter().map(|(_, wanted)| wanted).collect()
}

/// The days on which a test began.
fn days(campaigns: &[Campaign]) -> Vec<String> {
    let runs = campaigns.iter().flat_map(|campaign| &campaign.runs);
    let days: BTreeSet<String> =
        runs.flat_map(|run| run.attempts.list.iter().map(|attempt| day_of(attempt.started_us))).collect();
    days.into_iter().collect()
}

/// Works out each run that holds a wanted test, once, and hands every list its own. Runs come in the order of their
/// numbers, oldest first.
fn gather(
    runs: &[&PastRun],
    lists: Vec<Vec<Wanted>>,
    told: &dyn Fn(usize, usize),
    notes: &mut Vec<String>,
) -> Vec<Gathered> {
    let mut needed: Vec<(usize, &PastRun)> = Vec::new();
    for (list, wanted) in lists.iter().enumerate() {
        let holds = |run: &&&PastRun| {
            let id = run.header.id.to_string();
            wanted.iter().any(|wanted| wanted.run.as_ref() == Some(&id))
        };
        needed.extend(runs.iter().filter(holds).map(|run| (list, *run)));
    }
    needed.sort_by_key(|(list, run)| (*list, run.header.number, run.header.id.clone()));
    let paths: Vec<&Path> = needed.iter().map(|(_, run)| run.dir.path()).collect();
    let worked = work_out_all(&paths, told);
    let mut gathered: Vec<Gathered> =
        lists.into_iter().map(|wanted| Gathered { wanted, parts: Vec::new() }).collect();
    for ((list, run), part) in needed.into_iter().zip(worked) {
        match part {
            Ok(part) => gathered[list].parts.push(part),
            Err(error) => notes.push(format!("run {} is left out: {error}", run.header.id)),
        }
    }
    gathered
}

/// A core works on one run at a time; what is kept of each is small.
fn work_out_all(paths: &[&Path], told: &dyn Fn(usize, usize)) -> Vec<Result<Part, SessionError>> {
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get());
    let threads = threads.min(AT_A_TIME_MAX).min(paths.len());
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Part, SessionError>)>> = Mutex::new(Vec::new());
    let (finished, all_finished) = mpsc::sync_channel::<()>(paths.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let finished = finished.clone();
            scope.spawn(|| {
                let finished = finished;
                while let Some((index, path)) = taken(&next, paths) {
                    let part = work_out(path).map(kept);
                    done.lock().expect("no thread panics with it held").push((index, part));
                    // As many places as there are runs: it never waits.
                    let _ = finished.send(());
                }
            });
        }
        drop(finished);
        tell(&all_finished, paths.len(), told);
    });
    let mut parts = done.into_inner().expect("no thread panics with it held");
    parts.sort_by_key(|(index, _)| *index);
    parts.into_iter().map(|(_, part)| part).collect()
}

fn taken<'p>(next: &AtomicUsize, paths: &[&'p Path]) -> Option<(usize, &'p Path)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    paths.get(index).map(|path| (index, *path))
}

/// Until every thread has dropped its end: each ends when no run is left.
fn tell(finished: &mpsc::Receiver<()>, all: usize, told: &dyn Fn(usize, usize)) {
    let mut done = 0;
    loop {
        match finished.recv_timeout(TOLD_EVERY) {
            Ok(()) => done += 1,
            Err(RecvTimeoutError::Timeout) => told(done, all),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn kept(worked: Worked) -> Part {
    let Worked { evidence, book, findings, model, .. } = worked;
    Part::new(model, &evidence, &findings, book)
}

/// Writes every format into `folder`, which is made where it is missing. In the JUnit file nothing is skipped: it depends
/// on the run directories alone.
///
/// # Errors
/// A file cannot be written.
pub fn publish_period(model: &PeriodModel, folder: &Path) -> Result<Vec<PathBuf>, SessionError> {
    let unwritable = |path: &Path, error| SessionError::Unwritable { path: path.to_owned(), error };
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let name = match (&model.period.week, &model.period.day) {
        (Some(week), _) => format!("week-{week}"),
        (None, Some(day)) => format!("day-{day}"),
        (None, None) => "campaign".to_owned(),
    };
    let formats = [
        ("html", crate::report::period_html(model)),
        ("md", period::markdown(model)),
        ("json", period::json(model)),
        ("csv", period::csv(model)),
        ("junit.xml", period::junit(model, false)),
    ];
    let mut files = Vec::new();
    for (extension, text) in formats {
        let path = folder.join(format!("{name}.{extension}"));
        write_whole(&path, &text).map_err(|error| unwritable(&path, error))?;
        files.push(path);
    }
    Ok(files)
}
