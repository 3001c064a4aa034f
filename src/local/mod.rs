//! The local endpoint: a small, honest model of the AWS services that the tool touches. `docs/local.md`
//! says what it models, from which source, and what is deliberately not there.

pub mod cloud;
pub mod cloudformation;
pub mod cloudwatch;
pub mod door;
pub mod faults;
pub mod iam;
pub mod kinesis;
pub mod lambda;
pub mod logs;
pub mod members;
pub mod metrics;
pub mod s3;
pub mod scheduler;
pub mod service;
pub mod sqs;
pub mod sts;
