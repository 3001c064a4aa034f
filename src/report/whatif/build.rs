//! From the rehearsals of a grid to one document.

use rust_decimal::Decimal;

use crate::cost::PriceBook;
use crate::evidence::model::{Evidence, RunEnd};
use crate::plan::{Plan, Setting, short_key};
use crate::report::model::{CriterionReport, Exact, LevelReport, ReportModel, TestReport};
use crate::report::text::{self, observed, plural, usd};
use crate::verdict::Verdict;

use super::model::{Broke, Outcome, Row, SCHEMA, WhatIf};
use super::monthly;

/// What assumed durations and their draws do not tell apart.
const AS_CHEAP_PERCENT: i64 = 2;

/// What all rehearsals of a grid have in common.
#[derive(Clone, Debug)]
pub struct Grid<'p> {
    pub id: String,
    /// As it stands, without any setting.
    pub plan: &'p Plan,
    /// Indexes of the rehearsed tests into `plan.tests()`.
    pub selected: &'p [usize],
    pub region: String,
    pub book: &'p PriceBook,
    /// The keys that are set, as a plan has them.
    pub keys: Vec<String>,
    /// What each rehearsal rests on, settings aside.
    pub assumptions: Vec<String>,
}

impl Grid<'_> {
    /// The rate that a month is worked out for: what production expects, else the highest rate that the plan holds.
    pub fn peak_rps(&self) -> Option<f64> {
        let tests: Vec<_> = self.plan.tests().collect();
        let stages =
            self.selected.iter().filter_map(|index| tests.get(*index)).filter(|test| test.users.is_none());
        let highest = stages.flat_map(|test| &test.stages).map(|stage| stage.target_rps).reduce(f64::max);
        self.plan.expected_peak_rps.or(highest).filter(|rps| *rps > 0.0)
    }
}

/// The row of a rehearsal that left a report.
pub fn row(
    settings: &[Setting],
    evidence: &Evidence,
    book: &PriceBook,
    model: &ReportModel,
    peak_rps: Option<f64>,
) -> Row {
    let (outcome, why) = outcome(evidence, model);
    let kept = Row {
        run: Some(model.run.id.clone()),
        report: Some(format!("../{}/report.html", model.run.id)),
        verdict: Some(model.run.verdict),
        ..without_report(settings, outcome, why)
    };
    // Half of a rehearsal cannot be held against a whole one.
    if outcome == Outcome::Ended {
        return Row { monthly_reason: Some("it did not come to its end".to_owned()), ..kept };
    }
    let top = top_level(model);
    let levels =
        || model.tests.iter().flat_map(|test| &test.levels).filter(|level| level.started_at.is_some());
    let points = model.tests.iter().filter_map(|test| test.breaking_point.as_ref());
    let first = points.min_by(|one, other| one.rps.total_cmp(&other.rps));
    let monthly = monthly::at(peak_rps, evidence, book, model);
    let of_finding =
        || model.findings.first().map(|found| Broke { rps: found.from_rps, first: found.limit.clone() });
    Row {
        cost_per_million: model.cost.pipeline.per_million_records,
        cost_incomplete: model.cost.pipeline.incomplete,
        level: top.map(|(test, level)| format!("{} / {}", test.id, level.name)),
        e2e_p99_ms: top.and_then(|(_, level)| level.e2e_latency_ms).map(|e2e| e2e.p99),
        put_p99_ms: top.and_then(|(_, level)| level.put_latency_ms).map(|put| put.p99),
        breaking_point: first.map(|point| Broke { rps: Some(point.rps), first: point.first.clone() }),
        limit: if first.is_some() { None } else { of_finding() },
        carried_up_to_rps: model.known_up_to_rps,
        throttled: levels().map(|level| level.throttled).sum(),
        iterator_age_ms_max: levels().filter_map(|level| level.iterator_age_ms_max).reduce(f64::max),
        monthly_reason: monthly.as_ref().err().cloned(),
        monthly: monthly.ok().map(Exact),
        ..kept
    }
}

/// The row of settings that have no report: not begun, or failed before there was one.
pub fn without_report(settings: &[Setting], outcome: Outcome, why: Option<String>) -> Row {
    Row {
        values: settings.iter().map(|setting| setting.value.clone()).collect(),
        outcome,
        why,
        run: None,
        report: None,
        verdict: None,
        cost_per_million: None,
        cost_incomplete: false,
        level: None,
        e2e_p99_ms: None,
        put_p99_ms: None,
        breaking_point: None,
        limit: None,
        carried_up_to_rps: None,
        throttled: None,
        iterator_age_ms_max: None,
        monthly: None,
        monthly_reason: Some("there is no rehearsal".to_owned()),
    }
}

