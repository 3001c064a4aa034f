//! The AWS query protocol's output: JSON into XML.

use serde_json::Value;

use crate::local::service::ApiError;

/// Members that the models of CloudFormation, IAM, STS and CloudWatch type as timestamps: numbers of epoch
/// seconds in JSON, ISO 8601 in XML.
const TIMESTAMPS: [&str; 30] = [
    "AlarmConfigurationUpdatedTimestamp",
    "CreateDate",
    "CreationTime",
    "CreationTimestamp",
    "DeletionTime",
    "DriftDetectionTimestamp",
    "EnableDate",
    "EndTime",
    "EndTimestamp",
    "Expiration",
    "ExpirationDate",
    "InvokedAt",
    "LastAccessedTime",
    "LastCheckTimestamp",
    "LastDriftCheckTimestamp",
    "LastModified",
    "LastUpdated",
    "LastUpdatedTime",
    "LastUpdatedTimestamp",
    "LastUsedDate",
    "PasswordLastUsed",
    "StartTime",
    "StateTransitionedTimestamp",
    "StateUpdatedTimestamp",
    "TimeCreated",
    "Timestamp",
    "Timestamps",
    "UpdateDate",
    "UploadDate",
    "ValidUntil",
];

pub fn output(namespace: &str, operation: &str, output: &Value, request_id: &str) -> String {
    let mut xml = format!("<{operation}Response xmlns=\"{namespace}\"><{operation}Result>");
    members(&mut xml, "", output);
    xml.push_str(&format!(
        "</{operation}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    ));
    xml
}

pub fn error(namespace: &str, error: &ApiError, request_id: &str) -> String {
    let fault = if error.status < 500 { "Sender" } else { "Receiver" };
    // What the JSON protocols call UnknownOperationException has a code of its own here ("Common errors").
    let code = if error.code == "UnknownOperationException" { "InvalidAction" } else { &error.code };
    let (code, message) = (escape(code), escape(&error.message));
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{fault}</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
}

/// Writes what stands between an element's tags; `name` is the element's.
fn members(xml: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(truth) => xml.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64().filter(|_| TIMESTAMPS.contains(&name)) {
            Some(seconds) => xml.push_str(&iso_8601(seconds)),
            None => xml.push_str(&number.to_string()),
        },
        Value::String(text) => xml.push_str(&escape(text)),
        // Items are written under the list's name, so that a list of timestamps is one.
        Value::Array(items) => items.iter().for_each(|item| element(xml, "member", name, item)),
        Value::Object(object) => {
            object
                .iter()
                .filter(|(_, value)| !value.is_null())
                .for_each(|(name, value)| element(xml, name, name, value));
        }
    }
}

fn element(xml: &mut String, tag: &str, name: &str, value: &Value) {
    // A member's name comes from a service's code; one that is no XML name would break the document.
    if !tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') || tag.is_empty()
    {
        return;
    }
    xml.push('<');
    xml.push_str(tag);
    xml.push('>');
    members(xml, name, value);
    xml.push_str("</");
    xml.push_str(tag);
    xml.push('>');
}

fn iso_8601(seconds: f64) -> String {
    match jiff::Timestamp::from_millisecond((seconds * 1_000.0).round() as i64) {
        Ok(timestamp) => format!("{timestamp:.3}"),
        Err(_) => seconds.to_string(),
    }
}

/// Escapes text; characters that XML 1.0 cannot hold become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // A parser would turn a plain one into a line feed.
            '\r' => escaped.push_str("&#xD;"),
            '\n' | '\t' => escaped.push(character),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_have_members_timestamps_are_iso_8601_and_text_is_escaped() {
        let value = json!({"Stacks": [{
            "StackName": "a<&>\r\u{1}", "CreationTime": 1_700_000_000.25, "DisableRollback": false,
            "Parameters": [], "Gone": null, "TimeoutInMinutes": 5,
        }]});
        let result = "<Stacks><member><CreationTime>2023-11-14T22:13:20.250Z</CreationTime>\
                      <DisableRollback>false</DisableRollback><Parameters></Parameters>\
                      <StackName>a&lt;&amp;&gt;&#xD;\u{fffd}</StackName><TimeoutInMinutes>5</TimeoutInMinutes></member></Stacks>";
        assert_eq!(
            output("urn:x", "DescribeStacks", &value, "id"),
            format!(
                "<DescribeStacksResponse xmlns=\"urn:x\"><DescribeStacksResult>{result}</DescribeStacksResult>\
                 <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DescribeStacksResponse>"
            )
        );
    }

    #[test]
    fn an_error_says_whose_fault_it_is() {
        let sender = error("urn:x", &ApiError::invalid("ValidationError", "Stack <x> does not exist"), "id");
        assert!(
            sender.contains("<Type>Sender</Type><Code>ValidationError</Code><Message>Stack &lt;x&gt; does")
        );
        assert!(
            error("urn:x", &ApiError::new(500, "InternalFailure", ""), "id")
                .contains("<Type>Receiver</Type>")
        );
    }
}
