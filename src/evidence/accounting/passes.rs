//! The two readings of the receipts: the first marks what was seen and finds what was seen more than once,
//! the second walks the receipts in the order of their start and looks at those sightings one by one.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::order::KeyOrder;
use super::{KeyOf, LevelRange, range_of};
use crate::evidence::error::EvidenceError;
use crate::evidence::kinesis_number::KinesisNumber;
use crate::evidence::receipts::{ReceiptIndex, ReceiptsAt};
use crate::evidence::rundir::RunDir;
use crate::evidence::sequences::SequenceSet;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{Receipt, RecordOutcome, RecordSeen};

/// What the first reading of the receipts found.
#[derive(Default)]
pub struct Seen {
    pub(super) seen: SequenceSet,
    /// Sequences that may have more than one sighting: all that have, and those of repeated messages.
    again: SequenceSet,
    pub index: ReceiptIndex,
    /// The lowest number of each shard that a receipt tells of, whatever became of the record: it was in
    /// the stream.
    pub(super) lowest: BTreeMap<String, KinesisNumber>,
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
) -> Result<Seen, EvidenceError> {
    let mut first = Seen::default();
    let (mut seen, mut again, mut lowest) = (SequenceSet::new(), SequenceSet::new(), BTreeMap::new());
    first.index = ReceiptIndex::read(&dir.receipts_jsonl(), notes, |receipt| {
        for record in sightings(receipt).filter(|record| range_of(ranges, record.sequence).is_some()) {
            if !seen.insert(record.sequence) {
                again.insert(record.sequence);
            }
        }
        note_lowest(&mut lowest, receipt);
    })?;
    Ok(Seen { seen, again, lowest, ..first })
}

fn note_lowest(lowest: &mut BTreeMap<String, KinesisNumber>, receipt: &Receipt) {
    // Of numbers without leading zeros the one with fewer digits is lower.
    let digits = receipt.records.iter().map(|record| &record.kinesis_sequence);
    let Some(lowest_here) = digits.min_by_key(|number| (number.digits().len(), number.digits())) else {
        return;
    };
    let number = KinesisNumber::of(lowest_here);
    match lowest.get_mut(&receipt.shard) {
        Some(known) if *known <= number => {}
        Some(known) => *known = number,
        None => drop(lowest.insert(receipt.shard.clone(), number)),
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub duplicated_producer: u64,
    pub duplicated_redelivery: u64,
    pub out_of_order: u64,
    pub reordered_by_producer: u64,
}

#[derive(Default)]
pub(super) struct Second {
    /// For each of the ranges.
    pub counts: Vec<Counts>,
    /// Records whose sequence no level planned.
    pub unplanned: u64,
    /// Acked records by the second, since the epoch, in which the first invocation started that processed them.
    pub settled: BTreeMap<i64, u64>,
}

/// Walks the receipts of all shards together, in the order of their start. A key's records are in one shard
/// at a time; after a reshard they go on in a child, whose numbers are all above those of its parent, so
/// that one order for each key reaches over both.
pub(super) fn second(
    dir: &RunDir,
    ranges: &[LevelRange],
    acked: &SequenceSet,
    first: &Seen,
    key_of: KeyOf<'_>,
) -> Result<Second, EvidenceError> {
    let mut second = Second { counts: vec![Counts::default(); ranges.len()], ..Second::default() };
    if first.index.is_empty() {
        return Ok(second);
    }
    let mut receipts = ReceiptsAt::open(&dir.receipts_jsonl())?;
    let mut known = Known::default();
    let mut keys: Vec<KeyOrder> = Vec::new();
    for offset in first.index.offsets() {
        let receipt = receipts.read(offset)?;
        let mut settled = 0;
        for record in sightings(&receipt) {
            let Some(range) = range_of(ranges, record.sequence) else {
                second.unplanned += 1;
                continue;
            };
            let counts = &mut second.counts[range];
            let number = KinesisNumber::of(&record.kinesis_sequence);
            let mut first_of_sequence = true;
            if first.again.contains(record.sequence) {
                if !known.numbers.insert((record.sequence, hash(&number))) {
                    counts.duplicated_redelivery += 1;
                    continue;
                }
                first_of_sequence = known.sequences.insert(record.sequence);
                counts.duplicated_producer += u64::from(!first_of_sequence);
            }
            settled += u64::from(first_of_sequence && acked.contains(record.sequence));
            let key = key_of(record.sequence) as usize;
            if key >= keys.len() {
                keys.resize(key + 1, KeyOrder::default());
            }
            let sighting = keys[key].see(number, record.sequence, first_of_sequence);
            counts.out_of_order += u64::from(sighting.out_of_order);
            counts.reordered_by_producer += u64::from(sighting.reordered_by_producer);
        }
        if settled > 0 {
            *second.settled.entry(receipt.started_us.div_euclid(1_000_000)).or_default() += settled;
        }
    }
    Ok(second)
}

/// Sightings of those sequences that were seen more than once.
#[derive(Default)]
struct Known {
    /// Sequence and hash of a Kinesis number. Two numbers are taken for one only where the same record was
    /// put twice and both have the same 64-bit hash.
    numbers: HashSet<(u64, u64)>,
    sequences: SequenceSet,
}

fn hash(number: &KinesisNumber) -> u64 {
    let mut hasher = DefaultHasher::new();
    number.hash(&mut hasher);
    hasher.finish()
}
