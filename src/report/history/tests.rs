use serde_json::Value;

use super::*;
use crate::report::testing::{changed, complete};
use crate::verdict::compare::{DRAIN, Figure, KeptRun};

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/history-v1.schema.json");

/// Five runs: the third has two shards, the fourth a void level, the fifth is twice as slow.
fn runs() -> Vec<KeptRun> {
    let run = |number: u32| {
        let model = changed(|evidence| {
            complete(evidence);
            evidence.run.id = format!("2026112{number}-100000-aaaa");
            evidence.run.started_us += i64::from(number) * 86_400_000_000;
            evidence.environment.shards = if number < 3 { 1 } else { 2 };
            let level = evidence.tests[0].levels.last_mut().expect("a level");
            level.void = (number == 4).then(|| "generator lag p99 14 ms".to_owned());
            let p50 = if number == 5 { 24.0 } else { 12.0 + f64::from(number) / 10.0 };
            level.put_latency = Some(crate::verdict::fixture::dist(60_000, p50));
        });
        KeptRun::parse(crate::report::json(&model).as_bytes()).expect("a report")
    };
    (1..=5).map(run).collect()
}

fn figure(key: &str) -> Figure {
    Figure::from_key(key).expect("a figure")
}

fn history() -> History {
    build(&runs(), figure("put_latency.p95"), None, Some("20261122-100000-aaaa"))
}

#[test]
fn terminal_narrow() {
    let text = terminal(&history(), 80, false);
    insta::assert_snapshot!(text);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "wider than the terminal");
}

#[test]
fn the_highest_judged_hold_is_shown_unless_a_level_is_named() {
    let history = history();
    assert_eq!(history.series.len(), 1);
    let series = &history.series[0];
    assert_eq!((series.test.as_str(), series.level.as_deref()), ("1.1", Some("200/s hold")));
    let values: Vec<Option<f64>> = series.runs.iter().map(|place| place.value).collect();
    assert_eq!(values, [Some(24.2), Some(24.4), Some(24.6), None, Some(48.0)]);
    assert!(series.runs[2].changed[0].contains("shards: 1 -> 2"), "{:?}", series.runs[2]);
    assert!(series.runs[3].reason.as_deref().is_some_and(|why| why.starts_with("void")));
    // A void run is passed over: the difference is to the one before it.
    assert_eq!(series.runs[4].difference, Some(23.4));
    assert!(series.runs[1].is_baseline && !series.runs[0].is_baseline);

    let named = build(&runs(), figure("put_latency.p95"), Some("10/s hold"), None);
    assert_eq!(named.series[0].level.as_deref(), Some("10/s hold"));
    assert_eq!(build(&runs(), figure("lost"), Some("11/s hold"), None).series, []);
    let drain = build(&runs(), DRAIN, None, None);
    assert_eq!((drain.series[0].level.clone(), drain.series[0].runs[0].value), (None, Some(3.25)));
}

#[test]
fn json_fits_its_schema() {
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        std::fs::write(SCHEMA_FILE, schema()).expect("the schema can be written");
    }
    let text = std::fs::read_to_string(SCHEMA_FILE).expect("the schema is in the repository");
    assert_eq!(text, schema(), "not what the code generates: STREAMGAUGE_BLESS=1 rewrites it");
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema");
    let value: Value = serde_json::from_str(&json(&history())).expect("JSON");
    assert!(validator.is_valid(&value), "{value}");
}

#[test]
fn the_page_marks_what_changed_and_escapes_what_comes_from_outside() {
    let mut history = history();
    let page = html(&history);
    assert!(page.contains("class=\"mark\"") && page.contains("baseline") && page.contains("<circle"));
    assert!(!page.contains("http:") && !page.contains("https:"), "nothing is loaded");
    let planted = "<script>alert('x')</script>";
    history.plan = planted.into();
    history.environment = planted.into();
    history.series[0].level = Some(planted.into());
    history.series[0].runs[2].changed = vec![planted.into()];
    history.series[0].runs[2].run = planted.into();
    history.series[0].runs[3].reason = Some(planted.into());
    history.notes.push(planted.into());
    assert!(!html(&history).contains("<script>"));
}
