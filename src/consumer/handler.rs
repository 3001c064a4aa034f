//! The heart of the function: a batch in, a receipt out, then the answer. Independent of the Lambda
//! runtime and of the machine's clock, so that the same code runs in a sandbox and in virtual time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::event::{KinesisEvent, KinesisRecord};
use super::metric;
use crate::wire::envelope::{Envelope, PROBE_LEVEL};
use crate::wire::receipt::{
    CLOCK_SAMPLE_EVERY, LevelHistograms, MESSAGE_MAX_BYTES, Receipt, RecordOutcome, RecordSeen, record_us,
};
use crate::wire::run_id::RunId;

/// Sends one receipt message, and returns when the queue has it.
pub trait ReceiptSender: Send + Sync {
    /// # Errors
    /// What went wrong, for the log; the batch then fails.
    fn send(&self, message: String) -> impl Future<Output = Result<(), String>> + Send;
}

/// Microseconds since the epoch.
pub type ClockFn = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How long a batch takes, given how many records it has.
pub type DurationModel = Arc<dyn Fn(usize) -> Duration + Send + Sync>;

/// What the function does with a batch beside the receipt: a stand-in for real work.
#[derive(Clone, Default)]
pub enum Work {
    #[default]
    None,
    /// Keeps the processor busy for so long. Needs a clock that advances by itself.
    Busy(Duration),
    /// Waits on the runtime's timer for so long: a modelled duration, for virtual time.
    Modelled(DurationModel),
}

/// How a batch with a poisoned record fails. It must suit the event source mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPoison {
    /// The invocation ends in an error: the whole batch failed.
    #[default]
    FailBatch,
    /// The answer names the first record that failed. A mapping without `ReportBatchItemFailures` would take
    /// that for a success.
    ReportItem,
}

/// What is known of one invocation beside its event.
#[derive(Clone)]
pub struct InvocationContext {
    pub request_id: String,
    pub memory_limit_mb: u32,
    /// Peak resident memory so far; asked when the receipt is written.
    pub memory_used_mb: Arc<dyn Fn() -> u32 + Send + Sync>,
}

/// The batch fails as a whole, and Lambda delivers it again.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    #[error("not a Kinesis event: {0}")]
    Event(#[from] serde_json::Error),
    #[error("the receipt could not be sent, so the batch fails: {0}")]
    Send(String),
    #[error("record {failed} of {records} is poison, so the batch fails (Kinesis sequence {kinesis_sequence})")]
    Poison {
        /// Place in the batch, from 1.
        failed: usize,
        records: usize,
        kinesis_sequence: String,
    },
}

impl HandlerError {
    /// The `errorType` of the function's error answer.
    pub fn kind(&self) -> &'static str {
        match self {
            HandlerError::Event(_) => "Streamgauge.BadEvent",
            HandlerError::Send(_) => "Streamgauge.ReceiptNotSent",
            HandlerError::Poison { .. } => "Streamgauge.Poison",
        }
    }
}

/// Takes one line for the function's log.
pub type LogFn = Arc<dyn Fn(&str) + Send + Sync>;

/// One function process (or one sandbox in the local host): knows whether it was invoked before.
pub struct Handler<S> {
    sender: S,
    clock: ClockFn,
    work: Work,
    invoked: AtomicBool,
    rng: Mutex<fastrand::Rng>,
    log: LogFn,
    on_poison: OnPoison,
    /// Name of the function, where end-to-end ages are to be printed as a metric.
    metric_of: Option<String>,
}

impl<S: ReceiptSender> Handler<S> {
    /// `seed` makes the receipt ids; it must differ between processes.
    pub fn new(sender: S, clock: ClockFn, work: Work, seed: u64) -> Handler<S> {
        let rng = Mutex::new(fastrand::Rng::with_seed(seed));
        Handler {
            sender,
            clock,
            work,
            invoked: AtomicBool::new(false),
            rng,
            log: Arc::new(|_| {}),
            on_poison: OnPoison::default(),
            metric_of: None,
        }
    }

