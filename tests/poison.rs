//! Poisoned records through the whole main job in virtual time: what the report says became of them, against what
//! the plan, the mapping's documented rules and the records themselves say must have.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use streamgauge::evidence::receipts::ReceiptLine;
use streamgauge::wire::receipt::{Receipt, RecordOutcome};
use support::{Ran, WORK, shipped, test};

/// The shipped plan's poisoned record: the middle one of the third stage, after a ramp of 50 and a hold of 400.
const POISON: u64 = 50 + 400 + 500;
const RECORDS: u64 = 50 + 400 + 1_000 + 500;
/// Waits before the four retries of the shipped plan on the local endpoint, seconds (`docs/local.md`).
const WAITS_S: f64 = 0.5 + 1.0 + 2.0 + 4.0;

fn plan(bisect: bool, partial: bool) -> String {
    let text = shipped("poison.yaml");
    let set = |text: String, key: &str, value: bool| {
        let from = format!("    {key}: false\n");
        assert!(text.contains(&from), "the shipped plan has changed: {key}");
        text.replacen(&from, &format!("    {key}: {value}\n"), 1)
    };
    set(set(text, "bisect_on_error", bisect), "partial_batch_response", partial)
}

/// Outcomes of each sequence in the order of the attempts: `P` processed, `F` failed. Of the raw receipts, without
/// the accounting.
fn outcomes(dir: &Path) -> BTreeMap<u64, String> {
    let text = std::fs::read_to_string(dir.join("receipts.jsonl")).unwrap();
    let mut receipts: Vec<Receipt> = text
        .lines()
        .map(|line| serde_json::from_str::<ReceiptLine>(line).unwrap())
        .map(|line| Receipt::from_message(&line.message).unwrap())
        .collect();
    receipts.sort_by_key(|receipt| receipt.started_us);
    let mut outcomes: BTreeMap<u64, String> = BTreeMap::new();
    for record in receipts.iter().flat_map(|receipt| &receipt.records).filter(|record| record.level != 999) {
        let letter = if record.outcome == RecordOutcome::Processed { 'P' } else { 'F' };
        outcomes.entry(record.sequence).or_default().push(letter);
    }
    outcomes
}

fn blocked(ran: &Ran) -> &Value {
    &ran.report["tests"][0]["blocked"]
}

/// What holds however the mapping is set.
fn check_common(ran: &Ran) {
    assert!(ran.truth.is_empty(), "nothing but the plan's poison was at work");
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
    let (delivery, blocked) = (&ran.report["delivery"], blocked(ran));
    assert_eq!(delivery["acked"], RECORDS, "{delivery}");
    assert_eq!((&delivery["lost"], &delivery["unconfirmed"]), (&json!(0), &json!(0)), "{delivery}");
    assert_eq!((&blocked["poisoned"], &blocked["dead_letter_ranges"]), (&json!(1), &json!(1)), "{blocked}");
    assert_eq!(blocked["blocks"].as_array().unwrap().len(), 1, "{blocked}");
    assert_eq!(blocked["blocks"][0]["poison"], json!([POISON]), "{blocked}");
    assert_eq!(delivery["dead_lettered"], blocked["dead_lettered"]);
    let outcomes = outcomes(&ran.dir);
    let delivered = outcomes.values().filter(|seen| seen.contains('P')).count() as u64;
    assert_eq!(delivery["delivered"], delivered, "{delivery}");
    assert!(!outcomes[&POISON].contains('P'));
    let finding = ran.report["findings"].as_array().unwrap().iter().find(|it| it["limit"] == "blocked shard");
    assert!(finding.is_some(), "{:#}", ran.report["findings"]);
}

fn blocked_s(ran: &Ran) -> f64 {
    blocked(ran)["blocked_s"].as_f64().unwrap()
}

fn change(ran: &Ran) -> &Value {
    let findings = ran.report["findings"].as_array().unwrap();
    &findings.iter().find(|finding| finding["limit"] == "blocked shard").unwrap()["change"]
}

