//! The API's operations. Inputs come from the query protocol: numbers and booleans are text, lists are
//! arrays. Source of members and errors: CloudFormation API reference.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::engine::{Engine, unrecognized};
use super::graph;
use super::intrinsics::{Pseudo, conditions};
use super::parameters::{self, scalar_text};
use super::resources;
use super::state::{OnFailure, Stack, uuid};
use super::template::{Template, invalid};
use crate::local::service::{ApiError, ApiResult};
use crate::platform::limits::TEMPLATE_BODY_MAX_BYTES;

/// Bytes of a template read from S3. CloudFormation quotas.
const TEMPLATE_URL_MAX_BYTES: usize = 1_048_576;
/// Characters of a stack's name. CloudFormation API reference, CreateStack.
const STACK_NAME_MAX_CHARS: usize = 128;
/// Entries of one page of a list.
const PAGE: usize = 100;

pub async fn create_stack(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let name = text(input, "StackName")?;
    check_name(&name)?;
    let template_text = template_text(engine, input).await?;
    let template = checked(&template_text)?;
    let parameters =
        parameters::resolve(&template, &pairs(input, "Parameters", "ParameterKey", "ParameterValue"))?;
    let capabilities = texts(input, "Capabilities");
    check_capabilities(&template, &capabilities)?;
    let mut order = graph::creation_order(&template)?;
    let mut state = engine.state();
    if state.find(&name).is_some() {
        return Err(ApiError::invalid("AlreadyExistsException", format!("Stack [{name}] already exists")));
    }
    let id = engine.context.arn(
        "cloudformation",
        &format!("stack/{name}/{}", uuid(engine.context.seed, &format!("{name}#{}", state.stacks.len()))),
    );
    let pseudo = Pseudo {
        region: engine.context.region.clone(),
        account: engine.context.account.clone(),
        stack_name: name.clone(),
        stack_id: id.clone(),
    };
    let conditions = conditions(&template, &parameters, &pseudo)?;
    order.retain(|logical_id| {
        let condition = template.resources[logical_id].condition.as_ref();
        condition.is_none_or(|name| conditions.get(name).copied().unwrap_or(false))
    });
    let mut stack = Stack {
        name,
        id: id.clone(),
        status: "CREATE_IN_PROGRESS",
        reason: None,
        created_ms: engine.context.clock.now_ms(),
        deleted_ms: None,
        template,
        template_text,
        parameters,
        conditions,
        tags: pairs(input, "Tags", "Key", "Value"),
        capabilities,
        on_failure: on_failure(input)?,
        termination_protection: flag(input, "EnableTerminationProtection"),
        token: input["ClientRequestToken"].as_str().map(str::to_owned),
        outputs: Vec::new(),
        resources: BTreeMap::new(),
        order,
        events: Vec::new(),
        delete_requested: false,
        retained: BTreeSet::new(),
    };
    stack.set_status(&engine.context, "CREATE_IN_PROGRESS", Some("User Initiated".into()));
    state.stacks.push(stack);
    tokio::spawn(Arc::clone(engine).create(id.clone()));
    Ok(json!({"StackId": id}))
}

