//! What became of every record, exactly: from what the generator wrote down (`sends.jsonl`), what the
//! function said (`receipts.jsonl`), and what was looked up afterwards (`events.jsonl`).
//!
//! A *sighting* is one record in one receipt with the outcome "processed"; one that the function returned
//! as failed is not a delivery, it comes again. Counted are
//!
//! - `delivered`: distinct sequences with a sighting, `delivered_unacked` of them never acked;
//! - `duplicated`: sightings beyond the first of a sequence. One with a Kinesis sequence number of its own is
//!   the producer's (the record was put twice), one with a number seen before is a redelivery;
//! - `out_of_order`: first sightings of a Kinesis sequence number after one of a later number of the same key;
//!   receipts in the order of their start, records in the order of their batch;
//! - `reordered_by_producer`: first sightings that are in Kinesis' order while their own sequence is behind one
//!   seen before of the same key: concurrent puts and retries overtook each other before the stream;
//! - `dead_lettered`: sequences that the on-failure destination names;
//! - `lost`: acked, without a sighting, not dead-lettered, and confirmed absent from the stream; `expired` of them
//!   because the stream's retention was over before the function was handed them ([`super::expired`]);
//!   `unconfirmed`: the same without that confirmation. So acked = delivered - delivered_unacked + lost +
//!   unconfirmed + (dead-lettered without a sighting).
//!
//! Memory: bitmaps over the sequences, 16 bytes for each receipt, 40 for each key, and some 30 for each sighting
//! of those records alone that were seen more than once.

mod order;
mod passes;

pub use passes::Seen;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::error::EvidenceError;
use super::events::{Event, Logged};
use super::expired::expired;
use super::gaps::{Gaps, Source};
use super::kinesis_number::KinesisNumber;
use super::model::{Delivery, LevelDelivery};
use super::rundir::RunDir;
use super::sends::Sends;
use super::sequences::SequenceSet;
use crate::platform::clock::WallUs;

/// Index of the key of a sequence, below `plan::KEYS_MAX`: a pure function of the plan.
pub type KeyOf<'a> = &'a dyn Fn(u64) -> u32;

/// The sequences of one level: those planned, or, of virtual users, those up to the next level's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelRange {
    pub level: u32,
    pub first: u64,
    pub last: u64,
}

/// The levels that were started, by their sequences; empty ones are left out.
pub fn level_ranges(events: &[Logged]) -> Vec<LevelRange> {
    let mut ranges: Vec<LevelRange> = events
        .iter()
        .filter_map(|logged| match &logged.event {
            Event::LevelStarted { level, first_sequence, count, .. } if *count > 0 => Some(LevelRange {
                level: *level,
                first: *first_sequence,
                last: first_sequence.saturating_add(count - 1),
            }),
            _ => None,
        })
        .collect();
    ranges.sort_by_key(|range| range.first);
    // What a level of users did not send of the most that they could goes to the next one.
    let mut next_first = None;
    for range in ranges.iter_mut().rev() {
        match next_first.replace(range.first) {
            // It sent nothing: marked for removal, an empty range has no form.
            Some(next) if next == range.first => (range.first, range.last) = (1, 0),
            Some(next) => range.last = range.last.min(next - 1),
            None => {}
        }
    }
    ranges.retain(|range| range.first <= range.last);
    ranges
}

/// Index into `ranges` of the level that a sequence belongs to.
fn range_of(ranges: &[LevelRange], sequence: u64) -> Option<usize> {
    let after = ranges.partition_point(|range| range.first <= sequence);
    let index = after.checked_sub(1)?;
    (sequence <= ranges[index].last).then_some(index)
}

#[derive(Debug, Default, PartialEq)]
pub struct Accounting {
    pub delivery: Delivery,
    pub levels: BTreeMap<u32, LevelDelivery>,
    /// Acked records by the second, since the epoch, in which they were first processed or given up.
    pub settled: BTreeMap<i64, u64>,
    /// Acked records without a receipt that were never looked for, although all were at the end of the collection:
    /// they had a receipt then.
    pub unexplained: u64,
    pub notes: Vec<String>,
}

