//! The comparison as one self-contained page: what failed, what was configured otherwise, and for each level a chart of the
//! relative differences with their intervals beside the table.

use maud::{Markup, html};

use crate::report::html::{page, verdict};
use crate::report::text::{NONE, number, or_none, plural};
use crate::verdict::compare::{Comparison, FigureChange, LevelChange, Says, TestChange};

use super::{prediction, words};

#[path = "whiskers.rs"]
mod whiskers;

/// The page.
pub fn html(comparison: &Comparison) -> String {
    let title = html! { (comparison.after.plan) ": " (comparison.before.id) " and " (comparison.after.id) };
    page(
        &title,
        whiskers::STYLE,
        &html! {
            (head(comparison))
            (configuration(comparison))
            @for test in &comparison.tests { (test_section(comparison, test)) }
            (remarks(comparison))
            footer {
                "The interval holds the true difference with 95 % confidence as far as noise within the two runs goes; how it \
                 is worked out stands in docs/compare.md. Every number of this page is in the JSON file beside it."
            }
        },
    )
}

fn head(comparison: &Comparison) -> Markup {
    let [left, right] = comparison.columns();
    html! {
        header {
            h1 {
                "Comparison: " (comparison.after.plan)
                @if let Some(found) = comparison.verdict { " " (verdict(found)) }
            }
            @for (column, run) in [(left, &comparison.before), (right, &comparison.after)] {
                p.meta {
                    strong { (column) } ": run " code { (run.id) } " of plan " (run.plan) " on " (run.target) ", " (run.started_at)
                    @if comparison.is_baseline && run.id == comparison.before.id { ", the baseline" }
                    @if run.rehearsal { ", rehearsed in virtual time" }
                    "."
                }
            }
        }
        section.card {
            @if !comparison.regressions.is_empty() {
                ul { @for regression in &comparison.regressions { li { strong { "Regression: " } (regression.text) } } }
            }
            @if !comparison.inconclusive.is_empty() {
                ul { @for why in &comparison.inconclusive { li { "Not judged: " (why) } } }
            }
            @for sentence in words::summary(comparison) { p { (sentence) } }
            @if let Some(rests_on) = words::rests_on(comparison) { p.meta { (rests_on) } }
        }
    }
}

fn configuration(comparison: &Comparison) -> Markup {
    let [left, right] = comparison.columns();
    html! {
        h2 { "Configuration" }
        @if comparison.configuration.is_empty() {
            p { "The configuration is the same." }
        } @else {
            div.scroll {
                table {
                    thead { tr { th.word { "setting" } th.word { (left) } th.word { (right) } } }
                    tbody {
                        @for setting in &comparison.configuration {
                            tr {
                                td.name { (setting.setting) }
                                td.wide { (setting.before) }
                                td.wide { (setting.after) }
                            }
                        }
                    }
                }
            }
            @for change in &comparison.plan_changes { p.meta { "Plan: " (change) "." } }
        }
    }
}

fn test_section(comparison: &Comparison, test: &TestChange) -> Markup {
    html! {
        h2 { (test.id) " " (test.name) }
        (predicted(comparison, test))
        @for level in &test.levels { (level_section(comparison, level)) }
        h3 { "The whole test" }
        (figures(comparison, &test.figures))
    }
}

fn predicted(comparison: &Comparison, test: &TestChange) -> Markup {
    let found = prediction::Table::of(comparison, test);
    html! {
        @if let Some(found) = found {
            p.meta { (prediction::CAPTION) }
            div.scroll {
                table {
                    thead { tr { th.word { (found.header[0]) } @for title in &found.header[1..] { th { (title) } } } }
                    tbody {
                        @for row in &found.rows {
                            tr { td.name { (row[0]) } @for cell in &row[1..] { td { (cell) } } }
                        }
                    }
                }
            }
            @if let Some(whole) = &found.whole { p { (whole) } }
        }
    }
}

/// What nobody judges is folded away.
fn level_section(comparison: &Comparison, level: &LevelChange) -> Markup {
    let larger = level.figures.iter().filter(|figure| figure.says == Says::Larger).count() as u64;
    html! {
        @if level.judged {
            h3 { (level.title()) }
            (level_body(comparison, level))
        } @else {
            details {
                summary {
                    (level.title()) " "
                    span.meta { "(not judged; " (plural(larger, "figure")) " larger than the noise)" }
                }
                (level_body(comparison, level))
            }
        }
    }
}

fn level_body(comparison: &Comparison, level: &LevelChange) -> Markup {
    html! {
        @if let Some(remark) = words::remark(level) { p { (remark) } }
        @if !level.figures.is_empty() {
            (whiskers::chart(&level.title(), &level.figures))
            (figures(comparison, &level.figures))
        }
        @for reason in words::reasons(level) { p.meta { (reason) } }
    }
}

fn figures(comparison: &Comparison, figures: &[FigureChange]) -> Markup {
    let [left, right] = comparison.columns();
    let range = |figure: &FigureChange| {
        or_none(figure.earlier_range, |[least, most]| format!("{} to {}", number(least), number(most)))
    };
    let shown = || figures.iter().filter(|figure| figure.before.is_some() || figure.after.is_some());
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th.word { "figure" }
                        th { (left) } th { (right) } th { "difference" } th { "in percent" } th { "95 % interval" }
                        @if comparison.earlier_runs.used { th { "earlier runs" } }
                        th.word { "says" }
                    }
                }
                tbody {
                    @for figure in shown() {
                        tr {
                            td.name { (figure.figure) }
                            td { (words::value(figure.before, &figure.unit)) }
                            td { (words::value(figure.after, &figure.unit)) }
                            td { (words::absolute(figure)) }
                            td { (or_none(figure.percent, |percent| format!("{} %", words::signed(percent)))) }
                            td { (words::interval(figure)) }
                            @if comparison.earlier_runs.used { td { (range(figure)) } }
                            td.word { span class=(words::class(figure)) { (words::says(figure)) } }
                        }
                    }
                    @if shown().next().is_none() { tr { td.name { (NONE) } } }
                }
            }
        }
    }
}

fn remarks(comparison: &Comparison) -> Markup {
    html! {
        @if !comparison.unmatched.is_empty() {
            h2 { "Levels that only one of the runs has" }
            ul {
                @for level in &comparison.unmatched {
                    li { (level.test) " / " (level.title()) ": only " (level.only_in) }
                }
            }
        }
        @if !comparison.notes.is_empty() {
            h2 { "Notes" }
            ul { @for note in &comparison.notes { li { (note) } } }
        }
    }
}
