//! The control plane, invocations and the REST door, in virtual time.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::testing::{Stage, fail, zip_of};
use crate::local::faults::Faults;
use crate::local::lambda::host::FunctionHost;
use crate::local::lambda::host::in_process::{Handler, InProcessHost, Invocation};
use crate::local::service::HttpService;

/// Answers with its event after `{"sleep_ms": n}`; fails when the event says so.
fn echo() -> Handler {
    std::sync::Arc::new(|invocation: Invocation| {
        Box::pin(async move {
            let event: Value = serde_json::from_slice(&invocation.event).unwrap();
            tokio::time::sleep(Duration::from_millis(event["sleep_ms"].as_u64().unwrap_or(0))).await;
            if event["fail"] == true { fail() } else { Ok(invocation.event) }
        })
    })
}

async fn http(stage: &Stage, method: &str, path: &str, body: &str) -> (u16, String, Value) {
    let request =
        http::Request::builder().method(method).uri(path).body(Bytes::from(body.to_owned())).unwrap();
    let response = stage.lambda.http(request).await;
    let error = response.headers().get("x-amzn-errortype").map(|v| v.to_str().unwrap().to_owned());
    let body = serde_json::from_slice(response.body()).unwrap_or_default();
    (response.status().as_u16(), error.unwrap_or_default(), body)
}

