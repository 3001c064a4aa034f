//! Criteria over windows of time: drift over a hold, recovery after a spike, scaling after a ramp, and the worst ten
//! seconds of throughput. `docs/statistics.md` is the public description.

use crate::evidence::model::{LevelEvidence, RunEnd, TestEvidence, Window};
use crate::plan::{Metric, StageKind, Stat};
use crate::platform::clock::WallUs;

use super::measure::{Doubt, NOT_MEASURED, Observation, Scope, Spread, level_doubt, level_name, stat_of};
use super::statistics::{WINDOWS_MIN, drift};

/// Back to normal: within the level before the spike and the larger of these two.
const BAND_PART: f64 = 0.2;
const BAND_MS: f64 = 10.0;
/// Windows on end that must be inside the band.
const BACK_WINDOWS: usize = 6;
/// Scaling has answered when the iterator age, of the last record of a batch, stays below this ...
const AGE_MAX_MS: f64 = 1_000.0;
/// ... for so long.
const AGE_CALM_US: i64 = 30_000_000;

/// What is too small a change to be told from none, whatever its part of the level. Latency: the grain of the
/// timers that records are sent by. The function's memory: receipts tell whole MB. The generator's: what the
/// allocator keeps or gives back at once.
fn floor(metric: Metric) -> f64 {
    match metric {
        Metric::DriftPutLatency | Metric::DriftE2eLatency => 1.0,
        Metric::DriftMemoryUsed => 1.0,
        Metric::DriftGeneratorMemory => 4.0,
        _ => 0.0,
    }
}

/// Achieved over due in the worst whole ten seconds of a level, percent. One record may have been answered across
/// the window's end: it is not counted as missing.
pub(super) fn worst_throughput(test: &TestEvidence, level: &LevelEvidence) -> Result<f64, String> {
    let whole = test.windows.steps.iter().filter(|window| window.whole && window.level == level.index);
    let ratio = |window: &Window| (((window.acked + 1) as f64).min(window.due) / window.due).max(0.0) * 100.0;
    let ratios = whole.filter(|window| window.due >= 1.0).map(ratio);
    ratios.reduce(f64::min).ok_or_else(|| "no whole window of 10 s in the level".to_owned())
}

/// One observation a test of the scope.
pub(super) fn drifts(metric: Metric, stat: Option<Stat>, scope: &Scope<'_>) -> Vec<Observation> {
    scope.tests.iter().map(|test| drift_of(metric, stat, scope, test)).collect()
}

fn drift_of(metric: Metric, stat: Option<Stat>, scope: &Scope<'_>, test: &TestEvidence) -> Observation {
    let windows = &test.windows.hold;
    let level = windows.first().and_then(|first| test.levels.iter().find(|level| level.index == first.level));
    let Some(level) = level else {
        return Observation::unknown(format!("test {} has no hold", test.id));
    };
    let observed = |value, spread| Observation {
        level: Some(level_name(scope, test, level)),
        value,
        spread,
        ..Observation::unknown(String::new()).doubted(level_doubt(metric, level))
    };
    if metric == Metric::DriftGeneratorMemory && windows.iter().all(|window| window.generator_mb.is_none()) {
        let why = "the generator's memory is not recorded: a rehearsal leaves out what tells of the machine";
        return observed(Err(why.to_owned()), None);
    }
    let (from_us, to_us) = (windows[0].from_us, windows[windows.len() - 1].to_us);
    let points: Vec<(f64, f64)> = windows
        .iter()
        .filter(|window| window.whole)
        .filter_map(|window| {
            let middle_us = (window.from_us + window.to_us) / 2;
            let along = (middle_us - from_us) as f64 / (to_us - from_us) as f64;
            Some((along, value_of(metric, stat, window)?))
        })
        .collect();
    // Of a level below what can be told apart, every change would be a large part.
    let base = |level: f64| level.max(floor(metric));
    let Some(found) = drift(&points).filter(|found| base(found.level) > 0.0) else {
        let why = format!(
            "{} of the {} windows of {:.0} s have a value; a drift needs {WINDOWS_MIN}",
            points.len(),
            windows.len(),
            (windows[0].to_us - windows[0].from_us) as f64 / 1e6
        );
        return observed(Err(why), None);
    };
    let percent = |value: f64| value / base(found.level) * 100.0;
    let spread = Spread {
        low: percent(found.low),
        high: percent(found.high),
        told_apart: percent(floor(metric)),
        windows: found.windows,
    };
    observed(Ok(percent(found.change)), Some(spread))
}

fn value_of(metric: Metric, stat: Option<Stat>, window: &Window) -> Option<f64> {
    match metric {
        Metric::DriftPutLatency | Metric::RecoveryPutLatency => {
            stat_of(window.put_latency.as_ref(), stat).ok()
        }
        Metric::DriftE2eLatency | Metric::RecoveryE2eLatency => stat_of(window.e2e.as_ref(), stat).ok(),
        Metric::DriftThroughput => (window.due >= 1.0).then(|| window.acked as f64 / window.due * 100.0),
        Metric::DriftMemoryUsed => window.memory_used_mb,
        Metric::DriftGeneratorMemory => window.generator_mb,
        _ => None,
    }
}

