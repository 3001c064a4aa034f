//! The HTML of a day, a week or a campaign: one self-contained file, as that of a run.

use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;

use crate::report::model::{LevelReport, TestReport};
use crate::report::period::model::{PeriodModel, PeriodTest};
use crate::report::period::{Block, ProfileCell, Table, axes, cells, heat_text, sections};
use crate::report::text::{NONE, count, number, rate};
use crate::verdict::Verdict;

use super::heat::{Cell, HeatMap};
use super::trend::{Dot, Group};
use super::{heat, page, svg, test_section, trend, verdict};

/// The period's HTML file.
pub fn html(model: &PeriodModel) -> String {
    let period = &model.period;
    let currency = model.cost.currency.as_deref().unwrap_or_default();
    let title = html! { (period.title()) ": " (period.verdict) };
    page(
        &title,
        "",
        &html! {
            (svg::patterns())
            header {
                h1 { (period.title()) " " (verdict(period.verdict)) }
                p.meta {
                    "Environment " code { (period.environment) } " on " (period.target)
                    @if let Some(region) = &period.region { " (" (region) ")" }
                    ", " (period.started_at.as_deref().unwrap_or(NONE)) " to " (period.ended_at.as_deref().unwrap_or(NONE)) "; "
                    (period.finished) " of " (model.tests.len()) " tests finished."
                }
            }
            section.card { @for sentence in &model.summary { p { (sentence) } } }
            @for section in sections(model) {
                h2 { (section.title) }
                // Maps stand side by side; each of the other blocks has a line of its own.
                @let maps: Vec<Markup> = section.blocks.iter().filter_map(map_of).collect();
                @if !maps.is_empty() { div.charts { @for map in maps { (map) } } }
                @for block in &section.blocks { (one_block(block, currency)) }
            }
            footer {
                "streamgauge, plan " code { (period.plan_hash.get(..12).unwrap_or(&period.plan_hash)) } ". Every number of this report is in the JSON file beside it."
            }
        },
    )
}

fn map_of(block: &Block<'_>) -> Option<Markup> {
    match block {
        Block::Heat { title, unit, cells, value } => Some(profile(title, unit, cells, *value)),
        _ => None,
    }
}

fn one_block(block: &Block<'_>, currency: &str) -> Markup {
    match block {
        Block::Text(text) => html! { @if !text.is_empty() { p { (text) } } },
        Block::List(items) => html! { @if !items.is_empty() { ul { @for item in items { li { (item) } } } } },
        Block::Table(table) => table_of(table),
        Block::Trends(model) => trends(model),
        Block::Heat { .. } => html! {},
        Block::Tests(tests) => html! {
            @for (index, report) in tests.iter().filter_map(|test| test.report.as_ref()).enumerate() {
                (test_section(report, index, currency))
            }
        },
    }
}