impl Accounting {
    /// Takes back what a damaged file cannot tell: with receipts gone a record is not lost for want of one.
    pub fn with_gaps(&mut self, gaps: &Gaps) {
        if gaps.is_lost(Source::Receipts) || gaps.is_lost(Source::Sends) {
            self.delivery.measured = false;
        }
        if !self.delivery.measured || gaps.reason(Source::Receipts).is_some() {
            self.delivery.complete = false;
            self.delivery.lost = None;
            self.delivery.expired = 0;
            self.levels.values_mut().for_each(|level| (level.lost, level.expired) = (None, 0));
        }
    }
}

/// What was looked up after the load.
#[derive(Debug, Default)]
struct LookedUp {
    collected: bool,
    complete: bool,
    unreadable: u64,
    absent: SequenceSet,
    /// Those of `absent` that the stream forgot before they were read.
    expired: SequenceSet,
    /// Everything that was looked for, found or not.
    sought: SequenceSet,
    /// Not everything that was missing was looked for.
    sought_in_part: bool,
    dead_lettered: SequenceSet,
}

impl LookedUp {
    fn from(events: &[Logged]) -> LookedUp {
        let mut looked_up = LookedUp::default();
        for logged in events {
            match &logged.event {
                Event::CollectionEnded { complete, unreadable } => {
                    looked_up.collected = true;
                    looked_up.complete = *complete;
                    looked_up.unreadable = *unreadable;
                }
                Event::Confirmed { absent, present, expired, incomplete } => {
                    looked_up.sought_in_part |= incomplete.is_some();
                    let [absent, present, expired] =
                        [absent, present, expired].map(|ranges| SequenceSet::from_ranges(ranges));
                    for set in [&absent, &present, &expired] {
                        looked_up.sought = looked_up.sought.union(set);
                    }
                    looked_up.absent = looked_up.absent.union(&absent).union(&expired).minus(&present);
                    looked_up.expired = looked_up.expired.union(&expired).minus(&present);
                }
                Event::DeadLettered { ranges, .. } => {
                    looked_up.dead_lettered =
                        looked_up.dead_lettered.union(&SequenceSet::from_ranges(ranges));
                }
                _ => {}
            }
        }
        looked_up
    }
}

/// What no receipt tells of, and what is needed to look for it in the stream.
#[derive(Debug, Default)]
pub struct Missing {
    /// Acked sequences without a sighting and not dead-lettered.
    pub sequences: SequenceSet,
    /// By shard, the lowest Kinesis number that a receipt tells of: a shard whose content begins above it
    /// has been trimmed.
    pub(super) lowest: BTreeMap<String, KinesisNumber>,
    /// Of `sequences`: those that a stream forgets unread.
    pub(super) expired: SequenceSet,
    pub(super) sends_jsonl: PathBuf,
}

impl Missing {
    /// Highest sequence that may have been due by `at_us`.
    ///
    /// # Errors
    /// `sends.jsonl` cannot be read.
    pub(super) fn highest_due_by(&self, at_us: WallUs) -> Result<Option<u64>, EvidenceError> {
        Sends::highest_due_by(&self.sends_jsonl, at_us)
    }
}

/// What [`super::confirm`] looks for in a stream that keeps records for `retention`. The run began at `from_us`, and now
/// is `now_us`.
///
/// # Errors
/// A file of the run cannot be read.
pub fn missing(
    dir: &RunDir,
    (from_us, now_us): (WallUs, WallUs),
    retention: Duration,
) -> Result<Missing, EvidenceError> {
    let mut notes = Vec::new();
    let events = super::events::read_events(&dir.events_jsonl(), &mut notes)?;
    let sends = Sends::read(&dir.sends_jsonl(), &mut notes, |_| false)?;
    let seen = seen(dir, &level_ranges(&events), &mut notes)?;
    let sequences = sends.acked.minus(&seen.seen).minus(&LookedUp::from(&events).dead_lettered);
    let expired = expired(dir, &seen.index, &sequences, (from_us, now_us), retention)?;
    Ok(Missing { sequences, lowest: seen.lowest, expired, sends_jsonl: dir.sends_jsonl() })
}

