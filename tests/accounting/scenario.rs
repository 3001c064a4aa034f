//! What a seed comes to, and what came of it.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use streamgauge::local::faults::FaultEvent;
use streamgauge::plan;

use super::support::test_heard;
use super::taps::{Heard, Tap};

/// A small plan and some faults.
#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    pub plan: String,
    pub faults: Vec<String>,
}

impl Scenario {
    /// Three seconds of load, up to 500 records. The faults come in any combination, and often enough to meet.
    pub fn of(seed: u64) -> Scenario {
        let mut rng = fastrand::Rng::with_seed(seed);
        let put = if rng.u32(..4) == 0 { "record" } else { "batch" };
        let (keys, shards, rate) = (rng.u32(1..12), rng.u32(1..4), rng.u32(60..200));
        let (batch_size, parallelization) = (rng.u32(5..60), rng.u32(1..3));
        let mut faults = Vec::new();
        let mut add = |spec: String| {
            if rng.bool() {
                faults.push(format!("{spec},seed={}", rng.u32(..1_000)));
            }
        };
        let mut counts = fastrand::Rng::with_seed(!seed);
        add(format!("drop:count={}", counts.u32(1..9)));
        add(format!("redeliver:count={}", counts.u32(1..4)));
        add(format!("swap:count={}", counts.u32(1..5)));
        add(format!("lost-answer:rate={}%", counts.u32(1..15)));
        add(format!("throttle:rate={}%", counts.u32(1..15)));
        add(format!("error:rate={}%", counts.u32(1..10)));
        add(format!("kill-function:count={}", counts.u32(1..3)));
        add(format!("lost-receipt:count={}", counts.u32(1..3)));
        // Half of the seeds poison both stages; few retries, so that batches are given up soon.
        let (ramp, hold) = if rng.bool() { (rng.u32(..3), rng.u32(1..4)) } else { (0, 0) };
        let (retries, bisect, partial) = (rng.u32(..3), rng.bool(), rng.bool());
        let plan = format!(
            "schema: streamgauge/plan/v1\nname: faults\ndrain: 60s\nenvironment:\n  stream: {{shards: {shards}}}\n  \
             function: {{batch_size: {batch_size}, parallelization: {parallelization}, retries: {retries}, \
             bisect_on_error: {bisect}, partial_batch_response: {partial}}}\nphases:\n  - name: p\n    \
             tests:\n      - id: t\n        name: t\n        payload: small\n        put: {put}\n        \
             keys: {{count: {keys}, seed: {seed}}}\n        attempt_timeout: 2s\n        stages:\n          \
             - {{duration: 1s, target: {rate}, poison: {ramp}}}\n          \
             - {{duration: 2s, target: {rate}, poison: {hold}}}\n"
        );
        Scenario { seed, plan, faults }
    }
}

pub struct Ran {
    pub seed: u64,
    pub plan: plan::Plan,
    pub report: Value,
    pub faults: Vec<FaultEvent>,
    pub heard: Heard,
}

pub async fn run(scenario: &Scenario) -> Ran {
    let tap = Arc::new(Tap(Mutex::new(Heard::default())));
    let faults: Vec<&str> = scenario.faults.iter().map(String::as_str).collect();
    let ran = test_heard(&scenario.plan, &faults, scenario.seed, &tap).await;
    let heard = std::mem::take(&mut *tap.0.lock().unwrap());
    let plan = plan::parse(&scenario.plan).unwrap();
    Ran { seed: scenario.seed, plan, report: ran.report, faults: ran.truth, heard }
}
