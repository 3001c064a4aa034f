//! Counts and due times: against k6's published examples, an integral, and each other.

use proptest::prelude::*;

use super::*;
use crate::load::testing::test_of;

/// (seconds, target) as in a plan.
fn schedule(stages: &[(f64, f64)]) -> Schedule {
    Schedule::new(&test_of(stages))
}

fn counts(schedule: &Schedule) -> Vec<u64> {
    schedule.levels().iter().map(|level| level.count).collect()
}

fn due_ms(schedule: &Schedule) -> Vec<u128> {
    (0..schedule.total()).map(|k| schedule.due(k).as_millis()).collect()
}

/// k6's published example: lib/executor/ramping_arrival_rate_test.go, TestRampingArrivalRateCal.
#[test]
fn agrees_with_the_worked_example_of_k6() {
    let schedule = schedule(&[(5.0, 1.0), (1.0, 1.0), (5.0, 0.0)]);
    assert_eq!(due_ms(&schedule), [3_162, 4_472, 5_500, 6_527, 7_837, 11_000]);
}

/// The same test with a time unit of a third of a second: three times the rate.
#[test]
fn agrees_with_the_worked_example_of_k6_at_three_times_the_rate() {
    let schedule = schedule(&[(5.0, 3.0), (1.0, 3.0), (5.0, 0.0)]);
    let published = [
        1_825, 2_581, 3_162, 3_651, 4_082, 4_472, 4_830, 5_166, 5_499, 5_833, 6_169, 6_527, 6_917, 7_348,
        7_837, 8_418, 9_174, 10_999,
    ];
    let ours = due_ms(&schedule);
    assert_eq!(ours.len(), published.len());
    for (ours, published) in ours.iter().zip(published) {
        assert!(ours.abs_diff(published) <= 1, "{ours} and {published}");
    }
}

#[test]
fn counts_are_exact() {
    let quickstart = schedule(&[(3.0, 50.0), (10.0, 50.0), (3.0, 200.0), (10.0, 200.0)]);
    assert_eq!(counts(&quickstart), [75, 500, 375, 2_000]);
    assert_eq!(quickstart.due(74), Duration::from_secs(3));
    assert_eq!(quickstart.due(75), Duration::from_millis(3_020));
    assert_eq!(quickstart.due(574), Duration::from_secs(13));
    // 0.1 has no exact binary form: 3,600 s at 0.1/s are 360 records all the same, whatever came before.
    assert_eq!(counts(&schedule(&[(10.0, 0.1), (3_600.0, 0.1), (10.0, 0.1)])), [0, 360, 1]);
    // Half a record is left after the ramp; the hold brings the other half.
    assert_eq!(counts(&schedule(&[(1.0, 3.0), (1.0, 3.0)])), [1, 3]);
}

#[test]
fn the_second_week_of_the_plan_has_its_published_size() {
    // 2.1: 2 m to 100, hold 30 m, 2 m to 0.
    let sustained = schedule(&[(120.0, 100.0), (1_800.0, 100.0), (120.0, 0.0)]);
    assert_eq!(counts(&sustained), [6_000, 180_000, 6_000]);
}

#[test]
fn does_not_drift_over_a_day_at_2000_a_second() {
    let day = schedule(&[(10.0, 2_000.0), (86_400.0, 2_000.0)]);
    assert_eq!(day.total(), 10_000 + 172_800_000);
    for k in [10_000, 1_000_000, 86_410_000, 172_809_999_u64] {
        let exact_us = 10_000_000 + (k + 1 - 10_000) * 500;
        assert!(day.due(k).as_nanos().abs_diff(u128::from(exact_us) * 1_000) <= 1, "{k}");
    }
}

#[test]
fn silent_levels_have_no_records_and_end_nowhere() {
    let paused = schedule(&[(2.0, 10.0), (2.0, 0.0), (60.0, 0.0), (2.0, 10.0)]);
    assert_eq!(counts(&paused), [10, 10, 0, 10]);
    assert_eq!(paused.level_of(20).index_in_test, 3);
    assert!(paused.due(20) > Duration::from_secs(64));
    assert_eq!((paused.due(30), paused.duration()), (Duration::from_secs(66), Duration::from_secs(66)));
}

/// Reference model: the rate integrated by the midpoint rule in steps, record by record.
fn integrated(stages: &[(f64, f64)], until: Duration) -> f64 {
    let (mut area, mut from, mut left_s) = (0.0, 0.0, until.as_secs_f64());
    for (duration_s, target) in stages {
        let steps = 1_000;
        let step_s = duration_s / f64::from(steps);
        for i in 0..steps {
            let taken_s = step_s.min(left_s);
            let middle_s = f64::from(i) * step_s + taken_s / 2.0;
            area += taken_s * (from + (target - from) * middle_s / duration_s);
            left_s -= taken_s;
        }
        from = *target;
    }
    area
}

