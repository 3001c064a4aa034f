//! The executive summary of a period: what was asked, what held, what gave way first, what to change, what it costs.

use crate::plan::Plan;
use crate::report::model::{CriterionReport, Exact};
use crate::report::text::{count, observed, plural, rate, usd};
use crate::verdict::Verdict;

use super::advice::cost_text;
use super::input::Request;
use super::model::*;
use super::observed::from_rate;
use super::production::is_of_generator;

/// Failed criteria that are spelled out; the rest is counted.
const SPELLED_OUT: usize = 3;

pub(super) fn sentences(request: &Request<'_>, model: &PeriodModel) -> Vec<String> {
    let mut sentences = vec![asked(request.plan, model), held(model)];
    sentences.extend(planted(model));
    sentences.extend(failures(model));
    sentences.extend(gave_way(model));
    sentences.extend(to_change(model));
    sentences.extend(known(model));
    sentences.extend(cost(model));
    sentences
}

/// `1.1, 1.2 and 2.1`.
pub(super) fn listed<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

fn asked(plan: &Plan, model: &PeriodModel) -> String {
    let mut ids: Vec<&str> = model.tests.iter().map(|test| test.id.as_str()).collect();
    let tests = plural(ids.len() as u64, "test");
    unrepeated(&mut ids);
    let what = match (model.period.kind, model.period.week, &model.period.day) {
        (Kind::Week, Some(week), _) => format!("Week {week} asks for {tests}"),
        (Kind::Day, _, Some(day)) => format!("On {day}, {tests} began"),
        _ => format!("The campaign asks for {tests}"),
    };
    let planned = plan.tests().filter(|test| ids.contains(&test.id.as_str()));
    let (mut peaks, mut bytes) = (Vec::new(), Vec::new());
    for test in planned {
        // Of virtual users the rate is an outcome, not a target.
        if test.users.is_none() {
            peaks.push(test.peak_rps());
        }
        bytes.push(test.payload.bytes as u64);
    }
    let Some((peak, (smallest, largest))) =
        peaks.into_iter().reduce(f64::max).zip(bytes.iter().min().zip(bytes.iter().max()))
    else {
        return format!("{what} ({}).", listed(&ids));
    };
    let size = match smallest == largest {
        true => count(*largest),
        false => format!("{} to {}", count(*smallest), count(*largest)),
    };
    format!("{what} ({}), of up to {} records/s and {size} bytes a record.", listed(&ids), rate(peak))
}

/// On one day a test may have begun more than once.
fn unrepeated(ids: &mut Vec<&str>) {
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
}

fn held(model: &PeriodModel) -> String {
    let those = |is: &dyn Fn(&PeriodTest) -> bool, what: &str| {
        let mut ids: Vec<&str> =
            model.tests.iter().filter(|test| is(test)).map(|test| test.id.as_str()).collect();
        let number = ids.len() as u64;
        unrepeated(&mut ids);
        (number > 0).then(|| format!("{} {what} ({})", count(number), listed(&ids)))
    };
    let judged =
        |verdict| move |test: &PeriodTest| test.state == State::Finished && test.verdict == Some(verdict);
    let in_state = |state| move |test: &PeriodTest| test.state == state;
    let parts = [
        those(&judged(Verdict::Pass), "passed"),
        those(&judged(Verdict::Fail), "failed"),
        those(&judged(Verdict::Inconclusive), "could not be judged in full"),
        those(&in_state(State::Interrupted), "did not come to an end"),
        those(&in_state(State::Outdated), "ran before the plan or the environment was changed"),
        those(&in_state(State::Running), "still running"),
        those(&in_state(State::NotRun), "not run"),
        those(
            &|test| test.state == State::Finished && test.verdict.is_none(),
            "without a result that can be read",
        ),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "No test is in it.".to_owned() } else { format!("Of these: {}.", parts.join(", ")) }
}

