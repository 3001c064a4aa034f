//! The API's operations. Source of members and errors: CloudFormation API reference.

pub mod change_sets;
pub mod describe;
pub mod stacks;
pub mod templates;

use std::sync::Arc;

use serde_json::{Value, json};

use super::engine::Engine;
use super::template::invalid;
use crate::local::service::{ApiError, ApiResult};
use crate::platform::limits::TEMPLATE_BODY_MAX_BYTES;

/// Bytes of a template read from S3. CloudFormation quotas.
const TEMPLATE_URL_MAX_BYTES: usize = 1_048_576;
/// Characters of a stack's name. CloudFormation API reference, CreateStack.
const STACK_NAME_MAX_CHARS: usize = 128;
/// Entries of one page of a list.
const PAGE: usize = 100;

async fn template_text(engine: &Arc<Engine>, input: &Value) -> Result<String, ApiError> {
    if let Some(body) = input["TemplateBody"].as_str() {
        if body.len() > TEMPLATE_BODY_MAX_BYTES {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to {TEMPLATE_BODY_MAX_BYTES}"
            )));
        }
        return Ok(body.to_owned());
    }
    let Some(url) = input["TemplateURL"].as_str() else {
        return Err(invalid("Either Template URL or Template Body must be specified."));
    };
    let (bucket, key) = bucket_and_key(url).ok_or_else(|| invalid("TemplateURL must be a supported URL."))?;
    let s3 = engine.services.get("s3").ok_or_else(|| invalid("S3 error: there is no local S3"))?;
    let object = s3
        .call("GetObject", json!({"Bucket": bucket, "Key": key}))
        .await
        .map_err(|error| invalid(format!("S3 error: {}", error.message)))?;
    let encoded = object["Body"].as_str().unwrap_or_default();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)
        .map_err(|error| invalid(format!("S3 error: {error}")))?;
    if bytes.len() > TEMPLATE_URL_MAX_BYTES {
        return Err(invalid(format!("Template may not exceed {TEMPLATE_URL_MAX_BYTES} bytes in size.")));
    }
    String::from_utf8(bytes).map_err(|_| invalid("Template format error: the template is not UTF-8."))
}

/// Bucket and key of an S3 address in path style (`http://host/bucket/key`) or virtual-hosted style
/// (`https://bucket.s3.region.amazonaws.com/key`).
fn bucket_and_key(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let path = path.split('?').next().unwrap_or(path);
    let host_bucket = host.find(".s3.").or_else(|| host.find(".s3-")).map(|end| &host[..end]);
    let (bucket, key) = match host_bucket {
        Some(bucket) => (bucket, path),
        None => path.split_once('/')?,
    };
    (!bucket.is_empty() && !key.is_empty()).then(|| (bucket.to_owned(), key.to_owned()))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let starts = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if starts && name.len() <= STACK_NAME_MAX_CHARS && name.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )))
}

/// One page of a list, with the token for the next.
fn page(all: Vec<Value>, input: &Value, member: &str) -> ApiResult {
    let start = match input["NextToken"].as_str() {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| invalid("Invalid NextToken"))?,
    };
    let more = all.len() > start + PAGE;
    let shown: Vec<Value> = all.into_iter().skip(start).take(PAGE).collect();
    let mut answer = json!({member: shown});
    if more {
        answer["NextToken"] = json!((start + PAGE).to_string());
    }
    Ok(answer)
}

fn no_resource(wanted: &str, stack: &str) -> ApiError {
    invalid(format!("Resource {wanted} does not exist for stack {stack}"))
}
