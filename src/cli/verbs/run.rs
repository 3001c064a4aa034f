//! `run`: a plan against an environment that `up` made.

use std::sync::Arc;

use crate::cli::args::{Global, RunArgs};
use crate::cli::connect;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::progress::Stderr;
use crate::cli::signals::StopSignal;
use crate::cli::verbs::campaign::{self, Asked};
use crate::cli::verbs::{existing, report};
use crate::evidence::model::RunEnd;
use crate::platform::clock::Clock;
use crate::session::lock::EnvLock;
use crate::session::progress::Progress;
use crate::session::publish::{Published, publish};
use crate::session::run::{RunFinished, RunRequest, run as run_plan};
use crate::session::{SessionError, environment, lifetime};
use crate::stack;

pub async fn run(global: &Global, args: &RunArgs) -> Result<Exit, CliError> {
    let plan = input::plan(&args.plan)?;
    let selected = input::select(&plan, args.week, args.phase, &args.tests)?;
    let prices = input::prices(global)?;
    let max_cost_usd = input::max_cost(args.max_cost.as_deref())?;
    let stop = StopSignal::listen()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    let clock = Clock::start();
    let progress: Arc<dyn Progress> = Arc::new(Stderr::new());
    if plan.existing.is_some() {
        let user_owns_it = args.i_own_this_stream;
        let goes_on = Some(args);
        let run =
            existing::Run { plan, selected, prices, max_cost_usd, user_owns_it, file: &args.plan, goes_on };
        return existing::run(global, run, clock, &stop, progress).await;
    }
    input::check_writable()?;
    let _lock = EnvLock::take(input::ROOT.as_ref(), &global.env)?;
    let Asked::Run(part) = campaign::asked(global, args, &plan, selected)? else { return Ok(Exit::Done) };
    let clients = connect::to_standing(global, clock).await?;
    let standing = stack::standing(&clients, &global.env)
        .await?
        .ok_or_else(|| SessionError::NotUp { env: global.env.clone() })?;
    let differences = environment::differences(&standing, &plan.environment);
    if !differences.is_empty() {
        return Err(SessionError::Mismatch(differences.join("; ")).into());
    }
    // First of all: an environment that ends in the middle of its run is worth nothing.
    lifetime::extend(&clients, clock, &global.env, lifetime::planned(&plan, &part.selected), &*progress)
        .await?;
    let faults = connect::planted_faults(global)?;
    let lineage = part.lineage(&clients.region, &faults)?;
    let finished = run_plan(RunRequest {
        clients,
        clock,
        plan,
        selected: part.selected,
        env: global.env.clone(),
        standing,
        runs: input::runs_dir(),
        faults,
        prices,
        max_cost_usd,
        stop: stop.asked.clone(),
        progress: Arc::clone(&progress),
        lineage,
        rehearsal: None,
    })
    .await?;
    progress.settle();
    let published = publish(&finished.dir)?;
    report::print(global, &published);
    weigh(global, &finished, &published, &campaign::resume_hint(global, &args.plan, true))
}

/// The exit code of a run that left a report: an environment that failed before a run stopped early before
/// a criterion that did not hold. `resume` says how one that did not come to its end goes on.
pub fn weigh(
    global: &Global,
    finished: &RunFinished,
    published: &Published,
    resume: &str,
) -> Result<Exit, CliError> {
    if let Some(failure) = &finished.failure {
        let hints: Vec<String> = failure.hint().into_iter().chain([resume.to_owned()]).collect();
        return Err(CliError::environment(failure.to_string()).hint(hints.join("; then ")));
    }
    match &finished.end {
        RunEnd::Completed => Ok(report::exit(global, published)),
        RunEnd::Stopped(reason) => {
            eprintln!("stopped early: {reason}; what was measured is kept in {}", finished.dir.display());
            eprintln!("hint: {resume}");
            Ok(Exit::StoppedEarly)
        }
        RunEnd::Killed => Ok(Exit::StoppedEarly),
    }
}
