//! Random scenarios against a reference model made of plain lists and sets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::evidence::append::AppendFile;
use crate::evidence::receipts::ReceiptLine;
use crate::evidence::sends::SendsLine;
use crate::load::outcome::FailReason;
use crate::wire::receipt::{Receipt, RecordOutcome, RecordSeen};

const KEYS: u64 = 5;
const LEVELS: u64 = 3;
const PER_LEVEL: u64 = 40;
const SHARDS: u64 = 2;
const RUN: &str = "20261121-013240-k3f9";

fn key(sequence: u64) -> u32 {
    // Not in step with the sequence, as real keys are.
    (sequence * 7 % 11 % KEYS) as u32
}

/// One record in the stream.
#[derive(Clone, Debug)]
struct Stored {
    sequence: u64,
    number: u64,
}

/// One batch of one shard as the function saw it.
#[derive(Clone, Debug)]
struct Seen {
    shard: u64,
    started_us: i64,
    records: Vec<(Stored, RecordOutcome)>,
    receipt_lost: bool,
}

#[derive(Clone, Debug, Default)]
struct Scenario {
    acked: BTreeSet<u64>,
    failed: BTreeSet<u64>,
    batches: Vec<Seen>,
    absent: BTreeSet<u64>,
    present: BTreeSet<u64>,
    dead: BTreeSet<u64>,
    complete: bool,
    sqs_repeats: bool,
}

/// Puts a producer, a stream and a function through their faults.
fn scenario(seed: u64) -> Scenario {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut scenario = Scenario { complete: rng.bool(), sqs_repeats: rng.bool(), ..Scenario::default() };
    let mut order: Vec<u64> = (0..LEVELS * PER_LEVEL).collect();
    for _ in 0..rng.usize(..6) {
        let at = rng.usize(..order.len() - 12);
        order.swap(at, at + rng.usize(1..12)); // Concurrent puts overtake each other.
    }
    let mut shards: Vec<Vec<Stored>> = vec![Vec::new(); SHARDS as usize];
    let mut number = 999_999_990; // Grows by a digit on the way.
    for sequence in order {
        let mut store = |sequence| {
            number += 1;
            shards[(u64::from(key(sequence)) % SHARDS) as usize].push(Stored { sequence, number });
        };
        match rng.u32(..100) {
            0..4 => drop(scenario.failed.insert(sequence)),
            4..8 => {
                scenario.failed.insert(sequence);
                store(sequence); // An answer that never came.
            }
            8..11 => drop(scenario.acked.insert(sequence)), // Forgotten after the ack.
            11..15 => {
                scenario.acked.insert(sequence);
                store(sequence);
                store(sequence); // Retried after an answer that never came.
            }
            15 => {} // Pending for ever.
            _ => {
                scenario.acked.insert(sequence);
                store(sequence);
            }
        }
    }
    for (shard, stored) in shards.iter().enumerate() {
        deliver(&mut scenario, &mut rng, shard as u64, stored);
    }
    // What the collector got is in no order.
    rng.shuffle(&mut scenario.batches);
    scenario
}

fn deliver(scenario: &mut Scenario, rng: &mut fastrand::Rng, shard: u64, stored: &[Stored]) {
    let mut started_us = rng.i64(..50);
    for batch in stored.chunks(rng.usize(1..12)) {
        let mut records: Vec<_> =
            batch.iter().map(|record| (record.clone(), RecordOutcome::Processed)).collect();
        if records.len() > 1 && rng.u32(..4) == 0 {
            let at = rng.usize(..records.len() - 1);
            records.swap(at, at + 1); // Swapped on the way.
        }
        if rng.u32(..5) == 0 {
            let at = rng.usize(..records.len());
            records[at].1 = RecordOutcome::Failed; // A batch item failure ...
        }
        let fate = rng.u32(..20);
        if fate == 0 {
            scenario.dead.extend(batch.iter().map(|record| record.sequence)); // Given up on.
            continue;
        }
        started_us += rng.i64(1..20);
        let mut seen = Seen { shard, started_us, records: records.clone(), receipt_lost: fate == 1 };
        scenario.batches.push(seen.clone());
        let failed = records.iter().any(|(_, outcome)| *outcome == RecordOutcome::Failed);
        if fate == 2 || (failed && rng.bool()) {
            started_us += rng.i64(1..20);
            seen.started_us = started_us; // ... and delivered again.
            seen.receipt_lost = false;
            for record in &mut seen.records {
                record.1 = RecordOutcome::Processed;
            }
            scenario.batches.push(seen);
        }
    }
}

/// Looks the missing records up, as `confirm` does; some of them are never looked up.
fn confirm(scenario: &mut Scenario, rng: &mut fastrand::Rng) {
    let seen = sightings(scenario).iter().map(|sighting| sighting.sequence).collect::<BTreeSet<_>>();
    let stored: BTreeSet<u64> = scenario
        .batches
        .iter()
        .flat_map(|batch| batch.records.iter().map(|(record, _)| record.sequence))
        .collect();
    for sequence in &scenario.acked {
        if !seen.contains(sequence) && rng.u32(..4) > 0 {
            let found = stored.contains(sequence) || scenario.dead.contains(sequence);
            let set = if found { &mut scenario.present } else { &mut scenario.absent };
            set.insert(*sequence);
        }
    }
}

