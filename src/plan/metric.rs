//! The metrics that a criterion may name: one table that the grammar, `docs/metrics.md` and the verdict share.

use super::model::{Flag, FlagAction, Metric, Op, Stat, StreamMode, Unit};

const ALL_STATS: &[Stat] = &[Stat::P50, Stat::P95, Stat::P99, Stat::P999, Stat::Avg, Stat::Max];
const AVG_AND_MAX: &[Stat] = &[Stat::Avg, Stat::Max];
const NO_STATS: &[Stat] = &[];

/// Of windows: what the best and the worst of a minute have is not a level that could drift or recover.
const LEVEL_STATS: &[Stat] = &[Stat::P50, Stat::P95, Stat::P99, Stat::Avg];
const WORST_WINDOW: &[Stat] = &[Stat::Min];

struct Row {
    metric: Metric,
    name: &'static str,
    unit: Unit,
    stats: &'static [Stat],
    meaning: &'static str,
    per_level: bool,
}

const fn row(
    metric: Metric,
    name: &'static str,
    unit: Unit,
    stats: &'static [Stat],
    per_level: bool,
    meaning: &'static str,
) -> Row {
    Row { metric, name, unit, stats, meaning, per_level }
}

#[rustfmt::skip]
const TABLE: [Row; 35] = [
    row(Metric::SuccessRate, "success_rate", Unit::Percent, NO_STATS, true, "records acked, retries included / sent"),
    row(Metric::FirstTryRate, "first_try_rate", Unit::Percent, NO_STATS, true, "records acked at the first attempt / sent"),
    row(Metric::ErrorRate, "error_rate", Unit::Percent, NO_STATS, true, "records failed for good / sent"),
    row(Metric::PutLatency, "put_latency", Unit::Milliseconds, ALL_STATS, true, "from when a record was due until it was acked"),
    row(Metric::ServiceTime, "service_time", Unit::Milliseconds, ALL_STATS, true, "from when an attempt was sent until it was answered"),
    row(Metric::E2eLatency, "e2e_latency", Unit::Milliseconds, ALL_STATS, true, "from when a record was due until the function (or the sink) was done with it"),
    row(Metric::StreamWait, "stream_wait", Unit::Milliseconds, ALL_STATS, true, "from the arrival in the stream until the function started"),
    row(Metric::FunctionDuration, "function_duration", Unit::Milliseconds, ALL_STATS, true, "from the function's start until it was done with the record"),
    row(Metric::SinkLatency, "sink_latency", Unit::Milliseconds, ALL_STATS, true, "time in the sink"),
    row(Metric::Throttles, "throttles", Unit::Count, NO_STATS, false, "refusals for throughput that the client saw, retried or not"),
    row(Metric::ReadThrottles, "read_throttles", Unit::Count, NO_STATS, false, "refused reads of the stream (CloudWatch)"),
    row(Metric::LambdaThrottles, "lambda_throttles", Unit::Count, NO_STATS, false, "refused invocations (CloudWatch)"),
    row(Metric::LambdaErrors, "lambda_errors", Unit::Count, NO_STATS, false, "failed invocations (CloudWatch)"),
    row(Metric::IteratorAge, "iterator_age", Unit::Milliseconds, AVG_AND_MAX, false, "age of the last record of a batch when its function starts (as AWS counts it): the larger of receipts and CloudWatch"),
    row(Metric::Lost, "lost", Unit::Count, NO_STATS, false, "acked, drained, never seen, not dead-lettered, confirmed absent"),
    row(Metric::Unconfirmed, "unconfirmed", Unit::Count, NO_STATS, false, "acked, not seen, and not yet provably lost"),
    row(Metric::Duplicates, "duplicates", Unit::Count, NO_STATS, false, "seen more than once, whether put twice or delivered twice"),
    row(Metric::OutOfOrder, "out_of_order", Unit::Count, NO_STATS, false, "first seen after a later record of the same partition key"),
    row(Metric::DeadLettered, "dead_lettered", Unit::Count, NO_STATS, false, "sent to the on-failure destination"),
    row(Metric::ThroughputRatio, "throughput_ratio", Unit::Percent, WORST_WINDOW, true, "achieved rate / target rate; `.min`: in the worst 10 s window"),
    row(Metric::ColdStartRate, "cold_start_rate", Unit::Percent, NO_STATS, true, "cold starts / invocations"),
    row(Metric::MemoryUsed, "memory_used", Unit::Percent, NO_STATS, false, "the function's highest memory use / its memory"),
    row(Metric::DlqDepth, "dlq_depth", Unit::Count, NO_STATS, false, "the most messages that were in the on-failure queue, asked every 10 s and by CloudWatch"),
    row(Metric::GeneratorLag, "generator_lag", Unit::Milliseconds, ALL_STATS, true, "from when a record was due until the generator had it ready to send"),
    row(Metric::CostPerMillion, "cost_per_million", Unit::Usd, NO_STATS, false, "the pipeline's cost of a million delivered records"),
    row(Metric::DrainTime, "drain_time", Unit::Seconds, NO_STATS, false, "from the last record sent until the last acked one was processed or dead-lettered; after an action, from asking for its revert until the backlog was processed and the iterator age back: the longest of them"),
    row(Metric::DriftPutLatency, "drift(put_latency)", Unit::Percent, LEVEL_STATS, false, "change over the longest hold: Theil-Sen slope of the windows, 95 % interval by block bootstrap (docs/statistics.md)"),
    row(Metric::DriftE2eLatency, "drift(e2e_latency)", Unit::Percent, LEVEL_STATS, false, "the same, end to end"),
    row(Metric::DriftThroughput, "drift(throughput)", Unit::Percent, NO_STATS, false, "the same, of achieved / target"),
    row(Metric::DriftMemoryUsed, "drift(memory_used)", Unit::Percent, NO_STATS, false, "the same, of the function's memory"),
    row(Metric::DriftGeneratorMemory, "drift(generator_memory)", Unit::Percent, NO_STATS, false, "the same, of the generator's resident memory"),
    row(Metric::RecoveryPutLatency, "recovery(put_latency)", Unit::Seconds, LEVEL_STATS, false, "from the end of the spike until six 10 s windows on end are inside the band of the 60 s before it (docs/statistics.md)"),
    row(Metric::RecoveryE2eLatency, "recovery(e2e_latency)", Unit::Seconds, LEVEL_STATS, false, "the same, end to end"),
    row(Metric::ScalingTime, "scaling_time", Unit::Seconds, NO_STATS, false, "from the end of a ramp upwards until the iterator age stays under 1 s for 30 s on end; the worst ramp"),
    row(Metric::CloudwatchCostRatio, "cloudwatch_cost_ratio", Unit::Percent, NO_STATS, false, "what CloudWatch and its logs cost in this run / what was forecast for its tests"),
];

