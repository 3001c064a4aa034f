//! A payload as the plan's text may have it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::plan::{PAYLOAD_MIN_BYTES, units};

/// A payload by name or size, `{bytes: n}`, or a file.
#[derive(Clone)]
pub(in crate::plan) enum PayloadDoc {
    Text(String),
    Bytes(i64),
    File(FileDoc),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct FileDoc {
    pub bytes: Option<i64>,
    pub template: Option<String>,
    pub replay: Option<String>,
    pub envelope: Option<String>,
}

impl<'de> Deserialize<'de> for PayloadDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PayloadDoc, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = PayloadDoc;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(units::PAYLOAD_EXPECTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PayloadDoc, E> {
                Ok(PayloadDoc::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PayloadDoc, A::Error> {
                match FileDoc::deserialize(de::value::MapAccessDeserializer::new(map))? {
                    FileDoc { bytes: Some(bytes), template: None, replay: None, envelope: None } => {
                        Ok(PayloadDoc::Bytes(bytes))
                    }
                    FileDoc { template: None, replay: None, .. } => {
                        Err(de::Error::custom(units::PAYLOAD_EXPECTED))
                    }
                    file => Ok(PayloadDoc::File(file)),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for PayloadDoc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Payload".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let file = serde_json::json!({ "type": "string", "minLength": 1 });
        let envelope = serde_json::json!({ "type": "string", "pattern": r"^\$(\.[A-Za-z0-9_-]{1,64}){1,8}$",
            "description": "Where in the record the envelope goes. Default $.sg, the first member." });
        let bytes = serde_json::json!({ "type": "integer", "minimum": PAYLOAD_MIN_BYTES });
        schema!({ "description": "A named payload, a size with its unit, {bytes: n}, or the user's own records.", "anyOf": [
            { "type": "string", "pattern": units::PAYLOAD_PATTERN },
            { "type": "object", "properties": { "bytes": bytes },
              "required": ["bytes"], "additionalProperties": false },
            { "type": "object", "properties": { "template": file, "envelope": envelope, "bytes": bytes },
              "required": ["template"], "additionalProperties": false },
            { "type": "object", "properties": { "replay": file, "envelope": envelope },
              "required": ["replay"], "additionalProperties": false },
        ]})
    }
}