proptest! {
    #[test]
    fn a_record_is_due_when_the_integral_reaches_its_number(
        stages in prop::collection::vec((1_u32..20_000, 0_u32..3_000), 1..6),
        pick in 0.0..1.0_f64,
    ) {
        let stages: Vec<(f64, f64)> =
            stages.iter().map(|(ms, rate)| (f64::from(*ms) / 1e3, f64::from(*rate) / 10.0)).collect();
        let schedule = schedule(&stages);
        prop_assume!(schedule.total() > 0);
        let k = ((schedule.total() - 1) as f64 * pick) as u64;
        let due = schedule.due(k);
        // A rate near zero makes the time uncertain, but never the integral at that time.
        prop_assert!((integrated(&stages, due) - (k + 1) as f64).abs() < 1e-3);
        let level = schedule.level_of(k);
        prop_assert!(level.first <= k && k < level.first + level.count);
        prop_assert!(level.start <= due && due <= level.end());
    }

    #[test]
    fn due_times_never_go_back_and_counts_add_up(
        stages in prop::collection::vec((1_u32..5_000, 0_u32..500), 1..8),
    ) {
        let stages: Vec<(f64, f64)> =
            stages.iter().map(|(ms, rate)| (f64::from(*ms) / 1e3, f64::from(*rate))).collect();
        let schedule = schedule(&stages);
        let mut previous = Duration::ZERO;
        for k in 0..schedule.total() {
            let due = schedule.due(k);
            prop_assert!(previous <= due, "{k}");
            previous = due;
        }
        prop_assert_eq!(schedule.total(), counts(&schedule).iter().sum::<u64>());
        let area = integrated(&stages, schedule.duration());
        prop_assert!((schedule.total() as f64) <= area + 1e-3 && area < schedule.total() as f64 + 1.0 + 1e-3);
    }
}

#[test]
fn poison_stands_in_the_middle_of_equal_parts() {
    let places = |count, poison| poison_places(count, poison).collect::<Vec<_>>();
    assert_eq!(places(500, 1), [250]);
    assert_eq!(places(10, 3), [1, 5, 8]);
    assert_eq!(places(2, 5), [0, 1], "no more than there are");
    assert!(places(7, 0).is_empty());
}

proptest! {
    #[test]
    fn each_record_knows_whether_it_is_poison(count in 0_u64..500, poison in 0_u64..600) {
        let asked: Vec<u64> = (0..count + 2).filter(|index| is_poison(*index, count, poison)).collect();
        prop_assert_eq!(asked, poison_places(count, poison).collect::<Vec<_>>());
    }
}

/// A stage of a series: (seconds, rate) one after the other.
fn replay(rates: &[(f64, f64)]) -> Stage {
    let mut after = Duration::ZERO;
    let mut steps = Vec::new();
    let mut records = 0.0;
    for (seconds, rps) in rates {
        steps.push(RateStep { after, rps: *rps });
        after += Duration::from_secs_f64(*seconds);
        records += seconds * rps;
    }
    let mean_rps = records / after.as_secs_f64();
    Stage {
        duration: after,
        from_rps: mean_rps,
        target_rps: mean_rps,
        kind: StageKind::Replay,
        steps: steps.into(),
        poison: 0,
        actions: Vec::new(),
    }
}

/// Due times follow the rows, not the mean of the level that they make; what is left of a record carries over.
#[test]
fn a_replay_follows_each_of_its_rates() {
    let mut test = test_of(&[]);
    test.stages = vec![replay(&[(1.0, 2.0), (2.0, 0.0), (1.0, 4.5)]), replay(&[(1.0, 1.0), (1.0, 0.5)])];
    let schedule = Schedule::new(&test);
    assert_eq!(counts(&schedule), [6, 2]);
    assert_eq!(due_ms(&schedule), [500, 1_000, 3_222, 3_444, 3_666, 3_888, 4_500, 6_000]);
}

/// A day of rates by the minute, in half-hour levels: the due times of each minute are those of its rate.
#[test]
fn a_day_of_minutes_is_exact() {
    let rates: Vec<(f64, f64)> = (0..1_440).map(|minute| (60.0, f64::from(minute % 97))).collect();
    let mut test = test_of(&[]);
    test.stages = rates.chunks(30).map(replay).collect();
    let schedule = Schedule::new(&test);
    let mut k = 0;
    for (minute, (_, rps)) in rates.iter().enumerate() {
        let records = (60.0 * rps) as u64;
        for i in [0, records / 2, records.saturating_sub(1)].into_iter().filter(|i| *i < records) {
            let expected_s = minute as f64 * 60.0 + (i + 1) as f64 / rps;
            assert!((schedule.due(k + i).as_secs_f64() - expected_s).abs() < 1e-6, "{minute} {i}");
        }
        k += records;
    }
    assert_eq!(schedule.total(), k);
}

proptest! {
    #[test]
    fn replayed_due_times_never_go_back_and_stay_in_their_level(
        rates in prop::collection::vec((1_u32..3_000, 0_u32..400), 1..30),
        rows in 1_usize..10,
        seed in prop::option::of(0_u64..100),
    ) {
        let rates: Vec<(f64, f64)> =
            rates.iter().map(|(ms, rate)| (f64::from(*ms) / 1e3, f64::from(*rate) / 3.0)).collect();
        let mut test = test_of(&[]);
        test.stages = rates.chunks(rows).map(replay).collect();
        test.arrivals = seed.map_or(Arrivals::Even, |seed| Arrivals::Poisson { seed });
        let schedule = Schedule::new(&test);
        let mut previous = Duration::ZERO;
        for k in 0..schedule.total() {
            let (due, level) = (schedule.due(k), schedule.level_of(k));
            prop_assert!(previous <= due, "{k}");
            prop_assert!(level.first <= k && k < level.first + level.count, "{k}");
            prop_assert!(level.start <= due && due <= level.end(), "{k}");
            previous = due;
        }
        let records: f64 = rates.iter().map(|(seconds, rate)| seconds * rate).sum();
        prop_assert!((schedule.total() as f64 - records.floor()).abs() <= 1.0);
        prop_assert_eq!(schedule.total(), counts(&schedule).iter().sum::<u64>());
    }
}
