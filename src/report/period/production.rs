//! The configuration that a campaign's evidence speaks for, at the rate that production expects.

use rust_decimal::Decimal;

use crate::report::model::{EnvironmentReport, Exact};
use crate::report::text::rate;
use crate::verdict::{Change, Limit};

use super::advice::setting;
use super::complete::{Production, Setting};
use super::input::{Gathered, PlacedFinding, Request};
use super::observed::from_rate;

/// What stood in the newest run, with the changes of the findings that begin at or below the plan's expected peak.
pub(super) fn recommended(request: &Request<'_>, gathered: &Gathered) -> Production {
    let expected_rps = request.plan.expected_peak_rps;
    let is_needed = |found: &PlacedFinding<'_>| match (expected_rps, found.finding.from_rps) {
        (Some(expected_rps), Some(from_rps)) => from_rps <= expected_rps,
        // Without a rate on either side it cannot be told to be out of reach.
        (_, _) => true,
    };
    let findings = gathered.findings();
    let changes = || findings.iter().filter_map(|found| Some((found, found.change?)));
    let needed: Vec<(&PlacedFinding<'_>, Change)> =
        furthest(changes().filter(|(found, change)| is_needed(found) && is_of_pipeline(*change)));
    let Some(newest) = gathered.parts.last() else {
        return Production {
            expected_rps,
            settings: Vec::new(),
            monthly_cost_of_changes: None,
            statements: vec!["No run could be read: nothing can be recommended.".to_owned()],
        };
    };
    let costs = needed.iter().map(|(found, _)| found.finding.monthly_cost_of_change.map(|cost| cost.0));
    let later = furthest(changes().filter(|(found, change)| !is_needed(found) && is_of_pipeline(*change)));
    let is_unexplained = |found: &&PlacedFinding<'_>| {
        found.change.is_none() && is_needed(found) && !is_of_generator(&found.finding.limit)
    };
    let unexplained: Vec<&PlacedFinding<'_>> = findings.iter().filter(is_unexplained).collect();
    Production {
        expected_rps,
        settings: settings(&newest.model.environment, &needed),
        monthly_cost_of_changes: costs.sum::<Option<Decimal>>().map(Exact),
        statements: statements(request, gathered, &unexplained, &later, findings.is_empty()),
    }
}

/// Of the changes of one setting the one that asks for most.
fn furthest<'f, 'g>(
    changes: impl Iterator<Item = (&'f PlacedFinding<'g>, Change)>,
) -> Vec<(&'f PlacedFinding<'g>, Change)> {
    let mut kept: Vec<(&PlacedFinding<'_>, Change)> = Vec::new();
    for (found, change) in changes {
        let (name, amount) = setting(change);
        match kept.iter_mut().find(|(_, known)| setting(*known).0 == name) {
            Some(known) if setting(known.1).1 <= amount => *known = (found, change),
            Some(_) => {}
            None => kept.push((found, change)),
        }
    }
    kept
}

/// Changes of the load generator say nothing about production.
fn is_of_pipeline(change: Change) -> bool {
    !matches!(change, Change::PutBatch | Change::GeneratorHost | Change::MaxInFlight { .. })
}

/// Whether a finding is about what made the load.
pub(super) fn is_of_generator(limit: &str) -> bool {
    [Limit::Generator, Limit::InFlight].iter().any(|each| each.as_str() == limit)
}

fn settings(environment: &EnvironmentReport, needed: &[(&PlacedFinding<'_>, Change)]) -> Vec<Setting> {
    let (stream, function) = (&environment.stream, &environment.function);
    let on_off = |on: bool| if on { "on" } else { "off" }.to_owned();
    let mut settings: Vec<Setting> = [
        ("stream mode", stream.mode.clone()),
        ("shards", stream.shards.to_string()),
        ("retention", format!("{} h", stream.retention_hours)),
        ("function memory", format!("{} MB", function.memory_mb)),
        ("function timeout", format!("{} s", function.timeout_s)),
        (
            "function concurrency",
            function.concurrency_limit.map_or("no limit of its own".to_owned(), |it| it.to_string()),
        ),
        ("architecture", function.architecture.clone()),
        ("batch size", function.batch_size.to_string()),
        ("batch window", format!("{} s", function.batch_window_s)),
        ("parallelization factor", function.parallelization.to_string()),
        ("retries", function.retries.to_string()),
        ("bisect_on_error", on_off(function.bisect_on_error)),
    ]
    .map(|(name, now)| Setting { name: name.to_owned(), recommended: now.clone(), now: Some(now), why: None })
    .into();
    for (found, change) in needed {
        let (name, _) = setting(*change);
        let (recommended, why) = (set_to(*change), why(found));
        match settings.iter_mut().find(|known| known.name == name) {
            Some(known) => (known.recommended, known.why) = (recommended, Some(why)),
            None => settings.push(Setting { name: name.to_owned(), now: None, recommended, why: Some(why) }),
        }
    }
    settings
}

fn set_to(change: Change) -> String {
    match change {
        Change::Shards { to, .. }
        | Change::PartitionKeys { to, .. }
        | Change::Parallelization { to, .. }
        | Change::BatchSize { to, .. }
        | Change::Concurrency { to, .. }
        | Change::MaxInFlight { to, .. } => to.to_string(),
        Change::MemoryMb { to, .. } => format!("{to} MB"),
        Change::TimeoutS { to, .. } => format!("{to} s"),
        Change::Retries { to, .. } => to.to_string(),
        Change::BisectOnError | Change::PartialBatchResponse => "on".to_owned(),
        Change::EvenKeys | Change::PutBatch | Change::GeneratorHost => change.to_string(),
    }
}

fn why(found: &PlacedFinding<'_>) -> String {
    let from = from_rate(found.finding.from_rps);
    let tests = match found.tests.as_slice() {
        [] => String::new(),
        tests => format!(" (test {})", tests.join(", ")),
    };
    format!("{}{from}{tests}", found.finding.limit)
}

fn statements(
    request: &Request<'_>,
    gathered: &Gathered,
    unexplained: &[&PlacedFinding<'_>],
    later: &[(&PlacedFinding<'_>, Change)],
    is_clean: bool,
) -> Vec<String> {
    let mut list = Vec::new();
    let known = super::advice::known_up_to(gathered).into_iter().max_by(|a, b| a.rps.total_cmp(&b.rps));
    match (request.plan.expected_peak_rps, &known) {
        (Some(expected), Some(known)) if known.rps >= expected => list.push(format!(
            "The plan expects {} records/s at its peak, and that was carried. {} That is from run {}.",
            rate(expected),
            known.text,
            known.run
        )),
        (Some(expected), Some(known)) => list.push(format!(
            "The plan expects {} records/s at its peak, and no run carried that much without a finding. {} That is \
             from run {}, and nothing is claimed above it.",
            rate(expected),
            known.text,
            known.run
        )),
        (None, Some(known)) => list.push(format!(
            "The plan names no expected_peak, so the changes below are those for the highest rates that were tested. {} \
             That is from run {}.",
            known.text, known.run
        )),
        (_, None) => list.push("No rate was carried without a finding: nothing is known to hold.".to_owned()),
    }
    for found in unexplained {
        list.push(format!("{}: the numbers do not tell which change would move it.", why(found)));
    }
    if is_clean {
        list.push("No finding asks for a change; the configuration is the one that was measured.".to_owned());
    }
    for (found, change) in later {
        list.push(format!("Not needed at the expected rate: {change}, for {}.", why(found)));
    }
    list
}
