//! `rehearse`: a whole plan in virtual time, through the real clients, against the services in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cli::args::{Global, RehearseArgs, TargetArg};
use crate::cli::calibration::{self, Model};
use crate::cli::connect;
use crate::cli::exit::{CliError, Exit};
use crate::cli::progress::Virtual;
use crate::cli::rehearsal::{self, Nothing, Place};
use crate::cli::settings::{self, Combination};
use crate::cli::signals::StopSignal;
use crate::cli::verbs::{local, report, run as run_verb, test, whatif};
use crate::cli::{input, out};
use crate::evidence::rundir::RunDir;
use crate::local::faults::FaultSpec;
use crate::plan::{Architecture, Plan, Rehearsal, Setting};
use crate::session::SessionError;
use crate::session::campaign::Lineage;
use crate::session::progress::Progress;
use crate::session::publish::publish;
use crate::session::run::{Rehearsing, RunFinished, RunRequest, run as run_plan};
use crate::stack::{self, artifact::Artifact};
use crate::wire::run_id::RunId;

pub fn run(global: &Global, args: &RehearseArgs) -> Result<Exit, CliError> {
    if global.target == TargetArg::Aws {
        return Err(CliError::input("a rehearsal reaches nothing outside this process")
            .hint("leave --target out; --region chooses whose prices and limits it has"));
    }
    let plan = input::plan(&args.plan)?;
    if plan.existing.is_some() {
        return Err(CliError::input(
            "an existing pipeline cannot be rehearsed: it is not known how it behaves",
        )
        .hint("write its settings as the plan's environment instead of `existing`"));
    }
    let combinations = settings::combinations(&args.plan, plan.clone(), &args.set)?;
    if args.seed.is_some() && combinations[0].settings.iter().any(|setting| setting.path == SEED) {
        return Err(
            CliError::input(format!("--seed and --set {SEED} set the same")).hint("leave one of them out")
        );
    }
    let stop = StopSignal::listen_apart()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    let prepared = |combination| prepare(global, args, &plan, combination, stop.clone());
    let mut rehearsals: Vec<Rehearsed<'_>> =
        combinations.into_iter().map(prepared).collect::<Result<_, _>>()?;
    if args.show_model {
        out::print(format_args!("{}", rehearsals[0].model.to_yaml()));
        return Ok(Exit::Done);
    }
    if rehearsals.len() > 1 {
        return whatif::run(global, &plan, rehearsals, args.jobs);
    }
    let progress: Arc<dyn Progress> = Arc::new(Virtual::new());
    let finished = rehearsals.remove(0).in_virtual_time(Arc::clone(&progress))?;
    progress.settle();
    tell(global, &finished, &args.plan)
}

const SEED: &str = "rehearsal.seed";

/// `plan`: as it stands, without what was set.
fn prepare<'a>(
    global: &'a Global,
    args: &RehearseArgs,
    plan: &Plan,
    combination: Combination,
    stop: StopSignal,
) -> Result<Rehearsed<'a>, CliError> {
    let Combination { settings, plan: rehearsed } = combination;
    let selected = input::select(&rehearsed, args.week, args.phase, &args.tests)?;
    let Model { assumed: model, assumptions } =
        calibration::model(&rehearsed, &selected, args.calibrate.as_deref(), args.seed)?;
    Ok(Rehearsed {
        global,
        model,
        assumptions,
        selected,
        faults: local::faults(&args.fault)?,
        prices: input::prices(global)?,
        max_cost_usd: input::max_cost(args.max_cost.as_deref())?,
        stop,
        told: settings::told(plan, &settings),
        settings,
        plan: rehearsed,
    })
}

/// One rehearsal, ready to be made.
pub struct Rehearsed<'a> {
    global: &'a Global,
    /// With what was set in it.
    plan: Plan,
    pub selected: Vec<usize>,
    /// What was set in the plan.
    pub settings: Vec<Setting>,
    /// The same for whoever reads the report.
    told: Vec<String>,
    model: Rehearsal,
    /// What its figures rest on, a clause each, settings aside.
    pub assumptions: Vec<String>,
    pub faults: Vec<FaultSpec>,
    pub prices: String,
    max_cost_usd: Option<String>,
    pub stop: StopSignal,
}

