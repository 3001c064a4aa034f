//! Runs on pipelines that were there before, in virtual time: made by plain SDK calls, as somebody else would have
//! made them, and looked at afterwards to see that they were left alone.

#[expect(dead_code, reason = "shared with tests that stand their pipeline up")]
#[path = "../support/mod.rs"]
mod support;

mod pipeline;

use std::time::Duration;

use pipeline::{Owned, PLAN_HEAD, lasting};
use serde_json::json;
use streamgauge::session::run::run;
use streamgauge::stack::existing::{ExistingError, Pipeline, check_allowed, inspect};

const CRITERIA: &str =
    "[success_rate > 99%, put_latency.p95 < 100ms, lost == 0, e2e_latency.p95 < 5s, lambda_errors == 0]";

#[tokio::test(start_paused = true)]
async fn a_function_that_sends_no_receipts_leaves_delivery_null_and_its_criteria_inconclusive() {
    let owned = Owned::make(false).await;
    let before = owned.names().await;
    let ran = owned.run(&lasting(180, CRITERIA)).await;
    let report = &ran.report;
    assert_eq!(report["delivery"], json!(null));
    let level = &report["tests"][0]["levels"][1];
    assert_eq!((&level["e2e_latency_ms"], &level["delivery"]), (&json!(null), &json!(null)), "{level}");
    assert_eq!(level["acked"], 20 * 180, "{level}");
    let verdicts: Vec<&str> = report["tests"][0]["criteria"]
        .as_array()
        .unwrap()
        .iter()
        .map(|criterion| criterion["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(
        verdicts,
        ["pass", "pass", "inconclusive", "inconclusive", "pass"],
        "{:#}",
        report["tests"][0]["criteria"]
    );
    let reason = report["tests"][0]["criteria"][2]["reason"].as_str().unwrap();
    assert!(reason.contains("no receipts"), "{reason}");

    let existing = &report["environment"]["existing"];
    assert_eq!(existing["before"]["mapping.batch_size"], "50");
    assert_eq!((&existing["before"], &existing["changes"]), (&existing["after"], &json!([])), "{existing:#}");
    assert_eq!(existing["foreign_traffic"]["records"], 0, "{existing:#}");
    assert_eq!(report["environment"]["function"]["memory_mb"], 256);
    assert_eq!(owned.names().await, before, "nothing was made or deleted");
    for file in ["report.md", "report.html"] {
        let text = std::fs::read_to_string(ran.dir.join(file)).unwrap();
        assert!(text.contains("was there before the run"), "{file}");
        assert!(
            text.contains("Nothing but this run&#39;s records")
                || text.contains("Nothing but this run's records")
        );
    }
    let kept: serde_json::Value =
        serde_json::from_slice(&std::fs::read(ran.dir.join("environment.json")).unwrap()).unwrap();
    assert_eq!((&kept["v"], &kept["existing"]["receipts"]), (&json!(1), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_sends_receipts_proves_the_delivery_of_every_record() {
    let owned = Owned::make(true).await;
    let ran = owned.run(&lasting(60, CRITERIA)).await;
    let (delivery, acked) = (&ran.report["delivery"], 20 * 60 + 10 * 10);
    assert_eq!((&delivery["acked"], &delivery["delivered"]), (&json!(acked), &json!(acked)), "{delivery}");
    assert_eq!((&delivery["lost"], &delivery["complete"]), (&json!(0), &json!(true)), "{delivery}");
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
}

#[tokio::test(start_paused = true)]
async fn what_others_send_is_measured_by_the_minute() {
    let owned = Owned::make(false).await;
    let foreign = owned.foreign_traffic(5, 150);
    let ran = owned.run(&lasting(180, "[success_rate > 99%]")).await;
    let sent = foreign.await.unwrap();
    let traffic = &ran.report["environment"]["existing"]["foreign_traffic"];
    assert_eq!(traffic["records"], sent, "{traffic:#}");
    let minutes = traffic["minutes"].as_array().unwrap();
    let busiest = minutes.iter().map(|minute| minute["foreign"].as_u64().unwrap()).max().unwrap();
    // Five a second, give or take those acked in the next minute.
    assert!((295..=305).contains(&busiest), "{traffic:#}");
    let text = std::fs::read_to_string(ran.dir.join("report.md")).unwrap();
    let sentence = format!("Other producers sent {sent} records");
    assert!(text.contains(&sentence), "{text}");
    assert!(ran.terminal.contains(&sentence), "{}", ran.terminal);
}

#[tokio::test(start_paused = true)]
async fn a_change_in_the_middle_voids_the_level_that_it_falls_into_and_no_other() {
    let owned = Owned::make(false).await;
    let text = format!(
        "{PLAN_HEAD}        stages: [{{duration: 120s, target: 5}}, {{duration: 120s, target: 5}}, {{duration: 120s, target: 5}}]\n        criteria: [put_latency.p95 < 100ms]\n"
    );
    let change = async {
        // The middle of the second level: the first probe is taken at once.
        tokio::time::sleep(Duration::from_secs(180)).await;
        owned.set_batch_size(7).await;
    };
    let ran = tokio::join!(owned.run(&text), change).0;
    let test = &ran.report["tests"][0];
    let voids: Vec<Option<&str>> =
        test["levels"].as_array().unwrap().iter().map(|level| level["void"].as_str()).collect();
    assert_eq!(voids, [None, Some("the pipeline was changed under it: mapping.batch_size: 50 -> 7"), None]);
    assert_eq!(test["criteria"][0]["verdict"], "inconclusive", "{test:#}");
    let existing = &ran.report["environment"]["existing"];
    assert_eq!(existing["changes"].as_array().unwrap().len(), 1, "{existing:#}");
    assert_eq!(existing["after"]["mapping.batch_size"], "7");
    assert!(ran.report["findings"].as_array().unwrap().iter().all(|finding| finding["limit"] != "generator"));
}

#[tokio::test(start_paused = true)]
async fn a_red_flag_stops_a_run_on_an_existing_pipeline_by_itself() {
    let owned = Owned::make(false).await;
    // One shard takes 1,000 records a second.
    let text = format!("{PLAN_HEAD}        put: batch\n        stages: [{{duration: 60s, target: 3000}}]\n");
    let request = owned.request(&text).await;
    let finished = run(request).await.unwrap();
    let streamgauge::evidence::model::RunEnd::Stopped(reason) = finished.end else { panic!("it ran on") };
    assert!(reason.starts_with("red flag"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_not_loaded_without_its_owners_word_and_every_reader_is_named() {
    let owned = Owned::make(false).await;
    let look = owned.look(None).await.unwrap();
    let error = check_allowed(&look, false).expect_err("it has no tag");
    assert!(matches!(error, ExistingError::NotAllowed { .. }) && error.is_input());
    assert!(check_allowed(&look, true).is_ok());

    owned.allow("false").await;
    assert!(check_allowed(&owned.look(None).await.unwrap(), false).is_err(), "only the value true allows it");
    owned.allow("true").await;
    owned.consumer("auditor").await;
    let look = owned.look(None).await.unwrap();
    assert!(check_allowed(&look, false).is_ok());
    let readers = look.existing.unwrap().readers;
    assert!(
        readers[0].starts_with("event source mapping ") && readers[0].contains("function:reader"),
        "{readers:?}"
    );
    assert!(readers[1].starts_with("enhanced fan-out consumer auditor"), "{readers:?}");
    assert!(readers[2].contains("Firehose"), "{readers:?}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_belong_together_is_said() {
    let owned = Owned::make(false).await;
    let at = |stream: &str, function: &str| {
        let pipeline = Pipeline { stream: stream.into(), function: function.into() };
        let clients = owned.services.clients.clone();
        async move { inspect(&clients, "mine", &pipeline, None).await.expect_err("it is wrong") }
    };
    let error = at("arn:aws:kinesis:eu-west-1:123456789012:stream/orders", "reader").await;
    assert!(error.is_input() && error.to_string().contains("is in eu-west-1"), "{error}");
    let error = at("nowhere", "reader").await;
    assert!(!error.is_input() && error.to_string().contains("nowhere"), "{error}");
    let error = at("orders", "nobody").await;
    assert!(!error.is_input() && error.to_string().contains("nobody"), "{error}");
    owned.function("idle", false).await;
    let error = at("orders", "idle").await;
    assert!(error.is_input(), "{error}");
    assert!(error.to_string().contains("no event source mapping of the function idle"), "{error}");
    assert!(error.to_string().contains("function:reader"), "names who reads it instead: {error}");
}
