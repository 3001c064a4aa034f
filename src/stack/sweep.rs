//! What any earlier run left in a region, whatever its environment: found by our tags, without local state.

use std::collections::BTreeMap;

use super::deploy::status_text;
use super::leftovers::{self, Leftover};
use super::status::{all_stacks, env_of, resources};
use super::{Part, StackError, down};
use crate::plan::NAME_PREFIX;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;

/// The regions that an account has without opting in. AWS Account Management reference guide, "Enable or disable
/// AWS Regions in your account". Others are swept one by one, with `--region`.
pub const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// One environment's remains in one region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remains {
    pub env: String,
    /// Name and status of each.
    pub stacks: Vec<(String, String)>,
    /// Outside any stack, with our tags.
    pub resources: Vec<Leftover>,
}

/// All that a region holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub remains: Vec<Remains>,
    /// Named like ours, without our tags: shown, not touched.
    pub untagged: Vec<Leftover>,
    /// One line for each kind that may not be listed.
    pub unseen: Vec<String>,
}

/// Everything with our tags.
///
/// # Errors
/// When AWS cannot be asked.
pub async fn find(clients: &Clients) -> Result<Found, StackError> {
    let mut by_env: BTreeMap<String, Remains> = BTreeMap::new();
    let mut of_stacks = Vec::new();
    for stack in all_stacks(clients).await? {
        let Some(env) = env_of(&stack) else { continue };
        let name = stack.stack_name().unwrap_or_default().to_owned();
        of_stacks.extend(resources(clients, &name).await?.into_iter().map(|one| one.physical_id));
        let remains = by_env.entry(env.to_owned()).or_default();
        remains.stacks.push((name, status_text(&stack)));
    }
    let of_stacks: Vec<&str> = of_stacks.iter().map(String::as_str).collect();
    let outside = leftovers::leftovers(clients, NAME_PREFIX, None).await?.outside(&of_stacks);
    let mut found = Found { unseen: outside.unseen, ..Found::default() };
    for one in outside.found {
        match one.env.clone() {
            Some(env) => by_env.entry(env).or_default().resources.push(one),
            None => found.untagged.push(one),
        }
    }
    found.remains = by_env.into_iter().map(|(env, remains)| Remains { env, ..remains }).collect();
    Ok(found)
}

/// Deletes one environment's remains: as `down` does, then the stacks with its tags that `down` does not know by
/// name. Returns what is still there.
///
/// # Errors
/// When AWS cannot be asked.
pub async fn remove(
    clients: &Clients,
    clock: Clock,
    remains: &Remains,
    progress: &dyn Fn(&str),
) -> Result<Vec<String>, StackError> {
    let mut others = Vec::new();
    // Newer stacks may use what older ones made.
    for (name, _) in remains.stacks.iter().rev() {
        let by_name = Part::ALL
            .iter()
            .chain([&Part::Deadman])
            .any(|part| name.ends_with(&part.name_after_prefix(&remains.env)));
        if !by_name && let Some(stack) = down::remove(clients, clock, name, progress).await? {
            others.push(format!("stack {name}: {}", status_text(&stack)));
        }
    }
    match super::check_name(&remains.env) {
        Ok(()) => down::down(clients, clock, &remains.env, progress).await,
        // Somebody else's tag value: it names no environment that `down` could take.
        Err(_) => Ok(others),
    }
}
