//! What the receipts say so far, for the live display, the readiness probe, the drain and the flags.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hdrhistogram::Histogram;

use crate::evidence::hlog::histogram;
use crate::platform::clock::WallUs;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::Receipt;

const ERRORS_KEPT: usize = 20;
/// End-to-end latency is shown over the receipts of the last this much to twice this much.
const WINDOW_US: i64 = 10_000_000;
/// Readiness sends a probe a second for at most five minutes.
const PROBES_KEPT: usize = 10_000;
/// Levels whose extremes are kept: receipts of older ones come no more.
const LEVELS_KEPT: usize = 8;

/// The worst of a level's invocations so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extremes {
    pub duration_us: u64,
    pub memory_used_mb: u32,
}

#[derive(Clone, Debug, Default)]
pub struct LiveReceipts {
    /// Sequences of the readiness probes that came through.
    pub probes_seen: BTreeSet<u64>,
    /// Distinct sequences of the run that were processed, probes left out.
    pub records_seen: u64,
    /// Records that came back unprocessed, each time counted.
    pub records_failed: u64,
    /// Distinct receipt parts.
    pub receipts: u64,
    /// Distinct invocations.
    pub invocations: u64,
    pub cold_starts: u64,
    /// Start minus earliest arrival, of the invocation that started last.
    pub iterator_age_ms: Option<f64>,
    /// Over the last 10 to 20 s.
    pub e2e_p95_ms: Option<f64>,
    /// When the last receipt was collected.
    pub last_receipt_us: Option<WallUs>,
    /// Latest function start.
    pub last_started_us: Option<WallUs>,
    /// Longest invocation so far, up to its receipt.
    pub duration_max_us: u64,
    pub memory_used_mb_max: u32,
    pub memory_limit_mb: u32,
    /// Of the latest levels, each of whose invocations saw a record of it.
    pub extremes: BTreeMap<u32, Extremes>,
    /// Distinct messages that are not receipts.
    pub unreadable: u64,
    /// Receipts of other runs met (and left alone).
    pub foreign: u64,
    /// SQS requests made by the collector: what the test's own cost counts.
    pub sqs_requests: u64,
    pub errors_total: u64,
    /// The latest errors, oldest first.
    pub errors: VecDeque<String>,
    window: Window,
}

/// Two histograms: the one being filled and the one before it.
#[derive(Clone, Debug)]
struct Window {
    from_us: WallUs,
    current: Histogram<u64>,
    before: Histogram<u64>,
}

impl Default for Window {
    fn default() -> Window {
        Window { from_us: WallUs::MIN, current: histogram(), before: histogram() }
    }
}

impl LiveReceipts {
    pub(super) fn error(&mut self, error: String) {
        self.errors_total += 1;
        if self.errors.len() == ERRORS_KEPT {
            self.errors.pop_front();
        }
        self.errors.push_back(error);
    }

    pub(super) fn take(&mut self, receipt: &Receipt, now_us: WallUs) {
        self.receipts += 1;
        self.last_receipt_us = Some(now_us);
        for record in receipt.records.iter().filter(|record| record.level == PROBE_LEVEL) {
            if self.probes_seen.len() < PROBES_KEPT {
                self.probes_seen.insert(record.sequence);
            }
        }
        if receipt.part == 0 {
            self.invocations += 1;
            self.cold_starts += u64::from(receipt.cold_start);
        }
        if self.last_started_us <= Some(receipt.started_us) {
            self.last_started_us = Some(receipt.started_us);
            self.iterator_age_ms = Some(receipt.iterator_age_ms());
        }
        self.duration_max_us = self.duration_max_us.max(receipt.duration_us);
        self.memory_used_mb_max = self.memory_used_mb_max.max(receipt.memory_used_mb);
        self.memory_limit_mb = receipt.memory_limit_mb;
        for level in receipt.levels.iter().filter(|level| level.level != PROBE_LEVEL) {
            self.window.add(&level.e2e, now_us);
            let worst = self.extremes.entry(level.level).or_default();
            worst.duration_us = worst.duration_us.max(receipt.duration_us);
            worst.memory_used_mb = worst.memory_used_mb.max(receipt.memory_used_mb);
        }
        while self.extremes.len() > LEVELS_KEPT {
            self.extremes.pop_first();
        }
        self.e2e_p95_ms = self.window.p95_ms();
    }
}

impl Window {
    fn add(&mut self, latencies: &Histogram<u64>, now_us: WallUs) {
        let age_us = now_us.saturating_sub(self.from_us);
        if age_us >= WINDOW_US {
            let filled = std::mem::replace(&mut self.current, histogram());
            self.before = if age_us < 2 * WINDOW_US { filled } else { histogram() };
            self.from_us = now_us;
        }
        // Only a fixed histogram can refuse; ours grow.
        let _ = self.current.add(latencies);
    }

    fn p95_ms(&self) -> Option<f64> {
        let mut both = self.before.clone();
        let _ = both.add(&self.current);
        (!both.is_empty()).then(|| both.value_at_quantile(0.95) as f64 / 1e3)
    }
}
