//! Stack operations: creation in dependency order, rollback of a creation that failed, deletion in
//! reverse order. One task a stack does the work; describe calls read the state it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::graph;
use super::intrinsics::{Physical, Scope};
use super::parameters::scalar_text;
use super::resources::{self, Attributes, Call, ResourceType, Services};
use super::shape::Shape;
use super::state::{OnFailure, OutputValue, Stack};
use super::template::{DeletionPolicy, invalid};
use crate::local::service::{ApiError, Context};

pub struct Engine {
    pub context: Context,
    pub services: Services,
    state: Mutex<State>,
}

/// Stacks in the order of their creation, deleted ones included: those are found by id for 90 days on
/// AWS, here for as long as the endpoint lives.
#[derive(Default)]
pub struct State {
    pub stacks: Vec<Stack>,
}

impl State {
    /// A stack by name (those that are not deleted) or id.
    pub fn find(&mut self, name_or_id: &str) -> Option<&mut Stack> {
        self.stacks
            .iter_mut()
            .rev()
            .find(|stack| stack.id == name_or_id || (stack.name == name_or_id && !stack.is_deleted()))
    }

    /// # Errors
    /// "Stack with id X does not exist".
    pub fn get(&mut self, name_or_id: &str) -> Result<&mut Stack, ApiError> {
        self.find(name_or_id).ok_or_else(|| invalid(format!("Stack with id {name_or_id} does not exist")))
    }

    fn export_owner(&self, export: &str, but: &str) -> Option<String> {
        let owns = |stack: &&Stack| {
            !stack.is_deleted()
                && stack.id != but
                && stack.outputs.iter().any(|output| output.export_name.as_deref() == Some(export))
        };
        self.stacks.iter().find(owns).map(|stack| stack.name.clone())
    }
}

/// What to remove: the resources of a rolled back creation, or of a stack.
#[derive(Clone, Copy, PartialEq)]
enum Removal {
    Rollback,
    Deletion,
}

