//! The plan as meant: validated, with every default filled in. It cannot be wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use super::action::{Action, ActionChange};
pub use super::shapes::{Arrivals, KeyDistribution, Keys, RateStep};

/// A whole plan (`schema: streamgauge/plan/v1`).
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub name: String,
    pub environment: Environment,
    /// The pipeline that the plan runs against, where it stands already; `environment` then has defaults only.
    pub existing: Option<super::Existing>,
    pub phases: Vec<Phase>,
    /// Criteria on the whole run (`criteria:` at plan level).
    pub criteria: Vec<Criterion>,
    /// `budget:` in USD, as written; a decimal number.
    pub budget_usd: Option<String>,
    /// What to do when a red flag is raised.
    pub flags: Vec<FlagPolicy>,
    /// How long to wait, at most, for the pipeline to drain after a test.
    pub drain: Duration,
    /// What `rehearse` assumes.
    pub rehearsal: super::Rehearsal,
    pub tags: BTreeMap<String, String>,
    /// The peak that production expects, records/s.
    pub expected_peak_rps: Option<f64>,
    /// SHA-256 of the plan's text and of the files that it names, hex: what a campaign and a comparison go by.
    pub hash: String,
    /// The plan's text as read: kept whole in the run directory.
    pub text: String,
    /// The files that the plan names, by the names that it has for them: kept in the run directory too.
    pub files: BTreeMap<String, super::PlanFile>,
}

impl Plan {
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        self.phases.iter().flat_map(|phase| phase.tests.iter())
    }

    /// The same plan with these of its tests alone, by their ids.
    pub fn with_only(&self, is_wanted: impl Fn(&Test) -> bool) -> Plan {
        let mut plan = self.clone();
        for phase in &mut plan.phases {
            phase.tests.retain(&is_wanted);
        }
        plan.phases.retain(|phase| !phase.tests.is_empty());
        plan
    }
}

/// What the pipeline's stack is made of. Maps one to one to the parameters of `stacks/pipeline.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    pub stream: StreamSpec,
    pub function: FunctionSpec,
    pub alarms: AlarmSpec,
    pub account: AccountSpec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamMode {
    Provisioned,
    OnDemand,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StreamSpec {
    pub mode: StreamMode,
    /// Shards; only meaningful when provisioned.
    pub shards: u32,
    pub retention_hours: u32,
    /// Largest record that the stream accepts, KiB.
    pub max_record_kib: u32,
    /// As Kinesis takes it: `alias/aws/kinesis`, or the ARN of a key. `None`: the account's, else none.
    pub encryption_key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Arm64,
}

/// The function and its event source mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSpec {
    pub memory_mb: u32,
    pub timeout_s: u32,
    /// `None`: that of the machine that runs `up`.
    pub architecture: Option<Architecture>,
    pub reserved_concurrency: Option<u32>,
    /// Sandboxes kept started, at most `reserved_concurrency`.
    pub provisioned_concurrency: Option<u32>,
    /// The mapping reads through a registered consumer of its own.
    pub enhanced_fan_out: bool,
    /// Patterns of the mapping's filter, each a JSON object; none: everything comes to the function.
    pub filters: Vec<String>,
    pub log_retention_days: u32,
    pub batch_size: u32,
    pub batch_window_s: u32,
    pub parallelization: u32,
    /// Attempts after the first; -1 is until the record expires.
    pub retries: i32,
    pub bisect_on_error: bool,
    /// Seconds; -1 is no limit.
    pub max_record_age_s: i32,
    pub partial_batch_response: bool,
    /// What each record costs the function on purpose, in ms of busy work: a stand-in for real work.
    pub work_ms_per_batch: u32,
    /// Paths, other than the default, at which the function looks for envelopes: those of the plan's payloads.
    pub envelope_paths: Vec<super::EnvelopePath>,
    /// Prints the custom metric that the dashboard shows: a metric, and a log line an invocation.
    pub end_to_end_metric: bool,
}

/// Thresholds of the alarms in `stacks/observability.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmSpec {
    pub iterator_age_ms: u64,
    pub error_rate_percent: f64,
    pub duration_percent_of_timeout: f64,
    pub concurrency_percent_of_limit: f64,
    /// Each in a minute.
    pub lambda_throttles: u32,
    pub write_throttles: u32,
    pub read_throttles: u32,
    /// Messages in the queue for batches that were given up.
    pub dlq_messages: u32,
}

/// What every name starts with unless the plan says otherwise.
pub const NAME_PREFIX: &str = "streamgauge";

/// What an account with guardrails asks of all that is made in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSpec {
    /// 1 to 14 lower-case letters, digits and hyphens, starting with a letter.
    pub name_prefix: String,
    /// ARN of the policy that bounds the function's role.
    pub permissions_boundary: Option<String>,
    /// Of the function's role; starts and ends with a slash.
    pub role_path: String,
    /// ARN of a role that is there: then none is made.
    pub function_role: Option<String>,
    /// ARN of the role under which CloudFormation works; `None`: the caller's permissions.
    pub cloudformation_role: Option<String>,
    pub vpc: Option<VpcSpec>,
    /// ARN of the key for everything that is kept.
    pub kms_key: Option<String>,
}

