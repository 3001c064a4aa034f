//! Everything that a report is made of, as plain data. A pure function of the run directory makes it;
//! cost, verdict and report only read it.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::ActionEvidence;
use super::drawn::{FunctionSecond, Quantile};
use super::existing::{Change, ExistingInfo, Foreign};
use super::gaps::Gaps;
pub use super::windows::{TestWindows, Window};
use crate::plan;
use crate::platform::clock::WallUs;

#[derive(Clone, Debug)]
pub struct Evidence {
    pub run: RunInfo,
    pub plan: plan::Plan,
    pub environment: EnvironmentInfo,
    pub tests: Vec<TestEvidence>,
    pub delivery: Delivery,
    pub cloudwatch: CloudWatch,
    pub usage: Usage,
    pub flags: Vec<FlagRaised>,
    /// Settings of an existing pipeline that changed during the run.
    pub changes: Vec<Change>,
    /// What other producers sent into an existing pipeline; `None` where it is not known.
    pub foreign: Option<Foreign>,
    /// Readiness probes that were acked: CloudWatch counts them, the accounting does not.
    pub probes_acked: u64,
    /// Invocations that sent a receipt of this run.
    pub receipts: u64,
    /// One row per second and level: what the charts over time are drawn from.
    pub seconds: Vec<SecondRow>,
    /// Receipts summed per second of function start: end-to-end side of the charts.
    pub receipt_seconds: Vec<ReceiptSecond>,
    /// What the function did second by second: busy time, cold starts, records settled.
    pub function_seconds: Vec<FunctionSecond>,
    /// Records that the function saw, by level and by the shard that they came from; redelivered ones each time.
    pub by_shard: BTreeMap<u32, BTreeMap<String, u64>>,
    /// The tool read the stream itself after the load: for records without a receipt, or for dead letters.
    pub re_read: bool,
    /// Files of the run directory that are missing or not whole: nothing that rests on them may pass.
    pub gaps: Gaps,
    /// Remarks for the reader: a torn line dropped, metrics unsettled, a lookup that failed.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct RunInfo {
    pub id: String,
    pub tool_version: String,
    /// `local` or `aws`.
    pub target: String,
    pub region: String,
    pub host: String,
    pub started_us: WallUs,
    pub ended_us: Option<WallUs>,
    pub end: RunEnd,
    pub rehearsal: bool,
    /// What a rehearsal assumes in place of a measurement, a sentence each; empty for a run.
    pub assumptions: Vec<String>,
    /// Faults planted on purpose, as `--fault` writes them.
    pub faults: Vec<String>,
    /// Peak resident memory of the generator process, MB; `None` where the system does not tell.
    pub generator_peak_mb: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// All tests ran to their end.
    Completed,
    /// Stopped early, with the reason (red flag, budget, interrupt, environment failed).
    Stopped(String),
    /// No end was written: the process was killed.
    Killed,
}

/// Above this the generator was the limit: a record that is not even ready in time says nothing about the
/// pipeline.
pub const GENERATOR_LAG_P99_MAX_MS: f64 = 10.0;

/// What stood while the run was made.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct EnvironmentInfo {
    /// Version of the format; files from before it was written have none, and are read as 0.
    pub v: u32,
    pub name: String,
    pub account: String,
    pub stream_name: String,
    pub stream_arn: String,
    /// `provisioned` or `on-demand`.
    pub stream_mode: String,
    pub shards: u32,
    pub retention_hours: u32,
    pub function_name: String,
    pub function_arn: String,
    pub architecture: String,
    pub memory_mb: u32,
    pub timeout_s: u32,
    pub batch_size: u32,
    pub batch_window_s: u32,
    pub parallelization: u32,
    pub retries: i32,
    pub bisect_on_error: bool,
    pub concurrency_limit: Option<u32>,
    pub mapping_uuid: String,
    pub log_group: String,
    pub receipts_queue_url: String,
    pub dlq_url: String,
    pub alarms: u32,
    pub dashboards: u32,
    /// When the stacks were complete and when they were gone, if known.
    pub up_us: Option<WallUs>,
    pub down_us: Option<WallUs>,
    /// Where the pipeline was there before the run.
    pub existing: Option<ExistingInfo>,
}

impl EnvironmentInfo {
    pub const VERSION: u32 = 1;
}

#[derive(Clone, Debug)]
pub struct TestEvidence {
    /// Index into `plan.tests()`.
    pub plan_index: usize,
    pub id: String,
    pub name: String,
    pub payload: plan::Payload,
    pub levels: Vec<LevelEvidence>,
    pub started_us: Option<WallUs>,
    pub ended_us: Option<WallUs>,
    /// From the last record sent to the last acked record seen; `None` when it never drained.
    pub drain_s: Option<f64>,
    pub finished: bool,
    /// The test by stretches of time.
    pub windows: TestWindows,
    /// The most messages seen in the on-failure queue from the test's start to its end; `None`: it was never asked.
    pub dlq_depth_max: Option<u64>,
    /// What failing batches held up; `None` where nothing failed and the plan poisoned nothing.
    pub blocked: Option<Blocked>,
    /// What the plan changed in the pipeline meanwhile, in its order.
    pub actions: Vec<ActionEvidence>,
    /// CloudWatch over the whole test: key as in [`CloudWatch::series`], statistic already applied.
    pub cloudwatch: BTreeMap<String, f64>,
}

