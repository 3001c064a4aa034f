//! The comparison for a terminal.

use comfy_table::ColumnConstraint;

use crate::report::terminal::{Page, WIDTH_MIN, aligned, finished, line};
use crate::report::text::{number, or_none};
use crate::verdict::compare::{Comparison, FigureChange, LevelChange, Says, TestChange};

use super::{prediction, words};

/// From this width on the absolute difference and the range of earlier runs have columns of their own.
const WIDTH_ROOMY: u16 = 112;

/// Regressions that stand at the head; all of them stand at their levels.
const REGRESSIONS_MAX: usize = 10;

/// The comparison as text, lines at most `width` columns where words allow, with ANSI colours if `color`.
pub fn terminal(comparison: &Comparison, width: u16, color: bool) -> String {
    let page = Page { width: width.max(WIDTH_MIN), color };
    let mut out = String::new();
    head(&mut out, comparison, &page);
    configuration(&mut out, comparison, &page);
    for test in &comparison.tests {
        test_section(&mut out, comparison, test, &page);
    }
    if !comparison.unmatched.is_empty() {
        line(&mut out, "\nLevels that only one of the runs has");
        for level in &comparison.unmatched {
            page.paragraph(
                &mut out,
                "  ",
                &format!("{} / {}: only {}", level.test, level.title(), level.only_in),
            );
        }
    }
    for note in &comparison.notes {
        page.paragraph(&mut out, "note: ", note);
    }
    out
}

fn head(out: &mut String, comparison: &Comparison, page: &Page) {
    let [left, right] = comparison.columns();
    if let Some(verdict) = comparison.verdict {
        line(out, &page.word(verdict));
        for regression in comparison.regressions.iter().take(REGRESSIONS_MAX) {
            page.paragraph(out, "  regression: ", &regression.text);
        }
        if let Some(more) = comparison.regressions.len().checked_sub(REGRESSIONS_MAX).filter(|more| *more > 0)
        {
            page.paragraph(out, "  ", &format!("and {more} more, below"));
        }
        for why in &comparison.inconclusive {
            page.paragraph(out, "  not judged: ", why);
        }
        out.push('\n');
    }
    let named = if comparison.is_baseline { ", the baseline" } else { "" };
    for (column, run, named) in [(left, &comparison.before, named), (right, &comparison.after, "")] {
        let lead = format!("{column:<10}");
        let text = format!("run {} of plan {}, {}{named}", run.id, run.plan, run.started_at);
        page.paragraph(out, &lead, &text);
    }
    for sentence in words::summary(comparison) {
        page.paragraph(out, "", &sentence);
    }
    if let Some(rests_on) = words::rests_on(comparison) {
        page.paragraph(out, "", &rests_on);
    }
}

fn configuration(out: &mut String, comparison: &Comparison, page: &Page) {
    if comparison.configuration.is_empty() {
        line(out, "\nThe configuration is the same.");
        return;
    }
    line(out, "\nConfiguration");
    let [left, right] = comparison.columns();
    let mut table = page.table(&["setting", left, right], 3);
    for setting in &comparison.configuration {
        table.add_row([&setting.setting, &setting.before, &setting.after]);
    }
    out.push_str(&finished(table));
    for change in &comparison.plan_changes {
        page.paragraph(out, "  plan: ", change);
    }
}

fn test_section(out: &mut String, comparison: &Comparison, test: &TestChange, page: &Page) {
    line(out, &format!("\n{} {}", test.id, test.name));
    prediction(out, comparison, test, page);
    for level in &test.levels {
        level_section(out, comparison, level, page);
    }
    for figure in &test.figures {
        page.paragraph(out, &format!("\n  {}  ", figure.figure), &without_interval(figure));
    }
}

fn prediction(out: &mut String, comparison: &Comparison, test: &TestChange, page: &Page) {
    let Some(found) = prediction::Table::of(comparison, test) else { return };
    line(out, &format!("\n  {}", prediction::CAPTION));
    let mut table = page.table(&found.header, 1);
    for row in &found.rows {
        table.add_row(row.iter().enumerate().map(|(index, text)| aligned(text, index >= 1)));
    }
    out.push_str(&finished(table));
    if let Some(whole) = &found.whole {
        page.paragraph(out, "  ", whole);
    }
}

