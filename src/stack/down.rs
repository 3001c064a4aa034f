//! Taking an environment down. It is safe to call at any time and any number of times.

use std::time::Duration;

use aws_sdk_cloudformation::types::{Stack, StackStatus};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::deploy::{Watch, describe, status_text};
use super::error::failed;
use super::leftovers::{self, Leftovers};
use super::status::{ResourceStatus, prefix, resources, stacks_of};
use super::{Part, StackError};
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;

/// Objects that one DeleteObjects takes, and one page of a listing gives. S3 API reference.
const OBJECTS_PER_CALL: i32 = 1_000;
/// Pages of a bucket that are deleted at most: far more code than any environment was given.
const PAGES_MAX: usize = 1_000;

/// How often a stack is deleted before it is given up: what blocks it (a network interface, a bucket that was
/// written to meanwhile) often goes by itself.
const ATTEMPTS: u32 = 3;
/// Between two attempts at a stack, and two looks for leftovers: services take up to a minute to forget a queue.
const PAUSE: Duration = Duration::from_secs(20);
/// Looks for leftovers: together longer than that minute.
const LOOKS: u32 = 5;

/// Takes down everything of an environment: dashboard and alarms, pipeline, the emptied bucket, then what bears
/// its tags outside the stacks, and at last the dead man's switch, which stays where it is still needed.
/// Returns what is still there, each with its reason; empty when all is gone.
///
/// # Errors
/// When AWS cannot be asked. That a stack cannot be deleted is no error but part of what is returned.
pub async fn down(
    clients: &Clients,
    clock: Clock,
    env: &str,
    progress: &dyn Fn(&str),
) -> Result<Vec<String>, StackError> {
    super::check_name(env)?;
    let mut left = Vec::new();
    let prefix = prefix(clients, env).await?;
    for part in Part::ALL.into_iter().rev() {
        match take_down(clients, clock, &part.stack_name(&prefix, env), progress).await {
            Ok(still) => left.extend(still),
            // The other stacks may go all the same, and what stays must be named with its reason.
            Err(
                error @ (StackError::Denied { .. }
                | StackError::Api { .. }
                | StackError::State { .. }
                | StackError::TimedOut { .. }),
            ) => left.push(format!("stack {}: {error}", part.stack_name(&prefix, env))),
            Err(error) => return Err(error),
        }
    }
    if left.is_empty() {
        left.extend(remove_leftovers(clients, &prefix, env, progress).await?);
    }
    let switch = Part::Deadman.stack_name(&prefix, env);
    if left.is_empty() {
        if let Some(settled) = remove(clients, clock, &switch, progress).await? {
            left.extend(describe_left(clients, &switch, &settled).await?);
        }
    } else if describe(clients, &switch).await?.is_some() {
        progress("the dead man's switch stays: it tries the stacks again at its time");
    }
    // Whatever else bears the environment's tags was not made by this version: name it, leave it.
    for stack in stacks_of(clients, env).await? {
        let name = stack.stack_name().unwrap_or_default();
        if name != switch && !Part::ALL.iter().any(|part| part.stack_name(&prefix, env) == name) {
            left.push(format!(
                "stack {name}: {} (tagged with this environment, not made by it)",
                status_text(&stack)
            ));
        }
    }
    Ok(left)
}

