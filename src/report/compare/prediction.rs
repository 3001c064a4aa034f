//! A rehearsal beside a run: what was predicted and what was measured, level by level, and how well that fits.

use crate::report::text::{count, plural};
use crate::verdict::compare::{Comparison, FigureChange, LevelChange, TestChange};

use super::words;

/// What a rehearsal is asked for: figure, and what its column is called.
const COLUMNS: [(&str, &str); 5] = [
    ("throttles", "throttles"),
    ("records_per_invocation", "records/invocation"),
    ("iterator_age.max", "iterator age ms"),
    ("e2e_latency.p95", "e2e p95 ms"),
    ("cost_per_million", "USD/million"),
];
/// Of a whole test.
const OF_TEST: &str = "drain_time";

/// A table of one test: each cell `measured / predicted`.
pub(super) struct Table {
    pub header: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    /// `drain_time: 4.92 s / 5.72 s`; `None` where neither has one.
    pub whole: Option<String>,
}

impl Table {
    /// `None` unless one of the two is a rehearsal and the other is not, or where the test has nothing in common.
    pub(super) fn of(comparison: &Comparison, test: &TestChange) -> Option<Table> {
        let measured_first = measured_first(comparison)?;
        let levels = test.levels.iter().filter(|level| !level.figures.is_empty());
        let row = |level: &LevelChange| {
            let cells = COLUMNS.iter().map(|(key, _)| match figure(&level.figures, key) {
                Some(found) => cell(found, measured_first, ""),
                None => "-".to_owned(),
            });
            std::iter::once(level.title()).chain(cells).collect()
        };
        let rows: Vec<Vec<String>> = levels.map(row).collect();
        if rows.is_empty() {
            return None;
        }
        let whole = figure(&test.figures, OF_TEST).filter(|found| found.difference.is_some());
        let whole = whole.map(|found| format!("{OF_TEST}: {}", cell(found, measured_first, &found.unit)));
        let header = std::iter::once("level").chain(COLUMNS.map(|(_, title)| title)).collect();
        Some(Table { header, rows, whole })
    }
}

/// How well the prediction fits, a sentence for each figure; none unless one of the two is a rehearsal.
pub(super) fn how_well(comparison: &Comparison) -> Vec<String> {
    let Some(measured_first) = measured_first(comparison) else { return Vec::new() };
    let levels = || comparison.tests.iter().flat_map(|test| &test.levels);
    let mut sentences: Vec<String> = COLUMNS
        .iter()
        .filter_map(|(key, _)| {
            let judged = levels().filter(|level| level.judged && level.doubt.is_none());
            let off = judged.filter_map(|level| off(figure(&level.figures, key)?, measured_first));
            sentence(key, off.collect(), "judged level")
        })
        .collect();
    let tests = comparison.tests.iter();
    let off = tests.filter_map(|test| off(figure(&test.figures, OF_TEST)?, measured_first));
    sentences.extend(sentence(OF_TEST, off.collect(), "test"));
    sentences
}

fn measured_first(comparison: &Comparison) -> Option<bool> {
    match (comparison.before.rehearsal, comparison.after.rehearsal) {
        (false, true) => Some(true),
        (true, false) => Some(false),
        _ => None,
    }
}

fn figure<'a>(figures: &'a [FigureChange], key: &str) -> Option<&'a FigureChange> {
    figures.iter().find(|figure| figure.figure == key)
}

fn cell(figure: &FigureChange, measured_first: bool, unit: &str) -> String {
    let unit = if figure.unit == "USD" { "USD" } else { unit };
    let shown = |value| words::value(value, unit).trim_start_matches("USD ").to_owned();
    let [first, second] = [shown(figure.before), shown(figure.after)];
    if measured_first { format!("{first} / {second}") } else { format!("{second} / {first}") }
}

/// By how many percent of what was measured the prediction is off; nothing where both are zero. `None` of what was not
/// measured, or measured as zero and predicted as more: that has no percentage.
fn off(figure: &FigureChange, measured_first: bool) -> Option<f64> {
    let (measured, predicted) = figure
        .before
        .zip(figure.after)
        .map(|(before, after)| if measured_first { (before, after) } else { (after, before) })?;
    match (measured, predicted) {
        (measured, predicted) if measured == predicted => Some(0.0),
        (measured, predicted) if measured > 0.0 => Some((predicted / measured - 1.0) * 100.0),
        _ => None,
    }
}

fn sentence(key: &str, mut off: Vec<f64>, of: &str) -> Option<String> {
    off.sort_by(|left, right| left.abs().total_cmp(&right.abs()));
    let (worst, middle) = (*off.last()?, off[off.len() / 2]);
    let places = plural(off.len() as u64, of);
    Some(match off.len() {
        1 => format!("{key} is predicted {} on {places}.", by(worst)),
        _ if worst == 0.0 => format!("{key} is predicted exactly on {places}."),
        _ => format!("{key} is predicted {} in the middle of {places}, {} at worst.", by(middle), by(worst)),
    })
}

fn by(percent: f64) -> String {
    match percent.abs().round() {
        0.0 => "to less than 1 %".to_owned(),
        whole if percent > 0.0 => format!("{} % too high", count(whole as u64)),
        whole => format!("{} % too low", count(whole as u64)),
    }
}

/// What the prediction rests on, of whichever of the two is the rehearsal.
pub(super) fn assumptions(comparison: &Comparison) -> &[String] {
    match measured_first(comparison) {
        Some(true) => &comparison.after.assumptions,
        Some(false) => &comparison.before.assumptions,
        None => &[],
    }
}

/// The caption of every table.
pub(super) const CAPTION: &str = "measured / predicted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_is_off_by_percent_of_what_was_measured() {
        assert_eq!(by(-12.4), "12 % too low");
        assert_eq!(by(0.3), "to less than 1 %");
        let said = sentence("throttles", vec![-20.0, 0.0, 5.0], "judged level").expect("some");
        assert_eq!(
            said,
            "throttles is predicted 5 % too high in the middle of 3 judged levels, 20 % too low at worst."
        );
        assert_eq!(sentence("throttles", Vec::new(), "judged level"), None);
    }
}
