//! The metrics of one call, as `AWS/Kinesis` has them: Kinesis developer guide, "Monitor with CloudWatch".

use crate::local::metrics::{MetricSink, Sample};

pub struct Meter<'a> {
    pub sink: &'a dyn MetricSink,
    pub stream: &'a str,
}

impl Meter<'_> {
    pub fn count(&self, metric: &str, value: u64) {
        self.record(metric, "Count", value as f64);
    }

    pub fn bytes(&self, metric: &str, value: u64) {
        self.record(metric, "Bytes", value as f64);
    }

    pub fn ms(&self, metric: &str, value: f64) {
        self.record(metric, "Milliseconds", value);
    }

    /// A metric of one shard.
    pub fn shard(&self, shard_id: &str, metric: &str, unit: &str, value: f64) {
        let dimensions = &[("StreamName", self.stream), ("ShardId", shard_id)];
        self.sink.record(Sample { namespace: "AWS/Kinesis", metric, dimensions, unit, value });
    }

    fn record(&self, metric: &str, unit: &str, value: f64) {
        let dimensions = &[("StreamName", self.stream)];
        self.sink.record(Sample { namespace: "AWS/Kinesis", metric, dimensions, unit, value });
    }
}
