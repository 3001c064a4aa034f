//! `test`: up, run, report, down in one command; down on failure, panic and Ctrl-C too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::args::{Global, TargetArg, TestArgs};
use crate::cli::connect;
use crate::cli::endpoint::{self, Endpoint, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::life;
use crate::cli::progress::Stderr;
use crate::cli::raise::{Fallen, Raising};
use crate::cli::shown_plan;
use crate::cli::signals::StopSignal;
use crate::cli::verbs::{campaign, existing, local, report, run as run_verb};
use crate::evidence::events::Event;
use crate::evidence::rundir::RunDir;
use crate::local::cloud::Cloud;
use crate::plan::Plan;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::session::SessionError;
use crate::session::campaign::Lineage;
use crate::session::lock::EnvLock;
use crate::session::progress::Progress;
use crate::session::publish::{publish, write_whole};
use crate::session::run::{RunFinished, RunRequest, run as run_plan};
use crate::stack::{self, Standing};

/// What the user is asked about, once.
const TESTING: &str = "stand up, load and take down the environment";

pub async fn run(global: &Global, args: &TestArgs) -> Result<Exit, CliError> {
    let plan = input::plan(&args.plan)?;
    let selected = input::select(&plan, None, None, &args.tests)?;
    let prices = input::prices(global)?;
    let max_cost_usd = input::max_cost(args.max_cost.as_deref())?;
    if plan.existing.is_some() {
        return on_existing(global, args, plan, selected, prices, max_cost_usd).await;
    }
    let faults = local::faults(&args.fault)?;
    if global.target == TargetArg::Aws && !args.fault.is_empty() {
        return Err(CliError::input(local::FAULTS_ARE_LOCAL));
    }
    let planted: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let request = connect::up_request(global, Some(&plan))?;
    let life = life::life(global, None, Some(&plan))?;
    let stop = StopSignal::listen()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    let clock = Clock::start();
    let progress: Arc<dyn Progress> = Arc::new(Stderr::new());
    input::check_writable()?;
    let _lock = EnvLock::take(input::ROOT.as_ref(), &global.env)?;
    if global.target == TargetArg::Local
        && let Some(state) = EndpointState::read(&global.env)?
        && endpoint::answers(&state).await
    {
        return Err(SessionError::AlreadyUp { env: global.env.clone() }.into());
    }
    let endpoint = match global.target {
        TargetArg::Local => Some(Endpoint::start(clock, connect::local_region(global), 0, faults)?),
        TargetArg::Aws => None,
    };
    let clients = connect::clients(
        global,
        clock,
        endpoint.as_ref().map(|endpoint| (endpoint.door(), connect::local_region(global).to_owned())),
    )
    .await?;
    stack::ttl::remove_fired(&clients, clock, &global.env, &|line| progress.step(line)).await?;
    connect::must_ask(global, TESTING)?;
    // What stands already is somebody's: `test` would take it down.
    if stack::stands(&clients, &global.env).await? {
        return Err(SessionError::AlreadyUp { env: global.env.clone() }.into());
    }
    let lineage = campaign::of_test(global, &plan, &selected, &clients.region, &planted)?;
    let tested = Tested {
        lineage,
        global,
        clock,
        clients: &clients,
        stop: &stop,
        progress: &progress,
        max_cost_usd,
        planted,
        life,
    };
    let result = tested.test(plan, selected, prices, &request).await;
    if let Some(endpoint) = endpoint {
        if let Ok(finished) = &result {
            keep_truth(&endpoint.cloud, &finished.dir)?;
        }
        endpoint.stop().await;
    }
    progress.settle();
    let finished = result?;
    let published = publish(&finished.dir)?;
    report::print(global, &published);
    run_verb::weigh(global, &finished, &published, &campaign::resume_hint(global, &args.plan, false))
}

/// An existing pipeline is neither stood up nor taken down: what is left of `test` is `run`.
async fn on_existing(
    global: &Global,
    args: &TestArgs,
    plan: Plan,
    selected: Vec<usize>,
    prices: String,
    max_cost_usd: Option<String>,
) -> Result<Exit, CliError> {
    if !args.fault.is_empty() {
        return Err(CliError::input("--fault goes with an environment that `test` stands up"));
    }
    let stop = StopSignal::listen()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    let user_owns_it = args.i_own_this_stream;
    let run =
        existing::Run { plan, selected, prices, max_cost_usd, user_owns_it, file: &args.plan, goes_on: None };
    existing::run(global, run, Clock::start(), &stop, Arc::new(Stderr::new())).await
}

struct Tested<'a> {
    global: &'a Global,
    clock: Clock,
    clients: &'a Clients,
    stop: &'a StopSignal,
    progress: &'a Arc<dyn Progress>,
    max_cost_usd: Option<String>,
    /// The faults of the endpoint, as `--fault` writes them.
    planted: Vec<String>,
    /// Until the dead man's switch takes down what this could not.
    life: Option<Duration>,
    /// What the run goes on from.
    lineage: Lineage,
}

