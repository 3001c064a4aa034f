//! `streamgauge rehearse` from outside: the binary, in a directory of its own. What is planted, in the plan or by
//! `--fault`, comes out as it does in a run; the same rehearsal is the same to the byte; whatever ends it, it ends well.

mod causes;
mod endings;
mod faults;
mod flags;
mod refused;
mod same;
#[expect(dead_code, reason = "each of the tests that share it uses a part")]
#[path = "../tool/support.rs"]
mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;

use support::{Bench, report};

/// What a rehearsal left.
struct Rehearsed {
    code: i32,
    report: Value,
    stderr: String,
    /// The run directory; goes with the bench.
    dir: PathBuf,
    _bench: Bench,
}

/// Rehearses a plan. It must come to a report, whatever that says.
fn rehearse(plan: &str, args: &[&str]) -> Rehearsed {
    let bench = Bench::new();
    bench.write("plan.yaml", plan);
    let done = bench.run(&[&["rehearse", "plan.yaml"], args].concat());
    let dirs = rehearsals(bench.path());
    assert_eq!(dirs.len(), 1, "exit {}\n{}", done.code, done.stderr);
    let dir = dirs[0].clone();
    Rehearsed { code: done.code, report: report(&dir), stderr: done.stderr, dir, _bench: bench }
}

/// The directories of rehearsals under a working directory.
fn rehearsals(under: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(under.join(".streamgauge/rehearsals")).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}
