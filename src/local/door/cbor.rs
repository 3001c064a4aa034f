//! Smithy RPC v2 CBOR, the only protocol in which the Rust SDK speaks to CloudWatch.
//!
//! Source: "Smithy RPC v2 CBOR protocol" of the Smithy 2.0 specification: timestamps are tag 1 with epoch
//! seconds, blobs are byte strings, an error is a map with `__type` and its members. The Rust SDK's decoder
//! takes a double only from a CBOR float and an integer only from a CBOR integer, so that what a number is
//! written as follows the API model and not the number.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value};

use crate::local::service::ApiError;

/// Bytes of a request body after decompression; PutMetricData allows 1 MB, the rest is margin.
pub const BODY_MAX_BYTES: usize = 8 * 1_048_576;
/// How deep maps and arrays may nest: CloudWatch's deepest input has six levels.
const DEPTH_MAX: usize = 64;
const TAG_EPOCH: u64 = 1;

/// Members that CloudWatch's model (2010-08-01) types as timestamps, in outputs.
const TIMESTAMPS: &[&str] = &[
    "AlarmConfigurationUpdatedTimestamp",
    "CreatedAt",
    "CreationDate",
    "EndTime",
    "ExpireDate",
    "LastModified",
    "LastUpdateDate",
    "LastUpdatedTimestamp",
    "StartDate",
    "StartTime",
    "StateTransitionedTimestamp",
    "StateUpdatedTimestamp",
    "Timestamp",
    "Timestamps",
    "UpdatedAt",
];
/// Members that the model types as doubles, or as lists or maps of doubles.
const DOUBLES: &[&str] = &[
    "AggregateValue",
    "ApproximateAggregateValue",
    "ApproximateValue",
    "Average",
    "Counts",
    "ExtendedStatistics",
    "MaxContributorValue",
    "Maximum",
    "Minimum",
    "SampleCount",
    "Sum",
    "Threshold",
    "UniqueContributors",
    "Value",
    "Values",
];

/// A request body as AWS-shaped JSON: timestamps become numbers of epoch seconds, byte strings base64.
/// The SDK compresses PutMetricData bodies above 10 KiB; gzip's magic number cannot begin CBOR, so it is
/// recognized by itself. An empty body is an empty input.
///
/// # Errors
/// What is wrong with the body: it is too large, nests too deep, is torn, or has a map key that is no text.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    if body.starts_with(&[0x1f, 0x8b]) {
        return decode_plain(&inflate(body)?);
    }
    decode_plain(body)
}

fn inflate(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(body).take(BODY_MAX_BYTES as u64 + 1);
    reader.read_to_end(&mut plain).map_err(|error| format!("the gzip body cannot be read: {error}"))?;
    Ok(plain)
}

fn decode_plain(mut body: &[u8]) -> Result<Value, String> {
    if body.len() > BODY_MAX_BYTES {
        return Err(format!("the body has more than {BODY_MAX_BYTES} bytes"));
    }
    let decoded: Cbor = ciborium::de::from_reader_with_recursion_limit(&mut body, DEPTH_MAX)
        .map_err(|error| format!("the body is not CBOR: {error}"))?;
    if !body.is_empty() {
        return Err(format!("{} bytes follow the CBOR value", body.len()));
    }
    to_json(decoded)
}

fn to_json(value: Cbor) -> Result<Value, String> {
    Ok(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(boolean) => Value::Bool(boolean),
        Cbor::Integer(integer) => integer_to_json(integer.into())?,
        Cbor::Float(float) => Number::from_f64(float)
            .map(Value::Number)
            .ok_or_else(|| format!("{float} is not a finite number"))?,
        Cbor::Text(text) => Value::String(text),
        Cbor::Bytes(bytes) => Value::String(BASE64.encode(bytes)),
        Cbor::Array(items) => Value::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?),
        Cbor::Map(pairs) => {
            let mut object = Map::with_capacity(pairs.len());
            for (key, value) in pairs {
                let Cbor::Text(key) = key else { return Err("a map key is not text".to_owned()) };
                object.insert(key, to_json(value)?);
            }
            Value::Object(object)
        }
        Cbor::Tag(TAG_EPOCH, seconds) => match *seconds {
            Cbor::Integer(_) | Cbor::Float(_) => to_json(*seconds)?,
            _ => return Err("a timestamp (tag 1) holds no number".to_owned()),
        },
        Cbor::Tag(tag, _) => return Err(format!("tag {tag} is not used by this service")),
        _ => return Err("a CBOR value of an unknown kind".to_owned()),
    })
}

fn integer_to_json(integer: i128) -> Result<Value, String> {
    if let Ok(signed) = i64::try_from(integer) {
        return Ok(Value::from(signed));
    }
    u64::try_from(integer).map(Value::from).map_err(|_| format!("{integer} does not fit 64 bits"))
}

/// How numbers below a member are written.
#[derive(Clone, Copy)]
enum As {
    Integer,
    Double,
    Timestamp,
}

