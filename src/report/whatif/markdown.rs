//! The grid as Markdown, for a wiki or a pull request.

use crate::report::markdown::{escaped, line, table};

use super::model::WhatIf;
use super::words;

/// `whatif.md`.
pub fn markdown(whatif: &WhatIf) -> String {
    let mut out = String::new();
    line(&mut out, &format!("# What if: {}\n", escaped(&whatif.plan)));
    let told = format!(
        "Tests {} rehearsed in virtual time ({}), plan {}, streamgauge {}.",
        whatif.tests.join(", "),
        whatif.region,
        whatif.plan_hash.get(..12).unwrap_or(&whatif.plan_hash),
        whatif.tool_version
    );
    line(&mut out, &format!("{}\n", escaped(&told)));
    for sentence in &whatif.summary {
        line(&mut out, &format!("- {}", escaped(sentence)));
    }
    out.push('\n');
    let header: Vec<String> = words::header(whatif).iter().map(|title| escaped(title)).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = whatif.settings.iter().enumerate().map(|(index, row)| words::cells(index + 1, row));
    table(&mut out, &header, words::worded(whatif), rows);
    out.push('\n');
    for (index, row) in whatif.settings.iter().enumerate() {
        let why = row.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let text = escaped(&format!("{} {}{why}", row.outcome.as_str(), whatif.label(row)));
        let report = row.report.as_ref().map_or_else(String::new, |report| format!(" ([report]({report}))"));
        line(&mut out, &format!("{}. {text}{report}", index + 1));
    }
    out.push('\n');
    for sentence in words::levels(whatif).into_iter().chain(words::months(whatif)) {
        line(&mut out, &format!("- {}", escaped(&sentence)));
    }
    line(&mut out, "\nNothing of this was measured. It rests on:\n");
    for assumption in &whatif.assumptions {
        line(&mut out, &format!("- {}", escaped(assumption)));
    }
    out
}
