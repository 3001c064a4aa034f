//! S3, as far as stacks, function code and readers of results need it: buckets with their settings,
//! versioned objects, multipart uploads. Bodies are in memory, [`store::BYTES_KEPT_MAX`] in all.
//!
//! Not modelled: access control (policies are kept, not evaluated), lifecycle expiry, copies, ACLs, object
//! tags, and everything else that answers `NotImplemented`.

mod checksum;
mod chunked;
mod error;
mod list;
mod multipart;
mod operations;
mod rest;
mod settings;
mod shapes;
pub mod store;
#[cfg(test)]
mod tests;
mod xml;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;

use self::store::Store;
use super::service::{ApiError, ApiResult, BoxFuture, Context, HttpService, Service};

/// Every service draws its own sequence from the endpoint's seed.
const SEED: u64 = 0x5333;

pub struct S3 {
    context: Context,
    store: Mutex<Store>,
    requests: AtomicU64,
}

impl S3 {
    pub fn new(context: Context) -> Arc<S3> {
        let store = Mutex::new(Store::new(context.seed ^ SEED));
        Arc::new(S3 { context, store, requests: AtomicU64::new(0) })
    }

    /// The current version of an object.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.get_object(bucket, key, None).ok().map(|(_, object, _)| object.body)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Nothing in here panics halfway through a change; a poisoned store is still whole.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> i64 {
        self.context.clock.now_us()
    }

    fn request_id(&self) -> String {
        format!("{:016X}", self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Service for S3 {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move { self.operate(operation, input) })
    }
}

impl HttpService for S3 {
    fn http<'a>(&'a self, request: http::Request<Bytes>) -> BoxFuture<'a, http::Response<Bytes>> {
        Box::pin(async move { rest::answer(self, request) })
    }

    fn operation(&self, request: &http::Request<Bytes>) -> String {
        rest::operation(request)
    }

    fn refusal(&self, method: &http::Method, path: &str, error: &ApiError) -> http::Response<Bytes> {
        rest::refused(self, method, path, error)
    }
}