impl Engine {
    pub fn new(context: Context, services: Services) -> Engine {
        Engine { context, services, state: Mutex::default() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a task that held the stacks' lock panicked")
    }

    /// Runs `act` on a stack that is known to exist: stacks are never forgotten.
    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Stack, &Context) -> T) -> T {
        let mut state = self.state();
        let stack = state.find(id).expect("stacks are never forgotten");
        act(stack, &self.context)
    }

    /// Creates a stack that was entered as `CREATE_IN_PROGRESS`.
    pub async fn create(self: Arc<Engine>, id: String) {
        let order = self.with(&id, |stack, _| stack.order.clone());
        let mut failure = None;
        for logical_id in order {
            if self.with(&id, |stack, _| stack.delete_requested) {
                break;
            }
            if let Err(reason) = self.create_resource(&id, &logical_id).await {
                failure = Some(format!("The following resource(s) failed to create: [{logical_id}]. "));
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
            None => self.finish_creation(&id),
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
                let failed = self.remove_resources(id, Removal::Rollback).await;
                self.with(id, |stack, context| match failed.is_empty() {
                    true => stack.set_status(context, "ROLLBACK_COMPLETE", None),
                    false => stack.set_status(context, "ROLLBACK_FAILED", Some(failed_to_delete(&failed))),
                });
            }
        }
    }

    /// Evaluates the outputs and completes the stack.
    fn finish_creation(&self, id: &str) -> Result<(), String> {
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
        stack.set_status(&self.context, "CREATE_COMPLETE", None);
        Ok(())
    }

    async fn create_resource(&self, id: &str, logical_id: &str) -> Result<(), String> {
        self.with(id, |stack, context| {
            stack.set_resource_status(context, logical_id, "CREATE_IN_PROGRESS", None);
        });
        let (kind, properties) = self.with(id, |stack, context| properties(stack, context, logical_id))?;
        self.with(id, |stack, _| {
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.properties = properties.clone();
            }
        });
        let mut physical_id = String::new();
        let created = {
            let (name, tags) = self.with(id, |stack, _| (stack.name.clone(), stack.tags.clone()));
            let call = self.call(&name, id, logical_id, &tags);
            kind.create(&call, &properties, &mut physical_id).await
        };
        self.with(id, |stack, context| {
            let attributes = created.as_ref().ok().cloned().unwrap_or_else(Attributes::new);
            if let Some(resource) = stack.resources.get_mut(logical_id) {
                resource.physical = Physical { id: physical_id, attributes };
            }
            match created {
                Ok(_) => {
                    stack.set_resource_status(context, logical_id, "CREATE_COMPLETE", None);
                    Ok(())
                }
                Err(error) => Err(handler_message(kind, &error)),
            }
        })
    }

    fn call<'a>(
        &'a self,
        stack_name: &'a str,
        stack_id: &'a str,
        logical_id: &'a str,
        stack_tags: &'a BTreeMap<String, String>,
    ) -> Call<'a> {
        Call {
            services: &self.services,
            context: &self.context,
            stack_name,
            stack_id,
            logical_id,
            stack_tags,
        }
    }

    /// Deletes a stack that is in `DELETE_IN_PROGRESS`.
    pub async fn delete(self: Arc<Engine>, id: String) {
        let failed = self.remove_resources(&id, Removal::Deletion).await;
        self.with(&id, |stack, context| {
            stack.delete_requested = false;
            if !failed.is_empty() {
                return stack.set_status(context, "DELETE_FAILED", Some(failed_to_delete(&failed)));
            }
            stack.set_status(context, "DELETE_COMPLETE", None);
            stack.deleted_ms = Some(context.clock.now_ms());
        });
    }

    /// Removes the stack's resources, last created first. A resource that another one still needs,
    /// because that one could not be removed, is left alone. Returns what failed.
    async fn remove_resources(&self, id: &str, removal: Removal) -> Vec<String> {
        let (order, needs) = self.with(id, |stack, _| {
            // The template was checked when the stack was entered.
            (stack.order.clone(), graph::dependencies(&stack.template).unwrap_or_default())
        });
        let mut failed: Vec<String> = Vec::new();
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for logical_id in order.iter().rev() {
            let needed =
                kept.iter().any(|keeper| needs.get(keeper).is_some_and(|set| set.contains(logical_id)));
            if needed {
                kept.insert(logical_id.clone());
                continue;
            }
            if let Err(reason) = self.remove_resource(id, logical_id, removal).await {
                self.with(id, |stack, context| {
                    stack.set_resource_status(context, logical_id, "DELETE_FAILED", Some(reason));
                });
                failed.push(logical_id.clone());
                kept.insert(logical_id.clone());
            }
        }
        failed
    }

    async fn remove_resource(&self, id: &str, logical_id: &str, removal: Removal) -> Result<(), String> {
        let found = self.with(id, |stack, context| {
            let resource = stack.resources.get(logical_id)?;
            let exists = !matches!(resource.status, "DELETE_COMPLETE" | "DELETE_SKIPPED");
            if !exists || resource.physical.id.is_empty() {
                return None;
            }
            if keeps(stack, logical_id, removal) {
                stack.set_resource_status(context, logical_id, "DELETE_SKIPPED", None);
                return None;
            }
            let found = (resource.physical.id.clone(), resource.properties.clone(), resource.kind.clone());
            stack.set_resource_status(context, logical_id, "DELETE_IN_PROGRESS", None);
            Some(found)
        });
        let Some((physical_id, properties, kind)) = found else { return Ok(()) };
        let kind = resources::find(&kind).ok_or_else(|| unrecognized(&kind).message)?;
        let (name, tags) = self.with(id, |stack, _| (stack.name.clone(), stack.tags.clone()));
        let call = self.call(&name, id, logical_id, &tags);
        kind.delete(&call, &properties, &physical_id).await.map_err(|error| handler_message(kind, &error))?;
        self.with(id, |stack, context| {
            stack.set_resource_status(context, logical_id, "DELETE_COMPLETE", None);
        });
        Ok(())
    }
}

