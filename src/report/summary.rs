//! The executive summary: a few plain sentences, worked out from what the model holds.
//!
//! In this order: whether the figures can be taken as they are (rehearsed, stopped early, void, planted faults), what was asked,
//! what held, what did not, what gave way first and what moves it, what is known, what arrived, what it cost.

use crate::verdict::Verdict;

use super::model::*;
use super::text::{self, count, criteria, observed, plural, rate, usd};

/// Failed criteria that are spelled out; the rest is counted.
const SPELLED_OUT: usize = 2;
/// Tests that are named in a list; the rest is counted.
const NAMED: usize = 6;

pub fn sentences(model: &ReportModel) -> Vec<String> {
    let mut sentences: Vec<String> =
        [rehearsed(model), early(model), void(model), planted(model)].into_iter().flatten().collect();
    sentences.push(asked(model));
    sentences.extend(held(model));
    sentences.extend(failures(model));
    sentences.extend(open_question(model));
    sentences.extend(limit(model));
    sentences.extend(model.known_up_to.clone());
    sentences.push(delivered(model));
    sentences.push(cost(model));
    sentences
}

/// Whoever reads predicted figures must not take them for measured ones.
fn rehearsed(model: &ReportModel) -> Option<String> {
    model.run.rehearsal.then(|| {
        let assumptions = match model.run.assumptions.as_slice() {
            [] => String::new(),
            assumptions => format!(" It assumes that {}.", assumptions.join("; that ")),
        };
        format!("Rehearsed in virtual time: every figure is predicted, none is measured.{assumptions}")
    })
}

