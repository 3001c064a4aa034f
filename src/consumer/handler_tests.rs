use super::*;

const NOW_US: i64 = 1_763_688_760_500_000;

#[derive(Default)]
struct Queue {
    messages: Mutex<Vec<String>>,
    broken: bool,
}

impl ReceiptSender for &Queue {
    async fn send(&self, message: String) -> Result<(), String> {
        if self.broken {
            return Err("no such queue".into());
        }
        self.messages.lock().expect("lock").push(message);
        Ok(())
    }
}

impl Queue {
    fn receipts(&self) -> Vec<Receipt> {
        let messages = self.messages.lock().expect("lock");
        messages.iter().map(|text| Receipt::from_message(text).expect("a receipt")).collect()
    }
}

fn record(run: &str, level: u32, sequence: u64) -> Value {
    let due_us = NOW_US - 400_000;
    let data = format!(r#"{{"sg":{{"r":"{run}","l":{level},"s":{sequence},"d":{due_us}}},"pad":"x"}}"#);
    other_record(sequence, &data)
}

fn poison_record(run: &str, sequence: u64) -> Value {
    other_record(sequence, &format!(r#"{{"sg":{{"r":"{run}","l":3,"s":{sequence},"d":1,"p":true}}}}"#))
}

fn other_record(index: u64, data: &str) -> Value {
    json!({
        "eventID": format!("shardId-000000000006:4959033827149{index:03}"),
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/events",
        "eventSource": "aws:kinesis",
        "kinesis": {
            "sequenceNumber": format!("4959033827149{index:03}"),
            "approximateArrivalTimestamp": 1_763_688_760.2 + index as f64 / 1_000.0,
            "data": STANDARD.encode(data),
            "partitionKey": "1",
        },
    })
}

fn context() -> InvocationContext {
    InvocationContext { request_id: "r-1".into(), memory_limit_mb: 512, memory_used_mb: Arc::new(|| 42) }
}

/// A clock under tokio's paused time.
fn clock() -> ClockFn {
    let clock = crate::platform::clock::Clock::starting_at(NOW_US);
    Arc::new(move || clock.now_us())
}

#[tokio::test(start_paused = true)]
async fn one_receipt_a_run_with_what_each_record_took() {
    let queue = Queue::default();
    let model: DurationModel = Arc::new(|records| Duration::from_millis(10 * records as u64));
    let handler = Handler::new(&queue, clock(), Work::Modelled(model), 1);
    let run = "20261121-013240-k3f9";
    let event = json!({ "Records": [
        record(run, 3, 64), record(run, 3, 65), record("20261121-013240-zzzz", 0, 7),
        other_record(70, "not ours"), record(run, 4, 66), record(run, PROBE_LEVEL, 32),
    ]});
    let bytes = serde_json::to_vec(&event).expect("json");
    let answer = handler.handle_bytes(&bytes, &context()).await.expect("sent");
    assert_eq!(answer, json!({ "batchItemFailures": [] }));

    let receipts = queue.receipts();
    assert_eq!(receipts.len(), 2);
    let ours = &receipts[0];
    assert_eq!((ours.run.as_str(), &*ours.stream, &*ours.shard), (run, "events", "shardId-000000000006"));
    assert_eq!((ours.started_us, ours.duration_us), (NOW_US, 60_000));
    assert_eq!((ours.cold_start, ours.memory_used_mb, ours.memory_limit_mb), (true, 42, 512));
    assert_eq!(ours.arrival_ms, (1_763_688_760_207, 1_763_688_760_270));
    let sequences: Vec<_> = ours.records.iter().map(|seen| (seen.level, seen.sequence)).collect();
    assert_eq!(sequences, [(3, 64), (3, 65), (4, 66), (PROBE_LEVEL, 32)]);
    assert_eq!(ours.arrivals, [(64, 1_763_688_760_264)]);
    let level = &ours.levels[0];
    assert_eq!((level.level, level.e2e.len()), (3, 2));
    assert!(level.e2e.equivalent(level.e2e.max(), 460_000));
    assert!(level.put.equivalent(level.put.max(), 165_000));
    assert!(level.stream.equivalent(level.stream.max(), 236_000));
    assert!(level.function.equivalent(level.function.max(), 60_000));

    handler.handle_bytes(&bytes, &context()).await.expect("sent");
    let again = queue.receipts();
    assert!(!again[2].cold_start, "only the first invocation of a process is cold");
    assert_ne!(again[2].id, again[0].id);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_receipt_cannot_be_sent_fails() {
    let queue = Queue { broken: true, ..Queue::default() };
    let handler = Handler::new(&queue, clock(), Work::None, 1);
    let event = json!({ "Records": [record("20261121-013240-k3f9", 3, 64)] });
    let error = handler.handle_bytes(event.to_string().as_bytes(), &context()).await.expect_err("fails");
    assert!(matches!(error, HandlerError::Send(_)), "{error}");
    let error = handler.handle_bytes(b"{}", &context()).await.expect_err("fails");
    assert!(matches!(error, HandlerError::Event(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn at_a_poisoned_record_the_function_stops_and_says_so_after_its_receipt() {
    let (queue, run) = (Queue::default(), "20261121-013240-k3f9");
    let event = json!({ "Records": [
        record(run, 3, 64), poison_record(run, 65), record(run, 3, 66), poison_record(run, 67),
    ]});
    let event = event.to_string();
    let whole = Handler::new(&queue, clock(), Work::None, 1);
    let error = whole.handle_bytes(event.as_bytes(), &context()).await.expect_err("fails");
    assert_eq!(error.kind(), "Streamgauge.Poison");
    assert!(error.to_string().starts_with("record 2 of 4 is poison"), "{error}");

    let part = Handler::new(&queue, clock(), Work::None, 2).on_poison(OnPoison::ReportItem);
    let answer = part.handle_bytes(event.as_bytes(), &context()).await.expect("answers");
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "4959033827149065" }] }));

    let receipts = queue.receipts();
    assert_eq!(receipts.len(), 2);
    for receipt in receipts {
        let outcomes: Vec<_> = receipt.records.iter().map(|seen| (seen.sequence, seen.outcome)).collect();
        let failed = [65, 66, 67].map(|sequence| (sequence, RecordOutcome::Failed));
        assert_eq!(outcomes[0], (64, RecordOutcome::Processed));
        assert_eq!(outcomes[1..], failed);
        assert_eq!(receipt.levels[0].e2e.len(), 1, "what failed is not done");
    }
}

#[tokio::test(start_paused = true)]
async fn ages_are_printed_as_a_metric_when_asked_for() {
    let (queue, lines) = (Queue::default(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&lines);
    let handler = Handler::new(&queue, clock(), Work::None, 1)
        .with_log(Arc::new(move |line| log.lock().expect("lock").push(line.to_owned())))
        .with_metric("consumer".into());
    let run = "20261121-013240-k3f9";
    let event = json!({ "Records": [
        record(run, 3, 64), record(run, PROBE_LEVEL, 65), record(run, 3, 100), poison_record(run, 120),
    ]});
    handler.handle_bytes(event.to_string().as_bytes(), &context()).await.expect_err("fails");
    let line: Value = serde_json::from_str(&lines.lock().expect("lock")[0]).expect("one line of JSON");
    assert_eq!(line["EndToEndLatency"], json!([200, 236]), "probes and failed records are left out");
    assert_eq!(line["FunctionName"], "consumer");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_strangers_succeeds_without_a_receipt() {
    let queue = Queue::default();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let handler = Handler::new(&queue, clock(), Work::None, 1)
        .with_log(Arc::new(move |line| log.lock().expect("lock").push(line.to_owned())));
    let event = json!({ "Records": [other_record(1, "{}"), other_record(2, "\u{0}")] });
    handler.handle_bytes(event.to_string().as_bytes(), &context()).await.expect("nothing to send");
    assert!(queue.receipts().is_empty());
    let lines = lines.lock().expect("lock");
    assert_eq!(*lines, ["INFO RequestId: r-1 2 of 2 records have no envelope; passed over"]);
}
