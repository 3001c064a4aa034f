//! Criteria over windows, on the run of the fixture with windows put in by hand.

use crate::cost::{PriceBook, price};
use crate::evidence::model::*;
use crate::plan::*;

use super::fixture::{START_US, criterion, dist, evidence};
use super::*;

const SECOND_US: i64 = 1_000_000;

fn judged(
    metric: Metric,
    stat: Option<Stat>,
    op: Op,
    threshold: f64,
    evidence: &Evidence,
) -> CriterionVerdict {
    let cost = price(&evidence.usage, &PriceBook::builtin());
    let scope = measure::Scope { evidence, tests: &[&evidence.tests[0]], cost: &cost };
    criteria::judge(&criterion("any", metric, stat, op, threshold), &scope)
}

/// `count` windows of `seconds` on level 3 of test 1.1, its hold of 300 s at 200/s.
fn on_hold(count: i64, seconds: i64, fill: impl Fn(i64, &mut Window)) -> Evidence {
    let mut evidence = evidence();
    let from_us = evidence.tests[0].levels[3].started_us.unwrap();
    let window = |index: i64| {
        let (from_us, length_us) = (from_us + index * seconds * SECOND_US, seconds * SECOND_US);
        let due = 200.0 * seconds as f64;
        let mut window = Window {
            level: 3,
            from_us,
            to_us: from_us + length_us,
            whole: true,
            due,
            acked: due as u64,
            ..Window::default()
        };
        fill(index, &mut window);
        window
    };
    evidence.tests[0].windows.hold = (0..count).map(window).collect();
    evidence.tests[0].windows.steps = evidence.tests[0].windows.hold.clone();
    evidence
}

/// Windows whose put p95 goes from `level_ms` to `last_ms`, with noise of 1 % of the level.
fn drifting(count: i64, last_ms: f64, level_ms: f64) -> Evidence {
    let mut random = fastrand::Rng::with_seed(7);
    let noise: Vec<f64> = (0..count).map(|_| (random.f64() - 0.5) * level_ms / 50.0).collect();
    on_hold(count, 10, |index, window| {
        let along = (index as f64 + 0.5) / count as f64;
        let ripple = noise[index as usize];
        // The p95 of the fixture's distribution is twice its median.
        window.put_latency = Some(dist(1_000, (level_ms + (last_ms - level_ms) * along + ripple) / 2.0));
    })
}

fn drift_below(threshold: f64, evidence: &Evidence) -> CriterionVerdict {
    judged(Metric::DriftPutLatency, Some(Stat::P95), Op::Less, threshold, evidence)
}

#[test]
fn a_drift_is_judged_by_its_whole_interval() {
    let verdict = drift_below(10.0, &drifting(30, 102.0, 100.0));
    assert_eq!(verdict.verdict, Verdict::Pass, "{verdict:?}");
    assert_eq!(verdict.level.as_deref(), Some("200/s hold"));
    let (low, high) = verdict.interval.unwrap();
    assert!(low < verdict.observed.unwrap() && verdict.observed.unwrap() < high, "{verdict:?}");
    assert!((1.0..3.0).contains(&verdict.observed.unwrap()), "{verdict:?}");
    assert_eq!(drift_below(10.0, &drifting(30, 125.0, 100.0)).verdict, Verdict::Fail);
    assert_eq!(drift_below(10.0, &drifting(30, 75.0, 100.0)).verdict, Verdict::Fail, "down is a drift too");
    let spanned = drift_below(verdict.observed.unwrap(), &drifting(30, 102.0, 100.0));
    assert_eq!(spanned.verdict, Verdict::Inconclusive);
    assert!(spanned.reason.contains("spans the threshold"), "{}", spanned.reason);
}

#[test]
fn a_change_too_small_to_be_told_is_no_drift() {
    // From 2 to 2.7 ms: a third more, and less than a millisecond.
    let verdict = drift_below(10.0, &drifting(30, 2.7, 2.0));
    assert_eq!(verdict.verdict, Verdict::Pass, "{verdict:?}");
    assert!(verdict.reason.contains("too small to be told from none"), "{}", verdict.reason);
    assert_eq!(drift_below(10.0, &drifting(30, 4.5, 2.0)).verdict, Verdict::Fail);
}

