//! Which IAM actions an API operation asks for. Source: Service Authorization Reference, the page of each service;
//! most actions are named as their operation, and this file has the others.

/// Services whose actions have another prefix than the name that requests are signed for.
const PREFIXES: [(&str, &str); 1] = [("monitoring", "cloudwatch")];

/// (prefix, operation, actions): operations whose actions are named otherwise, or that ask for more than one.
const OTHERS: [(&str, &str, &[&str]); 15] = [
    // Stacks are tagged as they are made.
    ("cloudformation", "CreateChangeSet", &["CreateChangeSet", "TagResource"]),
    ("cloudformation", "CreateStack", &["CreateStack", "TagResource"]),
    ("lambda", "Invoke", &["InvokeFunction"]),
    ("s3", "DeleteObjects", &["DeleteObject", "DeleteObjectVersion"]),
    ("s3", "GetBucketEncryption", &["GetEncryptionConfiguration"]),
    ("s3", "GetBucketLifecycleConfiguration", &["GetLifecycleConfiguration"]),
    ("s3", "HeadBucket", &["ListBucket"]),
    // Without s3:ListBucket an object that is not there is answered with 403.
    ("s3", "HeadObject", &["GetObject", "ListBucket"]),
    ("s3", "ListBuckets", &["ListAllMyBuckets"]),
    ("s3", "ListObjects", &["ListBucket"]),
    ("s3", "ListObjectsV2", &["ListBucket"]),
    ("s3", "ListObjectVersions", &["ListBucketVersions"]),
    ("sqs", "ChangeMessageVisibilityBatch", &["ChangeMessageVisibility"]),
    ("sqs", "DeleteMessageBatch", &["DeleteMessage"]),
    ("sqs", "SendMessageBatch", &["SendMessage"]),
];

/// The actions, for example `s3:ListBucketVersions`, that a policy has to allow for `operation` of `service`, by the
/// name that requests to it are signed for. The first is the one that the operation is about.
pub fn actions(service: &str, operation: &str) -> Vec<String> {
    let prefix = PREFIXES.iter().find(|(signed, _)| *signed == service).map_or(service, |(_, prefix)| prefix);
    let others = OTHERS.iter().find(|(of, other, _)| (*of, *other) == (prefix, operation));
    let names = others.map_or(std::slice::from_ref(&operation), |(_, _, names)| names);
    names.iter().map(|name| format!("{prefix}:{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_named_as_iam_names_them() {
        assert_eq!(actions("kinesis", "PutRecords"), ["kinesis:PutRecords"]);
        assert_eq!(actions("monitoring", "GetMetricData"), ["cloudwatch:GetMetricData"]);
        assert_eq!(actions("sqs", "DeleteMessageBatch"), ["sqs:DeleteMessage"]);
        assert_eq!(actions("s3", "DeleteObjects"), ["s3:DeleteObject", "s3:DeleteObjectVersion"]);
    }
}
