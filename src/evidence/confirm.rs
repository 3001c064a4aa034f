//! Looks in the stream itself for records that no receipt tells of: a record that is not there was lost by
//! the stream; one that is there has lost its receipt, or was never handed to the function.

use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_kinesis::types::Record;
use tokio::time::Instant;

use super::events::Event;
use super::reread::{Begin, StreamReader};
use super::sequences::SequenceSet;
use crate::platform::clock::{Clock, WallUs};
use crate::wire::envelope::{Envelope, PROBE_LEVEL};
use crate::wire::run_id::RunId;

/// Arrival times are the service's clock, the run's start is ours.
const CLOCK_MARGIN_US: i64 = 60_000_000;

pub struct Lookup<'a> {
    pub kinesis: &'a aws_sdk_kinesis::Client,
    pub stream_arn: &'a str,
    pub run: &'a RunId,
    /// What to look for: `accounting::missing`.
    pub missing: &'a SequenceSet,
    /// Start of the run: reading begins a minute before it.
    pub from_us: WallUs,
    pub clock: Clock,
    /// What arrived earlier than this ago may have been trimmed.
    pub retention: Duration,
    /// Reading ends after this, wherever it is.
    pub bound: Duration,
}

/// Reads all shards from the run's start to their tips, one after the other, and says which of the missing
/// sequences are there. Only when every shard was read to its tip are the others absent; otherwise
/// the event says why not, and names none as absent.
pub async fn confirm(lookup: &Lookup<'_>) -> Event {
    let deadline = lookup.clock.instant() + lookup.bound;
    let mut found = SequenceSet::new();
    let read = read_all(lookup, deadline, &mut found).await;
    let all_found = found.len() == lookup.missing.len();
    let incomplete = read.err().filter(|_| !all_found);
    let absent = match incomplete {
        None => lookup.missing.minus(&found).ranges().collect(),
        Some(_) => Vec::new(),
    };
    Event::Confirmed { absent, present: found.ranges().collect(), incomplete }
}

async fn read_all(lookup: &Lookup<'_>, deadline: Instant, found: &mut SequenceSet) -> Result<(), String> {
    if lookup.missing.is_empty() {
        return Ok(());
    }
    if lookup.clock.now_us() - lookup.from_us > lookup.retention.as_micros() as i64 {
        return Err("the stream does not keep records for as long as the run took".into());
    }
    let reader = StreamReader { kinesis: lookup.kinesis, stream_arn: lookup.stream_arn, deadline };
    let wanted = lookup.missing.len();
    for shard in reader.shards().await? {
        let begin = Begin::At(lookup.from_us - CLOCK_MARGIN_US);
        let read = reader.read(&shard, begin, |record| {
            if let Some(sequence) = sequence_of(record, lookup.run)
                && lookup.missing.contains(sequence)
            {
                found.insert(sequence);
            }
            if found.len() == wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        read.await?;
        if found.len() == wanted {
            break;
        }
    }
    Ok(())
}

/// Sequence of a record of this run; probes have none that counts.
pub(super) fn sequence_of(record: &Record, run: &RunId) -> Option<u64> {
    let envelope = Envelope::find_in(record.data().as_ref())?;
    (envelope.run == *run && envelope.level != PROBE_LEVEL).then_some(envelope.sequence)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::evidence::testing::Fake;

    const RUN: &str = "20261121-013240-k3f9";
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

    async fn look(stream: Fake, missing: &[(u64, u64)], retention_s: u64) -> Event {
        let clock = Clock::starting_at(1_763_688_900_000_000);
        let run = RUN.parse().expect("well formed");
        confirm(&Lookup {
            kinesis: &stream.kinesis(),
            stream_arn: STREAM,
            run: &run,
            missing: &SequenceSet::from_ranges(missing),
            from_us: 1_763_688_760_000_000,
            clock,
            retention: Duration::from_secs(retention_s),
            bound: Duration::from_secs(60),
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_the_stream_is_told_from_what_is_not() {
        let event =
            look(stream([(0..10).collect(), vec![50, 51]], false), &[(8, 12), (51, 51)], 86_400).await;
        let wanted =
            Event::Confirmed { absent: vec![(10, 12)], present: vec![(8, 9), (51, 51)], incomplete: None };
        assert_eq!(event, wanted);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_absent_that_may_have_been_trimmed() {
        let event = look(stream([vec![], vec![]], false), &[(8, 12)], 100).await;
        let Event::Confirmed { absent, incomplete, .. } = event else { panic!("{event:?}") };
        assert_eq!(absent, []);
        assert!(incomplete.expect("a reason").contains("keep records"));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_absent_while_the_tip_was_not_reached() {
        let event = look(stream([(0..10).collect(), vec![]], true), &[(8, 12)], 86_400).await;
        let Event::Confirmed { absent, present, incomplete } = event else { panic!("{event:?}") };
        assert_eq!((absent, present), (vec![], vec![(8, 9)]));
        assert!(incomplete.expect("a reason").contains("longer than"));
    }
}
