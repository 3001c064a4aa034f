//! What the plan changed in the pipeline during a test, and how long it took to catch up: the part of a test's report
//! about it, and its sentences and table, which every format shows alike.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::actions::ActionEvidence;
use crate::evidence::model::{Evidence, TestEvidence};

use super::recovery::{self, RecoveryReport};
use super::text::{self, NONE, count, number, rounded};

/// One action of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionReport {
    /// Name of the level that it belongs to.
    pub level: String,
    #[schemars(extend("enum" = ["disable_mapping", "reshard", "set_reserved_concurrency", "change_batch"]))]
    pub kind: String,
    /// For example `mapping disabled for 20s`.
    pub text: String,
    /// Null: its level was never started.
    pub planned_at: Option<String>,
    /// Null: the load had ended before its time.
    pub started_at: Option<String>,
    /// Seconds from the start until the service had done it; null: it was not seen to.
    pub settled_s: Option<f64>,
    /// When what stood before was asked for.
    pub reverting_at: Option<String>,
    /// When it stood again.
    pub reverted_at: Option<String>,
    /// The service's words where it would not: nothing has changed then.
    pub refused: Option<String>,
    /// Why what stood before does not stand again, or is not known to.
    pub not_reverted: Option<String>,
    /// Records acked and not yet handed to the function, at most, from the start until all was caught up.
    pub backlog_max_records: Option<u64>,
    /// Seconds from `reverting_at` until all records that had been due by then were processed, and the iterator age
    /// was at or under `iterator_age_limit_ms`.
    pub catch_up_s: Option<f64>,
    /// Why `catch_up_s` is null, where the action was begun and not refused.
    pub not_caught_up: Option<String>,
    /// 1,000, or 1.2 times the largest iterator age of the minute before the action where that is more.
    pub iterator_age_limit_ms: f64,
    /// Of an outage: null for actions that leave the consumer on, and where no batch came after it.
    #[serde(default)]
    pub recovery: Option<RecoveryReport>,
}

pub fn report(test: &TestEvidence, evidence: &Evidence) -> Vec<ActionReport> {
    let level_of = |index: u32| test.levels.iter().find(|level| level.index == index);
    let report = |action: &ActionEvidence| ActionReport {
        level: level_of(action.level).map_or_else(String::new, |level| level.name.clone()),
        kind: action.kind.clone(),
        text: action.text.clone(),
        planned_at: action.planned_us.map(text::time),
        started_at: action.started_us.map(text::time),
        settled_s: action.settled_s().and_then(rounded),
        reverting_at: action.reverting_us.map(text::time),
        reverted_at: action.reverted_us.map(text::time),
        refused: action.refused.clone(),
        not_reverted: action.not_reverted.clone(),
        backlog_max_records: action.backlog_max_records,
        catch_up_s: action.catch_up_s().and_then(rounded),
        not_caught_up: action.not_caught_up.clone(),
        iterator_age_limit_ms: rounded(action.age_limit_ms).unwrap_or(0.0),
        recovery: action.recovery.as_ref().map(|one| recovery::report(one, evidence, test.payload.bytes)),
    };
    test.actions.iter().map(report).collect()
}

/// Plain sentences for each action.
pub fn sentences(actions: &[ActionReport]) -> Vec<String> {
    actions.iter().map(sentence).collect()
}

fn sentence(action: &ActionReport) -> String {
    let ActionReport { text, .. } = action;
    if action.started_at.is_none() {
        return format!("Not begun: {text}.");
    }
    if let Some(refused) = &action.refused {
        return format!("Refused: {text} ({refused}).");
    }
    let mut sentence = capitalized(text);
    if let Some(records) = action.backlog_max_records {
        sentence += &format!(": a backlog of {} records at most", count(records));
    }
    sentence += &match (action.catch_up_s, &action.not_caught_up) {
        (Some(catch_up_s), _) => {
            format!(", caught up {} s after it was asked to revert", number(catch_up_s))
        }
        (None, Some(why)) => format!("; not known to have caught up: {why}"),
        (None, None) => String::new(),
    };
    if let Some(why) = &action.not_reverted {
        sentence += &format!("; not seen to be reverted: {why}");
    }
    sentence += ".";
    if let Some(recovery) = &action.recovery {
        sentence += &format!(" {}", recovery::sentences(recovery));
    }
    sentence
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Header and one row for each action.
pub const HEADER: [&str; 8] =
    ["action", "level", "started", "settled, s", "reverted", "backlog, records", "caught up, s", "remark"];
/// Columns of text at the left.
pub const TEXT_COLUMNS: usize = 3;

pub fn rows(actions: &[ActionReport]) -> impl Iterator<Item = [String; 8]> + '_ {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_owned());
    actions.iter().map(move |action| {
        let remark = [&action.refused, &action.not_reverted, &action.not_caught_up];
        let remark = remark.into_iter().flatten().next().cloned().unwrap_or_default();
        [
            action.text.clone(),
            action.level.clone(),
            or_none(&action.started_at),
            text::or_none(action.settled_s, number),
            or_none(&action.reverted_at),
            text::or_none(action.backlog_max_records, count),
            text::or_none(action.catch_up_s, number),
            remark,
        ]
    })
}
