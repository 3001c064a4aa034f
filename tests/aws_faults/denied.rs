//! Each permission that the tool needs is denied, one at a time.

use streamgauge::platform::permissions::actions;

use crate::job::{Came, Said, job, standing};
use crate::permissions::{LOSES_RECORDS, recorded};
use crate::support::Field;

/// What is not worth failing for: the run goes on without, and says so.
const NICE_TO_HAVE: [&str; 26] = [
    // An action of the plan is then refused, and the run goes on; what an earlier one left is not looked for.
    "kinesis:UpdateShardCount",
    "lambda:GetFunctionConcurrency",
    "lambda:PutFunctionConcurrency",
    "lambda:UpdateEventSourceMapping",
    "lambda:GetAccountSettings",
    "cloudwatch:GetMetricData",
    "logs:FilterLogEvents",
    // The lost are then unconfirmed.
    "kinesis:ListShards",
    "kinesis:GetShardIterator",
    "kinesis:GetRecords",
    // Receipts are read, kept and come again.
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    // Where could not be looked for leftovers is said.
    "kinesis:ListStreams",
    "kinesis:ListTagsForStream",
    "lambda:ListFunctions",
    "lambda:ListEventSourceMappings",
    "lambda:ListTags",
    "logs:DescribeLogGroups",
    "logs:ListTagsForResource",
    "s3:ListAllMyBuckets",
    "scheduler:ListSchedules",
    "sqs:ListQueues",
    "sqs:ListQueueTags",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:ListDashboards",
    "cloudwatch:ListTagsForResource",
];

/// As each service calls it: those with JSON protocols name exceptions.
fn denial(service: &str) -> &'static str {
    match service {
        "kinesis" | "lambda" | "logs" | "sqs" => "AccessDeniedException",
        _ => "AccessDenied",
    }
}

/// No lines of the SDK's own making: they are for its authors.
fn check_plain(said: &Said, context: &str) {
    for line in said.with("").iter().filter(|line| !line.starts_with('{')) {
        for jargon in ["ErrorMetadata", "Unhandled", "DispatchFailure", "SdkError", "unhandled error"] {
            assert!(!line.contains(jargon), "{context}: {line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_lacks_is_named_and_nothing_is_orphaned() {
    for (service, operation) in recorded().await {
        let action = actions(&service, &operation).remove(0);
        let fault = format!("error:code={},op={operation}", denial(&service));
        let field = Field::new(&[&fault, LOSES_RECORDS], 1).await;
        let (came, said) = job(&field).await;
        let context = format!("{operation} denied, came {came:?}:\n{}", said.text());
        println!("{operation}: {came:?}: {:?}", said.with("error: "));
        // A HEAD has no body that could say why; the upload that follows does without it. Tags and mappings are asked
        // of what a service has not forgotten yet; once it has, there is nothing to tell.
        let is_silent = operation == "HeadObject"
            || operation == "ListEventSourceMappings"
            || operation.starts_with("List") && operation.contains("Tags");
        assert!(is_silent || said.text().contains(&action), "{action} is not named: {context}");
        check_plain(&said, &context);
        // Without a service role CloudFormation needs sqs:GetQueueAttributes for the queues, too: it is none of these.
        let fine = is_silent || NICE_TO_HAVE.contains(&action.as_str());
        assert_eq!(came == Came::Through, fine, "{context}");
        let left = standing(&field).await;
        let errors = said.with("error: ").join("\n");
        let stacks = left.get("stack").cloned().unwrap_or_default();
        assert!(stacks.iter().all(|stack| errors.contains(stack)), "{stacks:?} are not all named: {context}");
        // `down` finds what belongs to a stack; anything else would be an orphan.
        assert!(left.is_empty() || !stacks.is_empty(), "{left:?} without a stack: {context}");
        field.cloud.end().await;
    }
}

/// What CloudFormation asks for the stacks, with the user's permissions where it has no role of its own: operation,
/// the action that is named, and the stack that then fails.
const FOR_CREATION: [(&str, &str); 12] = [
    ("CreateBucket", "s3:CreateBucket"),
    ("PutBucketPolicy", "s3:PutBucketPolicy"),
    ("CreateStream", "kinesis:CreateStream"),
    ("CreateQueue", "sqs:CreateQueue"),
    ("CreateRole", "iam:CreateRole"),
    ("PutRolePolicy", "iam:PutRolePolicy"),
    ("CreateLogGroup", "logs:CreateLogGroup"),
    ("CreateFunction", "lambda:CreateFunction"),
    ("CreateEventSourceMapping", "lambda:CreateEventSourceMapping"),
    ("PutMetricAlarm", "cloudwatch:PutMetricAlarm"),
    ("PutCompositeAlarm", "cloudwatch:PutCompositeAlarm"),
    ("PutDashboard", "cloudwatch:PutDashboard"),
];

#[tokio::test(start_paused = true)]
async fn a_resource_that_may_not_be_made_is_named_and_the_rest_is_removed() {
    for (operation, action) in FOR_CREATION {
        let service = action.split(':').next().unwrap();
        let field = Field::new(&[&format!("error:code={},op={operation}", denial(service))], 1).await;
        let (came, said) = job(&field).await;
        let context = format!("{operation} denied, came {came:?}:\n{}", said.text());
        assert!(said.text().contains(action), "{action} is not named: {context}");
        check_plain(&said, &context);
        // Without alarms and dashboard the pipeline is measured all the same.
        let fine = service == "cloudwatch";
        assert_eq!(came == Came::Through, fine, "{context}");
        assert_eq!(standing(&field).await, Default::default(), "{context}");
        field.cloud.end().await;
    }
}
