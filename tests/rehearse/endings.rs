//! Whatever ends a rehearsal: Ctrl-C, `kill -9`, a full disk, a reader that went away. What was rehearsed is kept.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::rehearsals;
use crate::support::{Bench, Done, processes_under, report, wait_for};

/// A day: nobody waits for its end.
const LONG: &str = "schema: streamgauge/plan/v1
name: long
phases:
  - name: Only
    tests:
      - {id: a, name: A, payload: small, stages: [{duration: 10s, target: 40}], criteria: [lost == 0]}
      - {id: b, name: B, payload: small, stages: [{duration: 1s, target: 100}, {duration: 24h, target: 100}]}
";
/// From the signal to the end of the process; CI machines are slow, and this is no release build.
const SOON: Duration = Duration::from_secs(60);

/// Rehearses until the second test is under way.
fn under_way(bench: &Bench) -> Child {
    bench.write("plan.yaml", LONG);
    let child =
        bench.command(&["rehearse", "plan.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    wait_for("the second test", Duration::from_secs(120), || {
        // One that has a report is what was there before.
        let dir = the_one(bench).filter(|dir| !dir.join("report.json").exists())?;
        let events = std::fs::read_to_string(dir.join("events.jsonl")).ok()?;
        (events.matches("\"test_started\"").count() == 2 && events.contains("\"target_rps\":100.0"))
            .then_some(())
    });
    child
}

fn the_one(bench: &Bench) -> Option<PathBuf> {
    rehearsals(bench.path()).pop()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn ended(mut child: Child) -> Done {
    wait_for("the end", SOON, || child.try_wait().unwrap());
    Done::new(child.wait_with_output().unwrap())
}

#[test]
fn ctrl_c_keeps_and_reports_what_was_rehearsed() {
    for name in ["INT", "TERM"] {
        let bench = Bench::new();
        let child = under_way(&bench);
        signal(&child, name);
        let done = ended(child).expect_code(4);
        assert!(done.stderr.contains("stopped early: ") && done.stderr.contains("hint:"), "{}", done.stderr);
        assert!(done.stdout.contains("report.json"), "{}", done.stdout);
        let report = report(&the_one(&bench).unwrap());
        assert_eq!(report["tests"][0]["verdict"], "pass", "{:#}", report["tests"][0]);
        let delivery = &report["delivery"];
        assert!(delivery["acked"].as_u64().unwrap() >= 200 && delivery["lost"] == 0, "{delivery:#}");
        assert!(
            report["summary"].to_string().contains("The run was stopped: interrupted"),
            "{:#}",
            report["summary"]
        );
    }
}

#[test]
fn after_kill_9_it_can_be_reported_and_made_again() {
    let bench = Bench::new();
    let mut child = under_way(&bench);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let dir = the_one(&bench).unwrap();
    let id = dir.file_name().unwrap().to_str().unwrap().to_owned();
    let done = bench.run(&["report", &id]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert_eq!(report(&dir)["tests"][0]["verdict"], "pass");
    // The same again takes its place.
    let again = under_way(&bench);
    assert_eq!(rehearsals(bench.path()), [dir]);
    signal(&again, "INT");
    ended(again).expect_code(4);
}

#[test]
fn the_same_rehearsal_twice_at_once_is_refused() {
    let bench = Bench::new();
    let child = under_way(&bench);
    let second = bench.run(&["rehearse", "plan.yaml"]).expect_code(3);
    assert!(second.stderr.contains("is being made") && second.stderr.contains("hint:"), "{}", second.stderr);
    signal(&child, "INT");
    ended(child).expect_code(4);
}

#[test]
fn a_full_disk_is_said_and_what_was_written_can_be_reported() {
    let bench = Bench::new();
    bench.write("plan.yaml", LONG);
    // No file may grow beyond 40 blocks: for whoever writes, a disk that is full.
    let script =
        format!("trap '' XFSZ; ulimit -f 40; exec {} rehearse plan.yaml", env!("CARGO_BIN_EXE_streamgauge"));
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(bench.path()).stdin(Stdio::null());
    let done = Done::new(shell.output().unwrap()).expect_code(3);
    assert!(done.stderr.contains("hint:") && done.stderr.contains("free some space"), "{}", done.stderr);
    let id = the_one(&bench).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(bench.run(&["report", &id]).code, 1);
}

#[test]
fn a_reader_that_closes_the_pipe_has_seen_enough() {
    let bench = Bench::new();
    bench.write("plan.yaml", short());
    let mut command = bench.command(&["rehearse", "plan.yaml"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let done = ended(child).expect_code(0);
    assert!(!done.stderr.contains("panic"), "{}", done.stderr);
    // One that reads a line and goes.
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty());
    ended(child).expect_code(0);
}

fn short() -> String {
    LONG.replace("24h", "20s")
}

/// Without a network, not even loopback; and a trace of its system calls shows neither a socket nor a process.
#[test]
fn it_opens_no_socket_and_starts_no_process() {
    let bench = Bench::new();
    bench.write("plan.yaml", short());
    let exe = env!("CARGO_BIN_EXE_streamgauge");
    let runs = |command: &str| Command::new("bash").args(["-c", command]).output().unwrap().status.success();
    let mut made = 0;
    if runs("unshare --user --map-root-user --net true") {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", exe, "rehearse", "plan.yaml"]);
        Done::new(command.current_dir(bench.path()).output().unwrap()).expect_code(0);
        made += 1;
    }
    if runs("strace -f -e trace=execve true") {
        let calls = "trace=socket,connect,bind,execve,fork,vfork";
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", calls, "-o", "calls", exe, "rehearse", "plan.yaml"]);
        Done::new(command.current_dir(bench.path()).output().unwrap()).expect_code(0);
        let calls = std::fs::read_to_string(bench.path().join("calls")).unwrap();
        // The pair through which signals reach their thread is no network.
        let calls: Vec<&str> =
            calls.lines().filter(|line| !line.contains("+++") && !line.contains("---")).collect();
        assert!(calls.len() == 1 && calls[0].contains("execve("), "{calls:#?}");
        made += 1;
    }
    if made == 0 {
        eprintln!("NOT RUN: neither unshare nor strace can be used here");
    }
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
}

#[test]
fn where_nothing_can_be_written_it_says_so() {
    let bench = Bench::new();
    bench.write("plan.yaml", short());
    // A file where the directory would be: it refuses root, too.
    bench.write(".streamgauge", "");
    let done = bench.run(&["rehearse", "plan.yaml"]).expect_code(3);
    let named = Path::new(".streamgauge/rehearsals").display().to_string();
    assert!(done.stderr.contains(&named) && done.stderr.contains("hint:"), "{}", done.stderr);
}
