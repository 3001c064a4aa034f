//! From the global options to SDK clients, and to what `up` is asked for.

use crate::plan::{Environment, Plan};
use crate::platform::clients::{self, ClientSettings, Clients, Door};
use crate::platform::clock::Clock;
use crate::session::SessionError;
use crate::stack::UpRequest;
use crate::stack::artifact::Artifact;

use super::args::{Global, TargetArg};
use super::endpoint::{EndpointState, LOCAL_REGION};
use super::exit::CliError;

/// Clients for the target. `door` is the way to the local endpoint.
pub async fn clients(global: &Global, clock: Clock, door: Option<Door>) -> Result<Clients, CliError> {
    let settings = match door {
        Some(door) => ClientSettings { region: Some(LOCAL_REGION.to_owned()), door, clock },
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
    let door = match global.target {
        TargetArg::Aws => None,
        TargetArg::Local => {
            let state = EndpointState::read(&global.env)?
                .ok_or_else(|| SessionError::NotUp { env: global.env.clone() })?;
            Some(state.door())
        }
    };
    clients(global, clock, door).await
}

/// What `up` is asked for: the plan's environment, or the schema's defaults.
pub fn up_request(global: &Global, plan: Option<&Plan>) -> Result<UpRequest, CliError> {
    let current_exe = std::env::current_exe()
        .map_err(|error| CliError::environment(format!("cannot tell where this program is: {error}")))?;
    let function_zip = Artifact::find(global.function_zip.as_deref(), &current_exe)
        .map_err(|error| CliError::input(error.to_string()).hint(error.hint()))?;
    Ok(UpRequest {
        env: global.env.clone(),
        environment: plan.map_or_else(Environment::default, |plan| plan.environment.clone()),
        tags: plan.map(|plan| plan.tags.clone()).unwrap_or_default(),
        function_zip,
    })
}
