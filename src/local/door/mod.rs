//! The doors: protocols on the wire, translated into operations on AWS-shaped JSON and back.
//!
//! `http` (TCP, loopback only) and `in_process` (no socket) hand every request to `router::handle`.

pub mod cbor;
mod control;
mod guard;
pub mod http;
pub mod in_process;
mod json;
#[cfg(feature = "cli")]
pub mod network;
mod query;
pub(in crate::local) mod response;
pub mod router;
mod xml;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

/// Bytes of a request's body: a function's zip of 50 MB in base64, with margin. Lambda quotas.
pub const BODY_MAX_BYTES: usize = 70_000_000;
