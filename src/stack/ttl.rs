//! The dead man's switch: schedules that delete an environment's stacks at a given time, should nobody do it
//! before. They stand in a stack of their own, because their role has to outlive what it deletes.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, StackStatus as Status};

use super::changeset;
use super::deploy::{Request, Watch, describe, first_cause, parameters, state_error};
use super::error::failed;
use super::templates::Parameters;
use super::{Part, StackError, check_name, down, status};
use crate::plan::{AccountSpec, NAME_PREFIX};
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, WallUs, rfc3339};

/// An environment lives this long at least, unless it was told how long.
const LIFE_LEAST: Duration = Duration::from_secs(8 * 3_600);
/// What is added to what was planned: reading the report, running a test again.
const LIFE_SPARE: Duration = Duration::from_secs(2 * 3_600);
/// Between the deletions of two stacks; EventBridge Scheduler is precise to the minute.
const STEP_US: WallUs = 60_000_000;
/// After its time the switch has done what it can: three steps, and CloudFormation's work.
const FIRED_AFTER_US: WallUs = 30 * 60_000_000;
const MINUTE_US: WallUs = 60_000_000;

/// How long an environment stands when nobody says so: the larger of 8 h and what is planned (load and drain)
/// plus 2 h.
pub fn life(planned: Duration) -> Duration {
    LIFE_LEAST.max(spare(planned))
}

/// What is planned and 2 h more: what a run makes sure of before it starts.
pub fn spare(planned: Duration) -> Duration {
    planned + LIFE_SPARE
}

/// What a switch is for.
#[derive(Clone, Copy, Debug)]
pub struct Guarded<'a> {
    pub env: &'a str,
    pub account: &'a AccountSpec,
    /// As those of the other stacks, without ours.
    pub tags: &'a BTreeMap<String, String>,
}

/// Sets the switch to `ends_us`, or later where it stands with a later time. Returns when the environment ends.
///
/// # Errors
/// When the schedules cannot be made or moved: then nothing may be started that relies on them.
pub async fn ensure(
    clients: &Clients,
    clock: Clock,
    guarded: Guarded<'_>,
    ends_us: WallUs,
    progress: &dyn Fn(&str),
) -> Result<WallUs, StackError> {
    check_name(guarded.env)?;
    let name = Part::Deadman.stack_name(&guarded.account.name_prefix, guarded.env);
    match describe(clients, &name).await? {
        Some(stack) if is_standing(&stack) => extend_stack(clients, clock, &stack, ends_us, progress).await,
        Some(_) => {
            // Begun and not completed: it guards nothing, and cannot be updated.
            if let Some(left) = down::remove(clients, clock, &name, progress).await? {
                return Err(state_error(&left));
            }
            make(clients, clock, guarded, ends_us, progress).await
        }
        None => make(clients, clock, guarded, ends_us, progress).await,
    }
}

/// Moves the switch to `ends_us` if it stands with an earlier time. `None` when there is no switch.
///
/// # Errors
/// When it stands and cannot be moved.
pub async fn extend(
    clients: &Clients,
    clock: Clock,
    env: &str,
    ends_us: WallUs,
    progress: &dyn Fn(&str),
) -> Result<Option<WallUs>, StackError> {
    match describe(clients, &name_of(clients, env).await?).await? {
        None => Ok(None),
        Some(stack) if is_standing(&stack) => {
            extend_stack(clients, clock, &stack, ends_us, progress).await.map(Some)
        }
        Some(stack) => Err(state_error(&stack)),
    }
}

/// When an environment of these stacks ends by itself; `None` when none of them is its switch `name`.
pub(super) fn ends_us(stacks: &[Stack], name: &str) -> Option<WallUs> {
    let switch = stacks.iter().find(|stack| stack.stack_name() == Some(name))?;
    is_standing(switch).then(|| end_of(switch)).flatten()
}

/// Removes a switch that has fired and has nothing left to guard: it cannot delete itself. Tells whether it did.
///
/// # Errors
/// When AWS cannot be asked, or the switch cannot be deleted.
pub async fn remove_fired(
    clients: &Clients,
    clock: Clock,
    env: &str,
    progress: &dyn Fn(&str),
) -> Result<bool, StackError> {
    // One that still guards something has that beside it.
    let stacks = status::stacks_of(clients, env).await?;
    let [stack] = stacks.as_slice() else { return Ok(false) };
    let prefix = status::prefix_of(&stacks, env).unwrap_or_else(|| NAME_PREFIX.to_owned());
    let name = Part::Deadman.stack_name(&prefix, env);
    let fired = end_of(stack).is_some_and(|end| clock.now_us() > end);
    if stack.stack_name() != Some(&name) || !fired {
        return Ok(false);
    }
    progress(&format!("the dead man's switch of '{env}' has fired: removing what is left of it"));
    match down::remove(clients, clock, &name, progress).await? {
        None => Ok(true),
        Some(left) => Err(state_error(&left)),
    }
}

