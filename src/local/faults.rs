//! Faults on request, seeded, each logged as the truth against which accounting is tested.
//!
//! The services ask at the points where a fault can strike; without a fault every answer is "no".
//! `faults/spec.rs` has the grammar, `faults/service.rs` the faults that wrap a service as a whole.

mod service;
mod spec;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub use service::FaultyService;
pub use spec::{BadFault, FaultSpec, Share};

/// Events kept in the truth log; strikes beyond it happen and are counted, but not kept.
const LOG_MAX: usize = 100_000;
/// A counted `drop` is used up within this many eligible records.
const DROP_SPAN_RECORDS: u64 = 2_000;
/// A counted `redeliver` or `swap` is used up within this many eligible batches.
const BATCH_SPAN: u64 = 40;
/// Bytes of a record in which the envelope's level is looked for.
const ENVELOPE_PREFIX_BYTES: usize = 120;

/// What a fault did: the truth.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FaultEvent {
    pub at_us: i64,
    pub kind: &'static str,
    /// Operation that it struck; empty for faults in the delivery of batches.
    pub op: String,
    /// Shard it struck, as `<stream>/<shard id>` where the caller knows both.
    pub shard: String,
    /// Kinesis sequence numbers of the records that it struck.
    pub kinesis_sequences: Vec<String>,
}

#[derive(Default)]
pub struct Faults {
    specs: Vec<FaultSpec>,
    /// One for each spec, in the same order.
    strikes: Vec<Mutex<Strikes>>,
    log: Mutex<Vec<FaultEvent>>,
    unlogged: AtomicU64,
}

impl Faults {
    pub fn none() -> Faults {
        Faults::default()
    }

    pub fn new(specs: Vec<FaultSpec>) -> Faults {
        let strikes = specs.iter().map(|spec| Mutex::new(Strikes::of(spec))).collect();
        Faults { specs, strikes, log: Mutex::default(), unlogged: AtomicU64::new(0) }
    }

    /// Everything that was struck so far, at most the first 100,000 events.
    pub fn log(&self) -> Vec<FaultEvent> {
        self.log.lock().expect("faults lock").clone()
    }

    /// Strikes that happened after the log was full.
    pub fn unlogged(&self) -> u64 {
        self.unlogged.load(Ordering::Relaxed)
    }

    /// The specs, as `status` shows them.
    pub fn specs(&self) -> Vec<FaultSpec> {
        self.specs.clone()
    }

    /// Whether an acked record is to be forgotten. Kinesis asks once for each record that it acks and for
    /// which [`may_drop`] holds; `op` is `PutRecord` or `PutRecords`.
    pub fn drop_after_ack(&self, op: &str, at_us: i64, shard: &str, kinesis_sequence: &str) -> bool {
        let struck = self.strike(|spec| match spec {
            FaultSpec::Drop { op: wanted, .. } => wanted.as_deref().is_none_or(|wanted| wanted == op),
            _ => false,
        });
        if struck {
            self.note(FaultEvent {
                at_us,
                kind: "drop",
                op: op.to_owned(),
                shard: shard.to_owned(),
                kinesis_sequences: vec![kinesis_sequence.to_owned()],
            });
        }
        struck
    }

