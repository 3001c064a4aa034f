//! The grid for a terminal.

use comfy_table::ColumnConstraint;

use crate::report::terminal::{Page, aligned, defused, finished, line};

use super::model::WhatIf;
use super::words;

/// The grid as text, lines at most `width` columns where words allow, with ANSI colours if `color`.
pub fn terminal(whatif: &WhatIf, width: u16, color: bool) -> String {
    let whatif = &defused(whatif);
    let page = Page::new(width, color);
    let mut out = String::new();
    page.paragraph(
        &mut out,
        "",
        &format!("What if: {} ({}), rehearsed in virtual time", whatif.plan, whatif.tests.join(", ")),
    );
    for sentence in &whatif.summary {
        page.paragraph(&mut out, "  ", sentence);
    }
    out.push('\n');
    table(&mut out, whatif, &page);
    out.push('\n');
    for (index, row) in whatif.settings.iter().enumerate() {
        if let Some(why) = &row.why {
            page.paragraph(
                &mut out,
                &format!("  {}  ", index + 1),
                &format!("{}: {why}", row.outcome.as_str()),
            );
        }
    }
    for sentence in words::levels(whatif).into_iter().chain(words::months(whatif)) {
        page.paragraph(&mut out, "  ", &sentence);
    }
    line(&mut out, "\nNothing of this was measured. It rests on:");
    for assumption in &whatif.assumptions {
        page.paragraph(&mut out, "  - ", assumption);
    }
    out
}

fn table(out: &mut String, whatif: &WhatIf, page: &Page) {
    let header = words::header(whatif);
    let worded = words::worded(whatif);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = page.table(&header, worded);
    for (index, row) in whatif.settings.iter().enumerate() {
        let cells = words::cells(index + 1, row);
        table.add_row(cells.iter().enumerate().map(|(at, text)| aligned(text, at >= worded)));
    }
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    out.push_str(&finished(table));
}
