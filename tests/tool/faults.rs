//! Planted faults, seen from outside: with real function processes, and in `status`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bench, plan, report, wait_for};

#[test]
fn crashes_and_lost_receipts_of_real_functions_come_out_as_the_truth_says() {
    let bench = Bench::alone();
    let text = plan(100, "8s", &["lost == 0"]).replace("drain: 30s", "drain: 5s");
    // Counted faults take up to 40 invocations.
    let text = text.replace("stream: {shards: 1}", "stream: {shards: 1}\n  function: {batch_size: 10}");
    bench.write("plan.yaml", text);
    let faults =
        ["kill-function:count=1,at=receipt", "kill-function:count=1,at=work,seed=9", "lost-receipt:count=1"];
    let args: Vec<&str> = faults.iter().flat_map(|spec| ["--fault", *spec]).collect();
    bench.run(&[&["test", "plan.yaml"], &args[..]].concat());
    let run = bench.last_run();
    let report = report(&run);
    assert_eq!(report["run"]["faults"], json!(faults));
    let said = report["summary"][0].as_str().unwrap();
    assert!(said.starts_with("Faults were planted on purpose"), "{said}");
    let text = std::fs::read_to_string(run.join("faults.jsonl")).unwrap();
    let truth: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let records = |kind: &str, at: Value| {
        let of_kind = truth.iter().filter(|event| event["kind"] == kind && event["at"] == at);
        of_kind.map(|event| event["records"].as_u64().unwrap()).sum::<u64>()
    };
    let (seen_twice, lost) =
        (records("kill-function", json!("receipt")), records("lost-receipt", Value::Null));
    assert!(seen_twice > 0 && lost > 0 && records("kill-function", json!("work")) > 0, "{text}");
    let delivery = &report["delivery"];
    assert_eq!(delivery["acked"], 50 + 800);
    assert_eq!(delivery["duplicated"]["redelivery"], seen_twice, "{delivery}\n{text}");
    // Whether the stream still has them or not: without a receipt nobody saw them delivered.
    assert_eq!(delivery["delivered"], 850 - lost, "{delivery}\n{text}");
    assert_eq!(delivery["lost"], 0, "{delivery}");
}

#[test]
fn status_shows_the_faults_of_an_endpoint_in_the_foreground() {
    let bench = Bench::new();
    let args =
        ["local", "--port", "0", "--fault", "error:rate=100%,op=ListStacks", "--fault", "drop:count=1"];
    let mut local = bench.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(local.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split_once("127.0.0.1:").unwrap().1.split(' ').next().unwrap().to_owned();
    let env = format!("local-{port}");
    let state_file = bench.path().join(format!(".streamgauge/envs/{env}.json"));
    assert!(state_file.is_file(), "{}", state_file.display());

    let done = bench.run(&["status", "--env", &env, "--format", "json"]).expect_code(0);
    let status: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(status["up"], false);
    assert_eq!(status["endpoint"]["faults"], json!(["error:rate=100%,op=ListStacks", "drop:count=1"]));
    assert_eq!(status["endpoint"]["struck"]["drop"], json!({"strikes": 0, "records": 0}));
    let told = bench.run(&["status", "--env", &env]).expect_code(0).stdout;
    assert!(told.contains("fault: drop:count=1") && told.contains("struck so far: drop 0"), "{told}");

    bench.run(&["down", "--env", &env]);
    let ended = wait_for("the end of the endpoint", Duration::from_secs(20), || local.try_wait().unwrap());
    assert!(ended.success() && !state_file.exists());
}