impl Metric {
    /// Every metric, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Metric> {
        TABLE.iter().map(|row| row.metric)
    }

    fn row(self) -> &'static Row {
        TABLE.iter().find(|row| row.metric == self).expect("a test finds every metric in the table")
    }

    /// Whether a criterion may leave the statistic out: it then means the whole.
    pub fn stat_is_optional(self) -> bool {
        self.stats() == WORST_WINDOW
    }

    /// A change: it holds below a threshold, or not, and has a direction that does not count.
    pub fn is_drift(self) -> bool {
        self.name().starts_with("drift(")
    }

    /// As a criterion writes it, with the statistic where it belongs: `put_latency.p95`,
    /// `drift(put_latency.p95)`.
    pub fn with_stat(self, stat: Option<Stat>) -> String {
        let name = self.name();
        match (stat, name.strip_suffix(')')) {
            (None, _) => name.to_owned(),
            (Some(stat), Some(open)) => format!("{open}.{})", stat.as_str()),
            (Some(stat), None) => format!("{name}.{}", stat.as_str()),
        }
    }

    /// As a criterion writes it, without the statistic.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    pub fn from_name(name: &str) -> Option<Metric> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.metric)
    }

    /// The unit of [`super::Criterion::threshold`] and of what is compared with it.
    pub fn unit(self) -> Unit {
        self.row().unit
    }

    /// The statistics that it takes, one of which a criterion must name; empty: it takes none.
    pub fn stats(self) -> &'static [Stat] {
        self.row().stats
    }

    /// One line for documentation and reports.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// True: must hold on every judged level. False: a counter or a maximum over the whole test.
    pub fn is_per_level(self) -> bool {
        self.row().per_level
    }
}

impl Unit {
    /// As it is written after a threshold; empty for counts.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Percent => "%",
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Count => "",
            Unit::Usd => "USD",
        }
    }
}

impl Stat {
    pub fn as_str(self) -> &'static str {
        match self {
            Stat::P50 => "p50",
            Stat::P95 => "p95",
            Stat::P99 => "p99",
            Stat::P999 => "p999",
            Stat::Avg => "avg",
            Stat::Max => "max",
            Stat::Min => "min",
        }
    }
}

impl Op {
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Less => "<",
            Op::LessOrEqual => "<=",
            Op::Greater => ">",
            Op::GreaterOrEqual => ">=",
            Op::Equal => "==",
        }
    }
}

impl Flag {
    pub const ALL: [Flag; 8] = [
        Flag::IteratorAgeGrowing,
        Flag::LambdaThrottles,
        Flag::WriteThroughputExceeded,
        Flag::ReadThroughputExceeded,
        Flag::ErrorRate,
        Flag::LambdaDuration,
        Flag::DlqFilling,
        Flag::Memory,
    ];

    /// As the plan's `flags:` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::IteratorAgeGrowing => "iterator_age_growing",
            Flag::LambdaThrottles => "lambda_throttles",
            Flag::WriteThroughputExceeded => "write_throughput_exceeded",
            Flag::ReadThroughputExceeded => "read_throughput_exceeded",
            Flag::ErrorRate => "error_rate",
            Flag::LambdaDuration => "lambda_duration",
            Flag::DlqFilling => "dlq_filling",
            Flag::Memory => "memory",
        }
    }
}

impl FlagAction {
    pub fn as_str(self) -> &'static str {
        match self {
            FlagAction::Note => "note",
            FlagAction::Stop => "stop",
        }
    }
}

impl StreamMode {
    /// As CloudFormation's parameters and the reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            StreamMode::Provisioned => "provisioned",
            StreamMode::OnDemand => "on-demand",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_metric_once_under_a_name_of_its_own() {
        for (i, metric) in Metric::all().enumerate() {
            assert_eq!(Metric::from_name(metric.name()), Some(metric));
            assert_eq!(metric as usize, i, "{} stands in the order of the enum", metric.name());
        }
        assert_eq!(
            Metric::all().count(),
            Metric::CloudwatchCostRatio as usize + 1,
            "the last metric of the enum"
        );
    }
}