    /// How batches with a poisoned record fail; without it, as a whole.
    pub fn on_poison(self, on_poison: OnPoison) -> Handler<S> {
        Handler { on_poison, ..self }
    }

    /// Writes one line of embedded metrics an invocation to the log, in the name of `function`.
    pub fn with_metric(self, function: String) -> Handler<S> {
        Handler { metric_of: Some(function), ..self }
    }

    /// Writes remarks to `log`; without it they are dropped.
    pub fn with_log(self, log: LogFn) -> Handler<S> {
        Handler { log, ..self }
    }

    /// As [`Handler::handle`], from the event's JSON.
    ///
    /// # Errors
    /// The event cannot be read, or the receipt cannot be sent.
    pub async fn handle_bytes(
        &self,
        event: &[u8],
        context: &InvocationContext,
    ) -> Result<Value, HandlerError> {
        self.handle(&serde_json::from_slice(event)?, context).await
    }

    /// One invocation: reads the envelopes, works, sends a receipt for each run seen, and answers with the
    /// batch item failures (`{"batchItemFailures":[{"itemIdentifier":"<Kinesis sequence number>"}]}`). Records
    /// are taken in order: at a poisoned one the function stops, and it and those behind it have failed.
    ///
    /// # Errors
    /// The receipt cannot be sent: a success without a receipt would look like a loss. Or a record is poison,
    /// and the batch is to fail as a whole; the receipt has been sent then.
    pub async fn handle(
        &self,
        event: &KinesisEvent,
        context: &InvocationContext,
    ) -> Result<Value, HandlerError> {
        let started_us = (self.clock)();
        let cold_start = !self.invoked.swap(true, Ordering::Relaxed);
        let mut batch = Batch::read(event);
        self.work(event.records.len()).await;
        batch.done(started_us, (self.clock)());
        if batch.strangers > 0 {
            let (strangers, records) = (batch.strangers, event.records.len());
            let request_id = &context.request_id;
            (self.log)(&format!(
                "INFO RequestId: {request_id} {strangers} of {records} records have no envelope; passed over"
            ));
        }
        self.print_metric(&batch);
        for (run, seen) in batch.runs {
            let receipt = Receipt {
                id: self.new_id(),
                part: 0,
                parts: 1,
                run,
                request_id: context.request_id.clone(),
                stream: batch.stream.clone(),
                shard: batch.shard.clone(),
                started_us,
                duration_us: ((self.clock)() - started_us).max(0) as u64,
                cold_start,
                memory_used_mb: (context.memory_used_mb)(),
                memory_limit_mb: context.memory_limit_mb,
                arrival_ms: batch.arrival_ms,
                sink_errors: 0,
                records: seen.records,
                levels: seen.levels.into_values().collect(),
                arrivals: seen.arrivals,
            };
            for message in receipt.to_messages(MESSAGE_MAX_BYTES) {
                self.sender.send(message).await.map_err(HandlerError::Send)?;
            }
        }
        let Some(failed) = batch.failed_from else { return Ok(json!({ "batchItemFailures": [] })) };
        let kinesis_sequence = &event.records[failed].kinesis.sequence_number;
        match self.on_poison {
            // The first alone: of a stream everything from there on comes again anyway.
            OnPoison::ReportItem => {
                Ok(json!({ "batchItemFailures": [{ "itemIdentifier": kinesis_sequence }] }))
            }
            OnPoison::FailBatch => Err(HandlerError::Poison {
                failed: failed + 1,
                records: event.records.len(),
                kinesis_sequence: kinesis_sequence.clone(),
            }),
        }
    }

    fn print_metric(&self, batch: &Batch) {
        let Some(function) = &self.metric_of else { return };
        let now_us = (self.clock)();
        let ages_ms = batch.arrivals_ms.iter().map(|arrival_ms| now_us / 1_000 - arrival_ms).collect();
        if let Some(line) = metric::line(function, now_us / 1_000, ages_ms) {
            (self.log)(&line);
        }
    }

