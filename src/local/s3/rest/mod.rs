//! S3's REST door: from a request's method, address and headers to an operation, and back to XML.
//!
//! Source: S3 API reference, "Request Syntax" of each action.

mod address;
mod objects;
mod operation;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use self::address::Address;
use super::checksum::{self, Algorithm, Checksum};
use super::settings::SETTINGS;
use super::{S3, chunked, error, shapes};
use crate::local::service::ApiError;

pub use self::operation::operation;

type Answer = Result<Response<Bytes>, ApiError>;

/// Subresources that this endpoint does not have: asked for, they must not be mistaken for the plain request.
const NOT_IMPLEMENTED: [&str; 29] = [
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "attributes",
    "cors",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "logging",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "policyStatus",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "torrent",
    "website",
];
/// Headers that change what a request means, in ways that this endpoint does not have.
const HEADERS_NOT_IMPLEMENTED: [&str; 5] = [
    "x-amz-copy-source",
    "x-amz-object-lock-mode",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-tagging",
    "x-amz-write-offset-bytes",
];

/// A request, taken apart.
struct Call {
    method: Method,
    address: Address,
    headers: HeaderMap,
    body: Bytes,
    /// What the body's trailers added.
    trailers: Vec<(String, String)>,
}

impl Call {
    fn read(request: http::Request<Bytes>) -> Result<Call, ApiError> {
        let (parts, body) = request.into_parts();
        let address = Address::read(&parts.uri, &parts.headers)?;
        let mut call =
            Call { method: parts.method, address, headers: parts.headers, body, trailers: Vec::new() };
        if chunked::is_chunked(&call.headers) {
            let length = call.header("x-amz-decoded-content-length").and_then(|length| length.parse().ok());
            let decoded = chunked::decode(&call.body, length)?;
            (call.body, call.trailers) = (decoded.body, decoded.trailers);
        } else if let Some(hash) = call.header("x-amz-content-sha256") {
            checksum::verify_payload_hash(&call.body, hash)?;
        }
        if let Some(md5) = call.header("content-md5") {
            checksum::verify_md5(&call.body, md5)?;
        }
        if let Some(checksum) = call.checksum() {
            // A Complete request's header is about the object, not about the request's body.
            if !(call.method == Method::POST && call.query("uploadId").is_some()) {
                checksum.verify(&call.body)?;
            }
        }
        Ok(call)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.address.query.get(name).map(String::as_str)
    }

    /// The checksum in a header, or in a trailer.
    fn checksum(&self) -> Option<Checksum> {
        Algorithm::ALL.into_iter().find_map(|algorithm| {
            let name = algorithm.header();
            let trailer = || self.trailers.iter().find(|(trailer, _)| *trailer == name);
            let value = self.header(&name).or_else(|| trailer().map(|(_, value)| value.as_str()))?;
            Some(Checksum { algorithm, value: value.to_owned() })
        })
    }
}

pub fn answer(s3: &S3, request: http::Request<Bytes>) -> Response<Bytes> {
    let request_id = s3.request_id();
    let resource = request.uri().path().to_owned();
    let is_head = request.method() == Method::HEAD;
    let answered = Call::read(request).and_then(|call| route(s3, &call));
    let mut response = answered.unwrap_or_else(|error| refusal(&error, &resource, &request_id));
    if is_head {
        // The headers stand as they would for GET, Content-Length included.
        *response.body_mut() = Bytes::new();
    }
    put_header(&mut response, "x-amz-request-id", &request_id);
    response
}

/// An error that came about before the request was looked at.
pub fn refused(s3: &S3, method: &Method, path: &str, error: &ApiError) -> Response<Bytes> {
    let request_id = s3.request_id();
    let mut response = refusal(error, path, &request_id);
    if *method == Method::HEAD {
        *response.body_mut() = Bytes::new();
    }
    put_header(&mut response, "x-amz-request-id", &request_id);
    response
}

fn route(s3: &S3, call: &Call) -> Answer {
    if let Some(owner) = call.header("x-amz-expected-bucket-owner")
        && owner != s3.context.account
    {
        return Err(ApiError::new(403, "AccessDenied", "Access Denied"));
    }
    if let Some(name) = NOT_IMPLEMENTED.into_iter().find(|name| call.query(name).is_some()) {
        return Err(error::not_implemented(&format!("?{name}")));
    }
    if let Some(name) = HEADERS_NOT_IMPLEMENTED.into_iter().find(|name| call.headers.contains_key(*name)) {
        return Err(error::not_implemented(name));
    }
    match (call.address.bucket.as_deref(), call.address.key.as_deref()) {
        (None, _) if call.method == Method::GET => {
            let input = json!({"Prefix": call.query("prefix")});
            Ok(xml("ListAllMyBucketsResult", &s3.operate("ListBuckets", input)?))
        }
        (None, _) => Err(method_not_allowed(call)),
        (Some(bucket), None) => bucket_route(s3, call, bucket),
        (Some(bucket), Some(key)) => objects::route(s3, call, bucket, key),
    }
}