/// Every delivery that a receipt tells of, by shard and start.
fn sightings(scenario: &Scenario) -> Vec<Stored> {
    let mut batches: Vec<&Seen> = scenario.batches.iter().filter(|batch| !batch.receipt_lost).collect();
    batches.sort_by_key(|batch| (batch.shard, batch.started_us));
    batches
        .iter()
        .flat_map(|batch| &batch.records)
        .filter(|(_, outcome)| *outcome == RecordOutcome::Processed)
        .map(|(record, _)| record.clone())
        .collect()
}

fn reference(scenario: &Scenario) -> BTreeMap<u32, LevelDelivery> {
    let mut levels: BTreeMap<u32, LevelDelivery> = BTreeMap::new();
    let level = |sequence: u64| (sequence / PER_LEVEL) as u32;
    for index in 0..LEVELS as u32 {
        let lost = scenario.complete.then_some(0);
        levels.insert(index, LevelDelivery { lost, ..LevelDelivery::default() });
    }
    let all = sightings(scenario);
    let seen: BTreeSet<u64> = all.iter().map(|sighting| sighting.sequence).collect();
    for (at, sighting) in all.iter().enumerate() {
        let counts = levels.get_mut(&level(sighting.sequence)).expect("a level");
        let before = &all[..at];
        if before.iter().any(|earlier| earlier.number == sighting.number) {
            counts.duplicated_redelivery += 1;
            continue;
        }
        let second_put = before.iter().any(|earlier| earlier.sequence == sighting.sequence);
        counts.duplicated_producer += u64::from(second_put);
        let of_key = || before.iter().filter(|earlier| key(earlier.sequence) == key(sighting.sequence));
        if of_key().any(|earlier| earlier.number > sighting.number) {
            counts.out_of_order += 1;
        } else if !second_put && of_key().any(|earlier| earlier.sequence > sighting.sequence) {
            counts.reordered_by_producer += 1;
        }
    }
    for sequence in &seen {
        let counts = levels.get_mut(&level(*sequence)).expect("a level");
        counts.delivered += 1;
        counts.delivered_unacked += u64::from(!scenario.acked.contains(sequence));
    }
    for sequence in &scenario.dead {
        levels.get_mut(&level(*sequence)).expect("a level").dead_lettered += 1;
    }
    for sequence in &scenario.acked {
        let counts = levels.get_mut(&level(*sequence)).expect("a level");
        counts.acked += 1;
        if seen.contains(sequence) || scenario.dead.contains(sequence) {
            continue;
        }
        match &mut counts.lost {
            Some(lost) if scenario.absent.contains(sequence) => *lost += 1,
            _ => counts.unconfirmed += 1,
        }
    }
    levels
}

fn ranges(set: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    set.iter().map(|sequence| (*sequence, *sequence)).collect()
}

/// Writes the scenario as a run's files.
fn write(scenario: &Scenario, root: &std::path::Path) -> (RunDir, Vec<Logged>) {
    let dir = RunDir::create(root, &RUN.parse().expect("well formed")).expect("create");
    let log = dir.event_log().expect("open");
    for level in 0..LEVELS {
        let started = Event::LevelStarted {
            level: level as u32,
            starts_us: 0,
            from_rps: 1.0,
            target_rps: 1.0,
            duration_s: 1.0,
            first_sequence: level * PER_LEVEL,
            count: PER_LEVEL,
        };
        log.append(0, &started).expect("append");
    }
    let all: BTreeSet<u64> = (0..LEVELS * PER_LEVEL).collect();
    let pending = &(&all - &scenario.acked) - &scenario.failed;
    let mut sends = AppendFile::open(&dir.sends_jsonl()).expect("open");
    let line = SendsLine {
        v: 1,
        highest: Some(LEVELS * PER_LEVEL - 1),
        failed: scenario.failed.iter().map(|one| (*one, *one, FailReason::UnknownOutcome)).collect(),
        pending: ranges(&pending),
        ..SendsLine::default()
    };
    sends.line(&serde_json::to_string(&line).expect("json"));
    sends.sync().expect("sync");

    let mut receipts = AppendFile::open(&dir.receipts_jsonl()).expect("open");
    for (index, batch) in scenario.batches.iter().enumerate().filter(|(_, batch)| !batch.receipt_lost) {
        // A small limit: the larger batches come in parts.
        let messages = receipt(index as u128, batch).to_messages(600);
        for message in &messages {
            receipts.line(&ReceiptLine::text(0, message));
            if scenario.sqs_repeats {
                receipts.line(&ReceiptLine::text(1, message));
            }
        }
    }
    receipts.sync().expect("sync");
    log.append(0, &Event::CollectionEnded { complete: scenario.complete, unreadable: 0 }).expect("append");
    log.append(0, &Event::DeadLettered { ranges: ranges(&scenario.dead), batches: Vec::new() })
        .expect("append");
    let (absent, present) = (ranges(&scenario.absent), ranges(&scenario.present));
    log.append(0, &Event::Confirmed { absent, present, incomplete: None }).expect("append");
    log.sync().expect("sync");
    let events = crate::evidence::events::read_events(&dir.events_jsonl(), &mut Vec::new());
    (dir, events.expect("read"))
}

