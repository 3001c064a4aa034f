//! `down`: take down what `up` made.

use crate::cli::args::{Global, TargetArg};
use crate::cli::connect;
use crate::cli::endpoint::{self, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cli::progress::Stderr;
use crate::cli::signals::StopSignal;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;
use crate::session::SessionError;
use crate::session::lock::EnvLock;
use crate::session::progress::Progress;
use crate::stack;

pub async fn run(global: &Global) -> Result<Exit, CliError> {
    let clock = Clock::start();
    let progress = Stderr::new();
    let _lock = EnvLock::take(input::ROOT.as_ref(), &global.env)?;
    if global.target == TargetArg::Local {
        match EndpointState::read(&global.env)? {
            None => {
                println!("nothing to take down: '{}' is not up", global.env);
                return Ok(Exit::Done);
            }
            Some(state) if !endpoint::answers(&state).await => {
                endpoint::end_background(&global.env, &state).await?;
                println!("'{}' is down: its endpoint had ended already", global.env);
                return Ok(Exit::Done);
            }
            Some(_) => {}
        }
    }
    let clients = connect::to_standing(global, clock).await?;
    connect::confirm(global, &clients, "delete the environment")?;
    let stop = StopSignal::listen_quietly()
        .map_err(|error| CliError::environment(format!("cannot listen for signals: {error}")))?;
    tokio::select! {
        biased;
        taken = take_down(global, clock, &clients, &progress) => taken?,
        () = stop.wait(1) => {
            progress.settle();
            return Err(interrupted(global));
        }
    }
    println!("'{}' is down", global.env);
    Ok(Exit::Done)
}

/// A deletion that was begun goes on without us; the stacks after it were not begun.
fn interrupted(global: &Global) -> CliError {
    let env = &global.env;
    let message = format!("interrupted: some of the environment '{env}' may still stand");
    let hint = format!("streamgauge down --env {env} does the rest; streamgauge status --env {env} shows it");
    CliError { exit: Exit::StoppedEarly, message, hint: Some(hint) }
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
        return Err(SessionError::LeftBehind { env: global.env.clone(), left }.into());
    }
    if global.target == TargetArg::Local
        && let Some(state) = EndpointState::read(&global.env)?
    {
        endpoint::end_background(&global.env, &state).await?;
    }
    Ok(())
}
