//! What depends on what: references are collected from the template's text, checked before anything is
//! created, and give the order of creation. The order is the same for the same template.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::intrinsics::{SubPart, function_call, get_att_parts, sub_parts};
use super::template::{Template, format_error, invalid};
use crate::local::service::ApiError;

/// Names that an expression refers to.
#[derive(Debug, Default, PartialEq)]
pub struct References {
    /// Parameters, pseudo parameters or resources.
    pub names: BTreeSet<String>,
    /// Resource and attribute of each `Fn::GetAtt`, as far as the attribute is literal.
    pub attributes: BTreeSet<(String, String)>,
    pub conditions: BTreeSet<String>,
}

impl References {
    pub fn of(value: &Value) -> Result<References, ApiError> {
        let mut references = References::default();
        references.collect(value)?;
        Ok(references)
    }

    fn collect(&mut self, value: &Value) -> Result<(), ApiError> {
        match function_call(value) {
            Some(("Ref", Value::String(name))) => {
                self.names.insert(name.clone());
                return Ok(());
            }
            Some(("Condition", Value::String(name))) => {
                self.conditions.insert(name.clone());
                return Ok(());
            }
            Some(("Fn::GetAtt", argument)) => {
                let (resource, attribute) = get_att_parts(argument)?;
                self.names.insert(resource.to_owned());
                if let Some(attribute) = attribute.as_str() {
                    self.attributes.insert((resource.to_owned(), attribute.to_owned()));
                }
                return self.collect(attribute);
            }
            Some(("Fn::Sub", argument)) => return self.collect_sub(argument),
            Some(("Fn::If", Value::Array(parts))) => {
                self.conditions.extend(parts.first().and_then(Value::as_str).map(str::to_owned));
            }
            _ => {}
        }
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.collect(item)),
            Value::Object(members) => members.values().try_for_each(|member| self.collect(member)),
            _ => Ok(()),
        }
    }

    fn collect_sub(&mut self, argument: &Value) -> Result<(), ApiError> {
        let own = argument.get(1).and_then(Value::as_object);
        let template = argument.as_str().or_else(|| argument.get(0)?.as_str()).unwrap_or_default();
        for part in sub_parts(template)? {
            let SubPart::Name(name) = part else { continue };
            if own.is_some_and(|own| own.contains_key(&name)) {
                continue;
            }
            match name.split_once('.') {
                Some((resource, attribute)) => {
                    self.names.insert(resource.to_owned());
                    self.attributes.insert((resource.to_owned(), attribute.to_owned()));
                }
                None => {
                    self.names.insert(name);
                }
            }
        }
        own.into_iter().flat_map(|own| own.values()).try_for_each(|value| self.collect(value))
    }
}

/// Checks every reference of the template.
///
/// # Errors
/// `ValidationError` that names all unresolved ones.
pub fn check_references(template: &Template) -> Result<(), ApiError> {
    let mut unresolved = BTreeSet::new();
    for resource in template.resources.values() {
        let references = References::of(&resource.properties)?;
        unresolved.extend(references.names.iter().filter(|name| !is_known(template, name)).cloned());
        unresolved.extend(
            resource.depends_on.iter().filter(|name| !template.resources.contains_key(*name)).cloned(),
        );
        check_attributes_of_resources(template, &references)?;
        check_conditions(template, references.conditions.iter().chain(&resource.condition))?;
    }
    report_unresolved(unresolved, "Resources")?;
    let mut unresolved = BTreeSet::new();
    for output in template.outputs.values() {
        let mut references = References::of(&output.value)?;
        if let Some(name) = &output.export_name {
            references.collect(name)?;
        }
        unresolved.extend(references.names.iter().filter(|name| !is_known(template, name)).cloned());
        check_attributes_of_resources(template, &references)?;
        check_conditions(template, references.conditions.iter().chain(&output.condition))?;
    }
    report_unresolved(unresolved, "Outputs")?;
    check_condition_block(template)
}

fn check_condition_block(template: &Template) -> Result<(), ApiError> {
    for expression in template.conditions.values() {
        let references = References::of(expression)?;
        let foreign: Vec<&str> = references
            .names
            .iter()
            .filter(|name| !template.parameters.contains_key(*name) && !name.starts_with("AWS::"))
            .map(String::as_str)
            .collect();
        if !foreign.is_empty() {
            return Err(format_error(format!(
                "Unresolved dependencies [{}]. Cannot reference resources in the Conditions block of the template",
                foreign.join(", ")
            )));
        }
    }
    Ok(())
}

fn is_known(template: &Template, name: &str) -> bool {
    name.starts_with("AWS::")
        || template.parameters.contains_key(name)
        || template.resources.contains_key(name)
}

