//! What is told about templates, of stacks or not.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::template_text;
use crate::local::cloudformation::definition::checked;
use crate::local::cloudformation::engine::Engine;
use crate::local::cloudformation::input::{flag, list, text};
use crate::local::cloudformation::parameters::scalar_text;
use crate::local::cloudformation::template::Template;
use crate::local::service::ApiResult;

pub async fn validate_template(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let template = checked(&template_text(engine, input).await?)?;
    let parameters: Vec<Value> = template
        .parameters
        .iter()
        .map(|(key, declaration)| {
            let mut shown = json!({"ParameterKey": key, "NoEcho": flag(declaration, "NoEcho")});
            copy_text(declaration, "Default", &mut shown, "DefaultValue");
            copy_text(declaration, "Description", &mut shown, "Description");
            shown
        })
        .collect();
    let mut answer = json!({"Parameters": parameters, "DeclaredTransforms": []});
    describe_template(&template, &mut answer);
    Ok(answer)
}

pub async fn get_template_summary(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let text = match input["StackName"].as_str() {
        Some(name) => engine.state().get(name)?.definition.template_text.clone(),
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
            copy_text(declaration, "Type", &mut shown, "ParameterType");
            copy_text(declaration, "Default", &mut shown, "DefaultValue");
            copy_text(declaration, "Description", &mut shown, "Description");
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

fn copy_text(from: &Value, member: &str, to: &mut Value, name: &str) {
    if let Some(text) = from.get(member).and_then(scalar_text) {
        to[name] = json!(text);
    }
}

pub fn get_template(engine: &Arc<Engine>, input: &Value) -> ApiResult {
    let mut state = engine.state();
    let stack = state.get(&text(input, "StackName")?)?;
    Ok(json!({"TemplateBody": stack.definition.template_text, "StagesAvailable": ["Original", "Processed"]}))
}
