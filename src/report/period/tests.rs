use rust_decimal::Decimal;
use serde_json::Value;

use crate::cost::{self, PriceBook, ProjectInput};
use crate::evidence::model::{Evidence, PutBytes, RunEnd};
use crate::plan::Plan;
use crate::report::model::Exact;
use crate::report::period_html;
use crate::report::testing::keys;
use crate::verdict::fixture::{evidence, plan};
use crate::verdict::{self, Verdict};

use super::*;

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/period-v1.schema.json");
const FIRST: &str = "20261121-100000-aaaa";
const SECOND: &str = "20261122-100000-bbbb";
const EARLIER: &str = "20261101-100000-0000";

/// The fixture's run under another id, after a change to its evidence; its records weigh 510 bytes.
fn part(id: &str, change: impl FnOnce(&mut Evidence)) -> Part {
    let mut evidence = evidence();
    evidence.run.id = id.to_owned();
    for level in evidence.tests.iter_mut().flat_map(|test| &mut test.levels) {
        let records = level.acked;
        let (bytes, bytes_rounded_1k) = (records * 510, records * 1_024);
        level.put = Some(PutBytes { bytes, bytes_rounded_1k, put_payload_units: records });
    }
    change(&mut evidence);
    let book = PriceBook::builtin();
    let priced = cost::price(&evidence.usage, &book);
    let verdicts = verdict::judge(&evidence, &priced);
    let findings = verdict::findings(&evidence, &book, &verdicts);
    let model = crate::report::build(&evidence, &priced, &verdicts, &findings);
    Part::new(model, &evidence, &findings, book)
}

/// Only the tests of these ids, in a run that came to its end.
fn only(ids: &'static [&'static str]) -> impl FnOnce(&mut Evidence) {
    move |evidence| {
        evidence.tests.retain(|test| ids.contains(&test.id.as_str()));
        let levels: Vec<u32> =
            evidence.tests.iter().flat_map(|test| &test.levels).map(|level| level.index).collect();
        evidence.seconds.retain(|row| levels.contains(&row.level));
        evidence.flags.retain(|flag| flag.level.is_some_and(|level| levels.contains(&level)));
        evidence.run.end = RunEnd::Completed;
        evidence.delivery.complete = true;
        evidence.delivery.lost = Some(0);
        evidence.notes.clear();
    }
}

fn wanted(id: &str, week: u32, state: State, run: Option<&str>) -> Wanted {
    let plan = plan();
    let test = plan.tests().find(|test| test.id == id).expect("a test of the plan");
    Wanted {
        id: id.to_owned(),
        name: test.name.clone(),
        week: Some(week),
        state,
        run: run.map(str::to_owned),
    }
}

/// 1.1 in a run of its own that passed, 3.1 in a later one, 3.2 not run.
fn campaign() -> Gathered {
    Gathered {
        wanted: vec![
            wanted("1.1", 1, State::Finished, Some(FIRST)),
            wanted("3.1", 3, State::Finished, Some(SECOND)),
            wanted("3.2", 3, State::NotRun, None),
        ],
        parts: vec![part(FIRST, only(&["1.1"])), part(SECOND, only(&["3.1"]))],
    }
}

fn week(number: u32, gathered: &Gathered) -> Gathered {
    let wanted: Vec<Wanted> =
        gathered.wanted.iter().filter(|wanted| wanted.week == Some(number)).cloned().collect();
    Gathered { wanted, parts: Vec::new() }
}

fn request(plan: &Plan, kind: Kind) -> Request<'_> {
    Request {
        kind,
        week: (kind == Kind::Week).then_some(3),
        day: (kind == Kind::Day).then_some("2026-11-21"),
        plan,
        environment: "weeks",
        target: "local",
        run_arguments: "weekly.yaml --env weeks",
    }
}

