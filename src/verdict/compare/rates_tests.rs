//! How often the intervals err on two processes whose truth is known. What `docs/compare.md` states is printed by
//! `STREAMGAUGE_SEEDS=200 cargo test --release --lib verdict::compare::rates -- --nocapture`.

use super::bootstrap::{SEEDS, interval, percentiles};

/// Cells of a level: seconds whose median wanders about 10 ms as an AR(1) series of this correlation, with a standard
/// deviation of 10 %, and records within a second spread by 30 % around it, log-normal both.
fn cells(count: usize, records: usize, correlation: f64, scale: f64, seed: u64) -> Vec<Vec<(u64, u64)>> {
    let mut random = fastrand::Rng::with_seed(seed);
    // The sum of twelve uniform numbers is normal enough, with a variance of 1.
    let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    let mut noise = 0.1 * normal();
    let fresh = 0.1 * (1.0 - correlation * correlation).sqrt();
    let mut cell = |_| {
        noise = correlation * noise + fresh * normal();
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..records {
            let us = (10_000.0 * scale * (noise + 0.3 * normal()).exp()) as u64;
            // Three significant digits, as a histogram has.
            *counts.entry(us - us % 10).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    };
    (0..count).map(&mut cell).collect()
}

/// How many percent of the seeds have an interval without zero: p50, p95, p99.
fn told_apart(seeds: u64, count: usize, records: usize, correlation: f64, scale: f64) -> [f64; 3] {
    let mut found = [0u64; 3];
    for seed in 0..seeds {
        let sides = [(1.0, seed * 2 + 1, SEEDS[0]), (scale, seed * 2 + 2, SEEDS[1])];
        let [before, after] = sides.map(|(scale, seed, resampling)| {
            let cells = cells(count, records, correlation, scale, seed);
            let cells: Vec<&[(u64, u64)]> = cells.iter().map(Vec::as_slice).collect();
            percentiles(&cells, &[0.5, 0.95, 0.99], resampling)
        });
        for (place, (before, after)) in before.iter().zip(&after).enumerate() {
            let found_here = interval(before, after, 10.0);
            found[place] += u64::from(found_here.low > 0.0 || found_here.high < 0.0);
        }
    }
    found.map(|found| found as f64 * 100.0 / seeds as f64)
}

/// (cells, records a cell, correlation of neighbours)
const CASES: [(usize, usize, f64); 10] = [
    (8, 50, 0.0),
    (10, 50, 0.0),
    (10, 50, 0.5),
    (10, 500, 0.5),
    (30, 50, 0.0),
    (30, 50, 0.5),
    (30, 50, 0.8),
    (120, 50, 0.0),
    (120, 50, 0.5),
    (120, 50, 0.8),
];

/// Over `STREAMGAUGE_SEEDS` seeds it takes many minutes without optimization, and is what docs/compare.md states.
#[test]
fn the_rates_hold() {
    if let Some(seeds) = std::env::var("STREAMGAUGE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()) {
        for (count, records, correlation) in CASES {
            let alarms = told_apart(seeds, count, records, correlation, 1.0);
            let power = told_apart(seeds, count, records, correlation, 1.2);
            println!(
                "{count} cells of {records}, AR(1) {correlation}: false alarms {alarms:?} %, +20 % found {power:?} %"
            );
            let ceiling = if correlation > 0.5 { 25.0 } else { 12.0 };
            assert!(alarms.iter().all(|alarms| *alarms <= ceiling), "{alarms:?}");
            // From half a minute on, with the correlation that seconds have.
            if count >= 30 && correlation <= 0.5 {
                assert!(alarms.iter().all(|alarms| *alarms <= 9.0), "{alarms:?}");
                assert!(power[0] >= 90.0 && power[1] >= 90.0 && power[2] >= 75.0, "{power:?}");
            }
        }
        return;
    }
    // A short series for the suite's sake.
    let alarms = told_apart(40, 30, 20, 0.5, 1.0);
    assert!(alarms.iter().all(|alarms| *alarms <= 15.0), "{alarms:?}");
    let power = told_apart(20, 30, 20, 0.3, 1.3);
    assert!(power.iter().all(|power| *power >= 75.0), "{power:?}");
}
