//! Updates: every resource whose properties or tags changed is changed through its service's API, or made
//! anew where a property cannot be changed; then what is no longer needed is deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::delete::deletion_policy;
use super::doubt::presumed;
use super::evaluate::properties;
use super::{Engine, failed_to, handler_message, tags_for};
use crate::local::cloudformation::definition::Definition;
use crate::local::cloudformation::resources::{Change, ResourceType, differing};
use crate::local::cloudformation::state::{ResourceState, Stack, Update};
use crate::local::cloudformation::template::DeletionPolicy;
use crate::local::service::Context;

const REPLACING: &str =
    "Requested update requires the creation of a new physical resource; hence creating one.";

/// Enters an update into a stack, whose status becomes `UPDATE_IN_PROGRESS`. An update that failed without
/// a rollback is continued: what it started from stays what a rollback returns to.
pub fn begin(stack: &mut Stack, context: &Context, definition: Definition, disable_rollback: bool) {
    let previous = std::mem::replace(&mut stack.definition, definition);
    match &mut stack.update {
        Some(update) => update.disable_rollback = disable_rollback,
        None => {
            stack.update = Some(Update {
                previous,
                snapshot: stack.resources.clone(),
                made: Vec::new(),
                set_aside: Vec::new(),
                disable_rollback,
                failed: None,
            });
        }
    }
    stack.cancel_requested = false;
    stack.updated_ms = Some(context.clock.now_ms());
    stack.set_status(context, "UPDATE_IN_PROGRESS", Some("User Initiated".into()));
}

