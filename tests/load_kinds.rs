//! The main job in virtual time, with other loads than a rate of our own payloads: virtual users, templates,
//! replayed records.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use streamgauge::plan;
use support::{Listener, test, test_of_plan};

struct Deaf;
impl Listener for Deaf {}

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

/// Two tests with records of the user's: a template with the envelope deep inside, and lines that are replayed.
fn custom() -> plan::Plan {
    let text = r#"
schema: streamgauge/plan/v1
name: custom
environment: {function: {partial_batch_response: true}}
phases:
  - name: Custom
    tests:
      - id: template
        name: Orders
        payload: {template: order.json, envelope: $.meta.trace, bytes: 700}
        stages: [{duration: 2s, target: 50}, {duration: 6s, target: 50, poison: 1}]
        criteria: [put_latency.p95 < 100ms]
      - id: replay
        name: Captured
        put: batch
        payload: {replay: captured.jsonl}
        stages: [{duration: 2s, target: 50}, {duration: 6s, target: 50}]
        criteria: [put_latency.p95 < 100ms]
"#;
    let order = r#"{
  "order": {"id": "{{uuid}}", "amount": {{random_int(1,500)}}, "currency": "{{pick("EUR","USD")}}"},
  "meta": {"at": "{{due_iso}}", "shard_by": "{{key}}"},
  "note": "{{pad}}"
}"#;
    let large = format!("{{\"kind\":\"large\",\"body\":\"{}\"}}", "y".repeat(30_000));
    let captured = format!("{{\"kind\":\"small\"}}\n\n{large}\n");
    let files = BTreeMap::from([
        ("order.json".to_owned(), Bytes::from(order)),
        ("captured.jsonl".to_owned(), Bytes::from(captured)),
    ]);
    plan::parse_with(text, &files).unwrap_or_else(|errors| panic!("{errors}"))
}

#[tokio::test(start_paused = true)]
async fn records_of_the_users_are_followed_wherever_their_envelope_is() {
    let faults = ["drop:count=5,seed=2"];
    let ran = test_of_plan(custom(), &faults, 1, &Arc::new(Deaf)).await;
    let report = &ran.report;
    assert_eq!(report["run"]["verdict"], "pass", "{:#}", report["tests"]);
    let delivery = &report["delivery"];
    let dropped = ran.truth.iter().filter(|event| event.kind == "drop").count() as u64;
    assert!(dropped > 0);
    assert_eq!((&delivery["acked"], &delivery["lost"]), (&json!(700), &json!(dropped)), "{delivery}");
    assert_eq!(delivery["delivered"], 700 - dropped - 1, "{delivery}");
    assert_eq!(
        delivery["dead_lettered"], 1,
        "the poisoned one, which was found again in the stream: {delivery}"
    );
    let payloads: Vec<_> = (0..2).map(|test| report["tests"][test]["payload"]["name"].clone()).collect();
    assert_eq!(payloads, ["template order.json", "replay captured.jsonl"]);
    // A line of 30 KB is two PUT payload units, one of 18 bytes and a template's 700 one each.
    let lines = report["cost"]["pipeline"]["lines"].as_array().unwrap();
    let units =
        lines.iter().find(|line| line["item"].as_str().unwrap().contains("PUT payload units")).unwrap();
    assert_eq!(
        units["quantity"].as_str().unwrap().parse::<f64>().unwrap(),
        350.0 + 175.0 + 2.0 * 175.0,
        "{units}"
    );
    // The report is made of the run directory alone: the files are in it.
    let again = streamgauge::evidence::load(&ran.dir).unwrap();
    assert_eq!(again.plan.files.len(), 2);
}
