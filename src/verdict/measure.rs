//! From a metric's name to what was observed of it, level by level or over the whole test, with whatever
//! casts doubt on the observation.

use crate::cost::Cost;
use crate::evidence::model::{Dist, Evidence, LevelDelivery, LevelEvidence, TestEvidence};
use crate::plan::{Metric, StageKind, Stat};

use super::{gaps, windows};

/// Keys of `cloudwatch` that criteria and findings read.
pub(super) mod key {
    pub const WRITE_EXCEEDED: &str = "kinesis.WriteProvisionedThroughputExceeded.Sum";
    pub const READ_EXCEEDED: &str = "kinesis.ReadProvisionedThroughputExceeded.Sum";
    pub const STREAM_ITERATOR_AGE_MAX: &str = "kinesis.GetRecords.IteratorAgeMilliseconds.Maximum";
    pub const ITERATOR_AGE_MAX: &str = "lambda.IteratorAge.Maximum";
    pub const ITERATOR_AGE_AVG: &str = "lambda.IteratorAge.Average";
    pub const LAMBDA_THROTTLES: &str = "lambda.Throttles.Sum";
    pub const LAMBDA_ERRORS: &str = "lambda.Errors.Sum";
    pub const LAMBDA_DURATION_AVG: &str = "lambda.Duration.Average";
    pub const LAMBDA_DURATION_MAX: &str = "lambda.Duration.Maximum";
    pub const LAMBDA_CONCURRENCY_MAX: &str = "lambda.ConcurrentExecutions.Maximum";
    pub const DLQ_DEPTH: &str = "dlq.ApproximateNumberOfMessagesVisible.Maximum";
}

pub(super) const NOT_MEASURED: &str = "delivery was not measured: no receipts";

/// What a criterion is judged over: one test, or all tests of the run.
pub(super) struct Scope<'a> {
    pub evidence: &'a Evidence,
    pub tests: &'a [&'a TestEvidence],
    pub cost: &'a Cost,
}

/// Why an observation cannot simply be believed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Doubt {
    pub reason: String,
    /// The observation is a count that could only have become larger: what it decides already is decided.
    pub only_grows: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observation {
    /// Name of the level; `None` for the whole test.
    pub level: Option<String>,
    pub value: Result<f64, String>,
    /// The true value lies within this distance of `value`.
    pub error: f64,
    pub doubt: Option<Doubt>,
    /// An estimate, which is judged by its whole interval.
    pub spread: Option<Spread>,
    /// What the reader should know beside the value.
    pub told: Option<String>,
}

/// An interval that holds the true change with 95 % confidence, percent of the level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub low: f64,
    pub high: f64,
    /// A change within this is not told from none.
    pub told_apart: f64,
    /// Windows that it rests on.
    pub windows: usize,
}

impl Observation {
    /// Nothing was observed of the whole test, and why.
    pub fn unknown(why: String) -> Observation {
        Observation { level: None, value: Err(why), error: 0.0, doubt: None, spread: None, told: None }
    }

    pub fn doubted(self, doubt: Option<Doubt>) -> Observation {
        Observation { doubt, ..self }
    }

    pub fn told(self, told: String) -> Observation {
        Observation { told: Some(told), ..self }
    }

    /// Named after its test where several are judged together.
    pub fn on(self, scope: &Scope<'_>, test: &TestEvidence) -> Observation {
        Observation { level: (scope.tests.len() > 1).then(|| test.id.clone()), ..self }
    }
}

/// Samples below which a percentile says nothing: one sample must be expected beyond it.
pub fn percentile_needs_samples(stat: Stat) -> u64 {
    match stat {
        Stat::Avg | Stat::Max | Stat::Min => 1,
        Stat::P50 => 2,
        Stat::P95 => 20,
        Stat::P99 => 100,
        Stat::P999 => 1_000,
    }
}

/// The levels that criteria judge: holds and parts of a series, or the ramps of a test without either. A level
/// that offers no load is not judged.
pub fn judged_levels(test: &TestEvidence) -> Vec<&LevelEvidence> {
    let ramps = |wanted: bool| -> Vec<&LevelEvidence> {
        let is_wanted = |level: &&LevelEvidence| (level.kind == StageKind::Ramp) == wanted && offers(level);
        test.levels.iter().filter(is_wanted).collect()
    };
    let holds = ramps(false);
    if holds.is_empty() { ramps(true) } else { holds }
}

fn offers(level: &LevelEvidence) -> bool {
    match level.users {
        Some((from, to)) => from.max(to) > 0,
        None => mean_target_rps(level) > 0.0,
    }
}

