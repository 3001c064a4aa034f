//! Listing a bucket, a page at a time. S3 API reference, ListObjectsV2, ListObjects, ListObjectVersions.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};

use super::error;
use super::store::{Bucket, Object, Version};
use crate::local::service::{ApiError, ApiResult};

/// Keys of one page: the default, and the most. S3 API reference, ListObjectsV2, `MaxKeys`.
const PAGE_KEYS: usize = 1_000;

/// What both kinds of page have in common.
struct Query<'a> {
    prefix: &'a str,
    /// Empty for none.
    delimiter: &'a str,
    max_keys: usize,
}

impl<'a> Query<'a> {
    fn read(input: &'a Value) -> Result<Query<'a>, ApiError> {
        let max_keys = match &input["MaxKeys"] {
            Value::Null => PAGE_KEYS as u64,
            given => given.as_u64().ok_or_else(|| {
                error::invalid_argument("Argument maxKeys must be an integer between 0 and 2147483647")
            })?,
        };
        let text = |member: &str| input[member].as_str().unwrap_or_default();
        let max_keys = max_keys.min(PAGE_KEYS as u64) as usize;
        Ok(Query { prefix: text("Prefix"), delimiter: text("Delimiter"), max_keys })
    }

    /// The common prefix that a key is rolled up into.
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let found = key[self.prefix.len()..].find(self.delimiter)?;
        Some(&key[..self.prefix.len() + found + self.delimiter.len()])
    }
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum After {
    /// After this key, and all its versions.
    Key(String),
    /// After this version of a key.
    Version(String, String),
    /// After everything that begins so.
    Prefix(String),
}

impl After {
    /// A continuation token: opaque to clients.
    fn token(&self) -> String {
        BASE64.encode(match self {
            After::Key(key) | After::Version(key, _) => format!("k{key}"),
            After::Prefix(prefix) => format!("p{prefix}"),
        })
    }

    fn from_token(token: &str) -> Result<After, ApiError> {
        let decoded = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let after = decoded.and_then(|text| match text.split_at_checked(1)? {
            ("k", key) => Some(After::Key(key.to_owned())),
            ("p", prefix) => Some(After::Prefix(prefix.to_owned())),
            _ => None,
        });
        after.ok_or_else(|| error::invalid_argument("The continuation token provided is incorrect"))
    }

    /// A marker that ends in the delimiter is a common prefix of an earlier page.
    fn from_marker(marker: &str, query: &Query<'_>) -> After {
        match query.common_prefix_of_marker(marker) {
            true => After::Prefix(marker.to_owned()),
            false => After::Key(marker.to_owned()),
        }
    }

    fn name(&self) -> &str {
        match self {
            After::Key(name) | After::Version(name, _) | After::Prefix(name) => name,
        }
    }

    fn skips(&self, key: &str) -> bool {
        match self {
            After::Key(after) => key <= after.as_str(),
            After::Version(after, _) => key < after.as_str(),
            After::Prefix(prefix) => key <= prefix.as_str() || key.starts_with(prefix.as_str()),
        }
    }
}

impl Query<'_> {
    fn common_prefix_of_marker(&self, marker: &str) -> bool {
        !self.delimiter.is_empty()
            && marker.len() > self.prefix.len()
            && marker.starts_with(self.prefix)
            && marker.ends_with(self.delimiter)
    }
}

#[derive(Default)]
struct Page<'a> {
    entries: Vec<(&'a str, &'a Version, bool)>,
    prefixes: Vec<&'a str>,
    /// Where the next page begins, when there is one.
    next: Option<After>,
}

