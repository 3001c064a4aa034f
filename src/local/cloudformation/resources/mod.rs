//! The resource types that a template may use, one file a service. Each calls the operations of the
//! service's own API, as CloudFormation's handlers do, so that a stack meets the service's own limits.
//! Properties and return values: CloudFormation template reference, page of each type.

mod cloudwatch;
mod iam;
mod kinesis;
mod lambda;
mod lambda_version;
mod logs;
mod s3;
mod scheduler;
mod sqs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::shape::Shape;
use crate::local::service::{ApiError, BoxFuture, Context, Service};

pub type Services = BTreeMap<&'static str, Arc<dyn Service>>;
/// What `Fn::GetAtt` yields for a resource.
pub type Attributes = BTreeMap<String, Value>;

/// First and longest pause between two looks at a resource that is being made or removed.
const POLL_FIRST: Duration = Duration::from_millis(50);
const POLL_LONGEST: Duration = Duration::from_secs(1);
/// After this long a resource "did not stabilize".
const STABLE_WITHIN: Duration = Duration::from_secs(5 * 60);

/// A resource type. Implementations are stateless.
pub trait ResourceType: Send + Sync {
    /// For example `AWS::Kinesis::Stream`.
    fn kind(&self) -> &'static str;
    fn properties(&self) -> &'static [(&'static str, Shape)];
    fn required(&self) -> &'static [&'static str] {
        &[]
    }
    /// What `Fn::GetAtt` may ask for.
    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }
    /// Makes the resource and waits until it can be used. Sets `id`, what `Ref` yields, as soon as
    /// there is something to clean up should a later step fail.
    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>>;
    /// Properties whose change takes a new resource: `createOnlyProperties` of the registry's schema.
    fn create_only(&self) -> &'static [&'static str] {
        &[]
    }
    /// The property by which a template may name the resource itself.
    fn name_property(&self) -> Option<&'static str> {
        None
    }
    /// Changes the resource and waits until the change is through. Also called to undo a change that failed
    /// halfway: then `before` is what was attempted, and what never came about is no error.
    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>>;
    /// Removes the resource and waits until it is gone. That it is not there is no error.
    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>>;
}

const TYPES: [&dyn ResourceType; 17] = [
    &cloudwatch::Alarm,
    &cloudwatch::CompositeAlarm,
    &cloudwatch::Dashboard,
    &iam::Policy,
    &iam::Role,
    &kinesis::Stream,
    &kinesis::StreamConsumer,
    &lambda::EventSourceMapping,
    &lambda::Function,
    &lambda_version::Alias,
    &lambda_version::Version,
    &logs::LogGroup,
    &s3::Bucket,
    &s3::BucketPolicy,
    &scheduler::Schedule,
    &sqs::Queue,
    &sqs::QueuePolicy,
];

/// The type of that name, if this endpoint has it.
pub fn find(kind: &str) -> Option<&'static dyn ResourceType> {
    TYPES.into_iter().find(|one| one.kind() == kind)
}

/// What a resource type needs while it makes or removes a resource.
pub struct Call<'a> {
    pub services: &'a Services,
    pub context: &'a Context,
    pub stack_name: String,
    pub stack_id: String,
    pub logical_id: String,
    /// Tags of the stack: they propagate to every resource that can be tagged.
    pub stack_tags: BTreeMap<String, String>,
    /// How many resources of this logical id came before: generated names do not repeat.
    pub generation: u32,
}

/// What changes about a resource that keeps its identity.
pub struct Change<'a> {
    /// The physical id.
    pub id: &'a str,
    pub before: &'a Value,
    pub after: &'a Value,
    /// The stack's tags as the resource has them; those that it is to have are in [`Call`].
    pub tags_before: &'a BTreeMap<String, String>,
}

impl Change<'_> {
    pub fn differs(&self, member: &str) -> bool {
        self.before.get(member) != self.after.get(member)
    }

    /// Those of the members that differ, each with its new value, or with `default` where it is taken away.
    pub fn settings(&self, defaults: &[(&str, Value)]) -> Map<String, Value> {
        let changed = defaults.iter().filter(|(member, _)| self.differs(member));
        changed
            .map(|(member, default)| {
                ((*member).to_owned(), self.after.get(member).unwrap_or(default).clone())
            })
            .collect()
    }
}

/// Tags to set and keys to take away.
pub struct TagChange {
    pub set: BTreeMap<String, String>,
    pub removed: Vec<String>,
}

impl TagChange {
    /// `set` as a list of `{Key, Value}`.
    pub fn list(&self) -> Value {
        tag_list(&self.set)
    }
}

fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

/// The names of the properties that differ.
pub fn differing(before: &Value, after: &Value) -> Vec<String> {
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default()
    };
    let all = names(before).into_iter().chain(names(after)).collect::<BTreeSet<String>>();
    all.into_iter().filter(|name| before.get(name) != after.get(name)).collect()
}

/// Whether a type takes tags that can be changed: then the stack's tags go to its resources.
pub fn is_taggable(kind: &dyn ResourceType) -> bool {
    kind.properties().iter().any(|(name, _)| *name == "Tags") && !kind.create_only().contains(&"Tags")
}

