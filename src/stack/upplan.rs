//! What `up` would do, before any of it is done: one change set a stack, all made first. The names in the
//! templates are made of the environment's name alone, so that what one stack needs of another is known
//! before that stands.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{Stack, StackStatus};
use serde::Serialize;

use super::changeset::{Prepared, make};
use super::deploy::{Deployed, Request, deployed, describe, parameters, state_error};
use super::error::failed;
use super::patience::patiently;
use super::status::{concurrency_limit, resources};
use super::templates::{self, Parameters, Templates, Watched};
use super::{Part, StackError, TAG_ENV, TAG_MANAGED, UpRequest};
use crate::plan::Architecture;
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;

/// Stands for the mapping's id, which Lambda gives it: the one name that cannot be foreseen.
const MAPPING_TO_COME: &str = "to-come";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackAction {
    Create,
    Update,
    /// It stands as asked.
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Add,
    Modify,
    Replace,
    /// Depends on values that are not known before.
    MayReplace,
    Remove,
}

/// What happens to one resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResourceChange {
    pub verb: Verb,
    pub logical_id: String,
    /// For example `AWS::Kinesis::Stream`.
    pub kind: String,
    pub physical_id: Option<String>,
    /// Properties (or attributes such as `Tags`) that differ; empty for what is added or removed.
    pub properties: Vec<String>,
}

/// What happens to one stack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StackPlan {
    pub stack: String,
    pub action: StackAction,
    pub changes: Vec<ResourceChange>,
}

/// All change sets of an environment, in the order in which they are to be executed. Either
/// [`super::execute`] or [`UpPlan::discard`] must follow; after an interrupted `execute`, `discard` too.
pub struct UpPlan {
    /// No pipeline of this name stands: whatever goes wrong, all of it may be taken down again.
    pub is_fresh: bool,
    /// How many resources of a type there will be, by type.
    pub kinds: BTreeMap<String, u32>,
    /// Why there will be no alarms and dashboard.
    pub unobserved: Option<String>,
    pub(super) artifacts: Option<Prepared>,
    pub(super) pipeline: Prepared,
    pub(super) observability: Option<Prepared>,
    pub(super) concurrency_limit: u32,
    /// Why the limit is the default one, where the account could not be asked.
    pub(super) unknown_limit: Option<String>,
}

impl UpPlan {
    /// The stacks, in the order of their creation.
    pub fn stacks(&self) -> Vec<StackPlan> {
        self.prepared().map(|one| one.shown.clone()).collect()
    }

    /// Everything stands as asked.
    pub fn is_done(&self) -> bool {
        self.prepared().all(Prepared::is_done)
    }

    fn prepared(&self) -> impl Iterator<Item = &Prepared> {
        self.artifacts.iter().chain([&self.pipeline]).chain(&self.observability)
    }

    /// Takes all change sets back; of stacks that do not stand yet nothing is left.
    ///
    /// # Errors
    /// The first one that could not be deleted; the others are.
    pub async fn discard(&self, clients: &Clients, clock: Clock) -> Result<(), StackError> {
        let mut outcome = Ok(());
        for one in self.prepared() {
            outcome = outcome.and(one.discard(clients, clock).await);
        }
        outcome
    }
}

