//! Statistics that criteria rest on, over plain numbers: what each assumes, and how often it errs on series
//! whose truth is known, stands in `docs/statistics.md`.

mod change_point;
mod drift;
#[cfg(test)]
mod tests;
mod theil_sen;

pub(super) use change_point::change_point;
pub(super) use drift::{WINDOWS_MIN, drift};

/// The median: the mean of the two in the middle where the number is even. Reorders `values`; `None` for none.
fn median(values: &mut [f64]) -> Option<f64> {
    let count = values.len();
    if count == 0 {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(count / 2, f64::total_cmp);
    let upper = *upper;
    if count % 2 == 1 {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(lower, upper))
}
