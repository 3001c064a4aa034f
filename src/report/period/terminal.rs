//! A period report for a terminal: the verdict, the summary, the tests and what is next.

use std::fmt::Write as _;

use crate::report::terminal::{Page, defused};
use crate::report::text::{NONE, or_none, percent, rate, usd};

use super::model::{PeriodModel, PeriodTest};

/// The report as text, lines at most `width` columns where words allow, with ANSI colours if `color`.
pub fn terminal(model: &PeriodModel, width: u16, color: bool) -> String {
    let model = &defused(model);
    let page = Page::new(width, color);
    let period = &model.period;
    let mut out = String::new();
    writeln!(out, "{}  {}", page.word(period.verdict), period.title())
        .expect("writing to a string cannot fail");
    let head = format!(
        "environment {} on {}, {} of {} tests finished",
        period.environment,
        period.target,
        period.finished,
        model.tests.len()
    );
    page.paragraph(&mut out, "", &head);
    out.push('\n');
    for sentence in &model.summary {
        page.paragraph(&mut out, "- ", sentence);
    }
    out.push('\n');
    let header = ["test", "state", "verdict", "rate/s", "put p95", "e2e p95", "success", "USD/million"];
    let rows = model.tests.iter().map(|test| row(test).to_vec());
    out.push_str(&page.rows(&header, 3, rows));
    for next in &model.next {
        page.paragraph(&mut out, "next      ", &format!("{} {}: {}", next.id, next.name, next.why));
    }
    for note in &model.notes {
        page.paragraph(&mut out, "note      ", note);
    }
    out
}

fn row(test: &PeriodTest) -> [String; 8] {
    let figures = &test.figures;
    [
        format!("{} {}", test.id, test.name),
        test.state.to_string(),
        test.verdict.map_or_else(|| NONE.to_owned(), |verdict| verdict.to_string()),
        or_none(figures.achieved_rps, rate),
        or_none(figures.put_p95_ms, crate::report::text::number),
        or_none(figures.e2e_p95_ms, crate::report::text::number),
        or_none(figures.success_percent, percent),
        or_none(figures.cost_per_million, usd),
    ]
}
