//! What a new definition would change about a stack: whether there is anything to do at all, and what a
//! change set shows. Source: CloudFormation API reference, ResourceChange and ResourceChangeDetail.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::definition::Definition;
use super::engine::{fitted, sought};
use super::graph::References;
use super::intrinsics::{Physical, Scope};
use super::resources::{ResourceType, differing, is_taggable};
use super::state::{OnFailure, ResourceState, Stack};
use super::template::{DeletionPolicy, Resource};
use crate::local::service::Context;

/// A change set, as CreateChangeSet made it.
#[derive(Debug)]
pub struct ChangeSet {
    pub name: String,
    pub id: String,
    pub description: Option<String>,
    pub created_ms: i64,
    pub definition: Definition,
    pub on_failure: Option<OnFailure>,
    pub status: &'static str,
    pub execution_status: &'static str,
    pub reason: Option<String>,
    pub changes: Changes,
}

/// What would change.
#[derive(Debug)]
pub struct Changes {
    /// `Change`s, as DescribeChangeSet shows them.
    pub resources: Vec<Value>,
    /// Outputs or the stack's own tags differ.
    pub others: bool,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && !self.others
    }
}

/// Stands for what is not known before a resource is made.
const KNOWN_AFTER_APPLY: &str = "{{changeSet:KNOWN_AFTER_APPLY}}";

/// Compares a stack with a definition. Resources are looked at in the order of creation, so that each sees
/// which of those it refers to would be made anew.
pub fn changes(stack: &Stack, next: &Definition, context: &Context) -> Changes {
    let before = &stack.definition;
    let mut comparison = Comparison { stack, next, context, physical: BTreeMap::new() };
    let mut resources: Vec<Value> =
        next.order.iter().filter_map(|logical_id| comparison.of(logical_id)).collect();
    for (logical_id, resource) in stack.resources.iter().rev() {
        if resource.exists() && !next.has(logical_id) {
            resources.push(removal(stack, logical_id, resource));
        }
    }
    let outputs = before.template.outputs != next.template.outputs
        || comparison.outputs(before) != comparison.outputs(next);
    Changes { resources, others: outputs || before.tags != next.tags }
}

struct Comparison<'a> {
    stack: &'a Stack,
    next: &'a Definition,
    context: &'a Context,
    /// What `Ref` and `Fn::GetAtt` would yield.
    physical: BTreeMap<String, Physical>,
}

impl Comparison<'_> {
    fn of(&mut self, logical_id: &str) -> Option<Value> {
        let declared = &self.next.template.resources[logical_id];
        let kind = sought(self.next, logical_id).ok()?;
        let now = self.stack.resources.get(logical_id).filter(|resource| resource.is_usable());
        let Some(now) = now else {
            self.physical.insert(logical_id.to_owned(), unknown(kind));
            return Some(json!({"Type": "Resource", "ResourceChange": {
                "Action": "Add", "LogicalResourceId": logical_id, "ResourceType": declared.kind,
                "Scope": [], "Details": [],
            }}));
        };
        let after = self.properties(self.next, kind, logical_id, declared);
        let changed = differing(&now.properties, &after);
        let replacement = replacement(kind, &changed, &after);
        let physical = if replacement != "False" { unknown(kind) } else { now.physical.clone() };
        self.physical.insert(logical_id.to_owned(), physical);
        self.modification(logical_id, kind, now, &after, &changed, replacement)
    }

    fn modification(
        &self,
        logical_id: &str,
        kind: &dyn ResourceType,
        now: &ResourceState,
        after: &Value,
        changed: &[String],
        replacement: &str,
    ) -> Option<Value> {
        let declared = &self.next.template.resources[logical_id];
        let was = self.stack.definition.template.resources.get(logical_id);
        let mut scope = BTreeSet::new();
        let mut details: Vec<Value> = Vec::new();
        for property in changed {
            scope.insert(if property == "Tags" { "Tags" } else { "Properties" });
            details.push(self.detail(kind, declared, was, property, after));
        }
        if is_taggable(kind) && now.tags != self.next.tags {
            scope.insert("Tags");
            details.push(detail("Tags", None, "Never", "Static", "DirectModification", None));
        }
        for attribute in was.map(|was| changed_attributes(was, declared)).unwrap_or_default() {
            scope.insert(attribute);
            details.push(detail(attribute, None, "Never", "Static", "DirectModification", None));
        }
        if scope.is_empty() {
            return None;
        }
        let mut change = json!({
            "Action": "Modify", "LogicalResourceId": logical_id, "PhysicalResourceId": now.physical.id,
            "ResourceType": now.kind, "Replacement": replacement, "Scope": scope, "Details": details,
        });
        if replacement == "True" {
            let policy =
                if declared.retained_when_replaced { "ReplaceAndRetain" } else { "ReplaceAndDelete" };
            change["PolicyAction"] = json!(policy);
        }
        Some(json!({"Type": "Resource", "ResourceChange": change}))
    }

    /// Why one property changes: because its text does, because of a parameter, or because of a resource.
    fn detail(
        &self,
        kind: &dyn ResourceType,
        declared: &Resource,
        was: Option<&Resource>,
        property: &str,
        after: &Value,
    ) -> Value {
        let recreation = match kind.create_only().contains(&property) {
            true => "Always",
            false => "Never",
        };
        let evaluation = if is_unknown(&after[property]) { "Dynamic" } else { "Static" };
        let text = &declared.properties[property];
        let same_text = was.is_some_and(|was| was.properties[property] == *text);
        let references = References::of(text).unwrap_or_default();
        let (source, cause) = match same_text.then(|| self.cause(&references)).flatten() {
            Some((source, cause)) => (source, Some(cause)),
            None => ("DirectModification", None),
        };
        detail("Properties", Some(property), recreation, evaluation, source, cause)
    }

    fn cause(&self, references: &References) -> Option<(&'static str, String)> {
        let before = &self.stack.definition.parameters;
        let changed = |name: &&String| {
            self.next.parameters.contains_key(*name)
                && before.get(*name).map(|one| &one.text)
                    != self.next.parameters.get(*name).map(|one| &one.text)
        };
        if let Some(name) = references.names.iter().find(changed) {
            return Some(("ParameterReference", name.clone()));
        }
        let anew = |name: &str| self.physical.get(name).is_some_and(|one| one.id == KNOWN_AFTER_APPLY);
        if let Some((name, attribute)) = references.attributes.iter().find(|(name, _)| anew(name)) {
            return Some(("ResourceAttribute", format!("{name}.{attribute}")));
        }
        let name = references.names.iter().find(|name| anew(name))?;
        Some(("ResourceReference", name.clone()))
    }

    /// The properties as they would be; what cannot be known yet stands as unknown.
    fn properties(
        &self,
        definition: &Definition,
        kind: &dyn ResourceType,
        logical_id: &str,
        declared: &Resource,
    ) -> Value {
        let mut properties = Map::new();
        for (name, value) in declared.properties.as_object().into_iter().flatten() {
            match self.evaluate(definition, value) {
                Some(Some(value)) => drop(properties.insert(name.clone(), value)),
                Some(None) => {}
                None => drop(properties.insert(name.clone(), json!(KNOWN_AFTER_APPLY))),
            }
        }
        let properties = Value::Object(properties);
        // Properties that do not fit are a change: the one that fails the update.
        fitted(kind, logical_id, &properties).unwrap_or(properties)
    }

    fn evaluate(&self, definition: &Definition, value: &Value) -> Option<Option<Value>> {
        let pseudo = self.stack.pseudo(self.context);
        let scope = Scope {
            template: &definition.template,
            parameters: &definition.parameters,
            pseudo: &pseudo,
            conditions: &definition.conditions,
            resources: &self.physical,
        };
        scope.evaluate(value).ok()
    }

    /// The outputs' values; of what the next definition does not have any more, nothing.
    fn outputs(&self, definition: &Definition) -> Vec<(String, Option<Option<Value>>)> {
        let holds = |name: &String| definition.conditions.get(name).copied().unwrap_or(false);
        let outputs = definition.template.outputs.iter();
        outputs
            .filter(|(_, output)| output.condition.as_ref().is_none_or(holds))
            .map(|(key, output)| (key.clone(), self.evaluate(definition, &output.value)))
            .collect()
    }
}

