//! The reference model: a producer, a stream, a function and its mapping in plain lists, put through their
//! faults, with the truth about every record.

use std::collections::BTreeSet;

use crate::wire::receipt::RecordOutcome;

pub const LEVELS: u64 = 3;
pub const START_US: i64 = 1_763_688_000_000_000;
pub const RETENTION_US: i64 = 24 * 3_600_000_000;
const KEYS: u64 = 5;

/// What may go wrong: proptest leaves out as many as it can when it shrinks a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Fault {
    /// The put fails, without effect.
    Refused,
    /// The put takes effect, the answer never comes, and there is no other attempt.
    UnknownOutcome,
    /// The same, and it is put again.
    LostAnswer,
    DropAfterAck,
    /// Due, and without an outcome for ever.
    Pending,
    OvertakingPuts,
    Reshard,
    Swap,
    Redelivery,
    CrashBeforeReceipt,
    CrashAfterReceipt,
    LostReceipt,
    ItemFailure,
    /// The mapping gives up on a batch.
    DeadLetter,
    /// The run is longer than the stream keeps records.
    LongRun,
    /// The stream forgets its beginning before its time.
    EarlyTrim,
    CollectionCut,
    SqsRepeats,
}

pub const FAULTS: u32 = Fault::SqsRepeats as u32 + 1;

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub seed: u64,
    pub per_level: u64,
    /// Bit for bit a [`Fault`].
    pub faults: u32,
}

impl Settings {
    pub fn has(self, fault: Fault) -> bool {
        self.faults & 1 << fault as u32 != 0
    }

    pub fn records(self) -> u64 {
        LEVELS * self.per_level
    }

    /// A record every second, or every 20 minutes.
    pub fn due_us(self, sequence: u64) -> i64 {
        let every_us = if self.has(Fault::LongRun) { 1_200_000_000 } else { 1_000_000 };
        START_US + sequence as i64 * every_us
    }

    pub fn level(self, sequence: u64) -> u32 {
        (sequence / self.per_level) as u32
    }

    /// When the stream is read again.
    pub fn ends_us(self) -> i64 {
        self.due_us(self.records()) + 120_000_000
    }
}

pub fn key(sequence: u64) -> u32 {
    // Not in step with the sequence, as real keys are.
    (sequence * 7 % 11 % KEYS) as u32
}

/// One record in the stream.
#[derive(Clone, Debug)]
pub struct Stored {
    pub sequence: u64,
    pub number: u64,
    pub arrived_us: i64,
}

/// One batch of one shard as the function saw it.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub shard: usize,
    pub started_us: i64,
    pub records: Vec<(Stored, RecordOutcome)>,
    pub receipt_collected: bool,
}

/// What happened.
pub struct Pipeline {
    pub settings: Settings,
    pub acked: BTreeSet<u64>,
    pub failed: BTreeSet<u64>,
    pub invocations: Vec<Invocation>,
    /// By shard: what was delivered from it, and from where on it can still be read.
    pub shards: Vec<Vec<Stored>>,
    pub trimmed: Vec<usize>,
    /// Shard, first and last number.
    pub given_up: Vec<(usize, u64, u64)>,
    rng: fastrand::Rng,
    number: u64,
}

impl Pipeline {
    pub fn run(settings: Settings) -> Pipeline {
        let mut pipeline = Pipeline {
            settings,
            acked: BTreeSet::new(),
            failed: BTreeSet::new(),
            invocations: Vec::new(),
            shards: vec![Vec::new(); 3],
            trimmed: vec![0; 3],
            given_up: Vec::new(),
            rng: fastrand::Rng::with_seed(settings.seed),
            number: 999_999_990, // Grows by a digit on the way.
        };
        pipeline.produce();
        // The child's batches come after all of its parent's.
        let parent_ended_us = pipeline.deliver(0, START_US);
        pipeline.deliver(1, START_US);
        pipeline.deliver(2, parent_ended_us);
        pipeline.collect();
        pipeline.trim();
        pipeline
    }

    /// Whether a fault strikes here: once in `one_in`, when it is among the faults at all.
    fn strikes(&mut self, fault: Fault, one_in: u32) -> bool {
        let struck = self.rng.u32(..one_in) == 0;
        struck && self.settings.has(fault)
    }

    fn produce(&mut self) {
        let mut order: Vec<u64> = (0..self.settings.records()).collect();
        for at in 0..order.len() {
            let to = (at + self.rng.usize(1..12)).min(order.len() - 1);
            if self.strikes(Fault::OvertakingPuts, 20) {
                order.swap(at, to);
            }
        }
        let resharded = order.len() / 2;
        for (at, sequence) in order.into_iter().enumerate() {
            let parent_closed = at >= resharded && self.settings.has(Fault::Reshard);
            self.put(sequence, parent_closed);
        }
    }