/// An output as CBOR. Integers stay integers unless the API model types the member as a double or a
/// timestamp; null members are left out, as absent ones are.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&to_cbor(value, As::Integer), &mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// An error's body: `__type`, `message` and its members, without those that are for the door alone (`__...`).
pub fn encode_error(error: &ApiError) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("__type".to_owned(), Value::String(error_type(&error.code)));
    object.insert("message".to_owned(), Value::String(error.message.clone()));
    for (name, value) in error.members.iter().filter(|(name, _)| !name.starts_with("__")) {
        object.insert(name.clone(), value.clone());
    }
    encode(&Value::Object(object))
}

/// `__type` is a fully qualified shape name, by the specification.
fn error_type(code: &str) -> String {
    if code.contains('#') { code.to_owned() } else { format!("com.amazonaws.cloudwatch#{code}") }
}

fn to_cbor(value: &Value, numbers: As) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(boolean) => Cbor::Bool(*boolean),
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Number(number) => number_to_cbor(number, numbers),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| to_cbor(item, numbers)).collect()),
        Value::Object(object) => Cbor::Map(
            object
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (Cbor::Text(name.clone()), to_cbor(value, numbers_below(name, numbers))))
                .collect(),
        ),
    }
}

fn numbers_below(name: &str, above: As) -> As {
    if TIMESTAMPS.contains(&name) {
        As::Timestamp
    } else if DOUBLES.contains(&name) {
        As::Double
    } else {
        above
    }
}

fn number_to_cbor(number: &Number, numbers: As) -> Cbor {
    let float = number.as_f64().unwrap_or(0.0);
    match numbers {
        As::Timestamp => Cbor::Tag(TAG_EPOCH, Box::new(Cbor::Float(float))),
        As::Double => Cbor::Float(float),
        As::Integer => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Cbor::Integer(signed.into()),
            (None, Some(unsigned)) => Cbor::Integer(unsigned.into()),
            (None, None) => Cbor::Float(float),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn indefinite_lengths_timestamps_and_bytes_are_read() {
        // {_ "StartTime": 1(1700000000), "Values": [_ 1, 2.5], "Blob": h'010203', "Text": (_ "ab", "c")}.
        let mut body = vec![0xbf, 0x69];
        body.extend(b"StartTime");
        body.extend([0xc1, 0x1a, 0x65, 0x53, 0xf1, 0x00, 0x66]);
        body.extend(b"Values");
        body.extend([0x9f, 0x01, 0xf9, 0x41, 0x00, 0xff, 0x64]);
        body.extend(b"Blob");
        body.extend([0x43, 1, 2, 3, 0x64]);
        body.extend(b"Text");
        body.extend([0x7f, 0x62, b'a', b'b', 0x61, b'c', 0xff, 0xff]);
        let expected = json!({"StartTime": 1_700_000_000, "Values": [1, 2.5], "Blob": "AQID", "Text": "abc"});
        assert_eq!(decode(&body).unwrap(), expected);
    }

    #[test]
    fn a_compressed_body_is_read_and_a_bomb_is_refused() {
        use std::io::Write;
        let pack = |plain: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(decode(&pack(&encode(&json!({"Namespace": "N"})))).unwrap(), json!({"Namespace": "N"}));
        let bomb = pack(&vec![0x80; BODY_MAX_BYTES + 2]);
        assert!(decode(&bomb).unwrap_err().contains("more than"));
    }

    #[test]
    fn what_is_torn_deep_or_followed_by_more_is_refused() {
        assert!(decode(&[0xa1, 0x61]).is_err());
        assert!(decode(&vec![0x81; 10_000]).is_err());
        assert!(decode(&[0xa0, 0x00]).unwrap_err().contains("follow"));
        assert!(decode(&[0xa1, 0x01, 0x02]).unwrap_err().contains("key"));
        // A list that claims 2^40 items must not reserve them.
        assert!(decode(&[0x9b, 0, 0, 1, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn numbers_are_written_as_the_model_types_them() {
        let body = encode(&json!({"Period": 60, "Values": [1, 2], "Timestamp": 5, "Gone": null}));
        let read: Cbor = ciborium::from_reader(body.as_slice()).unwrap();
        let Cbor::Map(pairs) = read else { panic!("a map") };
        assert_eq!(pairs.len(), 3);
        for (name, value) in pairs {
            match name.as_text().unwrap() {
                "Period" => assert_eq!(value, Cbor::Integer(60.into())),
                "Values" => assert_eq!(value, Cbor::Array(vec![Cbor::Float(1.0), Cbor::Float(2.0)])),
                _ => assert_eq!(value, Cbor::Tag(1, Box::new(Cbor::Float(5.0)))),
            }
        }
    }

    #[test]
    fn an_error_has_a_qualified_type_and_keeps_the_doors_members_out() {
        let mut error = ApiError::new(404, "ResourceNotFound", "no such alarm");
        error.members.insert("__query_code".to_owned(), json!("ResourceNotFound"));
        assert_eq!(
            decode(&encode_error(&error)).unwrap(),
            json!({"__type": "com.amazonaws.cloudwatch#ResourceNotFound", "message": "no such alarm"})
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&body);
        }

        #[test]
        fn text_and_integers_survive(name in "[a-z]{1,8}", text in ".{0,40}", integer in any::<i64>()) {
            let value = json!({ name: [text, integer] });
            prop_assert_eq!(decode(&encode(&value)).unwrap(), value);
        }
    }
}