/// Makes all change sets. Nothing is created, changed or deleted by it.
///
/// # Errors
/// When the name is taken, a stack is stuck or CloudFormation refuses a change set; then no change set is left.
pub async fn prepare(
    clients: &Clients,
    clock: Clock,
    request: &UpRequest,
    templates: &Templates,
) -> Result<UpPlan, StackError> {
    super::check_name(&request.env)?;
    let architecture = super::architecture(request)?;
    super::check_prefix(clients, request).await?;
    let mut standing = Vec::new();
    for part in Part::ALL {
        standing.push(usable(clients, request, part).await?);
    }
    let [artifacts, pipeline, observability] =
        <[Option<Stack>; 3]>::try_from(standing).expect("one for each part");
    let bucket = bucket(clients, request, artifacts.as_ref()).await?;
    let pipeline_request = pipeline_request(request, templates, architecture, &bucket)?;
    let code_stands = pipeline.as_ref().is_some_and(|stack| {
        let stands = parameters(stack);
        ["CodeBucket", "CodeKey"]
            .iter()
            .all(|name| stands.get(*name) == pipeline_request.parameters.get(name))
    });
    let is_fresh = pipeline.is_none();
    let reserved = request.environment.function.reserved_concurrency;
    let (limit, unknown_limit) = match concurrency_limit(clients, reserved).await {
        Ok(limit) => (limit, None),
        Err(why) => (None, Some(why)),
    };
    let concurrency_limit = limit.unwrap_or(crate::platform::limits::ACCOUNT_CONCURRENCY_DEFAULT);

    let mut plan = UpPlan {
        is_fresh,
        kinds: BTreeMap::new(),
        unobserved: None,
        artifacts: None,
        pipeline: make(clients, clock, pipeline_request, is_fresh).await?,
        observability: None,
        concurrency_limit,
        unknown_limit,
    };
    let needs_code = !code_stands || makes_function(&plan.pipeline.shown);
    let rest = Rest { clients, clock, request, templates };
    match rest.prepare(&mut plan, needs_code, artifacts, pipeline, observability).await {
        Ok(()) => Ok(plan),
        Err(error) => {
            // The first cause counts: what could not be taken back is found by `status` and `down`.
            let _ = plan.discard(clients, clock).await;
            Err(error)
        }
    }
}

struct Rest<'a> {
    clients: &'a Clients,
    clock: Clock,
    request: &'a UpRequest,
    templates: &'a Templates,
}

impl Rest<'_> {
    async fn prepare(
        &self,
        plan: &mut UpPlan,
        needs_code: bool,
        artifacts: Option<Stack>,
        pipeline: Option<Stack>,
        observability: Option<Stack>,
    ) -> Result<(), StackError> {
        let (clients, clock) = (self.clients, self.clock);
        if needs_code {
            let wanted = artifacts_request(self.request, self.templates);
            plan.artifacts = Some(make(clients, clock, wanted, artifacts.is_none()).await?);
        }
        let watched = match &pipeline {
            Some(stack) => Names::of(&deployed(stack))?,
            None => Names::foreseen(self.request),
        };
        let wanted = observability_request(self.request, self.templates, &watched, plan.concurrency_limit);
        match make(clients, clock, wanted, observability.is_none()).await {
            Ok(prepared) => plan.observability = Some(prepared),
            Err(error) if super::is_bearable(&error) => plan.unobserved = Some(error.to_string()),
            Err(error) => return Err(error),
        }
        plan.kinds = self.kinds(plan).await?;
        Ok(())
    }

    /// What stands with what is added and without what is removed. The bucket is not counted: it goes again.
    async fn kinds(&self, plan: &UpPlan) -> Result<BTreeMap<String, u32>, StackError> {
        let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
        for prepared in [Some(&plan.pipeline), plan.observability.as_ref()].into_iter().flatten() {
            if !prepared.creates {
                let name = &prepared.request.stack;
                for resource in patiently(name, || resources(self.clients, name)).await? {
                    *kinds.entry(resource.kind).or_default() += 1;
                }
            }
            for change in &prepared.shown.changes {
                let count = kinds.entry(change.kind.clone()).or_default();
                match change.verb {
                    Verb::Add => *count += 1,
                    Verb::Remove => *count = count.saturating_sub(1),
                    Verb::Modify | Verb::Replace | Verb::MayReplace => {}
                }
            }
        }
        Ok(kinds)
    }
}

/// The function is made from its zip where it is added or made anew.
fn makes_function(plan: &StackPlan) -> bool {
    plan.changes.iter().any(|change| {
        change.kind == "AWS::Lambda::Function"
            && matches!(change.verb, Verb::Add | Verb::Replace | Verb::MayReplace)
    })
}

/// The stack when it can be updated, `None` when it can be created.
///
/// # Errors
/// When it is not this environment's, or in a state that allows neither.
async fn usable(clients: &Clients, request: &UpRequest, part: Part) -> Result<Option<Stack>, StackError> {
    let env = &request.env;
    let name = part.stack_name(&request.environment.account.name_prefix, env);
    let Some(stack) = describe(clients, &name).await? else { return Ok(None) };
    let has = |key: &str, value: &str| {
        stack.tags().iter().any(|tag| tag.key() == Some(key) && tag.value() == Some(value))
    };
    match stack.stack_status() {
        // A review has no tags yet; it is explained, not touched.
        Some(StackStatus::ReviewInProgress) => Err(state_error(&stack)),
        _ if !has(TAG_MANAGED, "true") || !has(TAG_ENV, env) => Err(StackError::NotOurs { stack: name }),
        Some(
            StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::UpdateRollbackComplete,
        ) => Ok(Some(stack)),
        _ => Err(state_error(&stack)),
    }
}

