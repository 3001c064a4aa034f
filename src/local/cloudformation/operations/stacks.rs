//! Operations that change stacks. Each checks, notes what is to be done, and leaves the work to a task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{check_name, template_text};
use crate::local::cloudformation::changes::changes;
use crate::local::cloudformation::definition::Definition;
use crate::local::cloudformation::engine::{Engine, State, begin_update};
use crate::local::cloudformation::input::{flag, one_of, text, texts};
use crate::local::cloudformation::intrinsics::Pseudo;
use crate::local::cloudformation::state::{OnFailure, Stack, uuid};
use crate::local::cloudformation::template::invalid;
use crate::local::service::{ApiError, ApiResult, Context};

pub async fn create_stack(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let name = text(input, "StackName")?;
    check_name(&name)?;
    let template_text = template_text(engine, input).await?;
    let context = &engine.context;
    let mut state = engine.state();
    if state.find(&name).is_some() {
        return Err(ApiError::invalid("AlreadyExistsException", format!("Stack [{name}] already exists")));
    }
    let mut stack = new_stack(context, &state, name);
    stack.definition = Definition::new(input, template_text, &stack.pseudo(context), None)?;
    stack.on_failure = on_failure(input, "OnFailure")?;
    stack.termination_protection = flag(input, "EnableTerminationProtection");
    stack.token = token(input);
    stack.set_status(context, "CREATE_IN_PROGRESS", Some("User Initiated".into()));
    let id = stack.id.clone();
    state.stacks.push(stack);
    tokio::spawn(Arc::clone(engine).create(id.clone()));
    Ok(json!({"StackId": id}))
}

/// A stack without anything in it.
pub(super) fn new_stack(context: &Context, state: &State, name: String) -> Stack {
    let unique = uuid(context.seed, &format!("{name}#{}", state.stacks.len()));
    let id = context.arn("cloudformation", &format!("stack/{name}/{unique}"));
    Stack {
        name,
        id,
        status: "REVIEW_IN_PROGRESS",
        reason: None,
        created_ms: context.clock.now_ms(),
        updated_ms: None,
        deleted_ms: None,
        definition: Definition::default(),
        on_failure: OnFailure::Rollback,
        termination_protection: false,
        token: None,
        outputs: Vec::new(),
        resources: BTreeMap::new(),
        events: Vec::new(),
        delete_requested: false,
        cancel_requested: false,
        retained: BTreeSet::new(),
        forced: false,
        update: None,
        change_sets: Vec::new(),
        generations: BTreeMap::new(),
    }
}

/// # Errors
/// "No updates are to be performed.", or what is wrong with the request.
pub async fn update_stack(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let name = text(input, "StackName")?;
    let given = given_template(engine, input).await?;
    let mut state = engine.state();
    let stack = state.find(&name).ok_or_else(|| invalid(format!("Stack [{name}] does not exist")))?;
    check_updatable(stack)?;
    let definition = next_definition(stack, &engine.context, input, given)?;
    // After a failed update even the same template is work: it continues what stopped.
    if stack.update.is_none() && changes(stack, &definition, &engine.context).is_empty() {
        return Err(invalid("No updates are to be performed."));
    }
    stack.token = token(input);
    start_update(engine, stack, definition, flag(input, "DisableRollback"));
    Ok(json!({"StackId": stack.id}))
}

/// The template of the request, `None` for the previous one.
pub(super) async fn given_template(engine: &Arc<Engine>, input: &Value) -> Result<Option<String>, ApiError> {
    match flag(input, "UsePreviousTemplate") {
        false => template_text(engine, input).await.map(Some),
        true if input.get("TemplateBody").is_some() || input.get("TemplateURL").is_some() => {
            Err(invalid("You cannot specify both usePreviousTemplate and Template URL/Template Body."))
        }
        true => Ok(None),
    }
}

