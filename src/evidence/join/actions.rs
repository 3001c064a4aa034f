//! What the actions of each test did and cost: from the event log, and from what was acked and seen around them.

use std::collections::BTreeMap;

use super::outage::{After, Outage};
use super::timeline::Timeline;
use super::{Files, RunDir};
use crate::evidence::actions::ActionEvidence;
use crate::evidence::drawn::FunctionSecond;
use crate::evidence::error::EvidenceError;
use crate::evidence::events::{ActionStep, Event, Logged};
use crate::evidence::model::{ReceiptSecond, TestEvidence};
use crate::evidence::receipts::{Found, ReceiptIndex};
use crate::evidence::sends::Sends;
use crate::evidence::sequences::SequenceSet;
use crate::platform::clock::WallUs;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::RecordOutcome;

/// Iterator age of a pipeline that keeps up. Source: the "good" iterator age of the metrics that a run is judged by.
const AGE_LIMIT_MS: f64 = 1_000.0;
/// Above the largest age before the action by this much is still as before: each poll finds another age.
const AGE_AS_BEFORE: f64 = 1.2;
/// What came before an action is what it is compared with.
const BEFORE_MS: i64 = 60_000;
/// The age is back once it stays under its limit for this long, or until the test or the next action ends that.
const STAYS_MS: i64 = 10_000;

pub(super) struct Sources<'a> {
    pub dir: &'a RunDir,
    pub files: &'a Files,
    pub timeline: &'a Timeline,
    pub index: &'a ReceiptIndex,
    /// Records acked and not yet settled, at the end of each second, ms since the epoch.
    pub backlog: &'a BTreeMap<i64, u64>,
    pub function_seconds: &'a [FunctionSecond],
    /// Receipts were collected at all.
    pub measured: bool,
}

