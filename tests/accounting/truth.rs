//! What the report must say, from what was heard between the parts and what the faults did, by comparing
//! everything with everything.

use std::collections::{BTreeMap, BTreeSet};

use streamgauge::load::keys::KeyPicker;
use streamgauge::local::faults::CrashPoint;
use streamgauge::wire::envelope::PROBE_LEVEL;
use streamgauge::wire::receipt::{Receipt, RecordOutcome};

use super::scenario::Ran;
use super::taps::Handed;

struct Sighting {
    sequence: u64,
    number: String,
    key: u32,
}

pub fn delivery(ran: &Ran) -> BTreeMap<&'static str, u64> {
    let sightings = sightings(ran);
    let seen: BTreeSet<u64> = sightings.iter().map(|sighting| sighting.sequence).collect();
    let dropped: BTreeSet<u64> = ran
        .faults
        .iter()
        .filter_map(|event| {
            event.record.as_ref().filter(|record| record.level != Some(PROBE_LEVEL))?.sequence
        })
        .collect();
    let dead = dead_lettered(ran);
    let handled: BTreeSet<u64> = handed(ran).map(|record| record.sequence).collect();
    let missing: BTreeSet<u64> = &(&ran.heard.acked - &seen) - &dead;
    // The function had it, but the receipt is gone: it is still in the stream, so nobody may call it lost.
    let unconfirmed = missing.intersection(&handled).count() as u64;
    let lost: BTreeSet<u64> = missing.difference(&handled).copied().collect();
    assert!(lost.is_subset(&dropped), "seed {}: gone without a fault: {lost:?}, {dropped:?}", ran.seed);
    let poisoned: BTreeSet<u64> =
        handed(ran).filter(|record| record.poison).map(|record| record.sequence).collect();
    assert!(poisoned.is_disjoint(&seen), "seed {}: a poisoned record was processed", ran.seed);
    assert!(poisoned.is_subset(&dead), "seed {}: poison that never left: {poisoned:?}, {dead:?}", ran.seed);
    let mut figures = by_comparison(&sightings);
    figures.extend([
        ("acked", ran.heard.acked.len() as u64),
        ("delivered", seen.len() as u64),
        ("lost", lost.len() as u64),
        ("unconfirmed", unconfirmed),
        ("delivered_unacked", seen.difference(&ran.heard.acked).count() as u64),
        ("dead_lettered", dead.len() as u64),
    ]);
    figures
}

fn handed(ran: &Ran) -> impl Iterator<Item = &Handed> + Clone {
    ran.heard.batches.values().flatten()
}

/// Sequences that the on-failure messages name. A message names a batch by its first and last number. With one
/// lane a shard that is the batch, record for record, as its last invocation got it; with more of them, records
/// of other lanes stand between, and nobody who reads the message can tell them apart.
fn dead_lettered(ran: &Ran) -> BTreeSet<u64> {
    let lanes = ran.plan.environment.function.parallelization;
    let mut dead = BTreeSet::new();
    for message in &ran.heard.dead_letters {
        let named = |member: &str| message["KinesisBatchInfo"][member].as_str().unwrap();
        let (first, last) = (named("startSequenceNumber"), named("endSequenceNumber"));
        let in_range = |record: &&Handed| (first..=last).contains(&record.number.as_str());
        let last_invoked = &ran.heard.batches[message["requestContext"]["requestId"].as_str().unwrap()];
        let batch: BTreeSet<&str> =
            last_invoked.iter().filter(in_range).map(|record| record.number.as_str()).collect();
        let of_shard = handed(ran).filter(|record| record.shard == named("shardId")).filter(in_range);
        let range: BTreeSet<&str> = of_shard.clone().map(|record| record.number.as_str()).collect();
        assert_eq!(message["KinesisBatchInfo"]["batchSize"], batch.len(), "seed {}: {message}", ran.seed);
        assert!(batch.is_subset(&range) && (lanes > 1 || batch == range), "seed {}: {message}", ran.seed);
        dead.extend(of_shard.map(|record| record.sequence));
    }
    dead
}

/// Records of the receipts that took effect, in the order of the invocations' start.
fn sightings(ran: &Ran) -> Vec<Sighting> {
    let without_effect: BTreeSet<&str> = ran
        .faults
        .iter()
        .filter(|event| event.kind == "lost-receipt" || event.at == Some(CrashPoint::Work))
        .filter_map(|event| event.receipt.as_ref().map(|receipt| receipt.id.as_str()))
        .collect();
    let effective = |receipt: &&Receipt| !without_effect.contains(receipt.id.as_str());
    let mut receipts: Vec<&Receipt> = ran.heard.receipts.iter().filter(effective).collect();
    receipts.sort_by_key(|receipt| receipt.started_us);
    let keys = KeyPicker::new(&ran.plan.tests().next().unwrap().keys);
    receipts
        .iter()
        .flat_map(|receipt| &receipt.records)
        .filter(|record| record.level != PROBE_LEVEL && record.outcome == RecordOutcome::Processed)
        .map(|record| Sighting {
            sequence: record.sequence,
            number: record.kinesis_sequence.to_string(),
            key: keys.index(record.sequence),
        })
        .collect()
}

fn by_comparison(sightings: &[Sighting]) -> BTreeMap<&'static str, u64> {
    let (mut producer, mut redelivery, mut out_of_order, mut by_producer) = (0, 0, 0, 0);
    for (at, sighting) in sightings.iter().enumerate() {
        let before = &sightings[..at];
        if before.iter().any(|earlier| earlier.number == sighting.number) {
            redelivery += 1;
            continue;
        }
        let second_put = before.iter().any(|earlier| earlier.sequence == sighting.sequence);
        producer += u64::from(second_put);
        let of_key = || before.iter().filter(|earlier| earlier.key == sighting.key);
        if of_key().any(|earlier| earlier.number > sighting.number) {
            out_of_order += 1;
        } else if !second_put && of_key().any(|earlier| earlier.sequence > sighting.sequence) {
            by_producer += 1;
        }
    }
    BTreeMap::from([
        ("duplicated.producer", producer),
        ("duplicated.redelivery", redelivery),
        ("out_of_order", out_of_order),
        ("reordered_by_producer", by_producer),
    ])
}
