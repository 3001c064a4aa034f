use super::capacity::Used;
use super::*;
use crate::evidence::model::{FlagRaised, MetricSeries, PutBytes};
use crate::report::html;
use crate::report::model::ReportModel;
use crate::report::testing::*;
use crate::verdict::fixture::START_US;

fn charts(change: impl FnOnce(&mut Evidence)) -> TestCharts {
    changed(change).tests.swap_remove(0).charts
}

fn at(charts: &TestCharts, second: usize) -> &Point {
    charts.points.iter().find(|point| point.at_s == second as f64).expect("a point")
}

fn series(points: &[(i64, f64)]) -> MetricSeries {
    let points = points.iter().map(|(minute, value)| (START_US / 1_000 + minute * 60_000, *value)).collect();
    MetricSeries { stat: "Maximum".into(), period_s: 60, points, ..MetricSeries::default() }
}

/// 40 s after the start the mapping is off for 20 s at 10 records/s; then 210 records are processed in one second.
fn held_up(evidence: &mut Evidence) {
    acted(evidence);
    let start_ms = START_US / 1_000;
    for row in &mut evidence.function_seconds {
        match (row.at_ms - start_ms) / 1_000 {
            40..60 => row.settled = 0,
            60 => (row.settled, row.busy_ms, row.cold_starts) = (210, 2_500.0, 3),
            _ => {}
        }
    }
}

#[test]
fn a_backlog_grows_while_nothing_is_processed_and_is_gone_afterwards() {
    let charts = charts(held_up);
    assert_eq!(charts.seconds_per_point, 3, "664 s are more than 300 points");
    let backlog: Vec<(f64, f64)> = charts
        .points
        .iter()
        .filter_map(|point| Some((point.at_s, point.backlog_records?)))
        .filter(|(_, records)| *records > 0.0)
        .collect();
    // 10 a second from second 40 on: of the three seconds of a point the last has most; at the end of second 60 all
    // are processed.
    let expected: Vec<(f64, f64)> =
        (0..7).map(|n| (39.0 + 3.0 * f64::from(n), 20.0 + 30.0 * f64::from(n))).collect();
    assert_eq!(backlog, expected);
    let busy = at(&charts, 60);
    assert_eq!((busy.concurrency, busy.cold_starts), (Some(2.5), Some(3.0)));
    assert_eq!(at(&charts, 0).cold_starts, Some(1.0));
}

#[test]
fn without_receipts_there_is_no_backlog() {
    let charts = charts(|evidence| {
        unmeasured(evidence);
        evidence.function_seconds.clear();
    });
    assert!(charts.points.iter().all(|point| point.backlog_records.is_none() && point.concurrency.is_none()));
    let page = html(&changed(|evidence| {
        unmeasured(evidence);
        evidence.function_seconds.clear();
    }));
    for title in ["Backlog over time", "Concurrency and cold starts over time"] {
        assert!(!page.contains(title), "{title}");
    }
    assert!(page.contains("Rate over time"));
}

