//! A level cut into cells of equal length: what differences between two runs are resampled from.

use std::collections::BTreeMap;
use std::path::Path;

use hdrhistogram::Histogram;

use super::error::EvidenceError;
use super::hlog::{LoadMetric, read_totals};
use super::model::{Evidence, LevelEvidence, SecondRow};
use super::receipts::ReceiptIndex;
use super::rundir::RunDir;
use crate::platform::clock::WallUs;
use crate::wire::envelope::PROBE_LEVEL;

/// Cells of a level: neighbours are taken together until there are no more. Bounds what is held of a day, and the work
/// of resampling it.
pub const CELLS_MAX: u64 = 120;

/// How often each latency came in one cell: (microseconds, times), ascending. Sparse, because a histogram takes 100 KB
/// whatever is in it.
pub type Counts = Vec<(u64, u64)>;

/// What the generator counted in one cell, in the whole seconds of it that lie inside the level.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    pub seconds: u64,
    pub acked: u64,
    pub failed: u64,
    pub throttled: u64,
}

/// One level. Cells in which nothing came are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LevelCells {
    /// In order of time, as all of these. By when the record was answered.
    pub put_latency: Vec<Counts>,
    pub service_time: Vec<Counts>,
    /// From the receipts, by when the function started.
    pub e2e: Vec<Counts>,
    pub traffic: Vec<Traffic>,
}

/// Where the cells of a level lie.
struct Span {
    start_us: WallUs,
    end_us: WallUs,
    cell_us: WallUs,
}

impl Span {
    fn of(level: &LevelEvidence) -> Option<Span> {
        let start_us = level.started_us?;
        let whole_s = (level.planned_s / CELLS_MAX as f64).ceil().max(1.0);
        Some(Span {
            start_us,
            end_us: start_us + (level.planned_s * 1e6) as WallUs,
            cell_us: (whole_s * 1e6) as WallUs,
        })
    }

    /// What came after the level's end, while a backlog drained, has cells as well, up to as many again.
    fn cell(&self, at_us: WallUs) -> u64 {
        ((at_us - self.start_us).max(0) / self.cell_us).min(2 * CELLS_MAX as WallUs) as u64
    }
}

/// Times of each latency, by cell.
type Latencies = BTreeMap<u64, BTreeMap<u64, u64>>;

#[derive(Default)]
struct Open {
    put_latency: Latencies,
    service_time: Latencies,
    e2e: Latencies,
    traffic: BTreeMap<u64, Traffic>,
}

/// The cells of every level of the run in `dir`, by test and level in the order of `evidence`. A level that never
/// started has none.
///
/// # Errors
/// `intervals.hlog` or `receipts.jsonl` is there and cannot be read at all. What is missing gives no cells.
pub fn read(dir: &Path, evidence: &Evidence) -> Result<Vec<Vec<LevelCells>>, EvidenceError> {
    let dir = RunDir::open(dir)?;
    let levels = || evidence.tests.iter().flat_map(|test| &test.levels);
    let spans: BTreeMap<u32, Span> =
        levels().filter_map(|level| Some((level.index, Span::of(level)?))).collect();
    let mut open: BTreeMap<u32, Open> = spans.keys().map(|level| (*level, Open::default())).collect();
    // What cannot be read was noted when the evidence was loaded.
    let notes = &mut Vec::new();
    read_totals(&dir.intervals_hlog(), notes, |interval| {
        if let Some((span, open)) = spans.get(&interval.level).zip(open.get_mut(&interval.level)) {
            let latencies = match interval.metric {
                LoadMetric::PutLatency => &mut open.put_latency,
                LoadMetric::ServiceTime => &mut open.service_time,
                LoadMetric::GeneratorLag => return,
            };
            add(latencies, span.cell(interval.middle_us), &interval.histogram);
        }
    })?;
    let index = ReceiptIndex::read(&dir.receipts_jsonl(), notes, |_| {})?;
    index.each(&dir.receipts_jsonl(), |found| {
        for seen in found.receipt.levels.iter().filter(|seen| seen.level != PROBE_LEVEL) {
            if let Some((span, open)) = spans.get(&seen.level).zip(open.get_mut(&seen.level)) {
                add(&mut open.e2e, span.cell(found.receipt.started_us), &seen.e2e);
            }
        }
    })?;
    for (level, span) in &spans {
        let rows: Vec<&SecondRow> = evidence.seconds.iter().filter(|row| row.level == *level).collect();
        if let Some(open) = open.get_mut(level) {
            open.traffic = traffic(span, &rows);
        }
    }
    let mut cells =
        |level: &LevelEvidence| open.remove(&level.index).map_or_else(LevelCells::default, closed);
    Ok(evidence.tests.iter().map(|test| test.levels.iter().map(&mut cells).collect()).collect())
}

