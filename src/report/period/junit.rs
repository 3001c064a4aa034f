//! JUnit XML of a period: a suite a test, a case a criterion, and a case for a test that has no result that holds.

use crate::report::junit::suites;
use crate::report::model::CriterionReport;
use crate::verdict::Verdict;

use super::model::{PeriodModel, PeriodTest, State};

/// The period's JUnit file; where inconclusive is allowed such cases are skipped instead of failed.
pub fn junit(model: &PeriodModel, allow_inconclusive: bool) -> String {
    let of_tests = model.tests.iter().map(|test| {
        let started_at = test.report.as_ref().and_then(|report| report.started_at.as_deref());
        let run = test.run.as_ref().map_or_else(String::new, |run| format!(" ({run})"));
        (format!("{} {}{run}", test.id, test.name), started_at, criteria(test))
    });
    let counted = model.runs.iter().filter(|run| run.counted && !run.criteria.is_empty());
    let of_runs = counted
        .map(|run| (format!("whole run {}", run.id), Some(run.started_at.as_str()), run.criteria.clone()));
    let list: Vec<(String, Option<&str>, Vec<CriterionReport>)> = of_tests.chain(of_runs).collect();
    let suites_of: Vec<(String, Option<&str>, &[CriterionReport])> =
        list.iter().map(|(name, started_at, criteria)| (name.clone(), *started_at, &criteria[..])).collect();
    let planted =
        if model.runs.iter().any(|run| !run.faults.is_empty()) { ", with planted faults" } else { "" };
    suites(&format!("{}{planted}", model.period.title()), &suites_of, allow_inconclusive)
}

fn criteria(test: &PeriodTest) -> Vec<CriterionReport> {
    let mut criteria = test.report.as_ref().map(|report| report.criteria.clone()).unwrap_or_default();
    if test.state != State::Finished || test.report.is_none() {
        let reason = match test.state {
            State::Finished => "its run cannot be read".to_owned(),
            state => state.to_string(),
        };
        criteria.push(CriterionReport {
            text: "the test has a result that holds".to_owned(),
            verdict: Verdict::Inconclusive,
            observed: None,
            interval: None,
            threshold: 0.0,
            unit: String::new(),
            reason,
            level: None,
        });
    }
    criteria
}
