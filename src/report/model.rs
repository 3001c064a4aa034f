//! The one model that every rendering is made of. Serialized it is `report.json`; its schema is
//! `schemas/report-v1.schema.json`.
//!
//! Numbers are rounded to three decimals, money is a decimal string, what was not measured is null.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

use super::actions::ActionReport;
use super::charts::TestCharts;
use super::existing::ExistingReport;

/// The value of `schema`.
pub const SCHEMA: &str = "streamgauge/report/v1";

/// Exact money: a decimal string such as `"0.0123"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Exact(pub Decimal);

impl JsonSchema for Exact {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Exact".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "An exact decimal number, as a string.",
            "type": "string",
            "pattern": r"^-?[0-9]+(\.[0-9]+)?$",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportModel {
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    pub run: RunReport,
    /// The executive summary: plain sentences, worked out from verdicts and findings.
    pub summary: Vec<String>,
    pub environment: EnvironmentReport,
    pub tests: Vec<TestReport>,
    /// The plan's criteria on the whole run.
    pub criteria: Vec<CriterionReport>,
    /// Null where delivery was not measured: nothing can be said about any record then.
    pub delivery: Option<DeliveryReport>,
    pub cost: CostReport,
    /// The one that came first in time first.
    pub findings: Vec<FindingReport>,
    /// The highest judged rate that was carried without a finding.
    pub known_up_to_rps: Option<f64>,
    /// The same in words.
    pub known_up_to: Option<String>,
    pub flags: Vec<FlagReport>,
    /// Remarks about the evidence: what was dropped, unsettled or not found.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunReport {
    pub id: String,
    /// Name of the plan.
    pub plan: String,
    /// SHA-256 of the plan's text, hex.
    pub plan_hash: String,
    pub target: String,
    pub region: String,
    /// What the generator ran on.
    pub host: String,
    pub tool_version: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub ended_at: Option<String>,
    /// `completed`, `killed`, or why it was stopped early.
    pub end: String,
    /// Made in virtual time: every figure is predicted, none is measured.
    pub rehearsal: bool,
    /// What a rehearsal rests on in place of a measurement, a clause each; empty for a run.
    pub assumptions: Vec<String>,
    /// Faults planted on purpose, as `--fault` writes them; empty for a run as it comes.
    pub faults: Vec<String>,
    pub verdict: Verdict,
    pub generator_peak_mb: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentReport {
    pub name: String,
    pub account: String,
    pub stream: StreamReport,
    pub function: FunctionReport,
    pub alarms: u32,
    pub dashboards: u32,
    /// Null where streamgauge made the pipeline.
    pub existing: Option<ExistingReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamReport {
    pub name: String,
    /// `provisioned` or `on-demand`.
    pub mode: String,
    pub shards: u32,
    pub retention_hours: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionReport {
    pub name: String,
    pub architecture: String,
    pub memory_mb: u32,
    pub timeout_s: u32,
    pub batch_size: u32,
    pub batch_window_s: u32,
    pub parallelization: u32,
    pub retries: i32,
    pub bisect_on_error: bool,
    pub concurrency_limit: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestReport {
    pub id: String,
    pub name: String,
    pub verdict: Verdict,
    pub payload: PayloadReport,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub finished: bool,
    /// Seconds from the last record sent to the last acked record seen; null when it never drained.
    pub drain_s: Option<f64>,
    pub criteria: Vec<CriterionReport>,
    pub levels: Vec<LevelReport>,
    /// Where the load, rising, broke the pipeline; null where it did not, or did not rise through several rates.
    pub breaking_point: Option<BreakingPointReport>,
    /// What batches that failed held up; null where none did and the plan poisoned no record.
    pub blocked: Option<BlockedReport>,
    /// What the plan changed in the pipeline meanwhile, in its order.
    pub actions: Vec<ActionReport>,
    /// Of virtual users: what they did, and what such a load cannot show; null for an open loop.
    pub closed_loop: Option<String>,
    /// What CloudWatch gave for the whole test, by `service.Metric.Statistic`.
    pub cloudwatch: BTreeMap<String, f64>,
    /// Drawn, not serialized: the per-second rows are in `series.csv`.
    #[serde(skip)]
    pub charts: TestCharts,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakingPointReport {
    /// The first rate at which refusals, iterator age or put latency left their band and stayed out, records/s.
    pub rps: f64,
    /// The limit that gave way first, as a finding names it, or what left its band.
    pub first: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// One sentence with the numbers.
    pub evidence: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadReport {
    pub name: String,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CriterionReport {
    /// As the plan has it.
    pub text: String,
    pub verdict: Verdict,
    /// The worst judged level's value, or that of the whole test.
    pub observed: Option<f64>,
    /// Of an estimate such as a drift, and absent elsewhere: the true value lies between these two with 95 % confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    pub threshold: f64,
    /// `%`, `ms`, `s`, `USD`; empty for counts.
    #[schemars(extend("enum" = ["%", "ms", "s", "USD", ""]))]
    pub unit: String,
    pub reason: String,
    /// The level that decided; null where the whole test did.
    pub level: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelReport {
    pub name: String,
    /// `hold`, `ramp`, or `replay`: a part of a series, whose rates are its mean.
    #[schemars(extend("enum" = ["hold", "ramp", "replay"]))]
    pub kind: String,
    /// Virtual users, of a closed loop; else null.
    pub users: Option<UsersReport>,
    /// Null in a closed loop, which has no target rate.
    pub from_rps: Option<f64>,
    /// As `from_rps`.
    pub target_rps: Option<f64>,
    /// Null where the level was never started.
    pub achieved_rps: Option<f64>,
    pub started_at: Option<String>,
    pub duration_s: f64,
    pub finished: bool,
    /// Whether criteria judge it.
    pub judged: bool,
    /// Null, as the counts below, where `sends.jsonl` is lost.
    pub scheduled: Option<u64>,
    pub sent: Option<u64>,
    pub acked: Option<u64>,
    pub failed: Option<u64>,
    pub failed_by_reason: BTreeMap<String, u64>,
    pub throttled: Option<u64>,
    pub retried: Option<u64>,
    /// Acked over sent.
    pub success_percent: Option<f64>,
    /// Why the level says nothing about the pipeline; null when it does.
    pub void: Option<String>,
    /// Records that waited for an in-flight slot.
    pub in_flight_limited: Option<u64>,
    pub generator_lag_ms: Option<DistReport>,
    /// From the due time.
    pub put_latency_ms: Option<DistReport>,
    /// From the actual send.
    pub service_time_ms: Option<DistReport>,
    pub e2e_latency_ms: Option<E2eReport>,
    pub stages_ms: StagesReport,
    pub iterator_age_ms_max: Option<f64>,
    /// Null, as `cold_starts`, without receipts.
    pub invocations: Option<u64>,
    pub records_per_invocation: Option<f64>,
    pub cold_starts: Option<u64>,
    pub memory_used_mb_max: Option<u32>,
    /// Null where delivery was not measured.
    pub delivery: Option<DeliveryReport>,
    /// USD; null where the level did not finish, delivered nothing, or a price is missing.
    pub cost_per_million: Option<Exact>,
    /// CloudWatch's values of the whole minutes inside the level.
    pub cloudwatch: BTreeMap<String, CloudWatchValue>,
}

/// Virtual users at the start and at the end of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersReport {
    pub from: u32,
    pub target: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudWatchValue {
    pub value: Option<f64>,
    /// Why there is no value.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistReport {
    pub count: u64,
    pub avg: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct E2eReport {
    pub count: u64,
    pub avg: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    /// Half the width of the interval that holds the offset between the clocks; null where none is known.
    pub clock_error_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StagesReport {
    /// Due to arrival in the stream; crosses clocks.
    pub put: Option<DistReport>,
    /// Arrival to function start.
    pub stream: Option<DistReport>,
    /// Function start to done with the record.
    pub function: Option<DistReport>,
    pub sink: Option<DistReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryReport {
    /// The collection of receipts ran to its end.
    pub complete: bool,
    pub acked: u64,
    pub delivered: u64,
    /// Null while `complete` is false.
    pub lost: Option<u64>,
    /// Those of the lost that the stream forgot, its retention over, before the function was handed them.
    #[serde(default)]
    pub expired: u64,
    pub unconfirmed: u64,
    pub delivered_unacked: u64,
    pub duplicated: DuplicatedReport,
    pub out_of_order: u64,
    /// Order changed by concurrent puts or retries, before the stream saw it.
    pub reordered_by_producer: u64,
    pub dead_lettered: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuplicatedReport {
    /// Two Kinesis sequence numbers: put twice.
    pub producer: u64,
    /// One Kinesis sequence number, seen twice.
    pub redelivery: u64,
}

/// How batches that failed held shards up. Good records are those that the plan did not poison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockedReport {
    /// Acked records that the plan had poisoned.
    pub poisoned: u64,
    /// Seconds, summed over the blocks that ended.
    pub blocked_s: f64,
    /// Null where no block ended.
    pub longest_s: Option<f64>,
    /// Invocations that failed.
    pub failed_attempts: u64,
    /// Good records that waited and were processed in the end.
    pub good_waited: u64,
    /// By how much longer they waited.
    pub added_wait_ms: Option<DistReport>,
    /// Messages of the on-failure queue; the range of each was read again to name its records.
    pub dead_letter_ranges: u64,
    pub dead_lettered: u64,
    /// How many of them were good, and how many of those no attempt had processed.
    pub good_dead_lettered: u64,
    pub good_never_processed: u64,
    /// In order of their start.
    pub blocks: Vec<BlockReport>,
}

/// One time during which a shard waited for a batch that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockReport {
    pub shard: String,
    /// Start of the first attempt that failed.
    pub from: String,
    /// When the last of its records was processed or given up; null: not before the run ended.
    pub until: Option<String>,
    pub blocked_s: Option<f64>,
    pub failed_attempts: u64,
    /// Sequences of the poisoned records in it.
    pub poison: Vec<u64>,
    pub good_waited: u64,
    pub added_wait_ms: Option<DistReport>,
    pub dead_letter_ranges: u64,
    pub dead_lettered: u64,
    /// First and last sequence of each range of dead-lettered records.
    pub dead_lettered_sequences: Vec<(u64, u64)>,
    pub good_dead_lettered: u64,
    pub good_never_processed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostReport {
    pub currency: String,
    pub prices_as_of: String,
    /// What production would pay for the same load.
    pub pipeline: PipelineCostReport,
    /// What only the measuring cost.
    pub test: LinesReport,
    /// What the plan was expected to cost before it ran.
    pub forecast: ForecastReport,
    /// Where a number was assumed instead of measured.
    pub assumptions: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineCostReport {
    pub lines: Vec<LineReport>,
    pub total: Exact,
    /// A line is unpriced: the total is a lower bound.
    pub incomplete: bool,
    /// Null without delivered records.
    pub per_million_records: Option<Exact>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinesReport {
    pub lines: Vec<LineReport>,
    pub total: Exact,
    pub incomplete: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineReport {
    pub service: String,
    pub item: String,
    pub quantity: Exact,
    pub unit: String,
    /// Null: no price for it in the book.
    pub unit_price: Option<Exact>,
    pub amount: Option<Exact>,
    pub basis: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForecastReport {
    pub pipeline_total: Exact,
    pub test_total: Exact,
    pub incomplete: bool,
    pub per_million_records: Option<Exact>,
    pub assumptions: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingReport {
    /// What limits: generator, Kinesis write, Lambda concurrency and so on.
    pub limit: String,
    pub from_rps: Option<f64>,
    pub at: Option<String>,
    pub evidence: Vec<EvidenceReport>,
    /// Such as `shards 1 -> 2`; null where the numbers do not tell.
    pub change: Option<String>,
    /// USD; null without a change, or where its cost is not known.
    pub monthly_cost_of_change: Option<Exact>,
    pub explanation: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceReport {
    pub metric: String,
    pub at: Option<String>,
    pub value: f64,
    pub unit: String,
    pub level: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagReport {
    pub flag: String,
    pub at: String,
    /// Name of the level.
    pub level: Option<String>,
    pub detail: String,
    /// Whether the plan had it stop the run.
    pub stopped: bool,
    /// Whether CloudWatch shows it, too, over the minutes of the level; null: it has nothing on it, or had not settled.
    pub confirmed: Option<bool>,
    /// What was looked at, such as `lambda.Throttles.Sum`.
    pub confirmed_by: Option<String>,
    pub confirmed_value: Option<f64>,
    /// `ms`, `MB`, `%`; empty for counts.
    pub confirmed_unit: String,
}
