//! Stack operations. One task a stack does the work; describe calls read the state it leaves. Creation,
//! update, rollback and deletion have a file each.

mod create;
mod delete;
mod doubt;
mod evaluate;
mod rollback;
mod update;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

pub use evaluate::{fitted, sought};
pub use update::begin as begin_update;

use super::intrinsics::Physical;
use super::resources::{Call, ResourceType, Services, is_taggable};
use super::state::Stack;
use super::template::invalid;
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

    fn call(&self, id: &str, logical_id: &str) -> Call<'_> {
        self.with(id, |stack, _| Call {
            services: &self.services,
            context: &self.context,
            stack_name: stack.name.clone(),
            stack_id: stack.id.clone(),
            logical_id: logical_id.to_owned(),
            stack_tags: stack.definition.tags.clone(),
            generation: stack.generations.get(logical_id).copied().unwrap_or(0),
        })
    }

    /// Makes a resource. Gives what there is, which may be something to clean up also after an error.
    async fn make(
        &self,
        id: &str,
        logical_id: &str,
        kind: &dyn ResourceType,
        properties: &serde_json::Value,
    ) -> (Physical, Result<(), String>) {
        let call = self.call(id, logical_id);
        self.with(id, |stack, _| *stack.generations.entry(logical_id.to_owned()).or_default() += 1);
        let mut physical_id = String::new();
        match kind.create(&call, properties, &mut physical_id).await {
            Ok(attributes) => (Physical { id: physical_id, attributes }, Ok(())),
            Err(error) => {
                let physical = Physical { id: physical_id, attributes: BTreeMap::new() };
                (physical, Err(handler_message(kind, &error)))
            }
        }
    }
}

/// The stack's tags, where the type takes any.
fn tags_for(kind: &dyn ResourceType, stack: &Stack) -> BTreeMap<String, String> {
    if is_taggable(kind) { stack.definition.tags.clone() } else { BTreeMap::new() }
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

fn failed_to(verb: &str, failed: &[String]) -> String {
    format!("The following resource(s) failed to {verb}: [{}]. ", failed.join(", "))
}
