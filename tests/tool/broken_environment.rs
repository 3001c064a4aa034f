//! What can break around a run: a plain error with a hint, exit 3 or 4, everything measured kept, nothing
//! left running.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Bench, plan, processes_under, report, wait_for};

fn zip_with_bootstrap(bench: &Bench, name: &str, script: &str) -> PathBuf {
    let path = bench.path().join(name);
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    zip.write_all(script.as_bytes()).unwrap();
    zip.finish().unwrap();
    path
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let done = Bench::new().run(&["local", "--port", &port]).expect_code(3);
    assert!(done.stderr.contains(&port) && done.stderr.contains("hint:"), "{}", done.stderr);
}

#[test]
fn a_function_that_crashes_at_start_is_explained() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(20, "2s", &["lost == 0"]));
    zip_with_bootstrap(&bench, "crash.zip", "#!/bin/sh\necho 'no such library' >&2\nexit 7\n");
    let done = bench.run(&["test", "plan.yaml", "--function-zip", "crash.zip"]).expect_code(3);
    assert!(
        done.stderr.contains("exit status 7") || done.stderr.contains("Runtime.ExitError"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("hint:"), "{}", done.stderr);
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
    assert!(bench.leftovers().is_empty());
}

#[test]
fn a_function_that_never_answers_is_explained() {
    let bench = Bench::alone();
    let text = plan(20, "2s", &["lost == 0"])
        .replace("  stream: {shards: 1}", "  stream: {shards: 1}\n  function: {timeout_s: 1}");
    bench.write("plan.yaml", text);
    // Takes its first event and then does nothing: Lambda ends it at its timeout.
    let script = "#!/usr/bin/env python3\nimport os, time, urllib.request\n\
                  urllib.request.urlopen('http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/invocation/next').read()\n\
                  time.sleep(600)\n";
    zip_with_bootstrap(&bench, "hang.zip", script);
    let done = bench.run(&["test", "plan.yaml", "--function-zip", "hang.zip"]).expect_code(3);
    assert!(done.stderr.contains("timed out") || done.stderr.contains("exit status"), "{}", done.stderr);
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
}

#[test]
fn a_zip_without_a_bootstrap_is_refused_before_anything_is_made() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(20, "2s", &["lost == 0"]));
    bench.write("not.zip", "this is no zip");
    let done = bench.run(&["test", "plan.yaml", "--function-zip", "not.zip"]);
    assert!([2, 3].contains(&done.code), "{}", done.stderr);
    assert!(done.stderr.contains("not.zip"), "{}", done.stderr);
    assert!(bench.runs().is_empty());
}

#[test]
fn an_endpoint_killed_in_the_middle_ends_the_run_and_keeps_what_was_measured() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(50, "60s", &["lost == 0"]));
    bench.run(&["up", "plan.yaml"]).expect_code(0);
    let state = std::fs::read_to_string(bench.path().join(".streamgauge/envs/default.json")).unwrap();
    let pid = serde_json::from_str::<serde_json::Value>(&state).unwrap()["pid"].as_i64().unwrap();
    let child = bench
        .command(&["run", "plan.yaml"])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("three seconds of sends", Duration::from_secs(60), || {
        let sends = std::fs::read_to_string(bench.runs().pop()?.join("sends.jsonl")).ok()?;
        (sends.lines().count() >= 3).then_some(())
    });
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!([Some(3), Some(4)].contains(&output.status.code()), "{stderr}");
    assert!(stderr.contains("error:") && stderr.contains("hint:"), "{stderr}");
    let report = report(&bench.last_run());
    assert!(report["delivery"]["acked"].as_u64().unwrap() > 50, "{}", report["delivery"]);
    assert_eq!(report["delivery"]["lost"], serde_json::Value::Null, "{}", report["delivery"]);
    bench.run(&["down"]).expect_code(0);
    wait_for("the end of its functions", Duration::from_secs(15), || {
        processes_under(bench.path()).is_empty().then_some(())
    });
    wait_for("the end of its folder", Duration::from_secs(15), || bench.leftovers().is_empty().then_some(()));
}

#[test]
fn an_unwritable_directory_is_named() {
    // Root may write anywhere: a file in the way is refused to everybody.
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(20, "2s", &["lost == 0"]));
    std::fs::create_dir(bench.path().join(".streamgauge")).unwrap();
    bench.write(".streamgauge/runs", "a file, not a directory");
    std::fs::set_permissions(bench.path().join(".streamgauge/runs"), std::fs::Permissions::from_mode(0o444))
        .unwrap();
    let done = bench.run(&["test", "plan.yaml"]).expect_code(3);
    assert!(done.stderr.contains(".streamgauge/runs") && done.stderr.contains("hint:"), "{}", done.stderr);
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
}
