//! Measures of a test by stretches of time: what drift, recovery and the breaking point are worked out from. Plain
//! data, worked out in `join::windows`.

use super::model::Dist;
use crate::platform::clock::WallUs;

/// A stretch of a level, from a whole second to a whole second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Index of the level within the run.
    pub level: u32,
    pub from_us: WallUs,
    pub to_us: WallUs,
    /// False: the level ended before the window was full.
    pub whole: bool,
    /// Of everything answered meanwhile, whichever level it was due in.
    pub put_latency: Option<Dist>,
    /// Of everything that the function started on meanwhile.
    pub e2e: Option<Dist>,
    /// Records of the level that were due.
    pub due: f64,
    /// Records of the level that were answered meanwhile.
    pub acked: u64,
    pub failed: u64,
    /// Refusals, retried or not.
    pub throttled: u64,
    pub iterator_age_max_ms: Option<f64>,
    /// The most that an invocation told.
    pub memory_used_mb: Option<f64>,
    /// Resident memory of the generator, mean.
    pub generator_mb: Option<f64>,
}

/// One test cut in four ways, each in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestWindows {
    /// Ten seconds each, from each level's start.
    pub steps: Vec<Window>,
    /// A sixtieth of the test, one to ten seconds, from each level's start.
    pub fine: Vec<Window>,
    /// Of the longest hold: a thirtieth of it, one second to a minute.
    pub hold: Vec<Window>,
    /// The last minute of every level that lasted so long.
    pub tails: Vec<Window>,
}
