//! S3's operations on AWS-shaped JSON. What carries bodies has typed functions, which the REST door calls too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::checksum::{Algorithm, Checksum};
use super::list::{self, seconds};
use super::multipart::{Stored, UploadSettings};
use super::store::{Attributes, Deleted, Object, Version, version_members};
use super::{S3, error, settings};
use crate::local::service::{ApiError, ApiResult, unknown_operation};

/// Objects of one DeleteObjects call. S3 API reference.
const DELETE_OBJECTS_MAX: usize = 1_000;

/// Members of Put that come back with Get, and their headers. S3 API reference, PutObject.
pub const STORED_HEADERS: [(&str, &str); 6] = [
    ("CacheControl", "cache-control"),
    ("ContentDisposition", "content-disposition"),
    ("ContentEncoding", "content-encoding"),
    ("ContentLanguage", "content-language"),
    ("ContentType", "content-type"),
    ("Expires", "expires"),
];

/// What an object without a type has. S3 API reference, PutObject.
pub const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

impl S3 {
    pub(super) fn operate(&self, operation: &str, input: Value) -> ApiResult {
        match operation {
            "ListBuckets" => return Ok(self.list_buckets(&input)),
            "CreateBucket" => return self.create_bucket(&input),
            "PutObject" => return self.put_object_json(&input),
            "GetObject" | "HeadObject" => return self.get_object_json(&input, operation == "GetObject"),
            "DeleteObjects" => return self.delete_objects(&input),
            "UploadPart" => return self.upload_part_json(&input),
            "CompleteMultipartUpload" => return self.complete_upload_json(&input),
            _ => {}
        }
        let bucket = text(&input, "Bucket")?;
        let mut store = self.store();
        match operation {
            "DeleteBucket" => store.delete_bucket(bucket).map(|()| json!({})),
            "HeadBucket" => {
                store.bucket(bucket)?;
                Ok(json!({"BucketRegion": self.context.region}))
            }
            "GetBucketLocation" => {
                store.bucket(bucket)?;
                let region = &self.context.region;
                Ok(json!({"LocationConstraint": (region != "us-east-1").then_some(region)}))
            }
            "DeleteObject" => {
                let version_id = input["VersionId"].as_str();
                let deleted = store.delete(bucket, text(&input, "Key")?, version_id, self.now_us())?;
                Ok(version_members(deleted.version_id.as_deref(), deleted.marker))
            }
            "ListObjects" => list::objects(store.bucket(bucket)?, &input),
            "ListObjectsV2" => list::objects_v2(store.bucket(bucket)?, &input),
            "ListObjectVersions" => list::versions(store.bucket(bucket)?, &input),
            "CreateMultipartUpload" => {
                let key = text(&input, "Key")?;
                let id = store.create_upload(bucket, key, upload_settings(&input)?, self.now_us())?;
                Ok(json!({"Bucket": bucket, "Key": key, "UploadId": id}))
            }
            "AbortMultipartUpload" => {
                store.abort_upload(bucket, text(&input, "Key")?, text(&input, "UploadId")?)?;
                Ok(json!({}))
            }
            "ListParts" => store.list_parts(bucket, text(&input, "Key")?, text(&input, "UploadId")?),
            "ListMultipartUploads" => {
                store.list_uploads(bucket, input["Prefix"].as_str().unwrap_or_default())
            }
            _ => {
                let found = settings::operation(operation).ok_or_else(|| unknown_operation(operation))?;
                let bucket = store.bucket_mut(&bucket.to_owned())?;
                match found {
                    ("Put", setting) => setting.put(bucket, input)?,
                    ("Delete", setting) => setting.delete(bucket),
                    (_, setting) => return setting.get(bucket),
                }
                Ok(json!({}))
            }
        }
    }

    fn list_buckets(&self, input: &Value) -> Value {
        let prefix = input["Prefix"].as_str().unwrap_or_default();
        let store = self.store();
        let buckets = store.buckets.iter().filter(|(name, _)| name.starts_with(prefix));
        let buckets: Vec<Value> = buckets
            .map(|(name, bucket)| {
                json!({"Name": name, "CreationDate": seconds(bucket.created_us), "BucketRegion": self.context.region})
            })
            .collect();
        json!({"Owner": {"ID": self.context.account}, "Buckets": buckets})
    }