/// What makes every figure below one of a part only.
fn early(model: &ReportModel) -> Option<String> {
    let end = match model.run.end.as_str() {
        "completed" => None,
        "killed" => Some("The run was killed: no end of it was written.".to_owned()),
        stopped => Some(format!("The run was {stopped}.")),
    };
    let parts: Vec<String> = end.into_iter().chain(not_to_their_end(model)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Which tests were asked for and have no result that counts: `--resume` runs them.
fn not_to_their_end(model: &ReportModel) -> Vec<String> {
    let told = |started: bool, one: &str, many: &str| {
        let tests = model.tests.iter().filter(|test| !test.finished && test.started_at.is_some() == started);
        let mut ids: Vec<String> = tests.map(|test| test.id.clone()).collect();
        if ids.len() > NAMED + 1 {
            let others = count((ids.len() - NAMED) as u64);
            ids.truncate(NAMED);
            ids.push(format!("{others} others"));
        }
        match ids.as_slice() {
            [] => None,
            [id] => Some(format!("Test {id} {one}.")),
            _ => Some(format!("The tests {} {many}.", text::listed(&ids))),
        }
    };
    let begun = told(true, "did not come to its end", "did not come to their end");
    begun.into_iter().chain(told(false, "was not begun", "were not begun")).collect()
}

/// Where no level at all says anything about the pipeline.
fn void(model: &ReportModel) -> Option<String> {
    let ran = || model.tests.iter().flat_map(|test| &test.levels).filter(|level| level.started_at.is_some());
    let first = ran().next()?.void.as_ref()?;
    ran()
        .all(|level| level.void.is_some())
        .then(|| format!("Nothing here tells of the pipeline, because every level is void: {first}."))
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
fn all_criteria(model: &ReportModel) -> impl Iterator<Item = (&str, &CriterionReport)> + Clone {
    let of_tests = model
        .tests
        .iter()
        .flat_map(|test| test.criteria.iter().map(move |criterion| (test.id.as_str(), criterion)));
    of_tests.chain(model.criteria.iter().map(|criterion| ("", criterion)))
}

fn asked(model: &ReportModel) -> String {
    if model.tests.is_empty() {
        return "No test ran.".to_owned();
    }
    let levels = || model.tests.iter().flat_map(|test| &test.levels);
    let rps = levels().filter_map(|level| Some(level.target_rps?.max(level.from_rps?))).reduce(f64::max);
    let users = levels().filter_map(|level| Some(level.users?.from.max(level.users?.target))).max();
    let load: Vec<String> = [
        rps.map(|rps| format!("up to {} records/s", rate(rps))),
        users.map(|users| format!("up to {}", plural(users.into(), "virtual user"))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let load = if load.is_empty() { "no load".to_owned() } else { text::listed(&load) };
    let bytes = || model.tests.iter().map(|test| test.payload.bytes);
    let (least, most) = (bytes().min().unwrap_or(0), bytes().max().unwrap_or(0));
    let size = if least == most {
        plural(most, "byte")
    } else {
        format!("{} to {}", count(least), plural(most, "byte"))
    };
    let set = match all_criteria(model).count() as u64 {
        0 => "no criterion".to_owned(),
        number => criteria(number),
    };
    format!("{} asked for {load} of {size}, and set {set}.", plural(model.tests.len() as u64, "test"))
}

fn held(model: &ReportModel) -> Option<String> {
    let begun: Vec<&TestReport> = model.tests.iter().filter(|test| test.started_at.is_some()).collect();
    let whole = |verdict| word(verdict, "passed", "failed", "could not be judged in full");
    let verdicts = tally(begun.iter().map(|test| test.verdict));
    let tests = match verdicts.as_slice() {
        [] => return None,
        [(number, verdict)] => format!("{} {}", all_of(*number, &begun, model.tests.len()), whole(*verdict)),
        several => each(several, whole),
    };
    let single = |verdict| word(verdict, "held", "failed", "could not be judged");
    let criteria = match tally(all_criteria(model).map(|(_, criterion)| criterion.verdict)).as_slice() {
        [] => String::new(),
        [(1, verdict)] => format!(": the criterion {}", single(*verdict)),
        [(_, Verdict::Pass)] => ": every criterion held".to_owned(),
        [(_, Verdict::Fail)] => ": no criterion held".to_owned(),
        [(_, Verdict::Inconclusive)] => ": no criterion could be judged".to_owned(),
        several => format!("; of the criteria {}", each(several, single)),
    };
    Some(format!("{tests}{criteria}."))
}

/// The tests that began, which have one verdict: `It`, `Test 1.1` of several, `Both`, `All 3`, `The 2 that began`.
fn all_of(number: u64, begun: &[&TestReport], asked: usize) -> String {
    match (number, begun, asked) {
        (1, _, 1) => "It".to_owned(),
        (_, [only], _) => whose(&only.id),
        (2, _, 2) => "Both".to_owned(),
        (_, _, asked) if begun.len() == asked => format!("All {}", count(number)),
        _ => format!("The {} that began", count(number)),
    }
}

/// `1 passed, 2 failed and 1 could not be judged`.
fn each(tally: &[(u64, Verdict)], word: impl Fn(Verdict) -> &'static str) -> String {
    let parts = tally.iter().map(|(number, verdict)| format!("{} {}", count(*number), word(*verdict)));
    text::listed(&parts.collect::<Vec<_>>())
}

fn word(
    verdict: Verdict,
    pass: &'static str,
    fail: &'static str,
    inconclusive: &'static str,
) -> &'static str {
    match verdict {
        Verdict::Pass => pass,
        Verdict::Fail => fail,
        Verdict::Inconclusive => inconclusive,
    }
}

/// How many there are of each verdict; those that do not occur are left out.
fn tally(verdicts: impl Iterator<Item = Verdict> + Clone) -> Vec<(u64, Verdict)> {
    [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive]
        .into_iter()
        .map(|verdict| (verdicts.clone().filter(|each| *each == verdict).count() as u64, verdict))
        .filter(|(number, _)| *number > 0)
        .collect()
}

fn whose(test: &str) -> String {
    if test.is_empty() { "The run".to_owned() } else { format!("Test {test}") }
}

fn failures(model: &ReportModel) -> Vec<String> {
    let failed: Vec<(&str, &CriterionReport)> =
        all_criteria(model).filter(|(_, criterion)| criterion.verdict == Verdict::Fail).collect();
    let mut sentences: Vec<String> = failed
        .iter()
        .take(SPELLED_OUT)
        .map(|(test, criterion)| {
            let (text, observed) = (&criterion.text, observed(criterion));
            format!("{} failed \"{text}\" with {observed}: {}.", whose(test), criterion.reason)
        })
        .collect();
    if failed.len() > SPELLED_OUT {
        sentences.push(format!("{} failed.", text::more((failed.len() - SPELLED_OUT) as u64, "criterion")));
    }
    sentences
}

/// Where nothing failed, why it is still not a pass.
fn open_question(model: &ReportModel) -> Option<String> {
    if all_criteria(model).any(|(_, criterion)| criterion.verdict == Verdict::Fail) {
        return None;
    }
    let (test, first) =
        all_criteria(model).find(|(_, criterion)| criterion.verdict == Verdict::Inconclusive)?;
    Some(format!("{} leaves \"{}\" open: {}.", whose(test), first.text, first.reason))
}

fn limit(model: &ReportModel) -> Option<String> {
    let first = model.findings.first()?;
    let from = first.from_rps.map_or_else(String::new, |from| format!(" from {} records/s on", rate(from)));
    let change = match &first.change {
        Some(change) => {
            let cost = text::change_cost(first.monthly_cost_of_change, &model.cost.currency);
            format!("To move it: {change} ({cost}).")
        }
        None => "The numbers do not tell which change would move it.".to_owned(),
    };
    let others = match model.findings.len() - 1 {
        0 => String::new(),
        1 => " One further finding follows.".to_owned(),
        others => format!(" {others} further findings follow."),
    };
    Some(format!("What gave way first: {}{from}. {change}{others}", first.limit))
}

fn delivered(model: &ReportModel) -> String {
    let Some(delivery) = &model.delivery else {
        return "Delivery was not measured: without receipts nothing can be said about single records."
            .to_owned();
    };
    if delivery.acked == 0 && delivery.delivered == 0 {
        return "No record was acked, and none arrived.".to_owned();
    }
    let acked = plural(delivery.acked, "acked record");
    let seen = was(delivery.delivered);
    let dead = match delivery.dead_lettered {
        0 => String::new(),
        dead => format!(" The mapping gave up {}: see the on-failure queue.", plural(dead, "record")),
    };
    match delivery.lost {
        Some(0) => format!("Of {acked}, {seen} delivered and none was lost.{dead}"),
        Some(lost) => {
            let expired = match delivery.expired {
                0 => String::new(),
                expired if expired == lost => {
                    ": the stream's retention was over before the function was handed them".to_owned()
                }
                expired => format!(
                    ", {} of them because the stream's retention was over before the function was handed them",
                    count(expired)
                ),
            };
            format!("Of {acked}, {seen} delivered and {} lost{expired}.{dead}", was(lost))
        }
        // A process that is killed takes its last second of acks along.
        None if delivery.delivered > delivery.acked => format!(
            "{seen} seen to arrive, more than the {acked} that are known of: the last acks were not written down. Nothing is \
             said about losses.{dead}"
        ),
        None => format!(
            "Of {acked}, {seen} seen to arrive; the collection of receipts did not end, so nothing is said about \
             losses ({} unconfirmed).{dead}",
            count(delivery.unconfirmed)
        ),
    }
}

/// `1 was`, `2 were`.
fn was(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "was" } else { "were" })
}

fn cost(model: &ReportModel) -> String {
    let cost = &model.cost;
    let incomplete = cost.pipeline.incomplete || cost.test.incomplete;
    // How long the rest stood after a kill is not known.
    let at_least = if incomplete || model.run.end == "killed" { "at least " } else { "" };
    let each = match cost.pipeline.per_million_records {
        Some(each) if cost.pipeline.incomplete => {
            format!("A million records cost at least {} {} through the pipeline", cost.currency, usd(each))
        }
        Some(each) => format!("A million records cost {} {} through the pipeline", cost.currency, usd(each)),
        None if model.delivery.is_none() => {
            "What a million delivered records cost is not known without receipts".to_owned()
        }
        None => "Nothing was delivered, so a million records have no cost".to_owned(),
    };
    let total = Exact(cost.pipeline.total.0 + cost.test.total.0);
    let unpriced = if incomplete { " Some lines have no price." } else { "" };
    format!("{each}; the whole run cost {at_least}{} {}.{unpriced}", cost.currency, usd(total))
}