/// Whether the switch's time passed so long ago that what still stands was not deleted by it.
pub fn has_failed(now_us: WallUs, ends_us: WallUs) -> bool {
    now_us > ends_us + FIRED_AFTER_US
}

async fn name_of(clients: &Clients, env: &str) -> Result<String, StackError> {
    Ok(Part::Deadman.stack_name(&status::prefix(clients, env).await?, env))
}

async fn make(
    clients: &Clients,
    clock: Clock,
    guarded: Guarded<'_>,
    ends_us: WallUs,
    progress: &dyn Fn(&str),
) -> Result<WallUs, StackError> {
    let Guarded { env, account, tags } = guarded;
    let ends_us = whole_minute(ends_us);
    let mut parameters: Parameters = times(ends_us).into();
    parameters.insert("EnvironmentName", env.to_owned());
    parameters.insert("NamePrefix", account.name_prefix.clone());
    parameters.insert("RolePath", account.role_path.clone());
    parameters.insert("PermissionsBoundaryArn", account.permissions_boundary.clone().unwrap_or_default());
    parameters.insert("ServiceRoleArn", account.cloudformation_role.clone().unwrap_or_default());
    let request = Request {
        stack: Part::Deadman.stack_name(&account.name_prefix, env),
        template: include_str!("../../stacks/deadman.yaml").to_owned(),
        parameters,
        tags: super::tags(tags, env),
        makes_role: true,
        service_role: account.cloudformation_role.clone(),
    };
    let prepared = changeset::make(clients, clock, request, true).await?;
    let mut watch = prepared.execute(clients).await?;
    let settled = watch.until_settled(clients, clock, progress).await?;
    if settled.stack_status() != Some(&Status::CreateComplete) {
        return Err(first_cause(&watch, &settled));
    }
    progress(&format!("unless it is taken down before, '{env}' ends by itself at {}", rfc3339(ends_us)));
    Ok(ends_us)
}

async fn extend_stack(
    clients: &Clients,
    clock: Clock,
    stack: &Stack,
    ends_us: WallUs,
    progress: &dyn Fn(&str),
) -> Result<WallUs, StackError> {
    let wanted = whole_minute(ends_us);
    if let Some(standing) = end_of(stack).filter(|standing| *standing >= wanted) {
        return Ok(standing);
    }
    let name = stack.stack_name().unwrap_or_default();
    let id = stack.stack_id().unwrap_or(name);
    let mut watch = Watch::new(name, id.to_owned());
    watch.skip_past(clients).await?;
    let mut call = clients.cloudformation.update_stack().stack_name(id).use_previous_template(true);
    call = call.capabilities(Capability::CapabilityNamedIam);
    let mut wanted_parameters: Parameters = times(wanted).into();
    for key in parameters(stack).into_keys() {
        let parameter = Parameter::builder().parameter_key(&key);
        call = call.parameters(match wanted_parameters.remove(key.as_str()) {
            Some(value) => parameter.parameter_value(value).build(),
            None => parameter.use_previous_value(true).build(),
        });
    }
    let doing = format!("extend the dead man's switch {name}");
    call.send().await.map_err(|error| failed("CloudFormation", doing, error))?;
    let settled = watch.until_settled(clients, clock, progress).await?;
    if settled.stack_status() != Some(&Status::UpdateComplete) {
        return Err(state_error(&settled));
    }
    progress(&format!("{name}: the environment now ends by itself at {}", rfc3339(wanted)));
    Ok(wanted)
}

fn is_standing(stack: &Stack) -> bool {
    let standing = [Status::CreateComplete, Status::UpdateComplete, Status::UpdateRollbackComplete];
    stack.stack_status().is_some_and(|status| standing.contains(status))
}

/// Observability, pipeline, artifacts: what watches goes before what it watches.
fn times(ends_us: WallUs) -> [(&'static str, String); 3] {
    let after = |steps: WallUs| civil(ends_us + steps * STEP_US);
    [("ObservabilityEndsAt", after(0)), ("PipelineEndsAt", after(1)), ("ArtifactsEndsAt", after(2))]
}

/// `2026-11-21T06:00:00`, as `at()` takes it.
fn civil(at_us: WallUs) -> String {
    rfc3339(at_us).chars().take("2026-11-21T06:00:00".len()).collect()
}

fn whole_minute(at_us: WallUs) -> WallUs {
    (at_us + MINUTE_US - 1).div_euclid(MINUTE_US) * MINUTE_US
}

fn end_of(stack: &Stack) -> Option<WallUs> {
    let text = parameters(stack).remove("ObservabilityEndsAt")?;
    let at: jiff::Timestamp = format!("{text}Z").parse().ok()?;
    Some(at.as_microsecond())
}
