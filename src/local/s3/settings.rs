//! Configurations of a bucket that are kept and given back. Only versioning changes what the bucket does:
//! policies are not evaluated, lifecycle rules do not expire anything.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error;
use super::store::Bucket;
use crate::local::service::{ApiError, ApiResult};

/// One kind of configuration.
pub struct Setting {
    /// What its operations are called after `Put`, `Get` and `Delete`.
    pub suffix: &'static str,
    /// The query parameter of its REST address.
    pub query: &'static str,
    /// The input's member, and the document's root element.
    pub member: &'static str,
    /// Whether the answer of Get has the document's members at its top, instead of inside `member`.
    unwrapped: bool,
    /// Answered when there is none; otherwise the answer is empty.
    missing: Option<&'static str>,
}

const fn setting(
    suffix: &'static str,
    query: &'static str,
    member: &'static str,
    unwrapped: bool,
    missing: Option<&'static str>,
) -> Setting {
    Setting { suffix, query, member, unwrapped, missing }
}

/// S3 API reference, the actions of these names.
pub const SETTINGS: [Setting; 7] = [
    setting("BucketPolicy", "policy", "Policy", false, Some("NoSuchBucketPolicy")),
    setting(
        "BucketEncryption",
        "encryption",
        "ServerSideEncryptionConfiguration",
        false,
        Some("ServerSideEncryptionConfigurationNotFoundError"),
    ),
    setting(
        "PublicAccessBlock",
        "publicAccessBlock",
        "PublicAccessBlockConfiguration",
        false,
        Some("NoSuchPublicAccessBlockConfiguration"),
    ),
    setting(
        "BucketLifecycleConfiguration",
        "lifecycle",
        "LifecycleConfiguration",
        true,
        Some("NoSuchLifecycleConfiguration"),
    ),
    setting("BucketTagging", "tagging", "Tagging", true, Some("NoSuchTagSet")),
    setting("BucketVersioning", "versioning", "VersioningConfiguration", true, None),
    setting(
        "BucketOwnershipControls",
        "ownershipControls",
        "OwnershipControls",
        false,
        Some("OwnershipControlsNotFoundError"),
    ),
];

/// What every new bucket has since April 2023: S3 user guide, "Blocking public access", "Controlling
/// ownership of objects", "Setting default server-side encryption".
pub fn of_a_new_bucket() -> BTreeMap<&'static str, Value> {
    let blocked = json!({
        "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
    });
    BTreeMap::from([
        ("BucketEncryption", default_encryption()),
        ("PublicAccessBlock", blocked),
        ("BucketOwnershipControls", json!({"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})),
    ])
}

fn default_encryption() -> Value {
    let default = json!({"SSEAlgorithm": "AES256"});
    json!({"Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": false}]})
}

/// `PutBucketTagging` -> (`Put`, its setting). DeleteBucketLifecycle alone has another name than its Put.
pub fn operation(name: &str) -> Option<(&'static str, &'static Setting)> {
    let name = if name == "DeleteBucketLifecycle" { "DeleteBucketLifecycleConfiguration" } else { name };
    ["Put", "Get", "Delete"].into_iter().find_map(|verb| {
        let suffix = name.strip_prefix(verb)?;
        let setting = SETTINGS.iter().find(|setting| setting.suffix == suffix)?;
        // Versioning can be suspended, not deleted.
        (verb != "Delete" || setting.query != "versioning").then_some((verb, setting))
    })
}

impl Setting {
    /// # Errors
    /// `MalformedXML` or `MalformedPolicy` when the value is not of this kind.
    pub fn put(&self, bucket: &mut Bucket, mut input: Value) -> Result<(), ApiError> {
        let mut value = input[self.member].take();
        match self.query {
            "policy" => check_policy(&value)?,
            "versioning" => match value["Status"].as_str() {
                Some("Enabled" | "Suspended") => {}
                _ => return Err(error::malformed_xml()),
            },
            "tagging" => check_tags(&value)?,
            _ if !value.is_object() => return Err(error::malformed_xml()),
            "lifecycle" => name_rules(&mut value),
            _ => {}
        }
        bucket.settings.insert(self.suffix, value);
        Ok(())
    }

