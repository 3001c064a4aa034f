use crate::cost::{BUILTIN_PRICES, PriceBook, price, usd};
use crate::evidence::model::*;

use super::super::fixture::{START_US, evidence};
use super::super::judge;
use super::*;

fn found(change: impl FnOnce(&mut Evidence)) -> Findings {
    let mut evidence = evidence();
    change(&mut evidence);
    let book = PriceBook::builtin();
    let verdicts = judge(&evidence, &price(&evidence.usage, &book));
    findings(&evidence, &book, &verdicts)
}

/// The fixture without its refusals and without the interrupted test.
fn calm(evidence: &mut Evidence) {
    evidence.tests.truncate(1);
    evidence.plan.phases.truncate(1);
    evidence.seconds.retain(|row| row.throttled == 0);
}

fn only(findings: &Findings, limit: Limit) -> &Finding {
    findings.list.iter().find(|finding| finding.limit == limit).unwrap_or_else(|| panic!("{findings:#?}"))
}

#[test]
fn the_record_limit_of_a_shard_is_found_where_refusals_began() {
    let findings = found(|_| {});
    assert_eq!(findings.list[0].limit, Limit::KinesisWriteRecords);
    let finding = &findings.list[0];
    // The ramp goes from 0 to 2,000 in 300 s: 1,003.3 in the middle of second 150, whose row starts at 1,000.
    assert_eq!(finding.from_rps, Some(1_000.0));
    assert_eq!(finding.at_us, Some(START_US + (664 + 150) * 1_000_000));
    assert_eq!(finding.change, Some(Change::Shards { from: 1, to: 2 }));
    assert_eq!(finding.change.map(|change| change.to_string()).as_deref(), Some("shards 1 -> 2"));
    assert_eq!(finding.monthly_cost_of_change.map(usd).as_deref(), Some("10.95"));
    assert!(finding.explanation.contains("the record limit comes first"), "{}", finding.explanation);
    assert_eq!(finding.evidence[1].value, 405_000.0);
    // Known to carry what was judged below it, and no more.
    assert_eq!(findings.known_up_to.expect("200/s was carried").rps, 200.0);
}

#[test]
fn large_records_meet_the_byte_limit_first() {
    let findings = found(|evidence| {
        // 5,120 bytes: 204.8 records/s fill a shard's 1 MiB/s; 2,000 a second need 9.77 shards.
        evidence.tests[1].payload.bytes = 5_120;
        evidence.plan.phases[1].tests[0].payload.bytes = 5_120;
    });
    let finding = only(&findings, Limit::KinesisWriteBytes);
    assert_eq!(finding.change, Some(Change::Shards { from: 1, to: 10 }));
    assert_eq!(finding.monthly_cost_of_change.map(usd).as_deref(), Some("98.55"));
}

#[test]
fn few_keys_on_many_shards_are_a_hot_shard() {
    let findings = found(|evidence| {
        evidence.environment.shards = 4;
        evidence.plan.phases[1].tests[0].keys.count = 2;
    });
    let finding = only(&findings, Limit::HotShard);
    assert_eq!(finding.change, Some(Change::PartitionKeys { from: 2, to: 400 }));
    assert_eq!(finding.monthly_cost_of_change, Some(Decimal::ZERO));
}

#[test]
fn refusals_far_below_capacity_get_no_canned_remedy() {
    let findings = found(|evidence| evidence.environment.shards = 4);
    let finding = only(&findings, Limit::KinesisWrite);
    assert_eq!((finding.change, finding.monthly_cost_of_change), (None, None));
}

#[test]
fn an_on_demand_stream_has_no_shards_to_add() {
    let findings = found(|evidence| evidence.environment.stream_mode = "on-demand".into());
    assert_eq!(only(&findings, Limit::KinesisWrite).change, None);
}

