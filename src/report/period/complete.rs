//! What only the report of a whole campaign has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::model::{CriterionReport, Exact};

use super::model::PlacedBreakingPoint;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// By payload and rate; only what was tested.
    pub profile: Vec<ProfileCell>,
    pub breaking_points: Vec<PlacedBreakingPoint>,
    /// Criteria on how steady the pipeline was: drifts with their intervals, recovery, scaling, the worst window.
    pub stability: Vec<Stability>,
    /// Null where nothing measured can carry it; then `projections_missing` says why.
    pub projections: Option<Projections>,
    pub projections_missing: Option<String>,
    pub production: Production,
    /// The campaign before this one, of the same plan on the same environment.
    pub earlier: Option<Earlier>,
}

/// The worst hold of one payload at one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileCell {
    pub payload: String,
    pub bytes: u64,
    pub rate_rps: f64,
    pub put_p95_ms: Option<f64>,
    pub success_percent: Option<f64>,
    /// Every level of the cell is void: the generator was the limit.
    pub void: bool,
    /// The levels that fall into the cell, such as `1.1 / 50/s hold`; the figures are those of the worst.
    pub levels: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stability {
    pub test: String,
    pub run: String,
    pub criterion: CriterionReport,
}

/// What a month would cost at steady rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Projections {
    pub currency: String,
    pub prices_as_of: String,
    pub hours: Exact,
    /// The measured level behind each rate.
    pub basis: Vec<ProjectionBasis>,
    pub rows: Vec<ProjectionRow>,
    pub assumptions: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectionBasis {
    pub rate_per_s: u32,
    /// Such as `1.2 / 100/s hold`.
    pub level: String,
    pub level_rps: f64,
    pub run: String,
    pub record_bytes: u64,
    pub records_per_invocation: u64,
    /// Mean of the run.
    pub billed_ms_per_invocation: f64,
    pub memory_mb: u32,
    pub architecture: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectionRow {
    pub rate_per_s: u32,
    /// `provisioned` or `on-demand`.
    pub mode: String,
    /// Null on demand.
    pub shards: Option<u32>,
    pub monthly: Exact,
    /// A line is unpriced: `monthly` is a lower bound.
    pub incomplete: bool,
    pub per_million: Option<Exact>,
    /// Of provisioned rows: average records/s below which on-demand is cheaper than these shards; null: never.
    pub on_demand_below_per_s: Option<Exact>,
}

/// The configuration that the evidence speaks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Production {
    /// The plan's `expected_peak`; null without one.
    pub expected_rps: Option<f64>,
    pub settings: Vec<Setting>,
    /// Of the changes together; null where one has no known cost.
    pub monthly_cost_of_changes: Option<Exact>,
    /// What it rests on, and up to where, in words.
    pub statements: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub name: String,
    /// As it was measured; null where the environment does not tell.
    pub now: Option<String>,
    pub recommended: String,
    /// Null where nothing asks for a change.
    pub why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Earlier {
    pub runs: Vec<String>,
    /// The plan's text was the same.
    pub same_plan: bool,
    /// Tests with a result in both.
    pub tests: Vec<EarlierTest>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlierTest {
    pub id: String,
    pub then_run: String,
    pub now_run: String,
    /// The test was defined as it is now, and the environment too.
    pub same_definition: bool,
    pub put_p95_ms: Pair,
    pub success_percent: Pair,
    pub cost_per_million: MoneyPair,
}

/// A figure then and now. A plain difference: whether it is noise, `streamgauge compare` says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub then: Option<f64>,
    pub now: Option<f64>,
    /// (now - then) / then; null where one is missing or then is zero.
    pub difference_percent: Option<f64>,
}

/// The same of money, USD.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneyPair {
    pub then: Option<Exact>,
    pub now: Option<Exact>,
    pub difference_percent: Option<f64>,
}
