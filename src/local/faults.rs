//! Faults on request, seeded, each logged as the truth against which accounting is tested.
//!
//! The services ask at the points where a fault can strike; without a fault every answer is "no".
//! `parse.rs` has the grammar, `strikes.rs` when a fault strikes, `log.rs` the truth. `service.rs` and `rest.rs`
//! stand in front of services for the faults that strike a request as a whole, `kill.rs` in front of SQS.

mod errors;
mod front;
mod kill;
mod log;
mod operations;
mod parse;
mod rest;
mod service;
mod spec;
mod strikes;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unit_tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

pub use front::Asker;
pub use kill::KillingSqs;
pub use log::{FaultEvent, ReceiptTruth, RecordTruth, Struck};
pub use parse::BadFault;
pub use rest::FaultyHttp;
pub use service::FaultyService;
pub use spec::{CrashPoint, FaultSpec, KillWhen, Kind, Share};

use crate::wire::receipt::Receipt;
use log::TruthLog;
use strikes::Strikes;

/// Bytes of a record in which the envelope's level is looked for.
const ENVELOPE_PREFIX_BYTES: usize = 120;

#[derive(Default)]
pub struct Faults {
    specs: Vec<FaultSpec>,
    /// One for each spec, in the same order.
    strikes: Vec<Mutex<Strikes>>,
    log: Mutex<TruthLog>,
}

/// A record that was just acked.
pub struct Acked<'a> {
    pub at_us: i64,
    /// `<stream>/<shard id>`.
    pub shard: &'a str,
    pub kinesis_sequence: &'a str,
    pub partition_key: &'a [u8],
    pub data: &'a [u8],
}

impl Faults {
    pub fn none() -> Faults {
        Faults::default()
    }

    pub fn new(specs: Vec<FaultSpec>) -> Faults {
        let strikes = specs.iter().map(|spec| Mutex::new(Strikes::of(spec))).collect();
        let log = Mutex::new(TruthLog::of(&specs));
        Faults { specs, strikes, log }
    }

    /// Everything that was struck so far, at most the first 100,000 events.
    pub fn log(&self) -> Vec<FaultEvent> {
        self.truth().events().to_vec()
    }

    /// Strikes that happened after the log was full.
    pub fn unlogged(&self) -> u64 {
        self.truth().unlogged()
    }