fn outcome(evidence: &Evidence, model: &ReportModel) -> (Outcome, Option<String>) {
    if evidence.run.end != RunEnd::Completed {
        return (Outcome::Ended, Some(format!("it ended early: {}", model.run.end)));
    }
    let first = |wanted: Verdict| all_criteria(model).find(move |(_, criterion)| criterion.verdict == wanted);
    let told = |(test, criterion): (&str, &CriterionReport)| {
        let level = criterion.level.as_ref().map_or_else(String::new, |level| format!(" at {level}"));
        let of = if test.is_empty() { String::new() } else { format!("{test}: ") };
        format!("{of}{} (it was {}{level})", criterion.text, observed(criterion))
    };
    if let Some(failed) = first(Verdict::Fail) {
        let others = all_criteria(model).filter(|(_, criterion)| criterion.verdict == Verdict::Fail).count()
            as u64
            - 1;
        let others =
            if others > 0 { format!(", and {}", text::more(others, "criterion")) } else { String::new() };
        return (Outcome::Fails, Some(format!("{}{others}", told(failed))));
    }
    if let Some((test, open)) = first(Verdict::Inconclusive) {
        let of = if test.is_empty() { String::new() } else { format!("{test}: ") };
        return (Outcome::Open, Some(format!("{of}{}: {}", open.text, open.reason)));
    }
    match (all_criteria(model).count(), model.run.verdict) {
        (0, _) => (Outcome::Open, Some("the plan sets no criterion".to_owned())),
        (_, Verdict::Pass) => (Outcome::Meets, None),
        (_, _) => (Outcome::Open, Some("a test did not finish".to_owned())),
    }
}

/// With the id of the test; the whole run has none.
fn all_criteria(model: &ReportModel) -> impl Iterator<Item = (&str, &CriterionReport)> {
    let of_tests =
        model.tests.iter().flat_map(|test| test.criteria.iter().map(|each| (test.id.as_str(), each)));
    of_tests.chain(model.criteria.iter().map(|each| ("", each)))
}

/// The highest level that is judged and says something; of equal ones the first.
fn top_level(model: &ReportModel) -> Option<(&TestReport, &LevelReport)> {
    let load = |level: &LevelReport| {
        level.target_rps.or(level.users.map(|users| users.target.into())).unwrap_or(0.0)
    };
    let levels = model.tests.iter().flat_map(|test| test.levels.iter().map(move |level| (test, level)));
    let telling = levels.filter(|(_, level)| level.judged && level.finished && level.void.is_none());
    telling.reduce(|best, each| if load(each.1) > load(best.1) { each } else { best })
}

/// The document of a grid; `rows` in the order of the grid, each with what its rehearsal rested on.
pub fn build(grid: &Grid<'_>, mut rows: Vec<Row>) -> WhatIf {
    // Stable: what is equal stays in the order of the grid.
    rows.sort_by(|one, other| {
        let cost = |row: &Row| (row.cost_per_million.is_none(), row.cost_per_million);
        let p99 = |row: &Row| row.e2e_p99_ms.unwrap_or(f64::INFINITY);
        one.outcome
            .cmp(&other.outcome)
            .then_with(|| cost(one).cmp(&cost(other)))
            .then_with(|| p99(one).total_cmp(&p99(other)))
    });
    let tests: Vec<_> = grid.plan.tests().collect();
    let tests: Vec<_> = grid.selected.iter().filter_map(|index| tests.get(*index)).collect();
    let criteria = tests.iter().map(|test| test.criteria.len()).sum::<usize>() + grid.plan.criteria.len();
    let mut whatif = WhatIf {
        schema: SCHEMA.to_owned(),
        id: grid.id.clone(),
        plan: grid.plan.name.clone(),
        plan_hash: grid.plan.hash.clone(),
        tests: tests.iter().map(|test| test.id.clone()).collect(),
        region: grid.region.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        currency: grid.book.currency.clone(),
        prices_as_of: grid.book.as_of.clone(),
        keys: grid.keys.clone(),
        criteria: criteria as u64,
        monthly_at_rps: grid.peak_rps(),
        summary: Vec::new(),
        settings: rows,
        assumptions: assumptions(grid),
    };
    whatif.summary = summary(&whatif);
    whatif
}

