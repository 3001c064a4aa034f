//! Whether the points are those of a Poisson process: their number in windows, the gaps between them, and the
//! binomial numbers that they are made of.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::load::schedule::Schedule;
use crate::load::testing::{hold, test_of};
use crate::plan::{Arrivals, Test};

fn poisson(mut test: Test, seed: u64) -> Schedule {
    test.arrivals = Arrivals::Poisson { seed };
    Schedule::new(&test)
}

fn due_s(schedule: &Schedule) -> Vec<f64> {
    (0..schedule.total()).map(|k| schedule.due(k).as_secs_f64()).collect()
}

/// How many fall into each of `windows` parts of `0..end_s`.
fn in_windows(due_s: &[f64], end_s: f64, windows: usize) -> Vec<f64> {
    let mut counts = vec![0.0; windows];
    for due in due_s {
        counts[((due / end_s * windows as f64) as usize).min(windows - 1)] += 1.0;
    }
    counts
}

/// The variance of the counts over their mean: 1 for a Poisson process, 0 for even arrivals. Times the degrees of
/// freedom it is chi-squared distributed (Cox and Lewis, The Statistical Analysis of Series of Events, 1966).
fn dispersion(counts: &[f64]) -> f64 {
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (counts.len() - 1) as f64 / mean
}

/// The largest distance between the distribution of the gaps and the exponential of this mean.
fn kolmogorov_smirnov(mut gaps: Vec<f64>, mean: f64) -> f64 {
    gaps.sort_by(f64::total_cmp);
    let count = gaps.len() as f64;
    let distance = |(i, gap): (usize, &f64)| {
        let expected = 1.0 - (-gap / mean).exp();
        (expected - i as f64 / count).abs().max(((i + 1) as f64 / count - expected).abs())
    };
    gaps.iter().enumerate().map(distance).fold(0.0, f64::max)
}

#[test]
fn a_level_has_as_many_records_as_with_even_arrivals() {
    let stages = [(3.0, 50.0), (10.0, 50.0), (3.0, 200.0), (10.0, 200.0), (5.0, 0.0)];
    let even = Schedule::new(&test_of(&stages));
    let random = poisson(test_of(&stages), 7);
    for (even, random) in even.levels().iter().zip(random.levels()) {
        assert_eq!((even.first, even.count), (random.first, random.count));
    }
    for level in random.levels() {
        let due = |k| random.due(k);
        assert!(due(level.first) >= level.start && due(level.first + level.count - 1) <= level.end());
    }
}

/// 199 degrees of freedom: the 0.1 % and 99.9 % points of chi-squared are 143.8 and 267.5.
#[test]
fn counts_in_windows_are_dispersed_as_those_of_a_poisson_process() {
    for seed in 1..=5 {
        let due_s = due_s(&poisson(hold(200, 500.0), seed));
        assert_eq!(due_s.len(), 100_000);
        let chi_squared = dispersion(&in_windows(&due_s, 200.0, 200)) * 199.0;
        assert!((143.8..267.5).contains(&chi_squared), "{seed}: {chi_squared}");
        // Windows of 5 records on average too, of which there are many.
        let fine = dispersion(&in_windows(&due_s, 200.0, 20_000));
        assert!((fine - 1.0).abs() < 0.033, "{seed}: {fine}");
    }
    let even = due_s(&Schedule::new(&hold(200, 500.0)));
    assert!(dispersion(&in_windows(&even, 200.0, 200)) < 0.01, "the test can tell them apart");
}

/// 0.1 % point of the Kolmogorov-Smirnov distance: 1.949 over the root of the number.
#[test]
fn gaps_are_exponential() {
    for seed in 1..=5 {
        let due_s = due_s(&poisson(hold(200, 500.0), seed));
        let gaps: Vec<f64> = due_s.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let bound = 1.949 / (gaps.len() as f64).sqrt();
        let distance = kolmogorov_smirnov(gaps.clone(), 0.002);
        assert!(distance < bound, "{seed}: {distance} of {bound}");
        assert!(kolmogorov_smirnov(gaps, 0.0021) > bound, "the test can tell another mean");
        let even = due_s_of_even();
        assert!(kolmogorov_smirnov(even, 0.002) > bound, "nor are even gaps exponential");
    }
}

