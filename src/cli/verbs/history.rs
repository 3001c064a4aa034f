//! `history`: one figure over the runs of a plan.

use std::io::IsTerminal;

use crate::cli::args::{Format, Global, HistoryArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::verbs::baseline::target;
use crate::cli::verbs::compare::write_report;
use crate::report::history::{History, build, html, json, terminal};
use crate::session::baseline;
use crate::session::kept::{self, Whose, slug};
use crate::verdict::compare::{Figure, KeptRun};

pub fn run(global: &Global, args: &HistoryArgs) -> Result<Exit, CliError> {
    let figure = Figure::from_key(&args.figure).ok_or_else(|| {
        let known: Vec<&str> = Figure::all().map(|figure| figure.key).collect();
        CliError::input(format!("--figure: found '{}', expected one of {}", args.figure, known.join(", ")))
    })?;
    let plan = input::plan(&args.plan)?;
    let whose = Whose { plan: &plan.name, target: target(global), env: &global.env };
    let mut notes = Vec::new();
    let runs = finished(whose, usize::from(args.last), &mut notes)?;
    if runs.is_empty() {
        let place = format!("on {} in the environment '{}'", whose.target, whose.env);
        return Err(CliError::input(format!("there is no finished run of '{}' {place}", whose.plan))
            .hint(format!("streamgauge test {}", args.plan.display())));
    }
    let named = baseline::read(input::ROOT.as_ref(), whose)?.map(|named| named.run);
    let mut history = build(&runs, figure, args.level.as_deref(), named.as_deref());
    if history.series.is_empty() {
        return Err(no_level(&runs, args.level.as_deref()));
    }
    history.notes = notes;
    let file = write_report(&format!("{}-history.html", slug(whose.plan)), &html(&history))?;
    print(global, &history);
    if global.format == Format::Human {
        crate::cli::out::say!("\nReport:\n  {}", file.display());
    }
    Ok(Exit::Done)
}

/// The newest `last` finished runs, the oldest of them first. What is left out is noted.
fn finished(whose: Whose<'_>, last: usize, notes: &mut Vec<String>) -> Result<Vec<KeptRun>, CliError> {
    let mut found = Vec::new();
    let mut unfinished = 0;
    for (path, _) in kept::runs_of(&input::runs_dir(), whose, notes)?.into_iter().rev() {
        if found.len() == last {
            break;
        }
        match kept::kept(&path) {
            Ok(run) if run.is_complete() => found.push(run),
            Ok(_) => unfinished += 1,
            Err(error) => notes.push(format!("left out: {error}")),
        }
    }
    if unfinished > 0 {
        notes.push(format!("left out: {unfinished} that did not come to their end"));
    }
    found.reverse();
    Ok(found)
}

fn no_level(runs: &[KeptRun], level: Option<&str>) -> CliError {
    let Some(level) = level else { return CliError::input("no run has a judged level") };
    let mut known: Vec<&str> = Vec::new();
    for found in runs.iter().flat_map(|run| &run.tests).flat_map(|test| &test.levels) {
        if !known.contains(&found.name.as_str()) {
            known.push(&found.name);
        }
    }
    CliError::input(format!("--level: found '{level}', expected one of {}", known.join(", ")))
}

fn print(global: &Global, history: &History) {
    let text = match global.format {
        Format::Json => json(history),
        Format::Human => {
            let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(120);
            terminal(history, width, std::io::stdout().is_terminal())
        }
    };
    crate::cli::out::print(format_args!("{text}"));
}
