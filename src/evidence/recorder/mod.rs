//! Takes outcomes from the load and writes them to the run directory, a tick a second.

mod pending;
mod state;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::append::AppendFile;
use super::error::EvidenceError;
use super::hlog;
use super::rundir::RunDir;
use super::sends::LevelCounters;
use super::sequences::SequenceSet;
use crate::load::outcome::{Outcome, Recorder};
use crate::plan::RateStep;
use crate::platform::clock::{Clock, WallUs};
use crate::platform::memory;
use state::State;

/// Runs shorter than this keep intervals of a second, longer ones of ten.
const FINE_INTERVALS_BELOW: Duration = Duration::from_secs(3_600);

/// Seconds in an interval of the log of a run that is meant to take `planned`.
pub(super) fn interval_s(planned: Duration) -> i64 {
    if planned < FINE_INTERVALS_BELOW { 1 } else { 10 }
}

/// What a level is meant to do: for the target column of the series.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelRate {
    pub starts_us: WallUs,
    pub duration: Duration,
    pub from_rps: f64,
    pub target_rps: f64,
    /// Of a replay: its rates; otherwise none.
    pub steps: Arc<[RateStep]>,
}

/// Counters and percentiles of one level so far, for the live display, the flags and the budget.
#[derive(Clone, Debug, Default)]
pub struct LiveLoad {
    /// The level whose record was due last; `None` before the first.
    pub level: Option<u32>,
    pub counters: LevelCounters,
    /// Records due and without an outcome, over all levels.
    pub in_flight: u64,
    /// Of the level so far, ms; 0 before the first ack.
    pub put_p50_ms: f64,
    pub put_p95_ms: f64,
    pub put_p99_ms: f64,
    pub generator_lag_p99_ms: f64,
    /// Acked over all levels: what the drain waits for.
    pub acked_total: u64,
    /// PUT payload units over all levels: what the budget counts.
    pub put_payload_units_total: u64,
}

/// Implements [`Recorder`]. The sending path takes one short lock; files are written by [`LoadRecorder::tick`]
/// alone.
pub struct LoadRecorder {
    /// See [`LoadRecorder::of_virtual_time`].
    is_virtual: bool,
    clock: Clock,
    state: Mutex<State>,
    files: Mutex<Files>,
}

struct Files {
    sends: AppendFile,
    series: AppendFile,
    hlog: AppendFile,
}

const SERIES_HEADER: &str = "at_ms,level,target_rps,sent,acked,failed,throttled,retried,in_flight,\
                             put_p50_ms,put_p95_ms,put_max_ms";

impl LoadRecorder {
    /// `planned` is how long the run is meant to take: it decides how fine the intervals are.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn create(
        dir: &RunDir,
        run: &str,
        clock: Clock,
        planned: Duration,
    ) -> Result<LoadRecorder, EvidenceError> {
        let base_us = clock.now_us();
        let open = |path: &Path, header: &str| {
            let mut file = AppendFile::open(path)?;
            file.lines(header.as_bytes());
            file.write().map(|()| file)
        };
        let files = Files {
            sends: open(&dir.sends_jsonl(), "")?,
            series: open(&dir.series_csv(), &format!("{SERIES_HEADER}\n"))?,
            hlog: open(&dir.intervals_hlog(), &hlog::header(base_us, run))?,
        };
        Ok(LoadRecorder {
            clock,
            is_virtual: false,
            state: Mutex::new(State::new(base_us, interval_s(planned))),
            files: Mutex::new(files),
        })
    }

    /// For virtual time: leaves out what tells of this machine, because a rehearsal is the same on each, and does not
    /// wait for its disk, because one that was lost is made again.
    pub fn of_virtual_time(self) -> LoadRecorder {
        LoadRecorder { is_virtual: true, ..self }
    }

    /// A level begins; called before its first record is due.
    pub fn level_started(&self, level: u32, rate: LevelRate) {
        self.state().level_rate(level, rate);
    }

    /// Writes what happened since the last tick. The session calls it every second.
    ///
    /// # Errors
    /// The disk is full, for example: what could not be written is tried again with the next tick.
    pub fn tick(&self, now_us: WallUs) -> Result<(), EvidenceError> {
        self.write(now_us, false)
    }

    /// The last tick: closes every interval and syncs.
    ///
    /// # Errors
    /// As [`LoadRecorder::tick`].
    pub fn finish(&self, now_us: WallUs) -> Result<(), EvidenceError> {
        self.write(now_us, true)
    }

    fn write(&self, now_us: WallUs, last: bool) -> Result<(), EvidenceError> {
        let mut taken = self.state().take(now_us, last);
        taken.line.generator_mb = (!self.is_virtual).then(memory::resident_mb).flatten();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for row in &taken.rows {
            files.series.line(row);
        }
        for (level, metric, start, length, histogram) in &taken.intervals {
            files.hlog.lines(&hlog::interval(*level, *metric, *start, *length, histogram));
        }
        files.sends.line(&serde_json::to_string(&taken.line).expect("plain members always serialize"));
        let Files { sends, series, hlog } = &mut *files;
        // Each is tried, and the first error told: one full file must not keep the others from the disk.
        let results = [sends, series, hlog].map(|file| match (last, self.is_virtual) {
            (true, true) => file.write(),
            (true, false) => file.sync(),
            (false, true) => file.write_if_due(),
            (false, false) => file.sync_if_due(),
        });
        results.into_iter().collect()
    }

    pub fn live(&self) -> LiveLoad {
        self.state().live()
    }

    /// The same of one level, whichever runs now.
    pub fn live_of(&self, level: u32) -> LiveLoad {
        self.state().live_of(Some(level))
    }

    /// Every sequence that was acked so far: what [`super::collector::Collector::unseen_of`] takes.
    pub fn acked(&self) -> SequenceSet {
        self.state().acked()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for LoadRecorder {
    fn started(&self, level: u32, first_sequence: u64, count: u64) {
        self.state().started(self.clock.now_us(), level, first_sequence, count);
    }

    fn finished(&self, outcome: &Outcome) {
        self.state().finished(outcome);
    }

    fn attempt(&self, level: u32, service_time_us: u64, records: u32) {
        self.state().attempt(self.clock.now_us(), level, service_time_us, records);
    }
}
