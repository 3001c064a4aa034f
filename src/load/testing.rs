//! What the tests of this room share.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::driver::{Driver, OutRecord, PutResult};
use super::outcome::{Outcome, Recorder};
use crate::plan::{Keys, Payload, PutMode, Stage, StageKind, Test};
use crate::platform::clock::Clock;
use crate::wire::envelope::Envelope;
use crate::wire::run_id::RunId;

pub fn run_id() -> RunId {
    "20261121-013240-k3f9".parse().expect("a run id")
}

/// A test with stages (seconds, target), from 0, as a plan would have them.
pub fn test_of(stages: &[(f64, f64)]) -> Test {
    let mut from_rps = 0.0;
    let stages = stages
        .iter()
        .map(|(seconds, target_rps)| {
            let kind = if *target_rps == from_rps { StageKind::Hold } else { StageKind::Ramp };
            let stage = Stage {
                duration: Duration::from_secs_f64(*seconds),
                from_rps,
                target_rps: *target_rps,
                kind,
                steps: Arc::default(),
                poison: 0,
                actions: Vec::new(),
            };
            from_rps = *target_rps;
            stage
        })
        .collect();
    Test {
        id: "1".to_owned(),
        name: "test".to_owned(),
        payload: Payload::sized("small", 100),
        put: PutMode::Record,
        keys: Keys::uniform(100, 1),
        arrivals: crate::plan::Arrivals::Even,
        max_in_flight: 10_000,
        put_attempts: 5,
        attempt_timeout: Duration::from_secs(10),
        stages,
        users: None,
        criteria: Vec::new(),
        beyond_capacity: false,
    }
}

/// One hold without a ramp before it.
pub fn hold(seconds: u64, rps: f64) -> Test {
    let mut test = test_of(&[]);
    let duration = Duration::from_secs(seconds);
    test.stages = vec![Stage {
        duration,
        from_rps: rps,
        target_rps: rps,
        kind: StageKind::Hold,
        steps: Arc::default(),
        poison: 0,
        actions: Vec::new(),
    }];
    test
}

/// What a scripted driver does with one request of records, at the time it arrives.
pub type Script = Box<dyn Fn(Call) -> Answer + Send + Sync>;

#[derive(Clone, Debug)]
pub struct Call {
    /// From the driver's creation.
    pub at: Duration,
    /// From 0, in order of arrival.
    pub number: usize,
    pub keys: Vec<String>,
    pub envelopes: Vec<Envelope>,
}

pub enum Answer {
    /// After this long.
    After(Duration, Vec<PutResult>),
    Never,
    Panic,
}

/// Answers as its script says and remembers every call.
pub struct ScriptedDriver {
    clock: Clock,
    created: Instant,
    script: Script,
    calls: Mutex<Vec<Call>>,
}

impl ScriptedDriver {
    pub fn new(clock: Clock, script: impl Fn(Call) -> Answer + Send + Sync + 'static) -> Arc<ScriptedDriver> {
        let created = clock.instant();
        Arc::new(ScriptedDriver { clock, created, script: Box::new(script), calls: Mutex::default() })
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

impl Driver for ScriptedDriver {
    fn put<'a>(
        &'a self,
        records: &'a [OutRecord],
    ) -> Pin<Box<dyn Future<Output = Vec<PutResult>> + Send + 'a>> {
        let envelope = |record: &OutRecord| -> Envelope {
            let data: serde_json::Value = serde_json::from_slice(&record.data).unwrap();
            serde_json::from_value(data["sg"].clone()).unwrap()
        };
        let call = {
            let mut calls = self.calls.lock().unwrap();
            let call = Call {
                at: self.clock.instant().duration_since(self.created),
                number: calls.len(),
                keys: records.iter().map(|record| record.key.clone()).collect(),
                envelopes: records.iter().map(envelope).collect(),
            };
            calls.push(call.clone());
            call
        };
        Box::pin(async move {
            match (self.script)(call) {
                Answer::After(wait, results) => {
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                    }
                    results
                }
                Answer::Never => std::future::pending().await,
                Answer::Panic => panic!("scripted"),
            }
        })
    }
}

/// Keeps everything that it is told.
#[derive(Default)]
pub struct Memory {
    pub started: Mutex<Vec<(u32, u64, u64)>>,
    pub outcomes: Mutex<Vec<Outcome>>,
    pub attempts: Mutex<Vec<(u32, u64, u32)>>,
}

impl Memory {
    /// In order of sequence.
    pub fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = self.outcomes.lock().unwrap().clone();
        outcomes.sort_by_key(|outcome| outcome.sequence);
        outcomes
    }
}

impl Recorder for Memory {
    fn started(&self, level: u32, first_sequence: u64, count: u64) {
        self.started.lock().unwrap().push((level, first_sequence, count));
    }
    fn finished(&self, outcome: &Outcome) {
        self.outcomes.lock().unwrap().push(outcome.clone());
    }
    fn attempt(&self, level: u32, service_time_us: u64, records: u32) {
        self.attempts.lock().unwrap().push((level, service_time_us, records));
    }
}