impl Tested<'_> {
    /// Whatever happens between up and down, down is done.
    async fn test(
        &self,
        plan: Plan,
        selected: Vec<usize>,
        prices: String,
        request: &stack::UpRequest,
    ) -> Result<RunFinished, CliError> {
        let raising = Raising {
            global: self.global,
            clock: self.clock,
            clients: self.clients,
            request,
            life: self.life,
            stop: self.stop,
            progress: &**self.progress,
            book: &shown_plan::book(self.global)?,
        };
        let ran = match raising.raise(TESTING).await {
            Ok(raised) => self.run(plan, selected, prices, raised.standing).await,
            Err(Fallen { error, is_begun: false }) => return Err(error),
            Err(Fallen { error, is_begun: true }) => Err(error),
        };
        let down = self.down().await;
        if let (Ok(finished), Ok(left)) = (&ran, &down)
            && left.is_empty()
        {
            let event = Event::StackDown { environment: self.global.env.clone() };
            RunDir::open(&finished.dir)
                .and_then(|dir| dir.event_log())
                .and_then(|events| events.append(self.clock.now_us(), &event))
                .map_err(SessionError::from)?;
        }
        match (ran, down) {
            (ran, Ok(left)) if left.is_empty() => ran,
            (Ok(mut finished), Ok(left)) => {
                finished
                    .failure
                    .get_or_insert(SessionError::LeftBehind { env: self.global.env.clone(), left });
                Ok(finished)
            }
            (Ok(mut finished), Err(error)) => {
                finished.failure.get_or_insert(SessionError::Down(error));
                Ok(finished)
            }
            (Err(error), Ok(left)) if error.exit == Exit::StoppedEarly => {
                error.print();
                Err(SessionError::LeftBehind { env: self.global.env.clone(), left }.into())
            }
            (Err(error), Ok(left)) => {
                eprintln!("error: left behind: {}", left.join(", "));
                Err(error)
            }
            (Err(error), Err(down)) => {
                CliError::from(down).print();
                Err(error)
            }
        }
    }

    /// The run in a task of its own, so that a panic in it still leads to `down`.
    async fn run(
        &self,
        plan: Plan,
        selected: Vec<usize>,
        prices: String,
        standing: Standing,
    ) -> Result<RunFinished, CliError> {
        let request = RunRequest {
            clients: self.clients.clone(),
            clock: self.clock,
            plan,
            selected,
            env: self.global.env.clone(),
            standing,
            runs: input::runs_dir(),
            faults: self.planted.clone(),
            prices,
            max_cost_usd: self.max_cost_usd.clone(),
            stop: self.stop.asked.clone(),
            progress: Arc::clone(self.progress),
            lineage: self.lineage.clone(),
            rehearsal: None,
        };
        let ran = tokio::spawn(run_plan(request));
        match ran.await {
            Ok(result) => Ok(result?),
            Err(panicked) => Err(SessionError::Panic(panicked.to_string()).into()),
        }
    }

    async fn down(&self) -> Result<Vec<String>, stack::StackError> {
        let step = connect::stack_steps(self.global, &**self.progress);
        stack::down(self.clients, self.clock, &self.global.env, &step).await
    }
}

/// What the injected faults really did, beside what was measured: `faults.jsonl`.
pub fn keep_truth(cloud: &Cloud, dir: &Path) -> Result<(), SessionError> {
    let faults = &cloud.context().faults;
    if faults.specs().is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for event in faults.log() {
        text.push_str(&serde_json::to_string(&event).expect("plain data serializes"));
        text.push('\n');
    }
    let path = dir.join("faults.jsonl");
    write_whole(&path, &text).map_err(|error| SessionError::Unwritable { path, error })
}
