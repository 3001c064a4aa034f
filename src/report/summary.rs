//! The executive summary: a few plain sentences, worked out from what the model holds.

use crate::verdict::Verdict;

use super::model::*;
use super::text::{self, observed, plural, rate, usd};

/// Failed criteria that are spelled out; the rest is counted.
const SPELLED_OUT: usize = 3;

/// In this order: what happened, under which planted faults, what failed, what limits, what is known, what arrived, what it cost.
pub fn sentences(model: &ReportModel) -> Vec<String> {
    let mut sentences = vec![outcome(model)];
    sentences.extend(planted(model));
    sentences.extend(failures(model));
    sentences.extend(limit(model));
    sentences.extend(model.known_up_to.clone());
    sentences.push(delivered(model));
    sentences.push(cost(model));
    sentences
}

fn outcome(model: &ReportModel) -> String {
    let ran = || model.tests.iter().filter(|test| test.started_at.is_some());
    let of = |verdict| ran().filter(|test| test.verdict == verdict).count() as u64;
    let parts: Vec<String> = [
        (of(Verdict::Pass), "passed"),
        (of(Verdict::Fail), "failed"),
        (of(Verdict::Inconclusive), "could not be judged in full"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("{number} {what}"))
    .collect();
    let mut early =
        if model.run.end == "completed" { String::new() } else { format!(" The run was {}.", model.run.end) };
    early.push_str(&not_to_their_end(model));
    if parts.is_empty() {
        return format!("No test ran.{early}");
    }
    format!("{} ran: {}.{early}", plural(ran().count() as u64, "test"), parts.join(", "))
}

/// Which tests were asked for and have no result that counts: `--resume` runs them.
fn not_to_their_end(model: &ReportModel) -> String {
    let ids = |started: bool| -> Vec<&str> {
        let tests = model.tests.iter().filter(|test| !test.finished && test.started_at.is_some() == started);
        tests.map(|test| test.id.as_str()).collect()
    };
    let told = |ids: Vec<&str>, one: &str, many: &str| match ids.as_slice() {
        [] => String::new(),
        [id] => format!(" Test {id} {one}."),
        _ => format!(" The tests {} {many}.", ids.join(", ")),
    };
    let begun = told(ids(true), "did not come to its end", "did not come to their end");
    begun + &told(ids(false), "was not begun", "were not begun")
}

/// Whoever reads figures made under faults must not take them for the pipeline's own.
fn planted(model: &ReportModel) -> Option<String> {
    let faults = &model.run.faults;
    let what = if faults.len() == 1 { "A fault was" } else { "Faults were" };
    (!faults.is_empty()).then(|| {
        let list = faults.join(", ");
        format!("{what} planted on purpose, and the figures show it: {list}.")
    })
}

/// Every criterion of the report, with the test that it belongs to.
fn criteria(model: &ReportModel) -> impl Iterator<Item = (&str, &CriterionReport)> {
    let of_tests = model
        .tests
        .iter()
        .flat_map(|test| test.criteria.iter().map(move |criterion| (test.id.as_str(), criterion)));
    of_tests.chain(model.criteria.iter().map(|criterion| ("", criterion)))
}

fn failures(model: &ReportModel) -> Vec<String> {
    let failed: Vec<(&str, &CriterionReport)> =
        criteria(model).filter(|(_, criterion)| criterion.verdict == Verdict::Fail).collect();
    let mut sentences: Vec<String> = failed
        .iter()
        .take(SPELLED_OUT)
        .map(|(test, criterion)| {
            let whose = if test.is_empty() { "The run".to_owned() } else { format!("Test {test}") };
            format!(
                "{whose} failed \"{}\" with {}: {}.",
                criterion.text,
                observed(criterion),
                criterion.reason
            )
        })
        .collect();
    if failed.len() > SPELLED_OUT {
        let more = (failed.len() - SPELLED_OUT) as u64;
        sentences
            .push(format!("{} more failed.", plural(more, "criterion").replace("criterions", "criteria")));
    }
    sentences
}

fn limit(model: &ReportModel) -> Option<String> {
    let first = model.findings.first()?;
    let from = first.from_rps.map_or_else(String::new, |from| format!(" from {} records/s on", rate(from)));
    let change = first.change.as_ref().map_or_else(String::new, |change| {
        let cost = text::change_cost(first.monthly_cost_of_change, &model.cost.currency);
        format!(" To move it: {change} ({cost}).")
    });
    let others = match model.findings.len() - 1 {
        0 => String::new(),
        1 => " One further finding follows.".to_owned(),
        others => format!(" {others} further findings follow."),
    };
    Some(format!("What gave way first: {}{from}.{change}{others}", first.limit))
}

fn delivered(model: &ReportModel) -> String {
    let Some(delivery) = &model.delivery else {
        return "Delivery was not measured: without receipts nothing can be said about single records."
            .to_owned();
    };
    let acked = plural(delivery.acked, "acked record");
    let seen = text::count(delivery.delivered);
    let dead = match delivery.dead_lettered {
        0 => String::new(),
        dead => format!(" The mapping gave up {}: see the on-failure queue.", plural(dead, "record")),
    };
    match delivery.lost {
        Some(0) => format!("Of {acked}, {seen} were delivered and none was lost.{dead}"),
        Some(lost) => format!("Of {acked}, {seen} were delivered and {} lost.{dead}", text::count(lost)),
        None => format!(
            "Of {acked}, {seen} were seen to arrive; the collection of receipts did not end, so nothing is said \
             about losses ({} unconfirmed).",
            text::count(delivery.unconfirmed)
        ),
    }
}

fn cost(model: &ReportModel) -> String {
    let cost = &model.cost;
    let incomplete = cost.pipeline.incomplete || cost.test.incomplete;
    let at_least = if incomplete { "at least " } else { "" };
    let each = match cost.pipeline.per_million_records {
        Some(each) if cost.pipeline.incomplete => {
            format!("A million records cost at least {} {} through the pipeline", cost.currency, usd(each))
        }
        Some(each) => format!("A million records cost {} {} through the pipeline", cost.currency, usd(each)),
        None => "Nothing was delivered, so a million records have no cost".to_owned(),
    };
    let total = Exact(cost.pipeline.total.0 + cost.test.total.0);
    let unpriced = if incomplete { " Some lines have no price." } else { "" };
    format!("{each}; the whole run cost {at_least}{} {}.{unpriced}", cost.currency, usd(total))
}