pub fn delete_stack(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let name = text(input, "StackName")?;
    let mut state = engine.state();
    // Deleting what is not there succeeds. CloudFormation API reference, DeleteStack.
    let Some(stack) = state.find(&name).filter(|stack| !stack.is_deleted()) else { return Ok(json!({})) };
    if stack.termination_protection {
        return Err(invalid(format!(
            "Stack [{}] cannot be deleted while TerminationProtection is enabled",
            stack.name
        )));
    }
    let retained: BTreeSet<String> = texts(input, "RetainResources").into_iter().collect();
    if !retained.is_empty() && stack.status != "DELETE_FAILED" {
        return Err(invalid(format!(
            "Invalid operation on stack [{}]. RetainResources can only be specified for stacks in the DELETE_FAILED state",
            stack.id
        )));
    }
    let unknown: Vec<&String> = retained.iter().filter(|id| !stack.resources.contains_key(*id)).collect();
    if let Some(unknown) = unknown.first() {
        return Err(invalid(format!("RetainResources: resource {unknown} does not exist in the stack")));
    }
    stack.retained = retained;
    let busy = matches!(stack.status, "CREATE_IN_PROGRESS" | "ROLLBACK_IN_PROGRESS");
    if stack.status == "DELETE_IN_PROGRESS" {
        return Ok(json!({}));
    }
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

/// Refuses: this endpoint does not update stacks. An update without a change is told apart, because
/// deploying twice is no mistake.
pub async fn update_stack(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let name = text(input, "StackName")?;
    let given = match flag(input, "UsePreviousTemplate") {
        true => None,
        false => Some(template_text(engine, input).await?),
    };
    let mut state = engine.state();
    let stack = state.find(&name).ok_or_else(|| invalid(format!("Stack [{name}] does not exist")))?;
    let template = match &given {
        Some(text) => checked(text)?,
        None => stack.template.clone(),
    };
    let mut values = pairs(input, "Parameters", "ParameterKey", "ParameterValue");
    for one in list(input, "Parameters") {
        let key = one["ParameterKey"].as_str().unwrap_or_default();
        if flag(one, "UsePreviousValue")
            && let Some(previous) = stack.parameters.get(key)
        {
            values.insert(key.to_owned(), previous.text.clone());
        }
    }
    let parameters = parameters::resolve(&template, &values)?;
    let same_tags = input.get("Tags").is_none() || pairs(input, "Tags", "Key", "Value") == stack.tags;
    if template == stack.template && parameters == stack.parameters && same_tags {
        return Err(invalid("No updates are to be performed."));
    }
    Err(invalid(format!(
        "The local endpoint cannot update stacks: delete stack {} and create it anew",
        stack.name
    )))
}

pub async fn validate_template(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let template = checked(&template_text(engine, input).await?)?;
    let parameters: Vec<Value> = template
        .parameters
        .iter()
        .map(|(key, declaration)| {
            let mut shown = json!({"ParameterKey": key, "NoEcho": flag(declaration, "NoEcho")});
            copy(declaration, "Default", &mut shown, "DefaultValue");
            copy(declaration, "Description", &mut shown, "Description");
            shown
        })
        .collect();
    let mut answer = json!({"Parameters": parameters, "DeclaredTransforms": []});
    describe_template(&template, &mut answer);
    Ok(answer)
}

pub async fn get_template_summary(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let text = match input["StackName"].as_str() {
        Some(name) => engine.state().get(name)?.template_text.clone(),
        None => template_text(engine, input).await?,
    };
    let template = checked(&text)?;
    let parameters: Vec<Value> = template
        .parameters
        .iter()
        .map(|(key, declaration)| {
            let mut shown = json!({
                "ParameterKey": key, "NoEcho": flag(declaration, "NoEcho"), "ParameterConstraints": {},
            });
            copy(declaration, "Type", &mut shown, "ParameterType");
            copy(declaration, "Default", &mut shown, "DefaultValue");
            copy(declaration, "Description", &mut shown, "Description");
            let allowed: Vec<String> =
                list(declaration, "AllowedValues").iter().filter_map(scalar_text).collect();
            if !allowed.is_empty() {
                shown["ParameterConstraints"]["AllowedValues"] = json!(allowed);
            }
            shown
        })
        .collect();
    let kinds: BTreeSet<&str> = template.resources.values().map(|resource| resource.kind.as_str()).collect();
    let mut answer = json!({
        "Parameters": parameters, "ResourceTypes": kinds, "Version": "2010-09-09", "DeclaredTransforms": [],
    });
    if let Some(metadata) = &template.metadata {
        answer["Metadata"] = json!(metadata.to_string());
    }
    describe_template(&template, &mut answer);
    Ok(answer)
}

fn describe_template(template: &Template, answer: &mut Value) {
    if let Some(description) = &template.description {
        answer["Description"] = json!(description);
    }
    if let Some((capability, reason)) = template.capabilities() {
        answer["Capabilities"] = json!([capability]);
        answer["CapabilitiesReason"] = json!(reason);
    }
}

fn copy(from: &Value, member: &str, to: &mut Value, name: &str) {
    if let Some(text) = from.get(member).and_then(scalar_text) {
        to[name] = json!(text);
    }
}

pub fn get_template(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let stack = state.get(&text(input, "StackName")?)?;
    Ok(json!({"TemplateBody": stack.template_text, "StagesAvailable": ["Original", "Processed"]}))
}

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

/// Parses a template and checks all that can be checked without parameters.
fn checked(text: &str) -> Result<Template, ApiError> {
    let template = Template::parse(text)?;
    parameters::check_declarations(&template)?;
    let unknown: BTreeSet<&str> = template
        .resources
        .values()
        .map(|resource| resource.kind.as_str())
        .filter(|kind| resources::find(kind).is_none())
        .collect();
    if !unknown.is_empty() {
        return Err(unrecognized(&unknown.into_iter().collect::<Vec<_>>().join(", ")));
    }
    graph::check_references(&template)?;
    check_attributes(&template)?;
    graph::creation_order(&template)?;
    Ok(template)
}

/// Every `Fn::GetAtt` asks for something that the resource's type has.
fn check_attributes(template: &Template) -> Result<(), ApiError> {
    let properties = template.resources.values().map(|resource| &resource.properties);
    for value in properties.chain(template.outputs.values().map(|output| &output.value)) {
        for (logical_id, attribute) in graph::References::of(value)?.attributes {
            let kind = &template.resources[&logical_id].kind;
            if resources::find(kind).is_some_and(|kind| !kind.attributes().contains(&attribute.as_str())) {
                return Err(invalid(format!(
                    "Template error: resource {logical_id} does not support attribute type {attribute} in Fn::GetAtt"
                )));
            }
        }
    }
    Ok(())
}

async fn template_text(engine: &Arc<Engine>, input: &Value) -> Result<String, ApiError> {
    if let Some(body) = input["TemplateBody"].as_str() {
        if body.len() > TEMPLATE_BODY_MAX_BYTES {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to {TEMPLATE_BODY_MAX_BYTES}"
            )));
        }
        return Ok(body.to_owned());
    }
    let Some(url) = input["TemplateURL"].as_str() else {
        return Err(invalid("Either Template URL or Template Body must be specified."));
    };
    let (bucket, key) = bucket_and_key(url).ok_or_else(|| invalid("TemplateURL must be a supported URL."))?;
    let s3 = engine.services.get("s3").ok_or_else(|| invalid("S3 error: there is no local S3"))?;
    let object = s3
        .call("GetObject", json!({"Bucket": bucket, "Key": key}))
        .await
        .map_err(|error| invalid(format!("S3 error: {}", error.message)))?;
    let encoded = object["Body"].as_str().unwrap_or_default();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)
        .map_err(|error| invalid(format!("S3 error: {error}")))?;
    if bytes.len() > TEMPLATE_URL_MAX_BYTES {
        return Err(invalid(format!("Template may not exceed {TEMPLATE_URL_MAX_BYTES} bytes in size.")));
    }
    String::from_utf8(bytes).map_err(|_| invalid("Template format error: the template is not UTF-8."))
}

