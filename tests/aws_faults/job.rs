//! The whole main job through the in-process door: everything it says is kept, whatever becomes of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;
use streamgauge::plan;
use streamgauge::session::metrics;
use streamgauge::session::progress::{LiveLevel, Progress};
use streamgauge::session::publish::publish;
use streamgauge::session::run::{RunRequest, run};
use streamgauge::stack::{self, StackError};

use crate::support::{Field, request, up_request};

/// The environment of [`crate::support`].
pub const ENV: &str = "virtual";

const PLAN: &str = r#"
schema: streamgauge/plan/v1
name: permissions
drain: 30s
environment:
  stream: {shards: 1}
phases:
  - name: Only
    week: 1
    tests:
      - id: "1"
        name: One by one
        payload: small
        stages:
          - duration: 5s
            target: 20
            actions:
              - {at: 1s, disable_mapping: {for: 1s}}
              - {at: 1s, reshard: {shards: 2, for: 2s}}
              - {at: 1s, set_reserved_concurrency: {value: 2, for: 1s}}
              - {at: 3s, change_batch: {batch_size: 50, for: 1s}}
        criteria: [lost == 0]
      - id: "2"
        name: In batches
        payload: small
        put: batch
        stages: [{duration: 5s, target: 20}]
        criteria: [lost == 0]
"#;

pub fn plan() -> plan::Plan {
    plan::parse(PLAN.trim_start()).unwrap()
}

/// What a job told: steps and errors with their hints, in order, and the report's text.
#[derive(Clone, Default)]
pub struct Said(pub Arc<Mutex<Vec<String>>>);