/// What the request makes of a stack that exists.
pub(super) fn next_definition(
    stack: &Stack,
    context: &Context,
    input: &Value,
    given: Option<String>,
) -> Result<Definition, ApiError> {
    let template = given.unwrap_or_else(|| stack.definition.template_text.clone());
    let pseudo: Pseudo = stack.pseudo(context);
    let definition = Definition::new(input, template, &pseudo, Some(&stack.definition))?;
    let changed: Vec<&str> = definition
        .template
        .resources
        .iter()
        .filter(|(logical_id, declared)| {
            let standing = stack.resources.get(*logical_id).filter(|resource| resource.exists());
            standing.is_some_and(|standing| standing.kind != declared.kind)
        })
        .map(|(logical_id, _)| logical_id.as_str())
        .collect();
    if changed.is_empty() {
        return Ok(definition);
    }
    Err(invalid(format!(
        "Update of resource type is not permitted. The new template modifies resource type of the following resources: [{}]",
        changed.join(", ")
    )))
}

/// # Errors
/// That a stack in its status cannot be updated.
pub(super) fn check_updatable(stack: &Stack) -> Result<(), ApiError> {
    const UPDATABLE: [&str; 4] =
        ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED", "UPDATE_ROLLBACK_COMPLETE"];
    if UPDATABLE.contains(&stack.status) {
        return Ok(());
    }
    Err(invalid(format!("Stack:{} is in {} state and can not be updated.", stack.id, stack.status)))
}

pub(super) fn start_update(
    engine: &Arc<Engine>,
    stack: &mut Stack,
    definition: Definition,
    disable_rollback: bool,
) {
    begin_update(stack, &engine.context, definition, disable_rollback);
    tokio::spawn(Arc::clone(engine).update(stack.id.clone()));
}

/// The update stops before the next resource and is rolled back, whatever DisableRollback said.
pub fn cancel_update_stack(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let stack = state.get(&text(input, "StackName")?)?;
    if stack.status != "UPDATE_IN_PROGRESS" {
        return Err(invalid("CancelUpdateStack cannot be called from current stack status"));
    }
    stack.cancel_requested = true;
    Ok(json!({}))
}

pub fn continue_update_rollback(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let stack = state.get(&text(input, "StackName")?)?;
    if stack.status != "UPDATE_ROLLBACK_FAILED" {
        return Err(invalid(format!(
            "Stack:{} is in {} state and can not continue rolling back.",
            stack.id, stack.status
        )));
    }
    let skipped: BTreeSet<String> = texts(input, "ResourcesToSkip").into_iter().collect();
    let failed = |logical_id: &String| {
        stack.resources.get(logical_id).is_some_and(|resource| resource.status == "UPDATE_FAILED")
    };
    if let Some(other) = skipped.iter().find(|logical_id| !failed(logical_id)) {
        return Err(invalid(format!(
            "ResourcesToSkip may name resources in UPDATE_FAILED only: {other} is not one"
        )));
    }
    stack.set_status(&engine.context, "UPDATE_ROLLBACK_IN_PROGRESS", Some("User Initiated".into()));
    tokio::spawn(Arc::clone(engine).continue_rollback(stack.id.clone(), skipped));
    Ok(json!({}))
}

/// Rolls back what failed while its rollback was disabled.
pub fn rollback_stack(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let stack = state.get(&text(input, "StackName")?)?;
    let reason = Some("User Initiated".to_owned());
    match stack.status {
        "CREATE_FAILED" => {
            stack.set_status(&engine.context, "ROLLBACK_IN_PROGRESS", reason);
            tokio::spawn(Arc::clone(engine).roll_back(stack.id.clone()));
        }
        "UPDATE_FAILED" => {
            stack.set_status(&engine.context, "UPDATE_ROLLBACK_IN_PROGRESS", reason);
            tokio::spawn(Arc::clone(engine).continue_rollback(stack.id.clone(), BTreeSet::new()));
        }
        status => {
            return Err(invalid(format!(
                "Stack:{} is in {status} state and can not be rolled back.",
                stack.id
            )));
        }
    }
    Ok(json!({"StackId": stack.id}))
}

