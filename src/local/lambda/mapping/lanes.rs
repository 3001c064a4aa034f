//! The records of one shard between being polled and being done: lanes that keep the order of each
//! partition key, batches, and the checkpoint. No clock, no I/O.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::event;
use crate::platform::limits::INVOKE_PAYLOAD_MAX_BYTES;

/// One record, ready to go into an event.
#[derive(Clone, Debug)]
pub struct Record {
    /// Kinesis sequence number.
    pub sequence: String,
    pub key: String,
    /// Approximate arrival, ms since the epoch.
    pub arrival_ms: i64,
    /// The record as the event carries it.
    pub json: Bytes,
    /// When the poll that brought it returned.
    pub received: Instant,
    /// Place in the shard, given by [`Checkpoint::add`].
    pub place: u64,
    /// A readiness probe: faults leave it alone.
    pub probe: bool,
}

/// Records that are delivered together, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    pub records: Vec<Record>,
    /// Invocations so far, those before a split included.
    pub invokes: u32,
    /// Retries used up.
    pub retries: u32,
    /// Times in a row that the function could not be invoked.
    pub refusals: u32,
    /// Not to be delivered before.
    pub not_before: Instant,
    /// Two records that a fault makes change places in the event.
    pub swap: Option<(usize, usize)>,
    /// Whether the faults were asked about this batch.
    pub asked_swap: bool,
    pub asked_redeliver: bool,
}

impl Batch {
    pub fn new(records: Vec<Record>, now: Instant) -> Batch {
        Batch {
            records,
            invokes: 0,
            retries: 0,
            refusals: 0,
            not_before: now,
            swap: None,
            asked_swap: false,
            asked_redeliver: false,
        }
    }

    /// A batch of some of the records, with the history of this one. A swap is not carried over.
    pub fn part(&self, records: Vec<Record>) -> Batch {
        Batch { records, swap: None, ..self.clone_without_records() }
    }

    fn clone_without_records(&self) -> Batch {
        Batch { records: Vec::new(), ..*self }
    }
}

/// When a lane has something to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Now,
    At(Instant),
    /// Nothing there, or an invocation under way.
    Never,
}

/// What gathers records into batches.
#[derive(Clone, Copy, Debug)]
pub struct Gather {
    pub batch_size: usize,
    pub window: Duration,
}

#[derive(Default)]
struct Lane {
    /// Polled, not yet in a batch.
    pending: VecDeque<Record>,
    pending_bytes: usize,
    /// Batches to deliver again, before anything pending.
    again: VecDeque<Batch>,
    busy: bool,
}

/// One lane for each batch that may be under way at once (ParallelizationFactor).
pub struct Lanes {
    lanes: Vec<Lane>,
    gather: Gather,
}

