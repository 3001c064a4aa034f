use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::evidence::receipts::{Found, ReceiptIndex};
use crate::evidence::testing::Fake;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::{
    LevelHistograms, MESSAGE_MAX_BYTES, Receipt, RecordOutcome, RecordSeen, record_us,
};

const RUN: &str = "20261121-013240-k3f9";
const OTHER: &str = "20261121-013240-zzzz";

/// A standard queue as far as the collector sees one: long polls, visibility, repeats, refusals.
#[derive(Default)]
struct Queue {
    /// Message id -> (body, visible again at).
    messages: BTreeMap<u64, (String, i64)>,
    deleted: BTreeSet<u64>,
    given_back: BTreeSet<u64>,
    next: u64,
    /// Refuse this many calls of any kind.
    refuse: u32,
    /// Called before a deletion: what must be on disk by then.
    receipts_file: Option<std::path::PathBuf>,
    deleted_before_written: u32,
}

type Shared = Arc<Mutex<Queue>>;

fn fake(queue: &Shared, clock: Clock) -> Fake {
    let queue = Arc::clone(queue);
    Fake::new(move |operation, input| {
        let (queue, operation) = (Arc::clone(&queue), operation.to_owned());
        async move {
            {
                let mut queue = queue.lock().expect("lock");
                if queue.refuse > 0 {
                    queue.refuse -= 1;
                    return (500, json!({ "__type": "InternalFailure", "message": "not now" }));
                }
            }
            match operation.as_str() {
                "ReceiveMessage" => receive(&queue, clock, &input).await,
                "DeleteMessageBatch" => delete(&queue, &input),
                "ChangeMessageVisibilityBatch" => change(&queue, clock, &input),
                other => panic!("the collector never calls {other}"),
            }
        }
    })
}

