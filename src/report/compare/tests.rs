use serde_json::Value;

use super::*;
use crate::evidence::cells::{LevelCells, Traffic};
use crate::evidence::model::RunEnd;
use crate::report::testing::{changed, complete};
use crate::report::{self, ReportModel};
use crate::verdict::compare::{KeptRun, Side, compare};

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/compare-v1.schema.json");

/// A side whose cells lie around the level's own percentiles.
fn side(model: &ReportModel) -> Side {
    let kept = KeptRun::parse(report::json(model).as_bytes()).expect("a report");
    let cells = |put: Option<report::model::DistReport>, rate: f64| {
        let cell = |second: u64| {
            let off = 1.0 + 0.05 * ((second * 7 % 11) as f64 - 5.0) / 5.0;
            let us = |ms: f64| (ms * off * 1_000.0) as u64;
            put.map_or_else(Vec::new, |put| vec![(us(put.p50), 60), (us(put.p95), 38), (us(put.p99), 2)])
        };
        let latencies: Vec<_> = (0..30).map(cell).filter(|cell| !cell.is_empty()).collect();
        let traffic = (0..30)
            .map(|second| Traffic { seconds: 1, acked: rate as u64 + second % 3, failed: 0, throttled: 0 })
            .collect();
        LevelCells {
            put_latency: latencies.clone(),
            service_time: latencies.clone(),
            e2e: latencies,
            traffic,
        }
    };
    let of_test = |test: &report::model::TestReport| {
        let levels = test.levels.iter();
        levels.map(|level| cells(level.put_latency_ms, level.achieved_rps.unwrap_or_default())).collect()
    };
    Side { cells: Ok(model.tests.iter().map(of_test).collect()), kept, plan: None }
}

/// The fixture beside a run of two shards that was slower on one level, lost a record, and had one test only.
fn comparison(fail_on: Option<f64>) -> Comparison {
    let after = changed(|evidence| {
        complete(evidence);
        evidence.run.id = "20261122-100000-aaaa".into();
        evidence.environment.shards = 2;
        let level = &mut evidence.tests[0].levels[1];
        level.put_latency = Some(crate::verdict::fixture::dist(3_000, 14.0));
        level.delivery.lost = Some(1);
    });
    let before = changed(|evidence| {
        evidence.run.end = RunEnd::Completed;
        evidence.delivery.complete = true;
        evidence.tests.iter_mut().flat_map(|test| &mut test.levels).for_each(|level| level.void = None);
    });
    compare(&side(&before), &side(&after), &[], fail_on)
}

#[test]
fn terminal_roomy() {
    insta::assert_snapshot!(terminal(&comparison(Some(10.0)), 120, false));
}

#[test]
fn terminal_narrow() {
    let text = terminal(&comparison(None), 80, false);
    insta::assert_snapshot!(text);
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(long, [""; 0], "wider than the terminal");
}

#[test]
fn markdown_for_a_pull_request() {
    insta::assert_snapshot!(markdown(&comparison(Some(10.0))));
}

#[test]
fn json_fits_its_schema() {
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        std::fs::write(SCHEMA_FILE, schema()).expect("the schema can be written");
    }
    let text = std::fs::read_to_string(SCHEMA_FILE).expect("the schema is in the repository");
    assert_eq!(text, schema(), "not what the code generates: STREAMGAUGE_BLESS=1 rewrites it");
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema");
    for fail_on in [None, Some(10.0)] {
        let value: Value = serde_json::from_str(&json(&comparison(fail_on))).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
    let value: Value = serde_json::from_str(&json(&comparison(Some(10.0)))).expect("JSON");
    assert_eq!(value["verdict"], "fail");
    assert_eq!(value["regressions"][0]["figure"], "lost", "from zero first: {}", value["regressions"]);
}

#[test]
fn the_page_is_whole_and_escapes_what_comes_from_outside() {
    let plain = html(&comparison(Some(10.0)));
    assert!(!plain.contains("http:") && !plain.contains("https:"), "nothing is loaded");
    assert!(plain.contains("<circle") && plain.contains("class=\"span worse\""), "a dot and its whisker");
    assert_eq!(plain.matches("<figure").count(), 4, "a chart for each level");
    let planted = "<script>alert('x')</script>|**_`[a](b)";
    let mut comparison = comparison(Some(10.0));
    comparison.before.plan = planted.into();
    comparison.before.id = planted.into();
    comparison.after.plan = planted.into();
    comparison.configuration[0].before = planted.into();
    comparison.tests[0].name = planted.into();
    comparison.tests[0].levels[1].name = planted.into();
    comparison.tests[0].levels[1].doubt = Some(planted.into());
    comparison.unmatched[0].level = planted.into();
    comparison.notes.push(planted.into());
    assert!(!html(&comparison).contains("<script>"));
    let text = markdown(&comparison);
    assert!(!text.contains("<script>"), "{text}");
    // Between tags nothing is Markdown.
    let lines = text.lines().filter(|line| !line.starts_with("<details>"));
    assert!(lines.clone().any(|line| line.contains("\\](b)")), "{text}");
    assert!(lines.clone().all(|line| !line.replace("\\]", "").contains("](b)")), "{text}");
}