#[derive(Clone, Debug)]
pub struct LevelEvidence {
    pub index: u32,
    /// `50/s hold`, `50 -> 200/s ramp`.
    pub name: String,
    pub kind: plan::StageKind,
    /// Virtual users at the start and at the end: a closed loop, which asks for no rate.
    pub users: Option<(u32, u32)>,
    /// Of a closed loop both are the achieved rate: what the pipeline was in fact asked for.
    pub from_rps: f64,
    pub target_rps: f64,
    pub planned_s: f64,
    /// `None`: never started.
    pub started_us: Option<WallUs>,
    pub finished: bool,
    /// Records that were due.
    pub scheduled: u64,
    /// Records of which at least one attempt left.
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    pub failed_by_reason: BTreeMap<String, u64>,
    pub first_try: u64,
    pub throttled: u64,
    pub retried: u64,
    pub in_flight_limited: u64,
    /// Acked records of this level / its duration.
    pub achieved_rps: f64,
    /// What the acked records weighed, as they were sent; `None` where that is not known.
    pub put: Option<PutBytes>,
    /// Why the level says nothing about the pipeline; `None` when it does.
    pub void: Option<String>,
    pub generator_lag: Option<Dist>,
    pub put_latency: Option<Dist>,
    pub service_time: Option<Dist>,
    /// The whole distributions of both, for the charts.
    pub put_spectrum: Vec<Quantile>,
    pub service_spectrum: Vec<Quantile>,
    pub e2e: Option<Dist>,
    /// Half the width of the interval that holds the offset between the generator's clock and the service's.
    pub clock_error_ms: Option<f64>,
    pub stage_put: Option<Dist>,
    pub stage_stream: Option<Dist>,
    pub stage_function: Option<Dist>,
    pub stage_sink: Option<Dist>,
    pub iterator_age_max_ms: Option<f64>,
    pub iterator_age_avg_ms: Option<f64>,
    pub invocations: u64,
    pub records_per_invocation: Option<f64>,
    pub cold_starts: u64,
    pub memory_used_mb_max: Option<u32>,
    pub delivery: LevelDelivery,
    /// Per-level CloudWatch values from whole minutes inside the level; `Err` says why there is none.
    pub cloudwatch: BTreeMap<String, Result<f64, String>>,
}

/// Bytes of acked records, partition keys included, as Kinesis bills them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutBytes {
    pub bytes: u64,
    /// With each record rounded up to 1 KiB (on-demand).
    pub bytes_rounded_1k: u64,
    /// 25 KB steps, each record rounded up by itself.
    pub put_payload_units: u64,
}

/// How failing batches held shards up during a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blocked {
    /// Acked records that the plan had poisoned.
    pub poisoned: u64,
    /// In order of their start.
    pub blocks: Vec<Block>,
    /// Of all blocks: by how much longer good records waited.
    pub added_wait: Option<Dist>,
}

/// One time during which a shard waited for a batch that failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Level of the first record that failed.
    pub level: u32,
    pub shard: String,
    /// Start of the first attempt that failed.
    pub from_us: WallUs,
    /// When the last record that had failed was processed or given up; `None`: not while it was watched.
    pub until_us: Option<WallUs>,
    /// Invocations that failed.
    pub failed_attempts: u64,
    /// Sequences of the poisoned records in it.
    pub poison: BTreeSet<u64>,
    /// Messages of the on-failure queue about it, the range of each read again.
    pub dead_ranges: u64,
    /// Sequences in those ranges, first and last.
    pub dead_lettered: Vec<(u64, u64)>,
    /// How many of them the plan had not poisoned, and how many of those were never processed.
    pub dead_good: u64,
    pub dead_good_unprocessed: u64,
    /// By how much longer the good records waited that were in the batch or arrived behind it, and were processed
    /// in the end. With a parallelization above 1 an upper bound: other lanes of the shard went on.
    pub added_wait: Option<Dist>,
}

