//! The bound on the memory that records take, over all streams: an endpoint cannot keep a day's records of a
//! load test.
//!
//! Beyond one bound records that were read go before their retention is over. Where a shard is read, unread ones never
//! do: beyond another bound, that is not below it, the write is refused instead, because a record that was acked and
//! then thrown away would be blamed on the pipeline under test. A shard that nobody ever read loses its oldest there:
//! nobody waits.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::Kinesis;
use super::shard::Reclaim;
use crate::local::service::ApiError;

/// How long a vain search for something to forget holds: it walks over every shard.
const SEARCH_AGAIN_US: i64 = 100_000;

/// Bytes held by all shards of the endpoint, against their bounds.
pub struct Memory {
    pub held: AtomicU64,
    /// Beyond it no record is taken in.
    pub bound: u64,
    /// Beyond it none that was read is kept; not above `bound`.
    read_bound: u64,
    /// Until then there is nothing to forget.
    vain_until_us: AtomicI64,
    refused: AtomicBool,
}

impl Memory {
    pub fn new(bound: u64, read_bound: u64) -> Memory {
        Memory {
            held: AtomicU64::new(0),
            bound,
            read_bound: read_bound.min(bound),
            vain_until_us: AtomicI64::new(0),
            refused: AtomicBool::new(false),
        }
    }

    fn is_above(&self, bytes: u64) -> bool {
        self.held.load(Ordering::Relaxed) > bytes
    }
}

/// Makes room for what is about to be written.
///
/// # Errors
/// `InternalFailure` (500) when memory is full of records that were not read yet.
pub fn make_room(kinesis: &Kinesis) -> Result<(), ApiError> {
    let memory = &kinesis.memory;
    if !memory.is_above(memory.read_bound) {
        return Ok(());
    }
    let now_us = kinesis.now_us();
    if now_us >= memory.vain_until_us.load(Ordering::Relaxed) {
        // An eighth more than needed, so that this is done seldom.
        let goal = memory.read_bound - memory.read_bound / 8;
        forget(kinesis, Reclaim::Read, goal);
        forget(kinesis, Reclaim::NeverRead, memory.bound);
        if memory.is_above(memory.read_bound) {
            memory.vain_until_us.store(now_us + SEARCH_AGAIN_US, Ordering::Relaxed);
        }
    }
    if !memory.is_above(memory.bound) {
        return Ok(());
    }
    if !memory.refused.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            bound_bytes = memory.bound,
            "memory is full of records that were not read yet: writes are refused until they are"
        );
    }
    Err(ApiError::new(
        500,
        "InternalFailure",
        format!(
            "the local endpoint keeps at most {} bytes of records, and these are not read yet",
            memory.bound
        ),
    ))
}

/// Takes half of what each shard can spare, again and again until `goal` is reached: all shards give alike.
fn forget(kinesis: &Kinesis, what: Reclaim, goal: u64) {
    let memory = &kinesis.memory;
    let streams: Vec<_> = kinesis.streams.read().expect("streams lock").values().cloned().collect();
    let mut progress = true;
    while progress && memory.is_above(goal) {
        progress = false;
        for stream in &streams {
            let mut forgotten = 0;
            for slot in kinesis.layout(stream).all() {
                forgotten += slot.lock().forget_half(what, memory);
            }
            if forgotten == 0 {
                continue;
            }
            progress = true;
            if stream.first_early_trim() {
                tracing::warn!(
                    stream = stream.name,
                    bound_bytes = memory.bound,
                    "records go before their retention is over ({}): memory is full",
                    if what == Reclaim::Read { "those that were read" } else { "nobody reads them" }
                );
            }
        }
    }
}
