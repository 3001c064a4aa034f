//! The receipts summed: per level, per second, and over the run.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use hdrhistogram::Histogram;

use super::clocks::Sampling;
use super::function_seconds::Busy;
use super::windows::WindowSums;
use crate::evidence::error::EvidenceError;
use crate::evidence::hlog::histogram;
use crate::evidence::model::ReceiptSecond;
use crate::evidence::receipts::{Found, ReceiptIndex, part_id};
use crate::evidence::sequences::SequenceSet;
use crate::platform::limits::SQS_BILLED_CHUNK_BYTES;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{LevelHistograms, Receipt, RecordOutcome, RecordSeen};

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

#[derive(Default)]
struct Seconds {
    done: BTreeMap<i64, ReceiptSecond>,
    /// How often each latency came. A histogram takes 100 KB a second, whatever is in it: 90 MB for all of them.
    open: BTreeMap<i64, BTreeMap<u64, u64>>,
}

impl ReceiptSums {
    pub(super) fn read(
        path: &Path,
        index: &ReceiptIndex,
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
        let mut seconds = Seconds::default();
        let mut in_parts = HashSet::new();
        index.each(path, |Found { message_bytes, receipt, .. }| {
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
        })?;
        sums.seconds = seconds.finish();
        Ok(sums)
    }

    fn take(&mut self, receipt: &Receipt, in_parts: &mut HashSet<(u128, u32)>) {
        if receipt.part == 0 {
            self.invocations += 1;
            self.busy.take(receipt);
            self.duration_us += receipt.duration_us;
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

fn add(total: &mut LevelHistograms, one: &LevelHistograms) {
    let pairs = [
        (&mut total.e2e, &one.e2e),
        (&mut total.put, &one.put),
        (&mut total.stream, &one.stream),
        (&mut total.function, &one.function),
        (&mut total.sink, &one.sink),
    ];
    for (total, one) in pairs {
        // Only a fixed histogram can refuse; ours grow.
        let _ = total.add(one);
    }
}

fn filled(counts: &BTreeMap<u64, u64>) -> Histogram<u64> {
    let mut histogram = histogram();
    for (latency_us, count) in counts {
        // Ours grow: recording cannot fail.
        let _ = histogram.record_n(*latency_us, *count);
    }
    histogram
}

impl Seconds {
    fn take(&mut self, receipt: &Receipt) {
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
            self.open.insert(second, BTreeMap::new());
            while self.open.len() > OPEN_SECONDS {
                self.close_oldest();
            }
        }
        if let Some(open) = self.open.get_mut(&second) {
            for level in receipt.levels.iter().filter(|level| level.level != PROBE_LEVEL) {
                for latency in level.e2e.iter_recorded() {
                    *open.entry(latency.value_iterated_to()).or_default() += latency.count_at_value();
                }
            }
        }
    }

    fn close_oldest(&mut self) {
        let Some((second, latencies)) = self.open.pop_first() else { return };
        if let Some(row) = self.done.get_mut(&second) {
            let latencies = filled(&latencies);
            row.e2e_p50_ms = latencies.value_at_quantile(0.5) as f64 / 1e3;
            row.e2e_p95_ms = latencies.value_at_quantile(0.95) as f64 / 1e3;
        }
    }

    fn finish(mut self) -> Vec<ReceiptSecond> {
        while !self.open.is_empty() {
            self.close_oldest();
        }
        self.done.into_values().collect()
    }
}