/// Walks the bucket's keys in UTF-8 order; of each key the current object, or all versions.
fn page<'a>(bucket: &'a Bucket, query: &Query<'_>, after: Option<&After>, all_versions: bool) -> Page<'a> {
    let mut page = Page::default();
    if query.max_keys == 0 {
        return page;
    }
    let start = after.map_or("", After::name).max(query.prefix);
    let mut last = None;
    let range = bucket.objects.range::<str, _>((Bound::Included(start), Bound::Unbounded));
    for (key, versions) in range.take_while(|(key, _)| key.starts_with(query.prefix)) {
        if after.is_some_and(|after| after.skips(key)) {
            continue;
        }
        let current_only = if all_versions { versions.len() } else { 1 };
        let shown = versions[..current_only].iter().enumerate();
        let shown = shown.filter(|(_, version)| all_versions || version.object.is_some());
        for (at, version) in shown.skip(skipped(after, key, versions)) {
            let prefix = query.common_prefix(key);
            if prefix.is_some() && page.prefixes.last().copied() == prefix {
                continue;
            }
            if page.entries.len() + page.prefixes.len() == query.max_keys {
                page.next = last;
                return page;
            }
            last = Some(match prefix {
                Some(prefix) => {
                    page.prefixes.push(prefix);
                    After::Prefix(prefix.to_owned())
                }
                None => {
                    page.entries.push((key, version, at == 0));
                    if all_versions {
                        After::Version(key.clone(), version.id.clone())
                    } else {
                        After::Key(key.clone())
                    }
                }
            });
        }
    }
    page
}

/// Versions of this key that earlier pages had.
fn skipped(after: Option<&After>, key: &str, versions: &[Version]) -> usize {
    match after {
        Some(After::Version(of, id)) if of == key => {
            versions.iter().position(|version| version.id == *id).map_or(versions.len(), |at| at + 1)
        }
        _ => 0,
    }
}

pub fn objects_v2(bucket: &Bucket, input: &Value) -> ApiResult {
    let query = Query::read(input)?;
    let after = match (input["ContinuationToken"].as_str(), input["StartAfter"].as_str()) {
        (Some(token), _) => Some(After::from_token(token)?),
        (None, Some(key)) => Some(After::Key(key.to_owned())),
        (None, None) => None,
    };
    let page = page(bucket, &query, after.as_ref(), false);
    let mut output = common(&page, input, contents(&page));
    output.insert("KeyCount".to_owned(), json!(page.entries.len() + page.prefixes.len()));
    for member in ["ContinuationToken", "StartAfter"] {
        output.insert(member.to_owned(), input[member].clone());
    }
    output.insert("NextContinuationToken".to_owned(), json!(page.next.as_ref().map(After::token)));
    Ok(finish(output, input))
}

pub fn objects(bucket: &Bucket, input: &Value) -> ApiResult {
    let query = Query::read(input)?;
    let after = input["Marker"].as_str().map(|marker| After::from_marker(marker, &query));
    let page = page(bucket, &query, after.as_ref(), false);
    let mut output = common(&page, input, contents(&page));
    output.insert("Marker".to_owned(), json!(input["Marker"].as_str().unwrap_or_default()));
    output.insert("NextMarker".to_owned(), json!(page.next.as_ref().map(After::name)));
    Ok(finish(output, input))
}

/// In a bucket that was never versioned every version id is `null`.
pub fn versions(bucket: &Bucket, input: &Value) -> ApiResult {
    let query = Query::read(input)?;
    let after = match (input["KeyMarker"].as_str(), input["VersionIdMarker"].as_str()) {
        (Some(""), None) | (None, None) => None,
        (Some(key), Some(id)) if !key.is_empty() && !id.is_empty() => {
            Some(After::Version(key.to_owned(), id.to_owned()))
        }
        (Some(key), _) => Some(After::from_marker(key, &query)),
        (None, Some(_)) => {
            let message = "A version-id marker cannot be specified without a key marker.";
            return Err(error::invalid_argument(message));
        }
    };
    let page = page(bucket, &query, after.as_ref(), true);
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    for (key, version, is_latest) in &page.entries {
        let mut entry = json!({
            "Key": key, "VersionId": version.id, "IsLatest": is_latest, "LastModified": seconds(version.modified_us),
        });
        match &version.object {
            Some(object) => {
                describe(&mut entry, object);
                versions.push(entry);
            }
            None => markers.push(entry),
        }
    }
    let mut output = common(&page, input, Map::new());
    output.insert("Versions".to_owned(), Value::Array(versions));
    output.insert("DeleteMarkers".to_owned(), Value::Array(markers));
    output.insert("KeyMarker".to_owned(), json!(input["KeyMarker"].as_str().unwrap_or_default()));
    output.insert("VersionIdMarker".to_owned(), json!(input["VersionIdMarker"].as_str().unwrap_or_default()));
    if let Some(next) = &page.next {
        output.insert("NextKeyMarker".to_owned(), json!(next.name()));
        if let After::Version(_, id) = next {
            output.insert("NextVersionIdMarker".to_owned(), json!(id));
        }
    }
    Ok(finish(output, input))
}

