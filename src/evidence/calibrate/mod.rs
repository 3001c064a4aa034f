//! An earlier real run as the model of a rehearsal: what its puts took and what its function did, in the place of what
//! a plan assumes. How each figure is taken stands in `docs/rehearse.md`.

mod fit;
mod polls;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::error::EvidenceError;
use super::hlog::{LoadMetric, histogram, read_totals};
use super::model::{Evidence, LevelEvidence, TestEvidence};
use super::pulled::Pulled;
use super::receipts::ReceiptIndex;
use super::rundir::RunDir;
use crate::plan::{COLD_START_MAX, Plan, PutMode, Rehearsal, Test};
use crate::platform::clock::{WallUs, rfc3339};
use crate::platform::spread::{Quantiles, Spread};
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{Receipt, RecordOutcome};
use fit::{Fit, Sample, Timed};
pub use refusal::Refusal;
use refusal::{check_enough, check_run, check_shape};

/// From so many on, the p99 of the function is as well known as that of the puts.
const INVOCATIONS_FOR_P99: u64 = 500;
/// Invocations of a shard that are looked at for how late polls are.
const TIMES_MAX: usize = 10_000;
/// Above this share of failures the durations that Lambda reported are not those of the receipts.
const FAILURES_FOR_OVERHEAD_MAX: f64 = 0.01;

/// The model that a run makes, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    pub model: Rehearsal,
    /// A sentence each, for the reader of the rehearsal's report.
    pub basis: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("{}", .0.reason)]
    Refused(Refusal),
}

impl From<Refusal> for CalibrateError {
    fn from(refusal: Refusal) -> CalibrateError {
        CalibrateError::Refused(refusal)
    }
}

/// The model of the run at `dir`, for a rehearsal of the `tests` of `plan`. What the run cannot tell stays as the plan
/// has it.
///
/// # Errors
/// The run cannot be read, or is none to calibrate these tests on.
pub fn calibrate(dir: &Path, plan: &Plan, tests: &[&Test]) -> Result<Calibration, CalibrateError> {
    let evidence = super::load(dir)?;
    check_run(&evidence)?;
    check_shape(&evidence, tests)?;
    let dir = RunDir::open(dir)?;
    let puts = Puts::read(&dir, &evidence, tests)?;
    let function = Function::read(&dir, &evidence)?;
    let invocations = function.sample.seen;
    check_enough(puts.load_s, puts.service.len(), invocations, puts.void.as_deref())?;
    let reported = Reported::of(dir.read_metrics()?.ok().as_ref(), &function);
    Ok(assembled(&evidence, plan, &puts, function, &reported))
}

/// What the puts took, in the levels that say something.
struct Puts {
    /// From sending an attempt to its answer, us; one value a record.
    service: Histogram<u64>,
    /// Of the levels that count, seconds.
    load_s: f64,
    /// Why the first level that does not count says nothing of the pipeline.
    void: Option<String>,
    modes: Vec<&'static str>,
}

impl Puts {
    fn read(dir: &RunDir, evidence: &Evidence, tests: &[&Test]) -> Result<Puts, EvidenceError> {
        let wanted = |test: &&TestEvidence| {
            let planned = evidence.plan.tests().nth(test.plan_index);
            planned.is_some_and(|planned| tests.iter().any(|test| test.put == planned.put))
        };
        let levels: Vec<&LevelEvidence> =
            evidence.tests.iter().filter(wanted).flat_map(|test| &test.levels).collect();
        let counts: BTreeSet<u32> = levels
            .iter()
            .filter(|level| level.void.is_none() && level.finished)
            .map(|level| level.index)
            .collect();
        let totals = read_totals(&dir.intervals_hlog(), &mut Vec::new(), |_| {})?;
        let mut service = histogram();
        for ((level, metric), one) in &totals {
            if *metric == LoadMetric::ServiceTime && counts.contains(level) {
                // Both grow: adding cannot fail.
                let _ = service.add(one);
            }
        }
        let is_there = |mode: PutMode| tests.iter().any(|test| test.put == mode);
        let modes = [(PutMode::Record, "one by one"), (PutMode::Batch, "in batches")];
        Ok(Puts {
            service,
            load_s: levels
                .iter()
                .filter(|level| counts.contains(&level.index))
                .map(|level| level.planned_s)
                .sum(),
            void: levels.iter().find_map(|level| level.void.clone()),
            modes: modes.into_iter().filter(|(mode, _)| is_there(*mode)).map(|(_, word)| word).collect(),
        })
    }

