//! Nothing is said to be done that was not done: after an update from A to B the services hold what a
//! fresh creation of B makes them hold; after one that failed, what A did.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::Bench;

/// Members of a resource's properties: a name, and the values it may have, of which none is one.
type Choice = (&'static str, &'static [&'static str]);

/// Logical id, type, what is always there, what may be, and what no service accepts: it makes updates fail
/// at every place.
const RESOURCES: [(&str, &str, &str, &[Choice], &str); 8] = [
    (
        "Stream",
        "AWS::Kinesis::Stream",
        "",
        &[
            ("ShardCount", &["1", "2"]),
            ("RetentionPeriodHours", &["24", "30", "48"]),
            ("Name", &["st", "ts"]),
            ("DesiredShardLevelMetrics", &["[IncomingBytes]", "[IncomingBytes, OutgoingBytes]"]),
            ("Tags", &["[{Key: a, Value: b}]", "[{Key: a, Value: c}, {Key: d, Value: e}]"]),
            ("StreamEncryption", &["{EncryptionType: KMS, KeyId: k}"]),
        ],
        "RetentionPeriodHours: 9999",
    ),
    (
        "Queue",
        "AWS::SQS::Queue",
        "",
        &[
            ("DelaySeconds", &["0", "5"]),
            ("VisibilityTimeout", &["60"]),
            ("QueueName", &["q"]),
            ("Tags", &["[{Key: a, Value: b}]"]),
        ],
        "DelaySeconds: 901",
    ),
    (
        "Other",
        "AWS::SQS::Queue",
        "",
        &[("QueueName", &["r", "o", "s"]), ("MessageRetentionPeriod", &["60", "90"])],
        "QueueName: q",
    ),
    (
        "QueuePolicy",
        "AWS::SQS::QueuePolicy",
        "PolicyDocument: {Statement: []}",
        &[("Queues", &["[!Ref Queue]", "[!Ref Queue]"])],
        "Queues: [http://nowhere/000000000000/none]",
    ),
    (
        "Group",
        "AWS::Logs::LogGroup",
        "LogGroupName: !Sub '/x/${Queue.QueueName}'",
        &[("RetentionInDays", &["1", "3"]), ("Tags", &["[{Key: a, Value: b}]"])],
        "RetentionInDays: 2",
    ),
    (
        "Role",
        "AWS::IAM::Role",
        "AssumeRolePolicyDocument: {Statement: []}",
        &[
            ("Path", &["/a/", "/b/"]),
            ("Description", &["one", "two"]),
            ("Policies", &["[{PolicyName: p, PolicyDocument: {Statement: []}}]"]),
        ],
        "Policies: [{PolicyName: q, PolicyDocument: {}}]",
    ),
    (
        "Policy",
        "AWS::IAM::Policy",
        "PolicyName: own, Roles: [!Ref Role]",
        &[("PolicyDocument", &["{Statement: []}", "{Statement: [{Effect: Allow}]}"])],
        "PolicyDocument: {}",
    ),
    (
        "Alarm",
        "AWS::CloudWatch::Alarm",
        "EvaluationPeriods: 1, MetricName: m, Namespace: n, Period: 60, Statistic: Sum, Threshold: 1",
        &[
            ("ComparisonOperator", &["GreaterThanThreshold", "LessThanThreshold"]),
            ("AlarmDescription", &["!Ref Stream"]),
            ("AlarmName", &["al"]),
        ],
        "ComparisonOperator: Wrong",
    ),
];

/// For each resource: whether it is there, which value each of its choices has, and whether it is wrong.
type Picks = Vec<(bool, Vec<prop::sample::Index>, bool)>;

fn picks(wrong: f64) -> impl Strategy<Value = Picks> {
    let one = |choices: usize| {
        let values = proptest::collection::vec(any::<prop::sample::Index>(), choices);
        (any::<bool>(), values, prop::bool::weighted(wrong))
    };
    RESOURCES.iter().map(|(.., choices, _)| one(choices.len())).collect::<Vec<_>>()
}

/// What others refer to is always there: a template that does not hold together is refused, not deployed.
fn template(picks: &Picks) -> String {
    let mut text = "Resources:\n".to_owned();
    for ((logical_id, kind, always, choices, bad), (present, values, wrong)) in RESOURCES.iter().zip(picks) {
        if !present && !["Stream", "Queue", "Role"].contains(logical_id) {
            continue;
        }
        let mut properties: Vec<String> = Vec::new();
        for ((name, values), index) in choices.iter().zip(values) {
            // One more than there are values: that one leaves the property out. A required one cannot be.
            let required = ["ComparisonOperator", "PolicyDocument", "Queues"].contains(name);
            let picked = index.index(values.len() + usize::from(!required));
            properties.extend(values.get(picked).map(|value| format!("{name}: {value}")));
        }
        let (bad_name, _) = bad.split_once(": ").unwrap();
        if *wrong {
            properties.retain(|one| !one.starts_with(&format!("{bad_name}: ")));
            properties.push((*bad).to_owned());
        }
        properties.extend((!always.is_empty()).then(|| (*always).to_owned()));
        text.push_str(&format!(
            "  {logical_id}: {{Type: {kind}, Properties: {{{}}}}}\n",
            properties.join(", ")
        ));
    }
    text
}

/// All that the services hold, under logical ids instead of generated names, without times.
async fn held(bench: &Bench) -> Value {
    let mut held = BTreeMap::new();
    let ask =
        |service: &'static str, operation: &'static str, input: Value| bench.ask(service, operation, input);
    let streams = ask("kinesis", "ListStreams", json!({})).await.unwrap();
    for name in streams["StreamNames"].as_array().unwrap() {
        let of = json!({"StreamName": name});
        let summary = ask("kinesis", "DescribeStreamSummary", of.clone()).await.unwrap();
        let tags = ask("kinesis", "ListTagsForStream", of).await.unwrap();
        held.insert(format!("stream {name}"), json!([summary, tags]));
    }
    let queues = ask("sqs", "ListQueues", json!({})).await.unwrap();
    for url in queues["QueueUrls"].as_array().unwrap() {
        let input = json!({"QueueUrl": url, "AttributeNames": ["All"]});
        let attributes = ask("sqs", "GetQueueAttributes", input).await.unwrap();
        let tags = ask("sqs", "ListQueueTags", json!({"QueueUrl": url})).await.unwrap();
        held.insert(format!("queue {url}"), json!([attributes, tags]));
    }
    let groups = ask("logs", "DescribeLogGroups", json!({})).await.unwrap();
    for group in groups["logGroups"].as_array().unwrap() {
        let of = json!({"resourceArn": group["logGroupArn"]});
        let tags = ask("logs", "ListTagsForResource", of).await.unwrap();
        held.insert(format!("group {}", group["logGroupName"]), json!([group, tags]));
    }
    let roles = ask("iam", "ListRoles", json!({})).await.unwrap();
    for role in roles["Roles"].as_array().unwrap() {
        let of = json!({"RoleName": role["RoleName"]});
        let policies = ask("iam", "ListRolePolicies", of).await.unwrap();
        let mut role = role.clone();
        role.as_object_mut().unwrap().remove("RoleId");
        held.insert(format!("role {}", role["RoleName"]), json!([role, policies]));
    }
    let alarms = ask("monitoring", "DescribeAlarms", json!({})).await.unwrap();
    for alarm in alarms["MetricAlarms"].as_array().unwrap() {
        let of = json!({"ResourceARN": alarm["AlarmArn"]});
        let tags = ask("monitoring", "ListTagsForResource", of).await.unwrap();
        held.insert(format!("alarm {}", alarm["AlarmName"]), json!([alarm, tags]));
    }
    let listed = bench.call("ListStackResources", json!({"StackName": "s"})).await.unwrap();
    let mut text = json!(held).to_string();
    for resource in listed["StackResourceSummaries"].as_array().unwrap() {
        let physical =
            resource["PhysicalResourceId"].as_str().unwrap_or_default().rsplit('/').next().unwrap();
        let logical = resource["LogicalResourceId"].as_str().unwrap();
        if physical.starts_with("s-") {
            text = text.replace(physical, logical);
        }
    }
    let mut held: Value = serde_json::from_str(&text).unwrap();
    without_times(&mut held);
    held
}

fn without_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_times),
        Value::Object(members) => {
            members.retain(|name, _| {
                !(name.ends_with("Timestamp") || name.ends_with("Date") || name == "creationTime")
            });
            members.values_mut().for_each(without_times);
        }
        _ => {}
    }
}