impl Lanes {
    pub fn new(count: usize, gather: Gather) -> Lanes {
        Lanes { lanes: (0..count.max(1)).map(|_| Lane::default()).collect(), gather }
    }

    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Records and bytes that wait for their first delivery.
    pub fn waiting(&self) -> (usize, usize) {
        let add = |(records, bytes), lane: &Lane| (records + lane.pending.len(), bytes + lane.pending_bytes);
        self.lanes.iter().fold((0, 0), add)
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.pending.is_empty() && lane.again.is_empty() && !lane.busy)
    }

    pub fn push(&mut self, record: Record) {
        let index = lane_of(&record.key, self.lanes.len());
        let lane = &mut self.lanes[index];
        lane.pending_bytes += event::bytes_in_event(&record);
        lane.pending.push_back(record);
    }

    pub fn due(&self, index: usize, now: Instant) -> Due {
        let lane = &self.lanes[index];
        if lane.busy {
            return Due::Never;
        }
        let at = match (lane.again.front(), lane.pending.front()) {
            (Some(batch), _) => batch.not_before,
            (None, None) => return Due::Never,
            (None, Some(_)) if self.is_full(lane) => return Due::Now,
            (None, Some(first)) => first.received + self.gather.window,
        };
        if at <= now { Due::Now } else { Due::At(at) }
    }

    fn is_full(&self, lane: &Lane) -> bool {
        lane.pending.len() >= self.gather.batch_size
            || lane.pending_bytes + event::ENVELOPE_BYTES >= INVOKE_PAYLOAD_MAX_BYTES
    }

    /// The next batch of a lane that is due. The lane is busy until [`Lanes::release`].
    pub fn take(&mut self, index: usize, now: Instant) -> Batch {
        let batch_size = self.gather.batch_size;
        let lane = &mut self.lanes[index];
        lane.busy = true;
        if let Some(batch) = lane.again.pop_front() {
            return batch;
        }
        let mut records = Vec::with_capacity(batch_size.min(lane.pending.len()));
        let mut bytes = event::ENVELOPE_BYTES;
        while let Some(first) = lane.pending.front() {
            let size = event::bytes_in_event(first);
            let fits = records.is_empty()
                || (records.len() < batch_size && bytes + size <= INVOKE_PAYLOAD_MAX_BYTES);
            if !fits {
                break;
            }
            bytes += size;
            lane.pending_bytes -= size;
            records.extend(lane.pending.pop_front());
        }
        Batch::new(records, now)
    }

    /// Frees a lane; `again` goes before everything else in it, in this order.
    pub fn release(&mut self, index: usize, again: Vec<Batch>) {
        let lane = &mut self.lanes[index];
        lane.busy = false;
        for batch in again.into_iter().rev().filter(|batch| !batch.records.is_empty()) {
            lane.again.push_front(batch);
        }
    }
}

/// The lane of a partition key: all records of a key go through one lane. FNV-1a, with the finalizer of
/// MurmurHash3 so that keys that differ in a digit spread evenly; stable, so that a run repeats.
fn lane_of(key: &str, lanes: usize) -> usize {
    let mut hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((hash ^ (hash >> 33)) % lanes as u64) as usize
}

/// How far a shard is done: every record up to the position is, those after it may be.
#[derive(Default)]
pub struct Checkpoint {
    /// Place of the first entry.
    first: u64,
    entries: VecDeque<(String, bool)>,
    position: Option<String>,
}

impl Checkpoint {
    /// Records must be added in the order of the shard.
    pub fn add(&mut self, sequence: &str) -> u64 {
        self.entries.push_back((sequence.to_owned(), false));
        self.first + self.entries.len() as u64 - 1
    }

