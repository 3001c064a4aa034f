//! `up`: stand the pipeline up and leave it standing.

use serde_json::json;

use crate::cli::args::{Format, Global, TargetArg, UpArgs};
use crate::cli::connect;
use crate::cli::endpoint::{self, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::progress::Stderr;
use crate::cli::signals::StopSignal;
use crate::cli::verbs::{down, local};
use crate::platform::clock::Clock;
use crate::session::lock::EnvLock;
use crate::session::progress::Progress;
use crate::stack;

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
    let stop = StopSignal::listen()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    let clock = Clock::start();
    let progress = Stderr::new();
    let _lock = EnvLock::take(input::ROOT.as_ref(), &global.env)?;
    let local = match global.target {
        TargetArg::Aws => None,
        TargetArg::Local => Some(background_endpoint(global, args).await?),
    };
    let clients = connect::clients(global, clock, local.map(|state| (state.door(), state.region))).await?;
    connect::confirm(global, &clients, "stand up the environment")?;
    let step = connect::stack_steps(global, &progress);
    let up = tokio::select! {
        biased;
        up = stack::up(&clients, clock, &request, &step) => up.map_err(CliError::from),
        () = stop.wait(1) => Err(CliError {
            exit: Exit::StoppedEarly, message: "interrupted: taking down what was begun".to_owned(), hint: None,
        }),
    };
    progress.settle();
    let standing = match up {
        Ok(standing) => standing,
        Err(error) => {
            if global.target == TargetArg::Local || error.exit == Exit::StoppedEarly {
                down::take_down(global, clock, &clients, &progress).await?;
            }
            return Err(error);
        }
    };
    match global.format {
        Format::Json => println!(
            "{:#}",
            json!({
                "env": global.env, "target": clients.target, "region": clients.region,
                "stream": standing.stream_name, "function": standing.function_name, "receipts_queue": standing.receipts_queue_url,
            })
        ),
        Format::Human => println!(
            "'{}' is up: stream {}, function {}\nrun a plan: streamgauge run PLAN --env {0}\nend it:     streamgauge down --env {0}",
            global.env, standing.stream_name, standing.function_name,
        ),
    }
    Ok(Exit::Done)
}

/// The endpoint of this environment: the one that runs, or a new one.
async fn background_endpoint(global: &Global, args: &UpArgs) -> Result<EndpointState, CliError> {
    if let Some(state) = EndpointState::read(&global.env)? {
        if endpoint::answers(&state).await {
            if !args.fault.is_empty() && args.fault != state.faults {
                return Err(CliError::input(format!(
                    "the environment '{}' is up with other faults",
                    global.env
                ))
                .hint(format!("streamgauge down --env {}, then up again", global.env)));
            }
            return Ok(state);
        }
        let path = EndpointState::path(&global.env);
        std::fs::remove_file(&path)
            .map_err(|error| CliError::environment(format!("cannot remove {}: {error}", path.display())))?;
        eprintln!("the endpoint of '{}' is gone (it was {}); starting another", global.env, state.url);
    }
    endpoint::spawn_background(&global.env, connect::local_region(global), &args.fault).await
}
