//! The thing loaded: a batch of due records in, a result for each out. Narrow on purpose, so that a
//! leaner data path can stand beside the SDK's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

#[derive(Clone, Debug)]
pub struct OutRecord {
    pub key: String,
    /// Decides the shard instead of the key's hash: a number below 2^128, decimal.
    pub hash_key: Option<Arc<str>>,
    pub data: Bytes,
}

/// What one attempt did for one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutResult {
    Acked,
    Throttled,
    /// Answered with an error. `retryable` as the SDK's classifiers see it.
    Failed {
        code: String,
        message: String,
        retryable: bool,
    },
    /// Sent, but no answer came in time: it may have taken effect.
    Unknown {
        message: String,
    },
    /// Could not be sent at all.
    NotSent {
        message: String,
    },
    /// There were no credentials to sign with, or the service refused them: the record was not taken in.
    NoCredentials {
        message: String,
    },
}

pub trait Driver: Send + Sync {
    /// One attempt for all `records`; as many results as records, in order. Never retries by itself.
    fn put<'a>(
        &'a self,
        records: &'a [OutRecord],
    ) -> Pin<Box<dyn Future<Output = Vec<PutResult>> + Send + 'a>>;
}
