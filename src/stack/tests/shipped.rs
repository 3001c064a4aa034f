//! The templates of this repository, deployed with what `stack::up` passes to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::environment;
use crate::local::cloudformation::tests::{Bench, outputs};
use crate::plan::{AccountSpec, Architecture, StreamMode};
use crate::stack::templates::{
    Parameters, Templates, Watched, artifacts_parameters, observability_parameters, pipeline_parameters,
};

async fn deploy(bench: &Bench, template: &str, parameters: Parameters) -> Value {
    let parameters: Vec<Value> =
        parameters.iter().map(|(key, value)| json!({"ParameterKey": key, "ParameterValue": value})).collect();
    let more = json!({"Parameters": parameters, "Capabilities": ["CAPABILITY_NAMED_IAM"]});
    let stack = bench.create(template, more).await.unwrap();
    let id = stack["StackId"].as_str().unwrap();
    if stack["StackStatus"] != "CREATE_COMPLETE" {
        panic!("{}: {}", bench.events(id).await.join("\n"), bench.reason(id, "CREATE_FAILED").await);
    }
    stack
}

#[tokio::test(start_paused = true)]
async fn the_artifacts_bucket_is_private_and_encrypted() {
    let bench = Bench::new();
    let stack = deploy(
        &bench,
        &Templates::embedded().artifacts,
        artifacts_parameters("dev", &AccountSpec::default()),
    )
    .await;
    assert_eq!(outputs(&stack)["ArtifactsBucketName"], "streamgauge-dev-111122223333-us-east-1");
    assert_eq!(
        bench.calls("PutPublicAccessBlock")[0]["PublicAccessBlockConfiguration"],
        json!({
            "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
        })
    );
    let rule = json!({"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}});
    assert_eq!(
        bench.calls("PutBucketEncryption")[0]["ServerSideEncryptionConfiguration"],
        json!({"Rules": [rule]})
    );
    let policy: Value =
        serde_json::from_str(bench.calls("PutBucketPolicy")[0]["Policy"].as_str().unwrap()).unwrap();
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Effect"], "Deny");
    assert_eq!(statement["Condition"], json!({"Bool": {"aws:SecureTransport": "false"}}));
    assert_eq!(
        statement["Resource"],
        json!([
            "arn:aws:s3:::streamgauge-dev-111122223333-us-east-1",
            "arn:aws:s3:::streamgauge-dev-111122223333-us-east-1/*",
        ])
    );
    assert_eq!(
        bench.calls("PutBucketLifecycleConfiguration")[0]["LifecycleConfiguration"]["Rules"][0]["Expiration"],
        json!({"Days": 30})
    );
}

#[tokio::test(start_paused = true)]
async fn the_pipeline_gets_what_the_plan_asks_for() {
    let bench = Bench::new();
    let mut environment = environment();
    environment.function.reserved_concurrency = Some(5);
    environment.stream.max_record_kib = 2_048;
    let parameters =
        pipeline_parameters("dev", &environment, Architecture::Arm64, "bucket", "function/1.zip");
    let stack = deploy(&bench, &Templates::embedded().pipeline, parameters).await;
    // CloudFormation marks what it makes.
    let tags = |logical_id: &str| {
        json!({
            "streamgauge:env": "dev", "streamgauge:managed": "true",
            "aws:cloudformation:stack-name": "s", "aws:cloudformation:stack-id": stack["StackId"],
            "aws:cloudformation:logical-id": logical_id,
        })
    };
    assert_eq!(
        bench.calls("CreateStream"),
        [json!({
            "StreamName": "streamgauge-dev-stream", "ShardCount": 2, "MaxRecordSizeInKiB": 2048,
            "StreamModeDetails": {"StreamMode": "PROVISIONED"}, "Tags": tags("Stream"),
        })]
    );
    assert_eq!(bench.calls("IncreaseStreamRetentionPeriod")[0]["RetentionPeriodHours"], 48);
    assert_eq!(
        bench.calls("CreateFunction"),
        [json!({
            "FunctionName": "streamgauge-dev-function",
            "Description": "The streamgauge reference consumer.",
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Architectures": ["arm64"],
            "Code": {"S3Bucket": "bucket", "S3Key": "function/1.zip"},
            "MemorySize": 256,
            "Timeout": 30,
            "Role": "arn:aws:iam::111122223333:role/streamgauge-dev-us-east-1-function",
            "Environment": {"Variables": {
                "STREAMGAUGE_RECEIPTS_QUEUE_URL": "http://sqs/streamgauge-dev-receipts",
                "STREAMGAUGE_WORK_MS_PER_BATCH": "7",
                "STREAMGAUGE_ON_POISON": "report_item",
                "STREAMGAUGE_END_TO_END_METRIC": "false",
            }},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/streamgauge-dev-function"},
            "Tags": tags("Function"),
        })]
    );
    assert_eq!(bench.calls("PutFunctionConcurrency")[0]["ReservedConcurrentExecutions"], 5);
    assert_eq!(
        bench.calls("CreateEventSourceMapping"),
        [json!({
            "EventSourceArn": "arn:stream:streamgauge-dev-stream",
            "FunctionName": "streamgauge-dev-function",
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 50,
            "MaximumBatchingWindowInSeconds": 1,
            "ParallelizationFactor": 2,
            "MaximumRetryAttempts": 5,
            "BisectBatchOnFunctionError": true,
            "MaximumRecordAgeInSeconds": 3600,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "DestinationConfig": {"OnFailure": {"Destination": "arn:queue:streamgauge-dev-dlq"}},
            "MetricsConfig": {"Metrics": ["EventCount"]},
            "Tags": tags("Mapping"),
        })]
    );
    for queue in bench.calls("CreateQueue") {
        assert_eq!(queue["Attributes"]["MessageRetentionPeriod"], "1209600");
    }
    assert_eq!(bench.calls("PutRetentionPolicy")[0]["retentionInDays"], 3);
    let outputs = outputs(&stack);
    assert_eq!(outputs["MappingId"], "mapping-uuid");
    assert_eq!(outputs["DlqUrl"], "http://sqs/streamgauge-dev-dlq");
    bench.delete(stack["StackId"].as_str().unwrap()).await;
    assert!(bench.standing().is_empty());
}

#[tokio::test(start_paused = true)]
async fn on_demand_has_no_shards_and_unset_choices_are_left_out() {
    let bench = Bench::new();
    let mut environment = environment();
    environment.stream.mode = StreamMode::OnDemand;
    environment.function.reserved_concurrency = None;
    environment.function.partial_batch_response = false;
    let parameters = pipeline_parameters("dev", &environment, Architecture::X86_64, "bucket", "k");
    deploy(&bench, &Templates::embedded().pipeline, parameters).await;
    assert_eq!(bench.calls("CreateStream")[0].get("ShardCount"), None);
    assert!(bench.calls("PutFunctionConcurrency").is_empty());
    assert_eq!(bench.calls("CreateEventSourceMapping")[0].get("FunctionResponseTypes"), None);
}

#[tokio::test(start_paused = true)]
async fn alarms_have_the_plans_thresholds_and_one_stands_over_them() {
    let bench = Bench::new();
    let parameters = observability_parameters("dev", &environment(), &watched());
    deploy(&bench, &Templates::embedded().observability, parameters).await;
    let alarms: BTreeMap<String, Value> = bench
        .calls("PutMetricAlarm")
        .into_iter()
        .map(|alarm| (alarm["AlarmName"].as_str().unwrap().replace("streamgauge-dev-", ""), alarm))
        .collect();
    let thresholds: Vec<(&str, f64)> =
        alarms.iter().map(|(name, alarm)| (name.as_str(), alarm["Threshold"].as_f64().unwrap())).collect();
    assert_eq!(
        thresholds,
        [
            ("concurrency", 80.0),
            ("dlq", 0.0),
            ("duration", 75.0),
            ("error-rate", 0.5),
            ("iterator-age", 30_000.0),
            ("lambda-throttles", 0.0),
            ("read-throughput", 0.0),
            ("write-throughput", 0.0),
        ]
    );
    assert_eq!(alarms["error-rate"]["Metrics"][0]["Expression"], "100 * errors / invocations");
    assert_eq!(alarms["duration"]["Metrics"][0]["Expression"], "100 * duration / (30 * 1000)");
    assert_eq!(alarms["concurrency"]["Metrics"][0]["Expression"], "100 * concurrency / 900");
    let health = &bench.calls("PutCompositeAlarm")[0];
    assert_eq!(health["AlarmName"], "streamgauge-dev-pipeline-health");
    let rule = health["AlarmRule"].as_str().unwrap();
    for name in alarms.keys() {
        assert!(rule.contains(&format!("ALARM(\"streamgauge-dev-{name}\")")), "{name} in {rule}");
    }
    let body = bench.calls("PutDashboard")[0]["DashboardBody"].as_str().unwrap().to_owned();
    assert!(!body.contains("${"), "all places are filled");
    let dashboard: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(dashboard["widgets"][1]["properties"]["metrics"][0][3], "fn");
}

#[tokio::test(start_paused = true)]
async fn fan_out_puts_a_consumer_between_and_kept_sandboxes_a_version() {
    let bench = Bench::new();
    let mut environment = environment();
    environment.function.enhanced_fan_out = true;
    environment.function.provisioned_concurrency = Some(3);
    let parameters = pipeline_parameters("dev", &environment, Architecture::Arm64, "bucket", "k");
    let revision = parameters["FunctionRevision"].clone();
    let stack = deploy(&bench, &Templates::embedded().pipeline, parameters).await;
    assert_eq!(
        bench.calls("RegisterStreamConsumer"),
        [
            json!({"ConsumerName": "streamgauge-dev-consumer", "StreamARN": "arn:stream:streamgauge-dev-stream"})
        ]
    );
    assert_eq!(
        bench.calls("PublishVersion"),
        [json!({"FunctionName": "streamgauge-dev-function", "Description": revision})]
    );
    assert_eq!(
        bench.calls("PutProvisionedConcurrencyConfig"),
        [json!({
            "FunctionName": "streamgauge-dev-function", "Qualifier": "live", "ProvisionedConcurrentExecutions": 3,
        })]
    );
    let mapping = &bench.calls("CreateEventSourceMapping")[0];
    assert_eq!(mapping["EventSourceArn"], "arn:consumer:streamgauge-dev-consumer");
    assert_eq!(mapping["FunctionName"], "arn:function:streamgauge-dev-function:live");
    assert_eq!(outputs(&stack)["StreamConsumerArn"], "arn:consumer:streamgauge-dev-consumer");
    bench.delete(stack["StackId"].as_str().unwrap()).await;
    assert!(bench.standing().is_empty());
}

/// CloudFormation fails to publish a version where nothing about the function has changed.
#[test]
fn a_revision_is_another_one_only_with_another_function() {
    let revision = |change: fn(&mut crate::plan::Environment)| {
        let mut environment = environment();
        change(&mut environment);
        pipeline_parameters("e", &environment, Architecture::X86_64, "b", "k")["FunctionRevision"].clone()
    };
    let same = revision(|_| {});
    assert_eq!(same, revision(|environment| environment.function.batch_size = 7));
    assert_eq!(same, revision(|environment| environment.function.reserved_concurrency = Some(7)));
    assert_eq!(same, revision(|environment| environment.stream.shards = 7));
    assert_ne!(same, revision(|environment| environment.function.memory_mb = 1_024));
    assert_ne!(same, revision(|environment| environment.function.work_ms_per_batch = 8));
    assert_ne!(same, revision(|environment| environment.function.partial_batch_response = false));
    let other_code = pipeline_parameters("e", &environment(), Architecture::X86_64, "b", "k2");
    assert_ne!(same, other_code["FunctionRevision"]);
}

#[tokio::test(start_paused = true)]
async fn every_threshold_is_the_plans() {
    let bench = Bench::new();
    let mut environment = environment();
    environment.alarms.lambda_throttles = 1;
    environment.alarms.write_throttles = 2;
    environment.alarms.read_throttles = 3;
    environment.alarms.dlq_messages = 4;
    let parameters = observability_parameters("dev", &environment, &watched());
    deploy(&bench, &Templates::embedded().observability, parameters).await;
    for (name, threshold) in
        [("lambda-throttles", 1.0), ("write-throughput", 2.0), ("read-throughput", 3.0), ("dlq", 4.0)]
    {
        let alarms = bench.calls("PutMetricAlarm");
        let alarm =
            alarms.iter().find(|alarm| alarm["AlarmName"] == format!("streamgauge-dev-{name}")).unwrap();
        assert_eq!(alarm["Threshold"].as_f64(), Some(threshold), "{name}");
    }
}

fn watched() -> Watched<'static> {
    Watched {
        stream_name: "st",
        function_name: "fn",
        mapping_id: "uuid",
        receipts_queue_name: "receipts",
        dlq_name: "dlq",
        log_group: "/log",
        concurrency_limit: 900,
    }
}
