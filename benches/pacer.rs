//! How late the pacer is: generator lag at several rates, real time, against a driver that answers at once
//! or burns as much CPU as the SDK does. Prints a table; asserts nothing, because the machine may be busy.
//!
//! `cargo bench --bench pacer`

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streamgauge::load::driver::{Driver, OutRecord, PutResult};
use streamgauge::load::outcome::{Outcome, Recorder};
use streamgauge::load::schedule::Schedule;
use streamgauge::load::{Job, run_test};
use streamgauge::plan::{self, PutMode};
use streamgauge::platform::clock::Clock;
use tokio::sync::watch;

const SECONDS: u64 = 5;

/// Answers after `busy` of CPU and `wait` of waiting.
struct Fake {
    clock: Clock,
    busy: Duration,
    wait: Duration,
}

impl Driver for Fake {
    fn put<'a>(
        &'a self,
        records: &'a [OutRecord],
    ) -> Pin<Box<dyn Future<Output = Vec<PutResult>> + Send + 'a>> {
        Box::pin(async move {
            let until = self.clock.instant() + self.busy;
            while self.clock.instant() < until {
                std::hint::spin_loop();
            }
            if !self.wait.is_zero() {
                tokio::time::sleep(self.wait).await;
            }
            vec![PutResult::Acked; records.len()]
        })
    }
}

#[derive(Default)]
struct Lags(Mutex<Vec<i64>>);

impl Recorder for Lags {
    fn started(&self, _: u32, _: u64, _: u64) {}
    fn finished(&self, outcome: &Outcome) {
        self.0.lock().expect("lags").push(outcome.ready_us - outcome.due_us);
    }
    fn attempt(&self, _: u32, _: u64, _: u32) {}
}

fn test(rate: u64, put: &str) -> plan::Test {
    let text = format!(
        "{{schema: streamgauge/plan/v1, name: bench, phases: [{{name: b, tests: [{{id: b, name: b, put: {put}, \
         stages: [{{duration: 100ms, target: {rate}}}, {{duration: {SECONDS}s, target: {rate}}}]}}]}}]}}"
    );
    plan::parse(&text).expect("the bench's plan").phases[0].tests[0].clone()
}

async fn measure(test: plan::Test, busy: Duration, wait: Duration) -> Vec<i64> {
    let clock = Clock::start();
    let (_stop, stopped) = watch::channel(false);
    let lags = Arc::new(Lags::default());
    let schedule = Schedule::new(&test);
    let run = "20261121-013240-k3f9".parse().expect("a run id");
    let start = clock.instant() + Duration::from_millis(50);
    let job =
        Job { run, test, schedule, first_level: 0, first_sequence: 0, hash_keys: Arc::default(), start };
    run_test(job, Arc::new(Fake { clock, busy, wait }), lags.clone(), clock, stopped, |_| {}).await;
    let mut lags = std::mem::take(&mut *lags.0.lock().expect("lags"));
    lags.sort_unstable();
    lags
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!(
        "{:>8} {:>7} {:>10}  {:>8} {:>8} {:>8} {:>8}  lag in us",
        "rate/s", "put", "CPU us", "p50", "p99", "p99.9", "max"
    );
    for (rate, put, busy_us) in [
        (500, PutMode::Record, 0),
        (500, PutMode::Record, 54),
        (2_000, PutMode::Record, 54),
        (5_000, PutMode::Record, 0),
        (5_000, PutMode::Record, 54),
        (10_000, PutMode::Record, 54),
        (50_000, PutMode::Batch, 100),
    ] {
        let name = if put == PutMode::Record { "record" } else { "batch" };
        let test = test(rate, name);
        let lags = runtime.block_on(measure(test, Duration::from_micros(busy_us), Duration::from_millis(5)));
        let at = |percent: f64| lags[((lags.len() - 1) as f64 * percent / 100.0) as usize];
        println!(
            "{rate:>8} {name:>7} {busy_us:>10}  {:>8} {:>8} {:>8} {:>8}",
            at(50.0),
            at(99.0),
            at(99.9),
            at(100.0)
        );
    }
}
