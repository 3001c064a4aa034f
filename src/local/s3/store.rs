//! What S3 keeps: buckets, and in them objects with their versions. Everything in memory, within a bound.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::checksum::{self, Checksum};
use super::multipart::Upload;
use super::{error, settings};
use crate::local::service::ApiError;

/// Bytes kept in all buckets together. S3 has no such limit; a machine does.
pub const BYTES_KEPT_MAX: u64 = 2 << 30;
/// What an object counts beside its body and key, so that empty objects are bounded too.
pub const OVERHEAD_BYTES: u64 = 512;
/// UTF-8 bytes of a key. S3 user guide, "Naming Amazon S3 objects".
const KEY_MAX_BYTES: usize = 1_024;
/// Bytes of user metadata, names and values. S3 user guide, "Working with object metadata".
const METADATA_MAX_BYTES: usize = 2_048;
/// General purpose buckets of an account. S3 user guide, "Buckets overview".
const BUCKETS_MAX: usize = 10_000;

/// The version of what was put while versioning was not enabled.
pub const NULL_VERSION: &str = "null";

#[derive(Default)]
pub struct Store {
    pub buckets: BTreeMap<String, Bucket>,
    pub(super) uploads: BTreeMap<String, Upload>,
    bytes_kept: u64,
    bytes_kept_max: u64,
    random: fastrand::Rng,
}

#[derive(Default)]
pub struct Bucket {
    pub created_us: i64,
    /// By the suffix of their operations, for example `BucketTagging`.
    pub settings: BTreeMap<&'static str, Value>,
    /// Versions of each key, newest first; never empty.
    pub objects: BTreeMap<String, Vec<Version>>,
}

#[derive(Clone, Debug)]
pub struct Version {
    pub id: String,
    pub modified_us: i64,
    /// `None` is a delete marker.
    pub object: Option<Object>,
}

#[derive(Clone, Debug, Default)]
pub struct Object {
    pub body: Bytes,
    /// In quotes, as it is on the wire.
    pub etag: String,
    pub attributes: Attributes,
}

impl Object {
    pub fn new(body: Bytes, attributes: Attributes) -> Object {
        let etag = format!("\"{}\"", hex::encode(checksum::md5(&body)));
        Object { body, etag, attributes }
    }
}

/// What a client gives with an object and gets back with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// By header name: `content-type`, `cache-control` and so on.
    pub headers: BTreeMap<&'static str, String>,
    /// User metadata, without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    pub checksum: Option<Checksum>,
}

/// What a deletion did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version deleted or, with a marker, created; absent in a bucket that was never versioned.
    pub version_id: Option<String>,
    pub marker: bool,
}

impl Bucket {
    fn versioning(&self) -> Option<&str> {
        self.settings.get("BucketVersioning").and_then(|value| value["Status"].as_str())
    }

    /// Whether answers carry version ids: once enabled, versioning can only be suspended.
    pub fn is_versioned(&self) -> bool {
        self.versioning().is_some()
    }

    /// The object, or the version of it. A delete marker is `NoSuchKey`, as is a key never put.
    pub fn version(&self, key: &str, id: Option<&str>) -> Result<(&Version, &Object), ApiError> {
        let versions = self.objects.get(key).ok_or_else(|| match id {
            Some(id) => error::no_such_version(key, id),
            None => error::no_such_key(key),
        })?;
        let found = match id {
            None => versions.first().ok_or_else(|| error::no_such_key(key))?,
            Some(id) => versions
                .iter()
                .find(|version| version.id == id)
                .ok_or_else(|| error::no_such_version(key, id))?,
        };
        match (&found.object, id) {
            (Some(object), _) => Ok((found, object)),
            (None, None) => Err(error::with(error::no_such_key(key), "DeleteMarker", "true")),
            (None, Some(_)) => {
                let message = "The specified method is not allowed against this resource.";
                Err(error::with(ApiError::new(405, "MethodNotAllowed", message), "DeleteMarker", "true"))
            }
        }
    }
}