    fn latency(&self) -> Spread {
        let at = |share: f64| Duration::from_micros(self.service.value_at_quantile(share));
        let measured = Quantiles::new(Quantiles::SHARES.map(at));
        measured.map_or(Spread::NONE, Spread::Measured)
    }
}

/// What the receipts tell of the function.
struct Function {
    /// Of warm invocations with records of the load, without the work that the plan had it do.
    sample: Sample,
    /// Every invocation, those of probes and cold starts included, and what they took.
    receipts: u64,
    duration_us: u64,
    memory_used_mb: u32,
    /// Start and end of invocations, by shard: enough of them to see how late polls are.
    times: BTreeMap<String, Vec<(WallUs, WallUs)>>,
    /// Invocations in which a record failed: the plan's poison, which a rehearsal has too.
    poisoned: u64,
}

impl Function {
    fn read(dir: &RunDir, evidence: &Evidence) -> Result<Function, EvidenceError> {
        let work_us = u64::from(evidence.plan.environment.function.work_ms_per_batch) * 1_000;
        let mut function = Function {
            sample: Sample::new(),
            receipts: 0,
            duration_us: 0,
            memory_used_mb: 0,
            times: BTreeMap::new(),
            poisoned: 0,
        };
        ReceiptIndex::read(&dir.receipts_jsonl(), &mut Vec::new(), |receipt| {
            function.take(receipt, work_us);
        })?;
        function.times.values_mut().for_each(|times| times.sort_unstable());
        Ok(function)
    }

    fn take(&mut self, receipt: &Receipt, work_us: u64) {
        if receipt.part > 0 {
            return;
        }
        self.receipts += 1;
        self.duration_us += receipt.duration_us;
        self.memory_used_mb = self.memory_used_mb.max(receipt.memory_used_mb);
        let failed = receipt.records.iter().any(|record| record.outcome == RecordOutcome::Failed);
        self.poisoned += u64::from(failed);
        let loads = receipt.records.iter().any(|record| record.level != PROBE_LEVEL);
        let times = self.times.entry(receipt.shard.clone()).or_default();
        if loads && times.len() < TIMES_MAX {
            times.push((receipt.started_us, receipt.started_us.saturating_add(receipt.duration_us as i64)));
        }
        // A receipt in parts has its records apart; there are hardly any.
        if loads && receipt.parts == 1 && !receipt.cold_start {
            let duration_us = receipt.duration_us.saturating_sub(work_us);
            self.sample.take(Timed { records: receipt.records.len() as u32, duration_us });
        }
    }
}

impl Function {
    /// Of the shard that tells it; all are polled alike.
    fn poll_late(&self) -> Option<Duration> {
        self.times.values().find_map(|times| polls::late(times))
    }
}

/// What Lambda reported, where it can be relied on.
#[derive(Default)]
struct Reported {
    /// The mean, and of how many.
    cold_start: Option<(Duration, u64)>,
    /// The mean of what Lambda reported less the mean of the receipts.
    overhead: Option<Duration>,
    failure_rate: Option<f64>,
}

impl Reported {
    fn of(pulled: Option<&Pulled>, function: &Function) -> Reported {
        let Some(pulled) = pulled.filter(|pulled| pulled.unsettled.is_none()) else {
            return Reported::default();
        };
        let sum = |key: &str| {
            let series = pulled.series.get(key).filter(|series| !series.points.is_empty())?;
            Some(series.points.iter().map(|(_, value)| value).sum::<f64>())
        };
        let invocations = sum("lambda.Invocations.Sum").filter(|count| *count > 0.0);
        let failure_rate = invocations.map(|invocations| {
            let errors = sum("lambda.Errors.Sum").unwrap_or(0.0);
            (errors - function.poisoned as f64).max(0.0) / invocations
        });
        let reliable = failure_rate.is_some_and(|rate| rate <= FAILURES_FOR_OVERHEAD_MAX);
        let overhead = invocations.zip(sum("lambda.Duration.Sum")).filter(|_| reliable);
        let overhead = overhead.map(|(invocations, duration_ms)| {
            let receipts_us = function.duration_us as f64 / function.receipts.max(1) as f64;
            Duration::from_micros((duration_ms * 1e3 / invocations - receipts_us).max(0.0).round() as u64)
        });
        let cold_start = pulled.reports.as_ref().filter(|reports| reports.cold_starts > 0);
        let cold_start = cold_start.map(|reports| {
            let mean_ms = (reports.init_ms / reports.cold_starts as f64).max(0.0);
            let mean = Duration::from_micros((mean_ms * 1e3).round() as u64);
            (mean.min(COLD_START_MAX), reports.cold_starts)
        });
        Reported { cold_start, overhead, failure_rate }
    }
}

