//! `run` and `test` of a plan that names an existing pipeline: nothing is stood up and nothing taken down. Everything
//! that reads the stream is shown, then the user is asked.

use std::path::Path;
use std::sync::Arc;

use crate::cli::args::{Global, RunArgs};
use crate::cli::connect;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::signals::StopSignal;
use crate::cli::verbs::campaign::{self, Asked};
use crate::cli::verbs::{report, run as run_verb};
use crate::plan::{Existing, PipelineSource, Plan};
use crate::platform::clock::Clock;
use crate::session::lock::EnvLock;
use crate::session::progress::Progress;
use crate::session::publish::publish;
use crate::session::run::{RunRequest, run as run_plan};
use crate::stack::Standing;
use crate::stack::existing::{Pipeline, check_allowed, inspect, pipeline_of};

/// A file of outputs has a few lines a resource.
const OUTPUTS_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What is to be run, as the command line has it.
pub struct Run<'a> {
    pub plan: Plan,
    pub selected: Vec<usize>,
    pub prices: String,
    pub max_cost_usd: Option<String>,
    /// `--i-own-this-stream`.
    pub user_owns_it: bool,
    /// The plan's own file: a file of outputs is looked for beside it.
    pub file: &'a Path,
    /// Of `run`, which may go on from an earlier one.
    pub goes_on: Option<&'a RunArgs>,
}

pub async fn run(
    global: &Global,
    run: Run<'_>,
    clock: Clock,
    stop: &StopSignal,
    progress: Arc<dyn Progress>,
) -> Result<Exit, CliError> {
    let existing = run.plan.existing.clone().ok_or_else(|| CliError::input("the plan names no pipeline"))?;
    let pipeline = pipeline(&existing, run.file)?;
    input::check_writable()?;
    let _lock = EnvLock::take(input::ROOT.as_ref(), &global.env)?;
    let part = match run.goes_on.map(|args| campaign::asked(global, args, &run.plan, run.selected.clone())) {
        Some(asked) => match asked? {
            Asked::Run(part) => Some(part),
            Asked::NothingLeft => return Ok(Exit::Done),
        },
        None => None,
    };
    let clients = connect::to_standing(global, clock).await?;
    let standing = inspect(&clients, &global.env, &pipeline, existing.receipts_queue_url.as_deref()).await?;
    show(&standing);
    check_allowed(&standing, run.user_owns_it)?;
    let peak_rps = run.plan.tests().map(|test| test.peak_rps()).fold(0.0, f64::max);
    let what = format!("send up to {peak_rps} records/s into the stream {} from", standing.stream_name);
    connect::confirm(global, &clients, &what)?;
    let faults = connect::planted_faults(global)?;
    let lineage = match &part {
        Some(part) => part.lineage(&clients.region, &faults)?,
        None => campaign::of_test(global, &run.plan, &run.selected, &clients.region, &faults)?,
    };
    let finished = run_plan(RunRequest {
        clients,
        clock,
        plan: run.plan,
        selected: part.map_or(run.selected, |part| part.selected),
        env: global.env.clone(),
        standing,
        runs: input::runs_dir(),
        faults,
        prices: run.prices,
        max_cost_usd: run.max_cost_usd,
        stop: stop.asked.clone(),
        progress: Arc::clone(&progress),
        lineage,
        rehearsal: None,
    })
    .await?;
    progress.settle();
    let published = publish(&finished.dir)?;
    report::print(global, &published);
    run_verb::weigh(global, &finished, &published, &campaign::resume_hint(global, run.file, true))
}

/// Names or ARNs: those of the plan, or those of its file of outputs.
fn pipeline(existing: &Existing, plan: &Path) -> Result<Pipeline, CliError> {
    match &existing.pipeline {
        PipelineSource::Named { stream, function } => {
            Ok(Pipeline { stream: stream.clone(), function: function.clone() })
        }
        PipelineSource::Outputs { file, stream_output, function_output } => {
            let path = plan.parent().unwrap_or(Path::new("")).join(file);
            let shown = path.display().to_string();
            let text = input::text(&path, OUTPUTS_MAX_BYTES)
                .map_err(|error| CliError::input(format!("from_outputs: cannot read {shown}: {error}")))?;
            Ok(pipeline_of(&shown, &text, stream_output.as_deref(), function_output.as_deref())
                .map_err(crate::stack::existing::ExistingError::from)?)
        }
    }
}

/// Whatever reads the stream gets the load too: the user must know before the first record.
fn show(standing: &Standing) {
    eprintln!("the stream {} is read by:", standing.stream_name);
    for reader in standing.existing.iter().flat_map(|existing| &existing.readers) {
        eprintln!("  {reader}");
    }
}
