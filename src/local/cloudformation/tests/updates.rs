//! Updates against the endpoint's own services: what a stack says was done is looked for there.

use serde_json::{Value, json};

use super::{Bench, outputs};

const BASE: &str = r#"
Parameters:
  Hours: {Type: Number, Default: 24}
  Delay: {Type: Number, Default: 0}
Resources:
  Stream: {Type: AWS::Kinesis::Stream, Properties: {ShardCount: 2, RetentionPeriodHours: !Ref Hours}}
  Queue: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: !Ref Delay}}
  Group: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub "/x/${Queue.QueueName}"}}
Outputs:
  Stream: {Value: !Ref Stream}
  Queue: {Value: !Ref Queue}
  Group: {Value: !Ref Group}
"#;

fn parameter(key: &str, value: &str) -> Value {
    json!({"ParameterKey": key, "ParameterValue": value})
}

async fn retention(bench: &Bench, stream: &str) -> Value {
    let summary = bench.ask("kinesis", "DescribeStreamSummary", json!({"StreamName": stream})).await.unwrap();
    summary["StreamDescriptionSummary"]["RetentionPeriodHours"].clone()
}

async fn delay(bench: &Bench, url: &str) -> Value {
    let input = json!({"QueueUrl": url, "AttributeNames": ["DelaySeconds"]});
    bench.ask("sqs", "GetQueueAttributes", input).await.unwrap()["Attributes"]["DelaySeconds"].clone()
}

