//! `compare`: two runs held against each other.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::cli::args::{CompareArgs, CompareAs, Format, Global};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::report::compare::{html, json, markdown, terminal};
use crate::session::SessionError;
use crate::session::baseline::{self, Baseline};
use crate::session::kept::{self, Whose};
use crate::session::publish::write_whole;
use crate::verdict::Verdict;
use crate::verdict::compare::{Comparison, Side, compare};

pub fn run(global: &Global, args: &CompareArgs) -> Result<Exit, CliError> {
    let first = side(&args.a)?;
    let (before, after, is_baseline) = match &args.b {
        Some(second) => (first, side(second)?, false),
        None => (of_baseline(&first)?, first, true),
    };
    let earlier = kept::earlier_alike(&input::runs_dir(), &before.kept, &after.kept)?;
    let mut comparison = compare(&before, &after, &earlier, args.fail_on);
    comparison.is_baseline = is_baseline;
    let files = write(&comparison)?;
    print(global, args.shown_as, &comparison, &files);
    Ok(exit(global, &comparison))
}

fn side(run: &Path) -> Result<Side, CliError> {
    let dir = comparable_dir(run)?;
    kept::side(&dir).map_err(|error| unreadable(&dir, error))
}

/// A run that cannot be read is the wrong argument.
pub fn unreadable(dir: &Path, error: SessionError) -> CliError {
    let hint = format!("`streamgauge report {}` says what is there", dir.display());
    CliError::input(format!("cannot compare {}: {error}", dir.display())).hint(hint)
}

/// As [`input::run_dir`], and also a directory that has nothing but a `report.json`, or that file.
pub fn comparable_dir(run: &Path) -> Result<PathBuf, CliError> {
    if run.file_name().is_some_and(|name| name == "report.json") && run.is_file() {
        let folder = run.parent().filter(|folder| !folder.as_os_str().is_empty());
        return Ok(folder.unwrap_or(Path::new(".")).to_owned());
    }
    if run.join("report.json").is_file() {
        return Ok(run.to_owned());
    }
    input::run_dir(run)
}

fn of_baseline(run: &Side) -> Result<Side, CliError> {
    let head = &run.kept.run;
    let whose = Whose { plan: &head.plan, target: &head.target, env: run.kept.environment_name() };
    let Some(named) = baseline::read(input::ROOT.as_ref(), whose)? else {
        let what = format!("{} on {} in the environment '{}'", whose.plan, whose.target, whose.env);
        return Err(CliError::input(format!("the plan has no baseline: {what}"))
            .hint(format!("streamgauge compare A B, or name one: streamgauge baseline PLAN {}", head.id)));
    };
    kept::side(&named.dir).map_err(|error| gone(&named, &error))
}

/// The baseline was named, and its directory is not there any more.
pub fn gone(named: &Baseline, error: &SessionError) -> CliError {
    let dir = named.dir.display();
    CliError::input(format!("the baseline {} cannot be read at {dir}: {error}", named.run))
        .hint("name another with `streamgauge baseline PLAN RUN`, or forget it with --clear")
}

/// `.streamgauge/reports/compare-<A>-<B>.{html,md,json}`.
fn write(comparison: &Comparison) -> Result<Vec<PathBuf>, CliError> {
    let name = format!("compare-{}-{}", plain(&comparison.before.id), plain(&comparison.after.id));
    let formats = [("html", html(comparison)), ("md", markdown(comparison)), ("json", json(comparison))];
    let mut files = Vec::new();
    for (extension, text) in formats {
        files.push(write_report(&format!("{name}.{extension}"), &text)?);
    }
    Ok(files)
}

/// What a report.json says of its run may be anything; it is part of a file's name here.
fn plain(id: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    id.chars().filter(is_plain).take(40).collect()
}

/// Writes a file into `.streamgauge/reports/`, whole or not at all.
pub fn write_report(name: &str, text: &str) -> Result<PathBuf, CliError> {
    let path = Path::new(input::ROOT).join("reports").join(name);
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder
        .and_then(|()| write_whole(&path, text))
        .map_err(|error| SessionError::Unwritable { path: path.clone(), error })?;
    Ok(path)
}

fn print(global: &Global, shown_as: Option<CompareAs>, comparison: &Comparison, files: &[PathBuf]) {
    let default = if global.format == Format::Json { CompareAs::Json } else { CompareAs::Terminal };
    let text = match shown_as.unwrap_or(default) {
        CompareAs::Json => json(comparison),
        CompareAs::Markdown => markdown(comparison),
        CompareAs::Html => html(comparison),
        CompareAs::Terminal => {
            let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(120);
            let mut text = terminal(comparison, width, std::io::stdout().is_terminal());
            text.push_str("\nReports:\n");
            files.iter().for_each(|file| text.push_str(&format!("  {}\n", file.display())));
            text
        }
    };
    crate::cli::out::print(format_args!("{text}"));
}

fn exit(global: &Global, comparison: &Comparison) -> Exit {
    match comparison.verdict {
        None | Some(Verdict::Pass) => Exit::Done,
        Some(Verdict::Inconclusive) if global.allow_inconclusive => Exit::Done,
        Some(Verdict::Inconclusive | Verdict::Fail) => Exit::CriterionFailed,
    }
}
