//! One level of both runs: each figure's difference, its interval, and what that says.

use super::bootstrap::{self, CELLS_MIN, Counts, Resamples, SEEDS, TooFew};
use super::figure::{DRAIN, FIGURES, Figure, Noise, Timed};
use super::kept::{KeptLevel, KeptRun, KeptTest};
use super::model::{FigureChange, LevelChange, Says};
use crate::evidence::cells::{LevelCells, Traffic};

/// A latency that counts from the due time cannot be told finer: the grain of the timers that records wait for.
const GRAIN_MS: f64 = 1.0;

/// The same level of the runs before and after.
pub(super) struct Pair<'a> {
    pub tests: [&'a KeptTest; 2],
    pub levels: [&'a KeptLevel; 2],
    pub cells: [Option<&'a LevelCells>; 2],
    pub occurrence: usize,
    pub earlier: &'a Earlier<'a>,
}

/// Runs alike; none where they are too few to be used.
pub(super) struct Earlier<'a> {
    pub runs: &'a [&'a KeptRun],
}

impl Earlier<'_> {
    fn range(&self, value: impl Fn(&KeptTest) -> Option<f64>, test: &str) -> Option<[f64; 2]> {
        let tests = self.runs.iter().filter_map(|run| run.tests.iter().find(|found| found.id == test));
        let values: Vec<f64> = tests.filter_map(value).collect();
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        // A run that did not measure it tells nothing.
        (values.len() >= super::EARLIER_MIN).then_some([least, most])
    }
}

pub(super) fn change(pair: &Pair<'_>) -> LevelChange {
    let [old, new] = pair.levels;
    let not_comparable = not_comparable(pair);
    let doubt = doubt(pair);
    let figures = match not_comparable {
        Some(_) => Vec::new(),
        None => figures(pair, doubt.as_deref()),
    };
    LevelChange {
        name: old.name.clone(),
        occurrence: pair.occurrence + 1,
        judged: old.judged && new.judged,
        not_comparable,
        doubt,
        figures,
    }
}

/// The drain of a test.
pub(super) fn of_test(tests: [&KeptTest; 2], earlier: &Earlier<'_>) -> FigureChange {
    let range = earlier.range(|test| DRAIN.value_of_test(test), &tests[0].id);
    let values = tests.map(|test| DRAIN.value_of_test(test));
    told(DRAIN, values, Err(unknown(DRAIN.noise)), range, None)
}

fn not_comparable(pair: &Pair<'_>) -> Option<String> {
    let [before, after] = pair.tests.map(|test| test.payload.bytes);
    let [old, new] = pair.levels;
    let is_closed = [old, new].map(|level| level.users.is_some());
    if before != after {
        return Some(format!("the payload has {before} bytes before and {after} after"));
    }
    if is_closed[0] != is_closed[1] {
        return Some(
            "one is an open loop, the other a closed one: they wait for different things".to_owned(),
        );
    }
    let never = |level: &KeptLevel| level.started_at.is_none();
    match (never(old), never(new)) {
        (true, true) => Some("it was never started".to_owned()),
        (true, false) => Some("it was never started before".to_owned()),
        (false, true) => Some("it was never started after".to_owned()),
        (false, false) => None,
    }
}

/// Why the figures of one of them say nothing of the pipeline.
fn doubt(pair: &Pair<'_>) -> Option<String> {
    let of = |level: &KeptLevel, when: &str| {
        let void = level.void.as_ref().map(|why| format!("void {when}: {why}"));
        void.or_else(|| (!level.finished).then(|| format!("it did not finish {when}")))
    };
    of(pair.levels[0], "before").or_else(|| of(pair.levels[1], "after"))
}

fn figures(pair: &Pair<'_>, doubt: Option<&str>) -> Vec<FigureChange> {
    let percentiles = [Timed::Put, Timed::Service, Timed::EndToEnd].map(|timed| Percentiles::of(pair, timed));
    let figure = |figure: Figure| {
        let values = [0, 1].map(|side| figure.value(pair.tests[side], pair.levels[side]));
        let name = &pair.levels[0].name;
        let in_test = |test: &KeptTest| {
            let (_, level) = test.level(name, pair.occurrence)?;
            figure.value(test, level)
        };
        let range = pair.earlier.range(in_test, &pair.tests[0].id);
        told(figure, values, resampled(figure.noise, pair, &percentiles), range, doubt)
    };
    FIGURES.into_iter().map(figure).collect()
}

