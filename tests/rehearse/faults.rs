//! Every kind of fault in a rehearsal: named in the report, told as the truth, and found by the accounting.

use serde_json::{Value, json};

use crate::{Rehearsed, rehearse};

/// 850 records in batches of ten.
const PLAN: &str = "schema: streamgauge/plan/v1
name: faults
drain: 60s
environment: {stream: {shards: 1}, function: {batch_size: 10}}
phases:
  - name: Only
    tests:
      - id: t
        name: T
        payload: small
        keys: {count: 3}
        put: batch
        attempt_timeout: 2s
        stages: [{duration: 1s, target: 100}, {duration: 8s, target: 100}]
        criteria: [lost == 0]
";
const RECORDS: u64 = 850;

/// What the fault really did.
struct Truth(Vec<Value>);

impl Truth {
    fn sum(&self, member: &str) -> u64 {
        self.0.iter().map(|event| event[member].as_u64().unwrap()).sum()
    }
}

/// Rehearses with one fault. It must have struck, the truth beside the report be of its kind alone, and the report
/// say that it was planted.
fn with(spec: &str) -> (Rehearsed, Truth) {
    let rehearsed = rehearse(PLAN, &["--fault", spec]);
    let text = std::fs::read_to_string(rehearsed.dir.join("faults.jsonl")).unwrap();
    let truth = Truth(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
    let kind = spec.split(':').next().unwrap();
    assert!(truth.0.iter().all(|event| event["kind"] == kind), "{text}");
    assert!(truth.sum("strikes") > 0, "{spec} never struck: {text}");
    let report = &rehearsed.report;
    assert_eq!((&report["run"]["faults"], &report["run"]["rehearsal"]), (&json!([spec]), &json!(true)));
    let summary = report["summary"].to_string();
    assert!(summary.contains("planted on purpose"), "{summary}");
    assert_eq!(report["delivery"]["complete"], true, "{}", report["delivery"]);
    (rehearsed, truth)
}

/// Compares the whole delivery, apart from what is named.
#[track_caller]
fn delivery(rehearsed: &Rehearsed, differing: &[(&str, u64)]) {
    let reported = &rehearsed.report["delivery"];
    let figures =
        ["acked", "delivered", "lost", "unconfirmed", "delivered_unacked", "dead_lettered", "out_of_order"];
    for figure in figures {
        let otherwise = if ["acked", "delivered"].contains(&figure) { RECORDS } else { 0 };
        let expected =
            differing.iter().find(|(name, _)| *name == figure).map_or(otherwise, |(_, count)| *count);
        assert_eq!(reported[figure], expected, "{figure}: {reported:#}");
    }
    for cause in ["producer", "redelivery"] {
        let expected = differing.iter().find(|(name, _)| *name == cause).map_or(0, |(_, count)| *count);
        assert_eq!(reported["duplicated"][cause], expected, "{cause}: {reported:#}");
    }
}

/// The first level's latency at the median, ms.
fn put_p50_ms(rehearsed: &Rehearsed) -> f64 {
    rehearsed.report["tests"][0]["levels"][1]["put_latency_ms"]["p50"].as_f64().unwrap()
}

fn retried(rehearsed: &Rehearsed) -> u64 {
    let levels = rehearsed.report["tests"][0]["levels"].as_array().unwrap();
    levels.iter().map(|level| level["retried"].as_u64().unwrap()).sum()
}

#[test]
fn latency_is_in_every_put() {
    let (rehearsed, _) = with("latency:for=200ms");
    delivery(&rehearsed, &[]);
    assert!((200.0..300.0).contains(&put_p50_ms(&rehearsed)), "{}", put_p50_ms(&rehearsed));
}

#[test]
fn a_stall_is_charged_to_the_records_that_it_delays() {
    let (rehearsed, _) = with("stall:every=4s,for=1s");
    delivery(&rehearsed, &[]);
    let level = &rehearsed.report["tests"][0]["levels"][1];
    assert!(level["put_latency_ms"]["max"].as_f64().unwrap() > 950.0, "{level:#}");
    assert!(put_p50_ms(&rehearsed) < 200.0, "{level:#}");
}

#[test]
fn errors_are_retried() {
    let (rehearsed, truth) = with("error:rate=10%");
    delivery(&rehearsed, &[]);
    assert!(retried(&rehearsed) >= truth.sum("strikes"), "{}", retried(&rehearsed));
}

#[test]
fn throttles_are_counted_and_retried() {
    let (rehearsed, truth) = with("throttle:rate=5%");
    delivery(&rehearsed, &[]);
    let levels = rehearsed.report["tests"][0]["levels"].as_array().unwrap();
    let throttled: u64 = levels.iter().map(|level| level["throttled"].as_u64().unwrap()).sum();
    assert_eq!(throttled, truth.sum("records"), "{levels:#?}");
}

#[test]
fn what_was_put_again_after_a_lost_answer_is_there_twice() {
    let (rehearsed, truth) = with("lost-answer:count=2");
    let twice = rehearsed.report["delivery"]["duplicated"]["producer"].as_u64().unwrap();
    assert!(truth.sum("strikes") == 2 && twice > 0, "{:#}", rehearsed.report["delivery"]);
    delivery(&rehearsed, &[("producer", twice)]);
}

#[test]
fn dropped_records_are_lost() {
    let (rehearsed, truth) = with("drop:count=7");
    let dropped = truth.sum("records");
    delivery(&rehearsed, &[("delivered", RECORDS - dropped), ("lost", dropped)]);
    assert_eq!(rehearsed.code, 1, "{}", rehearsed.stderr);
}

#[test]
fn a_batch_that_is_delivered_again_is_told_from_one_that_was_put_twice() {
    let (rehearsed, truth) = with("redeliver:count=2");
    let records: usize =
        truth.0.iter().map(|event| event["kinesis_sequences"].as_array().unwrap().len()).sum();
    delivery(&rehearsed, &[("redelivery", records as u64)]);
}

#[test]
fn swapped_records_are_out_of_order() {
    let (rehearsed, truth) = with("swap:count=4");
    delivery(&rehearsed, &[("out_of_order", truth.sum("strikes"))]);
}

#[test]
fn a_function_killed_before_its_receipt_works_again() {
    let (rehearsed, truth) = with("kill-function:count=2,at=work");
    assert!(truth.0.iter().all(|event| event["at"] == "work"), "{:?}", truth.0);
    delivery(&rehearsed, &[]);
    killed(&rehearsed);
}

#[test]
fn a_function_killed_after_its_receipt_delivers_twice() {
    let (rehearsed, truth) = with("kill-function:count=2,at=receipt");
    delivery(&rehearsed, &[("redelivery", truth.sum("records"))]);
    killed(&rehearsed);
}

/// Its sandbox is gone, as a process would be: the invocation failed, and the next one began cold.
fn killed(rehearsed: &Rehearsed) {
    let receipts = std::fs::read_to_string(rehearsed.dir.join("receipts.jsonl")).unwrap();
    let cold = receipts.matches(r#"\"cold_start\":true"#).count();
    assert!(cold >= 3, "{cold} cold starts\n{receipts}");
    let metrics = std::fs::read_to_string(rehearsed.dir.join("metrics.json")).unwrap();
    let metrics: Value = serde_json::from_str(&metrics).unwrap();
    assert!(metrics.to_string().contains("Errors"), "{metrics:#}");
}

#[test]
fn a_lost_receipt_leaves_its_records_unconfirmed() {
    let (rehearsed, truth) = with("lost-receipt:count=1");
    let records = truth.sum("records");
    delivery(&rehearsed, &[("delivered", RECORDS - records), ("unconfirmed", records)]);
}