/// Records that were due while the shard was blocked: a put takes no time here, so they arrived then.
fn due_s(sequence: u64) -> f64 {
    // The ramp's due times do not matter: from its end on, record k is due at 2 s + (k - 49) / 50.
    2.0 + (sequence - 49) as f64 / 50.0
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_whole_blocks_its_shard_and_takes_its_good_records_along() {
    let ran = test(&plan(false, false), &[], 1).await;
    check_common(&ran);
    let report = blocked(&ran);
    // Five attempts and the waits between them, and nothing else.
    assert_eq!(report["failed_attempts"], 5, "{report}");
    let wanted_s = WAITS_S + 5.0 * WORK.as_secs_f64();
    assert!((blocked_s(&ran) - wanted_s).abs() < 0.01, "{} {wanted_s}", blocked_s(&ran));
    // Five attempts at the same batch: its records are those that were seen five times.
    let outcomes = outcomes(&ran.dir);
    let batch: Vec<u64> = outcomes.iter().filter(|(_, seen)| seen.len() == 5).map(|(k, _)| *k).collect();
    let range = (batch[0], *batch.last().unwrap());
    assert_eq!(batch, (range.0..=range.1).collect::<Vec<_>>(), "consecutive");
    assert_eq!(report["blocks"][0]["dead_lettered_sequences"], json!([range]), "{report}");
    assert_eq!(report["dead_lettered"], batch.len() as u64);
    assert_eq!(report["good_dead_lettered"], batch.len() as u64 - 1);
    assert_eq!(report["good_never_processed"], range.1 - POISON, "those behind the poisoned one");
    assert!(outcomes.iter().all(|(k, seen)| seen == "P" || batch.contains(k)), "all others once");
    assert_eq!(ran.report["delivery"]["duplicated"]["redelivery"], 4 * (POISON - range.0));
    // Whatever became due from the batch's last record until the end of the block waited behind it.
    let waited = report["good_waited"].as_u64().unwrap() as f64;
    assert!((waited - 50.0 * blocked_s(&ran)).abs() <= 2.0, "{waited}");
    // They came evenly, so that on average they waited for half of it.
    let wait = &report["added_wait_ms"];
    assert!((wait["avg"].as_f64().unwrap() - 500.0 * wanted_s).abs() < 50.0, "{wait}");
    assert!((wait["max"].as_f64().unwrap() - 1_000.0 * wanted_s).abs() < 50.0, "{wait}");
    assert!(due_s(range.1) - due_s(range.0) <= 2.0, "a batch is what came between two polls");
    assert_eq!(change(&ran), "bisect_on_error: false -> true");
}

#[tokio::test(start_paused = true)]
async fn bisect_leaves_the_poisoned_record_alone_but_processes_others_twice() {
    let ran = test(&plan(true, false), &[], 1).await;
    check_common(&ran);
    let report = blocked(&ran);
    assert_eq!(report["blocks"][0]["dead_lettered_sequences"], json!([[POISON, POISON]]), "{report}");
    assert_eq!(
        (&report["dead_lettered"], &report["good_dead_lettered"], &report["good_never_processed"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert_eq!(ran.report["delivery"]["delivered"], RECORDS - 1);
    // Cutting costs attempts but no waits; the record alone is retried four times.
    let failed = outcomes(&ran.dir)[&POISON].len();
    assert_eq!(report["failed_attempts"], failed as u64);
    assert!((7..=12).contains(&failed), "at most 100 records are halved six or seven times: {failed}");
    assert!(blocked_s(&ran) > WAITS_S, "{report}");
    // Halves behind the record succeed within the block: 15 ms for each of at most a dozen more attempts.
    assert!(blocked_s(&ran) < WAITS_S + 24.0 * WORK.as_secs_f64(), "{report}");
    assert!(ran.report["delivery"]["duplicated"]["redelivery"].as_u64().unwrap() > 0);
    assert!(change(&ran).as_str().unwrap().contains("ReportBatchItemFailures"), "{}", change(&ran));
}

#[tokio::test(start_paused = true)]
async fn with_a_partial_response_nothing_is_processed_twice() {
    let ran = test(&plan(true, true), &[], 1).await;
    check_common(&ran);
    let report = blocked(&ran);
    assert_eq!(report["blocks"][0]["dead_lettered_sequences"], json!([[POISON, POISON]]), "{report}");
    assert_eq!(ran.report["delivery"]["delivered"], RECORDS - 1);
    assert_eq!(ran.report["delivery"]["duplicated"]["redelivery"], 0);
    assert!(outcomes(&ran.dir).iter().all(|(k, seen)| *k == POISON || seen.ends_with('P')));
    assert!(blocked_s(&ran) > WAITS_S, "{report}");
    assert_eq!(change(&ran), "retries 4 -> 1");

    let ran = test(&plan(false, true), &[], 1).await;
    check_common(&ran);
    let report = blocked(&ran);
    let wanted_s = WAITS_S + 5.0 * WORK.as_secs_f64();
    assert!((blocked_s(&ran) - wanted_s).abs() < 0.01, "{} {wanted_s}", blocked_s(&ran));
    // What stood before the record was done with the first attempt: the range begins with the record itself.
    assert_eq!(report["blocks"][0]["dead_lettered_sequences"][0][0], POISON, "{report}");
    assert_eq!(report["good_dead_lettered"], report["good_never_processed"], "{report}");
    assert_eq!(ran.report["delivery"]["duplicated"]["redelivery"], 0);
}

#[tokio::test(start_paused = true)]
async fn the_exact_poisoned_records_are_dead_lettered_on_many_shards() {
    let text = plan(true, true).replacen("shards: 1", "shards: 3", 1).replacen("poison: 1}", "poison: 4}", 1);
    let ran = test(&text, &[], 2).await;
    let (delivery, report) = (&ran.report["delivery"], blocked(&ran));
    let wanted: Vec<u64> = [125, 375, 625, 875].map(|index| 450 + index).to_vec();
    let mut dead: Vec<u64> = Vec::new();
    for block in report["blocks"].as_array().unwrap() {
        let ranges: Vec<(u64, u64)> =
            serde_json::from_value(block["dead_lettered_sequences"].clone()).unwrap();
        dead.extend(ranges.into_iter().flat_map(|(first, last)| first..=last));
    }
    dead.sort_unstable();
    assert_eq!(dead, wanted, "{report}");
    assert_eq!((&report["poisoned"], &report["dead_letter_ranges"]), (&json!(4), &json!(4)), "{report}");
    assert_eq!((&delivery["dead_lettered"], &delivery["lost"]), (&json!(4), &json!(0)), "{delivery}");
    assert_eq!(delivery["delivered"], RECORDS - 4, "{delivery}");
}
