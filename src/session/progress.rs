//! What a session tells whoever watches. The session never prints: cli does.

/// Live figures of the level under load, once a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveLevel {
    pub test: String,
    pub level: String,
    /// `None` with virtual users.
    pub target_rps: Option<f64>,
    /// Acked records over the last second.
    pub achieved_rps: f64,
    pub put_p50_ms: Option<f64>,
    pub put_p95_ms: Option<f64>,
    pub acked: u64,
    pub failed: u64,
    pub throttled: u64,
    /// Records seen by the function so far, over the whole run.
    pub delivered: u64,
    pub iterator_age_ms: Option<f64>,
    /// Into the selected tests' planned time, and all of it, seconds.
    pub elapsed_s: f64,
    pub planned_s: f64,
}

pub trait Progress: Send + Sync {
    /// A step: one line, kept.
    fn step(&self, line: &str);
    /// Live figures: replaces the ones before where the display can.
    fn live(&self, level: &LiveLevel);
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
