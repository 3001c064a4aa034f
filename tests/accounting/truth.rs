//! What the report must say, from what was heard between the parts and what the faults did, by comparing
//! everything with everything.

use std::collections::{BTreeMap, BTreeSet};

use streamgauge::load::keys::KeyPicker;
use streamgauge::local::faults::CrashPoint;
use streamgauge::wire::envelope::PROBE_LEVEL;
use streamgauge::wire::receipt::Receipt;

use super::pipeline::Ran;

struct Sighting {
    sequence: u64,
    /// Kinesis sequence numbers of the local stream have 56 digits each: their text is in their order.
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
    let missing: BTreeSet<u64> = ran.heard.acked.difference(&seen).copied().collect();
    // The function had it, but the receipt is gone: it is still in the stream, so nobody may call it lost.
    let unconfirmed = missing.intersection(&ran.heard.handled).count() as u64;
    let lost: BTreeSet<u64> = missing.difference(&ran.heard.handled).copied().collect();
    assert!(lost.is_subset(&dropped), "seed {}: gone without a fault: {lost:?}, {dropped:?}", ran.seed);
    let mut figures = by_comparison(&sightings);
    figures.extend([
        ("acked", ran.heard.acked.len() as u64),
        ("delivered", seen.len() as u64),
        ("lost", lost.len() as u64),
        ("unconfirmed", unconfirmed),
        ("delivered_unacked", seen.difference(&ran.heard.acked).count() as u64),
        ("dead_lettered", 0),
    ]);
    figures
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
    let keys = KeyPicker::new(&ran.keys);
    receipts
        .iter()
        .flat_map(|receipt| &receipt.records)
        .filter(|record| record.level != PROBE_LEVEL)
        .map(|record| Sighting {
            sequence: record.sequence,
            number: record.kinesis_sequence.clone(),
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
