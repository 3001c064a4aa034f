//! Whether an answer is one that a client can read.

use bytes::Bytes;
use http::{Method, Response};
use serde_json::Value;
use streamgauge::local::door::cbor;

use super::seeds::{Request, Wire};

/// Bytes of an answer: GetRecords gives the most, 10 MiB of data in base64 with its frame.
const ANSWER_MAX_BYTES: usize = 32 * 1_048_576;

/// # Panics
/// When the answer is not well-formed, an error says nothing, or the endpoint blames itself.
pub fn check(request: &Request, response: &Response<Bytes>) {
    let (status, body) = (response.status().as_u16(), response.body());
    let shown =
        || format!("{request:?}\n-> {status} {}", String::from_utf8_lossy(&body[..body.len().min(2_000)]));
    assert!(body.len() <= ANSWER_MAX_BYTES, "{} bytes: {}", body.len(), shown());
    // 501 is S3's NotImplemented. Any other 5xx would be our own fault.
    assert!(status < 500 || status == 501, "{}", shown());
    if status < 400 {
        let readable = match request.wire {
            Wire::Json => serde_json::from_slice::<Value>(body).is_ok(),
            Wire::Cbor => cbor::decode(body).is_ok(),
            Wire::Query => is_well_formed(body),
            // Payloads and objects are anything.
            Wire::Lambda | Wire::S3 => true,
        };
        assert!(readable, "{}", shown());
        return;
    }
    assert!(is_error(request, response), "{}", shown());
}

/// An error in one of the styles: which one depends on what is left of the request.
fn is_error(request: &Request, response: &Response<Bytes>) -> bool {
    let body = response.body();
    let has_code = response.headers().contains_key("x-amzn-errortype");
    match body.first() {
        None => request.method == Method::HEAD || response.status() == 304,
        Some(b'<') => is_well_formed(body) && body.windows(6).any(|part| part == b"<Code>"),
        Some(b'{') => {
            let error: Value = serde_json::from_slice(body).unwrap_or_default();
            let says = error["message"].is_string() || error["Message"].is_string();
            says && (has_code || error["__type"].is_string())
        }
        Some(_) => {
            cbor::decode(body).is_ok_and(|error| error["__type"].is_string() && error["message"].is_string())
        }
    }
}

/// Whether tags are balanced and text holds neither bare markup nor what XML 1.0 cannot.
fn is_well_formed(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let mut open = Vec::new();
    for piece in text.split('<').skip(1) {
        let Some((tag, after)) = piece.split_once('>') else { return false };
        let forbidden = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
        let entities = after.split('&').skip(1).all(|rest| {
            rest.split_once(';').is_some_and(|(name, _)| {
                matches!(name, "amp" | "lt" | "gt" | "quot" | "apos") || name.starts_with('#')
            })
        });
        if !entities || after.contains(forbidden) || tag.is_empty() {
            return false;
        }
        match tag.strip_prefix('/') {
            Some(name) if open.pop() != Some(name) => return false,
            Some(_) => {}
            None if tag.starts_with('?') || tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap_or_default()),
        }
    }
    open.is_empty() && text.starts_with('<')
}

#[test]
fn the_check_of_xml_can_fail() {
    assert!(is_well_formed(b"<?xml version=\"1.0\"?><a x=\"1\"><b>&lt;</b><c/></a>"));
    for broken in ["<a>", "<a></b>", "<a>&</a>", "<a>&x;</a>", "<a>\u{1}</a>", "a", "<a><b></a></b>"] {
        assert!(!is_well_formed(broken.as_bytes()), "{broken}");
    }
}
