//! `report --day`, `--week` and `--campaign`: over the runs of a plan's campaign.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::cli::args::{Global, Rendering, ReportArgs, TargetArg};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::verbs::{campaign, report};
use crate::plan::Plan;
use crate::report::period::{self, PeriodModel};
use crate::session::period::{Asked, Reported, Scope, publish_period, work_out_period};

/// The period that is asked for; `None` for the report of a run.
///
/// # Errors
/// The day is none.
pub fn scope(args: &ReportArgs) -> Result<Option<Scope>, CliError> {
    if let Some(day) = &args.day {
        // Only the canonical form: it is compared as text.
        let parsed = day.parse::<jiff::civil::Date>().ok().filter(|date| date.to_string() == *day);
        return match parsed {
            Some(_) => Ok(Some(Scope::Day(day.clone()))),
            None => Err(CliError::input(format!("--day: found '{day}', expected YYYY-MM-DD"))),
        };
    }
    Ok(args.week.map(Scope::Week).or(args.campaign.then_some(Scope::Campaign)))
}

/// Works the report out, writes its files, and prints it.
pub fn run(global: &Global, file: &Path, scope: &Scope, rendering: Rendering) -> Result<Exit, CliError> {
    let plan = input::plan(file)?;
    if let Scope::Week(week) = scope {
        check_week(&plan, *week)?;
    }
    let target = match global.target {
        TargetArg::Local => "local",
        TargetArg::Aws => "aws",
    };
    let arguments = format!("{}{}", file.display(), campaign::options(global));
    let asked = Asked { scope, plan: &plan, target, env: &global.env, run_arguments: &arguments };
    let told = |done: usize, all: usize| eprintln!("working the report out: {done} of {all} runs are read");
    let model = match work_out_period(&input::runs_dir(), &asked, &told)? {
        Reported::Model(model) => model,
        Reported::NoRun => {
            let error = format!("no run of '{}' on '{}' ({target}) is here", plan.name, global.env);
            return Err(CliError::input(error).hint(format!("`streamgauge test {arguments}` makes one")));
        }
        Reported::NothingThatDay { days } => {
            let error = format!("--day: no test of '{}' on '{}' began then", plan.name, global.env);
            return Err(CliError::input(error).hint(format!("tests began on {}", days.join(", "))));
        }
    };
    let folder = folder(&plan, global);
    let files = publish_period(&model, &folder)?;
    let text = match rendering {
        Rendering::Terminal => for_terminal(&model, &files),
        Rendering::Short => period::short(&model),
        Rendering::Markdown => period::markdown(&model),
        Rendering::Html => crate::report::period_html(&model),
        Rendering::Json => period::json(&model),
        Rendering::Csv => period::csv(&model),
        Rendering::Junit => period::junit(&model, global.allow_inconclusive),
    };
    crate::cli::out::print(format_args!("{text}"));
    Ok(report::exit_of(global, model.period.verdict))
}

fn for_terminal(model: &PeriodModel, files: &[PathBuf]) -> String {
    let mut text = period::terminal(model, report::width(), std::io::stdout().is_terminal());
    text.push_str("\nReports:\n");
    for file in files {
        text.push_str(&format!("  {}\n", file.display()));
    }
    text
}

fn check_week(plan: &Plan, week: u32) -> Result<(), CliError> {
    let mut weeks: Vec<u32> = plan.phases.iter().map(|phase| phase.week).collect();
    weeks.sort_unstable();
    weeks.dedup();
    if weeks.contains(&week) {
        return Ok(());
    }
    let known: Vec<String> = weeks.iter().map(u32::to_string).collect();
    let expected = format!("one of the weeks of '{}': {}", plan.name, known.join(", "));
    Err(CliError::input(format!("--week: found {week}, expected {expected}")))
}

/// `.streamgauge/reports/<plan>/<env>`; what runs on AWS stands apart from what runs here.
fn folder(plan: &Plan, global: &Global) -> PathBuf {
    let env = match global.target {
        TargetArg::Local => global.env.clone(),
        TargetArg::Aws => format!("{}-aws", global.env),
    };
    Path::new(input::ROOT).join("reports").join(slug(&plan.name)).join(env)
}

/// A plan's name as a folder's: lower-case letters and digits, everything else a hyphen.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mapped: String = name.chars().map(plain).collect();
    let words: Vec<&str> = mapped.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "plan".to_owned() } else { words.join("-") }
}
