//! Whether CloudWatch confirms a flag that was raised live: the minutes that the flag's level touches, looked at
//! once they have settled.

use crate::evidence::model::{Confirmation, MetricSeries};
use crate::plan::{Flag, PutMode};
use crate::platform::clock::WallUs;

use super::Files;
use super::timeline::Timeline;

/// spec of the flags: more than this is one.
const ERROR_PERCENT: f64 = 1.0;
const DURATION_PERCENT: f64 = 80.0;
const MEMORY_PERCENT: f64 = 90.0;
/// An iterator age below this is what a batch window and an idle poll explain.
const AGE_MS: f64 = 5_000.0;
/// Queues tell their depth a few minutes late, and on-failure messages come after the last retry.
const QUEUE_LATE_MS: i64 = 300_000;

/// What was looked at, and whether it is beyond the flag's threshold.
struct Looked {
    metric: &'static str,
    value: f64,
    unit: &'static str,
    beyond: bool,
}

pub(super) fn confirm(files: &Files, timeline: &Timeline, flag: Flag, level: Option<u32>) -> Confirmation {
    let Some(looked) = look(files, timeline, flag, level) else { return Confirmation::default() };
    let settled = files.pulled.as_ref().is_some_and(|pulled| pulled.unsettled.is_none());
    Confirmation {
        // What is seen is seen; what is not seen may still come while it has not settled.
        confirmed: if looked.beyond { Some(true) } else { settled.then_some(false) },
        metric: Some(looked.metric),
        value: Some(looked.value),
        unit: looked.unit,
    }
}

fn look(files: &Files, timeline: &Timeline, flag: Flag, level: Option<u32>) -> Option<Looked> {
    let window = window_ms(timeline, level)?;
    let sum = |key| points(files, key, window).reduce(|a, b| a + b);
    let most = |key| points(files, key, window).reduce(f64::max);
    let counted = |metric| {
        let value = sum(metric)?;
        Some(Looked { metric, value, unit: "", beyond: value > 0.0 })
    };
    match flag {
        Flag::LambdaThrottles => counted("lambda.Throttles.Sum"),
        Flag::WriteThroughputExceeded => counted("kinesis.WriteProvisionedThroughputExceeded.Sum"),
        Flag::ReadThroughputExceeded => counted("kinesis.ReadProvisionedThroughputExceeded.Sum"),
        Flag::IteratorAgeGrowing => {
            let value = most("lambda.IteratorAge.Maximum")?;
            Some(Looked { metric: "lambda.IteratorAge.Maximum", value, unit: "ms", beyond: value > AGE_MS })
        }
        Flag::LambdaDuration => {
            let value = most("lambda.Duration.Maximum")?;
            let limit_ms = f64::from(files.environment.timeout_s) * 10.0 * DURATION_PERCENT;
            Some(Looked { metric: "lambda.Duration.Maximum", value, unit: "ms", beyond: value > limit_ms })
        }
        Flag::DlqFilling => {
            let metric = "dlq.ApproximateNumberOfMessagesVisible.Maximum";
            let late = (window.0, window.1 + QUEUE_LATE_MS);
            let depth = files.pulled.as_ref().and_then(|pulled| pulled.dlq_depth).map(|depth| depth as f64);
            let value = points(files, metric, late).chain(depth).reduce(f64::max)?;
            Some(Looked { metric, value, unit: "", beyond: value > 0.0 })
        }
        Flag::Memory => {
            let reports = files.pulled.as_ref()?.reports.as_ref()?;
            let value = f64::from(reports.max_memory_used_mb);
            let limit_mb = f64::from(files.environment.memory_mb) * MEMORY_PERCENT / 100.0;
            let metric = "REPORT lines: max memory used";
            Some(Looked { metric, value, unit: "MB", beyond: value > limit_mb })
        }
        Flag::ErrorRate => error_rate(files, sum),
    }
}

/// Failed invocations, or failed records of PutRecords: CloudWatch counts a failed PutRecord in no metric that is
/// pulled.
fn error_rate(files: &Files, sum: impl Fn(&'static str) -> Option<f64>) -> Option<Looked> {
    let percent = |part: f64, whole: f64| 100.0 * part / whole.max(1.0);
    let invocations = sum("lambda.Errors.Sum").zip(sum("lambda.Invocations.Sum"));
    let failed = sum("kinesis.PutRecords.FailedRecords.Sum")
        .zip(sum("kinesis.PutRecords.ThrottledRecords.Sum"))
        .map(|(failed, throttled)| failed + throttled)
        .zip(sum("kinesis.IncomingRecords.Sum"))
        .map(|(failed, taken)| percent(failed, failed + taken));
    let looked = |metric, value| Looked { metric, value, unit: "%", beyond: value > ERROR_PERCENT };
    let of_function = invocations
        .map(|(errors, all)| looked("lambda.Errors.Sum / lambda.Invocations.Sum", percent(errors, all)));
    let of_puts = failed.map(|value| looked("kinesis.PutRecords failed and throttled records", value));
    if of_function.as_ref().is_some_and(|looked| looked.beyond) {
        return of_function;
    }
    let batches = files.plan.tests().all(|test| test.put == PutMode::Batch);
    of_puts.filter(|looked| looked.beyond || batches)
}

/// The minutes that a level touches, ms; the whole run where a flag names none.
fn window_ms(timeline: &Timeline, level: Option<u32>) -> Option<(i64, i64)> {
    const MINUTE_US: WallUs = 60_000_000;
    let (from_us, to_us) = match level.and_then(|level| timeline.levels.get(&level)) {
        Some(level) => (level.starts_us, level.end_us(timeline.last_us)),
        None => (timeline.levels.values().map(|level| level.starts_us).min()?, timeline.last_us?),
    };
    // Receipts of a level come after its end, and CloudWatch counts an invocation when it ended.
    let to_us = to_us + MINUTE_US;
    Some(((from_us - from_us.rem_euclid(MINUTE_US)) / 1_000, to_us / 1_000))
}

fn points<'a>(files: &'a Files, key: &str, window_ms: (i64, i64)) -> impl Iterator<Item = f64> + use<'a> {
    let series: Option<&MetricSeries> = files.pulled.as_ref().and_then(|pulled| pulled.series.get(key));
    let points = series.map_or(&[][..], |series| &series.points);
    points
        .iter()
        .filter(move |(at_ms, _)| (window_ms.0..window_ms.1).contains(at_ms))
        .map(|(_, value)| *value)
}
