//! Shards that a failing batch held up: poisoned records, and what the mapping makes of them.

use rust_decimal::Decimal;

use crate::evidence::model::{Block, Blocked, Evidence, TestEvidence};
use crate::platform::clock::WallUs;

use super::{Change, EvidenceItem, Finding, Limit, level_at, shown};

/// Retries that are kept when fewer are advised: a passing error deserves some.
const RETRIES_KEPT: i32 = 1;
/// What stands in for "until the record expires".
const RETRIES_BOUNDED: i32 = 3;
/// Seconds of the charts begin at whole ones: a block may have begun within.
const SECOND_US: i64 = 1_000_000;
const CATCH_UP_US: i64 = 5_000_000;
/// Shorter than this, waiting for retries is not worth a change.
const WAITED_S_MIN: f64 = 1.0;

/// Failing batches that held a shard up, over all tests.
pub(super) fn blocked(evidence: &Evidence) -> Option<Finding> {
    let held: Vec<(&TestEvidence, &Blocked)> = evidence
        .tests
        .iter()
        .filter_map(|test| Some((test, test.blocked.as_ref()?)))
        .filter(|(_, blocked)| !blocked.blocks.is_empty())
        .collect();
    let blocks = || held.iter().flat_map(|(_, blocked)| &blocked.blocks);
    let first = blocks().min_by_key(|block| block.from_us)?;
    let total = Total::of(blocks());
    let change = change(evidence, &total);
    let level = level_at(evidence, first.from_us).map(|placed| placed.name());
    let item = |metric: &str, value: f64, unit| EvidenceItem {
        metric: metric.into(),
        at_us: Some(first.from_us),
        value,
        unit,
        level: level.clone(),
    };
    Some(Finding {
        limit: Limit::BlockedShard,
        // A record that fails does so at any rate.
        from_rps: None,
        at_us: Some(first.from_us),
        evidence: vec![
            item("shard blocked", total.blocked_s, "s"),
            item("failed attempts", total.attempts as f64, "invocations"),
            item("good records that waited", total.waited as f64, "records"),
            item("good records dead-lettered", total.dead_good as f64, "records"),
            item("good records never processed", total.dead_unprocessed as f64, "records"),
        ],
        change,
        // Settings of the mapping are free.
        monthly_cost_of_change: change.map(|_| Decimal::ZERO),
        explanation: explanation(evidence, &total, change),
    })
}

/// Whether a shard was blocked at a time, or had been within the seconds that it takes to catch up.
pub(super) fn explains(evidence: &Evidence, at_us: Option<WallUs>) -> bool {
    let blocks = evidence.tests.iter().filter_map(|test| test.blocked.as_ref()).flat_map(|held| &held.blocks);
    at_us.is_some_and(|at_us| {
        blocks.into_iter().any(|block| {
            let until_us = block.until_us.map_or(WallUs::MAX, |until_us| until_us + CATCH_UP_US);
            (block.from_us - SECOND_US..=until_us).contains(&at_us)
        })
    })
}

struct Total {
    ended: u64,
    /// Not over when the run ended: how long they would have lasted nobody knows.
    open: u64,
    blocked_s: f64,
    attempts: u64,
    poison: u64,
    waited: u64,
    dead: u64,
    dead_good: u64,
    dead_unprocessed: u64,
}

impl Total {
    fn of<'a>(blocks: impl Iterator<Item = &'a Block>) -> Total {
        let mut total = Total {
            ended: 0,
            open: 0,
            blocked_s: 0.0,
            attempts: 0,
            poison: 0,
            waited: 0,
            dead: 0,
            dead_good: 0,
            dead_unprocessed: 0,
        };
        for block in blocks {
            match block.until_us {
                Some(until_us) => {
                    total.ended += 1;
                    total.blocked_s += (until_us - block.from_us) as f64 / 1e6;
                }
                None => total.open += 1,
            }
            total.attempts += block.failed_attempts;
            total.poison += block.poison.len() as u64;
            total.waited += block.added_wait.map_or(0, |wait| wait.count);
            total.dead += block.dead_lettered.iter().map(|(first, last)| last - first + 1).sum::<u64>();
            total.dead_good += block.dead_good;
            total.dead_unprocessed += block.dead_good_unprocessed;
        }
        total
    }
}

/// What costs most first: good records that were thrown away, work done twice, then the waiting.
fn change(evidence: &Evidence, total: &Total) -> Option<Change> {
    let environment = &evidence.environment;
    let retries = environment.retries;
    if total.dead_unprocessed > 0 && !environment.bisect_on_error {
        return Some(Change::BisectOnError);
    }
    if retries < 0 {
        return Some(Change::Retries { from: retries, to: RETRIES_BOUNDED });
    }
    if evidence.delivery.duplicated_redelivery > 0 && !partial(evidence) {
        return Some(Change::PartialBatchResponse);
    }
    let waits_s = total.blocked_s / total.ended.max(1) as f64;
    (retries > RETRIES_KEPT && waits_s >= WAITED_S_MIN)
        .then_some(Change::Retries { from: retries, to: RETRIES_KEPT })
}

fn partial(evidence: &Evidence) -> bool {
    evidence.plan.environment.function.partial_batch_response
}

fn explanation(evidence: &Evidence, total: &Total, change: Option<Change>) -> String {
    let count = |number: u64| shown(number as f64);
    let environment = &evidence.environment;
    let on = match total.poison {
        0 => "Batches failed".to_owned(),
        1 => "A batch failed on one poisoned record".to_owned(),
        poison => format!("Batches failed on {} poisoned records", count(poison)),
    };
    let retries = match environment.retries {
        retries if retries < 0 => "without a bound on retries".to_owned(),
        1 => "with 1 retry".to_owned(),
        retries => format!("with {retries} retries"),
    };
    let mut text = format!(
        "{on}: {} failed attempts, {retries} and bisect {}, held a shard for {:.1} s; {} good records waited for \
         it.",
        count(total.attempts),
        if environment.bisect_on_error { "on" } else { "off" },
        total.blocked_s,
        count(total.waited)
    );
    if total.open > 0 {
        text.push_str(&format!(
            " {} more blocked times were not over when the run ended.",
            count(total.open)
        ));
    }
    if total.dead > 0 {
        text.push_str(&format!(
            " Of {} dead-lettered records {} were good, and {} of those were never processed.",
            count(total.dead),
            count(total.dead_good),
            count(total.dead_unprocessed)
        ));
    }
    text.push_str(match change {
        Some(Change::BisectOnError) => {
            " With bisect a failing batch is cut in two, at no retry, until the bad record stands alone: the good \
             ones come through."
        }
        Some(Change::PartialBatchResponse) => {
            " With ReportBatchItemFailures, and a function that names the record, what was processed before the \
             record is not processed again."
        }
        Some(Change::Retries { from, .. }) if from < 0 => {
            " Without a bound a poisoned record holds its shard until it expires."
        }
        Some(Change::Retries { .. }) => {
            " The shard waits longer before each retry, and a record that cannot be processed fails on all of them: \
             fewer retries let it go sooner, at the price of less patience with errors that pass."
        }
        _ => "",
    });
    text
}
