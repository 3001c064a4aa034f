//! The plans whose criteria rest on windows of time, through the whole main job in virtual time.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use serde_json::Value;
use support::{Ran, shipped, test};

fn criterion<'a>(ran: &'a Ran, starts: &str) -> &'a Value {
    let criteria = ran.report["tests"][0]["criteria"].as_array().unwrap();
    let found = criteria.iter().find(|criterion| criterion["text"].as_str().unwrap().starts_with(starts));
    found.unwrap_or_else(|| panic!("no {starts} in {criteria:#?}"))
}

#[tokio::test(start_paused = true)]
async fn the_spike_has_a_recovery_and_a_scaling_time() {
    let ran = test(&shipped("spike.yaml"), &[], 1).await;
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
    // Nothing slows puts here: the first six windows after the spike are back.
    let recovery = criterion(&ran, "recovery(put_latency.p95)");
    assert!((0.0..1.0).contains(&recovery["observed"].as_f64().unwrap()), "{recovery:#}");
    assert!(criterion(&ran, "scaling_time")["observed"].as_f64().unwrap() < 30.0);
    assert_eq!(ran.report["tests"][0]["breaking_point"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn the_soak_has_drifts_with_their_intervals() {
    let ran = test(&shipped("soak.yaml"), &[], 1).await;
    assert_eq!(ran.report["run"]["verdict"], "pass", "{:#}", ran.report["tests"][0]["criteria"]);
    for name in ["drift(throughput)", "drift(put_latency.p50)", "drift(e2e_latency.p50)"] {
        let drift = criterion(&ran, name);
        let interval = drift["interval"].as_array().unwrap();
        let (low, high) = (interval[0].as_f64().unwrap(), interval[1].as_f64().unwrap());
        assert!(low <= high && drift["observed"].is_number(), "{drift:#}");
    }
    // Every second is as the others in virtual time.
    assert_eq!(criterion(&ran, "drift(throughput)")["observed"], 0.0);
}
