//! The event that a function gets for a batch. Lambda developer guide, "Using Lambda to process records
//! from Amazon Kinesis Data Streams", example event.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::Value;

use super::lanes::{Batch, Record};

const OPEN: &[u8] = br#"{"Records":["#;
const CLOSE: &[u8] = b"]}";
/// Bytes of an event without records.
pub const ENVELOPE_BYTES: usize = OPEN.len() + CLOSE.len();

/// What is the same for all records of a shard.
pub struct Source {
    pub stream_arn: String,
    pub shard: String,
    pub region: String,
    /// The function's role: the mapping reads the stream under it.
    pub role_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventRecord<'a> {
    kinesis: Kinesis<'a>,
    event_source: &'a str,
    event_version: &'a str,
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: &'a str,
    invoke_identity_arn: &'a str,
    aws_region: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kinesis<'a> {
    kinesis_schema_version: &'a str,
    partition_key: &'a str,
    sequence_number: &'a str,
    /// Base64, as Kinesis gave it.
    data: &'a str,
    /// Seconds since the epoch, with milliseconds.
    approximate_arrival_timestamp: &'a Value,
}

/// One record of GetRecords as the event carries it. Written once: deliveries and retries only join.
pub fn record_json(source: &Source, record: &Value) -> Bytes {
    let text = |member: &str| record[member].as_str().unwrap_or_default();
    let sequence_number = text("SequenceNumber");
    let event = EventRecord {
        kinesis: Kinesis {
            kinesis_schema_version: "1.0",
            partition_key: text("PartitionKey"),
            sequence_number,
            data: text("Data"),
            approximate_arrival_timestamp: &record["ApproximateArrivalTimestamp"],
        },
        event_source: "aws:kinesis",
        event_version: "1.0",
        event_id: format!("{}:{sequence_number}", source.shard),
        event_name: "aws:kinesis:record",
        invoke_identity_arn: &source.role_arn,
        aws_region: &source.region,
        event_source_arn: &source.stream_arn,
    };
    serde_json::to_vec(&event).expect("strings and a number serialize").into()
}

/// Bytes that a record adds to an event, its comma included.
pub fn bytes_in_event(record: &Record) -> usize {
    record.json.len() + 1
}

/// The event for a batch, with the swap that a fault asked for.
pub fn event(batch: &Batch) -> Bytes {
    let records = &batch.records;
    let bytes: usize = records.iter().map(bytes_in_event).sum();
    let mut event = BytesMut::with_capacity(ENVELOPE_BYTES + bytes);
    event.put_slice(OPEN);
    for index in 0..records.len() {
        if index > 0 {
            event.put_u8(b',');
        }
        let index = match batch.swap {
            Some((a, b)) if index == a => b,
            Some((a, b)) if index == b => a,
            _ => index,
        };
        event.put_slice(&records[index].json);
    }
    event.put_slice(CLOSE);
    event.freeze()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::platform::clock::Clock;

    #[tokio::test]
    async fn the_event_is_the_documented_one() {
        let source = Source {
            stream_arn: "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream".to_owned(),
            shard: "shardId-000000000006".to_owned(),
            region: "us-east-2".to_owned(),
            role_arn: "arn:aws:iam::123456789012:role/lambda-role".to_owned(),
        };
        let given = json!({
            "SequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "PartitionKey": "1",
            "Data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
            "ApproximateArrivalTimestamp": 1545084650.987,
        });
        let record = Record {
            sequence: String::new(),
            key: String::new(),
            arrival_ms: 0,
            json: record_json(&source, &given),
            received: Clock::starting_at(0).instant(),
            place: 0,
            probe: false,
        };
        let batch = Batch::new(vec![record], Clock::starting_at(0).instant());
        // The example of the developer guide.
        let documented = json!({"Records": [{
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "1",
                "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
                "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
                "approximateArrivalTimestamp": 1545084650.987
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
            "awsRegion": "us-east-2",
            "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"
        }]});
        let event = event(&batch);
        assert_eq!(serde_json::from_slice::<Value>(&event).unwrap(), documented);
        assert!(event.len() <= ENVELOPE_BYTES + bytes_in_event(&batch.records[0]));
    }
}
