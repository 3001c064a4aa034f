//! What a test of virtual users shows and what it cannot, in the sentences that every format shows alike.

use crate::evidence::model::{LevelEvidence, TestEvidence};
use crate::plan::{StageKind, Users};

use super::text::{self, percent};

/// `None` for an open loop.
pub fn sentences(test: &TestEvidence, users: Option<&Users>) -> Option<String> {
    let users = users?;
    let mut text = format!(
        "Closed loop: up to {} virtual users, each of whom sends a record, waits for its answer and thinks for {}. \
         The rate is an outcome, not a target.",
        users.peak(),
        thinking(users)
    );
    if let Some((level, possible_rps, sent_rps)) = slowest(test, users) {
        text.push_str(&format!(
            " Had every answer come at once, the users of the level '{}' would have sent {} records/s; they sent {}, \
             and waited for answers {} of the time.",
            level.name,
            text::rate(possible_rps),
            text::rate(sent_rps),
            percent((1.0 - sent_rps / possible_rps).max(0.0) * 100.0)
        ));
    }
    text.push_str(
        " What this cannot see: a target that stalls is sent less, so that what would have come meanwhile is in no \
         latency (coordinated omission); latencies count from the send. Nor does it tell which rate the pipeline \
         carries, or a slow generator from a slow target.",
    );
    Some(text)
}

fn thinking(users: &Users) -> String {
    let (min_ms, max_ms) = (users.think_min.as_millis(), users.think_max.as_millis());
    if min_ms == max_ms { format!("{min_ms} ms") } else { format!("{min_ms} to {max_ms} ms") }
}

/// Of the holds that ran to their end, the one whose users waited the largest part of the time, with the rate that
/// they could have sent and that which they did.
fn slowest<'t>(test: &'t TestEvidence, users: &Users) -> Option<(&'t LevelEvidence, f64, f64)> {
    let rates = test.levels.iter().filter_map(|level| {
        let (_, count) = level.users.filter(|(_, count)| *count > 0)?;
        let ran = level.finished && level.kind == StageKind::Hold && level.planned_s > 0.0;
        let possible_rps = f64::from(count) / users.mean_think().as_secs_f64();
        ran.then(|| (level, possible_rps, level.sent as f64 / level.planned_s))
    });
    rates.min_by(|(_, possible, sent), (_, other_possible, other_sent)| {
        (sent / possible).total_cmp(&(other_sent / other_possible))
    })
}
