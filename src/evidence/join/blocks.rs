//! How failing batches held their shards up: from the receipts, which say of each attempt what was processed and
//! what came back, and from what the on-failure queue named.
//!
//! A *block* begins with the start of an attempt that fails, while nothing of its shard is outstanding from an
//! earlier one. Whatever failed is outstanding until it is processed or given up; the block ends when nothing is:
//! with the end of the attempt that settled the last record, or when the mapping gave it up, if that was later.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hdrhistogram::Histogram;

use super::dist;
use crate::evidence::accounting::LevelRange;
use crate::evidence::error::EvidenceError;
use crate::evidence::events::{DeadBatch, Event, Logged};
use crate::evidence::hlog::histogram;
use crate::evidence::model::{Block, Blocked};
use crate::evidence::receipts::{Found, ReceiptIndex, part_id};
use crate::evidence::rundir::RunDir;
use crate::evidence::sequences::SequenceSet;
use crate::load::schedule;
use crate::platform::clock::WallUs;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{LevelCounts, Receipt, RecordOutcome};

/// More blocks of a run than this are counted, not listed.
const BLOCKS_MAX: usize = 1_000;

/// A started level: its planned sequences, its test, and how many of its records are poison.
pub(super) struct PoisonedLevel {
    pub range: LevelRange,
    /// Index into the run's tests.
    pub test: usize,
    pub poison: u64,
}

impl PoisonedLevel {
    fn holds(&self, sequence: u64) -> bool {
        (self.range.first..=self.range.last).contains(&sequence)
    }
}

pub(super) struct Sources<'a> {
    pub dir: &'a RunDir,
    pub index: &'a ReceiptIndex,
    pub events: &'a [Logged],
    pub acked: &'a SequenceSet,
    /// Every sequence that some receipt says failed.
    pub failed: &'a SequenceSet,
    pub levels: &'a [PoisonedLevel],
}

/// What a shard's attempts at records that ever failed came to; each receipt part is one.
struct Attempt {
    started_us: WallUs,
    ended_us: WallUs,
    part: u32,
    id: u128,
    failed: Vec<u64>,
    recovered: Vec<u64>,
}

/// A block while it is put together.
struct Draft {
    test: usize,
    block: Block,
    ids: HashSet<u128>,
    waits_us: Histogram<u64>,
}

