//! An existing pipeline in the report: who reads the stream, what changed, what others sent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::existing::Foreign;
use crate::evidence::model::Evidence;

use super::text::{self, rounded};

/// A pipeline that was there before the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExistingReport {
    /// Everything that reads the stream, a line each; and what could not be listed.
    pub readers: Vec<String>,
    /// Settings by name (`mapping.batch_size`) before the run.
    pub before: BTreeMap<String, String>,
    /// The same after it; null where the run did not get to look.
    pub after: Option<BTreeMap<String, String>>,
    /// Settings that changed during the run, in the order in which it was seen.
    pub changes: Vec<ChangeReport>,
    /// Null where CloudWatch did not tell.
    pub foreign_traffic: Option<ForeignReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeReport {
    pub setting: String,
    /// Null: there was none.
    pub before: Option<String>,
    pub after: Option<String>,
    /// It changed between these two looks.
    pub not_before: String,
    pub not_after: String,
}

/// Traffic in the stream that is not the run's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignReport {
    /// Records that came in beyond those that were acked to the run.
    pub records: u64,
    /// Of all that came in.
    pub share_percent: Option<f64>,
    pub minutes: Vec<ForeignMinuteReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignMinuteReport {
    pub at: String,
    /// Records of every producer.
    pub incoming: u64,
    /// Acked records of the run, probes included.
    pub ours: u64,
    /// The difference. A record that came in at the end of a minute may be acked in the next: single minutes may be
    /// off by those.
    pub foreign: u64,
}

pub(super) fn report(evidence: &Evidence) -> Option<ExistingReport> {
    let info = evidence.environment.existing.as_ref()?;
    Some(ExistingReport {
        readers: info.readers.clone(),
        before: info.before.clone(),
        after: info.after.clone(),
        changes: evidence
            .changes
            .iter()
            .map(|change| ChangeReport {
                setting: change.setting.clone(),
                before: change.before.clone(),
                after: change.after.clone(),
                not_before: text::time(change.from_us),
                not_after: text::time(change.until_us),
            })
            .collect(),
        foreign_traffic: evidence.foreign.as_ref().map(foreign),
    })
}

fn foreign(foreign: &Foreign) -> ForeignReport {
    let incoming: u64 = foreign.minutes.iter().map(|minute| minute.incoming).sum();
    let records = foreign.records();
    ForeignReport {
        records,
        share_percent: (incoming > 0).then(|| records as f64 / incoming as f64 * 100.0).and_then(rounded),
        minutes: foreign
            .minutes
            .iter()
            .map(|minute| ForeignMinuteReport {
                at: text::time(minute.at_ms * 1_000),
                incoming: minute.incoming,
                ours: minute.ours,
                foreign: minute.incoming.saturating_sub(minute.ours),
            })
            .collect(),
    }
}

/// More minutes than these are in `report.json` alone.
const MINUTES_SHOWN: usize = 60;

impl ForeignReport {
    /// The first minutes in which others sent something.
    pub(super) fn busy(&self) -> impl Iterator<Item = &ForeignMinuteReport> {
        self.minutes.iter().filter(|minute| minute.foreign > 0).take(MINUTES_SHOWN)
    }
}

impl ExistingReport {
    /// What a reader must know, in sentences: the same in every format.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences =
            vec!["The pipeline was there before the run: nothing of it was made or deleted.".to_owned()];
        sentences.push(match &self.foreign_traffic {
            None => "What other producers sent is not known: CloudWatch gave no incoming records by the minute.".to_owned(),
            Some(foreign) if foreign.records == 0 => "Nothing but this run's records came into the stream.".to_owned(),
            Some(foreign) => {
                let share = foreign.share_percent.map(|share| format!(" ({share:.1} % of all)")).unwrap_or_default();
                let busiest = foreign.minutes.iter().map(|minute| minute.foreign).max().unwrap_or(0);
                format!(
                    "Other producers sent {}{share}, at most {} in a minute: they share the shards and the function with the \
                     run, and are in CloudWatch's figures and in the cost.",
                    text::plural(foreign.records, "record"),
                    text::count(busiest)
                )
            }
        });
        for change in &self.changes {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            sentences.push(format!(
                "Changed during the run, between {} and {}: {} from {} to {}. The levels it falls into are void.",
                change.not_before,
                change.not_after,
                change.setting,
                shown(&change.before),
                shown(&change.after)
            ));
        }
        if self.after.is_none() {
            sentences.push("The settings after the run are not known.".to_owned());
        }
        sentences
    }
}