    /// How much was struck so far, by kind; every kind that was asked for has an entry.
    pub fn struck(&self) -> BTreeMap<&'static str, Struck> {
        self.truth().struck().clone()
    }

    /// The specs, as `status` shows them.
    pub fn specs(&self) -> Vec<FaultSpec> {
        self.specs.clone()
    }

    /// Whether an acked record is to be forgotten. Kinesis asks once for each record that it acks and that
    /// is no probe ([`is_probe`]); `op` is `PutRecord` or `PutRecords`.
    pub fn drop_after_ack(&self, op: &str, acked: &Acked<'_>) -> bool {
        let wanted = |spec: &FaultSpec| matches!(spec.kind, Kind::Drop { .. }) && spec.covers(op);
        let struck = self.strike(acked.at_us, wanted).is_some();
        if struck {
            self.truth().push(FaultEvent {
                at_us: acked.at_us,
                kind: "drop",
                op: op.to_owned(),
                shard: acked.shard.to_owned(),
                kinesis_sequences: vec![acked.kinesis_sequence.to_owned()],
                strikes: 1,
                records: 1,
                record: Some(RecordTruth::of(acked.partition_key, acked.data)),
                ..FaultEvent::default()
            });
        }
        struck
    }

    /// Which records of a put are to be refused for throughput, in order; empty when none is. Kinesis asks once
    /// for each request, with the data of its records; probes are spared.
    pub fn throttle_records<'a>(
        &self,
        op: &str,
        at_us: i64,
        stream: &str,
        data: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<bool> {
        let wanted = |spec: &FaultSpec| matches!(spec.kind, Kind::Throttle { .. }) && spec.covers(op);
        if !self.specs.iter().any(wanted) {
            return Vec::new();
        }
        let refused: Vec<bool> =
            data.map(|data| !is_probe(data) && self.strike(at_us, wanted).is_some()).collect();
        let records = refused.iter().filter(|refused| **refused).count() as u64;
        if records == 0 {
            return Vec::new();
        }
        self.truth().add(FaultEvent {
            at_us,
            kind: "throttle",
            op: op.to_owned(),
            shard: stream.to_owned(),
            strikes: 1,
            records,
            ..FaultEvent::default()
        });
        refused
    }

    /// Whether a batch that just succeeded is to be delivered once more. The mapping asks once for each
    /// such batch, with all its sequence numbers. It leaves batches of readiness probes alone ([`is_probe`]).
    pub fn redeliver(&self, at_us: i64, shard: &str, kinesis_sequences: &[String]) -> bool {
        let struck = self.strike(at_us, |spec| matches!(spec.kind, Kind::Redeliver { .. })).is_some();
        if struck {
            self.truth().push(delivery("redeliver", at_us, shard, kinesis_sequences.to_vec()));
        }
        struck
    }

    /// Indexes `(i, j)`, `i < j`, of two records of one partition key that are to change places in a batch
    /// about to be delivered, or `None`. `keys_and_sequences` has the batch's records in order.
    pub fn swap(
        &self,
        at_us: i64,
        shard: &str,
        keys_and_sequences: &[(String, String)],
    ) -> Option<(usize, usize)> {
        let wanted = |spec: &FaultSpec| matches!(spec.kind, Kind::Swap { .. });
        if !self.specs.iter().any(wanted) {
            return None;
        }
        let (first, second) = first_pair_of_one_key(keys_and_sequences)?;
        self.strike(at_us, wanted)?;
        let sequences = [first, second].map(|index| keys_and_sequences[index].1.clone()).to_vec();
        self.truth().push(delivery("swap", at_us, shard, sequences));
        Some((first, second))
    }

    /// Whether the message with this body is to be acknowledged and forgotten. SQS asks once for each message
    /// that is sent; only those of receipts are ever struck, and not those about readiness probes.
    pub fn lose_receipt(&self, at_us: i64, body: &str) -> bool {
        let wanted = |spec: &FaultSpec| matches!(spec.kind, Kind::LostReceipt { .. });
        if !self.specs.iter().any(wanted) {
            return false;
        }
        let Some(receipt) = log::eligible_receipt(body) else { return false };
        let struck = self.strike(at_us, wanted).is_some();
        if struck {
            self.truth().push(FaultEvent::of_receipt(at_us, "lost-receipt", &receipt));
        }
        struck
    }

    /// Whether the sandbox that sends this receipt is to be killed, and where. [`Faults::killed`] logs it.
    fn kill(&self, at_us: i64) -> Option<CrashPoint> {
        let struck = self.strike(at_us, |spec| matches!(spec.kind, Kind::KillFunction { .. }))?;
        let Kind::KillFunction { at, .. } = self.specs[struck].kind else { return None };
        Some(at.unwrap_or_else(|| self.strikes[struck].lock().expect("faults lock").crash_point()))
    }

    fn killed(&self, at_us: i64, receipt: &Receipt, at: CrashPoint) {
        let event = FaultEvent::of_receipt(at_us, "kill-function", receipt);
        self.truth().push(FaultEvent { at: Some(at), ..event });
    }

    /// Whether any `drop` was asked for: lets the hot path skip looking at the data.
    pub fn drops(&self) -> bool {
        self.specs.iter().any(|spec| matches!(spec.kind, Kind::Drop { .. }))
    }

    /// Asks each matching spec, in the order given, until one strikes: its index.
    fn strike(&self, at_us: i64, matching: impl Fn(&FaultSpec) -> bool) -> Option<usize> {
        self.specs
            .iter()
            .zip(&self.strikes)
            .position(|(spec, strikes)| matching(spec) && strikes.lock().expect("faults lock").next(at_us))
    }

    fn truth(&self) -> MutexGuard<'_, TruthLog> {
        self.log.lock().expect("faults lock")
    }
}

/// A strike in the delivery of a batch.
fn delivery(kind: &'static str, at_us: i64, shard: &str, kinesis_sequences: Vec<String>) -> FaultEvent {
    FaultEvent {
        at_us,
        kind,
        shard: shard.to_owned(),
        records: kinesis_sequences.len() as u64,
        kinesis_sequences,
        strikes: 1,
        ..FaultEvent::default()
    }
}

/// Whether a record's data is one of the readiness probes that go before the schedule: the envelope's
/// level ([`crate::wire::envelope::PROBE_LEVEL`]) stands in the first 120 bytes.
///
/// Faults leave probes alone: they are not counted, so a fault spent on one would never show. This is
/// the one place that knows how a probe looks from outside.
pub fn is_probe(data: &[u8]) -> bool {
    const MARK: &[u8] = br#""l":999"#;
    const _: () = assert!(crate::wire::envelope::PROBE_LEVEL == 999);
    let prefix = &data[..data.len().min(ENVELOPE_PREFIX_BYTES)];
    prefix
        .windows(MARK.len() + 1)
        .any(|window| window.starts_with(MARK) && !window[MARK.len()].is_ascii_digit())
}

/// Whether `drop` may strike a record with this data.
pub fn may_drop(data: &[u8]) -> bool {
    !is_probe(data)
}

fn first_pair_of_one_key(keys_and_sequences: &[(String, String)]) -> Option<(usize, usize)> {
    let mut seen = std::collections::BTreeMap::new();
    for (index, (key, _)) in keys_and_sequences.iter().enumerate() {
        if let Some(first) = seen.insert(key.as_str(), index) {
            return Some((first, index));
        }
    }
    None
}