/// Bucket and key of an S3 address in path style (`http://host/bucket/key`) or virtual-hosted style
/// (`https://bucket.s3.region.amazonaws.com/key`).
fn bucket_and_key(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let path = path.split('?').next().unwrap_or(path);
    let host_bucket = host.find(".s3.").or_else(|| host.find(".s3-")).map(|end| &host[..end]);
    let (bucket, key) = match host_bucket {
        Some(bucket) => (bucket, path),
        None => path.split_once('/')?,
    };
    (!bucket.is_empty() && !key.is_empty()).then(|| (bucket.to_owned(), key.to_owned()))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let starts = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if starts && name.len() <= STACK_NAME_MAX_CHARS && name.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )))
}

fn check_capabilities(template: &Template, given: &[String]) -> Result<(), ApiError> {
    let Some((needed, _)) = template.capabilities() else { return Ok(()) };
    let enough = given.iter().any(|one| one == needed || one == "CAPABILITY_NAMED_IAM");
    if enough {
        return Ok(());
    }
    Err(ApiError::invalid("InsufficientCapabilitiesException", format!("Requires capabilities : [{needed}]")))
}

fn on_failure(input: &Value) -> Result<OnFailure, ApiError> {
    let given = input["OnFailure"].as_str();
    if given.is_some() && input.get("DisableRollback").is_some() {
        return Err(invalid("You can specify either DisableRollback or OnFailure, but not both."));
    }
    match given {
        None if flag(input, "DisableRollback") => Ok(OnFailure::DoNothing),
        None | Some("ROLLBACK") => Ok(OnFailure::Rollback),
        Some("DELETE") => Ok(OnFailure::Delete),
        Some("DO_NOTHING") => Ok(OnFailure::DoNothing),
        Some(other) => Err(invalid(format!(
            "1 validation error detected: Value '{other}' at 'onFailure' failed to satisfy constraint: Member must satisfy enum value set: [ROLLBACK, DELETE, DO_NOTHING]"
        ))),
    }
}

/// One page of a list, with the token for the next.
fn page(all: Vec<Value>, input: &Value, member: &str) -> ApiResult {
    let start = match input["NextToken"].as_str() {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| invalid("Invalid NextToken"))?,
    };
    let more = all.len() > start + PAGE;
    let shown: Vec<Value> = all.into_iter().skip(start).take(PAGE).collect();
    let mut answer = json!({member: shown});
    if more {
        answer["NextToken"] = json!((start + PAGE).to_string());
    }
    Ok(answer)
}

fn no_resource(wanted: &str, stack: &str) -> ApiError {
    invalid(format!("Resource {wanted} does not exist for stack {stack}"))
}

fn text(input: &Value, member: &str) -> Result<String, ApiError> {
    input[member].as_str().map(str::to_owned).ok_or_else(|| {
        let camel = format!("{}{}", member[..1].to_lowercase(), &member[1..]);
        invalid(format!(
            "1 validation error detected: Value null at '{camel}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

fn list<'v>(input: &'v Value, member: &str) -> &'v [Value] {
    input[member].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn texts(input: &Value, member: &str) -> Vec<String> {
    list(input, member).iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
}

fn pairs(input: &Value, member: &str, key: &str, value: &str) -> BTreeMap<String, String> {
    list(input, member)
        .iter()
        .filter_map(|one| Some((one[key].as_str()?.to_owned(), scalar_text(&one[value])?)))
        .collect()
}

fn flag(input: &Value, member: &str) -> bool {
    matches!(scalar_text(&input[member]).as_deref(), Some("true"))
}