impl Sources<'_> {
    /// The actions of a test, in the order of the plan.
    ///
    /// # Errors
    /// A file of the run cannot be read.
    pub(super) fn of(&self, test: &TestEvidence) -> Result<Vec<ActionEvidence>, EvidenceError> {
        let Some(planned) = self.files.plan.tests().nth(test.plan_index) else { return Ok(Vec::new()) };
        let mut actions = Vec::new();
        if test.started_us.is_none() {
            return Ok(actions);
        }
        for (level, stage) in test.levels.iter().zip(&planned.stages) {
            for (index, action) in (0..).zip(&stage.actions) {
                let mut evidence = ActionEvidence {
                    level: level.index,
                    kind: action.change.kind().to_owned(),
                    text: action.text(),
                    stops_the_consumer: action.change.stops_the_consumer(),
                    planned_us: level.started_us.map(|us| us + action.at.as_micros() as i64),
                    age_limit_ms: AGE_LIMIT_MS,
                    ..ActionEvidence::default()
                };
                let of = |logged: &&Logged| matches!(&logged.event, Event::Action { level, action, .. } if *level == evidence.level && *action == index);
                let events: Vec<&Logged> = self.files.events.iter().filter(of).collect();
                events.iter().for_each(|logged| take(&mut evidence, logged));
                actions.push(evidence);
            }
        }
        let starts: Vec<WallUs> = actions.iter().filter_map(|action| action.started_us).collect();
        for action in &mut actions {
            self.cost(action, test, &starts)?;
        }
        Ok(actions)
    }

    /// Backlog and catching up; `starts`: of all actions of the test.
    fn cost(
        &self,
        action: &mut ActionEvidence,
        test: &TestEvidence,
        starts: &[WallUs],
    ) -> Result<(), EvidenceError> {
        let Some(started_us) = action.started_us.filter(|_| action.refused.is_none()) else {
            return Ok(());
        };
        let Some(reverting_us) = action.reverting_us else {
            action.not_caught_up = Some("the run ended before it was reverted".to_owned());
            return Ok(());
        };
        if !self.measured {
            action.not_caught_up = Some("delivery was not measured".to_owned());
            return Ok(());
        }
        let test_from_ms = test.started_us.unwrap_or(started_us) / 1_000;
        let end_us = test.ended_us.or(self.timeline.last_us).unwrap_or(reverting_us);
        let next_us = starts.iter().copied().filter(|us| *us > reverting_us).min().unwrap_or(end_us);
        let receipts = &self.files.receipts.seconds;
        action.age_limit_ms = age_limit_ms(receipts, test_from_ms, started_us / 1_000);
        let mut after = After::default();
        let seen = self.seen_through(reverting_us, (started_us, next_us), &mut after)?;
        let age = age_back_us(receipts, reverting_us, next_us.min(end_us), action.age_limit_ms);
        match (seen, age) {
            (Ok(seen_us), Some(age_us)) => {
                action.caught_up_us = Some(seen_us.unwrap_or(reverting_us).max(age_us));
            }
            (Err(missing), _) => {
                action.not_caught_up =
                    Some(format!("{missing} of the records acked by then were never seen"));
            }
            (_, None) => {
                let limit_s = action.age_limit_ms / 1e3;
                action.not_caught_up =
                    Some(format!("the iterator age did not come back under {limit_s:.1} s"));
            }
        }
        let until_us = action.caught_up_us.unwrap_or(end_us);
        action.backlog_max_records = Some(backlog_max(self.backlog, started_us / 1_000, until_us / 1_000));
        let outage = Outage { off_us: (started_us, reverting_us), caught_up_us: action.caught_up_us, end_us };
        action.recovery = Some(self.files).filter(|_| action.is_outage()).and_then(|files| {
            outage.recovery(&after, &files.seconds, self.function_seconds, &files.environment)
        });
        Ok(())
    }

    /// When the last of the acked records that were due by `by_us` (to about a second) was processed; `None`: all had
    /// been by then. `Err`: how many never were, or not while it was watched.
    /// What the batches between the two times of `watched` were like is told to `after`.
    fn seen_through(
        &self,
        by_us: WallUs,
        watched: (WallUs, WallUs),
        after: &mut After,
    ) -> Result<Result<Option<WallUs>, u64>, EvidenceError> {
        let Some(highest) = Sends::highest_due_by(&self.dir.sends_jsonl(), by_us)? else {
            return Ok(Ok(None));
        };
        let mut due = SequenceSet::new();
        due.insert_range(0, highest);
        let due = due.intersection(&self.files.sends.acked);
        let mut seen = SequenceSet::new();
        let mut later: Vec<(WallUs, Vec<u64>)> = Vec::new();
        self.index.each(&self.dir.receipts_jsonl(), |Found { receipt, .. }| {
            if (watched.0..watched.1).contains(&receipt.started_us) {
                after.batch(by_us, receipt.started_us, receipt.arrival_ms.0);
            }
            let ended_us = receipt.started_us + receipt.duration_us as i64;
            let processed = receipt.records.iter().filter(|record| {
                record.level != PROBE_LEVEL
                    && record.outcome == RecordOutcome::Processed
                    && record.sequence <= highest
            });
            let sequences = processed.map(|record| record.sequence);
            if ended_us <= by_us {
                for sequence in sequences {
                    seen.insert(sequence);
                }
            } else {
                let sequences: Vec<u64> = sequences.collect();
                if !sequences.is_empty() {
                    later.push((ended_us, sequences));
                }
            }
        })?;
        later.sort();
        let mut last_us = None;
        for (ended_us, sequences) in later {
            for sequence in sequences {
                // A redelivery of what was processed before catches nothing up.
                if due.contains(sequence) && seen.insert(sequence) {
                    last_us = Some(ended_us);
                }
            }
        }
        let missing = due.minus(&seen).minus(&self.given_up()).len();
        Ok(if missing == 0 { Ok(last_us) } else { Err(missing) })
    }

    /// Dead-lettered, or expired in the stream: nothing is to be caught up there any more.
    fn given_up(&self) -> SequenceSet {
        let mut given_up = SequenceSet::new();
        for logged in &self.files.events {
            let (Event::DeadLettered { ranges, .. } | Event::Confirmed { expired: ranges, .. }) =
                &logged.event
            else {
                continue;
            };
            given_up = given_up.union(&SequenceSet::from_ranges(ranges));
        }
        given_up
    }
}

fn take(action: &mut ActionEvidence, logged: &Logged) {
    let Event::Action { step, detail, .. } = &logged.event else { return };
    let at_us = Some(logged.at_us);
    match step {
        ActionStep::Started => action.started_us = at_us,
        ActionStep::InForce => action.in_force_us = at_us,
        ActionStep::Refused => action.refused = detail.clone().or_else(|| Some(String::new())),
        ActionStep::Reverting => action.reverting_us = at_us,
        ActionStep::Reverted => {
            action.reverted_us = at_us.filter(|_| detail.is_none());
            action.not_reverted = detail.clone();
        }
        ActionStep::NotReverted => action.not_reverted = detail.clone().or_else(|| Some(String::new())),
    }
}

