//! Looks in the stream itself for records that no receipt tells of: a record that is not there was lost by
//! the stream; one that is there has lost its receipt, or was never handed to the function. What the stream
//! may have forgotten by itself is neither.

use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::types::Record;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::accounting::Missing;
use super::events::Event;
use super::kinesis_number::KinesisNumber;
use super::reread::{Begin, StreamReader};
use super::sequences::SequenceSet;
use crate::platform::clock::{Clock, WallUs};
use crate::wire::envelope::{Envelope, EnvelopePath, PROBE_LEVEL};
use crate::wire::run_id::RunId;

/// Arrival times are the service's clock, the run's start is ours.
const CLOCK_MARGIN_US: i64 = 60_000_000;
/// Shards that are read at a time. One answer has up to 10 MiB (Kinesis API reference, GetRecords), which
/// is what bounds it.
const SHARDS_AT_A_TIME: usize = 4;

pub struct Lookup<'a> {
    pub kinesis: &'a aws_sdk_kinesis::Client,
    pub stream_arn: &'a str,
    pub run: &'a RunId,
    /// Where envelopes are, beside their default place.
    pub paths: &'a [EnvelopePath],
    /// What to look for: `accounting::missing`.
    pub missing: &'a Missing,
    /// Start of the run: reading begins a minute before it.
    pub from_us: WallUs,
    pub clock: Clock,
    /// What arrived earlier than this ago may have been trimmed. The stream itself is asked as well, for it
    /// may have been changed during the run.
    pub retention: Duration,
    /// Reading ends after this, wherever it is.
    pub bound: Duration,
}

/// Reads all shards from the run's start to their tips and says which of the missing sequences are there.
/// The others are absent if every shard was read to its tip, and if the stream must still have had them:
/// one that was due so early that it may have been trimmed is not named, and the event says why.
pub async fn confirm(lookup: &Lookup<'_>) -> Event {
    let deadline = lookup.clock.instant() + lookup.bound;
    let found = Mutex::new(SequenceSet::new());
    let read = read_all(lookup, deadline, &found).await;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let unseen = lookup.missing.sequences.minus(&found);
    let present = found.ranges().collect();
    if unseen.is_empty() {
        return Event::Confirmed { absent: Vec::new(), present, expired: Vec::new(), incomplete: None };
    }
    let (sorted, incomplete) = match read.and_then(|forgotten| sort_out(lookup, &unseen, forgotten)) {
        Ok(sorted) => sorted,
        Err(reason) => (Unseen::default(), Some(reason)),
    };
    let [absent, expired] = [sorted.absent, sorted.expired].map(|set| set.ranges().collect());
    Event::Confirmed { absent, present, expired, incomplete }
}

/// The stream may have forgotten what arrived before this.
struct Forgotten {
    before_us: WallUs,
    why: String,
    /// The stream keeps records as long as it did when the run began.
    as_it_was: bool,
}

impl Forgotten {
    fn later(self, other: Forgotten) -> Forgotten {
        let as_it_was = self.as_it_was && other.as_it_was;
        Forgotten { as_it_was, ..if other.before_us > self.before_us { other } else { self } }
    }
}

/// What is not in the stream, by what is known of it.
#[derive(Default)]
struct Unseen {
    /// The stream must still have had it.
    absent: SequenceSet,
    /// The stream forgot it before the function was handed it.
    expired: SequenceSet,
}

/// The unseen sequences that cannot have been trimmed, those that were, and why others may have been. A record
/// arrives after it was due.
fn sort_out(
    lookup: &Lookup<'_>,
    unseen: &SequenceSet,
    forgotten: Forgotten,
) -> Result<(Unseen, Option<String>), String> {
    let before_us = forgotten.before_us + CLOCK_MARGIN_US;
    let mut absent = unseen.clone();
    if before_us < lookup.from_us {
        return Ok((Unseen { absent, ..Unseen::default() }, None));
    }
    let highest = lookup.missing.highest_due_by(before_us).map_err(|error| error.to_string())?;
    if let Some(highest) = highest {
        absent.remove_range(0, highest);
    }
    let doubtful = unseen.minus(&absent);
    // Of a stream that keeps records for another time than it did, nothing is known.
    let expired = match forgotten.as_it_was {
        true => doubtful.intersection(&lookup.missing.expired),
        false => SequenceSet::new(),
    };
    let left = doubtful.len() - expired.len();
    let incomplete = (left > 0).then(|| format!("{left} may have been trimmed: {}", forgotten.why));
    Ok((Unseen { absent, expired }, incomplete))
}

