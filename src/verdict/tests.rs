use crate::cost::{PriceBook, price};
use crate::evidence::actions::ActionEvidence;
use crate::evidence::model::*;
use crate::plan::*;

use super::fixture::{criterion, evidence};
use super::*;

fn judged(evidence: &Evidence) -> Verdicts {
    judge(evidence, &price(&evidence.usage, &PriceBook::builtin()))
}

/// Judges one criterion on one test of the fixture, after a change to it.
fn one(test: usize, criterion: Criterion, change: impl FnOnce(&mut Evidence)) -> CriterionVerdict {
    let mut evidence = evidence();
    change(&mut evidence);
    let scope_test = [&evidence.tests[test]];
    let cost = price(&evidence.usage, &PriceBook::builtin());
    criteria::judge(&criterion, &measure::Scope { evidence: &evidence, tests: &scope_test, cost: &cost })
}

fn success_above(threshold: f64) -> Criterion {
    criterion("success_rate", Metric::SuccessRate, None, Op::Greater, threshold)
}

fn e2e_p95_below(threshold: f64) -> Criterion {
    criterion("e2e", Metric::E2eLatency, Some(Stat::P95), Op::Less, threshold)
}

fn counter(metric: Metric) -> Criterion {
    criterion("counter", metric, None, Op::Equal, 0.0)
}

#[test]
fn the_run_of_the_fixture() {
    use Verdict::*;
    let verdicts = judged(&evidence());
    let of = |test: usize| -> Vec<(Verdict, Option<f64>)> {
        verdicts.tests[test].criteria.iter().map(|each| (each.verdict, each.observed)).collect()
    };
    let tests: Vec<(&str, Verdict)> =
        verdicts.tests.iter().map(|test| (test.id.as_str(), test.verdict)).collect();
    assert_eq!(tests, [("1.1", Pass), ("3.1", Fail), ("3.2", Inconclusive)]);
    // CloudWatch's 655 ms of iterator age is above the receipts' 640.
    assert_eq!(of(0), [(Pass, Some(100.0)), (Pass, Some(24.0)), (Pass, Some(0.0)), (Pass, Some(655.0))]);
    assert_eq!(of(1), [(Fail, Some(50.0)), (Pass, Some(620.0)), (Inconclusive, None)]);
    assert_eq!(of(2), [(Inconclusive, Some(27.0))]);
    assert_eq!(verdicts.run[0].verdict, Inconclusive);
    assert_eq!(verdicts.overall, Fail);
}

#[test]
fn the_plans_criteria_leave_out_what_goes_beyond_capacity_on_purpose() {
    let mut evidence = evidence();
    evidence.plan.criteria =
        vec![criterion("success_rate > 99%", Metric::SuccessRate, None, Op::Greater, 99.0)];
    evidence.tests.truncate(2);
    let of_run =
        |evidence: &Evidence| judged(evidence).run.iter().map(|each| each.verdict).collect::<Vec<_>>();
    assert_eq!(of_run(&evidence), [Verdict::Fail], "3.1 is refused half of its records");
    evidence
        .plan
        .phases
        .iter_mut()
        .flat_map(|phase| &mut phase.tests)
        .find(|test| test.id == "3.1")
        .unwrap()
        .beyond_capacity = true;
    assert_eq!(of_run(&evidence), [Verdict::Pass]);
    evidence.tests.remove(0);
    assert_eq!(of_run(&evidence), [], "nothing is left to judge");
}

#[test]
fn a_latency_must_hold_on_every_judged_level_and_the_worst_is_named() {
    let p95 = |below| criterion("p95", Metric::PutLatency, Some(Stat::P95), Op::Less, below);
    let verdict = one(0, p95(20.0), |_| {});
    assert_eq!((verdict.verdict, verdict.observed), (Verdict::Fail, Some(24.0)));
    assert_eq!(verdict.level.as_deref(), Some("200/s hold"));
    assert_eq!(verdict.reason, "did not hold on 1 of 2 judged levels, worst on 200/s hold");
    let verdict = one(0, p95(24.1), |_| {});
    assert_eq!(verdict.reason, "held on all 2 judged levels, tightest on 200/s hold");
}

