//! What a month would cost at steady rates, from what was measured.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use crate::cost::{self, LAMBDA_LOG_BYTES_PER_INVOCATION, Mode, PriceBook, ProjectInput};
use crate::report::model::{Exact, LevelReport};
use crate::report::text::{count, number, plural, rate, rounded};

use super::build::telling;
use super::complete::{ProjectionBasis, ProjectionRow, Projections};
use super::input::{Gathered, Part, Placed};

/// The rates that a complete report projects, records/s.
const RATES_PER_S: [u32; 3] = [100, 500, 1_000];

/// A judged level that measured all that a projection needs.
struct Source<'g> {
    placed: Placed<'g>,
    level: &'g LevelReport,
    rps: f64,
    record_bytes: u64,
    records_per_invocation: u64,
    billed_ms: Decimal,
}

/// The month at each of the rates, provisioned and on-demand, from the judged levels nearest to them.
///
/// # Errors
/// Why nothing that was measured can carry a projection.
pub(super) fn project(gathered: &Gathered) -> Result<Projections, String> {
    let sources: Vec<Source<'_>> = gathered.results().flat_map(sources_of).collect();
    let Some(sources) = of_main_payload(sources) else {
        return Err(
            "no judged level has records an invocation, the size of its records and billed time".to_owned()
        );
    };
    let book = &sources[0].placed.part.book;
    let region = &sources[0].placed.part.model.run.region;
    if book.region != *region {
        return Err(format!("the price book is of {}, the runs were in {region}", book.region));
    }
    let (mut basis, mut rows) = (Vec::new(), Vec::new());
    for rate_per_s in RATES_PER_S {
        let nearest = sources.iter().min_by(|a, b| {
            // By ratio: from 50 to 100 is as far as from 200 to 100. Of equal ones the newer.
            let far = |source: &Source<'_>| (source.rps / f64::from(rate_per_s)).ln().abs();
            far(a).total_cmp(&far(b)).then_with(|| b.level.started_at.cmp(&a.level.started_at))
        });
        let Some(source) = nearest else { continue };
        basis.push(basis_of(source, rate_per_s));
        rows.extend(rows_of(source, rate_per_s, book));
    }
    Ok(Projections {
        currency: book.currency.clone(),
        prices_as_of: book.as_of.clone(),
        hours: Exact(book.hours_per_month),
        assumptions: assumptions(&basis),
        basis,
        rows,
    })
}

