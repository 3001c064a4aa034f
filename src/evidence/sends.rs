//! `sends.jsonl`: what the generator did, a line a second. Acked is every sequence up to `highest` that is
//! neither failed nor pending: exceptions are few, so the truth about millions of records stays small.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::append::{newer_format, read_json_lines};
use super::error::EvidenceError;
use super::events::Range;
use super::plausible::Plausible;
use super::sequences::SequenceSet;
use crate::load::outcome::{FailReason, Outcome, RecordEnd};
use crate::platform::clock::WallUs;
use crate::platform::limits::PUT_PAYLOAD_UNIT_BYTES;

pub(crate) const VERSION: u32 = 1;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SendsLine {
    pub v: u32,
    pub at_us: WallUs,
    /// Highest sequence that was due so far; `None` before the first.
    pub highest: Option<u64>,
    /// Failed since the line before: first, last, reason.
    pub failed: Vec<(u64, u64, FailReason)>,
    /// All that had no outcome yet, and all that were never due, up to `highest`.
    pub pending: Vec<Range>,
    /// Since the line before: sequence, sent, answered, of acked records at the first attempt whose sequence
    /// is a multiple of `wire::receipt::CLOCK_SAMPLE_EVERY`.
    pub samples: Vec<(u64, WallUs, WallUs)>,
    /// Counters, since the beginning, of the levels that changed since the line before.
    pub levels: BTreeMap<u32, LevelCounters>,
    /// Resident memory of the generator, MB; absent in runs of older versions, and where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_mb: Option<f64>,
}

/// What happened to the records of one level, counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LevelCounters {
    /// Records that were due.
    pub scheduled: u64,
    /// Records of which at least one attempt was made and that have an outcome.
    pub sent: u64,
    pub acked: u64,
    pub failed: u64,
    pub failed_by_reason: BTreeMap<FailReason, u64>,
    /// Acked at the first attempt.
    pub first_try: u64,
    /// Refusals, retried or not.
    pub throttled: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Records that were sent after waiting for an in-flight slot.
    pub in_flight_limited: u64,
    /// Bytes of acked records: data and partition key.
    pub acked_bytes: u64,
    /// The same with each record rounded up to 1 KiB: what on-demand streams bill.
    pub acked_bytes_rounded_1k: u64,
    /// 25 KB steps of acked records, each rounded up by itself.
    pub put_payload_units: u64,
    pub first_due_us: Option<WallUs>,
    pub last_answered_us: Option<WallUs>,
}

impl LevelCounters {
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        if outcome.attempts > 0 {
            self.sent += 1;
        }
        match &outcome.end {
            RecordEnd::Acked => {
                let bytes = u64::from(outcome.bytes) + u64::from(outcome.key_bytes);
                self.acked += 1;
                self.first_try += u64::from(outcome.attempts == 1);
                self.acked_bytes += bytes;
                self.acked_bytes_rounded_1k += bytes.max(1).div_ceil(1_024) * 1_024;
                self.put_payload_units += bytes.max(1).div_ceil(PUT_PAYLOAD_UNIT_BYTES);
            }
            RecordEnd::Failed(reason) => {
                self.failed += 1;
                *self.failed_by_reason.entry(*reason).or_default() += 1;
            }
        }
        self.throttled += u64::from(outcome.throttles);
        self.retried += u64::from(outcome.attempts.saturating_sub(1));
        self.in_flight_limited += u64::from(outcome.attempts > 0 && outcome.waited_for_slot);
        self.first_due_us = Some(self.first_due_us.map_or(outcome.due_us, |us| us.min(outcome.due_us)));
        self.last_answered_us = self.last_answered_us.max(Some(outcome.answered_us));
    }
}

/// What all lines together say.
#[derive(Debug, Default)]
pub struct Sends {
    pub acked: SequenceSet,
    pub levels: BTreeMap<u32, LevelCounters>,
    pub samples: Vec<(u64, WallUs, WallUs)>,
    /// Resident memory of the generator, MB, a second apart.
    pub generator_mb: Vec<(WallUs, f64)>,
    /// Time of the last line: how far the files go when the writer was killed.
    pub last_us: Option<WallUs>,
}

impl Sends {
    /// Keeps those samples whose sequence `keep_sample` takes.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub fn read(
        path: &Path,
        notes: &mut Vec<String>,
        keep_sample: impl Fn(u64) -> bool,
    ) -> Result<Sends, EvidenceError> {
        let mut sends = Sends::default();
        let mut failed = SequenceSet::new();
        let mut last = SendsLine::default();
        let (mut newer, mut implausible) = (None, 0u64);
        read_json_lines(path, notes, |_, mut line: SendsLine| {
            if line.v > VERSION {
                newer = Some(line.v);
                return;
            }
            if !line.is_plausible() {
                implausible += 1;
                return;
            }
            line.samples.retain(|(sequence, _, _)| keep_sample(*sequence));
            for (first, last, _) in &line.failed {
                failed.insert_range(*first, *last);
            }
            sends.samples.append(&mut line.samples);
            sends.levels.append(&mut line.levels);
            sends.generator_mb.extend(line.generator_mb.map(|mb| (line.at_us, mb)));
            last = line;
        })?;
        if implausible > 0 {
            notes.push(format!("sends.jsonl: {implausible} lines with impossible numbers are left out"));
        }
        notes.extend(newer.map(|v| newer_format("sends.jsonl", v, VERSION)));
        if let Some(highest) = last.highest {
            sends.last_us = Some(last.at_us);
            sends.acked.insert_range(0, highest);
            sends.acked = sends.acked.minus(&failed);
            for (first, last) in last.pending {
                sends.acked.remove_range(first, last);
            }
        }
        Ok(sends)
    }

    /// Highest sequence that may have been due by `at_us`: `highest` of the first line not before it, and of
    /// the last line when all are; `None` when nothing was due. Lines are about a second apart.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub fn highest_due_by(path: &Path, at_us: WallUs) -> Result<Option<u64>, EvidenceError> {
        let (mut highest, mut passed) = (None, false);
        read_json_lines(path, &mut Vec::new(), |_, line: DueBy| {
            if !passed {
                highest = line.highest;
                passed = line.at_us >= at_us;
            }
        })?;
        Ok(highest)
    }
}

/// The part of a line that says how far the schedule had come.
#[derive(Deserialize)]
struct DueBy {
    at_us: WallUs,
    highest: Option<u64>,
}
