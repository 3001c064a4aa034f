//! `report`: render the reports of a run again.

use std::io::IsTerminal;

use crate::cli::args::{Format, Global, ReportArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::verbs::period;
use crate::session::publish::{Published, publish};
use crate::verdict::Verdict;

pub fn run(global: &Global, args: &ReportArgs) -> Result<Exit, CliError> {
    if let Some(scope) = period::scope(args)? {
        return period::run(global, &args.of, &scope);
    }
    let dir = input::run_dir(&args.of)?;
    let published = publish(&dir)?;
    print(global, &published);
    Ok(exit(global, &published))
}

/// The report on stdout: the terminal's summary, or report.json.
pub fn print(global: &Global, published: &Published) {
    let stdout = std::io::stdout();
    let text = match global.format {
        Format::Json => crate::report::json(&published.model),
        Format::Human => {
            let mut text = crate::report::terminal(&published.model, width(), stdout.is_terminal());
            text.push_str("\nReports:\n");
            for file in &published.files {
                text.push_str(&format!("  {}\n", file.display()));
            }
            text
        }
    };
    crate::cli::out::print(format_args!("{text}"));
}

/// Columns of the terminal.
pub fn width() -> u16 {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(120)
}

/// What the verdict makes of the exit code. How the run ended is for the caller to weigh.
pub fn exit(global: &Global, published: &Published) -> Exit {
    exit_of(global, published.overall)
}

/// The same of a verdict alone.
pub fn exit_of(global: &Global, overall: Verdict) -> Exit {
    match overall {
        Verdict::Pass => Exit::Done,
        Verdict::Inconclusive if global.allow_inconclusive => Exit::Done,
        Verdict::Inconclusive | Verdict::Fail => Exit::CriterionFailed,
    }
}