fn removal(stack: &Stack, logical_id: &str, resource: &ResourceState) -> Value {
    let declared = stack.definition.template.resources.get(logical_id);
    let policy = match declared.map(|declared| declared.deletion_policy) {
        Some(DeletionPolicy::Retain | DeletionPolicy::RetainExceptOnCreate) => "Retain",
        _ => "Delete",
    };
    json!({"Type": "Resource", "ResourceChange": {
        "PolicyAction": policy, "Action": "Remove", "LogicalResourceId": logical_id,
        "PhysicalResourceId": resource.physical.id, "ResourceType": resource.kind, "Scope": [], "Details": [],
    }})
}

/// A resource of which nothing is known but what it will have.
fn unknown(kind: &dyn ResourceType) -> Physical {
    let attributes = kind.attributes().iter();
    Physical {
        id: KNOWN_AFTER_APPLY.to_owned(),
        attributes: attributes.map(|name| ((*name).to_owned(), json!(KNOWN_AFTER_APPLY))).collect(),
    }
}

fn is_unknown(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(KNOWN_AFTER_APPLY),
        Value::Array(items) => items.iter().any(is_unknown),
        Value::Object(members) => members.values().any(is_unknown),
        _ => false,
    }
}

fn replacement(kind: &dyn ResourceType, changed: &[String], after: &Value) -> &'static str {
    let mut fixed = changed.iter().filter(|name| kind.create_only().contains(&name.as_str())).peekable();
    match (fixed.peek().is_some(), fixed.all(|name| is_unknown(&after[name]))) {
        (false, _) => "False",
        (true, true) => "Conditional",
        (true, false) => "True",
    }
}

fn changed_attributes(was: &Resource, declared: &Resource) -> Vec<&'static str> {
    let mut changed = Vec::new();
    if was.deletion_policy != declared.deletion_policy {
        changed.push("DeletionPolicy");
    }
    if was.metadata != declared.metadata {
        changed.push("Metadata");
    }
    if was.retained_when_replaced != declared.retained_when_replaced {
        changed.push("UpdateReplacePolicy");
    }
    changed
}

fn detail(
    attribute: &str,
    name: Option<&str>,
    recreation: &str,
    evaluation: &str,
    source: &str,
    cause: Option<String>,
) -> Value {
    let mut target = json!({"Attribute": attribute, "RequiresRecreation": recreation});
    if let Some(name) = name {
        target["Name"] = json!(name);
    }
    let mut detail = json!({"Target": target, "Evaluation": evaluation, "ChangeSource": source});
    if let Some(cause) = cause {
        detail["CausingEntity"] = json!(cause);
    }
    detail
}
