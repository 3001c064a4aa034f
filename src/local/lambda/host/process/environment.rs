//! The environment variables of a function's process.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::sandbox::Parts;
use crate::local::lambda::host::FunctionVersion;

/// Lambda developer guide, "Defined runtime environment variables". What the service reserves stands over
/// the function's own variables; so does the local endpoint, or a stack made for AWS could reach out.
pub fn of(function: &FunctionVersion, runtime_api: SocketAddr, parts: &Parts) -> BTreeMap<String, String> {
    let own = function.environment.iter().filter(|(name, _)| !name.starts_with("AWS_ENDPOINT_URL"));
    let mut all: BTreeMap<String, String> = own.map(|(k, v)| (k.clone(), v.clone())).collect();
    let task_root = parts.code.path().display().to_string();
    let memory_mb = function.memory_mb.to_string();
    let tmp = parts.tmp.path().display().to_string();
    let reserved = [
        ("_HANDLER", function.handler.as_str()),
        ("AWS_ACCESS_KEY_ID", "ASIALOCALSTREAMGAUGE"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_SESSION_TOKEN", "local"),
        ("AWS_DEFAULT_REGION", &function.region),
        ("AWS_REGION", &function.region),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory_mb),
        ("AWS_LAMBDA_FUNCTION_NAME", &function.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &function.log_group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", parts.log.name()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("LAMBDA_TASK_ROOT", &task_root),
        ("TMPDIR", &tmp),
    ];
    all.extend(reserved.map(|(name, value)| (name.to_owned(), value.to_owned())));
    all.insert("AWS_LAMBDA_RUNTIME_API".to_owned(), runtime_api.to_string());
    if let Some(url) = &parts.endpoint_url {
        all.insert("AWS_ENDPOINT_URL".to_owned(), url.clone());
    }
    // Libraries that a package brings are found; those of the machine stay where they are.
    let libraries =
        format!("/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:{task_root}:{task_root}/lib:/opt/lib");
    let defaults = [
        ("LD_LIBRARY_PATH", libraries.as_str()),
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
        ("TZ", ":UTC"),
    ];
    for (name, value) in defaults {
        all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    all
}
