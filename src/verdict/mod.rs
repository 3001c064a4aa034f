//! Verdict: criteria against evidence, and findings: what limits the pipeline and what would move it. Pure.
//!
//! A criterion **passes**, **fails**, or is **inconclusive**; inconclusive is never softened into a pass.
//! Latency and rate criteria must hold on every judged level: the holds, or the ramps of a test without
//! holds. Counters and maxima are taken over the whole test.

pub mod compare;
mod criteria;
mod drain;
mod findings;
#[cfg(test)]
pub(crate) mod fixture;
mod gaps;
mod measure;
pub mod recovery;
mod statistics;
#[cfg(test)]
mod tests;
mod windows;
#[cfg(test)]
mod windows_tests;

use std::fmt;

use crate::cost::Cost;
use crate::evidence::model::{Evidence, RunEnd, TestEvidence};
use crate::plan::Unit;

pub use findings::{
    BreakingPoint, Change, EvidenceItem, Finding, Findings, KnownUpTo, Limit, breaking_point, findings,
};
pub use measure::{judged_levels, mean_target_rps, percentile_needs_samples};

/// Ordered from best to worst: the verdict of many is their maximum.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Inconclusive,
    Fail,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of one criterion.
#[derive(Clone, Debug, PartialEq)]
pub struct CriterionVerdict {
    pub text: String,
    pub verdict: Verdict,
    /// The worst judged level's value, or that of the whole test; `None` where nothing was measured.
    pub observed: Option<f64>,
    /// Of an estimate: the true value lies between these with 95 % confidence.
    pub interval: Option<(f64, f64)>,
    pub threshold: f64,
    pub unit: Unit,
    /// In words: which level decided, or why nothing could be decided.
    pub reason: String,
    /// Name of the level that decided; `None` where the whole test did.
    pub level: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TestVerdict {
    /// Id of the test in the plan.
    pub id: String,
    pub verdict: Verdict,
    pub criteria: Vec<CriterionVerdict>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Verdicts {
    /// In the order of `evidence.tests`.
    pub tests: Vec<TestVerdict>,
    /// The plan's criteria on the whole run, tests that go beyond the pipeline's capacity on purpose left out.
    pub run: Vec<CriterionVerdict>,
    /// The worst of all of them; never `Pass` for a run that did not end by itself.
    pub overall: Verdict,
}

impl Verdicts {
    /// Every criterion of every test, then those of the run.
    pub fn all(&self) -> impl Iterator<Item = &CriterionVerdict> {
        self.tests.iter().flat_map(|test| &test.criteria).chain(&self.run)
    }
}

/// Judges every test that was run, and the run.
pub fn judge(evidence: &Evidence, cost: &Cost) -> Verdicts {
    let tests: Vec<TestVerdict> =
        evidence.tests.iter().map(|test| judge_test(evidence, test, cost)).collect();
    let goes_beyond = |test: &&TestEvidence| {
        evidence.plan.tests().nth(test.plan_index).is_some_and(|test| test.beyond_capacity)
    };
    let whole: Vec<&TestEvidence> = evidence.tests.iter().filter(|test| !goes_beyond(test)).collect();
    // They say nothing of a run that only sought the limit.
    let of_run = if whole.is_empty() && !tests.is_empty() { &[] } else { evidence.plan.criteria.as_slice() };
    let run: Vec<CriterionVerdict> = of_run
        .iter()
        .map(|criterion| criteria::judge(criterion, &measure::Scope { evidence, tests: &whole, cost }))
        .collect();
    let nothing_ran = if tests.is_empty() { Verdict::Inconclusive } else { Verdict::Pass };
    let ended = if evidence.run.end == RunEnd::Completed { Verdict::Pass } else { Verdict::Inconclusive };
    let overall = tests
        .iter()
        .map(|test| test.verdict)
        .chain(run.iter().map(|criterion| criterion.verdict))
        .chain([nothing_ran, ended])
        .max()
        .unwrap_or(Verdict::Inconclusive);
    Verdicts { tests, run, overall }
}

fn judge_test(evidence: &Evidence, test: &TestEvidence, cost: &Cost) -> TestVerdict {
    let scope = measure::Scope { evidence, tests: &[test], cost };
    let planned = evidence.plan.tests().nth(test.plan_index);
    let criteria: Vec<CriterionVerdict> = planned
        .map(|planned| planned.criteria.iter().map(|criterion| criteria::judge(criterion, &scope)).collect())
        .unwrap_or_default();
    let finished = if test.finished { Verdict::Pass } else { Verdict::Inconclusive };
    let verdict =
        criteria.iter().map(|criterion| criterion.verdict).chain([finished]).max().unwrap_or(finished);
    TestVerdict { id: test.id.clone(), verdict, criteria }
}
