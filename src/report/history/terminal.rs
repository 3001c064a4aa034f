//! The history for a terminal: a row for each run, with a bar as long as its value.

use comfy_table::ColumnConstraint;

use crate::report::compare::words;
use crate::report::terminal::{Page, WIDTH_MIN, aligned, finished, line};
use crate::report::text::{NONE, or_none};

use super::model::{History, Place, Series};

/// Columns of the longest bar: what fits 80 beside the numbers.
const BAR: usize = 14;
const BAR_ROOMY: usize = 40;
const WIDTH_ROOMY: u16 = 112;

/// The history as text, lines at most `width` columns where words allow, with ANSI colours if `color`.
pub fn terminal(history: &History, width: u16, color: bool) -> String {
    let page = Page { width: width.max(WIDTH_MIN), color };
    let mut out = String::new();
    let place = format!("{} in the environment '{}'", history.target, history.environment);
    page.paragraph(&mut out, "", &format!("{} of plan {} on {place}", history.figure, history.plan));
    for series in &history.series {
        one(&mut out, history, series, &page);
    }
    for note in &history.notes {
        page.paragraph(&mut out, "note: ", note);
    }
    out
}

fn one(out: &mut String, history: &History, series: &Series, page: &Page) {
    let level = series.level.as_deref().unwrap_or("the whole test");
    line(out, &format!("\n{} / {level}", series.test));
    let most = series.runs.iter().filter_map(|place| place.value).fold(0.0, f64::max);
    let roomy = page.width >= WIDTH_ROOMY;
    let header: &[&str] = if roomy {
        &["run", "when", "version", "", &history.figure, "change", ""]
    } else {
        // A run's name says when it was, and a change of the version is told below.
        &["run", "", &history.figure, "change", ""]
    };
    let numbers = header.len() - 3;
    let mut table = page.table(header, numbers);
    for place in &series.runs {
        let mut cells = vec![
            place.run.clone(),
            marks(place),
            words::value(place.value, &history.unit),
            or_none(place.percent, |percent| format!("{} %", words::signed(percent))),
            bar(place.value, most, if roomy { BAR_ROOMY } else { BAR }),
        ];
        if roomy {
            cells.splice(1..1, [when(place), place.tool_version.clone()]);
        }
        let is_number = |index: usize| index == numbers || index == numbers + 1;
        table.add_row(cells.iter().enumerate().map(|(index, text)| aligned(text, is_number(index))));
    }
    for column in table.column_iter_mut() {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    out.push_str(&finished(table));
    if series.runs.iter().any(|place| place.is_baseline) {
        line(out, "  B  the baseline");
    }
    for place in &series.runs {
        if !place.changed.is_empty() {
            page.paragraph(out, "  *  ", &format!("{}: {}", place.run, place.changed.join("; ")));
        }
        if let Some(reason) = &place.reason {
            page.paragraph(out, &format!("  {NONE}  "), &format!("{}: {reason}", place.run));
        }
    }
}

/// `2026-11-21 12:50`.
fn when(place: &Place) -> String {
    place.started_at.chars().take(16).collect::<String>().replace('T', " ")
}

/// `*`: something was configured otherwise than in the run before; `B`: the baseline.
fn marks(place: &Place) -> String {
    let changed = if place.changed.is_empty() { "" } else { "*" };
    let baseline = if place.is_baseline { "B" } else { "" };
    format!("{changed}{baseline}")
}

fn bar(value: Option<f64>, most: f64, room: usize) -> String {
    let Some(value) = value.filter(|_| most > 0.0) else { return String::new() };
    let length = (value / most * room as f64).round() as usize;
    // The least of something is not nothing.
    "\u{2588}".repeat(if value > 0.0 { length.max(1) } else { 0 })
}
