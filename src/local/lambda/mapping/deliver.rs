//! Delivers one batch: ages it out, asks the faults, invokes, reads the answer, and sends what is given up
//! to the on-failure destination.

use std::sync::Arc;

use super::config::Config;
use super::discarded::{Condition, Place, message};
use super::event::event;
use super::lanes::{Batch, Record};
use super::poller::has_probe;
use super::run::Mapping;
use super::settle::{Settled, Verdict, expired, partial, settle};
use crate::local::lambda::destination::{Destination, object_key};
use crate::local::lambda::host::InvokeOutcome;
use crate::local::service::ApiError;

/// What one shard's batches are delivered with.
pub struct Deliverer {
    mapping: Mapping,
    config: Arc<Config>,
    shard: String,
    /// `<stream>/<shard>`, as faults name it.
    fault_shard: String,
}

/// What became of a batch. Everything in `settled` and `expired` together is the whole batch.
pub struct Delivered {
    pub settled: Settled,
    /// Records that were too old to be delivered.
    pub expired: Vec<Record>,
}

impl Deliverer {
    pub fn new(mapping: Mapping, config: Arc<Config>, shard: &str) -> Deliverer {
        let fault_shard = format!("{}/{shard}", config.stream);
        Deliverer { mapping, config, shard: shard.to_owned(), fault_shard }
    }

    pub async fn deliver(&self, mut batch: Batch) -> Delivered {
        let clock = &self.mapping.shared.ctx.clock;
        let old = expired(&batch, self.max_age_ms(), clock.now_ms());
        let mut too_old = Vec::new();
        if old > 0 {
            let rest = batch.records.split_off(old);
            let front = std::mem::replace(&mut batch.records, rest);
            let gone = batch.part(front);
            batch.swap = None;
            self.give_up(&gone, Condition::RecordAgeExceeded, None).await;
            too_old = gone.records;
        }
        if batch.records.is_empty() {
            return Delivered { settled: Settled::default(), expired: too_old };
        }
        self.ask_swap(&mut batch);
        let ran = self.invoke(&mut batch).await;
        let verdict = self.verdict(&batch, &ran);
        if verdict == Verdict::Success && self.redelivers(&mut batch) {
            let settled = Settled { again: vec![batch], ..Settled::default() };
            return Delivered { settled, expired: too_old };
        }
        let settled = settle(batch, verdict, self.config.policy);
        if let Some(given_up) = &settled.given_up {
            let request_id = ran.as_ref().ok().map(|(id, _)| id.as_str());
            self.give_up(given_up, Condition::RetryAttemptsExhausted, request_id).await;
        }
        Delivered { settled, expired: too_old }
    }

    /// The maximum record age, or the stream's retention where that is shorter: records that expired are not
    /// tried again.
    fn max_age_ms(&self) -> Option<i64> {
        let own = self.config.max_age.map(|age| age.as_millis() as i64);
        own.into_iter().chain(self.mapping.progress.retention_ms()).min()
    }

    async fn invoke(&self, batch: &mut Batch) -> Result<(String, InvokeOutcome), ApiError> {
        let shared = &self.mapping.shared;
        let function = &self.config.function;
        let event = event(batch);
        let admitted = shared.admit(function, event.len())?;
        batch.invokes += 1;
        // The age of the last record when its batch is sent (developer guide, Lambda metric types).
        if let Some(last) = batch.records.last() {
            let age_ms = (shared.ctx.clock.now_ms() - last.arrival_ms).max(0);
            shared.record(function, "IteratorAge", "Milliseconds", age_ms as f64);
        }
        self.count("InvokedEventCount", batch.records.len());
        let request_id = shared.uuid();
        let outcome = shared.run(admitted, event, &request_id).await;
        Ok((request_id, outcome))
    }

