//! Mutations: of bytes, and of trees of JSON, which also become CBOR and forms.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Applies one to four mutations to bytes; `other` is what is spliced in.
pub fn bytes(rng: &mut Rng, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(0..=bytes.len());
        let end = rng.usize(at..=bytes.len().min(at + 64));
        match rng.u8(0..9) {
            0 if !bytes.is_empty() => bytes[at.min(end.saturating_sub(1))] ^= 1 << rng.u8(0..8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].repeat(rng.usize(1..64));
                bytes.splice(at..at, piece);
            }
            4 => {
                let from = rng.usize(0..=other.len());
                bytes.splice(at..end, other[from..].iter().copied().take(256));
            }
            5 => {
                bytes.insert(at, rng.choice(*b"\0\xff\xc0\x80\"\\{}[](),:;.%&=<>/\r\n\t -+0e*!").unwrap_or(0))
            }
            6 => {
                drop(bytes.splice(at..end, std::iter::repeat_with(|| rng.u8(..)).take(8).collect::<Vec<_>>()))
            }
            7 => drop(bytes.splice(at..end, rng.choice(DIGITS).unwrap_or("0").bytes())),
            _ => {
                let open = rng.choice(["[", "{\"a\":", "(", "<a>", "- ", "\u{81}", "a."]).unwrap_or("[");
                bytes.splice(at..at, open.repeat(rng.usize(1..300)).into_bytes());
            }
        }
    }
    bytes
}

const DIGITS: [&str; 8] =
    ["-1", "0", "18446744073709551616", "9223372036854775807", "1e999", "-0.0", "2147483648", "NaN"];

/// Text with one of the mutations of bytes, still text.
pub fn text(rng: &mut Rng, text: &str) -> String {
    String::from_utf8_lossy(&bytes(rng, text.as_bytes().to_vec(), b"%2F%00..//?&#[]")).into_owned()
}

/// Changes one to three nodes of a tree.
pub fn tree(rng: &mut Rng, value: &mut Value) {
    for _ in 0..rng.usize(1..=3) {
        let target = rng.usize(0..count(value));
        change(rng, value, &mut { target });
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Walks to the node with the number `target` and changes it; whether it was found.
fn change(rng: &mut Rng, value: &mut Value, target: &mut usize) -> bool {
    if *target == 0 {
        *value = changed(rng, value);
        return true;
    }
    *target -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(rng, item, target)),
        Value::Object(members) => members.values_mut().any(|member| change(rng, member, target)),
        _ => false,
    }
}

fn changed(rng: &mut Rng, value: &Value) -> Value {
    match (rng.u8(0..8), value) {
        (0..=2, Value::String(old)) => text(rng, old).into(),
        (0..=2, Value::Object(members)) => {
            let mut members = members.clone();
            if let Some(name) = rng.choice(members.keys().cloned().collect::<Vec<_>>()) {
                let member = members.remove(&name).unwrap_or_default();
                if rng.bool() {
                    members.insert(text(rng, &name), member);
                }
            }
            Value::Object(members)
        }
        (0..=1, Value::Array(items)) => {
            let length = items.len() * rng.usize(0..200);
            items.iter().cycle().take(length).cloned().collect::<Vec<_>>().into()
        }
        (2, Value::Array(items)) => items.first().cloned().unwrap_or_default(),
        (3, value) => Value::Array(vec![value.clone(); rng.usize(0..3)]),
        (4, value) => nested(value.clone(), rng.usize(1..100)),
        _ => interesting(rng),
    }
}

fn nested(mut value: Value, levels: usize) -> Value {
    for level in 0..levels {
        value = if level % 2 == 0 { json!([value]) } else { json!({"a": value}) };
    }
    value
}

fn interesting(rng: &mut Rng) -> Value {
    match rng.u8(0..14) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(i64::MAX),
        5 => json!(u64::MAX),
        6 => json!(1e300),
        7 => json!(-1e300),
        8 => json!(0.5),
        9 => json!(""),
        10 => json!("x".repeat(rng.usize(1..5_000))),
        11 => json!("\u{0}\u{ffff}\u{10ffff}é\"<&"),
        12 => Value::Object(Map::new()),
        _ => json!(rng.choice(DIGITS)),
    }
}

/// JSON with a key written twice, which no tree can hold.
pub fn with_duplicate_key(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    match value.as_object().and_then(|members| members.iter().next()) {
        Some((name, member)) => {
            format!("{{{}:{member},{}", Value::from(name.as_str()), &text[1..]).into_bytes()
        }
        None => text.into_bytes(),
    }
}

/// A tree as the query protocol writes it: `A.member.1.B=x`.
pub fn form(value: &Value) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    flatten(&mut pairs, "", value);
    pairs
}

fn flatten(pairs: &mut Vec<(String, String)>, name: &str, value: &Value) {
    let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Array(items) => {
            for (item, number) in items.iter().zip(1..) {
                flatten(pairs, &below(&format!("member.{number}")), item);
            }
        }
        Value::Object(members) => {
            members.iter().for_each(|(member, value)| flatten(pairs, &below(member), value));
        }
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        other => pairs.push((name.to_owned(), other.to_string())),
    }
}
