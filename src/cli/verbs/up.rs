//! `up`: stand the pipeline up and leave it standing.

use crate::cli::out::say;
use serde_json::json;

use crate::cli::args::{Format, Global, TargetArg, UpArgs};
use crate::cli::connect;
use crate::cli::endpoint::{self, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::life;
use crate::cli::progress::Stderr;
use crate::cli::raise::{Fallen, Raised, Raising};
use crate::cli::shown_plan;
use crate::cli::signals::StopSignal;
use crate::cli::verbs::{down, local};
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::session::lock::EnvLock;
use crate::session::progress::Progress;

pub async fn run(global: &Global, args: &UpArgs) -> Result<Exit, CliError> {
    let plan = args.plan.as_deref().map(input::plan).transpose()?;
    if plan.as_ref().is_some_and(|plan| plan.existing.is_some()) {
        return Err(CliError::input("the plan names an existing pipeline: there is nothing to stand up")
            .hint("streamgauge run PLAN goes straight to it"));
    }
    // Parsed here so that a typo is found before anything is started; the endpoint parses them again.
    local::faults(&args.fault)?;
    if global.target == TargetArg::Aws && !args.fault.is_empty() {
        return Err(CliError::input(local::FAULTS_ARE_LOCAL));
    }
    let request = connect::up_request(global, plan.as_ref())?;
    let life = life::life(global, args.ttl.as_deref(), plan.as_ref())?;
    let stop = StopSignal::listen()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    let clock = Clock::start();
    let progress = Stderr::new();
    let _lock = EnvLock::take(input::ROOT.as_ref(), &global.env)?;
    let book = shown_plan::book(global)?;
    let (local, is_spawned) = match global.target {
        TargetArg::Aws => (None, false),
        TargetArg::Local => {
            let (state, is_spawned) = background_endpoint(global, args).await?;
            (Some(state), is_spawned)
        }
    };
    let clients = connect::clients(global, clock, local.map(|state| (state.door(), state.region))).await?;
    let raising = Raising {
        global,
        clock,
        clients: &clients,
        request: &request,
        life,
        stop: &stop,
        progress: &progress,
        book: &book,
    };
    let raised = raising.raise("stand up the environment").await;
    progress.settle();
    match raised {
        Ok(raised) => {
            print(global, &clients, &raised);
            Ok(Exit::Done)
        }
        Err(Fallen { error, is_begun }) => {
            if is_begun {
                down::take_down(global, clock, &clients, &progress).await?;
            } else if is_spawned && let Some(state) = EndpointState::read(&global.env)? {
                endpoint::end_background(&global.env, &state).await?;
            }
            Err(error)
        }
    }
}

fn print(global: &Global, clients: &Clients, raised: &Raised) {
    let standing = &raised.standing;
    match global.format {
        Format::Json => say!(
            "{:#}",
            json!({
                "env": global.env, "target": clients.target, "region": clients.region,
                "stream": standing.stream_name, "function": standing.function_name, "receipts_queue": standing.receipts_queue_url,
                "changed": raised.shown.is_change(), "plan": raised.shown.json(),
            })
        ),
        Format::Human => say!(
            "'{}' is up{}: stream {}, function {}\nrun a plan: streamgauge run PLAN --env {0}\nend it:     streamgauge down --env {0}",
            global.env,
            if raised.shown.is_change() { "" } else { " already, as asked" },
            standing.stream_name,
            standing.function_name,
        ),
    }
}

/// The endpoint of this environment: the one that runs, or a new one (then `true`).
async fn background_endpoint(global: &Global, args: &UpArgs) -> Result<(EndpointState, bool), CliError> {
    if let Some(state) = EndpointState::read(&global.env)? {
        if endpoint::answers(&state).await {
            if !args.fault.is_empty() && args.fault != state.faults {
                return Err(CliError::input(format!(
                    "the environment '{}' is up with other faults",
                    global.env
                ))
                .hint(format!("streamgauge down --env {}, then up again", global.env)));
            }
            return Ok((state, false));
        }
        let path = EndpointState::path(&global.env);
        std::fs::remove_file(&path)
            .map_err(|error| CliError::environment(format!("cannot remove {}: {error}", path.display())))?;
        eprintln!("the endpoint of '{}' is gone (it was {}); starting another", global.env, state.url);
    }
    let state = endpoint::spawn_background(&global.env, connect::local_region(global), &args.fault).await?;
    Ok((state, true))
}
