//! Two runs by hand: what is said of each difference, and what `--fail-on` makes of it.

use serde_json::{Value, json};

use super::*;
use crate::evidence::cells::Traffic;
use crate::verdict::Verdict;

/// A run of one test with a ramp and a hold, put p50 and p95 as given, as its report.json has it.
fn report(id: &str, put_ms: f64) -> Value {
    let latency = |p50: f64| json!({"count": 6_000, "p50": p50, "p95": p50 * 2.0, "p99": p50 * 3.0});
    let level = |name: &str, kind: &str, judged: bool| {
        json!({
            "name": name, "kind": kind, "users": null, "target_rps": 200.0, "achieved_rps": 200.0,
            "started_at": "2026-11-21T10:00:00Z", "duration_s": 30.0, "finished": true, "judged": judged,
            "throttled": 0, "success_percent": 100.0, "void": null, "put_latency_ms": latency(put_ms),
            "service_time_ms": latency(put_ms - 1.0), "e2e_latency_ms": latency(300.0),
            "iterator_age_ms_max": 640.0, "records_per_invocation": 80.0, "cost_per_million": "0.0423",
            "delivery": {"lost": 0, "duplicated": {"producer": 0, "redelivery": 0}},
            "added_by_a_newer_version": [1, 2],
        })
    };
    json!({
        "schema": "streamgauge/report/v1",
        "run": {
            "id": id, "plan": "p", "plan_hash": "0f1e2d3c4b5a6978", "target": "local", "region": "us-east-1", "host": "h",
            "tool_version": "0.1.0", "started_at": format!("2026-11-21T10:00:0{}Z", id.len() % 10), "end": "completed",
            "rehearsal": false, "faults": [], "verdict": "pass",
        },
        "environment": {"name": "default", "stream": {"name": "s", "shards": 1}, "function": {"memory_mb": 512}},
        "tests": [{
            "id": "1.1", "name": "Small", "payload": {"name": "small", "bytes": 100}, "finished": true, "drain_s": 0.5,
            "levels": [level("0 -> 200/s ramp", "ramp", false), level("200/s hold", "hold", true)],
        }],
        "cost": {"prices_as_of": "2026-11-01"},
    })
}

/// Thirty seconds of put latencies around `put_ms`, each second a little off.
fn level_cells(put_ms: f64) -> LevelCells {
    let second = |second: u64| {
        let off = 1.0 + 0.02 * ((second * 7 % 11) as f64 - 5.0) / 5.0;
        let us = |ms: f64| (ms * off * 1_000.0) as u64;
        vec![(us(put_ms), 110), (us(put_ms * 1.5), 75), (us(put_ms * 2.0), 12), (us(put_ms * 3.0), 3)]
    };
    let cells: Vec<_> = (0..30).map(second).collect();
    let traffic = (0..29).map(|_| Traffic { seconds: 1, acked: 200, failed: 0, throttled: 0 }).collect();
    LevelCells { put_latency: cells.clone(), service_time: cells.clone(), e2e: cells, traffic }
}

fn with_cells(report: Value, put_ms: f64) -> Side {
    let kept = KeptRun::from_value(report).expect("a report");
    let cells = kept.tests.iter().map(|test| test.levels.iter().map(|_| level_cells(put_ms)).collect());
    Side { cells: Ok(cells.collect()), kept, plan: None }
}

fn side(id: &str, put_ms: f64) -> Side {
    with_cells(report(id, put_ms), put_ms)
}

fn figure<'c>(comparison: &'c Comparison, level: usize, key: &str) -> &'c FigureChange {
    let level = &comparison.tests[0].levels[level];
    level.figures.iter().find(|figure| figure.figure == key).expect("the figure")
}

fn hold(report: &mut Value) -> &mut Value {
    &mut report["tests"][0]["levels"][1]
}

#[test]
fn a_slower_run_differs_and_a_like_one_does_not() {
    let slower = compare(&side("a", 10.0), &side("bb", 14.0), &[], None);
    let put = figure(&slower, 1, "put_latency.p50");
    assert_eq!((put.says, put.difference, put.percent), (Says::Larger, Some(4.0), Some(40.0)), "{put:?}");
    let [low, high] = put.interval_percent.expect("an interval");
    assert!(low > 30.0 && low < 40.0 && high > 40.0 && high < 50.0, "{put:?}");
    assert_eq!(put.is_worse(), Some(true));
    assert_eq!((slower.verdict, slower.regressions.len()), (None, 0), "a difference alone is no failure");
    assert_eq!(slower.configuration, []);

    let like = compare(&side("a", 10.0), &side("bb", 10.02), &[], None);
    assert_eq!(figure(&like, 1, "put_latency.p50").says, Says::WithinNoise);
    assert_eq!(like.larger().count(), 0, "{like:?}");
    // Above the noise of cells that hardly vary, and still less than the timers tell.
    let grain = compare(&side("a", 10.0), &side("bb", 10.9), &[], None);
    assert_eq!(figure(&grain, 1, "put_latency.p50").says, Says::WithinNoise);
    assert_eq!(figure(&grain, 1, "service_time.p50").says, Says::Larger, "it waits for no timer");
}

