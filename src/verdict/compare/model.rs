//! What a comparison comes to: plain data, and as it is `compare-<A>-<B>.json`, whose schema is
//! `schemas/compare-v1.schema.json`. Numbers are rounded to three decimals, costs to six; what is not known is null.

use schemars::JsonSchema;
use serde::Serialize;

use super::figure::Worse;
use crate::verdict::Verdict;

/// The value of `schema`.
pub const SCHEMA: &str = "streamgauge/compare/v1";

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    pub before: RunBrief,
    pub after: RunBrief,
    /// The run before is the one that `streamgauge baseline` named.
    pub is_baseline: bool,
    /// What `--fail-on` allows, percent; null without it.
    pub fail_on_percent: Option<f64>,
    /// Null without `--fail-on`: a difference alone is neither good nor bad.
    pub verdict: Option<Verdict>,
    /// What failed, the worst first.
    pub regressions: Vec<Regression>,
    /// Why a judged level could not be judged, with `--fail-on`.
    pub inconclusive: Vec<String>,
    /// Settings that differ; empty: none does.
    pub configuration: Vec<Difference>,
    /// What was changed in the plan, a line each; empty where nothing was, or where a plan cannot be read.
    pub plan_changes: Vec<String>,
    pub earlier_runs: EarlierRuns,
    pub tests: Vec<TestChange>,
    /// Levels that only one of the runs has.
    pub unmatched: Vec<Unmatched>,
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBrief {
    pub id: String,
    pub plan: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub target: String,
    pub tool_version: String,
    /// `completed`, `killed`, or why it was stopped early.
    pub end: String,
    /// Rehearsed in virtual time: its figures are predicted, not measured.
    pub rehearsal: bool,
    /// What a rehearsal rests on, a sentence each; empty for a run.
    pub assumptions: Vec<String>,
    pub verdict: Option<Verdict>,
    /// Why the run gives no intervals; null where it does.
    pub without_intervals: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Such as `environment.stream.shards`.
    pub setting: String,
    pub before: String,
    pub after: String,
}

/// Finished runs with the plan and the configuration of the run before: how far a figure moves although nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlierRuns {
    /// Ids, the run before among them.
    pub runs: Vec<String>,
    /// They are enough, and every figure's `earlier_range` is theirs.
    pub used: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestChange {
    pub id: String,
    pub name: String,
    /// Of the test as a whole.
    pub figures: Vec<FigureChange>,
    pub levels: Vec<LevelChange>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelChange {
    pub name: String,
    /// Which of the levels of this name in the test, from 1.
    pub occurrence: usize,
    /// Criteria judge it, in both runs.
    pub judged: bool,
    /// Why no figure of it can be compared; null when they can. There are no figures then.
    pub not_comparable: Option<String>,
    /// Why nothing is concluded from its figures: void, or not finished.
    pub doubt: Option<String>,
    pub figures: Vec<FigureChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Larger than the noise within the runs.
    Larger,
    /// The interval holds zero, or the difference is too small to be told.
    WithinNoise,
    /// Larger than the noise within the runs, but earlier runs alike differed as much.
    WithinEarlier,
    /// The same to the last digit.
    Unchanged,
    NotKnown,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FigureChange {
    /// Such as `put_latency.p95`.
    pub figure: String,
    /// `ms`, `s`, `/s`, `%`, `USD`; empty for counts.
    pub unit: String,
    pub worse: Worse,
    pub before: Option<f64>,
    pub after: Option<f64>,
    /// After less before, in the unit.
    pub difference: Option<f64>,
    /// Of before; null where that is zero.
    pub percent: Option<f64>,
    /// The true difference lies between these two with 95 % confidence, as far as noise within the runs goes.
    pub interval: Option<[f64; 2]>,
    /// The same in percent of before.
    pub interval_percent: Option<[f64; 2]>,
    /// Least and most of the earlier runs alike.
    pub earlier_range: Option<[f64; 2]>,
    pub says: Says,
    /// Why it says so, where that is not the interval.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    pub test: String,
    /// Name of the level.
    pub level: String,
    pub figure: String,
    /// By how much it got worse; null where it was zero before.
    pub percent: Option<f64>,
    /// One sentence with the numbers.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unmatched {
    pub test: String,
    pub level: String,
    pub occurrence: usize,
    /// `before` or `after`.
    #[schemars(extend("enum" = ["before", "after"]))]
    pub only_in: String,
    pub judged: bool,
}

impl Comparison {
    /// What the columns are called: a rehearsal beside a run is a prediction beside what was measured.
    pub fn columns(&self) -> [&'static str; 2] {
        match (self.before.rehearsal, self.after.rehearsal) {
            (true, false) => ["predicted", "measured"],
            (false, true) => ["measured", "predicted"],
            _ => ["before", "after"],
        }
    }

    /// Each figure that changed by more than the noise: test, level, change. Level by level.
    pub fn larger(&self) -> impl Iterator<Item = (&TestChange, &LevelChange, &FigureChange)> {
        let levels = self.tests.iter().flat_map(|test| test.levels.iter().map(move |level| (test, level)));
        levels
            .flat_map(|(test, level)| level.figures.iter().map(move |figure| (test, level, figure)))
            .filter(|(_, _, figure)| figure.says == Says::Larger)
    }
}

impl LevelChange {
    /// Its name, numbered from the second of that name on.
    pub fn title(&self) -> String {
        titled(&self.name, self.occurrence)
    }
}

impl Unmatched {
    /// As [`LevelChange::title`].
    pub fn title(&self) -> String {
        titled(&self.level, self.occurrence)
    }
}

fn titled(name: &str, occurrence: usize) -> String {
    if occurrence > 1 { format!("{name} ({occurrence})") } else { name.to_owned() }
}

impl FigureChange {
    /// By how many percent it got worse; negative when it got better. `None` without a direction, or from zero.
    pub fn worsening_percent(&self) -> Option<f64> {
        match self.worse {
            Worse::Higher => self.percent,
            Worse::Lower => self.percent.map(|percent| -percent),
            Worse::Neither => None,
        }
    }

    /// Whether it got worse at all; `None` without a direction or a difference.
    pub fn is_worse(&self) -> Option<bool> {
        let difference = self.difference.filter(|difference| *difference != 0.0)?;
        match self.worse {
            Worse::Higher => Some(difference > 0.0),
            Worse::Lower => Some(difference < 0.0),
            Worse::Neither => None,
        }
    }
}