fn add(latencies: &mut Latencies, cell: u64, histogram: &Histogram<u64>) {
    let cell = latencies.entry(cell).or_default();
    for value in histogram.iter_recorded() {
        *cell.entry(value.value_iterated_to()).or_default() += value.count_at_value();
    }
}

/// The whole seconds of a level, those in which nothing happened as well, up to the last that was counted. A second that
/// the level shares with another says nothing of its rate.
fn traffic(span: &Span, rows: &[&SecondRow]) -> BTreeMap<u64, Traffic> {
    let mut traffic: BTreeMap<u64, Traffic> = BTreeMap::new();
    let is_whole = |from_us: WallUs| from_us >= span.start_us && from_us + 1_000_000 <= span.end_us;
    let last_us = rows.iter().map(|row| row.at_ms * 1_000).max().unwrap_or(WallUs::MIN);
    let first_us = span.start_us - span.start_us.rem_euclid(1_000_000);
    for at_us in (first_us..=last_us.min(span.end_us)).step_by(1_000_000).filter(|at_us| is_whole(*at_us)) {
        traffic.entry(span.cell(at_us)).or_default().seconds += 1;
    }
    for row in rows.iter().filter(|row| is_whole(row.at_ms * 1_000)) {
        let cell = traffic.entry(span.cell(row.at_ms * 1_000)).or_default();
        cell.acked += row.acked;
        cell.failed += row.failed;
        cell.throttled += row.throttled;
    }
    traffic
}

fn closed(open: Open) -> LevelCells {
    let sparse = |latencies: Latencies| -> Vec<Counts> {
        let cells = latencies.into_values().map(|cell| cell.into_iter().collect::<Counts>());
        cells.filter(|cell| !cell.is_empty()).collect()
    };
    LevelCells {
        put_latency: sparse(open.put_latency),
        service_time: sparse(open.service_time),
        e2e: sparse(open.e2e),
        traffic: open.traffic.into_values().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::evidence::hlog;
    use crate::verdict::fixture::{START_US, evidence};

    /// The fixture's second level holds 10/s for 300 s, from 30 s after the start: cells of three seconds.
    #[test]
    fn neighbours_are_taken_together_and_other_levels_apart() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut log = hlog::header(START_US, "20261121-100000-k3f9").into_bytes();
        let mut one = hlog::histogram();
        one.record_n(2_000, 10).expect("in range");
        let mut line = |level, metric, second| {
            let (start, length) = (Duration::from_secs(second), Duration::from_secs(1));
            log.extend(hlog::interval(level, metric, start, length, &one));
        };
        for second in 30..330 {
            line(1, LoadMetric::PutLatency, second);
        }
        line(1, LoadMetric::GeneratorLag, 30);
        line(2, LoadMetric::ServiceTime, 340);
        std::fs::write(dir.path().join("run.json"), "{}").expect("write");
        std::fs::write(dir.path().join("intervals.hlog"), &log).expect("write");
        let mut evidence = evidence();
        let row = |second: i64, acked| SecondRow {
            at_ms: START_US / 1_000 + second * 1_000,
            level: 1,
            acked,
            ..SecondRow::default()
        };
        // Nothing was answered between 32 s and 38 s: those seconds count all the same.
        evidence.seconds = vec![row(30, 10), row(31, 11), row(38, 12)];
        let cells = read(dir.path(), &evidence).expect("read");
        let hold = &cells[0][1];
        assert_eq!(hold.put_latency.len(), 100);
        assert!(hold.put_latency.iter().all(|cell| *cell == [(2_000, 30)]), "{:?}", hold.put_latency[0]);
        assert_eq!((hold.service_time.len(), hold.e2e.len()), (0, 0));
        let told: Vec<(u64, u64)> = hold.traffic.iter().map(|cell| (cell.seconds, cell.acked)).collect();
        assert_eq!(told, [(3, 21), (3, 0), (3, 12)]);
        assert_eq!(cells[0][2].service_time, [vec![(2_000, 10)]]);
        assert_eq!(cells[0][0], LevelCells::default());
    }
}
