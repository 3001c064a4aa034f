//! `--fail-on`: whether what changed is a regression.

use super::figure::Worse;
use super::model::{Comparison, FigureChange, LevelChange, Regression, Says, TestChange};
use crate::verdict::Verdict;

/// Lists the regressions of more than `allowed_percent`, and the judged levels that could not be judged.
pub(super) fn judge(comparison: &mut Comparison, allowed_percent: f64) {
    let mut regressions = Vec::new();
    let mut inconclusive = Vec::new();
    for test in &comparison.tests {
        for level in test.levels.iter().filter(|level| level.judged) {
            inconclusive.extend(unjudged(level).map(|why| format!("{} / {}: {why}", test.id, level.title())));
            let worse = level.figures.iter().filter(|figure| is_regression(figure, allowed_percent));
            regressions.extend(worse.map(|figure| regression(test, level, figure)));
        }
    }
    for level in comparison.unmatched.iter().filter(|level| level.judged) {
        let place = format!("{} / {}", level.test, level.title());
        inconclusive.push(format!("{place}: only the run {} has it", level.only_in));
    }
    // From zero is worse than any percentage.
    let weight = |regression: &Regression| regression.percent.unwrap_or(f64::INFINITY);
    regressions.sort_by(|left, right| weight(right).total_cmp(&weight(left)));
    let nothing_judged = !comparison.tests.iter().flat_map(|test| &test.levels).any(|level| level.judged);
    if nothing_judged && inconclusive.is_empty() {
        inconclusive.push("the runs have no judged level in common".to_owned());
    }
    comparison.verdict = Some(match (regressions.is_empty(), inconclusive.is_empty()) {
        (false, _) => Verdict::Fail,
        (true, false) => Verdict::Inconclusive,
        (true, true) => Verdict::Pass,
    });
    comparison.regressions = regressions;
    comparison.inconclusive = inconclusive;
}

fn is_regression(figure: &FigureChange, allowed_percent: f64) -> bool {
    let is_worse = figure.is_worse() == Some(true);
    // What was zero has no percentage: any of it is too much.
    let too_much = figure.worsening_percent().is_none_or(|percent| percent > allowed_percent);
    figure.says == Says::Larger && is_worse && too_much
}

/// Why nothing can be said of a judged level.
fn unjudged(level: &LevelChange) -> Option<String> {
    let why = level.not_comparable.clone().or_else(|| level.doubt.clone());
    let is_gone = |figure: &&FigureChange| {
        figure.worse != Worse::Neither && figure.before.is_some() && figure.after.is_none()
    };
    let gone = || level.figures.iter().find(is_gone);
    let why = why.or_else(|| gone().map(|figure| format!("{} was not measured after", figure.figure)));
    why.or_else(|| {
        let known = |figure: &&FigureChange| figure.interval.is_some();
        let first =
            level.figures.iter().find(|figure| figure.difference.is_some() && figure.reason.is_some());
        let nothing = !level.figures.iter().any(|figure| known(&figure));
        let reason = first.and_then(|figure| figure.reason.clone()).unwrap_or_default();
        nothing.then(|| format!("the noise of no figure is known: {reason}"))
    })
}

fn regression(test: &TestChange, level: &LevelChange, figure: &FigureChange) -> Regression {
    let unit = if figure.unit.is_empty() { String::new() } else { format!(" {}", figure.unit) };
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let percent = figure.worsening_percent();
    let by = percent.map_or_else(|| "from zero".to_owned(), |percent| format!("{percent:.1} % worse"));
    let text = format!(
        "{} / {}: {} {}{unit} -> {}{unit}, {by}",
        test.id,
        level.title(),
        figure.figure,
        shown(figure.before),
        shown(figure.after),
    );
    Regression { test: test.id.clone(), level: level.title(), figure: figure.figure.clone(), percent, text }
}
