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
use crate::wire::envelope::{Envelope, EnvelopePath, PROBE_LEVEL};
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
    #[error(
        "record {failed} of {records} is poison, so the batch fails (Kinesis sequence {kinesis_sequence})"
    )]
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
    envelope_paths: Vec<EnvelopePath>,
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
            envelope_paths: Vec::new(),
            metric_of: None,
        }
    }

    /// The next invocation is the first of another sandbox: for a handler that stands for several of them.
    pub fn starts_again(&self) {
        self.invoked.store(false, Ordering::Relaxed);
    }

    /// How batches with a poisoned record fail; without it, as a whole.
    pub fn on_poison(self, on_poison: OnPoison) -> Handler<S> {
        Handler { on_poison, ..self }
    }

    /// Where to look for envelopes before their default place.
    pub fn envelope_paths(self, envelope_paths: Vec<EnvelopePath>) -> Handler<S> {
        Handler { envelope_paths, ..self }
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
        let mut batch = Batch::read(event, &self.envelope_paths);
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
    fn read(event: &KinesisEvent, paths: &[EnvelopePath]) -> Batch {
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
            match decoded.then(|| Envelope::find(&data, paths)).flatten() {
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
            kinesis_sequence: record.kinesis.sequence_number.as_str().into(),
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
#[path = "handler_tests.rs"]
mod tests;