fn contents(page: &Page<'_>) -> Map<String, Value> {
    let entries = page.entries.iter().map(|(key, version, _)| {
        let mut entry = json!({"Key": key, "LastModified": seconds(version.modified_us)});
        if let Some(object) = &version.object {
            describe(&mut entry, object);
        }
        entry
    });
    Map::from_iter([("Contents".to_owned(), entries.collect())])
}

fn describe(entry: &mut Value, object: &Object) {
    entry["ETag"] = json!(object.etag);
    entry["Size"] = json!(object.body.len());
    entry["StorageClass"] = json!("STANDARD");
    if let Some(checksum) = &object.attributes.checksum {
        entry["ChecksumAlgorithm"] = json!([checksum.algorithm.name()]);
        entry["ChecksumType"] = json!(checksum.kind());
    }
}

fn common(page: &Page<'_>, input: &Value, mut output: Map<String, Value>) -> Map<String, Value> {
    let prefixes = page.prefixes.iter().map(|prefix| json!({"Prefix": prefix})).collect();
    output.insert("Name".to_owned(), input["Bucket"].clone());
    output.insert("Prefix".to_owned(), json!(input["Prefix"].as_str().unwrap_or_default()));
    output.insert("Delimiter".to_owned(), input["Delimiter"].clone());
    output.insert("MaxKeys".to_owned(), json!(input["MaxKeys"].as_u64().unwrap_or(PAGE_KEYS as u64)));
    output.insert("EncodingType".to_owned(), input["EncodingType"].clone());
    output.insert("IsTruncated".to_owned(), json!(page.next.is_some()));
    output.insert("CommonPrefixes".to_owned(), prefixes);
    output
}

/// Leaves out what is null, and encodes keys where asked: XML 1.0 cannot carry every key.
fn finish(mut output: Map<String, Value>, input: &Value) -> Value {
    output.retain(|_, value| !value.is_null());
    if input["EncodingType"].as_str() == Some("url") {
        const NAMES: [&str; 7] =
            ["Delimiter", "KeyMarker", "Marker", "NextKeyMarker", "NextMarker", "Prefix", "StartAfter"];
        for (name, value) in &mut output {
            match value {
                Value::Array(items) => items.iter_mut().for_each(|item| encode(item, &["Key", "Prefix"])),
                Value::String(text) if NAMES.contains(&name.as_str()) => *text = url_encoded(text),
                _ => {}
            }
        }
    }
    Value::Object(output)
}

fn encode(item: &mut Value, members: &[&str]) {
    for member in members {
        if let Some(Value::String(text)) = item.get_mut(member) {
            *text = url_encoded(text);
        }
    }
}

/// As a form is encoded (a space is `+`), which is what S3 answers and SDKs decode; slashes stay.
fn url_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace("%2F", "/")
}

