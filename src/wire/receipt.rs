//! The receipt: one per invocation and run seen in it, sent to SQS before the function answers. The
//! format is public: `docs/receipts.md`.

mod counts;
mod histograms;
mod kinesis_sequence;
mod message;
mod records;

pub use counts::{Counts, LevelCounts};
pub use histograms::{HISTOGRAM_MAX_US, decode as decode_histogram};
pub use kinesis_sequence::KinesisSequence;
pub use message::{MESSAGE_MAX_BYTES, ReceiptError};

use super::run_id::RunId;

/// What the function says about one invocation. A receipt too large for an SQS message is split: part
/// `part` (from 0) of `parts`, all with one `id`; the numbers of the invocation stand in each part, the
/// records and histograms in exactly one.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt<L = LevelHistograms> {
    /// Random, 32 hex digits. SQS standard queues repeat and reorder: the collector de-duplicates on (id, part).
    pub id: String,
    pub part: u32,
    pub parts: u32,
    pub run: RunId,
    pub request_id: String,
    pub stream: String,
    pub shard: String,
    /// Function start, microseconds since the epoch, on the function's clock.
    pub started_us: i64,
    /// Microseconds from the function's start to when the receipt was written.
    pub duration_us: u64,
    pub cold_start: bool,
    pub memory_used_mb: u32,
    pub memory_limit_mb: u32,
    /// Earliest and latest approximate arrival of the batch, ms since the epoch.
    pub arrival_ms: (i64, i64),
    pub sink_errors: u32,
    /// In the order in which the batch had them.
    pub records: Vec<RecordSeen>,
    /// One entry per level seen.
    pub levels: Vec<L>,
    /// (sequence, approximate arrival in ms) of every record, probes left out, whose sequence is a multiple of
    /// [`CLOCK_SAMPLE_EVERY`]: together with the generator's send and ack times of the same records they
    /// bound the offset between the two clocks.
    pub arrivals: Vec<(u64, i64)>,
}

/// One record in this many is sampled for the clock offset, on both sides.
pub const CLOCK_SAMPLE_EVERY: u64 = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSeen {
    pub level: u32,
    pub sequence: u64,
    /// Tells a redelivery from a second put.
    pub kinesis_sequence: KinesisSequence,
    pub outcome: RecordOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    Processed,
    /// Not processed, because it failed or one before it did: it will come again, or be given up.
    Failed,
}

/// Latencies of one level in this invocation, in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelHistograms {
    pub level: u32,
    /// Due to function (or sink) done.
    pub e2e: hdrhistogram::Histogram<u64>,
    /// Due to approximate arrival (crosses clocks; 0 when negative).
    pub put: hdrhistogram::Histogram<u64>,
    /// Arrival to function start.
    pub stream: hdrhistogram::Histogram<u64>,
    /// Function start to done with the record.
    pub function: hdrhistogram::Histogram<u64>,
    /// Time in the sink; empty when there is none.
    pub sink: hdrhistogram::Histogram<u64>,
}

/// Records of a receipt, over all its parts: the largest batch of an event source mapping (Lambda API
/// reference, CreateEventSourceMapping, `BatchSize`).
pub const RECORDS_MAX: usize = 10_000;

impl LevelHistograms {
    pub fn new(level: u32) -> LevelHistograms {
        let empty = histograms::empty;
        LevelHistograms {
            level,
            e2e: empty(),
            put: empty(),
            stream: empty(),
            function: empty(),
            sink: empty(),
        }
    }
}

/// Records a latency: negative ones count as 0, those beyond [`HISTOGRAM_MAX_US`] as that.
pub fn record_us(histogram: &mut hdrhistogram::Histogram<u64>, latency_us: i64) {
    let bounded = (latency_us.max(0) as u64).min(HISTOGRAM_MAX_US);
    // Only a value outside the range of a fixed histogram fails; ours grow.
    let _ = histogram.record(bounded);
}
