use rust_decimal::Decimal;
use serde_json::Value;

use crate::cost::PriceBook;
use crate::evidence::model::PutBytes;
use crate::plan::{Plan, Setting, parse};
use crate::report::model::Exact;
use crate::report::testing::{changed, complete};
use crate::verdict::Verdict;

use super::*;

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/whatif-v1.schema.json");
const PLAN: &str = include_str!("../../../plans/breaking-point.yaml");

fn settings(shards: u32, memory_mb: u32) -> Vec<Setting> {
    let setting = |path: &str, value: u32| Setting { path: path.into(), value: value.to_string() };
    vec![setting("environment.stream.shards", shards), setting("environment.function.memory_mb", memory_mb)]
}

fn met(shards: u32, memory_mb: u32, cost: i64, p99_ms: f64) -> Row {
    Row {
        run: Some(format!("20260101-000000-s{shards}m{memory_mb}")),
        report: Some(format!("../20260101-000000-s{shards}m{memory_mb}/report.html")),
        verdict: Some(Verdict::Pass),
        cost_per_million: Some(Exact(Decimal::new(cost, 4))),
        level: Some("breaking-point / 1500/s hold".into()),
        e2e_p99_ms: Some(p99_ms),
        put_p99_ms: Some(41.5),
        carried_up_to_rps: Some(1_500.0),
        throttled: Some(0),
        iterator_age_ms_max: Some(870.0),
        monthly: Some(Exact(Decimal::new(12_345, 2))),
        monthly_reason: None,
        ..without_report(&settings(shards, memory_mb), Outcome::Meets, None)
    }
}

fn failed(shards: u32, memory_mb: u32, cost: i64, p99_ms: f64) -> Row {
    Row {
        outcome: Outcome::Fails,
        why: Some("breaking-point: throttles == 0 (it was 4,021)".into()),
        verdict: Some(Verdict::Fail),
        breaking_point: Some(Broke { rps: Some(1_000.0), first: "Kinesis write".into() }),
        carried_up_to_rps: Some(900.0),
        throttled: Some(4_021),
        monthly: None,
        monthly_reason: Some("no judged level carried 1,500/s without a finding".into()),
        ..met(shards, memory_mb, cost, p99_ms)
    }
}

/// What a grid of one and two shards may come to.
fn rows() -> Vec<Row> {
    vec![
        failed(1, 256, 300, 9_000.0),
        failed(1, 512, 310, 8_000.0),
        met(2, 256, 520, 45.0),
        met(2, 512, 500, 900.0),
        without_report(&settings(4, 256), Outcome::Ended, Some("no probe record came through".into())),
        without_report(&settings(4, 512), Outcome::NotBegun, None),
    ]
}

fn plan() -> Plan {
    parse(PLAN).expect("a plan")
}

fn document_of(plan: &Plan, rows: Vec<Row>) -> WhatIf {
    let book = PriceBook::builtin();
    let grid = Grid {
        id: "whatif-0123abcd".into(),
        plan,
        selected: &[0],
        region: "us-east-1".into(),
        book: &book,
        keys: vec!["environment.stream.shards".into(), "environment.function.memory_mb".into()],
        assumptions: vec!["a put takes 10 ms from sending it to its answer".into()],
    };
    build(&grid, rows)
}

fn document() -> WhatIf {
    document_of(&plan(), rows())
}

#[test]
fn the_cheapest_that_meets_every_criterion_comes_first() {
    let document = document();
    let order: Vec<Vec<String>> = document.settings.iter().map(|row| row.values.clone()).collect();
    assert_eq!(order, [["2", "512"], ["2", "256"], ["1", "256"], ["1", "512"], ["4", "256"], ["4", "512"]]);
    assert_eq!(
        document.summary[0],
        "2 of the 4 settings that were rehearsed, of 6, meet every criterion. The cheapest is shards=2 memory_mb=512: USD 0.0500 a \
         million records, with an end-to-end p99 of 900 ms."
    );
    assert_eq!(document.monthly_at_rps, Some(1_500.0));
    let near =
        document_of(&plan(), vec![met(1, 256, 505, 9.0), met(2, 256, 500, 9.0), met(3, 256, 520, 9.0)]);
    assert_eq!(near.summary[1], "Not more than 2 % dearer, too little to choose by: shards=1 memory_mb=256.");
    // The same cost: the faster first; no cost: last.
    let unpriced = Row { cost_per_million: None, ..met(2, 768, 0, 1.0) };
    let document = document_of(&plan(), vec![unpriced, met(2, 256, 500, 90.0), met(2, 512, 500, 45.0)]);
    let memory: Vec<&str> = document.settings.iter().map(|row| row.values[1].as_str()).collect();
    assert_eq!(memory, ["512", "256", "768"]);
}

#[test]
fn no_winner_is_named_where_nothing_is_known_to_be_enough() {
    let open = |row: Row| Row { outcome: Outcome::Open, verdict: Some(Verdict::Inconclusive), ..row };
    for (rows, first) in [
        (vec![failed(1, 256, 1, 1.0), failed(2, 256, 2, 1.0)], "None of 2 settings meets every criterion"),
        (vec![open(met(1, 256, 1, 1.0)), failed(2, 256, 2, 1.0)], "None of 2 settings meets every criterion"),
        (vec![Row { cost_per_million: None, ..met(1, 256, 1, 1.0) }], "none is called the cheapest"),
    ] {
        let summary = document_of(&plan(), rows).summary;
        assert!(summary[0].contains(first), "{summary:?}");
        assert!(summary.iter().all(|sentence| !sentence.contains("cheapest is")), "{summary:?}");
    }
    let text = PLAN.split("        criteria:").next().expect("a head").to_owned();
    let without = parse(&text).expect("a plan without criteria");
    let summary = document_of(&without, vec![open(met(1, 256, 1, 1.0))]).summary;
    assert!(summary[0].starts_with("The plan sets no criterion"), "{summary:?}");
    assert_eq!(summary.len(), 1);
}

