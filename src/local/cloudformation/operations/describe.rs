//! What describe and list operations tell about stacks.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{no_resource, page};
use crate::local::cloudformation::engine::Engine;
use crate::local::cloudformation::input::{text, texts};
use crate::local::cloudformation::state::Stack;
use crate::local::cloudformation::template::invalid;
use crate::local::service::ApiResult;

pub fn describe_stacks(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    if let Some(name) = input["StackName"].as_str() {
        return Ok(json!({"Stacks": [state.get(name)?.describe()]}));
    }
    let stacks = state.stacks.iter().rev().filter(|stack| !stack.is_deleted()).map(Stack::describe);
    page(stacks.collect(), input, "Stacks")
}

pub fn describe_stack_events(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let name = text(input, "StackName")?;
    let mut state = engine.state();
    let stack = state.find(&name).ok_or_else(|| invalid(format!("Stack [{name}] does not exist")))?;
    // Newest first.
    let events = stack.events.iter().rev().map(|event| stack.describe_event(event)).collect();
    page(events, input, "StackEvents")
}

pub fn describe_stack_resources(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let name = text(input, "StackName")?;
    let wanted = input["LogicalResourceId"].as_str();
    let mut state = engine.state();
    let stack = state.get(&name)?;
    let resources: Vec<Value> = stack
        .resources
        .iter()
        .filter(|(id, _)| wanted.is_none_or(|wanted| wanted == id.as_str()))
        .map(|(id, resource)| {
            let mut shown = stack.describe_resource(id, resource, "Timestamp");
            shown["StackName"] = json!(stack.name);
            shown["StackId"] = json!(stack.id);
            shown
        })
        .collect();
    if let (Some(wanted), true) = (wanted, resources.is_empty()) {
        return Err(no_resource(wanted, &stack.name));
    }
    Ok(json!({"StackResources": resources}))
}

pub fn describe_stack_resource(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let (name, wanted) = (text(input, "StackName")?, text(input, "LogicalResourceId")?);
    let mut state = engine.state();
    let stack = state.get(&name)?;
    let resource = stack.resources.get(&wanted).ok_or_else(|| no_resource(&wanted, &stack.name))?;
    let mut shown = stack.describe_resource(&wanted, resource, "LastUpdatedTimestamp");
    shown["StackName"] = json!(stack.name);
    shown["StackId"] = json!(stack.id);
    shown["Metadata"] = json!("{}");
    Ok(json!({"StackResourceDetail": shown}))
}

pub fn list_stacks(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let wanted = texts(input, "StackStatusFilter");
    let state = engine.state();
    let summaries = state
        .stacks
        .iter()
        .rev()
        .filter(|stack| wanted.is_empty() || wanted.iter().any(|status| status == stack.status))
        .map(Stack::summary)
        .collect();
    page(summaries, input, "StackSummaries")
}

pub fn list_stack_resources(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let stack = state.get(&text(input, "StackName")?)?;
    let summaries = stack
        .resources
        .iter()
        .map(|(id, resource)| stack.describe_resource(id, resource, "LastUpdatedTimestamp"))
        .collect();
    page(summaries, input, "StackResourceSummaries")
}

/// What stacks export under a name of the account and region.
pub fn list_exports(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let state = engine.state();
    let mut exports = Vec::new();
    for stack in state.stacks.iter().filter(|stack| !stack.is_deleted()) {
        for output in &stack.outputs {
            if let Some(name) = &output.export_name {
                exports.push(json!({"ExportingStackId": stack.id, "Name": name, "Value": output.value}));
            }
        }
    }
    page(exports, input, "Exports")
}
