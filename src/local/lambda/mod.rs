//! Lambda: the control plane, invocations under the concurrency limits, and the event source mapping for
//! Kinesis. Wire shapes and bounds follow the Lambda API model of 2015-03-31.
//!
//! Versions, aliases and layers are not there: `$LATEST` alone runs. What would change what runs and is not
//! modelled is refused by name. VpcConfig, TracingConfig, SnapStart, KMSKeyArn and EphemeralStorage are kept and
//! shown without effect: a stack needs them, and the tool's own process has no network or disk of its own.

#[cfg(test)]
mod async_tests;
mod asynchronous;
mod control;
mod destination;
pub mod host;
mod invoke;
pub mod logs;
mod mapping;
mod rest;
mod scaling;
#[cfg(test)]
mod sdk_tests;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use self::asynchronous::Events;
use self::host::FunctionHost;
use self::mapping::Mappings;
use self::state::{Shared, invalid};
use crate::local::service::{ApiResult, BoxFuture, Context, HttpService, Service, unknown_operation};

/// The services that Lambda itself calls.
#[derive(Clone)]
pub struct Peers {
    /// Polled by event source mappings.
    pub kinesis: Arc<dyn Service>,
    /// Takes on-failure messages and dead letters.
    pub sqs: Arc<dyn Service>,
    /// Holds deployment packages, and takes on-failure records.
    pub s3: Arc<dyn Service>,
    /// Takes what functions print.
    pub logs: Arc<dyn Service>,
}

/// The service. Its mappings and its log writer are tasks of their own; [`Lambda::shutdown`] ends them.
pub struct Lambda {
    shared: Arc<Shared>,
    mappings: Mappings,
    events: Events,
}

impl Lambda {
    /// Must be called inside a tokio runtime.
    pub fn new(ctx: Context, peers: Peers, host: Arc<dyn FunctionHost>) -> Arc<Lambda> {
        let shared = Arc::new(Shared::new(ctx, peers, host));
        Arc::new(Lambda {
            mappings: Mappings::new(shared.clone()),
            events: Events::new(shared.clone()),
            shared,
        })
    }

    /// Ends every mapping, forgets every asynchronous event, ends every sandbox, and hands the last log lines over. Bounded by the bounds of the
    /// mappings' stop and the host's shutdown.
    pub async fn shutdown(&self) {
        self.mappings.shutdown().await;
        self.events.shutdown().await;
        self.shared.host.shutdown().await;
        self.shared.logs.flush().await;
    }

    async fn dispatch(&self, operation: &str, input: Value) -> ApiResult {
        let shared = &self.shared;
        match operation {
            "CreateFunction" => shared.create_function(input).await,
            "GetFunction" => shared.get_function(&input),
            "GetFunctionConfiguration" => shared.get_function_configuration(&input),
            "UpdateFunctionCode" => shared.update_function_code(input).await,
            "UpdateFunctionConfiguration" => shared.update_function_configuration(input).await,
            "DeleteFunction" => shared.delete_function(&input).await,
            "ListFunctions" => shared.list_functions(&input),
            "ListVersionsByFunction" => shared.list_versions(&input),
            "Invoke" if input["InvocationType"] == "Event" => self.events.accept(&input),
            "Invoke" => shared.clone().invoke(input).await,
            "AddPermission" => shared.add_permission(input),
            "GetPolicy" => shared.get_policy(&input),
            "RemovePermission" => shared.remove_permission(&input),
            "PutFunctionConcurrency" => shared.put_concurrency(&input),
            "GetFunctionConcurrency" => shared.get_concurrency(&input),
            "DeleteFunctionConcurrency" => shared.delete_concurrency(&input),
            "PutFunctionEventInvokeConfig" => shared.put_event_invoke(&input, true),
            "UpdateFunctionEventInvokeConfig" => shared.put_event_invoke(&input, false),
            "GetFunctionEventInvokeConfig" => shared.get_event_invoke(&input),
            "DeleteFunctionEventInvokeConfig" => shared.delete_event_invoke(&input),
            "ListFunctionEventInvokeConfigs" => shared.list_event_invoke(&input),
            "GetAccountSettings" => Ok(shared.account_settings()),
            "TagResource" => match self.mappings.tag(&input) {
                Some(answer) => answer,
                None => shared.tag(&input),
            },
            "UntagResource" => match self.mappings.untag(&input) {
                Some(answer) => answer,
                None => shared.untag(&input),
            },
            "ListTags" => match self.mappings.tags(&input) {
                Some(answer) => answer,
                None => shared.tags(&input),
            },
            "CreateEventSourceMapping" => self.mappings.create(input).await,
            "GetEventSourceMapping" => self.mappings.get(&input),
            "UpdateEventSourceMapping" => self.mappings.update(input).await,
            "DeleteEventSourceMapping" => self.mappings.delete(&input),
            "ListEventSourceMappings" => self.mappings.list(&input),
            "PublishVersion" | "CreateAlias" | "PutProvisionedConcurrencyConfig" => Err(invalid(format!(
                "the local endpoint has no versions and no aliases, so no {operation}: $LATEST alone runs"
            ))),
            _ => Err(unknown_operation(operation)),
        }
    }
}

impl Service for Lambda {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(self.dispatch(operation, input))
    }
}

impl HttpService for Lambda {
    fn http<'a>(&'a self, request: http::Request<Bytes>) -> BoxFuture<'a, http::Response<Bytes>> {
        Box::pin(rest::answer(self, request))
    }
}

/// `2026-11-21T01:32:40.123Z`.
fn iso_ms(at_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(at_ms) {
        Ok(timestamp) => format!("{timestamp:.3}"),
        Err(_) => format!("{at_ms}ms"),
    }
}

/// The log stream of a new sandbox: `2026/11/21/[$LATEST]` and 32 hex digits.
fn stream_name(now_ms: i64, rng: &mut fastrand::Rng) -> String {
    let day = iso_ms(now_ms).get(..10).unwrap_or_default().replace('-', "/");
    format!("{day}/[$LATEST]{:032x}", rng.u128(..))
}

/// A random (version 4) UUID.
fn uuid(rng: &mut fastrand::Rng) -> String {
    let bits = (rng.u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