async fn read_all(
    lookup: &Lookup<'_>,
    deadline: Instant,
    found: &Mutex<SequenceSet>,
) -> Result<Forgotten, String> {
    let mut forgotten = Forgotten { before_us: WallUs::MIN / 2, why: String::new(), as_it_was: true };
    if lookup.missing.sequences.is_empty() {
        return Ok(forgotten);
    }
    let reader = StreamReader { kinesis: lookup.kinesis, stream_arn: lookup.stream_arn, deadline };
    let reads = reader.shards().await?.into_iter().map(|shard| read_shard(lookup, &reader, shard, found));
    let mut reads = stream::iter(reads).buffer_unordered(SHARDS_AT_A_TIME);
    while let Some(trimmed) = reads.try_next().await? {
        forgotten = trimmed.into_iter().fold(forgotten, Forgotten::later);
    }
    // Asked at the end: what was trimmed while the shards were read counts.
    let now = reader.retention().await?;
    let retention = lookup.retention.min(now);
    Ok(forgotten.later(Forgotten {
        before_us: lookup.clock.now_us() - retention.as_micros() as i64,
        why: format!("the stream keeps records for {} h", retention.as_secs() / 3_600),
        as_it_was: now == lookup.retention,
    }))
}

/// Reads one shard. Receipts tell of records that were in it: where the first that is still there comes after
/// one of those, whatever arrived before it has been trimmed.
async fn read_shard(
    lookup: &Lookup<'_>,
    reader: &StreamReader<'_>,
    shard: String,
    found: &Mutex<SequenceSet>,
) -> Result<Option<Forgotten>, String> {
    let wanted = lookup.missing.sequences.len();
    let mut first_left: Option<(KinesisNumber, WallUs)> = None;
    let begin = Begin::At(lookup.from_us - CLOCK_MARGIN_US);
    let read = reader.read(&shard, begin, |record| {
        let Some(envelope) = envelope_of(record, lookup.run, lookup.paths) else {
            return ControlFlow::Continue(());
        };
        first_left.get_or_insert_with(|| (KinesisNumber::new(record.sequence_number()), arrived_us(record)));
        let mut found = lock(found);
        if envelope.level != PROBE_LEVEL && lookup.missing.sequences.contains(envelope.sequence) {
            found.insert(envelope.sequence);
        }
        if found.len() == wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    read.await?;
    let Some(lowest) = lookup.missing.lowest.get(&shard) else { return Ok(None) };
    let before_us = match first_left {
        Some((first, _)) if first <= *lowest => return Ok(None),
        Some((_, arrived_us)) => arrived_us,
        None => lookup.clock.now_us(),
    };
    Ok(Some(Forgotten { before_us, why: format!("{shard} has lost its beginning"), as_it_was: true }))
}

fn lock(found: &Mutex<SequenceSet>) -> MutexGuard<'_, SequenceSet> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

fn envelope_of(record: &Record, run: &RunId, paths: &[EnvelopePath]) -> Option<Envelope> {
    Envelope::find(record.data().as_ref(), paths).filter(|envelope| envelope.run == *run)
}

/// A record without an arrival time is taken for the youngest.
fn arrived_us(record: &Record) -> WallUs {
    let at = record.approximate_arrival_timestamp();
    at.map_or(WallUs::MAX / 2, |at| (at.as_nanos() / 1_000) as WallUs)
}

/// Sequence of a record of this run; probes have none that counts.
pub(super) fn sequence_of(record: &Record, run: &RunId, paths: &[EnvelopePath]) -> Option<u64> {
    let envelope = envelope_of(record, run, paths)?;
    (envelope.level != PROBE_LEVEL).then_some(envelope.sequence)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::evidence::sends::SendsLine;
    use crate::evidence::testing::{Fake, stream_summary};

    const RUN: &str = "20261121-013240-k3f9";
    const FROM_US: i64 = 1_763_688_760_000_000;
    const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/s";

    /// Two shards of `sequences`, three records a read; every second read is refused.
    fn stream(shards: [Vec<u64>; 2], endless: bool) -> Fake {
        let refused = Arc::new(Mutex::new(false));
        Fake::new(move |operation, input| {
            let answer = match operation {
                "ListShards" if input["NextToken"].is_null() => {
                    json!({ "Shards": [shard("0")], "NextToken": "n" })
                }
                "ListShards" => {
                    assert!(input["StreamARN"].is_null(), "not with a token");
                    json!({ "Shards": [shard("1")] })
                }
                "GetShardIterator" => {
                    assert_eq!(input["Timestamp"], json!(1_763_688_700));
                    json!({ "ShardIterator": format!("{}:0", input["ShardId"].as_str().expect("text")) })
                }
                "GetRecords" => {
                    let mut refuse = refused.lock().expect("lock");
                    *refuse = !*refuse;
                    if *refuse {
                        let body =
                            json!({ "__type": "ProvisionedThroughputExceededException", "message": "" });
                        return std::future::ready((400, body));
                    }
                    let iterator = input["ShardIterator"].as_str().expect("text");
                    let (shard, at) = iterator.split_once(':').expect("ours");
                    let at: usize = at.parse().expect("ours");
                    let all = &shards[shard.parse::<usize>().expect("ours")];
                    let end = (at + 3).min(all.len());
                    let records: Vec<_> = all[at.min(end)..end].iter().map(|one| record(*one)).collect();
                    let behind_ms = if end == all.len() && !endless { 0 } else { 1_000 };
                    json!({
                        "Records": records,
                        "MillisBehindLatest": behind_ms,
                        "NextShardIterator": format!("{shard}:{end}"),
                    })
                }
                "DescribeStreamSummary" => stream_summary(24),
                other => panic!("confirm never calls {other}"),
            };
            std::future::ready((200, answer))
        })
    }

    fn shard(id: &str) -> serde_json::Value {
        json!({
            "ShardId": id,
            "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "1" },
            "SequenceNumberRange": { "StartingSequenceNumber": "0" },
        })
    }

    fn record(sequence: u64) -> serde_json::Value {
        let data = format!(r#"{{"sg":{{"r":"{RUN}","l":0,"s":{sequence},"d":1}}}}"#);
        json!({ "SequenceNumber": "1", "PartitionKey": "k", "Data": STANDARD.encode(data) })
    }

    /// Every sequence up to 20 was due at the run's start.
    async fn look(stream: Fake, missing: &[(u64, u64)], retention_s: u64) -> Event {
        let root = tempfile::tempdir().expect("tempdir");
        let sends_jsonl = root.path().join("sends.jsonl");
        let line = SendsLine { at_us: FROM_US, highest: Some(20), ..SendsLine::default() };
        std::fs::write(&sends_jsonl, serde_json::to_string(&line).expect("json") + "\n").expect("write");
        let missing =
            Missing { sequences: SequenceSet::from_ranges(missing), sends_jsonl, ..Missing::default() };
        confirm(&Lookup {
            kinesis: &stream.kinesis(),
            stream_arn: STREAM,
            run: &RUN.parse().expect("well formed"),
            paths: &[],
            missing: &missing,
            from_us: FROM_US,
            clock: Clock::starting_at(1_763_688_900_000_000),
            retention: Duration::from_secs(retention_s),
            bound: Duration::from_secs(60),
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_the_stream_is_told_from_what_is_not() {
        let event =
            look(stream([(0..10).collect(), vec![50, 51]], false), &[(8, 12), (51, 51)], 86_400).await;
        let wanted = Event::Confirmed {
            absent: vec![(10, 12)],
            present: vec![(8, 9), (51, 51)],
            expired: vec![],
            incomplete: None,
        };
        assert_eq!(event, wanted);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_absent_that_may_have_been_trimmed() {
        let event = look(stream([vec![], vec![]], false), &[(8, 12), (21, 22)], 100).await;
        let Event::Confirmed { absent, incomplete, .. } = event else { panic!("{event:?}") };
        // 21 and 22 were due later than any line says.
        assert_eq!(absent, [(21, 22)]);
        assert_eq!(
            incomplete.expect("a reason"),
            "5 may have been trimmed: the stream keeps records for 0 h"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_absent_while_the_tip_was_not_reached() {
        let event = look(stream([(0..10).collect(), vec![]], true), &[(8, 12)], 86_400).await;
        let Event::Confirmed { absent, present, incomplete, .. } = event else { panic!("{event:?}") };
        assert_eq!((absent, present), (vec![], vec![(8, 9)]));
        assert!(incomplete.expect("a reason").contains("longer than"));
    }
}
