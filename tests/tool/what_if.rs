//! `rehearse --set`: a grid of rehearsals in virtual time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Bench;

/// Rises in steps to 60 records/s of 50,000 bytes: a shard takes in 20.9 of them a second, 1 MiB,
/// and a second of them at once before that.
const RISING: &str = "schema: streamgauge/plan/v1
name: rising
environment: {stream: {shards: 1}}
defaults: {payload: {bytes: 50000}, put_attempts: 1, keys: {distribution: round_robin}}
rehearsal: {put_latency: 5ms, function: {per_batch: 5ms, per_record: 10us}}
phases:
  - name: Rising
    tests:
      - id: rising
        name: from 16 to 60 records a second
        stages:
          - {duration: 8s, from: 16, target: 16}
          - {duration: 6s, from: 30, target: 30}
          - {duration: 6s, from: 60, target: 60}
        criteria: [throttles == 0]
";
/// Small and quick, for what does not need a load.
const SMALL: &str = "schema: streamgauge/plan/v1
name: small
environment: {stream: {shards: 1}}
phases: [{name: One, tests: [{id: a, name: A, stages: [{duration: 5s, from: 20, target: 20}], criteria: [lost == 0]}]}]
";

fn whatif(bench: &Bench) -> PathBuf {
    let rehearsals = std::fs::read_dir(bench.path().join(".streamgauge/rehearsals")).unwrap();
    let mut found =
        rehearsals.map(|entry| entry.unwrap().path()).filter(|path| path.join("whatif.json").is_file());
    let only = found.next().expect("a grid");
    assert_eq!(found.next(), None, "one grid");
    only
}

fn json(dir: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(dir.join("whatif.json")).unwrap()).unwrap()
}

/// Every file below, the log of the faults that nobody planted aside.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn twice_the_shards_break_at_twice_the_rate() {
    let bench = Bench::new();
    bench.write("p.yaml", RISING);
    let done = bench.run(&["rehearse", "p.yaml", "--set", "shards=1,2,4"]).expect_code(0);
    let dir = whatif(&bench);
    let document = json(&dir);
    let rows = document["settings"].as_array().unwrap();
    let shards: Vec<&str> = rows.iter().map(|row| row["values"][0].as_str().unwrap()).collect();
    assert_eq!(shards[0], "4", "only four carry 60/s: {document:#}");
    let of = |shards: &str| rows.iter().find(|row| row["values"][0] == shards).unwrap();
    let broke = |row: &Value| row["breaking_point"]["rps"].as_f64();
    // The first rate asked for beyond what that many shards take in.
    assert_eq!((broke(of("1")), broke(of("2")), broke(of("4"))), (Some(30.0), Some(60.0), None));
    assert_eq!(of("4")["outcome"], "meets");
    assert_eq!(of("4")["throttled"], 0);
    assert_eq!((of("1")["outcome"].as_str(), of("2")["outcome"].as_str()), (Some("fails"), Some("fails")));
    assert!(of("1")["why"].as_str().unwrap().contains("throttles == 0"));
    assert!(of("4")["monthly"].is_string() && of("1")["monthly"].is_null());
    assert!(done.stdout.contains("shards=4 meets every criterion"), "{}", done.stdout);
    assert!(done.stdout.contains("Nothing of this was measured."));
    // Each rehearsal has its whole report, which says what was set, and can be made again from its directory.
    let report = dir.join(of("2")["report"].as_str().unwrap());
    assert!(report.is_file());
    let run = of("2")["run"].as_str().unwrap();
    let before = std::fs::read(report.with_file_name("report.json")).unwrap();
    let told: Value = serde_json::from_slice(&before).unwrap();
    assert_eq!(
        told["run"]["assumptions"][0],
        "set for this rehearsal: environment.stream.shards=2 (the plan has 1)"
    );
    assert_ne!(told["run"]["plan_hash"], document["plan_hash"]);
    bench.run(&["report", run]).expect_code(1);
    assert_eq!(std::fs::read(report.with_file_name("report.json")).unwrap(), before);
}

