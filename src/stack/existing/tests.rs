//! Files of outputs: both kinds, and what is said of wrong ones.

use super::*;

const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:reader";

fn terraform() -> String {
    format!(
        r#"{{"stream_arn": {{"sensitive": false, "type": "string", "value": "{STREAM}"}},
            "reader": {{"sensitive": false, "type": "string", "value": "{FUNCTION}"}},
            "stream_name": {{"sensitive": false, "type": "string", "value": "orders"}},
            "ports": {{"sensitive": false, "type": ["list", "number"], "value": [1, 2]}}}}"#
    )
}

fn cdk() -> String {
    format!(
        r#"{{"Ingest": {{"StreamArn": "{STREAM}", "Name": "orders"}}, "Read": {{"Function": "{FUNCTION}", "Name": "reader"}}}}"#
    )
}

#[test]
fn both_kinds_of_files_name_the_pipeline_by_arn_or_by_output() {
    let by_arn = Pipeline { stream: STREAM.into(), function: FUNCTION.into() };
    assert_eq!(pipeline_of("f", &terraform(), None, None), Ok(by_arn.clone()));
    assert_eq!(pipeline_of("f", &cdk(), None, None), Ok(by_arn.clone()));
    assert_eq!(pipeline_of("f", &terraform(), Some("stream_name"), Some("reader")).unwrap().stream, "orders");
    let by_path = pipeline_of("f", &cdk(), Some("Ingest.Name"), Some("Read.Name")).unwrap();
    assert_eq!(by_path, Pipeline { stream: "orders".into(), function: "reader".into() });
    // The same ARN twice is one stream.
    let twice = cdk().replace(r#""Name": "orders""#, &format!(r#""Again": "{STREAM}""#));
    assert_eq!(pipeline_of("f", &twice, None, None), Ok(by_arn));
}

#[test]
fn what_is_wrong_is_named_with_file_and_field() {
    let error = |text: &str, stream: Option<&str>| {
        pipeline_of("out.json", text, stream, None).expect_err("it is wrong").to_string()
    };
    assert!(error("{", None).starts_with("out.json: found EOF"), "{}", error("{", None));
    assert!(error("[1]", None).starts_with("out.json: found a list, expected the JSON that"));
    assert!(error(r#"{"a": 1}"#, None).starts_with("out.json: a: found a number, expected an output"));
    assert_eq!(
        error("{}", None),
        "out.json: found no ARN of a Kinesis stream, expected one, or stream_output to say which output it is"
    );
    assert_eq!(
        error(&terraform(), Some("nope")),
        "out.json: nope: found no such output, expected one of ports, reader, stream_arn, stream_name"
    );
    assert_eq!(
        error(&terraform(), Some("ports")),
        "out.json: ports: found a list, expected the name or the ARN of a Kinesis stream"
    );
    assert_eq!(
        error(&cdk(), Some("Name")),
        "out.json: Name: found 2 outputs of that name, expected one of Ingest.Name, Read.Name"
    );
    let two =
        cdk().replace(r#""Name": "orders""#, r#""Other": "arn:aws:kinesis:us-east-1:123456789012:stream/b""#);
    assert_eq!(
        error(&two, None),
        "out.json: found 2 ARNs of a Kinesis stream: Ingest.Other, Ingest.StreamArn, expected stream_output to say which"
    );
}

#[test]
fn a_stream_without_the_tag_needs_its_owner() {
    let standing = |allowed| super::super::Standing {
        stream_name: "orders".into(),
        existing: Some(Existing { allowed, ..Existing::default() }),
        ..super::super::Standing::default()
    };
    assert!(check_allowed(&standing(true), false).is_ok());
    assert!(check_allowed(&standing(false), true).is_ok());
    let error = check_allowed(&standing(false), false).expect_err("nobody allowed it");
    assert!(error.is_input() && error.hint().contains("--stream-name orders --tags streamgauge:allow=true"));
}
