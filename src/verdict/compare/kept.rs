//! A run as its `report.json` has it: what comparisons and histories read of it. Lenient, so that reports of older and
//! newer versions are read as far as they go: a key that is missing is a figure that was not measured.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use serde_json::Value;

use crate::verdict::Verdict;

/// The beginning of `schema` in every report that this can read.
pub const SCHEMA_PREFIX: &str = "streamgauge/report/v1";

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptRun {
    pub schema: String,
    pub run: KeptHead,
    /// As it stands: every leaf of it is a setting.
    pub environment: Value,
    pub tests: Vec<KeptTest>,
    pub cost: KeptCost,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptHead {
    pub id: String,
    pub plan: String,
    pub plan_hash: String,
    pub target: String,
    pub region: String,
    pub host: String,
    pub tool_version: String,
    pub started_at: String,
    /// `completed`, `killed`, or why it was stopped early.
    pub end: String,
    pub rehearsal: bool,
    pub assumptions: Vec<String>,
    pub faults: Vec<String>,
    pub verdict: Option<Verdict>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptCost {
    pub prices_as_of: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptTest {
    pub id: String,
    pub name: String,
    pub payload: KeptPayload,
    pub finished: bool,
    pub drain_s: Option<f64>,
    pub actions: Vec<KeptAction>,
    pub levels: Vec<KeptLevel>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptAction {
    /// `None`: it was not carried out, or never caught up.
    pub catch_up_s: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptPayload {
    pub bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptLevel {
    pub name: String,
    /// `hold`, `ramp` or `replay`.
    pub kind: String,
    /// Of a closed loop.
    pub users: Option<Value>,
    pub target_rps: Option<f64>,
    pub achieved_rps: Option<f64>,
    pub started_at: Option<String>,
    pub duration_s: f64,
    pub finished: bool,
    pub judged: bool,
    pub throttled: Option<u64>,
    pub success_percent: Option<f64>,
    pub void: Option<String>,
    pub put_latency_ms: Option<KeptLatency>,
    pub service_time_ms: Option<KeptLatency>,
    pub e2e_latency_ms: Option<KeptLatency>,
    pub iterator_age_ms_max: Option<f64>,
    pub records_per_invocation: Option<f64>,
    pub delivery: Option<KeptDelivery>,
    pub cost_per_million: Option<Decimal>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptLatency {
    pub count: u64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptDelivery {
    pub lost: Option<u64>,
    pub duplicated: KeptDuplicated,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeptDuplicated {
    pub producer: u64,
    pub redelivery: u64,
}

impl KeptRun {
    /// Reads a `report.json`.
    ///
    /// # Errors
    /// It is no JSON, or no report of a format that this version knows: why, in words.
    pub fn parse(json: &[u8]) -> Result<KeptRun, String> {
        let kept: KeptRun = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        kept.known()
    }

    /// As [`KeptRun::parse`], of a report that is in memory.
    ///
    /// # Errors
    /// As [`KeptRun::parse`].
    pub fn from_value(value: Value) -> Result<KeptRun, String> {
        let kept: KeptRun = serde_json::from_value(value).map_err(|error| error.to_string())?;
        kept.known()
    }

    fn known(self) -> Result<KeptRun, String> {
        let rest = self.schema.strip_prefix(SCHEMA_PREFIX);
        // `v1`, or `v1` and a point with what was only added to it.
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            return Ok(self);
        }
        let found = if self.schema.is_empty() { "no 'schema'" } else { &self.schema };
        Err(format!("found {found}, expected {SCHEMA_PREFIX}"))
    }

    pub fn is_complete(&self) -> bool {
        self.run.end == "completed"
    }

    /// Name of the environment that it ran on.
    pub fn environment_name(&self) -> &str {
        self.environment.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

impl KeptTest {
    /// As the criterion `drain_time`: the longest of the drain after the load and of each action's catching up.
    pub fn drain_time_s(&self) -> Option<f64> {
        let longest = |longest: f64, action: &KeptAction| Some(longest.max(action.catch_up_s?));
        self.actions.iter().try_fold(self.drain_s?, longest)
    }

    /// Which of the levels of this name the one at `index` is, from 0: a plan may hold the same rate twice.
    pub fn occurrence(&self, index: usize) -> usize {
        let name = self.levels.get(index).map(|level| &level.name);
        self.levels.iter().take(index).filter(|level| Some(&level.name) == name).count()
    }

    /// The level of this name, and its index.
    pub fn level(&self, name: &str, occurrence: usize) -> Option<(usize, &KeptLevel)> {
        self.levels.iter().enumerate().filter(|(_, level)| level.name == name).nth(occurrence)
    }
}

impl KeptLevel {
    /// USD, for a difference; the exact amount is in the report.
    pub fn cost_usd(&self) -> Option<f64> {
        self.cost_per_million.and_then(|cost| cost.to_f64())
    }
}