    fn put(&mut self, sequence: u64, parent_closed: bool) {
        if self.strikes(Fault::Pending, 40) {
            return;
        }
        if self.strikes(Fault::Refused, 25) {
            self.failed.insert(sequence);
            return;
        }
        if self.strikes(Fault::UnknownOutcome, 25) {
            self.failed.insert(sequence);
            self.store(sequence, parent_closed);
            return;
        }
        if self.strikes(Fault::LostAnswer, 20) {
            self.store(sequence, parent_closed);
        }
        self.acked.insert(sequence);
        if !self.strikes(Fault::DropAfterAck, 15) {
            self.store(sequence, parent_closed);
        }
    }

    fn store(&mut self, sequence: u64, parent_closed: bool) {
        let shard = match key(sequence) % 2 {
            0 if parent_closed => 2,
            shard => shard as usize,
        };
        self.number += 1;
        let arrived_us = self.settings.due_us(sequence) + self.rng.i64(0..5_000_000);
        self.shards[shard].push(Stored { sequence, number: self.number, arrived_us });
    }

    /// Hands the shard's records to the function, and says when the last was done.
    fn deliver(&mut self, shard: usize, from_us: i64) -> i64 {
        let mut started_us = from_us + self.rng.i64(0..50);
        let batch_size = self.rng.usize(1..12);
        for batch in self.shards[shard].clone().chunks(batch_size) {
            if self.strikes(Fault::DeadLetter, 12) {
                self.given_up.push((shard, batch[0].number, batch[batch.len() - 1].number));
                continue;
            }
            let mut records: Vec<_> =
                batch.iter().map(|record| (record.clone(), RecordOutcome::Processed)).collect();
            if records.len() > 1 && self.strikes(Fault::Swap, 4) {
                let at = self.rng.usize(..records.len() - 1);
                records.swap(at, at + 1);
            }
            self.invoke(shard, &mut started_us, records);
        }
        started_us
    }

    /// One batch, until the mapping has done with it.
    fn invoke(&mut self, shard: usize, started_us: &mut i64, mut records: Vec<(Stored, RecordOutcome)>) {
        if self.strikes(Fault::CrashBeforeReceipt, 10) {
            self.invoked(shard, started_us, &records, false);
        }
        if self.strikes(Fault::CrashAfterReceipt, 10) {
            self.invoked(shard, started_us, &records, true);
        }
        if self.strikes(Fault::ItemFailure, 6) {
            // What comes from the first failure on comes again, as with a checkpoint.
            let at = self.rng.usize(..records.len());
            records[at].1 = RecordOutcome::Failed;
            self.invoked(shard, started_us, &records, true);
            records.drain(..at);
            records[0].1 = RecordOutcome::Processed;
        }
        let receipt_sent = !self.strikes(Fault::LostReceipt, 10);
        self.invoked(shard, started_us, &records, receipt_sent);
        if self.strikes(Fault::Redelivery, 10) {
            self.invoked(shard, started_us, &records, true);
        }
    }

    fn invoked(
        &mut self,
        shard: usize,
        started_us: &mut i64,
        records: &[(Stored, RecordOutcome)],
        receipt_collected: bool,
    ) {
        *started_us += self.rng.i64(1..20);
        let (records, started_us) = (records.to_vec(), *started_us);
        self.invocations.push(Invocation { shard, started_us, records, receipt_collected });
    }

    /// What the collector got is in no order, and not all when it was cut off.
    fn collect(&mut self) {
        let mut invocations = std::mem::take(&mut self.invocations);
        self.rng.shuffle(&mut invocations);
        for invocation in &mut invocations {
            if self.strikes(Fault::CollectionCut, 5) {
                invocation.receipt_collected = false;
            }
        }
        self.invocations = invocations;
    }

    /// By age; and before that, but then at least one record that a receipt tells of: nobody could know otherwise.
    fn trim(&mut self) {
        let horizon_us = self.settings.ends_us() - RETENTION_US;
        for shard in 0..self.shards.len() {
            let stored = &self.shards[shard];
            // Arrivals are not quite in order; the stream forgets what came first.
            let mut cut = stored.iter().take_while(|record| record.arrived_us < horizon_us).count();
            if self.settings.has(Fault::EarlyTrim) {
                let told = |record: &Stored| self.is_told_of(shard, record.number);
                if let Some(first_told) = stored.iter().position(told) {
                    cut = cut.max(self.rng.usize(first_told + 1..=stored.len()));
                }
            }
            self.trimmed[shard] = cut;
        }
    }

    pub fn is_told_of(&self, shard: usize, number: u64) -> bool {
        self.invocations
            .iter()
            .filter(|invocation| invocation.shard == shard && invocation.receipt_collected)
            .any(|invocation| invocation.records.iter().any(|(record, _)| record.number == number))
    }

    /// What can still be read from a shard.
    pub fn readable(&self, shard: usize) -> &[Stored] {
        &self.shards[shard][self.trimmed[shard]..]
    }
}
