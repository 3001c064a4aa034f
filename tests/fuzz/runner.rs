//! Runs batches of cases on a thread of their own and watches it: a case that does not end is a failure too.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use streamgauge::platform::clock::Clock;

/// How long one case may take, in a test build on a busy machine. What is linear takes milliseconds.
const CASE_MAX: Duration = Duration::from_secs(20);
/// Bytes by which the process's peak resident memory may grow over a test: bodies are capped at 70 MB, and
/// stores are bounded far below this by the number of cases.
const GROWTH_MAX_BYTES: u64 = 1 << 30;

/// Where a batch says which case comes next. It stands in a file too: an overflowed stack ends the process
/// without another word.
pub struct Cases {
    watcher: Sender<String>,
    file: PathBuf,
}

impl Cases {
    /// Called before each case; `what` must be enough to see what was tried.
    pub fn next(&self, what: impl Into<String>) {
        let what = what.into();
        std::fs::write(&self.file, &what).expect("write the case");
        // Nobody listens only when the test has failed already.
        let _ = self.watcher.send(what);
    }
}

/// Runs `batch` with the seeds 1 to `batches`, or for as long as the environment asks.
pub fn run(batches: u64, batch: impl Fn(u64, &Cases) + Send + 'static) {
    let first = number("STREAMGAUGE_FUZZ_SEED").unwrap_or(1);
    let seconds = number("STREAMGAUGE_FUZZ_SECONDS");
    let before = peak_bytes();
    watch(move |cases| {
        let clock = Clock::start();
        let end_us = seconds.map(|seconds| clock.now_us() + seconds as i64 * 1_000_000);
        for seed in first.. {
            match end_us {
                Some(end_us) if clock.now_us() >= end_us => break,
                None if seed >= first + batches => break,
                _ => {}
            }
            batch(seed, cases);
        }
    });
    if let (Some(before), Some(after)) = (before, peak_bytes()) {
        assert!(after - before < GROWTH_MAX_BYTES, "the peak grew from {before} to {after} bytes");
    }
}

/// Runs `work` on a thread with the stack of a runtime's worker; fails with the case that panicked or hung.
pub fn watch(work: impl FnOnce(&Cases) + Send + 'static) {
    let (watcher, receiver) = mpsc::channel();
    let test = std::thread::current().name().unwrap_or("main").replace(':', "_");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-last-case-of-{test}.txt"));
    let worker = std::thread::spawn(move || work(&Cases { watcher, file }));
    let mut last = "before the first case".to_owned();
    loop {
        match receiver.recv_timeout(CASE_MAX) {
            Ok(case) => last = case,
            Err(RecvTimeoutError::Timeout) => panic!("no end within {CASE_MAX:?}: {last}"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if worker.join().is_err() {
        panic!("failed at: {last}");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a whole number: {text}")))
}

/// Peak resident memory of this process; `None` where there is no `/proc`.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
}
