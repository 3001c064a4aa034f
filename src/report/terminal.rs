//! The report for a terminal: the verdict first, then each test, then delivery, cost and findings.

use std::fmt::Write as _;

use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};

use crate::verdict::Verdict;

use super::actions;
use super::blocked;
use super::breaking_point;
use super::escape;
use super::model::*;
use super::text::{self, NONE, count, lost, number, observed, or_none, percent, rate, usd};

/// Narrower than this, nothing is laid out any more: it is wrapped to this.
pub(super) const WIDTH_MIN: u16 = 60;
/// From this width on every figure has a column of its own.
const WIDTH_ROOMY: u16 = 112;
/// A rule under the header and nothing else: it survives a log file.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('-').junction('-'));
/// Cost lines that are shown; the files have all of them.
const COST_LINES: usize = 5;

/// The report as text, lines at most `width` columns where words allow, with ANSI colours if `color`.
pub fn terminal(model: &ReportModel, width: u16, color: bool) -> String {
    let model = &defused(model);
    let page = Page::new(width, color);
    let mut out = String::new();
    head(&mut out, model, &page);
    for test in &model.tests {
        test_section(&mut out, test, &page);
    }
    if !model.criteria.is_empty() {
        out.push_str("\nWhole run\n");
        out.push_str(&criteria_table(&model.criteria, &page));
    }
    delivery_lines(&mut out, model.delivery.as_ref(), &page);
    for sentence in model.environment.existing.iter().flat_map(|existing| existing.sentences()) {
        page.paragraph(&mut out, "existing  ", &sentence);
    }
    cost_lines(&mut out, &model.cost, &page);
    findings(&mut out, model, &page);
    for note in &model.notes {
        page.paragraph(&mut out, "note: ", note);
    }
    out
}

/// The same report without control characters in any of its texts: a name must not move the cursor or change colours.
pub(super) fn defused<M: serde::Serialize + serde::de::DeserializeOwned>(model: &M) -> M {
    let mut value = serde_json::to_value(model).expect("a report always serializes");
    escape::every_text(&mut value, &|text| escape::plain(text));
    serde_json::from_value(value).expect("a report reads back as itself")
}

pub(super) struct Page {
    pub width: u16,
    pub color: bool,
}

impl Page {
    pub(super) fn new(width: u16, color: bool) -> Page {
        Page { width: width.max(WIDTH_MIN), color }
    }

    /// Wraps at words; lines after the first are indented by the width of `lead`.
    pub(super) fn paragraph(&self, out: &mut String, lead: &str, text: &str) {
        let indent = lead.trim_start_matches('\n').chars().count();
        let mut column = indent;
        out.push_str(lead);
        for (index, word) in text.split_whitespace().enumerate() {
            let length = word.chars().count();
            if index > 0 {
                if column + 1 + length > usize::from(self.width) {
                    out.push('\n');
                    out.extend(std::iter::repeat_n(' ', indent));
                    column = indent;
                } else {
                    out.push(' ');
                    column += 1;
                }
            }
            out.push_str(word);
            column += length;
        }
        out.push('\n');
    }

    pub fn table(&self, header: &[&str], left: usize) -> Table {
        let mut table = Table::new();
        table
            .load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width)
            .set_header(header.iter().enumerate().map(|(index, title)| aligned(title, index >= left)));
        if self.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }

    /// A table of text whose first `left` columns hold words.
    pub(super) fn rows(
        &self,
        header: &[&str],
        left: usize,
        rows: impl Iterator<Item = Vec<String>>,
    ) -> String {
        let mut table = self.table(header, left);
        for row in rows {
            table.add_row(row.iter().enumerate().map(|(index, text)| aligned(text, index >= left)));
        }
        finished(table)
    }

    /// The verdict as a word, coloured.
    pub(super) fn word(&self, verdict: Verdict) -> String {
        let word = verdict.as_str().to_uppercase();
        if !self.color {
            return word;
        }
        let code = match verdict {
            Verdict::Pass => 32,
            Verdict::Fail => 31,
            Verdict::Inconclusive => 33,
        };
        format!("\u{1b}[1;{code}m{word}\u{1b}[0m")
    }
}

