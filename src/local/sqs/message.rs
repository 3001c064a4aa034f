//! One message: its checks, its digests, and how it is given out.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::error::{invalid_contents, invalid_value, missing};
use crate::local::members::text;
use crate::local::service::ApiError;

/// Attributes of one message. SQS developer guide, "Message metadata".
const ATTRIBUTES_MAX: usize = 10;

#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub body: String,
    pub md5: String,
    pub attributes: BTreeMap<String, Attribute>,
    /// `AWSTraceHeader`, the only system attribute that can be sent.
    pub trace_header: Option<String>,
    pub bytes: usize,
    pub sent_ms: i64,
    pub first_received_ms: Option<i64>,
    pub receive_count: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    data_type: String,
    value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq)]
enum AttributeValue {
    Text(String),
    Binary(Vec<u8>),
}

impl AttributeValue {
    fn bytes(&self) -> &[u8] {
        match self {
            AttributeValue::Text(text) => text.as_bytes(),
            AttributeValue::Binary(bytes) => bytes,
        }
    }
}

impl Message {
    /// Checks a SendMessage request or an entry of SendMessageBatch.
    ///
    /// # Errors
    /// No body, characters that SQS refuses, attributes it refuses, or more than `largest_bytes`.
    pub fn parse(input: &Value, id: String, sent_ms: i64, largest_bytes: usize) -> Result<Message, ApiError> {
        let body =
            text(input, "MessageBody").filter(|b| !b.is_empty()).ok_or_else(|| missing("MessageBody"))?;
        if !body.chars().all(is_allowed) {
            return Err(invalid_contents());
        }
        let attributes = parse_attributes(input)?;
        let of_attributes: usize = attributes
            .iter()
            .map(|(name, attribute)| name.len() + attribute.data_type.len() + attribute.value.bytes().len())
            .sum();
        let bytes = body.len() + of_attributes;
        if bytes > largest_bytes {
            return Err(invalid_value(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {largest_bytes} bytes."
            )));
        }
        let trace_header = input
            .get("MessageSystemAttributes")
            .and_then(|attributes| text(attributes.get("AWSTraceHeader")?, "StringValue"));
        Ok(Message {
            id,
            md5: hex::encode(Md5::digest(body.as_bytes())),
            body: body.to_owned(),
            attributes,
            trace_header: trace_header.map(str::to_owned),
            bytes,
            sent_ms,
            first_received_ms: None,
            receive_count: 0,
        })
    }

    /// What SendMessage answers.
    pub fn sent(&self) -> Map<String, Value> {
        let mut sent = Map::new();
        sent.insert("MessageId".to_owned(), Value::from(self.id.as_str()));
        sent.insert("MD5OfMessageBody".to_owned(), Value::from(self.md5.as_str()));
        let all: Vec<_> = self.attributes.iter().collect();
        if let Some(md5) = md5_of_attributes(&all) {
            sent.insert("MD5OfMessageAttributes".to_owned(), Value::from(md5));
        }
        sent
    }

    /// What ReceiveMessage gives out: with the system attributes and the attributes that were asked for.
    pub fn received(&self, handle: &str, system: &[&str], wanted: &[&str], sender: &str) -> Value {
        let mut given = json!({
            "MessageId": self.id,
            "ReceiptHandle": handle,
            "MD5OfBody": self.md5,
            "Body": self.body,
        });
        let of_system = [
            ("SenderId", Some(sender.to_owned())),
            ("SentTimestamp", Some(self.sent_ms.to_string())),
            ("ApproximateReceiveCount", Some(self.receive_count.to_string())),
            ("ApproximateFirstReceiveTimestamp", self.first_received_ms.map(|at| at.to_string())),
            ("AWSTraceHeader", self.trace_header.clone()),
        ];
        for (name, value) in of_system {
            if let (true, Some(value)) = (system.contains(&name) || system.contains(&"All"), value) {
                given["Attributes"][name] = Value::from(value);
            }
        }
        let asked: Vec<_> = self.attributes.iter().filter(|(name, _)| is_wanted(name, wanted)).collect();
        for (name, attribute) in &asked {
            given["MessageAttributes"][name.as_str()] = attribute.to_json();
        }
        if let Some(md5) = md5_of_attributes(&asked) {
            given["MD5OfMessageAttributes"] = Value::from(md5);
        }
        given
    }
}

