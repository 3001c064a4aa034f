//! Invocations: concurrency slots, throttles, the AWS/Lambda metrics.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::host::{FunctionVersion, InvokeOutcome};
use super::state::{Function, Shared, invalid, not_found, user};
use crate::local::metrics::Sample;
use crate::local::service::{ApiError, ApiResult};
use crate::platform::limits::{ACCOUNT_CONCURRENCY_DEFAULT, INVOKE_PAYLOAD_MAX_BYTES};

/// An invocation that may run: the function as it was admitted, and its slot, which is given back on drop.
pub struct Admitted<'a> {
    function: FunctionVersion,
    _slot: Slot<'a>,
}

impl Shared {
    /// Takes a slot for an event of this size, or refuses: `TooManyRequestsException` when none is free.
    pub fn admit(&self, name: &str, event_bytes: usize) -> Result<Admitted<'_>, ApiError> {
        if event_bytes > INVOKE_PAYLOAD_MAX_BYTES {
            let message = format!(
                "{event_bytes} byte payload is too large for the RequestResponse invocation type (limit \
                 {INVOKE_PAYLOAD_MAX_BYTES} bytes)"
            );
            return Err(user(ApiError::new(413, "RequestTooLargeException", message)));
        }
        let (function, slot) = self.acquire(name)?;
        // AWS gives these the time of the invocation's start.
        self.record(name, "Invocations", "Count", 1.0);
        self.record(name, "Throttles", "Count", 0.0);
        Ok(Admitted { function, _slot: slot })
    }

    pub async fn run(&self, admitted: Admitted<'_>, event: Bytes, request_id: &str) -> InvokeOutcome {
        let function = &admitted.function;
        let outcome = self.host.invoke(function, event, request_id).await;
        self.record(&function.name, "Errors", "Count", if outcome.failed { 1.0 } else { 0.0 });
        self.record(&function.name, "Duration", "Milliseconds", outcome.duration.as_secs_f64() * 1_000.0);
        outcome
    }

    /// The API operation, synchronous. The invocation runs on when the caller goes away, as in AWS.
    pub async fn invoke(self: Arc<Self>, input: Value) -> ApiResult {
        let name = self.function_name(&input)?;
        match input["InvocationType"].as_str() {
            None | Some("RequestResponse") => {}
            Some("DryRun") => {
                self.with_function(&name, |_| ())?;
                return Ok(json!({"StatusCode": 204, "ExecutedVersion": "$LATEST"}));
            }
            Some(other) => {
                return Err(invalid(format!(
                    "InvocationType is RequestResponse, Event or DryRun, not {other}"
                )));
            }
        }
        let event = payload(&input)?;
        let wants_tail = input["LogType"].as_str() == Some("Tail");
        let running = tokio::spawn(async move {
            let admitted = self.admit(&name, event.len())?;
            let request_id = self.uuid();
            let outcome = self.run(admitted, event, &request_id).await;
            Ok::<_, ApiError>((request_id, outcome))
        });
        let (request_id, outcome) =
            running.await.map_err(|error| ApiError::new(500, "ServiceException", error.to_string()))??;
        let mut answer = json!({
            "StatusCode": 200,
            "ExecutedVersion": "$LATEST",
            "Payload": STANDARD.encode(&outcome.payload),
            "RequestId": request_id,
        });
        if outcome.failed {
            answer["FunctionError"] = "Unhandled".into();
        }
        if wants_tail {
            answer["LogResult"] = STANDARD.encode(&outcome.log_tail).into();
        }
        Ok(answer)
    }

    fn acquire(&self, name: &str) -> Result<(FunctionVersion, Slot<'_>), ApiError> {
        let (version, running, account) = {
            let mut functions = self.functions();
            let account: u32 = functions.values().map(|function| function.running).sum();
            let reserved: u32 = functions.values().filter_map(|function| function.reserved_concurrency).sum();
            let unreserved = functions.values().filter(|function| function.reserved_concurrency.is_none());
            let unreserved_running: u32 = unreserved.map(|function| function.running).sum();
            let function = functions.get_mut(name).ok_or_else(|| not_found(&self.function_arn(name)))?;
            let full = match function.reserved_concurrency {
                Some(own) => (function.running >= own).then_some(Limit::Reserved),
                None => (unreserved_running >= ACCOUNT_CONCURRENCY_DEFAULT.saturating_sub(reserved))
                    .then_some(Limit::Account),
            };
            let version = self.version(function);
            let now = self.ctx.clock.instant();
            // Another thread may take the idle sandbox first: then one is started beyond the rate.
            let scales = |function: &mut Function| self.host.has_idle(&version) || function.scaling.take(now);
            let full = full.or_else(|| (!scales(function)).then_some(Limit::Scaling));
            if let Some(limit) = full {
                drop(functions);
                self.record(name, "Throttles", "Count", 1.0);
                return Err(limit.error());
            }
            function.running += 1;
            (version, function.running, account + 1)
        };
        let slot = Slot { shared: self, name: name.to_owned(), revision: version.revision };
        self.sample(&[], "ConcurrentExecutions", "Count", f64::from(account));
        let by_name = [("FunctionName", name)];
        self.sample(&by_name, "ConcurrentExecutions", "Count", f64::from(running));
        let by_resource = [("FunctionName", name), ("Resource", name)];
        self.sample(&by_resource, "ConcurrentExecutions", "Count", f64::from(running));
        Ok((version, slot))
    }

    /// One sample for the account, the function, and the function's resource, as AWS emits each of them.
    pub fn record(&self, name: &str, metric: &str, unit: &str, value: f64) {
        self.sample(&[], metric, unit, value);
        self.sample(&[("FunctionName", name)], metric, unit, value);
        self.sample(&[("FunctionName", name), ("Resource", name)], metric, unit, value);
    }

    pub fn sample(&self, dimensions: &[(&str, &str)], metric: &str, unit: &str, value: f64) {
        self.ctx.metrics.record(Sample { namespace: "AWS/Lambda", metric, dimensions, unit, value });
    }
}

/// Which limit refused.
enum Limit {
    Reserved,
    Account,
    /// New sandboxes in a while.
    Scaling,
}

impl Limit {
    fn error(&self) -> ApiError {
        let reason = match self {
            Limit::Reserved => "ReservedFunctionConcurrentInvocationLimitExceeded",
            // AWS documents no reason of its own for the scaling rate.
            Limit::Account | Limit::Scaling => "ConcurrentInvocationLimitExceeded",
        };
        let mut error = user(ApiError::new(429, "TooManyRequestsException", "Rate Exceeded."));
        error.members.insert("Reason".to_owned(), reason.into());
        error
    }
}

/// One running invocation.
struct Slot<'a> {
    shared: &'a Shared,
    name: String,
    revision: u64,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        // A function deleted and made anew under this name has no part in this invocation.
        let same = |function: &&mut Function| function.born <= self.revision;
        if let Some(function) = self.shared.functions().get_mut(&self.name).filter(same) {
            function.running -= 1;
        }
    }
}

/// The event: `Payload`, base64 as blobs are; `{}` when there is none.
pub fn payload(input: &Value) -> Result<Bytes, ApiError> {
    let Some(encoded) = input["Payload"].as_str().filter(|encoded| !encoded.is_empty()) else {
        return Ok(Bytes::from_static(b"{}"));
    };
    let event = STANDARD.decode(encoded).map_err(|error| invalid(format!("Payload: {error}")))?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&event).map_err(|error| {
        user(ApiError::invalid(
            "InvalidRequestContentException",
            format!("Could not parse request body into json: {error}"),
        ))
    })?;
    Ok(event.into())
}
