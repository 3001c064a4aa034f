//! Outage drills in virtual time: the shipped plan catches up when arithmetic says so, other parallelizations do what the
//! report computed for them, and the stream loses records beyond the outage that the report allows, and not before.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use streamgauge::plan;
use support::{Listener, Ran, shipped, test_of_plan};

/// A function that takes this long for each batch, beyond what the plan asks for.
struct Working(Duration);
impl Listener for Working {
    fn work(&self) -> Duration {
        self.0
    }
}

async fn ran(text: &str, files: &BTreeMap<String, Bytes>, work_ms: u64) -> Ran {
    let plan = plan::parse_with(text, files).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    test_of_plan(plan, &[], 1, &Arc::new(Working(Duration::from_millis(work_ms)))).await
}

fn action(ran: &Ran) -> &Value {
    &ran.report["tests"][0]["actions"][0]
}

fn recovery(ran: &Ran, key: &str) -> f64 {
    action(ran)["recovery"][key].as_f64().unwrap_or_else(|| panic!("{key}: {}", action(ran)))
}

/// `text` with one thing changed that it must have.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the shipped plan has changed: no '{from}'");
    text.replacen(from, to, 1)
}

/// Each quarter of an hour of the shipped plan's series lasts this long here.
const ROW_S: usize = 30;
/// The consumer is off from the beginning of the first of these rows to that of the second.
const OFF_ROWS: (usize, usize) = (8, 16);
/// Records a second of one lane: the plan's batch size, 400 ms each.
const LANE_RPS: f64 = 25.0;

fn rates() -> Vec<f64> {
    let rows: Vec<f64> = shipped("outage-rates.csv")
        .lines()
        .skip(1)
        .map(|row| row.split_once(',').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(rows.len(), 24, "six hours of quarters");
    rows
}

/// Seconds from the end of the outage until a queue is empty that takes in the rates and gives out what its lanes take.
fn catch_up_s(rates: &[f64], lanes: f64) -> f64 {
    let mut backlog: f64 = rates[OFF_ROWS.0..OFF_ROWS.1].iter().map(|rps| rps * ROW_S as f64).sum();
    let later = rates[OFF_ROWS.1..].iter().flat_map(|rps| std::iter::repeat_n(*rps, ROW_S));
    for (second, rps) in (1u32..).zip(later) {
        backlog += rps - LANE_RPS * lanes;
        if backlog <= 0.0 {
            return f64::from(second);
        }
    }
    panic!("the series is too short to catch up");
}

async fn drill(parallelization: u32) -> Ran {
    let mut text = changed(
        &shipped("outage.yaml"),
        "{at: 2h, disable_mapping: {for: 2h}}",
        "{at: 4m, disable_mapping: {for: 4m}}",
    );
    text = changed(&text, "parallelization: 1", &format!("parallelization: {parallelization}"));
    // Hours have become minutes.
    text = changed(&text, "iterator_age.max < 130m", "iterator_age.max < 260s");
    text = changed(&text, "drain_time < 120m", "drain_time < 240s");
    let rows = rates().into_iter().enumerate().map(|(row, rps)| format!("{},{rps}\n", row * ROW_S));
    let series = format!("time_s,rate\n{}", rows.collect::<String>());
    ran(&text, &BTreeMap::from([("outage-rates.csv".to_owned(), series.into())]), 0).await
}

#[tokio::test(start_paused = true)]
async fn the_shipped_drill_catches_up_when_arithmetic_says_so() {
    let one = drill(1).await;
    assert_eq!(one.report["run"]["verdict"], "pass", "{:#}", one.report["tests"][0]["criteria"]);
    let backlog: f64 = rates()[OFF_ROWS.0..OFF_ROWS.1].iter().map(|rps| rps * ROW_S as f64).sum();
    let most = action(&one)["backlog_max_records"].as_f64().unwrap();
    assert!((backlog * 0.98..backlog * 1.02).contains(&most), "{most} of {backlog}");
    let near = |found: f64, expected: f64, by: f64| (found - expected).abs() <= by * expected;
    let expected_s = catch_up_s(&rates(), 1.0);
    let found_s = action(&one)["catch_up_s"].as_f64().unwrap();
    assert!(near(found_s, expected_s, 0.05), "{found_s} of {expected_s}: {}", action(&one));
    assert!(near(recovery(&one, "processed_rps"), LANE_RPS, 0.03), "{}", action(&one));
    assert!(near(recovery(&one, "oldest_record_s"), 240.0, 0.03), "{}", action(&one));
    assert!(recovery(&one, "lanes_busy_percent") > 95.0, "{}", action(&one));
    assert_eq!(one.report["findings"].as_array().unwrap().len(), 0, "{}", one.report["findings"]);

    // What one lane showed is what two do: neither arithmetic nor this test is the other's source.
    let computed = &action(&one)["recovery"]["sooner"][0];
    assert_eq!(computed["parallelization"], 2);
    let two = drill(2).await;
    let found_s = action(&two)["catch_up_s"].as_f64().unwrap();
    let computed_s = computed["catch_up_s"].as_f64().unwrap();
    assert!(near(found_s, computed_s, 0.1), "{found_s}, computed {computed_s}: {}", action(&two));
    assert!(near(found_s, catch_up_s(&rates(), 2.0), 0.1), "{found_s}: {}", action(&two));
}

/// Retention of the stream: the shortest that there is.
const RETENTION_S: u64 = 24 * 3_600;
/// Records a second before, at the beginning of, and after the outage; in between there are none.
const RPS: u64 = 2;
/// That long is load at each end of the outage.
const LOAD_S: u64 = 120;
/// Of virtual time that is not jumped over.
const KEPT_S: u64 = 900;

/// An outage of `off_s`, almost all of which the clock jumps over: nothing is due then.
async fn off_for(off_s: u64) -> Ran {
    let text = format!(
        "schema: streamgauge/plan/v1\nname: off\nenvironment: {{function: {{batch_size: 10}}}}\n\
         phases:\n  - name: a\n    tests:\n      - id: a\n        name: t\n        payload: small\n        stages:\n          \
         - {{duration: {LOAD_S}s, from: {RPS}, target: {RPS}}}\n          \
         - {{duration: {LOAD_S}s, target: {RPS}, actions: [{{disable_mapping: {{for: {off_s}s}}}}]}}\n          \
         - {{duration: {}s, from: 0, target: 0}}\n          \
         - {{duration: {LOAD_S}s, from: {RPS}, target: {RPS}}}\n        criteria: [lost == 0]\n",
        off_s - LOAD_S
    );
    if off_s > 2 * KEPT_S {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2 * LOAD_S + KEPT_S / 2)).await;
            tokio::time::advance(Duration::from_secs(off_s - KEPT_S)).await;
        });
    }
    ran(&text, &BTreeMap::new(), 250).await
}