#[test]
fn the_same_runs_give_the_same_bytes() {
    let text = || serde_json::to_string(&compare(&side("a", 10.0), &side("bb", 11.5), &[], Some(5.0)));
    assert_eq!(text().expect("JSON"), text().expect("JSON"));
}

#[test]
fn a_regression_fails_where_it_is_larger_than_allowed_and_than_the_noise() {
    let verdict =
        |put_ms, allowed| compare(&side("a", 10.0), &side("bb", put_ms), &[], Some(allowed)).verdict;
    assert_eq!(verdict(14.0, 10.0), Some(Verdict::Fail));
    assert_eq!(verdict(14.0, 50.0), Some(Verdict::Pass), "less than is allowed");
    assert_eq!(verdict(10.02, 0.0), Some(Verdict::Pass), "within the noise");
    assert_eq!(verdict(7.0, 10.0), Some(Verdict::Pass), "better");
    let failed = compare(&side("a", 10.0), &side("bb", 14.0), &[], Some(10.0));
    assert!(failed.regressions.iter().all(|found| found.level == "200/s hold"), "the ramp is not judged");
    assert!(failed.regressions[0].percent >= failed.regressions[1].percent, "{:?}", failed.regressions);
}

#[test]
fn what_was_zero_counts_whatever_is_allowed() {
    for (key, value) in [("throttled", json!(3)), ("delivery", json!({"lost": 1, "duplicated": {}}))] {
        let mut worse = report("bb", 10.0);
        hold(&mut worse)[key] = value;
        let found = compare(&side("a", 10.0), &with_cells(worse, 10.0), &[], Some(1_000.0));
        assert_eq!(found.verdict, Some(Verdict::Fail), "{key}: {found:?}");
        assert_eq!((found.regressions.len(), found.regressions[0].percent), (1, None));
    }
}