fn sources_of(placed: Placed<'_>) -> Vec<Source<'_>> {
    let Some(billed_ms) = billed_ms(placed.part) else { return Vec::new() };
    let levels = placed.test.levels.iter().enumerate();
    let is_telling = |level: &LevelReport| telling(placed.test).any(|other| std::ptr::eq(other, level));
    levels
        .filter(|(_, level)| level.kind == "hold" && is_telling(level))
        .filter_map(|(index, level)| {
            let rps = level.target_rps.filter(|rps| *rps > 0.0)?;
            let sizes = &placed.part.record_bytes;
            let (_, _, bytes) = sizes.iter().find(|(id, at, _)| *id == placed.test.id && *at == index)?;
            let batch = level.records_per_invocation?.round().max(1.0) as u64;
            let record_bytes = bytes.round() as u64;
            Some(Source { placed, level, rps, record_bytes, records_per_invocation: batch, billed_ms })
        })
        .collect()
}

/// Mean billed milliseconds of an invocation of the run, to the hundredth.
fn billed_ms(part: &Part) -> Option<Decimal> {
    let usage = &part.usage;
    let mean = Decimal::from(usage.billed_ms).checked_div(Decimal::from(usage.invocations))?;
    (!mean.is_zero()).then(|| mean.round_dp(2).normalize())
}

/// The levels of the payload that was judged most often, the largest of those that come out alike: rates can only be
/// compared at one size.
fn of_main_payload(mut sources: Vec<Source<'_>>) -> Option<Vec<Source<'_>>> {
    // A level that was beyond the pipeline has the batches of a backlog: it counts only where there is no other.
    if sources.iter().any(carried) {
        sources.retain(carried);
    }
    let mut judged: BTreeMap<u64, usize> = BTreeMap::new();
    for source in &sources {
        *judged.entry(source.placed.test.payload.bytes).or_default() += 1;
    }
    let (main, _) = judged.into_iter().max_by_key(|(bytes, number)| (*number, *bytes))?;
    Some(sources.into_iter().filter(|source| source.placed.test.payload.bytes == main).collect())
}

fn carried(source: &Source<'_>) -> bool {
    source.level.failed == Some(0) && source.level.throttled == Some(0)
}

fn basis_of(source: &Source<'_>, rate_per_s: u32) -> ProjectionBasis {
    let function = &source.placed.part.model.environment.function;
    ProjectionBasis {
        rate_per_s,
        level: format!("{} / {}", source.placed.test.id, source.level.name),
        level_rps: source.rps,
        run: source.placed.part.id().to_owned(),
        record_bytes: source.record_bytes,
        records_per_invocation: source.records_per_invocation,
        billed_ms_per_invocation: f64::try_from(source.billed_ms).ok().and_then(rounded).unwrap_or(0.0),
        memory_mb: function.memory_mb,
        architecture: function.architecture.clone(),
    }
}

fn rows_of(source: &Source<'_>, rate_per_s: u32, book: &PriceBook) -> Vec<ProjectionRow> {
    let function = &source.placed.part.model.environment.function;
    let usage = &source.placed.part.usage;
    let log_bytes = usage.log_bytes.checked_div(usage.invocations).filter(|_| usage.log_bytes_measured);
    let input = ProjectInput {
        rates_per_s: vec![Decimal::from(rate_per_s)],
        records_per_invocation: vec![source.records_per_invocation],
        record_bytes: source.record_bytes,
        memory_mb: function.memory_mb,
        duration_ms: source.billed_ms,
        shards: None,
        hours: book.hours_per_month,
        architecture: function.architecture.clone(),
        log_bytes_per_invocation: log_bytes.unwrap_or(LAMBDA_LOG_BYTES_PER_INVOCATION),
        egress_bytes_per_record: 0,
    };
    let projected = cost::project(&input, book);
    // Advantage is a commitment of the whole account: `streamgauge cost project` has it.
    let modes = projected.into_iter().filter(|row| row.mode != Mode::OnDemandAdvantage);
    modes
        .map(|row| {
            let even = row.shards.and_then(|shards| cost::break_even(shards, source.record_bytes, book));
            ProjectionRow {
                rate_per_s,
                mode: row.mode.as_str().to_owned(),
                shards: row.shards,
                monthly: Exact(row.total.round_dp(4).normalize()),
                incomplete: row.lines.incomplete,
                per_million: row.per_million_records.map(Exact),
                on_demand_below_per_s: even.and_then(|even| even.on_demand_below_per_s).map(Exact),
            }
        })
        .collect()
}

fn assumptions(basis: &[ProjectionBasis]) -> Vec<String> {
    let mut list: Vec<String> = basis
        .iter()
        .map(|basis| {
            format!(
                "{} records/s as test {} in run {}: records of {} bytes (keys included), {} an invocation, {} ms \
                 billed an invocation (the mean of the run), {} MB, {}",
                count(basis.rate_per_s.into()),
                basis.level,
                basis.run,
                count(basis.record_bytes),
                plural(basis.records_per_invocation, "record"),
                number(basis.billed_ms_per_invocation),
                basis.memory_mb,
                basis.architecture
            )
        })
        .collect();
    for basis in
        basis.iter().filter(|basis| Decimal::from_f64(basis.level_rps) != Some(basis.rate_per_s.into()))
    {
        list.push(format!(
            "that batches and their billed time are at {} records/s what they were at {}: not measured there",
            count(basis.rate_per_s.into()),
            rate(basis.level_rps)
        ));
    }
    list.push("provisioned: as few shards as take the rate and its bytes, without reserve".to_owned());
    list.push("no sink, no traffic to the internet, and no free tier".to_owned());
    list
}