/// Records a second that a level asks for on average: a ramp is linear.
pub fn mean_target_rps(level: &LevelEvidence) -> f64 {
    match level.kind {
        // A part of a series has its mean there.
        StageKind::Hold | StageKind::Replay => level.target_rps,
        StageKind::Ramp => (level.from_rps + level.target_rps) / 2.0,
    }
}

/// Everything that was observed of a metric: one entry a judged level, or one for the whole test.
pub(super) fn observe(metric: Metric, stat: Option<Stat>, scope: &Scope<'_>) -> Vec<Observation> {
    gaps::doubt(metric, stat, scope, observe_whole(metric, stat, scope))
}

fn observe_whole(metric: Metric, stat: Option<Stat>, scope: &Scope<'_>) -> Vec<Observation> {
    let over_windows = match metric {
        _ if metric.is_drift() => windows::drifts(metric, stat, scope),
        Metric::RecoveryPutLatency | Metric::RecoveryE2eLatency => windows::recoveries(metric, stat, scope),
        Metric::ScalingTime => windows::scaling_times(scope),
        Metric::CloudwatchCostRatio => vec![windows::cloudwatch_cost_ratio(scope)],
        _ => Vec::new(),
    };
    if !over_windows.is_empty() {
        return over_windows;
    }
    if is_whole(metric, stat) {
        return vec![whole(metric, stat, scope)];
    }
    let mut observations = Vec::new();
    for test in scope.tests {
        for level in judged_levels(test) {
            observations.push(on_level(metric, stat, scope, test, level));
        }
    }
    if observations.is_empty() {
        observations.push(Observation::unknown("no level to judge".to_owned()));
    }
    observations
}

/// Counters and maxima are taken over the whole test, everything else level by level.
fn is_whole(metric: Metric, stat: Option<Stat>) -> bool {
    !metric.is_per_level() || stat == Some(Stat::Max)
}

fn on_level(
    metric: Metric,
    stat: Option<Stat>,
    scope: &Scope<'_>,
    test: &TestEvidence,
    level: &LevelEvidence,
) -> Observation {
    let value = match metric {
        Metric::SuccessRate => percent(level.acked, level.sent, "no record was sent"),
        Metric::FirstTryRate => percent(level.first_try, level.sent, "no record was sent"),
        Metric::ErrorRate => percent(level.failed, level.sent, "no record was sent"),
        Metric::ThroughputRatio | Metric::GeneratorLag if level.users.is_some() => {
            Err("a closed loop has no target rate, and its generator cannot lag".to_owned())
        }
        Metric::ThroughputRatio if stat == Some(Stat::Min) => windows::worst_throughput(test, level),
        Metric::ThroughputRatio => Ok(level.achieved_rps / mean_target_rps(level) * 100.0),
        Metric::ColdStartRate => percent(level.cold_starts, level.invocations, "no receipt came"),
        _ => stat_of(dist_of(metric, level), stat),
    };
    let mut value = value;
    let mut error = 0.0;
    if metric == Metric::E2eLatency {
        match level.clock_error_ms {
            Some(half_width_ms) => error = half_width_ms,
            None if value.is_ok() => {
                value = Err("the offset between generator and function clock is not bounded".to_owned());
            }
            None => {}
        }
    }
    let doubt = level_doubt(metric, level);
    let level = Some(level_name(scope, test, level));
    Observation { level, value, error, doubt, spread: None, told: None }
}

pub(super) fn level_doubt(metric: Metric, level: &LevelEvidence) -> Option<Doubt> {
    let reason = if level.started_us.is_none() {
        "the level was never started".to_owned()
    } else if !level.finished {
        "the level did not finish".to_owned()
    } else {
        // The generator's lag is why a level is void: it is judged all the same.
        let void = level.void.as_ref().filter(|_| metric != Metric::GeneratorLag)?;
        format!("the level is void: {void}")
    };
    Some(Doubt { reason, only_grows: false })
}

/// The level's name, after the test's id where several tests are judged together.
pub(super) fn level_name(scope: &Scope<'_>, test: &TestEvidence, level: &LevelEvidence) -> String {
    if scope.tests.len() > 1 { format!("{} {}", test.id, level.name) } else { level.name.clone() }
}

fn percent(part: u64, whole: u64, missing: &str) -> Result<f64, String> {
    if whole == 0 { Err(missing.to_owned()) } else { Ok(part as f64 / whole as f64 * 100.0) }
}

fn dist_of(metric: Metric, level: &LevelEvidence) -> Option<&Dist> {
    match metric {
        Metric::PutLatency => level.put_latency.as_ref(),
        Metric::ServiceTime => level.service_time.as_ref(),
        Metric::E2eLatency => level.e2e.as_ref(),
        Metric::StreamWait => level.stage_stream.as_ref(),
        Metric::FunctionDuration => level.stage_function.as_ref(),
        Metric::SinkLatency => level.stage_sink.as_ref(),
        Metric::GeneratorLag => level.generator_lag.as_ref(),
        _ => None,
    }
}