    /// The document itself, as REST answers it.
    pub fn document(&self, bucket: &Bucket) -> ApiResult {
        match (bucket.settings.get(self.suffix), self.missing) {
            (Some(value), _) => Ok(value.clone()),
            (None, None) => Ok(json!({})),
            (None, Some(code)) => {
                Err(ApiError::new(404, code, format!("The bucket has no {}.", self.member)))
            }
        }
    }

    /// The document as the API model's output.
    pub fn get(&self, bucket: &Bucket) -> ApiResult {
        let document = self.document(bucket)?;
        Ok(if self.unwrapped { document } else { json!({self.member: document}) })
    }

    pub fn delete(&self, bucket: &mut Bucket) {
        bucket.settings.remove(self.suffix);
        if self.query == "encryption" {
            // A bucket cannot be without: deleting resets it. S3 API reference, DeleteBucketEncryption.
            bucket.settings.insert(self.suffix, default_encryption());
        }
    }
}

fn check_policy(policy: &Value) -> Result<(), ApiError> {
    let parsed = policy.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    if parsed.is_some_and(|policy| policy["Statement"].is_array() || policy["Statement"].is_object()) {
        return Ok(());
    }
    let message = "Policies must be valid JSON and the first byte must be '{'";
    Err(ApiError::invalid("MalformedPolicy", message))
}

fn check_tags(tagging: &Value) -> Result<(), ApiError> {
    let tags = tagging["TagSet"].as_array().ok_or_else(error::malformed_xml)?;
    let mut keys = std::collections::BTreeSet::new();
    for tag in tags {
        let key = tag["Key"].as_str().ok_or_else(error::malformed_xml)?;
        tag["Value"].as_str().ok_or_else(error::malformed_xml)?;
        if !keys.insert(key) {
            return Err(ApiError::invalid("InvalidTag", "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(())
}

/// S3 names lifecycle rules that came without an id.
fn name_rules(configuration: &mut Value) {
    let rules = configuration["Rules"].as_array_mut();
    for (at, rule) in rules.into_iter().flatten().enumerate() {
        if rule.is_object() && rule["ID"].as_str().is_none_or(str::is_empty) {
            rule["ID"] = json!(format!("rule-{}", at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_comes_back_and_goes_away() {
        let values = [
            ("BucketPolicy", json!("{\"Statement\": []}")),
            ("BucketLifecycleConfiguration", json!({"Rules": [{"ID": "x", "Status": "Enabled"}]})),
            ("BucketTagging", json!({"TagSet": [{"Key": "a", "Value": "b"}]})),
            ("BucketOwnershipControls", json!({"Rules": []})),
            ("PublicAccessBlock", json!({"BlockPublicAcls": false})),
        ];
        let mut bucket = Bucket { settings: of_a_new_bucket(), ..Bucket::default() };
        for (suffix, value) in values {
            let (_, setting) = operation(&format!("Get{suffix}")).unwrap();
            setting.put(&mut bucket, json!({setting.member: value})).unwrap();
            assert_eq!(setting.document(&bucket).unwrap(), value);
            setting.delete(&mut bucket);
            assert_eq!(setting.get(&bucket).unwrap_err().status, 404);
        }
    }

    #[test]
    fn what_is_not_of_the_kind_is_refused() {
        let mut bucket = Bucket::default();
        let mut code = |suffix: &str, value: Value| {
            let (_, setting) = operation(&format!("Put{suffix}")).unwrap();
            setting.put(&mut bucket, json!({setting.member: value})).unwrap_err().code
        };
        assert_eq!(code("BucketPolicy", json!("no")), "MalformedPolicy");
        assert_eq!(code("BucketVersioning", json!({"Status": "On"})), "MalformedXML");
        assert_eq!(code("BucketEncryption", Value::Null), "MalformedXML");
        let twice = json!({"TagSet": [{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}]});
        assert_eq!(code("BucketTagging", twice), "InvalidTag");
        assert!(operation("DeleteBucketVersioning").is_none());
        assert_eq!(operation("DeleteBucketLifecycle").unwrap().1.query, "lifecycle");
    }
}
