//! Asynchronous invocations and the scaling rate, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::host::in_process::{Handler, Invocation};
use super::testing::{QUEUE_ARN, START_MS, Stage, fail, zip_of};
use crate::local::faults::Faults;

/// Request id and second of each attempt.
type Attempts = Arc<Mutex<Vec<(String, i64)>>>;

/// Fails its first `failures` attempts, then answers `"done"`.
async fn stage(failures: usize) -> (Stage, Attempts) {
    let attempts = Attempts::default();
    let seen = attempts.clone();
    let handler: Handler = Arc::new(move |invocation: Invocation| {
        let mut seen = seen.lock().unwrap();
        seen.push((invocation.request_id, (invocation.deadline_ms - 3_000 - START_MS) / 1_000));
        let outcome = if seen.len() <= failures { fail() } else { Ok("\"done\"".into()) };
        Box::pin(std::future::ready(outcome))
    });
    let stage = Stage::in_process(handler, Faults::none());
    stage.create_function(&zip_of("bootstrap", ""), json!({})).await;
    (stage, attempts)
}

async fn send(stage: &Stage) -> Value {
    let event = STANDARD.encode(r#"{"n": 1}"#);
    let input = json!({"FunctionName": "f", "InvocationType": "Event", "Payload": event});
    stage.call("Invoke", input).await.unwrap()
}

fn seconds(attempts: &Attempts) -> Vec<i64> {
    attempts.lock().unwrap().iter().map(|(_, second)| *second).collect()
}

fn bodies(stage: &Stage) -> Vec<Value> {
    let messages = stage.sqs.of("SendMessage");
    messages.iter().map(|m| serde_json::from_str(m["MessageBody"].as_str().unwrap()).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_event_is_accepted_at_once_and_tried_three_times() {
    let (stage, attempts) = stage(9).await;
    let configure = json!({
        "FunctionName": "f", "DestinationConfig": {"OnFailure": {"Destination": QUEUE_ARN}},
    });
    stage.call("PutFunctionEventInvokeConfig", configure).await.unwrap();
    let update = json!({"FunctionName": "f", "DeadLetterConfig": {"TargetArn": QUEUE_ARN}});
    stage.call("UpdateFunctionConfiguration", update).await.unwrap();
    let accepted = send(&stage).await;
    assert_eq!(accepted["StatusCode"], 202);
    assert!(attempts.lock().unwrap().is_empty(), "nobody waited for it");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(seconds(&attempts), [0, 60, 180], "after one minute, then after two");
    let id = accepted["RequestId"].as_str().unwrap();
    assert!(attempts.lock().unwrap().iter().all(|(request_id, _)| request_id == id));
    let bodies = bodies(&stage);
    let record = &bodies[0];
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 3);
    assert_eq!(record["requestContext"]["requestId"], id);
    assert_eq!((&record["requestPayload"], &record["version"]), (&json!({"n": 1}), &json!("1.0")));
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(record["responsePayload"]["errorType"], "Boom");
    assert_eq!(bodies[1], json!({"n": 1}), "a dead letter is the event itself");
    let attributes = &stage.sqs.of("SendMessage")[1]["MessageAttributes"];
    assert_eq!(attributes["RequestID"]["StringValue"], id);
    assert_eq!(attributes["ErrorCode"], json!({"DataType": "Number", "StringValue": "200"}));
    assert_eq!(attributes["ErrorMessage"]["StringValue"], "no");
    let count = |metric| stage.metrics.of(metric, "FunctionName").iter().sum::<f64>();
    assert_eq!((count("AsyncEventsReceived"), count("AsyncEventsDropped")), (1.0, 1.0));
    assert_eq!((count("Invocations"), count("Errors")), (3.0, 3.0));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_succeeds_in_the_end_is_not_given_up() {
    let (stage, attempts) = stage(1).await;
    let configure = json!({
        "FunctionName": "f", "MaximumRetryAttempts": 1,
        "DestinationConfig": {"OnSuccess": {"Destination": QUEUE_ARN}},
    });
    stage.call("PutFunctionEventInvokeConfig", configure).await.unwrap();
    send(&stage).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(seconds(&attempts), [0, 60]);
    let bodies = bodies(&stage);
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0]["requestContext"]["condition"], "Success");
    assert_eq!(bodies[0]["responsePayload"], "done");
    assert!(stage.metrics.of("AsyncEventsDropped", "FunctionName").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_throttled_event_waits_until_it_is_too_old() {
    let (stage, attempts) = stage(0).await;
    let configure = json!({
        "FunctionName": "f", "MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::lost"}},
    });
    stage.call("PutFunctionEventInvokeConfig", configure).await.unwrap();
    let reserve = |n: u32| {
        stage.call("PutFunctionConcurrency", json!({"FunctionName": "f", "ReservedConcurrentExecutions": n}))
    };
    // Somebody else holds the only slot.
    reserve(1).await.unwrap();
    let held = stage.lambda.shared.admit("f", 0).unwrap();
    send(&stage).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.metrics.of("Throttles", "FunctionName").iter().sum::<f64>(), 6.0, "1, 2, 4, 8, 16 s");
    let puts = stage.s3.of("PutObject");
    assert_eq!(puts[0]["Bucket"], "lost");
    assert!(
        puts[0]["Key"].as_str().unwrap().starts_with("aws/lambda/async/f/2023/11/14/2023-11-14T22.14.23-")
    );
    let record = STANDARD.decode(puts[0]["Body"].as_str().unwrap()).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(
        (&record["requestContext"]["approximateInvokeCount"], record.get("responseContext")),
        (&json!(0), None)
    );
    // Reserved concurrency of zero switches the function off: no retries at all.
    reserve(0).await.unwrap();
    send(&stage).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.s3.of("PutObject").len(), 2);
    drop(held);
    assert!(seconds(&attempts).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_an_event_may_be_and_how_it_is_configured_is_checked() {
    let (stage, _) = stage(0).await;
    let f = json!({"FunctionName": "f"});
    let none = stage.call("GetFunctionEventInvokeConfig", f.clone()).await.unwrap_err();
    assert_eq!(none.code, "ResourceNotFoundException");
    let cases = [
        json!({"MaximumRetryAttempts": 3}),
        json!({"MaximumEventAgeInSeconds": 59}),
        json!({"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:s3:::b"}}}),
        json!({"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sns:us-east-1:0:t"}}}),
    ];
    for mut case in cases {
        case["FunctionName"] = "f".into();
        assert!(stage.call("PutFunctionEventInvokeConfig", case.clone()).await.is_err(), "{case}");
    }
    let put = |retries: u32| json!({"FunctionName": "f", "MaximumRetryAttempts": retries});
    assert!(stage.call("UpdateFunctionEventInvokeConfig", put(1)).await.is_err(), "there is none to update");
    stage.call("PutFunctionEventInvokeConfig", put(0)).await.unwrap();
    let age = json!({"FunctionName": "f", "MaximumEventAgeInSeconds": 90});
    stage.call("UpdateFunctionEventInvokeConfig", age).await.unwrap();
    let list = stage.call("ListFunctionEventInvokeConfigs", f.clone()).await.unwrap();
    let shown = &list["FunctionEventInvokeConfigs"][0];
    assert_eq!((&shown["MaximumRetryAttempts"], &shown["MaximumEventAgeInSeconds"]), (&json!(0), &json!(90)));
    stage.call("DeleteFunctionEventInvokeConfig", f.clone()).await.unwrap();
    assert!(stage.call("GetFunctionEventInvokeConfig", f).await.is_err());
    let large = STANDARD.encode(format!("\"{}\"", "x".repeat(1_048_576)));
    let input = json!({"FunctionName": "f", "InvocationType": "Event", "Payload": large});
    assert_eq!(stage.call("Invoke", input).await.unwrap_err().code, "RequestTooLargeException");
}