#[test]
fn a_region_without_prices_leaves_the_change_unpriced_by_the_book_alone() {
    let text = BUILTIN_PRICES;
    let start = text.find("  kinesis_shard_hour:").expect("entry");
    let end = text.find("  kinesis_put_payload_unit:").expect("entry");
    let book = PriceBook::parse(&format!("{}{}", &text[..start], &text[end..])).expect("book");
    let evidence = evidence();
    let verdicts = judge(&evidence, &price(&evidence.usage, &book));
    let findings = findings(&evidence, &book, &verdicts);
    assert_eq!(findings.list[0].change, Some(Change::Shards { from: 1, to: 2 }));
    assert_eq!(findings.list[0].monthly_cost_of_change, None);
}

#[test]
fn nothing_found_says_up_to_which_rate_that_is_known() {
    let findings = found(calm);
    assert_eq!(findings.list, []);
    let known = findings.known_up_to.expect("known");
    assert_eq!(known.rps, 200.0);
    assert!(known.text.contains("nothing is known above it"), "{}", known.text);
}

/// Iterator age that climbs by 100 ms a second while each lane is busy: more lanes, as many as the
/// processed rate says.
fn behind(evidence: &mut Evidence, busy_ms: f64) {
    calm(evidence);
    let level = &mut evidence.tests[0].levels[3];
    let start_ms = level.started_us.expect("started") / 1_000;
    level.cloudwatch.insert("lambda.Duration.Average".into(), Ok(busy_ms));
    for row in &mut evidence.receipt_seconds {
        if row.at_ms >= start_ms && row.at_ms < start_ms + 300_000 {
            row.iterator_age_max_ms = 500.0 + (row.at_ms - start_ms) as f64 * 0.1;
            row.records = 60;
            row.invocations = 1;
        }
    }
}

#[test]
fn saturated_lanes_ask_for_parallelization_first() {
    let findings = found(|evidence| behind(evidence, 980.0));
    let finding = only(&findings, Limit::LambdaFallingBehind);
    // 60 of 200 records/s on one lane: 3.33 lanes that never rest, 4.17 that rest for a fifth of the time.
    assert_eq!(finding.change, Some(Change::Parallelization { from: 1, to: 5 }));
    assert_eq!(finding.monthly_cost_of_change, Some(Decimal::ZERO));
    assert_eq!(finding.from_rps, Some(200.0));
    let busy = finding.evidence.iter().find(|item| item.metric == "lanes busy").expect("item");
    assert!((busy.value - 98.0).abs() < 0.1, "{}", busy.value);
}

#[test]
fn parallelization_ends_at_ten_and_then_it_takes_shards() {
    let findings = found(|evidence| {
        behind(evidence, 9_800.0);
        evidence.environment.parallelization = 10;
    });
    let finding = only(&findings, Limit::LambdaFallingBehind);
    // 10 lanes took 60 of 200: 42 lanes with room, which is 5 shards of 10.
    assert_eq!(finding.change, Some(Change::Shards { from: 1, to: 5 }));
    assert_eq!(finding.monthly_cost_of_change.map(usd).as_deref(), Some("43.80"));
}

#[test]
fn a_void_level_that_falls_behind_is_measured_by_what_was_acked() {
    let findings = found(|evidence| {
        behind(evidence, 980.0);
        evidence.tests[0].levels[3].void = Some("generator lag p99 31 ms".into());
        evidence.tests[0].levels[3].achieved_rps = 120.0;
    });
    let finding = only(&findings, Limit::LambdaFallingBehind);
    // 60 of 120 records/s on one lane: 2.5 lanes with room.
    assert_eq!(finding.change, Some(Change::Parallelization { from: 1, to: 3 }));
    assert_eq!(finding.from_rps, Some(120.0));
}

/// Shards of the level that refused in the fixture, and what came through each.
fn by_shard(evidence: &mut Evidence, records: [u64; 4]) {
    evidence.environment.shards = 4;
    let index = evidence.tests[1].levels.iter().find(|level| level.throttled > 0).expect("refused").index;
    let shards = records.into_iter().enumerate();
    let by_shard = shards.map(|(shard, records)| (format!("shardId-00000000000{shard}"), records)).collect();
    evidence.by_shard.insert(index, by_shard);
}

