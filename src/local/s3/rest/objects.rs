//! Requests about one object.

use std::ops::Range;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Call, empty, method_not_allowed, put_header, xml};
use crate::local::s3::checksum::Algorithm;
use crate::local::s3::multipart::{Stored, UploadSettings};
use crate::local::s3::operations::{DEFAULT_CONTENT_TYPE, STORED_HEADERS, precondition_failed};
use crate::local::s3::store::{Attributes, Object, Version};
use crate::local::s3::{S3, error, shapes};
use crate::local::service::ApiError;

pub fn route(s3: &S3, call: &Call, bucket: &str, key: &str) -> Answer {
    if call.query("tagging").is_some() {
        return Err(error::not_implemented("object tags"));
    }
    // A bucket has this subresource; on an object it must not be mistaken for the object itself.
    if call.query("encryption").is_some() {
        return Err(error::not_implemented("changing an object's encryption"));
    }
    let upload_id = call.query("uploadId");
    match (&call.method, upload_id) {
        (&Method::PUT, Some(id)) => upload_part(s3, call, (bucket, key, id)),
        (&Method::PUT, None) => put(s3, call, bucket, key),
        (&Method::POST, Some(id)) => complete(s3, call, (bucket, key, id)),
        (&Method::POST, None) if call.query("uploads").is_some() => create_upload(s3, call, bucket, key),
        (&Method::GET, Some(id)) => {
            let input = json!({"Bucket": bucket, "Key": key, "UploadId": id});
            Ok(xml("ListPartsResult", &s3.operate("ListParts", input)?))
        }
        (&Method::GET | &Method::HEAD, _) if call.query("partNumber").is_some() => {
            Err(error::not_implemented("reading single parts (?partNumber)"))
        }
        (&Method::GET | &Method::HEAD, _) => get(s3, call, bucket, key),
        (&Method::DELETE, Some(id)) => {
            s3.store().abort_upload(bucket, key, id)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (&Method::DELETE, None) => delete(s3, call, bucket, key),
        _ => Err(method_not_allowed(call)),
    }
}

fn attributes(call: &Call) -> Attributes {
    let mut attributes = Attributes { checksum: call.checksum(), ..Attributes::default() };
    for (_, name) in STORED_HEADERS {
        let Some(value) = call.header(name) else { continue };
        let value = if name == "content-encoding" { without_aws_chunked(value) } else { value.to_owned() };
        if !value.is_empty() {
            attributes.headers.insert(name, value);
        }
    }
    for (name, value) in &call.headers {
        if let Some(name) = name.as_str().strip_prefix("x-amz-meta-") {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            attributes.metadata.insert(name.to_owned(), value);
        }
    }
    attributes
}

/// `aws-chunked` is about the transfer, not about the object. S3 API reference, PutObject.
fn without_aws_chunked(value: &str) -> String {
    let codings = value.split(',').map(str::trim);
    let kept: Vec<&str> = codings.filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked")).collect();
    kept.join(",")
}

fn put(s3: &S3, call: &Call, bucket: &str, key: &str) -> Answer {
    let if_absent = match (call.header("if-none-match"), call.header("if-match")) {
        (None, None) => false,
        (Some("*"), None) => true,
        _ => return Err(error::not_implemented("conditional puts other than If-None-Match: *")),
    };
    let stored = s3.put_object(bucket, key, Object::new(call.body.clone(), attributes(call)), if_absent)?;
    Ok(stored_response(&stored))
}

fn stored_response(stored: &Stored) -> Response<Bytes> {
    let mut response = empty(StatusCode::OK);
    put_header(&mut response, "etag", &stored.etag);
    if let Some(id) = &stored.version_id {
        put_header(&mut response, "x-amz-version-id", id);
    }
    if let Some(checksum) = &stored.checksum {
        put_header(&mut response, &checksum.algorithm.header(), &checksum.value);
        put_header(&mut response, "x-amz-checksum-type", checksum.kind());
    }
    response
}

fn get(s3: &S3, call: &Call, bucket: &str, key: &str) -> Answer {
    let (version, object, versioned) = s3.get_object(bucket, key, call.query("versionId"))?;
    let matches = |tags: &str| tags.split(',').any(|tag| tag.trim() == "*" || tag.trim() == object.etag);
    if call.header("if-match").is_some_and(|tags| !matches(tags)) {
        return Err(precondition_failed("If-Match"));
    }
    let mut response = empty(StatusCode::OK);
    describe(&mut response, call, &version, &object, versioned);
    if call.header("if-none-match").is_some_and(matches) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let length = object.body.len() as u64;
    let range = match call.header("range").map(|text| range(text, length)) {
        None | Some(Requested::Whole) => None,
        Some(Requested::Part(range)) => Some(range),
        Some(Requested::Unsatisfiable) => {
            let message = "The requested range is not satisfiable";
            let error = ApiError::new(416, "InvalidRange", message);
            return Err(error::with(error, "ActualObjectSize", &length.to_string()));
        }
    };
    if let Some(Range { start, end }) = range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        put_header(&mut response, "content-range", &format!("bytes {start}-{}/{length}", end - 1));
        *response.body_mut() = object.body.slice(start as usize..end as usize);
    } else {
        if let Some(checksum) = &object.attributes.checksum
            && call.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
        {
            put_header(&mut response, &checksum.algorithm.header(), &checksum.value);
            put_header(&mut response, "x-amz-checksum-type", checksum.kind());
        }
        *response.body_mut() = object.body;
    }
    let length = response.body().len();
    put_header(&mut response, "content-length", &length.to_string());
    Ok(response)
}