/// Epoch seconds of a time in microseconds.
pub fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::store::{Attributes, Store};
    use super::*;

    fn store(keys: impl IntoIterator<Item = impl AsRef<str>>) -> Store {
        let mut store = Store::new(1);
        store.create_bucket("bucket", 0).unwrap();
        for key in keys {
            store.put("bucket", key.as_ref(), Object::new(Bytes::new(), Attributes::default()), 0).unwrap();
        }
        store
    }

    fn names(output: &Value, list: &str, member: &str) -> Vec<String> {
        let items = output[list].as_array().unwrap().iter();
        items.map(|item| item[member].as_str().unwrap().to_owned()).collect()
    }

    /// The example of the S3 user guide, "Organizing objects using prefixes".
    #[test]
    fn keys_below_the_delimiter_are_rolled_up() {
        let store = store([
            "sample.jpg",
            "photos/2006/January/sample.jpg",
            "photos/2006/February/sample2.jpg",
            "photos/2006/February/sample3.jpg",
            "photos/2006/February/sample4.jpg",
        ]);
        let bucket = store.bucket("bucket").unwrap();
        let top = objects_v2(bucket, &json!({"Delimiter": "/"})).unwrap();
        assert_eq!(names(&top, "Contents", "Key"), ["sample.jpg"]);
        assert_eq!(names(&top, "CommonPrefixes", "Prefix"), ["photos/"]);
        let months = objects_v2(bucket, &json!({"Delimiter": "/", "Prefix": "photos/2006/"})).unwrap();
        let expected = ["photos/2006/February/", "photos/2006/January/"];
        assert_eq!(names(&months, "CommonPrefixes", "Prefix"), expected);
        assert_eq!(months["KeyCount"], 2);
    }

    #[test]
    fn keys_are_encoded_where_asked() {
        let store = store(["a b/ü+"]);
        let listed = objects_v2(store.bucket("bucket").unwrap(), &json!({"EncodingType": "url"})).unwrap();
        assert_eq!(names(&listed, "Contents", "Key"), ["a+b/%C3%BC%2B"]);
    }

    #[test]
    fn a_token_that_is_none_is_refused() {
        let store = store(["a"]);
        let error =
            objects_v2(store.bucket("bucket").unwrap(), &json!({"ContinuationToken": "!"})).unwrap_err();
        assert_eq!(error.code, "InvalidArgument");
    }

    #[test]
    fn versions_are_paged_within_a_key() {
        let mut store = store(["a"]);
        let enabled = json!({"Status": "Enabled"});
        store.bucket_mut("bucket").unwrap().settings.insert("BucketVersioning", enabled);
        store.put("bucket", "a", Object::default(), 1).unwrap();
        store.delete("bucket", "a", None, 2).unwrap();
        store.put("bucket", "b", Object::default(), 3).unwrap();
        let bucket = store.bucket("bucket").unwrap();
        let mut seen = Vec::new();
        let mut input = json!({"MaxKeys": 1});
        loop {
            let page = versions(bucket, &input).unwrap();
            for list in ["Versions", "DeleteMarkers"] {
                for entry in page[list].as_array().unwrap() {
                    seen.push((entry["Key"].clone(), list, entry["IsLatest"].clone()));
                }
            }
            if page["IsTruncated"] == false {
                break;
            }
            input["KeyMarker"] = page["NextKeyMarker"].clone();
            input["VersionIdMarker"] = page["NextVersionIdMarker"].clone();
        }
        let expected = [
            ("a", "DeleteMarkers", true),
            ("a", "Versions", false),
            ("a", "Versions", false),
            ("b", "Versions", true),
        ];
        assert_eq!(seen, expected.map(|(key, list, latest)| (json!(key), list, json!(latest))));
        assert_eq!(names(&objects_v2(bucket, &json!({})).unwrap(), "Contents", "Key"), ["b"]);
    }

    proptest! {
        /// Pages of any size, put together, are the whole listing; each has what one page of all would have.
        #[test]
        fn pages_add_up(
            keys in prop::collection::btree_set("[ab/]{1,5}", 0..25),
            prefix in "[ab/]{0,2}", delimiter in "/?", max_keys in 1_u64..5, version_one in any::<bool>(),
        ) {
            let store = store(&keys);
            let bucket = store.bucket("bucket").unwrap();
            let list = |input: &Value| if version_one { objects(bucket, input) } else { objects_v2(bucket, input) };
            let mut input = json!({"Prefix": prefix, "Delimiter": delimiter});
            let whole = list(&input).unwrap();
            input["MaxKeys"] = json!(max_keys);
            let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
            for _ in 0..=keys.len() {
                let page = list(&input).unwrap();
                contents.extend(names(&page, "Contents", "Key"));
                prefixes.extend(names(&page, "CommonPrefixes", "Prefix"));
                if page["IsTruncated"] == false {
                    break;
                }
                let (from, to) = if version_one { ("NextMarker", "Marker") } else { ("NextContinuationToken", "ContinuationToken") };
                input[to] = page[from].clone();
            }
            prop_assert_eq!(&contents, &names(&whole, "Contents", "Key"));
            prop_assert_eq!(&prefixes, &names(&whole, "CommonPrefixes", "Prefix"));
            let expected: Vec<&String> = keys.iter()
                .filter(|key| key.starts_with(&prefix) && (delimiter.is_empty() || !key[prefix.len()..].contains(&delimiter)))
                .collect();
            prop_assert_eq!(contents.iter().collect::<Vec<_>>(), expected);
        }
    }
}