impl Said {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    pub fn line(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// Lines that hold `part`.
    pub fn with(&self, part: &str) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

impl Progress for Said {
    fn step(&self, line: &str) {
        self.line(line);
    }
    fn live(&self, _: &LiveLevel) {}
    fn step_live(&self, _: &str) {}
    fn settle(&self) {}
}

/// How far a job came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// `up` failed.
    NotUp,
    /// The run failed, or ended with a failure.
    NotThrough,
    /// `down` failed, or left something.
    NotDown,
    Through,
}

/// Status, up twice, the run, its metrics again, status, down, status: each of the tool's verbs but `test`, which
/// is made of them. What fails is told, and down is done whatever happens before it.
pub async fn job(field: &Field) -> (Came, Said) {
    let said = Said::default();
    let tell = |line: &str| said.line(line);
    let mut came = Came::Through;
    match up(field, &said).await {
        Ok(standing) => {
            if let Err(error) = load(field, standing, &said).await {
                said.line(format!("error: {error}"));
                came = Came::NotThrough;
            }
            if let Err(error) = stack::status(&field.clients, ENV).await {
                failed(&said, &error);
            }
        }
        Err(error) => {
            failed(&said, &error);
            came = Came::NotUp;
        }
    }
    match stack::down(&field.clients, field.clock, ENV, &tell).await {
        Ok(left) if left.is_empty() => {}
        Ok(left) => {
            said.line(format!("error: left behind: {}", left.join(", ")));
            came = if came == Came::Through { Came::NotDown } else { came };
        }
        Err(error) => {
            failed(&said, &error);
            came = if came == Came::Through { Came::NotDown } else { came };
        }
    }
    (came, said)
}

pub fn failed(said: &Said, error: &StackError) {
    said.line(format!("error: {error}"));
    said.line(format!("hint: {}", error.hint()));
}

/// Up, and up again, which finds it standing.
pub async fn up(field: &Field, said: &Said) -> Result<stack::Standing, StackError> {
    let tell = |line: &str| said.line(line);
    let request = up_request(&plan(), field.root.path());
    stack::up(&field.clients, field.clock, &request, &tell).await?;
    stack::up(&field.clients, field.clock, &request, &tell).await
}

async fn load(field: &Field, standing: stack::Standing, said: &Said) -> Result<(), String> {
    leave_a_foreign_receipt(field, &standing.receipts_queue_url).await;
    let request = RunRequest {
        progress: Arc::new(said.clone()),
        ..request(&field.clients, field.clock, plan(), standing, field.root.path())
    };
    let finished = run(request).await.map_err(|error| error.to_string())?;
    let again = metrics::pull(&field.clients, field.clock, &finished.dir, said).await;
    let published = publish(&finished.dir).map_err(|error| error.to_string())?;
    said.line(streamgauge::report::json(&published.model).to_string());
    for file in ["events.jsonl", "metrics.json"] {
        said.line(std::fs::read_to_string(finished.dir.join(file)).unwrap_or_default());
    }
    if let Some(failure) = finished.failure {
        if let Some(hint) = failure.hint() {
            said.line(format!("hint: {hint}"));
        }
        return Err(failure.to_string());
    }
    again.map_err(|error| error.to_string())
}

/// A receipt of another run: the collector gives it back, which is a call of its own.
async fn leave_a_foreign_receipt(field: &Field, queue_url: &str) {
    let receipt = streamgauge::wire::receipt::Receipt {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        part: 0,
        parts: 1,
        run: "20250101-000000-zzzz".parse().unwrap(),
        request_id: "other".to_owned(),
        stream: "other".to_owned(),
        shard: "shardId-000000000000".to_owned(),
        started_us: 1,
        duration_us: 1,
        cold_start: false,
        memory_used_mb: 1,
        memory_limit_mb: 1,
        arrival_ms: (0, 0),
        sink_errors: 0,
        records: Vec::new(),
        levels: Vec::new(),
        arrivals: Vec::new(),
    };
    for body in receipt.to_messages(256 * 1_024) {
        let sqs = field.cloud.service("sqs").unwrap();
        sqs.call("SendMessage", json!({"QueueUrl": queue_url, "MessageBody": body})).await.unwrap();
    }
}

/// What the services hold of ours, by kind: asked through clients that the fault does not know, as far as the fault
/// leaves them alone.
pub async fn standing(field: &Field) -> BTreeMap<&'static str, Vec<String>> {
    let clients = &field.clients;
    let mut found = BTreeMap::new();
    let mut note = |kind: &'static str, names: Vec<String>| {
        let ours: Vec<String> =
            names.into_iter().filter(|name| name.contains("streamgauge-virtual")).collect();
        if !ours.is_empty() {
            found.insert(kind, ours);
        }
    };
    let stacks = clients.cloudformation.list_stacks().send().await.unwrap();
    let stands = stacks.stack_summaries().iter().filter(|stack| {
        stack.stack_status() != Some(&aws_sdk_cloudformation::types::StackStatus::DeleteComplete)
    });
    note("stack", stands.filter_map(|stack| stack.stack_name().map(str::to_owned)).collect());
    // A list that the fault denies says nothing of its kind.
    if let Ok(streams) = clients.kinesis.list_streams().send().await {
        note("stream", streams.stream_names);
    }
    if let Ok(functions) = clients.lambda.list_functions().send().await {
        let names = functions.functions().iter().filter_map(|one| one.function_name().map(str::to_owned));
        note("function", names.collect());
    }
    if let Ok(queues) = clients.sqs.list_queues().send().await {
        note("queue", queues.queue_urls.unwrap_or_default());
    }
    if let Ok(buckets) = clients.s3.list_buckets().send().await {
        note("bucket", buckets.buckets().iter().filter_map(|one| one.name().map(str::to_owned)).collect());
    }
    if let Ok(groups) = clients.logs.describe_log_groups().send().await {
        let names = groups.log_groups().iter().filter_map(|one| one.log_group_name.clone());
        note("log group", names.collect());
    }
    if let Ok(alarms) = clients.cloudwatch.describe_alarms().send().await {
        note("alarm", alarms.metric_alarms().iter().filter_map(|one| one.alarm_name.clone()).collect());
    }
    let roles = field.cloud.service("iam").unwrap().call("ListRoles", json!({})).await.unwrap();
    let roles =
        roles["Roles"].as_array().unwrap().iter().map(|role| role["RoleName"].as_str().unwrap().to_owned());
    note("role", roles.collect());
    found
}
