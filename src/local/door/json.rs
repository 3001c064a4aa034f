//! AWS JSON 1.0 and 1.1: the operation in `X-Amz-Target`, input and output as JSON.

use http::HeaderMap;

/// Prefix of the target, and the service that has it: `targetPrefix` in botocore's service models.
const TARGETS: [(&str, &str); 4] = [
    ("Kinesis_20131202", "kinesis"),
    ("AmazonSQS", "sqs"),
    ("Logs_20140328", "logs"),
    ("GraniteServiceVersion20100801", "monitoring"),
];

/// (Service, operation) of a target such as `Kinesis_20131202.PutRecord`.
pub fn target(headers: &HeaderMap) -> Option<Result<(&'static str, String), String>> {
    let target = headers.get("x-amz-target")?.to_str().unwrap_or("");
    let (prefix, operation) = target.rsplit_once('.').unwrap_or((target, ""));
    let known = TARGETS.iter().find(|(known, _)| *known == prefix);
    Some(match known {
        Some((_, service)) if !operation.is_empty() => Ok((service, operation.to_owned())),
        _ => Err(format!("the local endpoint has no target {target}")),
    })
}