#[test]
fn the_same_grid_is_the_same_however_many_work_on_it() {
    let grids = ["1", "3"].map(|jobs| {
        let bench = Bench::new();
        bench.write("p.yaml", SMALL);
        let set = ["--set", "shards=1,2", "--set", "memory_mb=128,256"];
        let args = [&["rehearse", "p.yaml", "--jobs", jobs][..], &set].concat();
        let done = bench.run(&args).expect_code(0);
        (files(&bench.path().join(".streamgauge/rehearsals")), done.stdout)
    });
    let [(one, one_shown), (three, three_shown)] = grids;
    assert!(one.len() > 4 * 10, "four rehearsals and the grid: {:?}", one.keys());
    assert_eq!(one.keys().collect::<Vec<_>>(), three.keys().collect::<Vec<_>>());
    for (name, content) in &one {
        assert!(three[name] == *content, "{} differs", name.display());
    }
    assert_eq!(one_shown, three_shown);
}

#[test]
fn a_function_with_too_little_memory_fails_as_on_lambda_and_says_so() {
    let bench = Bench::new();
    bench.write("p.yaml", SMALL);
    let set = ["--set", "memory_mb=128,256", "--set", "memory_used_mb=200"];
    let args = [&["rehearse", "p.yaml", "--format", "json"][..], &set].concat();
    let done = bench.run(&args).expect_code(0);
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    let rows = document["settings"].as_array().unwrap();
    assert_eq!((rows[0]["values"][0].as_str(), rows[0]["outcome"].as_str()), (Some("256"), Some("meets")));
    assert_eq!((rows[1]["values"][0].as_str(), rows[1]["outcome"].as_str()), (Some("128"), Some("ended")));
    assert!(rows[1]["why"].as_str().unwrap().contains("no probe record came through"), "{}", rows[1]);
    assert_eq!(rows[1]["cost_per_million"], Value::Null);
}

#[test]
fn less_memory_takes_longer_and_one_setting_is_an_ordinary_rehearsal() {
    let bench = Bench::new();
    let slow = SMALL.replace("environment: {", "environment: {function: {memory_mb: 1024}, ");
    bench.write("p.yaml", format!("{slow}rehearsal: {{function: {{per_batch: 40ms, per_record: 1us}}}}\n"));
    let function_p50_ms = |set: &[&str]| {
        let args = [&["rehearse", "p.yaml", "--format", "json"][..], set].concat();
        let done = bench.run(&args).expect_code(0);
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(report["schema"], "streamgauge/report/v1");
        report["tests"][0]["levels"][0]["stages_ms"]["function"]["p50"].as_f64().unwrap()
    };
    let (own, quarter) = (function_p50_ms(&[]), function_p50_ms(&["--set", "memory_mb=256"]));
    let waits = function_p50_ms(&["--set", "memory_mb=256", "--set", "cpu_percent=0"]);
    assert!((own - 40.0).abs() < 2.0 && (waits - 40.0).abs() < 2.0, "{own} {waits}");
    assert!((quarter - 160.0).abs() < 4.0, "{quarter}");
}

#[test]
fn what_cannot_be_set_is_refused_before_anything_is_made() {
    let bench = Bench::new();
    bench.write("p.yaml", SMALL);
    for (set, message) in [
        (
            "shards=0",
            "--set environment.stream.shards=0: environment.stream.shards: found the number 0, expected 1 to",
        ),
        ("shards=1,two", "--set environment.stream.shards=two: "),
        ("shard=1", "did you mean environment.stream.shards?"),
        ("shards", "found no ="),
    ] {
        let done = bench.run(&["rehearse", "p.yaml", "--set", set]).expect_code(2);
        assert!(done.stderr.contains(message), "{set}: {}", done.stderr);
    }
    let done =
        bench.run(&["rehearse", "p.yaml", "--seed", "2", "--set", "rehearsal.seed=1,2"]).expect_code(2);
    assert!(done.stderr.contains("--seed and --set rehearsal.seed"), "{}", done.stderr);
    assert!(!bench.path().join(".streamgauge/rehearsals").exists());
}
