//! `rehearse --set` with several settings: a whole rehearsal of each, on all cores, and one document of all.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::cli::args::{Format, Global};
use crate::cli::connect;
use crate::cli::exit::{CliError, Exit};
use crate::cli::grid_progress::{GridProgress, OfOne};
use crate::cli::input;
use crate::cli::verbs::rehearse::Rehearsed;
use crate::cli::verbs::report::width;
use crate::cost::PriceBook;
use crate::plan::Plan;
use crate::report::whatif::{self, Grid, Outcome, Row, WhatIf};
use crate::session::SessionError;
use crate::session::publish::{work_out, write_reports, write_whole};

/// As the main thread has: a debug build nests deep.
const STACK_BYTES: usize = 8 << 20;

/// Rehearses each of `rehearsals` and tells what they come to. `plan` is the one without settings; `jobs`: so many at a
/// time, else one a core.
pub fn run(
    global: &Global,
    plan: &Plan,
    rehearsals: Vec<Rehearsed<'_>>,
    jobs: Option<u16>,
) -> Result<Exit, CliError> {
    let first = rehearsals.first().ok_or_else(|| CliError::input("--set names no value"))?;
    let book = PriceBook::parse(&first.prices).map_err(|error| CliError::input(error.to_string()))?;
    let selected = first.selected.clone();
    let grid = Grid {
        id: id(&rehearsals),
        plan,
        selected: &selected,
        region: connect::local_region(global).to_owned(),
        book: &book,
        keys: first.settings.iter().map(|setting| setting.path.clone()).collect(),
        assumptions: assumptions(&rehearsals),
    };
    let stop = first.stop.asked.clone();
    let rows = rehearse_all(rehearsals, jobs, grid.peak_rps())?;
    let document = whatif::build(&grid, rows);
    let files = write(&document)?;
    print(global, &document, &files);
    exit(global, &document, *stop.borrow() > 0)
}

/// The same for the same rehearsals.
fn id(rehearsals: &[Rehearsed<'_>]) -> String {
    let mut digest = Sha256::new();
    rehearsals.iter().for_each(|rehearsed| digest.update(rehearsed.id().as_str()));
    format!("whatif-{}", &hex::encode(digest.finalize())[..8])
}

/// What all rehearsals rest on, then what only some do.
fn assumptions(rehearsals: &[Rehearsed<'_>]) -> Vec<String> {
    let each: Vec<Vec<String>> = rehearsals.iter().map(|rehearsed| rehearsed.assumptions.clone()).collect();
    let is_common = |text: &String| each.iter().all(|other| other.contains(text));
    let mut list: Vec<String> =
        each.iter().take(1).flatten().filter(|text| is_common(text)).cloned().collect();
    for (rehearsed, texts) in rehearsals.iter().zip(&each) {
        let label: Vec<String> = rehearsed.settings.iter().map(|setting| setting.short()).collect();
        list.extend(
            texts
                .iter()
                .filter(|text| !is_common(text))
                .map(|text| format!("with {}: {text}", label.join(" "))),
        );
    }
    let faults = rehearsals.iter().take(1).flat_map(|first| &first.faults);
    list.extend(faults.map(|fault| format!("the fault {fault} is planted")));
    list
}

/// A row for each rehearsal, in their order; `jobs` at a time.
fn rehearse_all(
    rehearsals: Vec<Rehearsed<'_>>,
    jobs: Option<u16>,
    peak_rps: Option<f64>,
) -> Result<Vec<Row>, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = jobs.map_or(cores, usize::from).min(rehearsals.len());
    let progress = Arc::new(GridProgress::new(rehearsals.len()));
    let waiting = Mutex::new(rehearsals.into_iter().enumerate().collect::<VecDeque<_>>());
    let rows = Mutex::new(Vec::new());
    let work = || {
        loop {
            // Not held while it works.
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((index, rehearsed)) = next else { break };
            let row = rehearse_one(rehearsed, index, &progress, peak_rps);
            rows.lock().unwrap_or_else(PoisonError::into_inner).push((index, row));
        }
    };
    std::thread::scope(|scope| {
        let spawn = |number: usize| {
            let builder =
                std::thread::Builder::new().name(format!("rehearsal {number}")).stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, work).map(drop)
        };
        (0..threads).try_for_each(spawn)
    })
    .map_err(|error| CliError::environment(format!("cannot start a thread: {error}")))?;
    progress.settle();
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(index, _)| *index);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn rehearse_one(
    rehearsed: Rehearsed<'_>,
    index: usize,
    grid: &Arc<GridProgress>,
    peak_rps: Option<f64>,
) -> Row {
    let settings = rehearsed.settings.clone();
    if *rehearsed.stop.asked.borrow() > 0 {
        return whatif::without_report(&settings, Outcome::NotBegun, None);
    }
    let told: Vec<String> = settings.iter().map(|setting| setting.short()).collect();
    let progress = OfOne { grid: Arc::clone(grid), index };
    let made = rehearsed.in_virtual_time(Arc::new(progress)).and_then(|finished| {
        let worked = work_out(&finished.dir)?;
        write_reports(&finished.dir, &worked.model)?;
        let row = whatif::row(&settings, &worked.evidence, &worked.book, &worked.model, peak_rps);
        let Some(failure) = &finished.failure else { return Ok(row) };
        let ended = whatif::without_report(&settings, Outcome::Ended, Some(failure.to_string()));
        Ok(Row { run: row.run, report: row.report, verdict: row.verdict, ..ended })
    });
    let row =
        made.unwrap_or_else(|error| whatif::without_report(&settings, Outcome::Ended, Some(error.message)));
    grid.done(index, &format!("{} {}", told.join(" "), row.outcome.as_str()));
    row
}