#[test]
fn a_judged_level_that_cannot_be_judged_is_inconclusive() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 6] = [
        (|report| hold(report)["name"] = json!("300/s hold"), "only the run before has it"),
        (|report| hold(report)["void"] = json!("the generator lagged"), "void after: the generator lagged"),
        (|report| hold(report)["finished"] = json!(false), "it did not finish after"),
        (|report| hold(report)["users"] = json!({"from": 1, "target": 5}), "closed one"),
        (|report| hold(report)["delivery"] = Value::Null, "lost was not measured after"),
        (|report| report["tests"][0]["payload"]["bytes"] = json!(500), "100 bytes before and 500 after"),
    ];
    for (edit, expected) in cases {
        let mut other = report("bb", 10.0);
        edit(&mut other);
        let found = compare(&side("a", 10.0), &with_cells(other, 10.0), &[], Some(10.0));
        assert_eq!(found.verdict, Some(Verdict::Inconclusive), "{expected}: {found:?}");
        let told = found.inconclusive.join("\n");
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn levels_that_cannot_be_compared_have_no_numbers() {
    let mut other = report("bb", 20.0);
    other["tests"][0]["payload"]["bytes"] = json!(500);
    let found = compare(&side("a", 10.0), &with_cells(other, 20.0), &[], None);
    assert!(found.tests[0].levels.iter().all(|level| level.not_comparable.is_some()), "{found:?}");
    assert!(found.tests[0].levels.iter().all(|level| level.figures.is_empty()));
}

#[test]
fn a_report_without_evidence_has_figures_and_no_intervals() {
    let only_report = Side { cells: Err("there is only its report.json".into()), ..side("bb", 14.0) };
    let found = compare(&side("a", 10.0), &only_report, &[], Some(10.0));
    let put = figure(&found, 1, "put_latency.p50");
    assert_eq!((put.difference, put.interval, put.says), (Some(4.0), None, Says::NotKnown));
    assert_eq!(found.verdict, Some(Verdict::Inconclusive), "{:?}", found.inconclusive);
    assert!(found.notes.iter().any(|note| note.contains("only its report.json")), "{:?}", found.notes);
}

#[test]
fn too_few_intervals_give_none() {
    let mut short = side("bb", 14.0);
    for cells in short.cells.as_mut().expect("cells").iter_mut().flatten() {
        cells.put_latency.truncate(7);
    }
    let found = compare(&side("a", 10.0), &short, &[], None);
    let put = figure(&found, 1, "put_latency.p95");
    assert_eq!((put.says, put.interval), (Says::NotKnown, None));
    assert_eq!(put.reason.as_deref(), Some("only 7 intervals, 8 are needed"));
    // 30 records leave none beyond p99.
    let mut rare = side("bb", 14.0);
    for cells in rare.cells.as_mut().expect("cells").iter_mut().flatten() {
        cells.put_latency.iter_mut().for_each(|cell| *cell = vec![(14_000, 1)]);
    }
    let found = compare(&side("a", 10.0), &rare, &[], None);
    assert_eq!(figure(&found, 1, "put_latency.p99").reason.as_deref(), Some("only 30 samples"));
    assert_eq!(figure(&found, 1, "put_latency.p50").says, Says::Larger);
}

#[test]
fn a_difference_that_earlier_runs_had_as_well_is_none() {
    let earlier: Vec<KeptRun> = [9.0, 15.0, 10.0].map(|put_ms| side("e", put_ms).kept).into();
    let found = compare(&side("a", 10.0), &side("bb", 14.0), &earlier, Some(10.0));
    let put = figure(&found, 1, "put_latency.p50");
    assert_eq!((put.says, put.earlier_range), (Says::WithinEarlier, Some([9.0, 15.0])));
    assert_eq!(found.verdict, Some(Verdict::Pass), "{:?}", found.regressions);
    let beyond = compare(&side("a", 10.0), &side("bb", 16.0), &earlier, Some(10.0));
    assert_eq!(beyond.verdict, Some(Verdict::Fail));
    // Three in all are too few to say so.
    let few = compare(&side("a", 10.0), &side("bb", 14.0), &earlier[..2], Some(10.0));
    assert_eq!((figure(&few, 1, "put_latency.p50").says, few.earlier_runs.used), (Says::Larger, false));
}

#[test]
fn a_rate_that_occurs_twice_is_matched_in_its_order() {
    let twice = |id: &str, second_ms: f64| {
        let mut twice = report(id, 10.0);
        let mut again = report(id, second_ms)["tests"][0]["levels"][1].clone();
        again["started_at"] = json!("2026-11-21T10:10:00Z");
        twice["tests"][0]["levels"].as_array_mut().expect("levels").push(again);
        twice
    };
    let found = compare(&with_cells(twice("a", 10.0), 10.0), &with_cells(twice("bb", 15.0), 10.0), &[], None);
    assert_eq!(found.tests[0].levels[2].title(), "200/s hold (2)");
    assert_eq!(figure(&found, 1, "put_latency.p50").difference, Some(0.0));
    assert_eq!(figure(&found, 2, "put_latency.p50").difference, Some(5.0));
    let one = compare(&side("a", 10.0), &with_cells(twice("bb", 10.0), 10.0), &[], None);
    let [only] = one.unmatched.as_slice() else { panic!("{:?}", one.unmatched) };
    assert_eq!((only.title().as_str(), only.only_in.as_str()), ("200/s hold (2)", "after"));
}

#[test]
fn every_setting_that_differs_is_told() {
    let mut other = report("bb", 10.0);
    other["environment"] = json!({"name": "default", "stream": {"name": "s", "shards": 2}, "function": {"memory_mb": 1024, "retries": 3}});
    other["run"]["faults"] = json!(["latency:for=20ms"]);
    other["run"]["rehearsal"] = json!(true);
    let found = compare(&side("a", 10.0), &with_cells(other, 10.0), &[], None);
    let told: Vec<String> = found
        .configuration
        .iter()
        .map(|found| format!("{} {} {}", found.setting, found.before, found.after))
        .collect();
    let expected = [
        "kind run rehearsal",
        "faults none latency:for=20ms",
        "environment.function.memory_mb 512 1024",
        "environment.function.retries not told 3",
        "environment.stream.shards 1 2",
    ];
    assert_eq!(told, expected);
    assert_eq!(found.columns(), ["measured", "predicted"]);
}

#[test]
fn what_is_no_report_is_refused() {
    for (text, expected) in [
        ("{", "EOF"),
        ("[]", "no 'schema'"),
        ("{}", "no 'schema'"),
        (r#"{"schema":"streamgauge/report/v2"}"#, "streamgauge/report/v2"),
        (r#"{"schema":"streamgauge/report/v11"}"#, "streamgauge/report/v11"),
    ] {
        let why = KeptRun::parse(text.as_bytes()).expect_err(text);
        assert!(why.contains(expected), "{text}: {why}");
    }
    assert!(KeptRun::parse(br#"{"schema":"streamgauge/report/v1.2","new":1}"#).is_ok());
}
