use std::time::Duration;

use super::*;
use crate::platform::spread::Spread;

const SHIPPED: [(&str, &str); 5] = [
    ("quickstart", include_str!("../../plans/quickstart.yaml")),
    ("breaking-point", include_str!("../../plans/breaking-point.yaml")),
    ("weekly", include_str!("../../plans/weekly.yaml")),
    ("matrix", include_str!("../../plans/matrix.yaml")),
    ("poison", include_str!("../../plans/poison.yaml")),
];

fn setting(path: &str, value: &str) -> Setting {
    Setting { path: path.to_owned(), value: value.to_owned() }
}

fn plan(text: &str) -> Plan {
    parse(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn with(base: &Plan, settings: &[Setting]) -> Result<Plan, String> {
    parse(&base.text_with(settings)?).map_err(|errors| errors.to_string())
}

/// What a plan says, without where it says it.
fn meaning(mut plan: Plan) -> Plan {
    let tests = plan.phases.iter_mut().flat_map(|phase| &mut phase.tests).flat_map(|test| &mut test.criteria);
    tests.chain(&mut plan.criteria).for_each(|criterion| criterion.position = Position::default());
    (plan.text, plan.hash) = (String::new(), String::new());
    plan
}

#[test]
fn a_plan_with_what_it_has_already_means_the_same() {
    for (name, text) in SHIPPED {
        let base = plan(text);
        let shards = base.environment.stream.shards.to_string();
        let same = with(&base, &[setting("environment.stream.shards", &shards)]).expect(name);
        assert_ne!(same.hash, base.hash, "{name}: its text is another one");
        assert_eq!(meaning(same), meaning(base), "{name}");
    }
}

#[test]
fn text_that_looks_like_something_else_stays_text() {
    let text = r#"schema: streamgauge/plan/v1
name: "- 1: \"x\" \u00e9 # {"
environment: {stream: ~, function: {}}
tags:
  "true": "1.10"
  on: "no"
  "a b": 'it''s'
  Größe: |-
    two
    lines\u2028
  tab: "\t\u2028"
phases: [{name: "5", tests: [{id: "1.1", name: ~A, stages: [{duration: 1s, target: 0x10, from: 5}]}]}]
"#;
    let text = text.replace("0x10", "1e1");
    let base = plan(&text);
    assert_eq!(
        meaning(with(&base, &[setting("environment.stream.shards", "1")]).expect("a plan")),
        meaning(base)
    );
}

#[test]
fn what_is_set_is_read_as_if_the_plan_had_it() {
    let base = plan(SHIPPED[0].1);
    let settings = [
        setting("environment.stream.shards", "4"),
        setting("environment.function.parallelization", "3"),
        setting("defaults.payload", "small"),
        setting("defaults.keys.count", "7"),
        setting("rehearsal.put_latency", "3ms"),
    ];
    let set = with(&base, &settings).expect("a plan");
    assert_eq!((set.environment.stream.shards, set.environment.function.parallelization), (4, 3));
    let test = set.tests().next().expect("a test");
    assert_eq!((test.payload.name.as_str(), test.keys.count), ("small", 7));
    assert_eq!(set.rehearsal.put_latency, Spread::fixed(Duration::from_millis(3)));
    assert!(set.text.starts_with("# --set environment.stream.shards=4\n"), "{}", set.text);
    assert_eq!(base.found_at("environment.stream.shards").as_deref(), Some("1"));
    assert_eq!(base.found_at("environment.function.retries"), None);
}

#[test]
fn with_other_memory_the_durations_stay_those_of_the_plans_memory() {
    let base = plan(SHIPPED[0].1);
    let set = with(&base, &[setting("environment.function.memory_mb", "128")]).expect("a plan");
    assert_eq!((set.environment.function.memory_mb, set.rehearsal.at_memory_mb), (128, 512));
    // A second time: the first is the plan then.
    let again = with(&set, &[setting("environment.function.memory_mb", "256")]).expect("a plan");
    assert_eq!((again.environment.function.memory_mb, again.rehearsal.at_memory_mb), (256, 512));
    let told = [
        setting("environment.function.memory_mb", "128"),
        setting("rehearsal.function.at_memory_mb", "1024"),
    ];
    assert_eq!(with(&base, &told).expect("a plan").rehearsal.at_memory_mb, 1_024);
}

#[test]
fn every_check_of_a_plan_holds_for_what_is_set() {
    let base = plan(SHIPPED[0].1);
    for (path, value, error) in [
        ("environment.stream.shards", "0", "environment.stream.shards: found"),
        ("environment.stream.shards", "two", "a whole number"),
        ("environment.function.memory_mb", "64", "128 to 10240"),
        ("environment.function.provisioned_concurrency", "0", "1 to 100000"),
        ("defaults.put", "both", "one of record, batch"),
        ("rehearsal.put_latency.median", "1ms", "rehearsal.put_latency.p99"),
        ("defaults.payload.bytes", "100", "above bytes"),
    ] {
        let errors = with(&base, &[setting(path, value)]).expect_err(path);
        assert!(errors.contains(error), "{path}={value}: {errors}");
    }
}

#[test]
fn a_key_may_be_short_where_only_one_has_that_name() {
    for (key, path) in [
        ("shards", "environment.stream.shards"),
        ("stream.shards", "environment.stream.shards"),
        ("environment.stream.shards", "environment.stream.shards"),
        ("function.memory_mb", "environment.function.memory_mb"),
        ("memory_mb", "environment.function.memory_mb"),
        ("batch_window_s", "environment.function.batch_window_s"),
        ("keys.count", "defaults.keys.count"),
        ("payload", "defaults.payload"),
        ("put_latency", "rehearsal.put_latency"),
        ("put_latency.median", "rehearsal.put_latency.median"),
    ] {
        assert_eq!(full_path(key).as_deref(), Ok(path), "{key}");
    }
    assert_eq!(short_key("environment.stream.shards"), "shards");
    assert_eq!(short_key("rehearsal.function.per_batch.median"), "per_batch.median");
    for (key, expected) in [
        ("shard", "did you mean environment.stream.shards?"),
        ("function.parallelization_factor", "did you mean environment.function.parallelization?"),
        ("median", "one of rehearsal.function.cold_start.median, rehearsal.function.overhead.median"),
        ("criteria", "a key of a plan below environment.stream, "),
        ("environment.alarms.iterator_age_ms", "a key of a plan below"),
        ("environment.function", "a key of a plan below"),
        ("", "a key of a plan below"),
        (".", "a key of a plan below"),
    ] {
        let found = full_path(key).expect_err(key);
        assert!(found.contains(expected), "{key}: {found}");
    }
}
