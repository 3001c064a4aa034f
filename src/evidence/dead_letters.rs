//! Records that the mapping gave up on. The on-failure message names a shard and a range of Kinesis sequence
//! numbers, not the records: the range is read again to know whose they were.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::Deserialize;

use super::confirm::sequence_of;
use super::events::{DeadBatch, Event};
use super::reread::{Begin, StreamReader};
use super::sequences::SequenceSet;
use crate::platform::clock::Clock;
use crate::platform::refusals::plain;
use crate::wire::envelope::EnvelopePath;
use crate::wire::run_id::RunId;

/// Messages stay in the queue for whoever runs the pipeline; they are hidden while they are being listed.
const VISIBILITY_S: i32 = 60;
const WAIT_S: i32 = 1;
/// More batches than this are not looked up one by one.
const BATCHES_MAX: usize = 1_000;

/// The part of an on-failure message that matters. Shape: Lambda developer guide, "Retaining discarded batch
/// records for a Kinesis data stream event source".
#[derive(Deserialize)]
struct OnFailure {
    #[serde(rename = "requestContext", default)]
    context: RequestContext,
    #[serde(default)]
    timestamp: String,
    #[serde(rename = "KinesisBatchInfo")]
    batch: BatchInfo,
}

#[derive(Default, Deserialize)]
struct RequestContext {
    #[serde(default)]
    condition: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo {
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
    stream_arn: String,
}

pub struct DeadLetters<'a> {
    pub sqs: &'a aws_sdk_sqs::Client,
    pub dlq_url: &'a str,
    pub kinesis: &'a aws_sdk_kinesis::Client,
    pub stream_arn: &'a str,
    pub run: &'a RunId,
    /// Where envelopes are, beside their default place.
    pub paths: &'a [EnvelopePath],
    pub clock: Clock,
    /// Reading ends after this, wherever it is.
    pub bound: Duration,
}

/// Lists the on-failure queue without emptying it, reads the ranges that its messages name, and says which
/// sequences of this run were in them. The text says what could not be looked up.
pub async fn dead_letters(lookup: &DeadLetters<'_>) -> (Event, Option<String>) {
    let deadline = lookup.clock.instant() + lookup.bound;
    let mut found = Vec::new();
    let read = async {
        let batches = tokio::time::timeout_at(deadline, batches(lookup))
            .await
            .map_err(|_| "listing the on-failure queue took longer than it may".to_owned())??;
        let reader = StreamReader { kinesis: lookup.kinesis, stream_arn: lookup.stream_arn, deadline };
        for message in &batches {
            let mut sequences = SequenceSet::new();
            let read = read_batch(&reader, lookup, &message.batch, &mut sequences).await;
            // Batches of other runs stay in the queue too; they are none of this one's.
            if !sequences.is_empty() {
                found.push(dead_batch(message, &sequences));
            }
            read?;
        }
        if batches.len() == BATCHES_MAX {
            return Err(format!("only the first {BATCHES_MAX} dead-lettered batches were looked up"));
        }
        Ok(())
    };
    let problem: Result<(), String> = read.await;
    let all = found.iter().fold(SequenceSet::new(), |all, batch: &DeadBatch| {
        all.union(&SequenceSet::from_ranges(&batch.ranges))
    });
    (Event::DeadLettered { ranges: all.ranges().collect(), batches: found }, problem.err())
}

fn dead_batch(message: &OnFailure, sequences: &SequenceSet) -> DeadBatch {
    let given_up: Option<jiff::Timestamp> = message.timestamp.parse().ok();
    DeadBatch {
        shard: message.batch.shard_id.clone(),
        first: message.batch.start_sequence_number.clone(),
        last: message.batch.end_sequence_number.clone(),
        condition: message.context.condition.clone(),
        given_up_us: given_up.map(jiff::Timestamp::as_microsecond),
        ranges: sequences.ranges().collect(),
    }
}

