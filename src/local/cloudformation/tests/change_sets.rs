//! Change sets: what they tell, and that executing them does it.

use serde_json::{Value, json};

use super::{Bench, outputs};

const TEXT: &str = r#"
Parameters: {Delay: {Type: Number, Default: 1}}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: !Ref Delay}}
  Group: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub "/x/${Queue.QueueName}"}}
Outputs: {Queue: {Value: !Ref Queue}}
"#;

async fn make(bench: &Bench, name: &str, text: &str, more: Value) -> Value {
    let mut input = json!({"StackName": "s", "ChangeSetName": name, "TemplateBody": text});
    input.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    let made = bench.call("CreateChangeSet", input).await.unwrap();
    bench.call("DescribeChangeSet", json!({"ChangeSetName": made["Id"]})).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stack_can_be_created_by_change_set() {
    let bench = Bench::real();
    let described = make(&bench, "first", TEXT, json!({"ChangeSetType": "CREATE"})).await;
    assert_eq!(
        (&described["Status"], &described["ExecutionStatus"]),
        (&json!("CREATE_COMPLETE"), &json!("AVAILABLE"))
    );
    let actions: Vec<&Value> =
        described["Changes"].as_array().unwrap().iter().map(|one| &one["ResourceChange"]["Action"]).collect();
    assert_eq!(actions, ["Add", "Add"]);
    let stack = bench.call("DescribeStacks", json!({"StackName": "s"})).await.unwrap();
    assert_eq!(stack["Stacks"][0]["StackStatus"], "REVIEW_IN_PROGRESS");
    assert_eq!(bench.ask("sqs", "ListQueues", json!({})).await.unwrap()["QueueUrls"], json!([]));
    make(&bench, "second", TEXT, json!({"ChangeSetType": "CREATE"})).await;

    let execute = json!({"StackName": "s", "ChangeSetName": "first"});
    bench.call("ExecuteChangeSet", execute.clone()).await.unwrap();
    let stack = bench.settled("s").await;
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE");
    let url = outputs(&stack)["Queue"].clone();
    bench
        .ask("sqs", "GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]}))
        .await
        .unwrap();
    // The other one went with it, and it cannot be executed twice.
    let left = bench.call("ListChangeSets", json!({"StackName": "s"})).await.unwrap();
    assert_eq!(left["Summaries"], json!([]));
    assert_eq!(bench.call("ExecuteChangeSet", execute).await.unwrap_err().code, "ChangeSetNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_change_set_tells_what_changes_and_why() {
    let bench = Bench::real();
    bench.create(TEXT, json!({})).await.unwrap();
    let parameters = json!({"Parameters": [{"ParameterKey": "Delay", "ParameterValue": "5"}]});
    let described = make(&bench, "c", TEXT, parameters).await;
    assert_eq!(described["Changes"].as_array().unwrap().len(), 1);
    let change = &described["Changes"][0]["ResourceChange"];
    assert_eq!(change["Action"], "Modify");
    assert_eq!(change["Replacement"], "False");
    assert_eq!(change["Scope"], json!(["Properties"]));
    assert_eq!(
        change["Details"],
        json!([{
            "Target": {"Attribute": "Properties", "Name": "DelaySeconds", "RequiresRecreation": "Never"},
            "Evaluation": "Static", "ChangeSource": "ParameterReference", "CausingEntity": "Delay",
        }])
    );
    assert!(change["PhysicalResourceId"].as_str().unwrap().contains("s-Queue-"));
    bench.call("DeleteChangeSet", json!({"StackName": "s", "ChangeSetName": "c"})).await.unwrap();
    let gone = bench.call("DescribeChangeSet", json!({"StackName": "s", "ChangeSetName": "c"})).await;
    assert_eq!(gone.unwrap_err().code, "ChangeSetNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_told_with_what_follows_from_it_and_done() {
    let bench = Bench::real();
    let created = bench.create(TEXT, json!({})).await.unwrap();
    let text = TEXT.replace("Properties: {DelaySeconds", "Properties: {QueueName: named, DelaySeconds");
    let text = text.replace("Outputs:", "  More: {Type: AWS::SQS::Queue}\nOutputs:");
    let described = make(&bench, "c", &text, json!({})).await;
    let changes = described["Changes"].as_array().unwrap();
    let of = |logical_id: &str| {
        let found = changes.iter().find(|one| one["ResourceChange"]["LogicalResourceId"] == logical_id);
        found.unwrap()["ResourceChange"].clone()
    };
    assert_eq!(of("More")["Action"], "Add");
    assert_eq!(
        (of("Queue")["Replacement"].as_str(), of("Queue")["PolicyAction"].as_str()),
        (Some("True"), Some("ReplaceAndDelete"))
    );
    // The group's name comes from the queue's: it may be replaced, too.
    let group = of("Group");
    assert_eq!(group["Replacement"], "Conditional");
    assert_eq!(
        group["Details"],
        json!([{
            "Target": {"Attribute": "Properties", "Name": "LogGroupName", "RequiresRecreation": "Always"},
            "Evaluation": "Dynamic", "ChangeSource": "ResourceAttribute", "CausingEntity": "Queue.QueueName",
        }])
    );
    bench.call("ExecuteChangeSet", json!({"ChangeSetName": described["ChangeSetId"]})).await.unwrap();
    let stack = bench.settled("s").await;
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE");
    let groups = bench.ask("logs", "DescribeLogGroups", json!({})).await.unwrap();
    assert_eq!(groups["logGroups"].as_array().unwrap().len(), 1);
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/x/named");
    let old = json!({"QueueUrl": outputs(&created)["Queue"], "AttributeNames": ["All"]});
    assert!(bench.ask("sqs", "GetQueueAttributes", old).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_change_set_without_changes_fails() {
    let bench = Bench::real();
    bench.create(TEXT, json!({})).await.unwrap();
    let described = make(&bench, "c", TEXT, json!({})).await;
    assert_eq!(
        (described["Status"].as_str(), described["ExecutionStatus"].as_str()),
        (Some("FAILED"), Some("UNAVAILABLE"))
    );
    assert_eq!(
        described["StatusReason"],
        "The submitted information didn't contain changes. Submit different information to create a change set."
    );
    let refused =
        bench.call("ExecuteChangeSet", json!({"StackName": "s", "ChangeSetName": "c"})).await.unwrap_err();
    assert_eq!(refused.code, "InvalidChangeSetStatus");
}

#[tokio::test(start_paused = true)]
async fn change_sets_that_make_no_sense_are_refused() {
    let bench = Bench::real();
    let make = |more: Value| {
        let mut input = json!({"StackName": "s", "ChangeSetName": "c", "TemplateBody": TEXT});
        input.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        bench.call("CreateChangeSet", input)
    };
    assert_eq!(make(json!({})).await.unwrap_err().message, "Stack [s] does not exist");
    for refused in [
        json!({"ChangeSetType": "IMPORT"}),
        json!({"IncludeNestedStacks": "true"}),
        json!({"ImportExistingResources": "true"}),
    ] {
        let error = make(refused).await.unwrap_err();
        assert!(error.message.starts_with("the local endpoint does not support"), "{}", error.message);
    }
    // A wrong template leaves no empty stack behind.
    let wrong = json!({"ChangeSetType": "CREATE", "TemplateBody": "Resources: {A: {Type: 'AWS::No::Such'}}"});
    make(wrong).await.unwrap_err();
    assert_eq!(bench.call("DescribeStacks", json!({})).await.unwrap()["Stacks"], json!([]));
    make(json!({"ChangeSetType": "CREATE"})).await.unwrap();
    assert_eq!(make(json!({"ChangeSetType": "CREATE"})).await.unwrap_err().code, "AlreadyExistsException");
    let update = make(json!({})).await.unwrap_err().message;
    assert!(update.ends_with("is in REVIEW_IN_PROGRESS state and can not be updated."), "{update}");
    let stack = bench.call("DescribeStacks", json!({"StackName": "s"})).await.unwrap();
    let gone = bench.delete(stack["Stacks"][0]["StackId"].as_str().unwrap()).await;
    assert_eq!(gone["StackStatus"], "DELETE_COMPLETE");
}
