//! What plans mean, and what is said about those that are wrong.

use std::time::Duration;

use super::*;

/// A plan with one test; `extra` goes to the plan level.
fn minimal(extra: &str, stages: &str) -> String {
    format!(
        "schema: streamgauge/plan/v1\nname: p\n{extra}phases:\n  - name: a\n    tests:\n      - id: \"1\"\n        name: t\n        stages: {stages}\n"
    )
}

fn errors(text: &str) -> Vec<String> {
    parse(text).expect_err("the plan is wrong").iter().map(ToString::to_string).collect()
}

#[test]
fn fills_in_every_default() {
    let plan = parse(&minimal("", "[{duration: 30s, target: 10}]")).unwrap();
    let StreamSpec { mode, shards, retention_hours, max_record_kib, .. } = plan.environment.stream;
    assert_eq!((mode, shards, retention_hours, max_record_kib), (StreamMode::Provisioned, 1, 24, 1_024));
    let function = &plan.environment.function;
    assert_eq!((function.memory_mb, function.timeout_s, function.batch_size), (512, 60, 100));
    assert_eq!((function.batch_window_s, function.parallelization, function.retries), (0, 1, 3));
    assert!(function.bisect_on_error && function.partial_batch_response);
    assert_eq!((function.architecture, function.max_record_age_s), (None, -1));
    let test = plan.tests().next().unwrap();
    assert_eq!(test.payload, Payload::sized("medium", 500));
    assert_eq!((test.put, test.max_in_flight, test.put_attempts), (PutMode::Record, 10_000, 5));
    assert_eq!((test.attempt_timeout, plan.drain), (Duration::from_secs(10), Duration::from_secs(120)));
    assert_eq!(test.keys, Keys::uniform(1_000, 1));
    assert!(plan.flags.iter().all(|policy| policy.action == FlagAction::Note));
    assert_eq!(plan.flags.len(), Flag::ALL.len());
    assert_eq!(plan.hash.len(), 64);
}

#[test]
fn stages_ramp_from_the_previous_target_and_hold_at_the_same() {
    let stages = "[{duration: 30s, target: 10}, {duration: 5m, target: 10}, {duration: 1m, target: 0}]";
    let plan = parse(&minimal("", stages)).unwrap();
    let read: Vec<_> = plan
        .tests()
        .flat_map(|test| &test.stages)
        .map(|stage| (stage.kind, stage.from_rps, stage.target_rps, stage.duration.as_secs()))
        .collect();
    assert_eq!(
        read,
        [
            (StageKind::Ramp, 0.0, 10.0, 30),
            (StageKind::Hold, 10.0, 10.0, 300),
            (StageKind::Ramp, 10.0, 0.0, 60)
        ]
    );
}

#[test]
fn tests_override_defaults_and_defaults_override_ours() {
    let text = r#"
schema: streamgauge/plan/v1
name: all of it
environment:
  stream: {mode: on-demand, retention_hours: 48, max_record_kib: 2048}
  function: {memory_mb: 1024, architecture: arm64, retries: -1, max_record_age_s: 60, bisect_on_error: false}
  alarms: {iterator_age_ms: 5000, error_rate_percent: 0.5}
defaults: {payload: large, put: batch, keys: {count: 7}, max_in_flight: 50, put_attempts: 2, attempt_timeout: 500ms}
criteria: [lost == 0]
budget: {max_usd: 2.50}
flags: {lambda_throttles: stop}
drain: 5m
rehearsal: {seed: 3, put_latency: 8ms}
tags: {team: data}
expected_peak: 200
phases:
  - name: A
    week: 3
    tests:
      - id: "1.1"
        name: Own
        payload: {bytes: 700}
        put: record
        keys: {seed: 9}
        put_attempts: 1
        stages: [{duration: 1s, target: 0.5}]
        criteria: ["put_latency.p95   <100ms"]
      - {id: b, name: Default, stages: [{duration: 1s, target: 1}]}
"#;
    let plan = parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(plan.environment.stream.mode, StreamMode::OnDemand);
    assert_eq!(plan.environment.function.architecture, Some(Architecture::Arm64));
    assert_eq!(plan.budget_usd.as_deref(), Some("2.5"));
    assert_eq!((plan.expected_peak_rps, plan.phases[0].week), (Some(200.0), 3));
    let stop = FlagPolicy { flag: Flag::LambdaThrottles, action: FlagAction::Stop };
    assert!(plan.flags.contains(&stop));
    let tests: Vec<&Test> = plan.tests().collect();
    assert_eq!((tests[0].payload.bytes, tests[0].payload.name.as_str()), (700, "700 bytes"));
    assert_eq!((tests[0].put, tests[0].keys), (PutMode::Record, Keys::uniform(7, 9)));
    assert_eq!((tests[0].put_attempts, tests[1].put_attempts), (1, 2));
    assert_eq!((tests[1].put, tests[1].payload.bytes), (PutMode::Batch, 1_024));
    assert_eq!(tests[0].criteria[0].text, "put_latency.p95 < 100ms");
    assert_eq!(tests[0].criteria[0].position, Position { line: 27, column: 21 });
}

