//! `AWS::S3::Bucket` and `AWS::S3::BucketPolicy`.

use serde_json::{Map, Value, json};

use super::{Attributes, Call, Change, ResourceType, Shape, attributes, gone, is_not_found};
use crate::local::cloudformation::shape::TAGS;
use crate::local::service::{ApiError, BoxFuture};

const LIFECYCLE_RULE: Shape = Shape::Object(&[
    ("AbortIncompleteMultipartUpload", Shape::Object(&[("DaysAfterInitiation", Shape::Whole)])),
    ("ExpirationInDays", Shape::Whole),
    ("Id", Shape::Text),
    ("NoncurrentVersionExpiration", Shape::Object(&[("NoncurrentDays", Shape::Whole)])),
    ("Prefix", Shape::Text),
    ("Status", Shape::Text),
]);

const ENCRYPTION_RULE: Shape = Shape::Object(&[
    ("BucketKeyEnabled", Shape::Flag),
    (
        "ServerSideEncryptionByDefault",
        Shape::Object(&[("KMSMasterKeyID", Shape::Text), ("SSEAlgorithm", Shape::Text)]),
    ),
]);

pub struct Bucket;

impl ResourceType for Bucket {
    fn kind(&self) -> &'static str {
        "AWS::S3::Bucket"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[
            (
                "BucketEncryption",
                Shape::Object(&[("ServerSideEncryptionConfiguration", Shape::List(&ENCRYPTION_RULE))]),
            ),
            ("BucketName", Shape::Text),
            ("LifecycleConfiguration", Shape::Object(&[("Rules", Shape::List(&LIFECYCLE_RULE))])),
            (
                "OwnershipControls",
                Shape::Object(&[("Rules", Shape::List(&Shape::Object(&[("ObjectOwnership", Shape::Text)])))]),
            ),
            (
                "PublicAccessBlockConfiguration",
                Shape::Object(&[
                    ("BlockPublicAcls", Shape::Flag),
                    ("BlockPublicPolicy", Shape::Flag),
                    ("IgnorePublicAcls", Shape::Flag),
                    ("RestrictPublicBuckets", Shape::Flag),
                ]),
            ),
            ("Tags", TAGS),
            ("VersioningConfiguration", Shape::Object(&[("Status", Shape::Text)])),
        ]
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "DomainName", "RegionalDomainName"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["BucketName"]
    }

    fn name_property(&self) -> Option<&'static str> {
        Some("BucketName")
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let name = call.name(properties, "BucketName", 63);
            // Bucket names have no upper case, which generated names do.
            let name = if properties.get("BucketName").is_some() { name } else { name.to_ascii_lowercase() };
            // In us-east-1 S3 takes the creation of a bucket of one's own for a repetition.
            match call.api("s3", "GetBucketLocation", json!({"Bucket": name})).await {
                Ok(_) => return Err(call.exists(self, &name)),
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(error),
            }
            let region = &call.context.region;
            let mut input = Map::from_iter([("Bucket".to_owned(), json!(name))]);
            // us-east-1 is the one region that may not be named. S3 API reference, CreateBucket.
            if region != "us-east-1" {
                input.insert("CreateBucketConfiguration".into(), json!({"LocationConstraint": region}));
            }
            call.api("s3", "CreateBucket", Value::Object(input)).await?;
            *id = name.clone();
            for (operation, member, value) in settings(properties, call.tag_list(properties)) {
                call.api("s3", operation, json!({"Bucket": name, member: value})).await?;
            }
            Ok(attributes([
                ("Arn", format!("arn:aws:s3:::{name}")),
                ("DomainName", format!("{name}.s3.amazonaws.com")),
                ("RegionalDomainName", format!("{name}.s3.{region}.amazonaws.com")),
            ]))
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let wanted = settings(change.after, call.tag_list(change.after));
            let now = settings(change.before, Value::Null);
            for (operation, member, value) in &wanted {
                if !now.iter().any(|(_, one, before)| one == member && before == value) {
                    call.api("s3", operation, json!({"Bucket": change.id, *member: value})).await?;
                }
            }
            for (put, member, _) in now {
                if wanted.iter().any(|(_, one, _)| *one == member) {
                    continue;
                }
                if member == "VersioningConfiguration" {
                    // Versioning cannot be taken off a bucket.
                    let input = json!({"Bucket": change.id, member: {"Status": "Suspended"}});
                    call.api("s3", put, input).await?;
                } else {
                    let delete = put.replace("Put", "Delete").replace("LifecycleConfiguration", "Lifecycle");
                    gone(call.api("s3", &delete, json!({"Bucket": change.id})).await)?;
                }
            }
            Ok(())
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move { gone(call.api("s3", "DeleteBucket", json!({"Bucket": id})).await) })
    }
}