impl Default for AccountSpec {
    fn default() -> AccountSpec {
        AccountSpec {
            name_prefix: NAME_PREFIX.to_owned(),
            permissions_boundary: None,
            role_path: "/".to_owned(),
            function_role: None,
            cloudformation_role: None,
            vpc: None,
            kms_key: None,
        }
    }
}

/// The function's network; neither list is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpcSpec {
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    pub name: String,
    pub week: u32,
    pub tests: Vec<Test>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub id: String,
    pub name: String,
    pub payload: super::Payload,
    pub put: PutMode,
    pub keys: Keys,
    pub arrivals: Arrivals,
    /// Put requests in flight are bounded to this many records; waiting for a slot is charged to the record.
    pub max_in_flight: u32,
    /// Attempts for each record in all, the first included; at least 1.
    pub put_attempts: u32,
    /// One attempt is given up after this long; its outcome is then unknown.
    pub attempt_timeout: Duration,
    pub stages: Vec<Stage>,
    /// A closed loop; `None`: an open one.
    pub users: Option<super::Users>,
    /// The test's own criteria.
    pub criteria: Vec<Criterion>,
    /// It is meant to find the pipeline's limit: [`Plan::criteria`] are judged without it.
    pub beyond_capacity: bool,
}

impl Test {
    pub fn duration(&self) -> Duration {
        self.stages.iter().map(|stage| stage.duration).sum()
    }
    pub fn peak_rps(&self) -> f64 {
        self.stages.iter().map(Stage::peak_rps).fold(0.0, f64::max)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// One PutRecord a record.
    Record,
    /// PutRecords with all records that are due, up to 500.
    Batch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// One rate from its beginning to its end.
    Hold,
    /// Linear from one rate to another.
    Ramp,
    /// Several rates, each held for a while: a part of a series.
    Replay,
}

impl StageKind {
    pub fn as_str(self) -> &'static str {
        match self {
            StageKind::Hold => "hold",
            StageKind::Ramp => "ramp",
            StageKind::Replay => "replay",
        }
    }
}

/// One stage; every stage is a level of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub duration: Duration,
    /// Of a replay: its mean, as is its target.
    pub from_rps: f64,
    pub target_rps: f64,
    pub kind: StageKind,
    /// The rates of a replay, the first from the stage's start on; otherwise none.
    pub steps: Arc<[RateStep]>,
    /// Records of the stage that the function is to fail on, evenly spread (`load::schedule`).
    pub poison: u64,
    /// What is changed in the pipeline meanwhile.
    pub actions: Vec<Action>,
}

/// One criterion, for example `put_latency.p95 < 100ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// As written, spaces normalized.
    pub text: String,
    pub metric: Metric,
    pub stat: Option<Stat>,
    pub op: Op,
    /// In the metric's own unit (see [`Metric::unit`]).
    pub threshold: f64,
    pub position: Position,
}

/// The metrics that a criterion may name: spec/metrics.md of the design, documented in `docs/metrics.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    SuccessRate,
    FirstTryRate,
    ErrorRate,
    PutLatency,
    ServiceTime,
    E2eLatency,
    StreamWait,
    FunctionDuration,
    SinkLatency,
    Throttles,
    ReadThrottles,
    LambdaThrottles,
    LambdaErrors,
    IteratorAge,
    Lost,
    Unconfirmed,
    Duplicates,
    OutOfOrder,
    DeadLettered,
    ThroughputRatio,
    ColdStartRate,
    MemoryUsed,
    DlqDepth,
    GeneratorLag,
    CostPerMillion,
    DrainTime,
    DriftPutLatency,
    DriftE2eLatency,
    DriftThroughput,
    DriftMemoryUsed,
    DriftGeneratorMemory,
    RecoveryPutLatency,
    RecoveryE2eLatency,
    ScalingTime,
    CloudwatchCostRatio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Percent,
    Milliseconds,
    Seconds,
    Count,
    Usd,
}

/// Which part of a metric's distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    P50,
    P95,
    P99,
    P999,
    Avg,
    Max,
    /// Of the whole windows of ten seconds, the worst.
    Min,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

impl Op {
    pub fn holds(self, observed: f64, threshold: f64) -> bool {
        match self {
            Op::Less => observed < threshold,
            Op::LessOrEqual => observed <= threshold,
            Op::Greater => observed > threshold,
            Op::GreaterOrEqual => observed >= threshold,
            Op::Equal => observed == threshold,
        }
    }
}

/// A red flag and what the run does when it is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagPolicy {
    pub flag: Flag,
    pub action: FlagAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    IteratorAgeGrowing,
    LambdaThrottles,
    WriteThroughputExceeded,
    ReadThroughputExceeded,
    ErrorRate,
    LambdaDuration,
    DlqFilling,
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagAction {
    Note,
    Stop,
}

/// Where in the plan's text: both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}
