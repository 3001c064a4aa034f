//! The API operations that `op=` may name: one that no service has would never be struck.

/// Records are refused, forgotten and counted one by one in these.
pub const PUTS: [&str; 2] = ["PutRecord", "PutRecords"];

/// Whether some service of the endpoint has the operation.
pub fn is_known(operation: &str) -> bool {
    SERVICES.iter().any(|(_, operations)| operations.split_whitespace().any(|known| known == operation))
}

/// What the services have, by the name that their requests are signed for. The names are those of AWS's API
/// models; a test compares the list with what the services dispatch.
const SERVICES: [(&str, &str); 10] = [
    (
        "kinesis",
        "AddTagsToStream CreateStream DecreaseStreamRetentionPeriod DeleteResourcePolicy DeleteStream
         DeregisterStreamConsumer DescribeAccountSettings DescribeLimits DescribeStream DescribeStreamConsumer
         DescribeStreamSummary DisableEnhancedMonitoring EnableEnhancedMonitoring GetRecords GetResourcePolicy
         GetShardIterator IncreaseStreamRetentionPeriod ListShards ListStreamConsumers ListStreams
         ListTagsForResource ListTagsForStream MergeShards PutRecord PutRecords PutResourcePolicy
         RegisterStreamConsumer RemoveTagsFromStream SplitShard StartStreamEncryption StopStreamEncryption
         SubscribeToShard TagResource UntagResource UpdateAccountSettings UpdateMaxRecordSize UpdateShardCount
         UpdateStreamMode UpdateStreamWarmThroughput",
    ),
    (
        "lambda",
        "AddPermission CreateAlias CreateEventSourceMapping CreateFunction DeleteEventSourceMapping DeleteFunction
         DeleteFunctionConcurrency DeleteFunctionEventInvokeConfig GetAccountSettings GetEventSourceMapping
         GetFunction GetFunctionConcurrency GetFunctionConfiguration GetFunctionEventInvokeConfig GetPolicy
         Invoke ListEventSourceMappings ListFunctionEventInvokeConfigs ListFunctions ListTags
         ListVersionsByFunction PublishVersion PutFunctionConcurrency PutFunctionEventInvokeConfig
         PutProvisionedConcurrencyConfig RemovePermission TagResource UntagResource UpdateEventSourceMapping
         UpdateFunctionCode UpdateFunctionConfiguration UpdateFunctionEventInvokeConfig",
    ),
    (
        "sqs",
        "ChangeMessageVisibility ChangeMessageVisibilityBatch CreateQueue DeleteMessage DeleteMessageBatch
         DeleteQueue GetQueueAttributes GetQueueUrl ListDeadLetterSourceQueues ListQueueTags ListQueues PurgeQueue
         ReceiveMessage SendMessage SendMessageBatch SetQueueAttributes TagQueue UntagQueue",
    ),
    (
        "s3",
        "AbortMultipartUpload CompleteMultipartUpload CreateBucket CreateMultipartUpload DeleteBucket
         DeleteBucketEncryption DeleteBucketLifecycle DeleteBucketOwnershipControls DeleteBucketPolicy
         DeleteBucketTagging DeleteObject DeleteObjects DeletePublicAccessBlock GetBucketEncryption
         GetBucketLifecycleConfiguration GetBucketLocation GetBucketOwnershipControls GetBucketPolicy
         GetBucketTagging GetBucketVersioning GetObject GetPublicAccessBlock HeadBucket HeadObject ListBuckets
         ListMultipartUploads ListObjectVersions ListObjects ListObjectsV2 ListParts PutBucketEncryption
         PutBucketLifecycleConfiguration PutBucketOwnershipControls PutBucketPolicy PutBucketTagging
         PutBucketVersioning PutObject PutPublicAccessBlock UploadPart",
    ),
    (
        "logs",
        "AssociateKmsKey CreateLogGroup CreateLogStream DeleteLogGroup DeleteLogStream DeleteRetentionPolicy DescribeLogGroups
         DescribeLogStreams DisassociateKmsKey FilterLogEvents GetLogEvents ListTagsForResource ListTagsLogGroup PutLogEvents
         PutLogGroupDeletionProtection PutRetentionPolicy TagLogGroup TagResource UntagLogGroup UntagResource",
    ),
    (
        "monitoring",
        "DeleteAlarms DeleteDashboards DescribeAlarmHistory DescribeAlarms DescribeAlarmsForMetric
         DisableAlarmActions EnableAlarmActions GetDashboard GetMetricData GetMetricStatistics ListDashboards
         ListMetrics ListTagsForResource PutCompositeAlarm PutDashboard PutMetricAlarm PutMetricData SetAlarmState
         TagResource UntagResource",
    ),
    (
        "cloudformation",
        "CancelUpdateStack ContinueUpdateRollback CreateChangeSet CreateStack DeleteChangeSet DeleteStack
         DescribeChangeSet DescribeStackEvents DescribeStackResource DescribeStackResources DescribeStacks
         ExecuteChangeSet GetTemplate GetTemplateSummary ListChangeSets ListExports ListStackResources ListStacks
         RollbackStack UpdateStack UpdateTerminationProtection ValidateTemplate",
    ),
    (
        "iam",
        "AttachRolePolicy CreateRole DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DetachRolePolicy GetRole GetRolePolicy
         ListAttachedRolePolicies ListRolePolicies ListRoleTags ListRoles PutRolePermissionsBoundary PutRolePolicy TagRole UntagRole
         UpdateAssumeRolePolicy UpdateRole",
    ),
    ("scheduler", "CreateSchedule DeleteSchedule GetSchedule ListSchedules UpdateSchedule"),
    ("sts", "AssumeRole GetCallerIdentity"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the services look an operation up by its name.
    const DISPATCHES: [&str; 9] = [
        include_str!("../kinesis/mod.rs"),
        include_str!("../lambda/mod.rs"),
        include_str!("../sqs/mod.rs"),
        include_str!("../s3/operations.rs"),
        include_str!("../logs/mod.rs"),
        include_str!("../cloudwatch/mod.rs"),
        include_str!("../cloudformation/mod.rs"),
        include_str!("../iam.rs"),
        include_str!("../scheduler/mod.rs"),
    ];

    /// `"PutRecord" | "PutRecords" => ...`: the quoted names before the arrow.
    fn matched_names(source: &str) -> impl Iterator<Item = &str> {
        let arms = source.lines().filter_map(|line| Some(line.trim().split_once("=>")?.0));
        // Without what a guard compares with.
        let patterns = arms.map(|arm| arm.split(" if ").next().unwrap_or(arm));
        let names =
            patterns.filter(|arm| arm.starts_with('"')).flat_map(|arm| arm.split('"').skip(1).step_by(2));
        names.filter(|name| name.starts_with(char::is_uppercase) && name.len() > 6)
    }

    #[test]
    fn every_operation_that_a_service_dispatches_is_listed() {
        let mut seen = 0;
        for name in DISPATCHES.into_iter().flat_map(matched_names) {
            assert!(is_known(name), "{name} is dispatched, but not listed here");
            seen += 1;
        }
        assert!(seen > 100, "only {seen} operations were found in the sources");
        assert!(!is_known("PutRecordz") && !is_known("") && !is_known("Put"));
    }
}
