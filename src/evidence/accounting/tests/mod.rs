//! Random pipelines with random faults against a reference model made of plain lists and sets. The files are
//! those of a run, the lookups are the real ones, through the real SDK clients.

mod evidence;
mod pipeline;
mod truth;

use std::sync::Arc;

use proptest::prelude::*;

use self::evidence::collect;
use self::pipeline::{FAULTS, Fault, Pipeline, Settings, Stored, key};
use super::*;
use crate::evidence::events::read_events;
use crate::evidence::receipts::ReceiptLine;
use crate::wire::receipt::RecordOutcome;

fn account_of(dir: &RunDir) -> Accounting {
    let events = read_events(&dir.events_jsonl(), &mut Vec::new()).expect("read");
    let sends = Sends::read(&dir.sends_jsonl(), &mut Vec::new(), |_| true).expect("read");
    let seen = seen(dir, &level_ranges(&events), &mut Vec::new()).expect("seen");
    account(dir, &events, &sends.acked, &seen, &key).expect("account")
}

fn run(settings: Settings) -> (Accounting, BTreeMap<u32, LevelDelivery>) {
    let pipeline = Arc::new(Pipeline::run(settings));
    let truth = truth::truth(&pipeline);
    let root = tempfile::tempdir().expect("tempdir");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let dir = runtime.expect("runtime").block_on(collect(pipeline, root.path()));
    (account_of(&dir), truth)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: proptest_cases(), ..ProptestConfig::default() })]

    /// Shrinks to the fewest faults and records that still go wrong. `PROPTEST_CASES` for more of them: CI has 1,000.
    #[test]
    fn equals_the_reference_model(seed in any::<u64>(), per_level in 1u64..40, faults in 0u32..1 << FAULTS) {
        let (accounting, truth) = run(Settings { seed, per_level, faults });
        prop_assert_eq!(&accounting.levels, &truth);
        prop_assert_eq!(&accounting.notes, &Vec::<String>::new());
        let whole = &accounting.delivery;
        let dead_unseen = whole.acked
            - (whole.delivered - whole.delivered_unacked) - whole.lost.unwrap_or(0) - whole.unconfirmed;
        prop_assert!(dead_unseen <= whole.dead_lettered);
        // Each acked record is settled once, however often it was delivered, unless it is missing.
        let settled: u64 = accounting.settled.values().sum();
        prop_assert_eq!(settled, whole.acked - whole.lost.unwrap_or(0) - whole.unconfirmed);
    }
}

fn proptest_cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(250)
}

const ALL: u32 = (1 << FAULTS) - 1;

fn all_but(faults: &[Fault]) -> u32 {
    faults.iter().fold(ALL, |all, fault| all & !(1 << *fault as u32))
}

#[test]
fn the_scenarios_have_something_of_everything() {
    let mut counts = [0; 8];
    let faults = all_but(&[Fault::CollectionCut, Fault::LongRun, Fault::EarlyTrim]);
    for seed in 0..40 {
        let one = run(Settings { seed, per_level: 40, faults }).0.delivery;
        let of_one = [
            one.lost.expect("complete"),
            one.unconfirmed,
            one.delivered_unacked,
            one.duplicated_producer,
            one.duplicated_redelivery,
            one.out_of_order,
            one.reordered_by_producer,
            one.dead_lettered,
        ];
        for (count, more) in counts.iter_mut().zip(of_one) {
            *count += more;
        }
    }
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}

/// What the stream may have forgotten is never called lost, what it cannot have forgotten is.
#[test]
fn in_a_run_longer_than_the_retention_only_the_last_day_can_be_lost() {
    let faults = 1 << Fault::LongRun as u32 | 1 << Fault::DropAfterAck as u32;
    let mut whole = (0, 0);
    for seed in 0..10 {
        let (accounting, truth) = run(Settings { seed, per_level: 40, faults });
        assert_eq!(accounting.levels, truth);
        // 40 records a level, three an hour: the first level is older than a day.
        assert_eq!(accounting.levels[&0].lost, Some(0));
        whole.0 += accounting.levels[&2].lost.expect("complete");
        whole.1 += accounting.levels[&0].unconfirmed;
    }
    assert!(whole.0 > 10 && whole.1 > 10, "{whole:?}");
}

#[test]
fn without_receipts_nothing_is_measured_and_nothing_is_lost() {
    let root = tempfile::tempdir().expect("tempdir");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let pipeline = Arc::new(Pipeline::run(Settings { seed: 1, per_level: 10, faults: 0 }));
    let dir = runtime.expect("runtime").block_on(collect(pipeline, root.path()));
    std::fs::remove_file(dir.receipts_jsonl()).expect("there");
    let mut events = read_events(&dir.events_jsonl(), &mut Vec::new()).expect("read");
    events.retain(|logged| matches!(logged.event, Event::LevelStarted { .. }));
    let sends = Sends::read(&dir.sends_jsonl(), &mut Vec::new(), |_| true).expect("read");
    let seen = seen(&dir, &level_ranges(&events), &mut Vec::new()).expect("no receipts");
    let accounting = account(&dir, &events, &sends.acked, &seen, &key).expect("account");
    assert!(!accounting.delivery.measured && !accounting.delivery.complete);
    assert_eq!((accounting.delivery.acked, accounting.delivery.lost), (30, None));
    assert_eq!(missing(&dir, (0, 0), Duration::from_secs(86_400)).expect("missing").sequences.len(), 30);
}

#[test]
fn a_sequence_that_no_level_planned_is_noted() {
    let settings = Settings { seed: 1, per_level: 10, faults: 0 };
    let root = tempfile::tempdir().expect("tempdir");
    let dir = RunDir::create(root.path(), &evidence::RUN.parse().expect("well formed")).expect("create");
    let strange = Stored { sequence: 1 << 60, number: 5, arrived_us: 0 };
    let records = vec![(strange, RecordOutcome::Processed)];
    let invocation = pipeline::Invocation { shard: 0, started_us: 1, records, receipt_collected: true };
    let messages = evidence::receipt(7, &invocation, settings).to_messages(10_000);
    std::fs::write(dir.receipts_jsonl(), ReceiptLine::text(0, &messages[0]) + "\n").expect("write");
    let accounting = account_of(&dir);
    assert_eq!(accounting.delivery.delivered, 0);
    assert!(accounting.notes[0].starts_with("1 records in receipts"), "{:?}", accounting.notes);
}
