//! Actions during load, in virtual time: each has its effect, each is reverted whatever ends the load, and what each
//! cost is in the report.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use streamgauge::evidence::events::{ActionStep, Event, EventLog, read_events};
use streamgauge::evidence::model::RunEnd;
use streamgauge::evidence::rundir::RunDir;
use streamgauge::platform::clients::Clients;
use streamgauge::session::publish::publish;
use streamgauge::session::run::{RunFinished, RunRequest, run};
use streamgauge::{plan, report, stack};
use support::{Field, request, shipped, test, up_request};
use tokio::sync::watch;

fn text(flags: &str, stages: &str, criteria: &str) -> String {
    format!(
        "schema: streamgauge/plan/v1\nname: actions\n{flags}phases:\n  - name: a\n    tests:\n      - id: a\n        name: t\n        \
         payload: small\n        stages:\n{stages}        criteria: [{criteria}]\n"
    )
}

fn stage(seconds: u32, target: u32, actions: &str) -> String {
    format!("          - {{duration: {seconds}s, target: {target}, actions: [{actions}]}}\n")
}

/// The pipeline's settings as the services have them: whether the mapping reads, open shards, reserved concurrency,
/// batch size.
async fn settings(clients: &Clients, standing: &stack::Standing) -> (String, i32, Option<i32>, Option<i32>) {
    let mapping =
        clients.lambda.get_event_source_mapping().uuid(&standing.mapping_uuid).send().await.unwrap();
    let stream = clients.kinesis.describe_stream_summary().stream_name(&standing.stream_name);
    let stream = stream.send().await.unwrap().stream_description_summary.unwrap();
    let reserved = clients.lambda.get_function_concurrency().function_name(&standing.function_name);
    let reserved = reserved.send().await.unwrap().reserved_concurrent_executions;
    (mapping.state.unwrap(), stream.open_shard_count, reserved, mapping.batch_size)
}

fn as_made() -> (String, i32, Option<i32>, Option<i32>) {
    ("Enabled".to_owned(), 1, None, Some(100))
}

struct Bench {
    field: Field,
    plan: plan::Plan,
    standing: stack::Standing,
}

