//! What a stack is to be: a checked template with all that decides what its expressions yield. A stack has
//! one, an update brings the next, and a change set keeps one for later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::engine::unrecognized;
use super::input::{flag, list, pairs, texts};
use super::intrinsics::{Pseudo, conditions};
use super::parameters::{self, Parameter};
use super::template::{Template, invalid};
use super::{graph, resources};
use crate::local::service::ApiError;

#[derive(Clone, Debug, Default)]
pub struct Definition {
    pub template: Template,
    pub template_text: String,
    pub parameters: BTreeMap<String, Parameter>,
    pub conditions: BTreeMap<String, bool>,
    pub tags: BTreeMap<String, String>,
    pub capabilities: Vec<String>,
    /// The service role: shown, and kept for later operations. Permissions are not modelled.
    pub role_arn: Option<String>,
    /// Logical ids in the order of creation, without those whose condition does not hold; deletion goes the
    /// other way.
    pub order: Vec<String>,
}

impl Definition {
    /// Reads parameters, tags, capabilities and role out of a request. What the request leaves out comes from
    /// `previous`, as the API reference of UpdateStack has it.
    ///
    /// # Errors
    /// `ValidationError` or `InsufficientCapabilitiesException`.
    pub fn new(
        input: &Value,
        template_text: String,
        pseudo: &Pseudo,
        previous: Option<&Definition>,
    ) -> Result<Definition, ApiError> {
        let template = checked(&template_text)?;
        let parameters = parameters::resolve(&template, &given_values(input, previous)?)?;
        let capabilities = texts(input, "Capabilities");
        check_capabilities(&template, &capabilities)?;
        let conditions = conditions(&template, &parameters, pseudo)?;
        let mut order = graph::creation_order(&template)?;
        order.retain(|logical_id| {
            let condition = template.resources[logical_id].condition.as_ref();
            condition.is_none_or(|name| conditions.get(name).copied().unwrap_or(false))
        });
        let tags = match (input.get("Tags"), previous) {
            (None, Some(previous)) => previous.tags.clone(),
            _ => pairs(input, "Tags", "Key", "Value"),
        };
        check_tags(&tags)?;
        let role_arn = input["RoleARN"].as_str().map(str::to_owned);
        let role_arn = role_arn.or_else(|| previous.and_then(|previous| previous.role_arn.clone()));
        Ok(Definition {
            template,
            template_text,
            parameters,
            conditions,
            tags,
            capabilities,
            role_arn,
            order,
        })
    }

    pub fn shown_parameters(&self) -> Value {
        let shown = |(key, parameter): (&String, &Parameter)| json!({"ParameterKey": key, "ParameterValue": parameter.shown()});
        self.parameters.iter().map(shown).collect()
    }

    pub fn shown_tags(&self) -> Value {
        self.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
    }

    /// Whether the stack has this resource: it is in the template and its condition holds.
    pub fn has(&self, logical_id: &str) -> bool {
        self.order.iter().any(|one| one == logical_id)
    }
}

/// Values for parameters: those given, and previous ones where the request asks for them.
fn given_values(input: &Value, previous: Option<&Definition>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut values = pairs(input, "Parameters", "ParameterKey", "ParameterValue");
    for one in list(input, "Parameters").iter().filter(|one| flag(one, "UsePreviousValue")) {
        let key = one["ParameterKey"].as_str().unwrap_or_default();
        if values.contains_key(key) {
            return Err(invalid(format!(
                "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and non empty value for a parameter"
            )));
        }
        let before = previous.and_then(|previous| previous.parameters.get(key)).ok_or_else(|| {
            invalid(format!(
                "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a parameter key not in the previous template"
            ))
        })?;
        values.insert(key.to_owned(), before.text.clone());
    }
    Ok(values)
}

/// Parses a template and checks all that can be checked without parameters.
///
/// # Errors
/// `ValidationError`, worded as CloudFormation words it.
pub fn checked(text: &str) -> Result<Template, ApiError> {
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

fn check_capabilities(template: &Template, given: &[String]) -> Result<(), ApiError> {
    let Some((needed, _)) = template.capabilities() else { return Ok(()) };
    let enough = given.iter().any(|one| one == needed || one == "CAPABILITY_NAMED_IAM");
    if enough {
        return Ok(());
    }
    Err(ApiError::invalid("InsufficientCapabilitiesException", format!("Requires capabilities : [{needed}]")))
}

/// Tags of a stack. CloudFormation API reference, CreateStack.
const TAGS_MAX: usize = 50;

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(invalid(format!(
            "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to {TAGS_MAX}"
        )));
    }
    match tags.keys().find(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        Some(_) => Err(invalid("aws: prefixed tag key names are not allowed for external use.")),
        None => Ok(()),
    }
}
