use std::fmt::Write as _;

use super::model::TestReport;
use super::testing::*;
use super::*;
use crate::evidence::model::{Evidence, RunEnd};

/// Longer than this nobody reads it as a summary.
const ENTRIES_MAX: usize = 11;

fn no_change_known(evidence: &mut Evidence) {
    complete(evidence);
    evidence.tests[0].levels[3].failed = 700;
    evidence.tests[0].levels[3].acked -= 700;
    evidence.tests[0].levels[3].failed_by_reason = [("service_error".to_owned(), 700)].into();
}

fn cases() -> Vec<(&'static str, ReportModel)> {
    vec![
        ("everything held", changed(complete)),
        ("several tests, failed with a finding and its change, interrupted", fixture()),
        ("failed, and the numbers tell no change", changed(no_change_known)),
        (
            "inconclusive only",
            changed(|evidence| {
                complete(evidence);
                evidence.tests[0].cloudwatch.clear();
                evidence.delivery.complete = false;
                evidence.tests[0].levels.iter_mut().for_each(|level| level.put_latency = None);
            }),
        ),
        (
            "killed",
            changed(|evidence| {
                evidence.run.end = RunEnd::Killed;
                evidence.run.ended_us = None;
            }),
        ),
        (
            "no receipts",
            changed(|evidence| {
                complete(evidence);
                unmeasured(evidence);
            }),
        ),
        (
            "every level void",
            changed(|evidence| {
                complete(evidence);
                let why = || Some("generator lag p99 31.4 ms is above 10 ms".to_owned());
                evidence.tests[0].levels.iter_mut().for_each(|level| level.void = why());
            }),
        ),
        (
            "one lost, one dead letter, one fault",
            changed(|evidence| {
                complete(evidence);
                evidence.run.faults = vec!["drop:count=1".into()];
                evidence.delivery.delivered -= 2;
                (evidence.delivery.lost, evidence.delivery.dead_lettered) = (Some(1), 1);
            }),
        ),
        ("killed before anything was measured", poor()),
        ("no test ran", changed(|evidence| evidence.tests.clear())),
        (
            "no criteria, one record",
            changed(|evidence| {
                complete(evidence);
                evidence.plan.phases[0].tests[0].criteria.clear();
                evidence.plan.criteria.clear();
                (evidence.delivery.acked, evidence.delivery.delivered) = (1, 1);
            }),
        ),
    ]
}

#[test]
fn what_a_manager_reads_first() {
    let mut told = String::new();
    for (name, model) in cases() {
        writeln!(told, "# {name}: {}", model.run.verdict).expect("a string");
        model.summary.iter().for_each(|sentence| writeln!(told, "{sentence}").expect("a string"));
        told.push('\n');
        assert!(model.summary.len() <= ENTRIES_MAX, "{name}: {:?}", model.summary);
        assert!(model.summary.iter().all(|sentence| sentence.ends_with('.')), "{:?}", model.summary);
    }
    insta::assert_snapshot!(told);
}

/// The acks of its last second go with a process that is killed; the receipts do not.
#[test]
fn more_arrivals_than_known_acks_are_explained() {
    let model = changed(|evidence| {
        (evidence.delivery.acked, evidence.delivery.delivered) = (1_129, 1_222);
        (evidence.delivery.complete, evidence.delivery.lost) = (false, None);
    });
    let expected = "1,222 were seen to arrive, more than the 1,129 acked records that are known of: the last acks were not \
                    written down. Nothing is said about losses.";
    assert!(model.summary.iter().any(|sentence| sentence == expected), "{:?}", model.summary);
}

#[test]
fn what_spoils_the_figures_is_said_before_any() {
    for (name, model) in cases() {
        let spoilt = ["The run was ", "Nothing here tells", "A fault was planted"];
        let first = model.summary[0].as_str();
        let whole = model.run.end == "completed" && model.run.faults.is_empty() && name != "every level void";
        assert_eq!(spoilt.iter().any(|begins| first.starts_with(begins)), !whole, "{name}: {first}");
    }
}

#[test]
fn many_tests_are_counted_not_listed() {
    let mut model = poor();
    let test = model.tests[2].clone();
    model.tests = (1..=12).map(|id| TestReport { id: format!("9.{id}"), ..test.clone() }).collect();
    let told = summary::sentences(&model);
    assert!(
        told[0].ends_with("The tests 9.1, 9.2, 9.3, 9.4, 9.5, 9.6 and 6 others were not begun."),
        "{}",
        told[0]
    );
}