#[test]
fn ramps_are_judged_only_where_a_test_has_no_hold() {
    // The ramp of 3.1 acked 75 %, its hold 50 %.
    assert_eq!(one(1, success_above(60.0), |_| {}).observed, Some(50.0));
    let without_hold = |evidence: &mut Evidence| {
        evidence.tests[1].levels.pop();
    };
    let verdict = one(1, success_above(60.0), without_hold);
    assert_eq!((verdict.verdict, verdict.observed), (Verdict::Pass, Some(75.0)));
}

#[test]
fn throughput_of_a_ramp_is_against_its_mean() {
    let ratio = criterion("ratio", Metric::ThroughputRatio, None, Op::GreaterOrEqual, 99.0);
    let verdict = one(1, ratio, |evidence| {
        evidence.tests[1].levels.pop();
    });
    // 750 records/s achieved of a mean of 1,000.
    assert_eq!((verdict.verdict, verdict.observed), (Verdict::Fail, Some(75.0)));
}

#[test]
fn a_percentile_needs_a_sample_beyond_it() {
    for (stat, needed) in
        [(Stat::P50, 2), (Stat::P95, 20), (Stat::P99, 100), (Stat::P999, 1_000), (Stat::Max, 1)]
    {
        assert_eq!(percentile_needs_samples(stat), needed);
        let below = |count: u64| {
            one(0, criterion("p", Metric::PutLatency, Some(stat), Op::Less, 1e9), |evidence| {
                for level in &mut evidence.tests[0].levels {
                    level.put_latency = Some(super::fixture::dist(count, 10.0));
                }
            })
        };
        assert_eq!(below(needed).verdict, Verdict::Pass);
        let verdict = below(needed - 1);
        assert_eq!((verdict.verdict, verdict.observed), (Verdict::Inconclusive, None), "{stat:?}");
    }
}

#[test]
fn what_a_test_drained_is_not_lost_although_the_run_was_killed_later() {
    let lost = || criterion("lost", Metric::Lost, None, Op::Equal, 0.0);
    let killed = |drain_s: Option<f64>, finished: bool| {
        one(0, lost(), |evidence| {
            evidence.delivery.complete = false;
            evidence.delivery.lost = None;
            evidence.tests[0].levels.iter_mut().for_each(|level| level.delivery.lost = None);
            (evidence.tests[0].drain_s, evidence.tests[0].finished) = (drain_s, finished);
        })
    };
    let verdict = killed(Some(0.5), true);
    assert_eq!((verdict.verdict, verdict.observed), (Verdict::Pass, Some(0.0)));
    for (drain_s, finished) in [(None, true), (Some(0.5), false)] {
        assert_eq!(killed(drain_s, finished).verdict, Verdict::Inconclusive, "{drain_s:?} {finished}");
    }
}

#[test]
fn a_void_level_decides_nothing_but_the_generators_own_lag() {
    let void = |evidence: &mut Evidence| {
        evidence.tests[0].levels[3].void = Some("generator lag p99 31 ms".into());
        evidence.tests[0].levels[3].generator_lag = Some(super::fixture::dist(60_000, 10.4));
    };
    let verdict = one(0, success_above(99.0), void);
    assert_eq!(verdict.verdict, Verdict::Inconclusive);
    assert_eq!(verdict.reason, "200/s hold: the level is void: generator lag p99 31 ms");
    let lag = criterion("lag", Metric::GeneratorLag, Some(Stat::P99), Op::Less, 10.0);
    assert_eq!(one(0, lag, void).verdict, Verdict::Fail);
    // A failure elsewhere still fails.
    let verdict = one(0, success_above(99.0), |evidence| {
        void(evidence);
        evidence.tests[0].levels[1].acked = 0;
    });
    assert_eq!(verdict.verdict, Verdict::Fail);
}

#[test]
fn a_void_level_leaves_counts_of_the_load_open_but_not_the_accounting() {
    let void = |evidence: &mut Evidence| {
        evidence.tests[0].levels[3].void = Some("generator lag p99 31 ms".into());
        evidence.delivery.complete = true;
    };
    assert_eq!(one(0, counter(Metric::Throttles), void).verdict, Verdict::Inconclusive);
    assert_eq!(one(0, counter(Metric::LambdaThrottles), void).verdict, Verdict::Inconclusive);
    assert_eq!(one(0, counter(Metric::Lost), void).verdict, Verdict::Pass);
}

