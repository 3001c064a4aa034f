//! One shard: its records in order of arrival, and its limits.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::bucket::Bucket;
use super::memory::Memory;
use super::sequence::Sequence;
use crate::platform::clock::WallUs;
use crate::platform::limits;

/// Bytes that the bookkeeping of one record takes beside its key and data.
const RECORD_OVERHEAD_BYTES: u64 = 72;

/// A stored record. Key and data share one allocation: there are millions of these.
#[derive(Clone)]
pub struct Record {
    pub count: u64,
    pub arrival_ms: i64,
    key_len: u16,
    /// Partition key, then data.
    blob: Bytes,
}

impl Record {
    /// A record from `blob`, of which the first `key_len` bytes are the partition key.
    pub fn new(key_len: u16, blob: Bytes) -> Record {
        Record { count: 0, arrival_ms: 0, key_len, blob }
    }

    pub fn key(&self) -> &[u8] {
        &self.blob[..usize::from(self.key_len)]
    }

    pub fn data(&self) -> &[u8] {
        &self.blob[usize::from(self.key_len)..]
    }

    /// Key and data: what the limits count.
    pub fn size(&self) -> u64 {
        self.blob.len() as u64
    }

    fn retained(&self) -> u64 {
        self.size() + RECORD_OVERHEAD_BYTES
    }
}

/// Why a read or write was refused: the shard's rate.
#[derive(Debug, PartialEq, Eq)]
pub struct RateExceeded;

/// Which records may go before their retention is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reclaim {
    /// Those that a reader was given.
    Read,
    /// Any of a shard that nobody ever read.
    NeverRead,
}

pub struct Shard {
    pub index: u32,
    /// Creation, epoch seconds, as its sequence numbers say it.
    pub created_s: u64,
    records: VecDeque<Record>,
    /// Count of the next record; counts start at 1, since 0 is the shard's starting sequence number.
    next_count: u64,
    /// Records below this count were given to a reader; 0 while nobody has read.
    read_to: u64,
    write_records: Bucket,
    write_bytes: Bucket,
    read_calls: Bucket,
    read_bytes: Bucket,
    /// A read took more than was there: none passes until the whole second's worth is back.
    read_in_debt: bool,
    iterator_calls: Bucket,
}

/// A page of records, by position in the shard.
pub struct Page {
    /// Cheap copies: what is done with them holds up no writer.
    pub records: Vec<Record>,
    /// Count to go on from.
    pub next_count: u64,
    /// Age of the last record of the page, or 0 when the page reaches the tip.
    pub behind_ms: i64,
    pub bytes: u64,
    /// There is nothing behind this page (yet).
    pub at_tip: bool,
}

impl Shard {
    pub fn new(index: u32, created_s: u64, now_us: WallUs) -> Shard {
        let reads = limits::SHARD_READ_CALLS_PER_S;
        Shard {
            index,
            created_s,
            records: VecDeque::new(),
            next_count: 1,
            read_to: 0,
            write_records: Bucket::new(
                limits::SHARD_WRITE_RECORDS_PER_S,
                limits::SHARD_WRITE_RECORDS_PER_S,
                now_us,
            ),
            write_bytes: Bucket::new(
                limits::SHARD_WRITE_BYTES_PER_S,
                limits::SHARD_WRITE_BYTES_PER_S,
                now_us,
            ),
            read_calls: Bucket::new(reads, reads, now_us),
            read_bytes: Bucket::new(limits::SHARD_READ_BYTES_PER_S, limits::SHARD_READ_BYTES_PER_S, now_us),
            read_in_debt: false,
            iterator_calls: Bucket::new(reads, reads, now_us),
        }
    }

    pub fn sequence(&self, count: u64, at_ms: i64) -> Sequence {
        Sequence {
            shard_created_s: self.created_s,
            shard_index: self.index,
            count,
            at_s: at_ms.div_euclid(1_000) as u64,
        }
    }

    /// The shard's first sequence number: before that of any record.
    pub fn starting_sequence(&self) -> Sequence {
        self.sequence(0, self.created_s as i64 * 1_000)
    }

    /// Whether a sequence number is of this shard, and of this incarnation of its stream.
    pub fn gave(&self, sequence: Sequence) -> bool {
        sequence.shard_index == self.index && sequence.shard_created_s == self.created_s
    }

    /// Takes one record's share of the write limits and its sequence number. The record itself is stored
    /// by [`Shard::store`], or not at all when a fault drops it.
    pub fn admit(&mut self, size: u64, now_us: WallUs) -> Result<Sequence, RateExceeded> {
        if !self.write_records.has(1, now_us) || !self.write_bytes.has(size, now_us) {
            return Err(RateExceeded);
        }
        self.write_records.take(1);
        self.write_bytes.take(size);
        let count = self.next_count;
        self.next_count += 1;
        Ok(self.sequence(count, now_us.div_euclid(1_000)))
    }

