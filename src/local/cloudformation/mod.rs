//! CloudFormation as far as the stacks of this repository and plain templates like them need it:
//! parameters, conditions, mappings, intrinsic functions, outputs, dependency order, events, updates with and
//! without replacement, change sets, rollback and deletion. Stack operations run in the background; the API
//! answers at once. Not there: nested stacks, macros and transforms, imports between stacks; each is refused
//! by name.

mod changes;
mod definition;
mod engine;
mod graph;
mod input;
mod intrinsics;
mod limits;
mod operations;
mod parameters;
mod resources;
mod shape;
mod state;
mod template;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::service::{ApiResult, BoxFuture, Context, Service, unknown_operation};
use engine::Engine;
use operations::{change_sets, describe, stacks, templates};

/// The service. Call it from within a tokio runtime: stack operations are spawned on it.
pub struct CloudFormation {
    engine: Arc<Engine>,
}

impl CloudFormation {
    /// `services` by name: `kinesis`, `lambda`, `sqs`, `s3`, `logs`, `iam`, `monitoring` (CloudWatch). A resource
    /// of a service that is missing fails when it is created.
    pub fn new(context: Context, services: BTreeMap<&'static str, Arc<dyn Service>>) -> Arc<CloudFormation> {
        Arc::new(CloudFormation { engine: Arc::new(Engine::new(context, services)) })
    }
}

impl Service for CloudFormation {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move {
            let engine = &self.engine;
            match operation {
                "CreateStack" => stacks::create_stack(engine, &input).await,
                "UpdateStack" => stacks::update_stack(engine, &input).await,
                "CancelUpdateStack" => stacks::cancel_update_stack(engine, &input),
                "ContinueUpdateRollback" => stacks::continue_update_rollback(engine, &input),
                "RollbackStack" => stacks::rollback_stack(engine, &input),
                "UpdateTerminationProtection" => stacks::update_termination_protection(engine, &input),
                "DeleteStack" => stacks::delete_stack(engine, &input),
                "CreateChangeSet" => change_sets::create_change_set(engine, &input).await,
                "DescribeChangeSet" => change_sets::describe_change_set(engine, &input),
                "ListChangeSets" => change_sets::list_change_sets(engine, &input),
                "ExecuteChangeSet" => change_sets::execute_change_set(engine, &input),
                "DeleteChangeSet" => change_sets::delete_change_set(engine, &input),
                "ValidateTemplate" => templates::validate_template(engine, &input).await,
                "GetTemplateSummary" => templates::get_template_summary(engine, &input).await,
                "GetTemplate" => templates::get_template(engine, &input),
                "DescribeStacks" => describe::describe_stacks(engine, &input),
                "DescribeStackEvents" => describe::describe_stack_events(engine, &input),
                "DescribeStackResources" => describe::describe_stack_resources(engine, &input),
                "DescribeStackResource" => describe::describe_stack_resource(engine, &input),
                "ListStacks" => describe::list_stacks(engine, &input),
                "ListExports" => describe::list_exports(engine, &input),
                "ListStackResources" => describe::list_stack_resources(engine, &input),
                _ => Err(unknown_operation(operation)),
            }
        })
    }
}