impl Store {
    pub fn new(seed: u64) -> Store {
        Store { bytes_kept_max: BYTES_KEPT_MAX, random: fastrand::Rng::with_seed(seed), ..Store::default() }
    }

    #[cfg(test)]
    pub fn bounded(bytes_kept_max: u64) -> Store {
        Store { bytes_kept_max, ..Store::new(1) }
    }

    /// A version id or upload id: opaque to clients.
    pub fn new_id(&mut self) -> String {
        (0..32).map(|_| self.random.alphanumeric()).collect()
    }

    pub fn bucket(&self, name: &str) -> Result<&Bucket, ApiError> {
        self.buckets.get(name).ok_or_else(|| error::no_such_bucket(name))
    }

    pub fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket, ApiError> {
        self.buckets.get_mut(name).ok_or_else(|| error::no_such_bucket(name))
    }

    /// # Errors
    /// `InvalidBucketName`, `BucketAlreadyOwnedByYou`, `TooManyBuckets`.
    pub fn create_bucket(&mut self, name: &str, now_us: i64) -> Result<(), ApiError> {
        if !is_bucket_name(name) {
            let error = ApiError::invalid("InvalidBucketName", "The specified bucket is not valid.");
            return Err(error::with(error, "BucketName", name));
        }
        if self.buckets.contains_key(name) {
            let message =
                "Your previous request to create the named bucket succeeded and you already own it.";
            let error = ApiError::new(409, "BucketAlreadyOwnedByYou", message);
            return Err(error::with(error, "BucketName", name));
        }
        if self.buckets.len() == BUCKETS_MAX {
            let message = "You have attempted to create more buckets than allowed";
            return Err(ApiError::invalid("TooManyBuckets", message));
        }
        let bucket =
            Bucket { created_us: now_us, settings: settings::of_a_new_bucket(), ..Bucket::default() };
        self.buckets.insert(name.to_owned(), bucket);
        Ok(())
    }

