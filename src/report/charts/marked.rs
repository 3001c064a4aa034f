//! What is marked in the charts over the time of a test: its levels, what was changed meanwhile, and its flags.

use crate::evidence::model::{Evidence, FlagRaised, TestEvidence};
use crate::plan::StageKind;
use crate::platform::clock::WallUs;
use crate::report::text;

/// Flags marked, one letter each: the table of flags has all of them.
const FLAGS_MAX: usize = 26;

#[derive(Clone, Debug, PartialEq)]
pub struct LevelSpan {
    pub name: String,
    pub hold: bool,
    pub void: bool,
    pub from_s: f64,
    pub to_s: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ActionSpan {
    /// `1`, `2` and so on, within the test.
    pub key: String,
    pub text: String,
    pub from_s: f64,
    pub to_s: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FlagMark {
    /// `A` to `Z`, within the test.
    pub key: String,
    pub flag: &'static str,
    pub detail: String,
    /// Name of the level, where the flag belongs to one.
    pub level: Option<String>,
    pub stopped: bool,
    pub at_s: f64,
}

pub(super) fn levels(test: &TestEvidence, base_ms: i64) -> Vec<LevelSpan> {
    test.levels
        .iter()
        .filter_map(|level| {
            let start_s = (level.started_us? / 1_000 - base_ms) as f64 / 1_000.0;
            Some(LevelSpan {
                name: level.name.clone(),
                hold: level.kind == StageKind::Hold,
                void: level.void.is_some(),
                from_s: start_s,
                to_s: start_s + level.planned_s,
            })
        })
        .collect()
}

/// From asking for each action until it was asked to be reverted.
pub(super) fn actions(test: &TestEvidence, base_ms: i64) -> Vec<ActionSpan> {
    let spans = test.actions.iter().filter(|action| action.refused.is_none());
    let spans = spans.filter_map(|action| Some((action, action.started_us.zip(action.reverting_us)?)));
    spans
        .enumerate()
        .map(|(index, (action, (from_us, to_us)))| ActionSpan {
            key: (index + 1).to_string(),
            text: action.text.clone(),
            from_s: at_s(from_us, base_ms),
            to_s: at_s(to_us, base_ms),
        })
        .collect()
}

/// The first flags of a test, in the order of time, and how many there are besides.
pub(super) fn flags(evidence: &Evidence, test: &TestEvidence, base_ms: i64) -> (Vec<FlagMark>, usize) {
    let level_of = |flag: &FlagRaised| {
        flag.level.and_then(|index| test.levels.iter().find(|level| level.index == index))
    };
    let during = test.started_us.unwrap_or(WallUs::MAX)..=test.ended_us.unwrap_or(WallUs::MAX);
    let mut raised: Vec<&FlagRaised> = evidence
        .flags
        .iter()
        .filter(|flag| level_of(flag).is_some() || flag.level.is_none() && during.contains(&flag.at_us))
        .collect();
    raised.sort_by_key(|flag| flag.at_us);
    let more = raised.len().saturating_sub(FLAGS_MAX);
    let marks = ('A'..='Z').zip(&raised).map(|(key, flag)| FlagMark {
        key: key.to_string(),
        flag: text::flag(flag.flag),
        detail: flag.detail.clone(),
        level: level_of(flag).map(|level| level.name.clone()),
        stopped: flag.stopped,
        at_s: at_s(flag.at_us, base_ms),
    });
    (marks.collect(), more)
}

fn at_s(us: WallUs, base_ms: i64) -> f64 {
    (us / 1_000 - base_ms) as f64 / 1_000.0
}
