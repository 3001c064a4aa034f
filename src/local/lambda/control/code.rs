//! Deployment packages: from the request or from S3.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::local::lambda::host::Code;
use crate::local::lambda::state::{Shared, invalid};
use crate::local::service::ApiError;

/// A package and the base64 hash that the API shows.
pub struct Package {
    pub code: Arc<Code>,
    pub sha256_base64: String,
}

impl Shared {
    /// `given` holds `ZipFile` (base64) or `S3Bucket` and `S3Key`.
    pub async fn package(&self, given: &Value) -> Result<Package, ApiError> {
        if given["ImageUri"].is_string() {
            return Err(invalid("the local endpoint runs zip packages, not container images"));
        }
        let encoded = match (given["ZipFile"].as_str(), given["S3Bucket"].as_str(), given["S3Key"].as_str()) {
            (Some(zip), None, None) => zip.to_owned(),
            (None, Some(bucket), Some(key)) => self.object(bucket, key).await?,
            _ => return Err(invalid("Please provide a source for function code.")),
        };
        let zip = STANDARD.decode(encoded).map_err(|error| invalid(format!("ZipFile: {error}")))?;
        if zip::ZipArchive::new(std::io::Cursor::new(&zip)).is_err() {
            return Err(invalid(
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            ));
        }
        let hash = Sha256::digest(&zip);
        let code = Arc::new(Code { zip: zip.into(), sha256_hex: hex::encode(hash) });
        Ok(Package { code, sha256_base64: STANDARD.encode(hash) })
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<String, ApiError> {
        let input = json!({"Bucket": bucket, "Key": key});
        let object = self.peers.s3.call("GetObject", input).await.map_err(|error| {
            invalid(format!(
                "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}",
                error.code, error.message
            ))
        })?;
        match object["Body"].as_str() {
            Some(body) => Ok(body.to_owned()),
            None => Err(invalid("S3 gave an object without a body")),
        }
    }
}
