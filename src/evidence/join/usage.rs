//! Measured use: what cost multiplies with prices. Where a number had to be assumed, `assumptions` says so.

use super::Files;
use super::timeline::Timeline;
use crate::evidence::events::Event;
use crate::evidence::model::{BilledBasis, Delivery, METRIC_LINE_BYTES, Usage};
use crate::platform::clock::WallUs;

/// START, END and REPORT lines of an invocation, with the 26 bytes that CloudWatch Logs adds to each event:
/// measured on the lines that Lambda writes.
const LOG_BYTES_PER_INVOCATION: u64 = 400;

/// Part of the invocations with a receipt whose REPORT lines a log must have to be summed: some come late, and half a
/// sum is no sum. The local endpoint keeps the last of a long log only.
const WHOLE_LOG: f64 = 0.99;

pub(super) fn usage(files: &Files, timeline: &Timeline, delivery: &Delivery) -> Usage {
    let mut usage = Usage {
        region: files.header.region.clone(),
        stream_mode: files.environment.stream_mode.clone(),
        shards: files.environment.shards,
        retention_hours: files.environment.retention_hours,
        load_window_s: load_window_s(timeline),
        standing_s: standing_s(files, timeline),
        records: delivery.acked,
        delivered: delivery.delivered,
        architecture: files.environment.architecture.clone(),
        memory_mb: files.environment.memory_mb,
        sqs_requests: files.receipts.sqs_requests,
        alarms: files.environment.alarms,
        dashboards: files.environment.dashboards,
        // The end-to-end metric, which the function prints for the dashboard.
        custom_metrics: u32::from(files.plan.environment.function.end_to_end_metric),
        ..Usage::default()
    };
    for level in files.sends.levels.values() {
        usage.put_payload_units += level.put_payload_units;
        usage.bytes_in += level.acked_bytes;
        usage.bytes_in_rounded_1k += level.acked_bytes_rounded_1k;
    }
    function(&mut usage, files);
    if let Some(pulled) = &files.pulled {
        usage.metrics_requested = pulled.metrics_requested;
        usage.dlq_requests = pulled.dlq_depth.unwrap_or(0);
    }
    for logged in &files.events {
        if let Event::Watched { metrics_requested, queue_requests, .. } = &logged.event {
            usage.metrics_requested += metrics_requested;
            usage.dlq_requests += queue_requests;
        }
    }
    usage
}

fn function(usage: &mut Usage, files: &Files) {
    let pulled = files.pulled.as_ref();
    let logged = pulled.and_then(|pulled| pulled.reports.as_ref());
    let whole =
        logged.filter(|reports| reports.invocations as f64 >= WHOLE_LOG * files.receipts.invocations as f64);
    if let Some(reports) = whole {
        usage.invocations = reports.invocations;
        usage.billed_ms = reports.billed_ms;
        usage.billed_basis = BilledBasis::ReportLines;
        usage.log_bytes = reports.log_bytes;
        usage.log_bytes_measured = true;
        return;
    }
    usage.billed_basis = BilledBasis::Estimate;
    let sum = |key: &str| {
        // A metric that CloudWatch knows nothing of is a series without points.
        let series = pulled?.series.get(key).filter(|series| !series.points.is_empty())?;
        Some(series.points.iter().map(|(_, value)| value).sum::<f64>())
    };
    let (invocations, duration_ms, source) = match (sum("lambda.Invocations.Sum"), sum("lambda.Duration.Sum"))
    {
        (Some(invocations), Some(duration_ms)) => {
            (invocations.round() as u64, duration_ms, "CloudWatch's Duration")
        }
        _ => (files.receipts.invocations, files.receipts.duration_us as f64 / 1e3, "the receipts"),
    };
    usage.invocations = invocations;
    // Billed durations are rounded up to whole milliseconds: half of one on average.
    usage.billed_ms = (duration_ms + 0.5 * invocations as f64).round() as u64;
    let metric_line = if usage.custom_metrics > 0 { METRIC_LINE_BYTES } else { 0 };
    let log_bytes = LOG_BYTES_PER_INVOCATION + metric_line;
    usage.log_bytes = invocations * log_bytes;
    if invocations > 0 {
        let log = match logged {
            Some(reports) => format!(
                "the log has the REPORT lines of {} of at least {} invocations",
                reports.invocations, files.receipts.invocations
            ),
            None => "the REPORT lines were not read".to_owned(),
        };
        usage.assumptions.push(format!("billed duration is estimated from {source}; {log}, INIT is missing"));
        usage.assumptions.push(format!("logs are taken as {log_bytes} bytes an invocation"));
    }
}

/// First level's start to the drained end of the last test.
fn load_window_s(timeline: &Timeline) -> f64 {
    let Some(from_us) = timeline.levels.values().map(|level| level.starts_us).min() else { return 0.0 };
    let levels_end_us = timeline.levels.values().map(|level| level.end_us(timeline.last_us)).max();
    let drained_us = timeline.tests.iter().filter_map(|test| test.ended_us).max();
    let to_us = levels_end_us.max(drained_us).unwrap_or(from_us);
    seconds(from_us, to_us)
}

/// Stack complete to stack gone, or to the end of the run, or to the last thing known.
fn standing_s(files: &Files, timeline: &Timeline) -> f64 {
    let logged = |wanted: fn(&Event) -> bool| {
        files.events.iter().find(|logged| wanted(&logged.event)).map(|logged| logged.at_us)
    };
    let up_us = files.environment.up_us.or_else(|| logged(|event| matches!(event, Event::StackUp { .. })));
    let down_us =
        files.environment.down_us.or_else(|| logged(|event| matches!(event, Event::StackDown { .. })));
    let from_us = up_us.unwrap_or(files.header.started_us);
    let to_us = down_us.or(timeline.ended_us).or(timeline.last_us).unwrap_or(from_us);
    seconds(from_us, to_us)
}

fn seconds(from_us: WallUs, to_us: WallUs) -> f64 {
    (to_us - from_us).max(0) as f64 / 1e6
}
