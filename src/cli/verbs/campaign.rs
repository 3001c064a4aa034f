//! A campaign on the command line: what `run` goes on from, and the table of `status PLAN`.

use crate::cli::out::say;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::args::{Format, Global, RunArgs, TargetArg};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::plan::Plan;
use crate::platform::clock::rfc3339;
use crate::session::campaign::{Campaign, Lineage, Past, Resumed, TestStanding, TestState, Who};
use crate::session::publish::verdict_of_test;
use crate::verdict::Verdict;

/// What a `run` comes to.
pub enum Asked {
    Run(Part),
    /// All that was asked for has finished; that has been told.
    NothingLeft,
}

/// The part of a campaign that is to be run.
pub struct Part {
    pub selected: Vec<usize>,
    lineage: Lineage,
    campaign: Option<Campaign>,
    is_resumed: bool,
}

/// Works out what `run` goes on from. The environment's lock must be held: no other run begins meanwhile.
pub fn asked(global: &Global, args: &RunArgs, plan: &Plan, selected: Vec<usize>) -> Result<Asked, CliError> {
    let past = read(global, Some(&plan.name))?;
    past.notes.iter().for_each(|note| eprintln!("{note}"));
    if !args.resume {
        let lineage = past.anew(plan, &selected);
        return Ok(Asked::Run(Part { selected, lineage, campaign: past.campaign, is_resumed: false }));
    }
    let resumed = past.resume(plan, &selected, args.accept_plan_change).map_err(|changes| {
        let lines: Vec<String> = changes.lines();
        CliError::input(format!("the plan was changed since it ran last: {}", lines.join("; "))).hint(
            "--accept-plan-change goes on all the same, and runs what was changed again; without --resume it begins anew",
        )
    })?;
    match (resumed, past.campaign) {
        (Resumed::Run { selected, lineage }, campaign) => {
            match &campaign {
                None => eprintln!(
                    "no earlier run of '{}' on '{}': beginning with its first test",
                    plan.name, global.env
                ),
                Some(_) => lineage.notes.iter().for_each(|note| eprintln!("{note}")),
            }
            Ok(Asked::Run(Part { selected, lineage, campaign, is_resumed: true }))
        }
        (Resumed::NothingLeft, campaign) => {
            eprintln!("all tests that were asked for have finished: there is nothing to resume");
            show(global, &args.plan, plan, campaign.as_ref(), &[]);
            Ok(Asked::NothingLeft)
        }
    }
}

impl Part {
    /// What the run is a part of, now that it is known where it runs.
    ///
    /// # Errors
    /// It is to be resumed in another place than the one where it was begun.
    pub fn lineage(&self, region: &str, faults: &[String]) -> Result<Lineage, CliError> {
        let mismatch = self.campaign.as_ref().and_then(|campaign| campaign.mismatch(region, faults));
        match mismatch {
            Some(why) if self.is_resumed => {
                Err(CliError::input(format!("this is not where the campaign ran: {why}"))
                    .hint("without --resume a new campaign begins here"))
            }
            Some(_) => Ok(Lineage { parent: None, ..self.lineage.clone() }),
            None => Ok(self.lineage.clone()),
        }
    }
}

/// What `test` goes on from: as a `run` without `--resume`.
pub fn of_test(
    global: &Global,
    plan: &Plan,
    selected: &[usize],
    region: &str,
    faults: &[String],
) -> Result<Lineage, CliError> {
    let past = read(global, Some(&plan.name))?;
    let (lineage, campaign) = (past.anew(plan, selected), past.campaign);
    Part { selected: Vec::new(), lineage, campaign, is_resumed: false }.lineage(region, faults)
}

/// How a run that was stopped early goes on.
pub fn resume_hint(global: &Global, plan: &Path, stands: bool) -> String {
    let options = options(global);
    let resume = format!("streamgauge run --resume {}{options}", plan.display());
    let what = "goes on with the first test that has not finished";
    match stands {
        true => format!("{resume} {what}"),
        false => format!("streamgauge up {}{options}, then {resume} {what}", plan.display()),
    }
}

/// The options that choose the environment, as a command has them.
pub fn options(global: &Global) -> String {
    let target = if global.target == TargetArg::Aws { " --target aws" } else { "" };
    format!(" --env {}{target}", global.env)
}

fn read(global: &Global, plan: Option<&str>) -> Result<Past, CliError> {
    let target = match global.target {
        TargetArg::Local => "local",
        TargetArg::Aws => "aws",
    };
    Ok(Past::read(&input::runs_dir(), Who { target, env: &global.env, plan })?)
}

/// `status PLAN`.
pub fn status(global: &Global, file: &Path) -> Result<Exit, CliError> {
    let plan = input::plan(file)?;
    let past = read(global, Some(&plan.name))?;
    let mut notes = past.notes;
    if let Some(campaign) = &past.campaign {
        let changes = campaign.changes(&plan).lines();
        if !changes.is_empty() {
            notes.push(format!("the plan was changed since it ran last: {}", changes.join("; ")));
        }
    }
    show(global, file, &plan, past.campaign.as_ref(), &notes);
    Ok(Exit::Done)
}

