//! `doctor` from outside, on an endpoint that it starts for itself.

use serde_json::Value;

use crate::support::{Bench, plan, processes_under};

fn finding<'a>(document: &'a Value, check: &str) -> &'a Value {
    let findings = document["findings"].as_array().unwrap();
    findings
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("{check}: {document:#}"))
}

#[test]
fn a_plan_that_needs_more_than_its_shards_is_stopped_and_leaves_nothing_behind() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(2_500, "2s", &["lost == 0"]));
    let done = bench.run(&["doctor", "plan.yaml", "--format", "json"]).expect_code(2);
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&document["target"], &document["level"]), (&"local".into(), &"stop".into()));
    let capacity = finding(&document, "stream-capacity");
    assert_eq!((&capacity["level"], &capacity["concern"]), (&"stop".into(), &"plan".into()));
    assert_eq!(capacity["needed"], "3 shard(s)");
    // What the real clients over the real socket found out about the local endpoint.
    for check in ["identity", "stacks", "may-put-record", "templates", "round-trip", "clock", "concurrency"] {
        assert_eq!(finding(&document, check)["level"], "ok", "{document:#}");
    }
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
    assert!(bench.leftovers().is_empty());
    assert!(!bench.path().join(".streamgauge").exists(), "doctor writes nothing");
}

#[test]
fn a_plan_that_fits_is_let_through() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(20, "2s", &["lost == 0"]));
    let done = bench.run(&["doctor", "plan.yaml"]).expect_code(0);
    assert!(done.stdout.contains("stream-capacity") && !done.stdout.contains("stop"), "{}", done.stdout);
}

#[test]
fn without_credentials_the_identity_is_the_only_stop() {
    let bench = Bench::new();
    let mut command =
        bench.command(&["doctor", "--target", "aws", "--region", "us-east-1", "--format", "json"]);
    // Nothing of the machine that runs this test may serve as credentials.
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
        command.env_remove(name);
    }
    command.env("HOME", bench.path()).env("AWS_EC2_METADATA_DISABLED", "true");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let stops: Vec<&Value> = findings.iter().filter(|finding| finding["level"] == "stop").collect();
    assert_eq!(stops.len(), 1, "{document:#}");
    assert_eq!(stops[0]["check"], "identity");
    assert!(stops[0]["found"].as_str().unwrap().contains("no credentials"), "{}", stops[0]);
    assert_eq!(finding(&document, "function-code")["level"], "ok");
}
