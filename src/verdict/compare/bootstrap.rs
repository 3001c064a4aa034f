//! How far a figure of one run would have come out otherwise by chance: a block bootstrap over the cells of a level.
//! What it assumes and how often it errs stands in `docs/compare.md`.

/// A figure is worked out anew from so many resamples of each run.
pub(super) const RESAMPLES: usize = 1_000;
/// Fewer cells than this are too few to draw blocks from.
pub(super) const CELLS_MIN: usize = 8;
/// Samples expected beyond a percentile, without which its interval would be that of a handful of records.
const BEYOND_MIN: f64 = 5.0;
/// Seeds are fixed, so that the same two runs always give the same bytes; each run has its own, so that they are
/// resampled independently.
pub(super) const SEEDS: [u64; 2] = [0x5ee_d0fc_0de1, 0x5ee_d0fc_0de2];
/// More than this is not told from a series that has no mean at all.
const CORRELATION_MAX: f64 = 0.95;
/// Two-sided 95 % quantiles of Student's t for 1, 2, 3, ... degrees of freedom, over that of the normal distribution.
const WIDEN: [f64; 30] = [
    6.483, 2.195, 1.624, 1.417, 1.312, 1.248, 1.206, 1.177, 1.154, 1.137, 1.123, 1.112, 1.102, 1.094, 1.087,
    1.082, 1.076, 1.072, 1.068, 1.064, 1.061, 1.058, 1.055, 1.053, 1.051, 1.049, 1.047, 1.045, 1.043, 1.042,
];

/// How often each latency came in one cell: (microseconds, times), ascending.
pub(super) type Counts = [(u64, u64)];

/// An interval that holds the true difference with 95 % confidence, in the figure's unit and in percent of the first run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub low: f64,
    pub high: f64,
    /// `None` where a figure can be zero.
    pub percent: Option<(f64, f64)>,
}

/// A figure of one run, worked out anew [`RESAMPLES`] times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resamples {
    pub values: Vec<f64>,
    pub cells: usize,
    /// Of what one cell does to the figure with what the next does.
    pub correlation: f64,
}

/// Why there is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooFew {
    Cells(usize),
    Samples(u64),
}

/// Cells in a block: n^(1/3), the rate for a moving-block bootstrap of P. Hall, J. L. Horowitz and B.-Y. Jing, "On
/// blocking rules for the bootstrap with dependent data", Biometrika 82, 1995.
fn block_length(cells: usize) -> usize {
    ((cells as f64).cbrt().ceil() as usize).clamp(1, cells.max(1))
}

/// How often each of `cells` cells is in a resample. Blocks of neighbours are drawn, because a slow second is followed
/// by a slow one (H. R. Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of
/// Statistics 17, 1989); they go on from the last cell to the first, so that every cell is drawn as often as any other
/// (D. N. Politis and J. P. Romano, "A circular block-resampling procedure for stationary data", 1992).
fn draw(random: &mut fastrand::Rng, times: &mut [u64]) {
    let (cells, length) = (times.len(), block_length(times.len()));
    times.fill(0);
    let mut left = cells;
    while left > 0 {
        let from = random.usize(0..cells);
        for step in 0..length.min(left) {
            times[(from + step) % cells] += 1;
        }
        left -= length.min(left);
    }
}

/// The percentiles `quantiles` (0 to 1) of the cells of one run, merged, in each of [`RESAMPLES`] resamples: by quantile.
/// Percentiles are never averaged: the counts of the drawn cells are added up first.
pub(super) fn percentiles(cells: &[&Counts], quantiles: &[f64], seed: u64) -> Vec<Resamples> {
    let mut values: Vec<u64> = cells.iter().flat_map(|cell| cell.iter().map(|(value, _)| *value)).collect();
    values.sort_unstable();
    values.dedup();
    let place = |value: &u64| values.binary_search(value).unwrap_or_default();
    let placed: Vec<Vec<(usize, u64)>> =
        cells.iter().map(|cell| cell.iter().map(|(value, count)| (place(value), *count)).collect()).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut times, mut counts) = (vec![0; cells.len()], vec![0; values.len()]);
    let mut found = vec![Vec::with_capacity(RESAMPLES); quantiles.len()];
    for _ in 0..RESAMPLES {
        draw(&mut random, &mut times);
        counts.fill(0);
        for (cell, times) in placed.iter().zip(&times).filter(|(_, times)| **times > 0) {
            for (place, count) in cell {
                counts[*place] += count * times;
            }
        }
        let total: u64 = counts.iter().sum();
        for (quantile, found) in quantiles.iter().zip(&mut found) {
            found.push(values[rank(&counts, *quantile, total)] as f64 / 1_000.0);
        }
    }
    counts.fill(0);
    placed.iter().flatten().for_each(|(place, count)| counts[*place] += count);
    let total = counts.iter().sum();
    let of = |(quantile, values): (&f64, Vec<f64>)| {
        let at = rank(&counts, *quantile, total);
        // By how much each cell pulls the percentile: those of its records that lie below it, less their due.
        let pull = |cell: &Vec<(usize, u64)>| {
            let all: u64 = cell.iter().map(|(_, count)| count).sum();
            let below: u64 = cell.iter().filter(|(place, _)| *place <= at).map(|(_, count)| count).sum();
            below as f64 - quantile * all as f64
        };
        let pulls: Vec<f64> = placed.iter().map(pull).collect();
        Resamples { values, cells: cells.len(), correlation: correlation(&pulls) }
    };
    quantiles.iter().zip(found).map(of).collect()
}

