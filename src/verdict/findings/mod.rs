//! Findings: what limits the pipeline, from which rate on, by which evidence, and the change that should
//! move it with what that change costs a month. Worked out from the numbers; none is canned.

mod behind;
mod blocked;
mod breaking_point;
mod change;
mod function;
mod generator;
mod kinesis;
mod recovery;
mod shards;
#[cfg(test)]
mod tests;

use rust_decimal::Decimal;

use crate::cost::{PriceBook, grouped};
use crate::evidence::gaps::Source;
use crate::evidence::model::{Evidence, LevelEvidence, SecondRow, TestEvidence};
use crate::plan::StageKind;
use crate::platform::clock::WallUs;

use super::{Verdicts, judged_levels};

pub use breaking_point::{BreakingPoint, breaking_point};
pub use change::Change;

/// CloudWatch's finest period here.
const MINUTE_US: WallUs = 60_000_000;

/// What gave way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    Generator,
    InFlight,
    KinesisWriteRecords,
    KinesisWriteBytes,
    HotShard,
    /// Refusals that the stream's documented capacity does not explain.
    KinesisWrite,
    PutErrors,
    KinesisRead,
    LambdaConcurrency,
    LambdaFallingBehind,
    /// The function falls behind, and most of its time is the sink's.
    Sink,
    LambdaDuration,
    LambdaMemory,
    LambdaErrors,
    BlockedShard,
    /// Catching up after an outage took long.
    Recovery,
}

impl Limit {
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::Generator => "load generator",
            Limit::InFlight => "records in flight",
            Limit::KinesisWriteRecords => "Kinesis write: records per shard",
            Limit::KinesisWriteBytes => "Kinesis write: bytes per shard",
            Limit::HotShard => "Kinesis write: hot shard",
            Limit::KinesisWrite => "Kinesis write",
            Limit::PutErrors => "put errors",
            Limit::KinesisRead => "Kinesis read",
            Limit::LambdaConcurrency => "Lambda concurrency",
            Limit::LambdaFallingBehind => "Lambda falls behind",
            Limit::Sink => "sink",
            Limit::LambdaDuration => "Lambda duration",
            Limit::LambdaMemory => "Lambda memory",
            Limit::LambdaErrors => "function errors",
            Limit::BlockedShard => "blocked shard",
            Limit::Recovery => "recovery after an outage",
        }
    }
}

/// One measured number that a finding rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceItem {
    pub metric: String,
    pub at_us: Option<WallUs>,
    pub value: f64,
    pub unit: &'static str,
    /// Name of the level; `None` for the whole run.
    pub level: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub limit: Limit,
    /// The rate asked for when it began, records/s; `None` where no rate can be told.
    pub from_rps: Option<f64>,
    /// When it was first seen.
    pub at_us: Option<WallUs>,
    pub evidence: Vec<EvidenceItem>,
    /// `None` where the numbers do not tell which change would move it.
    pub change: Option<Change>,
    /// USD a month more; `None` without a change, or where the book has no price for it.
    pub monthly_cost_of_change: Option<Decimal>,
    /// Plain sentences with the numbers that led here.
    pub explanation: String,
}

/// The highest rate that was judged and carried, and no further.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownUpTo {
    pub rps: f64,
    pub text: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The one that came first in time first.
    pub list: Vec<Finding>,
    pub known_up_to: Option<KnownUpTo>,
}

/// Works out what limited the pipeline in this run.
pub fn findings(evidence: &Evidence, book: &PriceBook, verdicts: &Verdicts) -> Findings {
    let mut list: Vec<Finding> = Vec::new();
    list.extend(generator::lagging(evidence));
    list.extend(generator::in_flight(evidence));
    list.extend(kinesis::write(evidence, book));
    list.extend(kinesis::errors(evidence));
    list.extend(kinesis::read(evidence, book));
    list.extend(function::throttled(evidence));
    let blocked = blocked::blocked(evidence);
    // A batch that failed as a whole is an error of the function too: one finding tells of it.
    list.extend(function::errors(evidence).filter(|_| blocked.is_none()));
    // Waiting behind a failing batch is the blocked shard's finding.
    let behind = behind::falling_behind(evidence, book);
    let behind = behind.filter(|finding| !blocked::explains(evidence, finding.at_us));
    let behind = behind.and_then(|behind| consequence(&mut list, behind));
    list.extend(behind);
    list.extend(recovery::slow(evidence, book, verdicts));
    list.extend(function::near_timeout(evidence));
    list.extend(function::memory(evidence, book));
    list.extend(blocked);
    // Stable: what has the same time keeps the order from the generator down the pipeline.
    list.sort_by_key(|finding| (finding.at_us.is_none(), finding.at_us));
    let known_up_to = known_up_to(evidence, verdicts, &list);
    Findings { list, known_up_to }
}

/// A function that falls behind with idle lanes does so because its invocations are refused, or fail: then it is
/// evidence of that finding, and none of its own.
fn consequence(list: &mut [Finding], behind: Finding) -> Option<Finding> {
    if behind.change.is_some() {
        return Some(behind);
    }
    let is_cause =
        |finding: &&mut Finding| matches!(finding.limit, Limit::LambdaConcurrency | Limit::LambdaErrors);
    let Some(cause) = list.iter_mut().find(is_cause) else { return Some(behind) };
    cause.explanation.push(' ');
    cause.explanation.push_str(&behind.explanation);
    cause.evidence.extend(behind.evidence);
    None
}

/// A rate or count in a sentence: `2,000`, `12.5`.
fn shown(value: f64) -> String {
    let text =
        if value >= 100.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") };
    grouped(&text)
}

/// `1 shard`, `2 shards`.
fn count(number: u32, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(&number.to_string())) }
}

