//! The poller of one shard: polls, fills the lanes, delivers batches, moves the checkpoint. One task; its
//! deliveries run concurrently inside it, one a lane.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::Config;
use super::deliver::{Delivered, Deliverer};
use super::event::Source;
use super::lanes::{Batch, Checkpoint, Due, Lanes, Record};
use super::progress::Shard;
use super::reader::{Polled, Reader};
use super::run::{Mapping, Wanted};
use super::settle::Settled;
use crate::local::faults::is_probe;
use crate::local::service::BoxFuture;
use crate::platform::limits::{GET_RECORDS_MAX_RECORDS, INVOKE_PAYLOAD_MAX_BYTES};

/// How long the invocations under way may take to end when the mapping is disabled, changed or deleted.
/// What takes longer is cut off; its records come again if the mapping goes on.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Poller {
    mapping: Mapping,
    shard: String,
    stop: watch::Receiver<Wanted>,
    reader: Reader,
    deliverer: Arc<Deliverer>,
    config: Arc<Config>,
    source: Source,
    lanes: Lanes,
    checkpoint: Checkpoint,
    under_way: FuturesUnordered<BoxFuture<'static, (usize, Delivered)>>,
    next_poll: Instant,
    /// The shard was read to its end.
    closed: bool,
    /// Whether faults may strike batches: probes are then told from records.
    marks_probes: bool,
}

impl Poller {
    pub fn new(
        mapping: Mapping,
        config: Arc<Config>,
        shard: &str,
        from: Shard,
        stop: watch::Receiver<Wanted>,
    ) -> Poller {
        let shared = &mapping.shared;
        let role_arn = shared
            .with_function(&config.function, |function| function.configuration["Role"].clone())
            .ok()
            .and_then(|role| role.as_str().map(str::to_owned))
            .unwrap_or_default();
        let source = Source {
            stream_arn: config.stream_arn.clone(),
            shard: shard.to_owned(),
            region: shared.ctx.region.clone(),
            role_arn,
        };
        Poller {
            reader: Reader::new(shared.clone(), &config, shard, from),
            deliverer: Arc::new(Deliverer::new(mapping.clone(), config.clone(), shard)),
            lanes: Lanes::new(config.parallelization, config.gather),
            checkpoint: Checkpoint::default(),
            under_way: FuturesUnordered::new(),
            next_poll: shared.ctx.clock.instant(),
            closed: false,
            marks_probes: !shared.ctx.faults.specs().is_empty(),
            shard: shard.to_owned(),
            mapping,
            stop,
            config,
            source,
        }
    }

    /// Runs until the shard is read to its end or something else is wanted of the mapping.
    pub async fn run(mut self) {
        let mut poll: Option<BoxFuture<'static, Polled>> = None;
        loop {
            let now = self.mapping.shared.ctx.clock.instant();
            self.deliver_due(now);
            if self.closed && self.lanes.is_idle() {
                self.mapping.progress.set_finished(&self.shard);
                return;
            }
            let polls = poll.is_none() && self.has_room();
            if polls && self.next_poll <= now {
                poll = Some(self.reader.poll());
            }
            let wake = self.wake(now, poll.is_none() && polls);
            tokio::select! {
                biased;
                _ = self.stop.changed() => break,
                Some((lane, delivered)) = self.under_way.next(), if !self.under_way.is_empty() => {
                    self.settle(lane, delivered);
                }
                polled = pending_or(poll.as_mut()) => {
                    poll = None;
                    self.take(polled);
                }
                () = sleep_until(wake) => {}
            }
        }
        // An error is the timeout: what is still under way is cut off when it is dropped.
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.finish_under_way()).await;
    }

    async fn finish_under_way(&mut self) {
        while let Some((lane, delivered)) = self.under_way.next().await {
            self.settle(lane, delivered);
        }
    }

    /// Whether another poll's records may be buffered: enough for a full batch in every lane, no more.
    fn has_room(&self) -> bool {
        let lanes = self.lanes.len();
        let (records, bytes) = self.lanes.waiting();
        let enough = (self.config.gather.batch_size * lanes).max(GET_RECORDS_MAX_RECORDS / 10);
        !self.closed && records < enough && bytes < INVOKE_PAYLOAD_MAX_BYTES * lanes
    }

    fn deliver_due(&mut self, now: Instant) {
        for lane in 0..self.lanes.len() {
            if self.lanes.due(lane, now) == Due::Now {
                let batch = self.lanes.take(lane, now);
                let deliverer = self.deliverer.clone();
                self.under_way.push(Box::pin(async move { (lane, deliverer.deliver(batch).await) }));
            }
        }
    }

    /// The earliest moment at which something falls due by itself.
    fn wake(&self, now: Instant, polls: bool) -> Option<Instant> {
        let lanes = (0..self.lanes.len()).filter_map(|lane| match self.lanes.due(lane, now) {
            Due::At(at) => Some(at),
            Due::Now | Due::Never => None,
        });
        lanes.chain(polls.then_some(self.next_poll)).min()
    }

    fn take(&mut self, polled: Polled) {
        self.reader.went(&polled);
        self.next_poll = polled.next_poll;
        self.closed = polled.closed;
        if let Some(problem) = &polled.problem {
            self.mapping.progress.note(problem);
        }
        let mut filtered = Vec::new();
        for raw in &polled.records {
            let sequence = raw["SequenceNumber"].as_str().unwrap_or_default();
            let place = self.checkpoint.add(sequence);
            if !self.config.filter.passes(raw) {
                filtered.push(place);
                continue;
            }
            self.lanes.push(Record {
                sequence: sequence.to_owned(),
                key: raw["PartitionKey"].as_str().unwrap_or_default().to_owned(),
                arrival_ms: arrival_ms(raw),
                json: super::event::record_json(&self.source, raw),
                received: polled.at,
                place,
                probe: self.marks_probes && is_probe(&data_of(raw)),
            });
        }
        self.deliverer.count("PolledEventCount", polled.records.len());
        self.deliverer.count("FilteredOutEventCount", filtered.len());
        self.finish(filtered);
    }

    fn settle(&mut self, lane: usize, delivered: Delivered) {
        let now = self.mapping.shared.ctx.clock.instant();
        let Settled { mut done, mut again, wait, given_up } = delivered.settled;
        done.extend(given_up.map(|batch| batch.records).unwrap_or_default());
        done.extend(delivered.expired);
        if let Some(first) = again.first_mut() {
            first.not_before = now + wait;
        }
        self.lanes.release(lane, again);
        self.finish(done.into_iter().map(|record| record.place));
    }

    fn finish(&mut self, places: impl IntoIterator<Item = u64>) {
        if let Some(position) = self.checkpoint.finish(places) {
            self.mapping.progress.set_position(&self.shard, position);
        }
    }
}

/// Milliseconds since the epoch; Kinesis gives seconds with a fraction.
fn arrival_ms(raw: &serde_json::Value) -> i64 {
    (raw["ApproximateArrivalTimestamp"].as_f64().unwrap_or_default() * 1_000.0).round() as i64
}

fn data_of(raw: &serde_json::Value) -> Vec<u8> {
    use base64::Engine;
    let encoded = raw["Data"].as_str().unwrap_or_default();
    base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default()
}

async fn pending_or(poll: Option<&mut BoxFuture<'static, Polled>>) -> Polled {
    match poll {
        Some(poll) => poll.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Whether any record of the batch is a readiness probe.
pub fn has_probe(batch: &Batch) -> bool {
    batch.records.iter().any(|record| record.probe)
}
