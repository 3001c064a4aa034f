//! Which series are pulled: the sixteen CloudWatch metrics of `docs/metrics.md` with the statistics that mean
//! something for each, the event source mapping's own counts, and the on-failure queue.

/// One metric with one statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub source: Source,
    pub metric: &'static str,
    pub stat: &'static str,
    pub unit: &'static str,
}

/// Where a metric comes from: its namespace and its dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Kinesis,
    Lambda,
    Mapping,
    DeadLetterQueue,
}

impl Source {
    pub fn namespace(self) -> &'static str {
        match self {
            Source::Kinesis => "AWS/Kinesis",
            Source::Lambda | Source::Mapping => "AWS/Lambda",
            Source::DeadLetterQueue => "AWS/SQS",
        }
    }

    pub fn dimension(self) -> &'static str {
        match self {
            Source::Kinesis => "StreamName",
            Source::Lambda => "FunctionName",
            Source::Mapping => "EventSourceMappingUUID",
            Source::DeadLetterQueue => "QueueName",
        }
    }

    /// First part of a series' key.
    pub fn prefix(self) -> &'static str {
        match self {
            Source::Kinesis => "kinesis",
            Source::Lambda => "lambda",
            Source::Mapping => "mapping",
            Source::DeadLetterQueue => "dlq",
        }
    }
}

impl Wanted {
    /// `kinesis.IncomingRecords.Sum`
    pub fn key(&self) -> String {
        format!("{}.{}.{}", self.source.prefix(), self.metric, self.stat)
    }
}

const SUM: &[&str] = &["Sum"];
const MAXIMUM: &[&str] = &["Maximum"];
/// Kinesis publishes no percentiles of its latencies: minimum, maximum and average are all there is.
const MEAN_AND_MAXIMUM: &[&str] = &["Average", "Maximum"];
/// Percentiles, and the sum that billed time is estimated from when there are no REPORT lines.
const DURATION: &[&str] = &["Average", "p50", "p95", "p99", "Maximum", "Sum"];

/// (source, metric, unit, statistics). Units and statistics: Kinesis developer guide, "Monitoring with
/// CloudWatch"; Lambda developer guide, "Types of metrics" and "Event source mapping metrics"; SQS developer
/// guide, "Available CloudWatch metrics".
const METRICS: &[(Source, &str, &str, &[&str])] = &[
    (Source::Kinesis, "IncomingRecords", "Count", SUM),
    (Source::Kinesis, "IncomingBytes", "Bytes", SUM),
    (Source::Kinesis, "PutRecord.Latency", "Milliseconds", MEAN_AND_MAXIMUM),
    (Source::Kinesis, "PutRecords.Latency", "Milliseconds", MEAN_AND_MAXIMUM),
    (Source::Kinesis, "PutRecords.ThrottledRecords", "Count", SUM),
    (Source::Kinesis, "PutRecords.FailedRecords", "Count", SUM),
    (Source::Kinesis, "WriteProvisionedThroughputExceeded", "Count", SUM),
    (Source::Kinesis, "GetRecords.Bytes", "Bytes", SUM),
    (Source::Kinesis, "GetRecords.Latency", "Milliseconds", MEAN_AND_MAXIMUM),
    (Source::Kinesis, "GetRecords.IteratorAgeMilliseconds", "Milliseconds", MEAN_AND_MAXIMUM),
    (Source::Kinesis, "ReadProvisionedThroughputExceeded", "Count", SUM),
    (Source::Lambda, "Invocations", "Count", SUM),
    (Source::Lambda, "Errors", "Count", SUM),
    (Source::Lambda, "Throttles", "Count", SUM),
    (Source::Lambda, "Duration", "Milliseconds", DURATION),
    (Source::Lambda, "ConcurrentExecutions", "Count", MAXIMUM),
    (Source::Lambda, "IteratorAge", "Milliseconds", MEAN_AND_MAXIMUM),
    (Source::Lambda, "DestinationDeliveryFailures", "Count", SUM),
    (Source::Mapping, "PolledEventCount", "Count", SUM),
    (Source::Mapping, "FilteredOutEventCount", "Count", SUM),
    (Source::Mapping, "InvokedEventCount", "Count", SUM),
    (Source::Mapping, "FailedInvokeEventCount", "Count", SUM),
    (Source::Mapping, "DroppedEventCount", "Count", SUM),
    (Source::Mapping, "OnFailureDestinationDeliveredEventCount", "Count", SUM),
    (Source::DeadLetterQueue, "ApproximateNumberOfMessagesVisible", "Count", MAXIMUM),
];

/// What settles a pull: these two agree with the acks and the receipts.
pub const INCOMING_RECORDS: Wanted =
    Wanted { source: Source::Kinesis, metric: "IncomingRecords", stat: "Sum", unit: "Count" };
pub const INVOCATIONS: Wanted =
    Wanted { source: Source::Lambda, metric: "Invocations", stat: "Sum", unit: "Count" };

/// Every series, in the order of its source.
pub fn all() -> impl Iterator<Item = Wanted> {
    METRICS.iter().flat_map(|&(source, metric, unit, stats)| {
        stats.iter().map(move |&stat| Wanted { source, metric, stat, unit })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_distinct_and_fit_one_call() {
        let keys: BTreeSet<String> = all().map(|wanted| wanted.key()).collect();
        assert_eq!(keys.len(), all().count());
        assert!(keys.len() <= super::super::fetch::QUERIES_MAX);
        assert!(keys.contains(&INCOMING_RECORDS.key()) && keys.contains(&INVOCATIONS.key()));
        assert!(keys.contains("dlq.ApproximateNumberOfMessagesVisible.Maximum"));
    }
}