pub(super) fn stat_of(dist: Option<&Dist>, stat: Option<Stat>) -> Result<f64, String> {
    let dist = dist.filter(|dist| dist.count > 0).ok_or("no sample")?;
    let stat = stat.ok_or("the criterion names no statistic")?;
    let needed = percentile_needs_samples(stat);
    if dist.count < needed {
        return Err(format!("too few samples: {} of the {needed} that this percentile needs", dist.count));
    }
    Ok(match stat {
        Stat::P50 => dist.p50,
        Stat::P95 => dist.p95,
        Stat::P99 => dist.p99,
        Stat::P999 => dist.p999,
        Stat::Avg => dist.avg,
        Stat::Max => dist.max,
        Stat::Min => return Err("no least value is kept".to_owned()),
    })
}

fn largest(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    values.into_iter().flatten().reduce(f64::max)
}

fn whole(metric: Metric, stat: Option<Stat>, scope: &Scope<'_>) -> Observation {
    use Metric as M;
    let levels = || scope.tests.iter().flat_map(|test| &test.levels);
    let mut error = 0.0;
    let mut doubt = whole_doubt(metric, scope);
    let value = match metric {
        M::Throttles => Ok(levels().map(|level| level.throttled).sum::<u64>() as f64),
        M::ReadThrottles => cloudwatch_sum(scope, key::READ_EXCEEDED),
        M::LambdaThrottles => cloudwatch_sum(scope, key::LAMBDA_THROTTLES),
        M::LambdaErrors => cloudwatch_sum(scope, key::LAMBDA_ERRORS),
        M::DlqDepth => dlq_depth(scope),
        M::IteratorAge => iterator_age(stat, scope),
        M::DrainTime if !scope.evidence.delivery.measured => Err(NOT_MEASURED.to_owned()),
        M::DrainTime => super::drain::time_s(scope),
        M::MemoryUsed => memory_used(scope, largest(levels().map(|l| l.memory_used_mb_max.map(f64::from)))),
        M::CostPerMillion => {
            doubt = scope.cost.pipeline.incomplete.then(|| Doubt {
                reason: "a line of the pipeline's cost is unpriced".to_owned(),
                only_grows: true,
            });
            cost_per_million(scope.cost)
        }
        M::Lost | M::Unconfirmed | M::Duplicates | M::OutOfOrder | M::DeadLettered => {
            accounted(metric, scope, &mut doubt)
        }
        _ => {
            let sampled = |level| dist_of(metric, level).filter(|dist| dist.count > 0);
            let maxima = levels().map(|level| sampled(level).map(|dist| dist.max));
            error = if metric == M::E2eLatency {
                largest(levels().map(|level| level.clock_error_ms)).unwrap_or(0.0)
            } else {
                0.0
            };
            debug_assert_eq!(stat, Some(Stat::Max));
            largest(maxima).ok_or_else(|| "no sample".to_owned())
        }
    };
    Observation { level: None, value, error, doubt, spread: None, told: None }
}

/// A test that did not run to its end, or whose judged levels are void, was not put under the load of its
/// plan: what only grows may still grow.
fn whole_doubt(metric: Metric, scope: &Scope<'_>) -> Option<Doubt> {
    let doubt = |reason: String| Some(Doubt { reason, only_grows: true });
    if let Some(test) = scope.tests.iter().find(|test| !test.finished) {
        return doubt(format!("test {} did not finish", test.id));
    }
    // The accounting is exact for whatever was sent, in time or late.
    let accounted = matches!(
        metric,
        Metric::Lost | Metric::Unconfirmed | Metric::Duplicates | Metric::OutOfOrder | Metric::DeadLettered
    );
    if !accounted && metric != Metric::GeneratorLag {
        for test in scope.tests {
            if let Some(level) = judged_levels(test).into_iter().find(|level| level.void.is_some()) {
                let why = level.void.as_deref().unwrap_or_default();
                return doubt(format!("level {} is void: {why}", level_name(scope, test, level)));
            }
        }
    }
    let pulled = matches!(metric, Metric::ReadThrottles | Metric::LambdaThrottles | Metric::LambdaErrors);
    let unsettled = scope.evidence.cloudwatch.unsettled.as_ref().filter(|_| pulled)?;
    doubt(format!("CloudWatch had not settled: {unsettled}"))
}

fn missing(key: &str) -> String {
    format!("metric missing: CloudWatch gave no {key}")
}

fn cloudwatch_sum(scope: &Scope<'_>, key: &str) -> Result<f64, String> {
    scope
        .tests
        .iter()
        .map(|test| test.cloudwatch.get(key).copied())
        .sum::<Option<f64>>()
        .ok_or_else(|| missing(key))
}