/// Deletes what the stacks did not take with them, looks again until the services have forgotten it, and names
/// what remains. A switch that stands is no leftover.
async fn remove_leftovers(
    clients: &Clients,
    prefix: &str,
    env: &str,
    progress: &dyn Fn(&str),
) -> Result<Vec<String>, StackError> {
    let switch = resources_if_there(clients, &Part::Deadman.stack_name(prefix, env)).await?;
    let of_switch: Vec<&str> = switch.iter().map(|one| one.physical_id.as_str()).collect();
    let mut named = Vec::new();
    for look in 1..=LOOKS {
        let Leftovers { found, unseen } =
            leftovers::leftovers(clients, prefix, Some(env)).await?.outside(&of_switch);
        if look == 1 {
            unseen.iter().for_each(|line| progress(line));
        }
        named.clear();
        for one in &found {
            named.push(match leftovers::remove(clients, one, progress).await {
                Ok(()) => one.to_string(),
                Err(error) => format!("{one}: {error}"),
            });
        }
        // What lacks our tags does not go by waiting.
        if found.iter().all(|one| one.env.is_none()) || look == LOOKS {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(named)
}

/// Takes one stack down; gives what is still there of it.
async fn take_down(
    clients: &Clients,
    clock: Clock,
    name: &str,
    progress: &dyn Fn(&str),
) -> Result<Vec<String>, StackError> {
    match remove(clients, clock, name, progress).await? {
        Some(settled) => describe_left(clients, name, &settled).await,
        None => Ok(Vec::new()),
    }
}

/// Deletes a stack and waits, some times if need be; its buckets are emptied before. Gives what it came to when it
/// is still there, `None` when it is gone. Nothing is retained: a stack that lets go of a resource leaves an orphan.
pub(super) async fn remove(
    clients: &Clients,
    clock: Clock,
    name: &str,
    progress: &dyn Fn(&str),
) -> Result<Option<Stack>, StackError> {
    let Some(mut stack) = describe(clients, name).await? else { return Ok(None) };
    for attempt in 1..=ATTEMPTS {
        empty_buckets(clients, name, progress).await?;
        let id = stack.stack_id().unwrap_or(name).to_owned();
        stack = delete(clients, clock, &stack, progress).await?;
        match stack.stack_status() {
            Some(StackStatus::DeleteComplete) => return Ok(None),
            Some(StackStatus::DeleteFailed) if attempt < ATTEMPTS => {}
            _ => break,
        }
        progress(&format!("{name}: not deleted, trying again in {} s ({id})", PAUSE.as_secs()));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Some(stack))
}

async fn delete(
    clients: &Clients,
    clock: Clock,
    stack: &Stack,
    progress: &dyn Fn(&str),
) -> Result<Stack, StackError> {
    let name = stack.stack_name().unwrap_or_default();
    let id = stack.stack_id().unwrap_or(name);
    let mut watch = Watch::new(name, id.to_owned());
    watch.skip_past(clients).await?;
    if stack.stack_status() != Some(&StackStatus::DeleteInProgress) {
        progress(&format!("{name}: deleting"));
        let call = clients.cloudformation.delete_stack().stack_name(id);
        let doing = format!("delete stack {name}");
        call.send().await.map_err(|error| failed("CloudFormation", doing, error))?;
    }
    watch.until_settled(clients, clock, progress).await
}

/// The stack, and each resource that could not be deleted.
async fn describe_left(clients: &Clients, name: &str, stack: &Stack) -> Result<Vec<String>, StackError> {
    let reason = stack.stack_status_reason().map(|reason| format!(": {}", reason.trim())).unwrap_or_default();
    let mut left = vec![format!("stack {name}: {}{reason}", status_text(stack))];
    for resource in resources(clients, name).await? {
        if resource.status != "DELETE_COMPLETE" {
            let reason = resource.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            left.push(format!("{} {}: {}{reason}", resource.kind, resource.physical_id, resource.status));
        }
    }
    Ok(left)
}

async fn resources_if_there(clients: &Clients, stack: &str) -> Result<Vec<ResourceStatus>, StackError> {
    match describe(clients, stack).await? {
        Some(_) => resources(clients, stack).await,
        None => Ok(Vec::new()),
    }
}

/// A bucket with objects cannot be deleted, and CloudFormation does not empty it.
async fn empty_buckets(clients: &Clients, stack: &str, progress: &dyn Fn(&str)) -> Result<(), StackError> {
    for resource in resources(clients, stack).await? {
        let stands = resource.status != "DELETE_COMPLETE" && !resource.physical_id.is_empty();
        if resource.kind == "AWS::S3::Bucket" && stands {
            empty(clients, &resource.physical_id, progress).await?;
        }
    }
    Ok(())
}

/// Deletes all objects with all their versions and delete markers.
pub(super) async fn empty(
    clients: &Clients,
    bucket: &str,
    progress: &dyn Fn(&str),
) -> Result<(), StackError> {
    for _ in 0..PAGES_MAX {
        let page = clients.s3.list_object_versions().bucket(bucket).max_keys(OBJECTS_PER_CALL).send().await;
        let page = match page {
            Ok(page) => page,
            Err(error) => match failed("S3", format!("list bucket {bucket}"), error) {
                StackError::Api { code, .. } if code == "NoSuchBucket" => return Ok(()),
                other => return Err(other),
            },
        };
        let versions = page.versions().iter().map(|one| (one.key(), one.version_id()));
        let markers = page.delete_markers().iter().map(|one| (one.key(), one.version_id()));
        let objects: Vec<ObjectIdentifier> = versions
            .chain(markers)
            .filter_map(|(key, version)| {
                ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned)).build().ok()
            })
            .collect();
        if objects.is_empty() {
            return Ok(());
        }
        progress(&format!("emptying {bucket}: {} objects", objects.len()));
        let doing = format!("empty bucket {bucket}");
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.expect("the objects, its one required member, are set");
        let call = clients.s3.delete_objects().bucket(bucket).delete(delete);
        let answer = call.send().await.map_err(|error| failed("S3", doing.clone(), error))?;
        if let Some(refused) = answer.errors().first() {
            return Err(StackError::Api {
                service: "S3",
                doing,
                code: refused.code().unwrap_or("unknown").to_owned(),
                message: refused.message().unwrap_or("no message").to_owned(),
                request_id: None,
            });
        }
    }
    Ok(())
}