fn describe(
    response: &mut Response<Bytes>,
    call: &Call,
    version: &Version,
    object: &Object,
    versioned: bool,
) {
    put_header(response, "etag", &object.etag);
    put_header(response, "last-modified", &http_date(version.modified_us));
    put_header(response, "accept-ranges", "bytes");
    put_header(response, "content-type", DEFAULT_CONTENT_TYPE);
    if versioned {
        put_header(response, "x-amz-version-id", &version.id);
    }
    for (_, name) in STORED_HEADERS {
        // A signed request may ask for other headers. S3 API reference, GetObject, `response-content-type`.
        let asked = call.query(&format!("response-{name}"));
        if let Some(value) = asked.or(object.attributes.headers.get(name).map(String::as_str)) {
            put_header(response, name, value);
        }
    }
    for (name, value) in &object.attributes.metadata {
        put_header(response, &format!("x-amz-meta-{name}"), value);
    }
}

/// `Wed, 12 Oct 2009 17:50:00 GMT`.
fn http_date(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us)
        .map_or_else(|_| String::new(), |time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

#[derive(Debug, PartialEq, Eq)]
enum Requested {
    /// What is no range, or several, is answered with everything. RFC 9110, 14.2.
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

/// `bytes=0-499`, `bytes=500-`, `bytes=-500` of an object of `length` bytes. RFC 9110, 14.1.2.
fn range(text: &str, length: u64) -> Requested {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Requested::Whole;
    };
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => suffix.parse().ok().map(|suffix: u64| length.saturating_sub(suffix)..length),
        (first, "") => first.parse().ok().map(|first| first..length),
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => Some(first..last.saturating_add(1).min(length)),
            _ => None,
        },
    };
    match range {
        None => Requested::Whole,
        Some(range) if range.start >= range.end => Requested::Unsatisfiable,
        Some(range) => Requested::Part(range),
    }
}

fn delete(s3: &S3, call: &Call, bucket: &str, key: &str) -> Answer {
    let deleted = s3.store().delete(bucket, key, call.query("versionId"), s3.now_us())?;
    let mut response = empty(StatusCode::NO_CONTENT);
    if let Some(id) = &deleted.version_id {
        put_header(&mut response, "x-amz-version-id", id);
    }
    if deleted.marker {
        put_header(&mut response, "x-amz-delete-marker", "true");
    }
    Ok(response)
}

