//! What a grid of rehearsals comes to. Its schema is `schemas/whatif-v1.schema.json`. Numbers are as the reports have them;
//! what was not rehearsed, or cannot be said, is null.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::model::Exact;
use crate::verdict::Verdict;

/// The value of `schema`.
pub const SCHEMA: &str = "streamgauge/whatif/v1";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The same for the same plan, settings and seed.
    pub id: String,
    /// Name of the plan.
    pub plan: String,
    /// SHA-256 of the plan's text as it stands, hex; each rehearsal has that of its own.
    pub plan_hash: String,
    /// Ids of the tests that were rehearsed.
    pub tests: Vec<String>,
    pub region: String,
    pub tool_version: String,
    pub currency: String,
    pub prices_as_of: String,
    /// The keys that were set, as a plan has them, in the order of the command line.
    pub keys: Vec<String>,
    /// Criteria of the rehearsed tests and of the plan. Settings do not change them.
    pub criteria: u64,
    /// The rate of `monthly`, records/s: the plan's `expected_peak`, else the highest judged rate.
    pub monthly_at_rps: Option<f64>,
    /// What it comes to, in sentences.
    pub summary: Vec<String>,
    /// The cheapest that meet every criterion first, then those that could not be judged, then those that do not meet them.
    pub settings: Vec<Row>,
    /// What all figures rest on in place of a measurement, a clause each.
    pub assumptions: Vec<String>,
}

/// One combination of settings: one rehearsal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// A value for each of `keys`.
    pub values: Vec<String>,
    pub outcome: Outcome,
    /// Which criterion failed first or could not be judged, or why there is no rehearsal; null where all were met.
    pub why: Option<String>,
    /// Id of the rehearsal; null where there is none.
    pub run: Option<String>,
    /// Its report, relative to this document.
    pub report: Option<String>,
    pub verdict: Option<Verdict>,
    /// Of the pipeline, USD for a million delivered records over the whole rehearsal.
    pub cost_per_million: Option<Exact>,
    /// A price is missing: the cost is a lower bound.
    pub cost_incomplete: bool,
    /// The highest level that criteria judge, which the two latencies are of: `test / level`.
    pub level: Option<String>,
    /// From the due time until the function was done.
    pub e2e_p99_ms: Option<f64>,
    /// From the due time until the ack.
    pub put_p99_ms: Option<f64>,
    /// Where the load, rising, broke the pipeline; null where it did not, or did not rise through several rates.
    pub breaking_point: Option<Broke>,
    /// The first finding's limit and rate where there is no breaking point; null where nothing was found.
    pub limit: Option<Broke>,
    /// The highest judged rate that was carried without a finding, records/s.
    pub carried_up_to_rps: Option<f64>,
    /// Puts that the stream refused.
    pub throttled: Option<u64>,
    pub iterator_age_ms_max: Option<f64>,
    /// The pipeline for a month at `monthly_at_rps`, USD.
    pub monthly: Option<Exact>,
    /// Why there is none.
    pub monthly_reason: Option<String>,
}

/// What gave way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Broke {
    /// Records/s; null where a finding has no rate.
    pub rps: Option<f64>,
    /// The limit, as findings name it.
    pub first: String,
}

/// Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every criterion passed, and there is at least one.
    Meets,
    /// A criterion could not be judged, or there is none.
    Open,
    /// A criterion failed.
    Fails,
    /// It was stopped before its end, or could not be rehearsed to it.
    Ended,
    /// It had not begun when the grid was stopped.
    NotBegun,
}

impl Outcome {
    /// As `whatif.json` has it.
    pub fn key(self) -> &'static str {
        match self {
            Outcome::Meets => "meets",
            Outcome::Open => "open",
            Outcome::Fails => "fails",
            Outcome::Ended => "ended",
            Outcome::NotBegun => "not_begun",
        }
    }

    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Meets => "meets all",
            Outcome::Open => "not judged",
            Outcome::Fails => "fails",
            Outcome::Ended => "no result",
            Outcome::NotBegun => "not begun",
        }
    }
}