    /// Uploads still under way go with the bucket.
    ///
    /// # Errors
    /// `NoSuchBucket`, `BucketNotEmpty` (versions and delete markers count).
    pub fn delete_bucket(&mut self, name: &str) -> Result<(), ApiError> {
        if !self.bucket(name)?.objects.is_empty() {
            let message = "The bucket you tried to delete is not empty";
            return Err(error::with(ApiError::new(409, "BucketNotEmpty", message), "BucketName", name));
        }
        self.buckets.remove(name);
        let orphans: Vec<String> = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.bucket == name)
            .map(|(id, _)| id.clone())
            .collect();
        for id in orphans {
            self.forget_upload(&id);
        }
        Ok(())
    }

    /// Puts an object; gives its version id where the bucket is versioned.
    ///
    /// # Errors
    /// `NoSuchBucket`, `KeyTooLongError`, `MetadataTooLarge`, `EntityTooLarge` when the store is full.
    pub fn put(
        &mut self,
        bucket: &str,
        key: &str,
        object: Object,
        now_us: i64,
    ) -> Result<Option<String>, ApiError> {
        let id = match self.bucket(bucket)?.versioning() {
            Some("Enabled") => self.new_id(),
            _ => NULL_VERSION.to_owned(),
        };
        check_key(key)?;
        check_metadata(&object.attributes.metadata)?;
        let version = Version { id: id.clone(), modified_us: now_us, object: Some(object) };
        let replaced = self.kept_as(bucket, key, &id);
        self.keep(size_of(key, &version), replaced)?;
        let bucket = self.bucket_mut(bucket)?;
        push(bucket, key, version);
        Ok(bucket.is_versioned().then_some(id))
    }

    /// Deletes a version, or puts a delete marker where the bucket is versioned. Deleting what is not there
    /// succeeds. S3 API reference, DeleteObject.
    pub fn delete(
        &mut self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        now_us: i64,
    ) -> Result<Deleted, ApiError> {
        check_key(key)?;
        let versioning = self.bucket(bucket)?.versioning().map(str::to_owned);
        match (version_id, versioning.as_deref()) {
            (Some(id), _) => {
                let marker = self.remove(bucket, key, id)?.is_some_and(|version| version.object.is_none());
                Ok(Deleted { version_id: Some(id.to_owned()), marker })
            }
            (None, None) => {
                self.remove(bucket, key, NULL_VERSION)?;
                Ok(Deleted::default())
            }
            (None, Some(status)) => {
                let id = if status == "Enabled" { self.new_id() } else { NULL_VERSION.to_owned() };
                let marker = Version { id: id.clone(), modified_us: now_us, object: None };
                let replaced = self.kept_as(bucket, key, &id);
                self.keep(size_of(key, &marker), replaced)?;
                push(self.bucket_mut(bucket)?, key, marker);
                Ok(Deleted { version_id: Some(id), marker: true })
            }
        }
    }

    fn remove(&mut self, bucket: &str, key: &str, id: &str) -> Result<Option<Version>, ApiError> {
        let bucket = self.bucket_mut(bucket)?;
        let Some(versions) = bucket.objects.get_mut(key) else { return Ok(None) };
        let Some(at) = versions.iter().position(|version| version.id == id) else { return Ok(None) };
        let removed = versions.remove(at);
        if versions.is_empty() {
            bucket.objects.remove(key);
        }
        self.release(size_of(key, &removed));
        Ok(Some(removed))
    }

    /// Bytes counted for the version that one with the same id would replace.
    fn kept_as(&self, bucket: &str, key: &str, id: &str) -> u64 {
        let versions = self.buckets.get(bucket).and_then(|bucket| bucket.objects.get(key));
        let same = versions.and_then(|versions| versions.iter().find(|version| version.id == id));
        same.map_or(0, |version| size_of(key, version))
    }

    /// Counts `bytes` that take the place of `replaced` ones.
    ///
    /// # Errors
    /// `EntityTooLarge` when that is more than the store keeps; nothing is counted then.
    pub(super) fn keep(&mut self, bytes: u64, replaced: u64) -> Result<(), ApiError> {
        let kept = (self.bytes_kept + bytes).saturating_sub(replaced);
        if kept > self.bytes_kept_max {
            let max = self.bytes_kept_max;
            let message = format!("the local endpoint keeps {max} bytes of objects at most");
            let error = ApiError::invalid("EntityTooLarge", message);
            return Err(error::with(error, "MaxSizeAllowed", &max.to_string()));
        }
        self.bytes_kept = kept;
        Ok(())
    }

    pub(super) fn release(&mut self, bytes: u64) {
        self.bytes_kept = self.bytes_kept.saturating_sub(bytes);
    }
}

/// Puts a version in front of the others, in the place of one with the same id.
fn push(bucket: &mut Bucket, key: &str, version: Version) {
    let versions = bucket.objects.entry(key.to_owned()).or_default();
    versions.retain(|other| other.id != version.id);
    versions.insert(0, version);
}

fn size_of(key: &str, version: &Version) -> u64 {
    let body = version.object.as_ref().map_or(0, |object| object.body.len());
    (body + key.len()) as u64 + OVERHEAD_BYTES
}

pub fn check_key(key: &str) -> Result<(), ApiError> {
    if key.is_empty() {
        return Err(error::invalid_argument("Object key must not be empty"));
    }
    if key.len() > KEY_MAX_BYTES {
        let error = ApiError::invalid("KeyTooLongError", "Your key is too long");
        return Err(error::with(error, "MaxSizeAllowed", &KEY_MAX_BYTES.to_string()));
    }
    Ok(())
}

fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_MAX_BYTES {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(ApiError::invalid("MetadataTooLarge", message));
    }
    Ok(())
}