fn receipt(id: u128, batch: &Seen) -> Receipt {
    let records = batch.records.iter().map(|(record, outcome)| RecordSeen {
        level: (record.sequence / PER_LEVEL) as u32,
        sequence: record.sequence,
        kinesis_sequence: record.number.to_string(),
        outcome: *outcome,
    });
    Receipt {
        id: format!("{id:032x}"),
        part: 0,
        parts: 1,
        run: RUN.parse().expect("well formed"),
        request_id: String::new(),
        stream: "s".into(),
        shard: format!("shardId-{:012}", batch.shard),
        started_us: batch.started_us,
        duration_us: 1,
        cold_start: false,
        memory_used_mb: 1,
        memory_limit_mb: 1,
        arrival_ms: (0, 0),
        sink_errors: 0,
        records: records.collect(),
        levels: Vec::new(),
        arrivals: Vec::new(),
    }
}

fn account_of(scenario: &Scenario) -> Accounting {
    let root = tempfile::tempdir().expect("tempdir");
    let (dir, events) = write(scenario, root.path());
    let sends = Sends::read(&dir.sends_jsonl(), &mut Vec::new()).expect("read");
    account(&dir, &events, &sends.acked, &key).expect("account")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn equals_the_reference_model(seed: u64) {
        let mut scenario = scenario(seed);
        confirm(&mut scenario, &mut fastrand::Rng::with_seed(seed ^ 1));
        let accounting = account_of(&scenario);
        prop_assert_eq!(&accounting.levels, &reference(&scenario));
        prop_assert_eq!(&accounting.notes, &Vec::<String>::new());
        let whole = &accounting.delivery;
        let dead_unseen = whole.acked
            - (whole.delivered - whole.delivered_unacked) - whole.lost.unwrap_or(0) - whole.unconfirmed;
        prop_assert!(dead_unseen <= whole.dead_lettered);
    }
}

#[test]
fn the_scenarios_have_something_of_everything() {
    let mut whole = Delivery::default();
    for seed in 0..50 {
        let mut scenario = scenario(seed);
        confirm(&mut scenario, &mut fastrand::Rng::with_seed(seed));
        let one = account_of(&scenario).delivery;
        whole.lost = Some(whole.lost.unwrap_or(0) + one.lost.unwrap_or(0));
        whole.unconfirmed += one.unconfirmed;
        whole.delivered_unacked += one.delivered_unacked;
        whole.duplicated_producer += one.duplicated_producer;
        whole.duplicated_redelivery += one.duplicated_redelivery;
        whole.out_of_order += one.out_of_order;
        whole.reordered_by_producer += one.reordered_by_producer;
        whole.dead_lettered += one.dead_lettered;
    }
    let counts = [
        whole.lost.unwrap_or(0),
        whole.unconfirmed,
        whole.delivered_unacked,
        whole.duplicated_producer,
        whole.duplicated_redelivery,
        whole.out_of_order,
        whole.reordered_by_producer,
        whole.dead_lettered,
    ];
    assert!(counts.iter().all(|count| *count > 20), "{whole:?}");
}

#[test]
fn without_receipts_nothing_is_measured_and_nothing_is_lost() {
    let scenario = Scenario { acked: (0..10).collect(), ..Scenario::default() };
    let root = tempfile::tempdir().expect("tempdir");
    let (dir, mut events) = write(&scenario, root.path());
    events.retain(|logged| matches!(logged.event, Event::LevelStarted { .. }));
    std::fs::remove_file(dir.receipts_jsonl()).expect("there");
    let sends = Sends::read(&dir.sends_jsonl(), &mut Vec::new()).expect("read");
    let accounting = account(&dir, &events, &sends.acked, &key).expect("account");
    assert!(!accounting.delivery.measured && !accounting.delivery.complete);
    assert_eq!((accounting.delivery.acked, accounting.delivery.lost), (10, None));
    assert_eq!(missing(&dir).expect("missing").len(), 10);
}

#[test]
fn a_sequence_that_no_level_planned_is_noted() {
    let strange = Stored { sequence: 1 << 60, number: 5 };
    let scenario = Scenario {
        batches: vec![Seen {
            shard: 0,
            started_us: 1,
            records: vec![(strange, RecordOutcome::Processed)],
            receipt_lost: false,
        }],
        ..Scenario::default()
    };
    let accounting = account_of(&scenario);
    assert_eq!(accounting.delivery.delivered, 0);
    assert!(accounting.notes[0].starts_with("1 records in receipts"), "{:?}", accounting.notes);
}
