//! From the global options to SDK clients, and to what `up` is asked for.

use crate::plan::Plan;
use crate::platform::clients::{self, ClientSettings, Clients, Door};
use crate::platform::clock::Clock;
use crate::session::SessionError;
use crate::stack::{UpRequest, artifact};

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
    clients::connect(settings).await.map_err(|error| {
        let hint = error.hint();
        let mut cli = CliError::environment(error.to_string());
        cli.hint = hint;
        cli
    })
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
    let function_zip = artifact::find(global.function_zip.as_deref())?;
    Ok(UpRequest {
        env: global.env.clone(),
        environment: plan.map(|plan| plan.environment.clone()).unwrap_or_default(),
        tags: plan.map(|plan| plan.tags.clone()).unwrap_or_default(),
        function_zip,
    })
}
