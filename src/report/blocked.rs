//! What failing batches held up: the part of a test's report about it, and its sentences, which every format
//! shows alike.

use crate::evidence::model::{Block, Blocked};

use super::build::dist;
use super::model::{BlockReport, BlockedReport};
use super::text::{self, count, number, plural, rounded};

/// Blocks that a table shows; `report.json` has all of them.
pub const BLOCKS_SHOWN: usize = 20;

pub fn report(blocked: &Blocked) -> BlockedReport {
    let blocks: Vec<BlockReport> = blocked.blocks.iter().map(block).collect();
    let sum = |of: fn(&BlockReport) -> u64| blocks.iter().map(of).sum::<u64>();
    let lasted = || blocks.iter().filter_map(|block| block.blocked_s);
    BlockedReport {
        poisoned: blocked.poisoned,
        blocked_s: rounded(lasted().sum()).unwrap_or(0.0),
        longest_s: lasted().reduce(f64::max),
        failed_attempts: sum(|block| block.failed_attempts),
        good_waited: sum(|block| block.good_waited),
        added_wait_ms: blocked.added_wait.map(dist),
        dead_letter_ranges: sum(|block| block.dead_letter_ranges),
        dead_lettered: sum(|block| block.dead_lettered),
        good_dead_lettered: sum(|block| block.good_dead_lettered),
        good_never_processed: sum(|block| block.good_never_processed),
        blocks,
    }
}

fn block(block: &Block) -> BlockReport {
    let lasted_s = block.until_us.map(|until_us| (until_us - block.from_us) as f64 / 1e6);
    BlockReport {
        shard: block.shard.clone(),
        from: text::time(block.from_us),
        until: block.until_us.map(text::time),
        blocked_s: lasted_s.and_then(rounded),
        failed_attempts: block.failed_attempts,
        poison: block.poison.iter().copied().collect(),
        good_waited: block.added_wait.map_or(0, |wait| wait.count),
        added_wait_ms: block.added_wait.map(dist),
        dead_letter_ranges: block.dead_ranges,
        dead_lettered: block.dead_lettered.iter().map(|(first, last)| last - first + 1).sum(),
        dead_lettered_sequences: block.dead_lettered.clone(),
        good_dead_lettered: block.dead_good,
        good_never_processed: block.dead_good_unprocessed,
    }
}

/// Plain sentences, with the numbers.
pub fn sentences(blocked: &BlockedReport) -> Vec<String> {
    let records = plural(blocked.poisoned, "poisoned record");
    if blocked.blocks.is_empty() {
        return vec![format!("{records}, and no receipt tells of a batch that failed on one.")];
    }
    let mut sentences = vec![held(blocked, &records)];
    sentences.push(match blocked.added_wait_ms {
        Some(wait) => format!(
            "{} waited in the shard meanwhile and came through, {} longer on average and {} at most.",
            plural(blocked.good_waited, "good record"),
            seconds(wait.avg),
            seconds(wait.max)
        ),
        None => "No good record waited behind it.".to_owned(),
    });
    if blocked.dead_lettered == 0 {
        sentences.push("Nothing of it was found in the on-failure queue.".to_owned());
        return sentences;
    }
    sentences.push(format!(
        "{} dead-lettered, named by reading {} of Kinesis sequence numbers again: {} poisoned, {} good{}.",
        was(blocked.dead_lettered, "record"),
        plural(blocked.dead_letter_ranges, "range"),
        count(blocked.dead_lettered - blocked.good_dead_lettered),
        count(blocked.good_dead_lettered),
        match blocked.good_dead_lettered {
            0 => String::new(),
            _ => format!(" (of which {} never processed)", count(blocked.good_never_processed)),
        }
    ));
    sentences
}

fn held(blocked: &BlockedReport, records: &str) -> String {
    let open = blocked.blocks.iter().filter(|block| block.blocked_s.is_none()).count() as u64;
    let open = match open {
        0 => String::new(),
        open => format!(" ({} not over when the run ended)", count(open)),
    };
    format!(
        "{records}. {} failed and held a shard for {} s{}{open}.",
        plural(blocked.failed_attempts, "attempt"),
        number(blocked.blocked_s),
        match (blocked.blocks.len() as u64, blocked.longest_s) {
            (0 | 1, _) | (_, None) => String::new(),
            (times, Some(longest_s)) =>
                format!(" in {}, {} s the longest", plural(times, "block"), number(longest_s)),
        }
    )
}

/// `1 record was`, `61 records were`.
fn was(many: u64, what: &str) -> String {
    format!("{} {}", plural(many, what), if many == 1 { "was" } else { "were" })
}

fn seconds(ms: f64) -> String {
    format!("{} s", number(ms / 1_000.0))
}

/// Header and one row for each block that is shown.
pub const HEADER: [&str; 11] = [
    "shard",
    "blocked from",
    "s",
    "failed attempts",
    "poisoned",
    "good waited",
    "longer avg, s",
    "max, s",
    "dead-lettered",
    "good of them",
    "never processed",
];

pub fn rows(blocked: &BlockedReport) -> impl Iterator<Item = [String; 11]> + '_ {
    blocked.blocks.iter().take(BLOCKS_SHOWN).map(|block| {
        [
            block.shard.clone(),
            block.from.clone(),
            text::or_none(block.blocked_s, number),
            count(block.failed_attempts),
            count(block.poison.len() as u64),
            count(block.good_waited),
            text::or_none(block.added_wait_ms, |wait| number(wait.avg / 1_000.0)),
            text::or_none(block.added_wait_ms, |wait| number(wait.max / 1_000.0)),
            count(block.dead_lettered),
            count(block.good_dead_lettered),
            count(block.good_never_processed),
        ]
    })
}