fn capable() -> Value {
    json!({"Capabilities": ["CAPABILITY_NAMED_IAM"]})
}

/// Whether the update came through; `None` where A does not come about.
async fn check(a: &str, b: &str) -> Option<bool> {
    let bench = Bench::real();
    let created = bench.create(a, capable()).await.unwrap();
    if created["StackStatus"] != "CREATE_COMPLETE" {
        assert_eq!(created["StackStatus"], "ROLLBACK_COMPLETE", "{a}");
        assert_eq!(held(&bench).await, json!({}), "a rolled back creation leaves nothing\n{a}");
        return None;
    }
    let before = held(&bench).await;
    let Ok(updated) = bench.update(b, capable()).await else {
        assert_eq!(a, b, "only an update that changes nothing is refused");
        return None;
    };
    let after = held(&bench).await;
    match updated["StackStatus"].as_str().unwrap() {
        "UPDATE_COMPLETE" => {
            assert_eq!(updated.get("StackStatusReason"), None, "{a}\n{b}");
            let fresh = Bench::real();
            let created = fresh.create(b, capable()).await.unwrap();
            assert_eq!(created["StackStatus"], "CREATE_COMPLETE", "{a}\n{b}");
            pretty_assert(&after, &held(&fresh).await, a, b);
            Some(true)
        }
        "UPDATE_ROLLBACK_COMPLETE" => {
            pretty_assert(&after, &before, a, b);
            Some(false)
        }
        other => panic!("{other}\n{a}\n{b}"),
    }
}

fn pretty_assert(found: &Value, expected: &Value, a: &str, b: &str) {
    if found != expected {
        let show = |value: &Value| serde_json::to_string_pretty(value).unwrap();
        panic!("from\n{a}\nto\n{b}\nfound\n{}\nexpected\n{}", show(found), show(expected));
    }
}

#[test]
fn the_services_hold_what_the_stack_says() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcomes = std::cell::Cell::new((0, 0));
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&(picks(0.0), picks(0.1)), |(a, b)| {
        let outcome = runtime.block_on(check(&template(&a), &template(&b)));
        let (through, undone) = outcomes.get();
        match outcome {
            Some(true) => outcomes.set((through + 1, undone)),
            Some(false) => outcomes.set((through, undone + 1)),
            None => {}
        }
        Ok(())
    });
    result.unwrap();
    let (through, undone) = outcomes.get();
    assert!(
        through > 40 && undone > 40,
        "{through} came through, {undone} were undone: the test proves little"
    );
}