fn week_three() -> PeriodModel {
    let mut gathered = week(3, &campaign());
    gathered.parts = vec![part(SECOND, only(&["3.1"]))];
    build(&request(&plan(), Kind::Week), &gathered, None, vec!["the plan was changed".to_owned()])
}

fn whole() -> PeriodModel {
    let earlier = Gathered {
        wanted: vec![wanted("1.1", 1, State::Outdated, Some(EARLIER))],
        parts: vec![part(EARLIER, |evidence| {
            only(&["1.1"])(evidence);
            for level in &mut evidence.tests[0].levels {
                level.put_latency =
                    level.put_latency.map(|put| crate::verdict::fixture::dist(put.count, put.p50 * 2.0));
            }
        })],
    };
    build(&request(&plan(), Kind::Campaign), &campaign(), Some(&earlier), Vec::new())
}

fn day() -> PeriodModel {
    let gathered = Gathered {
        wanted: vec![
            wanted("1.1", 1, State::Finished, Some(FIRST)),
            wanted("3.1", 3, State::Finished, Some(FIRST)),
            wanted("3.2", 3, State::Interrupted, Some(FIRST)),
        ],
        parts: vec![part(FIRST, |_| ())],
    };
    build(&request(&plan(), Kind::Day), &gathered, None, Vec::new())
}

#[test]
fn markdown_of_a_week() {
    insta::assert_snapshot!(markdown(&week_three()));
}

#[test]
fn markdown_of_a_campaign() {
    insta::assert_snapshot!(markdown(&whole()));
}

#[test]
fn markdown_of_a_day() {
    let text = markdown(&day());
    // The tests by themselves are in the snapshots of a run's report.
    insta::assert_snapshot!(text.split("## Each test").next().unwrap_or_default());
}

#[test]
fn terminal_of_a_campaign() {
    insta::assert_snapshot!(terminal(&whole(), 110, false));
}

#[test]
fn junit_of_a_week() {
    let xml = junit(&week_three(), false);
    insta::assert_snapshot!(xml);
    let allowed = junit(&week_three(), true);
    assert!(allowed.contains("<skipped message=\"not run\"/>"), "{allowed}");
}

#[test]
fn every_period_fits_the_schema() {
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        std::fs::write(SCHEMA_FILE, schema()).expect("the schema can be written");
    }
    let text = std::fs::read_to_string(SCHEMA_FILE).expect("the schema is in the repository");
    assert_eq!(text, schema(), "not what the code generates: STREAMGAUGE_BLESS=1 rewrites it");
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema");
    let nothing = build(&request(&plan(), Kind::Campaign), &Gathered::default(), None, Vec::new());
    for model in [day(), week_three(), whole(), nothing] {
        let value: Value = serde_json::from_str(&json(&model)).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        let read: PeriodModel = serde_json::from_str(&json(&model)).expect("what is written is read");
        assert_eq!(json(&read), json(&model));
    }
    let spoilt = json(&day()).replacen("\"summary\"", "\"resume\"", 1);
    assert!(!validator.is_valid(&serde_json::from_str(&spoilt).expect("JSON")));
}

#[test]
fn what_is_not_run_interrupted_or_outdated_never_passes() {
    let passed = |state| {
        let gathered = Gathered {
            wanted: vec![wanted("1.1", 1, state, Some(FIRST))],
            parts: vec![part(FIRST, only(&["1.1"]))],
        };
        build(&request(&plan(), Kind::Campaign), &gathered, None, Vec::new()).period.verdict
    };
    assert_eq!(passed(State::Finished), Verdict::Pass);
    for state in [State::Interrupted, State::Outdated, State::Running] {
        assert_eq!(passed(state), Verdict::Inconclusive, "{state}");
    }
    let nothing = build(&request(&plan(), Kind::Campaign), &Gathered::default(), None, Vec::new());
    assert_eq!(nothing.period.verdict, Verdict::Inconclusive);
    // A run that cannot be read leaves its test without a result.
    let unread = Gathered { parts: Vec::new(), ..campaign() };
    let model = build(&request(&plan(), Kind::Campaign), &unread, None, Vec::new());
    assert_eq!((model.tests[0].verdict, model.period.verdict), (None, Verdict::Inconclusive));
    assert_eq!(model.next[0].why, "its run cannot be read");
}

