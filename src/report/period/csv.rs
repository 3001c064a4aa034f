//! One row a level, for a spreadsheet: week, test and run, then the columns of `levels.csv`.

use crate::report::csv::rows;

use super::model::{PeriodModel, PeriodTest};

const LEAD: [&str; 10] = [
    "week",
    "test_id",
    "test_name",
    "state",
    "test_verdict",
    "run_id",
    "plan",
    "payload_name",
    "payload_bytes",
    "currency",
];

/// A test without a result has one row without a level.
pub fn csv(model: &PeriodModel) -> String {
    let levels = model.tests.iter().flat_map(|test| {
        let lead = lead(model, test);
        let levels = test.report.as_ref().map(|report| &report.levels[..]).unwrap_or_default();
        let alone = levels.is_empty().then(|| (lead.clone(), None));
        levels.iter().map(move |level| (lead.clone(), Some(level))).chain(alone)
    });
    rows(&LEAD, levels.collect())
}

fn lead(model: &PeriodModel, test: &PeriodTest) -> Vec<String> {
    let payload = test.report.as_ref().map(|report| &report.payload);
    vec![
        test.week.map_or_else(String::new, |week| week.to_string()),
        test.id.clone(),
        test.name.clone(),
        test.state.to_string(),
        test.verdict.map_or_else(String::new, |verdict| verdict.to_string()),
        test.run.clone().unwrap_or_default(),
        model.period.plan.clone(),
        payload.map_or_else(String::new, |payload| payload.name.clone()),
        payload.map_or_else(String::new, |payload| payload.bytes.to_string()),
        model.cost.currency.clone().unwrap_or_default(),
    ]
}