/// The calls that bring a new bucket to its properties: operation, member, value.
fn settings(properties: &Value, tags: Value) -> Vec<(&'static str, &'static str, Value)> {
    let mut calls = Vec::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    if let Some(encryption) = properties.get("BucketEncryption") {
        let rules: Vec<Value> =
            list(&encryption["ServerSideEncryptionConfiguration"]).iter().map(encryption_rule).collect();
        calls.push(("PutBucketEncryption", "ServerSideEncryptionConfiguration", json!({"Rules": rules})));
    }
    let as_it_is = [
        ("PublicAccessBlockConfiguration", "PutPublicAccessBlock"),
        ("OwnershipControls", "PutBucketOwnershipControls"),
        ("VersioningConfiguration", "PutBucketVersioning"),
    ];
    for (member, operation) in as_it_is {
        if let Some(value) = properties.get(member) {
            calls.push((operation, member, value.clone()));
        }
    }
    if let Some(lifecycle) = properties.get("LifecycleConfiguration") {
        let rules: Vec<Value> = list(&lifecycle["Rules"]).iter().map(lifecycle_rule).collect();
        calls.push(("PutBucketLifecycleConfiguration", "LifecycleConfiguration", json!({"Rules": rules})));
    }
    if tags.as_array().is_some_and(|tags| !tags.is_empty()) {
        calls.push(("PutBucketTagging", "Tagging", json!({"TagSet": tags})));
    }
    calls
}

fn encryption_rule(rule: &Value) -> Value {
    let mut api = Map::new();
    if let Some(default) = rule.get("ServerSideEncryptionByDefault") {
        api.insert("ApplyServerSideEncryptionByDefault".into(), default.clone());
    }
    if let Some(enabled) = rule.get("BucketKeyEnabled") {
        api.insert("BucketKeyEnabled".into(), enabled.clone());
    }
    Value::Object(api)
}

fn lifecycle_rule(rule: &Value) -> Value {
    let mut api = Map::from_iter([
        ("Status".to_owned(), rule["Status"].clone()),
        ("Filter".to_owned(), json!({"Prefix": rule["Prefix"].as_str().unwrap_or_default()})),
    ]);
    if let Some(id) = rule.get("Id") {
        api.insert("ID".into(), id.clone());
    }
    if let Some(days) = rule.get("ExpirationInDays") {
        api.insert("Expiration".into(), json!({"Days": days}));
    }
    for same in ["AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"] {
        if let Some(value) = rule.get(same) {
            api.insert(same.into(), value.clone());
        }
    }
    Value::Object(api)
}

pub struct BucketPolicy;

impl ResourceType for BucketPolicy {
    fn kind(&self) -> &'static str {
        "AWS::S3::BucketPolicy"
    }

    fn properties(&self) -> &'static [(&'static str, Shape)] {
        &[("Bucket", Shape::Text), ("PolicyDocument", Shape::Json)]
    }

    fn required(&self) -> &'static [&'static str] {
        &["Bucket", "PolicyDocument"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["Bucket"]
    }

    fn create<'a>(
        &'a self,
        call: &'a Call<'a>,
        properties: &'a Value,
        id: &'a mut String,
    ) -> BoxFuture<'a, Result<Attributes, ApiError>> {
        Box::pin(async move {
            let policy = properties["PolicyDocument"].to_string();
            let input = json!({"Bucket": properties["Bucket"], "Policy": policy});
            call.api("s3", "PutBucketPolicy", input).await?;
            *id = properties["Bucket"].as_str().unwrap_or_default().to_owned();
            Ok(Attributes::new())
        })
    }

    fn update<'a>(
        &'a self,
        call: &'a Call<'a>,
        change: &'a Change<'a>,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let policy = change.after["PolicyDocument"].to_string();
            let input = json!({"Bucket": change.id, "Policy": policy});
            call.api("s3", "PutBucketPolicy", input).await.map(drop)
        })
    }

    fn delete<'a>(
        &'a self,
        call: &'a Call<'a>,
        _: &'a Value,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move { gone(call.api("s3", "DeleteBucketPolicy", json!({"Bucket": id})).await) })
    }
}
