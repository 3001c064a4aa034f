//! The command line on a pipeline that stands already: one that `up` made, reached as if somebody else had.

use serde_json::{Value, json};

use crate::support::{Bench, plan, report};

fn on(environment: &str) -> String {
    let text = plan(20, "3s", &["success_rate > 99%", "lost == 0"]);
    let from = "environment:\n  stream: {shards: 1}\n";
    assert!(text.contains(from));
    text.replacen(from, &format!("environment: {environment}\n"), 1)
}

#[test]
fn a_file_of_outputs_that_does_not_tell_is_exit_2_with_file_and_field() {
    let bench = Bench::new();
    bench.write("plan.yaml", on("{from_outputs: out.json, existing: {stream_output: Stream}}"));
    let done = bench.run(&["run", "plan.yaml"]).expect_code(2);
    assert!(done.stderr.contains("from_outputs: cannot read out.json"), "{}", done.stderr);
    bench.write("out.json", r#"{"Ingest": {"Stream": 7}}"#);
    let done = bench.run(&["run", "plan.yaml"]).expect_code(2);
    let expected =
        "out.json: Ingest.Stream: found a number, expected the name or the ARN of a Kinesis stream";
    assert!(done.stderr.contains(expected), "{}", done.stderr);
    let done = bench.run(&["up", "plan.yaml"]).expect_code(2);
    assert!(done.stderr.contains("nothing to stand up"), "{}", done.stderr);
    assert!(!bench.path().join(".streamgauge").exists(), "nothing was begun");
}

#[test]
fn a_stream_without_the_tag_is_refused_and_loaded_where_the_user_answers_for_it() {
    let bench = Bench::alone();
    let up = bench.run(&["up", "--format", "json"]).expect_code(0);
    let up: Value = serde_json::from_str(&up.stdout).unwrap();
    let outputs = json!({
        "stream": {"sensitive": false, "type": "string", "value": up["stream"]},
        "function": {"sensitive": false, "type": "string", "value": up["function"]},
    });
    bench.write("out.json", outputs.to_string());
    let queue = up["receipts_queue"].as_str().unwrap();
    bench.write(
        "plan.yaml",
        on(&format!(
            "{{from_outputs: out.json, existing: {{stream_output: stream, function_output: function, receipts_queue: '{queue}'}}}}"
        )),
    );
    let refused = bench.run(&["run", "plan.yaml"]).expect_code(2);
    assert!(refused.stderr.contains("streamgauge:allow=true"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("hint: ") && refused.stderr.contains("--i-own-this-stream"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("event source mapping "),
        "the readers are listed first: {}",
        refused.stderr
    );
    assert!(bench.runs().is_empty());

    // In a debug build on a busy machine the generator may lag: what it proves about delivery holds all the same.
    bench.run(&["run", "plan.yaml", "--i-own-this-stream", "--allow-inconclusive"]).expect_code(0);
    let report = report(&bench.last_run());
    assert_eq!(report["delivery"]["lost"], 0, "{}", report["delivery"]);
    assert_eq!(report["delivery"]["acked"], report["delivery"]["delivered"]);
    assert_eq!(report["environment"]["existing"]["changes"], json!([]));
    let status = bench.run(&["status"]).expect_code(0);
    assert!(status.stdout.contains("streamgauge-default-pipeline"), "it still stands: {}", status.stdout);
    bench.run(&["down"]).expect_code(0);
}
