//! What bears an environment's name and stands outside its stacks, service by service. A tag decides whether it
//! is ours: what lacks it is named and never touched.

mod scan;

use std::collections::BTreeMap;

use super::error::failed;
use super::{StackError, TAG_ENV, TAG_MANAGED, down};
use crate::platform::clients::Clients;

/// A resource by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    pub kind: Kind,
    pub name: String,
    /// ARN, URL or UUID: by what the service finds it.
    pub id: String,
    /// From the tag `streamgauge:env`, with the tag `streamgauge:managed`; `None`: it lacks our tags.
    pub env: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// First: a mapping goes before its function and its stream.
    Mapping,
    Function,
    Stream,
    Queue,
    Bucket,
    LogGroup,
    Alarm,
    Dashboard,
    Schedule,
}

impl Kind {
    /// As CloudFormation names the type.
    pub fn resource_type(self) -> &'static str {
        match self {
            Kind::Mapping => "AWS::Lambda::EventSourceMapping",
            Kind::Function => "AWS::Lambda::Function",
            Kind::Stream => "AWS::Kinesis::Stream",
            Kind::Queue => "AWS::SQS::Queue",
            Kind::Bucket => "AWS::S3::Bucket",
            Kind::LogGroup => "AWS::Logs::LogGroup",
            Kind::Alarm => "AWS::CloudWatch::Alarm",
            Kind::Dashboard => "AWS::CloudWatch::Dashboard",
            Kind::Schedule => "AWS::Scheduler::Schedule",
        }
    }
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = if self.env.is_some() { "" } else { ", without our tags: not touched" };
        write!(f, "{} {} ({}{why})", self.kind.resource_type(), self.name, self.id)
    }
}

/// What was found, and where could not be looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leftovers {
    pub found: Vec<Leftover>,
    /// One line for each kind that may not be listed.
    pub unseen: Vec<String>,
}

impl Leftovers {
    /// Without what belongs to a stack, by its physical ids.
    pub fn outside(mut self, physical_ids: &[&str]) -> Leftovers {
        self.found.retain(|one| !physical_ids.iter().any(|id| *id == one.name || *id == one.id));
        self
    }
}

/// Everything whose name starts with `prefix` and the environment (`None`: any), except what the tags give to another one.
/// Dashboards and schedules have no tags: they never count as ours.
///
/// # Errors
/// When AWS cannot be reached or refuses the credentials. That a kind may not be listed is in the result.
pub async fn leftovers(clients: &Clients, prefix: &str, env: Option<&str>) -> Result<Leftovers, StackError> {
    let prefix = match env {
        Some(env) => format!("{prefix}-{env}-"),
        None => format!("{prefix}-"),
    };
    let mut leftovers = scan::scan(clients, &prefix).await?;
    // `a-b` is named like something of `a`.
    leftovers.found.retain(|one| match (&one.env, env) {
        (Some(tagged), Some(wanted)) => tagged == wanted,
        _ => true,
    });
    leftovers.found.sort();
    Ok(leftovers)
}

/// The environment in a set of tags, if they are ours.
fn env_of(tags: &BTreeMap<String, String>) -> Option<String> {
    let managed = tags.get(TAG_MANAGED).is_some_and(|value| value == "true");
    tags.get(TAG_ENV).filter(|_| managed).cloned()
}

/// Deletes it, unless it lacks our tags: then nothing is done. Most services delete in the background.
///
/// # Errors
/// When the service refuses.
pub async fn remove(clients: &Clients, one: &Leftover, progress: &dyn Fn(&str)) -> Result<(), StackError> {
    if one.env.is_none() {
        return Ok(());
    }
    progress(&format!("deleting {one}"));
    let doing = || format!("delete {} {}", one.kind.resource_type(), one.name);
    let (lambda, id) = (&clients.lambda, &one.id);
    let done = match one.kind {
        Kind::Mapping => {
            let sent = lambda.delete_event_source_mapping().uuid(id).send().await;
            sent.map(drop).map_err(|error| failed("Lambda", doing(), error))
        }
        Kind::Function => {
            let sent = lambda.delete_function().function_name(&one.name).send().await;
            sent.map(drop).map_err(|error| failed("Lambda", doing(), error))
        }
        Kind::Stream => {
            let call = clients.kinesis.delete_stream().stream_name(&one.name);
            let sent = call.enforce_consumer_deletion(true).send().await;
            sent.map(drop).map_err(|error| failed("Kinesis", doing(), error))
        }
        Kind::Queue => {
            let sent = clients.sqs.delete_queue().queue_url(id).send().await;
            sent.map(drop).map_err(|error| failed("SQS", doing(), error))
        }
        Kind::Bucket => {
            down::empty(clients, &one.name, progress).await?;
            let sent = clients.s3.delete_bucket().bucket(&one.name).send().await;
            sent.map(drop).map_err(|error| failed("S3", doing(), error))
        }
        Kind::LogGroup => {
            let sent = clients.logs.delete_log_group().log_group_name(&one.name).send().await;
            sent.map(drop).map_err(|error| failed("CloudWatch Logs", doing(), error))
        }
        Kind::Alarm => {
            let sent = clients.cloudwatch.delete_alarms().alarm_names(&one.name).send().await;
            sent.map(drop).map_err(|error| failed("CloudWatch", doing(), error))
        }
        // Without tags there is no telling whose they are.
        Kind::Dashboard | Kind::Schedule => Ok(()),
    };
    done.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

fn is_gone(error: &StackError) -> bool {
    let StackError::Api { code, .. } = error else { return false };
    ["NotFound", "NoSuch", "NonExistent", "DoesNotExist"].iter().any(|part| code.contains(part))
}
