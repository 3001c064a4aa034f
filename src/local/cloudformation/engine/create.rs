//! Creation in dependency order, and what becomes of one that failed.

use std::sync::Arc;

use super::evaluate::{outputs, properties};
use super::{Engine, failed_to, tags_for};
use crate::local::cloudformation::intrinsics::Physical;
use crate::local::cloudformation::state::OnFailure;

use super::delete::Removal;

impl Engine {
    /// Creates a stack that was entered as `CREATE_IN_PROGRESS`.
    pub async fn create(self: Arc<Engine>, id: String) {
        let order = self.with(&id, |stack, _| stack.definition.order.clone());
        let mut failure = None;
        for logical_id in order {
            if self.with(&id, |stack, _| stack.delete_requested) {
                break;
            }
            if let Err(reason) = self.create_resource(&id, &logical_id).await {
                failure = Some(failed_to("create", std::slice::from_ref(&logical_id)));
                self.with(&id, |stack, context| {
                    stack.set_resource_status(context, &logical_id, "CREATE_FAILED", Some(reason));
                });
                break;
            }
        }
        if self.with(&id, |stack, _| stack.delete_requested) {
            return self.delete(id).await;
        }
        let failure = match failure {
            Some(failure) => Err(failure),
            None => self.finish(&id, "CREATE_COMPLETE"),
        };
        if let Err(reason) = failure {
            self.creation_failed(&id, reason).await;
        }
        // A DeleteStack may have come while this was the stack's one task.
        let requested = self.with(&id, |stack, context| {
            if stack.delete_requested && stack.status != "DELETE_IN_PROGRESS" {
                stack.set_status(context, "DELETE_IN_PROGRESS", Some("User Initiated".into()));
            }
            stack.delete_requested
        });
        if requested {
            self.delete(id).await;
        }
    }

    async fn creation_failed(self: &Arc<Engine>, id: &str, reason: String) {
        match self.with(id, |stack, _| stack.on_failure) {
            OnFailure::DoNothing => {
                self.with(id, |stack, context| stack.set_status(context, "CREATE_FAILED", Some(reason)));
            }
            OnFailure::Delete => {
                let reason = format!("{reason}Delete requested by user.");
                self.with(id, |stack, context| stack.set_status(context, "DELETE_IN_PROGRESS", Some(reason)));
                Arc::clone(self).delete(id.to_owned()).await;
            }
            OnFailure::Rollback => {
                let reason = format!("{reason}Rollback requested by user.");
                self.with(id, |stack, context| {
                    stack.set_status(context, "ROLLBACK_IN_PROGRESS", Some(reason));
                });
                self.roll_back_creation(id).await;
            }
        }
    }

    /// Removes what a creation made, of a stack in `ROLLBACK_IN_PROGRESS`.
    pub(super) async fn roll_back_creation(&self, id: &str) {
        let failed = self.remove_resources(id, Removal::Rollback).await;
        self.with(id, |stack, context| match failed.is_empty() {
            true => stack.set_status(context, "ROLLBACK_COMPLETE", None),
            false => stack.set_status(context, "ROLLBACK_FAILED", Some(failed_to("delete", &failed))),
        });
    }

    /// Evaluates the outputs and sets the stack's status.
    pub(super) fn finish(&self, id: &str, status: &'static str) -> Result<(), String> {
        let mut state = self.state();
        let stack = state.find(id).expect("stacks are never forgotten");
        let outputs = outputs(stack, &self.context).map_err(|error| format!("{} ", error.message))?;
        for export in outputs.iter().filter_map(|output| output.export_name.as_deref()) {
            if let Some(owner) = state.export_owner(export, id) {
                return Err(format!("Export with name {export} is already exported by stack {owner}. "));
            }
        }
        let stack = state.find(id).expect("stacks are never forgotten");
        stack.outputs = outputs;
        stack.set_status(&self.context, status, None);
        Ok(())
    }

    /// Makes a resource that the stack does not have yet. The caller notes what an error says.
    pub(super) async fn create_resource(&self, id: &str, logical_id: &str) -> Result<(), String> {
        self.with(id, |stack, context| {
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.physical = Physical::default();
            }
            stack.set_resource_status(context, logical_id, "CREATE_IN_PROGRESS", None);
        });
        let (kind, properties) = self.with(id, |stack, context| properties(stack, context, logical_id))?;
        self.with(id, |stack, _| {
            let tags = tags_for(kind, stack);
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.properties = properties.clone();
                resource.tags = tags;
            }
        });
        let (physical, created) = self.make(id, logical_id, kind, &properties).await;
        self.with(id, |stack, context| {
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.physical = physical;
                let made = resource.clone();
                if let Some(update) = stack.update.as_mut().filter(|_| made.exists()) {
                    update.made.push((logical_id.to_owned(), made));
                }
            }
            created.map(|()| stack.set_resource_status(context, logical_id, "CREATE_COMPLETE", None))
        })
    }
}