fn due_s_of_even() -> Vec<f64> {
    let due_s = due_s(&Schedule::new(&hold(20, 500.0)));
    due_s.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// On a ramp the density follows the rate: half of the records of a ramp from 0 come in its last 29.3 %.
#[test]
fn a_changing_rate_is_followed() {
    let due_s = due_s(&poisson(test_of(&[(100.0, 1_000.0)]), 3));
    assert_eq!(due_s.len(), 50_000);
    let counts = in_windows(&due_s, 100.0, 10);
    let chi_squared: f64 = (0..10)
        .map(|i| {
            let expected = 500.0 * (2 * i + 1) as f64;
            (counts[i] - expected).powi(2) / expected
        })
        .sum();
    // 9 degrees of freedom, 0.1 % point.
    assert!(chi_squared < 27.9, "{chi_squared}");
}

#[test]
fn the_same_seed_gives_the_same_times_and_another_seed_others() {
    let times = |seed| due_s(&poisson(hold(2, 100.0), seed));
    assert_eq!(times(1), times(1));
    assert_ne!(times(1), times(2));
    let two = due_s(&poisson(test_of(&[(1.0, 0.0), (1.0, 0.0)]), 1));
    assert!(two.is_empty());
}

/// The counts of a day at 2,000/s, as one looks any of them up: it is the same from wherever one comes.
#[test]
fn a_day_needs_no_table() {
    let day = poisson(hold(86_400, 2_000.0), 1);
    assert_eq!(day.total(), 172_800_000);
    let mut previous = Duration::ZERO;
    for k in (0..day.total()).step_by(1_000_003) {
        let due = day.due(k);
        assert!(previous <= due);
        previous = due;
        // Six standard deviations of the k-th of as many uniform points.
        let (share, total) = (k as f64 / 172.8e6, 172.8e6_f64);
        let deviation_s = (share * (1.0 - share) / total).sqrt() * 86_400.0;
        assert!((due.as_secs_f64() - share * 86_400.0).abs() < 6.0 * deviation_s + 0.01, "{k}");
    }
}

/// Number of halves: mean, variance and the exact probability of being within one of the middle.
#[test]
fn both_ways_to_halve_are_binomial() {
    for count in [COUNTED_MAX, COUNTED_MAX + 2] {
        let draws = 200_000_u64;
        let halves: Vec<f64> = (0..draws).map(|i| half_of(count, mix(i)) as f64).collect();
        let mean = halves.iter().sum::<f64>() / draws as f64;
        let variance = halves.iter().map(|half| (half - mean).powi(2)).sum::<f64>() / draws as f64;
        let (expected, expected_variance) = (count as f64 / 2.0, count as f64 / 4.0);
        assert!((mean - expected).abs() < 5.0 * (expected_variance / draws as f64).sqrt(), "{mean}");
        assert!((variance / expected_variance - 1.0).abs() < 5.0 * (2.0 / draws as f64).sqrt(), "{variance}");
    }
    assert!((0..1_000).all(|i| half_of(1, mix(i)) <= 1 && half_of(64, mix(i)) <= 64));
}

/// The normal approximation against the binomial itself, where it is worst: summed over all numbers, half the
/// difference of the probabilities.
#[test]
fn the_rounded_normal_is_the_binomial_to_one_in_ten_thousand() {
    let count = COUNTED_MAX + 1;
    let (mean, deviation) = (count as f64 / 2.0, (count as f64).sqrt() / 2.0);
    // Upper tail of the normal from the Mills ratio's continued fraction would do; numeric integration is plainer.
    let density = |x: f64| {
        (-(x - mean).powi(2) / (2.0 * deviation * deviation)).exp()
            / (deviation * std::f64::consts::TAU.sqrt())
    };
    let rounded =
        |j: u64| (0..100).map(|i| density(j as f64 - 0.495 + f64::from(i) / 100.0)).sum::<f64>() / 100.0;
    // From the one in the middle outwards, each binomial probability follows from its neighbour.
    let middle = count / 2;
    let mut log = 0.0;
    for j in 1..=middle {
        log += ((count - middle + j) as f64 / j as f64).ln();
    }
    let mut probability = (log - count as f64 * 2.0_f64.ln()).exp();
    let mut distance = 0.0;
    for j in middle..middle + 400 {
        distance += (probability - rounded(j)).abs();
        probability *= (count - j) as f64 / (j + 1) as f64;
    }
    // The lower half mirrors the upper: half the sum over both is the sum over one.
    assert!(distance < 1e-4, "{distance}");
}

proptest! {
    #[test]
    fn random_due_times_never_go_back_and_stay_in_their_level(
        stages in prop::collection::vec((1_u32..5_000, 0_u32..500), 1..8),
        seed in 0_u64..1_000,
    ) {
        let stages: Vec<(f64, f64)> =
            stages.iter().map(|(ms, rate)| (f64::from(*ms) / 1e3, f64::from(*rate))).collect();
        let schedule = poisson(test_of(&stages), seed);
        let mut previous = Duration::ZERO;
        for k in 0..schedule.total() {
            let (due, level) = (schedule.due(k), schedule.level_of(k));
            prop_assert!(previous <= due, "{k}");
            prop_assert!(level.start <= due && due <= level.end(), "{k}");
            previous = due;
        }
    }
}
