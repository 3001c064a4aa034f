//! What a month costs at a steady rate, mode by mode, every component as a line.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;

use crate::platform::limits;

use super::book::{PriceBook, PriceId};
use super::lines::{Lines, gb, rounded};
use super::price::{duration_price, gb_seconds};

/// Bytes a second in, and as many out, that on-demand Advantage bills at least: 25 MiB/s. AWS Big Data
/// Blog, 2026-03-09. A commitment of the whole account, so Advantage is only ever compared.
const ADVANTAGE_MINIMUM_BYTES_PER_S: u64 = 25 * 1_048_576;

/// Bytes that Lambda itself writes to the log for one invocation: its START, END and REPORT lines, each
/// with the 26 bytes an event that CloudWatch Logs adds.
pub const LAMBDA_LOG_BYTES_PER_INVOCATION: u64 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Provisioned,
    OnDemand,
    OnDemandAdvantage,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Provisioned => "provisioned",
            Mode::OnDemand => "on-demand",
            Mode::OnDemandAdvantage => "on-demand-advantage",
        }
    }
}

/// A steady load. Each rate is combined with each number of records an invocation.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectInput {
    pub rates_per_s: Vec<Decimal>,
    pub records_per_invocation: Vec<u64>,
    pub record_bytes: u64,
    pub memory_mb: u32,
    /// Billed milliseconds of one invocation, whatever its batch: measure it, it grows with the batch.
    pub duration_ms: Decimal,
    /// `None`: as few as take the rate and its bytes.
    pub shards: Option<u32>,
    pub hours: Decimal,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    pub log_bytes_per_invocation: u64,
    /// Bytes a record that leave for the internet, to a sink such as BigQuery; 0 is none.
    pub egress_bytes_per_record: u64,
}

