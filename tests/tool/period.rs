//! `report --week`, `--day` and `--campaign` over real runs, and what is wrong about their arguments.

use std::path::Path;

use serde_json::Value;

use crate::support::{Bench, Done};

const PLAN: &str = "schema: streamgauge/plan/v1
name: Two weeks
drain: 20s
environment:
  stream: {shards: 1}
expected_peak: 20
phases:
  - name: One
    week: 1
    tests:
      - {id: a, name: A, payload: small, stages: [{duration: 1s, from: 20, target: 20}], criteria: [lost == 0]}
      - {id: b, name: B, stages: [{duration: 1s, from: 20, target: 20}], criteria: [success_rate > 100%]}
  - name: Two
    week: 2
    tests:
      - {id: c, name: C, stages: [{duration: 1s, from: 20, target: 20}], criteria: [lost == 0]}
";

fn document(folder: &Path, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/period-v1.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}.json against its schema:\n{}", errors.join("\n"));
    value
}

fn states(document: &Value) -> Vec<&str> {
    document["tests"].as_array().unwrap().iter().map(|test| test["state"].as_str().unwrap()).collect()
}

#[test]
fn a_week_a_day_and_a_campaign_are_reported_over_the_runs_that_hold_their_tests() {
    let bench = Bench::alone();
    bench.write("plan.yaml", PLAN);
    let report = |args: &[&str]| -> Done { bench.run(&[&["report", "plan.yaml"], args].concat()) };

    let nothing = report(&["--week", "1"]).expect_code(2);
    assert!(nothing.stderr.contains("hint: `streamgauge test plan.yaml --env default` makes one"));
    bench.run(&["test", "plan.yaml", "--test", "a", "--allow-inconclusive"]).expect_code(0);

    // One of two is there: what holds is shown, and the rest is named with its command.
    let half = report(&["--week", "1"]).expect_code(1);
    assert!(half.stdout.starts_with("INCONCLUSIVE  Week 1 of Two weeks"), "{}", half.stdout);
    let folder = bench.path().join(".streamgauge/reports/two-weeks/default");
    let week = document(&folder, "week-1");
    assert_eq!(states(&week), ["finished", "not_run"]);
    assert_eq!(week["next"][0]["command"], "streamgauge run plan.yaml --env default --test b");
    report(&["--week", "1", "--allow-inconclusive"]).expect_code(0);

    bench.run(&["test", "plan.yaml", "--test", "b", "--test", "c"]).expect_code(1);
    let printed = report(&["--campaign", "--as", "json"]).expect_code(1);
    let whole = document(&folder, "campaign");
    assert_eq!(printed.stdout, std::fs::read_to_string(folder.join("campaign.json")).unwrap());
    assert_eq!(states(&whole), ["finished"; 3]);
    let runs = bench.runs();
    let run_of = |index: usize| whole["tests"][index]["run"].as_str().unwrap().to_owned();
    let name = |run: &Path| run.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!([run_of(0), run_of(1), run_of(2)], [name(&runs[0]), name(&runs[1]), name(&runs[1])]);
    assert_eq!(whole["complete"]["profile"].as_array().unwrap().len(), 2);
    assert_eq!(whole["complete"]["projections"]["rows"].as_array().unwrap().len(), 6);
    for extension in ["html", "md", "csv", "junit.xml"] {
        assert!(folder.join(format!("campaign.{extension}")).is_file(), "{extension}");
    }
    let page = std::fs::read_to_string(folder.join("campaign.html")).unwrap();
    report(&["--campaign"]).expect_code(1);
    assert_eq!(page, std::fs::read_to_string(folder.join("campaign.html")).unwrap());

    let day = &whole["period"]["started_at"].as_str().unwrap()[..10];
    report(&["--day", day]).expect_code(1);
    assert_eq!(document(&folder, &format!("day-{day}"))["runs"].as_array().unwrap().len(), 2);

    // What cannot be read is left out and named; the rest is reported.
    std::fs::write(runs[0].join("run.json"), "{").unwrap();
    report(&["--campaign"]).expect_code(1);
    let torn = document(&folder, "campaign");
    let notes = torn["notes"].to_string();
    assert!(torn["tests"][0]["report"].is_null() && notes.contains(&name(&runs[0])), "{notes}");
}

#[test]
fn what_is_asked_for_wrongly_is_refused() {
    let bench = Bench::new();
    bench.write("plan.yaml", PLAN);
    for (args, told) in [
        (["--week", "7"].as_slice(), "--week: found 7, expected one of the weeks of 'Two weeks': 1, 2"),
        (&["--day", "21.11.2026"], "--day: found '21.11.2026', expected YYYY-MM-DD"),
        (&["--day", "2026-02-30"], "--day: found '2026-02-30', expected YYYY-MM-DD"),
        (&["--campaign", "--week", "1"], "cannot be used with"),
    ] {
        let done = bench.run(&[&["report", "plan.yaml"], args].concat()).expect_code(2);
        assert!(done.stderr.contains(told), "{args:?}: {}", done.stderr);
    }
}
