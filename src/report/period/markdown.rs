//! A period report as Markdown: the sections as tables and lists; charts are only in the HTML.

use crate::report::markdown::{escaped, line, table, test_section};
use crate::report::text::{NONE, rate};

use super::complete::ProfileCell;
use super::document::{Block, Section, heat_text, sections};
use super::model::PeriodModel;

/// The period's Markdown file.
pub fn markdown(model: &PeriodModel) -> String {
    let period = &model.period;
    let mut out = String::new();
    line(&mut out, &format!("# {}: {}\n", escaped(&period.title()), period.verdict));
    let head = format!(
        "Environment {} on {}{}, {} to {}; plan {}; {} of {} tests finished.",
        period.environment,
        period.target,
        period.region.as_ref().map_or_else(String::new, |region| format!(" ({region})")),
        period.started_at.as_deref().unwrap_or(NONE),
        period.ended_at.as_deref().unwrap_or(NONE),
        period.plan_hash.get(..12).unwrap_or(&period.plan_hash),
        period.finished,
        model.tests.len(),
    );
    line(&mut out, &format!("{}\n", escaped(&head)));
    line(&mut out, "## Summary\n");
    for sentence in &model.summary {
        line(&mut out, &format!("- {}", escaped(sentence)));
    }
    for section in sections(model) {
        one_section(&mut out, &section);
    }
    out
}

fn one_section(out: &mut String, section: &Section<'_>) {
    // A section of charts alone has nothing for Markdown.
    if section.blocks.iter().all(|block| matches!(block, Block::Trends(_))) {
        return;
    }
    line(out, &format!("\n## {}", section.title));
    for block in &section.blocks {
        match block {
            Block::Text(text) if text.is_empty() => {}
            Block::Text(text) => line(out, &format!("\n{}", escaped(text))),
            Block::List(items) => {
                line(out, "");
                items.iter().for_each(|item| line(out, &format!("- {}", escaped(item))));
            }
            Block::Table(rows) => {
                line(out, "");
                table(out, &rows.header, rows.left, rows.rows.iter().cloned());
            }
            Block::Heat { title, unit, cells, value } => heat(out, title, unit, cells, *value),
            Block::Tests(tests) => {
                tests.iter().filter_map(|test| test.report.as_ref()).for_each(|test| test_section(out, test));
            }
            Block::Trends(_) => {}
        }
    }
}

/// Rows of payloads, columns of rates.
fn heat(
    out: &mut String,
    title: &str,
    unit: &str,
    cells: &[ProfileCell],
    value: fn(&ProfileCell) -> Option<f64>,
) {
    if cells.is_empty() {
        return;
    }
    line(out, &format!("\n{title}, {unit}:\n"));
    let (rows, columns) = axes(cells);
    let rates: Vec<String> = columns.iter().map(|rps| format!("{}/s", rate(*rps))).collect();
    let header: Vec<&str> = std::iter::once("payload").chain(rates.iter().map(String::as_str)).collect();
    let body = rows.iter().map(|(payload, bytes)| {
        let first = std::iter::once(format!("{payload} ({bytes} bytes)"));
        let of_row = columns.iter().map(|rps| {
            let found = cells
                .iter()
                .find(|cell| cell.payload == *payload && cell.bytes == *bytes && cell.rate_rps == *rps);
            found.map_or_else(String::new, |cell| {
                let void = if cell.void { " (void)" } else { "" };
                format!("{}{void}", heat_text(value(cell), unit))
            })
        });
        first.chain(of_row).collect()
    });
    table(out, &header, 1, body);
}

/// The payloads by size, and the rates in order.
pub(in crate::report) fn axes(cells: &[ProfileCell]) -> (Vec<(&str, u64)>, Vec<f64>) {
    let mut rows: Vec<(&str, u64)> = cells.iter().map(|cell| (cell.payload.as_str(), cell.bytes)).collect();
    rows.sort_by_key(|(name, bytes)| (*bytes, *name));
    rows.dedup();
    let mut columns: Vec<f64> = cells.iter().map(|cell| cell.rate_rps).collect();
    columns.sort_by(f64::total_cmp);
    columns.dedup();
    (rows, columns)
}
