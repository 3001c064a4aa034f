use proptest::prelude::*;

use super::*;
use crate::wire::receipt::{CLOCK_SAMPLE_EVERY, KinesisSequence, RECORDS_MAX, RecordOutcome, record_us};

fn receipt(records: Vec<RecordSeen>) -> Receipt {
    Receipt {
        id: "0123456789abcdef0123456789abcdef".into(),
        part: 0,
        parts: 1,
        run: "20261121-013240-k3f9".parse().expect("well formed"),
        request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd".into(),
        stream: "streamgauge-dev-stream".into(),
        shard: "shardId-000000000000".into(),
        started_us: 1_763_688_760_123_456,
        duration_us: 12_345,
        cold_start: true,
        memory_used_mb: 61,
        memory_limit_mb: 512,
        arrival_ms: (1_763_688_760_001, 1_763_688_760_099),
        sink_errors: 0,
        records,
        levels: Vec::new(),
        arrivals: Vec::new(),
    }
}

/// 56 digits as Kinesis gives them: what neighbours share is the shard and the hour, not the tail.
fn kinesis_sequence(index: u64, rng: &mut fastrand::Rng) -> KinesisSequence {
    format!("4959033827149025660855969253836157{:022}", index * 1_000_000_007 + rng.u64(..1_000_000_000))
        .as_str()
        .into()
}

fn large_batch() -> Receipt {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut large = receipt(Vec::new());
    for level in 3..5 {
        let mut histograms = LevelHistograms::new(level);
        for _ in 0..RECORDS_MAX {
            record_us(&mut histograms.e2e, rng.i64(1_000..60_000_000));
            record_us(&mut histograms.put, rng.i64(1_000..1_000_000));
            record_us(&mut histograms.stream, rng.i64(1_000..60_000_000));
            record_us(&mut histograms.function, rng.i64(1..1_000_000));
        }
        large.levels.push(histograms);
    }
    for index in 0..RECORDS_MAX as u64 {
        let sequence = 1_000_000 + index * 3 + rng.u64(..500);
        if sequence.is_multiple_of(CLOCK_SAMPLE_EVERY) {
            large.arrivals.push((sequence, 1_763_688_760_001 + index as i64));
        }
        large.records.push(RecordSeen {
            level: 3 + (index / 5_000) as u32,
            sequence,
            kinesis_sequence: kinesis_sequence(index, &mut rng),
            outcome: if index % 97 == 0 { RecordOutcome::Failed } else { RecordOutcome::Processed },
        });
    }
    large
}

#[test]
fn ten_thousand_records_fit_in_one_message() {
    let large = large_batch();
    let messages = large.to_messages(MESSAGE_MAX_BYTES);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].len() < MESSAGE_MAX_BYTES / 2, "{} bytes", messages[0].len());
    assert_eq!(Receipt::from_message(&messages[0]).expect("ours"), large);
}

#[test]
fn what_is_too_large_is_split_and_nothing_is_lost_or_doubled() {
    let large = large_batch();
    let max_bytes = 32_768;
    let messages = large.to_messages(max_bytes);
    assert!(messages.len() > 3);
    let mut joined = receipt(Vec::new());
    for (index, message) in messages.iter().enumerate() {
        assert!(message.len() <= max_bytes, "part {index} has {} bytes", message.len());
        let part = Receipt::from_message(message).expect("ours");
        assert_eq!((part.part as usize, part.parts as usize), (index, messages.len()));
        assert_eq!((&part.id, part.duration_us), (&large.id, large.duration_us));
        joined.records.extend(part.records);
        joined.levels.extend(part.levels);
        joined.arrivals.extend(part.arrivals);
    }
    assert_eq!(joined, large);
}