fn assumptions(grid: &Grid<'_>) -> Vec<String> {
    let mut list = grid.assumptions.clone();
    list.push(
        "each setting is rehearsed once: how much of a difference is chance shows with another --seed"
            .to_owned(),
    );
    list.push(format!("prices of {}, without a free tier", grid.book.as_of));
    if let Some(rps) = grid.peak_rps() {
        let whose = match grid.plan.expected_peak_rps {
            Some(_) => "the plan's expected_peak",
            None => "the highest rate of the rehearsed tests, since the plan names no expected_peak",
        };
        list.push(format!(
            "a month has {} h at a steady {} records/s ({whose}), with the batches of the judged level nearest to it and the \
             mean billed time of an invocation over the whole rehearsal; Kinesis, Lambda and its log, no sink",
            grid.book.hours_per_month,
            text::rate(rps)
        ));
    }
    list
}

impl WhatIf {
    /// `shards=2 memory_mb=256`.
    pub fn label(&self, row: &Row) -> String {
        let each =
            self.keys.iter().zip(&row.values).map(|(key, value)| format!("{}={value}", short_key(key)));
        each.collect::<Vec<_>>().join(" ")
    }

    pub fn with(&self, outcome: Outcome) -> impl Iterator<Item = &Row> {
        self.settings.iter().filter(move |row| row.outcome == outcome)
    }
}

fn summary(whatif: &WhatIf) -> Vec<String> {
    let number = |outcome: Outcome| whatif.with(outcome).count() as u64;
    let all = whatif.settings.len() as u64;
    let rehearsed = all - number(Outcome::NotBegun) - number(Outcome::Ended);
    let of = if rehearsed == all {
        plural(all, "setting")
    } else {
        format!("the {} that were rehearsed, of {all},", plural(rehearsed, "setting"))
    };
    let mut sentences = Vec::new();
    match (number(Outcome::Meets), whatif.settings.first()) {
        _ if rehearsed == 0 => sentences.push("No setting was rehearsed to its end.".to_owned()),
        (0, _) if whatif.criteria == 0 => {
            sentences.push(format!(
                "The plan sets no criterion, so none of {of} can be called enough: sorted by cost alone."
            ));
        }
        (0, _) => {
            sentences.push(format!("None of {of} meets every criterion: there is nothing to recommend."))
        }
        (meets, Some(best)) => {
            sentences.push(recommended(whatif, best, meets, &of));
            sentences.extend(as_cheap(whatif, best));
        }
        (_, None) => {}
    }
    for (outcome, told) in [
        (Outcome::Open, "Not judged in full, so nothing is said of them"),
        (Outcome::Fails, "Failed a criterion"),
        (Outcome::Ended, "Without a result"),
        (Outcome::NotBegun, "Not begun when the grid was stopped"),
    ] {
        if number(outcome) > 0 && !(outcome == Outcome::Open && whatif.criteria == 0) {
            sentences.push(format!("{told}: {} of {all}.", number(outcome)));
        }
    }
    sentences
}

/// Settings whose cost cannot be told from the cheapest one's.
fn as_cheap(whatif: &WhatIf, best: &Row) -> Option<String> {
    let most = best.cost_per_million?.0 * (Decimal::ONE + Decimal::new(AS_CHEAP_PERCENT, 2));
    let is_as_cheap = |row: &&Row| row.cost_per_million.is_some_and(|cost| cost.0 <= most);
    let others: Vec<String> =
        whatif.with(Outcome::Meets).skip(1).filter(is_as_cheap).map(|row| whatif.label(row)).collect();
    (!others.is_empty()).then(|| {
        let told = text::listed(&others);
        format!("Not more than {AS_CHEAP_PERCENT} % dearer, too little to choose by: {told}.")
    })
}

fn recommended(whatif: &WhatIf, best: &Row, meets: u64, of: &str) -> String {
    let label = whatif.label(best);
    let p99 = best
        .e2e_p99_ms
        .map_or_else(String::new, |ms| format!(", with an end-to-end p99 of {} ms", text::number(ms)));
    let cost = match best.cost_per_million {
        Some(each) if best.cost_incomplete => {
            format!("at least {} {} a million records", whatif.currency, usd(each))
        }
        Some(each) => format!("{} {} a million records", whatif.currency, usd(each)),
        None => {
            return format!(
                "{meets} of {of} meet every criterion; what they cost is not known, so none is called the cheapest."
            );
        }
    };
    match meets {
        1 => format!("Of {of} only {label} meets every criterion: {cost}{p99}."),
        _ => format!("{meets} of {of} meet every criterion. The cheapest is {label}: {cost}{p99}."),
    }
}
