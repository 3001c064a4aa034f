//! Creation, rollback, deletion, and the API's refusals.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Bench, outputs};
use crate::local::service::Service;

const CHAIN: &str = r#"
Parameters:
  Shards: {Type: Number, Default: 1}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: q, DelaySeconds: !Ref Shards}}
  Stream: {Type: AWS::Kinesis::Stream, Properties: {Name: st, ShardCount: !Ref Shards}, DependsOn: Queue}
  Group: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub "/x/${Stream}"}}
Outputs:
  Arn: {Value: !GetAtt Stream.Arn, Export: {Name: !Sub "${AWS::StackName}-arn"}}
  Url: {Value: !Ref Queue}
"#;

#[tokio::test(start_paused = true)]
async fn a_stack_is_created_in_order_and_deleted_in_reverse() {
    let bench = Bench::new();
    let given = json!({
        "Parameters": [{"ParameterKey": "Shards", "ParameterValue": "4"}],
        "Tags": [{"Key": "team", "Value": "a"}],
    });
    let stack = bench.create(CHAIN, given).await.unwrap();
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE");
    let id = stack["StackId"].as_str().unwrap();
    assert_eq!(
        bench.events(id).await,
        [
            "s CREATE_IN_PROGRESS",
            "Queue CREATE_IN_PROGRESS",
            "Queue CREATE_COMPLETE",
            "Stream CREATE_IN_PROGRESS",
            "Stream CREATE_COMPLETE",
            "Group CREATE_IN_PROGRESS",
            "Group CREATE_COMPLETE",
            "s CREATE_COMPLETE",
        ]
    );
    assert_eq!(outputs(&stack)["Arn"], "arn:stream:st");
    assert_eq!(outputs(&stack)["Url"], "http://sqs/q");
    assert_eq!(stack["Outputs"][0]["ExportName"], "s-arn");
    // A parameter is text; the service gets the number it wants, and the stack's tags.
    let stream = &bench.calls("CreateStream")[0];
    let tags = json!({
        "team": "a", "aws:cloudformation:stack-name": "s", "aws:cloudformation:stack-id": id,
        "aws:cloudformation:logical-id": "Stream",
    });
    assert_eq!(*stream, json!({"StreamName": "st", "ShardCount": 4, "Tags": tags}));
    assert_eq!(bench.calls("CreateQueue")[0]["Attributes"], json!({"DelaySeconds": "4"}));
    assert_eq!(bench.standing().len(), 3);

    let gone = bench.delete(id).await;
    assert_eq!(gone["StackStatus"], "DELETE_COMPLETE");
    assert_eq!(
        bench.events(id).await[8..],
        [
            "s DELETE_IN_PROGRESS",
            "Group DELETE_IN_PROGRESS",
            "Group DELETE_COMPLETE",
            "Stream DELETE_IN_PROGRESS",
            "Stream DELETE_COMPLETE",
            "Queue DELETE_IN_PROGRESS",
            "Queue DELETE_COMPLETE",
            "s DELETE_COMPLETE",
        ]
    );
    assert!(bench.standing().is_empty());
    let by_name = bench.call("DescribeStacks", json!({"StackName": "s"})).await.unwrap_err();
    assert_eq!(
        (by_name.code.as_str(), by_name.message.as_str()),
        ("ValidationError", "Stack with id s does not exist")
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_creation_is_rolled_back() {
    let bench = Bench::new();
    bench.fail("CreateLogGroup", "LimitExceededException", "Resource limit exceeded.");
    let stack = bench.create(CHAIN, json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE");
    let id = stack["StackId"].as_str().unwrap();
    assert_eq!(
        bench.events(id).await[5..],
        [
            "Group CREATE_IN_PROGRESS",
            "Group CREATE_FAILED",
            "s ROLLBACK_IN_PROGRESS",
            "Stream DELETE_IN_PROGRESS",
            "Stream DELETE_COMPLETE",
            "Queue DELETE_IN_PROGRESS",
            "Queue DELETE_COMPLETE",
            "s ROLLBACK_COMPLETE",
        ]
    );
    let reason = bench.reason(id, "CREATE_FAILED").await;
    assert_eq!(
        reason,
        "Resource handler returned message: \"Resource limit exceeded. (Service: Logs, Status Code: 400)\" (HandlerErrorCode: LimitExceededException)"
    );
    assert_eq!(
        bench.reason(id, "ROLLBACK_IN_PROGRESS").await,
        "The following resource(s) failed to create: [Group]. Rollback requested by user."
    );
    assert!(bench.standing().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_made_before_its_own_creation_failed_is_removed_too() {
    let bench = Bench::new();
    bench.fail("PutRetentionPolicy", "InvalidParameterException", "no such retention");
    let text =
        "Resources: {G: {Type: 'AWS::Logs::LogGroup', Properties: {LogGroupName: g, RetentionInDays: 2}}}";
    let stack = bench.create(text, json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE");
    assert_eq!(bench.calls("DeleteLogGroup"), [json!({"logGroupName": "g"})]);
    assert!(bench.standing().is_empty());
}

#[tokio::test(start_paused = true)]
async fn on_failure_says_what_becomes_of_a_failed_creation() {
    for (given, status, standing) in [
        (json!({"OnFailure": "DO_NOTHING"}), "CREATE_FAILED", 2),
        (json!({"DisableRollback": "true"}), "CREATE_FAILED", 2),
        (json!({"OnFailure": "DELETE"}), "DELETE_COMPLETE", 0),
        (json!({"OnFailure": "ROLLBACK"}), "ROLLBACK_COMPLETE", 0),
    ] {
        let bench = Bench::new();
        bench.fail("CreateLogGroup", "X", "x");
        let stack = bench.create(CHAIN, given.clone()).await.unwrap();
        assert_eq!(stack["StackStatus"], status, "{given}");
        assert_eq!(bench.standing().len(), standing, "{given}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_deletion_keeps_what_is_needed_and_can_be_repeated() {
    let bench = Bench::new();
    let stack = bench.create(CHAIN, json!({})).await.unwrap();
    let id = stack["StackId"].as_str().unwrap();
    bench.fail("DeleteStream", "ResourceInUseException", "consumers are registered");
    let failed = bench.delete(id).await;
    assert_eq!(failed["StackStatus"], "DELETE_FAILED");
    assert_eq!(failed["StackStatusReason"], "The following resource(s) failed to delete: [Stream]. ");
    // The stream was declared to need the queue, so the queue stays as long as the stream does.
    assert_eq!(bench.standing(), ["kinesis/st", "sqs/http://sqs/q"]);

    let retain = json!({"StackName": id, "RetainResources": ["Stream"]});
    bench.call("DeleteStack", retain).await.unwrap();
    assert_eq!(bench.settled(id).await["StackStatus"], "DELETE_COMPLETE");
    assert_eq!(bench.standing(), ["kinesis/st"]);
}

#[tokio::test(start_paused = true)]
async fn retained_resources_outlive_their_stack() {
    let bench = Bench::new();
    let text = r#"
Resources:
  Kept: {Type: AWS::SQS::Queue, DeletionPolicy: Retain, Properties: {QueueName: kept}}
  Gone: {Type: AWS::SQS::Queue, DeletionPolicy: Delete, Properties: {QueueName: gone}}
"#;
    let stack = bench.create(text, json!({})).await.unwrap();
    let gone = bench.delete(stack["StackId"].as_str().unwrap()).await;
    assert_eq!(gone["StackStatus"], "DELETE_COMPLETE");
    assert_eq!(bench.standing(), ["sqs/http://sqs/kept"]);
}

#[tokio::test(start_paused = true)]
async fn a_stack_can_be_deleted_while_it_is_created() {
    let bench = Bench::new();
    let input = json!({"StackName": "s", "TemplateBody": CHAIN});
    let id = bench.call("CreateStack", input).await.unwrap()["StackId"].as_str().unwrap().to_owned();
    let stack = bench.delete(&id).await;
    assert_eq!(stack["StackStatus"], "DELETE_COMPLETE");
    assert!(bench.standing().is_empty());
    // The name is free again.
    assert_eq!(bench.create(CHAIN, json!({})).await.unwrap()["StackStatus"], "CREATE_COMPLETE");
}

#[tokio::test(start_paused = true)]
async fn conditions_leave_resources_and_outputs_out() {
    let bench = Bench::new();
    let text = r#"
Parameters: {Make: {Type: String, Default: "no"}}
Conditions: {Making: !Equals [!Ref Make, "yes"]}
Resources:
  Always: {Type: AWS::SQS::Queue, Properties: {QueueName: a, DelaySeconds: !If [Making, 9, !Ref AWS::NoValue]}}
  Maybe: {Type: AWS::SQS::Queue, Condition: Making, Properties: {QueueName: b}}
Outputs:
  Maybe: {Condition: Making, Value: !Ref Maybe}
"#;
    let stack = bench.create(text, json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE");
    assert_eq!(stack["Outputs"], json!([]));
    assert_eq!(bench.standing(), ["sqs/http://sqs/a"]);
    assert_eq!(bench.calls("CreateQueue")[0]["Attributes"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn roles_are_made_with_their_policies_and_need_a_capability() {
    let bench = Bench::new();
    let text = r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: r
      AssumeRolePolicyDocument: {Statement: []}
      Policies: [{PolicyName: p, PolicyDocument: {Statement: [{Effect: Allow}]}}]
Outputs: {Arn: {Value: !GetAtt Role.Arn}}
"#;
    let refused = bench.create(text, json!({})).await.unwrap_err();
    assert_eq!(refused.code, "InsufficientCapabilitiesException");
    assert_eq!(refused.message, "Requires capabilities : [CAPABILITY_NAMED_IAM]");
    let given = json!({"Capabilities": ["CAPABILITY_NAMED_IAM"]});
    let stack = bench.create(text, given).await.unwrap();
    assert_eq!(outputs(&stack)["Arn"], "arn:aws:iam::111122223333:role/r");
    let policy = json!({"RoleName": "r", "PolicyName": "p"});
    bench.iam.call("GetRolePolicy", policy).await.unwrap();
    bench.delete(stack["StackId"].as_str().unwrap()).await;
    assert_eq!(bench.iam.call("GetRole", json!({"RoleName": "r"})).await.unwrap_err().code, "NoSuchEntity");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_from_a_wrong_template() {
    let bench = Bench::new();
    for (text, message) in [
        (
            "Resources: {A: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !Ref Gone}}}",
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        (
            "Resources: {A: {Type: 'AWS::SNS::Topic'}, B: {Type: 'AWS::SQS::Queue'}}",
            "Template format error: Unrecognized resource types: [AWS::SNS::Topic]",
        ),
        (
            "Resources: {A: {Type: 'AWS::SQS::Queue', DependsOn: B}, B: {Type: 'AWS::SQS::Queue', DependsOn: A}}",
            "Circular dependency between resources: [A, B]",
        ),
        (
            "Resources: {A: {Type: 'AWS::SQS::Queue'}}\nOutputs: {O: {Value: !GetAtt A.Colour}}",
            "Template error: resource A does not support attribute type Colour in Fn::GetAtt",
        ),
    ] {
        let error = bench.create(text, json!({})).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("ValidationError", message));
    }
    assert!(bench.log.lock().unwrap().calls.is_empty());
    assert_eq!(bench.call("DescribeStacks", json!({})).await.unwrap()["Stacks"], json!([]));
    assert!(bench.create(&" ".repeat(51_201), json!({})).await.unwrap_err().message.contains("51200"));
}

#[tokio::test(start_paused = true)]
async fn unknown_and_missing_properties_fail_the_resource() {
    for (properties, reason) in [
        ("{Nmae: x}", "#: extraneous key [Nmae] is not permitted"),
        ("{ShardCount: many}", "#/ShardCount: expected type: Integer, found: String"),
    ] {
        let bench = Bench::new();
        let text = format!("Resources: {{A: {{Type: 'AWS::Kinesis::Stream', Properties: {properties}}}}}");
        let stack = bench.create(&text, json!({})).await.unwrap();
        assert_eq!(stack["StackStatus"], "ROLLBACK_COMPLETE");
        let told = bench.reason(stack["StackId"].as_str().unwrap(), "CREATE_FAILED").await;
        assert_eq!(told, format!("Properties validation failed for resource A with message:\n{reason}"));
    }
    let bench = Bench::new();
    let stack = bench.create("Resources: {A: {Type: 'AWS::Lambda::Function'}}", json!({})).await.unwrap();
    let told = bench.reason(stack["StackId"].as_str().unwrap(), "CREATE_FAILED").await;
    assert!(told.ends_with("#: required key [Code] not found\n#: required key [Role] not found"));
}

#[tokio::test(start_paused = true)]
async fn templates_can_be_read_from_s3_and_are_described() {
    let bench = Bench::new();
    let body = base64::engine::general_purpose::STANDARD.encode(CHAIN);
    bench.log.lock().unwrap().objects.insert("b/dir/t.yaml".into(), body);
    for url in ["http://127.0.0.1:4566/b/dir/t.yaml", "https://b.s3.us-east-1.amazonaws.com/dir/t.yaml"] {
        let answer = bench.call("ValidateTemplate", json!({"TemplateURL": url})).await.unwrap();
        assert_eq!(
            answer["Parameters"][0],
            json!({"ParameterKey": "Shards", "NoEcho": false, "DefaultValue": "1"})
        );
    }
    let missing = json!({"TemplateURL": "http://127.0.0.1:4566/b/gone"});
    let error = bench.call("ValidateTemplate", missing).await.unwrap_err();
    assert_eq!(error.message, "S3 error: The specified key does not exist.");
    let summary = bench.call("GetTemplateSummary", json!({"TemplateBody": CHAIN})).await.unwrap();
    assert_eq!(
        summary["ResourceTypes"],
        json!(["AWS::Kinesis::Stream", "AWS::Logs::LogGroup", "AWS::SQS::Queue"])
    );
}

#[tokio::test(start_paused = true)]
async fn resources_are_listed_and_names_are_taken() {
    let bench = Bench::new();
    bench.create(CHAIN, json!({})).await.unwrap();
    let resource = json!({"StackName": "s", "LogicalResourceId": "Stream"});
    let detail = bench.call("DescribeStackResource", resource).await.unwrap();
    assert_eq!(detail["StackResourceDetail"]["PhysicalResourceId"], "st");
    let listed = bench.call("ListStackResources", json!({"StackName": "s"})).await.unwrap();
    assert_eq!(listed["StackResourceSummaries"].as_array().unwrap().len(), 3);
    let template = bench.call("GetTemplate", json!({"StackName": "s"})).await.unwrap();
    assert_eq!(template["TemplateBody"], CHAIN);
    let exports = bench.call("ListExports", json!({})).await.unwrap();
    assert_eq!(
        (&exports["Exports"][0]["Name"], &exports["Exports"][0]["Value"]),
        (&json!("s-arn"), &json!("arn:stream:st"))
    );

    let again = json!({"StackName": "s", "TemplateBody": CHAIN});
    assert_eq!(bench.call("CreateStack", again).await.unwrap_err().code, "AlreadyExistsException");
}

#[tokio::test(start_paused = true)]
async fn long_histories_come_in_pages() {
    let bench = Bench::new();
    let queues: Vec<String> = (0..60).map(|n| format!("Q{n}: {{Type: 'AWS::SQS::Queue'}}")).collect();
    let stack = bench.create(&format!("Resources: {{{}}}", queues.join(", ")), json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "CREATE_COMPLETE");
    let first = bench.call("DescribeStackEvents", json!({"StackName": "s"})).await.unwrap();
    let more = json!({"StackName": "s", "NextToken": first["NextToken"]});
    let second = bench.call("DescribeStackEvents", more).await.unwrap();
    let count = |page: &Value| page["StackEvents"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), second.get("NextToken")), (100, 22, None));
    // Names that the template does not give are distinct, and the same for the same stack.
    assert_eq!(bench.standing().len(), 60);
}
