//! Accounting under faults, proven: the whole main job in virtual time with a random mixture of faults, and
//! the report's delivery held against what really happened, figure by figure.
//!
//! Twenty seeds by default; `STREAMGAUGE_SEEDS=1000` for more, `STREAMGAUGE_SEED=17` for one alone. The seed
//! of a failure is printed with its plan, its faults and its truth.

mod scenario;
#[expect(dead_code, reason = "each of the tests that share it uses a part")]
#[path = "../support/mod.rs"]
mod support;
mod taps;
mod truth;

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use scenario::{Ran, Scenario};

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn the_report_equals_the_truth_for_every_seed() {
    let seeds = match from_environment("STREAMGAUGE_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=from_environment("STREAMGAUGE_SEEDS").unwrap_or(20),
    };
    let next = AtomicU64::new(*seeds.start());
    let kinds = std::sync::Mutex::new(std::collections::BTreeMap::<&str, u64>::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > *seeds.end() {
                return;
            }
            let ran = check(seed);
            let mut kinds = kinds.lock().unwrap();
            for event in ran.faults {
                *kinds.entry(event.kind).or_default() += event.strikes;
            }
            let poisoned = ran.heard.batches.values().flatten().filter(|record| record.poison);
            *kinds.entry("poison").or_default() += poisoned.count() as u64;
            *kinds.entry("dead-lettered").or_default() +=
                ran.report["delivery"]["dead_lettered"].as_u64().unwrap();
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let kinds = kinds.into_inner().unwrap();
    println!("struck over seeds {seeds:?}: {kinds:?}");
    if seeds.end() - seeds.start() >= 19 {
        let faults = ["drop", "error", "kill-function", "lost-answer", "lost-receipt", "redeliver", "swap"];
        let all = faults.iter().chain(&["throttle", "poison", "dead-lettered"]);
        assert!(
            all.into_iter().all(|kind| kinds.get(kind).is_some_and(|strikes| *strikes > 0)),
            "a fault that never struck: {kinds:?}"
        );
    }
}

fn check(seed: u64) -> Ran {
    let scenario = Scenario::of(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let ran = runtime.unwrap().block_on(scenario::run(&scenario));
    let expected = truth::delivery(&ran);
    let reported = &ran.report["delivery"];
    let differing: Vec<String> = expected
        .iter()
        .filter(|(figure, value)| figure_of(reported, figure) != json!(value))
        .map(|(figure, value)| format!("{figure}: really {value}, reported {}", figure_of(reported, figure)))
        .collect();
    assert!(
        differing.is_empty() && reported["complete"] == true,
        "STREAMGAUGE_SEED={seed}\n{differing:#?}\n{scenario:?}\n{reported}\n{:?}",
        ran.faults
    );
    ran
}

/// `duplicated.producer` is a member of a member.
fn figure_of(delivery: &Value, figure: &str) -> Value {
    figure.split('.').fold(delivery.clone(), |value, member| value[member].clone())
}
