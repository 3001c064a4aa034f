//! What the load looks like beyond a rate: how arrivals are spread, how keys are chosen, a series of rates.

use std::fmt;
use std::time::Duration;

use super::model::{Stage, Test};

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

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arrivals::Even => f.write_str("even arrivals"),
            Arrivals::Poisson { seed } => write!(f, "Poisson arrivals (seed {seed})"),
        }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keys { count, seed, distribution } = self;
        match distribution {
            KeyDistribution::Uniform => write!(f, "{count} keys alike (seed {seed})"),
            KeyDistribution::Zipf { exponent } => {
                write!(f, "{count} keys by Zipf's law, exponent {exponent} (seed {seed})")
            }
            KeyDistribution::Hot { share } => {
                write!(f, "{count} keys, one with {}% of the records (seed {seed})", share * 100.0)
            }
            KeyDistribution::RoundRobin => write!(f, "{count} keys in turn over the shards"),
        }
    }
}

impl Test {
    /// What is not as usual about arrivals and keys, in words; `None`: even arrivals, and all keys alike.
    pub fn shape(&self) -> Option<String> {
        let arrivals = (self.arrivals != Arrivals::Even).then(|| self.arrivals.to_string());
        let keys = (self.keys.distribution != KeyDistribution::Uniform).then(|| self.keys.to_string());
        let parts: Vec<String> = arrivals.into_iter().chain(keys).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl Stage {
    /// The highest rate of the stage, records/s.
    pub fn peak_rps(&self) -> f64 {
        let steps = self.steps.iter().map(|step| step.rps);
        steps.chain([self.from_rps, self.target_rps]).fold(0.0, f64::max)
    }
}