    /// Outside us-east-1 the region must be named, in it it must not. S3 API reference, CreateBucket.
    fn create_bucket(&self, input: &Value) -> ApiResult {
        let name = text(input, "Bucket")?;
        let region = self.context.region.as_str();
        match input["CreateBucketConfiguration"]["LocationConstraint"].as_str() {
            None if region == "us-east-1" => {}
            Some("us-east-1") => {
                let message = "The specified location-constraint is not valid";
                return Err(ApiError::invalid("InvalidLocationConstraint", message));
            }
            Some(named) if named == region => {}
            named => {
                let message = format!(
                    "The {} location constraint is incompatible for the region specific endpoint this request was sent to.",
                    named.unwrap_or("unspecified"),
                );
                return Err(ApiError::invalid("IllegalLocationConstraintException", message));
            }
        }
        self.store().create_bucket(name, self.now_us())?;
        Ok(json!({"Location": format!("/{name}"), "BucketArn": format!("arn:aws:s3:::{name}")}))
    }

    /// Puts an object whose checksum was verified already.
    ///
    /// # Errors
    /// As [`super::store::Store::put`]; `PreconditionFailed` when it exists and `if_absent` is asked.
    pub(super) fn put_object(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        if_absent: bool,
    ) -> Result<Stored, ApiError> {
        let mut store = self.store();
        if if_absent && store.bucket(bucket)?.version(key, None).is_ok() {
            return Err(precondition_failed("If-None-Match"));
        }
        let (etag, checksum) = (object.etag.clone(), object.attributes.checksum.clone());
        let version_id = store.put(bucket, key, object, self.now_us())?;
        Ok(Stored { etag, version_id, checksum })
    }

