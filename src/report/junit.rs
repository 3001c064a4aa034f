//! JUnit XML: a suite a test, a case a criterion, so that a CI shows each criterion by itself. It fits the schema that
//! Jenkins publishes (`junit-10.xsd`), which GitLab and GitHub's readers take, too.
//!
//! A criterion that could not be judged is a `failure` of type `inconclusive`, because most readers pass skipped
//! cases; where inconclusive is allowed it is `skipped`. Each suite begins with the case "ran to its end", so that a
//! test without criteria, or a run that was stopped, is not green by having no case.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::verdict::Verdict;

use super::escape::xml as escaped;
use super::model::{CriterionReport, ReportModel, RunReport, TestReport};
use super::text::{self, observed};

const RAN_TO_ITS_END: &str = "ran to its end";

pub(super) struct Suite {
    pub name: String,
    pub started_at: Option<String>,
    /// Seconds, where its end is known.
    pub time_s: Option<f64>,
    /// Empty values are left out.
    pub properties: Vec<(&'static str, String)>,
    pub cases: Vec<Case>,
}

/// One case; the message says why it did not pass.
pub(super) struct Case {
    name: String,
    verdict: Verdict,
    message: String,
}

/// `junit.xml`.
pub fn junit(model: &ReportModel, allow_inconclusive: bool) -> String {
    let run = &model.run;
    let tests = model.tests.iter().map(|test| suite_of(run, test));
    let suites: Vec<Suite> = tests.chain(std::iter::once(of_run(model))).collect();
    let rehearsed = if run.rehearsal { ", rehearsed in virtual time" } else { "" };
    let planted = if run.faults.is_empty() { "" } else { ", with planted faults" };
    let time_s = text::seconds_between(&run.started_at, run.ended_at.as_deref());
    document(&format!("{} ({}){rehearsed}{planted}", run.plan, run.id), time_s, &suites, allow_inconclusive)
}

/// All suites as one document; `time_s`: from its start to its end, where that is known.
pub(super) fn document(
    name: &str,
    time_s: Option<f64>,
    suites: &[Suite],
    allow_inconclusive: bool,
) -> String {
    let (failures, _) = counted(suites.iter().flat_map(|suite| &suite.cases), allow_inconclusive);
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let (name, time) = (escaped(name), time(time_s));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    line(
        &mut xml,
        &format!("<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\"{time}>"),
    );
    for suite in suites {
        write_suite(&mut xml, suite, allow_inconclusive);
    }
    line(&mut xml, "</testsuites>");
    xml
}

fn properties(run: &RunReport) -> Vec<(&'static str, String)> {
    vec![
        ("run", run.id.clone()),
        ("plan_hash", run.plan_hash.clone()),
        ("target", run.target.clone()),
        ("region", run.region.clone()),
        ("faults", run.faults.join(", ")),
        ("rehearsal", if run.rehearsal { "predicted, not measured".to_owned() } else { String::new() }),
        ("assumptions", run.assumptions.join("; ")),
    ]
}

/// A test of the run.
pub(super) fn suite_of(run: &RunReport, test: &TestReport) -> Suite {
    let begun = if test.started_at.is_some() { "it did not come to its end" } else { "it was not begun" };
    Suite {
        name: format!("{} {}", test.id, test.name),
        started_at: test.started_at.clone(),
        time_s: test
            .started_at
            .as_deref()
            .and_then(|started_at| text::seconds_between(started_at, test.ended_at.as_deref())),
        properties: properties(run),
        cases: cases(test.finished, begun, &test.criteria),
    }
}

fn of_run(model: &ReportModel) -> Suite {
    let run = &model.run;
    Suite {
        name: "whole run".to_owned(),
        started_at: Some(run.started_at.clone()),
        time_s: text::seconds_between(&run.started_at, run.ended_at.as_deref()),
        properties: properties(run),
        cases: cases(run.end == "completed", &run.end, &model.criteria),
    }
}

/// The criteria behind the case of the end. No two cases of a suite have one name, because readers tell them by it.
pub(super) fn cases(finished: bool, why_not: &str, criteria: &[CriterionReport]) -> Vec<Case> {
    let verdict = if finished { Verdict::Pass } else { Verdict::Inconclusive };
    let end = Case { name: RAN_TO_ITS_END.to_owned(), verdict, message: why_not.to_owned() };
    let mut seen: BTreeMap<&str, usize> = BTreeMap::from([(RAN_TO_ITS_END, 1)]);
    let judged = criteria.iter().map(|criterion| {
        let times = seen.entry(&criterion.text).or_default();
        *times += 1;
        let again = if *times > 1 { format!(" ({times})") } else { String::new() };
        Case {
            name: format!("{}{again}", criterion.text),
            verdict: criterion.verdict,
            message: match criterion.observed {
                Some(_) => format!("observed {}: {}", observed(criterion), criterion.reason),
                None => criterion.reason.clone(),
            },
        }
    });
    std::iter::once(end).chain(judged).collect()
}

/// Failures, and skipped ones.
fn counted<'c>(cases: impl Iterator<Item = &'c Case>, allow_inconclusive: bool) -> (usize, usize) {
    let (mut failures, mut skipped) = (0, 0);
    for case in cases {
        match case.verdict {
            Verdict::Pass => {}
            Verdict::Inconclusive if allow_inconclusive => skipped += 1,
            Verdict::Inconclusive | Verdict::Fail => failures += 1,
        }
    }
    (failures, skipped)
}

fn write_suite(xml: &mut String, suite: &Suite, allow_inconclusive: bool) {
    let (failures, skipped) = counted(suite.cases.iter(), allow_inconclusive);
    let timestamp =
        suite.started_at.as_ref().map_or_else(String::new, |at| format!(" timestamp=\"{}\"", escaped(at)));
    let (name, tests, time) = (escaped(&suite.name), suite.cases.len(), time(suite.time_s));
    line(
        xml,
        &format!(
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"\
             {timestamp}{time}>"
        ),
    );
    line(xml, "    <properties>");
    for (property, value) in suite.properties.iter().filter(|(_, value)| !value.is_empty()) {
        line(xml, &format!("      <property name=\"{property}\" value=\"{}\"/>", escaped(value)));
    }
    line(xml, "    </properties>");
    for case in &suite.cases {
        write_case(xml, &name, case, allow_inconclusive);
    }
    line(xml, "  </testsuite>");
}

fn write_case(xml: &mut String, class: &str, case: &Case, allow_inconclusive: bool) {
    let open = format!("    <testcase classname=\"{class}\" name=\"{}\"", escaped(&case.name));
    let message = escaped(&case.message);
    match case.verdict {
        Verdict::Pass => line(xml, &format!("{open}/>")),
        Verdict::Inconclusive if allow_inconclusive => {
            line(xml, &format!("{open}><skipped message=\"{message}\"/></testcase>"));
        }
        verdict => {
            line(xml, &format!("{open}><failure type=\"{verdict}\" message=\"{message}\"/></testcase>"));
        }
    }
}

/// An attribute, or nothing where no time was measured.
fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!(" time=\"{seconds:.0}\""))
}

fn line(xml: &mut String, text: &str) {
    writeln!(xml, "{text}").expect("writing to a string cannot fail");
}