#[test]
fn a_hot_shard_is_measured_by_what_came_through_each() {
    // Keys enough for the plan's word, but one of them carries half.
    let hot = found(|evidence| by_shard(evidence, [100, 700, 100, 100]));
    let finding = only(&hot, Limit::HotShard);
    assert_eq!(finding.change, Some(Change::EvenKeys));
    assert_eq!(finding.monthly_cost_of_change, Some(Decimal::ZERO));
    let item =
        finding.evidence.iter().find(|item| item.metric.contains("shardId-000000000001")).expect("item");
    assert_eq!((item.value, item.unit), (70.0, "%"));
    assert!(finding.explanation.contains("instead of 25 %"), "{}", finding.explanation);
    // Even: the refusals are not the keys' fault.
    let even = found(|evidence| by_shard(evidence, [240, 260, 250, 250]));
    assert!(even.list.iter().all(|finding| finding.limit != Limit::HotShard), "{even:#?}");
}

#[test]
fn a_full_lane_among_idle_ones_is_the_hot_shards() {
    let findings = found(|evidence| {
        // Half of the lanes' time is used: one of two lanes is full.
        behind(evidence, 980.0);
        evidence.environment.shards = 2;
        let index = evidence.tests[0].levels[3].index;
        let records = [("shardId-000000000000", 10), ("shardId-000000000001", 990)];
        evidence.by_shard.insert(index, records.map(|(shard, records)| (shard.to_owned(), records)).into());
    });
    let finding = only(&findings, Limit::HotShard);
    assert!(matches!(finding.change, Some(Change::EvenKeys | Change::PartitionKeys { .. })));
    assert!(findings.list.iter().all(|finding| finding.limit != Limit::LambdaFallingBehind));
}

#[test]
fn a_function_that_waits_for_its_sink_is_limited_by_the_sink() {
    let dist = |avg| Dist { count: 9, avg, p50: avg, p95: avg, p99: avg, p999: avg, max: avg };
    let sink_takes = |sink_ms: f64| {
        found(move |evidence| {
            behind(evidence, 980.0);
            let level = &mut evidence.tests[0].levels[3];
            (level.stage_function, level.stage_sink) = (Some(dist(980.0)), Some(dist(sink_ms)));
        })
    };
    let findings = sink_takes(700.0);
    let finding = only(&findings, Limit::Sink);
    assert!(finding.explanation.contains("71 % of the function's time"), "{}", finding.explanation);
    assert_eq!(only(&sink_takes(100.0), Limit::LambdaFallingBehind).limit, Limit::LambdaFallingBehind);
}

#[test]
fn falling_behind_for_want_of_concurrency_is_one_finding() {
    let findings = found(|evidence| {
        behind(evidence, 50.0);
        evidence.environment.concurrency_limit = Some(1);
        evidence.tests[0].cloudwatch.insert("lambda.Throttles.Sum".into(), 12.0);
    });
    let limits: Vec<Limit> = findings.list.iter().map(|finding| finding.limit).collect();
    assert_eq!(limits, [Limit::LambdaConcurrency]);
    assert!(findings.list[0].evidence.iter().any(|item| item.metric.starts_with("iterator age")));
}

#[test]
fn the_tools_own_reads_after_a_load_are_no_limit() {
    let refused = |re_read: bool, after_s: i64| {
        found(move |evidence| {
            calm(evidence);
            let last = evidence.tests[0].levels.last().expect("levels");
            let end_us = last.started_us.expect("started") + (last.planned_s * 1e6) as i64;
            let points = vec![(end_us / 1_000 + after_s * 1_000, 10.0)];
            let series = MetricSeries { points, ..MetricSeries::default() };
            evidence.cloudwatch.series.insert("kinesis.ReadProvisionedThroughputExceeded.Sum".into(), series);
            evidence.re_read = re_read;
        })
    };
    let is_read = |findings: &Findings| findings.list.iter().any(|found| found.limit == Limit::KinesisRead);
    assert!(!is_read(&refused(true, -30)), "the minute is not over before the load");
    assert!(is_read(&refused(false, -30)));
    assert!(is_read(&refused(true, -60)));
}

