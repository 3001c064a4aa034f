//! A campaign in parts: Ctrl-C, `--resume`, a changed plan, a missing environment, a disk that is full.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Bench, processes_under, report, wait_for};

const ENOUGH: Duration = Duration::from_secs(60);

/// Test `b` takes `b_lasts`; the others half a second.
fn plan(b_lasts: &str) -> String {
    format!(
        "schema: streamgauge/plan/v1
name: parts
drain: 20s
environment:
  stream: {{shards: 1}}
phases:
  - name: One
    week: 1
    tests:
      - {{id: a, name: A, payload: small, stages: [{{duration: 500ms, target: 40}}], criteria: [lost == 0]}}
      - {{id: b, name: B, payload: small, stages: [{{duration: {b_lasts}, target: 40}}], criteria: [lost == 0]}}
  - name: Two
    week: 2
    tests:
      - {{id: c, name: C, payload: small, stages: [{{duration: 500ms, target: 40}}], criteria: [lost == 0]}}
"
    )
}

fn states(bench: &Bench) -> Vec<String> {
    let done = bench.run(&["status", "plan.yaml", "--format", "json"]).expect_code(0);
    let status: Value = serde_json::from_str(&done.stdout).unwrap();
    let tests = status["tests"].as_array().unwrap();
    tests.iter().map(|test| test["state"].as_str().unwrap().to_owned()).collect()
}

fn events_of_last_run(bench: &Bench) -> String {
    bench
        .runs()
        .pop()
        .and_then(|run| std::fs::read_to_string(run.join("events.jsonl")).ok())
        .unwrap_or_default()
}

#[test]
fn what_ctrl_c_left_is_resumed_and_a_changed_plan_runs_again_what_was_changed() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan("60s"));
    // Without an environment nothing is begun.
    let not_up = bench.run(&["run", "--resume", "plan.yaml"]).expect_code(3);
    assert!(not_up.stderr.contains("hint: streamgauge up"), "{}", not_up.stderr);
    assert!(bench.runs().is_empty());
    bench.run(&["up", "plan.yaml"]).expect_code(0);

    let mut run = bench.command(&["run", "plan.yaml"]);
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the second test", ENOUGH, || {
        events_of_last_run(&bench).contains("\"level_started\",\"level\":1").then_some(())
    });
    assert_eq!(states(&bench), ["finished", "running", "not_run"]);
    let second = bench.run(&["run", "--resume", "plan.yaml"]).expect_code(3);
    assert!(second.stderr.contains("another streamgauge"), "{}", second.stderr);
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("hint: streamgauge run --resume plan.yaml --env default"), "{stderr}");
    let first = report(&bench.last_run());
    let summary = first["summary"].to_string();
    assert!(summary.contains("Test b did not come to its end. Test c was not begun."), "{summary}");
    assert_eq!(states(&bench), ["finished", "interrupted", "not_run"]);

    // A minute is too long for this test: the plan is changed, which has to be said.
    bench.write("plan.yaml", plan("600ms"));
    let refused = bench.run(&["run", "--resume", "plan.yaml"]).expect_code(2);
    assert!(refused.stderr.contains("test b changed (stages)"), "{}", refused.stderr);
    let resumed =
        bench.run(&["run", "--resume", "--accept-plan-change", "plan.yaml", "--week", "1"]).expect_code(0);
    assert!(resumed.stdout.contains("accepted: test b changed (stages)"), "{}", resumed.stdout);
    let run = report(&bench.last_run());
    assert_eq!(run["tests"].as_array().unwrap().len(), 1, "only b is left of week 1");
    assert_eq!(states(&bench), ["finished", "finished", "not_run"]);

    bench.run(&["run", "--resume", "plan.yaml"]).expect_code(0);
    let nothing = bench.run(&["run", "--resume", "plan.yaml"]).expect_code(0);
    assert!(nothing.stdout.contains("3 of 3 tests have finished, in 3 runs"), "{}", nothing.stdout);
    bench.run(&["down"]).expect_code(0);
    // Nor does it need the environment any more.
    bench.run(&["run", "--resume", "plan.yaml"]).expect_code(0);
    let status = bench.run(&["status"]).expect_code(0);
    assert!(status.stdout.contains("campaign 'parts': 3 of 3"), "{}", status.stdout);
}

#[test]
fn a_full_disk_ends_the_run_and_resume_works_once_there_is_room() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan("60s"));
    bench.run(&["up", "plan.yaml"]).expect_code(0);
    // No file may grow beyond 24 blocks: for whoever writes, a disk that is full.
    let script =
        format!("trap '' XFSZ; ulimit -f 24; exec {} run plan.yaml", env!("CARGO_BIN_EXE_streamgauge"));
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(bench.path()).stdin(Stdio::null());
    let output = shell.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("hint:") && stderr.contains("free some space"), "{stderr}");
    assert_eq!(states(&bench), ["finished", "interrupted", "not_run"]);
    let id = bench.last_run().file_name().unwrap().to_string_lossy().into_owned();
    let done = bench.run(&["report", &id]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    let kept = report(&bench.last_run());
    assert!(kept["delivery"]["acked"].as_u64().unwrap() > 50, "{}", kept["delivery"]);

    bench.write("plan.yaml", plan("600ms"));
    bench.run(&["run", "--resume", "--accept-plan-change", "plan.yaml"]).expect_code(0);
    assert_eq!(states(&bench), ["finished"; 3]);
    bench.run(&["down"]).expect_code(0);
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
}