pub(super) fn aligned(text: &str, right: bool) -> Cell {
    let alignment = if right { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(text).set_alignment(alignment)
}

pub(super) fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

fn head(out: &mut String, model: &ReportModel, page: &Page) {
    let run = &model.run;
    let rehearsal = if run.rehearsal { ", rehearsal in virtual time" } else { "" };
    line(
        out,
        &format!(
            "{}  run {} of plan {} on {} ({}){rehearsal}",
            page.word(run.verdict),
            run.id,
            run.plan,
            run.target,
            run.region
        ),
    );
    let stream = &model.environment.stream;
    let function = &model.environment.function;
    page.paragraph(
        out,
        "",
        &format!(
            "{}; {} stream with {}; function {} MB, timeout {} s, batch {}, window {} s, parallelization {}.",
            run.started_at,
            stream.mode,
            text::plural(stream.shards.into(), "shard"),
            function.memory_mb,
            function.timeout_s,
            function.batch_size,
            function.batch_window_s,
            function.parallelization
        ),
    );
    out.push('\n');
    for sentence in &model.summary {
        page.paragraph(out, "", sentence);
    }
}

fn test_section(out: &mut String, test: &TestReport, page: &Page) {
    let payload = &test.payload;
    let name = format!("{} {} ({}, {} bytes)", test.id, test.name, payload.name, count(payload.bytes));
    line(out, &format!("\n{name}  {}", page.word(test.verdict)));
    out.push_str(&level_table(&test.levels, page));
    for level in test.levels.iter().filter(|level| level.void.is_some()) {
        let why = level.void.as_deref().unwrap_or_default();
        page.paragraph(out, "  ", &format!("{} is void: {why}", level.name));
    }
    if !test.criteria.is_empty() {
        out.push('\n');
        out.push_str(&criteria_table(&test.criteria, page));
    }
    if !test.actions.is_empty() {
        page.paragraph(out, "\nactions   ", &actions::sentences(&test.actions).join(" "));
    }
    if let Some(text) = &test.closed_loop {
        page.paragraph(out, "\nload      ", text);
    }
    if let Some(found) = &test.breaking_point {
        page.paragraph(out, "\n", &breaking_point::sentence(found));
    }
    if let Some(blocked) = &test.blocked {
        page.paragraph(out, "\nblocked   ", &blocked::sentences(blocked).join(" "));
    }
}

fn level_table(levels: &[LevelReport], page: &Page) -> String {
    let roomy = page.width >= WIDTH_ROOMY;
    let header: &[&str] = if roomy {
        &[
            "level",
            "target/s",
            "achieved",
            "put p50",
            "p95",
            "p99 ms",
            "service p95",
            "e2e p95",
            "success",
            "throttles",
            "delivered",
        ]
    } else {
        &["level", "achieved", "put p50/95/99", "e2e p95", "success", "throttles", "delivered"]
    };
    let mut table = page.table(header, 1);
    for level in levels {
        let cells = if roomy { roomy_cells(level) } else { narrow_cells(level) };
        table.add_row(cells.iter().enumerate().map(|(index, text)| aligned(text, index >= 1)));
    }
    // Numbers are never broken; where it is too narrow the level's name is.
    for column in table.column_iter_mut().skip(1) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    finished(table)
}

fn ms(value: Option<f64>) -> String {
    or_none(value, number)
}

fn success(level: &LevelReport) -> String {
    or_none(level.success_percent, percent)
}

fn delivered(level: &LevelReport) -> String {
    or_none(level.delivery.as_ref(), |delivery| count(delivery.delivered))
}

fn roomy_cells(level: &LevelReport) -> Vec<String> {
    let put = level.put_latency_ms;
    vec![
        level.name.clone(),
        or_none(level.target_rps, rate),
        or_none(level.achieved_rps, rate),
        ms(put.map(|put| put.p50)),
        ms(put.map(|put| put.p95)),
        ms(put.map(|put| put.p99)),
        ms(level.service_time_ms.map(|service| service.p95)),
        ms(level.e2e_latency_ms.map(|e2e| e2e.p95)),
        success(level),
        or_none(level.throttled, count),
        delivered(level),
    ]
}

fn narrow_cells(level: &LevelReport) -> Vec<String> {
    let put = level
        .put_latency_ms
        .map(|put| format!("{}/{}/{}", number(put.p50), number(put.p95), number(put.p99)));
    vec![
        level.name.clone(),
        or_none(level.achieved_rps, rate),
        put.unwrap_or_else(|| NONE.to_owned()),
        ms(level.e2e_latency_ms.map(|e2e| e2e.p95)),
        success(level),
        or_none(level.throttled, count),
        delivered(level),
    ]
}

fn criteria_table(criteria: &[CriterionReport], page: &Page) -> String {
    let mut table = page.table(&["criterion", "observed", "verdict", "why"], 4);
    for criterion in criteria {
        let color = match criterion.verdict {
            Verdict::Pass => Color::Green,
            Verdict::Fail => Color::Red,
            Verdict::Inconclusive => Color::Yellow,
        };
        table.add_row([
            Cell::new(&criterion.text),
            aligned(&observed(criterion), true),
            Cell::new(criterion.verdict.as_str()).fg(color),
            Cell::new(&criterion.reason),
        ]);
    }
    // The reason takes what is left; the others are never broken.
    for (index, column) in table.column_iter_mut().enumerate() {
        if index < 3 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        } else {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(16)));
        }
    }
    finished(table)
}