    /// Stores an admitted record, then trims by retention.
    pub fn store(&mut self, mut record: Record, count: u64, now_us: WallUs, keep_ms: i64, memory: &Memory) {
        record.count = count;
        record.arrival_ms = now_us.div_euclid(1_000);
        let added = record.retained();
        self.records.push_back(record);
        memory.held.fetch_add(added, Ordering::Relaxed);
        self.trim(now_us, keep_ms, memory);
    }

    /// Forgets the older half of what may go, and returns how many records that were. The last record stays:
    /// its number tells a record that was trimmed from one that never was there.
    pub fn forget_half(&mut self, what: Reclaim, memory: &Memory) -> usize {
        let mine = match what {
            Reclaim::Read => self.records.partition_point(|record| record.count < self.read_to),
            Reclaim::NeverRead if self.read_to == 0 => self.records.len(),
            Reclaim::NeverRead => 0,
        };
        let forgotten = mine.min(self.records.len().saturating_sub(1)).div_ceil(2);
        (0..forgotten).for_each(|_| self.drop_oldest(memory));
        forgotten
    }

    /// Forgets records past their retention.
    pub fn trim(&mut self, now_us: WallUs, keep_ms: i64, memory: &Memory) {
        let oldest_ms = now_us.div_euclid(1_000) - keep_ms;
        while self.records.front().is_some_and(|record| record.arrival_ms < oldest_ms) {
            self.drop_oldest(memory);
        }
    }

    /// Forgets everything: the stream is being deleted.
    pub fn clear(&mut self, memory: &Memory) {
        while !self.records.is_empty() {
            self.drop_oldest(memory);
        }
        self.records.shrink_to_fit();
    }

