//! `rehearse`: a whole plan in virtual time, through the real clients, against the services in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cli::args::{Global, RehearseArgs, TargetArg};
use crate::cli::connect;
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::progress::Virtual;
use crate::cli::rehearsal::{self, Place};
use crate::cli::settings::{self, Combination};
use crate::cli::signals::StopSignal;
use crate::cli::verbs::{local, report, run as run_verb, test, whatif};
use crate::evidence::rundir::RunDir;
use crate::local::faults::FaultSpec;
use crate::plan::{Plan, Rehearsal, Setting};
use crate::session::SessionError;
use crate::session::campaign::Lineage;
use crate::session::progress::Progress;
use crate::session::publish::publish;
use crate::session::run::{Rehearsing, RunFinished, RunRequest, run as run_plan};
use crate::stack;
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
    Ok(Rehearsed {
        global,
        model: Rehearsal { seed: args.seed.unwrap_or(rehearsed.rehearsal.seed), ..rehearsed.rehearsal },
        selected: input::select(&rehearsed, args.week, args.phase, &args.tests)?,
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

    /// What its figures rest on, a clause each, settings aside.
    pub fn assumptions(&self) -> Vec<String> {
        rehearsal::assumptions(&self.model)
    }

    async fn rehearse(self, progress: Arc<dyn Progress>) -> Result<RunFinished, CliError> {
        let global = self.global;
        let model = self.model.with_memory(self.plan.environment.function.memory_mb);
        let place = Place::new(&model, connect::local_region(global), self.faults.clone()).await?;
        let id_seed = self.id_seed();
        let runs = self.make_room(&place, id_seed)?;
        let up = connect::up_request(global, Some(&self.plan))?;
        let step = connect::stack_steps(global, &*progress);
        let standing = stack::up(&place.clients, place.clock, &up, &step).await?;
        let assumptions = self.told.iter().cloned().chain(self.assumptions()).collect();
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
            rehearsal: Some(Rehearsing { id_seed, assumptions }),
        };
        let mut finished = run_plan(request).await?;
        let left = stack::down(&place.clients, place.clock, &global.env, &step).await?;
        if !left.is_empty() {
            finished.failure.get_or_insert(SessionError::LeftBehind { env: global.env.clone(), left });
        }
        test::keep_truth(&place.cloud, &finished.dir)?;
        place.cloud.end().await;
        Ok(finished)
    }

    /// The same for the same rehearsal: its run id comes from it.
    pub fn id_seed(&self) -> u64 {
        let mut digest = Sha256::new();
        digest.update(&self.plan.hash);
        digest.update(format!("{:?} {:?} {:?}", self.model, self.selected, self.faults));
        digest.update(format!("{:?} {}", self.max_cost_usd, self.global.env));
        digest.update(&self.prices);
        let first = digest.finalize();
        u64::from_le_bytes(std::array::from_fn(|index| first[index]))
    }

    /// Removes what the same rehearsal left before; returns where rehearsals are kept.
    fn make_room(&self, place: &Place, id_seed: u64) -> Result<PathBuf, CliError> {
        let runs = input::rehearsals_dir();
        let unwritable = |error| SessionError::Unwritable { path: runs.clone(), error };
        std::fs::create_dir_all(&runs).map_err(unwritable)?;
        let id = RunId::new(place.clock.now_us(), &mut fastrand::Rng::with_seed(id_seed));
        let Ok(before) = RunDir::open(&runs.join(id.as_str())) else { return Ok(runs) };
        if before.is_alive() {
            return Err(CliError::environment(format!("the same rehearsal, {id}, is being made"))
                .hint("wait for its end, or choose another --seed"));
        }
        std::fs::remove_dir_all(before.path()).map_err(unwritable)?;
        Ok(runs)
    }
}

fn tell(global: &Global, finished: &RunFinished, file: &Path) -> Result<Exit, CliError> {
    let published = publish(&finished.dir)?;
    report::print(global, &published);
    let again = format!("streamgauge rehearse {} begins again", file.display());
    run_verb::weigh(global, finished, &published, &again)
}