fn table_of(table: &Table) -> Markup {
    let class = |index: usize| match index {
        index if table.wide.contains(&index) => Some("wide"),
        index if index < table.left => Some("name"),
        _ => None,
    };
    html! {
        @if !table.rows.is_empty() {
            div.scroll {
                table {
                    thead { tr { @for (index, title) in table.header.iter().enumerate() { th.word[class(index).is_some()] { (title) } } } }
                    tbody {
                        @for row in &table.rows {
                            tr {
                                @for (index, cell) in row.iter().enumerate() {
                                    @let word = as_verdict(cell).filter(|_| table.header[index] == "verdict");
                                    td class=[class(index)] { @match word { Some(word) => (verdict(word)), None => (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn as_verdict(cell: &str) -> Option<Verdict> {
    [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive].into_iter().find(|verdict| verdict.as_str() == cell)
}

/// The maps of a run that tested two payloads or more at two same rates or more; nothing of another, whose levels no map
/// could compare.
pub(super) fn maps(tests: &[TestReport]) -> Markup {
    let cells = cells(tests.iter());
    let (_, columns) = axes(&cells);
    let payloads_at = |rps: f64| cells.iter().filter(|cell| cell.rate_rps == rps).count();
    let shared = columns.iter().filter(|rps| payloads_at(**rps) > 1).count();
    html! {
        @if shared > 1 {
            h2 { "By payload and rate" }
            div.charts {
                (profile("Put latency p95", "ms", &cells, |cell| cell.put_p95_ms))
                (profile("Success", "%", &cells, |cell| cell.success_percent))
            }
            p.meta { "Holds only; of several levels in one cell the worst; hatched: void; blank: not tested." }
        }
    }
}

/// A figure by payload and rate; nothing without a cell that has it.
pub(super) fn profile(
    title: &str,
    unit: &'static str,
    cells: &[ProfileCell],
    value: fn(&ProfileCell) -> Option<f64>,
) -> Markup {
    let (rows, columns) = axes(cells);
    let cell_at = |payload: &str, bytes: u64, rps: f64| {
        let found = cells
            .iter()
            .find(|cell| cell.payload == payload && cell.bytes == bytes && cell.rate_rps == rps)?;
        let shown = heat_text(value(found), unit);
        let void = if found.void { ", void" } else { "" };
        let title =
            format!("{payload}, {} records/s: {shown} {unit}{void} ({})", rate(rps), found.levels.join(", "));
        Some(Cell { value: value(found), shown, void: found.void, title })
    };
    heat::map(&HeatMap {
        title: title.to_owned(),
        unit,
        cells: rows
            .iter()
            .map(|(payload, bytes)| columns.iter().map(|rps| cell_at(payload, *bytes, *rps)).collect())
            .collect(),
        rows: rows
            .iter()
            .map(|(payload, bytes)| (payload.to_string(), format!("{} B", count(*bytes))))
            .collect(),
        columns: columns.iter().map(|rps| rate(*rps)).collect(),
        high_is_good: unit == "%",
    })
}

fn trends(model: &PeriodModel) -> Markup {
    let groups = |unit: &str, value: fn(&LevelReport) -> Option<f64>| -> Vec<Group> {
        model.tests.iter().filter_map(|test| group(test, unit, value)).collect()
    };
    let put = groups("ms", |level| level.put_latency_ms.map(|put| put.p95));
    let end_to_end = groups("ms", |level| level.e2e_latency_ms.map(|e2e| e2e.p95));
    let success = groups("%", |level| level.success_percent);
    let cost = groups("USD", |level| level.cost_per_million.and_then(|cost| cost.0.to_f64()));
    let age = groups("ms", |level| level.iterator_age_ms_max);
    html! {
        div.charts {
            (trend::chart("Put latency p95", "ms", &put, true))
            (trend::chart("End to end p95", "ms", &end_to_end, true))
            (trend::chart("Success", "%", &success, false))
            (trend::chart("Cost per million records", "USD", &cost, true))
            (trend::chart("Iterator age, largest", "ms", &age, true))
        }
        p.meta { "A dot for each judged level, in the order of the tests; hollow where the level is void." }
    }
}

/// The judged levels of a test; void ones are drawn too.
fn group(test: &PeriodTest, unit: &str, value: fn(&LevelReport) -> Option<f64>) -> Option<Group> {
    let report = test.report.as_ref()?;
    let judged = report.levels.iter().filter(|level| level.judged && level.started_at.is_some());
    let dots: Vec<Dot> = judged
        .map(|level| {
            let value = value(level);
            let shown = value.map_or_else(|| NONE.to_owned(), number);
            let void = if level.void.is_some() { " (void)" } else { "" };
            Dot {
                value,
                void: level.void.is_some(),
                title: format!("{} / {}{void}: {shown} {unit}", report.id, level.name),
            }
        })
        .collect();
    (!dots.is_empty()).then(|| Group { id: report.id.clone(), dots })
}
