//! The truth: what each fault struck. `docs/local.md`, "The truth", documents the format.

use std::collections::BTreeMap;

use serde::Serialize;

use super::spec::{CrashPoint, FaultSpec};
use crate::wire::envelope::{Envelope, PROBE_LEVEL};
use crate::wire::receipt::Receipt;

/// Events kept in the log; strikes beyond it happen and are counted, but not kept.
const EVENTS_MAX: usize = 100_000;
/// Sequence numbers and records kept over all events: a redelivered batch can have 10,000.
const RECORDS_MAX: usize = 1_000_000;
const SECOND_US: i64 = 1_000_000;

/// What a fault did: one strike, or all of one kind, operation and second where `strikes` counts them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultEvent {
    /// Microseconds since the epoch; of the first strike where several are counted.
    pub at_us: i64,
    pub kind: &'static str,
    /// Operation that it struck; empty for faults in the delivery of batches.
    pub op: String,
    /// Where it struck: `<stream>/<shard id>`, as far as it is known.
    pub shard: String,
    /// Kinesis sequence numbers of the records that it struck, where they have any.
    pub kinesis_sequences: Vec<String>,
    /// How often it struck: 1, except for latency, stall, error and throttle.
    pub strikes: u64,
    /// Records concerned; 0 where that is not known.
    pub records: u64,
    /// The record that `drop` struck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordTruth>,
    /// The receipt that `lost-receipt` struck, or of the invocation that `kill-function` struck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptTruth>,
    /// Where `kill-function` ended the invocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<CrashPoint>,
}

/// Who a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordTruth {
    pub partition_key: String,
    /// Its envelope's run, level and sequence; `None` for a record without one.
    pub run: Option<String>,
    pub level: Option<u32>,
    pub sequence: Option<u64>,
}

/// What a receipt's message held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptTruth {
    pub id: String,
    pub part: u32,
    pub parts: u32,
    pub run: String,
    /// Of the invocation.
    pub request_id: String,
    /// (level, sequence) of each record, in the order of the batch and of `kinesis_sequences`.
    pub records: Vec<(u32, u64)>,
}

impl RecordTruth {
    pub fn of(partition_key: &[u8], data: &[u8]) -> RecordTruth {
        let envelope = Envelope::find_in(data);
        RecordTruth {
            partition_key: String::from_utf8_lossy(partition_key).into_owned(),
            run: envelope.as_ref().map(|envelope| envelope.run.to_string()),
            level: envelope.as_ref().map(|envelope| envelope.level),
            sequence: envelope.as_ref().map(|envelope| envelope.sequence),
        }
    }
}

/// Reads the body of an SQS message as a receipt that a fault may strike: one with records, none of them a
/// readiness probe.
pub fn eligible_receipt(body: &str) -> Option<Receipt> {
    let receipt = Receipt::without_histograms(body).ok()?;
    let probes = receipt.records.iter().any(|record| record.level == PROBE_LEVEL);
    (!receipt.records.is_empty() && !probes).then_some(receipt)
}

impl FaultEvent {
    /// A strike at the message of a receipt.
    pub fn of_receipt(at_us: i64, kind: &'static str, receipt: &Receipt) -> FaultEvent {
        FaultEvent {
            at_us,
            kind,
            op: "SendMessage".to_owned(),
            shard: format!("{}/{}", receipt.stream, receipt.shard),
            kinesis_sequences: receipt.records.iter().map(|seen| seen.kinesis_sequence.to_string()).collect(),
            strikes: 1,
            records: receipt.records.len() as u64,
            receipt: Some(ReceiptTruth {
                id: receipt.id.clone(),
                part: receipt.part,
                parts: receipt.parts,
                run: receipt.run.to_string(),
                request_id: receipt.request_id.clone(),
                records: receipt.records.iter().map(|seen| (seen.level, seen.sequence)).collect(),
            }),
            ..FaultEvent::default()
        }
    }

    /// What it takes of [`RECORDS_MAX`].
    fn weight(&self) -> usize {
        self.kinesis_sequences.len() + self.receipt.as_ref().map_or(0, |receipt| receipt.records.len())
    }
}

/// How much faults of one kind have struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Struck {
    pub strikes: u64,
    pub records: u64,
}

