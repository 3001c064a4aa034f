//! Tests and levels: what was planned, sent, seen and measured, side by side.

use std::collections::BTreeMap;

use super::blocks::PoisonedLevel;
use super::timeline::{LevelTimes, TestTimes, Timeline};
use super::{Files, clocks, cloudwatch_values, dist};
use crate::evidence::accounting::LevelRange;
use crate::evidence::drawn::spectrum;
use crate::evidence::gaps::Source;
use crate::evidence::hlog::LoadMetric;
use crate::evidence::model::{
    Dist, GENERATOR_LAG_P99_MAX_MS, LevelDelivery, LevelEvidence, PutBytes, TestEvidence, TestWindows,
};
use crate::evidence::sends::LevelCounters;
use crate::load::outcome::FailReason;
use crate::plan::{Stage, StageKind};

pub(super) fn tests(
    files: &Files,
    timeline: &Timeline,
    delivery: &BTreeMap<u32, LevelDelivery>,
) -> Vec<TestEvidence> {
    timeline.tests.iter().filter_map(|times| test(files, timeline, delivery, times)).collect()
}

fn test(
    files: &Files,
    timeline: &Timeline,
    delivery: &BTreeMap<u32, LevelDelivery>,
    times: &TestTimes,
) -> Option<TestEvidence> {
    let planned = files.plan.tests().nth(times.plan_index)?;
    let mut levels = Vec::new();
    for (nth, stage) in planned.stages.iter().enumerate() {
        let index = times.first_level + nth as u32;
        // A level that has the number of another test's is not this test's.
        let level_times = times.started_us.and_then(|_| timeline.levels.get(&index));
        let delivery = delivery.get(&index).cloned().unwrap_or_default();
        let mut level = level(files, timeline, index, stage, level_times, delivery);
        if let Some(users) = &planned.users {
            close(&mut level, users.counts.get(nth).copied().unwrap_or_default());
        }
        levels.push(level);
    }
    let window_end_us = times.ended_us.or(timeline.last_us);
    let cloudwatch = match times.started_us.zip(window_end_us) {
        Some((from_us, to_us)) => cloudwatch_values::of_test(files.pulled.as_ref(), from_us, to_us),
        None => BTreeMap::new(),
    };
    Some(TestEvidence {
        plan_index: times.plan_index,
        id: planned.id.clone(),
        name: planned.name.clone(),
        payload: planned.payload.clone(),
        levels,
        started_us: times.started_us,
        ended_us: times.ended_us,
        drain_s: times.drained_s,
        finished: times.complete,
        windows: TestWindows::default(),
        dlq_depth_max: None,
        blocked: None,
        actions: Vec::new(),
        cloudwatch,
    })
}

/// The started levels that have records, with what the plan poisoned of them. Tests count as [`tests`] has them.
pub(super) fn poisoned(files: &Files, timeline: &Timeline) -> Vec<PoisonedLevel> {
    let planned = timeline.tests.iter().filter_map(|times| {
        let test = files.plan.tests().nth(times.plan_index)?;
        Some((times.started_us, (times.first_level..).zip(&test.stages)))
    });
    let mut levels = Vec::new();
    for (test, (started_us, stages)) in planned.enumerate() {
        // A level that has the number of another test's is not this test's.
        for (level, stage) in stages.filter(|_| started_us.is_some()) {
            let Some(times) = timeline.levels.get(&level).filter(|times| times.count > 0) else { continue };
            let (first, last) = (times.first_sequence, times.first_sequence.saturating_add(times.count - 1));
            levels.push(PoisonedLevel {
                range: LevelRange { level, first, last },
                test,
                poison: stage.poison,
            });
        }
    }
    levels
}

