//! The whole main job through the other door, in virtual time: the shipped plans, and planted faults.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use serde_json::json;
use support::{shipped, test};

#[tokio::test(start_paused = true)]
async fn the_quickstart_passes_and_every_record_is_delivered() {
    let ran = test(&shipped("quickstart.yaml"), &[], 1).await;
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
    assert!(ran.dir.join("report.html").exists(), "the run directory has its reports");
    let delivery = &ran.report["delivery"];
    assert_eq!((&delivery["acked"], &delivery["delivered"]), (&json!(9_000), &json!(9_000)), "{delivery}");
    assert_eq!(delivery["lost"], 0);
    assert_eq!(ran.report["tests"][0]["breaking_point"], json!(null), "nothing broke");
    // The function takes 15 ms a batch and nothing else takes time: the stages say so.
    for level in ran.report["tests"][0]["levels"].as_array().unwrap() {
        let function_ms = level["stages_ms"]["function"]["p50"].as_f64().unwrap();
        assert!((14.9..15.1).contains(&function_ms), "{function_ms}");
        assert_eq!(
            level["put_latency_ms"]["p50"].as_f64().unwrap().round(),
            level["generator_lag_ms"]["p50"].as_f64().unwrap().round()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_breaking_point_is_the_shards_write_limit() {
    let ran = test(&shipped("breaking-point.yaml"), &[], 1).await;
    assert_eq!(ran.report["run"]["verdict"], "fail");
    let finding = &ran.report["findings"][0];
    assert!(finding["limit"].as_str().unwrap().contains("Kinesis write"), "{finding}");
    let from_rps = finding["from_rps"].as_f64().unwrap();
    assert!((1_000.0..=1_200.0).contains(&from_rps), "{finding}");
    let broke = &ran.report["tests"][0]["breaking_point"];
    assert_eq!(broke["rps"], 1_100.0, "{broke}");
    assert_eq!(broke["first"], "Kinesis write: records per shard", "{broke}");
    let delivery = &ran.report["delivery"];
    assert_eq!(delivery["delivered"], delivery["acked"], "{delivery}");
    assert_eq!(delivery["lost"], 0, "{delivery}");
    // One shard takes 1,000 a second: the last level is refused down to that.
    let last = ran.report["tests"][0]["levels"].as_array().unwrap().last().unwrap().clone();
    let achieved = last["achieved_rps"].as_f64().unwrap();
    assert!((990.0..=1_010.0).contains(&achieved), "{achieved}");
}

/// Whatever the seed plants, the accounting finds exactly that.
#[tokio::test(start_paused = true)]
async fn the_accounting_equals_the_truth_for_many_seeds() {
    let text = shipped("quickstart.yaml")
        .replacen("  payload: medium", "  keys: {count: 7}\n  payload: small", 1)
        .replacen("put: record", "put: batch", 1);
    assert!(text.contains("keys:") && text.contains("put: batch"), "the shipped plan has changed");
    for seed in 1..=3 {
        let (drops, redelivered, swaps) = (seed * 11, seed % 3 + 1, seed % 4 + 1);
        let faults = [
            format!("drop:count={drops},seed={seed}"),
            format!("redeliver:count={redelivered},seed={seed}"),
            format!("swap:count={swaps},seed={seed}"),
        ];
        let ran = test(&text, &faults.each_ref().map(String::as_str), seed).await;
        let of = |kind: &str| ran.truth.iter().filter(|event| event.kind == kind).collect::<Vec<_>>();
        let struck =
            |kind: &str| of(kind).iter().map(|event| event.kinesis_sequences.len() as u64).sum::<u64>();
        let delivery = &ran.report["delivery"];
        let why = format!("seed {seed}: {delivery}\n{:?}", ran.truth);
        assert_eq!(
            (of("drop").len() as u64, of("redeliver").len() as u64, of("swap").len() as u64),
            (drops, redelivered, swaps),
            "{why}"
        );
        assert_eq!(delivery["acked"], 9_000, "{why}");
        assert_eq!(delivery["lost"], drops, "{why}");
        assert_eq!(delivery["delivered"], 9_000 - drops, "{why}");
        assert_eq!(delivery["unconfirmed"], 0, "{why}");
        assert_eq!(delivery["duplicated"]["redelivery"], struck("redeliver"), "{why}");
        assert_eq!(delivery["duplicated"]["producer"], 0, "{why}");
        assert_eq!(delivery["out_of_order"], swaps, "{why}");
    }
}
