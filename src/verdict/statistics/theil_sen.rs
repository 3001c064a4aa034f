//! The slope of a line through points of which some may be far off.

use super::median;

/// The Theil-Sen slope: the median of the slopes between all pairs of points whose `x` differ. Up to 29 % of the
/// points may be anything without moving it far (P. K. Sen, "Estimates of the regression coefficient based on
/// Kendall's tau", Journal of the American Statistical Association 63, 1968). `slopes` is space that is used
/// again by the next call. `None` without such a pair.
pub(super) fn slope(points: &[(f64, f64)], slopes: &mut Vec<f64>) -> Option<f64> {
    slopes.clear();
    for (index, (x, y)) in points.iter().enumerate() {
        for (later_x, later_y) in &points[index + 1..] {
            if later_x != x {
                slopes.push((later_y - y) / (later_x - x));
            }
        }
    }
    median(slopes)
}