#[test]
fn reports_every_independent_error_in_order_with_its_place() {
    let text = r#"schema: streamgauge/plan/v2
name: ""
colour: blue
environment:
  stream: {shards: 0, shard: 2}
  function: {memory_mb: big, retries: 20000}
defaults: {payload: 50B, put: both}
phases:
  - name: A
    week: 0
    tests:
      - id: 1.1
        name: x
        stages:
          - {duration: 30, target: 10/s}
          - {duration: 5 minutes, target: -1}
          - {target: .nan}
        criteria:
          - put_latency.p95 < 100
          - 'success_rat > 99%'
      - name: y
        stages: []
  - tests: 5
"#;
    assert_eq!(
        errors(text),
        [
            "1:9: schema: found `streamgauge/plan/v2`, expected `streamgauge/plan/v1`",
            "2:7: name: found ``, expected a name of 1 to 200 characters",
            "3:1: colour: found the unknown key `colour`, expected one of schema, name, environment, defaults, phases, criteria, budget, flags, drain, rehearsal, tags, expected_peak",
            "5:20: environment.stream.shards: found the number 0, expected 1 to 20000",
            "5:23: environment.stream.shard: found the unknown key `shard`, expected one of mode, shards, retention_hours, max_record_kib, encryption (did you mean `shards`?)",
            "6:25: environment.function.memory_mb: found `big`, expected a whole number",
            "6:39: environment.function.retries: found the number 20000, expected -1 to 10000",
            "7:21: defaults.payload: found `50B`, expected at least 98 bytes: the envelope must fit",
            "7:31: defaults.put: found `both`, expected one of record, batch",
            "10:11: phases[0].week: found the number 0, expected 1 to 52",
            "12:13: phases[0].tests[0].id: found the number 1.1, expected text in quotes: \"1.1\"",
            "15:24: phases[0].tests[0].stages[0].duration: found the number 30, expected a duration such as 500ms, 30s, 5m, 24h or 2m30s",
            "15:36: phases[0].tests[0].stages[0].target: found `10/s`, expected records a second as a plain number, such as 50",
            "16:24: phases[0].tests[0].stages[1].duration: found `5 minutes`, expected a duration such as 500ms, 30s, 5m, 24h or 2m30s",
            "16:43: phases[0].tests[0].stages[1].target: found the number -1, expected a number of records a second from 0 to 20000000",
            "17:13: phases[0].tests[0].stages[2].duration: found nothing, expected a duration such as 500ms, 30s, 5m, 24h or 2m30s",
            "17:22: phases[0].tests[0].stages[2].target: found the number .nan, expected a number of records a second from 0 to 20000000",
            "19:34: phases[0].tests[0].criteria[0]: found the end of the criterion, expected the unit ms, s or m",
            "20:14: phases[0].tests[0].criteria[1]: found `success_rat`, expected a metric; the nearest: success_rate",
            "21:9: phases[0].tests[1].id: found nothing, expected an id of 1 to 64 letters, digits, `.`, `_` or `-`",
            "22:17: phases[0].tests[1].stages: found an empty list, expected at least one stage",
            "23:5: phases[1].name: found nothing, expected a name of 1 to 200 characters",
            "23:12: phases[1].tests: found the number 5, expected a list",
        ]
    );
}

