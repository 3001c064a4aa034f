//! What the tests of this room share. Here alone the room knows the local endpoint: its CloudFormation
//! deploys the shipped templates.

mod change_sets;
mod door;
mod guardrails;
mod shipped;
mod teardown;
mod up;

use crate::plan::{AccountSpec, AlarmSpec, Environment, FunctionSpec, StreamMode, StreamSpec};

pub fn environment() -> Environment {
    Environment {
        stream: StreamSpec {
            mode: StreamMode::Provisioned,
            shards: 2,
            retention_hours: 48,
            max_record_kib: 1_024,
            encryption_key: None,
        },
        function: FunctionSpec {
            memory_mb: 256,
            timeout_s: 30,
            architecture: None,
            reserved_concurrency: None,
            provisioned_concurrency: None,
            enhanced_fan_out: false,
            filters: Vec::new(),
            log_retention_days: 3,
            batch_size: 50,
            batch_window_s: 1,
            parallelization: 2,
            retries: 5,
            bisect_on_error: true,
            max_record_age_s: 3_600,
            partial_batch_response: true,
            work_ms_per_batch: 7,
            envelope_paths: Vec::new(),
            end_to_end_metric: false,
        },
        alarms: AlarmSpec {
            iterator_age_ms: 30_000,
            error_rate_percent: 0.5,
            duration_percent_of_timeout: 75.0,
            concurrency_percent_of_limit: 80.0,
            lambda_throttles: 0,
            write_throttles: 0,
            read_throttles: 0,
            dlq_messages: 0,
        },
        account: AccountSpec::default(),
    }
}
