//! The change that should move a limit, typed, so that it can be priced.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Shards {
        from: u32,
        to: u32,
    },
    /// Distinct partition keys of the load.
    PartitionKeys {
        from: u32,
        to: u32,
    },
    /// There are keys enough, but some carry too much.
    EvenKeys,
    /// Concurrent batches a shard.
    Parallelization {
        from: u32,
        to: u32,
    },
    /// Records a batch.
    BatchSize {
        from: u32,
        to: u32,
    },
    /// Concurrent executions that the function may use.
    Concurrency {
        from: u32,
        to: u32,
    },
    MemoryMb {
        from: u32,
        to: u32,
    },
    TimeoutS {
        from: u32,
        to: u32,
    },
    /// PutRecords with all records that are due, instead of one PutRecord a record.
    PutBatch,
    /// A host with more or faster cores for the generator.
    GeneratorHost,
    MaxInFlight {
        from: u32,
        to: u32,
    },
    /// Failing batches are cut in two.
    BisectOnError,
    /// `ReportBatchItemFailures`, and a function that names the record it failed on.
    PartialBatchResponse,
    /// Of a failing batch; -1 is until its records expire.
    Retries {
        from: i32,
        to: i32,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Shards { from, to } => write!(f, "shards {from} -> {to}"),
            Change::PartitionKeys { from, to } => write!(f, "distinct partition keys {from} -> {to}"),
            Change::EvenKeys => f.write_str("partition keys that spread the load evenly"),
            Change::Parallelization { from, to } => write!(f, "parallelization factor {from} -> {to}"),
            Change::BatchSize { from, to } => write!(f, "batch size {from} -> {to}"),
            Change::Concurrency { from, to } => write!(f, "function concurrency {from} -> {to}"),
            Change::MemoryMb { from, to } => write!(f, "function memory {from} MB -> {to} MB"),
            Change::TimeoutS { from, to } => write!(f, "function timeout {from} s -> {to} s"),
            Change::PutBatch => f.write_str("put: record -> batch"),
            Change::GeneratorHost => f.write_str("a larger generator host"),
            Change::BisectOnError => f.write_str("bisect_on_error: false -> true"),
            Change::PartialBatchResponse => {
                f.write_str("partial_batch_response: false -> true (ReportBatchItemFailures)")
            }
            Change::Retries { from, to } => write!(f, "retries {from} -> {to}"),
            Change::MaxInFlight { from, to } => write!(f, "max_in_flight {from} -> {to}"),
        }
    }
}