#[test]
fn idle_lanes_are_not_told_to_multiply() {
    let findings = found(|evidence| behind(evidence, 50.0));
    assert_eq!(only(&findings, Limit::LambdaFallingBehind).change, None);
}

#[test]
fn throttles_of_the_function_name_the_concurrency_that_the_mapping_needs() {
    let findings = found(|evidence| {
        calm(evidence);
        evidence.environment.parallelization = 5;
        evidence.environment.concurrency_limit = Some(2);
        evidence.tests[0].cloudwatch.insert("lambda.Throttles.Sum".into(), 12.0);
        let points = vec![((START_US / 1_000) + 360_000, 0.0), ((START_US / 1_000) + 420_000, 12.0)];
        let series = MetricSeries { points, ..MetricSeries::default() };
        evidence.cloudwatch.series.insert("lambda.Throttles.Sum".into(), series);
    });
    let finding = only(&findings, Limit::LambdaConcurrency);
    assert_eq!(finding.change, Some(Change::Concurrency { from: 2, to: 5 }));
    assert_eq!((finding.from_rps, finding.at_us), (Some(200.0), Some(START_US + 420_000_000)));
}

#[test]
fn memory_near_its_limit_is_priced_by_the_measured_time() {
    let findings = found(|evidence| {
        calm(evidence);
        evidence.tests[0].levels[1].memory_used_mb_max = Some(480);
        evidence.usage.billed_ms = 1_000_000;
        evidence.usage.load_window_s = 1_000.0;
    });
    let finding = only(&findings, Limit::LambdaMemory);
    // 480 / 0.7 = 685.7, in steps of 64: 704 MB.
    assert_eq!(finding.change, Some(Change::MemoryMb { from: 512, to: 704 }));
    // 192 MB more x 1,000 s x 0.0000166667 = 0.003125 in 1,000 s; x 2,628 of them a month = 8.21.
    assert_eq!(finding.monthly_cost_of_change.map(usd).as_deref(), Some("8.21"));
}

#[test]
fn a_duration_near_the_timeout_is_found() {
    let findings = found(|evidence| {
        calm(evidence);
        evidence.tests[0].cloudwatch.insert("lambda.Duration.Maximum".into(), 55_000.0);
    });
    let change = only(&findings, Limit::LambdaDuration).change;
    assert_eq!(change, Some(Change::TimeoutS { from: 60, to: 110 }));
}

#[test]
fn void_levels_and_full_slots_are_the_generators() {
    let slow = |slowest_ms: f64| {
        move |evidence: &mut Evidence| {
            let level = &mut evidence.tests[0].levels[3];
            level.in_flight_limited = 700;
            level.service_time = level.service_time.map(|service| Dist { max: slowest_ms, ..service });
        }
    };
    let findings = found(slow(60_500.0));
    assert_eq!(only(&findings, Limit::Generator).change, Some(Change::PutBatch));
    let in_flight = only(&findings, Limit::InFlight);
    // 200 records/s x 60.5 s.
    assert_eq!(in_flight.change, Some(Change::MaxInFlight { from: 10_000, to: 12_100 }));
    assert_eq!(only(&found(slow(88.0)), Limit::InFlight).change, None);
    // One in a hundred or fewer is a stall.
    let few = found(|evidence| evidence.tests[0].levels[3].in_flight_limited = 600);
    assert!(few.list.iter().all(|finding| finding.limit != Limit::InFlight));
    // In the order of time: 1.1 before 3.1 before 3.2.
    let order: Vec<Limit> = findings.list.iter().map(|finding| finding.limit).collect();
    assert_eq!(order, [Limit::InFlight, Limit::KinesisWriteRecords, Limit::Generator]);
}

#[test]
fn failures_without_refusals_are_named_by_their_reason() {
    let findings = found(|evidence| {
        calm(evidence);
        let level = &mut evidence.tests[0].levels[1];
        level.failed = 4;
        level.failed_by_reason.insert("unknown_outcome".into(), 4);
    });
    let finding = only(&findings, Limit::PutErrors);
    assert!(finding.explanation.contains("4 unknown_outcome"), "{}", finding.explanation);
    // The level with failures is not known to be carried; the one above it is.
    assert_eq!(findings.known_up_to, None);
}

