//! The receipts summed: per level, per second, and over the run.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use hdrhistogram::Histogram;

use super::clocks::Sampling;
use super::function_seconds::Busy;
use super::sparse::Sparse;
use super::windows::WindowSums;
use crate::evidence::error::EvidenceError;
use crate::evidence::hlog::histogram;
use crate::evidence::model::ReceiptSecond;
use crate::evidence::receipts::{Found, ReceiptIndex, each_line, part_id};
use crate::evidence::sequences::SequenceSet;
use crate::platform::limits::SQS_BILLED_CHUNK_BYTES;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{LevelCounts, LevelHistograms, Receipt, RecordOutcome, RecordSeen};

/// Seconds whose latencies are still open: receipts come nearly in order. One that comes later still counts,
/// only its latencies are not in its second's percentiles any more.
const OPEN_SECONDS: usize = 900;

pub(super) struct ReceiptSums {
    pub levels: BTreeMap<u32, LevelSums>,
    pub seconds: Vec<ReceiptSecond>,
    pub busy: Busy,
    /// Earliest arrival in ms of each sampled sequence.
    pub arrivals: BTreeMap<u64, i64>,
    /// Distinct invocations, those with nothing but probes included: they are billed too.
    pub invocations: u64,
    /// From function start to receipt, summed.
    pub duration_us: u64,
    /// Every planned sequence that some attempt failed on, or before.
    pub failed: SequenceSet,
    /// Requests of 64 KiB to send the receipts, receive and delete them.
    pub sqs_requests: u64,
}

pub(super) struct LevelSums {
    pub histograms: LevelHistograms,
    pub records: u64,
    pub invocations: u64,
    pub cold_starts: u64,
    pub memory_used_mb_max: u32,
    pub iterator_age_max_ms: f64,
    pub iterator_age_sum_ms: f64,
    /// Records by the shard that they came from.
    pub by_shard: BTreeMap<String, u64>,
}

struct Seconds {
    done: BTreeMap<i64, ReceiptSecond>,
    open: BTreeMap<i64, Sparse>,
    /// Tells which latencies are one to a histogram.
    scale: Histogram<u64>,
}

impl ReceiptSums {
    /// Of every receipt in the file or, with an index, of every distinct one: which those are is known only once all
    /// have been read, and there are hardly ever others.
    pub(super) fn read(
        path: &Path,
        index: Option<&ReceiptIndex>,
        sampling: &Sampling,
        windows: &mut WindowSums,
    ) -> Result<ReceiptSums, EvidenceError> {
        let mut sums = ReceiptSums {
            levels: BTreeMap::new(),
            seconds: Vec::new(),
            busy: Busy::default(),
            arrivals: BTreeMap::new(),
            invocations: 0,
            duration_us: 0,
            failed: SequenceSet::new(),
            sqs_requests: 0,
        };
        let mut seconds = Seconds { done: BTreeMap::new(), open: BTreeMap::new(), scale: histogram() };
        let mut in_parts = HashSet::new();
        let take = |Found { message_bytes, receipt, .. }: Found| {
            // Sent, received and deleted, each by itself: an upper bound, as batches share requests.
            sums.sqs_requests += 2 * (message_bytes as u64).max(1).div_ceil(SQS_BILLED_CHUNK_BYTES) + 1;
            sums.take(&receipt, &mut in_parts);
            seconds.take(&receipt);
            windows.receipt(&receipt);
            for record in receipt.records.iter().filter(|record| is_failed(record)) {
                if sampling.is_planned(record.sequence) {
                    sums.failed.insert(record.sequence);
                }
            }
            for (sequence, arrival_ms) in &receipt.arrivals {
                if sampling.keeps(*sequence) {
                    let earliest = sums.arrivals.entry(*sequence).or_insert(*arrival_ms);
                    *earliest = (*earliest).min(*arrival_ms);
                }
            }
        };
        match index {
            Some(index) => index.each(path, take)?,
            None => each_line(path, take)?,
        }
        sums.seconds = seconds.finish();
        Ok(sums)
    }