#[tokio::test(start_paused = true)]
async fn records_expire_beyond_the_outage_that_the_report_allows_and_not_before() {
    let short = off_for(2 * LOAD_S).await;
    assert_eq!(short.report["run"]["verdict"], "pass", "{:#}", short.report["tests"][0]["criteria"]);
    let allowed_s = recovery(&short, "longest_outage_s");
    assert!((RETENTION_S as f64 - 10.0..=RETENTION_S as f64).contains(&allowed_s), "{}", action(&short));

    let within = off_for(allowed_s as u64 - 30).await;
    let delivery = &within.report["delivery"];
    assert_eq!((&delivery["lost"], &delivery["expired"]), (&0.into(), &0.into()), "{delivery}");
    assert_eq!(
        (&delivery["delivered"], &delivery["unconfirmed"]),
        (&delivery["acked"], &0.into()),
        "{delivery}"
    );
    let margin_s = recovery(&within, "retention_margin_s");
    assert!((20.0..40.0).contains(&margin_s), "{}", action(&within));

    let beyond_s = 60;
    let beyond = off_for(allowed_s as u64 + beyond_s).await;
    let delivery = &beyond.report["delivery"];
    let lost = delivery["lost"].as_u64().unwrap();
    let expected = RPS * beyond_s;
    assert!((expected - 12..=expected + 12).contains(&lost), "{lost} of {expected}: {delivery}");
    assert_eq!((&delivery["expired"], &delivery["unconfirmed"]), (&lost.into(), &0.into()), "{delivery}");
    assert_eq!(
        delivery["acked"].as_u64().unwrap(),
        delivery["delivered"].as_u64().unwrap() + lost,
        "{delivery}"
    );
    assert_eq!(beyond.report["run"]["verdict"], "fail", "{:#}", beyond.report["tests"][0]["criteria"]);
    let told = beyond.report["summary"].to_string();
    assert!(told.contains("retention was over before the function was handed them"), "{told}");
    let noted = beyond.report["notes"].to_string();
    assert!(!noted.contains("may have been trimmed"), "{noted}");
    // The tool's own reading of the stream is no other reader of it.
    assert!(!beyond.report["findings"].to_string().contains("Kinesis read"), "{}", beyond.report["findings"]);
}