/// Resamples of the percentiles of one latency, of both runs: made once for the three of them.
struct Percentiles {
    timed: Timed,
    of: Vec<(f64, Result<[Resamples; 2], String>)>,
}

const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

impl Percentiles {
    fn of(pair: &Pair<'_>, timed: Timed) -> Percentiles {
        let cells = |side: usize| -> Option<Vec<&Counts>> {
            let cells = pair.cells[side]?;
            let cells = match timed {
                Timed::Put => &cells.put_latency,
                Timed::Service => &cells.service_time,
                Timed::EndToEnd => &cells.e2e,
            };
            Some(cells.iter().map(Vec::as_slice).collect())
        };
        let (Some(before), Some(after)) = (cells(0), cells(1)) else {
            return Percentiles::none(timed, &no_cells());
        };
        if let Some(few) = [&before, &after].into_iter().find(|cells| cells.len() < CELLS_MIN) {
            return Percentiles::none(timed, &why(TooFew::Cells(few.len())));
        }
        let resample = |cells: &[&Counts], seed| bootstrap::percentiles(cells, &QUANTILES, seed);
        let resamples = resample(&before, SEEDS[0]).into_iter().zip(resample(&after, SEEDS[1]));
        let each = |(quantile, (old, new)): (f64, (Resamples, Resamples))| {
            let enough =
                [&before, &after].into_iter().try_for_each(|cells| bootstrap::enough(cells, quantile));
            (quantile, enough.map(|()| [old, new]).map_err(why))
        };
        Percentiles { timed, of: QUANTILES.into_iter().zip(resamples).map(each).collect() }
    }

    fn none(timed: Timed, why: &str) -> Percentiles {
        Percentiles { timed, of: QUANTILES.map(|quantile| (quantile, Err(why.to_owned()))).into() }
    }
}

fn no_cells() -> String {
    "one of the runs has no evidence beside its report".to_owned()
}

fn why(few: TooFew) -> String {
    match few {
        TooFew::Cells(cells) => format!("only {cells} intervals, {CELLS_MIN} are needed"),
        TooFew::Samples(samples) => format!("only {samples} samples"),
    }
}

fn unknown(noise: Noise) -> String {
    match noise {
        Noise::Unknown(why) => why.to_owned(),
        _ => "a count has no interval".to_owned(),
    }
}

/// The figure resampled, of both runs; otherwise why it has no interval.
fn resampled(
    noise: Noise,
    pair: &Pair<'_>,
    percentiles: &[Percentiles; 3],
) -> Result<[Resamples; 2], String> {
    let ratio = |of: fn(&Traffic) -> (f64, f64), scale: [f64; 2]| {
        let (Some(old), Some(new)) = (pair.cells[0], pair.cells[1]) else { return Err(no_cells()) };
        if let Some(few) = [old, new].into_iter().find(|cells| cells.traffic.len() < CELLS_MIN) {
            return Err(why(TooFew::Cells(few.traffic.len())));
        }
        let of = |side: usize, cells: &LevelCells| {
            let cells: Vec<(f64, f64)> = cells.traffic.iter().map(of).collect();
            bootstrap::ratios(&cells, scale[side], SEEDS[side])
        };
        Ok([of(0, old), of(1, new)])
    };
    let is_ramp = pair.levels[0].kind == "ramp";
    match noise {
        Noise::Percentile(timed, quantile) => {
            let found = percentiles.iter().find(|found| found.timed == timed);
            let found = found.and_then(|found| found.of.iter().find(|(of, _)| *of == quantile));
            found.map_or_else(|| Err(no_cells()), |(_, found)| found.clone())
        }
        Noise::Rate if is_ramp => Err("a ramp's rate changes all the time".to_owned()),
        Noise::Rate => ratio(|cell| (cell.acked as f64, cell.seconds as f64), [1.0, 1.0]),
        Noise::Success => {
            ratio(|cell| (cell.acked as f64, (cell.acked + cell.failed) as f64), [100.0, 100.0])
        }
        Noise::Throttles => {
            let seconds = pair.levels.map(|level| level.duration_s);
            if seconds[0] != seconds[1] {
                return Err(format!(
                    "{} s before, {} s after: counts differ by that alone",
                    seconds[0], seconds[1]
                ));
            }
            ratio(|cell| (cell.throttled as f64, cell.seconds as f64), seconds)
        }
        Noise::Count | Noise::Unknown(_) => Err(unknown(noise)),
    }
}

