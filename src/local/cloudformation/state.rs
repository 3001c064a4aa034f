//! What a stack is: its settings, its resources and its history, and how describe calls show them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::intrinsics::{Physical, Pseudo};
use super::parameters::Parameter;
use super::template::Template;
use crate::local::service::Context;

/// What becomes of a stack that cannot be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    Rollback,
    Delete,
    DoNothing,
}

#[derive(Debug)]
pub struct Stack {
    pub name: String,
    pub id: String,
    pub status: &'static str,
    pub reason: Option<String>,
    pub created_ms: i64,
    pub deleted_ms: Option<i64>,
    pub template: Template,
    pub template_text: String,
    pub parameters: BTreeMap<String, Parameter>,
    pub conditions: BTreeMap<String, bool>,
    pub tags: BTreeMap<String, String>,
    pub capabilities: Vec<String>,
    pub on_failure: OnFailure,
    pub termination_protection: bool,
    pub token: Option<String>,
    pub outputs: Vec<OutputValue>,
    pub resources: BTreeMap<String, ResourceState>,
    /// Logical ids in the order of creation; deletion goes the other way.
    pub order: Vec<String>,
    pub events: Vec<Event>,
    /// Set by a DeleteStack that came while the stack was being created.
    pub delete_requested: bool,
    /// Logical ids that the last DeleteStack asked to leave alone.
    pub retained: BTreeSet<String>,
}

#[derive(Debug)]
pub struct ResourceState {
    pub kind: String,
    pub physical: Physical,
    pub status: &'static str,
    pub reason: Option<String>,
    pub updated_ms: i64,
    /// As they were given to the service: evaluated and typed.
    pub properties: Value,
}

#[derive(Debug)]
pub struct OutputValue {
    pub key: String,
    pub value: String,
    pub description: Option<String>,
    pub export_name: Option<String>,
}

#[derive(Debug)]
pub struct Event {
    pub id: String,
    pub logical_id: String,
    pub physical_id: String,
    pub kind: String,
    pub at_ms: i64,
    pub status: &'static str,
    pub reason: Option<String>,
    pub properties: Option<String>,
}

/// Epoch seconds with their fraction: how every timestamp is handed to the doors.
pub fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// `null` members are left out: an absent element is not an empty one.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

impl Stack {
    pub fn pseudo(&self, context: &Context) -> Pseudo {
        Pseudo {
            region: context.region.clone(),
            account: context.account.clone(),
            stack_name: self.name.clone(),
            stack_id: self.id.clone(),
        }
    }

    pub fn is_deleted(&self) -> bool {
        self.deleted_ms.is_some()
    }

    /// Sets the stack's own status and notes the event.
    pub fn set_status(&mut self, context: &Context, status: &'static str, reason: Option<String>) {
        self.status = status;
        self.reason = reason.clone();
        let (name, id) = (self.name.clone(), self.id.clone());
        let number = self.events.len();
        self.events.push(Event {
            id: event_id(context, &self.id, number),
            logical_id: name,
            physical_id: id,
            kind: "AWS::CloudFormation::Stack".into(),
            at_ms: context.clock.now_ms(),
            status,
            reason,
            properties: None,
        });
    }

    /// Sets a resource's status and notes the event. The resource must be in the template.
    pub fn set_resource_status(
        &mut self,
        context: &Context,
        logical_id: &str,
        status: &'static str,
        reason: Option<String>,
    ) {
        let at_ms = context.clock.now_ms();
        let kind = self.template.resources.get(logical_id).map(|one| one.kind.clone()).unwrap_or_default();
        let resource = self.resources.entry(logical_id.to_owned()).or_insert_with(|| ResourceState {
            kind,
            physical: Physical::default(),
            status,
            reason: None,
            updated_ms: at_ms,
            properties: json!({}),
        });
        resource.status = status;
        resource.reason = reason.clone();
        resource.updated_ms = at_ms;
        self.events.push(Event {
            id: format!("{logical_id}-{status}-{at_ms}"),
            logical_id: logical_id.to_owned(),
            physical_id: resource.physical.id.clone(),
            kind: resource.kind.clone(),
            at_ms,
            status,
            reason,
            properties: Some(resource.properties.to_string()),
        });
    }

    /// As DescribeStacks shows it.
    pub fn describe(&self) -> Value {
        let parameters: Vec<Value> = self
            .parameters
            .iter()
            .map(|(key, parameter)| json!({"ParameterKey": key, "ParameterValue": parameter.shown()}))
            .collect();
        let tags: Vec<Value> =
            self.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        let outputs: Vec<Value> = self.outputs.iter().map(OutputValue::describe).collect();
        without_nulls(json!({
            "StackId": self.id,
            "StackName": self.name,
            "Description": self.template.description,
            "Parameters": parameters,
            "CreationTime": seconds(self.created_ms),
            "DeletionTime": self.deleted_ms.map(seconds),
            "RollbackConfiguration": {},
            "StackStatus": self.status,
            "StackStatusReason": self.reason,
            "DisableRollback": self.on_failure == OnFailure::DoNothing,
            "NotificationARNs": [],
            "Capabilities": self.capabilities,
            "Outputs": outputs,
            "Tags": tags,
            "EnableTerminationProtection": self.termination_protection,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }))
    }

    /// As ListStacks shows it.
    pub fn summary(&self) -> Value {
        without_nulls(json!({
            "StackId": self.id,
            "StackName": self.name,
            "TemplateDescription": self.template.description,
            "CreationTime": seconds(self.created_ms),
            "DeletionTime": self.deleted_ms.map(seconds),
            "StackStatus": self.status,
            "StackStatusReason": self.reason,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }))
    }

    pub fn describe_event(&self, event: &Event) -> Value {
        without_nulls(json!({
            "StackId": self.id,
            "EventId": event.id,
            "StackName": self.name,
            "LogicalResourceId": event.logical_id,
            "PhysicalResourceId": event.physical_id,
            "ResourceType": event.kind,
            "Timestamp": seconds(event.at_ms),
            "ResourceStatus": event.status,
            "ResourceStatusReason": event.reason,
            "ResourceProperties": event.properties,
            "ClientRequestToken": self.token,
        }))
    }

    /// As DescribeStackResources shows it; ListStackResources has the same but for the stack's own members.
    pub fn describe_resource(&self, logical_id: &str, resource: &ResourceState, time: &str) -> Value {
        let physical = (!resource.physical.id.is_empty()).then_some(&resource.physical.id);
        without_nulls(json!({
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": physical,
            "ResourceType": resource.kind,
            time: seconds(resource.updated_ms),
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason,
            "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
        }))
    }
}

impl OutputValue {
    fn describe(&self) -> Value {
        without_nulls(json!({
            "OutputKey": self.key,
            "OutputValue": self.value,
            "Description": self.description,
            "ExportName": self.export_name,
        }))
    }
}

/// The same for the same seed, stack and number.
fn event_id(context: &Context, stack_id: &str, number: usize) -> String {
    uuid(context.seed, &format!("{stack_id}#{number}"))
}

/// A UUID (version 4 in form) out of a seed and a text.
pub fn uuid(seed: u64, text: &str) -> String {
    let mixed = text.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut random = fastrand::Rng::with_seed(mixed);
    let (high, low) = (random.u64(..), random.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}