/// The first reading of the receipts.
///
/// # Errors
/// The file cannot be read. Single lines that cannot be read become notes.
pub fn seen(dir: &RunDir, ranges: &[LevelRange], notes: &mut Vec<String>) -> Result<Seen, EvidenceError> {
    passes::first(dir, ranges, notes)
}

/// The whole account, from what [`seen`] found and a second reading of the receipts.
///
/// # Errors
/// A file of the run cannot be read.
pub fn account(
    dir: &RunDir,
    events: &[Logged],
    acked: &SequenceSet,
    first: &Seen,
    key_of: KeyOf<'_>,
) -> Result<Accounting, EvidenceError> {
    let mut notes = Vec::new();
    let ranges = level_ranges(events);
    let looked_up = LookedUp::from(events);
    let mut second = passes::second(dir, &ranges, acked, first, key_of)?;
    give_up(&mut second.settled, events, &acked.minus(&first.seen));
    if second.unplanned > 0 {
        notes.push(format!(
            "{} records in receipts have a sequence that no level planned; they are left out",
            second.unplanned
        ));
    }

    let gone = acked.minus(&first.seen).minus(&looked_up.dead_lettered);
    let lost = gone.intersection(&looked_up.absent);
    let expired = lost.intersection(&looked_up.expired);
    let unacked = first.seen.minus(acked);
    let mut levels = BTreeMap::new();
    for (range, counts) in ranges.iter().zip(&second.counts) {
        let among = |set: &SequenceSet| set.count_in(range.first, range.last);
        let level = LevelDelivery {
            acked: among(acked),
            delivered: among(&first.seen),
            lost: looked_up.complete.then(|| among(&lost)),
            expired: if looked_up.complete { among(&expired) } else { 0 },
            unconfirmed: if looked_up.complete { among(&gone) - among(&lost) } else { among(&gone) },
            delivered_unacked: among(&unacked),
            duplicated_producer: counts.duplicated_producer,
            duplicated_redelivery: counts.duplicated_redelivery,
            out_of_order: counts.out_of_order,
            reordered_by_producer: counts.reordered_by_producer,
            dead_lettered: among(&looked_up.dead_lettered),
        };
        levels.insert(range.level, level);
    }
    let measured = !first.index.is_empty() || looked_up.collected;
    let all_sought = looked_up.complete && !looked_up.sought_in_part;
    let unexplained = if all_sought { gone.minus(&looked_up.sought).len() } else { 0 };
    Ok(Accounting {
        delivery: sum(&levels, measured, &looked_up),
        levels,
        settled: second.settled,
        unexplained,
        notes,
    })
}

/// Records that went to the on-failure queue, and that no attempt processed, are settled when that was seen.
fn give_up(settled: &mut BTreeMap<i64, u64>, events: &[Logged], unprocessed: &SequenceSet) {
    let mut left = unprocessed.clone();
    for logged in events {
        let Event::DeadLettered { ranges, .. } = &logged.event else { continue };
        let dead = SequenceSet::from_ranges(ranges);
        let given_up = left.intersection(&dead).len();
        if given_up > 0 {
            left = left.minus(&dead);
            *settled.entry(logged.at_us.div_euclid(1_000_000)).or_default() += given_up;
        }
    }
}

fn sum(levels: &BTreeMap<u32, LevelDelivery>, measured: bool, looked_up: &LookedUp) -> Delivery {
    let mut whole = Delivery {
        measured,
        complete: looked_up.complete,
        lost: looked_up.complete.then_some(0),
        unreadable_receipts: looked_up.unreadable,
        ..Delivery::default()
    };
    for level in levels.values() {
        whole.acked += level.acked;
        whole.delivered += level.delivered;
        whole.lost = whole.lost.zip(level.lost).map(|(whole, level)| whole + level);
        whole.expired += level.expired;
        whole.unconfirmed += level.unconfirmed;
        whole.delivered_unacked += level.delivered_unacked;
        whole.duplicated_producer += level.duplicated_producer;
        whole.duplicated_redelivery += level.duplicated_redelivery;
        whole.out_of_order += level.out_of_order;
        whole.reordered_by_producer += level.reordered_by_producer;
        whole.dead_lettered += level.dead_lettered;
    }
    whole
}
