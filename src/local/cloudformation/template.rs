//! Templates: YAML or JSON in, a checked [`Template`] out, with the short forms of intrinsic functions
//! (`!Ref x`) spelled out (`{"Ref": "x"}`). Errors are worded as CloudFormation words them.
//! Source: CloudFormation user guide, "Template anatomy" and "Intrinsic function reference".

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::limits;
use crate::local::service::ApiError;

/// What a template's top level may hold. CloudFormation user guide, "Template anatomy".
const SECTIONS: [&str; 11] = [
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
];

const RESOURCE_MEMBERS: [&str; 9] = [
    "Condition",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "Type",
    "UpdatePolicy",
    "UpdateReplacePolicy",
];

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    pub description: Option<String>,
    pub metadata: Option<Value>,
    pub parameters: BTreeMap<String, Value>,
    pub mappings: Value,
    pub conditions: BTreeMap<String, Value>,
    pub resources: BTreeMap<String, Resource>,
    pub outputs: BTreeMap<String, Output>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub kind: String,
    pub properties: Value,
    pub depends_on: Vec<String>,
    pub condition: Option<String>,
    pub deletion_policy: DeletionPolicy,
    /// The old resource outlives its replacement.
    pub retained_when_replaced: bool,
    pub metadata: Option<Value>,
}

/// What becomes of a resource when its stack goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPolicy {
    Delete,
    Retain,
    /// Deleted only when the create that made it is rolled back.
    RetainExceptOnCreate,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub value: Value,
    pub description: Option<String>,
    pub condition: Option<String>,
    /// The name it is exported under; may hold intrinsic functions.
    pub export_name: Option<Value>,
}

/// `ValidationError`, the code of nearly everything that is wrong with a request to CloudFormation.
pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::invalid("ValidationError", message)
}

pub(super) fn format_error(message: impl std::fmt::Display) -> ApiError {
    invalid(format!("Template format error: {message}"))
}

impl Template {
    /// # Errors
    /// `ValidationError` with CloudFormation's wording and, where the text is not well-formed, its position.
    pub fn parse(text: &str) -> Result<Template, ApiError> {
        let document = document(text)?;
        let Value::Object(sections) = document else { return Err(format_error("unsupported structure.")) };
        check_sections(&sections)?;
        let mut template = Template {
            description: optional_text(&sections, "Description")?,
            metadata: sections.get("Metadata").cloned(),
            parameters: section(&sections, "Parameters")?,
            mappings: sections.get("Mappings").cloned().unwrap_or(Value::Object(Map::new())),
            conditions: section(&sections, "Conditions")?,
            resources: BTreeMap::new(),
            outputs: BTreeMap::new(),
        };
        for (name, definition) in section(&sections, "Resources")? {
            check_logical_id(&name, "Resources")?;
            template.resources.insert(name.clone(), resource(&name, definition)?);
        }
        if template.resources.is_empty() {
            return Err(format_error("At least one Resources member must be defined."));
        }
        for (name, definition) in section(&sections, "Outputs")? {
            check_logical_id(&name, "Outputs")?;
            template.outputs.insert(name.clone(), output(&name, &definition)?);
        }
        limits::check(&template)?;
        Ok(template)
    }

    /// Capabilities that the caller must give for this template.
    pub fn capabilities(&self) -> Option<(&'static str, String)> {
        let named = |resource: &&Resource| {
            ["RoleName", "UserName", "GroupName", "ManagedPolicyName"]
                .iter()
                .any(|name| resource.properties.get(name).is_some())
        };
        // Of IAM's types, those that can give permissions. CloudFormation user guide, "Acknowledging IAM resources".
        let iam: Vec<&Resource> =
            self.resources.values().filter(|resource| resource.kind.starts_with("AWS::IAM::")).collect();
        if iam.is_empty() {
            return None;
        }
        let capability = if iam.iter().any(named) { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" };
        let mut kinds: Vec<&str> = iam.iter().map(|resource| resource.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Some((capability, format!("The following resource(s) require capabilities: [{}]", kinds.join(", "))))
    }
}

fn document(text: &str) -> Result<Value, ApiError> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            format_error(format!("JSON not well-formed. (line {}, column {})", error.line(), error.column()))
        });
    }
    let yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| {
        let place = error
            .location()
            .map(|at| format!(" (line {}, column {})", at.line(), at.column()))
            .unwrap_or_default();
        format_error(format!("YAML not well-formed.{place}"))
    })?;
    spelled_out(yaml)
}

