//! What the findings of a period come to: what limits, what should move it, and which tests are next.

use std::collections::BTreeMap;

use crate::report::model::Exact;
use crate::verdict::{Change, Verdict};

use super::input::{Gathered, PlacedFinding, Request, Wanted};
use super::model::*;

/// Findings grouped by what limits; the group that begins at the lowest rate first, then the one that came first.
pub(super) fn bottlenecks(gathered: &Gathered) -> Vec<Bottleneck> {
    let mut groups: Vec<Bottleneck> = Vec::new();
    for PlacedFinding { finding, tests, .. } in gathered.findings() {
        let found = Bottleneck {
            limit: finding.limit.clone(),
            from_rps: finding.from_rps,
            at: finding.at.clone(),
            tests: tests.iter().map(|id| (*id).to_owned()).collect(),
            findings: 1,
            explanation: finding.explanation.clone(),
        };
        match groups.iter_mut().find(|group| group.limit == found.limit) {
            Some(group) => join(group, found),
            None => groups.push(found),
        }
    }
    groups.sort_by(|a, b| by_rate(a.from_rps, b.from_rps).then_with(|| a.at.cmp(&b.at)));
    groups
}

fn join(group: &mut Bottleneck, found: Bottleneck) {
    add_all(&mut group.tests, found.tests);
    group.findings += found.findings;
    group.at = [group.at.take(), found.at].into_iter().flatten().min();
    if by_rate(found.from_rps, group.from_rps).is_lt() {
        (group.from_rps, group.explanation) = (found.from_rps, found.explanation);
    }
}

/// Lower rates first, those without one last.
fn by_rate(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY))
}

fn add_all(known: &mut Vec<String>, more: Vec<String>) {
    for id in more {
        if !known.contains(&id) {
            known.push(id);
        }
    }
}

/// What a change sets, and how much of it: of two changes of one setting the one that asks for more holds for both.
pub(super) fn setting(change: Change) -> (&'static str, i64) {
    match change {
        Change::Shards { to, .. } => ("shards", to.into()),
        Change::PartitionKeys { to, .. } => ("distinct partition keys", to.into()),
        Change::EvenKeys => ("spread of the partition keys", 0),
        Change::Parallelization { to, .. } => ("parallelization factor", to.into()),
        Change::BatchSize { to, .. } => ("batch size", to.into()),
        Change::Concurrency { to, .. } => ("function concurrency", to.into()),
        Change::MemoryMb { to, .. } => ("function memory", to.into()),
        Change::TimeoutS { to, .. } => ("function timeout", to.into()),
        Change::PutBatch => ("put", 0),
        Change::GeneratorHost => ("generator host", 0),
        Change::MaxInFlight { to, .. } => ("max_in_flight", to.into()),
        Change::BisectOnError => ("bisect_on_error", 0),
        Change::PartialBatchResponse => ("partial_batch_response", 0),
        // Fewer retries is the further change.
        Change::Retries { to, .. } => ("retries", -i64::from(to)),
    }
}

/// The findings' changes, each setting once, in the order of the rates from which on they are asked for.
pub(super) fn recommendations(gathered: &Gathered) -> Vec<Recommendation> {
    let mut best: BTreeMap<&'static str, (i64, Recommendation)> = BTreeMap::new();
    for PlacedFinding { finding, change, tests, .. } in gathered.findings() {
        let Some(change) = change else { continue };
        let (name, amount) = setting(change);
        let found = Recommendation {
            change: change.to_string(),
            monthly_cost: finding.monthly_cost_of_change,
            limit: finding.limit.clone(),
            from_rps: finding.from_rps,
            tests: tests.iter().map(|id| (*id).to_owned()).collect(),
        };
        match best.get_mut(name) {
            None => {
                best.insert(name, (amount, found));
            }
            Some((known, kept)) => {
                let from_rps = [kept.from_rps, found.from_rps].into_iter().flatten().reduce(f64::min);
                let mut tests = std::mem::take(&mut kept.tests);
                add_all(&mut tests, found.tests.clone());
                // At the same amount the newer one: it starts from what stands now.
                if amount >= *known {
                    (*known, *kept) = (amount, found);
                }
                (kept.tests, kept.from_rps) = (tests, from_rps);
            }
        }
    }
    let mut list: Vec<Recommendation> = best.into_values().map(|(_, found)| found).collect();
    list.sort_by(|a, b| by_rate(a.from_rps, b.from_rps));
    list
}

pub(super) fn known_up_to(gathered: &Gathered) -> Vec<KnownRate> {
    let known = gathered.parts.iter().filter_map(|part| {
        let (rps, text) = part.model.known_up_to_rps.zip(part.model.known_up_to.clone())?;
        Some(KnownRate { run: part.id().to_owned(), rps, text })
    });
    known.collect()
}

/// Tests without a result that holds, with why; after a week those of the next week of the plan, too.
pub(super) fn next(
    request: &Request<'_>,
    gathered: &Gathered,
    recommended: &[Recommendation],
) -> Vec<NextTest> {
    let run = |rest: String| format!("streamgauge run {}{rest}", request.run_arguments);
    let mut list = Vec::new();
    if request.kind == Kind::Day {
        // Of a day it is told what happened; the plan's tests are those of its weeks.
        return list;
    }
    for wanted in &gathered.wanted {
        let Some((week, why)) = wanted.week.zip(why(gathered, wanted, recommended)) else { continue };
        let command = run(format!(" --test {}", wanted.id));
        list.push(NextTest { id: wanted.id.clone(), name: wanted.name.clone(), week, why, command });
    }
    let after = request.week.and_then(|week| {
        request.plan.phases.iter().map(|phase| phase.week).filter(|other| *other > week).min()
    });
    for phase in request.plan.phases.iter().filter(|phase| Some(phase.week) == after) {
        list.extend(phase.tests.iter().map(|test| NextTest {
            id: test.id.clone(),
            name: test.name.clone(),
            week: phase.week,
            why: format!("the plan has it in week {}", phase.week),
            command: run(format!(" --resume --week {}", phase.week)),
        }));
    }
    list
}

fn why(gathered: &Gathered, wanted: &Wanted, recommended: &[Recommendation]) -> Option<String> {
    match wanted.state {
        State::NotRun => return Some("it was not run".to_owned()),
        State::Interrupted => return Some("it did not come to its end".to_owned()),
        State::Outdated => return Some("the plan or the environment was changed since it ran".to_owned()),
        State::Running => return None,
        State::Finished => {}
    }
    let Some(placed) = gathered.of(wanted) else {
        return Some("its run cannot be read".to_owned());
    };
    let about = |verdict| {
        let texts: Vec<String> = placed
            .test
            .criteria
            .iter()
            .filter(|criterion| criterion.verdict == verdict)
            .map(|criterion| format!("{} ({})", criterion.text, criterion.reason))
            .collect();
        texts.join("; ")
    };
    match placed.test.verdict {
        Verdict::Pass => None,
        Verdict::Inconclusive => {
            Some(format!("could not be judged in full: {}", about(Verdict::Inconclusive)))
        }
        Verdict::Fail => {
            let change = recommended.iter().find(|each| each.tests.contains(&wanted.id));
            let after = change.map_or_else(String::new, |each| format!("; again after {}", each.change));
            Some(format!("it failed: {}{after}", about(Verdict::Fail)))
        }
    }
}

/// `USD 10.95 a month more`, as everywhere.
pub(super) fn cost_text(cost: Option<Exact>, currency: Option<&str>) -> String {
    crate::report::text::change_cost(cost, currency.unwrap_or("USD"))
}
