//! What stands in front of a service, whatever its protocol: the faults that strike a request as a whole.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::operations::PUTS;
use super::spec::{FaultSpec, Kind};
use super::{FaultEvent, Faults, errors};
use crate::local::service::ApiError;
use crate::platform::clock::Clock;

/// How long a request whose answer is lost is held before its connection is closed: longer than any
/// sensible attempt timeout, so that clients see silence.
pub const LOST_ANSWER_HOLD: Duration = Duration::from_secs(30);

/// Whose requests come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Whoever comes through a door.
    Door,
    /// CloudFormation, on behalf of whoever asked it: what is refused to them is refused to it.
    Stack,
    /// An event source mapping, by the role of its function: what is refused to the user is not refused to it.
    Mapping,
}

pub struct Front {
    asker: Asker,
    /// By the name that its requests are signed for: its errors look as AWS's do.
    service: &'static str,
    faults: Arc<Faults>,
    pub clock: Clock,
    /// When the first request came that a stall could strike: stalls are counted from it.
    stalls_since_us: Mutex<Option<i64>>,
}

/// What took effect without an answer.
#[derive(Default)]
pub struct Written {
    /// Shards, separated by spaces.
    pub shards: String,
    pub kinesis_sequences: Vec<String>,
}

impl Front {
    pub fn new(asker: Asker, service: &'static str, faults: Arc<Faults>, clock: Clock) -> Front {
        Front { asker, service, faults, clock, stalls_since_us: Mutex::new(None) }
    }

    /// Whether any fault could strike the operation: the others go straight through.
    pub fn touches(&self, operation: &str) -> bool {
        self.faults.specs.iter().any(|spec| self.strikes(spec, operation))
    }

    /// Latency and stalls, then throttles and errors. `Err` is the answer instead of doing the work. `records`
    /// counts the records of a put, if it is one.
    pub async fn before(&self, operation: &str, records: impl FnOnce() -> u64) -> Result<(), ApiError> {
        for spec in self.faults.specs.iter().filter(|spec| self.strikes(spec, operation)) {
            match &spec.kind {
                Kind::Latency { delay } => {
                    self.count("latency", operation, 0);
                    tokio::time::sleep(*delay).await;
                }
                Kind::Stall { every, hold } => self.stall(operation, *every, *hold).await,
                _ => {}
            }
        }
        if self.struck(operation, |kind| matches!(kind, Kind::Throttle { .. })).is_some() {
            self.count("throttle", operation, 0);
            return Err(errors::throttled(self.service, operation));
        }
        let erring = |kind: &Kind| matches!(kind, Kind::Error { .. } | Kind::Refuse { .. });
        let Some(spec) = self.struck(operation, erring) else { return Ok(()) };
        self.count("error", operation, records());
        Err(match &spec.kind {
            Kind::Refuse { code, .. } => errors::refused(self.service, operation, code),
            _ => errors::failed(self.service),
        })
    }

    async fn stall(&self, operation: &str, every: Duration, hold: Duration) {
        let now_us = self.clock.now_us();
        let since_us = *self.stalls_since_us.lock().expect("stall lock").get_or_insert(now_us);
        let (every_us, hold_us) = (every.as_micros() as i64, hold.as_micros() as i64);
        let phase_us = (now_us - since_us).rem_euclid(every_us);
        // The first period begins well: a stall ends each period.
        if phase_us >= every_us - hold_us {
            self.count("stall", operation, 0);
            tokio::time::sleep(Duration::from_micros((every_us - phase_us) as u64)).await;
        }
    }

    /// Whether the answer to work that was done is to be lost.
    pub fn loses_answer(&self, operation: &str) -> bool {
        self.struck(operation, |kind| matches!(kind, Kind::LostAnswer { .. })).is_some()
    }

    /// Keeps silent for [`LOST_ANSWER_HOLD`]; then the connection is to be closed.
    pub async fn lose(&self, operation: &str, written: Written) -> ApiError {
        let records = written.kinesis_sequences.len() as u64;
        self.faults.truth().push(FaultEvent {
            shard: written.shards,
            kinesis_sequences: written.kinesis_sequences,
            ..self.event("lost-answer", operation, records)
        });
        tokio::time::sleep(LOST_ANSWER_HOLD).await;
        ApiError::no_answer()
    }

    fn struck(&self, operation: &str, wanted: impl Fn(&Kind) -> bool) -> Option<&FaultSpec> {
        let matching = |spec: &FaultSpec| wanted(&spec.kind) && self.strikes(spec, operation);
        self.faults.strike(self.clock.now_us(), matching).map(|index| &self.faults.specs[index])
    }

    /// Throttles of puts strike single records, inside Kinesis ([`Faults::throttle_records`]).
    fn strikes(&self, spec: &FaultSpec, operation: &str) -> bool {
        let inside = matches!(spec.kind, Kind::Throttle { .. }) && PUTS.contains(&operation);
        let refuses = matches!(spec.kind, Kind::Refuse { .. });
        let of_this_asker = match self.asker {
            Asker::Door => true,
            Asker::Stack => refuses,
            Asker::Mapping => !refuses,
        };
        spec.strikes_requests() && spec.covers(operation) && !inside && of_this_asker
    }

    fn count(&self, kind: &'static str, operation: &str, records: u64) {
        self.faults.truth().add(self.event(kind, operation, records));
    }

    fn event(&self, kind: &'static str, operation: &str, records: u64) -> FaultEvent {
        let at_us = self.clock.now_us();
        FaultEvent { at_us, kind, op: operation.to_owned(), strikes: 1, records, ..FaultEvent::default() }
    }
}
