//! `metrics`: pull the metrics of a run again, then report again.

use crate::cli::args::{Global, RunRef};
use crate::cli::connect;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::progress::Stderr;
use crate::cli::verbs::report;
use crate::evidence::rundir::RunDir;
use crate::platform::clock::Clock;
use crate::session::metrics;
use crate::session::progress::Progress;
use crate::session::publish::publish;

pub async fn run(global: &Global, run: &RunRef) -> Result<Exit, CliError> {
    let dir = input::run_dir(&run.run)?;
    if RunDir::open(&dir).and_then(|dir| dir.read_run()).is_ok_and(|header| header.rehearsal) {
        return Err(CliError::input(format!(
            "nothing can be pulled for {}: it is a rehearsal, and its services ended with it",
            run.run.display()
        ))
        .hint(format!("streamgauge report {} reports what it kept", run.run.display())));
    }
    let clock = Clock::start();
    let progress = Stderr::new();
    let clients = connect::to_standing(global, clock).await?;
    let pulled = metrics::pull(&clients, clock, &dir, &progress).await;
    progress.settle();
    pulled?;
    let published = publish(&dir)?;
    report::print(global, &published);
    Ok(report::exit(global, &published))
}
