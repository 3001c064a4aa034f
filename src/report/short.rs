//! `summary.md`: the report as a comment on a pull request. Bounded, whatever the plan: about forty lines, and far
//! below the 65,536 characters that GitHub takes.

use std::fmt::Write as _;

use crate::verdict::Verdict;

use super::escape;
use super::model::*;
use super::text::{self, clipped, count, lost, number, observed, or_none, percent, rate, usd};

/// Rows of each part; the rest is counted.
const TESTS: usize = 11;
const CRITERIA: usize = 4;
const FINDINGS: usize = 3;
/// Characters of a sentence or a reason, and of a name.
const SENTENCE: usize = 360;
const NAME: usize = 60;

/// `summary.md`.
pub fn short(model: &ReportModel) -> String {
    let mut out = String::new();
    let run = &model.run;
    line(&mut out, &format!("## {}: {}\n", cell(&run.plan, NAME), run.verdict));
    for sentence in &model.summary {
        line(&mut out, &format!("- {}", cell(sentence, SENTENCE)));
    }
    tests(&mut out, &model.tests);
    not_held(&mut out, model);
    findings(&mut out, model);
    line(&mut out, &format!("\n- **Delivery**: {}", delivery(model.delivery.as_ref())));
    line(&mut out, &format!("- **Cost**: {}", cost(&model.cost)));
    let rehearsal = if run.rehearsal { " Rehearsed in virtual time." } else { "" };
    line(
        &mut out,
        &format!(
            "- **Run**: {} on {} ({}), {} to {}, streamgauge {}.{rehearsal} Everything is in its `report.html`.",
            cell(&run.id, NAME),
            cell(&run.target, NAME),
            cell(&run.region, NAME),
            run.started_at,
            run.ended_at.as_deref().unwrap_or("an unknown end"),
            cell(&run.tool_version, NAME)
        ),
    );
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

fn cell(text: &str, length: usize) -> String {
    escape::markdown(&clipped(text, length))
}

fn row(out: &mut String, cells: &[String]) {
    line(out, &format!("| {} |", cells.join(" | ")));
}

/// One row a test: its highest rate that criteria judge and that says something.
fn tests(out: &mut String, tests: &[TestReport]) {
    if tests.is_empty() {
        return;
    }
    line(
        out,
        "\n| test | verdict | bytes | target/s | achieved/s | put p95, ms | end to end p95, ms | success | cost a million |",
    );
    line(out, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for test in tests.iter().take(TESTS) {
        let levels = test.levels.iter().filter(|level| level.judged && level.started_at.is_some());
        let top = levels
            .filter(|level| level.void.is_none())
            .max_by(|one, other| load(one).total_cmp(&load(other)));
        let figure = |of: fn(&LevelReport) -> String| top.map_or_else(|| text::NONE.to_owned(), of);
        row(
            out,
            &[
                cell(&format!("{} {}", test.id, test.name), NAME),
                test.verdict.to_string(),
                count(test.payload.bytes),
                figure(target),
                figure(|level| or_none(level.achieved_rps, rate)),
                figure(|level| or_none(level.put_latency_ms, |put| number(put.p95))),
                figure(|level| or_none(level.e2e_latency_ms, |e2e| number(e2e.p95))),
                figure(|level| or_none(level.success_percent, percent)),
                figure(|level| or_none(level.cost_per_million, usd)),
            ],
        );
    }
    more(out, "|", tests.len(), TESTS, "test");
}

/// What a level asked for, to find the highest: its rate, or its virtual users.
fn load(level: &LevelReport) -> f64 {
    level.target_rps.or(level.users.map(|users| users.target.into())).unwrap_or(0.0)
}

fn target(level: &LevelReport) -> String {
    match level.users {
        Some(users) => text::plural(users.target.into(), "user"),
        None => or_none(level.target_rps, rate),
    }
}

/// What is not shown, as the last row of a table or item of a list.
fn more(out: &mut String, lead: &str, all: usize, shown: usize, what: &str) {
    if all > shown {
        line(out, &format!("{lead} and {}", text::more((all - shown) as u64, what)));
    }
}

/// The criteria that failed, then those that could not be judged.
fn not_held(out: &mut String, model: &ReportModel) {
    let of_tests =
        model.tests.iter().flat_map(|test| test.criteria.iter().map(|each| (test.id.as_str(), each)));
    let mut rows: Vec<(&str, &CriterionReport)> = of_tests
        .chain(model.criteria.iter().map(|each| ("whole run", each)))
        .filter(|(_, each)| each.verdict != Verdict::Pass)
        .collect();
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|(_, each)| each.verdict != Verdict::Fail);
    line(out, "\n| not held | of | verdict | observed | why |");
    line(out, "| --- | --- | --- | ---: | --- |");
    for (test, each) in rows.iter().take(CRITERIA) {
        let text = cell(&each.text, NAME);
        row(
            out,
            &[
                text,
                cell(test, NAME),
                each.verdict.to_string(),
                observed(each),
                cell(&each.reason, SENTENCE / 2),
            ],
        );
    }
    more(out, "|", rows.len(), CRITERIA, "criterion");
}

fn findings(out: &mut String, model: &ReportModel) {
    if !model.findings.is_empty() {
        out.push('\n');
    }
    for (index, finding) in model.findings.iter().take(FINDINGS).enumerate() {
        let from =
            finding.from_rps.map_or_else(String::new, |from| format!(" from {} records/s on", rate(from)));
        let told = match &finding.change {
            Some(change) => {
                let cost = text::change_cost(finding.monthly_cost_of_change, &model.cost.currency);
                format!("change {change} ({cost})")
            }
            None => finding.explanation.clone(),
        };
        let limit = cell(&finding.limit, NAME);
        line(out, &format!("{}. **{limit}**{from}: {}", index + 1, cell(&told, SENTENCE)));
    }
    more(out, "-", model.findings.len(), FINDINGS, "finding");
}

fn delivery(delivery: Option<&DeliveryReport>) -> String {
    let Some(delivery) = delivery else { return "not measured: no receipts.".to_owned() };
    let state = if delivery.complete { "" } else { "; the collection of receipts did not end" };
    format!(
        "acked {}, delivered {}, lost {}, unconfirmed {}, put twice {}, redelivered {}, out of order {}, dead-lettered {}{state}.",
        count(delivery.acked),
        count(delivery.delivered),
        lost(delivery),
        count(delivery.unconfirmed),
        count(delivery.duplicated.producer),
        count(delivery.duplicated.redelivery),
        count(delivery.out_of_order),
        count(delivery.dead_lettered)
    )
}

fn cost(cost: &CostReport) -> String {
    let currency = cell(&cost.currency, NAME);
    let bound = |incomplete: bool| if incomplete { " at least" } else { "" };
    format!(
        "per million delivered records {}; pipeline {currency} {}{}, test {currency} {}{}; prices of {}.",
        or_none(cost.pipeline.per_million_records, |each| format!("{currency} {}", usd(each))),
        usd(cost.pipeline.total),
        bound(cost.pipeline.incomplete),
        usd(cost.test.total),
        bound(cost.test.incomplete),
        cell(&cost.prices_as_of, NAME)
    )
}