#[test]
fn a_row_has_the_figures_of_the_rehearsals_report() {
    let mut evidence = crate::verdict::fixture::evidence();
    complete(&mut evidence);
    let book = PriceBook::builtin();
    let model = changed(complete);
    let row = row(&settings(1, 512), &evidence, &book, &model, Some(200.0));
    let level =
        model.tests[0].levels.iter().find(|level| level.name == "200/s hold").expect("the highest hold");
    assert_eq!(row.level.as_deref(), Some("1.1 / 200/s hold"));
    assert_eq!(row.e2e_p99_ms, level.e2e_latency_ms.map(|e2e| e2e.p99));
    assert_eq!(row.put_p99_ms, level.put_latency_ms.map(|put| put.p99));
    assert_eq!(row.cost_per_million, model.cost.pipeline.per_million_records);
    assert_eq!(row.values, ["1", "512"]);
    assert_eq!(row.report, Some(format!("../{}/report.html", model.run.id)));
    let outcome = match model.run.verdict {
        Verdict::Pass => Outcome::Meets,
        Verdict::Inconclusive => Outcome::Open,
        Verdict::Fail => Outcome::Fails,
    };
    assert_eq!(row.outcome, outcome);
    assert_eq!(row.why.is_none(), outcome == Outcome::Meets);
    // One that was stopped says nothing, whatever its criteria came to.
    evidence.run.end = crate::evidence::model::RunEnd::Stopped("interrupted".into());
    let stopped = super::row(&settings(1, 512), &evidence, &book, &model, Some(200.0));
    assert_eq!((stopped.outcome, stopped.monthly), (Outcome::Ended, None));
}

#[test]
fn a_month_is_told_only_of_a_rate_that_was_carried() {
    let mut evidence = crate::verdict::fixture::evidence();
    complete(&mut evidence);
    for level in &mut evidence.tests[0].levels {
        level.put = Some(PutBytes {
            bytes: level.acked * 510,
            bytes_rounded_1k: level.acked * 1_024,
            put_payload_units: level.acked,
        });
    }
    let book = PriceBook::builtin();
    let model = changed(complete);
    let carried_rps = model.known_up_to_rps.expect("a rate that was carried");
    let month = |rps: f64| row(&settings(1, 512), &evidence, &book, &model, Some(rps));
    let carried = month(carried_rps);
    // One shard alone: 730 h at USD 0.015.
    let monthly = carried.monthly.unwrap_or_else(|| panic!("{:?}", carried.monthly_reason));
    assert!(monthly.0 > Decimal::new(1_095, 2), "{monthly:?}");
    let above = month(carried_rps + 1.0);
    assert_eq!(above.monthly, None);
    assert!(above.monthly_reason.is_some_and(|why| why.contains("without a finding")));
    assert!(row(&settings(1, 512), &evidence, &book, &model, None).monthly_reason.is_some());
}

#[test]
fn terminal_wide_and_narrow() {
    insta::assert_snapshot!(terminal(&document(), 120, false));
    let narrow = terminal(&document(), 80, false);
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
}

#[test]
fn markdown_and_csv() {
    insta::assert_snapshot!(markdown(&document()));
    insta::assert_snapshot!(csv(&document()));
}

#[test]
fn json_fits_its_schema_and_reads_back() {
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        std::fs::write(SCHEMA_FILE, schema()).expect("the schema can be written");
    }
    let text = std::fs::read_to_string(SCHEMA_FILE).expect("the schema is in the repository");
    assert_eq!(text, schema(), "not what the code generates: STREAMGAUGE_BLESS=1 rewrites it");
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema");
    let value: Value = serde_json::from_str(&json(&document())).expect("JSON");
    assert!(validator.is_valid(&value), "{value}");
    let rows = document().settings;
    for (row, written) in rows.iter().zip(value["settings"].as_array().expect("rows")) {
        assert_eq!(written["outcome"], row.outcome.key());
    }
    assert_eq!(serde_json::from_value::<WhatIf>(value).expect("the model"), document());
}

#[test]
fn the_page_draws_a_mark_for_each_setting_and_links_its_report() {
    let page = html(&document());
    assert_eq!(page.matches("circle class=\"meets\" cx").count(), 2 + 1, "two and the legend's");
    assert_eq!(page.matches("path class=\"not\" d").count(), 2 + 1, "two and the legend's");
    assert!(page.contains("href=\"../20260101-000000-s2m512/report.html\""));
    assert!(!page.contains("http:") && !page.contains("https:"), "nothing is loaded");
    assert!(page.contains("a put takes 10 ms"), "what it rests on stands where its figures do");
}

#[test]
fn what_comes_from_outside_stays_text_in_every_format() {
    let planted = "<script>alert('x')</script>\u{1b}[31m|=1";
    let mut document = document();
    document.plan = planted.into();
    document.settings[0].values[0] = planted.into();
    document.settings[1].why = Some(planted.into());
    document.settings[1].level = Some(planted.into());
    document.assumptions.push(planted.into());
    assert!(!html(&document).contains("<script>"));
    assert!(!terminal(&document, 120, false).contains('\u{1b}'));
    assert!(!markdown(&document).contains("<script>"));
    document.settings[0].values[0] = "=1+1".into();
    assert!(csv(&document).contains("'=1+1"));
}
