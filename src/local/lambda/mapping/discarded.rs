//! The on-failure message. Lambda developer guide, "Retain discarded batch records for a Kinesis Data
//! Streams event source in Lambda", example invocation record.

use serde_json::{Value, json};

use super::lanes::Batch;
use crate::local::lambda::iso_ms;

/// Why a batch was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

impl Condition {
    fn as_str(self) -> &'static str {
        match self {
            Condition::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Condition::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

/// Where a batch was given up.
pub struct Place<'a> {
    pub function_arn: &'a str,
    pub stream_arn: &'a str,
    pub shard: &'a str,
    /// Request id of the last invocation, or a new one if there was none.
    pub request_id: &'a str,
    pub now_ms: i64,
    /// Whether the last invocation ended with a function error.
    pub function_error: bool,
}

/// The message body. `batch` has at least one record.
pub fn message(place: &Place<'_>, condition: Condition, batch: &Batch) -> Value {
    let (Some(first), Some(last)) = (batch.records.first(), batch.records.last()) else { return Value::Null };
    let mut message = json!({
        "requestContext": {
            "requestId": place.request_id,
            "functionArn": place.function_arn,
            "condition": condition.as_str(),
            "approximateInvokeCount": batch.invokes,
        },
        "version": "1.0",
        "timestamp": iso_ms(place.now_ms),
        "KinesisBatchInfo": {
            "shardId": place.shard,
            "startSequenceNumber": first.sequence,
            "endSequenceNumber": last.sequence,
            "approximateArrivalOfFirstRecord": iso_ms(first.arrival_ms),
            "approximateArrivalOfLastRecord": iso_ms(last.arrival_ms),
            "batchSize": batch.records.len(),
            "streamArn": place.stream_arn,
        },
    });
    // A function that was never invoked gave no response.
    if batch.invokes > 0 {
        message["responseContext"] = json!({"statusCode": 200, "executedVersion": "$LATEST"});
        if place.function_error {
            message["responseContext"]["functionError"] = "Unhandled".into();
        }
    }
    message
}