fn cloudwatch_max(scope: &Scope<'_>, keys: &[&str]) -> Option<f64> {
    largest(scope.tests.iter().flat_map(|test| keys.iter().map(|key| test.cloudwatch.get(*key).copied())))
}

/// Receipts say it per level, CloudWatch for the test; the larger counts. The mean is that of the judged
/// level where it is largest.
fn iterator_age(stat: Option<Stat>, scope: &Scope<'_>) -> Result<f64, String> {
    let (seen, pulled) = if stat == Some(Stat::Avg) {
        let judged = scope.tests.iter().flat_map(|test| judged_levels(test));
        (
            largest(judged.map(|level| level.iterator_age_avg_ms)),
            cloudwatch_max(scope, &[key::ITERATOR_AGE_AVG]),
        )
    } else {
        let levels = scope.tests.iter().flat_map(|test| &test.levels);
        let pulled = cloudwatch_max(scope, &[key::ITERATOR_AGE_MAX, key::STREAM_ITERATOR_AGE_MAX]);
        (largest(levels.map(|level| level.iterator_age_max_ms)), pulled)
    };
    largest([seen, pulled]).ok_or_else(|| "neither receipts nor CloudWatch have it".to_owned())
}

/// Seen in the queue itself, and by CloudWatch, which has nothing of a queue that was never used: the larger.
fn dlq_depth(scope: &Scope<'_>) -> Result<f64, String> {
    let seen = largest(scope.tests.iter().map(|test| test.dlq_depth_max.map(|depth| depth as f64)));
    largest([seen, cloudwatch_max(scope, &[key::DLQ_DEPTH])]).ok_or_else(|| missing(key::DLQ_DEPTH))
}

fn memory_used(scope: &Scope<'_>, used_mb: Option<f64>) -> Result<f64, String> {
    let limit_mb = scope.evidence.environment.memory_mb;
    match used_mb {
        Some(used_mb) if limit_mb > 0 => Ok(used_mb / f64::from(limit_mb) * 100.0),
        _ => Err("no receipt or REPORT line tells the memory used".to_owned()),
    }
}

fn cost_per_million(cost: &Cost) -> Result<f64, String> {
    use rust_decimal::prelude::ToPrimitive;
    let exact = cost.per_million_records.ok_or("nothing was delivered")?;
    exact.to_f64().ok_or_else(|| "out of range".to_owned())
}

/// Whether the tests saw every record that they acked before they ended: then none can be lost, whatever became of the
/// run later.
fn has_seen_all(scope: &Scope<'_>) -> bool {
    let mut levels = scope.tests.iter().flat_map(|test| &test.levels).map(|level| &level.delivery);
    let none_is_missing =
        levels.all(|level| level.unconfirmed == 0 && level.lost.is_none_or(|lost| lost == 0));
    let are_drained = scope.tests.iter().all(|test| test.finished && test.drain_s.is_some());
    !scope.tests.is_empty() && are_drained && none_is_missing
}

/// Counts of the accounting. Without receipts nothing is known; while the collection is not complete
/// `lost` is unknown, `unconfirmed` may still shrink, and the others may still grow.
fn accounted(metric: Metric, scope: &Scope<'_>, doubt: &mut Option<Doubt>) -> Result<f64, String> {
    let delivery = &scope.evidence.delivery;
    if !delivery.measured {
        return Err(NOT_MEASURED.to_owned());
    }
    if metric == Metric::Lost && !delivery.complete && has_seen_all(scope) {
        return Ok(0.0);
    }
    if !delivery.complete {
        let reason = "delivery is incomplete: the collection of receipts did not end".to_owned();
        *doubt = Some(Doubt { reason, only_grows: metric != Metric::Unconfirmed });
    }
    let count = |level: &LevelDelivery| match metric {
        Metric::Lost => level.lost,
        Metric::Unconfirmed => Some(level.unconfirmed),
        Metric::Duplicates => Some(level.duplicated_producer + level.duplicated_redelivery),
        Metric::OutOfOrder => Some(level.out_of_order),
        _ => Some(level.dead_lettered),
    };
    // A level without a record has no account: a second's ramp from 0 to 1.
    let has_records =
        |level: &&LevelEvidence| level.started_us.is_some() && level.scheduled.max(level.sent) > 0;
    let levels = scope.tests.iter().flat_map(|test| &test.levels).filter(has_records);
    let sum = levels.map(|level| count(&level.delivery)).sum::<Option<u64>>();
    match sum {
        Some(sum) if delivery.complete || metric != Metric::Lost => Ok(sum as f64),
        _ => Err("delivery is incomplete: a missing record may still come".to_owned()),
    }
}
