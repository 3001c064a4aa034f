//! One criterion against its observations.

use crate::plan::{Criterion, Op};

use super::measure::{self, Doubt, Observation, Scope, Spread};
use super::{CriterionVerdict, Verdict};

/// Judges one criterion. It must hold on every observation: one failure fails it, else one doubt leaves
/// it inconclusive.
pub(super) fn judge(criterion: &Criterion, scope: &Scope<'_>) -> CriterionVerdict {
    let observations = measure::observe(criterion.metric, criterion.stat, scope);
    let judged: Vec<(Verdict, &Observation, String)> = observations
        .iter()
        .map(|observation| {
            let (verdict, why) = judge_one(criterion, observation);
            (verdict, observation, why)
        })
        .collect();
    let verdict = judged.iter().map(|(verdict, ..)| *verdict).max().unwrap_or(Verdict::Inconclusive);
    let deciding: Vec<&(Verdict, &Observation, String)> =
        judged.iter().filter(|(each, ..)| *each == verdict).collect();
    let worst = deciding
        .iter()
        .max_by(|a, b| badness(criterion, a.1).total_cmp(&badness(criterion, b.1)))
        .expect("observe gives at least one observation, and one of them has the worst verdict");
    CriterionVerdict {
        text: criterion.text.clone(),
        verdict,
        observed: worst.1.value.as_ref().ok().copied(),
        interval: worst.1.spread.map(|spread| (spread.low, spread.high)),
        threshold: criterion.threshold,
        unit: criterion.metric.unit(),
        reason: match &worst.1.told {
            Some(told) => format!("{}: {told}", reason(verdict, judged.len(), deciding.len(), worst)),
            None => reason(verdict, judged.len(), deciding.len(), worst),
        },
        level: worst.1.level.clone(),
    }
}

/// The verdict on one observation, and why where it is not plain.
fn judge_one(criterion: &Criterion, observation: &Observation) -> (Verdict, String) {
    let (op, threshold) = (criterion.op, criterion.threshold);
    let value = match &observation.value {
        Ok(value) => *value,
        Err(why) => {
            // A level that never ran has no value either; that it never ran says more.
            let why = observation.doubt.as_ref().map_or(why, |doubt| &doubt.reason);
            return (Verdict::Inconclusive, why.clone());
        }
    };
    if let Some(spread) = &observation.spread {
        return judge_spread(spread, observation.doubt.as_ref(), threshold);
    }
    let holds = op.holds(value, threshold);
    if let Some(doubt) = &observation.doubt
        && !(doubt.only_grows && decided_whatever_comes(op, value, threshold))
    {
        return (Verdict::Inconclusive, doubt.reason.clone());
    }
    let error = observation.error;
    if op.holds(value - error, threshold) != op.holds(value + error, threshold) {
        let unit = criterion.metric.unit().as_str();
        let why = format!("the clock error of +-{error:.3} {unit} decides it");
        return (Verdict::Inconclusive, why);
    }
    (if holds { Verdict::Pass } else { Verdict::Fail }, String::new())
}

/// A change holds when all of its interval is smaller than the threshold, and fails when all of it is larger, up or
/// down. The end of an interval is a point of no weight: `<` and `<=` are the same here.
fn judge_spread(spread: &Spread, doubt: Option<&Doubt>, threshold: f64) -> (Verdict, String) {
    if let Some(doubt) = doubt {
        return (Verdict::Inconclusive, doubt.reason.clone());
    }
    let Spread { low, high, told_apart, windows } = *spread;
    let limit = threshold.max(told_apart);
    let interval = format!("{low:+.1} % to {high:+.1} % with 95 % confidence, {windows} windows");
    let interval = match told_apart > threshold {
        true => format!("{interval}; less than {told_apart:.1} % is too small to be told from none here"),
        false => interval,
    };
    let verdict = if low > -limit && high < limit {
        Verdict::Pass
    } else if low >= limit || high <= -limit {
        Verdict::Fail
    } else {
        return (Verdict::Inconclusive, format!("the interval spans the threshold: {interval}"));
    };
    (verdict, interval)
}

/// Whether a value that can only grow has already settled the criterion.
fn decided_whatever_comes(op: Op, value: f64, threshold: f64) -> bool {
    match op {
        Op::Less | Op::LessOrEqual => !op.holds(value, threshold),
        Op::Greater | Op::GreaterOrEqual => op.holds(value, threshold),
        Op::Equal => value > threshold,
    }
}

/// How bad an observation is for a criterion: larger is worse; nothing observed is worst of all.
fn badness(criterion: &Criterion, observation: &Observation) -> f64 {
    let Ok(value) = observation.value else { return f64::INFINITY };
    match criterion.op {
        _ if criterion.metric.is_drift() => value.abs(),
        Op::Less | Op::LessOrEqual => value,
        Op::Greater | Op::GreaterOrEqual => -value,
        Op::Equal => (value - criterion.threshold).abs(),
    }
}

fn reason(
    verdict: Verdict,
    judged: usize,
    deciding: usize,
    (_, worst, why): &(Verdict, &Observation, String),
) -> String {
    let Some(level) = &worst.level else {
        return if why.is_empty() { "over the whole test".to_owned() } else { why.clone() };
    };
    match verdict {
        Verdict::Pass | Verdict::Fail if worst.spread.is_some() => format!("{level}: {why}"),
        Verdict::Pass if judged == 1 => format!("held on the judged level, {level}"),
        Verdict::Pass => format!("held on all {judged} judged levels, tightest on {level}"),
        Verdict::Fail if judged == 1 => format!("did not hold on the judged level, {level}"),
        Verdict::Fail => {
            format!("did not hold on {deciding} of {judged} judged levels, worst on {level}")
        }
        Verdict::Inconclusive if deciding == 1 => format!("{level}: {why}"),
        Verdict::Inconclusive => format!("{deciding} of {judged} judged levels, such as {level}: {why}"),
    }
}
