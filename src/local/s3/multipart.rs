//! Multipart uploads: what SDKs make of large files. S3 API reference, CreateMultipartUpload and its kin.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::checksum::{self, Algorithm, Checksum};
use super::error;
use super::store::{Attributes, OVERHEAD_BYTES, Object, Store, check_key};
use crate::local::service::{ApiError, ApiResult};

/// Every part but the last is at least this long. S3 user guide, "Amazon S3 multipart upload limits".
const PART_MIN_BYTES: usize = 5 * 1_048_576;
/// Same source.
const PART_NUMBERS: std::ops::RangeInclusive<u32> = 1..=10_000;

pub struct Upload {
    pub bucket: String,
    pub key: String,
    pub initiated_us: i64,
    pub settings: UploadSettings,
    pub parts: BTreeMap<u32, Part>,
}

/// What CreateMultipartUpload says about the object to be.
#[derive(Clone, Default)]
pub struct UploadSettings {
    pub attributes: Attributes,
    pub algorithm: Option<Algorithm>,
    /// `FULL_OBJECT` rather than `COMPOSITE`.
    pub full_object: bool,
}

pub struct Part {
    pub body: Bytes,
    /// In quotes.
    pub etag: String,
    pub modified_us: i64,
    pub checksum: Option<Checksum>,
}

impl Part {
    fn bytes(&self) -> u64 {
        self.body.len() as u64 + OVERHEAD_BYTES
    }
}

/// What Complete and Put answer.
pub struct Stored {
    pub etag: String,
    pub version_id: Option<String>,
    pub checksum: Option<Checksum>,
}

impl Store {
    /// Gives the upload's id.
    pub fn create_upload(
        &mut self,
        bucket: &str,
        key: &str,
        settings: UploadSettings,
        now_us: i64,
    ) -> Result<String, ApiError> {
        self.bucket(bucket)?;
        check_key(key)?;
        self.keep(OVERHEAD_BYTES, 0)?;
        let id = self.new_id();
        let upload = Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            initiated_us: now_us,
            settings,
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        Ok(id)
    }

