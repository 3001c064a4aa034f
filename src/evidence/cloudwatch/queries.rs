//! The CloudWatch series of spec/metrics.md: what is asked for, and under which key it is kept.

/// Which resource a metric belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Kinesis,
    Lambda,
    Mapping,
    Dlq,
}

impl Group {
    pub fn prefix(self) -> &'static str {
        match self {
            Group::Kinesis => "kinesis",
            Group::Lambda => "lambda",
            Group::Mapping => "mapping",
            Group::Dlq => "dlq",
        }
    }

    pub fn namespace(self) -> &'static str {
        match self {
            Group::Kinesis => "AWS/Kinesis",
            Group::Lambda | Group::Mapping => "AWS/Lambda",
            Group::Dlq => "AWS/SQS",
        }
    }

    pub fn dimension(self) -> &'static str {
        match self {
            Group::Kinesis => "StreamName",
            Group::Lambda => "FunctionName",
            Group::Mapping => "EventSourceMappingUUID",
            Group::Dlq => "QueueName",
        }
    }
}

/// One metric with the statistics that mean something for it. Names: Kinesis developer guide "Monitor with
/// CloudWatch"; Lambda developer guide "Types of metrics"; SQS developer guide "Available CloudWatch metrics".
pub struct Wanted {
    pub group: Group,
    pub metric: &'static str,
    pub stats: &'static [&'static str],
}

const fn wanted(group: Group, metric: &'static str, stats: &'static [&'static str]) -> Wanted {
    Wanted { group, metric, stats }
}

pub const WANTED: &[Wanted] = &[
    wanted(Group::Kinesis, "IncomingRecords", &["Sum"]),
    wanted(Group::Kinesis, "IncomingBytes", &["Sum"]),
    wanted(Group::Kinesis, "PutRecord.Latency", &["Average", "Maximum"]),
    wanted(Group::Kinesis, "PutRecords.Latency", &["Average", "Maximum"]),
    wanted(Group::Kinesis, "PutRecord.Success", &["Average"]),
    wanted(Group::Kinesis, "PutRecords.ThrottledRecords", &["Sum"]),
    wanted(Group::Kinesis, "PutRecords.FailedRecords", &["Sum"]),
    wanted(Group::Kinesis, "WriteProvisionedThroughputExceeded", &["Sum"]),
    wanted(Group::Kinesis, "GetRecords.Bytes", &["Sum"]),
    wanted(Group::Kinesis, "GetRecords.Latency", &["Average", "Maximum"]),
    wanted(Group::Kinesis, "GetRecords.IteratorAgeMilliseconds", &["Average", "Maximum"]),
    wanted(Group::Kinesis, "ReadProvisionedThroughputExceeded", &["Sum"]),
    wanted(Group::Lambda, "Invocations", &["Sum"]),
    wanted(Group::Lambda, "Errors", &["Sum"]),
    wanted(Group::Lambda, "Throttles", &["Sum"]),
    wanted(Group::Lambda, "Duration", &["Sum", "Average", "p50", "p95", "p99", "Maximum"]),
    wanted(Group::Lambda, "ConcurrentExecutions", &["Maximum"]),
    wanted(Group::Lambda, "IteratorAge", &["Average", "Maximum"]),
    wanted(Group::Mapping, "PolledEventCount", &["Sum"]),
    wanted(Group::Mapping, "FailedInvokeEventCount", &["Sum"]),
    wanted(Group::Mapping, "DroppedEventCount", &["Sum"]),
    wanted(Group::Mapping, "OnFailureDestinationDeliveredEventCount", &["Sum"]),
    wanted(Group::Dlq, "ApproximateNumberOfMessagesVisible", &["Maximum"]),
];

/// `kinesis.IncomingRecords.Sum`.
pub fn key(group: Group, metric: &str, stat: &str) -> String {
    format!("{}.{metric}.{stat}", group.prefix())
}