/// Where the count of those below reaches the quantile.
fn rank(counts: &[u64], quantile: f64, total: u64) -> usize {
    let wanted = ((quantile * total as f64).ceil() as u64).max(1);
    let mut below = 0;
    let reached = counts.iter().position(|count| {
        below += count;
        below >= wanted
    });
    reached.unwrap_or(counts.len().saturating_sub(1))
}

/// A figure that is one sum over another, times `scale`, in each of [`RESAMPLES`] resamples of (above, below) cells.
pub(super) fn ratios(cells: &[(f64, f64)], scale: f64, seed: u64) -> Resamples {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut times = vec![0; cells.len()];
    let resample = |_| {
        draw(&mut random, &mut times);
        let drawn = cells.iter().zip(&times);
        let (above, below) = drawn.fold((0.0, 0.0), |(above, below), ((up, down), times)| {
            (above + up * *times as f64, below + down * *times as f64)
        });
        if below > 0.0 { above / below * scale } else { 0.0 }
    };
    let values = (0..RESAMPLES).map(resample).collect();
    let sum = |of: fn(&(f64, f64)) -> f64| cells.iter().map(of).sum::<f64>();
    let ratio = sum(|(above, _)| *above) / sum(|(_, below)| *below).max(f64::MIN_POSITIVE);
    let pulls: Vec<f64> = cells.iter().map(|(above, below)| above - ratio * below).collect();
    Resamples { values, cells: cells.len(), correlation: correlation(&pulls) }
}

/// The difference of the second run from the first, from the resamples of both. What is above zero in all of them is
/// compared by its ratio, so that neither end can fall below nothing: `before` is the first run's own value.
pub(super) fn interval(first: &Resamples, second: &Resamples, before: f64) -> Interval {
    let pairs = || first.values.iter().zip(&second.values);
    let widen = widening(first, second);
    if pairs().any(|(old, new)| *old <= 0.0 || *new <= 0.0) {
        let (low, high) = middle(pairs().map(|(old, new)| new - old).collect(), widen);
        return Interval { low, high, percent: None };
    }
    let (low, high) = middle(pairs().map(|(old, new)| (new / old).ln()).collect(), widen);
    let (low, high) = (low.exp_m1(), high.exp_m1());
    Interval { low: before * low, high: before * high, percent: Some((low * 100.0, high * 100.0)) }
}

/// The middle 95 % of the resamples, each half of it `widen` times as wide.
fn middle(mut values: Vec<f64>, widen: f64) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
    let (low, middle, high) = (at(0.025), at(0.5), at(0.975));
    (middle - (middle - low) * widen, middle + (high - middle) * widen)
}

/// What short blocks leave out of the spread, given back.
fn widening(before: &Resamples, after: &Resamples) -> f64 {
    let cells = before.cells.min(after.cells);
    let correlation = cautious(f64::midpoint(before.correlation, after.correlation), cells);
    let length = block_length(cells);
    let whole = long_run(correlation, cells);
    // Blocks are held against the mean of the same cells, which takes its share of their spread with it.
    let kept = long_run(correlation, length) - length as f64 / cells as f64 * whole;
    let blocks = cells.div_ceil(length);
    let degrees = 2 * blocks.saturating_sub(1);
    let student = WIDEN.get(degrees.saturating_sub(1)).copied().unwrap_or(1.0);
    (whole / kept.max(0.05)).max(1.0).sqrt() * student
}

/// The variance of the sum of `cells` neighbours with this correlation, AR(1), over that of as many independent ones.
fn long_run(correlation: f64, cells: usize) -> f64 {
    let mut power = 1.0;
    let pairs = (1..cells).map(|lag| {
        power *= correlation;
        (1.0 - lag as f64 / cells as f64) * power
    });
    1.0 + 2.0 * pairs.sum::<f64>()
}

/// The correlation of neighbours in a short series comes out (1 + 4 r) / n too small (M. G. Kendall, "Note on bias in the
/// estimation of autocorrelation", Biometrika 41, 1954), and is itself known only so well: half the standard error of
/// two such series is added, for the side of caution.
fn cautious(correlation: f64, cells: usize) -> f64 {
    let count = cells as f64;
    let unbiased = (correlation + 1.0 / count) / (1.0 - 4.0 / count);
    let error = ((1.0 - unbiased.powi(2)).max(0.0) / (2.0 * count)).sqrt();
    (unbiased + error / 2.0).clamp(0.0, CORRELATION_MAX)
}

/// The correlation of each value with the next.
fn correlation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let spread: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let together: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}

/// Whether the percentile `quantile` of these cells can have an interval.
pub(super) fn enough(cells: &[&Counts], quantile: f64) -> Result<(), TooFew> {
    if cells.len() < CELLS_MIN {
        return Err(TooFew::Cells(cells.len()));
    }
    let samples: u64 = cells.iter().flat_map(|cell| cell.iter().map(|(_, count)| *count)).sum();
    // A billionth forgives what the subtraction loses.
    if samples as f64 * (1.0 - quantile) + 1e-9 < BEYOND_MIN { Err(TooFew::Samples(samples)) } else { Ok(()) }
}