/// A figure's change in words and numbers.
fn told(
    figure: Figure,
    [before, after]: [Option<f64>; 2],
    resampled: Result<[Resamples; 2], String>,
    range: Option<[f64; 2]>,
    doubt: Option<&str>,
) -> FigureChange {
    let digits = if figure.unit == "USD" { 1e6 } else { 1e3 };
    // Adding zero turns -0.0 into 0.0.
    let rounded = |value: f64| (value * digits).round() / digits + 0.0;
    let pair = |(low, high): (f64, f64)| [rounded(low), rounded(high)];
    let difference = before.zip(after).map(|(before, after)| after - before);
    let percent = before.zip(difference).filter(|(before, _)| *before > 0.0);
    let is_count = matches!(figure.noise, Noise::Count | Noise::Throttles);
    let interval = resampled.map(|[old, new]| bootstrap::interval(&old, &new, before.unwrap_or_default()));
    let (says, reason) = match (before.zip(after), &interval) {
        (None, _) => (Says::NotKnown, Some(missing(before, after))),
        _ if doubt.is_some() => (Says::NotKnown, doubt.map(str::to_owned)),
        (Some((before, after)), _) if before == after => (Says::Unchanged, None),
        (Some((before, after)), _) if is_count && (before == 0.0 || after == 0.0) => (Says::Larger, None),
        (Some(_), Err(why)) => (Says::NotKnown, Some(why.clone())),
        (Some((before, after)), Ok(interval)) => says(figure, before, after, interval, range),
    };
    let interval = interval.ok().filter(|_| difference.is_some());
    FigureChange {
        figure: figure.key.to_owned(),
        unit: figure.unit.to_owned(),
        worse: figure.worse,
        before: before.map(rounded),
        after: after.map(rounded),
        difference: difference.map(rounded),
        percent: percent.map(|(before, difference)| (difference / before * 1e5).round() / 1e3 + 0.0),
        interval: interval.map(|interval| pair((interval.low, interval.high))),
        interval_percent: interval.and_then(|interval| interval.percent).map(pair),
        earlier_range: range.map(|[least, most]| [rounded(least), rounded(most)]),
        says,
        reason,
    }
}

fn missing(before: Option<f64>, after: Option<f64>) -> String {
    let when = match (before, after) {
        (None, None) => "in either run",
        (None, Some(_)) => "before",
        _ => "after",
    };
    format!("not measured {when}")
}

fn says(
    figure: Figure,
    before: f64,
    after: f64,
    interval: &bootstrap::Interval,
    range: Option<[f64; 2]>,
) -> (Says, Option<String>) {
    let counts_from_due = matches!(figure.noise, Noise::Percentile(Timed::Put | Timed::EndToEnd, _));
    if interval.low <= 0.0 && interval.high >= 0.0 {
        (Says::WithinNoise, None)
    } else if counts_from_due && (after - before).abs() < GRAIN_MS {
        (Says::WithinNoise, Some(format!("less than {GRAIN_MS} ms, the grain of the timers")))
    } else if (after > before) != (interval.low > 0.0) {
        // The whole level and its cells go different ways: seconds at its edges decide, not the figure.
        (Says::WithinNoise, Some("only the edges of the level differ".to_owned()))
    } else if range.is_some_and(|[least, most]| (least..=most).contains(&after)) {
        (Says::WithinEarlier, None)
    } else {
        (Says::Larger, None)
    }
}
