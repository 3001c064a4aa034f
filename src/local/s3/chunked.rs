//! `aws-chunked` bodies: what SDKs send when they sign or checksum a body while streaming it.
//!
//! Source: S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in
//! Multiple Chunks" and "... including trailing headers":
//! `<size in hex>[;chunk-signature=<signature>]\r\n<data>\r\n`, ended by a chunk of size 0, after which
//! `name:value` trailers may follow.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::error;
use crate::local::service::ApiError;

/// Longest line of sizes or trailers: far above any signature.
const LINE_MAX_BYTES: usize = 4_096;
/// S3 defines one checksum and one signature trailer; a few more do no harm.
const TRAILERS_MAX: usize = 16;

/// A body as the client meant it.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub body: Bytes,
    /// Names in lower case.
    pub trailers: Vec<(String, String)>,
}

/// Whether the body comes in chunks: said by `x-amz-content-sha256`, or by `content-encoding`.
pub fn is_chunked(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text("x-amz-content-sha256").starts_with("STREAMING-")
        || text("content-encoding").split(',').any(|coding| coding.trim().eq_ignore_ascii_case("aws-chunked"))
}

/// Takes the chunks apart. Chunk signatures are not checked: the endpoint knows no secret keys.
///
/// # Errors
/// `IncompleteBody` when the body ends early or is not `decoded_length` long; `InvalidRequest` when the
/// framing is wrong.
pub fn decode(body: &Bytes, decoded_length: Option<u64>) -> Result<Decoded, ApiError> {
    let mut rest = body.clone();
    let mut data = BytesMut::with_capacity(body.len());
    loop {
        let line = take_line(&mut rest)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(size, 16).map_err(|_| framing("a chunk's size is not hexadecimal"))?;
        if size == 0 {
            break;
        }
        if rest.len() < size {
            return Err(incomplete());
        }
        data.extend_from_slice(&rest.split_to(size));
        if !take_line(&mut rest)?.is_empty() {
            return Err(framing("a chunk's data is longer than its size"));
        }
    }
    if decoded_length.is_some_and(|length| length != data.len() as u64) {
        return Err(incomplete());
    }
    Ok(Decoded { body: data.freeze(), trailers: trailers(&mut rest)? })
}

fn trailers(rest: &mut Bytes) -> Result<Vec<(String, String)>, ApiError> {
    let mut trailers = Vec::new();
    while !rest.is_empty() {
        let line = take_line(rest)?;
        if line.is_empty() {
            break;
        }
        if trailers.len() == TRAILERS_MAX {
            return Err(framing("too many trailers"));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| framing("a trailer has no colon"))?;
        trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(trailers)
}

/// A line up to CR LF, or up to a bare LF, which some SDKs end trailers with.
fn take_line(rest: &mut Bytes) -> Result<String, ApiError> {
    let window = &rest[..rest.len().min(LINE_MAX_BYTES)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return Err(if rest.len() < LINE_MAX_BYTES { incomplete() } else { framing("a line is too long") });
    };
    let mut line = rest.split_to(end + 1);
    line.truncate(end);
    if line.last() == Some(&b'\r') {
        line.truncate(end - 1);
    }
    String::from_utf8(line.to_vec()).map_err(|_| framing("a line is not text"))
}

fn incomplete() -> ApiError {
    ApiError::invalid(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )
}

fn framing(what: &str) -> ApiError {
    error::with(ApiError::invalid("InvalidRequest", "The aws-chunked body is malformed"), "Reason", what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the S3 API reference: 66,560 bytes of `a` in chunks of 64 KiB and 1 KiB.
    #[test]
    fn the_published_signed_example_is_taken_apart() {
        let mut body =
            b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
                .to_vec();
        body.extend(vec![b'a'; 65_536]);
        body.extend(
            b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
        );
        body.extend(vec![b'a'; 1_024]);
        body.extend(
            b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
        );
        let decoded = decode(&Bytes::from(body), Some(66_560)).unwrap();
        assert_eq!(decoded.body, vec![b'a'; 66_560]);
        assert!(decoded.trailers.is_empty());
    }

    #[test]
    fn trailers_are_read_with_either_line_end() {
        let body = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\nX-Amz-Trailer-Signature:ab\n\r\n";
        let decoded = decode(&Bytes::from(body), Some(5)).unwrap();
        assert_eq!(decoded.body, "hello");
        assert_eq!(decoded.trailers[0], ("x-amz-checksum-crc32".into(), "NhCmhg==".into()));
        assert_eq!(decoded.trailers[1], ("x-amz-trailer-signature".into(), "ab".into()));
    }

    #[test]
    fn broken_bodies_are_refused() {
        let code = |body: &str, length| decode(&Bytes::from(body.to_owned()), length).unwrap_err().code;
        assert_eq!(code("5\r\nhel", Some(5)), "IncompleteBody");
        assert_eq!(code("5\r\nhello\r\n", Some(5)), "IncompleteBody");
        assert_eq!(code("5\r\nhello\r\n0\r\n\r\n", Some(6)), "IncompleteBody");
        assert_eq!(code("3\r\nhello\r\n0\r\n\r\n", Some(5)), "InvalidRequest");
        assert_eq!(code("zz\r\n", None), "InvalidRequest");
    }

    proptest! {
        #[test]
        fn what_was_framed_comes_back(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8)) {
            let mut framed = Vec::new();
            for chunk in &chunks {
                framed.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                framed.extend(chunk);
                framed.extend(b"\r\n");
            }
            framed.extend(b"0\r\n\r\n");
            let whole = chunks.concat();
            let decoded = decode(&Bytes::from(framed), Some(whole.len() as u64)).unwrap();
            prop_assert_eq!(decoded.body, whole);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&Bytes::from(bytes), None);
        }
    }
}
