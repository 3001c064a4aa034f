//! The one model of a period report: a day, a week or a whole campaign. Serialized it is the period's JSON file; its
//! schema is `schemas/period-v1.schema.json`.
//!
//! As in `report.json`, numbers are rounded to three decimals, money is a decimal string, what was not measured is null.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::model::{BreakingPointReport, CriterionReport, Exact, TestReport};
use crate::verdict::Verdict;

use super::complete::Complete;

/// The value of `schema`.
pub const SCHEMA: &str = "streamgauge/period/v1";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodModel {
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    pub period: PeriodHead,
    /// The executive summary: plain sentences, worked out from verdicts and findings.
    pub summary: Vec<String>,
    /// In the order of the plan; of a day in the order in which they started.
    pub tests: Vec<PeriodTest>,
    /// The runs that hold these tests, oldest first.
    pub runs: Vec<PeriodRun>,
    /// What was out of the ordinary, by time.
    pub observations: Vec<Observation>,
    /// Errors, refusals and failures, by test.
    pub issues: Vec<Issue>,
    /// Findings grouped by what limits, the one that begins at the lowest rate first.
    pub bottlenecks: Vec<Bottleneck>,
    /// The changes that the findings ask for, each once.
    pub recommendations: Vec<Recommendation>,
    /// The highest rate that each run carried without a finding.
    pub known_up_to: Vec<KnownRate>,
    /// Tests that have no result that holds yet, and those of the week after.
    pub next: Vec<NextTest>,
    pub cost: PeriodCost,
    /// Null for a day and a week.
    pub complete: Option<Complete>,
    /// Remarks: runs that could not be read, changes of the plan, and the runs' own notes.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Day,
    Week,
    Campaign,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodHead {
    pub kind: Kind,
    /// Of the plan; null unless it is a week.
    pub week: Option<u32>,
    /// Such as `2026-11-21`, in UTC; null unless it is a day.
    pub day: Option<String>,
    /// Name of the plan.
    pub plan: String,
    pub plan_hash: String,
    /// Name of the environment.
    pub environment: String,
    pub target: String,
    /// Null where no run of it could be read.
    pub region: Option<String>,
    /// When the first of the tests began, RFC 3339 in UTC; null where none did.
    pub started_at: Option<String>,
    /// When the last of them ended; null where none did.
    pub ended_at: Option<String>,
    /// The worst of the tests' and of the runs' whose tests are all here. A test that has not finished is inconclusive.
    pub verdict: Verdict,
    /// How many of `tests` finished.
    pub finished: u32,
}

impl PeriodHead {
    /// `Week 2 of weekly`.
    pub fn title(&self) -> String {
        match (self.kind, self.week, &self.day) {
            (Kind::Week, Some(week), _) => format!("Week {week} of {}", self.plan),
            (Kind::Day, _, Some(day)) => format!("{} on {day}", self.plan),
            _ => format!("{}, the whole campaign", self.plan),
        }
    }
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Finished,
    Running,
    Interrupted,
    /// It finished, and the plan was changed since.
    Outdated,
    NotRun,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Finished => "finished",
            State::Running => "running",
            State::Interrupted => "interrupted",
            State::Outdated => "outdated",
            State::NotRun => "not run",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodTest {
    pub id: String,
    pub name: String,
    /// Week of the plan; null where the plan does not have the test any more.
    pub week: Option<u32>,
    pub state: State,
    /// The run that holds its result; null where it was not run.
    pub run: Option<String>,
    /// Null where there is no result.
    pub verdict: Option<Verdict>,
    pub figures: Figures,
    /// What the pipeline cost for its records, USD: the sum of its levels' cost per million x delivered records. Null where
    /// a level has none.
    pub cost: Option<Exact>,
    /// The whole result as in `report.json`; null where it was not run or its run cannot be read.
    pub report: Option<TestReport>,
}

/// The worst of a test's judged levels that finished and are not void; null where none has the figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// The highest rate that was reached, records/s: the best, not the worst.
    pub achieved_rps: Option<f64>,
    pub put_p95_ms: Option<f64>,
    pub e2e_p95_ms: Option<f64>,
    pub success_percent: Option<f64>,
    pub iterator_age_ms_max: Option<f64>,
    pub cost_per_million: Option<Exact>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodRun {
    pub id: String,
    pub started_at: String,
    pub ended_at: Option<String>,
    /// As in `report.json`.
    pub end: String,
    pub tool_version: String,
    /// Faults planted on purpose.
    pub faults: Vec<String>,
    /// Ids of all the tests that it began.
    pub tests: Vec<String>,
    /// Those of them whose result in this report is of this run.
    pub tests_here: Vec<String>,
    /// The plan's criteria on the whole run.
    pub criteria: Vec<CriterionReport>,
    /// Whether `criteria` count here: only where all the tests of the run are here.
    pub counted: bool,
    /// Of all its tests.
    pub pipeline_total: Exact,
    pub test_total: Exact,
    /// A line is unpriced: the totals are lower bounds.
    pub incomplete: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// RFC 3339, UTC; null where no time is known.
    pub at: Option<String>,
    pub test: Option<String>,
    pub run: String,
    /// `flag`, `void`, `in_flight_limited`, `blocked_shard`, `drift`, `breaking_point`, `action`, `stopped` or `faults`.
    pub kind: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    pub test: String,
    pub run: String,
    /// Null where it is of the whole test.
    pub level: Option<String>,
    /// Such as `failed: throttled`, `refusals`, `lost`, `dead-lettered`, `criterion failed`.
    pub what: String,
    /// Records, attempts or invocations; null for a criterion.
    pub count: Option<u64>,
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bottleneck {
    /// As the findings name it.
    pub limit: String,
    /// The lowest rate at which it began, records/s.
    pub from_rps: Option<f64>,
    /// When it was first seen, RFC 3339.
    pub at: Option<String>,
    /// Ids of the tests that show it.
    pub tests: Vec<String>,
    pub findings: u32,
    /// Of the finding that begins at the lowest rate.
    pub explanation: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// Such as `shards 1 -> 2`.
    pub change: String,
    /// USD; null where it is not known.
    pub monthly_cost: Option<Exact>,
    /// What it moves.
    pub limit: String,
    pub from_rps: Option<f64>,
    pub tests: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownRate {
    pub run: String,
    pub rps: f64,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextTest {
    pub id: String,
    pub name: String,
    pub week: u32,
    pub why: String,
    pub command: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodCost {
    /// Null without a run.
    pub currency: Option<String>,
    /// Of all `runs`, their tests outside this period included.
    pub pipeline_total: Exact,
    pub test_total: Exact,
    pub incomplete: bool,
    /// Of the tests here alone; null where one has none.
    pub of_tests: Option<Exact>,
    /// Cheapest and dearest judged level, USD per million records; null where none has a cost.
    pub per_million: Option<[Exact; 2]>,
}

/// A breaking point and where it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacedBreakingPoint {
    pub test: String,
    pub run: String,
    pub found: BreakingPointReport,
}
