//! Measured use times prices.

use rust_decimal::Decimal;

use crate::evidence::model::{BilledBasis, LevelEvidence, PutBytes, Usage};
use crate::platform::limits;

use super::book::{PriceBook, PriceId};
use super::lines::{Lines, gb, hours, rounded};

/// What a run cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The prices that it was made with.
    pub book: PriceBook,
    /// What production would pay for the same load.
    pub pipeline: Lines,
    /// What only the measuring cost.
    pub test: Lines,
    /// Pipeline total over delivered records x 1,000,000; `None` without delivered records. A lower bound
    /// while `pipeline.incomplete`.
    pub per_million_records: Option<Decimal>,
}

impl Cost {
    /// Pipeline and test together.
    pub fn total(&self) -> Decimal {
        self.pipeline.total + self.test.total
    }
}

/// Hours that every stream keeps its data without extra charge. Kinesis pricing page.
const RETENTION_FREE_HOURS: u32 = 24;
/// Hours after which retention is long-term (7 days). Kinesis pricing page.
const RETENTION_EXTENDED_HOURS: u32 = 168;

/// Prices measured use. Where `usage.region` is not the book's every line is unpriced, never zero.
pub fn price(usage: &Usage, book: &PriceBook) -> Cost {
    let prices = Some(book).filter(|book| book.region == usage.region);
    let mut pipeline = Lines::default();
    if usage.stream_mode == "on-demand" {
        on_demand_lines(&mut pipeline, usage, prices, book.hours_per_month);
    } else {
        provisioned_lines(&mut pipeline, usage, prices, book.hours_per_month);
    }
    lambda_lines(&mut pipeline, usage, prices);
    if usage.dlq_requests > 0 {
        let basis = "requests on the on-failure queue".to_owned();
        pipeline.add(
            prices,
            PriceId::SqsStandardRequest,
            "on-failure queue",
            usage.dlq_requests.into(),
            basis,
        );
    }
    let per_million_records = pipeline.per_million(usage.delivered);
    Cost {
        book: book.clone(),
        pipeline,
        test: test_lines(usage, prices, book.hours_per_month),
        per_million_records,
    }
}

fn provisioned_lines(lines: &mut Lines, usage: &Usage, book: Option<&PriceBook>, hours_per_month: Decimal) {
    let shard_hours = Decimal::from(usage.shards) * hours(usage.load_window_s);
    let basis = format!("{} x {} h of load", count(usage.shards, "shard"), shown_hours(usage.load_window_s));
    lines.add(book, PriceId::KinesisShardHour, "shard hours", shard_hours, basis.clone());
    let each = format!("{} acked records, each rounded up to 25 KB by itself", usage.records);
    lines.add(
        book,
        PriceId::KinesisPutPayloadUnit,
        "PUT payload units",
        usage.put_payload_units.into(),
        each,
    );
    if usage.retention_hours > RETENTION_FREE_HOURS {
        let id = PriceId::KinesisExtendedRetentionShardHour;
        let basis = format!("{basis}, retention {} h", usage.retention_hours);
        lines.add(book, id, "extended retention", shard_hours, basis);
    }
    let id = PriceId::KinesisLongTermRetentionGbMonth;
    long_term_line(lines, usage, book, hours_per_month, id);
}

fn on_demand_lines(lines: &mut Lines, usage: &Usage, book: Option<&PriceBook>, hours_per_month: Decimal) {
    let basis = format!("1 stream x {} h of load", shown_hours(usage.load_window_s));
    let id = PriceId::KinesisOnDemandStreamHour;
    lines.add(book, id, "stream hours", hours(usage.load_window_s), basis);
    let basis = format!("{} acked records, each rounded up to 1 KB", usage.records);
    let data_in = gb(usage.bytes_in_rounded_1k.into());
    lines.add(book, PriceId::KinesisOnDemandInGb, "data in", data_in, basis);
    let basis = "bytes in, assumed to be read once, by the function".to_owned();
    lines.add(book, PriceId::KinesisOnDemandOutGb, "data out", gb(usage.bytes_in.into()), basis);
    if usage.retention_hours > RETENTION_FREE_HOURS {
        let kept = usage.retention_hours.min(RETENTION_EXTENDED_HOURS) - RETENTION_FREE_HOURS;
        let gb_months = gb(usage.bytes_in.into()) * Decimal::from(kept) / hours_per_month;
        let id = PriceId::KinesisOnDemandExtendedRetentionGbMonth;
        lines.add(
            book,
            id,
            "extended retention",
            gb_months,
            format!("bytes in kept for {kept} h beyond 24 h"),
        );
    }
    let id = PriceId::KinesisOnDemandLongTermRetentionGbMonth;
    long_term_line(lines, usage, book, hours_per_month, id);
}

fn long_term_line(
    lines: &mut Lines,
    usage: &Usage,
    book: Option<&PriceBook>,
    hours_per_month: Decimal,
    id: PriceId,
) {
    if usage.retention_hours > RETENTION_EXTENDED_HOURS {
        let kept = usage.retention_hours - RETENTION_EXTENDED_HOURS;
        let gb_months = gb(usage.bytes_in.into()) * Decimal::from(kept) / hours_per_month;
        lines.add(
            book,
            id,
            "long-term retention",
            gb_months,
            format!("bytes in kept for {kept} h beyond 7 days"),
        );
    }
}

