//! The actions' part of [`super::resolve`]: what a stage changes in the pipeline, and whether it can.

use std::time::Duration;

use super::model::*;
use super::resolve::{Place, Resolver};
use super::typed::{DurationText, StageDoc};
use super::typed_action::{ActionDoc, ChangeBatchDoc, ReservedConcurrencyDoc};
use super::units::show_duration;
use crate::platform::limits;

/// More than this in one test is a mistake.
const ACTIONS_MAX: usize = 100;
/// An action shorter than this is over before a service has taken it in.
const LASTS_MIN: Duration = Duration::from_millis(100);
const KINDS: &str = "one of disable_mapping, reshard, set_reserved_concurrency and change_batch";
/// UpdateShardCount limits its calls within this; an action takes two, there and back.
const RESHARD_WINDOW: Duration = Duration::from_secs(24 * 3_600);

/// An action with its place in the plan.
struct Placed<'t> {
    /// From the start of the test's load.
    from: Duration,
    action: Action,
    at: Place<'t>,
}

impl Placed<'_> {
    fn until(&self) -> Duration {
        self.from + self.action.lasts
    }
}

/// What the stages say of actions, one entry a stage, taken out of them.
pub(super) fn take(stages: Option<&mut Vec<StageDoc>>) -> Vec<Vec<ActionDoc>> {
    let stages = stages.into_iter().flatten();
    stages.map(|stage| stage.actions.take().unwrap_or_default()).collect()
}