async fn read_batch(
    reader: &StreamReader<'_>,
    lookup: &DeadLetters<'_>,
    batch: &BatchInfo,
    found: &mut SequenceSet,
) -> Result<(), String> {
    let last = order(&batch.end_sequence_number);
    let begin = Begin::Sequence(&batch.start_sequence_number);
    let read = reader.read(&batch.shard_id, begin, |record| {
        if order(record.sequence_number()) > last {
            return ControlFlow::Break(());
        }
        if let Some(sequence) = sequence_of(record, lookup.run, lookup.paths) {
            found.insert(sequence);
        }
        if order(record.sequence_number()) == last {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    read.await
}

/// Orders sequence numbers by value: they have no leading zeros.
fn order(number: &str) -> (usize, &str) {
    (number.len(), number)
}

/// Distinct messages about this stream, until a poll comes back empty.
async fn batches(lookup: &DeadLetters<'_>) -> Result<Vec<OnFailure>, String> {
    let mut by_id = BTreeMap::new();
    while by_id.len() < BATCHES_MAX {
        let call = lookup.sqs.receive_message().queue_url(lookup.dlq_url).max_number_of_messages(10);
        let answer = call.wait_time_seconds(WAIT_S).visibility_timeout(VISIBILITY_S).send().await;
        let answer = answer.map_err(|error| plain(&error))?;
        if answer.messages().is_empty() {
            break;
        }
        for message in answer.messages() {
            let body = message.body().unwrap_or_default();
            if let Ok(failure) = serde_json::from_str::<OnFailure>(body)
                && failure.batch.stream_arn == lookup.stream_arn
            {
                by_id.insert(message.message_id().unwrap_or_default().to_owned(), failure);
            }
        }
    }
    Ok(by_id.into_values().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::testing::Fake;

    const RUN: &str = "20261121-013240-k3f9";
    const STREAM: &str = "arn:aws:kinesis:us-east-2:123456789012:stream/mystream";

    /// The message of the developer guide, with the members that vary.
    fn message(first: u64, last: u64, stream: &str) -> Value {
        let body = json!({
            "requestContext": {
                "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
                "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 1
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "version": "1.0",
            "timestamp": "2019-11-14T00:38:06.021Z",
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000001",
                "startSequenceNumber": first.to_string(),
                "endSequenceNumber": last.to_string(),
                "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
                "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
                "batchSize": last - first + 1,
                "streamArn": stream
            }
        });
        json!({ "MessageId": format!("{first}{stream}"), "ReceiptHandle": "h", "Body": body.to_string() })
    }

    fn record(number: u64) -> Value {
        let data = format!(r#"{{"sg":{{"r":"{RUN}","l":0,"s":{},"d":1}}}}"#, number - 900);
        json!({ "SequenceNumber": number.to_string(), "PartitionKey": "k", "Data": STANDARD.encode(data) })
    }

    #[tokio::test(start_paused = true)]
    async fn the_named_ranges_are_read_and_the_queue_is_left_as_it_was() {
        let polls = AtomicU32::new(0);
        let fake = Fake::new(move |operation, input| {
            let answer = match operation {
                "ReceiveMessage" => match polls.fetch_add(1, Ordering::Relaxed) {
                    0 => json!({ "Messages": [message(997, 1_002, STREAM), message(1, 2, "arn:other")] }),
                    1 => json!({ "Messages": [message(997, 1_002, STREAM), message(1_010, 1_010, STREAM)] }),
                    _ => json!({}),
                },
                "GetShardIterator" => {
                    assert_eq!(input["ShardIteratorType"], "AT_SEQUENCE_NUMBER");
                    json!({ "ShardIterator": input["StartingSequenceNumber"] })
                }
                "GetRecords" => {
                    let from: u64 = input["ShardIterator"].as_str().expect("text").parse().expect("ours");
                    let records: Vec<_> = (from..from + 4).map(record).collect();
                    let next = (from + 4).to_string();
                    json!({ "Records": records, "MillisBehindLatest": 9, "NextShardIterator": next })
                }
                other => panic!("nothing is deleted: {other}"),
            };
            std::future::ready((200, answer))
        });
        let run = RUN.parse().expect("well formed");
        let (event, problem) = dead_letters(&DeadLetters {
            sqs: &fake.sqs(),
            dlq_url: "http://localhost/1/dlq",
            kinesis: &fake.kinesis(),
            stream_arn: STREAM,
            run: &run,
            paths: &[],
            clock: Clock::starting_at(0),
            bound: Duration::from_secs(60),
        })
        .await;
        let batch = |first: u64, last: u64, ranges| DeadBatch {
            shard: "shardId-000000000001".into(),
            first: first.to_string(),
            last: last.to_string(),
            condition: "RetryAttemptsExhausted".into(),
            given_up_us: Some(1_573_691_886_021_000),
            ranges,
        };
        let batches = vec![batch(1_010, 1_010, vec![(110, 110)]), batch(997, 1_002, vec![(97, 102)])];
        let wanted = Event::DeadLettered { ranges: vec![(97, 102), (110, 110)], batches };
        assert_eq!((event, problem), (wanted, None));
    }
}