    /// # Errors
    /// `NoSuchUpload`, also when the upload is for another key.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<&Upload, ApiError> {
        self.bucket(bucket)?;
        let upload = self.uploads.get(id).filter(|upload| upload.bucket == bucket && upload.key == key);
        upload.ok_or_else(|| error::no_such_upload(id))
    }

    /// Keeps a part; a part with the same number is replaced. Gives its ETag.
    pub fn upload_part(
        &mut self,
        (bucket, key, id): (&str, &str, &str),
        number: u32,
        body: Bytes,
        checksum: Option<Checksum>,
        now_us: i64,
    ) -> Result<String, ApiError> {
        let replaced = self.upload(bucket, key, id)?.parts.get(&number).map_or(0, Part::bytes);
        if !PART_NUMBERS.contains(&number) {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            return Err(error::invalid_argument(message));
        }
        let etag = format!("\"{}\"", hex::encode(checksum::md5(&body)));
        let part = Part { body, etag: etag.clone(), modified_us: now_us, checksum };
        self.keep(part.bytes(), replaced)?;
        if let Some(upload) = self.uploads.get_mut(id) {
            upload.parts.insert(number, part);
        }
        Ok(etag)
    }

    /// Makes the object of the parts named, in their order; other parts are forgotten.
    ///
    /// # Errors
    /// `NoSuchUpload`, `MalformedXML` without parts, `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`.
    pub fn complete_upload(
        &mut self,
        (bucket, key, id): (&str, &str, &str),
        named: &[(u32, String)],
        now_us: i64,
    ) -> Result<Stored, ApiError> {
        let upload = self.upload(bucket, key, id)?;
        let parts = chosen(upload, named)?;
        let mut body = BytesMut::with_capacity(parts.iter().map(|part| part.body.len()).sum());
        let mut digests = Vec::with_capacity(parts.len() * 16);
        for part in &parts {
            body.extend_from_slice(&part.body);
            digests.extend_from_slice(&checksum::md5(&part.body));
        }
        let settings = &upload.settings;
        let of_parts: Vec<_> = parts.iter().map(|part| (&part.body, part.checksum.as_ref())).collect();
        let checksum = settings
            .algorithm
            .and_then(|algorithm| Checksum::of_parts(algorithm, settings.full_object, &of_parts));
        let etag = format!("\"{}-{}\"", hex::encode(checksum::md5(&digests)), parts.len());
        let attributes = Attributes { checksum: checksum.clone(), ..settings.attributes.clone() };
        let object = Object { body: body.freeze(), etag: etag.clone(), attributes };
        // The parts make room for the object that they become, unless it cannot be put.
        let parts_bytes: u64 = upload.parts.values().map(Part::bytes).sum();
        self.release(parts_bytes);
        match self.put(bucket, key, object, now_us) {
            Ok(version_id) => {
                self.uploads.remove(id);
                self.release(OVERHEAD_BYTES);
                Ok(Stored { etag, version_id, checksum })
            }
            Err(error) => {
                self.keep(parts_bytes, 0)?;
                Err(error)
            }
        }
    }

    pub fn abort_upload(&mut self, bucket: &str, key: &str, id: &str) -> Result<(), ApiError> {
        self.upload(bucket, key, id)?;
        self.forget_upload(id);
        Ok(())
    }

    pub(super) fn forget_upload(&mut self, id: &str) {
        if let Some(upload) = self.uploads.remove(id) {
            self.release(OVERHEAD_BYTES + upload.parts.values().map(Part::bytes).sum::<u64>());
        }
    }

    /// All parts at once; S3 gives a thousand a page.
    pub fn list_parts(&self, bucket: &str, key: &str, id: &str) -> ApiResult {
        let upload = self.upload(bucket, key, id)?;
        let parts: Vec<Value> = upload
            .parts
            .iter()
            .map(|(number, part)| {
                json!({
                    "PartNumber": number, "LastModified": part.modified_us as f64 / 1e6, "ETag": part.etag,
                    "Size": part.body.len(),
                })
            })
            .collect();
        Ok(json!({
            "Bucket": bucket, "Key": key, "UploadId": id, "IsTruncated": false, "StorageClass": "STANDARD",
            "Parts": parts,
        }))
    }

    /// All uploads under way at once; S3 gives a thousand a page.
    pub fn list_uploads(&self, bucket: &str, prefix: &str) -> ApiResult {
        self.bucket(bucket)?;
        let mut of_bucket: Vec<_> = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.bucket == bucket && upload.key.starts_with(prefix))
            .collect();
        of_bucket.sort_by_key(|(id, upload)| (upload.key.as_str(), upload.initiated_us, id.as_str()));
        let uploads: Vec<Value> = of_bucket
            .into_iter()
            .map(|(id, upload)| {
                json!({"UploadId": id, "Key": upload.key, "Initiated": upload.initiated_us as f64 / 1e6})
            })
            .collect();
        Ok(json!({"Bucket": bucket, "Prefix": prefix, "IsTruncated": false, "Uploads": uploads}))
    }
}

fn chosen<'a>(upload: &'a Upload, named: &[(u32, String)]) -> Result<Vec<&'a Part>, ApiError> {
    if named.is_empty() {
        return Err(error::malformed_xml());
    }
    if named.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
        return Err(ApiError::invalid("InvalidPartOrder", message));
    }
    let mut parts = Vec::with_capacity(named.len());
    for (number, etag) in named {
        let found =
            upload.parts.get(number).filter(|part| part.etag.trim_matches('"') == etag.trim_matches('"'));
        let part = found.ok_or_else(|| {
            let message = "One or more of the specified parts could not be found. The part may not have been \
                           uploaded, or the specified entity tag may not match the part's entity tag.";
            error::with(ApiError::invalid("InvalidPart", message), "PartNumber", &number.to_string())
        })?;
        parts.push(part);
    }
    let but_the_last = &parts[..parts.len() - 1];
    if but_the_last.iter().any(|part| part.body.len() < PART_MIN_BYTES) {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(ApiError::invalid("EntityTooSmall", message));
    }
    Ok(parts)
}
