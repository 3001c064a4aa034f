//! S3's documents as JSON and back: the API model's member names on one side, element names on the other.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{error, xml};
use crate::local::service::ApiError;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Flattened lists: member, and the element repeated for each item. S3's API model, `locationName`.
const FLATTENED: [(&str, &str); 12] = [
    ("DeleteMarkers", "DeleteMarker"),
    ("Errors", "Error"),
    ("Contents", "Contents"),
    ("Deleted", "Deleted"),
    ("NoncurrentVersionTransitions", "NoncurrentVersionTransition"),
    ("Objects", "Object"),
    ("Parts", "Part"),
    ("Rules", "Rule"),
    ("Tags", "Tag"),
    ("Transitions", "Transition"),
    ("Uploads", "Upload"),
    ("Versions", "Version"),
];
/// Lists with an element around them: member and element, and the element of each item. Same source.
const WRAPPED: [(&str, &str); 2] = [("Buckets", "Bucket"), ("TagSet", "Tag")];
const BOOLEANS: [&str; 7] = [
    "BlockPublicAcls",
    "BlockPublicPolicy",
    "BucketKeyEnabled",
    "ExpiredObjectDeleteMarker",
    "IgnorePublicAcls",
    "Quiet",
    "RestrictPublicBuckets",
];
const NUMBERS: [&str; 8] = [
    "Days",
    "DaysAfterInitiation",
    "NewerNoncurrentVersions",
    "NoncurrentDays",
    "ObjectSizeGreaterThan",
    "ObjectSizeLessThan",
    "PartNumber",
    "Size",
];
/// Numbers of epoch seconds in JSON, ISO 8601 in XML.
const TIMESTAMPS: [&str; 3] = ["CreationDate", "Initiated", "LastModified"];
/// Structures that may be empty; other empty elements are empty text.
const STRUCTURES: [&str; 3] = ["And", "Expiration", "Filter"];

/// Writes an answer.
pub fn document(root: &str, content: &Value) -> Bytes {
    let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">");
    inside(root, content, &mut out);
    let _ = write!(out, "</{root}>");
    Bytes::from(out)
}

/// Writes an error. S3 gives these without a namespace.
pub fn error_document(error: &ApiError, resource: &str, request_id: &str) -> Bytes {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    let mut text = |name: &str, value: &str| element(name, &Value::from(value), &mut out);
    text("Code", &error.code);
    text("Message", &error.message);
    for (name, value) in &error.members {
        text(name, value.as_str().unwrap_or_default());
    }
    text("Resource", resource);
    text("RequestId", request_id);
    out.push_str("</Error>");
    Bytes::from(out)
}

fn element(name: &str, value: &Value, out: &mut String) {
    let _ = write!(out, "<{name}>");
    inside(name, value, out);
    let _ = write!(out, "</{name}>");
}

fn inside(name: &str, value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => members.iter().for_each(|(member, value)| children(member, value, out)),
        Value::String(text) => xml::escape(text, out),
        Value::Number(seconds) if TIMESTAMPS.contains(&name) => out.push_str(&iso8601(seconds.as_f64())),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Bool(boolean) => {
            let _ = write!(out, "{boolean}");
        }
        Value::Null | Value::Array(_) => {}
    }
}

/// One member of a structure: no element for null, one for each item of a flattened list.
fn children(member: &str, value: &Value, out: &mut String) {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            if let Some((outer, inner)) = WRAPPED.iter().find(|(name, _)| *name == member) {
                let _ = write!(out, "<{outer}>");
                items.iter().for_each(|item| element(inner, item, out));
                let _ = write!(out, "</{outer}>");
            } else {
                let flattened = FLATTENED.iter().find(|(name, _)| *name == member);
                let name = flattened.map_or(member, |(_, element)| element);
                items.iter().for_each(|item| element(name, item, out));
            }
        }
        value => element(member, value, out),
    }
}

/// `2009-10-12T17:50:30.000Z`, as S3 writes times in documents.
fn iso8601(seconds: Option<f64>) -> String {
    let millis = (seconds.unwrap_or_default() * 1_000.0).round() as i64;
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

/// Reads a request's document whose root must be `root`.
///
/// # Errors
/// `MalformedXML`.
pub fn parse(root: &str, body: &[u8]) -> Result<Value, ApiError> {
    let text = std::str::from_utf8(body).map_err(|_| error::malformed_xml())?;
    let element = xml::read(text).map_err(|at| {
        error::with(error::malformed_xml(), "Reason", &format!("not well-formed at byte {}", at.0))
    })?;
    if element.name != root {
        return Err(error::with(error::malformed_xml(), "Reason", &format!("expected the element {root}")));
    }
    structure(&element)
}

fn structure(element: &xml::Element) -> Result<Value, ApiError> {
    let mut members = Map::new();
    for child in &element.children {
        if let Some((member, inner)) = WRAPPED.iter().find(|(name, _)| *name == child.name) {
            let items = child.children.iter().filter(|item| item.name == *inner).map(structure);
            members.insert((*member).to_owned(), Value::Array(items.collect::<Result<_, _>>()?));
        } else if let Some((member, _)) = FLATTENED.iter().find(|(_, name)| *name == child.name) {
            let list = members.entry(*member).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = list {
                items.push(structure(child)?);
            }
        } else {
            members.insert(child.name.clone(), member(child)?);
        }
    }
    Ok(Value::Object(members))
}

fn member(element: &xml::Element) -> Result<Value, ApiError> {
    let name = element.name.as_str();
    if !element.children.is_empty() || STRUCTURES.contains(&name) {
        return structure(element);
    }
    let typed = if BOOLEANS.contains(&name) {
        element.text.trim().parse::<bool>().ok().map(Value::from)
    } else if NUMBERS.contains(&name) {
        element.text.trim().parse::<u64>().ok().map(Value::from)
    } else {
        Some(Value::from(element.text.as_str()))
    };
    typed.ok_or_else(error::malformed_xml)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lifecycle_configuration_comes_back_as_it_was() {
        let configuration = json!({"Rules": [
            {"ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 3}},
            {"Status": "Disabled", "Filter": {"Prefix": "x<&>"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        ]});
        let written = document("LifecycleConfiguration", &configuration);
        assert_eq!(parse("LifecycleConfiguration", &written).unwrap(), configuration);
        let tagging = json!({"TagSet": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": ""}]});
        assert_eq!(parse("Tagging", &document("Tagging", &tagging)).unwrap(), tagging);
    }

    #[test]
    fn times_are_iso_8601_and_null_is_absent() {
        let written =
            document("R", &json!({"Contents": [{"LastModified": 1_255_369_830.0}], "Marker": null}));
        let text = std::str::from_utf8(&written).unwrap();
        assert!(
            text.ends_with("<Contents><LastModified>2009-10-12T17:50:30.000Z</LastModified></Contents></R>"),
            "{text}"
        );
    }

    #[test]
    fn a_number_that_is_none_is_malformed() {
        let body = b"<LifecycleConfiguration><Rule><Expiration><Days>x</Days></Expiration></Rule></LifecycleConfiguration>";
        assert_eq!(parse("LifecycleConfiguration", body).unwrap_err().code, "MalformedXML");
    }
}