#[tokio::test(start_paused = true)]
async fn a_function_lives_through_the_rest_door() {
    let stage = Stage::in_process(echo(), Faults::none());
    let create = json!({
        "FunctionName": "f", "Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 60,
        "Role": "arn:aws:iam::000000000000:role/r", "Code": {"S3Bucket": "b", "S3Key": "k"},
        "Tags": {"team": "x"}, "Environment": {"Variables": {"AB": "1"}}, "Architectures": ["arm64"],
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/own"},
    });
    let (status, _, created) = http(&stage, "POST", "/2015-03-31/functions", &create.to_string()).await;
    assert_eq!((status, &created["State"]), (201, &json!("Pending")), "{created}");
    let (status, error, _) = http(&stage, "POST", "/2015-03-31/functions", &create.to_string()).await;
    assert_eq!((status, error.as_str()), (409, "ResourceConflictException"));
    let (status, _, got) = http(&stage, "GET", "/2015-03-31/functions/f", "").await;
    let configuration = &got["Configuration"];
    assert_eq!(
        (status, &configuration["State"], &configuration["LastUpdateStatus"]),
        (200, &json!("Active"), &json!("Successful"))
    );
    assert_eq!(configuration["Environment"]["Variables"]["AB"], "1");
    assert_eq!(configuration["LoggingConfig"]["LogGroup"], "/own");
    assert_eq!(configuration["LastModified"], "2023-11-14T22:13:20.000+0000");
    assert_eq!(got["Tags"]["team"], "x");
    let (status, _, updated) =
        http(&stage, "PUT", "/2015-03-31/functions/f/configuration", r#"{"MemorySize": 1024}"#).await;
    assert_eq!((status, &updated["LastUpdateStatus"]), (200, &json!("InProgress")));
    assert_ne!(updated["RevisionId"], configuration["RevisionId"]);
    let stale = json!({"MemorySize": 2048, "RevisionId": configuration["RevisionId"]}).to_string();
    let (status, error, _) = http(&stage, "PUT", "/2015-03-31/functions/f/configuration", &stale).await;
    assert_eq!((status, error.as_str()), (412, "PreconditionFailedException"));
    let (_, _, list) = http(&stage, "GET", "/2015-03-31/functions?MaxItems=1", "").await;
    assert_eq!((&list["Functions"][0]["MemorySize"], &list["NextMarker"]), (&json!(1024), &Value::Null));
    let (status, _, _) = http(&stage, "DELETE", "/2015-03-31/functions/f", "").await;
    assert_eq!(status, 204);
    let (status, error, body) = http(&stage, "GET", "/2015-03-31/functions/f", "").await;
    assert_eq!((status, error.as_str()), (404, "ResourceNotFoundException"));
    assert!(body["Message"].as_str().unwrap().ends_with("function:f"));
}

#[tokio::test(start_paused = true)]
async fn bounds_are_those_of_aws_and_nothing_is_ignored() {
    let stage = Stage::in_process(echo(), Faults::none());
    stage.create_function(&zip_of("bootstrap", ""), json!({})).await;
    let cases = [
        (json!({"MemorySize": 127}), "ValidationException"),
        (json!({"Timeout": 901}), "ValidationException"),
        (json!({"EphemeralStorage": {"Size": 1}}), "ValidationException"),
        (json!({"Runtime": "python3.13"}), "InvalidParameterValueException"),
        (json!({"Layers": ["arn:aws:lambda:us-east-1:1:layer:l:1"]}), "InvalidParameterValueException"),
        (json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}), "InvalidParameterValueException"),
        (json!({"Environment": {"Variables": {"A1": "x".repeat(4_096)}}}), "InvalidParameterValueException"),
        (json!({"LoggingConfig": {"LogFormat": "JSON"}}), "InvalidParameterValueException"),
    ];
    for (mut change, code) in cases {
        change["FunctionName"] = "f".into();
        let refused = stage.call("UpdateFunctionConfiguration", change.clone()).await.unwrap_err();
        assert_eq!(refused.code, code, "{change}");
    }
    let mappings = [
        (json!({"BatchSize": 10_001}), "ValidationException"),
        (json!({"MaximumBatchingWindowInSeconds": 301}), "ValidationException"),
        (json!({"ParallelizationFactor": 11}), "ValidationException"),
        (json!({"MaximumRecordAgeInSeconds": 59}), "InvalidParameterValueException"),
        (json!({"TumblingWindowInSeconds": 1}), "InvalidParameterValueException"),
        (json!({"EventSourceArn": "arn:aws:sqs:us-east-1:0:q"}), "InvalidParameterValueException"),
        (
            json!({"EventSourceArn": "arn:aws:kinesis:us-east-1:0:stream/other"}),
            "InvalidParameterValueException",
        ),
        (json!({"FunctionName": "missing"}), "InvalidParameterValueException"),
        (
            json!({"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sns:us-east-1:0:t"}}}),
            "InvalidParameterValueException",
        ),
    ];
    for (change, code) in mappings {
        let mut input = json!({
            "FunctionName": "f", "EventSourceArn": super::testing::STREAM_ARN, "StartingPosition": "LATEST",
        });
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = stage.call("CreateEventSourceMapping", input).await.unwrap_err();
        assert_eq!(refused.code, code, "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn invocations_report_bill_and_fail_as_lambda_does() {
    let stage = Stage::in_process(echo(), Faults::none());
    stage.create_function(&zip_of("bootstrap", ""), json!({})).await;
    let path = "/2015-03-31/functions/f/invocations";
    let (status, _, body) = http(&stage, "POST", path, r#"{"sleep_ms": 20}"#).await;
    assert_eq!((status, &body["sleep_ms"]), (200, &json!(20)));
    let request = http::Request::post(path).header("x-amz-log-type", "Tail");
    let failed = stage.lambda.http(request.body(Bytes::from_static(br#"{"fail": true}"#)).unwrap()).await;
    assert_eq!(
        (failed.status().as_u16(), &failed.headers()["x-amz-function-error"]),
        (200, &"Unhandled".parse::<http::HeaderValue>().unwrap())
    );
    let tail = STANDARD.decode(failed.headers()["x-amz-log-result"].as_bytes()).unwrap();
    assert!(String::from_utf8(tail).unwrap().starts_with("START RequestId: "));
    let document: Value = serde_json::from_slice(failed.body()).unwrap();
    assert_eq!(document, json!({"errorType": "Boom", "errorMessage": "no"}));
    let (_, _, timed_out) = http(&stage, "POST", path, r#"{"sleep_ms": 10000}"#).await;
    assert_eq!(timed_out["errorType"], "Sandbox.Timedout");
    assert!(timed_out["errorMessage"].as_str().unwrap().ends_with("Task timed out after 3.00 seconds"));
    stage.lambda.shared.logs.flush().await;
    let lines = stage.logs.lines();
    let reports: Vec<_> =
        lines.iter().filter_map(|line| line.split_once("\tDuration: ").map(|(_, r)| r)).collect();
    assert_eq!(
        reports,
        [
            "20.00 ms\tBilled Duration: 120 ms\tMemory Size: 512 MB\tInit Duration: 100.00 ms\t",
            "0.00 ms\tBilled Duration: 1 ms\tMemory Size: 512 MB\tStatus: error\tError Type: Boom",
            "3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 512 MB\tStatus: timeout",
        ]
    );
    assert_eq!(stage.metrics.of("Errors", "FunctionName"), [0.0, 1.0, 1.0]);
    assert_eq!(stage.metrics.of("Duration", "FunctionName"), [20.0, 0.0, 3_000.0]);
    let (status, error, _) = http(&stage, "POST", path, "no json").await;
    assert_eq!((status, error.as_str()), (400, "InvalidRequestContentException"));
    let large =
        stage.lambda.http(http::Request::post(path).body(vec![b' '; 6 * 1_048_576 + 1].into()).unwrap());
    assert!([400, 413].contains(&large.await.status().as_u16()));
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_limited_for_the_function_and_the_account() {
    let stage = Stage::in_process(echo(), Faults::none());
    stage.create_function(&zip_of("bootstrap", ""), json!({})).await;
    let reserve = |n: u32| {
        stage.call("PutFunctionConcurrency", json!({"FunctionName": "f", "ReservedConcurrentExecutions": n}))
    };
    assert_eq!(reserve(901).await.unwrap_err().code, "InvalidParameterValueException");
    reserve(2).await.unwrap();
    let settings = stage.call("GetAccountSettings", json!({})).await.unwrap();
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 998);
    let event = STANDARD.encode(r#"{"sleep_ms": 50}"#);
    let input = json!({"FunctionName": "f", "Payload": event});
    let invoke = || stage.call("Invoke", input.clone());
    let (a, b, c) = tokio::join!(invoke(), invoke(), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        invoke().await
    });
    assert!(a.is_ok() && b.is_ok());
    let throttled = c.unwrap_err();
    assert_eq!((throttled.status, throttled.code.as_str()), (429, "TooManyRequestsException"));
    assert_eq!(throttled.members["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert_eq!(stage.metrics.of("Throttles", "FunctionName").iter().sum::<f64>(), 1.0);
    assert_eq!(stage.metrics.of("Invocations", "FunctionName").len(), 2);
    assert!(invoke().await.is_ok(), "the slots came back");
    stage.call("DeleteFunctionConcurrency", json!({"FunctionName": "f"})).await.unwrap();
    let many = futures_util::future::join_all((0..1_001).map(|_| invoke())).await;
    assert_eq!(many.iter().filter(|answer| answer.is_err()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn tags_permissions_and_names_in_all_their_forms() {
    let stage = Stage::in_process(echo(), Faults::none());
    stage.create_function(&zip_of("bootstrap", ""), json!({})).await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
    for name in ["f", "f:$LATEST", arn, "000000000000:function:f", "function:f"] {
        assert!(stage.call("GetFunction", json!({"FunctionName": name})).await.is_ok(), "{name}");
    }
    let alias = stage.call("GetFunction", json!({"FunctionName": "f", "Qualifier": "live"})).await;
    assert_eq!(alias.unwrap_err().code, "ResourceNotFoundException");
    stage.call("TagResource", json!({"Resource": arn, "Tags": {"a": "1", "b": "2"}})).await.unwrap();
    stage.call("UntagResource", json!({"Resource": arn, "TagKeys": ["a"]})).await.unwrap();
    let tags = stage.call("ListTags", json!({"Resource": arn})).await.unwrap();
    assert_eq!(tags, json!({"Tags": {"b": "2"}}));
    let permission = json!({
        "FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com",
    });
    stage.call("AddPermission", permission.clone()).await.unwrap();
    assert_eq!(stage.call("AddPermission", permission).await.unwrap_err().status, 409);
    let policy = stage.call("GetPolicy", json!({"FunctionName": "f"})).await.unwrap();
    let policy: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy["Statement"][0]["Principal"]["Service"], "events.amazonaws.com");
}

#[tokio::test(start_paused = true)]
async fn a_killed_invocation_crashes_and_the_next_one_starts_cold() {
    let clock = crate::platform::clock::Clock::starting_at(super::testing::START_MS * 1_000);
    let host = std::sync::Arc::new(InProcessHost::new(clock, echo(), Duration::from_millis(100), 7));
    let stage = Stage::new(clock, host.clone(), Faults::none());
    stage.create_function(&zip_of("bootstrap", ""), json!({})).await;
    let invoke = |event: Value| {
        let input = json!({"FunctionName": "f", "Payload": STANDARD.encode(event.to_string())});
        stage.call("Invoke", input)
    };
    invoke(json!({})).await.unwrap();
    assert_eq!(host.kill_running("f"), 0, "an idle sandbox is left alone");
    let kill = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!((host.kill_running("other"), host.kill_running("f")), (0, 1));
        assert_eq!(host.kill_running("f"), 0, "killed already");
    };
    let (answer, ()) = tokio::join!(invoke(json!({"sleep_ms": 2_000})), kill);
    let answer = answer.unwrap();
    assert_eq!(answer["FunctionError"], "Unhandled");
    let payload = STANDARD.decode(answer["Payload"].as_str().unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["errorType"], "Runtime.ExitError");
    assert!(payload["errorMessage"].as_str().unwrap().ends_with("exited with error: signal: killed"));
    invoke(json!({})).await.unwrap();
    stage.lambda.shutdown().await;
    let lines = stage.logs.lines();
    let reports: Vec<_> = lines.iter().filter(|line| line.starts_with("REPORT ")).collect();
    assert!(reports[1].contains("\tDuration: 500.00 ms\t"), "{reports:?}");
    assert!(reports[1].ends_with("\tStatus: error\tError Type: Runtime.ExitError"));
    let cold: Vec<_> = reports.iter().map(|line| line.contains("Init Duration")).collect();
    assert_eq!(cold, [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_killed_in_its_last_step_does_not_answer() {
    let clock = crate::platform::clock::Clock::starting_at(super::testing::START_MS * 1_000);
    let own: std::sync::Arc<std::sync::OnceLock<std::sync::Arc<InProcessHost>>> = Default::default();
    let inside = own.clone();
    let suicide: Handler = std::sync::Arc::new(move |invocation: Invocation| {
        let inside = inside.clone();
        Box::pin(async move {
            assert_eq!(inside.get().unwrap().kill_running("f"), 1);
            Ok(invocation.event)
        })
    });
    let host = std::sync::Arc::new(InProcessHost::new(clock, suicide, Duration::ZERO, 7));
    assert!(own.set(host.clone()).is_ok());
    let stage = Stage::new(clock, host, Faults::none());
    stage.create_function(&zip_of("bootstrap", ""), json!({})).await;
    let answer = stage.call("Invoke", json!({"FunctionName": "f"})).await.unwrap();
    assert_eq!(answer["FunctionError"], "Unhandled");
}
