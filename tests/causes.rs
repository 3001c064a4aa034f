//! Planted causes, each through the whole main job in virtual time: the findings name it and nothing else.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use support::{Listener, Ran, WORK, test_heard};

/// A function that is slow, or fails on every n-th batch.
struct Function {
    work: Duration,
    fails_every: u64,
    batches: AtomicU64,
}

impl Function {
    fn of(work: Duration, fails_every: u64) -> Arc<Function> {
        Arc::new(Function { work, fails_every, batches: AtomicU64::new(0) })
    }
}

impl Listener for Function {
    fn work(&self) -> Duration {
        self.work
    }
    fn fails(&self) -> bool {
        let batch = self.batches.fetch_add(1, Ordering::Relaxed) + 1;
        self.fails_every > 0 && batch.is_multiple_of(self.fails_every)
    }
}

/// 100/s as a warm-up and then `rate`, on `environment`.
fn plan(environment: &str, test: &str, rate: u32) -> String {
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
          - {{duration: 5s, target: 100}}
          - {{duration: 15s, target: 100}}
          - {{duration: 5s, target: {rate}}}
          - {{duration: 60s, target: {rate}}}
        criteria: [success_rate > 99%]
"
    )
}

async fn ran(text: &str, function: &Arc<Function>) -> Ran {
    test_heard(text, &[], 1, function).await
}

fn findings(ran: &Ran) -> &Vec<Value> {
    ran.report["findings"].as_array().unwrap()
}

fn limits(ran: &Ran) -> Vec<&str> {
    findings(ran).iter().map(|finding| finding["limit"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_hot_shard() {
    let text = plan("  stream: {shards: 2}", "        keys: {count: 1}\n        put_attempts: 2", 1_300);
    let ran = ran(&text, &Function::of(WORK, 0)).await;
    println!("{:#}", ran.report["findings"]);
    println!("{:#}", ran.report["flags"]);
    println!("{:#}", ran.report["known_up_to"]);
    assert_eq!(limits(&ran), ["Kinesis write: hot shard"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_function() {
    let text = plan("  stream: {shards: 1}\n  function: {batch_size: 100}", "", 400);
    let ran = ran(&text, &Function::of(Duration::from_millis(500), 0)).await;
    println!("{:#}", ran.report["findings"]);
    println!("{:#}", ran.report["flags"]);
    println!("{:#}", ran.report["known_up_to"]);
    assert_eq!(limits(&ran), ["Lambda falls behind"]);
}

#[tokio::test(start_paused = true)]
async fn capped_concurrency() {
    let text = plan("  stream: {shards: 3}\n  function: {batch_size: 50, reserved_concurrency: 1}", "", 900);
    let ran = ran(&text, &Function::of(Duration::from_millis(100), 0)).await;
    println!("{:#}", ran.report["findings"]);
    println!("{:#}", ran.report["flags"]);
    println!("{:#}", ran.report["known_up_to"]);
    assert_eq!(limits(&ran), ["Lambda concurrency"]);
}

#[tokio::test(start_paused = true)]
async fn too_few_shards() {
    let text = plan("  stream: {shards: 1}", "        put_attempts: 2", 1_500);
    let ran = ran(&text, &Function::of(WORK, 0)).await;
    println!("{:#}", ran.report["findings"]);
    println!("{:#}", ran.report["flags"]);
    println!("{:#}", ran.report["known_up_to"]);
    assert_eq!(limits(&ran), ["Kinesis write: records per shard"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_function() {
    let text = plan("  stream: {shards: 1}", "", 300);
    let ran = ran(&text, &Function::of(WORK, 20)).await;
    println!("{:#}", ran.report["findings"]);
    println!("{:#}", ran.report["flags"]);
    println!("{:#}", ran.report["known_up_to"]);
    assert_eq!(limits(&ran), ["function errors"]);
}

#[tokio::test(start_paused = true)]
async fn a_clean_run_has_none() {
    let ran = ran(&plan("  stream: {shards: 1}", "", 700), &Function::of(WORK, 0)).await;
    println!("{:#}", ran.report["findings"]);
    println!("{:#}", ran.report["flags"]);
    println!("{:#}", ran.report["known_up_to"]);
    assert!(limits(&ran).is_empty());
}
