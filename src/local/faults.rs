//! Faults on request, seeded, each logged as the truth against which accounting is tested.
//!
//! The services ask at the points where a fault can strike; without a fault every answer is "no".

use std::sync::Mutex;

/// `KIND[:KEY=VALUE,...]`, parsed. This release strikes with `drop`, `redeliver` and `swap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultSpec {
    /// Forget a record after it was acked, `count` times.
    Drop { count: u64, seed: u64 },
    /// Deliver a batch once more after it succeeded, `count` times.
    Redeliver { count: u64, seed: u64 },
    /// Swap two records of one partition key inside a batch, `count` times.
    Swap { count: u64, seed: u64 },
}

/// What a fault did: the truth.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FaultEvent {
    pub at_us: i64,
    pub kind: &'static str,
    /// Stream and shard it struck.
    pub shard: String,
    /// Kinesis sequence numbers of the records that it struck.
    pub kinesis_sequences: Vec<String>,
}

#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    specs: Vec<FaultSpec>,
    log: Vec<FaultEvent>,
}

impl Faults {
    pub fn none() -> Faults {
        Faults::default()
    }

    pub fn new(specs: Vec<FaultSpec>) -> Faults {
        Faults { state: Mutex::new(State { specs, log: Vec::new() }) }
    }

    /// Everything that was struck so far.
    pub fn log(&self) -> Vec<FaultEvent> {
        self.state.lock().expect("faults lock").log.clone()
    }

    /// The specs, as `status` shows them.
    pub fn specs(&self) -> Vec<FaultSpec> {
        self.state.lock().expect("faults lock").specs.clone()
    }
}
