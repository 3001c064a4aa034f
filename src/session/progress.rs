//! What a session tells whoever watches. The session never prints: cli does.

use rust_decimal::Decimal;

/// Live figures of the level under load, once a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveLevel {
    pub test: String,
    /// `hold 500/s`, `ramp 0 -> 500/s`.
    pub level: String,
    /// Number of the level in its test, from 1, and of how many.
    pub level_number: u32,
    pub levels: u32,
    /// `None` with virtual users.
    pub target_rps: Option<f64>,
    /// Acked records over the last second.
    pub achieved_rps: f64,
    pub put_p50_ms: Option<f64>,
    pub put_p95_ms: Option<f64>,
    pub put_p99_ms: Option<f64>,
    /// Of the level; `acked` is over the run, as `delivered`.
    pub acked_in_level: u64,
    pub acked: u64,
    pub failed: u64,
    pub throttled: u64,
    /// Records seen by the function so far, over the whole run.
    pub delivered: u64,
    pub iterator_age_ms: Option<f64>,
    /// Over the last 10 to 20 s.
    pub e2e_p95_ms: Option<f64>,
    /// Due and without an outcome.
    pub in_flight: u64,
    /// Estimated, on the safe side.
    pub cost_usd: Decimal,
    /// Into the selected tests' planned time, and all of it, seconds.
    pub elapsed_s: f64,
    pub planned_s: f64,
}

pub trait Progress: Send + Sync {
    /// A step: one line, kept.
    fn step(&self, line: &str);
    /// Live figures: replaces the ones before where the display can.
    fn live(&self, level: &LiveLevel);
    /// A level's last figures: one line, kept.
    fn level_ended(&self, _level: &LiveLevel) {}
    /// What is being waited for: replaces the live figures; not kept.
    fn step_live(&self, line: &str);
    /// Ends the live display, so that lines can be printed.
    fn settle(&self);
}

/// For callers that watch nothing.
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: &str) {}
    fn live(&self, _: &LiveLevel) {}
    fn step_live(&self, _: &str) {}
    fn settle(&self) {}
}