/// The table without the blanks that fill its lines.
pub(super) fn finished(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    let mut out = String::new();
    for text in table.lines() {
        line(&mut out, text.trim_end());
    }
    out
}

fn delivery_lines(out: &mut String, delivery: Option<&DeliveryReport>, page: &Page) {
    out.push('\n');
    let Some(delivery) = delivery else {
        page.paragraph(out, "delivery  ", "not measured: no receipts");
        return;
    };
    let lost = lost(delivery);
    let state = if delivery.complete { "" } else { "  (collection did not end)" };
    line(
        out,
        &format!(
            "delivery  acked {}  delivered {}  lost {lost}  unconfirmed {}{state}",
            count(delivery.acked),
            count(delivery.delivered),
            count(delivery.unconfirmed),
        ),
    );
    let duplicated = &delivery.duplicated;
    page.paragraph(
        out,
        "          ",
        &format!(
            "duplicated {} (by the producer {}, redelivered {}), out of order {} (by the producer {}), \
             dead-lettered {}, delivered though not acked {}",
            count(duplicated.producer + duplicated.redelivery),
            count(duplicated.producer),
            count(duplicated.redelivery),
            count(delivery.out_of_order),
            count(delivery.reordered_by_producer),
            count(delivery.dead_lettered),
            count(delivery.delivered_unacked),
        ),
    );
}

fn cost_lines(out: &mut String, cost: &CostReport, page: &Page) {
    let bound = |incomplete: bool| if incomplete { " (a lower bound: lines without a price)" } else { "" };
    let each = or_none(cost.pipeline.per_million_records, |each| format!("{} {}", cost.currency, usd(each)));
    page.paragraph(
        out,
        "cost      ",
        &format!(
            "per million records {each}; pipeline {} {}{}, test {} {}{}; prices of {}",
            cost.currency,
            usd(cost.pipeline.total),
            bound(cost.pipeline.incomplete),
            cost.currency,
            usd(cost.test.total),
            bound(cost.test.incomplete),
            cost.prices_as_of
        ),
    );
    let mut lines: Vec<&LineReport> = cost.pipeline.lines.iter().chain(&cost.test.lines).collect();
    // Unpriced lines first, then by amount: what matters most is on top.
    lines.sort_by_key(|line| (line.amount.is_some(), std::cmp::Reverse(line.amount)));
    let mut table = page.table(&["cost line", "quantity", "unit price", "amount"], 1);
    for each in lines.iter().take(COST_LINES) {
        let price = or_none(each.unit_price, |price| price.0.to_string());
        let amount = each.amount.map_or_else(|| "unpriced".to_owned(), usd);
        table.add_row([
            aligned(&format!("{} {}", each.service, each.item), false),
            aligned(
                &format!(
                    "{} {}",
                    quantity(each),
                    text::units(each.quantity.0 == rust_decimal::Decimal::ONE, &each.unit)
                ),
                true,
            ),
            aligned(&price, true),
            aligned(&amount, true),
        ]);
    }
    out.push_str(&finished(table));
}

/// A quantity for people: whole, or to four significant digits.
fn quantity(line: &LineReport) -> String {
    use rust_decimal::prelude::ToPrimitive;
    match line.quantity.0.to_u64() {
        Some(whole) if line.quantity.0.fract().is_zero() => count(whole),
        _ => line.quantity.0.round_sf(4).unwrap_or(line.quantity.0).normalize().to_string(),
    }
}

fn findings(out: &mut String, model: &ReportModel, page: &Page) {
    if !model.findings.is_empty() {
        out.push_str("\nFindings\n");
    }
    for (index, finding) in model.findings.iter().enumerate() {
        let lead = format!("{}. ", index + 1);
        let from =
            finding.from_rps.map_or_else(String::new, |from| format!(" from {} records/s on", rate(from)));
        page.paragraph(out, &lead, &format!("{}{from}. {}", finding.limit, finding.explanation));
        if let Some(change) = &finding.change {
            let cost = text::change_cost(finding.monthly_cost_of_change, &model.cost.currency);
            page.paragraph(out, "   ", &format!("Change: {change} ({cost})."));
        }
    }
    for flag in &model.flags {
        let level = or_none(flag.level.as_deref(), str::to_owned);
        let stopped = if flag.stopped { ", stopped the run" } else { "" };
        page.paragraph(
            out,
            "flag: ",
            &format!(
                "{} at {} on {level}: {}{stopped}; CloudWatch: {}",
                flag.flag,
                flag.at,
                flag.detail,
                text::confirmation(flag)
            ),
        );
    }
}