fn level(
    files: &Files,
    timeline: &Timeline,
    index: u32,
    stage: &Stage,
    times: Option<&LevelTimes>,
    delivery: LevelDelivery,
) -> LevelEvidence {
    let started = times.is_some();
    let none = LevelCounters::default();
    let counters = files.sends.levels.get(&index).filter(|_| started).unwrap_or(&none);
    let histogram = |metric| files.intervals.get(&(index, metric)).filter(|_| started);
    let measured = |metric| histogram(metric).and_then(dist);
    let whole = |metric| histogram(metric).map_or_else(Vec::new, spectrum);
    let generator_lag = measured(LoadMetric::GeneratorLag);
    let receipts = files.receipts.levels.get(&index).filter(|_| started);
    let seen = |histogram: fn(&super::receipt_sums::LevelSums) -> Option<Dist>| receipts.and_then(histogram);
    let window_us = times.map(|times| (times.starts_us, times.end_us(timeline.last_us)));
    let lasted_s = window_us.map_or(0.0, |(from_us, to_us)| (to_us - from_us) as f64 / 1e6);
    let invocations = receipts.map_or(0, |sums| sums.invocations);
    LevelEvidence {
        index,
        name: name(stage),
        kind: stage.kind,
        users: None,
        from_rps: stage.from_rps,
        target_rps: stage.target_rps,
        planned_s: stage.duration.as_secs_f64(),
        started_us: times.map(|times| times.starts_us),
        finished: times.is_some_and(|times| times.complete),
        scheduled: counters.scheduled,
        sent: counters.sent,
        acked: counters.acked,
        failed: counters.failed,
        failed_by_reason: reasons(counters),
        first_try: counters.first_try,
        throttled: counters.throttled,
        retried: counters.retried,
        in_flight_limited: counters.in_flight_limited,
        achieved_rps: if lasted_s > 0.0 { counters.acked as f64 / lasted_s } else { 0.0 },
        put: started.then_some(PutBytes {
            bytes: counters.acked_bytes,
            bytes_rounded_1k: counters.acked_bytes_rounded_1k,
            put_payload_units: counters.put_payload_units,
        }),
        void: void(files, times, counters, generator_lag.as_ref()),
        generator_lag,
        put_latency: measured(LoadMetric::PutLatency),
        service_time: measured(LoadMetric::ServiceTime),
        put_spectrum: whole(LoadMetric::PutLatency),
        service_spectrum: whole(LoadMetric::ServiceTime),
        e2e: seen(|sums| dist(&sums.histograms.e2e)),
        clock_error_ms: times.filter(|times| times.count > 0).and_then(|times| {
            let sequences = (times.first_sequence, times.first_sequence.saturating_add(times.count - 1));
            clocks::error_ms(&files.sends.samples, &files.receipts.arrivals, sequences)
        }),
        stage_put: seen(|sums| dist(&sums.histograms.put)),
        stage_stream: seen(|sums| dist(&sums.histograms.stream)),
        stage_function: seen(|sums| dist(&sums.histograms.function)),
        stage_sink: seen(|sums| dist(&sums.histograms.sink)),
        iterator_age_max_ms: receipts.map(|sums| sums.iterator_age_max_ms),
        iterator_age_avg_ms: receipts.map(|sums| sums.iterator_age_sum_ms / sums.invocations.max(1) as f64),
        invocations,
        records_per_invocation: receipts.map(|sums| sums.records as f64 / sums.invocations.max(1) as f64),
        cold_starts: receipts.map_or(0, |sums| sums.cold_starts),
        memory_used_mb_max: receipts.map(|sums| sums.memory_used_mb_max),
        delivery,
        cloudwatch: window_us.map_or_else(BTreeMap::new, |(from_us, to_us)| {
            cloudwatch_values::of_level(files.pulled.as_ref(), from_us, to_us)
        }),
    }
}

fn void(
    files: &Files,
    times: Option<&LevelTimes>,
    counters: &LevelCounters,
    lag: Option<&Dist>,
) -> Option<String> {
    if times.is_none() {
        return Some("the level was never started".into());
    }
    if let Some(reason) = files.gaps.reason(Source::Sends).filter(|_| files.gaps.is_lost(Source::Sends)) {
        return Some(format!("what was sent is not known: {reason}"));
    }
    if counters.sent == 0 {
        return Some("nothing was sent".into());
    }
    if let Some(records) = counters.failed_by_reason.get(&FailReason::NoCredentials) {
        return Some(format!(
            "{records} records could not be sent for want of valid credentials: that is not the pipeline's doing"
        ));
    }
    let lag_ms = lag.map_or(0.0, |lag| lag.p99);
    (lag_ms > GENERATOR_LAG_P99_MAX_MS).then(|| {
        format!(
            "generator lag p99 was {lag_ms:.1} ms, more than {GENERATOR_LAG_P99_MAX_MS} ms: \
             the generator was the limit, not the pipeline"
        )
    })
}

fn reasons(counters: &LevelCounters) -> BTreeMap<String, u64> {
    let name = |reason| match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    };
    counters.failed_by_reason.iter().map(|(reason, count)| (name(*reason), *count)).collect()
}

/// A level of virtual users: the rate is an outcome, and a record is due when it is sent, so that the generator
/// cannot lag.
fn close(level: &mut LevelEvidence, (from, to): (u32, u32)) {
    level.name = match level.kind {
        // A series has rates, and users none.
        StageKind::Hold | StageKind::Replay => format!("closed loop, {to} users hold"),
        StageKind::Ramp => format!("closed loop, {from} -> {to} users ramp"),
    };
    level.users = Some((from, to));
    (level.from_rps, level.target_rps) = (level.achieved_rps, level.achieved_rps);
    level.generator_lag = None;
}

/// `50/s hold`, `50 -> 200/s ramp`, `37.4/s mean replay`.
fn name(stage: &Stage) -> String {
    let kind = stage.kind.as_str();
    match stage.kind {
        StageKind::Hold => format!("{}/s {kind}", stage.target_rps),
        StageKind::Ramp => format!("{} -> {}/s {kind}", stage.from_rps, stage.target_rps),
        StageKind::Replay => format!("{:.1}/s mean {kind}", stage.target_rps),
    }
}
