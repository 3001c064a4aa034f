//! The environment under test: three CloudFormation stacks, put up, looked at and taken down. Everything
//! goes through the clients; nothing here knows whether AWS or the local endpoint answers. No local state
//! is needed to take an environment down: names and tags tell what belongs to it.

pub mod artifact;
mod changeset;
mod deploy;
pub mod doctor;
mod down;
mod elf;
mod error;
mod execute;
pub mod existing;
pub mod leftovers;
mod patience;
mod status;
pub mod sweep;
pub mod templates;
#[cfg(test)]
mod tests;
pub mod ttl;
mod upplan;

use std::collections::BTreeMap;

use crate::plan::{Architecture, Environment};
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, WallUs};
use artifact::Artifact;
use templates::Templates;

pub use artifact::ArtifactError;
pub use down::down;
pub use error::StackError;
pub use execute::execute;
pub use status::{EnvStatus, ResourceStatus, StackStatus, standing, stands, status};
pub use upplan::{ResourceChange, StackAction, StackPlan, UpPlan, Verb, prepare};

/// The tag that names the environment; the tag that says streamgauge made it.
pub const TAG_ENV: &str = "streamgauge:env";
pub const TAG_MANAGED: &str = "streamgauge:managed";

/// What to put up.
#[derive(Clone, Debug)]
pub struct UpRequest {
    /// 1 to 20 lower-case letters, digits and hyphens, starting with a letter: it is part of every name.
    pub env: String,
    pub environment: Environment,
    /// Further tags for everything, beside `streamgauge:env` and `streamgauge:managed`.
    pub tags: BTreeMap<String, String>,
    pub function_zip: Artifact,
}

/// An environment that stands: all that a run and its report need to know of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    pub env: String,
    /// Account id.
    pub account: String,
    pub region: String,
    pub stream_name: String,
    pub stream_arn: String,
    /// `provisioned` or `on-demand`.
    pub stream_mode: String,
    pub shards: u32,
    pub retention_hours: u32,
    pub max_record_kib: u32,
    pub function_name: String,
    pub function_arn: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    pub memory_mb: u32,
    pub timeout_s: u32,
    pub batch_size: u32,
    pub batch_window_s: u32,
    pub parallelization: u32,
    pub retries: i32,
    pub bisect_on_error: bool,
    pub partial_batch_response: bool,
    pub max_record_age_s: i32,
    pub work_ms_per_batch: u32,
    /// Reserved concurrency, or the account's limit; `None` when the account may not be asked.
    pub concurrency_limit: Option<u32>,
    /// As the environment was stood up with; `None`: nothing is reserved.
    pub reserved_concurrency: Option<u32>,
    pub mapping_uuid: String,
    pub log_group: String,
    pub receipts_queue_url: String,
    pub receipts_queue_arn: String,
    pub dlq_url: String,
    pub dlq_arn: String,
    pub artifacts_bucket: String,
    /// Metric alarms and composite alarms.
    pub alarms: u32,
    pub dashboards: u32,
    /// When the last of the stacks was begun, by CloudFormation's clock.
    pub created_us: WallUs,
    /// When `up` found all of them complete; `None` in what [`standing`] gives.
    pub up_us: Option<WallUs>,
    /// Where the pipeline was there before; `None`: streamgauge made it.
    pub existing: Option<existing::Existing>,
}

/// The stacks of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Artifacts,
    Pipeline,
    Observability,
    /// The dead man's switch, which stands beside the others: see [`ttl`].
    Deadman,
}

impl Part {
    /// Those under test, in the order in which they are created.
    pub(crate) const ALL: [Part; 3] = [Part::Artifacts, Part::Pipeline, Part::Observability];

    pub(crate) fn stack_name(self, prefix: &str, env: &str) -> String {
        format!("{prefix}{}", self.name_after_prefix(env))
    }

    fn name_after_prefix(self, env: &str) -> String {
        let part = match self {
            Part::Artifacts => "artifacts",
            Part::Pipeline => "pipeline",
            Part::Observability => "observability",
            Part::Deadman => "deadman",
        };
        format!("-{env}-{part}")
    }
}

/// Puts an environment up with the built-in templates; see [`up_with`].
///
/// # Errors
/// As [`up_with`].
pub async fn up(
    clients: &Clients,
    clock: Clock,
    request: &UpRequest,
    progress: &dyn Fn(&str),
) -> Result<Standing, StackError> {
    up_with(clients, clock, request, &Templates::embedded(), progress).await
}

/// Puts an environment up, without asking: [`prepare`], then [`execute`]. What stands already as asked is left
/// as it is, what stands otherwise is changed. Each stack event is told to `progress` in one line.
///
/// # Errors
/// As [`prepare`] and [`execute`].
pub async fn up_with(
    clients: &Clients,
    clock: Clock,
    request: &UpRequest,
    templates: &Templates,
    progress: &dyn Fn(&str),
) -> Result<Standing, StackError> {
    let mut plan = prepare(clients, clock, request, templates).await?;
    execute(clients, clock, request, templates, &mut plan, progress).await
}

/// An error of the observability stack that the pipeline can do without.
fn is_bearable(error: &StackError) -> bool {
    matches!(
        error,
        StackError::Api { .. }
            | StackError::Denied { .. }
            | StackError::Failed { .. }
            | StackError::UpdateFailed { .. }
            | StackError::ChangeSet { .. }
    )
}

/// The environment's name is what it is found by; the prefix is part of what stands.
async fn check_prefix(clients: &Clients, request: &UpRequest) -> Result<(), StackError> {
    let wanted = &request.environment.account.name_prefix;
    match status::standing_prefix(clients, &request.env).await? {
        Some(stands) if stands != *wanted => Err(StackError::OtherPrefix {
            stack: Part::Pipeline.stack_name(&stands, &request.env),
            wanted: wanted.clone(),
            stands,
        }),
        _ => Ok(()),
    }
}

fn check_name(env: &str) -> Result<(), StackError> {
    // The pattern of the templates' EnvironmentName: told here before anything is sent.
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=20).contains(&env.len())
        && env.starts_with(|c: char| c.is_ascii_lowercase())
        && !env.ends_with('-')
        && env.chars().all(allowed);
    if fits { Ok(()) } else { Err(StackError::Name { env: env.to_owned() }) }
}

/// The plan's architecture, else that of the zip, else this machine's.
fn architecture(request: &UpRequest) -> Result<Architecture, StackError> {
    match (request.environment.function.architecture, request.function_zip.architecture) {
        (Some(plan), Some(zip)) if plan != zip => Err(StackError::Architecture {
            zip: templates::architecture_name(zip),
            plan: templates::architecture_name(plan),
        }),
        (Some(known), _) | (None, Some(known)) => Ok(known),
        (None, None) if cfg!(target_arch = "aarch64") => Ok(Architecture::Arm64),
        (None, None) => Ok(Architecture::X86_64),
    }
}

/// The user's tags with those that say whose a stack is.
fn tags(users: &BTreeMap<String, String>, env: &str) -> BTreeMap<String, String> {
    let mut tags = users.clone();
    tags.insert(TAG_ENV.into(), env.to_owned());
    tags.insert(TAG_MANAGED.into(), "true".into());
    tags
}

/// The zip's key in the bucket: made of its content, so that new code is a new key.
fn code_key(artifact: &Artifact) -> String {
    format!("function/{}.zip", artifact.sha256)
}
