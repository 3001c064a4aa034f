//! `down`: take down what `up` made.

use crate::cli::out::say;
use serde_json::json;

use crate::cli::args::{Format, Global, TargetArg};
use crate::cli::connect;
use crate::cli::endpoint::{self, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::progress::Stderr;
use crate::cli::signals::StopSignal;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::session::SessionError;
use crate::session::actions::left;
use crate::session::lock::EnvLock;
use crate::session::progress::Progress;
use crate::stack;

pub async fn run(global: &Global) -> Result<Exit, CliError> {
    let clock = Clock::start();
    let progress = Stderr::new();
    let stop = StopSignal::listen_quietly()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    let _lock = EnvLock::take(input::ROOT.as_ref(), &global.env)?;
    if global.target == TargetArg::Local {
        match EndpointState::read(&global.env)? {
            None => return Ok(told(global, &format!("nothing to take down: '{}' is not up", global.env))),
            Some(state) if !endpoint::answers(&state).await => {
                endpoint::end_background(&global.env, &state).await?;
                let line = format!("'{}' is down: its endpoint had ended already", global.env);
                return Ok(told(global, &line));
            }
            Some(_) => {}
        }
    }
    let clients = connect::to_standing(global, clock).await?;
    if let Some(run) = left::unreverted(&input::runs_dir(), &global.env, None) {
        progress.step(&format!(
            "the run {run} ended in the middle of an action: what it left goes with the rest"
        ));
    }
    connect::confirm(global, &clients, "delete the environment")?;
    tokio::select! {
        biased;
        done = take_down(global, clock, &clients, &progress) => done?,
        () = stop.wait(1) => {
            progress.settle();
            return Err(interrupted(global, &clients).await);
        }
    }
    Ok(told(global, &format!("'{}' is down", global.env)))
}

fn told(global: &Global, line: &str) -> Exit {
    match global.format {
        Format::Json => say!("{:#}", json!({"env": global.env, "up": false, "left": []})),
        Format::Human => say!("{line}"),
    }
    Exit::Done
}

/// What CloudFormation has begun it ends without us; what was not begun still stands.
async fn interrupted(global: &Global, clients: &Clients) -> CliError {
    let stands = match stack::status(clients, &global.env).await {
        Ok(status) if status.stacks.is_empty() => "nothing is left of its stacks".to_owned(),
        Ok(status) => {
            let stacks: Vec<String> =
                status.stacks.iter().map(|stack| format!("{} is {}", stack.name, stack.status)).collect();
            stacks.join(", ")
        }
        Err(error) => error.to_string(),
    };
    let hint = format!(
        "a deletion that has begun goes on without this program; streamgauge down --env {} picks up the rest",
        global.env
    );
    CliError { exit: Exit::StoppedEarly, message: format!("interrupted: {stands}"), hint: Some(hint) }
}

/// Deletes the stacks, then ends a background endpoint. What is left is an error that names it.
pub async fn take_down(
    global: &Global,
    clock: Clock,
    clients: &Clients,
    progress: &dyn Progress,
) -> Result<(), CliError> {
    let step = connect::stack_steps(global, progress);
    let left = stack::down(clients, clock, &global.env, &step).await;
    progress.settle();
    let left = left?;
    if !left.is_empty() {
        if global.format == Format::Json {
            say!("{:#}", json!({"env": global.env, "up": true, "left": left}));
        }
        return Err(SessionError::LeftBehind { env: global.env.clone(), left }.into());
    }
    if global.target == TargetArg::Local
        && let Some(state) = EndpointState::read(&global.env)?
    {
        endpoint::end_background(&global.env, &state).await?;
    }
    Ok(())
}