#[test]
fn function_errors_are_counted() {
    let findings = found(|evidence| {
        calm(evidence);
        evidence.tests[0].cloudwatch.insert("lambda.Errors.Sum".into(), 9.0);
    });
    assert_eq!(only(&findings, Limit::LambdaErrors).evidence[0].value, 9.0);
}

/// A run that ended before its load says nothing about the generator.
#[test]
fn levels_that_never_started_are_no_limit_of_the_generator() {
    let findings = found(|evidence| {
        for level in evidence.tests.iter_mut().flat_map(|test| &mut test.levels) {
            level.void = Some("the level was never started".into());
            level.generator_lag = None;
        }
    });
    assert!(!findings.list.iter().any(|finding| finding.limit == Limit::Generator), "{findings:#?}");
}

/// The calm fixture with one block of 7.5 s.
fn poisoned(change: impl FnOnce(&mut Evidence, &mut Block)) -> Findings {
    found(|evidence| {
        calm(evidence);
        let mut block = Block {
            shard: "shardId-000000000000".into(),
            from_us: START_US + 60_000_000,
            until_us: Some(START_US + 67_500_000),
            failed_attempts: 5,
            poison: [950].into(),
            dead_ranges: 1,
            dead_lettered: vec![(950, 950)],
            ..Block::default()
        };
        evidence.environment.retries = 4;
        evidence.environment.bisect_on_error = true;
        evidence.plan.environment.function.partial_batch_response = true;
        evidence.delivery.duplicated_redelivery = 0;
        change(evidence, &mut block);
        evidence.tests[0].blocked = Some(Blocked { poisoned: 1, blocks: vec![block], added_wait: None });
    })
}

#[test]
fn a_blocked_shard_asks_for_what_would_have_helped_most() {
    let change_of = |findings: &Findings| only(findings, Limit::BlockedShard).change;
    let thrown_away = poisoned(|evidence, block| {
        evidence.environment.bisect_on_error = false;
        (block.dead_lettered, block.dead_good, block.dead_good_unprocessed) = (vec![(900, 999)], 99, 49);
    });
    assert_eq!(change_of(&thrown_away), Some(Change::BisectOnError));
    let finding = only(&thrown_away, Limit::BlockedShard);
    assert_eq!(finding.monthly_cost_of_change, Some(Decimal::ZERO));
    assert!(finding.explanation.contains("held a shard for 7.5 s"), "{}", finding.explanation);
    assert!(finding.explanation.contains("99 were good, and 49 of those"), "{}", finding.explanation);

    let unbounded = poisoned(|evidence, _| evidence.environment.retries = -1);
    assert_eq!(change_of(&unbounded), Some(Change::Retries { from: -1, to: 3 }));
    let twice = poisoned(|evidence, _| {
        evidence.plan.environment.function.partial_batch_response = false;
        evidence.delivery.duplicated_redelivery = 40;
    });
    assert_eq!(change_of(&twice), Some(Change::PartialBatchResponse));
    assert_eq!(change_of(&poisoned(|_, _| {})), Some(Change::Retries { from: 4, to: 1 }));
    let short = poisoned(|_, block| block.until_us = Some(block.from_us + 600_000));
    assert_eq!(change_of(&short), None, "nothing is gained");
}

#[test]
fn one_finding_tells_of_failed_batches() {
    let error = |evidence: &mut Evidence| {
        evidence.tests[0].cloudwatch.insert("lambda.Errors.Sum".into(), 5.0);
    };
    let limits = |findings: &Findings| findings.list.iter().map(|finding| finding.limit).collect::<Vec<_>>();
    let with = poisoned(|evidence, _| error(evidence));
    assert!(!limits(&with).contains(&Limit::LambdaErrors), "{:?}", limits(&with));
    let without = found(|evidence| {
        calm(evidence);
        error(evidence);
    });
    assert!(limits(&without).contains(&Limit::LambdaErrors), "{:?}", limits(&without));
}