#[test]
fn a_week_takes_nothing_from_the_other_tests_of_its_runs() {
    let gathered = Gathered {
        wanted: vec![wanted("1.1", 1, State::Finished, Some(FIRST))],
        parts: vec![part(FIRST, |_| ())],
    };
    let model = build(&request(&plan(), Kind::Week), &gathered, None, Vec::new());
    // The run's findings, flags and criteria are of 3.1 and 3.2.
    assert_eq!(model.bottlenecks, Vec::new());
    assert!(model.observations.iter().all(|seen| seen.kind != "flag"), "{:?}", model.observations);
    assert!(!model.runs[0].counted && model.runs[0].tests.len() == 3);
    assert_eq!(model.period.verdict, Verdict::Pass);
    assert!(model.summary.iter().any(|sentence| sentence == "Nothing gave way."), "{:?}", model.summary);
    assert!(
        model.summary.last().is_some_and(|cost| cost.contains("tests that are not in this report included"))
    );
}

#[test]
fn a_tests_cost_is_what_its_levels_cost_a_million_times_what_they_delivered() {
    let model = week_three();
    let test = &model.tests[0];
    let levels = &test.report.as_ref().expect("it ran").levels;
    let by_hand: Decimal = levels
        .iter()
        .map(|level| {
            let each = level.cost_per_million.expect("priced").0;
            each * Decimal::from(level.delivery.as_ref().expect("measured").delivered)
                / Decimal::from(1_000_000)
        })
        .sum();
    assert_eq!(test.cost.expect("all are priced").0, by_hand.round_dp(9).normalize());
    let unpriced = Gathered {
        wanted: vec![wanted("3.1", 3, State::Finished, Some(SECOND))],
        parts: vec![part(SECOND, |evidence| evidence.tests[1].levels[0].finished = false)],
    };
    let model = build(&request(&plan(), Kind::Week), &unpriced, None, Vec::new());
    assert_eq!((model.tests[0].cost, model.cost.of_tests), (None, None));
}

#[test]
fn a_cell_of_the_profile_has_the_worst_of_its_levels_and_void_ones_only_alone() {
    let model = part(FIRST, |evidence| {
        let again = evidence.tests[0].levels[3].clone();
        evidence.tests[0].levels.push(again);
        let levels = &mut evidence.tests[0].levels;
        levels[4].put_latency = Some(crate::verdict::fixture::dist(60_000, 40.0));
        levels[4].acked -= 600;
        levels[1].void = Some("lag".into());
    })
    .model;
    let found = cells(model.tests[..1].iter());
    assert_eq!(found.len(), 2, "ramps are no cells");
    assert!(found[0].void && found[0].rate_rps == 10.0 && found[0].put_p95_ms.is_some());
    assert_eq!((found[1].put_p95_ms, found[1].success_percent), (Some(80.0), Some(99.0)));
    assert_eq!(found[1].levels.len(), 2);
    assert!(period_html(&whole()).contains("Put latency p95 by payload and rate"));
}

#[test]
fn a_runs_own_report_has_the_maps_where_payloads_share_rates() {
    let of = |change: fn(&mut Evidence)| crate::report::html(&part(FIRST, change).model);
    assert!(!of(|_| ()).contains("By payload and rate"), "its payloads had no rate in common");
    let page = of(|evidence| {
        let mut medium = evidence.tests[0].clone();
        medium.payload = evidence.tests[1].payload.clone();
        medium.levels[3].void = Some("lag".into());
        evidence.tests[1] = medium;
    });
    assert!(page.contains("By payload and rate"));
    assert_eq!(page.matches("class=\"heat-void\"").count(), 4, "two void cells, in both maps");
    assert!(page.contains("medium, 200 records/s: 24 ms, void (1.1 / 200/s hold)"));
}