/// YAML with tags to JSON with `Fn::` objects.
fn spelled_out(yaml: serde_yaml::Value) -> Result<Value, ApiError> {
    Ok(match yaml {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(flag) => Value::Bool(flag),
        serde_yaml::Value::String(text) => Value::String(text),
        serde_yaml::Value::Number(number) => {
            serde_json::to_value(number).map_err(|error| format_error(error.to_string()))?
        }
        serde_yaml::Value::Sequence(items) => {
            Value::Array(items.into_iter().map(spelled_out).collect::<Result<_, _>>()?)
        }
        serde_yaml::Value::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                object.insert(key_text(key)?, spelled_out(value)?);
            }
            Value::Object(object)
        }
        serde_yaml::Value::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            short_form(tag.trim_start_matches('!'), spelled_out(tagged.value)?)?
        }
    })
}

/// Keys of `Mappings` may be written as numbers (account ids, for example).
fn key_text(key: serde_yaml::Value) -> Result<String, ApiError> {
    match key {
        serde_yaml::Value::String(text) => Ok(text),
        serde_yaml::Value::Number(number) => Ok(number.to_string()),
        serde_yaml::Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(format_error("unsupported structure: a key is not a string.")),
    }
}

fn short_form(tag: &str, value: Value) -> Result<Value, ApiError> {
    let (name, value) = match (tag, value) {
        ("Ref" | "Condition", value) => (tag.to_owned(), value),
        ("GetAtt", Value::String(dotted)) => match dotted.split_once('.') {
            Some((resource, attribute)) => {
                ("Fn::GetAtt".to_owned(), Value::from(vec![resource.to_owned(), attribute.to_owned()]))
            }
            None => return Err(invalid(GET_ATT_SYNTAX)),
        },
        (
            "And" | "Base64" | "Cidr" | "Equals" | "FindInMap" | "GetAtt" | "GetAZs" | "If" | "ImportValue"
            | "Join" | "Not" | "Or" | "Select" | "Split" | "Sub" | "Transform",
            value,
        ) => (format!("Fn::{tag}"), value),
        _ => return Err(format_error(format!("unknown tag !{tag}"))),
    };
    Ok(Value::Object(Map::from_iter([(name, value)])))
}

pub(super) const GET_ATT_SYNTAX: &str = "Template error: every Fn::GetAtt object requires two non-empty \
     parameters, the resource name and the resource attribute";

fn check_sections(sections: &Map<String, Value>) -> Result<(), ApiError> {
    let unknown: Vec<&str> =
        sections.keys().map(String::as_str).filter(|name| !SECTIONS.contains(name)).collect();
    if !unknown.is_empty() {
        return Err(invalid(format!("Invalid template property or properties [{}]", unknown.join(", "))));
    }
    if let Some(version) = sections.get("AWSTemplateFormatVersion")
        && version != "2010-09-09"
    {
        let shown = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
        return Err(format_error(format!(
            "Unrecognized template format version: {shown}. Only 2010-09-09 is supported."
        )));
    }
    for unsupported in ["Transform", "Rules", "Globals"] {
        if sections.contains_key(unsupported) {
            return Err(format_error(format!("the local endpoint does not support {unsupported}.")));
        }
    }
    Ok(())
}

fn section(sections: &Map<String, Value>, name: &str) -> Result<BTreeMap<String, Value>, ApiError> {
    match sections.get(name) {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(members)) => {
            Ok(members.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        Some(_) => Err(format_error(format!("[/{name}] must be an object."))),
    }
}

fn optional_text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format_error(format!("{name} must be a string."))),
    }
}

fn check_logical_id(name: &str, section: &str) -> Result<(), ApiError> {
    if !name.is_empty() && name.len() <= 255 && name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(format_error(format!("{section} name {name} is non alphanumeric.")))
}

fn resource(name: &str, definition: Value) -> Result<Resource, ApiError> {
    let Value::Object(members) = definition else {
        return Err(format_error(format!("[/Resources/{name}] resource definition is malformed")));
    };
    if let Some(unknown) = members.keys().find(|member| !RESOURCE_MEMBERS.contains(&member.as_str())) {
        return Err(invalid(format!("Invalid template resource property '{unknown}'")));
    }
    let Some(kind) = members.get("Type").and_then(Value::as_str) else {
        return Err(format_error(format!(
            "[/Resources/{name}] Every Resources object must contain a Type member."
        )));
    };
    let depends_on = match members.get("DependsOn") {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) if many.iter().all(Value::is_string) => {
            many.iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
        }
        Some(_) => {
            return Err(format_error(format!(
                "[/Resources/{name}/DependsOn] must be a string or a list of strings."
            )));
        }
    };
    let properties = members.get("Properties").cloned().unwrap_or(Value::Object(Map::new()));
    if !properties.is_object() {
        return Err(format_error(format!("[/Resources/{name}/Properties] must be an object.")));
    }
    Ok(Resource {
        kind: kind.to_owned(),
        properties,
        depends_on,
        condition: optional_text(&members, "Condition")?,
        deletion_policy: deletion_policy(optional_text(&members, "DeletionPolicy")?.as_deref())?,
        retained_when_replaced: update_replace_policy(
            optional_text(&members, "UpdateReplacePolicy")?.as_deref(),
        )?,
        metadata: members.get("Metadata").cloned(),
    })
}

