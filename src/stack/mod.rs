//! The environment under test: three CloudFormation stacks, put up, looked at and taken down. Everything
//! goes through the clients; nothing here knows whether AWS or the local endpoint answers. No local state
//! is needed to take an environment down: names and tags tell what belongs to it.

pub mod artifact;
mod deploy;
mod down;
mod error;
pub mod existing;
mod status;
pub mod templates;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aws_smithy_types::byte_stream::ByteStream;

use crate::plan::{Architecture, Environment};
use crate::platform::clients::Clients;
use crate::platform::clock::{Clock, WallUs};
use artifact::Artifact;
use deploy::Request;
use templates::{Parameters, Templates, Watched};

pub use artifact::ArtifactError;
pub use down::down;
pub use error::StackError;
pub use status::{EnvStatus, ResourceStatus, StackStatus, standing, status};

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
}

impl Part {
    /// In the order in which they are created.
    pub(crate) const ALL: [Part; 3] = [Part::Artifacts, Part::Pipeline, Part::Observability];

    pub(crate) fn stack_name(self, env: &str) -> String {
        let part = match self {
            Part::Artifacts => "artifacts",
            Part::Pipeline => "pipeline",
            Part::Observability => "observability",
        };
        format!("streamgauge-{env}-{part}")
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

/// Puts an environment up: bucket, code, pipeline, observability. A stack that stands already as asked is
/// left as it is. Each stack event is told to `progress` in one line.
///
/// # Errors
/// The first real cause when a stack fails (it is rolled back, and `down` removes the rest); an explanation
/// when a stack of that name stands in another state or shape.
pub async fn up_with(
    clients: &Clients,
    clock: Clock,
    request: &UpRequest,
    templates: &Templates,
    progress: &dyn Fn(&str),
) -> Result<Standing, StackError> {
    check_name(&request.env)?;
    let architecture = architecture(request)?;
    let deploy = |part: Part, template: &str, parameters: Parameters| {
        let request = Request {
            stack: part.stack_name(&request.env),
            template: template.to_owned(),
            parameters,
            tags: tags(request),
        };
        async move { deploy::ensure(clients, clock, &request, progress).await }
    };
    let artifacts =
        deploy(Part::Artifacts, &templates.artifacts, templates::artifacts_parameters(&request.env)).await?;
    let bucket = artifacts.output("ArtifactsBucketName")?;
    let key = upload(clients, &bucket, &request.function_zip, progress).await?;

    let parameters =
        templates::pipeline_parameters(&request.env, &request.environment, architecture, &bucket, &key);
    let pipeline = deploy(Part::Pipeline, &templates.pipeline, parameters).await?;
    let limit = status::concurrency_limit(clients, request.environment.function.reserved_concurrency).await;

    let watched = Watched {
        stream_name: &pipeline.output("StreamName")?,
        function_name: &pipeline.output("FunctionName")?,
        mapping_id: &pipeline.output("MappingId")?,
        receipts_queue_name: &pipeline.output("ReceiptsQueueName")?,
        dlq_name: &pipeline.output("DlqName")?,
        log_group: &pipeline.output("LogGroupName")?,
        concurrency_limit: limit.unwrap_or(crate::platform::limits::ACCOUNT_CONCURRENCY_DEFAULT),
    };
    let parameters = templates::observability_parameters(&request.env, &request.environment, &watched);
    if let Err(error) = deploy(Part::Observability, &templates.observability, parameters).await {
        go_on_unobserved(clients, clock, request, error, progress).await?;
    }

    let standing = status::standing(clients, &request.env).await?;
    let stack = Part::Pipeline.stack_name(&request.env);
    let standing = standing.ok_or(StackError::State { stack, status: "gone".into(), reason: None })?;
    Ok(Standing { up_us: Some(clock.now_us()), ..standing })
}

/// No figure of a run rests on alarms and dashboards: where they are refused (no permission, a quota, an endpoint
/// without composite alarms) the pipeline is measured without them, and both the progress and the report say so.
///
/// # Errors
/// Anything that would stop the rest as well; and when what was begun of the stack cannot be deleted.
async fn go_on_unobserved(
    clients: &Clients,
    clock: Clock,
    request: &UpRequest,
    error: StackError,
    progress: &dyn Fn(&str),
) -> Result<(), StackError> {
    match error {
        StackError::Api { .. } | StackError::Denied { .. } | StackError::Failed { .. } => {}
        other => return Err(other),
    }
    progress(&format!("going on without alarms and dashboard: {error}"));
    match down::remove(clients, clock, &Part::Observability.stack_name(&request.env), progress).await? {
        None => Ok(()),
        Some(_) => Err(error),
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

fn tags(request: &UpRequest) -> BTreeMap<String, String> {
    let mut tags = request.tags.clone();
    tags.insert(TAG_ENV.into(), request.env.clone());
    tags.insert(TAG_MANAGED.into(), "true".into());
    tags
}

/// Uploads the zip under a key made of its content, unless it is there. Returns the key.
async fn upload(
    clients: &Clients,
    bucket: &str,
    artifact: &Artifact,
    progress: &dyn Fn(&str),
) -> Result<String, StackError> {
    let key = format!("function/{}.zip", artifact.sha256);
    let size_mb = artifact.zip.len() as f64 / 1e6;
    let there = clients.s3.head_object().bucket(bucket).key(&key).send().await;
    if there.is_ok_and(|object| object.content_length() == Some(artifact.zip.len() as i64)) {
        progress(&format!("function code ({size_mb:.1} MB) is there already"));
        return Ok(key);
    }
    progress(&format!("uploading the function's code ({size_mb:.1} MB)"));
    let put = clients.s3.put_object().bucket(bucket).key(&key).body(ByteStream::from(artifact.zip.clone()));
    put.send().await.map_err(|error| error::failed("S3", "upload the function's code", error))?;
    Ok(key)
}
