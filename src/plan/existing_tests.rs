//! What a plan may say of a pipeline that stands already, and what is said where it cannot be.

use super::*;

fn plan(environment: &str, rest: &str) -> String {
    format!(
        "schema: streamgauge/plan/v1\nname: p\nenvironment: {environment}\n{rest}phases:\n  - name: a\n    tests:\n      - {{id: a, name: t, stages: [{{duration: 1s, target: 1}}]}}\n"
    )
}

fn errors(environment: &str) -> Vec<String> {
    let errors = parse(&plan(environment, "")).expect_err("the plan is wrong");
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn names_arns_and_files_of_outputs_are_read() {
    let existing = |text: &str| parse(&plan(text, "")).unwrap().existing.unwrap();
    let stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders.v2";
    let function = "arn:aws-us-gov:lambda:eu-west-1:123456789012:function:reader";
    let named = existing(&format!("{{existing: {{stream: '{stream}', function: '{function}'}}}}"));
    let pipeline = PipelineSource::Named { stream: stream.into(), function: function.into() };
    assert_eq!(named, Existing { pipeline, receipts_queue_url: None });
    let file = existing(
        "{from_outputs: out.json, existing: {stream_output: Stream, receipts_queue: 'https://sqs/1/q'}}",
    );
    let pipeline = PipelineSource::Outputs {
        file: "out.json".into(),
        stream_output: Some("Stream".into()),
        function_output: None,
    };
    assert_eq!(file, Existing { pipeline, receipts_queue_url: Some("https://sqs/1/q".into()) });
    assert_eq!(parse(&plan("{stream: {shards: 2}}", "")).unwrap().existing, None);
}

#[test]
fn red_flags_stop_unless_the_plan_says_otherwise() {
    let text = plan("{existing: {stream: s, function: f}}", "flags: {memory: note}\n");
    for policy in parse(&text).unwrap().flags {
        let expected = if policy.flag == Flag::Memory { FlagAction::Note } else { FlagAction::Stop };
        assert_eq!(policy.action, expected, "{:?}", policy.flag);
    }
    let made = parse(&plan("{stream: {shards: 2}}", "")).unwrap();
    assert!(made.flags.iter().all(|policy| policy.action == FlagAction::Note));
}

#[test]
fn what_cannot_be_is_named_with_its_place() {
    for (environment, field) in [
        ("{existing: {stream: s}}", "environment.existing.function"),
        ("{existing: {stream: 'a b', function: f}}", "environment.existing.stream"),
        (
            "{existing: {stream: 'arn:aws:kinesis:eu-west-1:1:stream/s', function: f}}",
            "environment.existing.stream",
        ),
        (
            "{existing: {stream: 'arn:aws:sqs:eu-west-1:123456789012:stream/s', function: f}}",
            "environment.existing.stream",
        ),
        ("{existing: {stream: s, function: 'f:live'}}", "environment.existing.function"),
        ("{existing: {stream: s, function: f, receipts_queue: q}}", "environment.existing.receipts_queue"),
        ("{existing: {stream: s, function: f}, stream: {shards: 2}}", "environment.stream"),
        ("{existing: {stream: s, function: f, stream_output: x}}", "environment.existing.stream_output"),
        ("{from_outputs: a.json, existing: {stream: s}}", "environment.existing.stream"),
        ("{from_outputs: ' '}", "environment.from_outputs"),
    ] {
        let errors = errors(environment);
        assert!(
            errors.len() == 1 && errors[0].contains(&format!(": {field}: found ")),
            "{environment}: {errors:?}"
        );
    }
    assert_eq!(errors("{existing: {}}").len(), 2, "stream and function are missing");
}
