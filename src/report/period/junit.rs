//! JUnit XML of a period: a suite a test, as in that of a run, and one for each run whose criteria count here.

use crate::report::junit::{Suite, cases, document};
use crate::report::text::seconds_between;

use super::model::{PeriodModel, PeriodTest, State};

/// The period's JUnit file; where inconclusive is allowed such cases are skipped instead of failed.
pub fn junit(model: &PeriodModel, allow_inconclusive: bool) -> String {
    let period = &model.period;
    let of_tests = model.tests.iter().map(|test| of_test(model, test));
    let counted = model.runs.iter().filter(|run| run.counted && !run.criteria.is_empty());
    let of_runs = counted.map(|run| Suite {
        name: format!("whole run {}", run.id),
        started_at: Some(run.started_at.clone()),
        time_s: seconds_between(&run.started_at, run.ended_at.as_deref()),
        properties: properties(model, Some(&run.id)),
        cases: cases(run.end == "completed", &run.end, &run.criteria),
    });
    let suites: Vec<Suite> = of_tests.chain(of_runs).collect();
    let planted =
        if model.runs.iter().any(|run| !run.faults.is_empty()) { ", with planted faults" } else { "" };
    let started_at = period.started_at.as_deref();
    let time_s = started_at.and_then(|started_at| seconds_between(started_at, period.ended_at.as_deref()));
    document(&format!("{}{planted}", period.title()), time_s, &suites, allow_inconclusive)
}

fn of_test(model: &PeriodModel, test: &PeriodTest) -> Suite {
    let report = test.report.as_ref();
    let started_at = report.and_then(|report| report.started_at.clone());
    let ended_at = report.and_then(|report| report.ended_at.as_deref());
    let why_not = match test.state {
        State::Finished => "its run cannot be read".to_owned(),
        state => state.to_string(),
    };
    let holds = test.state == State::Finished && report.is_some();
    Suite {
        name: format!("{} {}", test.id, test.name),
        time_s: started_at.as_deref().and_then(|started_at| seconds_between(started_at, ended_at)),
        started_at,
        properties: properties(model, test.run.as_deref()),
        cases: cases(holds, &why_not, report.map(|report| &report.criteria[..]).unwrap_or_default()),
    }
}

fn properties(model: &PeriodModel, run: Option<&str>) -> Vec<(&'static str, String)> {
    let period = &model.period;
    let mut faults: Vec<&str> = Vec::new();
    for each in model.runs.iter().filter(|each| Some(each.id.as_str()) == run) {
        faults.extend(each.faults.iter().map(String::as_str));
    }
    vec![
        ("run", run.unwrap_or_default().to_owned()),
        ("plan_hash", period.plan_hash.clone()),
        ("target", period.target.clone()),
        ("region", period.region.clone().unwrap_or_default()),
        ("faults", faults.join(", ")),
    ]
}
