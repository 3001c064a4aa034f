//! The main job in virtual time, with other loads than a rate of our own payloads: virtual users.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use serde_json::{Value, json};
use support::test;

const USERS: &str = r#"
schema: streamgauge/plan/v1
name: users
phases:
  - name: Users
    tests:
      - id: users
        name: Ten users
        payload: small
        users: {think_time: 450ms}
        attempt_timeout: 30s
        stages:
          - {duration: 10s, target: 10}
          - {duration: 30s, target: 10}
        criteria: [success_rate > 99%, put_latency.p95 < 1s]
      - id: rate
        name: A rate behind them
        payload: small
        stages: [{duration: 2s, target: 50}, {duration: 5s, target: 50}]
        criteria: [throughput_ratio >= 99%]
"#;

fn levels(report: &Value, test: usize) -> &Vec<Value> {
    report["tests"][test]["levels"].as_array().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_users_is_what_the_answers_make_it() {
    let ran = test(USERS, &["latency:for=50ms,op=PutRecord"], 1).await;
    let report = &ran.report;
    assert_eq!(report["run"]["verdict"], "pass", "{:#}", report["tests"][0]["criteria"]);
    let hold = &levels(report, 0)[1];
    assert_eq!((&hold["achieved_rps"], &hold["acked"]), (&json!(20.0), &json!(600)), "{hold:#}");
    assert_eq!(hold["users"], json!({"from": 10, "target": 10}));
    assert_eq!(hold["name"], "closed loop, 10 users hold");
    let known = [&hold["target_rps"], &hold["from_rps"], &hold["generator_lag_ms"]];
    assert!(known.iter().all(|value| value.is_null()), "{hold:#}");
    let said = report["tests"][0]["closed_loop"].as_str().unwrap();
    assert!(
        said.contains("would have sent 22.2 records/s; they sent 20, and waited for answers 10"),
        "{said}"
    );
    assert!(said.contains("coordinated omission"), "{said}");
    // Nothing is lost between the levels, whose records are known only afterwards.
    let delivery = &report["delivery"];
    let sent: u64 =
        (0..2).flat_map(|test| levels(report, test)).map(|level| level["sent"].as_u64().unwrap()).sum();
    assert_eq!((&delivery["acked"], &delivery["delivered"]), (&json!(sent), &json!(sent)), "{delivery}");
    assert_eq!((&delivery["lost"], &delivery["unconfirmed"]), (&json!(0), &json!(0)), "{delivery}");
    for test in 0..2 {
        for level in levels(report, test) {
            assert_eq!(level["delivery"]["delivered"], level["acked"], "{level:#}");
        }
    }
    assert_eq!(levels(report, 1)[1]["acked"], 250, "the numbers go on behind the users'");
    let html = std::fs::read_to_string(ran.dir.join("report.html")).unwrap();
    assert!(html.contains("coordinated omission"), "every format says so");
    let markdown = std::fs::read_to_string(ran.dir.join("report.md")).unwrap();
    assert!(markdown.contains("coordinated omission"));
}

#[tokio::test(start_paused = true)]
async fn a_stalling_target_is_sent_less_and_the_report_says_so() {
    let faults =
        ["latency:for=50ms,op=PutRecord", "stall:every=10s,for=5s,op=PutRecord", "drop:count=7,seed=3"];
    let ran = test(USERS, &faults, 1).await;
    let hold = &levels(&ran.report, 0)[1];
    let achieved_rps = hold["achieved_rps"].as_f64().unwrap();
    assert!((8.0..=13.0).contains(&achieved_rps), "half of the time it stood still: {hold:#}");
    let said = ran.report["tests"][0]["closed_loop"].as_str().unwrap();
    assert!(said.contains("would have sent 22.2 records/s; they sent 1"), "{said}");
    // What a fault swallowed is found, though no level's number of records was planned.
    let dropped = ran.truth.iter().filter(|event| event.kind == "drop").count();
    assert!(dropped > 0, "{:?}", ran.truth);
    assert_eq!(ran.report["delivery"]["lost"], dropped, "{}", ran.report["delivery"]);
}
