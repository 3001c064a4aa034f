//! A period report short enough for a comment: the summary, the tests, and what to change.

use crate::report::markdown::{escaped, line, table};

use super::model::PeriodModel;
use super::tables;

/// The short Markdown of a period. It is printed, not kept: everything is in the files.
pub fn short(model: &PeriodModel) -> String {
    let period = &model.period;
    let mut out = String::new();
    line(&mut out, &format!("### {}: {}\n", escaped(&period.title()), period.verdict));
    for sentence in &model.summary {
        line(&mut out, &format!("- {}", escaped(sentence)));
    }
    for rows in [tables::tests(model), tables::recommendations(model)] {
        if !rows.rows.is_empty() {
            line(&mut out, "");
            table(&mut out, &rows.header, rows.left, rows.rows.into_iter());
        }
    }
    out
}