#[test]
fn a_drift_needs_windows_with_samples_on_a_sound_hold() {
    let few = drift_below(10.0, &drifting(19, 100.0, 100.0));
    assert_eq!((few.verdict, few.observed), (Verdict::Inconclusive, None));
    assert!(few.reason.contains("19 of the 19 windows of 10 s"), "{}", few.reason);
    let mut thin = drifting(30, 100.0, 100.0);
    for window in thin.tests[0].windows.hold.iter_mut().take(15) {
        window.put_latency = Some(dist(19, 50.0));
    }
    assert_eq!(drift_below(10.0, &thin).verdict, Verdict::Inconclusive);
    let mut void = drifting(30, 100.0, 100.0);
    void.tests[0].levels[3].void = Some("the generator was late".into());
    let verdict = drift_below(10.0, &void);
    assert_eq!(verdict.verdict, Verdict::Inconclusive);
    assert!(verdict.reason.contains("the level is void"), "{}", verdict.reason);
    assert_eq!(drift_below(10.0, &evidence()).verdict, Verdict::Inconclusive, "no windows at all");
}

#[test]
fn the_worst_ten_seconds_of_throughput_count() {
    let worst = |missing: u64, whole: bool| {
        let evidence = on_hold(30, 10, |index, window| {
            if index == 17 {
                window.acked -= missing;
                window.whole = whole;
            }
        });
        let test = &evidence.tests[0];
        windows::worst_throughput(test, &test.levels[3])
    };
    assert_eq!(worst(0, true), Ok(100.0));
    assert_eq!(worst(1, true), Ok(100.0), "one was answered across the end");
    assert_eq!(worst(101, true), Ok(95.0));
    assert_eq!(worst(101, false), Ok(100.0), "the level cut the window off");
    assert!(windows::worst_throughput(&evidence().tests[0], &evidence().tests[0].levels[3]).is_err());
}

/// Test 1.1 turned into a spike: 300 s at 10/s, 30 s up to 200/s, then 300 s at 10/s of which `latency_ms` tells the put
/// p95 of each ten seconds.
fn spiked(latency_ms: impl Fn(i64) -> f64, windows: i64) -> Evidence {
    let mut evidence = evidence();
    let test = &mut evidence.tests[0];
    let after = &mut test.levels[3];
    (after.from_rps, after.target_rps) = (10.0, 10.0);
    let end_us = after.started_us.unwrap();
    let window = |index: i64| Window {
        level: 3,
        from_us: end_us + index * 10 * SECOND_US,
        to_us: end_us + (index + 1) * 10 * SECOND_US,
        whole: true,
        due: 100.0,
        acked: 100,
        put_latency: Some(dist(100, latency_ms(index) / 2.0)),
        ..Window::default()
    };
    test.windows.steps = (0..windows).map(window).collect();
    test.windows.tails = vec![Window { level: 1, put_latency: Some(dist(600, 15.0)), ..Window::default() }];
    evidence
}

fn recovery_within(threshold: f64, evidence: &Evidence) -> CriterionVerdict {
    judged(Metric::RecoveryPutLatency, Some(Stat::P95), Op::Less, threshold, evidence)
}

#[test]
fn recovered_is_the_first_of_six_windows_inside_the_band() {
    // The p95 was 30 ms: the band goes up to 40.
    let back = |index: i64| if index < 4 || index == 7 { 90.0 } else { 39.0 };
    let verdict = recovery_within(90.0, &spiked(back, 30));
    assert_eq!((verdict.verdict, verdict.observed), (Verdict::Pass, Some(80.0)), "{verdict:?}");
    assert_eq!(recovery_within(80.0, &spiked(back, 30)).verdict, Verdict::Fail);
    let at_once = recovery_within(10.0, &spiked(|_| 31.0, 30));
    assert_eq!((at_once.verdict, at_once.observed), (Verdict::Pass, Some(0.0)));
}

#[test]
fn a_recovery_that_was_not_seen_is_a_lower_bound() {
    let never = spiked(|_| 90.0, 30);
    assert_eq!(recovery_within(200.0, &never).verdict, Verdict::Fail, "300 s were watched");
    let verdict = recovery_within(400.0, &never);
    assert_eq!(verdict.verdict, Verdict::Inconclusive);
    assert!(
        verdict.reason.contains("not seen six windows on end in the band up to 40.0 ms"),
        "{}",
        verdict.reason
    );
    assert_eq!(recovery_within(200.0, &spiked(|_| 31.0, 5)).verdict, Verdict::Inconclusive, "five windows");
    let mut short = spiked(|_| 31.0, 30);
    short.tests[0].windows.tails.clear();
    assert!(recovery_within(200.0, &short).reason.contains("no hold of at least 60 s"));
    assert!(recovery_within(200.0, &evidence()).reason.contains("no stage above"), "it never falls again");
}