fn check_attributes_of_resources(template: &Template, references: &References) -> Result<(), ApiError> {
    let foreign = references.attributes.iter().find(|(name, _)| !template.resources.contains_key(name));
    match foreign {
        Some((name, _)) => Err(invalid(format!(
            "Template error: instance of Fn::GetAtt references undefined resource {name}"
        ))),
        None => Ok(()),
    }
}

fn check_conditions<'a>(
    template: &Template,
    mut names: impl Iterator<Item = &'a String>,
) -> Result<(), ApiError> {
    match names.find(|name| !template.conditions.contains_key(*name)) {
        Some(name) => Err(format_error(format!(
            "Unresolved condition dependency {name} in the Resources block of the template"
        ))),
        None => Ok(()),
    }
}

fn report_unresolved(unresolved: BTreeSet<String>, block: &str) -> Result<(), ApiError> {
    if unresolved.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = unresolved.into_iter().collect();
    Err(format_error(format!(
        "Unresolved resource dependencies [{}] in the {block} block of the template",
        names.join(", ")
    )))
}

/// Each resource's dependencies among the template's resources, explicit and implied.
pub fn dependencies(template: &Template) -> Result<BTreeMap<String, BTreeSet<String>>, ApiError> {
    let mut edges = BTreeMap::new();
    for (name, resource) in &template.resources {
        let mut needed: BTreeSet<String> = References::of(&resource.properties)?.names;
        needed.extend(resource.depends_on.iter().cloned());
        needed.retain(|other| template.resources.contains_key(other));
        edges.insert(name.clone(), needed);
    }
    Ok(edges)
}

/// An order in which every resource comes after those it depends on; among equals by name.
///
/// # Errors
/// When resources depend on each other in a circle: names those on circles and those that wait for them.
pub fn creation_order(template: &Template) -> Result<Vec<String>, ApiError> {
    let mut waiting = dependencies(template)?;
    let mut order = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready: Vec<String> =
            waiting.iter().filter(|(_, needed)| needed.is_empty()).map(|(name, _)| name.clone()).collect();
        if ready.is_empty() {
            let names: Vec<&str> = waiting.keys().map(String::as_str).collect();
            return Err(invalid(format!("Circular dependency between resources: [{}]", names.join(", "))));
        }
        for name in &ready {
            waiting.remove(name);
        }
        for needed in waiting.values_mut() {
            needed.retain(|name| !ready.contains(name));
        }
        order.extend(ready);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn order_follows_references_and_depends_on() {
        let template = template(
            r#"
            Resources:
              A: {Type: T, Properties: {X: !Sub "${B.Arn}-${AWS::Region}-${!C}"}}
              B: {Type: T, Properties: {X: [{Y: !GetAtt D.Arn}]}}
              C: {Type: T, DependsOn: A}
              D: {Type: T, Properties: {X: !Sub ["${C}", {C: 1}]}}
            "#,
        );
        assert_eq!(creation_order(&template).unwrap(), ["D", "B", "A", "C"]);
    }

    #[test]
    fn a_circle_is_refused() {
        let text =
            "Resources: {A: {Type: T, DependsOn: B}, B: {Type: T, Properties: {X: !Ref A}}, C: {Type: T}}";
        let error = creation_order(&template(text)).unwrap_err();
        assert_eq!(error.message, "Circular dependency between resources: [A, B]");
    }

    #[test]
    fn unresolved_references_are_all_named() {
        let check = |text: &str| check_references(&template(text)).unwrap_err().message;
        assert_eq!(
            check("Resources: {A: {Type: T, DependsOn: Gone, Properties: {X: !Ref Other}}}"),
            "Template format error: Unresolved resource dependencies [Gone, Other] in the Resources block of the template"
        );
        assert_eq!(
            check("Resources: {A: {Type: T}}\nOutputs: {O: {Value: !Ref Other}}"),
            "Template format error: Unresolved resource dependencies [Other] in the Outputs block of the template"
        );
    }

    #[test]
    fn attributes_of_parameters_and_unknown_conditions_are_refused() {
        let check = |text: &str| check_references(&template(text)).unwrap_err().message;
        assert_eq!(
            check(
                "Parameters: {P: {Type: String}}\nResources: {A: {Type: T, Properties: {X: !GetAtt P.Arn}}}"
            ),
            "Template error: instance of Fn::GetAtt references undefined resource P"
        );
        assert_eq!(
            check("Resources: {A: {Type: T, Condition: Maybe}}"),
            "Template format error: Unresolved condition dependency Maybe in the Resources block of the template"
        );
        assert_eq!(
            check("Conditions: {C: !Equals [!Ref A, x]}\nResources: {A: {Type: T, Condition: C}}"),
            "Template format error: Unresolved dependencies [A]. Cannot reference resources in the Conditions block of the template"
        );
    }
}