/// [`AGE_LIMIT_MS`], or what the age was in the minute before where the pipeline was not that young then.
fn age_limit_ms(receipts: &[ReceiptSecond], test_from_ms: i64, started_ms: i64) -> f64 {
    let from_ms = (started_ms - BEFORE_MS).max(test_from_ms);
    // The second in which the action starts is part of it.
    let before = receipts.iter().filter(|row| row.at_ms >= from_ms && row.at_ms + 1_000 <= started_ms);
    before.map(|row| row.iterator_age_max_ms * AGE_AS_BEFORE).fold(AGE_LIMIT_MS, f64::max)
}

/// End of the last second above the limit before the age stays at or under it; `from_us` where none was above.
/// `None`: it did not stay there until `until_us`, or nothing came.
fn age_back_us(
    receipts: &[ReceiptSecond],
    from_us: WallUs,
    until_us: WallUs,
    limit_ms: f64,
) -> Option<WallUs> {
    let (from_ms, until_ms) = (from_us.div_euclid(1_000), until_us.div_euclid(1_000));
    let rows = receipts.iter().filter(|row| row.at_ms + 1_000 > from_ms && row.at_ms < until_ms);
    let mut back_ms = from_ms;
    let mut last_is_above = false;
    for row in rows {
        if row.iterator_age_max_ms > limit_ms {
            if !last_is_above && row.at_ms - back_ms >= STAYS_MS {
                break;
            }
            (back_ms, last_is_above) = (row.at_ms + 1_000, true);
        } else {
            last_is_above = false;
        }
    }
    (!last_is_above).then_some(back_ms.max(from_ms) * 1_000)
}

/// At most, over the whole seconds of a time.
fn backlog_max(backlog: &BTreeMap<i64, u64>, from_ms: i64, until_ms: i64) -> u64 {
    let during = backlog.range(from_ms - 999..=until_ms.max(from_ms - 999));
    during.map(|(_, records)| *records).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (second, largest iterator age in ms, records).
    fn seen(rows: &[(i64, f64, u64)]) -> Vec<ReceiptSecond> {
        let row = |(second, age, records): &(i64, f64, u64)| ReceiptSecond {
            at_ms: second * 1_000,
            records: *records,
            iterator_age_max_ms: *age,
            ..ReceiptSecond::default()
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn the_age_is_back_after_the_last_second_above_the_limit() {
        let rows = seen(&[(1, 90.0, 1), (10, 20_000.0, 1), (11, 3_000.0, 1), (12, 900.0, 1), (13, 80.0, 1)]);
        let back = |until: i64| age_back_us(&rows, 9_500_000, until * 1_000_000, 1_000.0);
        assert_eq!(back(30), Some(12_000_000));
        assert_eq!(back(12), None, "the test ended before it was back");
        let fine = seen(&[(10, 900.0, 1), (11, 80.0, 1)]);
        assert_eq!(age_back_us(&fine, 9_500_000, 30_000_000, 1_000.0), Some(9_500_000), "it never was above");
    }

    #[test]
    fn an_age_that_rises_again_soon_was_not_back_and_one_that_rises_late_has_another_cause() {
        let soon = seen(&[(10, 5_000.0, 1), (11, 100.0, 1), (15, 4_000.0, 1), (16, 100.0, 1)]);
        assert_eq!(age_back_us(&soon, 10_000_000, 60_000_000, 1_000.0), Some(16_000_000));
        let late = seen(&[(10, 5_000.0, 1), (11, 100.0, 1), (40, 4_000.0, 1), (41, 100.0, 1)]);
        assert_eq!(age_back_us(&late, 10_000_000, 60_000_000, 1_000.0), Some(11_000_000));
    }

    #[test]
    fn a_pipeline_that_was_never_young_is_compared_with_itself() {
        let rows = seen(&[(1, 9_000.0, 1), (50, 2_500.0, 1), (70, 2_000.0, 1), (79, 30_000.0, 1)]);
        assert_eq!(
            age_limit_ms(&rows, 0, 79_500),
            3_000.0,
            "the last minute, without the action's own second"
        );
        assert_eq!(
            age_limit_ms(&rows, 75_000, 78_000),
            AGE_LIMIT_MS,
            "what an earlier test did is none of it"
        );
    }

    #[test]
    fn the_backlog_is_the_most_of_the_seconds_that_an_action_touches() {
        let backlog = BTreeMap::from([(0, 0), (1_000, 10), (2_000, 20), (3_000, 30), (4_000, 5)]);
        assert_eq!(backlog_max(&backlog, 1_500, 2_500), 20);
        assert_eq!(backlog_max(&backlog, 1_500, 5_000), 30);
        assert_eq!(backlog_max(&backlog, 0, 0), 0);
        assert_eq!(backlog_max(&backlog, 9_000, 1_000), 0);
    }
}