#[tokio::test(start_paused = true)]
async fn an_update_changes_the_resources_and_says_so_in_order() {
    let bench = Bench::real();
    let created = bench.create(BASE, json!({})).await.unwrap();
    let id = created["StackId"].as_str().unwrap().to_owned();
    let before = bench.events(&id).await.len();
    let stream = outputs(&created)["Stream"].clone();
    let more = json!({"Parameters": [parameter("Hours", "48"), parameter("Delay", "7")]});
    let stack = bench.update(BASE, more).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE");
    assert!(stack["LastUpdatedTime"].is_number());
    assert_eq!(outputs(&stack), outputs(&created));
    assert_eq!(retention(&bench, &stream).await, 48);
    assert_eq!(delay(&bench, &outputs(&stack)["Queue"]).await, "7");
    assert_eq!(
        bench.events(&id).await[before..],
        [
            "s UPDATE_IN_PROGRESS",
            "Queue UPDATE_IN_PROGRESS",
            "Queue UPDATE_COMPLETE",
            "Stream UPDATE_IN_PROGRESS",
            "Stream UPDATE_COMPLETE",
            "s UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            "s UPDATE_COMPLETE",
        ]
    );
    // Down again, with the previous template and one previous value.
    let more = json!({
        "StackName": "s", "UsePreviousTemplate": "true",
        "Parameters": [parameter("Hours", "30"), {"ParameterKey": "Delay", "UsePreviousValue": "true"}],
    });
    bench.call("UpdateStack", more).await.unwrap();
    assert_eq!(bench.settled("s").await["StackStatus"], "UPDATE_COMPLETE");
    assert_eq!(retention(&bench, &stream).await, 30);
    assert_eq!(delay(&bench, &outputs(&stack)["Queue"]).await, "7");
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_the_shards_that_an_update_says_or_the_update_fails() {
    let bench = Bench::real();
    let created = bench.create(BASE, json!({})).await.unwrap();
    let name = json!({"StreamName": outputs(&created)["Stream"]});
    let shards = |count: u32| BASE.replace("ShardCount: 2", &format!("ShardCount: {count}"));
    let stack = bench.update(&shards(4), json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE");
    let summary = bench.ask("kinesis", "DescribeStreamSummary", name.clone()).await.unwrap();
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 4);
    // More than twice as many at once is beyond Kinesis, so beyond CloudFormation.
    let stack = bench.update(&shards(9), json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    let summary = bench.ask("kinesis", "DescribeStreamSummary", name).await.unwrap();
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 4);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_registered_and_goes_with_its_stack() {
    let bench = Bench::real();
    let text = r#"
Resources:
  Stream: {Type: AWS::Kinesis::Stream, Properties: {ShardCount: 1}}
  Consumer:
    Type: AWS::Kinesis::StreamConsumer
    Properties: {ConsumerName: reader, StreamARN: !GetAtt Stream.Arn}
Outputs: {Consumer: {Value: !Ref Consumer}, Stream: {Value: !GetAtt Stream.Arn}, Status: {Value: !GetAtt Consumer.ConsumerStatus}}
"#;
    let created = bench.create(text, json!({})).await.unwrap();
    assert_eq!(created["StackStatus"], "CREATE_COMPLETE", "{created}");
    assert_eq!(outputs(&created)["Status"], "ACTIVE");
    let of = json!({"StreamARN": outputs(&created)["Stream"]});
    let listed = bench.ask("kinesis", "ListStreamConsumers", of.clone()).await.unwrap();
    assert_eq!(listed["Consumers"][0]["ConsumerARN"], outputs(&created)["Consumer"]);
    let renamed = bench.update(&text.replace("reader", "other"), json!({})).await.unwrap();
    assert_eq!(renamed["StackStatus"], "UPDATE_COMPLETE");
    let listed = bench.ask("kinesis", "ListStreamConsumers", of).await.unwrap();
    assert_eq!(listed["Consumers"].as_array().unwrap().len(), 1);
    assert_eq!(listed["Consumers"][0]["ConsumerName"], "other");
    let gone = bench.delete(created["StackId"].as_str().unwrap()).await;
    assert_eq!(gone["StackStatus"], "DELETE_COMPLETE");
}

#[tokio::test(start_paused = true)]
async fn an_update_without_a_change_is_refused() {
    let bench = Bench::real();
    bench.create(BASE, json!({"Tags": [{"Key": "a", "Value": "b"}]})).await.unwrap();
    for same in [
        json!({}),
        json!({"Parameters": [parameter("Hours", "24")]}),
        json!({"Tags": [{"Key": "a", "Value": "b"}]}),
    ] {
        let error = bench.update(BASE, same).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("ValidationError", "No updates are to be performed.")
        );
    }
    let described = format!("Description: other words\n{BASE}");
    assert!(bench.update(&described, json!({})).await.is_err());
    let renamed = BASE.replace("  Group: {Value", "  Other: {Value");
    assert_eq!(bench.update(&renamed, json!({})).await.unwrap()["StackStatus"], "UPDATE_COMPLETE");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_changed_is_replaced_and_what_refers_to_it_follows() {
    let bench = Bench::real();
    let role = |path: &str| {
        format!(
            r#"
Resources:
  Role: {{Type: AWS::IAM::Role, Properties: {{Path: {path}, AssumeRolePolicyDocument: {{Statement: []}}}}}}
  Policy:
    Type: AWS::IAM::Policy
    Properties: {{PolicyName: p, Roles: [!Ref Role], PolicyDocument: {{Statement: []}}}}
Outputs: {{Arn: {{Value: !GetAtt Role.Arn}}, Role: {{Value: !Ref Role}}}}
"#
        )
    };
    let capable = json!({"Capabilities": ["CAPABILITY_IAM"]});
    let created = bench.create(&role("/a/"), capable.clone()).await.unwrap();
    let id = created["StackId"].as_str().unwrap().to_owned();
    let before = bench.events(&id).await.len();
    let stack = bench.update(&role("/b/"), capable).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE");
    let (old, new) = (outputs(&created)["Role"].clone(), outputs(&stack)["Role"].clone());
    assert_ne!(old, new);
    assert!(outputs(&stack)["Arn"].contains(":role/b/"));
    assert_eq!(bench.ask("iam", "GetRole", json!({"RoleName": old})).await.unwrap_err().code, "NoSuchEntity");
    let policy = json!({"RoleName": new, "PolicyName": "p"});
    bench.ask("iam", "GetRolePolicy", policy).await.unwrap();
    assert_eq!(
        bench.events(&id).await[before..],
        [
            "s UPDATE_IN_PROGRESS",
            "Role UPDATE_IN_PROGRESS",
            "Role UPDATE_COMPLETE",
            "Policy UPDATE_IN_PROGRESS",
            "Policy UPDATE_COMPLETE",
            "s UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            "Role DELETE_IN_PROGRESS",
            "Role DELETE_COMPLETE",
            "s UPDATE_COMPLETE",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_named_resource_is_not_replaced_under_its_own_name() {
    let bench = Bench::real();
    let text = |path: &str| {
        format!(
            "Resources: {{R: {{Type: 'AWS::IAM::Role', Properties: {{RoleName: mine, Path: {path}, AssumeRolePolicyDocument: {{Statement: []}}}}}}}}"
        )
    };
    let capable = json!({"Capabilities": ["CAPABILITY_NAMED_IAM"]});
    let created = bench.create(&text("/a/"), capable.clone()).await.unwrap();
    let stack = bench.update(&text("/b/"), capable).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    let id = created["StackId"].as_str().unwrap();
    assert_eq!(
        bench.reason(id, "UPDATE_FAILED").await,
        "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename mine and update the stack again."
    );
    let role = bench.ask("iam", "GetRole", json!({"RoleName": "mine"})).await.unwrap();
    assert_eq!(role["Role"]["Path"], "/a/");
}

#[tokio::test(start_paused = true)]
async fn a_failed_update_is_undone_whole() {
    let bench = Bench::real();
    let created = bench.create(BASE, json!({})).await.unwrap();
    let id = created["StackId"].as_str().unwrap().to_owned();
    let before = bench.events(&id).await.len();
    // The queue changes, a queue comes, the stream changes; the group cannot be.
    let wrong = BASE
        .replace("Default: 24", "Default: 72")
        .replace("Default: 0", "Default: 9")
        .replace("QueueName}\"}", "QueueName}\", RetentionInDays: 2}")
        .replace("Outputs:", "  Added: {Type: AWS::SQS::Queue, Properties: {QueueName: added}}\nOutputs:");
    let stack = bench.update(&wrong, json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(outputs(&stack), outputs(&created));
    assert_eq!(retention(&bench, &outputs(&created)["Stream"]).await, 24);
    assert_eq!(delay(&bench, &outputs(&created)["Queue"]).await, "0");
    assert!(bench.ask("sqs", "GetQueueUrl", json!({"QueueName": "added"})).await.is_err());
    let reason = bench.reason(&id, "UPDATE_ROLLBACK_IN_PROGRESS").await;
    assert_eq!(reason, "The following resource(s) failed to update: [Group]. ");
    assert!(bench.reason(&id, "UPDATE_FAILED").await.contains("retentionInDays must be one of"));
    assert_eq!(
        bench.events(&id).await[before..],
        [
            "s UPDATE_IN_PROGRESS",
            "Added CREATE_IN_PROGRESS",
            "Added CREATE_COMPLETE",
            "Queue UPDATE_IN_PROGRESS",
            "Queue UPDATE_COMPLETE",
            "Stream UPDATE_IN_PROGRESS",
            "Stream UPDATE_COMPLETE",
            "Group UPDATE_IN_PROGRESS",
            "Group UPDATE_FAILED",
            "s UPDATE_ROLLBACK_IN_PROGRESS",
            "Queue UPDATE_IN_PROGRESS",
            "Queue UPDATE_COMPLETE",
            "Stream UPDATE_IN_PROGRESS",
            "Stream UPDATE_COMPLETE",
            "Group UPDATE_IN_PROGRESS",
            "Group UPDATE_COMPLETE",
            "s UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            "Added DELETE_IN_PROGRESS",
            "Added DELETE_COMPLETE",
            "s UPDATE_ROLLBACK_COMPLETE",
        ]
    );
    // The template is the old one again, and the stack can be updated.
    let template = bench.call("GetTemplate", json!({"StackName": "s"})).await.unwrap();
    assert_eq!(template["TemplateBody"], BASE);
    let again = bench.update(BASE, json!({"Parameters": [parameter("Delay", "3")]})).await.unwrap();
    assert_eq!(again["StackStatus"], "UPDATE_COMPLETE");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_undone_and_the_old_resource_never_went() {
    let bench = Bench::real();
    let text = |path: &str, days: u32| {
        format!(
            r#"
Resources:
  Role: {{Type: AWS::IAM::Role, Properties: {{Path: {path}, AssumeRolePolicyDocument: {{Statement: []}}}}}}
  Group:
    Type: AWS::Logs::LogGroup
    Properties: {{LogGroupName: g, RetentionInDays: {days}}}
    DependsOn: Role
Outputs: {{Role: {{Value: !Ref Role}}}}
"#
        )
    };
    let capable = json!({"Capabilities": ["CAPABILITY_IAM"]});
    let created = bench.create(&text("/a/", 3), capable.clone()).await.unwrap();
    let stack = bench.update(&text("/b/", 2), capable).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(outputs(&stack), outputs(&created));
    let roles = bench.ask("iam", "ListRoles", json!({})).await.unwrap();
    assert_eq!(roles["Roles"].as_array().unwrap().len(), 1);
    assert_eq!(roles["Roles"][0]["RoleName"], outputs(&created)["Role"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_can_be_continued_or_told_what_to_skip() {
    for skip in [false, true] {
        let bench = Bench::real();
        let text = |delay: u32, days: u32| {
            format!(
                "Resources: {{Q: {{Type: 'AWS::SQS::Queue', Properties: {{DelaySeconds: {delay}}}}}, R: {{Type: 'AWS::Logs::LogGroup', Properties: {{RetentionInDays: {days}}}, DependsOn: Q}}}}\nOutputs: {{Q: {{Value: !Ref Q}}}}"
            )
        };
        let created = bench.create(&text(1, 3), json!({})).await.unwrap();
        bench.fail("PutRetentionPolicy", "LimitExceededException", "not today");
        let failed = bench.update(&text(2, 5), json!({"DisableRollback": "true"})).await.unwrap();
        assert_eq!(failed["StackStatus"], "UPDATE_FAILED");
        bench.heal("PutRetentionPolicy");
        // The queue was changed, and cannot be changed back.
        bench.fail("SetQueueAttributes", "AccessDenied", "not that either");
        bench.call("RollbackStack", json!({"StackName": "s"})).await.unwrap();
        let stack = bench.settled("s").await;
        let url = outputs(&created)["Q"].clone();
        assert_eq!(stack["StackStatus"], "UPDATE_ROLLBACK_FAILED");
        assert_eq!(stack["StackStatusReason"], "The following resource(s) failed to update: [Q]. ");
        let refused = bench.update(&text(1, 3), json!({})).await.unwrap_err();
        assert!(refused.message.ends_with("is in UPDATE_ROLLBACK_FAILED state and can not be updated."));
        let mut input = json!({"StackName": "s"});
        if skip {
            input["ResourcesToSkip"] = json!(["Q"]);
        } else {
            bench.heal("SetQueueAttributes");
        }
        bench.call("ContinueUpdateRollback", input).await.unwrap();
        assert_eq!(bench.settled("s").await["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
        assert_eq!(delay(&bench, &url).await, if skip { "2" } else { "1" });
    }
}

#[tokio::test(start_paused = true)]
async fn without_rollback_a_failed_update_waits_for_the_next_or_for_a_rollback() {
    for roll_back in [false, true] {
        let bench = Bench::real();
        let created = bench.create(BASE, json!({})).await.unwrap();
        let queue = outputs(&created)["Queue"].clone();
        let wrong = BASE
            .replace("Default: 0", "Default: 9")
            .replace("QueueName}\"}", "QueueName}\", RetentionInDays: 2}");
        let stack = bench.update(&wrong, json!({"DisableRollback": "true"})).await.unwrap();
        assert_eq!(stack["StackStatus"], "UPDATE_FAILED");
        assert_eq!(delay(&bench, &queue).await, "9");
        if roll_back {
            bench.call("RollbackStack", json!({"StackName": "s"})).await.unwrap();
            assert_eq!(bench.settled("s").await["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
            assert_eq!(delay(&bench, &queue).await, "0");
        } else {
            let right = wrong.replace("RetentionInDays: 2", "RetentionInDays: 3");
            assert_eq!(bench.update(&right, json!({})).await.unwrap()["StackStatus"], "UPDATE_COMPLETE");
            assert_eq!(delay(&bench, &queue).await, "9");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_update_is_rolled_back() {
    let bench = Bench::real();
    let created = bench.create(BASE, json!({})).await.unwrap();
    let refused = bench.call("CancelUpdateStack", json!({"StackName": "s"})).await.unwrap_err();
    assert_eq!(refused.message, "CancelUpdateStack cannot be called from current stack status");
    let more = json!([parameter("Hours", "48"), parameter("Delay", "7")]);
    bench
        .call("UpdateStack", json!({"StackName": "s", "UsePreviousTemplate": true, "Parameters": more}))
        .await
        .unwrap();
    bench.call("CancelUpdateStack", json!({"StackName": "s"})).await.unwrap();
    assert_eq!(bench.settled("s").await["StackStatus"], "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(retention(&bench, &outputs(&created)["Stream"]).await, 24);
    assert_eq!(delay(&bench, &outputs(&created)["Queue"]).await, "0");
}

#[tokio::test(start_paused = true)]
async fn removed_resources_go_at_the_end_unless_they_are_to_stay() {
    let bench = Bench::real();
    let queue = |name: &str, more: &str| {
        format!("  {name}: {{Type: AWS::SQS::Queue, {more} Properties: {{QueueName: {name}}}}}\n")
    };
    let all =
        ["Resources:\n", &queue("A", ""), &queue("B", ""), &queue("C", "DeletionPolicy: Retain,")].concat();
    let created = bench.create(&all, json!({})).await.unwrap();
    let id = created["StackId"].as_str().unwrap().to_owned();
    let before = bench.events(&id).await.len();
    bench.update(&format!("Resources:\n{}", queue("A", "")), json!({})).await.unwrap();
    assert_eq!(
        bench.events(&id).await[before..],
        [
            "s UPDATE_IN_PROGRESS",
            "s UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            "C DELETE_SKIPPED",
            "B DELETE_IN_PROGRESS",
            "B DELETE_COMPLETE",
            "s UPDATE_COMPLETE",
        ]
    );
    let listed = bench.ask("sqs", "ListQueues", json!({})).await.unwrap();
    assert_eq!(listed["QueueUrls"].as_array().unwrap().len(), 2);
    let left = bench.call("ListStackResources", json!({"StackName": "s"})).await.unwrap();
    assert_eq!(left["StackResourceSummaries"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_stays_behind_and_is_told() {
    let bench = Bench::real();
    let two = "Resources: {A: {Type: 'AWS::SQS::Queue'}, B: {Type: 'AWS::SQS::Queue'}}";
    bench.create(two, json!({})).await.unwrap();
    bench.fail("DeleteQueue", "AccessDenied", "no");
    let stack = bench.update("Resources: {A: {Type: 'AWS::SQS::Queue'}}", json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE");
    let told = "Update successful. One or more resources could not be deleted.";
    assert_eq!(stack["StackStatusReason"], told);
}

#[tokio::test(start_paused = true)]
async fn a_changed_tag_of_the_stack_reaches_the_resources() {
    let bench = Bench::real();
    let created = bench.create(BASE, json!({"Tags": [{"Key": "old", "Value": "1"}]})).await.unwrap();
    let tags =
        json!({"Tags": [{"Key": "new", "Value": "2"}], "RoleARN": "arn:aws:iam::111122223333:role/cfn"});
    let stack = bench.update(BASE, tags).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE");
    assert_eq!(stack["RoleARN"], "arn:aws:iam::111122223333:role/cfn");
    let stream = json!({"StreamName": outputs(&created)["Stream"]});
    let held = bench.ask("kinesis", "ListTagsForStream", stream).await.unwrap();
    let held: Vec<&str> =
        held["Tags"].as_array().unwrap().iter().map(|tag| tag["Key"].as_str().unwrap()).collect();
    assert_eq!(
        held,
        [
            "aws:cloudformation:logical-id",
            "aws:cloudformation:stack-id",
            "aws:cloudformation:stack-name",
            "new"
        ]
    );
    let queue = json!({"QueueUrl": outputs(&created)["Queue"]});
    let held = bench.ask("sqs", "ListQueueTags", queue).await.unwrap();
    assert_eq!(
        (held["Tags"].get("old"), &held["Tags"]["new"], &held["Tags"]["aws:cloudformation:logical-id"]),
        (None, &json!("2"), &json!("Queue"))
    );
}

#[tokio::test(start_paused = true)]
async fn updates_that_make_no_sense_are_refused() {
    let bench = Bench::real();
    let missing = bench.update(BASE, json!({})).await.unwrap_err();
    assert_eq!(missing.message, "Stack [s] does not exist");
    bench.create(BASE, json!({})).await.unwrap();
    let unknown = json!({"Parameters": [{"ParameterKey": "New", "UsePreviousValue": "true"}]});
    assert_eq!(
        bench.update(BASE, unknown).await.unwrap_err().message,
        "Invalid input for parameter key New. Cannot specify usePreviousValue as true for a parameter key not in the previous template"
    );
    let other = BASE.replace(
        "Stream: {Type: AWS::Kinesis::Stream, Properties: {ShardCount: 2, RetentionPeriodHours: !Ref Hours}}",
        "Stream: {Type: AWS::SQS::Queue}",
    );
    assert_eq!(
        bench.update(&other, json!({})).await.unwrap_err().message,
        "Update of resource type is not permitted. The new template modifies resource type of the following resources: [Stream]"
    );
    bench.fail("CreateLogGroup", "X", "x");
    let input = json!({"StackName": "t", "TemplateBody": BASE});
    bench.call("CreateStack", input.clone()).await.unwrap();
    assert_eq!(bench.settled("t").await["StackStatus"], "ROLLBACK_COMPLETE");
    let refused = bench.call("UpdateStack", input).await.unwrap_err().message;
    assert!(refused.ends_with("is in ROLLBACK_COMPLETE state and can not be updated."), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn functions_and_mappings_are_changed_through_lambdas_api() {
    let bench = Bench::new();
    let text = |more: &str, batch: &str, key: &str| {
        format!(
            r#"
Resources:
  Function:
    Type: AWS::Lambda::Function
    Properties: {{FunctionName: f, Code: {{S3Bucket: b, S3Key: {key}}}, Role: r, Runtime: provided.al2023{more}}}
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {{FunctionName: !Ref Function, EventSourceArn: arn, StartingPosition: LATEST{batch}}}
"#
        )
    };
    bench.create(&text(", MemorySize: 512, Timeout: 9", ", BatchSize: 10", "one"), json!({})).await.unwrap();
    let changed = text(", MemorySize: 256, ReservedConcurrentExecutions: 5", "", "two");
    let stack = bench.update(&changed, json!({})).await.unwrap();
    assert_eq!(stack["StackStatus"], "UPDATE_COMPLETE");
    let code = &bench.calls("UpdateFunctionCode")[0];
    assert_eq!((&code["S3Key"], &code["FunctionName"]), (&json!("two"), &json!("f")));
    // What is taken out of the template goes back to its default.
    let settings = json!({"FunctionName": "f", "MemorySize": 256, "Timeout": 3});
    assert_eq!(bench.calls("UpdateFunctionConfiguration"), [settings]);
    let reserved = json!({"FunctionName": "f", "ReservedConcurrentExecutions": 5});
    assert_eq!(bench.calls("PutFunctionConcurrency"), [reserved]);
    let mapping = json!({"UUID": "mapping-uuid", "FunctionName": "f", "BatchSize": 100});
    assert_eq!(bench.calls("UpdateEventSourceMapping"), [mapping]);
    let replaced = changed.replace("LATEST", "TRIM_HORIZON");
    assert_eq!(bench.update(&replaced, json!({})).await.unwrap()["StackStatus"], "UPDATE_COMPLETE");
    assert_eq!(bench.calls("CreateEventSourceMapping").len(), 2);
    assert_eq!(bench.calls("DeleteEventSourceMapping").len(), 1);
}
