//! Series with a known truth. The rates that `docs/statistics.md` states are printed by
//! `cargo test --lib verdict::statistics -- --ignored --nocapture`.

use super::change_point::change_point;
use super::drift::{Drift, WINDOWS_MIN, drift};
use super::{median, theil_sen};

#[test]
fn medians_of_none_one_two_and_three() {
    assert_eq!(median(&mut []), None);
    assert_eq!(median(&mut [7.0]), Some(7.0));
    assert_eq!(median(&mut [9.0, 4.0]), Some(6.5));
    assert_eq!(median(&mut [9.0, 4.0, 5.0]), Some(5.0));
}

/// Expected numbers: `scipy.stats.theilslopes(y, x)[0]` of SciPy.
#[test]
fn the_slope_is_that_of_scipy() {
    let x = [0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 9.0, 10.0, 12.0];
    let y = [2.1, 2.4, 1.9, 3.0, 2.8, 9.5, 3.1, 3.6, 3.3, 4.0];
    let points: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
    let slope = theil_sen::slope(&points, &mut Vec::new()).unwrap();
    assert!((slope - 0.150_000_000_000_000_02).abs() < 1e-12, "{slope}");
    let even: Vec<(f64, f64)> = (0..6).map(f64::from).zip([5.0, 4.8, 5.5, 5.1, 5.9, 5.2]).collect();
    let slope = theil_sen::slope(&even, &mut Vec::new()).unwrap();
    assert!((slope - 0.100_000_000_000_000_09).abs() < 1e-12, "{slope}");
    assert_eq!(theil_sen::slope(&[(1.0, 2.0), (1.0, 3.0)], &mut Vec::new()), None);
}

/// Expected numbers: `scipy.stats.hypergeom.sf(found - 1, count, marked, drawn)`, times the places.
#[test]
fn the_probability_of_a_change_is_that_of_scipy() {
    let out: Vec<bool> = (0..30).map(|window| window == 3 || window >= 24).collect();
    let found = change_point(&out).unwrap();
    assert_eq!(found.index, 24);
    assert!((found.p - 1.178_897_730_621_886_8e-5 * 29.0).abs() < 1e-12, "{found:?}");
    // One stray window back in the band is forgiven.
    let out: Vec<bool> = (0..40).map(|window| window == 9 || (window >= 28 && window != 33)).collect();
    assert_eq!(change_point(&out).unwrap().index, 28);
}

#[test]
fn a_change_that_does_not_last_is_none() {
    let series = |out: fn(usize) -> bool| (0..30).map(out).collect::<Vec<bool>>();
    assert_eq!(change_point(&[]), None);
    assert_eq!(change_point(&series(|_| false)), None);
    assert_eq!(change_point(&series(|_| true)), None, "out from the beginning: there was no band");
    assert_eq!(change_point(&series(|window| (10..20).contains(&window))), None, "it came back");
    assert_eq!(change_point(&series(|window| window >= 28)), None, "two windows are an episode");
    assert_eq!(change_point(&series(|window| window % 2 == 0)), None, "no place divides it");
}

/// A series of a median of 100 that drifts by `drift_percent` over its length, with noise of AR(1).
fn series(windows: usize, drift_percent: f64, deviation: f64, phi: f64, seed: u64) -> Vec<(f64, f64)> {
    let mut random = fastrand::Rng::with_seed(seed);
    // The sum of twelve uniform numbers is normal enough, with a variance of 1.
    let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    let mut noise = deviation * normal();
    let fresh = deviation * (1.0 - phi * phi).sqrt();
    (0..windows)
        .map(|window| {
            let x = (window as f64 + 0.5) / windows as f64;
            noise = phi * noise + fresh * normal();
            (x, 100.0 + drift_percent * (x - 0.5) + noise)
        })
        .collect()
}

#[test]
fn a_planted_drift_is_found_with_its_interval() {
    assert_eq!(drift(&series(WINDOWS_MIN - 1, 0.0, 1.0, 0.0, 1)), None);
    for planted in [-20.0, 0.0, 5.0, 20.0] {
        let found = drift(&series(60, planted, 1.0, 0.3, 7)).unwrap();
        assert!((found.change - planted).abs() < 3.0, "{planted}: {found:?}");
        assert!(found.low < found.change && found.change < found.high, "{found:?}");
        assert!((found.level - 100.0).abs() < 2.0 && found.windows == 60, "{found:?}");
    }
    // A series without any noise has no doubt either.
    let found = drift(&series(60, 10.0, 0.0, 0.0, 7)).unwrap();
    assert!((found.low - 10.0).abs() < 1e-9 && (found.high - 10.0).abs() < 1e-9, "{found:?}");
}

/// A day of minutes is taken together, and stays quick.
#[test]
fn a_day_of_minutes_is_merged() {
    let found = drift(&series(1_440, 10.0, 5.0, 0.5, 3)).unwrap();
    assert_eq!(found.windows, 1_440);
    assert!((found.change - 10.0).abs() < 2.0 && found.high - found.low < 6.0, "{found:?}");
}

/// What the criterion `drift(x) < 10%` would say of many series with one truth.
#[derive(Debug, Default)]
struct Rates {
    covered: f64,
    passed: f64,
    failed: f64,
}

