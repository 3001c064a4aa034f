//! Deletion in reverse order of creation: of stacks, of a creation that is rolled back, and of what updates
//! leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Engine, failed_to, handler_message, unrecognized};
use crate::local::cloudformation::definition::Definition;
use crate::local::cloudformation::graph;
use crate::local::cloudformation::resources;
use crate::local::cloudformation::state::{ResourceState, Stack};
use crate::local::cloudformation::template::DeletionPolicy;

/// What to remove: the resources of a rolled back creation, or of a stack.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Removal {
    Rollback,
    Deletion,
}

impl Engine {
    /// Deletes a stack that is in `DELETE_IN_PROGRESS`.
    pub async fn delete(self: Arc<Engine>, id: String) {
        let mut failed = self.remove_resources(&id, Removal::Deletion).await;
        failed.extend(self.remove_leftovers(&id).await);
        self.with(&id, |stack, context| {
            stack.delete_requested = false;
            if !failed.is_empty() {
                return stack.set_status(context, "DELETE_FAILED", Some(failed_to("delete", &failed)));
            }
            stack.set_status(context, "DELETE_COMPLETE", None);
            stack.deleted_ms = Some(context.clock.now_ms());
            stack.outputs.clear();
            stack.change_sets.clear();
            stack.update = None;
        });
    }

    /// Removes the stack's resources, last created first. A resource that another one still needs,
    /// because that one could not be removed, is left alone. Returns what failed.
    pub(super) async fn remove_resources(&self, id: &str, removal: Removal) -> Vec<String> {
        let (order, needs) = self.with(id, |stack, _| (deletion_order(stack), needs(stack)));
        let mut failed: Vec<String> = Vec::new();
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for logical_id in order {
            let needed =
                kept.iter().any(|keeper| needs.get(keeper).is_some_and(|set| set.contains(&logical_id)));
            if needed {
                kept.insert(logical_id);
                continue;
            }
            if let Err(reason) = self.remove_resource(id, &logical_id, removal).await {
                let forced = self.with(id, |stack, context| {
                    stack.set_resource_status(context, &logical_id, "DELETE_FAILED", Some(reason.clone()));
                    if stack.forced {
                        stack.set_resource_status(context, &logical_id, "DELETE_SKIPPED", Some(reason));
                    }
                    stack.forced
                });
                kept.insert(logical_id.clone());
                if !forced {
                    failed.push(logical_id);
                }
            }
        }
        failed
    }

    async fn remove_resource(&self, id: &str, logical_id: &str, removal: Removal) -> Result<(), String> {
        let found = self.with(id, |stack, context| {
            let resource = stack.resources.get(logical_id).filter(|resource| resource.exists())?.clone();
            if keeps(stack, logical_id, removal) {
                stack.set_resource_status(context, logical_id, "DELETE_SKIPPED", None);
                return None;
            }
            stack.set_resource_status(context, logical_id, "DELETE_IN_PROGRESS", None);
            Some(resource)
        });
        let Some(resource) = found else { return Ok(()) };
        self.remove_physical(id, logical_id, &resource).await?;
        self.with(id, |stack, context| {
            stack.set_resource_status(context, logical_id, "DELETE_COMPLETE", None);
        });
        Ok(())
    }

    async fn remove_physical(
        &self,
        id: &str,
        logical_id: &str,
        resource: &ResourceState,
    ) -> Result<(), String> {
        let kind = resources::find(&resource.kind).ok_or_else(|| unrecognized(&resource.kind).message)?;
        let call = self.call(id, logical_id);
        let removed = kind.delete(&call, &resource.properties, &resource.physical.id).await;
        removed.map_err(|error| handler_message(kind, &error))
    }

    /// Removes what an update that never settled left beside the stack's current resources.
    async fn remove_leftovers(&self, id: &str) -> Vec<String> {
        let leftovers = self.with(id, |stack, _| {
            let Some(update) = &stack.update else { return Vec::new() };
            let is_current = |(logical_id, old): &&(String, ResourceState)| {
                let current = stack.resources.get(logical_id);
                current.is_some_and(|current| current.physical.id == old.physical.id)
            };
            let all = update.set_aside.iter().chain(&update.made);
            all.filter(|one| !is_current(one)).cloned().collect::<Vec<_>>()
        });
        let forced = self.with(id, |stack, _| stack.forced);
        let failed = self.remove_apart(id, leftovers).await;
        if forced { Vec::new() } else { failed }
    }

    /// Removes resources that are no longer the stack's current ones, last first. Returns what failed.
    pub(super) async fn remove_apart(&self, id: &str, apart: Vec<(String, ResourceState)>) -> Vec<String> {
        let mut failed = Vec::new();
        for (logical_id, resource) in apart.into_iter().rev() {
            let note = |status, reason| {
                self.with(id, |stack, context| stack.note(context, &logical_id, &resource, status, reason));
            };
            note("DELETE_IN_PROGRESS", None);
            match self.remove_physical(id, &logical_id, &resource).await {
                Ok(()) => note("DELETE_COMPLETE", None),
                Err(reason) => {
                    note("DELETE_FAILED", Some(reason));
                    failed.push(logical_id);
                }
            }
        }
        failed
    }
}

/// Last created first. What an update took out of the template and did not come to delete goes last.
fn deletion_order(stack: &Stack) -> Vec<String> {
    let mut order: Vec<String> = stack.definition.order.iter().rev().cloned().collect();
    if let Some(update) = &stack.update {
        let others = update.previous.order.iter().rev().filter(|one| !stack.definition.has(one));
        order.extend(others.cloned());
    }
    order
}

/// What each resource depends on. The templates were checked when the stack was entered.
fn needs(stack: &Stack) -> BTreeMap<String, BTreeSet<String>> {
    let of = |definition: &Definition| graph::dependencies(&definition.template).unwrap_or_default();
    let mut needs = of(&stack.definition);
    for (logical_id, needed) in stack.update.iter().flat_map(|update| of(&update.previous)) {
        needs.entry(logical_id).or_default().extend(needed);
    }
    needs
}

fn keeps(stack: &Stack, logical_id: &str, removal: Removal) -> bool {
    let previous = stack.update.as_ref().map(|update| &update.previous);
    let policy = match deletion_policy(&stack.definition, logical_id) {
        None => previous.and_then(|previous| deletion_policy(previous, logical_id)),
        found => found,
    };
    match policy {
        Some(DeletionPolicy::Retain) => true,
        Some(DeletionPolicy::RetainExceptOnCreate) => removal == Removal::Deletion,
        _ => removal == Removal::Deletion && stack.retained.contains(logical_id),
    }
}

pub(super) fn deletion_policy(definition: &Definition, logical_id: &str) -> Option<DeletionPolicy> {
    definition.template.resources.get(logical_id).map(|resource| resource.deletion_policy)
}
