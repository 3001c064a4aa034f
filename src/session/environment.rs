//! Between what the stacks say and what the evidence keeps of them.

use crate::evidence::existing::ExistingInfo;
use crate::evidence::model::EnvironmentInfo;
use crate::plan::{Environment, StreamMode};
use crate::stack::Standing;

/// What is kept of an environment in a run directory.
pub fn info(standing: &Standing) -> EnvironmentInfo {
    EnvironmentInfo {
        v: EnvironmentInfo::VERSION,
        name: standing.env.clone(),
        account: standing.account.clone(),
        stream_name: standing.stream_name.clone(),
        stream_arn: standing.stream_arn.clone(),
        stream_mode: standing.stream_mode.clone(),
        shards: standing.shards,
        retention_hours: standing.retention_hours,
        function_name: standing.function_name.clone(),
        function_arn: standing.function_arn.clone(),
        architecture: standing.architecture.clone(),
        memory_mb: standing.memory_mb,
        timeout_s: standing.timeout_s,
        batch_size: standing.batch_size,
        batch_window_s: standing.batch_window_s,
        parallelization: standing.parallelization,
        retries: standing.retries,
        bisect_on_error: standing.bisect_on_error,
        concurrency_limit: standing.concurrency_limit,
        mapping_uuid: standing.mapping_uuid.clone(),
        log_group: standing.log_group.clone(),
        receipts_queue_url: standing.receipts_queue_url.clone(),
        dlq_url: standing.dlq_url.clone(),
        alarms: standing.alarms,
        dashboards: standing.dashboards,
        up_us: standing.up_us.or((standing.created_us > 0).then_some(standing.created_us)),
        down_us: None,
        existing: standing.existing.as_ref().map(|existing| ExistingInfo {
            readers: existing.readers.clone(),
            before: existing.configuration.clone(),
            after: None,
            receipts: existing.receipts,
        }),
    }
}

/// Where an environment that stands is not what a plan asks for; empty when it is.
pub fn differences(standing: &Standing, wanted: &Environment) -> Vec<String> {
    let (stream, function) = (&wanted.stream, &wanted.function);
    let mode = stream.mode.as_str();
    let mut pairs = vec![
        ("stream mode", standing.stream_mode.clone(), mode.to_owned()),
        ("memory_mb", standing.memory_mb.to_string(), function.memory_mb.to_string()),
        ("timeout_s", standing.timeout_s.to_string(), function.timeout_s.to_string()),
        ("batch_size", standing.batch_size.to_string(), function.batch_size.to_string()),
        ("batch_window_s", standing.batch_window_s.to_string(), function.batch_window_s.to_string()),
        ("parallelization", standing.parallelization.to_string(), function.parallelization.to_string()),
        ("retries", standing.retries.to_string(), function.retries.to_string()),
        ("bisect_on_error", standing.bisect_on_error.to_string(), function.bisect_on_error.to_string()),
        ("work_ms_per_batch", standing.work_ms_per_batch.to_string(), function.work_ms_per_batch.to_string()),
    ];
    if stream.mode == StreamMode::Provisioned {
        pairs.push(("shards", standing.shards.to_string(), stream.shards.to_string()));
    }
    pairs
        .into_iter()
        .filter(|(_, stands, asked)| stands != asked)
        .map(|(what, stands, asked)| format!("{what}: stands {stands}, the plan asks for {asked}"))
        .collect()
}