#[tokio::test(start_paused = true)]
async fn a_function_gets_a_thousand_new_sandboxes_in_ten_seconds() {
    let (stage, _) = stage(0).await;
    // What updates its configuration all the time starts every sandbox anew: concurrency alone would allow it.
    let cold = async || {
        let update = json!({"FunctionName": "f", "Timeout": 3});
        stage.call("UpdateFunctionConfiguration", update).await.unwrap();
        let admitted = stage.lambda.shared.admit("f", 2);
        admitted.map(drop)
    };
    for _ in 0..1_000 {
        assert!(cold().await.is_ok());
    }
    assert_eq!(cold().await.unwrap_err().code, "TooManyRequestsException");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(cold().await.is_ok(), "a hundred a second");
    assert!(cold().await.is_err());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let invoke = || stage.call("Invoke", json!({"FunctionName": "f"}));
    invoke().await.unwrap();
    for _ in 0..5 {
        invoke().await.unwrap();
    }
    assert_eq!(stage.metrics.of("Throttles", "FunctionName").iter().sum::<f64>(), 2.0, "warm ones are free");
}

#[tokio::test(start_paused = true)]
async fn versions_and_what_needs_them_are_refused_by_name() {
    let (stage, _) = stage(0).await;
    for operation in ["PublishVersion", "CreateAlias", "PutProvisionedConcurrencyConfig"] {
        let refused = stage.call(operation, json!({"FunctionName": "f"})).await.unwrap_err();
        assert!(refused.message.contains(operation), "{refused}");
    }
    let vpc = json!({"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]});
    let update = json!({"FunctionName": "f", "VpcConfig": vpc});
    let shown = stage.call("UpdateFunctionConfiguration", update).await.unwrap();
    assert_eq!(shown["VpcConfig"]["SubnetIds"], vpc["SubnetIds"], "kept, shown, without effect");
}
