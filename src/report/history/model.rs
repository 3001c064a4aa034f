//! What a history comes to. Its schema is `schemas/history-v1.schema.json`. Numbers are as the reports have them; what was
//! not measured is null.

use schemars::JsonSchema;
use serde::Serialize;

use crate::verdict::compare::Worse;

/// The value of `schema`.
pub const SCHEMA: &str = "streamgauge/history/v1";

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    pub plan: String,
    pub target: String,
    pub environment: String,
    /// Such as `put_latency.p95`.
    pub figure: String,
    /// `ms`, `s`, `/s`, `%`, `USD`; empty for counts.
    pub unit: String,
    pub worse: Worse,
    /// Id of the run that `streamgauge baseline` named.
    pub baseline: Option<String>,
    /// One for each level that is shown.
    pub series: Vec<Series>,
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Id of the test.
    pub test: String,
    /// Null for a figure of the whole test.
    pub level: Option<String>,
    /// One for each run, the oldest first.
    pub runs: Vec<Place>,
}

/// One run in a series.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub run: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub tool_version: String,
    pub is_baseline: bool,
    /// What the run has otherwise than the one before it, such as `plan hash: 0bbc... -> 77fe...`.
    pub changed: Vec<String>,
    pub value: Option<f64>,
    /// Why there is no value.
    pub reason: Option<String>,
    /// Against the run before it that has a value.
    pub difference: Option<f64>,
    pub percent: Option<f64>,
}