#[test]
fn the_published_example_reads_back() {
    let text = include_str!("../../../docs/receipts.md");
    let example =
        text.split("```json\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("an example");
    let read = Receipt::from_message(example).expect("the example is a receipt");
    assert_eq!(read.records.len(), 3);
    assert_eq!(read.levels[0].e2e.len(), 3);
    assert_eq!(read.to_messages(MESSAGE_MAX_BYTES), [compact(example)], "the writer gives the example");
}

/// The example as the writer gives it: without the line breaks and the spaces that make it readable.
fn compact(json: &str) -> String {
    let receipt = Receipt::from_message(json).expect("the example is a receipt");
    let text: String = json.lines().map(str::trim).collect::<String>().replace(": ", ":").replace(", ", ",");
    assert_eq!(Receipt::from_message(&text).expect("same"), receipt);
    text
}

#[test]
fn says_what_is_wrong() {
    let good = receipt(Vec::new()).to_messages(MESSAGE_MAX_BYTES).remove(0);
    for (from, to, wanted) in [
        ("\"v\":1", "\"v\":2", "receipt format 2"),
        ("0123456789abcdef", "0123456789abcde!", "32 hex digits"),
        ("\"part\":0", "\"part\":1", "part 1 of 1"),
        ("\"count\":0", "\"count\":1", "cut short"),
        ("\"count\":0", "\"count\":4000000000", "at most 10000"),
        ("\"records\":\"\"", "\"records\":\"AA\"", "records"),
        ("\"records\":\"\"", "\"records\":\"AAAA\"", "left over"),
        ("-k3f9", "-K3F9", "run id"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Receipt::from_message(&good.replace(from, to)).expect_err(to).to_string();
        assert!(error.contains(wanted), "{error}");
    }
    assert!(matches!(
        Receipt::from_message(&" ".repeat(MESSAGE_MAX_BYTES + 1)),
        Err(ReceiptError::TooLong(_))
    ));
}

fn any_record() -> impl Strategy<Value = RecordSeen> {
    (any::<u32>(), any::<u64>(), "[0-9]{0,129}", any::<bool>()).prop_map(
        |(level, sequence, kinesis_sequence, failed)| RecordSeen {
            level,
            sequence,
            kinesis_sequence: kinesis_sequence.as_str().into(),
            outcome: if failed { RecordOutcome::Failed } else { RecordOutcome::Processed },
        },
    )
}

proptest! {
    #[test]
    fn any_records_come_back(records in prop::collection::vec(any_record(), 0..40), max_bytes in 0usize..4_000) {
        let wanted = receipt(records);
        let mut joined = receipt(Vec::new());
        for message in wanted.to_messages(max_bytes) {
            joined.records.extend(Receipt::from_message(&message).expect("ours").records);
        }
        prop_assert_eq!(joined, wanted);
    }

    #[test]
    fn any_text_is_read_without_a_panic(
        records in "[A-Za-z0-9+/]{0,64}",
        count in 0usize..12,
        text in ".{0,100}",
    ) {
        let _ = Receipt::from_message(&text);
        let good = receipt(Vec::new()).to_messages(MESSAGE_MAX_BYTES).remove(0);
        let bent = good.replace("\"records\":\"\"", &format!("\"records\":\"{records}\""));
        let _ = Receipt::from_message(&bent.replace("\"count\":0", &format!("\"count\":{count}")));
    }

    #[test]
    fn a_bent_message_is_read_without_a_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 32u8..127), 1..4),
    ) {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut wanted = receipt(Vec::new());
        let mut histograms = LevelHistograms::new(1);
        record_us(&mut histograms.e2e, 12_345);
        wanted.levels.push(histograms);
        for index in 0..5 {
            wanted.records.push(RecordSeen {
                level: 1,
                sequence: index,
                kinesis_sequence: kinesis_sequence(index, &mut rng),
                outcome: RecordOutcome::Processed,
            });
        }
        let mut bytes = wanted.to_messages(MESSAGE_MAX_BYTES).remove(0).into_bytes();
        for (index, value) in edits {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let _ = Receipt::from_message(&String::from_utf8(bytes).expect("ASCII"));
    }
}
