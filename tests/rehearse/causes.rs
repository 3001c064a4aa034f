//! Planted causes, each in words of the plan, rehearsed: the findings name it and nothing else.

use serde_json::{Value, json};

use crate::rehearse;

/// A function that takes 15 ms a batch, and nothing else takes time.
pub const QUICK: &str = "per_batch: 15ms";

/// 100/s and then `rate` for `hold_s`, on `environment`. `function` is how the function behaves; `beside` more of
/// what is assumed.
pub fn plan(
    environment: &str,
    test: &str,
    (rate, hold_s): (u32, u32),
    function: &str,
    beside: &str,
) -> String {
    format!(
        "schema: streamgauge/plan/v1
name: a planted cause
environment:
{environment}
rehearsal:
  put_latency: 0ms
  function: {{cold_start: 80ms, per_record: 0ms, {function}}}
{beside}phases:
  - name: Cause
    tests:
      - id: cause
        name: a planted cause
        payload: medium
        put: batch
{test}
        stages:
          - {{duration: 2s, target: 100}}
          - {{duration: 10s, target: 100}}
          - {{duration: 3s, target: {rate}}}
          - {{duration: {hold_s}s, target: {rate}}}
        criteria: [success_rate > 99%]
"
    )
}

/// The only finding.
fn finding(environment: &str, test: &str, load: (u32, u32), function: &str) -> Value {
    let rehearsed = rehearse(&plan(environment, test, load, function, ""), &[]);
    let findings = rehearsed.report["findings"].as_array().unwrap();
    let limits: Vec<&Value> = findings.iter().map(|finding| &finding["limit"]).collect();
    assert_eq!(findings.len(), 1, "{limits:?} {findings:#?} {:#}", rehearsed.report["notes"]);
    // Each rests on numbers that have a time.
    for item in findings[0]["evidence"].as_array().unwrap() {
        assert!(item["value"].is_number() && item["at"].is_string(), "{item}");
    }
    findings[0].clone()
}

fn item<'a>(finding: &'a Value, metric: &str) -> &'a Value {
    let items = finding["evidence"].as_array().unwrap();
    let found = items.iter().find(|item| item["metric"].as_str().unwrap().contains(metric));
    found.unwrap_or_else(|| panic!("no {metric}: {finding:#}"))
}

#[test]
fn one_hot_shard_is_told_apart_from_too_few() {
    let test = "        keys: {count: 1}\n        put_attempts: 2";
    let finding = finding("  stream: {shards: 2}", test, (1_200, 6), QUICK);
    assert_eq!(finding["limit"], "Kinesis write: hot shard", "{finding:#}");
    assert_eq!(finding["from_rps"], 1_200.0);
    // Measured, not taken from the plan.
    assert_eq!(item(&finding, "delivered through")["value"], 100.0);
    assert_eq!(finding["change"], "distinct partition keys 1 -> 200");
    assert_eq!(finding["monthly_cost_of_change"], "0");
}

#[test]
fn one_hot_shard_starves_the_function_before_the_stream() {
    // A lane takes 12 records in 100 ms: 120/s. One key on two shards keeps the other lane idle.
    let environment = "  stream: {shards: 2}\n  function: {batch_size: 12}";
    let finding = finding(environment, "        keys: {count: 1}", (170, 30), "per_batch: 100ms");
    assert_eq!(finding["limit"], "Kinesis write: hot shard", "{finding:#}");
    assert_eq!(finding["change"], "distinct partition keys 1 -> 200");
}

#[test]
fn a_slow_function() {
    let environment = "  stream: {shards: 1}\n  function: {batch_size: 100}";
    let finding = finding(environment, "", (400, 30), "per_batch: 500ms");
    assert_eq!(finding["limit"], "Lambda falls behind", "{finding:#}");
    assert_eq!(finding["from_rps"], 400.0);
    // A lane takes 200/s: 400/s need two that are never idle, and three that are busy for 80 % at most.
    assert_eq!(finding["change"], "parallelization factor 1 -> 3");
    assert_eq!(finding["monthly_cost_of_change"], "0");
    assert_eq!(item(&finding, "lanes busy")["value"], 100.0);
}

#[test]
fn capped_concurrency() {
    let environment = "  stream: {shards: 3}\n  function: {batch_size: 50, reserved_concurrency: 1}";
    let finding = finding(environment, "", (300, 50), "per_batch: 100ms");
    assert_eq!(finding["limit"], "Lambda concurrency", "{finding:#}");
    assert_eq!(finding["change"], "function concurrency 1 -> 3");
    assert_eq!(finding["monthly_cost_of_change"], "0");
    assert!(item(&finding, "lambda.Throttles.Sum")["value"].as_f64().unwrap() > 0.0);
    assert!(finding["from_rps"].is_number(), "{finding:#}");
}

#[test]
fn too_few_shards() {
    let finding = finding("  stream: {shards: 1}", "        put_attempts: 2", (1_500, 6), QUICK);
    assert_eq!(finding["limit"], "Kinesis write: records per shard", "{finding:#}");
    assert!((1_000.0..=1_500.0).contains(&finding["from_rps"].as_f64().unwrap()), "{finding:#}");
    assert_eq!(finding["change"], "shards 1 -> 2");
    assert_eq!(finding["monthly_cost_of_change"], "10.95");
}

#[test]
fn a_failing_function() {
    let function = "per_batch: 15ms, failure_percent: 5";
    let finding = finding("  stream: {shards: 1}", "", (200, 30), function);
    assert_eq!(finding["limit"], "function errors", "{finding:#}");
    assert!(item(&finding, "lambda.Errors.Sum")["value"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_clean_rehearsal_has_none_and_says_how_far_that_goes() {
    let rehearsed = rehearse(&plan("  stream: {shards: 2}", "", (900, 8), QUICK, ""), &[]);
    let report = &rehearsed.report;
    assert_eq!(rehearsed.code, 0, "{}", rehearsed.stderr);
    assert_eq!(report["findings"], json!([]));
    assert_eq!(report["flags"], json!([]));
    assert_eq!(report["known_up_to_rps"], 900.0);
    let text = report["known_up_to"].as_str().unwrap();
    assert!(text.contains("900 records/s") && text.contains("nothing is known above it"), "{text}");
}