#[test]
fn flags_and_actions_are_marked_in_every_chart_over_time() {
    let flag = |evidence: &Evidence, after_s: i64, level: Option<u32>| FlagRaised {
        at_us: START_US + after_s * 1_000_000,
        level,
        ..evidence.flags[0].clone()
    };
    let model = changed(|evidence| {
        let flags =
            vec![flag(evidence, 332, Some(2)), flag(evidence, 166, Some(1)), flag(evidence, 9_999, None)];
        held_up(evidence);
        evidence.flags = flags;
        evidence.cloudwatch.series.insert("lambda.Throttles.Sum".into(), series(&[(1, 0.0), (2, 4.0)]));
    });
    let charts = &model.tests[0].charts;
    let marked: Vec<(&str, f64)> = charts.flags.iter().map(|flag| (flag.key.as_str(), flag.at_s)).collect();
    assert_eq!(
        marked,
        [("A", 166.0), ("B", 332.0)],
        "in order of time; the third is of no level of this test"
    );
    assert_eq!(charts.actions.len(), 1, "one was refused, one never began");
    let page = html(&model);
    // 664 s are 558 wide from x 68: a quarter and a half of it.
    for x in ["207.5", "347"] {
        let line = format!(r#"<line class="mark" x1="{x}" x2="{x}""#);
        assert_eq!(
            page.matches(&line).count(),
            6,
            "{x}: rate, put, end to end, backlog, function, throttles"
        );
    }
    assert_eq!(page.matches(r#"<g class="mark act">"#).count(), 6);
    assert!(
        page.contains("2:46 <strong>write_throughput_exceeded</strong> on 10/s hold: 3 refusals in a second")
    );
    assert!(page.contains("0:40 to 1:00 mapping disabled for 20s</li>"));
}

#[test]
fn cloudwatch_stands_as_steps_over_its_minutes() {
    let points: Vec<(i64, f64)> = (-2..900).map(|minute| (minute, minute as f64)).collect();
    let charts = charts(|evidence| {
        complete(evidence);
        evidence.cloudwatch.series.insert("lambda.ConcurrentExecutions.Maximum".into(), series(&points));
    });
    let first = charts.concurrency[0];
    assert_eq!((first.from_s, first.to_s, first.value), (0.0, 60.0, 0.0), "those of before are of no test");
    assert_eq!(charts.concurrency.len(), 12);
    assert_eq!(charts.concurrency[11].to_s, 664.0, "the last is cut at the end");
    assert_eq!(charts.throttles, [], "nothing pulled, nothing shown");
}

#[test]
fn percentiles_are_drawn_of_the_judged_levels_of_the_highest_rates() {
    let charts = charts(complete);
    let drawn: Vec<&str> = charts.spectra.put.iter().map(|one| one.level.as_str()).collect();
    assert_eq!(drawn, ["10/s hold", "200/s hold"]);
    assert_eq!(charts.spectra.service.as_ref().map(|one| one.level.as_str()), Some("200/s hold"));
    assert!(charts.spectra.left_out.is_empty());
    let model = changed(|evidence| {
        complete(evidence);
        let hold = evidence.tests[0].levels[3].clone();
        evidence.tests[0].levels = (1..=7)
            .map(|nth| crate::evidence::model::LevelEvidence {
                index: nth,
                name: format!("{nth}00/s hold"),
                achieved_rps: f64::from(nth) * 100.0,
                void: (nth == 7).then(|| "the generator was the limit".to_owned()),
                ..hold.clone()
            })
            .collect();
    });
    let spectra = &model.tests[0].charts.spectra;
    let drawn: Vec<&str> = spectra.put.iter().map(|one| one.level.as_str()).collect();
    assert_eq!(drawn, ["200/s hold", "300/s hold", "400/s hold", "500/s hold", "600/s hold"]);
    assert_eq!(spectra.left_out, ["100/s hold"]);
    assert!(html(&model).contains("Left out: 100/s hold."));
    // 60,000 records support 99.998 %, of which the fixture has 0, 50, 95, 99 and 99.9: p50 12 ms is at 0.3 decades.
    let page = html(&changed(complete));
    assert!(page.contains("Put latency by percentile"));
    assert!(page.contains(">99.9</text>") && !page.contains(">99.99</text>"), "no more than was measured");
}

#[test]
fn capacity_is_held_against_what_is_paid_for() {
    let used = |change: fn(&mut Evidence)| {
        charts(|evidence| {
            complete(evidence);
            let put = PutBytes { bytes: 300 * 524_288, bytes_rounded_1k: 0, put_payload_units: 0 };
            evidence.tests[0].levels[3].put = Some(put);
            let read = MetricSeries {
                stat: "Sum".into(),
                ..series(&[(6, 60.0 * 1_048_576.0), (7, 60.0 * 1_048_576.0), (0, 1e12)])
            };
            evidence.cloudwatch.series.insert("kinesis.GetRecords.Bytes.Sum".into(), read);
            change(evidence);
        })
        .used
        .swap_remove(3)
    };
    let shares: Vec<Option<f64>> =
        used(|_| {}).shares.iter().map(|share| share.as_ref().ok().map(Used::percent)).collect();
    // 200 of 1,000 records/s; 0.5 of 1 MiB/s; 1 of 2 MiB/s in whole minutes inside the level alone; three invocations of
    // 11 ms a second on one lane; 92 of 512 MB.
    let expected = [20.0, 50.0, 50.0, 3.3, 17.97];
    for (share, expected) in shares.iter().zip(expected) {
        assert!((share.expect("known") - expected).abs() < 0.01, "{shares:?}");
    }
    let on_demand = used(|evidence| evidence.environment.stream_mode = "on-demand".into());
    assert!(
        on_demand.shares[..4]
            .iter()
            .all(|share| share == &Err("an on-demand stream has no shards to pay for"))
    );
    assert!(on_demand.shares[4].is_ok());
    let limited = used(|evidence| {
        evidence.environment.shards = 4;
        evidence.environment.parallelization = 10;
        evidence.environment.concurrency_limit = Some(5);
    });
    assert_eq!(limited.shares[3].as_ref().map(|used| used.paid), Ok(5.0));
    assert_eq!(limited.shares[0].as_ref().map(|used| used.paid), Ok(4_000.0));
    let resharded = used(|evidence| {
        acted(evidence);
        evidence.tests[0].actions.truncate(1);
        evidence.tests[0].actions[0].kind = "reshard".into();
    });
    assert_eq!(resharded.shares[0], Err("the number of shards changed during the test"));
    let unseen = used(|evidence| evidence.delivery.measured = false);
    assert_eq!(unseen.shares[3], Err("not measured without receipts"));
}

/// A day second by second, with a flag, an action, CloudWatch and all else that is drawn.
fn a_day() -> ReportModel {
    changed(|evidence| {
        held_up(evidence);
        let (row, seen) = (evidence.seconds[0].clone(), evidence.receipt_seconds[0].clone());
        let start_ms = START_US / 1_000;
        evidence.tests[0].levels[3].planned_s = 86_040.0;
        evidence.tests[0].ended_us = Some((start_ms + 86_400_000) * 1_000);
        let noise = |second: i64| ((second * 7_919) % 1_000) as f64;
        evidence.seconds = (0..86_400)
            .map(|second| SecondRow {
                at_ms: start_ms + second * 1_000,
                level: 3,
                acked: 900 + noise(second) as u64 / 10,
                put_p50_ms: 10.0 + noise(second) / 100.0,
                put_p95_ms: 20.0 + noise(second) / 10.0,
                ..row.clone()
            })
            .collect();
        evidence.receipt_seconds = (0..86_400)
            .map(|second| ReceiptSecond {
                at_ms: start_ms + second * 1_000,
                records: 900,
                e2e_p95_ms: 400.0 + noise(second),
                iterator_age_max_ms: 300.0 + noise(second),
                ..seen.clone()
            })
            .collect();
        evidence.function_seconds = (0..86_400)
            .map(|second| FunctionSecond {
                at_ms: start_ms + second * 1_000,
                busy_ms: 500.0 + noise(second),
                cold_starts: u64::from(second % 3_600 == 0),
                settled: 900,
            })
            .collect();
        let minutes: Vec<(i64, f64)> = (0..1_440).map(|minute| (minute, noise(minute))).collect();
        for key in ["lambda.ConcurrentExecutions.Maximum", "lambda.Throttles.Sum"] {
            evidence.cloudwatch.series.insert(key.into(), series(&minutes));
        }
    })
}

#[test]
fn a_page_of_a_day_is_bounded() {
    let mut model = a_day();
    let page = html(&model);
    assert!(page.contains("24 h</text>"), "whole hours at the axis");
    assert_eq!(page.matches("<figure>").count(), 12, "everything is drawn");
    assert!(page.len() < 250_000, "{} bytes", page.len());
    // As many as the weekly campaign has.
    model.tests = vec![model.tests[0].clone(); 15];
    let page = html(&model);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
}