    /// The object with its version; the version id where the bucket is versioned. Bodies are shared, not copied.
    pub(super) fn get_object(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<(Version, Object, bool), ApiError> {
        let store = self.store();
        let bucket = store.bucket(bucket)?;
        let (version, object) = bucket.version(key, version_id)?;
        Ok((version.clone(), object.clone(), bucket.is_versioned()))
    }

    fn put_object_json(&self, input: &Value) -> ApiResult {
        let body = blob(input)?;
        let attributes = attributes(input);
        if let Some(checksum) = &attributes.checksum {
            checksum.verify(&body)?;
        }
        let if_absent = input["IfNoneMatch"].as_str() == Some("*");
        let object = Object::new(body, attributes);
        let stored = self.put_object(text(input, "Bucket")?, text(input, "Key")?, object, if_absent)?;
        Ok(stored_members(&stored))
    }

    fn get_object_json(&self, input: &Value, with_body: bool) -> ApiResult {
        let (bucket, key) = (text(input, "Bucket")?, text(input, "Key")?);
        let (version, object, versioned) = self.get_object(bucket, key, input["VersionId"].as_str())?;
        let mut output = json!({
            "ETag": object.etag, "ContentLength": object.body.len(), "LastModified": seconds(version.modified_us),
            "AcceptRanges": "bytes", "ContentType": DEFAULT_CONTENT_TYPE, "Metadata": object.attributes.metadata,
        });
        for (member, header) in STORED_HEADERS {
            if let Some(value) = object.attributes.headers.get(header) {
                output[member] = json!(value);
            }
        }
        if let Some(checksum) = &object.attributes.checksum {
            output[checksum.algorithm.member()] = json!(checksum.value);
        }
        if versioned {
            output["VersionId"] = json!(version.id);
        }
        if with_body {
            output["Body"] = json!(BASE64.encode(&object.body));
        }
        Ok(output)
    }

    fn delete_objects(&self, input: &Value) -> ApiResult {
        let bucket = text(input, "Bucket")?;
        let objects = input["Delete"]["Objects"].as_array().ok_or_else(error::malformed_xml)?;
        if objects.is_empty() || objects.len() > DELETE_OBJECTS_MAX {
            return Err(error::malformed_xml());
        }
        let quiet = input["Delete"]["Quiet"].as_bool().unwrap_or(false);
        let mut store = self.store();
        store.bucket(bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in objects {
            let key = object["Key"].as_str().ok_or_else(error::malformed_xml)?;
            let version_id = object["VersionId"].as_str();
            match store.delete(bucket, key, version_id, self.now_us()) {
                Ok(done) if !quiet => deleted.push(deleted_members(key, version_id, done)),
                Ok(_) => {}
                Err(error) => errors.push(json!({
                    "Key": key, "VersionId": version_id, "Code": error.code, "Message": error.message,
                })),
            }
        }
        Ok(json!({"Deleted": deleted, "Errors": errors}))
    }

    fn upload_part_json(&self, input: &Value) -> ApiResult {
        let number = input["PartNumber"].as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| error::invalid_argument("Part number must be an integer"))?;
        let body = blob(input)?;
        let checksum = checksum_member(input);
        if let Some(checksum) = &checksum {
            checksum.verify(&body)?;
        }
        let upload = (text(input, "Bucket")?, text(input, "Key")?, text(input, "UploadId")?);
        let etag = self.store().upload_part(upload, number, body, checksum.clone(), self.now_us())?;
        Ok(stored_members(&Stored { etag, version_id: None, checksum }))
    }

    fn complete_upload_json(&self, input: &Value) -> ApiResult {
        let parts = input["MultipartUpload"]["Parts"].as_array().map_or(&[][..], Vec::as_slice);
        let named: Option<Vec<(u32, String)>> = parts
            .iter()
            .map(|part| {
                let number = u32::try_from(part["PartNumber"].as_u64()?).ok()?;
                Some((number, part["ETag"].as_str()?.to_owned()))
            })
            .collect();
        let named = named.ok_or_else(error::malformed_xml)?;
        let (bucket, key) = (text(input, "Bucket")?, text(input, "Key")?);
        let upload = (bucket, key, text(input, "UploadId")?);
        let stored = self.store().complete_upload(upload, &named, self.now_us())?;
        let mut output = stored_members(&stored);
        output["Bucket"] = json!(bucket);
        output["Key"] = json!(key);
        output["Location"] = json!(format!("/{bucket}/{key}"));
        Ok(output)
    }
}

pub fn precondition_failed(condition: &str) -> ApiError {
    let message = "At least one of the pre-conditions you specified did not hold";
    error::with(ApiError::new(412, "PreconditionFailed", message), "Condition", condition)
}

fn deleted_members(key: &str, asked: Option<&str>, done: Deleted) -> Value {
    let mut entry = json!({"Key": key});
    if let Some(id) = asked {
        entry["VersionId"] = json!(id);
    }
    if done.marker {
        entry["DeleteMarker"] = json!(true);
        entry["DeleteMarkerVersionId"] = json!(done.version_id);
    }
    entry
}

fn stored_members(stored: &Stored) -> Value {
    let mut output = version_members(stored.version_id.as_deref(), false);
    output["ETag"] = json!(stored.etag);
    if let Some(checksum) = &stored.checksum {
        output[checksum.algorithm.member()] = json!(checksum.value);
        output["ChecksumType"] = json!(checksum.kind());
    }
    output
}

fn text<'a>(input: &'a Value, member: &str) -> Result<&'a str, ApiError> {
    input[member].as_str().ok_or_else(|| error::invalid_argument(format!("{member} is required")))
}

fn blob(input: &Value) -> Result<Bytes, ApiError> {
    let body = BASE64.decode(input["Body"].as_str().unwrap_or_default());
    body.map(Bytes::from).map_err(|_| error::invalid_argument("Body is not base64"))
}

fn attributes(input: &Value) -> Attributes {
    let headers = STORED_HEADERS.into_iter();
    let headers = headers.filter_map(|(member, header)| Some((header, input[member].as_str()?.to_owned())));
    let metadata = input["Metadata"].as_object().into_iter().flat_map(Map::iter);
    let metadata =
        metadata.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    Attributes { headers: headers.collect(), metadata: metadata.collect(), checksum: checksum_member(input) }
}

fn checksum_member(input: &Value) -> Option<Checksum> {
    Algorithm::ALL.into_iter().find_map(|algorithm| {
        Some(Checksum { algorithm, value: input[algorithm.member()].as_str()?.to_owned() })
    })
}

fn upload_settings(input: &Value) -> Result<UploadSettings, ApiError> {
    let algorithm = match input["ChecksumAlgorithm"].as_str() {
        None => None,
        Some(name) => Some(
            Algorithm::named(name)
                .ok_or_else(|| error::invalid_argument("Checksum algorithm provided is unsupported"))?,
        ),
    };
    let full_object = input["ChecksumType"].as_str() == Some("FULL_OBJECT");
    Ok(UploadSettings { attributes: attributes(input), algorithm, full_object })
}
