//! From which window on a series has left its band, and stayed out.

/// Part of the windows after the change that must be out of the band: "stays out", a stray one forgiven.
const STAYS_OUT: f64 = 0.9;
/// Fewer windows than this after the change are an episode.
const AFTER_MIN: usize = 3;
/// A change that chance would bring this often is none.
const P_MAX: f64 = 0.01;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::verdict) struct ChangePoint {
    /// The first window after the change.
    pub index: usize,
    /// How probable so clear a change is where windows are out of the band at random places.
    pub p: f64,
}

/// Where windows that are in the band turn to windows that are `out`. The place is where the cumulative sum of the
/// deviations from the mean is lowest (E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954; the whole
/// series is known here). Its probability is hypergeometric, times the number of places it was chosen from.
///
/// `None` where the series is out from its beginning, never leaves, or comes back.
pub(in crate::verdict) fn change_point(out: &[bool]) -> Option<ChangePoint> {
    let (count, all_out) = (out.len(), out.iter().filter(|out| **out).count());
    let share = all_out as f64 / count.max(1) as f64;
    let (mut sum, mut lowest, mut index) = (0.0, 0.0, 0);
    for (place, is_out) in out.iter().enumerate() {
        sum += f64::from(*is_out) - share;
        // Rounding must not move the place past windows that are out.
        if sum < lowest - 1e-9 {
            (lowest, index) = (sum, place + 1);
        }
    }
    let after = count - index;
    if index == 0 || after < AFTER_MIN {
        return None;
    }
    let out_after = out[index..].iter().filter(|out| **out).count();
    let p = (hypergeometric_tail(count, all_out, after, out_after) * (count - 1) as f64).min(1.0);
    let stays_out = out_after as f64 >= after as f64 * STAYS_OUT;
    (stays_out && p <= P_MAX).then_some(ChangePoint { index, p })
}

/// Probability that of `drawn` out of `count`, of which `marked` are marked, at least `found` are marked.
fn hypergeometric_tail(count: usize, marked: usize, drawn: usize, found: usize) -> f64 {
    let logs = log_factorials(count);
    let choose = |n: usize, k: usize| logs[n] - logs[k] - logs[n - k];
    let whole = choose(count, drawn);
    (found..=marked.min(drawn))
        .filter(|k| drawn - k <= count - marked)
        .map(|k| (choose(marked, k) + choose(count - marked, drawn - k) - whole).exp())
        .sum()
}

/// ln(n!) for n up to `count`.
fn log_factorials(count: usize) -> Vec<f64> {
    let mut logs = vec![0.0];
    for n in 1..=count {
        logs.push(logs[n - 1] + (n as f64).ln());
    }
    logs
}
