//! From a template's expressions to what the services are given.

use std::collections::BTreeMap;

use serde_json::Value;

use super::unrecognized;
use crate::local::cloudformation::definition::Definition;
use crate::local::cloudformation::intrinsics::{Physical, Scope};
use crate::local::cloudformation::parameters::scalar_text;
use crate::local::cloudformation::resources::{self, ResourceType};
use crate::local::cloudformation::shape::Shape;
use crate::local::cloudformation::state::{OutputValue, Stack};
use crate::local::cloudformation::template::invalid;
use crate::local::service::{ApiError, Context};

/// The type of a resource, by its logical id.
///
/// # Errors
/// That the endpoint has no such type.
pub fn sought(definition: &Definition, logical_id: &str) -> Result<&'static dyn ResourceType, String> {
    let kind = &definition.template.resources[logical_id].kind;
    resources::find(kind).ok_or_else(|| unrecognized(kind).message)
}

/// The properties in their types.
///
/// # Errors
/// In the words of CloudFormation's property validation.
pub fn fitted(kind: &dyn ResourceType, logical_id: &str, evaluated: &Value) -> Result<Value, String> {
    let missing: Vec<String> = kind
        .required()
        .iter()
        .filter(|name| evaluated.get(name).is_none())
        .map(|name| format!("#: required key [{name}] not found"))
        .collect();
    let failed =
        |why: &str| format!("Properties validation failed for resource {logical_id} with message:\n{why}");
    if !missing.is_empty() {
        return Err(failed(&missing.join("\n")));
    }
    Shape::Object(kind.properties()).fit(evaluated, "").map_err(|error| failed(&error))
}

/// The resource's type and its properties, evaluated and typed.
pub(super) fn properties(
    stack: &Stack,
    context: &Context,
    logical_id: &str,
) -> Result<(&'static dyn ResourceType, Value), String> {
    let kind = sought(&stack.definition, logical_id)?;
    let declared = &stack.definition.template.resources[logical_id].properties;
    let evaluated = evaluate(stack, context, declared).map_err(|error| error.message)?;
    let evaluated = evaluated.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    Ok((kind, fitted(kind, logical_id, &evaluated)?))
}

fn evaluate(stack: &Stack, context: &Context, value: &Value) -> Result<Option<Value>, ApiError> {
    let physical: BTreeMap<String, Physical> = stack
        .resources
        .iter()
        .filter(|(_, resource)| resource.is_usable())
        .map(|(name, resource)| (name.clone(), resource.physical.clone()))
        .collect();
    let pseudo = stack.pseudo(context);
    let scope = Scope {
        template: &stack.definition.template,
        parameters: &stack.definition.parameters,
        pseudo: &pseudo,
        conditions: &stack.definition.conditions,
        resources: &physical,
    };
    scope.evaluate(value)
}

/// The outputs whose conditions hold.
///
/// # Errors
/// For an output that is not text.
pub(super) fn outputs(stack: &Stack, context: &Context) -> Result<Vec<OutputValue>, ApiError> {
    let mut outputs = Vec::new();
    for (key, output) in &stack.definition.template.outputs {
        let holds = |name: &String| stack.definition.conditions.get(name).copied().unwrap_or(false);
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