/// One observation a test of the scope.
pub(super) fn recoveries(metric: Metric, stat: Option<Stat>, scope: &Scope<'_>) -> Vec<Observation> {
    let of = |test: &&TestEvidence| recovery(metric, stat, scope, test).unwrap_or_else(Observation::unknown);
    scope.tests.iter().map(of).collect()
}

/// The levels with the highest target, with a lower one before and after.
fn spike(test: &TestEvidence) -> Option<(&LevelEvidence, &LevelEvidence)> {
    let highest = test.levels.iter().map(|level| level.target_rps).reduce(f64::max)?;
    let first = test.levels.iter().position(|level| level.target_rps == highest)?;
    let top = test.levels[first..].iter().take_while(|level| level.target_rps == highest).count();
    let before = test.levels.get(first.checked_sub(1)?)?;
    test.levels.get(first + top)?;
    Some((before, &test.levels[first + top - 1]))
}

fn recovery(
    metric: Metric,
    stat: Option<Stat>,
    scope: &Scope<'_>,
    test: &TestEvidence,
) -> Result<Observation, String> {
    let (before, top) = spike(test)
        .ok_or_else(|| format!("test {} has no stage above those before and after it", test.id))?;
    let tail = test.windows.tails.iter().find(|window| window.level == before.index);
    let tail = tail.filter(|_| before.kind == StageKind::Hold);
    let tail = tail.ok_or("no hold of at least 60 s stands before the spike")?;
    let normal = value_of(metric, stat, tail).ok_or("too few samples in the 60 s before the spike")?;
    let limit = normal + (normal * BAND_PART).max(BAND_MS);
    let started_us = top.started_us.ok_or("the spike was never started")?;
    let end_us = started_us + (top.planned_s * 1e6) as WallUs;
    let after = test.windows.steps.iter().filter(|window| window.from_us + 1_000_000 > end_us);
    let after: Vec<&Window> = after.filter(|window| window.level > top.index).collect();
    let (mut inside, mut first, mut judged) = (0, None, 0);
    for window in &after {
        let is_inside = match value_of(metric, stat, window) {
            Some(value) => value <= limit,
            // Nothing was answered though something was due: that is no normal window.
            None if window.acked == 0 && window.due >= 1.0 => false,
            None => continue,
        };
        judged += 1;
        (inside, first) = if is_inside { (inside + 1, first.or(Some(window.from_us))) } else { (0, None) };
        if inside == BACK_WINDOWS {
            break;
        }
    }
    let seconds = |us: WallUs| (us - end_us).max(0) as f64 / 1e6;
    let observation =
        |value, doubt| Observation { value: Ok(value), doubt, ..Observation::unknown(String::new()) };
    let told = format!("in the band up to {limit:.1} ms ({normal:.1} ms in the 60 s before the spike)");
    if inside == BACK_WINDOWS {
        let doubt = level_doubt(metric, before).or_else(|| level_doubt(metric, top));
        return Ok(observation(first.map_or(0.0, seconds), doubt).told(told).on(scope, test));
    }
    if judged < BACK_WINDOWS {
        return Err(format!("{judged} windows of 10 s after the spike; {BACK_WINDOWS} on end are needed"));
    }
    let watched_s = after.last().map_or(0.0, |window| seconds(first.unwrap_or(window.to_us)));
    let reason =
        format!("not seen six windows on end {told}, from the end of the spike to the end of the test");
    Ok(observation(watched_s, Some(Doubt { reason, only_grows: true })))
}

/// One observation a test of the scope: its worst ramp.
pub(super) fn scaling_times(scope: &Scope<'_>) -> Vec<Observation> {
    let of = |test: &&TestEvidence| scaling_time(scope, test).unwrap_or_else(Observation::unknown);
    scope.tests.iter().map(of).collect()
}

/// The ends of what led upwards: ramps, and levels that begin above the one before.
fn ramp_ends(test: &TestEvidence) -> Vec<(WallUs, &LevelEvidence)> {
    let mut ends = Vec::new();
    let mut before_rps = 0.0;
    for level in &test.levels {
        let Some(started_us) = level.started_us else { break };
        if level.kind == StageKind::Ramp && level.target_rps > level.from_rps {
            ends.push((started_us + (level.planned_s * 1e6) as WallUs, level));
        } else if level.from_rps > before_rps {
            ends.push((started_us, level));
        }
        before_rps = level.target_rps;
    }
    ends
}