impl Bench {
    async fn new(text: &str) -> Bench {
        let field = Field::new(&[], 1).await;
        let plan = plan::parse(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let up = up_request(&plan, field.root.path());
        let standing = stack::up(&field.clients, field.clock, &up, &|_| {}).await.unwrap();
        Bench { field, plan, standing }
    }

    fn request(&self) -> RunRequest {
        let Field { clients, clock, root, .. } = &self.field;
        request(clients, *clock, self.plan.clone(), self.standing.clone(), root.path())
    }

    async fn settings(&self) -> (String, i32, Option<i32>, Option<i32>) {
        settings(&self.field.clients, &self.standing).await
    }
}

fn model(finished: &RunFinished) -> Value {
    serde_json::from_str(&report::json(&publish(&finished.dir).unwrap().model)).unwrap()
}

/// Steps of all actions, in order.
fn steps(finished: &RunFinished) -> Vec<ActionStep> {
    let events = read_events(&finished.dir.join("events.jsonl"), &mut Vec::new()).unwrap();
    let step = |logged: &streamgauge::evidence::events::Logged| match &logged.event {
        Event::Action { step, .. } => Some(*step),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

#[tokio::test(start_paused = true)]
async fn the_shipped_drain_is_measured() {
    let ran = test(&shipped("drain.yaml"), &[], 1).await;
    let test = &ran.report["tests"][0];
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", test["criteria"]);
    let action = &test["actions"][0];
    let backlog = action["backlog_max_records"].as_f64().unwrap();
    assert!((1_900.0..=2_400.0).contains(&backlog), "20 s at 100/s: {action}");
    let catch_up_s = action["catch_up_s"].as_f64().unwrap();
    assert!((0.1..=10.0).contains(&catch_up_s), "{action}");
    let drained = test["criteria"].as_array().unwrap().iter().find(|one| one["unit"] == "s").unwrap();
    assert_eq!(drained["observed"], action["catch_up_s"], "the criterion judges what the action took");
    // The first batch afterwards holds a second of records; the last of them waited a second less than the consumer
    // was off.
    let age_ms = test["levels"][2]["iterator_age_ms_max"].as_f64().unwrap();
    assert!((19_000.0..=25_000.0).contains(&age_ms), "{age_ms}");
    let html = std::fs::read_to_string(ran.dir.join("report.html")).unwrap();
    assert!(html.contains("Actions during load") && html.contains("class=\"action-band\""));
}

#[tokio::test(start_paused = true)]
async fn each_kind_has_its_effect_and_is_reverted_at_its_time() {
    let stages = stage(10, 50, "")
        + &stage(20, 50, "{at: 2s, set_reserved_concurrency: {value: 0, for: 8s}}")
        + &stage(20, 50, "{at: 0s, change_batch: {batch_size: 5, for: 20s}}")
        + &stage(30, 50, "{at: 2s, reshard: {shards: 2, for: 15s}}");
    let bench = Bench::new(&text("", &stages, "lost == 0, out_of_order == 0")).await;
    let finished = run(bench.request()).await.unwrap();
    assert_eq!(finished.end, RunEnd::Completed, "{:?}", finished.failure);
    let model = model(&finished);
    let test = &model["tests"][0];
    assert_eq!(test["verdict"], "pass", "{:#}", test["criteria"]);
    let actions = test["actions"].as_array().unwrap();
    for action in actions {
        assert!(action["reverted_at"].is_string() && action["not_reverted"].is_null(), "{action}");
        assert!(action["catch_up_s"].is_number(), "{action}");
    }
    // Nothing is handed to a function without concurrency: 8 s at 50/s are outstanding.
    let backlog = actions[0]["backlog_max_records"].as_f64().unwrap();
    assert!((350.0..=600.0).contains(&backlog), "{}", actions[0]);
    let levels = test["levels"].as_array().unwrap();
    let batch = |level: usize| levels[level]["records_per_invocation"].as_f64().unwrap();
    assert!(batch(2) <= 5.5 && batch(1) > 10.0, "{} {}", batch(2), batch(1));
    let receipts = std::fs::read_to_string(finished.dir.join("receipts.jsonl")).unwrap();
    let shards: BTreeSet<String> =
        (0..6).map(|n| format!("shardId-00000000000{n}")).filter(|shard| receipts.contains(shard)).collect();
    assert!(shards.len() >= 3, "the shard, and the two that it became: {shards:?}");
    assert_eq!(bench.settings().await, as_made());
}

/// Two actions in force, on resources of their own.
const TWO: &str = "{at: 2s, disable_mapping: {for: 50s}}, {at: 2s, set_reserved_concurrency: {value: 3, for: 50s}}, \
                   {at: 2s, reshard: {shards: 2, for: 50s}}";

#[tokio::test(start_paused = true)]
async fn ctrl_c_once_and_twice_leaves_nothing_changed() {
    for times in [1, 2] {
        let bench = Bench::new(&text("", &stage(60, 20, TWO), "lost == 0")).await;
        let (asks, stop) = watch::channel(0);
        let running = tokio::spawn(run(RunRequest { stop, ..bench.request() }));
        tokio::time::sleep(Duration::from_secs(20)).await;
        let (state, shards, reserved, _) = bench.settings().await;
        assert_eq!((state.as_str(), shards, reserved), ("Disabled", 2, Some(3)), "the actions are in force");
        for _ in 0..times {
            asks.send_modify(|asked| *asked += 1);
        }
        let finished = running.await.unwrap().unwrap();
        assert_eq!(finished.end, RunEnd::Stopped("interrupted".to_owned()), "{:?}", finished.failure);
        let reverted = steps(&finished).iter().filter(|step| **step == ActionStep::Reverted).count();
        assert_eq!(reverted, 3, "asked {times} times: {:?}", steps(&finished));
        // Asked twice, it only did not wait for the services to be done.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.settings().await, as_made(), "asked {times} times");
    }
}

#[tokio::test(start_paused = true)]
async fn a_red_flag_that_stops_the_run_reverts_and_then_drains() {
    let stages = stage(1, 20, TWO) + &stage(30, 20, "") + &stage(60, 4_000, "");
    let text = text("flags: {write_throughput_exceeded: stop}\n", &stages, "lost == 0");
    let bench = Bench::new(&text.replace("{at: 2s", "{at: 500ms")).await;
    let finished = run(bench.request()).await.unwrap();
    assert!(matches!(&finished.end, RunEnd::Stopped(why) if why.contains("red flag")), "{:?}", finished.end);
    assert_eq!(bench.settings().await, as_made());
    let delivery = &model(&finished)["delivery"];
    assert_eq!(
        delivery["acked"], delivery["delivered"],
        "the mapping reads again before it drains: {delivery}"
    );
}

/// The session gone in the middle, as by a panic in it: the actions look after themselves.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_gone_leaves_nothing_changed() {
    let bench = Bench::new(&text("", &stage(60, 20, TWO), "lost == 0")).await;
    let running = tokio::spawn(run(bench.request()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_ne!(bench.settings().await, as_made());
    running.abort();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(bench.settings().await, as_made());
}

#[tokio::test(start_paused = true)]
async fn a_refused_action_is_told_and_the_run_goes_on() {
    let stages = stage(20, 20, "{at: 2s, set_reserved_concurrency: {value: 950, for: 5s}}");
    let bench = Bench::new(&text("", &stages, "lost == 0, drain_time < 1m")).await;
    let finished = run(bench.request()).await.unwrap();
    assert_eq!(
        (&finished.end, steps(&finished)),
        (&RunEnd::Completed, vec![ActionStep::Started, ActionStep::Refused])
    );
    let model = model(&finished);
    let test = &model["tests"][0];
    let refused = test["actions"][0]["refused"].as_str().unwrap();
    assert!(refused.contains("UnreservedConcurrentExecution"), "{refused}");
    let verdicts: Vec<&Value> =
        test["criteria"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
    assert_eq!(verdicts, [&json!("pass"), &json!("inconclusive")]);
    assert_eq!(bench.settings().await, as_made());
}

/// A journal that ends in the middle of an action, and settings that were never put back.
#[tokio::test(start_paused = true)]
async fn what_a_killed_run_left_is_put_back_by_the_next_run() {
    let bench = Bench::new(&text("", &stage(10, 20, ""), "lost == 0")).await;
    let before = run(bench.request()).await.unwrap();
    let log: EventLog = RunDir::open(&before.dir).unwrap().event_log().unwrap();
    let (kind, step) = ("disable_mapping".to_owned(), ActionStep::Started);
    log.append(1, &Event::Action { level: 0, action: 0, kind, step, detail: None }).unwrap();
    let Field { clients, clock, .. } = &bench.field;
    let mapping = clients.lambda.update_event_source_mapping().uuid(&bench.standing.mapping_uuid);
    mapping.enabled(false).batch_size(7).send().await.unwrap();
    let function = clients.lambda.put_function_concurrency().function_name(&bench.standing.function_name);
    function.reserved_concurrent_executions(3).send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (left, unseen) =
        streamgauge::session::actions::left::look(clients, *clock, &bench.standing, Duration::from_secs(5))
            .await;
    assert_eq!((left.len(), unseen), (3, Vec::new()), "{left:?}");
    assert_eq!(left[0].to_string(), "mapping disabled instead of mapping enabled");

    let finished =
        run(RunRequest { progress: Arc::new(streamgauge::session::progress::Silent), ..bench.request() })
            .await
            .unwrap();
    assert_eq!(finished.end, RunEnd::Completed, "{:?}", finished.failure);
    assert_eq!(bench.settings().await, as_made());
    let notes = model(&finished)["notes"].to_string();
    let id = before.dir.file_name().unwrap().to_string_lossy().into_owned();
    assert!(
        notes.contains(&format!("the run {id} ended in the middle of an action: mapping disabled")),
        "{notes}"
    );
    assert!(notes.contains("reserved concurrency 3 instead of no reserved concurrency; put back"), "{notes}");
}
