//! Runs that were worked out, joined into the model of a period.

use rust_decimal::Decimal;

use crate::report::model::{Exact, LevelReport, TestReport};
use crate::verdict::Verdict;

use super::complete::Complete;
use super::input::{Gathered, Part, Placed, Request, Wanted};
use super::model::*;
use super::{advice, observed, production, profile, projections, summary, then_and_now};

/// The report of a period. `earlier` is the campaign before this one; only the whole campaign's report looks at it.
pub fn build(
    request: &Request<'_>,
    gathered: &Gathered,
    earlier: Option<&Gathered>,
    notes: Vec<String>,
) -> PeriodModel {
    let runs: Vec<PeriodRun> = gathered.parts.iter().map(|part| run(gathered, part)).collect();
    let tests: Vec<PeriodTest> = gathered.wanted.iter().map(|wanted| test(gathered, wanted)).collect();
    let recommendations = advice::recommendations(gathered);
    let mut model = PeriodModel {
        schema: SCHEMA.to_owned(),
        period: head(request, gathered, &tests, &runs),
        summary: Vec::new(),
        observations: observed::observations(gathered),
        issues: observed::issues(gathered),
        bottlenecks: advice::bottlenecks(gathered),
        known_up_to: advice::known_up_to(gathered),
        next: advice::next(request, gathered, &recommendations),
        recommendations,
        cost: cost(gathered, &tests, &runs),
        complete: (request.kind == Kind::Campaign).then(|| complete(request, gathered, earlier)),
        notes: all_notes(gathered, notes),
        tests,
        runs,
    };
    model.summary = summary::sentences(request, &model);
    model
}

fn complete(request: &Request<'_>, gathered: &Gathered, earlier: Option<&Gathered>) -> Complete {
    let (projections, projections_missing) = match projections::project(gathered) {
        Ok(projections) => (Some(projections), None),
        Err(why) => (None, Some(why)),
    };
    Complete {
        profile: profile::cells(gathered.results().map(|placed| placed.test)),
        breaking_points: profile::breaking_points(gathered),
        stability: profile::stability(gathered),
        projections,
        projections_missing,
        production: production::recommended(request, gathered),
        earlier: earlier.map(|earlier| then_and_now::compared(gathered, earlier)),
    }
}

fn head(request: &Request<'_>, gathered: &Gathered, tests: &[PeriodTest], runs: &[PeriodRun]) -> PeriodHead {
    let results = || gathered.results().map(|placed| placed.test);
    let newest = gathered.parts.last();
    PeriodHead {
        kind: request.kind,
        week: request.week,
        day: request.day.map(str::to_owned),
        plan: request.plan.name.clone(),
        plan_hash: request.plan.hash.clone(),
        environment: request.environment.to_owned(),
        target: request.target.to_owned(),
        region: newest.map(|part| part.model.run.region.clone()),
        started_at: results().filter_map(|test| test.started_at.clone()).min(),
        ended_at: results().filter_map(|test| test.ended_at.clone()).max(),
        verdict: verdict(tests, runs),
        finished: tests.iter().filter(|test| test.state == State::Finished).count() as u32,
    }
}

fn verdict(tests: &[PeriodTest], runs: &[PeriodRun]) -> Verdict {
    let of_test = |test: &PeriodTest| {
        let judged = test.verdict.unwrap_or(Verdict::Inconclusive);
        if test.state == State::Finished { judged } else { judged.max(Verdict::Inconclusive) }
    };
    let counted = runs.iter().filter(|run| run.counted).flat_map(|run| &run.criteria);
    let all = tests.iter().map(of_test).chain(counted.map(|criterion| criterion.verdict));
    all.max().unwrap_or(Verdict::Inconclusive)
}

fn test(gathered: &Gathered, wanted: &Wanted) -> PeriodTest {
    let placed = gathered.of(wanted);
    PeriodTest {
        id: wanted.id.clone(),
        name: wanted.name.clone(),
        week: wanted.week,
        state: wanted.state,
        run: wanted.run.clone(),
        verdict: placed.map(|placed| placed.test.verdict),
        figures: placed.map(|placed| figures(placed.test)).unwrap_or_default(),
        cost: placed.and_then(|placed| cost_of(placed.test)),
        report: placed.map(|placed| placed.test.clone()),
    }
}

