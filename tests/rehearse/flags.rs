//! Red flags of planted causes: raised, confirmed, and the rehearsal is stopped where the plan says so.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::causes::{QUICK, plan};
use crate::{Rehearsed, rehearse};

/// A rehearsal that the flag is to stop, for up to three minutes; `level` is where it is raised first: what only
/// CloudWatch knows, with the first whole minute.
fn stopped_by(
    flag: &str,
    level: &str,
    (environment, rate): (&str, u32),
    function: &str,
    beside: &str,
) -> (Rehearsed, Value) {
    let text = plan(environment, "        put_attempts: 1", (rate, 180), function, beside)
        + &format!("flags: {{{flag}: stop}}\n");
    let rehearsed = rehearse(&text, &[]);
    let report = &rehearsed.report;
    let flags = report["flags"].as_array().unwrap();
    let raised: Vec<&Value> = flags.iter().filter(|raised| raised["flag"] == flag).collect();
    let levels: BTreeSet<&str> = raised.iter().map(|raised| raised["level"].as_str().unwrap()).collect();
    assert_eq!(levels.len(), raised.len(), "once a level: {flags:#?}");
    let raised = raised.first().unwrap_or_else(|| panic!("{flags:#?}\n{}", rehearsed.stderr));
    let raised = (*raised).clone();
    assert_eq!(raised["stopped"], true);
    assert_eq!(raised["level"], format!("cause / {level}"), "{raised:#}");
    assert_eq!(rehearsed.code, 4, "{}", rehearsed.stderr);
    let reason = format!("stopped early: red flag: {}", raised["detail"].as_str().unwrap());
    assert!(rehearsed.stderr.contains(&reason), "{reason}: {}", rehearsed.stderr);
    // Everything is kept, and what was acked is accounted for.
    assert_ne!(report["run"]["verdict"], "pass");
    assert!(rehearsed.dir.join("report.html").exists());
    assert!(report["delivery"]["acked"].as_u64().unwrap() > 0);
    (rehearsed, raised)
}

#[test]
fn iterator_age_that_grows() {
    let on = ("  stream: {shards: 1}\n  function: {batch_size: 60}", 300);
    let (_, raised) = stopped_by("iterator_age_growing", "300/s hold", on, "per_batch: 500ms", "");
    assert_eq!(raised["confirmed"], true, "{raised:#}");
    assert!(raised["confirmed_value"].as_f64().unwrap() > 5_000.0, "{raised:#}");
}

#[test]
fn lambda_throttles() {
    let on = ("  stream: {shards: 3}\n  function: {reserved_concurrency: 1}", 30);
    let (rehearsed, raised) = stopped_by("lambda_throttles", "30/s hold", on, "per_batch: 300ms", "");
    assert_eq!(
        (&raised["confirmed"], &raised["confirmed_by"]),
        (&json!(true), &json!("lambda.Throttles.Sum"))
    );
    // What watching cost is in the test's own lines, besides the pull after the load.
    let events = std::fs::read_to_string(rehearsed.dir.join("events.jsonl")).unwrap();
    let watched: u64 = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "watched")
        .map(|event| event["metrics_requested"].as_u64().unwrap())
        .sum();
    assert!((6..=6 * 6).contains(&watched), "{watched}");
    let lines = rehearsed.report["cost"]["test"]["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["unit"] == "metric requested").unwrap();
    assert!(line["quantity"].as_str().unwrap().parse::<u64>().unwrap() > watched, "{line}");
}

#[test]
fn writes_that_the_stream_refuses() {
    let on = ("  stream: {shards: 1}", 1_300);
    let (_, raised) = stopped_by("write_throughput_exceeded", "1300/s hold", on, QUICK, "");
    assert_eq!(raised["confirmed"], true, "{raised:#}");
}

#[test]
fn reads_that_the_stream_refuses() {
    let on = ("  stream: {shards: 1}", 30);
    let beside = "  other_reads_per_s: 20\n";
    let (rehearsed, raised) = stopped_by("read_throughput_exceeded", "30/s hold", on, QUICK, beside);
    assert_eq!(raised["confirmed"], true, "{raised:#}");
    let assumed = &rehearsed.report["run"]["assumptions"];
    assert!(assumed.to_string().contains("other consumers read each shard 20 times a second"), "{assumed:#}");
}

#[test]
fn a_function_that_fails() {
    let on = ("  stream: {shards: 1}", 30);
    let function = "per_batch: 15ms, failure_percent: 10";
    let (_, raised) = stopped_by("error_rate", "30/s hold", on, function, "");
    assert_eq!(raised["confirmed"], true, "{raised:#}");
}

/// The first flag of a rehearsal of 20/s for ten seconds; it stops it on the first ramp.
fn first_flag(flag: &str, environment: &str, function: &str) -> Value {
    let text = plan(environment, "", (20, 10), function, "") + &format!("flags: {{{flag}: stop}}\n");
    let raised = rehearse(&text, &[]).report["flags"][0].clone();
    assert_eq!((&raised["flag"], &raised["stopped"]), (&json!(flag), &json!(true)), "{raised:#}");
    // The first receipt of the first level says it.
    assert_eq!(raised["level"], "cause / 0 -> 100/s ramp", "{raised:#}");
    assert_eq!(raised["confirmed"], true, "{raised:#}");
    raised
}

#[test]
fn a_duration_near_the_timeout() {
    first_flag("lambda_duration", "  stream: {shards: 1}\n  function: {timeout_s: 2}", "per_batch: 1700ms");
}

#[test]
fn memory_near_the_limit() {
    let function = "per_batch: 15ms, memory_used_mb: 480";
    let raised = first_flag("memory", "  stream: {shards: 1}", function);
    assert_eq!(raised["detail"], "480 of 512 MB used");
    assert_eq!(raised["confirmed_by"], "REPORT lines: max memory used", "{raised:#}");
}

#[test]
fn the_on_failure_queue_fills() {
    let environment = "  stream: {shards: 1}\n  function: {retries: 0, bisect_on_error: false}";
    let text = plan(environment, "", (30, 60), "per_batch: 15ms, failure_percent: 25", "")
        + "flags: {dlq_filling: stop}\n";
    let rehearsed = rehearse(&text, &[]);
    let flags = rehearsed.report["flags"].as_array().unwrap();
    let raised = flags.iter().find(|raised| raised["flag"] == "dlq_filling").unwrap();
    assert_eq!((&raised["stopped"], &raised["confirmed"]), (&json!(true), &json!(true)), "{raised:#}");
    let said = &rehearsed.stderr;
    assert!(said.contains("stopped early: red flag: ") && said.contains("on-failure queue"), "{said}");
}
