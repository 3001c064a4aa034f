//! From the global options to SDK clients, and to what `up` is asked for.

use std::io::IsTerminal;

use crate::plan::{Environment, Plan};
use crate::platform::clients::{self, ClientSettings, Clients, Door};
use crate::platform::clock::Clock;
use crate::session::SessionError;
use crate::session::progress::Progress;
use crate::stack::UpRequest;
use crate::stack::artifact::{Artifact, ArtifactError};

use super::args::{Global, TargetArg};
use super::endpoint::{EndpointState, LOCAL_REGION};
use super::exit::CliError;

/// The region that the local endpoint plays.
pub fn local_region(global: &Global) -> &str {
    global.region.as_deref().unwrap_or(LOCAL_REGION)
}

/// Asks before anything is deleted in an account; `--yes` answers.
pub fn confirm(global: &Global, clients: &Clients, what: &str) -> Result<(), CliError> {
    if !must_ask(global, what)? {
        return Ok(());
    }
    eprint!("{what} '{}' in {}? [y/N] ", global.env, clients.region);
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && is_yes(&answer) { Ok(()) } else { Err(not_confirmed()) }
}

/// Whether the user has to be asked.
///
/// # Errors
/// When there is nobody to ask.
pub fn must_ask(global: &Global, what: &str) -> Result<bool, CliError> {
    if global.target == TargetArg::Local || global.yes {
        return Ok(false);
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::input(format!(
            "{what} in an AWS account needs --yes where nobody can be asked"
        )));
    }
    Ok(true)
}

pub fn is_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "Y" | "yes")
}

pub fn not_confirmed() -> CliError {
    CliError::input("not confirmed: nothing was done")
}

/// Clients for the target. `local` is the way to the local endpoint, and its region.
pub async fn clients(
    global: &Global,
    clock: Clock,
    local: Option<(Door, String)>,
) -> Result<Clients, CliError> {
    let settings = match local {
        Some((door, region)) => ClientSettings { region: Some(region), door, clock },
        None => ClientSettings {
            region: global.region.clone(),
            door: Door::Aws { profile: global.profile.clone(), endpoint_url: global.endpoint_url.clone() },
            clock,
        },
    };
    clients::connect(settings)
        .await
        .map_err(|error| CliError::environment(error.to_string()).hint(error.hint()))
}

/// Clients for an environment that `up` made.
pub async fn to_standing(global: &Global, clock: Clock) -> Result<Clients, CliError> {
    let local = match global.target {
        TargetArg::Aws => None,
        TargetArg::Local => {
            let state = EndpointState::read(&global.env)?
                .ok_or_else(|| SessionError::NotUp { env: global.env.clone() })?;
            Some((state.door(), state.region.clone()))
        }
    };
    clients(global, clock, local).await
}

/// The faults that the endpoint of an environment was started with, as `--fault` writes them.
pub fn planted_faults(global: &Global) -> Result<Vec<String>, CliError> {
    match global.target {
        TargetArg::Aws => Ok(Vec::new()),
        TargetArg::Local => Ok(EndpointState::read(&global.env)?.map_or_else(Vec::new, |state| state.faults)),
    }
}

/// Progress of stacks: what happens to whole stacks is kept, each resource only passes by (with `-v` it stays).
pub fn stack_steps<'a>(global: &Global, progress: &'a dyn Progress) -> impl Fn(&str) + 'a {
    let all = global.verbose > 0;
    move |line| {
        let of_a_resource = line.contains(" (AWS::");
        if all || !of_a_resource { progress.step(line) } else { progress.step_live(line) }
    }
}

/// The function's code, as far as it can be found and can run where it is to run.
pub fn artifact(global: &Global) -> Result<Result<Artifact, ArtifactError>, CliError> {
    let current_exe = std::env::current_exe()
        .map_err(|error| CliError::environment(format!("cannot tell where this program is: {error}")))?;
    let found = Artifact::find(global.function_zip.as_deref(), &current_exe);
    Ok(match global.target {
        // Here runs whatever this machine runs.
        TargetArg::Local => found,
        TargetArg::Aws => found.and_then(|artifact| artifact.check_for_lambda().map(|()| artifact)),
    })
}

/// What `up` is asked for: the plan's environment, or the schema's defaults.
pub fn up_request(global: &Global, plan: Option<&Plan>) -> Result<UpRequest, CliError> {
    up_request_of(global, plan, artifact(global)?)
}

/// [`up_request`] with code that was found elsewhere.
pub fn up_request_of(
    global: &Global,
    plan: Option<&Plan>,
    artifact: Result<Artifact, ArtifactError>,
) -> Result<UpRequest, CliError> {
    let function_zip = artifact.map_err(|error| CliError::input(error.to_string()).hint(error.hint()))?;
    Ok(UpRequest {
        env: global.env.clone(),
        environment: plan.map_or_else(Environment::default, |plan| plan.environment.clone()),
        tags: plan.map(|plan| plan.tags.clone()).unwrap_or_default(),
        function_zip,
    })
}
