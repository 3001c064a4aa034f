//! What a period report is made of: which tests are wanted, and what is kept of each run that was worked out.

use crate::cost::PriceBook;
use crate::evidence::model::{Evidence, Usage};
use crate::plan::Plan;
use crate::report::model::{FindingReport, ReportModel, TestReport};
use crate::verdict::{Change, Findings};

use super::model::{Kind, State};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub kind: Kind,
    /// With [`Kind::Week`].
    pub week: Option<u32>,
    /// With [`Kind::Day`]: such as `2026-11-21`.
    pub day: Option<&'a str>,
    pub plan: &'a Plan,
    /// Name of the environment.
    pub environment: &'a str,
    /// `local` or `aws`.
    pub target: &'a str,
    /// How a command goes on after `streamgauge run`: the plan's file and the options that choose the environment.
    pub run_arguments: &'a str,
}

/// A test that the period covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub id: String,
    pub name: String,
    /// `None` where the plan does not have it any more.
    pub week: Option<u32>,
    pub state: State,
    /// The run that holds its result.
    pub run: Option<String>,
}

/// What is kept of a run: its model and the few measured numbers that are not in it, not the evidence, which may be
/// large.
#[derive(Debug)]
pub struct Part {
    pub model: ReportModel,
    /// The changes of `model.findings`, one each.
    pub(super) changes: Vec<Option<Change>>,
    pub(super) book: PriceBook,
    pub(super) usage: Usage,
    /// Bytes of an acked record by test id and index of its level; only where they are known.
    pub(super) record_bytes: Vec<(String, usize, f64)>,
}

impl Part {
    pub fn new(model: ReportModel, evidence: &Evidence, findings: &Findings, book: PriceBook) -> Part {
        let levels = evidence.tests.iter().flat_map(|test| {
            test.levels.iter().enumerate().map(move |(index, level)| (test.id.clone(), index, level))
        });
        let record_bytes = levels.filter_map(|(id, index, level)| {
            let put = level.put.filter(|_| level.acked > 0)?;
            Some((id, index, put.bytes as f64 / level.acked as f64))
        });
        Part {
            model,
            changes: findings.list.iter().map(|finding| finding.change).collect(),
            book,
            usage: evidence.usage.clone(),
            record_bytes: record_bytes.collect(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.model.run.id
    }

    fn test(&self, id: &str) -> Option<&TestReport> {
        self.model.tests.iter().find(|test| test.id == id)
    }
}

/// The tests of a period and the runs that hold them.
#[derive(Debug, Default)]
pub struct Gathered {
    pub wanted: Vec<Wanted>,
    /// Oldest first; those that could not be read are missing.
    pub parts: Vec<Part>,
}

/// A result, with where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Placed<'g> {
    pub wanted: &'g Wanted,
    pub part: &'g Part,
    pub test: &'g TestReport,
}

/// A finding about tests of the period.
pub(super) struct PlacedFinding<'g> {
    pub finding: &'g FindingReport,
    pub change: Option<Change>,
    /// Ids of the tests that it is about; none where it is of the whole run.
    pub tests: Vec<&'g str>,
}

impl Gathered {
    pub(super) fn of(&self, wanted: &Wanted) -> Option<Placed<'_>> {
        // Looked up again: `wanted` may be a copy.
        let wanted = self.wanted.iter().find(|known| known.id == wanted.id && known.run == wanted.run)?;
        let part = self.parts.iter().find(|part| Some(part.id()) == wanted.run.as_deref())?;
        Some(Placed { wanted, part, test: part.test(&wanted.id)? })
    }

    /// The tests that have a result, in their order.
    pub(super) fn results(&self) -> impl Iterator<Item = Placed<'_>> {
        self.wanted.iter().filter_map(|wanted| self.of(wanted))
    }

    pub(super) fn results_of<'g>(&'g self, part: &'g Part) -> impl Iterator<Item = Placed<'g>> {
        self.results().filter(|placed| placed.part.id() == part.id())
    }

    /// Whether all the tests that the run began have their results here.
    pub(super) fn holds_all_of(&self, part: &Part) -> bool {
        let begun = part.model.tests.iter().filter(|test| test.started_at.is_some()).count();
        self.results_of(part).count() == begun
    }

    pub(super) fn findings(&self) -> Vec<PlacedFinding<'_>> {
        let mut found = Vec::new();
        for part in &self.parts {
            for (finding, change) in part.model.findings.iter().zip(&part.changes) {
                let levels: Vec<&str> =
                    finding.evidence.iter().filter_map(|item| item.level.as_deref()).collect();
                let here = self.results_of(part).filter(|placed| match levels.as_slice() {
                    [] => is_during(placed.test, finding.at.as_deref()),
                    levels => levels.iter().any(|level| is_of(level, &placed.test.id)),
                });
                let tests: Vec<&str> = here.map(|placed| placed.test.id.as_str()).collect();
                if !tests.is_empty() || self.holds_all_of(part) {
                    found.push(PlacedFinding { finding, change: *change, tests });
                }
            }
        }
        found
    }
}

/// Whether a level, written as `1.1 / 50/s hold`, is one of the test.
pub(super) fn is_of(level: &str, test: &str) -> bool {
    level.strip_prefix(test).is_some_and(|rest| rest.starts_with(" / "))
}

/// Whether the test ran at that time. Times are written alike, so that they compare as text.
pub(super) fn is_during(test: &TestReport, at: Option<&str>) -> bool {
    let (Some(at), Some(started_at)) = (at, test.started_at.as_deref()) else { return false };
    started_at <= at && test.ended_at.as_deref().is_none_or(|ended_at| at <= ended_at)
}
