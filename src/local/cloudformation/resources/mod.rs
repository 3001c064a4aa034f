//! The resource types that a template may use, one file a service. Each calls the operations of the
//! service's own API, as CloudFormation's handlers do, so that a stack meets the service's own limits.
//! Properties and return values: CloudFormation template reference, page of each type.

mod cloudwatch;
mod iam;
mod kinesis;
mod lambda;
mod logs;
mod s3;
mod sqs;

use std::collections::BTreeMap;
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
    /// Removes the resource and waits until it is gone. That it is not there is no error.
    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>>;
}

const TYPES: [&dyn ResourceType; 13] = [
    &cloudwatch::Alarm,
    &cloudwatch::CompositeAlarm,
    &cloudwatch::Dashboard,
    &iam::Policy,
    &iam::Role,
    &kinesis::Stream,
    &lambda::EventSourceMapping,
    &lambda::Function,
    &logs::LogGroup,
    &s3::Bucket,
    &s3::BucketPolicy,
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
    pub stack_name: &'a str,
    pub stack_id: &'a str,
    pub logical_id: &'a str,
    /// Tags of the stack: they propagate to every resource that can be tagged.
    pub stack_tags: &'a BTreeMap<String, String>,
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

    /// The stack's tags, and the resource's own over them.
    pub fn tags(&self, properties: &Value) -> BTreeMap<String, String> {
        let mut tags = self.stack_tags.clone();
        for tag in properties["Tags"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let text = |member: &str| tag[member].as_str().unwrap_or_default().to_owned();
            tags.insert(text("Key"), text("Value"));
        }
        tags
    }

    /// The same as a list of `{Key, Value}`.
    pub fn tag_list(&self, properties: &Value) -> Value {
        self.tags(properties).iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
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
    const CODES: [&str; 9] = [
        "AWS.SimpleQueueService.NonExistentQueue",
        "DashboardNotFoundError",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
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