/// A latency distribution, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Dist {
    pub count: u64,
    pub avg: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Counts of the run; [`LevelDelivery`] has those of a level.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// No criterion may rest on a run without receipts.
    pub measured: bool,
    /// Collection ran to its end: what is not seen by now is lost or unconfirmed for good.
    pub complete: bool,
    pub acked: u64,
    pub delivered: u64,
    /// Acked, drained, not seen, not dead-lettered, confirmed absent from the shard. `None` while not `complete`.
    pub lost: Option<u64>,
    /// Those of the lost that the stream forgot, its retention over, before the function was handed them.
    pub expired: u64,
    pub unconfirmed: u64,
    pub delivered_unacked: u64,
    pub duplicated_producer: u64,
    pub duplicated_redelivery: u64,
    pub out_of_order: u64,
    /// Order changed by concurrent puts or retries before the stream saw it.
    pub reordered_by_producer: u64,
    pub dead_lettered: u64,
    /// Receipts whose text could not be read.
    pub unreadable_receipts: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct LevelDelivery {
    pub acked: u64,
    pub delivered: u64,
    pub lost: Option<u64>,
    pub expired: u64,
    pub unconfirmed: u64,
    pub delivered_unacked: u64,
    pub duplicated_producer: u64,
    pub duplicated_redelivery: u64,
    pub out_of_order: u64,
    pub reordered_by_producer: u64,
    pub dead_lettered: u64,
}

/// What CloudWatch gave, aligned to minutes.
#[derive(Clone, Debug, Default)]
pub struct CloudWatch {
    /// Key such as `kinesis.IncomingRecords.Sum`.
    pub series: BTreeMap<String, MetricSeries>,
    /// `Some(reason)` when the sums never agreed with the acks and the receipts.
    pub unsettled: Option<String>,
    /// Metric-data requests made (GetMetricData counts metrics, not calls).
    pub metrics_requested: u64,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MetricSeries {
    pub namespace: String,
    pub metric: String,
    pub stat: String,
    pub unit: String,
    pub period_s: u32,
    /// (start of the period in ms since the epoch, value), ascending.
    pub points: Vec<(i64, f64)>,
}

/// Log bytes of one line of embedded metrics, where they are not measured: 230 around the ages of up to 100 records,
/// each three digits and a comma, and the 26 that CloudWatch Logs adds.
pub const METRIC_LINE_BYTES: u64 = 600;

/// Measured use, the input of cost. Where a number was assumed instead, `assumptions` says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub region: String,
    pub stream_mode: String,
    pub shards: u32,
    pub retention_hours: u32,
    /// Start of the first level to the drained end of the last, seconds.
    pub load_window_s: f64,
    /// Stack complete to stack gone (or to the end of the run), seconds.
    pub standing_s: f64,
    /// Acked records.
    pub records: u64,
    /// Delivered records: the divisor of cost per million.
    pub delivered: u64,
    /// 25 KB steps, each record rounded up by itself.
    pub put_payload_units: u64,
    pub bytes_in: u64,
    /// Bytes with each record rounded up to 1 KiB (on-demand).
    pub bytes_in_rounded_1k: u64,
    pub invocations: u64,
    pub architecture: String,
    pub memory_mb: u32,
    /// Billed milliseconds, INIT included.
    pub billed_ms: u64,
    pub billed_basis: BilledBasis,
    pub log_bytes: u64,
    pub log_bytes_measured: bool,
    /// Receipts: SQS requests in 64 KiB chunks (send, receive, delete).
    pub sqs_requests: u64,
    pub dlq_requests: u64,
    pub alarms: u32,
    pub dashboards: u32,
    pub custom_metrics: u32,
    /// Metrics asked of GetMetricData.
    pub metrics_requested: u64,
    pub assumptions: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BilledBasis {
    /// Sum of the REPORT lines' billed durations.
    ReportLines,
    /// Sum(Duration) plus half a millisecond an invocation: INIT is missing.
    #[default]
    Estimate,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FlagRaised {
    pub flag: plan::Flag,
    pub at_us: WallUs,
    pub level: Option<u32>,
    pub detail: String,
    pub stopped: bool,
    pub confirmation: Confirmation,
}

/// What CloudWatch says afterwards of a flag that was raised live.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confirmation {
    /// `None`: it has nothing on it, or had not settled.
    pub confirmed: Option<bool>,
    /// What was looked at, such as `lambda.Throttles.Sum`.
    pub metric: Option<&'static str>,
    /// Over the minutes that the flag's level touches.
    pub value: Option<f64>,
    /// `ms`, `MB`, `%`; empty for counts.
    pub unit: &'static str,
}

/// One second of one level, from the generator.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SecondRow {
    /// Start of the second, ms since the epoch.
    pub at_ms: i64,
    pub level: u32,
    pub target_rps: f64,
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    pub throttled: u64,
    pub retried: u64,
    pub in_flight: u64,
    pub put_p50_ms: f64,
    pub put_p95_ms: f64,
    pub put_max_ms: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiptSecond {
    pub at_ms: i64,
    pub records: u64,
    pub invocations: u64,
    pub e2e_p50_ms: f64,
    pub e2e_p95_ms: f64,
    pub iterator_age_max_ms: f64,
}
