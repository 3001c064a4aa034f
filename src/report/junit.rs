//! JUnit XML: a suite a test, a case a criterion, so that a CI shows each criterion by itself.
//!
//! A criterion that could not be judged is a `failure` of type `inconclusive`, because most readers pass
//! skipped cases; where inconclusive is allowed it is `skipped`.

use std::fmt::Write as _;

use crate::verdict::Verdict;

use super::model::{CriterionReport, ReportModel};
use super::text::observed;

/// `junit.xml`.
pub fn junit(model: &ReportModel, allow_inconclusive: bool) -> String {
    let mut list: Vec<(String, Option<&str>, &[CriterionReport])> = model
        .tests
        .iter()
        .map(|test| (format!("{} {}", test.id, test.name), test.started_at.as_deref(), &test.criteria[..]))
        .collect();
    if !model.criteria.is_empty() {
        list.push(("whole run".to_owned(), Some(&model.run.started_at), &model.criteria));
    }
    let planted = if model.run.faults.is_empty() { "" } else { ", with planted faults" };
    let name = format!("{} ({}){planted}", model.run.plan, model.run.id);
    suites(&name, &list, allow_inconclusive)
}

/// A document of suites: the name of each, when it started, and its criteria.
pub(super) fn suites(
    name: &str,
    suites: &[(String, Option<&str>, &[CriterionReport])],
    allow_inconclusive: bool,
) -> String {
    let all = || suites.iter().flat_map(|(_, _, criteria)| criteria.iter());
    let (failures, skipped) = counted(all(), allow_inconclusive);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (name, tests) = (escaped(name), all().count());
    line(
        &mut xml,
        &format!(
            "<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">"
        ),
    );
    for (name, started_at, criteria) in suites {
        suite(&mut xml, name, *started_at, criteria, allow_inconclusive);
    }
    line(&mut xml, "</testsuites>");
    xml
}

fn counted<'a>(
    criteria: impl Iterator<Item = &'a CriterionReport>,
    allow_inconclusive: bool,
) -> (usize, usize) {
    let (mut failures, mut skipped) = (0, 0);
    for criterion in criteria {
        match criterion.verdict {
            Verdict::Pass => {}
            Verdict::Inconclusive if allow_inconclusive => skipped += 1,
            Verdict::Inconclusive | Verdict::Fail => failures += 1,
        }
    }
    (failures, skipped)
}

fn suite(
    xml: &mut String,
    name: &str,
    started_at: Option<&str>,
    criteria: &[CriterionReport],
    allow_inconclusive: bool,
) {
    let (failures, skipped) = counted(criteria.iter(), allow_inconclusive);
    let timestamp = started_at.map_or_else(String::new, |at| format!(" timestamp=\"{}\"", escaped(at)));
    let (name, tests) = (escaped(name), criteria.len());
    line(
        xml,
        &format!(
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\"{timestamp}>"
        ),
    );
    for criterion in criteria {
        let open = format!("    <testcase classname=\"{name}\" name=\"{}\"", escaped(&criterion.text));
        let message = escaped(&format!("observed {}: {}", observed(criterion), criterion.reason));
        match criterion.verdict {
            Verdict::Pass => line(xml, &format!("{open}/>")),
            Verdict::Inconclusive if allow_inconclusive => {
                line(xml, &format!("{open}><skipped message=\"{message}\"/></testcase>"));
            }
            verdict => {
                line(xml, &format!("{open}><failure type=\"{verdict}\" message=\"{message}\"/></testcase>"));
            }
        }
    }
    line(xml, "  </testsuite>");
}

fn line(xml: &mut String, text: &str) {
    writeln!(xml, "{text}").expect("writing to a string cannot fail");
}

/// For attributes: markup is escaped, and characters that XML 1.0 cannot hold are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
