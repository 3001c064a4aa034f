//! The same rehearsal is the same to the byte, whatever is around it; another seed is another one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::rehearsals;
use crate::support::{Bench, Done};

const HEAD: &str = "schema: streamgauge/plan/v1\nname: same\nenvironment: {stream: {shards: 2}}\nphases:\n  - name: Only\n    tests:\n";
const TEST: &str = "      - id: t\n        name: T\n        payload: small\n        stages: [{duration: 2s, target: 60}, {duration: 20s, target: 60}]\n";

fn with(test: &str) -> String {
    format!("{HEAD}{TEST}{test}")
}

/// Everything in the directory of the only rehearsal, by name.
fn files(under: &Path) -> BTreeMap<String, Vec<u8>> {
    let dirs = rehearsals(under);
    assert_eq!(dirs.len(), 1);
    let entries = std::fs::read_dir(&dirs[0]).unwrap().map(|entry| entry.unwrap());
    let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut files: BTreeMap<_, _> = entries
        .filter(|entry| entry.path().is_file())
        .map(|entry| (name(&entry), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.insert("its id".to_owned(), dirs[0].file_name().unwrap().as_encoded_bytes().to_vec());
    files
}

/// The files of a rehearsal in a directory of its own.
fn made(plan: &str, args: &[&str], around: impl FnOnce(&mut Command)) -> BTreeMap<String, Vec<u8>> {
    let bench = Bench::new();
    bench.write("plan.yaml", plan);
    let mut command = bench.command(&[&["rehearse", "plan.yaml"], args].concat());
    around(&mut command);
    let done = Done::new(command.output().unwrap());
    assert!([0, 1].contains(&done.code), "exit {}\n{}", done.code, done.stderr);
    files(bench.path())
}

#[track_caller]
fn assert_same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    let differing: Vec<_> = one.iter().filter(|(name, content)| other[*name] != **content).collect();
    let names: Vec<_> = differing.iter().map(|(name, _)| name).collect();
    assert!(differing.is_empty(), "these differ: {names:?}");
    assert!(one.contains_key("report.html") && one.contains_key("receipts.jsonl"), "{:?}", one.keys());
}

/// Made twice, the second time by another user, elsewhere, later in the day.
#[track_caller]
fn twice(plan: &str, args: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let first = made(plan, args, |_| {});
    let second = made(plan, args, |command| {
        command.env("HOME", "/nonexistent").env("TZ", "Asia/Tokyo").env("LANG", "de_DE.UTF-8");
        command
            .env("RUST_LOG", "trace")
            .env("NO_COLOR", "1")
            .env("COLUMNS", "300")
            .env("AWS_REGION", "eu-west-1");
    });
    assert_same(&first, &second);
    first
}

#[test]
fn rates_and_what_every_seed_draws() {
    let first = twice(&with(""), &[]);
    assert_same(&first, &made(&with(""), &["--seed", "1"], |_| {}));
    let other = twice(&with(""), &["--seed", "2"]);
    for name in ["its id", "report.json", "receipts.jsonl", "intervals.hlog", "series.csv"] {
        assert_ne!(first[name], other[name], "{name} has nothing of the seed");
    }
}

#[test]
fn keys_payloads_and_arrivals_that_are_drawn() {
    twice(
        &with("        arrivals: poisson\n        keys: {count: 500, distribution: zipf, exponent: 1.1}\n"),
        &[],
    );
    let poison = with("").replace("target: 60}]", "target: 60, poison: 3}]");
    twice(&poison, &[]);
}

#[test]
fn virtual_users() {
    let users =
        with("        users: {think_time: {min: 200ms, max: 700ms}}\n").replace("target: 60", "target: 10");
    twice(&users, &[]);
}

#[test]
fn actions_during_the_load() {
    let actions = "target: 60, actions: [{at: 5s, disable_mapping: {for: 7s}}]}]\n";
    twice(&with("").replace("target: 60}]\n", actions), &[]);
}

#[test]
fn faults() {
    let kinds = [
        "lost-answer:rate=2%",
        "drop:count=3",
        "redeliver:count=2",
        "swap:count=2",
        "kill-function:count=1",
        "lost-receipt:count=1",
        "throttle:rate=3%",
        "error:rate=2%",
    ];
    let args: Vec<&str> = kinds.iter().flat_map(|spec| ["--fault", *spec]).collect();
    let first = twice(&with("        put: batch\n"), &args);
    assert!(!first["faults.jsonl"].is_empty());
}

#[test]
fn other_readers_and_a_function_that_fails() {
    let beside = "rehearsal: {other_reads_per_s: 3, function: {failure_percent: 5}}\n";
    twice(&format!("{}{beside}", with("")), &[]);
}

/// As many processes as the machine has cores, and then some: what is late in wall time is not in virtual time.
#[test]
fn a_machine_that_is_busy() {
    let quiet = made(&with(""), &[], |_| {});
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..=cores).map(|_| scope.spawn(|| made(&with(""), &[], |_| {}))).collect();
        all.into_iter().for_each(|one| assert_same(&quiet, &one.join().unwrap()));
    });
}

/// Made again in the same place it takes the place of the first; reported again it is what it was.
#[test]
fn again_in_the_same_place() {
    let bench = Bench::new();
    bench.write("plan.yaml", with(""));
    let first = bench.run(&["rehearse", "plan.yaml", "--format", "json"]).expect_code(0);
    let before = files(bench.path());
    assert_eq!(first.stdout.as_bytes(), before["report.json"], "--format json prints the report");
    let second = bench.run(&["rehearse", "plan.yaml", "--format", "json"]).expect_code(0);
    assert_eq!(first.stdout, second.stdout);
    assert_same(&before, &files(bench.path()));
    let id = String::from_utf8(before["its id"].clone()).unwrap();
    bench.run(&["report", &id]).expect_code(0);
    assert_same(&before, &files(bench.path()));
}