impl Rehearsed<'_> {
    /// Makes it, on this thread.
    pub fn in_virtual_time(self, progress: Arc<dyn Progress>) -> Result<RunFinished, CliError> {
        // One thread, whose clock stands still while there is work and jumps to the next timer when there is none.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|error| CliError::environment(format!("cannot start the runtime: {error}")))?;
        runtime.block_on(Box::pin(self.rehearse(progress)))
    }

    async fn rehearse(self, progress: Arc<dyn Progress>) -> Result<RunFinished, CliError> {
        let global = self.global;
        let model = self.model.with_memory(self.plan.environment.function.memory_mb);
        let region = connect::local_region(global);
        let mut place = Place::new(&model, region, self.faults.clone(), &Nothing).await?;
        let id = self.id();
        let runs = make_room(&id)?;
        let architecture = self.plan.environment.function.architecture.unwrap_or(Architecture::X86_64);
        let up = connect::up_request_of(global, Some(&self.plan), Artifact::stand_in(architecture))?;
        let step = connect::stack_steps(global, &*progress);
        let standing = stack::up(&place.clients, place.clock, &up, &step).await?;
        let assumptions = self.told.iter().chain(&self.assumptions).cloned().collect();
        let request = RunRequest {
            clients: place.clients.clone(),
            clock: place.clock,
            plan: self.plan,
            selected: self.selected,
            env: global.env.clone(),
            standing,
            runs,
            faults: self.faults.iter().map(ToString::to_string).collect(),
            prices: self.prices,
            max_cost_usd: self.max_cost_usd,
            stop: self.stop.asked.clone(),
            progress: Arc::clone(&progress),
            lineage: Lineage::default(),
            rehearsal: Some(Rehearsing { id, assumptions }),
        };
        // In a task of its own, so that a panic in it still ends with a message and an exit code.
        let ran = tokio::spawn(run_plan(request)).await;
        let mut finished = ran.map_err(|panicked| SessionError::Panic(panicked.to_string()))??;
        let left = stack::down(&place.clients, place.clock, &global.env, &step).await?;
        if !left.is_empty() {
            finished.failure.get_or_insert(SessionError::LeftBehind { env: global.env.clone(), left });
        }
        test::keep_truth(&place.cloud, &finished.dir)?;
        place.end().await;
        Ok(finished)
    }

    /// The same for the same rehearsal, whatever it takes to stand the services up.
    pub fn id(&self) -> RunId {
        let mut digest = Sha256::new();
        digest.update(&self.plan.hash);
        digest.update(format!("{:?} {:?} {:?}", self.model, self.selected, self.faults));
        digest.update(self.assumptions.join("\n"));
        let region = connect::local_region(self.global);
        digest.update(format!("{:?} {} {region}", self.max_cost_usd, self.global.env));
        digest.update(&self.prices);
        let first = digest.finalize();
        let seed = u64::from_le_bytes(std::array::from_fn(|index| first[index]));
        RunId::new(rehearsal::STARTS_US, &mut fastrand::Rng::with_seed(seed))
    }
}

/// Removes what the same rehearsal left before; returns where rehearsals are kept.
fn make_room(id: &RunId) -> Result<PathBuf, CliError> {
    let runs = input::rehearsals_dir();
    let unwritable = |error| SessionError::Unwritable { path: runs.clone(), error };
    std::fs::create_dir_all(&runs).map_err(unwritable)?;
    let Ok(before) = RunDir::open(&runs.join(id.as_str())) else { return Ok(runs) };
    if before.is_alive() {
        return Err(CliError::environment(format!("the same rehearsal, {id}, is being made"))
            .hint("wait for its end, or choose another --seed"));
    }
    std::fs::remove_dir_all(before.path()).map_err(unwritable)?;
    Ok(runs)
}

fn tell(global: &Global, finished: &RunFinished, file: &Path) -> Result<Exit, CliError> {
    let published = publish(&finished.dir)?;
    report::print(global, &published);
    let again = format!("streamgauge rehearse {} begins again", file.display());
    run_verb::weigh(global, finished, &published, &again)
}
