//! `kill -9` at random moments: whatever the moment, the run can be reported, and `--resume` goes on with the first
//! test that has not finished, so that in the end each has finished exactly once.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Bench, check_schema, processes_under, wait_for};

/// Lanes at a time: each mostly waits for its own pipeline.
const LANES: u64 = 4;
const KILLS_A_LANE: u32 = 25;
/// A run that ends before its moment is no kill, and the lane goes on: up to this many runs.
const RUNS_A_LANE_MAX: u32 = 100;
/// From the start to the last report of a run that nobody kills, where little is left to run.
const WHOLE_RUN: Duration = Duration::from_secs(6);
/// From the start to the first tests' ends: two of three kills fall in here.
const BEGINNING: Duration = Duration::from_secs(2);
/// Runs that a campaign may take to its end once nobody kills any more: one, unless a wait in it was too short.
const RUNS_TO_THE_END_MAX: usize = 3;

const PLAN: &str = "schema: streamgauge/plan/v1
name: killed
drain: 10s
environment:
  stream: {shards: 1}
phases:
  - name: Only
    week: 1
    tests:
      - {id: a, name: A, payload: small, stages: [{duration: 300ms, target: 40}], criteria: [lost == 0]}
      - {id: b, name: B, payload: small, stages: [{duration: 200ms, target: 60}], criteria: [lost == 0]}
      - {id: c, name: C, payload: small, stages: [{duration: 400ms, target: 30}], criteria: [lost == 0]}
";
const TESTS: usize = 3;

#[test]
fn a_hundred_kills_at_random_moments_leave_reports_and_campaigns_whole() {
    let _alone = Bench::alone();
    let kills: u32 = std::thread::scope(|scope| {
        let lanes: Vec<_> = (1..=LANES).map(|seed| scope.spawn(move || Lane::new(seed).run())).collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .sum()
    });
    assert_eq!(u64::from(kills), LANES * u64::from(KILLS_A_LANE));
}

struct Lane {
    bench: Bench,
    env: String,
    rng: fastrand::Rng,
    seen: BTreeSet<PathBuf>,
    /// Tests that had not finished at the last look, by their index.
    unfinished: Vec<usize>,
}

impl Lane {
    fn new(seed: u64) -> Lane {
        let (bench, env) = (Bench::new(), format!("lane-{seed}"));
        bench.write("plan.yaml", PLAN);
        bench.run(&["up", "plan.yaml", "--env", &env]).expect_code(0);
        Lane {
            bench,
            env,
            rng: fastrand::Rng::with_seed(seed),
            seen: BTreeSet::new(),
            unfinished: (0..TESTS).collect(),
        }
    }

    /// Gives how often a run was killed.
    fn run(mut self) -> u32 {
        let mut kills = 0;
        for _ in 0..RUNS_A_LANE_MAX {
            if kills == KILLS_A_LANE {
                break;
            }
            kills += u32::from(self.run_and_kill());
        }
        for _ in 0..RUNS_TO_THE_END_MAX {
            if !self.unfinished.is_empty() {
                self.bench.run(&["run", "--resume", "plan.yaml", "--env", &self.env]).expect_code(0);
                self.check_campaign();
            }
        }
        assert_eq!(self.unfinished, Vec::<usize>::new());
        let nothing = self.bench.run(&["run", "--resume", "plan.yaml", "--env", &self.env]).expect_code(0);
        assert!(nothing.stderr.contains("nothing to resume"), "{}", nothing.stderr);
        self.bench.run(&["down", "--env", &self.env]).expect_code(0);
        wait_for("the end of every process", Duration::from_secs(15), || {
            processes_under(self.bench.path()).is_empty().then_some(())
        });
        kills
    }