fn scaling_time(scope: &Scope<'_>, test: &TestEvidence) -> Result<Observation, String> {
    if !scope.evidence.delivery.measured {
        return Err(NOT_MEASURED.to_owned());
    }
    let ends = ramp_ends(test);
    let (from_us, to_us) = (test.started_us.unwrap_or(0), test.ended_us.unwrap_or(WallUs::MAX));
    let seconds = scope.evidence.receipt_seconds.iter();
    let seconds: Vec<_> = seconds.filter(|row| (from_us..=to_us).contains(&(row.at_ms * 1_000))).collect();
    // A record of age `a` was waiting since then: from the moment when it was a second old the age was too high,
    // also in seconds in which the function did not start at all.
    let waits: Vec<(WallUs, WallUs)> = seconds
        .iter()
        .filter(|row| row.iterator_age_max_ms >= AGE_MAX_MS)
        .map(|row| {
            let seen_us = (row.at_ms + 1_000) * 1_000;
            (seen_us - ((row.iterator_age_max_ms - AGE_MAX_MS) * 1e3) as WallUs - 1_000_000, seen_us)
        })
        .collect();
    let load_ends = test.levels.iter().filter_map(|level| {
        Some(level.started_us? + (level.planned_s * 1e6) as WallUs).filter(|_| level.finished)
    });
    let last_seen = seconds.last().map(|row| (row.at_ms + 1_000) * 1_000);
    let watched_us = load_ends.chain(last_seen).max().ok_or("nothing was seen of the test")?;
    let settled = ends.iter().map(|(end_us, level)| (calm_from(*end_us, &waits), *end_us, *level));
    let (calm_us, end_us, level) =
        settled.max_by_key(|(calm_us, end_us, _)| calm_us - end_us).ok_or("no ramp leads upwards")?;
    let doubt = (calm_us + AGE_CALM_US > watched_us).then(|| Doubt {
        reason: format!(
            "watched for less than 30 s after the iterator age was last above 1 s ({})",
            level.name
        ),
        only_grows: true,
    });
    // A ramp of which nothing was watched for long enough says nothing, whatever the worst of the others took.
    let short =
        ends.iter().map(|(end_us, _)| calm_from(*end_us, &waits)).any(|us| us + AGE_CALM_US > watched_us);
    let doubt = doubt.or_else(|| {
        short.then(|| Doubt {
            reason: "the last ramp was watched for less than 30 s".into(),
            only_grows: true,
        })
    });
    // The load of a void ramp was not what the plan asks for.
    let doubt = ends.iter().find_map(|(_, level)| level_doubt(Metric::ScalingTime, level)).or(doubt);
    let value = Ok((calm_us - end_us) as f64 / 1e6);
    let told = format!("after the ramp {}", level.name);
    Ok(Observation { value, doubt, ..Observation::unknown(String::new()) }.told(told).on(scope, test))
}

/// The first moment from `at_us` on that no wait follows for [`AGE_CALM_US`]. `waits` are in order of their ends.
fn calm_from(at_us: WallUs, waits: &[(WallUs, WallUs)]) -> WallUs {
    let mut calm_us = at_us;
    // A later wait may have begun before an earlier one ended: the earliest begin of those that follow counts.
    let mut begins: Vec<WallUs> = waits.iter().map(|(from_us, _)| *from_us).collect();
    for index in (1..begins.len()).rev() {
        begins[index - 1] = begins[index - 1].min(begins[index]);
    }
    for ((_, to_us), from_us) in waits.iter().zip(begins) {
        if *to_us > calm_us {
            if from_us >= calm_us + AGE_CALM_US {
                break;
            }
            calm_us = *to_us;
        }
    }
    calm_us
}

/// What CloudWatch and its logs cost, of what was forecast for the tests that ran, percent.
pub(super) fn cloudwatch_cost_ratio(scope: &Scope<'_>) -> Observation {
    let evidence = scope.evidence;
    let mut plan = evidence.plan.clone();
    let ran = |index: &usize| evidence.tests.iter().any(|test| test.plan_index == *index);
    let mut index = 0;
    for phase in &mut plan.phases {
        phase.tests.retain(|_| {
            index += 1;
            ran(&(index - 1))
        });
    }
    let expected = crate::cost::forecast(&plan, &evidence.usage.region, &Default::default());
    let forecast = crate::cost::price(&expected, &scope.cost.book);
    let of = |cost: &crate::cost::Cost| {
        use rust_decimal::prelude::ToPrimitive;
        let total = cost.pipeline.total_of(&["CloudWatch"])? + cost.test.total_of(&["CloudWatch"])?;
        total.to_f64()
    };
    let Some((is, was_forecast)) = of(scope.cost).zip(of(&forecast)).filter(|(_, forecast)| *forecast > 0.0)
    else {
        return Observation::unknown("a line of CloudWatch's cost has no price".to_owned());
    };
    let doubt = (evidence.run.end != RunEnd::Completed)
        .then(|| Doubt { reason: "the run did not end".to_owned(), only_grows: true });
    let told = format!("{is:.6} USD of {was_forecast:.6} USD forecast, over the whole run");
    Observation { value: Ok(is / was_forecast * 100.0), doubt, ..Observation::unknown(String::new()) }
        .told(told)
}
