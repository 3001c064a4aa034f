//! What the service remembers of its functions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Map, Value};

use super::Peers;
use super::host::{Code, FunctionHost, FunctionVersion};
use super::logs::Logs;
use super::scaling::Scaling;
use crate::local::service::{ApiError, Context};

pub struct Shared {
    pub ctx: Context,
    pub peers: Peers,
    pub host: Arc<dyn FunctionHost>,
    pub logs: Logs,
    functions: Mutex<BTreeMap<String, Function>>,
    ids: Mutex<fastrand::Rng>,
    revisions: AtomicU64,
}

/// One function.
pub struct Function {
    /// `FunctionConfiguration` as the API gives it, without the fields of its state.
    pub configuration: Map<String, Value>,
    /// Whether `LoggingConfig` named the log group.
    pub log_group_declared: bool,
    pub code: Arc<Code>,
    /// Its first revision.
    pub born: u64,
    pub revision: u64,
    pub tags: BTreeMap<String, String>,
    pub reserved_concurrency: Option<u32>,
    /// Statements of the resource policy, kept and given back; nothing evaluates them.
    pub policy: Vec<Value>,
    /// How asynchronous invocations are treated, as the API gives it back.
    pub event_invoke: Option<Map<String, Value>>,
    pub scaling: Scaling,
    /// Invocations that run now.
    pub running: u32,
}

impl Shared {
    pub fn new(ctx: Context, peers: Peers, host: Arc<dyn FunctionHost>) -> Shared {
        Shared {
            logs: Logs::start(peers.logs.clone(), ctx.clock),
            // Salted, so that ids here and in other services of one seed differ.
            ids: Mutex::new(fastrand::Rng::with_seed(ctx.seed ^ 0x6c61_6d62_6461)),
            ctx,
            peers,
            host,
            functions: Mutex::default(),
            revisions: AtomicU64::new(1),
        }
    }

    pub fn functions(&self) -> MutexGuard<'_, BTreeMap<String, Function>> {
        self.functions.lock().expect("functions lock")
    }

    pub fn uuid(&self) -> String {
        super::uuid(&mut self.ids.lock().expect("ids lock"))
    }

    /// A number above every revision given before.
    pub fn next_revision(&self) -> u64 {
        self.revisions.fetch_add(1, Ordering::Relaxed)
    }

    /// The name that `FunctionName` means: a name, `name:$LATEST`, an ARN or `<account>:function:<name>`.
    pub fn function_name(&self, input: &Value) -> Result<String, ApiError> {
        let given = input["FunctionName"].as_str().unwrap_or_default();
        let unqualified = given.rsplit_once(":function:").map_or(given, |(_, rest)| rest);
        let unqualified = unqualified.strip_prefix("function:").unwrap_or(unqualified);
        let (name, qualifier) = match unqualified.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (unqualified, input["Qualifier"].as_str()),
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(valid) {
            return Err(super::control::validation(
                "functionName",
                given,
                "Member must satisfy regular expression pattern: [a-zA-Z0-9-_]{1,64}",
            ));
        }
        match qualifier {
            None | Some("$LATEST") => Ok(name.to_owned()),
            Some(qualifier) => Err(not_found(&format!("{}:{qualifier}", self.function_arn(name)))),
        }
    }

    pub fn function_arn(&self, name: &str) -> String {
        self.ctx.arn("lambda", &format!("function:{name}"))
    }

    /// Runs `work` on a function that exists.
    pub fn with_function<T>(&self, name: &str, work: impl FnOnce(&mut Function) -> T) -> Result<T, ApiError> {
        let mut functions = self.functions();
        functions.get_mut(name).map(work).ok_or_else(|| not_found(&self.function_arn(name)))
    }

    /// What a host needs to run the function as it is now.
    pub fn version(&self, function: &Function) -> FunctionVersion {
        let configuration = &function.configuration;
        let text = |key: &str| configuration.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| configuration.get(key).and_then(Value::as_u64).unwrap_or_default();
        let variables = configuration.get("Environment").and_then(|e| e["Variables"].as_object());
        let environment = variables.into_iter().flatten();
        FunctionVersion {
            name: text("FunctionName"),
            arn: text("FunctionArn"),
            revision: function.revision,
            code: function.code.clone(),
            handler: text("Handler"),
            memory_mb: number("MemorySize") as u32,
            timeout: Duration::from_secs(number("Timeout")),
            environment: environment
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            region: self.ctx.region.clone(),
            log_group: configuration["LoggingConfig"]["LogGroup"].as_str().unwrap_or_default().to_owned(),
            creates_log_group: !function.log_group_declared,
            logs: self.logs.clone(),
        }
    }
}

pub fn not_found(arn: &str) -> ApiError {
    user(ApiError::new(404, "ResourceNotFoundException", format!("Function not found: {arn}")))
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    user(ApiError::invalid("InvalidParameterValueException", message))
}

/// Lambda's errors say whose fault they are.
pub fn user(mut error: ApiError) -> ApiError {
    error.members.insert("Type".to_owned(), "User".into());
    error
}
