//! What became of one record: the only thing that load tells the evidence.

use crate::platform::clock::WallUs;

/// Sequence numbers and due times are known before anything is sent; an outcome is final.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub level: u32,
    pub sequence: u64,
    pub due_us: WallUs,
    /// When the generator had the record ready to send. `ready_us - due_us` is generator lag.
    pub ready_us: WallUs,
    /// When the first attempt left. For a record that waited for a slot, `first_sent_us - ready_us` is that wait.
    pub first_sent_us: WallUs,
    /// No in-flight slot was free when the record was due: the wait is charged to the record.
    pub waited_for_slot: bool,
    /// When the last attempt left, and when its answer (or its timeout) came.
    pub last_sent_us: WallUs,
    pub answered_us: WallUs,
    pub attempts: u32,
    /// Refusals among the attempts: throughput exceeded, retried or not.
    pub throttles: u32,
    /// Data bytes, without the partition key.
    pub bytes: u32,
    /// Partition key bytes.
    pub key_bytes: u32,
    pub end: RecordEnd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordEnd {
    Acked,
    Failed(FailReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// Refused for throughput until the attempts were used up.
    Throttled,
    /// The service answered with an error that a retry cannot mend, or until the attempts were used up.
    ServiceError,
    /// No attempt was acked and at least one was never answered: the record may be in the stream.
    UnknownOutcome,
    /// The connection could not be made: the record is not in the stream.
    NotSent,
    /// There were no valid credentials: the record is not in the stream, and the pipeline is not to blame.
    NoCredentials,
}

/// Takes what happens to records while they are sent. Called on the sending path: must not block.
pub trait Recorder: Send + Sync {
    /// Records `first..first + count` of a level are due and handed to the driver: pending from now on.
    fn started(&self, level: u32, first_sequence: u64, count: u64);
    /// A final outcome.
    fn finished(&self, outcome: &Outcome);
    /// Service time of one attempt of one request, sent to answered; records of one request share it.
    fn attempt(&self, level: u32, service_time_us: u64, records: u32);
}
