//! Planted causes, each through the whole main job in virtual time: the findings name it and nothing else, and the
//! red flags are raised, confirmed, and stop the run where the plan says so.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use streamgauge::evidence::model::RunEnd;
use streamgauge::local::cloud::Cloud;
use support::{Listener, Ran, WORK, test_heard, test_however_it_ends};

/// What is planted.
struct Cause {
    work: Duration,
    /// Every n-th batch fails.
    fails_every: u64,
    memory_used_mb: u32,
    /// Another reader of the stream, that reads far more often than a shard allows.
    reader: bool,
    batches: AtomicU64,
}

fn none() -> Cause {
    Cause { work: WORK, fails_every: 0, memory_used_mb: 64, reader: false, batches: AtomicU64::new(0) }
}

impl Listener for Cause {
    fn assembled(&self, cloud: &Arc<Cloud>) {
        if self.reader {
            tokio::spawn(read_greedily(Arc::clone(cloud)));
        }
    }
    fn work(&self) -> Duration {
        self.work
    }
    fn memory_used_mb(&self) -> u32 {
        self.memory_used_mb
    }
    fn fails(&self) -> bool {
        let batch = self.batches.fetch_add(1, Ordering::Relaxed) + 1;
        self.fails_every > 0 && batch.is_multiple_of(self.fails_every)
    }
}

/// Twenty reads a second of the first shard, as long as there is a stream.
async fn read_greedily(cloud: Arc<Cloud>) {
    let kinesis = cloud.service("kinesis").unwrap();
    let mut iterator = None;
    for _ in 0..5_000 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(iterator) = &iterator {
            // Refused most of the time: that is what it is for. An iterator may be used again for five minutes.
            let _ = kinesis.call("GetRecords", json!({"ShardIterator": iterator})).await;
            continue;
        }
        // Looking for the stream has limits, too; it is looked for until it stands.
        let Ok(streams) = kinesis.call("ListStreams", json!({})).await else { continue };
        let from = json!({"StreamName": streams["StreamNames"][0], "ShardId": "shardId-000000000000",
            "ShardIteratorType": "LATEST"});
        let answer = kinesis.call("GetShardIterator", from).await;
        iterator = answer.ok().map(|answer| answer["ShardIterator"].clone());
    }
}

