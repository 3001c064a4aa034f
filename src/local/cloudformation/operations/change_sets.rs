//! Change sets: an update, or a creation, that is looked at before it is done.

use std::sync::Arc;

use serde_json::{Value, json};

use super::stacks::{check_updatable, given_template, new_stack, next_definition, on_failure, start_update};
use super::{check_name, page};
use crate::local::cloudformation::changes::{ChangeSet, changes};
use crate::local::cloudformation::engine::{Engine, State};
use crate::local::cloudformation::input::{flag, one_of, text};
use crate::local::cloudformation::state::{OnFailure, Stack, seconds, uuid, without_nulls};
use crate::local::cloudformation::template::invalid;
use crate::local::service::{ApiError, ApiResult};

const NO_CHANGES: &str = "The submitted information didn't contain changes. Submit different information to \
     create a change set.";
/// Characters of a change set's name. CloudFormation API reference, CreateChangeSet.
const NAME_MAX_CHARS: usize = 128;

pub async fn create_change_set(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let (name, stack_name) = (text(input, "ChangeSetName")?, text(input, "StackName")?);
    check_change_set_name(&name)?;
    let kind = one_of(input, "ChangeSetType", &["CREATE", "UPDATE", "IMPORT"])?.unwrap_or("UPDATE");
    refuse(input, kind)?;
    let given = given_template(engine, input).await?;
    let context = &engine.context;
    let mut state = engine.state();
    let creates = kind == "CREATE";
    let fresh = match state.find(&stack_name) {
        Some(stack) if creates && stack.status != "REVIEW_IN_PROGRESS" => {
            let message = format!(
                "Stack [{stack_name}] already exists and cannot be created again with the changeSet [{name}]."
            );
            return Err(invalid(message));
        }
        Some(stack) if !creates => {
            check_updatable(stack)?;
            None
        }
        Some(_) => None,
        None if creates => {
            check_name(&stack_name)?;
            Some(new_stack(context, &state, stack_name.clone()))
        }
        None => return Err(invalid(format!("Stack [{stack_name}] does not exist"))),
    };
    let is_new = fresh.is_some();
    if let Some(stack) = fresh {
        state.stacks.push(stack);
    }
    let stack = state.get(&stack_name)?;
    let made = new_change_set(stack, engine, input, given, &name);
    match made {
        Ok(made) => {
            if is_new {
                stack.set_status(context, "REVIEW_IN_PROGRESS", Some("User Initiated".into()));
            }
            let answer = json!({"Id": made.id, "StackId": stack.id});
            stack.change_sets.push(made);
            Ok(answer)
        }
        Err(error) => {
            if is_new {
                state.stacks.pop();
            }
            Err(error)
        }
    }
}

fn new_change_set(
    stack: &Stack,
    engine: &Engine,
    input: &Value,
    given: Option<String>,
    name: &str,
) -> Result<ChangeSet, ApiError> {
    let context = &engine.context;
    if stack.change_sets.iter().any(|one| one.name == name) {
        return Err(ApiError::invalid("AlreadyExistsException", format!("ChangeSet {name} already exists")));
    }
    if given.is_none() && stack.status == "REVIEW_IN_PROGRESS" {
        return Err(invalid("There is no previous template to use: the stack was not created yet."));
    }
    let definition = next_definition(stack, context, input, given)?;
    let changes = changes(stack, &definition, context);
    let number = stack.events.len() + stack.change_sets.len();
    let unique = uuid(context.seed, &format!("{}#{name}#{number}", stack.id));
    let failed = changes.is_empty();
    Ok(ChangeSet {
        name: name.to_owned(),
        id: context.arn("cloudformation", &format!("changeSet/{name}/{unique}")),
        description: input["Description"].as_str().map(str::to_owned),
        created_ms: context.clock.now_ms(),
        definition,
        on_failure: input.get("OnStackFailure").map(|_| on_failure(input, "OnStackFailure")).transpose()?,
        status: if failed { "FAILED" } else { "CREATE_COMPLETE" },
        execution_status: if failed { "UNAVAILABLE" } else { "AVAILABLE" },
        reason: failed.then(|| NO_CHANGES.to_owned()),
        changes,
    })
}

/// What is not modelled is refused by name.
fn refuse(input: &Value, kind: &str) -> Result<(), ApiError> {
    let refused = |what: &str| Err(invalid(format!("the local endpoint does not support {what}")));
    if kind == "IMPORT" || input.get("ResourcesToImport").is_some() {
        return refused("change sets of type IMPORT");
    }
    for member in ["IncludeNestedStacks", "ImportExistingResources"] {
        if flag(input, member) {
            return refused(member);
        }
    }
    if input.get("DeploymentMode").is_some() {
        return refused("DeploymentMode");
    }
    Ok(())
}

