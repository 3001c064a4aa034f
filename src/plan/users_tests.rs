//! Plans with virtual users: what they mean, and what is said about those that are wrong.

use std::time::Duration;

use super::*;

fn with(users: &str, stages: &str, criteria: &str) -> String {
    format!(
        "schema: streamgauge/plan/v1\nname: p\nphases:\n  - name: a\n    tests:\n      - id: \"1\"\n        name: t\n        \
         users: {users}\n        stages: {stages}\n        criteria: {criteria}\n"
    )
}

fn errors(text: &str) -> Vec<String> {
    parse(text).expect_err("the plan is wrong").iter().map(ToString::to_string).collect()
}

#[test]
fn targets_are_users_and_rates_the_most_that_they_can_send() {
    let stages = "[{duration: 10s, target: 10}, {duration: 60s, target: 10}, {duration: 5s, target: 0}]";
    let text = with("{think_time: {min: 200ms, max: 600ms}, seed: 7}", stages, "[put_latency.p95 < 1s]");
    let plan = parse(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let test = plan.tests().next().unwrap();
    let users = test.users.as_ref().unwrap();
    assert_eq!(users.counts, [(0, 10), (10, 10), (10, 0)]);
    assert_eq!((users.think_min, users.think_max), (Duration::from_millis(200), Duration::from_millis(600)));
    assert_eq!((users.seed, users.peak()), (7, 10));
    let rates: Vec<_> = test.stages.iter().map(|stage| (stage.kind, stage.target_rps)).collect();
    assert_eq!(rates, [(StageKind::Ramp, 25.0), (StageKind::Hold, 25.0), (StageKind::Ramp, 0.0)]);
    // 60 s / 200 ms thoughts, and the record before the first one.
    assert_eq!(users.records_max(1, Duration::from_secs(60)), 10 * 301);
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    assert!(validator.is_valid(&serde_yaml::from_str::<serde_json::Value>(&text).unwrap()));
}

#[test]
fn what_makes_no_sense_with_users_is_refused() {
    let one = "[{duration: 10s, target: 1}]";
    let found = |users: &str, stages: &str, criteria: &str| errors(&with(users, stages, criteria)).join("\n");
    for (users, wanted) in [
        ("{}", "users.think_time: found nothing"),
        ("{think_time: 0s}", "users.think_time: found"),
        ("{think_time: 2h}", "expected 1ms to 1h"),
        ("{think_time: {min: 2s}}", "users.think_time.max: found nothing"),
        ("{think_time: {min: 2s, max: 1s}}", "expected at most max, 1s"),
        ("{think_time: 5}", "expected a duration such as 500ms, or {min: 200ms, max: 2s}"),
        ("{think: 5s}", "think"),
    ] {
        let said = found(users, one, "[]");
        assert!(said.contains(wanted), "{users}: {said}");
    }
    let think = "{think_time: 1s}";
    for (stage, wanted) in [
        ("target: 1.5", "a whole number of users from 0 to 10000 (max_in_flight)"),
        ("target: 10001", "a whole number of users"),
        ("target: 5, poison: 1", "no poison with users"),
    ] {
        let said = found(think, &format!("[{{duration: 10s, {stage}}}]"), "[]");
        assert!(said.contains(wanted), "{stage}: {said}");
    }
    let said = found(think, one, "[success_rate > 99%, throughput_ratio >= 99%]");
    assert!(said.contains("10:41") || said.contains("criteria[1]: found `throughput_ratio`"), "{said}");
    assert!(found(think, one, "[generator_lag.p99 < 5ms]").contains("there is no target rate"));
}