fn assembled(
    evidence: &Evidence,
    plan: &Plan,
    puts: &Puts,
    function: Function,
    reported: &Reported,
) -> Calibration {
    let (invocations, memory_used_mb) = (function.sample.seen, function.memory_used_mb);
    let (assumed, poll_late) = (plan.rehearsal, function.poll_late());
    // There are invocations: `check_enough` has seen them.
    let nothing = Fit { per_batch: assumed.per_batch, per_record: None, batches: (0, 0) };
    let fit = function.sample.fit().unwrap_or(nothing);
    let model = Rehearsal {
        put_latency: puts.latency(),
        cold_start: reported.cold_start.map_or(assumed.cold_start, |(mean, _)| Spread::fixed(mean)),
        per_batch: fit.per_batch,
        per_record: fit.per_record.unwrap_or(Spread::NONE),
        overhead: reported.overhead.map_or(assumed.overhead, Spread::fixed),
        failure_rate: reported.failure_rate.unwrap_or(assumed.failure_rate),
        poll_late: poll_late.map_or(assumed.poll_late, Spread::fixed),
        memory_used_mb: memory_used_mb.max(1),
        at_memory_mb: evidence.environment.memory_mb,
        ..assumed
    };
    let mut basis = vec![format!(
        "calibrated on run {} of {} ({}, {}, plan {}): what a put takes on {} records sent {}, what an invocation takes \
         on {invocations} of them with {} to {} records and {} MB",
        evidence.run.id,
        rfc3339(evidence.run.started_us).chars().take(10).collect::<String>(),
        evidence.run.target,
        evidence.run.region,
        evidence.plan.name,
        puts.service.len(),
        puts.modes.join(" and "),
        fit.batches.0,
        fit.batches.1,
        evidence.environment.memory_mb,
    )];
    basis.extend(caveats(evidence, puts, &fit, invocations, reported));
    Calibration { model, basis }
}

/// What the model does not know, or knows less well.
fn caveats(
    evidence: &Evidence,
    puts: &Puts,
    fit: &Fit,
    invocations: u64,
    reported: &Reported,
) -> Vec<String> {
    let mut found = Vec::new();
    if invocations < INVOCATIONS_FOR_P99 {
        found.push(format!(
            "{invocations} invocations are too few for a p99 ({INVOCATIONS_FOR_P99} would do): the function's slowest are \
             not known"
        ));
    }
    if fit.per_record.is_none() {
        found.push(format!(
            "every batch of that run had {} records: what a record takes is in what a batch takes",
            fit.batches.0
        ));
    }
    let work_ms = evidence.plan.environment.function.work_ms_per_batch;
    if work_ms > 0 {
        found.push(format!("the {work_ms} ms of work that its plan asked for are taken off"));
    }
    match reported.cold_start {
        Some((_, count)) => found.push(format!("a cold start takes the mean of {count}")),
        None => found.push("its run reported no cold start: that stays as the plan assumes it".to_owned()),
    }
    if reported.overhead.is_none() {
        found.push(
            "what Lambda reported of its invocations cannot be relied on: overhead stays as the plan assumes it"
                .to_owned(),
        );
    }
    if reported.failure_rate.is_none() {
        found.push(
            "how many of its invocations failed is not known: that stays as the plan assumes it".to_owned(),
        );
    }
    if let Some(void) = &puts.void {
        found.push(format!("levels of it are left out: {void}"));
    }
    found
}