fn keeps(stack: &Stack, logical_id: &str, removal: Removal) -> bool {
    let policy = stack.template.resources.get(logical_id).map(|resource| resource.deletion_policy);
    match policy {
        Some(DeletionPolicy::Retain) => true,
        Some(DeletionPolicy::RetainExceptOnCreate) => removal == Removal::Deletion,
        _ => removal == Removal::Deletion && stack.retained.contains(logical_id),
    }
}

/// The resource's type and its properties, evaluated and typed.
fn properties(
    stack: &Stack,
    context: &Context,
    logical_id: &str,
) -> Result<(&'static dyn ResourceType, Value), String> {
    let resource = &stack.template.resources[logical_id];
    let kind = resources::find(&resource.kind).ok_or_else(|| unrecognized(&resource.kind).message)?;
    let evaluated = evaluate(stack, context, &resource.properties)
        .map_err(|error| error.message)?
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let missing: Vec<&str> =
        kind.required().iter().copied().filter(|name| evaluated.get(name).is_none()).collect();
    if !missing.is_empty() {
        let named: Vec<String> =
            missing.iter().map(|name| format!("#: required key [{name}] not found")).collect();
        return Err(format!(
            "Properties validation failed for resource {logical_id} with message:\n{}",
            named.join("\n")
        ));
    }
    let fitted = Shape::Object(kind.properties()).fit(&evaluated, "").map_err(|error| {
        format!("Properties validation failed for resource {logical_id} with message:\n{error}")
    })?;
    Ok((kind, fitted))
}

fn evaluate(stack: &Stack, context: &Context, value: &Value) -> Result<Option<Value>, ApiError> {
    let physical: BTreeMap<String, Physical> = stack
        .resources
        .iter()
        .filter(|(_, resource)| resource.status == "CREATE_COMPLETE")
        .map(|(name, resource)| (name.clone(), resource.physical.clone()))
        .collect();
    let pseudo = stack.pseudo(context);
    let scope = Scope {
        template: &stack.template,
        parameters: &stack.parameters,
        pseudo: &pseudo,
        conditions: &stack.conditions,
        resources: &physical,
    };
    scope.evaluate(value)
}

fn outputs(stack: &Stack, context: &Context) -> Result<Vec<OutputValue>, ApiError> {
    let mut outputs = Vec::new();
    for (key, output) in &stack.template.outputs {
        let holds = |name: &String| stack.conditions.get(name).copied().unwrap_or(false);
        if !output.condition.as_ref().is_none_or(holds) {
            continue;
        }
        let text = |value: &Value| {
            evaluate(stack, context, value)?.as_ref().and_then(scalar_text).ok_or_else(|| {
                invalid(format!("Template format error: The Value field of every Outputs member must evaluate to a String. ({key})"))
            })
        };
        outputs.push(OutputValue {
            key: key.clone(),
            value: text(&output.value)?,
            description: output.description.clone(),
            export_name: output.export_name.as_ref().map(text).transpose()?,
        });
    }
    Ok(outputs)
}

/// The error for a type that this endpoint does not have, in the words that AWS has for those it does not.
pub fn unrecognized(kind: &str) -> ApiError {
    invalid(format!("Template format error: Unrecognized resource types: [{kind}]"))
}

/// How CloudFormation passes on what a service answered to a resource's handler.
fn handler_message(kind: &dyn ResourceType, error: &ApiError) -> String {
    let service = kind.kind().split("::").nth(1).unwrap_or_default();
    format!(
        "Resource handler returned message: \"{} (Service: {service}, Status Code: {})\" (HandlerErrorCode: {})",
        error.message, error.status, error.code
    )
}

fn failed_to_delete(failed: &[String]) -> String {
    format!("The following resource(s) failed to delete: [{}]. ", failed.join(", "))
}