#[test]
fn an_unfinished_level_decides_nothing() {
    let verdict = one(0, success_above(99.0), |evidence| evidence.tests[0].levels[3].finished = false);
    assert_eq!(verdict.verdict, Verdict::Inconclusive);
    let verdict = one(0, success_above(99.0), |evidence| evidence.tests[0].levels[3].started_us = None);
    assert!(verdict.reason.contains("never started"), "{}", verdict.reason);
}

#[test]
fn what_a_count_has_decided_already_stays_decided() {
    let throttled = |finished: bool| {
        move |evidence: &mut Evidence| {
            evidence.tests[0].finished = finished;
            evidence.tests[0].levels[2].throttled = 3;
        }
    };
    let verdict = one(0, counter(Metric::Throttles), throttled(false));
    assert_eq!((verdict.verdict, verdict.observed), (Verdict::Fail, Some(3.0)));
    let fewer_than_ten = criterion("throttles", Metric::Throttles, None, Op::Less, 10.0);
    assert_eq!(one(0, fewer_than_ten.clone(), throttled(false)).verdict, Verdict::Inconclusive);
    assert_eq!(one(0, fewer_than_ten, throttled(true)).verdict, Verdict::Pass);
}

#[test]
fn the_clock_error_can_leave_an_end_to_end_criterion_open() {
    // p95 is 620 ms, the error 1.5 ms.
    assert_eq!(one(0, e2e_p95_below(621.0), |_| {}).verdict, Verdict::Inconclusive);
    assert_eq!(one(0, e2e_p95_below(619.0), |_| {}).verdict, Verdict::Inconclusive);
    assert_eq!(one(0, e2e_p95_below(622.0), |_| {}).verdict, Verdict::Pass);
    assert_eq!(one(0, e2e_p95_below(618.0), |_| {}).verdict, Verdict::Fail);
    let unbounded = |evidence: &mut Evidence| evidence.tests[0].levels[3].clock_error_ms = None;
    assert_eq!(one(0, e2e_p95_below(2_000.0), unbounded).verdict, Verdict::Inconclusive);
}

#[test]
fn lost_is_judged_only_when_delivery_is_complete() {
    let set = |measured: bool, complete: bool, lost: u64| {
        move |evidence: &mut Evidence| {
            evidence.delivery.measured = measured;
            evidence.delivery.complete = complete;
            evidence.tests[0].levels[3].delivery.lost = Some(lost);
        }
    };
    assert_eq!(one(0, counter(Metric::Lost), set(true, true, 0)).verdict, Verdict::Pass);
    let verdict = one(0, counter(Metric::Lost), set(true, true, 2));
    assert_eq!((verdict.verdict, verdict.observed), (Verdict::Fail, Some(2.0)));
    assert_eq!(one(0, counter(Metric::Lost), set(true, false, 2)).verdict, Verdict::Inconclusive);
    assert_eq!(one(0, counter(Metric::Lost), set(false, true, 0)).verdict, Verdict::Inconclusive);
    assert_eq!(one(0, counter(Metric::Duplicates), set(false, true, 0)).verdict, Verdict::Inconclusive);
}

#[test]
fn the_drain_of_the_slowest_test_counts_and_one_that_never_drained_is_open() {
    let within = |seconds| criterion("drain", Metric::DrainTime, None, Op::Less, seconds);
    let verdict = one(0, within(3.5), |_| {});
    assert_eq!((verdict.verdict, verdict.observed, verdict.unit), (Verdict::Pass, Some(3.25), Unit::Seconds));
    assert_eq!(one(0, within(3.0), |_| {}).verdict, Verdict::Fail);
    assert_eq!(
        one(0, within(3.5), |evidence| evidence.tests[0].drain_s = None).verdict,
        Verdict::Inconclusive
    );
}

#[test]
fn an_actions_catching_up_counts_as_draining_and_a_refused_one_leaves_it_open() {
    let within = |seconds| criterion("drain", Metric::DrainTime, None, Op::Less, seconds);
    let action = |change: fn(&mut ActionEvidence)| {
        move |evidence: &mut Evidence| {
            let mut action = ActionEvidence {
                text: "mapping disabled for 20s".to_owned(),
                started_us: Some(1_000_000),
                reverting_us: Some(21_000_000),
                caught_up_us: Some(28_500_000),
                ..ActionEvidence::default()
            };
            change(&mut action);
            evidence.tests[0].actions.push(action);
        }
    };
    let verdict = one(0, within(7.0), action(|_| {}));
    assert_eq!(
        (verdict.verdict, verdict.observed),
        (Verdict::Fail, Some(7.5)),
        "longer than the drain of 3.25 s"
    );
    let refused = one(
        0,
        within(30.0),
        action(|action| {
            (action.refused, action.reverting_us) = (Some("AccessDenied".to_owned()), None);
        }),
    );
    assert_eq!(refused.verdict, Verdict::Inconclusive);
    assert!(refused.reason.contains("'mapping disabled for 20s': AccessDenied"), "{}", refused.reason);
}

