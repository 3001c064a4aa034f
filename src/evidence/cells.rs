//! A level cut into cells of equal length: what differences between two runs are resampled from.

use std::collections::BTreeMap;
use std::path::Path;

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
            let recorded = interval.histogram.iter_recorded();
            let counts = recorded.map(|value| (value.value_iterated_to(), value.count_at_value()));
            add(latencies, span.cell(interval.middle_us), counts);
        }
    })?;
    let index = ReceiptIndex::read(&dir.receipts_jsonl(), notes, |_| {})?;
    index.each(&dir.receipts_jsonl(), |found| {
        for seen in found.receipt.levels.iter().filter(|seen| seen.level != PROBE_LEVEL) {
            if let Some((span, open)) = spans.get(&seen.level).zip(open.get_mut(&seen.level)) {
                add(&mut open.e2e, span.cell(found.receipt.started_us), seen.e2e.iter());
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

fn add(latencies: &mut Latencies, cell: u64, counts: impl Iterator<Item = (u64, u64)>) {
    let cell = latencies.entry(cell).or_default();
    for (latency_us, count) in counts {
        *cell.entry(latency_us).or_default() += count;
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
