//! `report`: render the reports of a run again.

use std::io::IsTerminal;

use crate::cli::args::{Format, Global, Rendering, ReportArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::verbs::period;
use crate::report;
use crate::session::publish::{Published, publish_if_writable};
use crate::verdict::Verdict;

pub fn run(global: &Global, args: &ReportArgs) -> Result<Exit, CliError> {
    let rendering = rendering(global.format, args.rendering)?;
    if let Some(scope) = period::scope(args)? {
        return period::run(global, &args.of, &scope, rendering);
    }
    let dir = input::run_dir(&args.of)?;
    let (published, unwritten) = publish_if_writable(&dir)?;
    print_as(global, &published, rendering);
    // A run on a disk that is full or only read can be looked at all the same.
    unwritten.map_or_else(|| Ok(exit(global, &published)), |error| Err(error.into()))
}

/// What stdout carries, of `--format` and `--as` together.
///
/// # Errors
/// The two contradict each other.
fn rendering(format: Format, asked: Option<Rendering>) -> Result<Rendering, CliError> {
    match (format, asked) {
        (Format::Human, asked) => Ok(asked.unwrap_or(Rendering::Terminal)),
        (Format::Json, None | Some(Rendering::Json)) => Ok(Rendering::Json),
        (Format::Json, Some(_)) => {
            Err(CliError::input("--format json and --as ask for two things on one stdout")
                .hint("--as alone says what is printed; --format json is the same as --as json"))
        }
    }
}

/// The report on stdout, for the verbs that end with one: the terminal's summary, or report.json.
pub fn print(global: &Global, published: &Published) {
    let rendering = match global.format {
        Format::Json => Rendering::Json,
        Format::Human => Rendering::Terminal,
    };
    print_as(global, published, rendering);
}

fn print_as(global: &Global, published: &Published, rendering: Rendering) {
    let model = &published.model;
    let text = match rendering {
        Rendering::Terminal => for_terminal(published),
        Rendering::Short => report::short(model),
        Rendering::Markdown => report::markdown(model),
        Rendering::Html => report::html(model),
        Rendering::Json => report::json(model),
        Rendering::Csv => report::csv(model),
        Rendering::Junit => report::junit(model, global.allow_inconclusive),
    };
    crate::cli::out::print(format_args!("{text}"));
}

/// Columns of the terminal.
pub fn width() -> u16 {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(120)
}

fn for_terminal(published: &Published) -> String {
    let mut text = report::terminal(&published.model, width(), std::io::stdout().is_terminal());
    if published.files.is_empty() {
        return text;
    }
    text.push_str("\nReports:\n");
    for file in &published.files {
        text.push_str(&format!("  {}\n", file.display()));
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stdout_carries_one_rendering() {
        assert_eq!(rendering(Format::Human, None).unwrap(), Rendering::Terminal);
        assert_eq!(rendering(Format::Human, Some(Rendering::Csv)).unwrap(), Rendering::Csv);
        assert_eq!(rendering(Format::Json, None).unwrap(), Rendering::Json);
        assert_eq!(rendering(Format::Json, Some(Rendering::Json)).unwrap(), Rendering::Json);
        let refused = rendering(Format::Json, Some(Rendering::Short)).unwrap_err();
        assert_eq!(refused.exit, Exit::BadInput);
        assert!(refused.hint.is_some());
    }
}
