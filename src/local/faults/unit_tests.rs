//! The questions that services ask, one by one.

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
    let logged: Vec<String> = faults.log().into_iter().flat_map(|event| event.kinesis_sequences).collect();
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
