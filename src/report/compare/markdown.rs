//! The comparison as Markdown, short enough for a comment on a pull request: what differs, then the tables folded away.

use crate::report::markdown::{escaped, line, table};
use crate::verdict::compare::{Comparison, FigureChange, LevelChange, Says, TestChange};

use super::{prediction, words};

/// Figures that stand in the table that is not folded.
const LARGER_MAX: usize = 20;
/// Levels of a test that have a table each: a comment has 65,536 characters at most on GitHub.
const LEVELS_MAX: usize = 12;

/// The comparison as Markdown.
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = String::new();
    let [left, right] = comparison.columns();
    let verdict = comparison.verdict.map_or_else(String::new, |verdict| format!(": {verdict}"));
    line(&mut out, &format!("### {}{verdict}\n", escaped(&title(comparison))));
    for regression in &comparison.regressions {
        line(&mut out, &format!("- **regression** {}", escaped(&regression.text)));
    }
    for why in &comparison.inconclusive {
        line(&mut out, &format!("- not judged: {}", escaped(why)));
    }
    if !comparison.regressions.is_empty() || !comparison.inconclusive.is_empty() {
        out.push('\n');
    }
    line(
        &mut out,
        &words::summary(comparison).iter().map(|text| escaped(text)).collect::<Vec<_>>().join(" "),
    );
    if let Some(rests_on) = words::rests_on(comparison) {
        line(&mut out, &format!("\n{}", escaped(&rests_on)));
    }
    predictions(&mut out, comparison);
    configuration(&mut out, comparison, [left, right]);
    larger(&mut out, comparison, [left, right]);
    for test in &comparison.tests {
        line(&mut out, &format!("\n<details><summary>{} {}</summary>", html(&test.id), html(&test.name)));
        for level in judged(test).take(LEVELS_MAX) {
            level_section(&mut out, level, [left, right]);
        }
        if let Some(more) = judged(test).count().checked_sub(LEVELS_MAX).filter(|more| *more > 0) {
            line(&mut out, &format!("\nand {more} more levels, in the page."));
        }
        line(&mut out, "\nThe whole test\n");
        figures(&mut out, &test.figures, [left, right]);
        line(&mut out, "\n</details>");
    }
    for level in &comparison.unmatched {
        let text =
            format!("Only the run {} has the level {} / {}.", level.only_in, level.test, level.title());
        line(&mut out, &format!("\n{}", escaped(&text)));
    }
    for note in &comparison.notes {
        line(&mut out, &format!("\n{}", escaped(note)));
    }
    out
}

/// What nobody judges is in the page; where it moved, it stands above.
fn judged(test: &TestChange) -> impl Iterator<Item = &LevelChange> {
    test.levels.iter().filter(|level| level.judged)
}

fn title(comparison: &Comparison) -> String {
    let named = if comparison.is_baseline { "baseline " } else { "" };
    format!("{}: {named}{} and {}", comparison.after.plan, comparison.before.id, comparison.after.id)
}

/// Text between tags: on one line, because an empty one ends the tags.
fn html(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    maud::html! { (text) }.into_string()
}

fn configuration(out: &mut String, comparison: &Comparison, [left, right]: [&str; 2]) {
    if comparison.configuration.is_empty() {
        line(out, "\nThe configuration is the same.");
        return;
    }
    out.push('\n');
    let rows = comparison
        .configuration
        .iter()
        .map(|setting| vec![setting.setting.clone(), setting.before.clone(), setting.after.clone()]);
    table(out, &["setting", left, right], 3, rows);
    for change in &comparison.plan_changes {
        line(out, &format!("\nPlan: {}.", escaped(change)));
    }
}

fn predictions(out: &mut String, comparison: &Comparison) {
    for test in &comparison.tests {
        let Some(found) = prediction::Table::of(comparison, test) else { continue };
        line(out, &format!("\n**{}**: {}\n", escaped(&test.id), prediction::CAPTION));
        table(out, &found.header, 1, found.rows.into_iter().take(LEVELS_MAX));
        if let Some(whole) = found.whole {
            line(out, &format!("\n{}", escaped(&whole)));
        }
    }
}

fn larger(out: &mut String, comparison: &Comparison, [left, right]: [&str; 2]) {
    let found = comparison.larger().count();
    if found == 0 {
        return;
    }
    out.push('\n');
    let rows = comparison.larger().take(LARGER_MAX).map(|(test, level, figure)| {
        let mut row = vec![format!("{} / {}", test.id, level.title())];
        row.extend(cells(figure));
        row
    });
    table(out, &["level", "figure", left, right, "difference", "95 % interval", "says"], 2, rows);
    if found > LARGER_MAX {
        line(out, &format!("\nand {} more.", found - LARGER_MAX));
    }
}

fn level_section(out: &mut String, level: &LevelChange, columns: [&str; 2]) {
    line(out, &format!("\n**{}**\n", escaped(&level.title())));
    if let Some(remark) = words::remark(level) {
        line(out, &format!("{}\n", escaped(&remark)));
    }
    if !level.figures.is_empty() {
        figures(out, &level.figures, columns);
    }
    for reason in words::reasons(level) {
        line(out, &format!("\n{}", escaped(&reason)));
    }
}

fn figures(out: &mut String, figures: &[FigureChange], [left, right]: [&str; 2]) {
    let measured =
        figures.iter().filter(|figure| figure.says != Says::NotKnown || figure.difference.is_some());
    let rows = measured.map(|figure| cells(figure).to_vec());
    table(out, &["figure", left, right, "difference", "95 % interval", "says"], 1, rows);
}

fn cells(figure: &FigureChange) -> [String; 6] {
    [
        figure.figure.clone(),
        words::value(figure.before, &figure.unit),
        words::value(figure.after, &figure.unit),
        words::difference(figure),
        words::interval(figure),
        words::says(figure),
    ]
}