#[test]
fn projections_are_those_of_the_price_book_at_the_measured_sizes() {
    let complete = whole().complete.expect("of a campaign");
    let projections = complete.projections.expect("it was measured");
    // 3.1's hold was refused: 1.1's carry the projection, at the ratio that is nearest.
    let basis = &projections.basis[0];
    assert_eq!((basis.level.as_str(), basis.record_bytes), ("1.1 / 200/s hold", 510));
    assert_eq!((basis.records_per_invocation, basis.billed_ms_per_invocation), (100, 11.0));
    let book = PriceBook::builtin();
    let input = ProjectInput {
        rates_per_s: vec![Decimal::from(1_000)],
        records_per_invocation: vec![100],
        record_bytes: 510,
        memory_mb: 512,
        duration_ms: Decimal::from(11),
        hours: book.hours_per_month,
        log_bytes_per_invocation: 350,
        ..ProjectInput::default()
    };
    let by_hand = cost::project(&input, &book);
    let rows: Vec<_> = projections.rows.iter().filter(|row| row.rate_per_s == 1_000).collect();
    assert_eq!(rows.len(), 2);
    for (row, expected) in rows.iter().zip(&by_hand) {
        assert_eq!(row.mode, expected.mode.as_str());
        assert_eq!(row.monthly, Exact(expected.total.round_dp(4).normalize()));
    }
    let told = &projections.assumptions;
    assert!(
        told.iter().any(|text| text.contains("are at 1,000 records/s what they were at 200")),
        "{told:?}"
    );
    let unknown = |evidence: &mut Evidence| evidence.usage.billed_ms = 0;
    let gathered = Gathered { parts: vec![part(FIRST, unknown)], ..campaign() };
    let model = build(&request(&plan(), Kind::Campaign), &gathered, None, Vec::new());
    let complete = model.complete.expect("of a campaign");
    assert!(complete.projections.is_none() && complete.projections_missing.is_some());
}

#[test]
fn production_takes_the_changes_that_are_needed_at_the_expected_peak_and_no_others() {
    let recommended = |expected_peak_rps| {
        let plan = Plan { expected_peak_rps, ..plan() };
        let model = build(&request(&plan, Kind::Campaign), &campaign(), None, Vec::new());
        let production = model.complete.expect("of a campaign").production;
        let shards =
            production.settings.iter().find(|setting| setting.name == "shards").expect("listed").clone();
        (shards, production)
    };
    let (shards, production) = recommended(Some(200.0));
    assert_eq!((shards.recommended.as_str(), shards.why), ("1", None));
    assert!(production.statements[0].contains("and that was carried"), "{:?}", production.statements);
    assert!(
        production
            .statements
            .iter()
            .any(|text| text.starts_with("Not needed at the expected rate: shards 1 ->"))
    );
    let (shards, production) = recommended(Some(5_000.0));
    assert_ne!(shards.recommended, "1");
    assert!(shards.why.is_some_and(|why| why.contains("test 3.1")));
    assert!(production.monthly_cost_of_changes.is_some_and(|cost| cost.0 > Decimal::ZERO));
    assert!(production.statements[0].contains("no run carried that much"), "{:?}", production.statements);
}

#[test]
fn one_setting_is_recommended_once_and_names_every_test_that_asks_for_it() {
    let other = part(FIRST, |evidence| {
        evidence.tests.swap(0, 1);
        only(&["3.1"])(evidence);
    });
    let gathered = Gathered {
        wanted: vec![
            wanted("3.1", 3, State::Finished, Some(FIRST)),
            wanted("3.1", 3, State::Finished, Some(SECOND)),
        ],
        parts: vec![other, part(SECOND, only(&["3.1"]))],
    };
    let model = build(&request(&plan(), Kind::Day), &gathered, None, Vec::new());
    let shards: Vec<_> =
        model.recommendations.iter().filter(|each| each.change.starts_with("shards")).collect();
    assert_eq!(shards.len(), 1, "{:?}", model.recommendations);
    assert_eq!(shards[0].tests, ["3.1"]);
    assert_eq!(model.bottlenecks[0].findings, 2);
}

