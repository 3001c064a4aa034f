//! The largest template that passes, and the smallest that does not.

use base64::Engine as _;
use serde_json::{Value, json};

use super::Bench;

/// `count` members made of `member`, where `#` stands for the number.
fn many(count: usize, member: &str) -> String {
    (0..count).map(|number| member.replace('#', &number.to_string())).collect::<Vec<_>>().join(", ")
}

async fn validate(text: &str) -> Result<Value, String> {
    let bench = Bench::new();
    let body = base64::engine::general_purpose::STANDARD.encode(text);
    bench.log.lock().unwrap().objects.insert("b/t.json".into(), body);
    let input = json!({"TemplateURL": "http://127.0.0.1:4566/b/t.json"});
    bench.call("ValidateTemplate", input).await.map_err(|error| error.message)
}

#[tokio::test(start_paused = true)]
async fn numbers_of_things_are_limited() {
    let queue = r#""Resources": {"Q": {"Type": "AWS::SQS::Queue"}}"#;
    let sections = [
        ("resources", 500, r#"{"Resources": {@}}"#.to_owned(), r##""Q#": {"Type": "AWS::SQS::Queue"}"##),
        ("parameters", 200, format!(r#"{{"Parameters": {{@}}, {queue}}}"#), r##""P#": {"Type": "String"}"##),
        ("outputs", 200, format!(r#"{{"Outputs": {{@}}, {queue}}}"#), r##""O#": {"Value": "x"}"##),
        ("mappings", 200, format!(r#"{{"Mappings": {{@}}, {queue}}}"#), r##""M#": {"a": {"b": "c"}}"##),
        (
            "attributes of mapping M",
            200,
            format!(r#"{{"Mappings": {{"M": {{@}}}}, {queue}}}"#),
            r##""k#": {"b": "c"}"##,
        ),
    ];
    for (what, most, text, member) in sections {
        validate(&text.replace('@', &many(most, member))).await.unwrap();
        let refused = validate(&text.replace('@', &many(most + 1, member))).await.unwrap_err();
        assert_eq!(
            refused,
            format!(
                "Template format error: Number of {what}, {}, is greater than maximum allowed, {most}",
                most + 1
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn lengths_are_limited() {
    let queue = r#""Resources": {"Q": {"Type": "AWS::SQS::Queue"}}"#;
    let described = |bytes: usize| format!(r#"{{"Description": "{}", {queue}}}"#, "d".repeat(bytes));
    validate(&described(1_024)).await.unwrap();
    assert_eq!(
        validate(&described(1_025)).await.unwrap_err(),
        "Template format error: 'Description' length is greater than 1024."
    );
    let parameter = |chars: usize| {
        format!(r#"{{"Parameters": {{"{}": {{"Type": "String"}}}}, {queue}}}"#, "p".repeat(chars))
    };
    validate(&parameter(255)).await.unwrap();
    assert!(validate(&parameter(256)).await.unwrap_err().ends_with("length is greater than 255."));
}

#[tokio::test(start_paused = true)]
async fn a_template_has_51200_bytes_in_a_request_and_a_mebibyte_in_s3() {
    let padded = |bytes: usize| {
        let text = r#"{"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}"#;
        format!("{text}{}", " ".repeat(bytes - text.len()))
    };
    let bench = Bench::new();
    let body = |bytes: usize| json!({"TemplateBody": padded(bytes)});
    bench.call("ValidateTemplate", body(51_200)).await.unwrap();
    assert_eq!(
        bench.call("ValidateTemplate", body(51_201)).await.unwrap_err().message,
        "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200"
    );
    validate(&padded(1_048_576)).await.unwrap();
    assert_eq!(
        validate(&padded(1_048_577)).await.unwrap_err(),
        "Template may not exceed 1048576 bytes in size."
    );
}