/// S3 user guide, "General purpose bucket naming rules".
fn is_bucket_name(name: &str) -> bool {
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
        && ends_well(name.chars().next())
        && ends_well(name.chars().next_back())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !name.starts_with("xn--")
        && !name.ends_with("-s3alias")
}

/// The members that say which version an answer is about.
pub fn version_members(version_id: Option<&str>, marker: bool) -> Value {
    let mut members = json!({});
    if let Some(id) = version_id {
        members["VersionId"] = json!(id);
    }
    if marker {
        members["DeleteMarker"] = json!(true);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(size: usize) -> Object {
        Object::new(Bytes::from(vec![b'x'; size]), Attributes::default())
    }

    fn versions(store: &Store) -> Vec<(&str, bool)> {
        let versions = store.buckets["bucket"].objects.get("k").map_or(&[][..], Vec::as_slice);
        versions.iter().map(|version| (version.id.as_str(), version.object.is_some())).collect()
    }

    #[test]
    fn bucket_names_follow_the_naming_rules() {
        for name in ["abc", "a-b.c9", "sgauge-artifacts-123456789012", &"a".repeat(63)] {
            assert!(is_bucket_name(name), "{name}");
        }
        for name in ["ab", "Abc", "-abc", "abc-", "a..b", "a_b", "192.168.1.1", "xn--abc", &"a".repeat(64)] {
            assert!(!is_bucket_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_replaced_or_deleted_makes_room() {
        let mut store = Store::bounded(3_000);
        store.create_bucket("bucket", 0).unwrap();
        store.put("bucket", "k", object(2_000), 0).unwrap();
        assert_eq!(store.put("bucket", "l", object(2_000), 0).unwrap_err().code, "EntityTooLarge");
        store.put("bucket", "k", object(2_100), 0).unwrap();
        store.delete("bucket", "k", None, 0).unwrap();
        assert_eq!(store.bytes_kept, 0);
        store.put("bucket", "l", object(2_000), 0).unwrap();
    }

    #[test]
    fn versioning_keeps_what_was_put_and_marks_what_was_deleted() {
        let mut store = Store::new(1);
        store.create_bucket("bucket", 0).unwrap();
        assert_eq!(store.put("bucket", "k", object(1), 0).unwrap(), None);
        let set = |store: &mut Store, status: &str| {
            let bucket = store.bucket_mut("bucket").unwrap();
            bucket.settings.insert("BucketVersioning", json!({"Status": status}));
        };
        set(&mut store, "Enabled");
        let first = store.put("bucket", "k", object(2), 1).unwrap().unwrap();
        let marker = store.delete("bucket", "k", None, 2).unwrap();
        assert!(marker.marker);
        let marker = marker.version_id.unwrap();
        assert_eq!(versions(&store), [(marker.as_str(), false), (first.as_str(), true), ("null", true)]);
        let bucket = store.bucket("bucket").unwrap();
        assert_eq!(bucket.version("k", None).unwrap_err().code, "NoSuchKey");
        assert_eq!(bucket.version("k", Some(&marker)).unwrap_err().code, "MethodNotAllowed");
        assert_eq!(bucket.version("k", Some(&first)).unwrap().1.body.len(), 2);
        assert!(store.delete("bucket", "k", Some(&marker), 3).unwrap().marker);
        set(&mut store, "Suspended");
        assert_eq!(store.put("bucket", "k", object(3), 4).unwrap().as_deref(), Some("null"));
        assert_eq!(versions(&store), [("null", true), (first.as_str(), true)]);
        assert_eq!(store.delete_bucket("bucket").unwrap_err().code, "BucketNotEmpty");
        store.delete("bucket", "k", Some("null"), 5).unwrap();
        store.delete("bucket", "k", Some(&first), 5).unwrap();
        store.delete_bucket("bucket").unwrap();
        assert_eq!(store.bytes_kept, 0);
    }
}
