//! `rehearse --calibrate RUN`: the run is a rehearsal that says it is none, so that what it was made of is known.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Bench;

/// Batches of one to ten records; what they take is known exactly.
const PLAN: &str = "schema: streamgauge/plan/v1
name: calibrated
environment: {stream: {shards: 1}, function: {memory_mb: 256, batch_size: 10}}
defaults: {payload: small, put: record}
phases:
  - name: One
    tests:
      - id: a
        name: A
        stages: [{duration: 30s, target: 40}, {duration: 5s, target: 40}]
        criteria: [lost == 0]
rehearsal:
  put_latency: 2ms
  function: {cold_start: 150ms, per_batch: 10ms, per_record: 2ms, overhead: 5ms, memory_used_mb: 77}
";

fn copied(from: &Path, to: PathBuf) -> PathBuf {
    let _ = std::fs::remove_dir_all(&to);
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    to
}

fn edited(file: PathBuf, edit: impl Fn(&str) -> String) {
    let before = std::fs::read_to_string(&file).unwrap();
    let after = edit(&before);
    assert_ne!(before, after, "{}", file.display());
    std::fs::write(file, after).unwrap();
}

fn only_dir(parent: PathBuf) -> PathBuf {
    std::fs::read_dir(parent).unwrap().next().expect("a rehearsal").unwrap().path()
}

#[test]
fn a_rehearsal_calibrated_on_a_run_is_made_of_what_the_run_was_made_of() {
    let bench = Bench::alone();
    bench.write("plan.yaml", PLAN);
    // A plan that assumes nothing of its own: all that it rehearses with must come from the run.
    let bare = PLAN.split("rehearsal:").next().unwrap();
    bench.write("bare.yaml", bare);
    bench.run(&["rehearse", "plan.yaml"]).expect_code(0);
    let made = only_dir(bench.path().join(".streamgauge/rehearsals"));
    let real = |name: &str| {
        let run = copied(&made, bench.path().join(name));
        edited(run.join("run.json"), |text| text.replace("\"rehearsal\": true", "\"rehearsal\": false"));
        // The report is made anew, of what the files say.
        bench.run(&["report", name]).expect_code(0);
        run
    };
    real("run");
    let shown =
        bench.run(&["rehearse", "bare.yaml", "--calibrate", "run", "--show-model"]).expect_code(0).stdout;
    let is = |line: &str| assert!(shown.lines().any(|shown| shown.trim() == line), "{line} in\n{shown}");
    let always = |value: &str| {
        let names = ["min", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999", "max"];
        names.map(|name| format!("{name}: {value}")).join(", ")
    };
    is(&format!("put_latency: {{{}}}", always("2ms")));
    is(&format!("per_batch: {{{}}}", always("10ms")));
    for line in
        ["per_record: 2ms", "overhead: 5ms", "cold_start: 150ms", "failure_percent: 0", "memory_used_mb: 77"]
    {
        is(line);
    }
    // What is shown is a section that a plan can hold, and the same is rehearsed.
    bench.write("pasted.yaml", format!("{bare}{shown}"));
    let again = bench.run(&["rehearse", "pasted.yaml", "--show-model"]).expect_code(0).stdout;
    assert_eq!(again, shown);

    refusals(&bench, &real);
    predicted(&bench);
}

/// The calibrated rehearsal beside the run.
fn predicted(bench: &Bench) {
    let args = ["rehearse", "bare.yaml", "--calibrate", "run", "--seed", "7", "--format", "json"];
    let report: Value = serde_json::from_str(&bench.run(&args).expect_code(0).stdout).unwrap();
    let assumptions = report["run"]["assumptions"].to_string();
    assert!(
        assumptions.contains("calibrated on run") && assumptions.contains("plan calibrated"),
        "{assumptions}"
    );
    let rehearsal = report["run"]["id"].as_str().unwrap();
    let compared = bench.run(&["compare", "run", rehearsal]).expect_code(0).stdout;
    assert!(compared.contains("measured / predicted"), "{compared}");
    assert!(compared.contains("The prediction assumes that calibrated on run"), "{compared}");
    let args = ["compare", "run", rehearsal, "--format", "json"];
    let compared: Value = serde_json::from_str(&bench.run(&args).expect_code(0).stdout).unwrap();
    let hold = &compared["tests"][0]["levels"][1];
    for key in ["records_per_invocation", "e2e_latency.p50", "cost_per_million", "service_time.p50"] {
        let figures = hold["figures"].as_array().unwrap();
        let figure = figures.iter().find(|figure| figure["figure"] == key).expect(key);
        let (measured, predicted) = (figure["before"].as_f64().unwrap(), figure["after"].as_f64().unwrap());
        assert!((predicted / measured - 1.0).abs() < 0.05, "{key}: {measured} and {predicted}");
    }
}

fn refusals(bench: &Bench, real: &dyn Fn(&str) -> PathBuf) {
    let refused = |plan: &str, run: &str, why: &str| {
        let args = ["rehearse", plan, "--calibrate", run, "--show-model"];
        let done = bench.run(&args).expect_code(2);
        assert!(done.stderr.contains("cannot calibrate on"), "{}", done.stderr);
        assert!(done.stderr.contains(why), "{why}: {}", done.stderr);
        assert!(done.stderr.contains("hint: "), "{}", done.stderr);
        assert_eq!(done.stdout, "");
    };
    let bare = std::fs::read_to_string(bench.path().join("bare.yaml")).unwrap();
    for (from, to, why) in [
        ("put: record", "put: batch", "it has no test with put: batch"),
        ("payload: small", "payload: {bytes: 5000}", "its records had 100 bytes"),
    ] {
        assert!(bare.contains(from));
        bench.write("other.yaml", bare.replace(from, to));
        refused("other.yaml", "run", why);
    }
    let rehearsal = only_dir(bench.path().join(".streamgauge/rehearsals"));
    refused("bare.yaml", &rehearsal.display().to_string(), "it is a rehearsal");
    let damaged = |file: &str, edit: &dyn Fn(&str) -> String, why: &str| {
        let run = real("damaged");
        edited(run.join(file), edit);
        refused("bare.yaml", "damaged", why);
    };
    damaged(
        "run.json",
        &|text| text.replace("\"faults\": []", "\"faults\": [\"drop:count=1\"]"),
        "faults were planted in it (drop:count=1)",
    );
    let without_end = |text: &str| {
        text.lines().filter(|line| !line.contains("\"run_ended\"")).map(|line| format!("{line}\n")).collect()
    };
    damaged("events.jsonl", &without_end, "it was killed");
    damaged(
        "receipts.jsonl",
        &|text| text[..text.len() / 2].to_owned(),
        "its files are not whole: receipts.jsonl",
    );
    damaged("receipts.jsonl", &|_| String::new(), "its files are not whole: receipts.jsonl");
    damaged("intervals.hlog", &|_| String::new(), "its files are not whole: intervals.hlog");
}
