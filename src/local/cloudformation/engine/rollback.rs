//! Back to the last stable state, after an update that failed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::delete::deletion_policy;
use super::{Engine, failed_to, unrecognized};
use crate::local::cloudformation::resources;
use crate::local::cloudformation::state::{ResourceState, Stack};
use crate::local::cloudformation::template::DeletionPolicy;

impl Engine {
    /// Continues the rollback of a stack in `UPDATE_ROLLBACK_IN_PROGRESS`, without the resources to skip.
    pub async fn continue_rollback(self: Arc<Engine>, id: String, skipped: BTreeSet<String>) {
        self.roll_back_update(&id, &skipped).await;
    }

    /// Rolls a creation back that failed without a rollback, of a stack in `ROLLBACK_IN_PROGRESS`.
    pub async fn roll_back(self: Arc<Engine>, id: String) {
        self.roll_back_creation(&id).await;
    }

    /// Brings every resource back to the snapshot; repeating it does no harm.
    pub(super) async fn roll_back_update(&self, id: &str, skipped: &BTreeSet<String>) {
        let order = self.with(id, |stack, _| {
            let Some(update) = &mut stack.update else { return Vec::new() };
            let failed = std::mem::replace(&mut stack.definition, update.previous.clone());
            update.failed.get_or_insert(failed);
            stack.definition.order.clone()
        });
        let mut failed = Vec::new();
        for logical_id in order {
            if let Err(reason) = self.restore(id, &logical_id, skipped.contains(&logical_id)).await {
                self.with(id, |stack, context| {
                    stack.set_resource_status(context, &logical_id, "UPDATE_FAILED", Some(reason));
                });
                failed.push(logical_id);
            }
        }
        if !failed.is_empty() {
            let reason = failed_to("update", &failed);
            return self.with(id, |stack, context| {
                stack.set_status(context, "UPDATE_ROLLBACK_FAILED", Some(reason));
            });
        }
        self.with(id, |stack, context| {
            stack.set_status(context, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", None);
        });
        self.clean_up_rollback(id).await;
    }

    /// Brings one resource back to what it was.
    async fn restore(&self, id: &str, logical_id: &str, skip: bool) -> Result<(), String> {
        let Some((was, now)) = self.with(id, |stack, _| before_and_now(stack, logical_id)) else {
            return Ok(());
        };
        if skip {
            let reason = "The resource was skipped: it is not known to be as the template says.";
            self.with(id, |stack, context| {
                stack.resources.insert(logical_id.to_owned(), ResourceState { doubt: now.doubt, ..was });
                stack.set_resource_status(context, logical_id, "UPDATE_COMPLETE", Some(reason.into()));
            });
            return Ok(());
        }
        let same = now.properties == was.properties && now.tags == was.tags;
        let current = self.with(id, |stack, _| stack.resources.insert(logical_id.to_owned(), now.clone()));
        let replaced = current.is_none_or(|current| current.physical.id != now.physical.id);
        if !same || now.is_unsettled() {
            let kind = resources::find(&was.kind).ok_or_else(|| unrecognized(&was.kind).message)?;
            self.change(id, logical_id, kind, was.properties).await?;
        } else if replaced {
            self.with(id, |stack, context| {
                stack.set_resource_status(context, logical_id, "UPDATE_COMPLETE", None);
            });
        }
        Ok(())
    }

    /// Deletes what the update had made. What cannot be deleted stays behind, and the stack says so.
    async fn clean_up_rollback(&self, id: &str) {
        let apart = self.with(id, |stack, context| {
            let Some(update) = stack.update.take() else { return Vec::new() };
            stack.resources.retain(|logical_id, _| update.snapshot.contains_key(logical_id));
            let mut apart = Vec::new();
            for (logical_id, made) in update.made {
                let new = !update.snapshot.contains_key(&logical_id);
                let policy = update.failed.as_ref().and_then(|failed| deletion_policy(failed, &logical_id));
                if new && policy == Some(DeletionPolicy::Retain) {
                    stack.note(context, &logical_id, &made, "DELETE_SKIPPED", None);
                } else {
                    apart.push((logical_id, made));
                }
            }
            apart
        });
        let failed = self.remove_apart(id, apart).await;
        self.with(id, |stack, context| {
            let reason = "Rollback successful. One or more resources could not be deleted.";
            let reason = (!failed.is_empty()).then(|| reason.to_owned());
            stack.set_status(context, "UPDATE_ROLLBACK_COMPLETE", reason);
        });
    }
}

/// The resource as it was, and the same physical resource as it is now; `None` where nothing was touched.
fn before_and_now(stack: &Stack, logical_id: &str) -> Option<(ResourceState, ResourceState)> {
    let update = stack.update.as_ref()?;
    let was = update.snapshot.get(logical_id).filter(|was| was.exists())?.clone();
    let current = stack.resources.get(logical_id)?;
    let is_it = |resource: &&ResourceState| resource.physical.id == was.physical.id;
    let aside = update.set_aside.iter().map(|(_, old)| old).find(is_it);
    let now = Some(current).filter(is_it).or(aside)?.clone();
    Some((was, now))
}
