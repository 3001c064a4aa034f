//! How much a series changed from its first window to its last, and between which bounds that is known.

use super::{median, theil_sen};

/// Below this the ends of the interval rest on too few blocks to mean 95 %.
pub(in crate::verdict) const WINDOWS_MIN: usize = 20;
/// More windows than this are taken together, neighbour with neighbour: the pairs grow with the square, and a day's
/// 1,440 minutes would take a million slopes a thousand times.
const WINDOWS_MAX: usize = 288;
/// A standard error needs no more: it is known to a few percent then.
const RESAMPLES: usize = 400;
/// Student's t, 97.5 %, for 1, 2, ... degrees of freedom.
const STUDENT: [f64; 20] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086,
];
/// Same series, same interval.
const SEED: u64 = 0x5ee_d0fd_21f7;

/// The change of a series over its whole length, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::verdict) struct Drift {
    /// The median of the series.
    pub level: f64,
    pub change: f64,
    /// The true change lies between these with 95 % confidence.
    pub low: f64,
    pub high: f64,
    /// Values that it rests on.
    pub windows: usize,
}

/// The Theil-Sen slope of `points`, (part of the whole length that had passed, 0 to 1; value), ascending, times the
/// whole length, with an interval of the standard error by moving block bootstrap of the residuals (H. R. Künsch, "The jackknife and the
/// bootstrap for general stationary observations", Annals of Statistics 17, 1989): neighbouring windows resemble
/// each other, and blocks keep that.
///
/// `None` with fewer than [`WINDOWS_MIN`] points.
pub(in crate::verdict) fn drift(points: &[(f64, f64)]) -> Option<Drift> {
    if points.len() < WINDOWS_MIN {
        return None;
    }
    let merged = merged(points);
    let mut space = Vec::new();
    let change = theil_sen::slope(&merged, &mut space)?;
    let flat: Vec<f64> = merged.iter().map(|(x, y)| y - change * x).collect();
    let middle = median(&mut flat.clone())?;
    // A line of two parameters takes its share of the residuals' spread with it: n / (n - 2) gives it back.
    let count = merged.len() as f64;
    let widen = (count / (count - 2.0)).sqrt();
    let residuals: Vec<f64> = flat.iter().map(|value| (value - middle) * widen).collect();
    let errors = resampled_slopes(&merged, &residuals, &mut space);
    let standard_error = (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
    // So few blocks tell their own spread badly: Student's t for as many of them widens the interval as it does for as
    // few independent values.
    let blocks = merged.len() / block_length(merged.len());
    let half = standard_error * STUDENT[blocks.saturating_sub(2).min(STUDENT.len() - 1)];
    let (low, high) = (change - half, change + half);
    let level = median(&mut merged.iter().map(|(_, y)| *y).collect::<Vec<f64>>())?;
    Some(Drift { level, change, low, high, windows: points.len() })
}

/// Windows in a block: twice n^(1/3). The rate is the best for a bootstrap variance (P. Hall, J. L. Horowitz, B.-Y. Jing,
/// "On blocking rules for the bootstrap with dependent data", Biometrika 82, 1995); the factor is ours, measured
/// on autocorrelated series (`docs/statistics.md`).
fn block_length(count: usize) -> usize {
    ((2.0 * (count as f64).cbrt()).ceil() as usize).clamp(1, count)
}

/// Slopes of residuals put together anew from blocks: what the estimate's error would be, many times.
fn resampled_slopes(points: &[(f64, f64)], residuals: &[f64], space: &mut Vec<f64>) -> Vec<f64> {
    let length = block_length(residuals.len());
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut drawn: Vec<(f64, f64)> = points.to_vec();
    let mut slopes = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for block in drawn.chunks_mut(length) {
            let from = random.usize(0..=residuals.len() - length);
            for ((_, value), residual) in block.iter_mut().zip(&residuals[from..]) {
                *value = *residual;
            }
        }
        slopes.extend(theil_sen::slope(&drawn, space));
    }
    slopes
}

/// At most [`WINDOWS_MAX`] points: the medians of as many neighbours each.
fn merged(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let neighbours = points.len().div_ceil(WINDOWS_MAX);
    let of = |chunk: &[(f64, f64)], part: fn(&(f64, f64)) -> f64| {
        median(&mut chunk.iter().map(part).collect::<Vec<f64>>()).unwrap_or_default()
    };
    points.chunks(neighbours).map(|chunk| (of(chunk, |(x, _)| *x), of(chunk, |(_, y)| *y))).collect()
}