    /// Returns the new position if it moved.
    pub fn finish(&mut self, places: impl IntoIterator<Item = u64>) -> Option<&str> {
        for place in places {
            if let Some(entry) = place.checked_sub(self.first).and_then(|i| self.entries.get_mut(i as usize))
            {
                entry.1 = true;
            }
        }
        let mut moved = false;
        while self.entries.front().is_some_and(|(_, done)| *done) {
            self.position = self.entries.pop_front().map(|(sequence, _)| sequence);
            self.first += 1;
            moved = true;
        }
        if moved { self.position.as_deref() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::platform::clock::Clock;

    fn record(key: &str, place: u64, bytes: usize, received: Instant) -> Record {
        Record {
            sequence: place.to_string(),
            key: key.to_owned(),
            arrival_ms: 0,
            json: vec![b'x'; bytes].into(),
            received,
            place,
            probe: false,
        }
    }

    fn start() -> Instant {
        Clock::starting_at(0).instant()
    }

    #[tokio::test]
    async fn a_window_waits_for_size_time_or_bytes() {
        let now = start();
        let gather = Gather { batch_size: 3, window: Duration::from_secs(5) };
        let mut lanes = Lanes::new(1, gather);
        assert_eq!(lanes.due(0, now), Due::Never);
        lanes.push(record("k", 0, 10, now));
        lanes.push(record("k", 1, 10, now));
        assert_eq!(lanes.due(0, now), Due::At(now + gather.window));
        assert_eq!(lanes.due(0, now + gather.window), Due::Now);
        lanes.push(record("k", 2, 10, now));
        assert_eq!(lanes.due(0, now), Due::Now, "the batch is full");
        lanes.push(record("k", 3, 10, now));
        assert_eq!(lanes.take(0, now).records.len(), 3);
        assert_eq!(lanes.due(0, now + gather.window), Due::Never, "busy");
        lanes.release(0, Vec::new());
        assert_eq!(lanes.take(0, now).records.len(), 1);
        lanes.release(0, Vec::new());
        lanes.push(record("k", 4, INVOKE_PAYLOAD_MAX_BYTES - 1_000, now));
        lanes.push(record("k", 5, 1_000, now));
        assert_eq!(lanes.due(0, now), Due::Now, "as much as an event holds");
        assert_eq!(lanes.take(0, now).records.len(), 1, "the second one would not fit");
        assert!(lanes.waiting().1 > 1_000 && lanes.waiting().0 == 1);
    }

    proptest! {
        /// Whatever the interleaving of polls, deliveries and retries: each key's records come in order, one
        /// batch of a lane at a time, none lost; and the position is always just below the lowest unfinished.
        #[test]
        fn lanes_keep_the_order_of_each_key(
            keys in proptest::collection::vec(0_u8..6, 1..80),
            lanes_count in 1_usize..=10,
            batch_size in 1_usize..8,
            choices in proptest::collection::vec((0_usize..10, 0_u8..3), 1..400),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _enter = runtime.enter();
            let now = start();
            let mut lanes = Lanes::new(lanes_count, Gather { batch_size, window: Duration::ZERO });
            let mut checkpoint = Checkpoint::default();
            let mut to_poll: VecDeque<_> = keys.iter().enumerate().collect();
            let mut under_way: BTreeMap<usize, Batch> = BTreeMap::new();
            let mut delivered: Vec<(String, u64)> = Vec::new();
            let mut position = None;
            let drain = (0..6_000).map(|i| (i % 10, (i / 10 % 3) as u8));
            for (pick, action) in choices.into_iter().chain(drain) {
                let lane = pick % lanes_count;
                match action {
                    0 => if let Some((index, key)) = to_poll.pop_front() {
                        let place = checkpoint.add(&index.to_string());
                        lanes.push(record(&key.to_string(), place, 5, now));
                    },
                    1 => if lanes.due(lane, now) == Due::Now {
                        let batch = lanes.take(lane, now);
                        prop_assert!(!batch.records.is_empty() && batch.records.len() <= batch_size);
                        prop_assert!(under_way.insert(lane, batch).is_none());
                    },
                    _ => if let Some(mut batch) = under_way.remove(&lane) {
                        // Half of it succeeds, the rest comes again.
                        let again = batch.records.split_off(batch.records.len().div_ceil(2));
                        delivered.extend(batch.records.iter().map(|r| (r.key.clone(), r.place)));
                        if let Some(moved) = checkpoint.finish(batch.records.iter().map(|r| r.place)) {
                            position = Some(moved.parse::<u64>().unwrap());
                        }
                        let again = batch.part(again);
                        lanes.release(lane, vec![again]);
                        let lowest = (0..).find(|place| !delivered.iter().any(|(_, done)| done == place));
                        prop_assert_eq!(position, lowest.unwrap().checked_sub(1));
                    },
                }
            }
            prop_assert!(lanes.is_idle() && to_poll.is_empty());
            prop_assert_eq!(delivered.len(), keys.len());
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            for (key, place) in &delivered {
                if let Some(before) = last.insert(key, *place) {
                    prop_assert!(before < *place, "{} after {}", place, before);
                }
            }
        }
    }

    #[test]
    fn keys_spread_over_the_lanes() {
        let mut counts = [0; 10];
        for key in 0..10_000 {
            counts[lane_of(&format!("key-{key:05}"), 10)] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }
}