/// The artifacts bucket, standing or to come.
async fn bucket(
    clients: &Clients,
    request: &UpRequest,
    artifacts: Option<&Stack>,
) -> Result<String, StackError> {
    if let Some(stack) = artifacts {
        return deployed(stack).output("ArtifactsBucketName");
    }
    let ask = || async {
        let caller = clients.sts.get_caller_identity().send().await;
        caller.map_err(|error| failed("STS", "find out which account this is", error))
    };
    let caller = patiently(&request.env, ask).await?;
    let account = caller.account().unwrap_or_default();
    let prefix = &request.environment.account.name_prefix;
    Ok(templates::artifacts_bucket_name(prefix, &request.env, account, &clients.region))
}

fn stack_request(request: &UpRequest, part: Part, template: &str, parameters: Parameters) -> Request {
    let account = &request.environment.account;
    Request {
        stack: part.stack_name(&account.name_prefix, &request.env),
        template: template.to_owned(),
        parameters,
        tags: super::tags(&request.tags, &request.env),
        // Leave to make a role is asked for where one is made.
        makes_role: part == Part::Pipeline && account.function_role.is_none(),
        service_role: account.cloudformation_role.clone(),
    }
}

fn artifacts_request(request: &UpRequest, templates: &Templates) -> Request {
    let parameters = templates::artifacts_parameters(&request.env, &request.environment.account);
    stack_request(request, Part::Artifacts, &templates.artifacts, parameters)
}

pub(super) fn pipeline_request(
    request: &UpRequest,
    templates: &Templates,
    architecture: Architecture,
    bucket: &str,
) -> Result<Request, StackError> {
    let key = super::code_key(&request.function_zip);
    let parameters =
        templates::pipeline_parameters(&request.env, &request.environment, architecture, bucket, &key);
    let template = templates.pipeline_for(&request.environment.account)?;
    Ok(stack_request(request, Part::Pipeline, &template, parameters))
}

pub(super) fn observability_request(
    request: &UpRequest,
    templates: &Templates,
    names: &Names,
    concurrency_limit: u32,
) -> Request {
    let watched = Watched {
        stream_name: &names.stream,
        function_name: &names.function,
        mapping_id: &names.mapping,
        receipts_queue_name: &names.receipts,
        dlq_name: &names.dlq,
        log_group: &names.log_group,
        concurrency_limit,
    };
    let parameters = templates::observability_parameters(&request.env, &request.environment, &watched);
    stack_request(request, Part::Observability, &templates.observability, parameters)
}

/// What the observability stack is told of the pipeline.
pub(super) struct Names {
    stream: String,
    function: String,
    mapping: String,
    receipts: String,
    dlq: String,
    log_group: String,
}

impl Names {
    pub fn of(pipeline: &Deployed) -> Result<Names, StackError> {
        Ok(Names {
            stream: pipeline.output("StreamName")?,
            function: pipeline.output("FunctionName")?,
            mapping: pipeline.output("MappingId")?,
            receipts: pipeline.output("ReceiptsQueueName")?,
            dlq: pipeline.output("DlqName")?,
            log_group: pipeline.output("LogGroupName")?,
        })
    }

    /// As `stacks/pipeline.yaml` makes them. A template of one's own may name them otherwise: then, as for the
    /// mapping, the change set is made again once they are known.
    fn foreseen(request: &UpRequest) -> Names {
        let prefix = &request.environment.account.name_prefix;
        let name = |what: &str| format!("{prefix}-{}-{what}", request.env);
        Names {
            stream: name("stream"),
            function: name("function"),
            mapping: MAPPING_TO_COME.to_owned(),
            receipts: name("receipts"),
            dlq: name("dlq"),
            log_group: format!("/aws/lambda/{}", name("function")),
        }
    }
}
