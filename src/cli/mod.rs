//! The command line: arguments -> settings, one file a verb. The only room that prints.

mod args;
mod calibration;
mod connect;
#[cfg(test)]
mod documented;
mod endpoint;
mod exit;
mod grid_progress;
mod input;
mod life;
mod live_text;
mod out;
mod overview;
mod progress;
mod raise;
pub mod rehearsal;
mod settings;
mod shown_plan;
mod signals;
mod verbs;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, StatusArgs, Verb};
pub use exit::{CliError, Exit};

/// Parses the command line, runs the verb, prints what went wrong, and says how the process ends.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // A closed pipe is the reader's choice, not an error.
            let _ = error.print();
            return if asked_for { Exit::Done.into() } else { Exit::BadInput.into() };
        }
    };
    // An endpoint of its own has nobody else to tell its warnings to.
    init_tracing(cli.global.verbose, matches!(cli.verb, Verb::Local(_)));
    match dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print();
            error.exit.into()
        }
    }
}

fn dispatch(cli: Cli) -> Result<Exit, CliError> {
    let global = cli.global;
    input::check_global(&global)?;
    // These need no runtime.
    match &cli.verb {
        Verb::Plan(verb) => return verbs::plan::run(&global, verb),
        Verb::Report(args) => return verbs::report::run(&global, args),
        Verb::Compare(args) => return verbs::compare::run(&global, args),
        Verb::History(args) => return verbs::history::run(&global, args),
        Verb::Baseline(args) => return verbs::baseline::run(&global, args),
        Verb::Status(StatusArgs { plan: Some(plan) }) => return verbs::campaign::status(&global, plan),
        Verb::Rehearse(args) => return verbs::rehearse::run(&global, args),
        Verb::Reap(reap) => return verbs::local::reap(reap),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::environment(format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(async {
        match cli.verb {
            Verb::Test(args) => verbs::test::run(&global, &args).await,
            Verb::Up(args) => verbs::up::run(&global, &args).await,
            Verb::Status(_) => verbs::status::run(&global).await,
            Verb::Down => verbs::down::run(&global).await,
            Verb::Sweep(args) => verbs::sweep::run(&global, &args).await,
            Verb::Doctor(args) => verbs::doctor::run(&global, &args).await,
            Verb::Run(args) => verbs::run::run(&global, &args).await,
            Verb::Metrics(run) => verbs::metrics::run(&global, &run).await,
            Verb::Local(args) => verbs::local::run(&global, &args).await,
            Verb::Plan(_)
            | Verb::Report(_)
            | Verb::Compare(_)
            | Verb::History(_)
            | Verb::Baseline(_)
            | Verb::Rehearse(_)
            | Verb::Reap(_) => unreachable!("handled above"),
        }
    });
    // What is still running by now has had its bound; do not wait for it again.
    runtime.shutdown_background();
    result
}

/// A table with a rule under its header and nothing else: it survives a log file.
fn table<const N: usize>(header: [&str; N]) -> comfy_table::Table {
    use comfy_table::{LineStyle, Table, TableStyle};
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('-').junction('-')));
    table.set_header(header);
    table
}

fn init_tracing(verbose: u8, is_endpoint: bool) {
    let filter = match verbose {
        0 if is_endpoint => "streamgauge=warn,error",
        0 => "error",
        1 => "streamgauge=debug,error",
        _ => "streamgauge=trace,aws_smithy_runtime=debug,warn",
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}