/// 100/s and then `rate` for `hold_s`, on `environment`.
fn plan(environment: &str, test: &str, rate: u32, hold_s: u32) -> String {
    format!(
        "schema: streamgauge/plan/v1
name: a planted cause
environment:
{environment}
phases:
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
async fn finding(text: &str, cause: Cause) -> Value {
    let ran = test_heard(text, &[], 1, &Arc::new(cause)).await;
    let findings = ran.report["findings"].as_array().unwrap();
    let limits: Vec<&Value> = findings.iter().map(|finding| &finding["limit"]).collect();
    assert_eq!(findings.len(), 1, "{limits:?} {:#} {:#}", ran.report["findings"], ran.report["notes"]);
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

#[tokio::test(start_paused = true)]
async fn one_hot_shard_is_told_apart_from_too_few() {
    let text = plan("  stream: {shards: 2}", "        keys: {count: 1}\n        put_attempts: 2", 1_200, 6);
    let finding = finding(&text, none()).await;
    assert_eq!(finding["limit"], "Kinesis write: hot shard", "{finding:#}");
    assert_eq!(finding["from_rps"], 1_200.0);
    // Measured, not taken from the plan.
    assert_eq!(item(&finding, "delivered through")["value"], 100.0);
    assert_eq!(finding["change"], "distinct partition keys 1 -> 200");
    assert_eq!(finding["monthly_cost_of_change"], "0");
}

#[tokio::test(start_paused = true)]
async fn one_hot_shard_starves_the_function_before_the_stream() {
    // A lane takes 12 records in 100 ms: 120/s. One key on two shards keeps the other lane idle.
    let environment = "  stream: {shards: 2}\n  function: {batch_size: 12}";
    let text = plan(environment, "        keys: {count: 1}", 170, 30);
    let finding = finding(&text, Cause { work: Duration::from_millis(100), ..none() }).await;
    assert_eq!(finding["limit"], "Kinesis write: hot shard", "{finding:#}");
    assert_eq!(finding["change"], "distinct partition keys 1 -> 200");
}

#[tokio::test(start_paused = true)]
async fn a_slow_function() {
    let text = plan("  stream: {shards: 1}\n  function: {batch_size: 100}", "", 400, 30);
    let finding = finding(&text, Cause { work: Duration::from_millis(500), ..none() }).await;
    assert_eq!(finding["limit"], "Lambda falls behind", "{finding:#}");
    assert_eq!(finding["from_rps"], 400.0);
    // A lane takes 200/s: 400/s need two that are never idle, and three that are busy for 80 % at most.
    assert_eq!(finding["change"], "parallelization factor 1 -> 3");
    assert_eq!(finding["monthly_cost_of_change"], "0");
    assert_eq!(item(&finding, "lanes busy")["value"], 100.0);
}

#[tokio::test(start_paused = true)]
async fn capped_concurrency() {
    let environment = "  stream: {shards: 3}\n  function: {batch_size: 50, reserved_concurrency: 1}";
    let finding =
        finding(&plan(environment, "", 300, 50), Cause { work: Duration::from_millis(100), ..none() }).await;
    assert_eq!(finding["limit"], "Lambda concurrency", "{finding:#}");
    assert_eq!(finding["change"], "function concurrency 1 -> 3");
    assert_eq!(finding["monthly_cost_of_change"], "0");
    assert!(item(&finding, "lambda.Throttles.Sum")["value"].as_f64().unwrap() > 0.0);
    assert!(finding["from_rps"].is_number(), "{finding:#}");
}

#[tokio::test(start_paused = true)]
async fn too_few_shards() {
    let finding = finding(&plan("  stream: {shards: 1}", "        put_attempts: 2", 1_500, 6), none()).await;
    assert_eq!(finding["limit"], "Kinesis write: records per shard", "{finding:#}");
    assert!((1_000.0..=1_500.0).contains(&finding["from_rps"].as_f64().unwrap()), "{finding:#}");
    assert_eq!(finding["change"], "shards 1 -> 2");
    assert_eq!(finding["monthly_cost_of_change"], "10.95");
}

#[tokio::test(start_paused = true)]
async fn a_failing_function() {
    let finding =
        finding(&plan("  stream: {shards: 1}", "", 200, 30), Cause { fails_every: 20, ..none() }).await;
    assert_eq!(finding["limit"], "function errors", "{finding:#}");
    assert!(item(&finding, "lambda.Errors.Sum")["value"].as_f64().unwrap() > 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_clean_run_has_none_and_says_how_far_that_goes() {
    let text = plan("  stream: {shards: 2}", "", 900, 8);
    let ran = test_heard(&text, &[], 1, &Arc::new(none())).await;
    assert_eq!(ran.report["findings"], json!([]));
    assert_eq!(ran.report["flags"], json!([]));
    assert_eq!(ran.report["known_up_to_rps"], 900.0);
    let text = ran.report["known_up_to"].as_str().unwrap();
    assert!(text.contains("900 records/s") && text.contains("nothing is known above it"), "{text}");
}

/// A run that the flag is to stop, for up to three minutes; `level` is where it is raised first.
async fn stopped_by(flag: &str, level: &str, environment: &str, rate: u32, cause: Cause) -> (Ran, Value) {
    let text =
        plan(environment, "        put_attempts: 1", rate, 180) + &format!("flags: {{{flag}: stop}}\n");
    let ran = test_however_it_ends(&text, &[], 1, &Arc::new(cause)).await;
    let flags = ran.report["flags"].as_array().unwrap();
    let raised: Vec<&Value> = flags.iter().filter(|raised| raised["flag"] == flag).collect();
    let levels: BTreeSet<&str> = raised.iter().map(|raised| raised["level"].as_str().unwrap()).collect();
    assert_eq!(levels.len(), raised.len(), "once a level: {flags:#?}");
    let raised = raised[0].clone();
    assert_eq!(raised["stopped"], true);
    assert_eq!(raised["level"], format!("cause / {level}"), "{raised:#}");
    let RunEnd::Stopped(reason) = &ran.end else { panic!("{:?}", ran.end) };
    assert_eq!(*reason, format!("red flag: {}", raised["detail"].as_str().unwrap()));
    // Everything is kept, and what was acked is accounted for.
    assert_ne!(ran.report["run"]["verdict"], "pass");
    assert!(ran.dir.join("report.html").exists());
    assert!(ran.report["delivery"]["acked"].as_u64().unwrap() > 0);
    (ran, raised)
}

#[tokio::test(start_paused = true)]
async fn iterator_age_that_grows() {
    let slow = Cause { work: Duration::from_millis(500), ..none() };
    let environment = "  stream: {shards: 1}\n  function: {batch_size: 60}";
    let (_, raised) = stopped_by("iterator_age_growing", "300/s hold", environment, 300, slow).await;
    assert_eq!(raised["confirmed"], true, "{raised:#}");
    assert!(raised["confirmed_value"].as_f64().unwrap() > 5_000.0, "{raised:#}");
}

#[tokio::test(start_paused = true)]
async fn lambda_throttles() {
    let slow = Cause { work: Duration::from_millis(300), ..none() };
    let environment = "  stream: {shards: 3}\n  function: {reserved_concurrency: 1}";
    let (ran, raised) = stopped_by("lambda_throttles", "100/s hold", environment, 30, slow).await;
    assert_eq!(
        (&raised["confirmed"], &raised["confirmed_by"]),
        (&json!(true), &json!("lambda.Throttles.Sum"))
    );
    // What watching cost is in the test's own lines, besides the pull after the load.
    let events = std::fs::read_to_string(ran.dir.join("events.jsonl")).unwrap();
    let watched: u64 = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "watched")
        .map(|event| event["metrics_requested"].as_u64().unwrap())
        .sum();
    assert!((6..=6 * 6).contains(&watched), "{watched}");
    let lines = ran.report["cost"]["test"]["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["unit"] == "metric requested").unwrap();
    assert!(line["quantity"].as_str().unwrap().parse::<u64>().unwrap() > watched, "{line}");
}

#[tokio::test(start_paused = true)]
async fn writes_that_the_stream_refuses() {
    let (_, raised) =
        stopped_by("write_throughput_exceeded", "1300/s hold", "  stream: {shards: 1}", 1_300, none()).await;
    assert_eq!(raised["confirmed"], true, "{raised:#}");
}

#[tokio::test(start_paused = true)]
async fn reads_that_the_stream_refuses() {
    let greedy = Cause { reader: true, ..none() };
    let (_, raised) =
        stopped_by("read_throughput_exceeded", "100/s hold", "  stream: {shards: 1}", 30, greedy).await;
    assert_eq!(raised["confirmed"], true, "{raised:#}");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_fails() {
    let failing = Cause { fails_every: 10, ..none() };
    let (_, raised) = stopped_by("error_rate", "100/s hold", "  stream: {shards: 1}", 30, failing).await;
    assert_eq!(raised["confirmed"], true, "{raised:#}");
}

#[tokio::test(start_paused = true)]
async fn a_duration_near_the_timeout() {
    let slow = Cause { work: Duration::from_millis(1_700), ..none() };
    let environment = "  stream: {shards: 1}\n  function: {timeout_s: 2}";
    let text = plan(environment, "", 20, 10) + "flags: {lambda_duration: stop}\n";
    let ran = test_however_it_ends(&text, &[], 1, &Arc::new(slow)).await;
    let raised = &ran.report["flags"][0];
    assert_eq!(
        (&raised["flag"], &raised["stopped"]),
        (&json!("lambda_duration"), &json!(true)),
        "{raised:#}"
    );
    // The first receipt of the first level says it.
    assert_eq!(raised["level"], "cause / 0 -> 100/s ramp", "{raised:#}");
    assert_eq!(raised["confirmed"], true, "{raised:#}");
}

#[tokio::test(start_paused = true)]
async fn memory_near_the_limit() {
    let text = plan("  stream: {shards: 1}", "", 20, 10) + "flags: {memory: stop}\n";
    let ran = test_however_it_ends(&text, &[], 1, &Arc::new(Cause { memory_used_mb: 480, ..none() })).await;
    let raised = &ran.report["flags"][0];
    assert_eq!((&raised["flag"], &raised["stopped"]), (&json!("memory"), &json!(true)), "{raised:#}");
    assert_eq!(raised["detail"], "480 of 512 MB used");
    // The in-process host writes REPORT lines of its own, with less memory: they do not confirm it.
    assert_eq!(raised["confirmed_by"], "REPORT lines: max memory used", "{raised:#}");
}

#[tokio::test(start_paused = true)]
async fn the_on_failure_queue_fills() {
    let failing = Cause { fails_every: 4, ..none() };
    let environment = "  stream: {shards: 1}\n  function: {retries: 0, bisect_on_error: false}";
    let text = plan(environment, "", 30, 60) + "flags: {dlq_filling: stop}\n";
    let ran = test_however_it_ends(&text, &[], 1, &Arc::new(failing)).await;
    let flags = ran.report["flags"].as_array().unwrap();
    let raised = flags.iter().find(|raised| raised["flag"] == "dlq_filling").unwrap();
    assert_eq!((&raised["stopped"], &raised["confirmed"]), (&json!(true), &json!(true)), "{raised:#}");
    assert!(
        matches!(&ran.end, RunEnd::Stopped(reason) if reason.contains("on-failure queue")),
        "{:?}",
        ran.end
    );
}