#[test]
fn the_mean_iterator_age_is_the_larger_of_receipts_and_cloudwatch() {
    let mean = criterion("age", Metric::IteratorAge, Some(Stat::Avg), Op::Less, 320.0);
    assert_eq!(one(0, mean.clone(), |_| {}).observed, Some(310.0));
    let pulled = |evidence: &mut Evidence| {
        evidence.tests[0].cloudwatch.insert("lambda.IteratorAge.Average".into(), 321.0);
    };
    assert_eq!(one(0, mean, pulled).verdict, Verdict::Fail);
}

/// Whatever a criterion may name gives an observation or a reason, and never a panic.
#[test]
fn every_metric_is_judged() {
    for metric in Metric::all() {
        let stats: Vec<Option<Stat>> = match metric.stats() {
            [] => vec![None],
            stats => stats.iter().copied().map(Some).collect(),
        };
        for stat in stats {
            let verdict = one(0, criterion("any", metric, stat, Op::GreaterOrEqual, 0.0), |_| {});
            assert_eq!(verdict.unit, metric.unit());
            assert_ne!(verdict.verdict, Verdict::Fail, "{}: nothing is below zero", metric.name());
            assert!(verdict.observed.is_some() || !verdict.reason.is_empty());
        }
    }
}

#[test]
fn a_missing_cloudwatch_metric_is_inconclusive_and_named() {
    let verdict = one(0, counter(Metric::ReadThrottles), |_| {});
    assert_eq!(verdict.verdict, Verdict::Inconclusive);
    assert!(verdict.reason.contains("kinesis.ReadProvisionedThroughputExceeded.Sum"), "{}", verdict.reason);
    let unsettled = |evidence: &mut Evidence| evidence.cloudwatch.unsettled = Some("sums differ".into());
    assert_eq!(one(0, counter(Metric::LambdaErrors), |_| {}).verdict, Verdict::Pass);
    assert_eq!(one(0, counter(Metric::LambdaErrors), unsettled).verdict, Verdict::Inconclusive);
}

#[test]
fn an_unpriced_line_leaves_a_budget_open_unless_it_is_broken_already() {
    let budget = |below| criterion("cost", Metric::CostPerMillion, None, Op::Less, below);
    let elsewhere = |evidence: &mut Evidence| evidence.usage.region = "eu-west-1".into();
    assert_eq!(one(0, budget(100.0), |_| {}).verdict, Verdict::Pass);
    assert_eq!(one(0, budget(0.001), |_| {}).verdict, Verdict::Fail);
    assert_eq!(one(0, budget(100.0), elsewhere).verdict, Verdict::Inconclusive);
}

#[test]
fn a_run_that_was_stopped_never_passes() {
    let mut evidence = evidence();
    evidence.tests.truncate(1);
    evidence.plan.criteria.clear();
    assert_eq!(judged(&evidence).overall, Verdict::Inconclusive);
    evidence.run.end = RunEnd::Completed;
    assert_eq!(judged(&evidence).overall, Verdict::Pass);
    evidence.tests.clear();
    assert_eq!(judged(&evidence).overall, Verdict::Inconclusive);
}

proptest::proptest! {
    /// One level cannot pass what another fails, whatever the values and the operator.
    #[test]
    fn the_verdict_is_that_of_the_worst_level(a in 0u64..=3_000, b in 0u64..=60_000, threshold in 0.0f64..100.0) {
        let verdict = one(0, success_above(threshold), |evidence| {
            evidence.tests[0].levels[1].acked = a;
            evidence.tests[0].levels[3].acked = b;
        });
        let worst = (a as f64 / 3_000.0).min(b as f64 / 60_000.0) * 100.0;
        proptest::prop_assert_eq!(verdict.observed, Some(worst));
        proptest::prop_assert_eq!(verdict.verdict == Verdict::Pass, worst > threshold);
    }
}