async fn receive(queue: &Shared, clock: Clock, input: &Value) -> (u16, Value) {
    let wait_s = input["WaitTimeSeconds"].as_u64().expect("a long poll");
    for _ in 0..=wait_s * 10 {
        let now_ms = clock.now_ms();
        let mut messages = Vec::new();
        for (id, (body, visible_ms)) in &mut queue.lock().expect("lock").messages {
            if *visible_ms <= now_ms && messages.len() < 10 {
                *visible_ms = now_ms + input["VisibilityTimeout"].as_i64().expect("set") * 1_000;
                messages.push(
                    json!({ "MessageId": id.to_string(), "ReceiptHandle": id.to_string(), "Body": body }),
                );
            }
        }
        if !messages.is_empty() {
            return (200, json!({ "Messages": messages }));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (200, json!({}))
}

fn handles(input: &Value) -> Vec<u64> {
    let entries = input["Entries"].as_array().expect("entries");
    assert!(!entries.is_empty() && entries.len() <= 10);
    entries
        .iter()
        .map(|entry| entry["ReceiptHandle"].as_str().expect("text").parse().expect("ours"))
        .collect()
}

fn delete(queue: &Shared, input: &Value) -> (u16, Value) {
    let mut queue = queue.lock().expect("lock");
    let written = queue
        .receipts_file
        .as_ref()
        .map_or_else(String::new, |path| fs_err::read_to_string(path).unwrap_or_default());
    for id in handles(input) {
        let body = queue.messages.remove(&id).map(|(body, _)| body).unwrap_or_default();
        let receipt = Receipt::from_message(&body).expect("only receipts are deleted");
        queue.deleted_before_written += u32::from(!written.contains(&receipt.id));
        queue.deleted.insert(id);
    }
    (200, json!({ "Successful": [], "Failed": [] }))
}

fn change(queue: &Shared, clock: Clock, input: &Value) -> (u16, Value) {
    let mut queue = queue.lock().expect("lock");
    for id in handles(input) {
        queue.given_back.insert(id);
        if let Some((_, visible_ms)) = queue.messages.get_mut(&id) {
            *visible_ms = clock.now_ms() + 5_000;
        }
    }
    (200, json!({ "Successful": [], "Failed": [] }))
}

fn send(queue: &Shared, body: String) {
    let mut queue = queue.lock().expect("lock");
    let id = queue.next;
    queue.next += 1;
    queue.messages.insert(id, (body, 0));
}

fn receipt(run: &str, id: u128, level: u32, sequences: std::ops::Range<u64>, started_us: i64) -> String {
    let mut histograms = LevelHistograms::new(level);
    let records = sequences.map(|sequence| {
        record_us(&mut histograms.e2e, 20_000);
        RecordSeen {
            level,
            sequence,
            kinesis_sequence: sequence.to_string().as_str().into(),
            outcome: RecordOutcome::Processed,
        }
    });
    let records = records.collect();
    let receipt = Receipt {
        id: format!("{id:032x}"),
        part: 0,
        parts: 1,
        run: run.parse().expect("well formed"),
        request_id: "r".into(),
        stream: "s".into(),
        shard: "shardId-000000000000".into(),
        started_us,
        duration_us: 700,
        cold_start: id == 1,
        memory_used_mb: 60,
        memory_limit_mb: 512,
        arrival_ms: (started_us / 1_000 - 250, started_us / 1_000 - 40),
        sink_errors: 0,
        records,
        levels: vec![histograms],
        arrivals: Vec::new(),
    };
    receipt.to_messages(MESSAGE_MAX_BYTES).remove(0)
}

struct Bench {
    _root: tempfile::TempDir,
    dir: RunDir,
    queue: Shared,
    clock: Clock,
}

impl Bench {
    fn new() -> Bench {
        let root = tempfile::tempdir().expect("tempdir");
        let dir = RunDir::create(root.path(), &RUN.parse().expect("well formed")).expect("create");
        let queue = Shared::default();
        queue.lock().expect("lock").receipts_file = Some(dir.receipts_jsonl());
        Bench { _root: root, dir, queue, clock: Clock::starting_at(1_763_688_760_000_000) }
    }

    fn start(&self, durability: Durability) -> Collector {
        let config = CollectorConfig {
            sqs: fake(&self.queue, self.clock).sqs(),
            queue_url: "http://localhost/1/receipts".into(),
            run: RUN.parse().expect("well formed"),
            clock: self.clock,
            durability,
            pollers: 3,
            planned_sequences: 1_000,
        };
        Collector::start(&self.dir, config).expect("start")
    }

    fn collected(&self) -> BTreeMap<u128, usize> {
        let mut collected = BTreeMap::new();
        let mut lines = 0;
        let path = self.dir.receipts_jsonl();
        let index = ReceiptIndex::read(&path, &mut Vec::new(), |_| {}).expect("read");
        let each = index.each(&path, |Found { receipt, .. }| {
            collected.insert(u128::from_str_radix(&receipt.id, 16).expect("hex"), receipt.records.len());
        });
        each.expect("read");
        crate::evidence::append::read_lines(&self.dir.receipts_jsonl(), |_, _| lines += 1).expect("read");
        assert_eq!(lines, collected.len(), "each receipt is written once");
        collected
    }
}

#[tokio::test(start_paused = true)]
async fn receipts_are_on_disk_before_they_are_deleted_and_others_stay() {
    let bench = Bench::new();
    let collector = bench.start(Durability::Synced);
    let mut live = collector.live();
    let now_us = bench.clock.now_us();
    send(&bench.queue, receipt(RUN, 1, PROBE_LEVEL, 7..8, now_us));
    live.wait_for(|live| live.probes_seen.contains(&7)).await.expect("alive");

    for id in 2..100 {
        send(&bench.queue, receipt(RUN, id, 0, id as u64 * 10..id as u64 * 10 + 10, now_us));
        if id % 7 == 0 {
            send(&bench.queue, receipt(RUN, id, 0, id as u64 * 10..id as u64 * 10 + 10, now_us));
        }
    }
    send(&bench.queue, receipt(OTHER, 1_000, 0, 0..5, now_us));
    send(&bench.queue, "not a receipt".into());
    send(&bench.queue, receipt(RUN, 1_001, 0, 5_000..5_001, now_us));
    let acked = SequenceSet::from_ranges(&[(20, 1_000)]);
    live.wait_for(|live| live.receipts == 100).await.expect("alive");
    assert_eq!(collector.unseen_of(&acked).len(), 1, "1000 was acked and not seen");

    let end = collector.stop(Duration::from_secs(30)).await;
    assert_eq!(end, CollectionEnd { complete: true, unreadable: 1, receipts: 100 });
    let last = live.borrow().clone();
    assert_eq!((last.records_seen, last.invocations, last.cold_starts), (980, 100, 1));
    assert_eq!((last.iterator_age_ms, last.e2e_p95_ms), (Some(40.0), Some(20.015)));
    assert_eq!((last.memory_used_mb_max, last.memory_limit_mb, last.duration_max_us), (60, 512, 700));
    let collected = bench.collected();
    assert_eq!(collected.len(), 100);
    assert_eq!(collected[&50], 10);
    let queue = bench.queue.lock().expect("lock");
    assert_eq!(queue.deleted_before_written, 0);
    assert_eq!(queue.messages.len(), 2, "what is not ours is still there");
    assert_eq!(queue.given_back.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_ends_collection_and_refusals_lose_nothing() {
    let bench = Bench::new();
    bench.queue.lock().expect("lock").refuse = 12;
    let collector = bench.start(Durability::Written);
    let now_us = bench.clock.now_us();
    for id in 1..40 {
        send(&bench.queue, receipt(RUN, id, 0, id as u64..id as u64 + 1, now_us));
    }
    let live = collector.live();
    let end = collector.stop(Duration::from_secs(60)).await;
    assert_eq!(bench.collected().len(), 39, "{:?}", live.borrow().errors);
    assert_eq!(end, CollectionEnd { complete: true, unreadable: 0, receipts: 39 });
    assert!(live.borrow().errors_total > 0);
}

#[tokio::test(start_paused = true)]
async fn the_stop_is_bounded_when_the_queue_never_answers() {
    let bench = Bench::new();
    let silent = Fake::new(|_, _| std::future::pending());
    let config = CollectorConfig {
        sqs: silent.sqs(),
        queue_url: "http://localhost/1/receipts".into(),
        run: RUN.parse().expect("well formed"),
        clock: bench.clock,
        durability: Durability::Written,
        pollers: 2,
        planned_sequences: 10,
    };
    let collector = Collector::start(&bench.dir, config).expect("start");
    let before_us = bench.clock.now_us();
    let end = collector.stop(Duration::from_secs(7)).await;
    assert!(!end.complete);
    assert_eq!((bench.clock.now_us() - before_us).div_euclid(1_000_000), 7);
}

#[tokio::test(start_paused = true)]
async fn the_window_of_the_live_latency_moves_on() {
    let mut live = LiveReceipts::default();
    let slow = {
        let mut slow = Receipt::from_message(&receipt(RUN, 1, 0, 0..1, 0)).expect("ours");
        record_us(&mut slow.levels[0].e2e, 9_000_000);
        slow
    };
    let quick = Receipt::from_message(&receipt(RUN, 2, 0, 0..1, 0)).expect("ours");
    live.take(&slow, 0);
    assert!(live.e2e_p95_ms > Some(8_000.0));
    live.take(&quick, 12_000_000);
    assert!(live.e2e_p95_ms > Some(8_000.0), "12 s later it is in the window before");
    live.take(&quick, 24_000_000);
    assert!(live.e2e_p95_ms < Some(100.0));
}