/// `.streamgauge/rehearsals/<id>/whatif.{json,md,html,csv}`.
fn write(document: &WhatIf) -> Result<Vec<PathBuf>, CliError> {
    let dir = input::rehearsals_dir().join(&document.id);
    let unwritable = |path: &PathBuf, error| SessionError::Unwritable { path: path.clone(), error };
    std::fs::create_dir_all(&dir).map_err(|error| unwritable(&dir, error))?;
    let formats = [
        ("whatif.json", whatif::json(document)),
        ("whatif.md", whatif::markdown(document)),
        ("whatif.html", whatif::html(document)),
        ("whatif.csv", whatif::csv(document)),
    ];
    let mut files = Vec::new();
    for (name, text) in formats {
        let path = dir.join(name);
        write_whole(&path, &text).map_err(|error| unwritable(&path, error))?;
        files.push(path);
    }
    Ok(files)
}

fn print(global: &Global, document: &WhatIf, files: &[PathBuf]) {
    let text = match global.format {
        Format::Json => whatif::json(document),
        Format::Human => {
            let mut text = whatif::terminal(document, width(), std::io::stdout().is_terminal());
            text.push_str("\nReports:\n");
            files.iter().for_each(|file| text.push_str(&format!("  {}\n", file.display())));
            text
        }
    };
    crate::cli::out::print(format_args!("{text}"));
}

fn exit(global: &Global, document: &WhatIf, was_stopped: bool) -> Result<Exit, CliError> {
    let has = |outcome: Outcome| document.with(outcome).next().is_some();
    if was_stopped && (has(Outcome::NotBegun) || has(Outcome::Ended)) {
        eprintln!("stopped early: what was rehearsed is kept");
        return Ok(Exit::StoppedEarly);
    }
    if document.settings.iter().all(|row| row.run.is_none()) {
        let why = document.settings.iter().find_map(|row| row.why.clone()).unwrap_or_default();
        return Err(CliError::environment(format!("no setting could be rehearsed: {why}")));
    }
    let is_open = has(Outcome::Open) && (global.allow_inconclusive || document.criteria == 0);
    Ok(if has(Outcome::Meets) || is_open { Exit::Done } else { Exit::CriterionFailed })
}