fn rates(seeds: u64, windows: usize, planted: f64, deviation: f64, phi: f64) -> Rates {
    let mut rates = Rates::default();
    for seed in 1..=seeds {
        let Drift { low, high, level, .. } = drift(&series(windows, planted, deviation, phi, seed)).unwrap();
        let limit = level / 10.0;
        rates.covered += f64::from((low..=high).contains(&planted));
        rates.passed += f64::from(low > -limit && high < limit);
        rates.failed += f64::from(low >= limit || high <= -limit);
    }
    let share = 100.0 / seeds as f64;
    Rates { covered: rates.covered * share, passed: rates.passed * share, failed: rates.failed * share }
}

/// (windows, planted drift in percent, standard deviation in percent of the level, autocorrelation)
const CASES: [(usize, f64, f64, f64); 14] = [
    (30, 0.0, 3.0, 0.0),
    (30, 0.0, 3.0, 0.5),
    (30, 0.0, 10.0, 0.5),
    (30, 5.0, 3.0, 0.5),
    (30, 10.0, 3.0, 0.0),
    (30, 10.0, 3.0, 0.5),
    (30, 20.0, 3.0, 0.0),
    (30, 20.0, 3.0, 0.5),
    (30, 20.0, 10.0, 0.5),
    (120, 0.0, 3.0, 0.5),
    (120, 5.0, 3.0, 0.5),
    (120, 10.0, 3.0, 0.5),
    (120, 20.0, 3.0, 0.5),
    (120, 0.0, 3.0, 0.8),
];

fn check_drift_rates(seeds: u64, slack: f64) {
    for (windows, planted, deviation, phi) in CASES {
        let Rates { covered, passed, failed } = rates(seeds, windows, planted, deviation, phi);
        println!(
            "{windows} windows, drift {planted} %, deviation {deviation} %, AR(1) {phi}: interval holds the truth \
             {covered:.1} %, pass {passed:.1} %, fail {failed:.1} %, inconclusive {:.1} %",
            100.0 - passed - failed
        );
        let why = format!("{windows} windows, drift {planted} %, deviation {deviation} %, AR(1) {phi}");
        let floor = if phi > 0.5 { 70.0 } else { 85.0 };
        assert!(covered >= floor - slack, "{why}: coverage {covered}");
        if planted < 10.0 {
            assert!(failed <= 2.0 + slack, "{why}: false alarms {failed}");
        } else if planted > 10.0 {
            assert!(passed <= 2.0 + slack, "{why}: misses {passed}");
        } else {
            // On the threshold itself either is an error; each end of the interval may err.
            assert!(passed <= 10.0 + slack && failed <= 10.0 + slack, "{why}: {passed} {failed}");
        }
    }
}

/// Windows that are out of the band by chance one time in `1 / strays`, each resembling the one before by `phi`.
fn exceedances(windows: usize, change_at: Option<usize>, strays: f64, phi: f64, seed: u64) -> Vec<bool> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut is_out = false;
    (0..windows)
        .map(|window| {
            let share = if change_at.is_some_and(|at| window >= at) { 0.97 } else { strays };
            let fresh = random.f64() < share;
            is_out = if random.f64() < phi && change_at != Some(window) { is_out } else { fresh };
            is_out
        })
        .collect()
}

fn check_change_point_rates(seeds: u64, slack: f64) {
    for (strays, phi) in [(0.02, 0.0), (0.1, 0.0), (0.1, 0.5)] {
        let found = |change_at| {
            let found = move |seed| change_point(&exceedances(60, change_at, strays, phi, seed));
            (1..=seeds).filter_map(found).map(|change| change.index).collect::<Vec<usize>>()
        };
        let alarms = found(None).len() as f64 * 100.0 / seeds as f64;
        let places = found(Some(40));
        let near =
            places.iter().filter(|place| place.abs_diff(40) <= 1).count() as f64 * 100.0 / seeds as f64;
        let missed = (seeds - places.len() as u64) as f64 * 100.0 / seeds as f64;
        println!(
            "60 windows, {} % out of the band at random, each {} % the same as the one before: false alarms \
             {alarms:.1} %; a change at window 40: missed {missed:.1} %, placed within one window {near:.1} %",
            strays * 100.0,
            phi * 100.0
        );
        assert!(alarms <= 2.0 + slack, "{strays} {phi}: false alarms {alarms}");
        assert!(missed <= 15.0 + slack, "{strays} {phi}: missed {missed}");
        assert!(near >= 70.0 - slack, "{strays} {phi}: placed {near}");
    }
}

/// Over `STREAMGAUGE_SEEDS` seeds it takes minutes without optimization, and is what docs/statistics.md states.
#[test]
fn the_rates_hold() {
    if let Some(seeds) = std::env::var("STREAMGAUGE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()) {
        check_change_point_rates(seeds, 0.0);
        check_drift_rates(seeds, 0.0);
        return;
    }
    check_change_point_rates(400, 2.0);
    // A short series for the suite's sake: the whole table takes minutes without optimization.
    let Rates { passed, failed, .. } = rates(60, 24, 0.0, 3.0, 0.5);
    assert!(failed == 0.0 && passed > 50.0, "{passed} {failed}");
    let Rates { passed, failed, .. } = rates(60, 24, 25.0, 3.0, 0.5);
    assert!(passed == 0.0 && failed > 50.0, "{passed} {failed}");
}
