//! What was pulled from CloudWatch and the function's log after the load: the content of `metrics.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::MetricSeries;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pulled {
    /// `Some(reason)` when the sums never agreed with the acks and the receipts within the bound.
    pub unsettled: Option<String>,
    /// Window that was asked for, ms since the epoch.
    pub from_ms: i64,
    pub to_ms: i64,
    /// Key such as `kinesis.IncomingRecords.Sum`.
    pub series: BTreeMap<String, MetricSeries>,
    /// Metrics asked of GetMetricData, over all calls: what AWS bills.
    pub metrics_requested: u64,
    /// From the function's REPORT lines; `None` when the log could not be read.
    pub reports: Option<ReportLines>,
    /// Messages visible in the on-failure queue at the end.
    pub dlq_depth: Option<u64>,
    pub notes: Vec<String>,
}

/// Sums over the function's REPORT lines in the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportLines {
    pub invocations: u64,
    /// Billed Duration, INIT included as Lambda prints it, ms.
    pub billed_ms: u64,
    pub init_ms: f64,
    pub cold_starts: u64,
    pub memory_size_mb: u32,
    pub max_memory_used_mb: u32,
    /// Bytes that CloudWatch Logs bills: each event's message plus 26.
    pub log_bytes: u64,
}