impl Call<'_> {
    pub async fn api(&self, service: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
        match self.services.get(service) {
            Some(found) => found.call(operation, input).await,
            None => Err(ApiError::invalid(
                "ServiceUnavailable",
                format!("the local endpoint has no service {service}"),
            )),
        }
    }

    /// `<stack>-<logical id>-<12 characters>`, as CloudFormation names what the template does not name.
    pub fn generated_name(&self, longest: usize) -> String {
        let seed = self
            .stack_id
            .bytes()
            .chain(self.logical_id.bytes())
            .chain(self.generation.to_le_bytes())
            .fold(self.context.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut random = fastrand::Rng::with_seed(seed);
        let suffix: String = (0..12).map(|_| random.alphanumeric().to_ascii_uppercase()).collect();
        let head = format!("{}-{}", self.stack_name, self.logical_id);
        let head: String = head.chars().take(longest - suffix.len() - 1).collect();
        format!("{head}-{suffix}")
    }

    /// The name that the properties give, or a generated one.
    pub fn name(&self, properties: &Value, member: &str, longest: usize) -> String {
        properties[member].as_str().map_or_else(|| self.generated_name(longest), str::to_owned)
    }

    /// The stack's tags, the resource's own over them, and those by which CloudFormation marks what it made.
    /// User guide, "Resource tags".
    pub fn tags(&self, properties: &Value) -> BTreeMap<String, String> {
        self.all_tags(&self.stack_tags, properties)
    }

    fn all_tags(
        &self,
        stack_tags: &BTreeMap<String, String>,
        properties: &Value,
    ) -> BTreeMap<String, String> {
        let mut tags = stack_tags.clone();
        for tag in properties["Tags"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let text = |member: &str| tag[member].as_str().unwrap_or_default().to_owned();
            tags.insert(text("Key"), text("Value"));
        }
        for (name, value) in
            [("stack-name", &self.stack_name), ("stack-id", &self.stack_id), ("logical-id", &self.logical_id)]
        {
            tags.insert(format!("aws:cloudformation:{name}"), value.clone());
        }
        tags
    }

    /// The same as a list of `{Key, Value}`.
    pub fn tag_list(&self, properties: &Value) -> Value {
        tag_list(&self.tags(properties))
    }

    /// What becomes of the tags; `None` when they stay as they are.
    pub fn tag_change(&self, change: &Change<'_>) -> Option<TagChange> {
        let before = self.all_tags(change.tags_before, change.before);
        let after = self.tags(change.after);
        if before == after {
            return None;
        }
        let removed = before.keys().filter(|key| !after.contains_key(*key)).cloned().collect();
        Some(TagChange { set: after, removed })
    }

    /// The error for something that exists already, for services that would take a second creation for an
    /// update or for a repetition.
    fn exists(&self, kind: &dyn ResourceType, name: &str) -> ApiError {
        let message = format!("Resource of type '{}' with identifier '{name}' already exists.", kind.kind());
        ApiError::invalid("AlreadyExists", message)
    }

    /// Calls `operation` until `done` says so.
    ///
    /// # Errors
    /// What the service or `done` answers, or `NotStabilized` after five minutes.
    pub async fn until(
        &self,
        service: &str,
        operation: &str,
        input: Value,
        mut done: impl FnMut(Result<Value, ApiError>) -> Result<bool, ApiError>,
    ) -> Result<(), ApiError> {
        let give_up = self.context.clock.instant() + STABLE_WITHIN;
        let mut pause = POLL_FIRST;
        loop {
            if done(self.api(service, operation, input.clone()).await)? {
                return Ok(());
            }
            if self.context.clock.instant() + pause > give_up {
                return Err(ApiError::invalid(
                    "NotStabilized",
                    format!("{} did not stabilize within {} s", self.logical_id, STABLE_WITHIN.as_secs()),
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_LONGEST);
        }
    }
}

/// Turns "there is no such thing" into success, for deletion.
fn gone(result: Result<Value, ApiError>) -> Result<(), ApiError> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// For [`Call::until`]: done when the thing is no longer there.
fn until_gone(result: Result<Value, ApiError>) -> Result<bool, ApiError> {
    match result {
        Ok(_) => Ok(false),
        Err(error) if is_not_found(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

fn is_not_found(error: &ApiError) -> bool {
    const CODES: [&str; 10] = [
        "AWS.SimpleQueueService.NonExistentQueue",
        "DashboardNotFoundError",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "NoSuchTagSet",
        "NoSuchEntity",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ResourceNotFoundFault",
    ];
    CODES.contains(&error.code.as_str())
}

/// The named members that are there, under the same names.
fn only(properties: &Value, members: &[&str]) -> Map<String, Value> {
    members.iter().filter_map(|name| Some(((*name).to_owned(), properties.get(name)?.clone()))).collect()
}

/// All properties but `left_out`, under the same names: for types whose API has the template's members.
fn all_but(properties: &Value, left_out: &[&str]) -> Map<String, Value> {
    let members = properties.as_object().cloned().unwrap_or_default();
    members.into_iter().filter(|(name, _)| !left_out.contains(&name.as_str())).collect()
}

fn attributes<const N: usize>(pairs: [(&str, String); N]) -> Attributes {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}
