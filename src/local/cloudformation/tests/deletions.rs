//! Deletion of stacks that do not want to go.

use serde_json::json;

use super::Bench;

const TWO: &str = r#"
Resources:
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: held}}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: q}}
"#;

/// A stack whose bucket is not empty, after its first DeleteStack.
async fn stuck() -> Bench {
    let bench = Bench::real();
    bench.create(TWO, json!({})).await.unwrap();
    let object = json!({"Bucket": "held", "Key": "k", "Body": "eA=="});
    bench.ask("s3", "PutObject", object).await.unwrap();
    let stack = bench.delete("s").await;
    assert_eq!(stack["StackStatus"], "DELETE_FAILED");
    assert_eq!(stack["StackStatusReason"], "The following resource(s) failed to delete: [Bucket]. ");
    let reason = bench.reason("s", "DELETE_FAILED").await;
    assert!(reason.contains("The bucket you tried to delete is not empty"), "{reason}");
    bench
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_failed_to_go_goes_when_the_obstacle_is_away() {
    let bench = stuck().await;
    let id = bench.call("DescribeStacks", json!({"StackName": "s"})).await.unwrap();
    let id = id["Stacks"][0]["StackId"].as_str().unwrap().to_owned();
    bench.ask("s3", "DeleteObject", json!({"Bucket": "held", "Key": "k"})).await.unwrap();
    assert_eq!(bench.delete(&id).await["StackStatus"], "DELETE_COMPLETE");
    assert!(bench.ask("s3", "GetBucketLocation", json!({"Bucket": "held"})).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn force_lets_go_of_what_cannot_be_deleted() {
    let bench = stuck().await;
    let id = bench.call("DescribeStacks", json!({"StackName": "s"})).await.unwrap();
    let id = id["Stacks"][0]["StackId"].as_str().unwrap().to_owned();
    let force = json!({"StackName": id, "DeletionMode": "FORCE_DELETE_STACK"});
    bench.call("DeleteStack", force).await.unwrap();
    assert_eq!(bench.settled(&id).await["StackStatus"], "DELETE_COMPLETE");
    let events = bench.events(&id).await;
    assert_eq!(
        events[events.len() - 4..],
        ["Bucket DELETE_IN_PROGRESS", "Bucket DELETE_FAILED", "Bucket DELETE_SKIPPED", "s DELETE_COMPLETE"]
    );
    // It says that it did not delete the bucket, and it did not.
    bench.ask("s3", "GetBucketLocation", json!({"Bucket": "held"})).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn force_and_retain_are_for_deletions_that_failed() {
    let bench = Bench::real();
    bench.create(TWO, json!({})).await.unwrap();
    for given in [json!({"DeletionMode": "FORCE_DELETE_STACK"}), json!({"RetainResources": ["Queue"]})] {
        let mut input = json!({"StackName": "s"});
        input.as_object_mut().unwrap().extend(given.as_object().cloned().unwrap());
        let refused = bench.call("DeleteStack", input).await.unwrap_err().message;
        assert!(
            refused.ends_with("can only be specified for stacks in the DELETE_FAILED state"),
            "{refused}"
        );
    }
    let wrong = json!({"StackName": "s", "DeletionMode": "GENTLY"});
    assert!(bench.call("DeleteStack", wrong).await.unwrap_err().message.contains("'deletionMode'"));
}

#[tokio::test(start_paused = true)]
async fn a_protected_stack_and_one_that_is_updated_are_not_deleted() {
    let bench = Bench::real();
    bench.create(TWO, json!({"EnableTerminationProtection": "true"})).await.unwrap();
    let delete = json!({"StackName": "s"});
    let refused = bench.call("DeleteStack", delete.clone()).await.unwrap_err().message;
    assert_eq!(refused, "Stack [s] cannot be deleted while TerminationProtection is enabled");
    let off = json!({"StackName": "s", "EnableTerminationProtection": "false"});
    bench.call("UpdateTerminationProtection", off).await.unwrap();
    let changed = TWO.replace("QueueName: q", "QueueName: q, DelaySeconds: 3");
    bench.call("UpdateStack", json!({"StackName": "s", "TemplateBody": changed})).await.unwrap();
    let refused = bench.call("DeleteStack", delete).await.unwrap_err().message;
    assert!(refused.ends_with("cannot be deleted while in status UPDATE_IN_PROGRESS"), "{refused}");
    assert_eq!(bench.settled("s").await["StackStatus"], "UPDATE_COMPLETE");
}

#[tokio::test(start_paused = true)]
async fn a_stack_takes_along_what_a_failed_update_left() {
    let bench = Bench::real();
    let text = |path: &str, days: u32| {
        format!(
            "Resources: {{Role: {{Type: 'AWS::IAM::Role', Properties: {{Path: {path}, AssumeRolePolicyDocument: {{Statement: []}}}}}}, Group: {{Type: 'AWS::Logs::LogGroup', DependsOn: Role, Properties: {{RetentionInDays: {days}}}}}}}"
        )
    };
    let capable = json!({"Capabilities": ["CAPABILITY_IAM"], "DisableRollback": "true"});
    let created = bench.create(&text("/a/", 3), json!({"Capabilities": ["CAPABILITY_IAM"]})).await.unwrap();
    let failed = bench.update(&text("/b/", 2), capable).await.unwrap();
    assert_eq!(failed["StackStatus"], "UPDATE_FAILED");
    let roles = bench.ask("iam", "ListRoles", json!({})).await.unwrap();
    assert_eq!(roles["Roles"].as_array().unwrap().len(), 2);
    let gone = bench.delete(created["StackId"].as_str().unwrap()).await;
    assert_eq!(gone["StackStatus"], "DELETE_COMPLETE");
    assert_eq!(bench.ask("iam", "ListRoles", json!({})).await.unwrap()["Roles"], json!([]));
}
