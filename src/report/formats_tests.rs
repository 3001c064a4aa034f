//! Every format of one rich report and of one poor one; and what readers that others wrote make of them.

use std::collections::BTreeSet;

use super::model::{LevelReport, TestReport};
use super::testing::*;
use super::*;
use crate::verdict::Verdict;

/// A line for each element, so that a change shows as a few lines.
fn by_element(page: &str) -> String {
    page.replace("><", ">\n<")
}

macro_rules! every_format {
    ($($name:ident: $model:expr;)*) => { $(
        #[test]
        fn $name() {
            let model = $model;
            insta::assert_snapshot!(concat!(stringify!($name), "_terminal"), terminal(&model, 120, false));
            insta::assert_snapshot!(concat!(stringify!($name), "_markdown"), markdown(&model));
            insta::assert_snapshot!(concat!(stringify!($name), "_short"), short(&model));
            insta::assert_snapshot!(concat!(stringify!($name), "_html"), by_element(&html(&model)));
            insta::assert_snapshot!(concat!(stringify!($name), "_json"), json(&model));
            insta::assert_snapshot!(concat!(stringify!($name), "_csv"), csv(&model).replace("\r\n", "\n"));
            insta::assert_snapshot!(concat!(stringify!($name), "_junit"), junit(&model, false));
        }
    )* };
}

every_format! {
    rich_report: rich();
    poor_report: poor();
}

fn reports() -> Vec<ReportModel> {
    let no_tests = changed(|evidence| evidence.tests.clear());
    vec![fixture(), rich(), poor(), changed(complete), changed(unmeasured), changed(poisoned), no_tests]
}

#[test]
fn a_reader_of_csv_finds_every_level_with_its_figures() {
    for model in reports() {
        let text = csv(&model);
        assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
        assert_eq!(header.iter().collect::<BTreeSet<_>>().len(), header.len(), "a name occurs twice");
        let at = |name: &str| header.iter().position(|each| each == name).expect("a column");
        // The reader refuses rows of another length than the header's.
        let rows: Vec<::csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
        let levels: Vec<(&TestReport, &LevelReport)> =
            model.tests.iter().flat_map(|test| test.levels.iter().map(move |level| (test, level))).collect();
        assert_eq!(rows.len(), levels.len());
        for (row, (test, level)) in rows.iter().zip(levels) {
            assert_eq!((&row[at("test_id")], &row[at("level")]), (test.id.as_str(), level.name.as_str()));
            assert_eq!(row[at("acked")], level.acked.expect("counted").to_string());
            let number = |name: &str| row[at(name)].parse::<f64>().ok();
            assert_eq!(number("put_latency_ms_p95"), level.put_latency_ms.map(|put| put.p95));
            assert_eq!(number("stages_ms_sink_max"), level.stages_ms.sink.map(|sink| sink.max));
            let lost = level.delivery.as_ref().and_then(|delivery| delivery.lost);
            assert_eq!(number("delivery_lost"), lost.map(|lost| lost as f64));
            assert_eq!(
                row[at("cost_per_million")],
                level.cost_per_million.map_or(String::new(), |c| c.0.to_string())
            );
        }
    }
}

#[test]
fn a_csv_number_is_plain_whatever_its_size() {
    let mut model = changed(complete);
    let level = &mut model.tests[0].levels[1];
    (level.achieved_rps, level.acked, level.duration_s) = (Some(1e21), Some(u64::MAX), 0.001);
    let text = csv(&model);
    for plain in [",1000000000000000000000,", ",18446744073709551615,", ",0.001,"] {
        assert!(text.contains(plain), "{plain}: {text}");
    }
}

#[test]
fn junit_is_well_formed_and_counts_what_it_holds() {
    for (model, allowed) in reports().into_iter().flat_map(|model| [(model.clone(), false), (model, true)]) {
        let text = junit(&model, allowed);
        let document = roxmltree::Document::parse(&text).expect("well-formed");
        let root = document.root_element();
        let suites: Vec<roxmltree::Node> = root.children().filter(roxmltree::Node::is_element).collect();
        let number = |node: &roxmltree::Node, name: &str| {
            node.attribute(name).expect("an attribute").parse::<usize>().expect("a count")
        };
        let names: BTreeSet<_> =
            suites.iter().map(|suite| suite.attribute("name").expect("a name")).collect();
        assert_eq!(names.len(), suites.len(), "a suite occurs twice");
        for suite in &suites {
            let cases: Vec<_> = suite.children().filter(|node| node.has_tag_name("testcase")).collect();
            let holding =
                |tag| cases.iter().filter(|c| c.children().any(|node| node.has_tag_name(tag))).count();
            assert_eq!(number(suite, "tests"), cases.len());
            assert_eq!(number(suite, "failures"), holding("failure"));
            assert_eq!(number(suite, "skipped"), holding("skipped"));
            let names: BTreeSet<_> = cases.iter().map(|case| case.attribute("name")).collect();
            assert_eq!(names.len(), cases.len(), "a case occurs twice");
        }
        let sum = |name| suites.iter().map(|suite| number(suite, name)).sum::<usize>();
        assert_eq!((number(&root, "tests"), number(&root, "failures")), (sum("tests"), sum("failures")));
        // A CI is green exactly where the report lets it be.
        let green =
            model.run.verdict == Verdict::Pass || allowed && model.run.verdict == Verdict::Inconclusive;
        assert_eq!(sum("failures") == 0, green, "{}: {text}", model.run.verdict);
    }
}

#[test]
fn junit_tells_criteria_of_one_text_apart() {
    let mut model = changed(complete);
    let again = model.tests[0].criteria[0].clone();
    model.tests[0].criteria.push(again);
    let text = junit(&model, false);
    assert!(text.contains("name=\"success_rate &gt; 99%\"/>"), "{text}");
    assert!(text.contains("name=\"success_rate &gt; 99% (2)\"/>"), "{text}");
}

#[test]
fn junit_passes_the_inconclusive_over_where_that_is_allowed() {
    let text = junit(&fixture(), true);
    // 9 criteria and the ends of three tests and of the run; two ends and three criteria are open.
    assert!(text.contains("tests=\"13\" failures=\"1\" errors=\"0\""), "{text}");
    assert_eq!(text.matches("<skipped ").count(), 5);
    assert!(!text.contains("type=\"inconclusive\""));
    assert!(junit(&fixture(), false).contains("tests=\"13\" failures=\"6\""));
}