/// What is to be done about one resource.
enum Step {
    Nothing,
    Create,
    Change(&'static dyn ResourceType, Value),
    Replace(&'static dyn ResourceType, Value),
}

impl Engine {
    /// Brings a stack in `UPDATE_IN_PROGRESS` to its definition.
    pub async fn update(self: Arc<Engine>, id: String) {
        let updated = match self.change_resources(&id).await {
            Ok(()) => self.finish(&id, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
            Err(reason) => Err(reason),
        };
        match updated {
            Ok(()) => self.clean_up_update(&id).await,
            Err(reason) => self.update_failed(&id, reason).await,
        }
    }

    async fn update_failed(&self, id: &str, reason: String) {
        let roll_back = self.with(id, |stack, context| {
            if stack.update.as_ref().is_some_and(|update| update.disable_rollback && !stack.cancel_requested)
            {
                stack.set_status(context, "UPDATE_FAILED", Some(reason));
                return false;
            }
            stack.set_status(context, "UPDATE_ROLLBACK_IN_PROGRESS", Some(reason));
            true
        });
        if roll_back {
            self.roll_back_update(id, &Default::default()).await;
        }
    }

    async fn change_resources(&self, id: &str) -> Result<(), String> {
        for logical_id in self.with(id, |stack, _| stack.definition.order.clone()) {
            if self.with(id, |stack, _| stack.cancel_requested) {
                return Err("User Initiated".to_owned());
            }
            self.change_resource(id, &logical_id).await?;
        }
        Ok(())
    }

    async fn change_resource(&self, id: &str, logical_id: &str) -> Result<(), String> {
        let failed = |status: &'static str, verb: &str, reason: String| {
            self.with(id, |stack, context| {
                stack.set_resource_status(context, logical_id, status, Some(reason));
            });
            Err(failed_to(verb, &[logical_id.to_owned()]))
        };
        let step = self.with(id, |stack, context| step(stack, context, logical_id));
        let done = match step {
            Err(reason) => Err(reason),
            Ok(Step::Nothing) => return Ok(()),
            Ok(Step::Create) => {
                self.remove_half_made(id, logical_id).await;
                return match self.create_resource(id, logical_id).await {
                    Ok(()) => Ok(()),
                    Err(reason) => failed("CREATE_FAILED", "create", reason),
                };
            }
            Ok(Step::Change(kind, properties)) => self.change(id, logical_id, kind, properties).await,
            Ok(Step::Replace(kind, properties)) => self.replace(id, logical_id, kind, properties).await,
        };
        match done {
            Ok(()) => Ok(()),
            Err(reason) => failed("UPDATE_FAILED", "update", reason),
        }
    }

    /// What an earlier attempt left of a resource whose creation failed would be in the new one's way.
    async fn remove_half_made(&self, id: &str, logical_id: &str) {
        let half = self.with(id, |stack, _| {
            let half = stack.resources.get(logical_id).filter(|resource| resource.exists())?.clone();
            let update = stack.update.as_mut()?;
            update.made.retain(|(_, made)| made.physical.id != half.physical.id);
            Some((logical_id.to_owned(), half))
        });
        // What stays is told by its own event, and by the creation that then fails.
        self.remove_apart(id, half.into_iter().collect()).await;
    }

    /// Changes a resource in place and records what it is then. Also used to change it back.
    pub(super) async fn change(
        &self,
        id: &str,
        logical_id: &str,
        kind: &'static dyn ResourceType,
        after: Value,
    ) -> Result<(), String> {
        let (physical_id, before, tags_before) = self.with(id, |stack, context| {
            stack.set_resource_status(context, logical_id, "UPDATE_IN_PROGRESS", None);
            let tags = tags_for(kind, stack);
            let resource = stack.resources.get_mut(logical_id).expect("a resource that changes exists");
            let (before, tags_before) = presumed(resource, &after, &tags);
            // Recorded first: a change that fails halfway is undone from here.
            resource.properties = after.clone();
            resource.tags = tags;
            resource.doubt = Some((before.clone(), tags_before.clone()));
            (resource.physical.id.clone(), before, tags_before)
        });
        let call = self.call(id, logical_id);
        let change = Change { id: &physical_id, before: &before, after: &after, tags_before: &tags_before };
        kind.update(&call, &change).await.map_err(|error| handler_message(kind, &error))?;
        self.with(id, |stack, context| {
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.doubt = None;
            }
            stack.set_resource_status(context, logical_id, "UPDATE_COMPLETE", None);
        });
        Ok(())
    }

    /// Makes a new resource in the place of one that cannot be changed. The old one is deleted at the end.
    async fn replace(
        &self,
        id: &str,
        logical_id: &str,
        kind: &'static dyn ResourceType,
        properties: Value,
    ) -> Result<(), String> {
        let old = self.with(id, |stack, context| {
            let reason = Some(REPLACING.to_owned());
            stack.set_resource_status(context, logical_id, "UPDATE_IN_PROGRESS", reason);
            stack.resources[logical_id].clone()
        });
        let name = kind.name_property().and_then(|name| properties[name].as_str());
        if let Some(name) = name
            && kind.name_property().is_some_and(|member| old.properties[member] == properties[member])
        {
            return Err(format!(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename {name} and update the stack again."
            ));
        }
        let (physical, made) = self.make(id, logical_id, kind, &properties).await;
        self.with(id, |stack, context| {
            let tags = tags_for(kind, stack);
            if physical.id.is_empty() {
                return made;
            }
            let now = ResourceState { physical, properties, tags, doubt: None, ..old.clone() };
            stack.resources.insert(logical_id.to_owned(), now.clone());
            if let Some(update) = &mut stack.update {
                update.set_aside.push((logical_id.to_owned(), old));
                update.made.push((logical_id.to_owned(), now));
            }
            made.map(|()| stack.set_resource_status(context, logical_id, "UPDATE_COMPLETE", None))
        })
    }

    /// Deletes what the update took out or replaced. What cannot be deleted stays behind, outside the stack,
    /// and the stack says so.
    async fn clean_up_update(&self, id: &str) {
        let apart = self.with(id, |stack, context| {
            let Some(update) = stack.update.take() else { return Vec::new() };
            let mut apart = taken_out(stack, context, &update.previous);
            for (logical_id, old) in update.set_aside {
                let declared = stack.definition.template.resources.get(&logical_id);
                if declared.is_some_and(|declared| declared.retained_when_replaced) {
                    stack.note(context, &logical_id, &old, "DELETE_SKIPPED", None);
                } else {
                    apart.push((logical_id, old));
                }
            }
            in_order(apart, &update.previous)
        });
        let failed = self.remove_apart(id, apart).await;
        self.with(id, |stack, context| {
            let reason = "Update successful. One or more resources could not be deleted.";
            let reason = (!failed.is_empty()).then(|| reason.to_owned());
            stack.set_status(context, "UPDATE_COMPLETE", reason);
        });
    }
}

/// Takes the resources that the definition no longer has out of the stack.
fn taken_out(stack: &mut Stack, context: &Context, previous: &Definition) -> Vec<(String, ResourceState)> {
    let gone: Vec<String> =
        stack.resources.keys().filter(|logical_id| !stack.definition.has(logical_id)).cloned().collect();
    let mut apart = Vec::new();
    for logical_id in gone {
        let Some(resource) = stack.resources.remove(&logical_id).filter(ResourceState::exists) else {
            continue;
        };
        let policy = deletion_policy(previous, &logical_id);
        if matches!(policy, Some(DeletionPolicy::Retain | DeletionPolicy::RetainExceptOnCreate)) {
            stack.note(context, &logical_id, &resource, "DELETE_SKIPPED", None);
        } else {
            apart.push((logical_id, resource));
        }
    }
    apart
}

/// In the order of creation, so that the last created is deleted first.
fn in_order(
    mut apart: Vec<(String, ResourceState)>,
    definition: &Definition,
) -> Vec<(String, ResourceState)> {
    let place: BTreeMap<&str, usize> =
        definition.order.iter().enumerate().map(|(place, logical_id)| (logical_id.as_str(), place)).collect();
    apart.sort_by_key(|(logical_id, _)| place.get(logical_id.as_str()).copied().unwrap_or(usize::MAX));
    apart
}

fn step(stack: &Stack, context: &Context, logical_id: &str) -> Result<Step, String> {
    let Some(now) = stack.resources.get(logical_id).filter(|resource| resource.is_usable()) else {
        return Ok(Step::Create);
    };
    let (kind, properties) = properties(stack, context, logical_id)?;
    let changed = differing(&now.properties, &properties);
    if changed.is_empty() && now.tags == tags_for(kind, stack) && !now.is_unsettled() {
        return Ok(Step::Nothing);
    }
    if changed.iter().any(|member| kind.create_only().contains(&member.as_str())) {
        return Ok(Step::Replace(kind, properties));
    }
    Ok(Step::Change(kind, properties))
}
