//! Which files of a run directory are missing or not whole, and what that leaves unknown. A file that is torn, damaged or
//! gone still leaves a report of what the others tell; but nothing that rests on it may pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::accounting::LevelRange;
use super::error::EvidenceError;
use super::events::{Event, Logged};
use super::hlog::{LoadMetric, Totals};
use super::model::{RunEnd, SecondRow};
use super::rundir::RunDir;
use super::sends::Sends;
use crate::platform::clock::WallUs;

/// A file that evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Environment,
    Prices,
    Events,
    Sends,
    Receipts,
    Intervals,
    Series,
    Metrics,
}

impl Source {
    pub const ALL: [Source; 8] = [
        Source::Environment,
        Source::Prices,
        Source::Events,
        Source::Sends,
        Source::Receipts,
        Source::Intervals,
        Source::Series,
        Source::Metrics,
    ];

    pub fn file(self) -> &'static str {
        match self {
            Source::Environment => "environment.json",
            Source::Prices => "prices.yaml",
            Source::Events => "events.jsonl",
            Source::Sends => "sends.jsonl",
            Source::Receipts => "receipts.jsonl",
            Source::Intervals => "intervals.hlog",
            Source::Series => "series.csv",
            Source::Metrics => "metrics.json",
        }
    }

    /// What is not known without it.
    fn tells(self) -> &'static str {
        match self {
            Source::Environment => "how the pipeline was set is not known; its figures are those of the plan",
            Source::Prices => "at which prices the run was costed is not known",
            Source::Events => "which tests and levels ran, and how the run ended, is not known",
            Source::Sends => "what was sent and acked is not known",
            Source::Receipts => "what the function saw is not known",
            Source::Intervals => "put latency, service time and generator lag are not known",
            Source::Series => "the course of the load over time is not known",
            Source::Metrics => "what CloudWatch and the function's log told is not known",
        }
    }
}

/// What is wrong with each file that is not whole, in words that name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gaps(BTreeMap<Source, Gap>);

#[derive(Clone, Debug, PartialEq)]
struct Gap {
    reason: String,
    extent: Extent,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Extent {
    /// The last line alone, which a process that is killed may leave torn.
    Tail,
    Part,
    /// Nothing of the file can be used.
    Whole,
}

impl Gaps {
    /// What is wrong with a file; `None`: it is whole, as far as can be told.
    pub fn reason(&self, source: Source) -> Option<&str> {
        self.0.get(&source).map(|gap| gap.reason.as_str())
    }

    /// Whether nothing at all is known from a file that should have told something.
    pub fn is_lost(&self, source: Source) -> bool {
        self.0.get(&source).is_some_and(|gap| gap.extent == Extent::Whole)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A part of a file is missing or could not be read. What was found first stays.
    pub fn part(&mut self, source: Source, reason: impl Into<String>) {
        self.0.entry(source).or_insert_with(|| Gap { reason: reason.into(), extent: Extent::Part });
    }

    /// The whole file is missing or cannot be read; `how`: `is missing`. Gives the note that tells so.
    pub fn lost(&mut self, source: Source, how: &str) -> String {
        let reason = format!("{} {how}", source.file());
        let note = format!("{reason}: {}", source.tells());
        self.0.insert(source, Gap { reason, extent: Extent::Whole });
        note
    }
}

/// How every reader's note on a torn last line ends.
const TORN: &str = "the last line was torn and is left out";

/// Reads files one by one; whatever a reader notes is a gap in its file.
pub(super) struct Reading<'a> {
    pub notes: &'a mut Vec<String>,
    pub gaps: Gaps,
}

impl Reading<'_> {
    /// # Errors
    /// As `read`.
    pub(super) fn read<T>(
        &mut self,
        source: Source,
        read: impl FnOnce(&mut Vec<String>) -> Result<T, EvidenceError>,
    ) -> Result<T, EvidenceError> {
        let mut own = Vec::new();
        let value = read(&mut own)?;
        if let Some(first) = own.first() {
            let extent = if own.len() == 1 && first.ends_with(TORN) { Extent::Tail } else { Extent::Part };
            self.gaps.0.insert(source, Gap { reason: first.clone(), extent });
        }
        self.notes.append(&mut own);
        Ok(value)
    }

    pub(super) fn lost(&mut self, source: Source, how: &str) {
        let note = self.gaps.lost(source, how);
        self.notes.push(note);
    }

    fn part(&mut self, source: Source, what: String) {
        if self.gaps.reason(source).is_none() {
            let note = format!("{}: {what}", source.file());
            self.gaps.part(source, note.clone());
            self.notes.push(note);
        }
    }
}