/// One test of the plan, with its verdict.
struct Row<'c> {
    standing: TestStanding<'c>,
    id: &'c str,
    name: &'c str,
    week: u32,
    /// `None` where it did not finish, or its run cannot be judged.
    verdict: Option<Verdict>,
}

fn rows<'c>(plan: &'c Plan, campaign: Option<&'c Campaign>) -> Vec<Row<'c>> {
    let tests = plan.phases.iter().flat_map(|phase| phase.tests.iter().map(|test| (phase.week, test)));
    let standings = match campaign {
        Some(campaign) => campaign.standings(plan),
        None => (0..plan.tests().count()).map(TestStanding::not_run).collect(),
    };
    tests
        .zip(standings)
        .map(|((week, test), standing)| {
            let judged = matches!(standing.state, TestState::Finished | TestState::Outdated);
            let verdict =
                standing.run.filter(|_| judged).and_then(|dir| verdict_of_test(dir.path(), &test.id));
            Row { standing, id: &test.id, name: &test.name, week, verdict }
        })
        .collect()
}

fn show(global: &Global, file: &Path, plan: &Plan, campaign: Option<&Campaign>, notes: &[String]) {
    let rows = rows(plan, campaign);
    match global.format {
        Format::Json => say!("{:#}", document(global, plan, campaign, &rows, notes)),
        Format::Human => {
            tell(global, file, plan, campaign, &rows);
            notes.iter().for_each(|note| say!("{note}"));
        }
    }
}

fn run_of<'c>(standing: &TestStanding<'c>) -> Option<std::borrow::Cow<'c, str>> {
    standing.run.and_then(|dir| dir.path().file_name()).map(|name| name.to_string_lossy())
}

fn when(standing: &TestStanding<'_>) -> Option<String> {
    standing.ended_us.or(standing.started_us).map(rfc3339)
}

fn document(
    global: &Global,
    plan: &Plan,
    campaign: Option<&Campaign>,
    rows: &[Row<'_>],
    notes: &[String],
) -> Value {
    let tests: Vec<Value> = rows
        .iter()
        .map(|Row { standing, id, name, week, verdict }| {
            json!({
                "id": id, "name": name, "week": week, "state": standing.state, "verdict": verdict,
                "run": run_of(standing),
                "started_at": standing.started_us.map(rfc3339), "ended_at": standing.ended_us.map(rfc3339),
            })
        })
        .collect();
    let runs: Vec<Value> = campaign
        .iter()
        .flat_map(|campaign| &campaign.runs)
        .map(|run| {
            json!({
                "run": run.header.id, "started_at": rfc3339(run.header.started_us),
                "ended_at": run.attempts.ended_us.map(rfc3339), "running": run.alive,
            })
        })
        .collect();
    json!({
        "plan": plan.name, "env": global.env, "finished": finished(rows), "tests": tests, "runs": runs, "notes": notes,
    })
}

fn finished(rows: &[Row<'_>]) -> usize {
    rows.iter().filter(|row| row.standing.state == TestState::Finished).count()
}

fn tell(global: &Global, file: &Path, plan: &Plan, campaign: Option<&Campaign>, rows: &[Row<'_>]) {
    let mut table = crate::cli::table(["test", "name", "week", "state", "verdict", "when", "run"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for Row { standing, id, name, week, verdict } in rows {
        table.add_row([
            (*id).to_owned(),
            (*name).to_owned(),
            week.to_string(),
            standing.state.as_str().to_owned(),
            or_dash(verdict.map(|verdict| verdict.to_string())),
            or_dash(when(standing)),
            or_dash(run_of(standing).map(String::from)),
        ]);
    }
    say!("{table}");
    let runs = match campaign.map_or(0, |campaign| campaign.runs.len()) {
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    };
    say!(
        "'{}' on '{}': {} of {} tests have finished, in {runs}",
        plan.name,
        global.env,
        finished(rows),
        rows.len()
    );
    if finished(rows) < rows.len() {
        say!("{}", resume_hint(global, file, true));
    }
}

/// The campaign that ran last on the environment, for `status` alone: a line, and the same for `--format json`.
pub fn last(global: &Global) -> Option<(String, Value)> {
    let campaign = read(global, None).ok()?.campaign?;
    let newest = campaign.newest();
    let plan = newest.plan.as_ref()?;
    let standings = campaign.standings(plan);
    let finished = standings.iter().filter(|standing| standing.state == TestState::Finished).count();
    let line = format!(
        "campaign '{}': {finished} of {} tests have finished; streamgauge status PLAN{} shows it",
        plan.name,
        standings.len(),
        options(global)
    );
    let id = &newest.header.id;
    Some((line, json!({"plan": plan.name, "finished": finished, "tests": standings.len(), "last_run": id})))
}