impl Default for ProjectInput {
    /// 100 records/s of 1 KB in full batches of 100 on a 512 MB function, for 730 h.
    fn default() -> ProjectInput {
        ProjectInput {
            rates_per_s: vec![Decimal::from(100u32)],
            records_per_invocation: vec![100],
            record_bytes: 1_024,
            memory_mb: 512,
            duration_ms: Decimal::from(100u32),
            shards: None,
            hours: Decimal::from(730u32),
            architecture: "x86_64".to_owned(),
            log_bytes_per_invocation: LAMBDA_LOG_BYTES_PER_INVOCATION,
            egress_bytes_per_record: 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProjectRow {
    pub rate_per_s: Decimal,
    pub records_per_invocation: u64,
    pub mode: Mode,
    /// Only in provisioned mode.
    pub shards: Option<u32>,
    pub lines: Lines,
    /// Kinesis and Lambda alone, what most estimates speak of; `None` while one of their lines is unpriced.
    pub kinesis_lambda_total: Option<Decimal>,
    /// All lines; a lower bound while `lines.incomplete`.
    pub total: Decimal,
    pub per_million_records: Option<Decimal>,
}

/// Rows by rate, then records an invocation, then mode.
pub fn project(input: &ProjectInput, book: &PriceBook) -> Vec<ProjectRow> {
    let mut rows = Vec::new();
    for rate_per_s in &input.rates_per_s {
        for records_per_invocation in &input.records_per_invocation {
            for mode in [Mode::Provisioned, Mode::OnDemand, Mode::OnDemandAdvantage] {
                rows.push(row(input, book, *rate_per_s, (*records_per_invocation).max(1), mode));
            }
        }
    }
    rows
}

fn row(
    input: &ProjectInput,
    book: &PriceBook,
    rate_per_s: Decimal,
    records_per_invocation: u64,
    mode: Mode,
) -> ProjectRow {
    let records = rate_per_s * input.hours * Decimal::from(3_600u32);
    let shards = input.shards.unwrap_or_else(|| shards_for(rate_per_s, input.record_bytes));
    let mut lines = Lines::default();
    match mode {
        Mode::Provisioned => provisioned(&mut lines, input, book, records, shards),
        Mode::OnDemand => on_demand(&mut lines, input, book, records),
        Mode::OnDemandAdvantage => advantage(&mut lines, input, book, records),
    }
    function(&mut lines, input, book, records / Decimal::from(records_per_invocation));
    if input.egress_bytes_per_record > 0 {
        let quantity = gb(records * Decimal::from(input.egress_bytes_per_record));
        let basis = format!("{} bytes a record to the internet", input.egress_bytes_per_record);
        lines.add_tiered(book, PriceId::InternetEgressGb, "egress", quantity, &basis);
    }
    ProjectRow {
        rate_per_s,
        records_per_invocation,
        mode,
        shards: (mode == Mode::Provisioned).then_some(shards),
        kinesis_lambda_total: lines.total_of(&["Kinesis", "Lambda"]),
        total: lines.total,
        per_million_records: records.to_u64().and_then(|records| lines.per_million(records)),
        lines,
    }
}

fn provisioned(lines: &mut Lines, input: &ProjectInput, book: &PriceBook, records: Decimal, shards: u32) {
    let shard_hours = Decimal::from(shards) * input.hours;
    let basis = format!("{shards} x {} h", input.hours.normalize());
    lines.add(Some(book), PriceId::KinesisShardHour, "shard hours", shard_hours, basis);
    let each = input.record_bytes.div_ceil(limits::PUT_PAYLOAD_UNIT_BYTES).max(1);
    let basis = format!("{} records x {each} unit(s) of 25 KB", records.normalize());
    let units = records * Decimal::from(each);
    lines.add(Some(book), PriceId::KinesisPutPayloadUnit, "PUT payload units", units, basis);
}

fn on_demand(lines: &mut Lines, input: &ProjectInput, book: &PriceBook, records: Decimal) {
    let id = PriceId::KinesisOnDemandStreamHour;
    lines.add(Some(book), id, "stream hours", input.hours, "1 stream".to_owned());
    let data_in = gb(records * rounded_to_1k(input.record_bytes));
    let basis = "each record rounded up to 1 KB".to_owned();
    lines.add(Some(book), PriceId::KinesisOnDemandInGb, "data in", data_in, basis);
    let data_out = gb(records * Decimal::from(input.record_bytes));
    let basis = "read once, by the function".to_owned();
    lines.add(Some(book), PriceId::KinesisOnDemandOutGb, "data out", data_out, basis);
}

fn advantage(lines: &mut Lines, input: &ProjectInput, book: &PriceBook, records: Decimal) {
    let seconds = input.hours * Decimal::from(3_600u32);
    let minimum = gb(seconds * Decimal::from(ADVANTAGE_MINIMUM_BYTES_PER_S));
    let data_in = gb(records * rounded_to_1k(input.record_bytes));
    let data_out = gb(records * Decimal::from(input.record_bytes));
    for (id, item, used) in [
        (PriceId::KinesisAdvantageInGb, "data in", data_in),
        (PriceId::KinesisAdvantageOutGb, "data out", data_out),
    ] {
        let basis = if used < minimum {
            format!("the commitment of 25 MiB/s; {} GB used", rounded(used, 3))
        } else {
            "above the commitment of 25 MiB/s".to_owned()
        };
        lines.add(Some(book), id, item, used.max(minimum), basis);
    }
}

fn function(lines: &mut Lines, input: &ProjectInput, book: &PriceBook, invocations: Decimal) {
    let basis = "records / records an invocation";
    lines.add_tiered(book, PriceId::LambdaRequest, "requests", invocations, basis);
    let (id, name) = duration_price(&input.architecture);
    let quantity = gb_seconds(input.memory_mb, invocations * input.duration_ms);
    let basis = format!("{} ms x {} MB an invocation", input.duration_ms.normalize(), input.memory_mb);
    lines.add_tiered(book, id, &format!("duration ({name})"), quantity, &basis);
    if input.log_bytes_per_invocation > 0 {
        let bytes = invocations * Decimal::from(input.log_bytes_per_invocation);
        let basis = format!("assumed: {} bytes an invocation", input.log_bytes_per_invocation);
        lines.add_tiered(book, PriceId::CloudwatchLambdaLogsGb, "function logs", gb(bytes), &basis);
    }
}

/// Shards that a rate and its bytes need at least: 1,000 records/s and 1 MiB/s each.
fn shards_for(rate_per_s: Decimal, record_bytes: u64) -> u32 {
    let by_records = rate_per_s / Decimal::from(limits::SHARD_WRITE_RECORDS_PER_S);
    let by_bytes = rate_per_s * Decimal::from(record_bytes) / Decimal::from(limits::SHARD_WRITE_BYTES_PER_S);
    by_records.max(by_bytes).ceil().to_u32().unwrap_or(u32::MAX).max(1)
}

fn rounded_to_1k(bytes: u64) -> Decimal {
    Decimal::from(bytes.div_ceil(1_024).max(1) * 1_024)
}

/// What `shards` cost a month of `book.hours_per_month`; `None` where the book has no price for a shard.
pub fn monthly_cost_of_shards(shards: u32, book: &PriceBook) -> Option<Decimal> {
    let price = book.get(PriceId::KinesisShardHour)?;
    Some((Decimal::from(shards) * book.hours_per_month * price.unit_price()).normalize())
}

/// Where the modes break even, for records of one size. Lambda is the same in all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BreakEven {
    /// Shards paid for, used or not: sized for the peak.
    pub shards: u32,
    /// Average records/s below which on-demand is cheaper than these shards; `None`: provisioned always is.
    pub on_demand_below_per_s: Option<Decimal>,
    /// Average records/s from which Advantage is cheaper than on-demand, as the account's only stream.
    pub advantage_above_per_s: Option<Decimal>,
}

/// Solves for the average rates. On-demand pays by the byte, shards are paid by the hour: on-demand wins
/// where the average is far below the peak that the shards are sized for.
///
/// `None` where the book lacks a price for it.
pub fn break_even(shards: u32, record_bytes: u64, book: &PriceBook) -> Option<BreakEven> {
    let unit = |id| book.get(id).map(|price| price.unit_price());
    let second = Decimal::from(3_600u32);
    let shard_per_s = unit(PriceId::KinesisShardHour)? / second;
    let stream_per_s = unit(PriceId::KinesisOnDemandStreamHour)? / second;
    let units = record_bytes.div_ceil(limits::PUT_PAYLOAD_UNIT_BYTES).max(1);
    let put_each = unit(PriceId::KinesisPutPayloadUnit)? * Decimal::from(units);
    let (gb_in, gb_out) = (gb(rounded_to_1k(record_bytes)), gb(Decimal::from(record_bytes)));
    let on_demand_each =
        gb_in * unit(PriceId::KinesisOnDemandInGb)? + gb_out * unit(PriceId::KinesisOnDemandOutGb)?;
    let minimum_per_s = gb(Decimal::from(ADVANTAGE_MINIMUM_BYTES_PER_S))
        * (unit(PriceId::KinesisAdvantageInGb)? + unit(PriceId::KinesisAdvantageOutGb)?);

    // shards x s + r x put = stream + r x on_demand, solved for r.
    let fixed = Decimal::from(shards) * shard_per_s - stream_per_s;
    let below = fixed.checked_div(on_demand_each - put_each).filter(|rate| *rate > Decimal::ZERO);
    let above = (minimum_per_s - stream_per_s).checked_div(on_demand_each);
    Some(BreakEven {
        shards,
        on_demand_below_per_s: below.map(|rate| rounded(rate, 1)),
        advantage_above_per_s: above.map(|rate| rounded(rate, 1)),
    })
}
