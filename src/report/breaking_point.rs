//! Where a rising load broke the pipeline: the part of a test's report about it, and its sentence.

use crate::evidence::model::{Evidence, TestEvidence};
use crate::verdict::{self, Finding};

use super::model::BreakingPointReport;
use super::text::{self, rounded};

pub(super) fn report(
    evidence: &Evidence,
    test: &TestEvidence,
    findings: &[Finding],
) -> Option<BreakingPointReport> {
    let found = verdict::breaking_point(evidence, test, findings)?;
    Some(BreakingPointReport {
        rps: rounded(found.rps)?,
        first: found.first,
        at: text::time(found.at_us),
        evidence: found.evidence,
    })
}

/// As every format shows it.
pub(super) fn sentence(found: &BreakingPointReport) -> String {
    format!("Breaking point: {} First to give way: {}.", found.evidence, found.first)
}
