//! What every format of a comparison says alike.

use super::prediction;
use crate::report::text::{self, NONE, count, number};
use crate::verdict::compare::{Comparison, FigureChange, LevelChange, Says};

/// A figure's value in its unit: `43.1 ms`.
pub fn value(value: Option<f64>, unit: &str) -> String {
    text::or_none(value, |value| match unit {
        "" => number(value),
        "%" => text::percent(value),
        "USD" => format!("USD {value:.4}"),
        "/s" => format!("{}/s", number(value)),
        _ => format!("{} {unit}", number(value)),
    })
}

/// `+12.3 %`; without a percentage the difference itself.
pub fn difference(figure: &FigureChange) -> String {
    match (figure.percent, figure.difference) {
        (_, Some(0.0)) => "0".to_owned(),
        (Some(percent), _) => format!("{} %", signed(percent)),
        (None, Some(difference)) => signed(difference),
        (None, None) => NONE.to_owned(),
    }
}

/// `+4.7 ms`.
pub fn absolute(figure: &FigureChange) -> String {
    let unit = if figure.unit.is_empty() { String::new() } else { format!(" {}", figure.unit) };
    match figure.difference {
        None => NONE.to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(difference) if figure.unit == "USD" => format!("{difference:+.4}{unit}"),
        Some(difference) => format!("{}{unit}", signed(difference)),
    }
}

/// `-3.1 to +5.2 %`, in the unit where there is no percentage.
pub fn interval(figure: &FigureChange) -> String {
    let shown = |[low, high]: [f64; 2], unit: &str| {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        format!("{} to {}{unit}", signed(low), signed(high))
    };
    match (figure.interval_percent, figure.interval) {
        (Some(percent), _) => shown(percent, "%"),
        (None, Some(interval)) => shown(interval, &figure.unit),
        (None, None) => NONE.to_owned(),
    }
}

pub fn signed(value: f64) -> String {
    let shown = number(value.abs());
    match value {
        _ if shown == "0" => shown,
        value if value > 0.0 => format!("+{shown}"),
        _ => format!("-{shown}"),
    }
}

/// `larger, worse`.
pub fn says(figure: &FigureChange) -> String {
    match figure.says {
        Says::Larger => match figure.is_worse() {
            Some(true) => "larger, worse".to_owned(),
            Some(false) => "larger, better".to_owned(),
            None => "larger".to_owned(),
        },
        Says::WithinNoise => "within the noise".to_owned(),
        Says::WithinEarlier => "within earlier runs".to_owned(),
        Says::Unchanged => "unchanged".to_owned(),
        Says::NotKnown => "not known".to_owned(),
    }
}

/// The class of a figure's mark: worse and better are told apart by more than their colour, see [`says`].
pub fn class(figure: &FigureChange) -> &'static str {
    match (figure.says, figure.is_worse()) {
        (Says::Larger, Some(true)) => "worse",
        (Says::Larger, Some(false)) => "better",
        (Says::Larger, None) => "moved",
        _ => "noise",
    }
}

/// The comparison in a sentence or two, what failed first.
pub fn summary(comparison: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(allowed) = comparison.fail_on_percent {
        let regressions = text::plural(comparison.regressions.len() as u64, "regression");
        let open = text::plural(comparison.inconclusive.len() as u64, "judged level");
        sentences.push(match (comparison.regressions.len(), comparison.inconclusive.len()) {
            (0, 0) => {
                format!("No judged level got worse by more than {allowed} % and by more than the noise.")
            }
            (0, _) => {
                format!("No regression of more than {allowed} % was seen, but {open} could not be judged.")
            }
            (_, 0) => format!("{regressions} of more than {allowed} %, larger than the noise."),
            _ => format!(
                "{regressions} of more than {allowed} %, larger than the noise; {open} could not be judged."
            ),
        });
    }
    let all = || comparison.tests.iter().flat_map(|test| &test.levels).flat_map(|level| &level.figures);
    let larger = comparison.larger().count() as u64;
    let worse = comparison.larger().filter(|(_, _, figure)| figure.is_worse() == Some(true)).count() as u64;
    let levels = comparison.tests.iter().map(|test| test.levels.len()).sum::<usize>() as u64;
    sentences.push(format!(
        "{} of {} differ by more than the noise within the runs ({} worse), on {}.",
        count(larger),
        text::plural(all().count() as u64, "figure"),
        count(worse),
        text::plural(levels, "level")
    ));
    sentences.push(earlier(comparison));
    sentences.extend(prediction::how_well(comparison));
    sentences
}

/// What a prediction rests on; `None` where there is none.
pub fn rests_on(comparison: &Comparison) -> Option<String> {
    let assumptions = prediction::assumptions(comparison);
    (!assumptions.is_empty()).then(|| format!("The prediction assumes that {}.", assumptions.join("; that ")))
}

fn earlier(comparison: &Comparison) -> String {
    let runs = comparison.earlier_runs.runs.len() as u64;
    let alike = format!("{} with this plan and configuration", text::plural(runs, "finished run"));
    if comparison.earlier_runs.used {
        return format!("The spread between runs is that of {alike}.");
    }
    format!(
        "One run each shows only the noise within a run, not that between runs: there {} {alike}, {} are needed.",
        if runs == 1 { "is" } else { "are" },
        crate::verdict::compare::EARLIER_MIN
    )
}

/// Why a level has no figures, or none that count.
pub fn remark(level: &LevelChange) -> Option<String> {
    let not_comparable = level.not_comparable.as_ref().map(|why| format!("Not comparable: {why}."));
    not_comparable.or_else(|| level.doubt.as_ref().map(|why| format!("Nothing is concluded: {why}.")))
}

/// Reasons for what is not known, each once with the figures that it is of.
pub fn reasons(level: &LevelChange) -> Vec<String> {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    for figure in level.figures.iter().filter(|_| level.doubt.is_none()) {
        let Some(reason) = &figure.reason else { continue };
        match found.iter_mut().find(|(known, _)| known == reason) {
            Some((_, figures)) => figures.push(&figure.figure),
            None => found.push((reason.clone(), vec![&figure.figure])),
        }
    }
    found.into_iter().map(|(reason, figures)| format!("{}: {reason}", figures.join(", "))).collect()
}
