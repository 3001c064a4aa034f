//! Poisson arrivals. Pure: where the records of a level lie is a function of the seed and the record's number.
//!
//! Given how many points a Poisson process has in an interval, they lie there as independent uniform points
//! (Ross, Stochastic Processes, 2nd ed., theorem 2.3.1), and a changing rate is had by letting them be uniform
//! in the integral of the rate instead of in time (Cinlar, Introduction to Stochastic Processes, 1975, ch. 4.7).
//! So a level has exactly as many records as planned, as it has with even arrivals, and inside it they come at
//! random. What that leaves out is that the count of a whole level would be random too.
//!
//! The `k`-th smallest of `n` uniform points is found without the others: of the points in an interval, those in
//! its left half are binomial with probability 1/2, so one goes down, half by half, to the half that holds the
//! k-th, until it is alone there (multinomial splitting: Devroye, Non-Uniform Random Variate Generation, 1986,
//! ch. V.3). Each half's number is drawn from a hash of the seed and its place: no state, no table, and about
//! log2(n) steps.

use super::keys::{GOLDEN_GAMMA, mix};

/// Up to here the binomial number is counted bit by bit: exact. Above it is a rounded normal, whose distribution
/// differs by less than 1 in 10,000 from the binomial at this size, and by less at larger ones (the test
/// compares).
const COUNTED_MAX: u64 = 4_096;
/// Half the bits of an f64's fraction more than any level needs; two points that agree so far are one.
const DEPTH_MAX: u32 = 60;

/// The points of one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Points {
    seed: u64,
    count: u64,
}

impl Points {
    pub fn new(seed: u64, level: u32, count: u64) -> Points {
        Points { seed: mix(mix(seed).wrapping_add(u64::from(level))), count }
    }

    /// The `k`-th smallest (from 0, below the count) of the points, from 0 to below 1.
    pub fn place(&self, k: u64) -> f64 {
        let (mut k, mut count) = (k, self.count);
        let (mut low, mut width) = (0.0, 1.0);
        // Numbers the halves as a heap does: the children of `node` are `2 * node` and one more.
        let mut node = 1_u64;
        for _ in 0..DEPTH_MAX {
            if count <= 1 {
                break;
            }
            let state = self.state(node);
            let left = half_of(count, state);
            width /= 2.0;
            node *= 2;
            if k < left {
                count = left;
            } else {
                low += width;
                node += 1;
                k -= left;
                count -= left;
            }
        }
        low + width * unit(mix(self.state(node) ^ ALONE))
    }

    fn state(&self, node: u64) -> u64 {
        mix(self.seed ^ node.wrapping_mul(GOLDEN_GAMMA))
    }
}

/// Keeps the draw of a point's place apart from the draws that split.
const ALONE: u64 = 0x5bd1_e995_9d1b_58d3;

/// From 0 to below 1, of 53 random bits.
pub(super) fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// How many of `count` fall into the left of two halves.
fn half_of(count: u64, state: u64) -> u64 {
    if count <= COUNTED_MAX { counted(count, state) } else { rounded_normal(count, state) }
}

/// Heads of `count` fair coins: the ones among that many random bits.
fn counted(count: u64, state: u64) -> u64 {
    let word = |i: u64| mix(state.wrapping_add(i.wrapping_mul(GOLDEN_GAMMA)));
    let whole: u64 = (0..count / 64).map(|i| u64::from(word(i).count_ones())).sum();
    let rest = word(count / 64) & ((1_u64 << (count % 64)) - 1);
    whole + u64::from(rest.count_ones())
}

/// A normal number of the binomial's mean and variance (Box and Muller, 1958), rounded.
fn rounded_normal(count: u64, state: u64) -> u64 {
    // Never 0, whose logarithm there is not.
    let radius = (-2.0 * (1.0 - unit(mix(state))).ln()).sqrt();
    let angle = std::f64::consts::TAU * unit(mix(state ^ ALONE));
    let left = count as f64 / 2.0 + (count as f64).sqrt() / 2.0 * radius * angle.cos();
    left.round().clamp(0.0, count as f64) as u64
}

#[cfg(test)]
#[path = "arrivals_tests.rs"]
mod tests;
