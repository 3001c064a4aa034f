//! How local services emit the metrics that AWS would emit. CloudWatch implements the sink.

/// Takes one sample. Called on hot paths: must not block or await.
pub trait MetricSink: Send + Sync {
    fn record(&self, sample: Sample<'_>);

    /// A sample with a time of its own (ms since the epoch), kept by the second when `high_resolution`. A sink
    /// that keeps no times takes it as any other.
    fn record_at(&self, sample: Sample<'_>, _at_ms: i64, _high_resolution: bool) {
        self.record(sample);
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// `AWS/Kinesis`, `AWS/Lambda`, `AWS/SQS`.
    pub namespace: &'a str,
    pub metric: &'a str,
    /// In the order that AWS documents, for example `[("StreamName", "s")]`.
    pub dimensions: &'a [(&'a str, &'a str)],
    /// `Count`, `Milliseconds`, `Bytes`, `Percent`, `None`.
    pub unit: &'a str,
    pub value: f64,
}

/// Forgets everything: for tests of a service by itself.
pub struct NoMetrics;

impl MetricSink for NoMetrics {
    fn record(&self, _: Sample<'_>) {}
}