/// Receipts of test 1.1, a second each, of which `age_ms` tells the iterator age.
fn aged(age_ms: impl Fn(i64) -> Option<f64>) -> Evidence {
    let mut evidence = evidence();
    evidence.delivery.measured = true;
    let second = |second: i64| {
        let iterator_age_max_ms = age_ms(second)?;
        let at_ms = START_US / 1_000 + second * 1_000;
        Some(ReceiptSecond {
            at_ms,
            records: 10,
            invocations: 1,
            iterator_age_max_ms,
            ..ReceiptSecond::default()
        })
    };
    evidence.receipt_seconds = (0..660).filter_map(second).collect();
    evidence
}

fn scaling_within(threshold: f64, evidence: &Evidence) -> CriterionVerdict {
    judged(Metric::ScalingTime, None, Op::Less, threshold, evidence)
}

#[test]
fn scaling_time_is_that_of_the_worst_ramp() {
    // Ramps end 30 s and 360 s after the start.
    assert_eq!(scaling_within(10.0, &aged(|_| Some(400.0))).observed, Some(0.0));
    let slow = |second: i64| Some(if (350..375).contains(&second) { 3_000.0 } else { 400.0 });
    let verdict = scaling_within(20.0, &aged(slow));
    assert_eq!((verdict.verdict, verdict.observed), (Verdict::Pass, Some(15.0)), "{verdict:?}");
    // Twenty seconds of calm are not thirty.
    let again = |second: i64| Some(if second == 374 || second == 395 { 2_000.0 } else { 400.0 });
    assert_eq!(scaling_within(20.0, &aged(again)).observed, Some(36.0));
    // The function did not start for 20 s: what it found then had waited.
    let silent = |second: i64| match second {
        362..382 => None,
        382 => Some(20_000.0),
        _ => Some(400.0),
    };
    assert_eq!(scaling_within(20.0, &aged(silent)).observed, Some(23.0));
}

#[test]
fn a_void_ramp_says_nothing_of_scaling() {
    let mut evidence = aged(|_| Some(400.0));
    evidence.tests[0].levels[2].void = Some("the generator was late".into());
    assert_eq!(scaling_within(10.0, &evidence).verdict, Verdict::Inconclusive);
}

#[test]
fn scaling_that_was_not_watched_long_enough_is_open() {
    let to_the_end = aged(|second| Some(if second > 400 { 5_000.0 } else { 400.0 }));
    let verdict = scaling_within(1_000.0, &to_the_end);
    assert_eq!(
        verdict.verdict,
        Verdict::Pass,
        "calm for 30 s after the ramp; later waits are another matter"
    );
    let never = aged(|second| Some(if second > 350 { 5_000.0 } else { 400.0 }));
    assert_eq!(scaling_within(1_000.0, &never).verdict, Verdict::Inconclusive);
    assert_eq!(scaling_within(120.0, &never).verdict, Verdict::Fail, "300 s of it were watched");
    let mut unmeasured = aged(|_| Some(400.0));
    unmeasured.delivery.measured = false;
    assert_eq!(scaling_within(120.0, &unmeasured).verdict, Verdict::Inconclusive);
}

#[test]
fn the_cost_of_cloudwatch_is_a_part_of_its_forecast() {
    let mut evidence = evidence();
    evidence.run.end = RunEnd::Completed;
    let ratio =
        |evidence: &Evidence| judged(Metric::CloudwatchCostRatio, None, Op::LessOrEqual, 110.0, evidence);
    let before = ratio(&evidence).observed.unwrap();
    assert!(before > 0.0, "{before}");
    evidence.usage.log_bytes += 20_000_000_000;
    let after = ratio(&evidence);
    assert_eq!(after.verdict, Verdict::Fail, "{after:?}");
    assert!(after.reason.contains("USD forecast"), "{}", after.reason);
    evidence.usage.region = "eu-west-1".into();
    assert_eq!(ratio(&evidence).verdict, Verdict::Inconclusive, "there is no price book for it");
}
