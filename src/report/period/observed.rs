//! What was out of the ordinary in a period, with its time, and what went wrong, with how often.

use crate::report::model::{CriterionReport, FlagReport, LevelReport, TestReport};
use crate::report::text::{self, count, number, observed, percent, plural, rate};
use crate::verdict::Verdict;

use super::input::{Gathered, Part, Placed, is_during, is_of};
use super::model::{Issue, Observation};

/// Anomalies by time; those without one last.
pub(super) fn observations(gathered: &Gathered) -> Vec<Observation> {
    let mut list: Vec<Observation> = gathered.parts.iter().flat_map(of_run).collect();
    for placed in gathered.results() {
        list.extend(of_test(placed));
    }
    // Stable: what has the same time keeps its order.
    list.sort_by(|a, b| (a.at.is_none(), &a.at).cmp(&(b.at.is_none(), &b.at)));
    list
}

fn of_run(part: &Part) -> Vec<Observation> {
    let run = &part.model.run;
    let seen = |at: Option<&String>, kind: &str, text: String| Observation {
        at: at.cloned(),
        test: None,
        run: run.id.clone(),
        kind: kind.to_owned(),
        text,
    };
    let mut list = Vec::new();
    if !run.faults.is_empty() {
        let text = format!("Faults planted on purpose: {}.", run.faults.join(", "));
        list.push(seen(Some(&run.started_at), "faults", text));
    }
    if run.end != "completed" {
        list.push(seen(run.ended_at.as_ref(), "stopped", format!("The run was {}.", run.end)));
    }
    list
}

fn of_test(placed: Placed<'_>) -> Vec<Observation> {
    let test = placed.test;
    let seen = |at: Option<&String>, kind: &str, text: String| Observation {
        at: at.cloned(),
        test: Some(test.id.clone()),
        run: placed.part.id().to_owned(),
        kind: kind.to_owned(),
        text,
    };
    let mut list = Vec::new();
    for flag in placed.part.model.flags.iter().filter(|flag| is_flag_of(flag, test)) {
        list.push(seen(Some(&flag.at), "flag", flagged(flag)));
    }
    for level in &test.levels {
        if let Some(why) = &level.void {
            list.push(seen(level.started_at.as_ref(), "void", format!("{} is void: {why}.", level.name)));
        }
        if let Some(limited) = level.in_flight_limited.filter(|limited| *limited > 0) {
            let waited = plural(limited, "record");
            let text = format!("{}: {waited} waited for an in-flight slot.", level.name);
            list.push(seen(level.started_at.as_ref(), "in_flight_limited", text));
        }
    }
    for block in test.blocked.iter().flat_map(|blocked| &blocked.blocks) {
        let lasted = text::or_none(block.blocked_s, number);
        let attempts = plural(block.failed_attempts, "failed attempt");
        let text = format!("{} was blocked for {lasted} s by {attempts}.", block.shard);
        list.push(seen(Some(&block.from), "blocked_shard", text));
    }
    for action in &test.actions {
        if let Some(why) = &action.refused {
            list.push(seen(
                action.started_at.as_ref(),
                "action",
                format!("Refused: {} ({why}).", action.text),
            ));
        }
    }
    let drifted = |criterion: &&CriterionReport| {
        criterion.text.starts_with("drift(") && criterion.verdict == Verdict::Fail
    };
    for criterion in test.criteria.iter().filter(drifted) {
        let level = test.levels.iter().find(|level| Some(&level.name) == criterion.level.as_ref());
        let at = level.and_then(|level| level.started_at.as_ref()).or(test.started_at.as_ref());
        let text = format!("{} was {}: {}.", criterion.text, observed(criterion), criterion.reason);
        list.push(seen(at, "drift", text));
    }
    if let Some(found) = &test.breaking_point {
        list.push(seen(Some(&found.at), "breaking_point", crate::report::breaking_point::sentence(found)));
    }
    list
}

/// A flag of one test says so by its level; one without is its test's by the time.
fn is_flag_of(flag: &FlagReport, test: &TestReport) -> bool {
    match &flag.level {
        Some(level) => is_of(level, &test.id),
        None => is_during(test, Some(&flag.at)),
    }
}

fn flagged(flag: &FlagReport) -> String {
    let stopped = if flag.stopped { " It stopped the run." } else { "" };
    format!("Flag {}: {}; CloudWatch: {}.{stopped}", flag.flag, flag.detail, text::confirmation(flag))
}

/// By test and level, in their order.
pub(super) fn issues(gathered: &Gathered) -> Vec<Issue> {
    gathered.results().flat_map(|placed| issues_of(placed)).collect()
}

fn issues_of(placed: Placed<'_>) -> Vec<Issue> {
    let test = placed.test;
    let issue = |level: Option<&LevelReport>, what: String, count: Option<u64>, detail: String| Issue {
        test: test.id.clone(),
        run: placed.part.id().to_owned(),
        level: level.map(|level| level.name.clone()),
        what,
        count,
        detail,
    };
    let mut list = Vec::new();
    for level in &test.levels {
        let share = |records: u64| match level.sent {
            None | Some(0) => String::new(),
            Some(sent) => {
                format!("{} of {} sent", percent(records as f64 / sent as f64 * 100.0), count(sent))
            }
        };
        for (reason, records) in level.failed_by_reason.iter().filter(|(_, records)| **records > 0) {
            list.push(issue(Some(level), format!("failed: {reason}"), Some(*records), share(*records)));
        }
        if let Some(throttled) = level.throttled.filter(|throttled| *throttled > 0) {
            let detail = format!("{} more attempts", text::or_none(level.retried, count));
            list.push(issue(Some(level), "refusals".to_owned(), Some(throttled), detail));
        }
        let delivery = level.delivery.as_ref();
        let lost = delivery.and_then(|delivery| delivery.lost);
        for (what, records) in [("lost", lost), ("dead-lettered", delivery.map(|each| each.dead_lettered))] {
            if let Some(records) = records.filter(|records| *records > 0) {
                let acked = format!("of {} acked", text::or_none(level.acked, count));
                list.push(issue(Some(level), what.to_owned(), Some(records), acked));
            }
        }
    }
    for (key, what) in
        [("lambda.Errors.Sum", "failed invocations"), ("lambda.Throttles.Sum", "throttled invocations")]
    {
        if let Some(sum) = test.cloudwatch.get(key).filter(|sum| **sum > 0.0) {
            let counted = Some(sum.round() as u64);
            list.push(issue(None, what.to_owned(), counted, format!("CloudWatch, {key}, whole test")));
        }
    }
    for criterion in test.criteria.iter().filter(|criterion| criterion.verdict == Verdict::Fail) {
        let detail = format!("{}: {}, {}", criterion.text, observed(criterion), criterion.reason);
        list.push(issue(None, "criterion failed".to_owned(), None, detail));
    }
    list
}

/// ` from 1,000 records/s on`, or nothing.
pub(super) fn from_rate(from_rps: Option<f64>) -> String {
    from_rps.map_or_else(String::new, |from_rps| format!(" from {} records/s on", rate(from_rps)))
}
