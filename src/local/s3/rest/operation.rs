//! The name of the operation that a request means, for those who look at requests from outside.

use bytes::Bytes;
use http::{Method, Request};

use super::address::Address;
use crate::local::s3::settings::SETTINGS;

/// As the API model names it; empty for what this endpoint does not have.
pub fn operation(request: &Request<Bytes>) -> String {
    let Ok(address) = Address::read(request.uri(), request.headers()) else { return String::new() };
    let has = |parameter: &str| address.query.contains_key(parameter);
    let method = request.method();
    if address.key.is_some() {
        return of_object(method, has("uploadId"), has("uploads")).to_owned();
    }
    if address.bucket.is_none() {
        return if *method == Method::GET { "ListBuckets".to_owned() } else { String::new() };
    }
    match SETTINGS.iter().find(|setting| has(setting.query)) {
        Some(setting) => of_setting(method, setting.suffix),
        None => of_bucket(method, has, address.query.get("list-type").map(String::as_str)).to_owned(),
    }
}

fn of_object(method: &Method, is_part: bool, is_upload: bool) -> &'static str {
    match (method.as_str(), is_part) {
        ("PUT", true) => "UploadPart",
        ("PUT", false) => "PutObject",
        ("POST", true) => "CompleteMultipartUpload",
        ("POST", false) if is_upload => "CreateMultipartUpload",
        ("GET", true) => "ListParts",
        ("GET", false) => "GetObject",
        ("HEAD", _) => "HeadObject",
        ("DELETE", true) => "AbortMultipartUpload",
        ("DELETE", false) => "DeleteObject",
        _ => "",
    }
}

fn of_bucket(method: &Method, has: impl Fn(&str) -> bool, list_type: Option<&str>) -> &'static str {
    match method.as_str() {
        "PUT" => "CreateBucket",
        "HEAD" => "HeadBucket",
        "DELETE" => "DeleteBucket",
        "POST" if has("delete") => "DeleteObjects",
        "GET" if has("location") => "GetBucketLocation",
        "GET" if has("versions") => "ListObjectVersions",
        "GET" if has("uploads") => "ListMultipartUploads",
        "GET" if list_type == Some("2") => "ListObjectsV2",
        "GET" => "ListObjects",
        _ => "",
    }
}

fn of_setting(method: &Method, suffix: &str) -> String {
    match (method.as_str(), suffix) {
        // Its Delete alone has another name than its Put.
        ("DELETE", "BucketLifecycleConfiguration") => "DeleteBucketLifecycle".to_owned(),
        ("PUT", _) => format!("Put{suffix}"),
        ("GET", _) => format!("Get{suffix}"),
        ("DELETE", _) => format!("Delete{suffix}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_as_the_api_model_names_them() {
        for (method, address, name) in [
            ("GET", "/", "ListBuckets"),
            ("PUT", "/bucket", "CreateBucket"),
            ("GET", "/bucket?list-type=2&prefix=a", "ListObjectsV2"),
            ("GET", "/bucket?location", "GetBucketLocation"),
            ("PUT", "/bucket?policy", "PutBucketPolicy"),
            ("DELETE", "/bucket?lifecycle", "DeleteBucketLifecycle"),
            ("POST", "/bucket?delete", "DeleteObjects"),
            ("PUT", "/bucket/a/key", "PutObject"),
            ("HEAD", "/bucket/a/key", "HeadObject"),
            ("PUT", "/bucket/key?partNumber=1&uploadId=u", "UploadPart"),
            ("POST", "/bucket/key?uploads", "CreateMultipartUpload"),
            ("PATCH", "/bucket/key", ""),
        ] {
            let request = Request::builder().method(method).uri(address).header("host", "localhost:4566");
            assert_eq!(operation(&request.body(Bytes::new()).expect("request")), name, "{method} {address}");
        }
    }
}