pub fn update_termination_protection(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let stack = state.get(&text(input, "StackName")?)?;
    stack.termination_protection = flag(input, "EnableTerminationProtection");
    Ok(json!({"StackId": stack.id}))
}

pub fn delete_stack(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let name = text(input, "StackName")?;
    let mode = one_of(input, "DeletionMode", &["STANDARD", "FORCE_DELETE_STACK"])?;
    let mut state = engine.state();
    // Deleting what is not there succeeds. CloudFormation API reference, DeleteStack.
    let Some(stack) = state.find(&name).filter(|stack| !stack.is_deleted()) else { return Ok(json!({})) };
    check_deletable(stack)?;
    if stack.status == "DELETE_IN_PROGRESS" {
        return Ok(json!({}));
    }
    stack.retained = retained(stack, input)?;
    stack.forced = mode == Some("FORCE_DELETE_STACK");
    if stack.forced && stack.status != "DELETE_FAILED" {
        return Err(invalid(format!(
            "Invalid operation on stack [{}]. FORCE_DELETE_STACK can only be specified for stacks in the DELETE_FAILED state",
            stack.id
        )));
    }
    stack.token = token(input);
    if let Some(role) = input["RoleARN"].as_str() {
        stack.definition.role_arn = Some(role.to_owned());
    }
    let busy = matches!(stack.status, "CREATE_IN_PROGRESS" | "ROLLBACK_IN_PROGRESS");
    stack.set_status(&engine.context, "DELETE_IN_PROGRESS", Some("User Initiated".into()));
    if busy {
        // The task that creates it takes over: two tasks on one stack would undo each other's work.
        stack.delete_requested = true;
    } else {
        let id = stack.id.clone();
        tokio::spawn(Arc::clone(engine).delete(id));
    }
    Ok(json!({}))
}

fn check_deletable(stack: &Stack) -> Result<(), ApiError> {
    if stack.termination_protection {
        return Err(invalid(format!(
            "Stack [{}] cannot be deleted while TerminationProtection is enabled",
            stack.name
        )));
    }
    // A REVIEW_IN_PROGRESS stack is not under way, despite its name.
    if stack.status.starts_with("UPDATE_") && stack.status.ends_with("_IN_PROGRESS") {
        return Err(invalid(format!(
            "Stack [{}] cannot be deleted while in status {}",
            stack.id, stack.status
        )));
    }
    Ok(())
}

fn retained(stack: &Stack, input: &Value) -> Result<BTreeSet<String>, ApiError> {
    let retained: BTreeSet<String> = texts(input, "RetainResources").into_iter().collect();
    if !retained.is_empty() && stack.status != "DELETE_FAILED" {
        return Err(invalid(format!(
            "Invalid operation on stack [{}]. RetainResources can only be specified for stacks in the DELETE_FAILED state",
            stack.id
        )));
    }
    match retained.iter().find(|id| !stack.resources.contains_key(*id)) {
        Some(unknown) => {
            Err(invalid(format!("RetainResources: resource {unknown} does not exist in the stack")))
        }
        None => Ok(retained),
    }
}

fn token(input: &Value) -> Option<String> {
    input["ClientRequestToken"].as_str().map(str::to_owned)
}

/// What the request says about failure: `member` is `OnFailure`, or `OnStackFailure` of a change set.
pub(super) fn on_failure(input: &Value, member: &str) -> Result<OnFailure, ApiError> {
    let given = one_of(input, member, &["ROLLBACK", "DELETE", "DO_NOTHING"])?;
    if given.is_some() && input.get("DisableRollback").is_some() {
        return Err(invalid("You can specify either DisableRollback or OnFailure, but not both."));
    }
    Ok(match given {
        Some("DELETE") => OnFailure::Delete,
        Some("DO_NOTHING") => OnFailure::DoNothing,
        None if flag(input, "DisableRollback") => OnFailure::DoNothing,
        _ => OnFailure::Rollback,
    })
}
