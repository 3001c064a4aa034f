//! From the runs' reports to the history of a figure.

use crate::verdict::compare::{Figure, KeptLevel, KeptRun, KeptTest, differences};

use super::model::{History, Place, SCHEMA, Series};

/// The history of `figure` over `runs`, the oldest first. `level` names the level of each test; without it the highest
/// judged hold of the newest run is taken.
pub fn build(runs: &[KeptRun], figure: Figure, level: Option<&str>, baseline: Option<&str>) -> History {
    let newest = runs.last();
    let text = |of: fn(&KeptRun) -> &str| newest.map(of).unwrap_or_default().to_owned();
    History {
        schema: SCHEMA.to_owned(),
        plan: text(|run| &run.run.plan),
        target: text(|run| &run.run.target),
        environment: text(KeptRun::environment_name),
        figure: figure.key.to_owned(),
        unit: figure.unit.to_owned(),
        worse: figure.worse,
        baseline: baseline.map(str::to_owned),
        series: shown(runs, figure, level)
            .into_iter()
            .map(|(test, level)| series(runs, figure, test, level, baseline))
            .collect(),
        notes: Vec::new(),
    }
}

/// The tests and levels that are shown, in the order of the newest run that has them.
fn shown(runs: &[KeptRun], figure: Figure, level: Option<&str>) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for test in runs.iter().rev().flat_map(|run| &run.tests) {
        if found.iter().any(|(id, _)| *id == test.id) {
            continue;
        }
        if figure.is_of_test() {
            found.push((test.id.clone(), None));
        } else if let Some(level) = chosen(test, level) {
            found.push((test.id.clone(), Some(level.name.clone())));
        }
    }
    found
}

fn chosen<'t>(test: &'t KeptTest, name: Option<&str>) -> Option<&'t KeptLevel> {
    if let Some(name) = name {
        return test.levels.iter().find(|level| level.name == name);
    }
    let rate = |level: &KeptLevel| level.target_rps.or(level.achieved_rps).unwrap_or_default();
    let judged = test.levels.iter().filter(|level| level.judged);
    judged.max_by(|left, right| rate(left).total_cmp(&rate(right)))
}

fn series(
    runs: &[KeptRun],
    figure: Figure,
    test: String,
    level: Option<String>,
    baseline: Option<&str>,
) -> Series {
    let mut places: Vec<Place> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let (value, reason) = match value(run, figure, &test, level.as_deref()) {
            Ok(value) => (Some(value), None),
            Err(why) => (None, Some(why)),
        };
        let before = places.iter().rev().find_map(|place| place.value);
        let difference = before.zip(value).map(|(before, value)| value - before);
        let percent = before.zip(difference).filter(|(before, _)| *before > 0.0);
        let changed = index.checked_sub(1).map(|before| differences(&runs[before], run)).unwrap_or_default();
        places.push(Place {
            run: run.run.id.clone(),
            started_at: run.run.started_at.clone(),
            tool_version: run.run.tool_version.clone(),
            is_baseline: baseline == Some(&run.run.id),
            changed: changed
                .iter()
                .map(|found| format!("{}: {} -> {}", found.setting, found.before, found.after))
                .collect(),
            value,
            reason,
            difference: difference.map(rounded),
            percent: percent.map(|(before, difference)| rounded(difference / before * 100.0)),
        });
    }
    Series { test, level, runs: places }
}

fn rounded(value: f64) -> f64 {
    // Six decimals, for costs; adding zero turns -0.0 into 0.0.
    (value * 1e6).round() / 1e6 + 0.0
}

fn value(run: &KeptRun, figure: Figure, test: &str, level: Option<&str>) -> Result<f64, String> {
    let test = run.tests.iter().find(|found| found.id == test).ok_or("the test was not run")?;
    let Some(name) = level else {
        return figure.value_of_test(test).ok_or_else(|| "not measured".to_owned());
    };
    let (_, level) = test.level(name, 0).ok_or("it has no such level")?;
    if let Some(why) = &level.void {
        return Err(format!("void: {why}"));
    }
    if !level.finished {
        return Err("the level did not finish".to_owned());
    }
    figure.value(test, level).ok_or_else(|| "not measured".to_owned())
}
