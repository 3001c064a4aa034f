//! What `rehearse` does not take, and what other verbs do not take from a rehearsal: said before anything is done.

use crate::rehearsals;
use crate::support::{Bench, plan, report};

#[track_caller]
fn refused(args: &[&str], code: i32, expected: &[&str]) {
    let bench = Bench::new();
    bench.write("plan.yaml", plan(20, "3s", &["lost == 0"]));
    let existing = plan(20, "3s", &["lost == 0"])
        .replace("environment:\n  stream: {shards: 1}", "environment: {existing: {stream: s, function: f}}");
    bench.write("existing.yaml", existing);
    let negative = plan(20, "3s", &["lost == 0"]) + "rehearsal: {other_reads_per_s: -1, put_latency: -8ms}\n";
    bench.write("negative.yaml", negative);
    let done = bench.run(&[&["rehearse"], args].concat()).expect_code(code);
    for text in expected {
        assert!(done.stderr.contains(text), "'{text}' is not said:\n{}", done.stderr);
    }
    assert_eq!(rehearsals(bench.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn targets_are_refused() {
    refused(&["plan.yaml", "--target", "aws"], 2, &["reaches nothing outside this process", "hint:"]);
    refused(&["plan.yaml", "--profile", "p"], 2, &["--profile goes with --target aws"]);
    refused(&["plan.yaml", "--endpoint-url", "http://localhost:1"], 2, &["--endpoint-url goes with"]);
    refused(&["plan.yaml", "--target", "aws", "--endpoint-url", "http://localhost:1"], 2, &["hint:"]);
}

#[test]
fn what_is_not_there_is_named() {
    refused(&["none.yaml"], 2, &["cannot read the plan none.yaml", "hint:"]);
    refused(&["plan.yaml", "--test", "9.9"], 2, &["--test: found '9.9', expected one of 1"]);
    refused(&["plan.yaml", "--week", "7"], 2, &["no test of 'small' is in that week and phase"]);
    refused(&["plan.yaml", "--phase", "2"], 2, &["no test of 'small' is in that week and phase"]);
    refused(&["plan.yaml", "--prices", "none.yaml"], 2, &["--prices: cannot read none.yaml"]);
}

#[test]
fn what_cannot_be_is_named_with_its_place() {
    refused(&["existing.yaml"], 2, &["an existing pipeline cannot be rehearsed", "hint:"]);
    refused(
        &["negative.yaml"],
        2,
        &["negative.yaml:", "rehearsal.other_reads_per_s", "rehearsal.put_latency"],
    );
    refused(&["plan.yaml", "--fault", "flood:count=1"], 2, &["unknown kind 'flood'"]);
    refused(&["plan.yaml", "--seed=-1"], 2, &["--seed"]);
    refused(&["plan.yaml", "--max-cost", "0"], 2, &["--max-cost: found '0'"]);
}

#[test]
fn other_verbs_find_it_by_its_id_and_take_of_it_what_it_has() {
    let bench = Bench::new();
    bench.write("plan.yaml", plan(20, "3s", &["lost == 0"]));
    bench.run(&["rehearse", "plan.yaml"]).expect_code(0);
    let dir = rehearsals(bench.path()).pop().unwrap();
    let id = dir.file_name().unwrap().to_str().unwrap();
    let shown = bench.run(&["report", id]).expect_code(0).stdout;
    assert!(shown.contains("Rehearsed in virtual time"), "{shown}");
    bench.run(&["compare", id, id]).expect_code(0);
    let metrics = bench.run(&["metrics", id]).expect_code(2).stderr;
    assert!(metrics.contains("it is a rehearsal") && metrics.contains("hint:"), "{metrics}");
    let baseline = bench.run(&["baseline", "plan.yaml", id]).expect_code(2).stderr;
    assert!(baseline.contains("it is a rehearsal"), "{baseline}");
    // It is none of the plan's runs.
    let history = bench.run(&["history", "plan.yaml"]);
    assert!(!history.stdout.contains(id), "{}", history.stdout);
}

/// Killed in every invocation, as Lambda does: no record comes through, and the rehearsal says so.
#[test]
fn a_function_that_needs_more_memory_than_it_has() {
    let bench = Bench::new();
    let text = plan(20, "3s", &["lost == 0"]) + "rehearsal: {function: {memory_used_mb: 600}}\n";
    bench.write("plan.yaml", text);
    let done = bench.run(&["rehearse", "plan.yaml"]).expect_code(3);
    let said = ["no probe record came through", "Max Memory Used: 512 MB", "Error Type: Runtime.ExitError"];
    assert!(said.iter().all(|text| done.stderr.contains(text)), "{}", done.stderr);
}

#[test]
fn the_generators_memory_cannot_be_judged() {
    let bench = Bench::new();
    let text = plan(20, "120s", &["lost == 0", "drift(generator_memory) < 5%"]);
    bench.write("plan.yaml", text);
    bench.run(&["rehearse", "plan.yaml"]).expect_code(1);
    let report = report(&rehearsals(bench.path()).pop().unwrap());
    let criterion = &report["tests"][0]["criteria"][1];
    assert_eq!(criterion["verdict"], "inconclusive", "{criterion:#}");
    let reason = criterion["reason"].as_str().unwrap();
    assert!(reason.contains("rehearsal"), "{reason}");
}