    async fn work(&self, records: usize) {
        match &self.work {
            Work::None => {}
            Work::Busy(duration) => {
                let until_us = (self.clock)() + duration.as_micros() as i64;
                while (self.clock)() < until_us {
                    std::hint::spin_loop();
                }
            }
            Work::Modelled(model) => tokio::time::sleep(model(records)).await,
        }
    }

    fn new_id(&self) -> String {
        let id = self.rng.lock().unwrap_or_else(PoisonError::into_inner).u128(..);
        format!("{id:032x}")
    }
}

/// What one run has in a batch.
#[derive(Default)]
struct Seen {
    records: Vec<RecordSeen>,
    levels: BTreeMap<u32, LevelHistograms>,
    arrivals: Vec<(u64, i64)>,
    /// (level, due, arrival in ms) of each record: latencies are known when the work is done.
    times: Vec<(u32, i64, i64)>,
}

struct Batch {
    stream: String,
    shard: String,
    arrival_ms: (i64, i64),
    runs: BTreeMap<RunId, Seen>,
    /// Records without a readable envelope.
    strangers: usize,
    /// Place of the first poisoned record: it and what is behind it are not processed.
    failed_from: Option<usize>,
    /// Of every processed record but the probes.
    arrivals_ms: Vec<i64>,
}

impl Batch {
    fn read(event: &KinesisEvent) -> Batch {
        let first = event.records.first();
        let mut batch = Batch {
            stream: first.map_or("", KinesisRecord::stream).to_owned(),
            shard: first.map_or("", KinesisRecord::shard).to_owned(),
            arrival_ms: first.map_or((0, 0), |first| (first.arrival_ms(), first.arrival_ms())),
            runs: BTreeMap::new(),
            strangers: 0,
            failed_from: None,
            arrivals_ms: Vec::new(),
        };
        let mut data = Vec::new();
        for (place, record) in event.records.iter().enumerate() {
            let arrival_ms = record.arrival_ms();
            batch.arrival_ms.0 = batch.arrival_ms.0.min(arrival_ms);
            batch.arrival_ms.1 = batch.arrival_ms.1.max(arrival_ms);
            data.clear();
            let decoded = STANDARD.decode_vec(&record.kinesis.data, &mut data).is_ok();
            match decoded.then(|| Envelope::find_in(&data)).flatten() {
                Some(envelope) => {
                    if envelope.poison {
                        batch.failed_from.get_or_insert(place);
                    }
                    batch.take(record, envelope, arrival_ms);
                }
                None => batch.strangers += 1,
            }
        }
        batch
    }

    fn take(&mut self, record: &KinesisRecord, envelope: Envelope, arrival_ms: i64) {
        let failed = self.failed_from.is_some();
        let seen = self.runs.entry(envelope.run).or_default();
        // Probes count their sequences by themselves: a sample of one would be taken for another record's.
        if envelope.level != PROBE_LEVEL && envelope.sequence.is_multiple_of(CLOCK_SAMPLE_EVERY) {
            seen.arrivals.push((envelope.sequence, arrival_ms));
        }
        if !failed {
            seen.times.push((envelope.level, envelope.due_us, arrival_ms));
            if envelope.level != PROBE_LEVEL {
                self.arrivals_ms.push(arrival_ms);
            }
        }
        seen.records.push(RecordSeen {
            level: envelope.level,
            sequence: envelope.sequence,
            kinesis_sequence: record.kinesis.sequence_number.clone(),
            outcome: if failed { RecordOutcome::Failed } else { RecordOutcome::Processed },
        });
    }

    fn done(&mut self, started_us: i64, done_us: i64) {
        for seen in self.runs.values_mut() {
            for (level, due_us, arrival_ms) in seen.times.drain(..) {
                let arrival_us = arrival_ms.saturating_mul(1_000);
                let histograms = seen.levels.entry(level).or_insert_with(|| LevelHistograms::new(level));
                record_us(&mut histograms.e2e, done_us.saturating_sub(due_us));
                record_us(&mut histograms.put, arrival_us.saturating_sub(due_us));
                record_us(&mut histograms.stream, started_us.saturating_sub(arrival_us));
                record_us(&mut histograms.function, done_us.saturating_sub(started_us));
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
}