fn lambda_lines(lines: &mut Lines, usage: &Usage, book: Option<&PriceBook>) {
    let basis = "invocations measured".to_owned();
    lines.add(book, PriceId::LambdaRequest, "requests", usage.invocations.into(), basis);
    let (id, name) = duration_price(&usage.architecture);
    let measured = match usage.billed_basis {
        BilledBasis::ReportLines => "billed in the REPORT lines, INIT and sending the receipt included",
        BilledBasis::Estimate => "estimate from durations + 0.5 ms an invocation, INIT missing",
    };
    let known = if usage.architecture.is_empty() { "; architecture not known, priced as x86" } else { "" };
    let basis = format!("{} ms x {} MB {measured}{known}", usage.billed_ms, usage.memory_mb);
    let gb_seconds = gb_seconds(usage.memory_mb, usage.billed_ms.into());
    lines.add(book, id, &format!("duration ({name})"), gb_seconds, basis);
    let measured = if usage.log_bytes_measured { "measured" } else { "estimate" };
    let basis = format!("{} bytes ingested, {measured}", usage.log_bytes);
    lines.add(book, PriceId::CloudwatchLambdaLogsGb, "function logs", gb(usage.log_bytes.into()), basis);
}

/// GB-seconds of `ms` milliseconds at `memory_mb`: Lambda counts 1,024 MB as a GB.
pub(super) fn gb_seconds(memory_mb: u32, ms: Decimal) -> Decimal {
    Decimal::from(memory_mb) * ms / Decimal::from(1_024_000u32)
}

/// The price of a GB-second on an architecture, and the architecture's short name.
pub(super) fn duration_price(architecture: &str) -> (PriceId, &'static str) {
    match architecture {
        "arm64" => (PriceId::LambdaDurationArmGbSecond, "arm"),
        _ => (PriceId::LambdaDurationX86GbSecond, "x86"),
    }
}

fn test_lines(usage: &Usage, book: Option<&PriceBook>, hours_per_month: Decimal) -> Lines {
    let mut lines = Lines::default();
    let idle_s = (usage.standing_s - usage.load_window_s).max(0.0);
    let around = format!("{} h standing before and after the load", shown_hours(idle_s));
    if usage.stream_mode == "on-demand" {
        let id = PriceId::KinesisOnDemandStreamHour;
        lines.add(book, id, "stream standing idle", hours(idle_s), around);
    } else {
        let shard_hours = Decimal::from(usage.shards) * hours(idle_s);
        let basis = format!("{} x {around}", count(usage.shards, "shard"));
        lines.add(book, PriceId::KinesisShardHour, "shards standing idle", shard_hours, basis.clone());
        if usage.retention_hours > RETENTION_FREE_HOURS {
            let id = PriceId::KinesisExtendedRetentionShardHour;
            lines.add(book, id, "extended retention standing idle", shard_hours, basis);
        }
    }
    let basis = "sent, received and deleted, in 64 KB chunks".to_owned();
    lines.add(book, PriceId::SqsStandardRequest, "receipts", usage.sqs_requests.into(), basis);
    let basis = "metrics asked for, not calls".to_owned();
    let id = PriceId::CloudwatchMetricRequested;
    lines.add(book, id, "GetMetricData", usage.metrics_requested.into(), basis);
    let stood = shown_hours(usage.standing_s);
    let monthly = [
        (PriceId::CloudwatchAlarmMonth, "alarms", usage.alarms),
        (PriceId::CloudwatchDashboardMonth, "dashboards", usage.dashboards),
        (PriceId::CloudwatchCustomMetricMonth, "custom metrics", usage.custom_metrics),
    ];
    for (id, item, number) in monthly.into_iter().filter(|(_, _, number)| *number > 0) {
        let months = Decimal::from(number) * hours(usage.standing_s) / hours_per_month;
        let basis = format!("{number} x {stood} h of {hours_per_month} h a month");
        lines.add(book, id, item, months, basis);
    }
    lines
}

/// What a million records cost on one level: shard hours of the level, its PUT payload units, and its
/// share of the function's billed time and log by invocations. `None` where the level did not finish,
/// delivered nothing, or something in it has no price. `payload_bytes` counts where the level does not say what was sent.
pub fn level_per_million(
    usage: &Usage,
    level: &LevelEvidence,
    payload_bytes: usize,
    book: &PriceBook,
) -> Option<Decimal> {
    if !level.finished || level.delivery.delivered == 0 {
        return None;
    }
    let planned = PutBytes {
        bytes: level.acked * payload_bytes as u64,
        bytes_rounded_1k: level.acked * (payload_bytes as u64).div_ceil(1_024).max(1) * 1_024,
        put_payload_units: level.acked
            * (payload_bytes as u64).div_ceil(limits::PUT_PAYLOAD_UNIT_BYTES).max(1),
    };
    let put = level.put.unwrap_or(planned);
    let share = |whole: u64| {
        let part = u128::from(whole) * u128::from(level.invocations);
        part.checked_div(u128::from(usage.invocations)).map_or(0, |share| share as u64)
    };
    let level_usage = Usage {
        load_window_s: level.planned_s,
        standing_s: level.planned_s,
        records: level.acked,
        delivered: level.delivery.delivered,
        put_payload_units: put.put_payload_units,
        bytes_in: put.bytes,
        bytes_in_rounded_1k: put.bytes_rounded_1k,
        invocations: level.invocations,
        billed_ms: share(usage.billed_ms),
        log_bytes: share(usage.log_bytes),
        dlq_requests: 0,
        ..usage.clone()
    };
    let cost = price(&level_usage, book);
    cost.per_million_records.filter(|_| !cost.pipeline.incomplete)
}

fn shown_hours(seconds: f64) -> Decimal {
    rounded(hours(seconds), 4)
}

fn count(number: u32, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
