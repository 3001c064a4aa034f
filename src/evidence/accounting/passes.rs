//! The two readings of the receipts: the first marks what was seen and finds what was seen more than once,
//! the second walks the receipts in the order of their start and looks at those sightings one by one.

use std::collections::{BTreeMap, HashMap};

use super::order::{KeyOrder, KinesisNumber};
use super::{KeyOf, LevelRange, range_of};
use crate::evidence::error::EvidenceError;
use crate::evidence::receipts::{Found, ReceiptsAt, each_receipt};
use crate::evidence::rundir::RunDir;
use crate::evidence::sequences::SequenceSet;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{Receipt, RecordOutcome, RecordSeen};

#[derive(Default)]
pub(super) struct First {
    pub seen: SequenceSet,
    /// Sequences with more than one sighting.
    again: SequenceSet,
    /// Receipts of each shard, in the order of reading.
    shards: BTreeMap<(String, String), Vec<Entry>>,
    pub receipts: u64,
    /// Records whose sequence no level planned.
    pub unplanned: u64,
}

/// Where a receipt stands in the file and in time. Ordered by start; receipts that started in the same
/// microsecond (virtual time has such) by their first record, then by part.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    started_us: i64,
    first_number: KinesisNumber,
    part: u32,
    offset: u64,
}

fn sightings(receipt: &Receipt) -> impl Iterator<Item = &RecordSeen> {
    receipt
        .records
        .iter()
        .filter(|record| record.outcome == RecordOutcome::Processed && record.level != PROBE_LEVEL)
}

pub(super) fn first(
    dir: &RunDir,
    ranges: &[LevelRange],
    notes: &mut Vec<String>,
) -> Result<First, EvidenceError> {
    let mut first = First::default();
    each_receipt(&dir.receipts_jsonl(), false, notes, |Found { offset, receipt, .. }| {
        first.receipts += 1;
        let mut first_number = None;
        for record in sightings(&receipt) {
            if range_of(ranges, record.sequence).is_none() {
                first.unplanned += 1;
                continue;
            }
            if !first.seen.insert(record.sequence) {
                first.again.insert(record.sequence);
            }
            first_number.get_or_insert_with(|| KinesisNumber::new(&record.kinesis_sequence));
        }
        if let Some(first_number) = first_number {
            let entry = Entry { started_us: receipt.started_us, first_number, part: receipt.part, offset };
            first.shards.entry((receipt.stream, receipt.shard)).or_default().push(entry);
        }
    })?;
    for entries in first.shards.values_mut() {
        entries.sort_unstable();
    }
    Ok(first)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub duplicated_producer: u64,
    pub duplicated_redelivery: u64,
    pub out_of_order: u64,
    pub reordered_by_producer: u64,
}

/// Counts for each of `ranges`.
pub(super) fn second(
    dir: &RunDir,
    ranges: &[LevelRange],
    first: &First,
    key_of: KeyOf<'_>,
) -> Result<Vec<Counts>, EvidenceError> {
    let mut counts = vec![Counts::default(); ranges.len()];
    if first.shards.is_empty() {
        return Ok(counts);
    }
    let mut receipts = ReceiptsAt::open(&dir.receipts_jsonl())?;
    // Over all shards: after a reshard a second put may land elsewhere.
    let mut numbers: HashMap<u64, Vec<KinesisNumber>> = HashMap::new();
    for entries in first.shards.values() {
        let mut keys: HashMap<u32, KeyOrder> = HashMap::new();
        for entry in entries {
            let receipt = receipts.read(entry.offset)?;
            for record in sightings(&receipt) {
                let Some(range) = range_of(ranges, record.sequence) else { continue };
                let number = KinesisNumber::new(&record.kinesis_sequence);
                let mut first_of_sequence = true;
                if first.again.contains(record.sequence) {
                    let known = numbers.entry(record.sequence).or_default();
                    if known.contains(&number) {
                        counts[range].duplicated_redelivery += 1;
                        continue;
                    }
                    first_of_sequence = known.is_empty();
                    counts[range].duplicated_producer += u64::from(!first_of_sequence);
                    known.push(number.clone());
                }
                let order = keys.entry(key_of(record.sequence)).or_default();
                let sighting = order.see(number, record.sequence, first_of_sequence);
                counts[range].out_of_order += u64::from(sighting.out_of_order);
                counts[range].reordered_by_producer += u64::from(sighting.reordered_by_producer);
            }
        }
    }
    Ok(counts)
}