/// The log, bounded, and the counts by kind, which stay exact when it is full.
#[derive(Default)]
pub struct TruthLog {
    events: Vec<FaultEvent>,
    weight: usize,
    /// Where the strikes of one kind and operation are being counted.
    counting: BTreeMap<(&'static str, String), usize>,
    struck: BTreeMap<&'static str, Struck>,
    unlogged: u64,
}

impl TruthLog {
    /// Counts start at zero for the kinds that were asked for.
    pub fn of(specs: &[FaultSpec]) -> TruthLog {
        let struck = specs.iter().map(|spec| (spec.kind.name(), Struck::default())).collect();
        TruthLog { struck, ..TruthLog::default() }
    }

    /// A strike of its own.
    pub fn push(&mut self, event: FaultEvent) {
        self.count(&event);
        self.keep(event);
    }

    /// Strikes that are counted by kind, operation and second: there may be many of them.
    pub fn add(&mut self, event: FaultEvent) {
        self.count(&event);
        let key = (event.kind, event.op.clone());
        let second = event.at_us.div_euclid(SECOND_US);
        let current = self.counting.get(&key).and_then(|index| self.events.get_mut(*index));
        if let Some(current) = current.filter(|current| current.at_us.div_euclid(SECOND_US) == second) {
            current.strikes += event.strikes;
            current.records += event.records;
        } else if self.keep(event) {
            self.counting.insert(key, self.events.len() - 1);
        }
    }

    fn count(&mut self, event: &FaultEvent) {
        let struck = self.struck.entry(event.kind).or_default();
        struck.strikes += event.strikes;
        struck.records += event.records;
    }

    fn keep(&mut self, event: FaultEvent) -> bool {
        let weight = self.weight + event.weight();
        if self.events.len() >= EVENTS_MAX || weight > RECORDS_MAX {
            self.unlogged += event.strikes;
            return false;
        }
        self.weight = weight;
        self.events.push(event);
        true
    }

    pub fn events(&self) -> &[FaultEvent] {
        &self.events
    }

    pub fn struck(&self) -> &BTreeMap<&'static str, Struck> {
        &self.struck
    }

    /// Strikes that are counted, but not among the events.
    pub fn unlogged(&self) -> u64 {
        self.unlogged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_us: i64, kind: &'static str, op: &str) -> FaultEvent {
        FaultEvent { at_us, kind, op: op.to_owned(), strikes: 1, records: 2, ..FaultEvent::default() }
    }

    #[test]
    fn many_strikes_are_counted_by_kind_operation_and_second() {
        let mut log = TruthLog::default();
        for at_us in [100, 200, SECOND_US - 1, SECOND_US] {
            log.add(event(at_us, "latency", "PutRecord"));
        }
        log.add(event(SECOND_US, "latency", "GetRecords"));
        log.add(event(SECOND_US, "stall", "PutRecord"));
        let rows: Vec<_> =
            log.events().iter().map(|e| (e.at_us, e.kind, &*e.op, e.strikes, e.records)).collect();
        let later = SECOND_US;
        assert_eq!(
            rows,
            [
                (100, "latency", "PutRecord", 3, 6),
                (later, "latency", "PutRecord", 1, 2),
                (later, "latency", "GetRecords", 1, 2),
                (later, "stall", "PutRecord", 1, 2),
            ]
        );
        assert_eq!(log.struck()["latency"], Struck { strikes: 5, records: 10 });
    }

    #[test]
    fn a_full_log_keeps_counting() {
        let mut log = TruthLog::of(&["drop:count=1".parse().expect("spec")]);
        assert_eq!(log.struck()["drop"], Struck::default());
        for _ in 0..EVENTS_MAX + 3 {
            log.push(event(0, "drop", "PutRecord"));
        }
        log.add(event(0, "latency", "PutRecord"));
        assert_eq!((log.events().len(), log.unlogged()), (EVENTS_MAX, 4));
        assert_eq!(log.struck()["drop"].strikes, EVENTS_MAX as u64 + 3);

        let mut log = TruthLog::default();
        let large =
            FaultEvent { kinesis_sequences: vec![String::new(); RECORDS_MAX], ..event(0, "swap", "") };
        log.push(large);
        log.push(FaultEvent { kinesis_sequences: vec![String::new()], ..event(0, "swap", "") });
        assert_eq!((log.events().len(), log.unlogged()), (1, 1));
    }
}