#[test]
fn then_and_now_is_a_plain_difference() {
    let earlier = whole().complete.and_then(|complete| complete.earlier).expect("there was one");
    let test = &earlier.tests[0];
    assert_eq!((test.then_run.as_str(), test.same_definition), (EARLIER, false));
    assert_eq!(test.put_p95_ms.difference_percent, Some(-50.0));
    assert_eq!(test.success_percent.difference_percent, Some(0.0));
}

#[test]
fn csv_has_a_row_for_every_level_and_one_for_a_test_without() {
    let model = whole();
    let text = csv(&model);
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    let levels: usize =
        model.tests.iter().filter_map(|test| test.report.as_ref()).map(|it| it.levels.len()).sum();
    assert_eq!(lines.len(), 1 + levels + 1);
    assert!(lines[0].starts_with("week,test_id,test_name,state,test_verdict,run_id,"), "{}", lines[0]);
    assert!(
        lines[1].starts_with(&format!("1,1.1,Small payload,finished,pass,{FIRST},weekly,small,100,USD,"))
    );
    assert!(
        lines
            .last()
            .is_some_and(|line| line.starts_with("3,3.2,Spike <fast & short>,not run,,,weekly,,,USD,"))
    );
}

#[test]
fn markup_from_outside_stays_text_in_every_format() {
    const PLANTED: &str = "<script>alert(1)</script>|*`";
    let planted = |evidence: &mut Evidence| {
        evidence.tests[0].name = PLANTED.into();
        evidence.tests[0].levels[1].name = PLANTED.into();
        evidence.tests[0].levels[1].void = Some(PLANTED.into());
        evidence.tests[0].levels[1].failed_by_reason.insert(PLANTED.into(), 3);
        evidence.tests[0].payload.name = PLANTED.into();
        evidence.flags[0].detail = PLANTED.into();
        evidence.run.faults = vec![PLANTED.into()];
        evidence.notes = vec![PLANTED.into()];
    };
    let mut wanted = wanted("1.1", 1, State::Finished, Some(FIRST));
    wanted.name = PLANTED.into();
    let gathered = Gathered { wanted: vec![wanted], parts: vec![part(FIRST, planted)] };
    let plan = Plan { name: PLANTED.into(), ..plan() };
    for kind in [Kind::Day, Kind::Week, Kind::Campaign] {
        let request = Request { environment: PLANTED, run_arguments: PLANTED, ..request(&plan, kind) };
        let model = build(&request, &gathered, None, vec![PLANTED.to_owned()]);
        let page = period_html(&model);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        let text = markdown(&model);
        let (all, escaped) = (text.matches("<script").count(), text.matches("\\<script").count());
        assert!(all == escaped && all > 0, "{text}");
        assert!(!junit(&model, false).contains("<script"));
    }
}

#[test]
fn the_same_runs_give_the_same_bytes() {
    for model in [day, week_three, whole] {
        assert_eq!(json(&model()), json(&model()));
        assert_eq!(period_html(&model()), period_html(&model()));
    }
}

#[test]
fn every_key_is_always_there() {
    let of = |model: &PeriodModel| {
        let mut found = std::collections::BTreeSet::new();
        keys(&serde_json::from_str(&json(model)).expect("JSON"), &mut found);
        found
    };
    let of_day = of(&day());
    for key in ["schema", "period", "observations", "issues", "bottlenecks", "next", "complete"] {
        assert!(of_day.contains(key), "{key}");
    }
}