impl Resolver<'_> {
    /// Lays the actions into their stages. `at`: the test's `stages`.
    pub(super) fn lay_actions(
        &mut self,
        stages: &mut [Stage],
        documents: Vec<Vec<ActionDoc>>,
        environment: &Environment,
        at: &Place<'_>,
    ) {
        let load: Duration = stages.iter().map(|stage| stage.duration).sum();
        let mut placed: Vec<Placed<'_>> = Vec::new();
        let mut stage_from = Duration::ZERO;
        for (i, (stage, documents)) in stages.iter_mut().zip(documents).enumerate() {
            for (j, document) in documents.into_iter().enumerate() {
                let at = at.index(i).key("actions").index(j);
                let rest = load - stage_from;
                let Some(action) = self.action(document, stage.duration, rest, environment, &at) else {
                    continue;
                };
                stage.actions.push(action.clone());
                placed.push(Placed { from: stage_from + action.at, action, at });
            }
            stage_from += stage.duration;
        }
        self.check(&placed, at);
    }

    /// Lays the actions of a series into the stages that it was cut into: its author knows times, not levels.
    /// `at`: the test's `actions`.
    pub(super) fn lay_series_actions(
        &mut self,
        stages: &mut [Stage],
        documents: Vec<ActionDoc>,
        environment: &Environment,
        at: &Place<'_>,
    ) {
        let load: Duration = stages.iter().map(|stage| stage.duration).sum();
        // Where the series could not be read, that is what is wrong.
        if load.is_zero() {
            return;
        }
        let mut placed: Vec<Placed<'_>> = Vec::new();
        for (i, document) in documents.into_iter().enumerate() {
            let at = at.index(i);
            let Some(action) = self.action(document, load, load, environment, &at) else { continue };
            let mut stage_from = Duration::ZERO;
            let of_stage = stages.iter_mut().find(|stage| {
                let is_in = action.at < stage_from + stage.duration;
                stage_from += if is_in { Duration::ZERO } else { stage.duration };
                is_in
            });
            if let Some(stage) = of_stage {
                stage.actions.push(Action { at: action.at - stage_from, ..action.clone() });
            }
            placed.push(Placed { from: action.at, action, at });
        }
        self.check(&placed, at);
    }

    fn check(&mut self, placed: &[Placed<'_>], at: &Place<'_>) {
        if placed.len() > ACTIONS_MAX {
            self.wrong(at, format!("{} actions", placed.len()), format!("at most {ACTIONS_MAX} in a test"));
        }
        self.check_overlaps(placed);
        self.check_reshards(placed);
    }

    /// Nothing but the tool's own pipeline may be changed.
    pub(super) fn no_actions_on_existing(&mut self, phases: &[Phase], at: &Place<'_>) {
        for (i, phase) in phases.iter().enumerate() {
            for (j, test) in phase.tests.iter().enumerate() {
                let test_at = at.index(i).key("tests").index(j);
                let of_series = test_at.key("actions");
                if of_series.is_written() {
                    self.wrong(&of_series, "actions", "none: an existing pipeline is taken as it is");
                    continue;
                }
                let stages = test_at.key("stages");
                for (k, _) in test.stages.iter().enumerate().filter(|(_, stage)| !stage.actions.is_empty()) {
                    let at = stages.index(k).key("actions");
                    self.wrong(&at, "actions", "none: an existing pipeline is taken as it is");
                }
            }
        }
    }

    /// `rest`: of the test's load, from the start of the stage.
    fn action(
        &mut self,
        document: ActionDoc,
        stage: Duration,
        rest: Duration,
        environment: &Environment,
        at: &Place<'_>,
    ) -> Option<Action> {
        let last_at = stage.saturating_sub(LASTS_MIN);
        let from = document.at.as_ref();
        let from = self.duration(from, &at.key("at"), Duration::ZERO..=last_at, Duration::ZERO);
        let ActionDoc { disable_mapping, reshard, set_reserved_concurrency, change_batch, .. } = document;
        let mut changes: Vec<(&str, ActionChange, Option<DurationText>)> = Vec::new();
        if let Some(disable) = disable_mapping {
            changes.push(("disable_mapping", ActionChange::DisableMapping, disable.lasts));
        }
        if let Some(reshard) = reshard {
            let shards = self.reshard(reshard.shards, environment, &at.key("reshard"));
            changes.push(("reshard", ActionChange::Reshard { shards }, reshard.lasts));
        }
        if let Some(ReservedConcurrencyDoc { value, lasts }) = set_reserved_concurrency {
            let change = self.reserved(value, environment, &at.key("set_reserved_concurrency"));
            changes.push(("set_reserved_concurrency", change, lasts));
        }
        if let Some(batch) = change_batch {
            let lasts = batch.lasts.clone();
            changes.push(("change_batch", self.batch(batch, &at.key("change_batch")), lasts));
        }
        if changes.len() != 1 {
            match changes.len() {
                0 => self.missing(at, KINDS),
                _ => self.wrong(at, format!("{} kinds of action in one", changes.len()), KINDS),
            }
            return None;
        }
        let (key, change, lasts) = changes.remove(0);
        let longest = rest.saturating_sub(from).max(LASTS_MIN);
        let until_stage_end = stage.saturating_sub(from).max(LASTS_MIN);
        let for_at = at.key(key).key("for");
        let lasts = self.duration(lasts.as_ref(), &for_at, LASTS_MIN..=longest, until_stage_end);
        Some(Action { at: from, lasts, change })
    }

    /// Kinesis API reference, UpdateShardCount: at most double, at least half, and not the same.
    fn reshard(&mut self, shards: Option<i64>, environment: &Environment, at: &Place<'_>) -> u32 {
        let stream = &environment.stream;
        if stream.mode == StreamMode::OnDemand {
            self.wrong(at, "reshard", "no reshard: an on-demand stream sets its shards itself");
            return stream.shards;
        }
        let at = at.key("shards");
        let (least, most) = (stream.shards.div_ceil(2), stream.shards.saturating_mul(2));
        let most = most.min(limits::UPDATE_SHARD_COUNT_MAX).max(least);
        let expected = format!("{least} to {most} shards, half to double those of the stream");
        match shards.map(u32::try_from) {
            Some(Ok(shards)) if shards == stream.shards => {
                self.wrong(&at, format!("the {shards} that the stream has already"), expected);
            }
            Some(Ok(shards)) if (least..=most).contains(&shards) => return shards,
            Some(_) => self.unexpected(&at, expected),
            None => self.missing(&at, &expected),
        }
        stream.shards
    }

    fn reserved(&mut self, value: Option<i64>, environment: &Environment, at: &Place<'_>) -> ActionChange {
        let at = at.key("value");
        if value.is_none() {
            self.missing(&at, "a number of concurrent executions, 0 to 100000");
        }
        // Lambda developer guide, "Configuring provisioned concurrency": it counts towards the reserved one.
        let least = environment.function.provisioned_concurrency.unwrap_or(0);
        ActionChange::ReservedConcurrency { value: self.whole(value, &at, least..=100_000, least) }
    }

    fn batch(&mut self, batch: ChangeBatchDoc, at: &Place<'_>) -> ActionChange {
        let ChangeBatchDoc { batch_size, batch_window, parallelization, .. } = batch;
        if batch_size.is_none() && batch_window.is_none() && parallelization.is_none() {
            self.missing(at, "at least one of batch_size, batch_window and parallelization");
        }
        let window_max = Duration::from_secs((*limits::MAPPING_WINDOW_S.end()).into());
        let window_at = at.key("batch_window");
        let window =
            self.duration(batch_window.as_ref(), &window_at, Duration::ZERO..=window_max, Duration::ZERO);
        if window.subsec_nanos() != 0 {
            self.unexpected(&window_at, "whole seconds");
        }
        let mut whole =
            |value: Option<i64>, key: &str, range| value.map(|_| self.whole(value, &at.key(key), range, 1));
        ActionChange::ChangeBatch {
            batch_size: whole(batch_size, "batch_size", limits::MAPPING_BATCH_SIZE),
            parallelization: whole(parallelization, "parallelization", limits::MAPPING_PARALLELIZATION),
            batch_window_s: batch_window.map(|_| window.as_secs() as u32),
        }
    }

    /// Two of a kind at once would revert to each other's settings.
    fn check_overlaps(&mut self, placed: &[Placed<'_>]) {
        for (i, later) in placed.iter().enumerate() {
            let before = placed[..i].iter().find(|other| {
                let same = other.action.change.kind() == later.action.change.kind();
                same && other.from < later.until() && later.from < other.until()
            });
            if let Some(other) = before {
                let kind = later.action.change.kind();
                let (from, until) = (show_duration(other.from), show_duration(other.until()));
                let found = format!("{kind} while another is on, from {from} to {until} of the test");
                self.wrong(&later.at, found, format!("one {kind} at a time"));
            }
        }
    }

    fn check_reshards(&mut self, placed: &[Placed<'_>]) {
        let mut starts: Vec<&Placed<'_>> =
            placed.iter().filter(|one| matches!(one.action.change, ActionChange::Reshard { .. })).collect();
        starts.sort_by_key(|one| one.from);
        let most = limits::UPDATE_SHARD_COUNT_PER_DAY / 2;
        if let Some(too_many) = starts.windows(most + 1).find(|some| {
            let (first, last) = (some[0], some[most]);
            last.until() - first.from < RESHARD_WINDOW
        }) {
            let found = format!("{} reshards within 24h, each there and back", most + 1);
            let calls = limits::UPDATE_SHARD_COUNT_PER_DAY;
            let expected = format!("at most {most}: Kinesis takes {calls} UpdateShardCount calls in 24h");
            self.wrong(&too_many[most].at, found, expected);
        }
    }
}
