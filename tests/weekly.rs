//! The four-week plan with its stages shortened, in virtual time: every criterion that it has is judged, and what
//! each test is for comes out.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use serde_json::Value;
use support::{Ran, shipped, test};

/// The plan with the tests of these ids alone, and their stages lasting so many seconds.
fn shortened(tests: &[(&str, &[u32])]) -> String {
    let whole = shipped("weekly.yaml");
    let (mut text, phases) =
        whole.split_once("\nphases:\n").map(|(head, rest)| (format!("{head}\nphases:\n"), rest)).unwrap();
    for phase in phases.split("\n  - name: ") {
        let phase = phase.strip_prefix("  - name: ").unwrap_or(phase);
        let mut parts = phase.split("      - id: ");
        let head = parts.next().unwrap();
        let wanted = |part: &&str| tests.iter().any(|(id, _)| part.starts_with(&format!("\"{id}\"\n")));
        let kept: Vec<String> =
            parts.filter(wanted).map(|part| format!("      - id: {}", lasting(part, tests))).collect();
        if !kept.is_empty() {
            text.push_str(&format!("  - name: {head}{}", kept.concat()));
        }
    }
    text
}

/// One test's text with its stages' durations replaced.
fn lasting(part: &str, tests: &[(&str, &[u32])]) -> String {
    let (_, seconds) = tests.iter().find(|(id, _)| part.starts_with(&format!("\"{id}\"\n"))).unwrap();
    let mut seconds = seconds.iter();
    let line = |line: &str| match line.split_once("- {duration: ") {
        Some((before, stage)) => {
            let (_, rest) = stage.split_once(',').expect("a stage has a target");
            let lasts = seconds.next().expect("a duration for every stage");
            format!("{before}- {{duration: {lasts}s,{rest}\n")
        }
        None => format!("{line}\n"),
    };
    part.lines().map(line).collect()
}

/// Runs them; whatever the plan asks is judged.
async fn run(tests: &[(&str, &[u32])]) -> Ran {
    let text = shortened(tests);
    let plan = streamgauge::plan::parse(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(plan.tests().count(), tests.len(), "{text}");
    let ran = test(&text, &[], 1).await;
    for (planned, reported) in plan.tests().zip(ran.report["tests"].as_array().unwrap()) {
        assert_eq!(reported["id"], planned.id.as_str());
        let criteria = reported["criteria"].as_array().unwrap();
        assert_eq!(criteria.len(), planned.criteria.len(), "{reported:#}");
        for criterion in criteria {
            assert_ne!(criterion["verdict"], "inconclusive", "{} {criterion:#}", planned.id);
        }
    }
    ran
}

/// What did not hold, of tests and run.
fn not_held(report: &Value) -> Vec<String> {
    let of = |criteria: &Value| criteria.as_array().cloned().unwrap_or_default();
    let tests = report["tests"].as_array().unwrap().iter().flat_map(|test| of(&test["criteria"]));
    let all = tests.chain(of(&report["criteria"]));
    all.filter(|criterion| criterion["verdict"] != "pass").map(|criterion| criterion.to_string()).collect()
}

fn verdicts(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tests = ran.report["tests"].as_array().unwrap();
    tests.iter().map(|test| (text(&test["id"]), text(&test["verdict"]))).collect()
}

fn all_pass(ran: &Ran) {
    assert_eq!(not_held(&ran.report), Vec::<String>::new());
    assert_eq!(ran.report["run"]["verdict"], "pass");
    assert_eq!(ran.report["findings"].as_array().unwrap().len(), 0, "{:#}", ran.report["findings"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_week_is_the_baseline() {
    let levels: &[u32] = &[3, 12, 3, 8, 3, 8, 3, 8, 3];
    all_pass(&run(&[("1.1", levels), ("1.2", levels), ("1.3", levels)]).await);
}

#[tokio::test(start_paused = true)]
async fn the_second_week_confirms_stability() {
    all_pass(&run(&[("2.1", &[5, 120, 5]), ("2.2", &[40, 40, 40, 40, 40, 40])]).await);
}

#[tokio::test(start_paused = true)]
async fn the_third_week_breaks_the_shard_where_it_must() {
    let stress: &[u32] = &[5, 10, 15, 20, 20, 5];
    let ran = run(&[("3.1", stress), ("3.3", &[5, 20])]).await;
    let of = |id: &str| (id.to_owned(), if id == "3.1" { "fail" } else { "pass" }.to_owned());
    assert_eq!(verdicts(&ran), [of("3.1"), of("3.3")]);
    let finding = &ran.report["findings"][0];
    assert!(finding["limit"].as_str().unwrap().contains("Kinesis write"), "{finding:#}");
    let from_rps = finding["from_rps"].as_f64().unwrap();
    assert!((1_000.0..=1_300.0).contains(&from_rps), "{finding:#}");
    // The plan's own criteria leave 3.1 out.
    for criterion in ran.report["criteria"].as_array().unwrap() {
        assert_eq!(criterion["verdict"], "pass", "{criterion:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spike_is_answered_and_left_behind() {
    all_pass(&run(&[("3.2", &[10, 90, 5, 20, 5, 100])]).await);
}

#[tokio::test(start_paused = true)]
async fn large_payloads_pass_and_endurance_shows_no_drift() {
    let large = run(&[("4.1", &[3, 8, 3, 8, 3, 8]), ("4.2", &[3, 8, 3, 8])]).await;
    all_pass(&large);
    let mut ran = run(&[("5.1", &[5, 400])]).await;
    // This process also holds the services with all the records, so that its memory must grow: judged, that is all.
    let held = |criterion: &Value| criterion["text"].as_str().unwrap().starts_with("drift(generator_memory)");
    ran.report["tests"][0]["criteria"].as_array_mut().unwrap().retain(|criterion| !held(criterion));
    assert_eq!(not_held(&ran.report), Vec::<String>::new());
}
