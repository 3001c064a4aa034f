//! The grid as one self-contained page.

use maud::{Markup, html};

use crate::report::html::page;

use super::model::{Outcome, Row, WhatIf};
use super::{scatter, words};

/// `whatif.html`.
pub fn html(whatif: &WhatIf) -> String {
    let title = html! { "What if: " (whatif.plan) };
    page(
        &title,
        scatter::STYLE,
        &html! {
            header {
                h1 { "What if: " (whatif.plan) " " span.verdict.rehearsal { "rehearsal" } }
                p.meta {
                    "Tests " (whatif.tests.join(", ")) " rehearsed in virtual time with each of "
                    (whatif.settings.len()) " settings (" (whatif.region) "). Nothing of this was measured."
                }
            }
            section.card { @for sentence in &whatif.summary { p { (sentence) } } }
            (scatter::chart(whatif))
            (table(whatif))
            @for sentence in words::levels(whatif).into_iter().chain(words::months(whatif)) { p.meta { (sentence) } }
            h2 { "What this rests on" }
            ul { @for assumption in &whatif.assumptions { li { (assumption) } } }
            footer {
                "streamgauge " (whatif.tool_version) ", plan " code { (whatif.plan_hash) } ", grid " code { (whatif.id) }
                ". Every number of this page is in " code { "whatif.json" } " beside it."
            }
        },
    )
}

fn table(whatif: &WhatIf) -> Markup {
    let worded = words::worded(whatif);
    let class = |index: usize| if index < worded { "word" } else { "" };
    let has_reasons = whatif.settings.iter().any(|row| row.why.is_some());
    html! {
        h2 { "Settings" }
        div.scroll {
            table {
                thead { tr { @for (index, title) in words::header(whatif).iter().enumerate() { th class=(class(index)) { (title) } } @if has_reasons { th.word { "why" } } } }
                tbody {
                    @for (number, row) in whatif.settings.iter().enumerate() {
                        tr {
                            @for (index, cell) in words::cells(number + 1, row).iter().enumerate() {
                                td class=(class(index)) {
                                    @if index + 1 == worded { (outcome(row)) } @else if index == 0 { (linked(row, cell)) } @else { (cell) }
                                }
                            }
                            @if has_reasons { td.wide { (row.why.as_deref().unwrap_or_default()) } }
                        }
                    }
                }
            }
        }
        p.meta { "The number leads to the whole report of that rehearsal." }
    }
}

fn linked(row: &Row, cell: &str) -> Markup {
    html! { @if let Some(report) = &row.report { a href=(report) { (cell) } } @else { (cell) } }
}

/// The word; the colour only repeats it.
fn outcome(row: &Row) -> Markup {
    let class = match row.outcome {
        Outcome::Meets => "pass",
        Outcome::Fails => "fail",
        Outcome::Open | Outcome::Ended | Outcome::NotBegun => "inconclusive",
    };
    html! { span class=(format!("verdict {class}")) { (row.outcome.as_str()) } }
}