/// For each of `tests` tests what held its shards up; `None` where nothing failed and nothing was poisoned.
pub(super) fn blocked(
    sources: &Sources<'_>,
    tests: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Option<Blocked>>, EvidenceError> {
    let mut found = Vec::new();
    if !sources.failed.is_empty() {
        let dead = sources.dead();
        for (shard, attempts) in sources.attempts()? {
            found.extend(sources.blocks_of(&shard, &attempts, &dead));
        }
        found.sort_by_key(|found| found.block.from_us);
        if found.len() > BLOCKS_MAX {
            notes.push(format!("only the first {BLOCKS_MAX} of {} blocked times are reported", found.len()));
            found.truncate(BLOCKS_MAX);
        }
        sources.add_waits_behind(&mut found)?;
    }
    let mut whole: Vec<Option<Blocked>> = (0..tests).map(|test| sources.poisoned(test)).collect();
    let mut waits: BTreeMap<usize, Histogram<u64>> = BTreeMap::new();
    for Draft { test, mut block, ids, waits_us } in found {
        block.failed_attempts = ids.len() as u64;
        block.added_wait = dist(&waits_us);
        // Only a fixed histogram can refuse; ours grow.
        let _ = waits.entry(test).or_insert_with(histogram).add(&waits_us);
        whole[test].get_or_insert_default().blocks.push(block);
    }
    for (test, waits_us) in waits {
        whole[test].get_or_insert_default().added_wait = dist(&waits_us);
    }
    Ok(whole)
}

impl Sources<'_> {
    fn level_of(&self, sequence: u64) -> Option<&PoisonedLevel> {
        self.levels.iter().find(|level| level.holds(sequence))
    }

    fn is_poison(&self, sequence: u64) -> bool {
        self.level_of(sequence).is_some_and(|level| {
            let LevelRange { first, last, .. } = level.range;
            schedule::is_poison(sequence - first, last - first + 1, level.poison)
        })
    }

    /// The acked records of a test that the plan poisoned; `None` for none.
    fn poisoned(&self, test: usize) -> Option<Blocked> {
        let levels = self.levels.iter().filter(|level| level.test == test && level.poison > 0);
        let mut poisoned = SequenceSet::new();
        for level in levels {
            let LevelRange { first, last, .. } = level.range;
            for index in schedule::poison_places(last - first + 1, level.poison) {
                poisoned.insert(first + index);
            }
        }
        let poisoned = poisoned.intersection(self.acked).len();
        (poisoned > 0).then(|| Blocked { poisoned, ..Blocked::default() })
    }

    /// Distinct batches that were given up: a look may find what an earlier one has found.
    fn dead(&self) -> Vec<&DeadBatch> {
        let mut distinct: BTreeMap<(&str, &str, &str), &DeadBatch> = BTreeMap::new();
        for logged in self.events {
            let Event::DeadLettered { batches, .. } = &logged.event else { continue };
            for batch in batches {
                distinct.insert((&batch.shard, &batch.first, &batch.last), batch);
            }
        }
        distinct.into_values().collect()
    }

    /// By shard, in the order of their start.
    fn attempts(&self) -> Result<BTreeMap<String, Vec<Attempt>>, EvidenceError> {
        let mut shards: BTreeMap<String, Vec<Attempt>> = BTreeMap::new();
        self.index.each(&self.dir.receipts_jsonl(), |Found { receipt, .. }| {
            let attempt = self.attempt(&receipt);
            if !attempt.failed.is_empty() || !attempt.recovered.is_empty() {
                shards.entry(receipt.shard).or_default().push(attempt);
            }
        })?;
        for attempts in shards.values_mut() {
            attempts.sort_by_key(|attempt| (attempt.started_us, attempt.id, attempt.part));
        }
        Ok(shards)
    }

    fn attempt(&self, receipt: &Receipt<LevelCounts>) -> Attempt {
        let (id, part) = part_id(receipt);
        let ended_us = receipt.started_us + receipt.duration_us as i64;
        let (failed, recovered) = (Vec::new(), Vec::new());
        let mut attempt = Attempt { started_us: receipt.started_us, ended_us, part, id, failed, recovered };
        let ours = receipt.records.iter().filter(|record| record.level != PROBE_LEVEL);
        for record in ours.filter(|record| self.failed.contains(record.sequence)) {
            match record.outcome {
                RecordOutcome::Failed => attempt.failed.push(record.sequence),
                RecordOutcome::Processed => attempt.recovered.push(record.sequence),
            }
        }
        attempt
    }

    fn blocks_of(&self, shard: &str, attempts: &[Attempt], dead: &[&DeadBatch]) -> Vec<Draft> {
        let dead: Vec<(&DeadBatch, SequenceSet)> = dead
            .iter()
            .filter(|batch| batch.shard == shard)
            .map(|batch| (*batch, SequenceSet::from_ranges(&batch.ranges)))
            .collect();
        let mut last_failed: HashMap<u64, usize> = HashMap::new();
        for (index, attempt) in attempts.iter().enumerate() {
            last_failed.extend(attempt.failed.iter().map(|sequence| (*sequence, index)));
        }
        let mut blocks: Vec<Draft> = Vec::new();
        let mut outstanding: BTreeSet<u64> = BTreeSet::new();
        for (index, attempt) in attempts.iter().enumerate() {
            if outstanding.is_empty() {
                let Some(first) = attempt.failed.first() else { continue };
                let Some(level) = self.level_of(*first) else { continue };
                blocks.push(begin(shard, level, attempt.started_us));
            }
            let Some(found) = blocks.last_mut() else { continue };
            for sequence in &attempt.recovered {
                if outstanding.remove(sequence) {
                    let wait_us = (attempt.started_us - found.block.from_us).max(0) as u64;
                    let _ = found.waits_us.record(wait_us);
                }
            }
            outstanding.extend(&attempt.failed);
            if !attempt.failed.is_empty() {
                found.ids.insert(attempt.id);
            }
            let poison = attempt.failed.iter().filter(|sequence| self.is_poison(**sequence));
            found.block.poison.extend(poison);
            let mut settled_us = attempt.ended_us;
            for (batch, sequences) in &dead {
                let is_over = |sequence: &u64| {
                    sequences.contains(*sequence) && last_failed.get(sequence) == Some(&index)
                };
                if outstanding.iter().any(is_over) {
                    outstanding.retain(|sequence| !is_over(sequence));
                    settled_us = settled_us.max(batch.given_up_us.unwrap_or(settled_us));
                    self.give_up(&mut found.block, sequences);
                }
            }
            if outstanding.is_empty() {
                found.block.until_us = Some(settled_us);
            }
        }
        blocks
    }

    fn give_up(&self, block: &mut Block, sequences: &SequenceSet) {
        block.dead_ranges += 1;
        block.dead_lettered.extend(sequences.ranges());
        block.dead_good += sequences.iter().filter(|sequence| !self.is_poison(*sequence)).count() as u64;
        // In a batch that was given up, what was never processed has failed: the rest went before it.
        let unprocessed = sequences.intersection(self.failed);
        block.dead_good_unprocessed +=
            unprocessed.iter().filter(|sequence| !self.is_poison(*sequence)).count() as u64;
    }

    /// Records that arrived behind a block and were handed to the function after it. The receipts do not say when
    /// each record arrived, but how long each had waited: one that waited longer than from the block's end had
    /// arrived before it.
    fn add_waits_behind(&self, found: &mut [Draft]) -> Result<(), EvidenceError> {
        let scale = histogram();
        self.index.each(&self.dir.receipts_jsonl(), |Found { receipt, .. }| {
            for found in found.iter_mut().filter(|found| found.block.shard == receipt.shard) {
                let Some(until_us) = found.block.until_us else { continue };
                if receipt.started_us < until_us {
                    continue;
                }
                let since_us = (receipt.started_us - until_us) as u64;
                let whole_us = (until_us - found.block.from_us).max(0) as u64;
                for level in receipt.levels.iter().filter(|level| level.level != PROBE_LEVEL) {
                    for (value_us, count) in level.stream.iter() {
                        let waited_us = scale.median_equivalent(value_us);
                        if waited_us > since_us {
                            let added_us = (waited_us - since_us).min(whole_us);
                            let _ = found.waits_us.record_n(added_us, count);
                        }
                    }
                }
            }
        })
    }
}

fn begin(shard: &str, level: &PoisonedLevel, from_us: WallUs) -> Draft {
    let block = Block { level: level.range.level, shard: shard.to_owned(), from_us, ..Block::default() };
    Draft { test: level.test, block, ids: HashSet::new(), waits_us: histogram() }
}
