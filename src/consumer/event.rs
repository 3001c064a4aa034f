//! The Kinesis event as Lambda delivers it: only what the receipt needs. Own types, because the general
//! ones bring a calendar library into a binary whose cold start is measured.
//! Shape: Lambda developer guide, "Using Lambda with Kinesis", example event.

use serde::Deserialize;

/// A batch of one shard.
#[derive(Clone, Debug, Deserialize)]
pub struct KinesisEvent {
    #[serde(rename = "Records")]
    pub records: Vec<KinesisRecord>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct KinesisRecord {
    /// `shardId-000000000000:49590338271490256608559692538361571095921575989136588898`.
    #[serde(rename = "eventID", default)]
    pub event_id: String,
    /// `arn:aws:kinesis:us-east-1:123456789012:stream/name`.
    #[serde(rename = "eventSourceARN", default)]
    pub event_source_arn: String,
    pub kinesis: KinesisData,
}

#[derive(Clone, Debug, Deserialize)]
pub struct KinesisData {
    #[serde(rename = "sequenceNumber")]
    pub sequence_number: String,
    /// Seconds since the epoch, with milliseconds behind the point.
    #[serde(rename = "approximateArrivalTimestamp")]
    pub approximate_arrival_s: f64,
    /// Base64.
    pub data: String,
}

impl KinesisRecord {
    /// `shardId-000000000000`; empty when the event id has another form.
    pub fn shard(&self) -> &str {
        self.event_id.split_once(':').map_or("", |(shard, _)| shard)
    }

    /// The stream's name, the last part of its ARN; empty when it has another form.
    pub fn stream(&self) -> &str {
        self.event_source_arn.split_once(":stream/").map_or("", |(_, name)| name)
    }

    /// Milliseconds since the epoch.
    pub fn arrival_ms(&self) -> i64 {
        (self.kinesis.approximate_arrival_s * 1_000.0).round() as i64
    }
}