/// SendMessage, API reference: `#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF`.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// `All`, `.*`, a name, or a prefix that ends in `.*`.
fn is_wanted(name: &str, wanted: &[&str]) -> bool {
    wanted.iter().any(|pattern| {
        *pattern == "All"
            || *pattern == name
            || pattern.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
    })
}

fn parse_attributes(input: &Value) -> Result<BTreeMap<String, Attribute>, ApiError> {
    let mut attributes = BTreeMap::new();
    for (name, attribute) in input.get("MessageAttributes").and_then(Value::as_object).into_iter().flatten() {
        attributes.insert(name.clone(), parse_attribute(name, attribute)?);
    }
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(invalid_value(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].",
            attributes.len()
        )));
    }
    Ok(attributes)
}

fn parse_attribute(name: &str, attribute: &Value) -> Result<Attribute, ApiError> {
    let wrong = |what: &str| invalid_value(format!("The message attribute '{name}' {what}."));
    let data_type = text(attribute, "DataType").unwrap_or("");
    let value = match data_type.split('.').next().unwrap_or("") {
        "String" | "Number" => {
            let value = text(attribute, "StringValue").filter(|value| !value.is_empty());
            AttributeValue::Text(value.ok_or_else(|| wrong("must contain a non-empty value"))?.to_owned())
        }
        "Binary" => {
            let value =
                text(attribute, "BinaryValue").ok_or_else(|| wrong("must contain a non-empty value"))?;
            AttributeValue::Binary(BASE64.decode(value).map_err(|_| wrong("is not base64"))?)
        }
        _ => return Err(wrong("has an invalid message attribute type")),
    };
    Ok(Attribute { data_type: data_type.to_owned(), value })
}

impl Attribute {
    fn to_json(&self) -> Value {
        match &self.value {
            AttributeValue::Text(text) => json!({ "DataType": self.data_type, "StringValue": text }),
            AttributeValue::Binary(bytes) => {
                json!({ "DataType": self.data_type, "BinaryValue": BASE64.encode(bytes) })
            }
        }
    }
}

/// SQS developer guide, "Calculating the MD5 message digest for message attributes": sorted by name; name,
/// type and value each after their length, the value also after its transport type.
fn md5_of_attributes(attributes: &[(&String, &Attribute)]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    let mut field = |transport: Option<u8>, bytes: &[u8]| {
        if let Some(transport) = transport {
            digest.update([transport]);
        }
        digest.update((bytes.len() as u32).to_be_bytes());
        digest.update(bytes);
    };
    for (name, attribute) in attributes {
        field(None, name.as_bytes());
        field(None, attribute.data_type.as_bytes());
        let transport = if matches!(attribute.value, AttributeValue::Text(_)) { 1 } else { 2 };
        field(Some(transport), attribute.value.bytes());
    }
    Some(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_that_other_clients_check() {
        // The message and digests of moto's test suite, which has them from AWS.
        let input = json!({
            "MessageBody": "derp",
            "MessageAttributes": { "timestamp": { "DataType": "Number.java.lang.Long", "StringValue": "1493147359900" } },
        });
        let message = Message::parse(&input, "id".to_owned(), 0, 1_024).unwrap();
        assert_eq!(message.md5, "58fd9edd83341c29f1aebba81c31e257");
        assert_eq!(message.sent()["MD5OfMessageAttributes"], "2e2e4876d8e0bd6b8c2c8f556831c349");
    }

    #[test]
    fn what_sqs_refuses_is_refused() {
        let refused = |input: Value| Message::parse(&input, String::new(), 0, 1_024).unwrap_err().code;
        assert_eq!(refused(json!({})), "MissingParameter");
        assert_eq!(refused(json!({ "MessageBody": "\u{1}" })), "InvalidMessageContents");
        assert_eq!(refused(json!({ "MessageBody": "x".repeat(1_025) })), "InvalidParameterValue");
        let odd = json!({ "MessageBody": "x", "MessageAttributes": { "a": { "DataType": "Odd", "StringValue": "1" } } });
        assert_eq!(refused(odd), "InvalidParameterValue");
    }
}
