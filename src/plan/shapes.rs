//! What the load looks like beyond a rate: how arrivals are spread, how keys are chosen, a series of rates.

use std::time::Duration;

use super::model::Stage;

/// How the records of a level are spread over it (`load::arrivals`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// Each as far from the next as the rate says.
    #[default]
    Even,
    /// At random, as the requests of many independent users come; the same seed gives the same times.
    Poisson { seed: u64 },
}

/// How partition keys are chosen: a pure function of seed and sequence (`load::keys`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keys {
    /// Distinct keys.
    pub count: u32,
    pub seed: u64,
    pub distribution: KeyDistribution,
}

impl Keys {
    pub const fn uniform(count: u32, seed: u64) -> Keys {
        Keys { count, seed, distribution: KeyDistribution::Uniform }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyDistribution {
    Uniform,
    /// The share of the n-th key is proportional to `1 / n^exponent`.
    Zipf {
        exponent: f64,
    },
    /// The first key has this part (0 to 1) of the records, the others share the rest alike.
    Hot {
        share: f64,
    },
    /// Keys take turns, and with them the shards that are open when the test starts.
    RoundRobin,
}

/// One rate of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateStep {
    /// From the stage's start; the rate holds until the next step, or the stage's end.
    pub after: Duration,
    pub rps: f64,
}

impl Stage {
    /// The highest rate of the stage, records/s.
    pub fn peak_rps(&self) -> f64 {
        let steps = self.steps.iter().map(|step| step.rps);
        steps.chain([self.from_rps, self.target_rps]).fold(0.0, f64::max)
    }
}