fn deletion_policy(text: Option<&str>) -> Result<DeletionPolicy, ApiError> {
    match text {
        None | Some("Delete") => Ok(DeletionPolicy::Delete),
        Some("Retain") => Ok(DeletionPolicy::Retain),
        Some("RetainExceptOnCreate") => Ok(DeletionPolicy::RetainExceptOnCreate),
        Some("Snapshot") => Err(format_error("no resource type here supports DeletionPolicy Snapshot.")),
        Some(other) => Err(format_error(format!("Unrecognized DeletionPolicy {other}"))),
    }
}

fn update_replace_policy(text: Option<&str>) -> Result<bool, ApiError> {
    match text {
        None | Some("Delete") => Ok(false),
        Some("Retain") => Ok(true),
        Some("Snapshot") => Err(format_error("no resource type here supports UpdateReplacePolicy Snapshot.")),
        Some(other) => Err(format_error(format!("Unrecognized UpdateReplacePolicy {other}"))),
    }
}

fn output(name: &str, definition: &Value) -> Result<Output, ApiError> {
    let Value::Object(members) = definition else {
        return Err(format_error(format!("[/Outputs/{name}] is malformed")));
    };
    let known = ["Condition", "Description", "Export", "Value"];
    if let Some(unknown) = members.keys().find(|member| !known.contains(&member.as_str())) {
        return Err(format_error(format!("[/Outputs/{name}] Encountered unsupported property {unknown}")));
    }
    let Some(value) = members.get("Value") else {
        return Err(format_error(format!(
            "[/Outputs/{name}] Every Outputs member must contain a Value object"
        )));
    };
    Ok(Output {
        value: value.clone(),
        description: optional_text(members, "Description")?,
        condition: optional_text(members, "Condition")?,
        export_name: members.get("Export").and_then(|export| export.get("Name")).cloned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(text: &str) -> String {
        Template::parse(text).expect_err("an error").message
    }

    #[test]
    fn short_forms_are_spelled_out() {
        let text = r#"
            Resources:
              A:
                Type: T
                Properties:
                  Plain: !Ref B
                  Attribute: !GetAtt B.Nested.Arn
                  Choice: !If [Yes, !Sub "${B}-x", !Ref AWS::NoValue]
                  Version: 2012-10-17
              B: {Type: T, DependsOn: C}
              C: {Type: T, DependsOn: [D]}
              D: {Type: T, DeletionPolicy: Retain}
        "#;
        let template = Template::parse(text).unwrap();
        assert_eq!(
            template.resources["A"].properties,
            json!({
                "Plain": {"Ref": "B"},
                "Attribute": {"Fn::GetAtt": ["B", "Nested.Arn"]},
                "Choice": {"Fn::If": ["Yes", {"Fn::Sub": "${B}-x"}, {"Ref": "AWS::NoValue"}]},
                "Version": "2012-10-17",
            })
        );
        assert_eq!(template.resources["B"].depends_on, ["C"]);
        assert_eq!(template.resources["D"].deletion_policy, DeletionPolicy::Retain);
    }

    #[test]
    fn yaml_and_json_of_one_template_are_equal() {
        let yaml = "Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {DelaySeconds: 5}}}";
        let json = r#"{"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 5}}}}"#;
        assert_eq!(Template::parse(yaml).unwrap(), Template::parse(json).unwrap());
    }

    #[test]
    fn errors_are_worded_as_cloudformation_words_them() {
        assert_eq!(
            message("Description: x"),
            "Template format error: At least one Resources member must be defined."
        );
        assert_eq!(message("hello"), "Template format error: unsupported structure.");
        assert!(message("Resources: [").starts_with("Template format error: YAML not well-formed. (line "));
        assert!(message("{\"a\": }").starts_with("Template format error: JSON not well-formed. (line 1, "));
        assert_eq!(message("Resource: {A: {Type: T}}"), "Invalid template property or properties [Resource]");
        assert_eq!(
            message("Resources: {A: {Properties: {}}}"),
            "Template format error: [/Resources/A] Every Resources object must contain a Type member."
        );
        assert_eq!(
            message("Resources: {A: {Type: T, Propertys: {}}}"),
            "Invalid template resource property 'Propertys'"
        );
        assert_eq!(
            message("Resources: {A-b: {Type: T}}"),
            "Template format error: Resources name A-b is non alphanumeric."
        );
    }

    #[test]
    fn named_roles_need_the_stronger_capability() {
        let role = |properties: &str| {
            let text = format!("Resources: {{R: {{Type: 'AWS::IAM::Role', Properties: {properties}}}}}");
            Template::parse(&text).unwrap().capabilities().map(|(capability, _)| capability)
        };
        assert_eq!(role("{RoleName: x}"), Some("CAPABILITY_NAMED_IAM"));
        assert_eq!(role("{}"), Some("CAPABILITY_IAM"));
    }
}