#[test]
fn a_file_name_goes_before_each_line() {
    let errors = parse("schema: 5\nname: 6\n").unwrap_err();
    let text = errors.in_file("plans/x.yaml").to_string();
    assert!(text.lines().all(|line| line.starts_with("plans/x.yaml:")), "{text}");
    assert!(text.contains("plans/x.yaml:1:1: phases: found nothing, expected at least one phase"), "{text}");
}

#[test]
fn ids_are_unique_over_phases() {
    let text = minimal("", "[{duration: 1s, target: 1}]")
        + "  - name: b\n    tests: [{id: \"1\", name: u, stages: [{duration: 1s, target: 1}]}]\n";
    assert_eq!(
        errors(&text),
        ["10:18: phases[1].tests[0].id: found the id `1` again, expected each id once in a plan"]
    );
}

#[test]
fn checks_what_depends_on_something_else() {
    let stages = "[{duration: 1s, target: 1}]";
    for (extra, expected) in [
        (
            "defaults: {payload: 1MiB}\n",
            "7:9: phases[0].tests[0].payload: found a payload of 1048576 bytes, expected at most 1048566 bytes (environment.stream.max_record_kib, less the 10 of the partition key)",
        ),
        (
            "environment: {stream: {mode: on-demand, shards: 2}}\n",
            "3:49: environment.stream.shards: found the number 2, expected no shards: an on-demand stream sets them itself",
        ),
        (
            "environment: {function: {max_record_age_s: 59}}\n",
            "3:44: environment.function.max_record_age_s: found the number 59, expected -1 (no limit) or 60 to 604800",
        ),
        (
            "budget: -1\n",
            "3:9: budget: found the number -1, expected an amount in USD above 0, such as 5 or 2.50",
        ),
        (
            "budget: {max_usd: no}\n",
            "3:19: budget.max_usd: found `no`, expected an amount in USD above 0, such as 5 or 2.50",
        ),
        (
            "tags: {\"aws:x\": y}\n",
            "3:17: tags.aws:x: found `aws:x`, expected a tag key of 1 to 128 characters that does not start with aws:",
        ),
        ("drain: 25h\n", "3:8: drain: found `25h`, expected 0s to 24h"),
        ("flags: {memory: halt}\n", "3:17: flags.memory: found `halt`, expected one of note, stop"),
        (
            "rehearsal: {put_latency: [1]}\n",
            "3:26: rehearsal.put_latency: found a list, expected a duration such as 8ms, 1.5s or 100us, {median: 8ms, p99: 40ms}, or ten quantiles from min to max",
        ),
    ] {
        assert_eq!(errors(&minimal(extra, stages)), [expected], "{extra}");
    }
    let accepted = "environment: {stream: {max_record_kib: 2048}}\ndefaults: {payload: 1MiB}\n";
    assert!(parse(&minimal(accepted, stages)).is_ok());
}

#[test]
fn checks_totals_and_silence() {
    let silent = errors(&minimal("", "[{duration: 1s, target: 0}]"));
    assert_eq!(
        silent,
        [
            "8:17: phases[0].tests[0].stages: found stages that send nothing, expected at least one target above 0"
        ]
    );
    let long = errors(&minimal("", "[{duration: 400h, target: 1}, {duration: 400h, target: 1}]"));
    assert_eq!(long, ["4:3: phases: found 800h of load, expected at most 744h"]);
    let many = format!("[{}]", "{duration: 1s, target: 1},".repeat(1_000));
    assert_eq!(
        errors(&minimal("", &many)),
        ["4:3: phases: found 1000 stages, expected at most 999 in a plan"]
    );
}

#[test]
fn every_criterion_position_is_exact_in_each_quoting() {
    for (written, column) in [
        ("lost = 0", 28),
        ("'lost = 0'", 29),
        ("\"lost = 0\"", 29),
        // Escaped: the place inside cannot be told, so it is the criterion's own.
        ("\"lost\\x20= 0\"", 23),
    ] {
        let text = minimal(&format!("criteria: [lost == 0, {written}]\n"), "[{duration: 1s, target: 1}]");
        let place = format!("3:{column}: criteria[1]: found `=`");
        assert!(errors(&text)[0].starts_with(&place), "{written}: {:?}", errors(&text));
    }
}
