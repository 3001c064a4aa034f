//! The plan's `environment` as typed; see [`super::typed`].

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "StreamMode")]
pub(super) enum StreamModeDoc {
    Provisioned,
    OnDemand,
}

/// The Kinesis stream.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Stream")]
pub(super) struct StreamDoc {
    /// Default provisioned.
    pub mode: Option<StreamModeDoc>,
    /// Only when provisioned. Default 1.
    #[schemars(range(min = 1, max = 20_000))]
    pub shards: Option<i64>,
    /// Default 24.
    #[schemars(range(min = 24, max = 8_760))]
    pub retention_hours: Option<i64>,
    /// Largest record that the stream accepts. Default 1024.
    #[schemars(range(min = 1_024, max = 10_240))]
    pub max_record_kib: Option<i64>,
    pub encryption: Option<EncryptionDoc>,
}

/// Encryption of the stream's records at rest.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Encryption")]
pub(super) struct EncryptionDoc {
    /// ARN of a key, or `aws/kinesis` for the one that AWS keeps for Kinesis.
    #[schemars(required, regex(pattern = r"^(aws/kinesis|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+)$"))]
    pub kms_key: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Architecture")]
pub(super) enum ArchitectureDoc {
    #[serde(rename = "x86_64")]
    X8664,
    Arm64,
}

/// The function and its event source mapping.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Function")]
pub(super) struct FunctionDoc {
    /// Default 512.
    #[schemars(range(min = 128, max = 10_240))]
    pub memory_mb: Option<i64>,
    /// Default 60.
    #[schemars(range(min = 1, max = 900))]
    pub timeout_s: Option<i64>,
    /// Default: that of the machine that runs `up`.
    pub architecture: Option<ArchitectureDoc>,
    /// Default: not reserved.
    #[schemars(range(min = 1, max = 100_000))]
    pub reserved_concurrency: Option<i64>,
    /// Sandboxes that are kept started, at most `reserved_concurrency` where that is given. Default: none.
    #[schemars(range(min = 1, max = 100_000))]
    pub provisioned_concurrency: Option<i64>,
    /// The mapping reads through a registered consumer of its own instead of sharing the shards' reads. Default false.
    pub enhanced_fan_out: Option<bool>,
    /// Filter patterns of the mapping, each a JSON object as text: a record that matches none never comes to the function.
    #[schemars(length(min = 1, max = 5))]
    pub filter: Option<Vec<String>>,
    /// Default 7. One of the periods that CloudWatch Logs offers.
    pub log_retention_days: Option<i64>,
    /// Records a batch, at most. Default 100.
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_size: Option<i64>,
    /// How long the mapping gathers records for a batch. Default 0.
    #[schemars(range(min = 0, max = 300))]
    pub batch_window_s: Option<i64>,
    /// Concurrent batches a shard. Default 1.
    #[schemars(range(min = 1, max = 10))]
    pub parallelization: Option<i64>,
    /// Attempts after the first; -1 is until the record expires. Default 3.
    #[schemars(range(min = -1, max = 10_000))]
    pub retries: Option<i64>,
    /// Default true.
    pub bisect_on_error: Option<bool>,
    /// -1 (the default) is no limit, otherwise at least 60.
    #[schemars(range(min = -1, max = 604_800))]
    pub max_record_age_s: Option<i64>,
    /// Default true.
    pub partial_batch_response: Option<bool>,
    /// Busy work that each batch costs the function on purpose. Default 0.
    #[schemars(range(min = 0, max = 900_000))]
    pub work_ms_per_batch: Option<i64>,
    /// Whether the function prints the custom metric `EndToEndLatency` for the dashboard. Default true.
    pub end_to_end_metric: Option<bool>,
}

/// Thresholds of the alarms.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Alarms")]
pub(super) struct AlarmsDoc {
    /// Default 60000.
    #[schemars(range(min = 1, max = 604_800_000))]
    pub iterator_age_ms: Option<i64>,
    /// Default 1.
    #[schemars(range(min = 0, max = 100))]
    pub error_rate_percent: Option<f64>,
    /// Default 80.
    #[schemars(range(min = 0, max = 100))]
    pub duration_percent_of_timeout: Option<f64>,
    /// Default 80.
    #[schemars(range(min = 0, max = 100))]
    pub concurrency_percent_of_limit: Option<f64>,
    /// Throttled invocations a minute. Default 0.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub lambda_throttles: Option<i64>,
    /// Records a minute that the stream refuses. Default 0.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub write_throttles: Option<i64>,
    /// Reads a minute that the stream refuses. Default 0.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub read_throttles: Option<i64>,
    /// Given-up batches in the queue. Default 0.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub dlq_messages: Option<i64>,
}

/// What an account with guardrails asks of everything that is made in it. Mandatory tags: `tags` of the plan.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Account")]
pub(super) struct AccountDoc {
    /// What every name starts with. Default streamgauge.
    #[schemars(regex(pattern = r"^[a-z]([a-z0-9-]{0,12}[a-z0-9])?$"))]
    pub name_prefix: Option<String>,
    /// ARN of the policy that bounds the function's role.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$"))]
    pub permissions_boundary: Option<String>,
    /// Path of the function's role. Default /.
    #[schemars(regex(pattern = r"^/([A-Za-z0-9+=,.@_-]+/)*$"))]
    pub role_path: Option<String>,
    /// ARN of a role for the function: then no role is made, and no leave to make one is asked for.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"))]
    pub function_role: Option<String>,
    /// ARN of the role under which CloudFormation makes and removes everything. Default: as the caller.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"))]
    pub cloudformation_role: Option<String>,
    pub vpc: Option<VpcDoc>,
    /// ARN of the key for everything that is kept: stream (unless it has its own), queues, log, code.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$"))]
    pub kms_key: Option<String>,
}

/// The network that the function runs in.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Vpc")]
pub(super) struct VpcDoc {
    /// From which SQS and CloudWatch Logs can be reached.
    #[schemars(required, length(min = 1, max = 16), inner(regex(pattern = r"^subnet-[0-9a-f]+$")))]
    pub subnets: Option<Vec<String>>,
    #[schemars(required, length(min = 1, max = 5), inner(regex(pattern = r"^sg-[0-9a-f]+$")))]
    pub security_groups: Option<Vec<String>>,
}
