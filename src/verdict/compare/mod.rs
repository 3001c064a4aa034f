//! Two runs held against each other: what was configured otherwise, which figures differ by more than the noise, and
//! whether that is a regression. How each number is worked out stands in `docs/compare.md`.

mod bootstrap;
mod configuration;
mod figure;
mod gate;
mod kept;
mod level;
mod model;
#[cfg(test)]
mod rates_tests;
#[cfg(test)]
mod tests;

use crate::evidence::cells::LevelCells;
use crate::plan::Plan;
use crate::plan::compare::changes;

pub use configuration::differences;
pub use figure::{DRAIN, FIGURES, Figure, Worse};
pub use kept::{KeptLevel, KeptRun, KeptTest};
pub use model::*;

use level::{Earlier, Pair};

/// Runs alike, that before among them, from which on their range is used.
pub const EARLIER_MIN: usize = 4;

/// One of the two runs.
pub struct Side {
    pub kept: KeptRun,
    /// By test and level in the order of `kept`; why there are none otherwise.
    pub cells: Result<Vec<Vec<LevelCells>>, String>,
    /// Where this version can read it.
    pub plan: Option<Plan>,
}

/// Holds `after` against `before`. `earlier` are finished runs with the plan and configuration of `before`, without it.
/// `fail_on_percent` is what a figure may get worse by.
pub fn compare(before: &Side, after: &Side, earlier: &[KeptRun], fail_on_percent: Option<f64>) -> Comparison {
    let alike: Vec<&KeptRun> = earlier.iter().chain([&before.kept]).collect();
    let used = alike.len() >= EARLIER_MIN;
    let earlier = Earlier { runs: if used { &alike } else { &[] } };
    let tests = matched_tests(before, after, &earlier);
    let mut comparison = Comparison {
        schema: SCHEMA.to_owned(),
        before: brief(before),
        after: brief(after),
        is_baseline: false,
        fail_on_percent,
        verdict: None,
        regressions: Vec::new(),
        inconclusive: Vec::new(),
        configuration: differences(&before.kept, &after.kept),
        plan_changes: plan_changes(before, after),
        earlier_runs: EarlierRuns { runs: alike.iter().map(|run| run.run.id.clone()).collect(), used },
        tests,
        unmatched: unmatched(&before.kept, &after.kept),
        notes: notes(before, after),
    };
    if let Some(allowed) = fail_on_percent {
        gate::judge(&mut comparison, allowed);
    }
    comparison
}

fn brief(side: &Side) -> RunBrief {
    let head = &side.kept.run;
    RunBrief {
        id: head.id.clone(),
        plan: head.plan.clone(),
        started_at: head.started_at.clone(),
        target: head.target.clone(),
        tool_version: head.tool_version.clone(),
        end: head.end.clone(),
        rehearsal: head.rehearsal,
        assumptions: head.assumptions.clone(),
        verdict: head.verdict,
        without_intervals: side.cells.as_ref().err().cloned(),
    }
}

fn plan_changes(before: &Side, after: &Side) -> Vec<String> {
    match (&before.plan, &after.plan) {
        _ if before.kept.run.plan_hash == after.kept.run.plan_hash => Vec::new(),
        (Some(old), Some(new)) => changes(old, new).lines(),
        _ => Vec::new(),
    }
}

fn matched_tests(before: &Side, after: &Side, earlier: &Earlier<'_>) -> Vec<TestChange> {
    let mut tests = Vec::new();
    for (old_index, old) in before.kept.tests.iter().enumerate() {
        let found = after.kept.tests.iter().enumerate().find(|(_, test)| test.id == old.id);
        let Some((new_index, new)) = found else { continue };
        let mut levels = Vec::new();
        for (index, level) in old.levels.iter().enumerate() {
            let occurrence = old.occurrence(index);
            if let Some((new_level_index, new_level)) = new.level(&level.name, occurrence) {
                let cells = [(before, old_index, index), (after, new_index, new_level_index)];
                levels.push(level::change(&Pair {
                    tests: [old, new],
                    levels: [level, new_level],
                    cells: cells.map(|(side, test, level)| cells_of(side, test, level)),
                    occurrence,
                    earlier,
                }));
            }
        }
        let figures = vec![level::of_test([old, new], earlier)];
        tests.push(TestChange { id: old.id.clone(), name: new.name.clone(), figures, levels });
    }
    tests
}

fn cells_of(side: &Side, test: usize, level: usize) -> Option<&LevelCells> {
    side.cells.as_ref().ok()?.get(test)?.get(level)
}

fn unmatched(before: &KeptRun, after: &KeptRun) -> Vec<Unmatched> {
    let only = |here: &KeptRun, there: &KeptRun, only_in: &str| -> Vec<Unmatched> {
        let mut found = Vec::new();
        for test in &here.tests {
            let other = there.tests.iter().find(|other| other.id == test.id);
            for (index, level) in test.levels.iter().enumerate() {
                let occurrence = test.occurrence(index);
                if other.and_then(|other| other.level(&level.name, occurrence)).is_none() {
                    found.push(Unmatched {
                        test: test.id.clone(),
                        level: level.name.clone(),
                        occurrence: occurrence + 1,
                        only_in: only_in.to_owned(),
                        judged: level.judged,
                    });
                }
            }
        }
        found
    };
    let mut found = only(before, after, "before");
    found.extend(only(after, before, "after"));
    found
}

fn notes(before: &Side, after: &Side) -> Vec<String> {
    let mut notes = Vec::new();
    for side in [before, after] {
        let run = &side.kept.run;
        if !side.kept.is_complete() {
            notes.push(format!("run {} did not come to its end: {}", run.id, run.end));
        }
        if let Err(why) = &side.cells {
            notes.push(format!("run {} gives no intervals: {why}", run.id));
        }
    }
    notes
}