    /// Whether the run was killed before it ended by itself.
    fn run_and_kill(&mut self) -> bool {
        let before = self.unfinished.clone();
        let mut args = vec!["run", "plan.yaml", "--env", &self.env];
        // One that has come to its end gives way to the next.
        let expected: Vec<usize> = match before.is_empty() {
            true => (0..TESTS).collect(),
            false => {
                args.push("--resume");
                before
            }
        };
        let mut child =
            self.bench.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("spawn");
        let within = if self.rng.u32(..3) > 0 { BEGINNING } else { WHOLE_RUN };
        let moment = within.mul_f64(self.rng.f64());
        #[expect(
            clippy::disallowed_methods,
            reason = "the random moment is one of another process's wall time"
        )]
        std::thread::sleep(moment);
        child.kill().expect("kill");
        let status = child.wait().expect("wait");
        let killed = status.signal() == Some(9);
        assert!(killed || status.code() == Some(0), "after {moment:?}: {status:?}");
        self.check_new_runs(&expected);
        self.check_campaign();
        killed
    }

    fn status(&self) -> Value {
        let done =
            self.bench.run(&["status", "plan.yaml", "--env", &self.env, "--format", "json"]).expect_code(0);
        serde_json::from_str(&done.stdout).expect("a document")
    }

    /// What was begun is what had not finished, and it can be reported.
    fn check_new_runs(&mut self, expected: &[usize]) {
        for run in self.bench.runs() {
            if !self.seen.insert(run.clone()) || !run.join("run.json").exists() {
                continue;
            }
            let begun = events(&run).into_iter().find(|event| event["event"] == "run_started");
            if let Some(begun) = begun {
                assert_eq!(begun["tests"], serde_json::json!(expected), "{}", run.display());
            }
            let id = run.file_name().expect("a name").to_string_lossy().into_owned();
            let done = self.bench.run(&["report", &id, "--format", "json"]);
            assert!([0, 1].contains(&done.code), "{id}: exit {}\n{}", done.code, done.stderr);
            let report: Value = serde_json::from_str(&done.stdout).expect("report.json");
            check_schema(&report);
            let delivery = &report["delivery"];
            let count = |key: &str| delivery[key].as_u64().unwrap_or(0);
            // Of the last second before a kill it is not known what was acked.
            assert!(count("delivered") - count("delivered_unacked") <= count("acked"), "{id}: {delivery}");
            assert_eq!(count("lost"), 0, "{id}: {delivery}");
        }
    }

    /// No test of the campaign has finished twice; those that the table calls finished have, and held.
    fn check_campaign(&mut self) {
        let status = self.status();
        let mut ended: Vec<String> = Vec::new();
        for run in status["runs"].as_array().expect("runs") {
            assert_eq!(run["running"], false, "{status:#}");
            let run = self.bench.path().join(".streamgauge/runs").join(run["run"].as_str().expect("an id"));
            ended.extend(completed(&run));
        }
        let mut finished: Vec<String> = Vec::new();
        self.unfinished.clear();
        for (index, test) in status["tests"].as_array().expect("tests").iter().enumerate() {
            if test["state"] == "finished" {
                assert_eq!(test["verdict"], "pass", "{status:#}");
                finished.push(test["id"].as_str().expect("an id").to_owned());
            } else {
                self.unfinished.push(index);
            }
        }
        ended.sort();
        assert_eq!(ended, finished, "{status:#}");
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // A lane that failed leaves nothing running either; one that did not is down already.
        let _ = self.bench.command(&["down", "--env", &self.env]).output();
    }
}

fn events(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
    // A torn last line is no event.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Ids of the tests that the run brought to their end.
fn completed(run: &Path) -> Vec<String> {
    let (mut ids, mut current) = (Vec::new(), String::new());
    for event in events(run) {
        match event["event"].as_str() {
            Some("test_started") => current = event["id"].as_str().unwrap_or_default().to_owned(),
            Some("test_ended") if event["complete"] == true => ids.push(current.clone()),
            _ => {}
        }
    }
    ids
}
