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

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

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

#[cfg(test)]
mod tests {
    use super::strikes::RECORD_SPAN;
    use super::*;

    fn faults(spec: &str) -> Faults {
        Faults::new(vec![spec.parse().expect("spec")])
    }

    fn drops(faults: &Faults, op: &str, sequence: &str) -> bool {
        let data = br#"{"sg":{"r":"20261121-013240-k3f9","l":2,"s":77,"d":1}}"#;
        let (shard, partition_key) = ("s/0", b"key".as_slice());
        faults.drop_after_ack(op, &Acked { at_us: 1, shard, kinesis_sequence: sequence, partition_key, data })
    }

    #[test]
    fn drops_exactly_as_often_as_asked_spread_out_and_logs_each() {
        let faults = faults("drop:count=25,seed=7");
        let struck: Vec<u64> = (0..5_000).filter(|n| drops(&faults, "PutRecord", &n.to_string())).collect();
        assert_eq!(struck.len(), 25);
        assert!(struck[24] < RECORD_SPAN, "{struck:?}");
        assert!(struck.windows(2).any(|pair| pair[1] - pair[0] > 1), "spread out: {struck:?}");
        let record = faults.log()[0].record.clone().expect("a record");
        let truth = (&*record.partition_key, record.run.as_deref(), record.level, record.sequence);
        assert_eq!(truth, ("key", Some("20261121-013240-k3f9"), Some(2), Some(77)));
        let logged: Vec<String> =
            faults.log().into_iter().flat_map(|event| event.kinesis_sequences).collect();
        assert_eq!(logged, struck.iter().map(u64::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let run = |spec: &str| {
            let faults = faults(spec);
            (0..2_000).filter(|_| drops(&faults, "PutRecord", "1")).collect::<Vec<_>>()
        };
        assert_eq!(run("drop:count=9,seed=1"), run("drop:count=9,seed=1"));
        assert_ne!(run("drop:count=9,seed=1"), run("drop:count=9,seed=2"));
    }

    #[test]
    fn an_op_keeps_drops_to_that_operation() {
        let faults = faults("drop:count=1,op=PutRecords");
        assert!((0..3_000).all(|_| !drops(&faults, "PutRecord", "1")));
        assert!((0..3_000).any(|_| drops(&faults, "PutRecords", "1")));
    }

    #[test]
    fn swaps_only_records_of_one_key() {
        let pair = |key: &str, sequence: &str| (key.to_owned(), sequence.to_owned());
        let faults = faults("swap:count=1");
        let distinct = [pair("a", "1"), pair("b", "2")];
        assert!((0..200).all(|_| faults.swap(0, "s", &distinct).is_none()));
        let shared = [pair("a", "1"), pair("b", "2"), pair("a", "3")];
        let swapped: Vec<_> = (0..200).filter_map(|_| faults.swap(0, "s", &shared)).collect();
        assert_eq!(swapped, [(0, 2)]);
        assert_eq!(faults.log()[0].kinesis_sequences, ["1", "3"]);
    }

    #[test]
    fn redelivers_as_often_as_asked() {
        let faults = faults("redeliver:count=3");
        let times = (0..200).filter(|_| faults.redeliver(0, "s", &["1".to_owned()])).count();
        assert_eq!((times, faults.log().len()), (3, 3));
    }

    #[test]
    fn probes_are_told_from_records_by_their_envelope() {
        assert!(is_probe(br#"{"sg":{"r":"20261121-013240-k3f9","l":999,"s":0,"d":1}}"#));
        assert!(!is_probe(br#"{"sg":{"r":"20261121-013240-k3f9","l":9990,"s":0,"d":1}}"#));
        assert!(!is_probe(br#"{"sg":{"r":"20261121-013240-k3f9","l":99,"s":999,"d":1}}"#));
        assert!(may_drop(b""));
        let late = [vec![b' '; 200], br#""l":999,"#.to_vec()].concat();
        assert!(may_drop(&late));
    }

    #[test]
    fn no_fault_never_strikes() {
        let faults = Faults::none();
        assert!(!drops(&faults, "PutRecord", "1") && !faults.drops());
        assert!(!faults.redeliver(0, "s", &[]) && faults.swap(0, "s", &[]).is_none());
        assert!(faults.log().is_empty());
    }
}