    fn take(&mut self, receipt: &Receipt<LevelCounts>, in_parts: &mut HashSet<(u128, u32)>) {
        if receipt.part == 0 {
            self.invocations += 1;
            self.duration_us += receipt.duration_us;
            // Readiness probes come before the load and are none of it.
            if receipt.records.iter().any(|record| record.level != PROBE_LEVEL) {
                self.busy.take(receipt.started_us, receipt.duration_us, receipt.cold_start);
            }
        }
        let age_ms = receipt.iterator_age_ms();
        let mut records: BTreeMap<u32, u64> = BTreeMap::new();
        for record in receipt.records.iter().filter(|record| record.level != PROBE_LEVEL) {
            *records.entry(record.level).or_default() += 1;
        }
        for (index, (level, count)) in records.into_iter().enumerate() {
            let new = receipt.parts == 1 || in_parts.insert((part_id(receipt).0, level));
            let sums = self.level(level);
            sums.records += count;
            *sums.by_shard.entry(receipt.shard.clone()).or_default() += count;
            sums.memory_used_mb_max = sums.memory_used_mb_max.max(receipt.memory_used_mb);
            if new {
                sums.invocations += 1;
                sums.iterator_age_max_ms = sums.iterator_age_max_ms.max(age_ms);
                sums.iterator_age_sum_ms += age_ms;
            }
            // A batch may span two levels; it started cold once.
            sums.cold_starts += u64::from(receipt.cold_start && receipt.part == 0 && index == 0);
        }
        for level in receipt.levels.iter().filter(|level| level.level != PROBE_LEVEL) {
            add(&mut self.level(level.level).histograms, level);
        }
    }

    fn level(&mut self, level: u32) -> &mut LevelSums {
        self.levels.entry(level).or_insert_with(|| LevelSums {
            histograms: LevelHistograms::new(level),
            records: 0,
            invocations: 0,
            cold_starts: 0,
            memory_used_mb_max: 0,
            iterator_age_max_ms: 0.0,
            iterator_age_sum_ms: 0.0,
            by_shard: BTreeMap::new(),
        })
    }
}

fn is_failed(record: &RecordSeen) -> bool {
    record.outcome == RecordOutcome::Failed && record.level != PROBE_LEVEL
}

fn add(total: &mut LevelHistograms, one: &LevelCounts) {
    let pairs = [
        (&mut total.e2e, &one.e2e),
        (&mut total.put, &one.put),
        (&mut total.stream, &one.stream),
        (&mut total.function, &one.function),
        (&mut total.sink, &one.sink),
    ];
    for (total, one) in pairs {
        one.add_to(total);
    }
}

impl Seconds {
    fn take(&mut self, receipt: &Receipt<LevelCounts>) {
        let records = receipt.records.iter().filter(|record| record.level != PROBE_LEVEL).count() as u64;
        if records == 0 {
            return;
        }
        let second = receipt.started_us.div_euclid(1_000_000);
        let new = !self.done.contains_key(&second);
        let row = self.done.entry(second).or_default();
        row.at_ms = second * 1_000;
        row.records += records - receipt.records.iter().filter(|record| is_failed(record)).count() as u64;
        row.invocations += u64::from(receipt.part == 0);
        let age_ms = receipt.iterator_age_ms();
        row.iterator_age_max_ms = row.iterator_age_max_ms.max(age_ms);
        if new {
            self.open.insert(second, Sparse::default());
            while self.open.len() > OPEN_SECONDS {
                self.close_oldest();
            }
        }
        if let Some(open) = self.open.get_mut(&second) {
            for level in receipt.levels.iter().filter(|level| level.level != PROBE_LEVEL) {
                open.add(level.e2e.iter());
            }
        }
    }

    fn close_oldest(&mut self) {
        let Some((second, mut latencies)) = self.open.pop_first() else { return };
        if let Some(row) = self.done.get_mut(&second) {
            [row.e2e_p50_ms, row.e2e_p95_ms] = latencies.quantiles_ms([0.5, 0.95], &self.scale);
        }
    }

    fn finish(mut self) -> Vec<ReceiptSecond> {
        while !self.open.is_empty() {
            self.close_oldest();
        }
        self.done.into_values().collect()
    }
}