fn bucket_route(s3: &S3, call: &Call, bucket: &str) -> Answer {
    if let Some(setting) = SETTINGS.iter().find(|setting| call.query(setting.query).is_some()) {
        return setting_route(s3, call, bucket, setting);
    }
    let plain = json!({"Bucket": bucket});
    match call.method {
        Method::PUT => create_bucket(s3, call, bucket),
        Method::HEAD => {
            s3.operate("HeadBucket", plain)?;
            let mut response = empty(StatusCode::OK);
            put_header(&mut response, "x-amz-bucket-region", &s3.context.region);
            Ok(response)
        }
        Method::DELETE => {
            s3.operate("DeleteBucket", plain)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Method::POST if call.query("delete").is_some() => {
            let delete = shapes::parse("Delete", &call.body)?;
            let output = s3.operate("DeleteObjects", json!({"Bucket": bucket, "Delete": delete}))?;
            Ok(xml("DeleteResult", &output))
        }
        Method::POST => Err(error::not_implemented("browser uploads with POST")),
        Method::GET => bucket_get(s3, call, bucket),
        _ => Err(method_not_allowed(call)),
    }
}

fn bucket_get(s3: &S3, call: &Call, bucket: &str) -> Answer {
    if call.query("location").is_some() {
        let output = s3.operate("GetBucketLocation", json!({"Bucket": bucket}))?;
        return Ok(xml("LocationConstraint", &output["LocationConstraint"]));
    }
    let (operation, root) = if call.query("versions").is_some() {
        ("ListObjectVersions", "ListVersionsResult")
    } else if call.query("uploads").is_some() {
        ("ListMultipartUploads", "ListMultipartUploadsResult")
    } else if call.query("list-type") == Some("2") {
        ("ListObjectsV2", "ListBucketResult")
    } else {
        ("ListObjects", "ListBucketResult")
    };
    Ok(xml(root, &s3.operate(operation, list_input(call, bucket)?)?))
}

fn list_input(call: &Call, bucket: &str) -> Result<Value, ApiError> {
    const MEMBERS: [(&str, &str); 8] = [
        ("prefix", "Prefix"),
        ("delimiter", "Delimiter"),
        ("marker", "Marker"),
        ("continuation-token", "ContinuationToken"),
        ("start-after", "StartAfter"),
        ("encoding-type", "EncodingType"),
        ("key-marker", "KeyMarker"),
        ("version-id-marker", "VersionIdMarker"),
    ];
    let mut input = Map::from_iter([("Bucket".to_owned(), json!(bucket))]);
    for (name, member) in MEMBERS {
        if let Some(value) = call.query(name) {
            input.insert(member.to_owned(), json!(value));
        }
    }
    if let Some(max_keys) = call.query("max-keys").filter(|text| !text.is_empty()) {
        let message = "Provided max-keys not an integer or within integer range";
        let max_keys: u32 = max_keys.parse().map_err(|_| error::invalid_argument(message))?;
        input.insert("MaxKeys".to_owned(), json!(max_keys));
    }
    Ok(Value::Object(input))
}

fn create_bucket(s3: &S3, call: &Call, bucket: &str) -> Answer {
    let mut input = json!({"Bucket": bucket});
    if !call.body.is_empty() {
        input["CreateBucketConfiguration"] = shapes::parse("CreateBucketConfiguration", &call.body)?;
    }
    match s3.operate("CreateBucket", input) {
        // Creating a bucket of one's own again succeeds in this one region. S3 API reference, CreateBucket.
        Err(error) if error.code == "BucketAlreadyOwnedByYou" && s3.context.region == "us-east-1" => {}
        answer => drop(answer?),
    }
    let mut response = empty(StatusCode::OK);
    put_header(&mut response, "location", &format!("/{bucket}"));
    put_header(&mut response, "x-amz-bucket-arn", &format!("arn:aws:s3:::{bucket}"));
    Ok(response)
}

fn setting_route(s3: &S3, call: &Call, bucket: &str, setting: &super::settings::Setting) -> Answer {
    match call.method {
        Method::PUT => {
            let value = if setting.query == "policy" {
                json!(String::from_utf8_lossy(&call.body))
            } else {
                shapes::parse(setting.member, &call.body)?
            };
            let input = json!({"Bucket": bucket, setting.member: value});
            s3.operate(&format!("Put{}", setting.suffix), input)?;
            Ok(empty(if setting.query == "policy" { StatusCode::NO_CONTENT } else { StatusCode::OK }))
        }
        Method::GET => {
            let document = setting.document(s3.store().bucket(bucket)?)?;
            match document.as_str() {
                // A policy is JSON on the wire too.
                Some(policy) => Ok(with_type(Bytes::copy_from_slice(policy.as_bytes()), "application/json")),
                None => Ok(xml(setting.member, &document)),
            }
        }
        Method::DELETE if setting.query != "versioning" => {
            s3.operate(&format!("Delete{}", setting.suffix), json!({"Bucket": bucket}))?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(method_not_allowed(call)),
    }
}

fn method_not_allowed(call: &Call) -> ApiError {
    let message = "The specified method is not allowed against this resource.";
    error::with(ApiError::new(405, "MethodNotAllowed", message), "Method", call.method.as_str())
}

fn refusal(error: &ApiError, resource: &str, request_id: &str) -> Response<Bytes> {
    let mut response = with_type(shapes::error_document(error, resource, request_id), "application/xml");
    *response.status_mut() = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if error.members.contains_key("DeleteMarker") {
        put_header(&mut response, "x-amz-delete-marker", "true");
    }
    response
}

fn xml(root: &str, content: &Value) -> Response<Bytes> {
    with_type(shapes::document(root, content), "application/xml")
}

fn with_type(body: Bytes, content_type: &str) -> Response<Bytes> {
    let mut response = Response::new(body);
    put_header(&mut response, header::CONTENT_TYPE.as_str(), content_type);
    response
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A value that no header can carry is left out: it can only be user metadata given in JSON.
fn put_header(response: &mut Response<Bytes>, name: &str, value: &str) {
    let name = http::HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        response.headers_mut().insert(name, value);
    }
}
