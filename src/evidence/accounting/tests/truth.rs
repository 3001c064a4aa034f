//! What the account must say of a [`Pipeline`], computed from what happened, in plain sets and by comparing
//! everything with everything.

use std::collections::{BTreeMap, BTreeSet};

use super::pipeline::{Fault, LEVELS, Pipeline, RETENTION_US, START_US, Stored, key};
use crate::evidence::model::LevelDelivery;
use crate::wire::receipt::RecordOutcome;

/// What the reader of the stream allows for between its clock and the service's.
const CLOCK_MARGIN_US: i64 = 60_000_000;

pub fn truth(pipeline: &Pipeline) -> BTreeMap<u32, LevelDelivery> {
    let settings = pipeline.settings;
    let complete = !settings.has(Fault::CollectionCut);
    let empty = LevelDelivery { lost: complete.then_some(0), ..LevelDelivery::default() };
    let mut levels: BTreeMap<u32, LevelDelivery> =
        (0..LEVELS as u32).map(|level| (level, empty.clone())).collect();
    let sightings = sightings(pipeline);
    sequence_by_sequence(pipeline, &sightings, &mut levels);
    sighting_by_sighting(pipeline, &sightings, &mut levels);
    levels
}

/// Every delivery that a receipt tells of, in the order of the invocations' start.
fn sightings(pipeline: &Pipeline) -> Vec<Stored> {
    let mut told: Vec<_> =
        pipeline.invocations.iter().filter(|invocation| invocation.receipt_collected).collect();
    told.sort_by_key(|invocation| invocation.started_us);
    told.iter()
        .flat_map(|invocation| &invocation.records)
        .filter(|(_, outcome)| *outcome == RecordOutcome::Processed)
        .map(|(record, _)| record.clone())
        .collect()
}

fn sequence_by_sequence(
    pipeline: &Pipeline,
    sightings: &[Stored],
    levels: &mut BTreeMap<u32, LevelDelivery>,
) {
    let readable = |sequence: u64| {
        (0..3).any(|shard| pipeline.readable(shard).iter().any(|record| record.sequence == sequence))
    };
    let seen: BTreeSet<u64> = sightings.iter().map(|record| record.sequence).collect();
    let dead = dead_lettered(pipeline);
    let doubtful = doubtful(pipeline);
    for sequence in 0..pipeline.settings.records() {
        let counts = levels.get_mut(&pipeline.settings.level(sequence)).expect("a level");
        let (acked, seen) = (pipeline.acked.contains(&sequence), seen.contains(&sequence));
        counts.acked += u64::from(acked);
        counts.delivered += u64::from(seen);
        counts.delivered_unacked += u64::from(seen && !acked);
        counts.dead_lettered += u64::from(dead.contains(&sequence));
        if acked && !seen && !dead.contains(&sequence) {
            match &mut counts.lost {
                Some(lost) if !readable(sequence) && !doubtful(sequence) => *lost += 1,
                _ => counts.unconfirmed += 1,
            }
        }
    }
}

/// Records of the batches that were given up, as far as the stream still knows whose they were.
fn dead_lettered(pipeline: &Pipeline) -> BTreeSet<u64> {
    let named = |(shard, first, last): &(usize, u64, u64)| {
        let numbers = *first..=*last;
        pipeline.readable(*shard).iter().filter(move |record| numbers.contains(&record.number))
    };
    pipeline.given_up.iter().flat_map(named).map(|record| record.sequence).collect()
}

/// Which records the stream may have forgotten: those due before the oldest arrival that it surely still has.
/// There is a line in `sends.jsonl` for each record, so that it is known up to one record.
fn doubtful(pipeline: &Pipeline) -> impl Fn(u64) -> bool {
    let settings = pipeline.settings;
    let mut before_us = settings.ends_us() - RETENTION_US;
    for shard in 0..3 {
        let (trimmed, readable) =
            (&pipeline.shards[shard][..pipeline.trimmed[shard]], pipeline.readable(shard));
        if trimmed.iter().any(|record| pipeline.is_told_of(shard, record.number)) {
            // The clock stands still while the model's stream is read, but for the waits between reads.
            before_us = before_us.max(readable.first().map_or(i64::MAX / 2, |record| record.arrived_us));
        }
    }
    let before_us = before_us + CLOCK_MARGIN_US;
    move |sequence| {
        let earlier_line = sequence.checked_sub(1).is_some_and(|before| settings.due_us(before) >= before_us);
        before_us >= START_US && !earlier_line
    }
}

fn sighting_by_sighting(
    pipeline: &Pipeline,
    sightings: &[Stored],
    levels: &mut BTreeMap<u32, LevelDelivery>,
) {
    for (at, sighting) in sightings.iter().enumerate() {
        let counts = levels.get_mut(&pipeline.settings.level(sighting.sequence)).expect("a level");
        let before = &sightings[..at];
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
}
