//! What a stack is: its settings, its resources and its history, and how describe calls show them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::changes::ChangeSet;
use super::definition::Definition;
use super::intrinsics::{Physical, Pseudo};
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
    pub updated_ms: Option<i64>,
    pub deleted_ms: Option<i64>,
    pub definition: Definition,
    pub on_failure: OnFailure,
    pub termination_protection: bool,
    pub token: Option<String>,
    pub outputs: Vec<OutputValue>,
    pub resources: BTreeMap<String, ResourceState>,
    pub events: Vec<Event>,
    /// Set by a DeleteStack that came while the stack was being created.
    pub delete_requested: bool,
    /// Set by a CancelUpdateStack.
    pub cancel_requested: bool,
    /// Logical ids that the last DeleteStack asked to leave alone.
    pub retained: BTreeSet<String>,
    /// The last DeleteStack asked to let go of what cannot be deleted.
    pub forced: bool,
    /// The update under way, or the one that failed and is not settled.
    pub update: Option<Update>,
    pub change_sets: Vec<ChangeSet>,
    /// How many resources were made so far for each logical id: names must not repeat.
    pub generations: BTreeMap<String, u32>,
}

/// What an update needs to be undone.
#[derive(Debug)]
pub struct Update {
    /// The definition and the resources of the last stable state.
    pub previous: Definition,
    pub snapshot: BTreeMap<String, ResourceState>,
    /// Resources made since, by logical id: deleted by a rollback.
    pub made: Vec<(String, ResourceState)>,
    /// Resources that others took the place of, by logical id: deleted when the update is through.
    pub set_aside: Vec<(String, ResourceState)>,
    pub disable_rollback: bool,
    /// The definition that could not be reached, once it is being rolled back.
    pub failed: Option<Definition>,
}

#[derive(Clone, Debug)]
pub struct ResourceState {
    pub kind: String,
    pub physical: Physical,
    pub status: &'static str,
    pub reason: Option<String>,
    pub updated_ms: i64,
    /// As they were given to the service: evaluated and typed.
    pub properties: Value,
    /// The stack's tags that it was given; none for a type without tags.
    pub tags: BTreeMap<String, String>,
    /// After a change that failed: properties and tags that it may still have instead, whole or in part.
    pub doubt: Option<(Value, BTreeMap<String, String>)>,
}

impl ResourceState {
    /// Whether there is, or may be, something to delete.
    pub fn exists(&self) -> bool {
        !self.physical.id.is_empty() && !matches!(self.status, "DELETE_COMPLETE" | "DELETE_SKIPPED")
    }

    /// Whether an earlier change failed, so that the resource may not be as recorded.
    pub fn is_unsettled(&self) -> bool {
        self.status == "UPDATE_FAILED" || self.doubt.is_some()
    }

    /// Whether `Ref` and `Fn::GetAtt` may yield it.
    pub fn is_usable(&self) -> bool {
        self.exists() && !matches!(self.status, "CREATE_IN_PROGRESS" | "CREATE_FAILED")
    }
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
pub fn without_nulls(mut value: Value) -> Value {
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
        let number = self.events.len();
        self.events.push(Event {
            id: event_id(context, &self.id, number),
            logical_id: self.name.clone(),
            physical_id: self.id.clone(),
            kind: "AWS::CloudFormation::Stack".into(),
            at_ms: context.clock.now_ms(),
            status,
            reason,
            properties: None,
        });
    }

    /// Sets a resource's status and notes the event. The resource must be in the template or exist.
    pub fn set_resource_status(
        &mut self,
        context: &Context,
        logical_id: &str,
        status: &'static str,
        reason: Option<String>,
    ) {
        let at_ms = context.clock.now_ms();
        let declared = self.definition.template.resources.get(logical_id);
        let kind = declared.map(|one| one.kind.clone()).unwrap_or_default();
        let resource = self.resources.entry(logical_id.to_owned()).or_insert_with(|| ResourceState {
            kind,
            physical: Physical::default(),
            status,
            reason: None,
            updated_ms: at_ms,
            properties: json!({}),
            tags: BTreeMap::new(),
            doubt: None,
        });
        resource.status = status;
        resource.reason = reason.clone();
        resource.updated_ms = at_ms;
        let shown = resource.clone();
        self.note(context, logical_id, &shown, status, reason);
    }

    /// Notes an event of a resource that need not be the stack's current one of that logical id.
    pub fn note(
        &mut self,
        context: &Context,
        logical_id: &str,
        resource: &ResourceState,
        status: &'static str,
        reason: Option<String>,
    ) {
        let (at_ms, number) = (context.clock.now_ms(), self.events.len());
        self.events.push(Event {
            id: format!("{logical_id}-{status}-{at_ms}-{number}"),
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
        let definition = &self.definition;
        let outputs: Vec<Value> = self.outputs.iter().map(OutputValue::describe).collect();
        without_nulls(json!({
            "StackId": self.id,
            "StackName": self.name,
            "Description": definition.template.description,
            "Parameters": definition.shown_parameters(),
            "CreationTime": seconds(self.created_ms),
            "LastUpdatedTime": self.updated_ms.map(seconds),
            "DeletionTime": self.deleted_ms.map(seconds),
            "RollbackConfiguration": {},
            "StackStatus": self.status,
            "StackStatusReason": self.reason,
            "DisableRollback": self.on_failure == OnFailure::DoNothing,
            "NotificationARNs": [],
            "Capabilities": definition.capabilities,
            "Outputs": outputs,
            "Tags": definition.shown_tags(),
            "RoleARN": definition.role_arn,
            "EnableTerminationProtection": self.termination_protection,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }))
    }

    /// As ListStacks shows it.
    pub fn summary(&self) -> Value {
        without_nulls(json!({
            "StackId": self.id,
            "StackName": self.name,
            "TemplateDescription": self.definition.template.description,
            "CreationTime": seconds(self.created_ms),
            "LastUpdatedTime": self.updated_ms.map(seconds),
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