    fn drop_oldest(&mut self, memory: &Memory) {
        let freed = self.records.pop_front().map_or(0, |record| record.retained());
        memory.held.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Takes one GetShardIterator.
    pub fn take_iterator_call(&mut self, now_us: WallUs) -> Result<(), RateExceeded> {
        if !self.iterator_calls.has(1, now_us) {
            return Err(RateExceeded);
        }
        self.iterator_calls.take(1);
        Ok(())
    }

    /// Count of the next record to come: where LATEST starts.
    pub fn next_count(&self) -> u64 {
        self.next_count
    }

    /// Count of the first record that arrived at or after `at_ms`.
    pub fn count_at(&self, at_ms: i64) -> u64 {
        let index = self.records.partition_point(|record| record.arrival_ms < at_ms);
        self.records.get(index).map_or(self.next_count, |record| record.count)
    }

    /// Reads from `count` on, within the shard's read limits.
    ///
    /// The API reference of GetRecords: with insufficient throughput "subsequent calls made within the next
    /// 1 second throw", after a page of 10 MiB those "within the next 5 seconds". Both are a debt that must
    /// be paid until the bucket of 2 MiB is full again.
    pub fn read(&mut self, count: u64, max_records: usize, now_us: WallUs) -> Result<Page, RateExceeded> {
        let bytes_needed = if self.read_in_debt { limits::SHARD_READ_BYTES_PER_S } else { 1 };
        if !self.read_calls.has(1, now_us) || !self.read_bytes.has(bytes_needed, now_us) {
            return Err(RateExceeded);
        }
        let first = self.records.partition_point(|record| record.count < count);
        let mut bytes = 0;
        let mut records: Vec<Record> = Vec::new();
        for record in self.records.range(first..).take(max_records) {
            // One record always passes, or a large one could never be read.
            if bytes + record.size() > limits::GET_RECORDS_MAX_BYTES as u64 && !records.is_empty() {
                break;
            }
            bytes += record.size();
            records.push(record.clone());
        }
        self.read_calls.take(1);
        self.read_bytes.take(bytes);
        self.read_in_debt = self.read_bytes.in_debt();
        let at_tip = first + records.len() == self.records.len();
        // A page ends behind the tip only after the first record, so there is a last one.
        let behind_ms = match records.last() {
            Some(last) if !at_tip => (now_us.div_euclid(1_000) - last.arrival_ms).max(0),
            _ => 0,
        };
        let next_count = match records.last() {
            Some(last) if !at_tip => last.count + 1,
            _ => self.next_count.max(count),
        };
        self.read_to = self.read_to.max(next_count);
        Ok(Page { records, next_count, behind_ms, bytes, at_tip })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn empty() -> (Shard, Memory) {
        (Shard::new(0, 0, 0), Memory::new(u64::MAX, u64::MAX))
    }

    fn put(shard: &mut Shard, data: &[u8], now_us: WallUs, memory: &Memory) -> Option<Sequence> {
        let record = Record::new(1, Bytes::from([b"k", data].concat()));
        let sequence = shard.admit(record.size(), now_us).ok()?;
        shard.store(record, sequence.count, now_us, 24 * 3_600_000, memory);
        Some(sequence)
    }

    #[test]
    fn retention_trims_and_reads_go_on_from_the_horizon() {
        let (mut shard, memory) = empty();
        let day_us = 24 * 3_600_000_000;
        put(&mut shard, b"old", 0, &memory);
        put(&mut shard, b"new", day_us + 1_000, &memory);
        let page = shard.read(0, 10, day_us + 1_000).expect("read");
        assert_eq!(page.records.iter().map(|record| record.data()).collect::<Vec<_>>(), [b"new"]);
        shard.trim(day_us * 3, day_us / 1_000, &memory);
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_read_may_go_and_the_last_record_stays() {
        let (mut shard, memory) = empty();
        (0..10).for_each(|_| assert!(put(&mut shard, b"x", 0, &memory).is_some()));
        assert_eq!(shard.forget_half(Reclaim::Read, &memory), 0);
        assert_eq!(shard.forget_half(Reclaim::NeverRead, &memory), 5);
        assert_eq!(shard.read(0, 3, 0).expect("read").records.len(), 3);
        assert_eq!(shard.forget_half(Reclaim::NeverRead, &memory), 0);
        let forgotten: Vec<usize> = (0..3).map(|_| shard.forget_half(Reclaim::Read, &memory)).collect();
        assert_eq!(forgotten, [2, 1, 0]);
        assert_eq!(shard.read(0, 10, 0).expect("read").records.len(), 2);
        while shard.forget_half(Reclaim::Read, &memory) > 0 {}
        assert_eq!(shard.read(0, 10, 0).expect("read").records[0].count, 10);
        assert_eq!(memory.held.load(Ordering::Relaxed), RECORD_OVERHEAD_BYTES + 2);
    }

    #[test]
    fn a_shard_answers_five_reads_a_second_and_two_mebibytes() {
        let (mut shard, memory) = empty();
        assert!((0..5).all(|_| shard.read(0, 1, 0).is_ok()));
        assert!(shard.read(0, 1, 0).is_err());
        let large = vec![0; 1_000_000];
        for second in 0..12 {
            put(&mut shard, &large, second * 1_000_000, &memory).expect("within the limits");
        }
        let now_us = 60_000_000;
        let page = shard.read(0, 10_000, now_us).expect("read");
        assert_eq!((page.records.len(), page.behind_ms), (10, 60_000 - 9_000));
        assert!(shard.read(11, 10_000, now_us + 4_700_000).is_err());
        assert!(shard.read(11, 10_000, now_us + 5_000_000).is_ok());
    }

    #[test]
    fn one_large_record_passes_and_is_paid_off() {
        let (mut shard, memory) = empty();
        let large = vec![0; 10 * 1_048_576 - 1];
        assert!(put(&mut shard, &large, 0, &memory).is_some());
        assert!(put(&mut shard, b"x", 8_000_000, &memory).is_none());
        assert!(put(&mut shard, b"x", 10_000_000, &memory).is_some());
    }

    proptest! {
        #[test]
        fn pages_of_any_size_give_every_record_once_in_order(
            gaps_ms in proptest::collection::vec(0i64..3_000, 1..200), page in 1usize..50,
        ) {
            let (mut shard, memory) = empty();
            let mut now_us = 0;
            let mut put_counts = Vec::new();
            for gap_ms in gaps_ms {
                now_us += gap_ms * 1_000;
                put_counts.push(put(&mut shard, b"data", now_us, &memory).expect("admitted"));
            }
            let numbers: Vec<String> = put_counts.iter().map(Sequence::to_string).collect();
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
            let (mut seen, mut next) = (Vec::new(), 0);
            while seen.len() < put_counts.len() {
                now_us += 1_000_000;
                let got = shard.read(next, page, now_us).expect("one read a second");
                prop_assert!(!got.records.is_empty());
                seen.extend(got.records.iter().map(|record| record.count));
                next = got.next_count;
            }
            prop_assert_eq!(seen, put_counts.iter().map(|sequence| sequence.count).collect::<Vec<_>>());
        }

        #[test]
        fn at_timestamp_finds_the_first_record_at_or_after(
            gaps_ms in proptest::collection::vec(0i64..50, 1..100), at_ms in 0i64..5_000,
        ) {
            let (mut shard, memory) = empty();
            let mut now_ms = 0;
            let mut arrivals = Vec::new();
            for gap_ms in gaps_ms {
                now_ms += gap_ms;
                arrivals.push(now_ms);
                put(&mut shard, b"x", now_ms * 1_000, &memory).expect("admitted");
            }
            let expected = arrivals.iter().position(|arrival| *arrival >= at_ms).unwrap_or(arrivals.len());
            prop_assert_eq!(shard.count_at(at_ms), expected as u64 + 1);
        }
    }
}
