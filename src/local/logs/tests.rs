//! Groups, streams and events, through the API shapes.

use serde_json::{Value, json};

use super::*;
use crate::local::faults::Faults;
use crate::local::metrics::NoMetrics;
use crate::platform::clock::Clock;

const NOW_MS: i64 = 1_700_000_000_000;

fn logs() -> Arc<Logs> {
    Logs::new(Context {
        clock: Clock::starting_at(NOW_MS * 1_000),
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        seed: 1,
        metrics: Arc::new(NoMetrics),
        faults: Arc::new(Faults::none()),
    })
}

fn ok(logs: &Logs, operation: &str, input: Value) -> Value {
    logs.answer(operation, &input).unwrap_or_else(|error| panic!("{operation}: {error}"))
}

fn code(logs: &Logs, operation: &str, input: Value) -> String {
    logs.answer(operation, &input).expect_err("an error").code
}

fn put(logs: &Logs, stream: &str, events: &[(i64, &str)]) -> Value {
    let events: Vec<Value> = events
        .iter()
        .map(|(at_ms, message)| json!({"timestamp": NOW_MS + at_ms, "message": message}))
        .collect();
    ok(logs, "PutLogEvents", json!({"logGroupName": "/g", "logStreamName": stream, "logEvents": events}))
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_come_back_in_order_of_time_filtered_and_paged() {
    let logs = logs();
    ok(&logs, "CreateLogGroup", json!({"logGroupName": "/g", "tags": {"a": "b"}}));
    for stream in ["one", "two"] {
        ok(&logs, "CreateLogStream", json!({"logGroupName": "/g", "logStreamName": stream}));
    }
    put(&logs, "one", &[(10, "START 1"), (30, "REPORT 1")]);
    put(&logs, "two", &[(20, "START 2"), (40, "REPORT 2")]);
    let all = ok(&logs, "FilterLogEvents", json!({"logGroupName": "/g"}));
    assert_eq!(messages(&all), ["START 1", "START 2", "REPORT 1", "REPORT 2"]);
    let some = ok(
        &logs,
        "FilterLogEvents",
        json!({"logGroupName": "/g", "filterPattern": "REPORT", "startTime": NOW_MS + 30, "endTime": NOW_MS + 30}),
    );
    assert_eq!(messages(&some), ["REPORT 1"]);
    let one = ok(&logs, "GetLogEvents", json!({"logGroupName": "/g", "logStreamName": "one"}));
    assert_eq!(messages(&one), ["START 1", "REPORT 1"]);

    let mut paged = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut input =
            json!({"logGroupIdentifier": "arn:aws:logs:us-east-1:123456789012:log-group:/g:*", "limit": 3});
        if !token.is_null() {
            input["nextToken"] = token;
        }
        let page = ok(&logs, "FilterLogEvents", input);
        paged.extend(messages(&page).into_iter().map(str::to_owned));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(paged, ["START 1", "START 2", "REPORT 1", "REPORT 2"]);
    let groups = ok(&logs, "DescribeLogGroups", json!({"logGroupNamePrefix": "/"}));
    assert_eq!(groups["logGroups"][0]["storedBytes"], 2 * (7 + 8) + 4 * 26);
    assert_eq!(ok(&logs, "ListTagsLogGroup", json!({"logGroupName": "/g"}))["tags"], json!({"a": "b"}));
}

#[tokio::test]
async fn what_is_not_there_or_out_of_bounds_is_refused_as_aws_does() {
    let logs = logs();
    assert_eq!(code(&logs, "FilterLogEvents", json!({"logGroupName": "/g"})), "ResourceNotFoundException");
    ok(&logs, "CreateLogGroup", json!({"logGroupName": "/g"}));
    assert_eq!(
        code(&logs, "CreateLogGroup", json!({"logGroupName": "/g"})),
        "ResourceAlreadyExistsException"
    );
    let event = json!([{"timestamp": NOW_MS, "message": "m"}]);
    assert_eq!(
        code(&logs, "PutLogEvents", json!({"logGroupName": "/g", "logStreamName": "s", "logEvents": event})),
        "ResourceNotFoundException"
    );
    ok(&logs, "CreateLogStream", json!({"logGroupName": "/g", "logStreamName": "s"}));
    assert_eq!(
        code(&logs, "PutLogEvents", json!({"logGroupName": "/g", "logStreamName": "s", "logEvents": []})),
        "InvalidParameterException"
    );
    let answer = put(&logs, "s", &[(-TOO_OLD_MS - 1, "old"), (0, "good"), (TOO_NEW_MS + 1, "new")]);
    assert_eq!(
        answer["rejectedLogEventsInfo"],
        json!({"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2})
    );
    assert_eq!(messages(&ok(&logs, "FilterLogEvents", json!({"logGroupName": "/g"}))), ["good"]);
    ok(&logs, "DeleteLogGroup", json!({"logGroupName": "/g"}));
    assert_eq!(code(&logs, "DeleteLogGroup", json!({"logGroupName": "/g"})), "ResourceNotFoundException");
}
