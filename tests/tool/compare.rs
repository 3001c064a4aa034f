//! `compare`, `history` and `baseline` over reports that stand in directories of their own, as a CI keeps them.

use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

/// A report.json with one judged level.
fn write_run(dir: &Path, id: &str, put_p95_ms: f64) {
    let report = json!({
        "schema": "streamgauge/report/v1",
        "run": {"id": id, "plan": "quickstart", "plan_hash": "00", "target": "local", "end": "completed",
                "started_at": "2026-11-21T10:00:00Z"},
        "environment": {"name": "default"},
        "tests": [{"id": "q", "finished": true, "payload": {"bytes": 500}, "levels": [{
            "name": "50/s hold", "kind": "hold", "started_at": "2026-11-21T10:00:00Z", "finished": true, "judged": true,
            "put_latency_ms": {"count": 500, "p50": 5.0, "p95": put_p95_ms, "p99": 30.0},
            "throttled": 0, "delivery": {"lost": 0}
        }]}],
    });
    std::fs::create_dir_all(dir).expect("directory");
    std::fs::write(dir.join("report.json"), report.to_string()).expect("write");
}

fn tool(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("streamgauge").expect("binary");
    command.current_dir(dir);
    command
}

#[test]
fn reports_without_evidence_are_compared_and_nothing_is_claimed_of_their_noise() {
    let root = tempfile::tempdir().expect("tempdir");
    write_run(&root.path().join("main"), "20261121-100000-aaaa", 10.0);
    write_run(&root.path().join("change"), "20261121-110000-bbbb", 20.0);
    let plain = tool(root.path()).args(["compare", "main", "change/report.json"]).assert().success();
    let text = String::from_utf8_lossy(&plain.get_output().stdout).into_owned();
    assert!(text.contains("+100 %") && text.contains("not known"), "{text}");
    let reports = root.path().join(".streamgauge/reports");
    for extension in ["html", "md", "json"] {
        let name = format!("compare-20261121-100000-aaaa-20261121-110000-bbbb.{extension}");
        assert!(reports.join(&name).is_file(), "{name}");
    }
    let gated = || {
        let mut command = tool(root.path());
        command.args(["compare", "main", "change", "--fail-on", "10%", "--format", "json"]);
        command
    };
    let open = gated().assert().code(1);
    let document: Value = serde_json::from_slice(&open.get_output().stdout).expect("JSON");
    assert_eq!(document["verdict"], "inconclusive", "{document}");
    gated().arg("--allow-inconclusive").assert().success();
}

#[test]
fn a_lost_record_fails_without_any_interval() {
    let root = tempfile::tempdir().expect("tempdir");
    write_run(&root.path().join("a"), "20261121-100000-aaaa", 10.0);
    write_run(&root.path().join("b"), "20261121-110000-bbbb", 10.0);
    let path = root.path().join("b/report.json");
    let text = std::fs::read_to_string(&path).expect("read").replace("\"lost\":0", "\"lost\":2");
    std::fs::write(&path, text).expect("write");
    let failed = tool(root.path())
        .args(["compare", "a", "b", "--fail-on", "10%", "--allow-inconclusive", "--as", "markdown"])
        .assert()
        .code(1);
    let text = String::from_utf8_lossy(&failed.get_output().stdout).into_owned();
    assert!(text.contains("**regression** q / 50/s hold: lost 0 -\\> 2, from zero"), "{text}");
}

#[test]
fn wrong_arguments_are_told_and_end_with_2() {
    let root = tempfile::tempdir().expect("tempdir");
    write_run(&root.path().join("a"), "20261121-100000-aaaa", 10.0);
    std::fs::create_dir_all(root.path().join("torn")).expect("directory");
    std::fs::write(root.path().join("torn/report.json"), "{\"schema\":").expect("write");
    let plan = concat!(env!("CARGO_MANIFEST_DIR"), "/plans/quickstart.yaml");
    let cases: [(&[&str], &str); 10] = [
        (&["compare", "a"], "the plan has no baseline"),
        (&["compare", "a", "nowhere"], "no run at nowhere"),
        (&["compare", "a", "torn"], "torn/report.json"),
        (&["compare", "a", "a", "--fail-on", "ten"], "0% to 1000%"),
        (&["compare", "a", "a", "--fail-on", "1001%"], "0% to 1000%"),
        (&["compare", "a", "a", "--fail-on=-1%"], "0% to 1000%"),
        (&["history", plan, "--figure", "put_latency.p42"], "expected one of put_latency.p50"),
        (&["history", plan], "no finished run"),
        (&["history", plan, "--last", "0"], "--last"),
        (&["baseline", plan, "nowhere"], "no run at nowhere"),
    ];
    for (args, expected) in cases {
        let refused = tool(root.path()).args(args).assert().code(2);
        let told = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(told.contains(expected), "{args:?}: {told}");
    }
}