/// The levels whose figures say something about the pipeline.
pub(super) fn telling(test: &TestReport) -> impl Iterator<Item = &LevelReport> {
    test.levels.iter().filter(|level| level.judged && level.finished && level.void.is_none())
}

pub(super) fn figures(test: &TestReport) -> Figures {
    let largest = |value: fn(&LevelReport) -> Option<f64>| telling(test).filter_map(value).reduce(f64::max);
    Figures {
        achieved_rps: largest(|level| level.achieved_rps),
        put_p95_ms: largest(|level| level.put_latency_ms.map(|put| put.p95)),
        e2e_p95_ms: largest(|level| level.e2e_latency_ms.map(|e2e| e2e.p95)),
        success_percent: telling(test).filter_map(|level| level.success_percent).reduce(f64::min),
        iterator_age_ms_max: largest(|level| level.iterator_age_ms_max),
        cost_per_million: telling(test).filter_map(|level| level.cost_per_million).max(),
    }
}

/// Sum over the levels of cost per million x delivered. A level that offered nothing costs nothing of its own.
fn cost_of(test: &TestReport) -> Option<Exact> {
    let sent = test.levels.iter().filter(|level| level.sent != Some(0));
    let each = sent.map(|level| {
        let delivered = Decimal::from(level.delivery.as_ref()?.delivered);
        Some(level.cost_per_million?.0 * delivered / Decimal::from(1_000_000u32))
    });
    let sum = each.sum::<Option<Decimal>>()?;
    (test.levels.iter().any(|level| level.sent != Some(0))).then_some(Exact(sum.round_dp(9).normalize()))
}

fn run(gathered: &Gathered, part: &Part) -> PeriodRun {
    let (run, cost) = (&part.model.run, &part.model.cost);
    let begun = part.model.tests.iter().filter(|test| test.started_at.is_some());
    PeriodRun {
        id: run.id.clone(),
        started_at: run.started_at.clone(),
        ended_at: run.ended_at.clone(),
        end: run.end.clone(),
        tool_version: run.tool_version.clone(),
        faults: run.faults.clone(),
        tests: begun.map(|test| test.id.clone()).collect(),
        tests_here: gathered.results_of(part).map(|placed| placed.test.id.clone()).collect(),
        criteria: part.model.criteria.clone(),
        counted: gathered.holds_all_of(part),
        pipeline_total: cost.pipeline.total,
        test_total: cost.test.total,
        incomplete: cost.pipeline.incomplete || cost.test.incomplete,
    }
}

fn cost(gathered: &Gathered, tests: &[PeriodTest], runs: &[PeriodRun]) -> PeriodCost {
    let sum = |of: fn(&PeriodRun) -> Exact| Exact(runs.iter().map(|run| of(run).0).sum());
    let per_level: Vec<Exact> = gathered
        .results()
        .flat_map(|Placed { test, .. }| telling(test).filter_map(|level| level.cost_per_million))
        .collect();
    let results = tests.iter().filter(|test| test.report.is_some());
    let of_tests = results.map(|test| test.cost.map(|cost| cost.0)).sum::<Option<Decimal>>();
    PeriodCost {
        currency: gathered.parts.last().map(|part| part.model.cost.currency.clone()),
        pipeline_total: sum(|run| run.pipeline_total),
        test_total: sum(|run| run.test_total),
        incomplete: runs.iter().any(|run| run.incomplete),
        of_tests: of_tests.filter(|_| !runs.is_empty()).map(Exact),
        per_million: per_level.iter().min().zip(per_level.iter().max()).map(|(low, high)| [*low, *high]),
    }
}

fn all_notes(gathered: &Gathered, mut notes: Vec<String>) -> Vec<String> {
    for part in &gathered.parts {
        notes.extend(part.model.notes.iter().map(|note| format!("run {}: {note}", part.id())));
    }
    notes
}
