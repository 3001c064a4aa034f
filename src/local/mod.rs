//! The local endpoint: a small, honest model of the AWS services that the tool touches. `docs/local.md`
//! says what it models, from which source, and what is deliberately not there.

pub mod cloud;
pub mod door;
pub mod faults;
pub mod kinesis;
pub mod metrics;
pub mod service;
pub mod sts;