fn level_section(out: &mut String, comparison: &Comparison, level: &LevelChange, page: &Page) {
    let judged = if level.judged { "" } else { "  (not judged)" };
    line(out, &format!("\n  {}{judged}", level.title()));
    if let Some(remark) = words::remark(level) {
        page.paragraph(out, "  ", &remark);
    }
    // Of a level that nobody judges, what moved is enough; the files have the rest.
    let is_shown = |figure: &&FigureChange| match figure.says {
        Says::Larger => true,
        Says::Unchanged => false,
        _ => level.judged && (figure.before.is_some() || figure.after.is_some()),
    };
    let shown = level.figures.iter().filter(is_shown);
    let (table, lines): (Vec<&FigureChange>, Vec<&FigureChange>) =
        shown.partition(|figure| figure.interval.is_some());
    if !table.is_empty() {
        figures(out, comparison, &table, page);
    }
    for figure in &lines {
        page.paragraph(out, &format!("    {}  ", figure.figure), &without_interval(figure));
    }
    if table.is_empty() && lines.is_empty() && level.not_comparable.is_none() && level.doubt.is_none() {
        line(out, "    nothing is larger than the noise");
    }
    if level.judged {
        let same = level.figures.iter().filter(|figure| figure.says == Says::Unchanged);
        let same: Vec<&str> = same.map(|figure| figure.figure.as_str()).collect();
        if !same.is_empty() {
            page.paragraph(out, "    unchanged: ", &same.join(", "));
        }
        for reason in words::reasons(level) {
            page.paragraph(out, "    ", &reason);
        }
    }
}

fn figures(out: &mut String, comparison: &Comparison, figures: &[&FigureChange], page: &Page) {
    let [left, right] = comparison.columns();
    let (roomy, with_range) = (page.width >= WIDTH_ROOMY, comparison.earlier_runs.used);
    let change = if roomy { "difference" } else { "change" };
    let mut header = vec!["figure", left, right, change, "95 % interval", "says"];
    if roomy {
        header.insert(3, "by");
    }
    if roomy && with_range {
        header.insert(6, "earlier runs");
    }
    let mut table = page.table(&header, 1);
    for figure in figures {
        let mut cells = if roomy { roomy_cells(figure) } else { narrow_cells(figure) };
        if roomy && with_range {
            cells.insert(6, range(figure));
        }
        let last = cells.len() - 1;
        let cells = cells.iter().enumerate();
        table.add_row(cells.map(|(index, text)| aligned(text, index >= 1 && index < last)));
    }
    // Broken numbers cannot be read.
    for column in table.column_iter_mut() {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    out.push_str(&finished(table));
}

fn roomy_cells(figure: &FigureChange) -> Vec<String> {
    vec![
        figure.figure.clone(),
        words::value(figure.before, &figure.unit),
        words::value(figure.after, &figure.unit),
        words::absolute(figure),
        words::difference(figure),
        words::interval(figure),
        words::says(figure),
    ]
}

/// The unit stands once, and nothing takes more letters than it needs.
fn narrow_cells(figure: &FigureChange) -> Vec<String> {
    let plain = |value| or_none(value, number);
    vec![
        format!("{} {}", figure.figure, figure.unit),
        plain(figure.before),
        plain(figure.after),
        words::difference(figure),
        words::interval(figure),
        words::says(figure).replace("within the noise", "within noise").replace("larger, ", ""),
    ]
}

/// A figure that has no interval, in a line.
fn without_interval(figure: &FigureChange) -> String {
    format!(
        "{} -> {} ({}): {}",
        words::value(figure.before, &figure.unit),
        words::value(figure.after, &figure.unit),
        words::difference(figure),
        words::says(figure)
    )
}

fn range(figure: &FigureChange) -> String {
    let shown = |value| words::value(Some(value), "");
    or_none(figure.earlier_range, |[least, most]| format!("{} to {}", shown(least), shown(most)))
}