pub fn describe_change_set(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let (stack, index) = find(&mut state, input)?;
    let change_set = &stack.change_sets[index];
    let definition = &change_set.definition;
    let mut answer = json!({
        "ChangeSetName": change_set.name,
        "ChangeSetId": change_set.id,
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": change_set.description,
        "Parameters": definition.shown_parameters(),
        "CreationTime": seconds(change_set.created_ms),
        "ExecutionStatus": change_set.execution_status,
        "Status": change_set.status,
        "StatusReason": change_set.reason,
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "Capabilities": definition.capabilities,
        "Tags": definition.shown_tags(),
        "IncludeNestedStacks": false,
        "OnStackFailure": change_set.on_failure.map(|on_failure| match on_failure {
            OnFailure::Rollback => "ROLLBACK",
            OnFailure::Delete => "DELETE",
            OnFailure::DoNothing => "DO_NOTHING",
        }),
    });
    let shown: Vec<Value> = change_set.changes.resources.clone();
    let page = page(shown, input, "Changes")?;
    for (name, value) in page.as_object().into_iter().flatten() {
        answer[name] = value.clone();
    }
    Ok(without_nulls(answer))
}

pub fn list_change_sets(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let stack = state.get(&text(input, "StackName")?)?;
    let summary = |one: &ChangeSet| {
        without_nulls(json!({
            "StackId": stack.id,
            "StackName": stack.name,
            "ChangeSetId": one.id,
            "ChangeSetName": one.name,
            "ExecutionStatus": one.execution_status,
            "Status": one.status,
            "StatusReason": one.reason,
            "CreationTime": seconds(one.created_ms),
            "Description": one.description,
            "IncludeNestedStacks": false,
        }))
    };
    let summaries = stack.change_sets.iter().map(summary).collect();
    page(summaries, input, "Summaries")
}

/// Starts what the change set says. The others go with it: they were made for what the stack was.
pub fn execute_change_set(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let (stack, index) = find(&mut state, input)?;
    let change_set = &stack.change_sets[index];
    if change_set.execution_status != "AVAILABLE" {
        return Err(ApiError::invalid(
            "InvalidChangeSetStatus",
            format!(
                "ChangeSet [{}] cannot be executed in its current execution status of [{}]",
                change_set.id, change_set.execution_status
            ),
        ));
    }
    let creates = stack.status == "REVIEW_IN_PROGRESS";
    if !creates {
        check_updatable(stack)?;
    }
    let change_set = stack.change_sets.swap_remove(index);
    stack.change_sets.clear();
    stack.token = input["ClientRequestToken"].as_str().map(str::to_owned);
    let disable_rollback =
        flag(input, "DisableRollback") || change_set.on_failure == Some(OnFailure::DoNothing);
    if !creates {
        start_update(engine, stack, change_set.definition, disable_rollback);
        return Ok(json!({}));
    }
    stack.definition = change_set.definition;
    stack.on_failure = match change_set.on_failure {
        Some(given) => given,
        None if disable_rollback => OnFailure::DoNothing,
        None => OnFailure::Rollback,
    };
    stack.set_status(&engine.context, "CREATE_IN_PROGRESS", Some("User Initiated".into()));
    tokio::spawn(Arc::clone(engine).create(stack.id.clone()));
    Ok(json!({}))
}

/// Deleting what is not there succeeds, as AWS answers it; the stack must be there.
pub fn delete_change_set(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    match find(&mut state, input) {
        Ok((stack, index)) => drop(stack.change_sets.remove(index)),
        Err(error) if error.code == "ChangeSetNotFound" => {}
        Err(error) => return Err(error),
    }
    Ok(json!({}))
}

/// By ARN, or by name and stack.
fn find<'s>(state: &'s mut State, input: &Value) -> Result<(&'s mut Stack, usize), ApiError> {
    let wanted = text(input, "ChangeSetName")?;
    let not_found =
        || ApiError::new(404, "ChangeSetNotFound", format!("ChangeSet [{wanted}] does not exist"));
    let stack = match input["StackName"].as_str() {
        Some(name) => state.find(name).ok_or_else(|| invalid(format!("Stack [{name}] does not exist")))?,
        None if !wanted.starts_with("arn:") => {
            return Err(invalid("StackName must be specified if ChangeSetName is not specified as an ARN."));
        }
        None => {
            let has = |stack: &&mut Stack| stack.change_sets.iter().any(|one| one.id == wanted);
            state.stacks.iter_mut().find(has).ok_or_else(not_found)?
        }
    };
    let index = stack.change_sets.iter().position(|one| one.id == wanted || one.name == wanted);
    let index = index.ok_or_else(not_found)?;
    Ok((stack, index))
}

fn check_change_set_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let starts = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if starts && name.len() <= NAME_MAX_CHARS && name.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at 'changeSetName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )))
}