    fn verdict(&self, batch: &Batch, ran: &Result<(String, InvokeOutcome), ApiError>) -> Verdict {
        let progress = &self.mapping.progress;
        let verdict = match ran {
            Ok((_, outcome)) if outcome.failed => Verdict::Failed,
            Ok((_, outcome)) if self.config.partial_responses => partial(batch, &outcome.payload),
            Ok(_) => Verdict::Success,
            // A record too large for any event would otherwise block its shard without using up retries.
            Err(error) if error.status == 413 => Verdict::Failed,
            Err(_) => Verdict::Refused,
        };
        match (verdict, ran) {
            (Verdict::Success, _) => progress.note("OK"),
            (_, Err(error)) => progress.note(&format!("PROBLEM: {}", error.message)),
            _ => progress.note("PROBLEM: Function call failed"),
        }
        match verdict {
            Verdict::Success => {}
            Verdict::FailedFrom(lowest) => {
                self.count("FailedInvokeEventCount", batch.records.len() - lowest);
            }
            Verdict::Failed | Verdict::Refused => self.count("FailedInvokeEventCount", batch.records.len()),
        }
        verdict
    }

    /// Before the first delivery only.
    fn ask_swap(&self, batch: &mut Batch) {
        if batch.asked_swap || has_probe(batch) {
            return;
        }
        batch.asked_swap = true;
        let ctx = &self.mapping.shared.ctx;
        if batch.invokes == 0 && !ctx.faults.specs().is_empty() {
            let keys: Vec<_> = batch.records.iter().map(|r| (r.key.clone(), r.sequence.clone())).collect();
            batch.swap = ctx.faults.swap(ctx.clock.now_us(), &self.fault_shard, &keys);
        }
    }

    /// Asked once a batch.
    fn redelivers(&self, batch: &mut Batch) -> bool {
        let ctx = &self.mapping.shared.ctx;
        if batch.asked_redeliver || has_probe(batch) || ctx.faults.specs().is_empty() {
            return false;
        }
        batch.asked_redeliver = true;
        let sequences: Vec<_> = batch.records.iter().map(|record| record.sequence.clone()).collect();
        ctx.faults.redeliver(ctx.clock.now_us(), &self.fault_shard, &sequences)
    }

    /// Sends the batch's whereabouts to the on-failure destination, or counts its records as dropped.
    async fn give_up(&self, batch: &Batch, condition: Condition, request_id: Option<&str>) {
        let Some(destination) = &self.config.on_failure else {
            self.count("DroppedEventCount", batch.records.len());
            return;
        };
        let shared = &self.mapping.shared;
        let new_id = shared.uuid();
        let place = Place {
            function_arn: &self.config.function_arn,
            stream_arn: &self.config.stream_arn,
            shard: &self.shard,
            request_id: request_id.unwrap_or(&new_id),
            now_ms: shared.ctx.clock.now_ms(),
            function_error: condition == Condition::RetryAttemptsExhausted,
        };
        let mut message = message(&place, condition, batch);
        if let Destination::Bucket(_) = destination {
            // The records themselves, as the function would have got them, escaped in a string.
            message["payload"] = String::from_utf8_lossy(&event(batch)).into_owned().into();
        }
        let prefix = format!("aws/lambda/{}/{}", self.mapping.uuid, self.shard);
        let key = object_key(&prefix, place.now_ms, &shared.uuid());
        match destination.send(shared, &message, &key).await {
            Ok(()) => self.count("OnFailureDestinationDeliveredEventCount", batch.records.len()),
            Err(error) => {
                tracing::warn!(?destination, %error, "an on-failure message was not delivered");
                shared.record(&self.config.function, "DestinationDeliveryFailures", "Count", 1.0);
                self.count("DroppedEventCount", batch.records.len());
            }
        }
    }

    /// The mapping's own metrics, when `MetricsConfig` asks for them.
    pub fn count(&self, metric: &str, events: usize) {
        if self.config.event_metrics && events > 0 {
            let dimensions = [("EventSourceMappingUUID", &*self.mapping.uuid)];
            self.mapping.shared.sample(&dimensions, metric, "Count", events as f64);
        }
    }
}
