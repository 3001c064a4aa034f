//! What a plan will use, before anything is created. Every assumption is written down in the result.

use crate::evidence::model::{BilledBasis, METRIC_LINE_BYTES, Usage};
use crate::plan::{Architecture, Plan, Stage, StreamMode};
use crate::platform::limits;

use super::project::LAMBDA_LOG_BYTES_PER_INVOCATION;

/// What a plan does not say. The defaults are those of the shipped stacks and consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastAssumptions {
    /// Milliseconds of one invocation beside the plan's `work_ms_per_batch`.
    pub invocation_ms: f64,
    pub log_bytes_per_invocation: u64,
    /// Standing before the first level and after the last, seconds.
    pub idle_s: f64,
    pub alarms: u32,
    pub dashboards: u32,
    /// Metrics that one pull asks for.
    pub metrics_per_pull: u64,
    /// Metrics that a run asks CloudWatch for each minute, for its red flags: `evidence::cloudwatch::peek`.
    pub metrics_per_minute: u64,
}

impl Default for ForecastAssumptions {
    fn default() -> ForecastAssumptions {
        ForecastAssumptions {
            invocation_ms: 20.0,
            log_bytes_per_invocation: LAMBDA_LOG_BYTES_PER_INVOCATION,
            idle_s: 300.0,
            alarms: 9,
            dashboards: 1,
            metrics_per_pull: 33,
            metrics_per_minute: 6,
        }
    }
}

/// Polls a second of the event source mapping on each shard. Lambda developer guide (older text: "once
/// per second"), the base rate while no batch window is set.
const POLLS_PER_S: f64 = 1.0;

/// The use that a plan makes in `region`, to be priced like measured use.
pub fn forecast(plan: &Plan, region: &str, assumed: &ForecastAssumptions) -> Usage {
    let (stream, function) = (&plan.environment.stream, &plan.environment.function);
    let mut usage = Usage {
        region: region.to_owned(),
        stream_mode: match stream.mode {
            StreamMode::Provisioned => "provisioned".to_owned(),
            StreamMode::OnDemand => "on-demand".to_owned(),
        },
        shards: stream.shards,
        retention_hours: stream.retention_hours,
        architecture: match function.architecture {
            Some(Architecture::Arm64) => "arm64".to_owned(),
            Some(Architecture::X86_64) | None => "x86_64".to_owned(),
        },
        memory_mb: function.memory_mb,
        billed_basis: BilledBasis::Estimate,
        alarms: assumed.alarms,
        dashboards: assumed.dashboards,
        custom_metrics: u32::from(function.end_to_end_metric),
        ..Usage::default()
    };
    let mut invocations = 0.0;
    for test in plan.tests() {
        let bytes = test.payload.bytes as u64;
        usage.load_window_s += test.duration().as_secs_f64();
        for stage in &test.stages {
            let records = records_of(stage);
            usage.records += records;
            usage.bytes_in += records * bytes;
            usage.bytes_in_rounded_1k += records * bytes.div_ceil(1_024).max(1) * 1_024;
            usage.put_payload_units += records * bytes.div_ceil(limits::PUT_PAYLOAD_UNIT_BYTES).max(1);
            invocations += invocations_of(plan, stage, records);
        }
        usage.metrics_requested += assumed.metrics_per_pull;
    }
    usage.metrics_requested += assumed.metrics_per_minute * (usage.load_window_s / 60.0).ceil() as u64;
    usage.delivered = usage.records;
    usage.invocations = invocations.ceil() as u64;
    let each_ms = assumed.invocation_ms + f64::from(function.work_ms_per_batch);
    usage.billed_ms = (invocations * each_ms).ceil() as u64;
    let metric_line = if function.end_to_end_metric { METRIC_LINE_BYTES } else { 0 };
    let log_bytes = assumed.log_bytes_per_invocation + metric_line;
    usage.log_bytes = usage.invocations * log_bytes;
    // A receipt is one send; receiving and deleting go in batches of ten.
    usage.sqs_requests = usage.invocations + 2 * usage.invocations.div_ceil(10);
    usage.standing_s = usage.load_window_s + assumed.idle_s;
    usage.assumptions = vec![
        format!("{each_ms} ms an invocation"),
        "one invocation a second and shard, or a full batch, or the batch window, whichever comes first"
            .into(),
        format!("{log_bytes} log bytes an invocation"),
        format!("{} s standing before and after, no time to drain", assumed.idle_s),
        "every record acked and delivered once".into(),
    ];
    for test in plan.tests().filter(|test| test.users.is_some()) {
        let most = format!(
            "the virtual users of test {} are always answered at once: the most it can cost",
            test.id
        );
        usage.assumptions.push(most);
    }
    usage
}

/// Records due in a stage: the area under its line.
fn records_of(stage: &Stage) -> u64 {
    ((stage.from_rps + stage.target_rps) / 2.0 * stage.duration.as_secs_f64()).round() as u64
}

fn invocations_of(plan: &Plan, stage: &Stage, records: u64) -> f64 {
    let function = &plan.environment.function;
    let seconds = stage.duration.as_secs_f64();
    if records == 0 || seconds <= 0.0 {
        return 0.0;
    }
    let shards = f64::from(plan.environment.stream.shards.max(1));
    let per_shard_per_s = records as f64 / seconds / shards;
    let collected_s = f64::from(function.batch_window_s).max(1.0 / POLLS_PER_S);
    let batch = (per_shard_per_s * collected_s).clamp(1.0, f64::from(function.batch_size.max(1)));
    records as f64 / batch
}