/// A level together with its test.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    test: &'a TestEvidence,
    level: &'a LevelEvidence,
}

impl Placed<'_> {
    /// `3.1 / 2000/s hold`.
    fn name(&self) -> String {
        format!("{} / {}", self.test.id, self.level.name)
    }

    /// The rate asked for at a time: a hold's target, a ramp's line.
    fn rate_at(&self, at_us: WallUs) -> f64 {
        let level = self.level;
        match (level.kind, level.started_us) {
            (StageKind::Ramp, Some(started_us)) if level.planned_s > 0.0 => {
                let along = ((at_us - started_us) as f64 / 1e6 / level.planned_s).clamp(0.0, 1.0);
                level.from_rps + (level.target_rps - level.from_rps) * along
            }
            _ => level.target_rps,
        }
    }

    /// The highest rate that the level asks for.
    fn peak_rps(&self) -> f64 {
        self.level.from_rps.max(self.level.target_rps)
    }
}

fn levels(evidence: &Evidence) -> impl Iterator<Item = Placed<'_>> {
    evidence.tests.iter().flat_map(|test| test.levels.iter().map(move |level| Placed { test, level }))
}

/// The level that was running at a time.
fn level_at(evidence: &Evidence, at_us: WallUs) -> Option<Placed<'_>> {
    levels(evidence).filter(|placed| placed.level.started_us.is_some_and(|started| started <= at_us)).last()
}

/// The level that has the largest part of a minute of CloudWatch, with when the two began to overlap.
fn level_in_minute(evidence: &Evidence, minute_us: WallUs) -> Option<(WallUs, Placed<'_>)> {
    let part_us = |placed: &Placed<'_>| {
        let starts_us = placed.level.started_us?;
        let ends_us = starts_us + (placed.level.planned_s * 1e6) as i64;
        let part_us = ends_us.min(minute_us + MINUTE_US) - starts_us.max(minute_us);
        (part_us > 0).then_some((part_us, starts_us.max(minute_us)))
    };
    let overlapping = levels(evidence).filter_map(|placed| Some((part_us(&placed)?, placed)));
    let ((_, at_us), placed) = overlapping.max_by_key(|((part_us, _), _)| *part_us)?;
    Some((at_us, placed))
}

/// The first second of which `is` holds, with its level.
fn first_second<'a>(evidence: &'a Evidence, is: impl Fn(&SecondRow) -> bool) -> Option<(WallUs, Placed<'a>)> {
    let row = evidence.seconds.iter().filter(|row| is(row)).min_by_key(|row| row.at_ms)?;
    let placed = levels(evidence).find(|placed| placed.level.index == row.level)?;
    Some((row.at_ms * 1_000, placed))
}

/// The first point of a CloudWatch series of which `is` holds.
fn first_point(evidence: &Evidence, key: &str, is: impl Fn(f64) -> bool) -> Option<(WallUs, f64)> {
    let series = evidence.cloudwatch.series.get(key)?;
    series.points.iter().find(|(_, value)| is(*value)).map(|(at_ms, value)| (at_ms * 1_000, *value))
}

/// Sum over the tests of what CloudWatch gave for each; `None` where it gave nothing at all.
fn cloudwatch_sum(evidence: &Evidence, key: &str) -> Option<f64> {
    evidence.tests.iter().filter_map(|test| test.cloudwatch.get(key).copied()).reduce(|a, b| a + b)
}

/// The largest over the tests, with the test.
fn cloudwatch_max<'a>(evidence: &'a Evidence, key: &str) -> Option<(f64, &'a TestEvidence)> {
    evidence
        .tests
        .iter()
        .filter_map(|test| test.cloudwatch.get(key).map(|value| (*value, test)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
}

/// A judged level counts as carried when it finished, was not void, refused and failed nothing, and lies
/// below and before every finding about the pipeline.
fn known_up_to(evidence: &Evidence, verdicts: &Verdicts, list: &[Finding]) -> Option<KnownUpTo> {
    // Findings are seen in these: without them there is none to be seen, whatever the load did.
    let seen_in = [Source::Events, Source::Sends, Source::Receipts, Source::Intervals];
    if seen_in.into_iter().any(|source| evidence.gaps.is_lost(source)) {
        return None;
    }
    // What limited the generator alone says nothing about the pipeline.
    let of_pipeline = |finding: &&Finding| !matches!(finding.limit, Limit::Generator | Limit::InFlight);
    let began = list.iter().filter(of_pipeline).filter_map(|finding| finding.from_rps).reduce(f64::min);
    let mut best: Option<Placed<'_>> = None;
    for (test, verdict) in evidence.tests.iter().zip(&verdicts.tests) {
        for level in judged_levels(test) {
            let placed = Placed { test, level };
            let clean = level.finished && level.void.is_none() && level.throttled == 0 && level.failed == 0;
            let below = began.is_none_or(|began| placed.peak_rps() < began);
            let failed_here = verdict.criteria.iter().any(|criterion| {
                criterion.verdict == super::Verdict::Fail && criterion.level.as_ref() == Some(&level.name)
            });
            if clean && below && !failed_here && best.is_none_or(|best| placed.peak_rps() > best.peak_rps()) {
                best = Some(placed);
            }
        }
    }
    let best = best?;
    let rps = best.peak_rps();
    let bytes = best.test.payload.bytes;
    let text = if list.is_empty() {
        format!(
            "No limit was reached. The pipeline is known to carry {} records/s of {bytes} bytes (test {}), \
             the highest rate that was judged; nothing is known above it.",
            shown(rps),
            best.name()
        )
    } else {
        format!(
            "The pipeline is known to carry {} records/s of {bytes} bytes (test {}); no higher rate was \
             carried without a finding.",
            shown(rps),
            best.name()
        )
    };
    Some(KnownUpTo { rps, text })
}
