//! What stands: found by name and tag, without local state.

use std::collections::BTreeMap;
use std::str::FromStr;

use aws_sdk_cloudformation::types::{Stack, StackStatus as Status};

use super::deploy::{deployed, describe, parameters, state_error, status_text};
use super::error::failed;
use super::leftovers::{self, Leftovers};
use super::patience::patiently;
use super::{Part, StackError, Standing, TAG_ENV, TAG_MANAGED, ttl};
use crate::plan::NAME_PREFIX;
use crate::platform::clients::Clients;
use crate::platform::clock::WallUs;
use crate::platform::refusals::plain;

const SERVICE: &str = "CloudFormation";
/// Pages of a list that are read at most: an account has at most 2,000 stacks unless raised.
const PAGES_MAX: usize = 100;

/// All stacks of one environment, in the order of their creation.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvStatus {
    pub env: String,
    pub stacks: Vec<StackStatus>,
    /// When the dead man's switch ends the environment; `None` when it has none.
    pub ends_us: Option<WallUs>,
    /// What bears its name outside its stacks.
    pub leftovers: Leftovers,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StackStatus {
    pub name: String,
    /// As CloudFormation has it, for example `CREATE_COMPLETE`.
    pub status: String,
    pub reason: Option<String>,
    pub created_us: WallUs,
    pub resources: Vec<ResourceStatus>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ResourceStatus {
    pub logical_id: String,
    /// For example `AWS::Kinesis::Stream`.
    pub kind: String,
    pub physical_id: String,
    pub status: String,
    pub reason: Option<String>,
}

/// The stacks of an environment with their resources; none when nothing stands.
///
/// # Errors
/// When CloudFormation cannot be asked.
pub async fn status(clients: &Clients, env: &str) -> Result<EnvStatus, StackError> {
    let listed = stacks_of(clients, env).await?;
    let prefix = prefix_of(&listed, env).unwrap_or_else(|| NAME_PREFIX.to_owned());
    let ends_us = ttl::ends_us(&listed, &Part::Deadman.stack_name(&prefix, env));
    let mut stacks = Vec::new();
    for stack in listed {
        let name = stack.stack_name().unwrap_or_default().to_owned();
        stacks.push(StackStatus {
            resources: resources(clients, &name).await?,
            status: status_text(&stack),
            reason: stack.stack_status_reason().map(str::to_owned),
            created_us: created_us(&stack),
            name,
        });
    }
    // Their times do not tell: all were made as change sets before the first was executed.
    let made = |stack: &StackStatus| {
        let part = Part::ALL.iter().position(|part| stack.name.ends_with(&part.name_after_prefix(env)));
        (part.unwrap_or(Part::ALL.len()), stack.created_us, stack.name.clone())
    };
    stacks.sort_by_key(made);
    let physical_ids: Vec<&str> = stacks
        .iter()
        .flat_map(|stack| &stack.resources)
        .filter(|resource| resource.status != "DELETE_COMPLETE")
        .map(|resource| resource.physical_id.as_str())
        .collect();
    let leftovers = leftovers::leftovers(clients, &prefix, Some(env)).await?.outside(&physical_ids);
    Ok(EnvStatus { env: env.to_owned(), stacks, ends_us, leftovers })
}

/// Whether any stack of the environment is there, in whatever state. Much cheaper than [`status`].
///
/// # Errors
/// When CloudFormation cannot be asked.
pub async fn stands(clients: &Clients, env: &str) -> Result<bool, StackError> {
    Ok(!stacks_of(clients, env).await?.is_empty())
}

/// Stacks with the environment's names, or with its tags, in whatever state.
pub(super) async fn stacks_of(clients: &Clients, env: &str) -> Result<Vec<Stack>, StackError> {
    let names = [Part::Artifacts, Part::Pipeline, Part::Observability, Part::Deadman]
        .map(|part| part.stack_name(NAME_PREFIX, env));
    let ours = |stack: &Stack| {
        names.iter().any(|name| Some(name.as_str()) == stack.stack_name())
            || env_of(stack).is_some_and(|tagged| tagged == env)
    };
    Ok(all_stacks(clients).await?.into_iter().filter(ours).collect())
}

/// All stacks of the region but those that are gone.
pub(super) async fn all_stacks(clients: &Clients) -> Result<Vec<Stack>, StackError> {
    let mut found = Vec::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let ask = || async {
            let answer = clients.cloudformation.describe_stacks().set_next_token(token.clone()).send().await;
            answer.map_err(|error| failed(SERVICE, "list stacks", error))
        };
        let answer = patiently("the stacks of the region", ask).await?;
        let stands = |stack: &&Stack| stack.stack_status() != Some(&Status::DeleteComplete);
        found.extend(answer.stacks().iter().filter(stands).cloned());
        token = answer.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

/// What the names of a standing environment start with; `None` when nothing of it stands.
pub(super) async fn standing_prefix(clients: &Clients, env: &str) -> Result<Option<String>, StackError> {
    Ok(prefix_of(&stacks_of(clients, env).await?, env))
}

/// What the names of these stacks of `env` start with.
pub(super) fn prefix_of(stacks: &[Stack], env: &str) -> Option<String> {
    let parts = [Part::Artifacts, Part::Pipeline, Part::Observability, Part::Deadman];
    let mut prefixes = stacks.iter().filter_map(|stack| {
        let name = stack.stack_name()?;
        parts.iter().find_map(|part| name.strip_suffix(&part.name_after_prefix(env)))
    });
    prefixes.next().map(str::to_owned)
}

/// As [`standing_prefix`]; where nothing stands, what names start with unless a plan says otherwise.
pub(super) async fn prefix(clients: &Clients, env: &str) -> Result<String, StackError> {
    Ok(standing_prefix(clients, env).await?.unwrap_or_else(|| NAME_PREFIX.to_owned()))
}

/// The environment in a stack's tags, if they are ours.
pub(super) fn env_of(stack: &Stack) -> Option<&str> {
    let value = |key: &str| stack.tags().iter().find(|tag| tag.key() == Some(key))?.value();
    if value(TAG_MANAGED) == Some("true") { value(TAG_ENV) } else { None }
}

pub(super) async fn resources(clients: &Clients, stack: &str) -> Result<Vec<ResourceStatus>, StackError> {
    let mut resources = Vec::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let call = clients.cloudformation.list_stack_resources().stack_name(stack);
        let answer = call.set_next_token(token).send().await;
        let doing = || format!("list the resources of stack {stack}");
        let answer = answer.map_err(|error| failed(SERVICE, doing(), error))?;
        resources.extend(answer.stack_resource_summaries().iter().map(|one| ResourceStatus {
            logical_id: one.logical_resource_id().unwrap_or_default().to_owned(),
            kind: one.resource_type().unwrap_or_default().to_owned(),
            physical_id: one.physical_resource_id().unwrap_or_default().to_owned(),
            status: one.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            reason: one.resource_status_reason().map(str::to_owned),
        }));
        token = answer.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    Ok(resources)
}

/// The environment when its pipeline is complete; `None` when there is no pipeline stack.
///
/// # Errors
/// When the pipeline stack is there but not complete, or AWS cannot be asked.
pub async fn standing(clients: &Clients, env: &str) -> Result<Option<Standing>, StackError> {
    let Some(prefix) = standing_prefix(clients, env).await? else { return Ok(None) };
    let Some(pipeline) = describe(clients, &Part::Pipeline.stack_name(&prefix, env)).await? else {
        return Ok(None);
    };
    // What an update was rolled back to is what stood before it.
    let stands = [Status::CreateComplete, Status::UpdateComplete, Status::UpdateRollbackComplete];
    if !pipeline.stack_status().is_some_and(|status| stands.contains(status)) {
        return Err(state_error(&pipeline));
    }
    let mut standing = of_pipeline(env, &pipeline)?;
    standing.region = clients.region.clone();
    let caller = clients.sts.get_caller_identity().send().await;
    let caller = caller.map_err(|error| failed("STS", "find out which account this is", error))?;
    standing.account = caller.account().unwrap_or_default().to_owned();
    let reserved =
        parameters(&pipeline).get("FunctionReservedConcurrency").and_then(|text| text.parse().ok());
    standing.reserved_concurrency = reserved;
    standing.concurrency_limit = concurrency_limit(clients, reserved).await.unwrap_or_default();
    let observability = Part::Observability.stack_name(&prefix, env);
    if let Some(observability) = describe(clients, &observability).await? {
        standing.created_us = standing.created_us.max(created_us(&observability));
        for resource in resources(clients, observability.stack_name().unwrap_or_default()).await? {
            match resource.kind.as_str() {
                "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm" => standing.alarms += 1,
                "AWS::CloudWatch::Dashboard" => standing.dashboards += 1,
                _ => {}
            }
        }
    }
    Ok(Some(standing))
}

/// What the pipeline's own outputs and parameters say.
fn of_pipeline(env: &str, stack: &Stack) -> Result<Standing, StackError> {
    let outputs = deployed(stack);
    let parameters = parameters(stack);
    let text = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let flag = |name: &str| text(name) == "true";
    let mode = if text("StreamMode") == "ON_DEMAND" { "on-demand" } else { "provisioned" };
    Ok(Standing {
        env: env.to_owned(),
        stream_name: outputs.output("StreamName")?,
        stream_arn: outputs.output("StreamArn")?,
        stream_mode: mode.to_owned(),
        shards: number(&parameters, "StreamShards"),
        retention_hours: number(&parameters, "StreamRetentionHours"),
        max_record_kib: number(&parameters, "StreamMaxRecordKiB"),
        function_name: outputs.output("FunctionName")?,
        function_arn: outputs.output("FunctionArn")?,
        architecture: text("FunctionArchitecture"),
        memory_mb: number(&parameters, "FunctionMemoryMb"),
        timeout_s: number(&parameters, "FunctionTimeoutSeconds"),
        batch_size: number(&parameters, "BatchSize"),
        batch_window_s: number(&parameters, "BatchWindowSeconds"),
        parallelization: number(&parameters, "ParallelizationFactor"),
        retries: number(&parameters, "MaximumRetryAttempts"),
        bisect_on_error: flag("BisectOnError"),
        partial_batch_response: flag("PartialBatchResponse"),
        max_record_age_s: number(&parameters, "MaximumRecordAgeSeconds"),
        work_ms_per_batch: number(&parameters, "WorkMsPerBatch"),
        mapping_uuid: outputs.output("MappingId")?,
        log_group: outputs.output("LogGroupName")?,
        receipts_queue_url: outputs.output("ReceiptsQueueUrl")?,
        receipts_queue_arn: outputs.output("ReceiptsQueueArn")?,
        dlq_url: outputs.output("DlqUrl")?,
        dlq_arn: outputs.output("DlqArn")?,
        artifacts_bucket: text("CodeBucket"),
        created_us: created_us(stack),
        ..Standing::default()
    })
}

/// The templates declare these as numbers, so CloudFormation has checked them.
fn number<T: FromStr + Default>(parameters: &BTreeMap<String, String>, name: &str) -> T {
    parameters.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Reserved concurrency, or the account's limit; `None` where AWS does not tell.
///
/// # Errors
/// Why the account may not be asked. The limit serves a threshold and a finding, neither worth failing for.
pub(super) async fn concurrency_limit(
    clients: &Clients,
    reserved: Option<u32>,
) -> Result<Option<u32>, String> {
    if reserved.is_some() {
        return Ok(reserved);
    }
    let asked = clients.lambda.get_account_settings().send().await;
    let settings = asked
        .map_err(|error| format!("going on without the account's concurrency limit: {}", plain(&error)))?;
    let limit = settings.account_limit().map(|limit| limit.concurrent_executions());
    Ok(limit.and_then(|limit| u32::try_from(limit).ok()))
}

fn created_us(stack: &Stack) -> WallUs {
    let created = stack.creation_time().map(|time| time.as_nanos() / 1_000);
    created.and_then(|us| WallUs::try_from(us).ok()).unwrap_or_default()
}
