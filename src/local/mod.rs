//! The local endpoint: a small, honest model of the AWS services that the tool touches. `docs/local.md`
//! says what it models, from which source, and what is deliberately not there.

pub mod faults;
pub mod kinesis;
pub mod logs;
pub mod metrics;
pub mod s3;
pub mod service;