/// What the log and the files of the generator tell of each other.
pub(super) struct Compared<'a> {
    pub dir: &'a RunDir,
    pub events: &'a [Logged],
    pub end: &'a RunEnd,
    pub ranges: &'a [LevelRange],
    pub sends: &'a Sends,
    pub intervals: &'a Totals,
    pub seconds: &'a [SecondRow],
    /// Whether the pipeline's receipts were to be collected.
    pub collects: bool,
    /// Whether there is any, of a probe even.
    pub has_receipts: bool,
}

impl Compared<'_> {
    /// Finds what the files themselves do not show: one that is not there, is empty, or ends too early at the end of a
    /// line. A run that was killed may have lost its last seconds in some files: that they end apart is no gap in what
    /// was done before.
    pub(super) fn check(&self, reading: &mut Reading<'_>) {
        if self.events.is_empty() {
            return reading.lost(Source::Events, how(&self.dir.events_jsonl()));
        }
        self.check_receipts(reading);
        // Before the load began there is nothing to send and to measure.
        if self.ranges.is_empty() {
            return;
        }
        if self.sends.last_us.is_none() {
            reading.lost(Source::Sends, how(&self.dir.sends_jsonl()));
        }
        if self.intervals.is_empty() && self.may_have_acked() {
            reading.lost(Source::Intervals, how(&self.dir.intervals_hlog()));
        }
        if self.seconds.is_empty() && self.may_have_acked() {
            reading.lost(Source::Series, how(&self.dir.series_csv()));
        }
        if *self.end == RunEnd::Killed {
            // What was done by then is whole, and what was not is not judged.
            reading.gaps.0.retain(|_, gap| gap.extent != Extent::Tail);
        }
        self.check_ends(reading);
    }

    /// A pipeline that was found ready has sent a receipt of the probe.
    fn check_receipts(&self, reading: &mut Reading<'_>) {
        let proven = |logged: &Logged| matches!(&logged.event, Event::Ready { probes_acked: 1.. });
        if self.collects && !self.has_receipts && self.events.iter().any(proven) {
            reading.lost(Source::Receipts, how(&self.dir.receipts_jsonl()));
        }
    }

    /// Whether records were acked, as far as is known.
    fn may_have_acked(&self) -> bool {
        self.sends.last_us.is_none() || self.sends.levels.values().any(|level| level.acked > 0)
    }

    /// The files of the generator are written out before the log says that a test has ended.
    fn check_ends(&self, reading: &mut Reading<'_>) {
        let (done, ended_us) = self.levels_done();
        if let Some((sends_us, load_us)) = self.sends.last_us.zip(ended_us)
            && sends_us < load_us
        {
            let short_s = (load_us - sends_us) as f64 / 1e6;
            reading.part(Source::Sends, format!("it ends {short_s:.1} s before the load did"));
        }
        for (level, counters) in self.sends.levels.iter().filter(|(level, _)| done.contains(level)) {
            let acked = counters.acked;
            let measured = self.intervals.get(&(*level, LoadMetric::PutLatency));
            let measured = measured.map_or(0, hdrhistogram::Histogram::len);
            if measured < acked {
                let what = format!("it holds {measured} of {acked} acked records of level {level}");
                reading.part(Source::Intervals, what);
            }
            let rows = self.seconds.iter().filter(|row| row.level == *level);
            let in_rows: u64 = rows.map(|row| row.acked).sum();
            if in_rows < acked {
                let what = format!("it holds {in_rows} of {acked} acked records of level {level}");
                reading.part(Source::Series, what);
            }
        }
    }

    /// The levels of tests that have ended, of every test where the run has, and when the last of them ended.
    fn levels_done(&self) -> (BTreeSet<u32>, Option<WallUs>) {
        let is_end =
            |logged: &Logged| matches!(logged.event, Event::TestEnded { .. } | Event::RunEnded { .. });
        let last_end = self.events.iter().rposition(is_end).unwrap_or(0);
        let ended = self.events[..last_end].iter().filter_map(|logged| match logged.event {
            Event::LevelEnded { level, .. } => Some((level, logged.at_us)),
            _ => None,
        });
        let ended: Vec<(u32, WallUs)> = ended.collect();
        let last_us = ended.iter().map(|(_, at_us)| *at_us).max();
        (ended.into_iter().map(|(level, _)| level).collect(), last_us)
    }
}

/// How a file came to tell nothing.
fn how(path: &Path) -> &'static str {
    match std::fs::metadata(path) {
        Err(_) => "is missing",
        Ok(found) if found.len() == 0 => "is empty",
        Ok(_) => "holds nothing that can be read",
    }
}