fn planted(model: &PeriodModel) -> Option<String> {
    let runs: Vec<&str> =
        model.runs.iter().filter(|run| !run.faults.is_empty()).map(|run| run.id.as_str()).collect();
    (!runs.is_empty()).then(|| {
        format!("Faults were planted on purpose, and the figures show it, in run {}.", listed(&runs))
    })
}

fn failures(model: &PeriodModel) -> Vec<String> {
    let of_tests = model.tests.iter().flat_map(|test| {
        let criteria = test.report.iter().flat_map(|report| &report.criteria);
        criteria.map(move |criterion| (format!("Test {}", test.id), criterion))
    });
    let counted = model.runs.iter().filter(|run| run.counted);
    let of_runs = counted
        .flat_map(|run| run.criteria.iter().map(move |criterion| (format!("Run {}", run.id), criterion)));
    let failed: Vec<(String, &CriterionReport)> =
        of_tests.chain(of_runs).filter(|(_, criterion)| criterion.verdict == Verdict::Fail).collect();
    let told = failed.iter().take(SPELLED_OUT).map(|(whose, criterion)| {
        format!("{whose} failed \"{}\" with {}: {}.", criterion.text, observed(criterion), criterion.reason)
    });
    let mut sentences: Vec<String> = told.collect();
    match failed.len().saturating_sub(SPELLED_OUT) {
        0 => {}
        1 => sentences.push("1 more criterion failed.".to_owned()),
        more => sentences.push(format!("{} more criteria failed.", count(more as u64))),
    }
    sentences
}

fn gave_way(model: &PeriodModel) -> Option<String> {
    // What limited the generator alone says nothing about the pipeline.
    let of_pipeline = model.bottlenecks.iter().find(|found| !is_of_generator(&found.limit));
    let Some(first) = of_pipeline.or(model.bottlenecks.first()) else {
        let any = model.tests.iter().any(|test| test.report.is_some());
        return any.then(|| "Nothing gave way.".to_owned());
    };
    let whose = match first.tests.as_slice() {
        [] => String::new(),
        tests => format!(" (test {})", listed(tests)),
    };
    let others = match model.bottlenecks.len() - 1 {
        0 => String::new(),
        1 => " One further limit showed.".to_owned(),
        others => format!(" {others} further limits showed."),
    };
    Some(format!("What gave way first: {}{}{whose}.{others}", first.limit, from_rate(first.from_rps)))
}

fn to_change(model: &PeriodModel) -> Option<String> {
    let currency = model.cost.currency.as_deref();
    let told: Vec<String> = model
        .recommendations
        .iter()
        .map(|each| format!("{} ({})", each.change, cost_text(each.monthly_cost, currency)))
        .collect();
    (!told.is_empty()).then(|| format!("To move that: {}.", listed(&told)))
}

/// Of the run that carried most. Another one may have found a limit: then it is said whose words these are.
fn known(model: &PeriodModel) -> Option<String> {
    let best = model.known_up_to.iter().max_by(|a, b| a.rps.total_cmp(&b.rps))?;
    Some(match model.runs.len() {
        1 => best.text.clone(),
        _ => format!("Of run {}: {}", best.run, best.text),
    })
}

fn cost(model: &PeriodModel) -> Option<String> {
    let cost = &model.cost;
    let currency = cost.currency.as_deref()?;
    let each = match cost.per_million {
        Some([low, high]) if low == high => {
            format!("A million records cost {currency} {} through the pipeline", usd(low))
        }
        Some([low, high]) => format!(
            "A million records cost between {currency} {} and {} through the pipeline, depending on the level",
            usd(low),
            usd(high)
        ),
        None => "No judged level has a cost per million records".to_owned(),
    };
    let total = usd(Exact(cost.pipeline_total.0 + cost.test_total.0));
    let at_least = if cost.incomplete { "at least " } else { "" };
    let runs = match model.runs.len() {
        1 => "run".to_owned(),
        runs => plural(runs as u64, "run"),
    };
    let outside = model.runs.iter().any(|run| !run.counted);
    let outside = if outside { ", tests that are not in this report included" } else { "" };
    Some(format!("{each}; the {runs} cost {at_least}{currency} {total} in all{outside}."))
}