    /// Whether a batch that just succeeded is to be delivered once more. The mapping asks once for each
    /// such batch, with all its sequence numbers. It leaves batches of readiness probes alone ([`is_probe`]).
    pub fn redeliver(&self, at_us: i64, shard: &str, kinesis_sequences: &[String]) -> bool {
        let struck = self.strike(|spec| matches!(spec, FaultSpec::Redeliver { .. }));
        if struck {
            self.note(FaultEvent {
                at_us,
                kind: "redeliver",
                op: String::new(),
                shard: shard.to_owned(),
                kinesis_sequences: kinesis_sequences.to_vec(),
            });
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
        if !self.specs.iter().any(|spec| matches!(spec, FaultSpec::Swap { .. })) {
            return None;
        }
        let (first, second) = first_pair_of_one_key(keys_and_sequences)?;
        if !self.strike(|spec| matches!(spec, FaultSpec::Swap { .. })) {
            return None;
        }
        self.note(FaultEvent {
            at_us,
            kind: "swap",
            op: String::new(),
            shard: shard.to_owned(),
            kinesis_sequences: vec![
                keys_and_sequences[first].1.clone(),
                keys_and_sequences[second].1.clone(),
            ],
        });
        Some((first, second))
    }

    /// Whether any `drop` was asked for: lets the hot path skip looking at the data.
    pub fn drops(&self) -> bool {
        self.specs.iter().any(|spec| matches!(spec, FaultSpec::Drop { .. }))
    }

    /// Asks each matching spec, in the order given, until one strikes.
    fn strike(&self, matching: impl Fn(&FaultSpec) -> bool) -> bool {
        self.specs
            .iter()
            .zip(&self.strikes)
            .any(|(spec, strikes)| matching(spec) && strikes.lock().expect("faults lock").next())
    }

    fn note(&self, event: FaultEvent) {
        let mut log = self.log.lock().expect("faults lock");
        if log.len() < LOG_MAX {
            log.push(event);
        } else {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
        }
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

/// When one spec strikes next, counted in the times that it is asked.
struct Strikes {
    rng: fastrand::Rng,
    when: When,
}

enum When {
    /// `left` more strikes, the next after `until_next` further questions; gaps are uniform in `1..=gap_max`.
    Counted { left: u64, until_next: u64, gap_max: u64 },
    /// Each question by itself.
    Random { per_million: u32 },
}

impl Strikes {
    fn of(spec: &FaultSpec) -> Strikes {
        match *spec {
            FaultSpec::Drop { count, seed, .. } => Strikes::counted(count, seed, DROP_SPAN_RECORDS),
            FaultSpec::Redeliver { count, seed } | FaultSpec::Swap { count, seed } => {
                Strikes::counted(count, seed, BATCH_SPAN)
            }
            FaultSpec::LostAnswer { share: Share::Count(count), seed, .. } => {
                Strikes::counted(count, seed, DROP_SPAN_RECORDS)
            }
            FaultSpec::LostAnswer { share: Share::PerMillion(per_million), seed, .. }
            | FaultSpec::Error { per_million, seed, .. }
            | FaultSpec::Throttle { per_million, seed, .. } => {
                Strikes { rng: fastrand::Rng::with_seed(seed), when: When::Random { per_million } }
            }
            FaultSpec::Latency { .. } | FaultSpec::Stall { .. } => {
                Strikes { rng: fastrand::Rng::with_seed(0), when: When::Random { per_million: 0 } }
            }
        }
    }

    /// Uniform gaps up to `span / count`: spread out, unpredictable, and used up within `span` questions.
    fn counted(count: u64, seed: u64, span: u64) -> Strikes {
        let mut rng = fastrand::Rng::with_seed(seed);
        let gap_max = (span / count.max(1)).max(1);
        let until_next = rng.u64(1..=gap_max);
        Strikes { rng, when: When::Counted { left: count, until_next, gap_max } }
    }

    fn next(&mut self) -> bool {
        match &mut self.when {
            When::Random { per_million } => self.rng.u32(0..1_000_000) < *per_million,
            When::Counted { left: 0, .. } => false,
            When::Counted { left, until_next, gap_max } => {
                *until_next -= 1;
                if *until_next > 0 {
                    return false;
                }
                *left -= 1;
                *until_next = self.rng.u64(1..=*gap_max);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(spec: &str) -> Faults {
        Faults::new(vec![spec.parse().expect("spec")])
    }

    #[test]
    fn drops_exactly_as_often_as_asked_spread_out_and_logs_each() {
        let faults = faults("drop:count=25,seed=7");
        let struck: Vec<u64> =
            (0..5_000).filter(|n| faults.drop_after_ack("PutRecord", 1, "s/0", &n.to_string())).collect();
        assert_eq!(struck.len(), 25);
        assert!(struck[24] < DROP_SPAN_RECORDS, "{struck:?}");
        assert!(struck.windows(2).any(|pair| pair[1] - pair[0] > 1), "spread out: {struck:?}");
        let logged: Vec<String> =
            faults.log().into_iter().flat_map(|event| event.kinesis_sequences).collect();
        assert_eq!(logged, struck.iter().map(u64::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let run = |spec: &str| {
            let faults = faults(spec);
            (0..2_000).filter(|_| faults.drop_after_ack("PutRecord", 0, "s", "1")).collect::<Vec<_>>()
        };
        assert_eq!(run("drop:count=9,seed=1"), run("drop:count=9,seed=1"));
        assert_ne!(run("drop:count=9,seed=1"), run("drop:count=9,seed=2"));
    }

    #[test]
    fn an_op_keeps_drops_to_that_operation() {
        let faults = faults("drop:count=1,op=PutRecords");
        assert!((0..3_000).all(|_| !faults.drop_after_ack("PutRecord", 0, "s", "1")));
        assert!((0..3_000).any(|_| faults.drop_after_ack("PutRecords", 0, "s", "1")));
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
        assert!(!faults.drop_after_ack("PutRecord", 0, "s", "1") && !faults.drops());
        assert!(!faults.redeliver(0, "s", &[]) && faults.swap(0, "s", &[]).is_none());
        assert!(faults.log().is_empty());
    }
}
