//! What a month of a setting costs at a steady rate, where the rehearsal carried that rate.

use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use crate::cost::{self, LAMBDA_LOG_BYTES_PER_INVOCATION, Mode, PriceBook, ProjectInput};
use crate::evidence::model::{Evidence, LevelEvidence};
use crate::report::model::{LevelReport, ReportModel};
use crate::report::text::rate;

/// The month at `peak_rps` with the shards and the memory that stood.
///
/// # Errors
/// Why nothing that was rehearsed can carry it.
pub(super) fn at(
    peak_rps: Option<f64>,
    evidence: &Evidence,
    book: &PriceBook,
    model: &ReportModel,
) -> Result<Decimal, String> {
    let peak_rps = peak_rps.ok_or("the tests ask for no rate")?;
    if book.region != model.run.region {
        return Err(format!(
            "the price book is of {}, the rehearsal was in {}",
            book.region, model.run.region
        ));
    }
    let carried_rps = model.known_up_to_rps.unwrap_or(0.0);
    if carried_rps < peak_rps {
        return Err(format!("no judged level carried {}/s without a finding", rate(peak_rps)));
    }
    let (level, record_bytes) = nearest(peak_rps, evidence, model)
        .ok_or("no judged level has a rate, batches and the size of its records")?;
    let usage = &evidence.usage;
    let billed_ms = Decimal::from(usage.billed_ms).checked_div(Decimal::from(usage.invocations));
    let log_bytes = usage.log_bytes.checked_div(usage.invocations).filter(|_| usage.log_bytes_measured);
    let (stream, function) = (&model.environment.stream, &model.environment.function);
    let input = ProjectInput {
        rates_per_s: vec![Decimal::from_f64(peak_rps).ok_or("the rate is no number")?],
        records_per_invocation: vec![level.records_per_invocation.unwrap_or(1.0).round().max(1.0) as u64],
        record_bytes,
        memory_mb: function.memory_mb,
        duration_ms: billed_ms.filter(|ms| !ms.is_zero()).ok_or("nothing was billed")?.round_dp(2),
        shards: Some(stream.shards),
        hours: book.hours_per_month,
        architecture: function.architecture.clone(),
        log_bytes_per_invocation: log_bytes.unwrap_or(LAMBDA_LOG_BYTES_PER_INVOCATION),
        egress_bytes_per_record: 0,
    };
    let is_its_mode = |mode: Mode| mode.as_str() == stream.mode;
    let row = cost::project(&input, book).into_iter().find(|row| is_its_mode(row.mode));
    let row = row.ok_or_else(|| format!("there is no projection for a stream that is {}", stream.mode))?;
    if row.lines.incomplete {
        return Err("a price is missing".to_owned());
    }
    Ok(row.total.round_dp(2))
}

/// The judged level whose rate is nearest to `rps` by ratio, with the bytes of its records.
fn nearest<'m>(rps: f64, evidence: &Evidence, model: &'m ReportModel) -> Option<(&'m LevelReport, u64)> {
    let tests = model.tests.iter().zip(&evidence.tests);
    let levels = tests.flat_map(|(test, from)| test.levels.iter().zip(&from.levels));
    let telling = levels.filter(|(level, _)| level.judged && level.finished && level.void.is_none());
    let complete = telling.filter_map(|(level, from)| {
        level.records_per_invocation?;
        let far = (level.target_rps.filter(|target| *target > 0.0)? / rps).ln().abs();
        Some((far, level, record_bytes(from)?))
    });
    let nearest = complete.min_by(|one, other| one.0.total_cmp(&other.0))?;
    Some((nearest.1, nearest.2))
}

/// Mean bytes of a level's acked records, keys included.
fn record_bytes(level: &LevelEvidence) -> Option<u64> {
    level.put?.bytes.checked_div(level.acked).filter(|bytes| *bytes > 0)
}