fn create_upload(s3: &S3, call: &Call, bucket: &str, key: &str) -> Answer {
    let algorithm = call.header("x-amz-checksum-algorithm").map(|name| {
        Algorithm::named(name)
            .ok_or_else(|| error::invalid_argument("Checksum algorithm provided is unsupported"))
    });
    let full_object = call.header("x-amz-checksum-type") == Some("FULL_OBJECT");
    let settings =
        UploadSettings { attributes: attributes(call), algorithm: algorithm.transpose()?, full_object };
    let algorithm = settings.algorithm;
    let id = s3.store().create_upload(bucket, key, settings, s3.now_us())?;
    let output = json!({"Bucket": bucket, "Key": key, "UploadId": id});
    let mut response = xml("InitiateMultipartUploadResult", &output);
    if let Some(algorithm) = algorithm {
        put_header(&mut response, "x-amz-checksum-algorithm", algorithm.name());
        let kind = if full_object { "FULL_OBJECT" } else { "COMPOSITE" };
        put_header(&mut response, "x-amz-checksum-type", kind);
    }
    Ok(response)
}

fn upload_part(s3: &S3, call: &Call, upload: (&str, &str, &str)) -> Answer {
    let number = call.query("partNumber").and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| error::invalid_argument("Part number must be an integer"))?;
    let checksum = call.checksum();
    let etag = s3.store().upload_part(upload, number, call.body.clone(), checksum.clone(), s3.now_us())?;
    let mut response = empty(StatusCode::OK);
    put_header(&mut response, "etag", &etag);
    if let Some(checksum) = checksum {
        put_header(&mut response, &checksum.algorithm.header(), &checksum.value);
    }
    Ok(response)
}

fn complete(s3: &S3, call: &Call, (bucket, key, id): (&str, &str, &str)) -> Answer {
    if call.headers.contains_key("if-none-match") || call.headers.contains_key("if-match") {
        return Err(error::not_implemented("conditional completion of uploads"));
    }
    let parts = shapes::parse("CompleteMultipartUpload", &call.body)?;
    let input = json!({"Bucket": bucket, "Key": key, "UploadId": id, "MultipartUpload": parts});
    let mut output = s3.operate("CompleteMultipartUpload", input)?;
    let version_id = output.as_object_mut().and_then(|members| members.remove("VersionId"));
    let mut response = xml("CompleteMultipartUploadResult", &output);
    if let Some(id) = version_id.as_ref().and_then(Value::as_str) {
        put_header(&mut response, "x-amz-version-id", id);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 9110, 14.1.2, for a representation of 10,000 bytes.
    #[test]
    fn the_published_ranges_are_understood() {
        assert_eq!(range("bytes=0-499", 10_000), Requested::Part(0..500));
        assert_eq!(range("bytes=500-999", 10_000), Requested::Part(500..1_000));
        assert_eq!(range("bytes=-500", 10_000), Requested::Part(9_500..10_000));
        assert_eq!(range("bytes=9500-", 10_000), Requested::Part(9_500..10_000));
        assert_eq!(range("bytes=0-0,-1", 10_000), Requested::Whole);
        assert_eq!(range("bytes=-20000", 10_000), Requested::Part(0..10_000));
        assert_eq!(range("bytes=10000-", 10_000), Requested::Unsatisfiable);
        assert_eq!(range("bytes=-0", 10_000), Requested::Unsatisfiable);
        assert_eq!(range("bytes=5-4", 10_000), Requested::Whole);
        assert_eq!(range("bytes=0-18446744073709551615", 10), Requested::Part(0..10));
        assert_eq!(range("lines=0-1", 10_000), Requested::Whole);
    }

    #[test]
    fn dates_and_encodings_are_as_http_has_them() {
        assert_eq!(http_date(784_111_777_000_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(without_aws_chunked("aws-chunked"), "");
        assert_eq!(without_aws_chunked("aws-chunked, gzip"), "gzip");
    }
}
