//! CloudFormation as far as the stacks of this repository and plain templates like them need it:
//! parameters, conditions, mappings, intrinsic functions, outputs, dependency order, events, rollback and
//! deletion. Stack operations run in the background; the API answers at once. Not there: updates, change
//! sets, nested stacks, macros and transforms, imports between stacks; each is refused by name.

mod engine;
mod graph;
mod intrinsics;
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
                "CreateStack" => operations::create_stack(engine, &input).await,
                "DeleteStack" => operations::delete_stack(engine, &input),
                "UpdateStack" => operations::update_stack(engine, &input).await,
                "ValidateTemplate" => operations::validate_template(engine, &input).await,
                "GetTemplateSummary" => operations::get_template_summary(engine, &input).await,
                "GetTemplate" => operations::get_template(engine, &input),
                "DescribeStacks" => operations::describe_stacks(engine, &input),
                "DescribeStackEvents" => operations::describe_stack_events(engine, &input),
                "DescribeStackResources" => operations::describe_stack_resources(engine, &input),
                "DescribeStackResource" => operations::describe_stack_resource(engine, &input),
                "ListStacks" => operations::list_stacks(engine, &input),
                "ListStackResources" => operations::list_stack_resources(engine, &input),
                _ => Err(unknown_operation(operation)),
            }
        })
    }
}
