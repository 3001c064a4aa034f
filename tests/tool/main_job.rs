//! The main job, whole: real templates, real SDK, a real function process, real records, on loopback.

use std::time::Duration;

use crate::support::{Bench, plan, processes_under, report, wait_for};
use serde_json::Value;

const ENOUGH: Duration = Duration::from_secs(60);

#[test]
fn test_measures_judges_reports_and_leaves_nothing() {
    let bench = Bench::alone();
    bench.write(
        "plan.yaml",
        plan(40, "4s", &["success_rate > 99%", "lost == 0", "throttles == 0", "e2e_latency.p50 < 30s"]),
    );
    let done = bench.run(&["test", "plan.yaml"]).expect_code(0);
    for expected in ["success_rate > 99%", "delivered", "lost", "per million", "report.html"] {
        assert!(done.stdout.contains(expected), "no {expected:?} in\n{}", done.stdout);
    }
    let run = bench.last_run();
    let report = report(&run);
    // 1 s ramp from 0 to 40/s is 20 records; 4 s at 40/s are 160.
    let levels = report["tests"][0]["levels"].as_array().unwrap();
    assert_eq!(levels.iter().map(|level| level["sent"].as_u64().unwrap()).collect::<Vec<_>>(), [20, 160]);
    let delivery = &report["delivery"];
    assert_eq!(delivery["acked"], 180);
    assert_eq!(delivery["delivered"], 180);
    assert_eq!(delivery["lost"], 0);
    assert_eq!(delivery["complete"], true);
    assert!(
        report["cost"]["pipeline"]["per_million_records"].as_str().unwrap().parse::<f64>().unwrap() > 0.0
    );
    assert!(bench.leftovers().is_empty(), "{:?}", bench.leftovers());
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());

    let names = ["report.json", "report.md", "summary.md", "report.html", "levels.csv", "junit.xml"];
    let read = || names.map(|name| std::fs::read(run.join(name)).unwrap());
    let first = read();
    let id = run.file_name().unwrap().to_string_lossy().into_owned();
    let again = bench.run(&["report", &id, "--format", "json"]).expect_code(0);
    assert!(first == read(), "two reports of one run differ");
    assert_eq!(serde_json::from_str::<Value>(&again.stdout).unwrap(), report);
    for (rendering, file) in ["json", "markdown", "short", "html", "csv", "junit"].into_iter().zip(names) {
        let printed = bench.run(&["report", &id, "--as", rendering]).expect_code(0).stdout;
        assert!(
            printed == std::fs::read_to_string(run.join(file)).unwrap(),
            "--as {rendering} is not {file}"
        );
    }
    let shown = bench.run(&["report", &id, "--as", "terminal"]).expect_code(0).stdout;
    assert!(names.iter().all(|name| shown.contains(name)), "{shown}");
}

#[test]
fn planted_faults_come_out_as_exactly_these_numbers() {
    let bench = Bench::alone();
    // Enough records and batches for every fault to be used up.
    let text = plan(300, "12s", &["lost == 0", "out_of_order == 0"])
        .replace("payload: medium", "payload: medium\n        keys: {count: 5}");
    bench.write("plan.yaml", text);
    let faults =
        ["--fault", "drop:count=7,seed=3", "--fault", "redeliver:count=1", "--fault", "swap:count=2"];
    let done = bench.run(&[&["test", "plan.yaml"], &faults[..]].concat()).expect_code(1);
    assert!(done.stdout.contains("lost == 0"), "{}", done.stdout);
    let run = bench.last_run();
    let report = report(&run);
    let truth: Vec<Value> = std::fs::read_to_string(run.join("faults.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| truth.iter().filter(|event| event["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("drop").len(), 7);
    assert_eq!(of("redeliver").len(), 1);
    assert_eq!(of("swap").len(), 2);
    let delivery = &report["delivery"];
    let acked = delivery["acked"].as_u64().unwrap();
    assert_eq!(acked, 150 + 3_600);
    assert_eq!(delivery["lost"], 7, "{delivery}");
    assert_eq!(delivery["delivered"], acked - 7, "{delivery}");
    assert_eq!(delivery["unconfirmed"], 0, "{delivery}");
    let redelivered = of("redeliver")[0]["kinesis_sequences"].as_array().unwrap().len();
    assert_eq!(delivery["duplicated"]["redelivery"], redelivered, "{delivery}");
    assert_eq!(delivery["duplicated"]["producer"], 0, "{delivery}");
    assert_eq!(delivery["out_of_order"], 2, "{delivery}");
}

#[test]
fn up_status_run_report_metrics_down_work_one_by_one() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(20, "2s", &["lost == 0"]));
    bench.run(&["run", "plan.yaml"]).expect_code(3);
    bench.run(&["up", "plan.yaml"]).expect_code(0);
    let status = bench.run(&["status", "--format", "json"]).expect_code(0);
    assert_eq!(serde_json::from_str::<Value>(&status.stdout).unwrap()["up"], true);
    // Up again changes nothing; `test` does not take over an environment that stands.
    bench.run(&["up", "plan.yaml"]).expect_code(0);
    let refused = bench.run(&["test", "plan.yaml"]).expect_code(3);
    assert!(
        refused.stderr.contains("is up already") && refused.stderr.contains("hint:"),
        "{}",
        refused.stderr
    );
    let ran = bench.run(&["run", "plan.yaml", "--format", "json"]).expect_code(0);
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(printed, report(&bench.last_run()));
    assert_eq!(printed["delivery"]["delivered"], 10 + 40);
    let id = bench.last_run().file_name().unwrap().to_string_lossy().into_owned();
    bench.run(&["metrics", &id]).expect_code(0);
    bench.run(&["down"]).expect_code(0);
    let status = bench.run(&["status", "--format", "json"]).expect_code(0);
    assert_eq!(serde_json::from_str::<Value>(&status.stdout).unwrap()["up"], false);
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
    assert!(bench.leftovers().is_empty());
    bench.run(&["down"]).expect_code(0);
}

#[test]
fn a_killed_run_is_reported_up_to_that_second() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(50, "60s", &["lost == 0"]));
    bench.run(&["up", "plan.yaml"]).expect_code(0);
    let mut child = bench.command(&["run", "plan.yaml"]).spawn().unwrap();
    wait_for("five seconds of sends", ENOUGH, || {
        let run = bench.runs().pop()?;
        let sends = std::fs::read_to_string(run.join("sends.jsonl")).ok()?;
        (sends.lines().count() >= 5).then_some(())
    });
    // A second run on the same environment is refused while the first goes on.
    let second = bench.run(&["run", "plan.yaml"]).expect_code(3);
    assert!(second.stderr.contains("another streamgauge"), "{}", second.stderr);
    child.kill().unwrap();
    child.wait().unwrap();
    let run = bench.last_run();
    let id = run.file_name().unwrap().to_string_lossy().into_owned();
    let done = bench.run(&["report", &id]);
    assert!(done.code == 1, "{}\n{}", done.stdout, done.stderr);
    let report = report(&run);
    assert!(report["delivery"]["acked"].as_u64().unwrap() >= 100, "{}", report["delivery"]);
    assert_eq!(report["delivery"]["complete"], false);
    assert_eq!(report["delivery"]["lost"], Value::Null);
    bench.run(&["down"]).expect_code(0);
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
}

#[test]
fn after_kill_9_of_test_nothing_is_left_running() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(50, "60s", &["lost == 0"]));
    let mut child = bench.command(&["test", "plan.yaml"]).spawn().unwrap();
    wait_for("receipts", ENOUGH, || {
        let receipts = std::fs::metadata(bench.runs().pop()?.join("receipts.jsonl")).ok()?;
        (receipts.len() > 0).then_some(())
    });
    assert!(!processes_under(bench.path()).is_empty(), "no function is running");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the end of every process", Duration::from_secs(15), || {
        processes_under(bench.path()).is_empty().then_some(())
    });
    wait_for("the end of the temporary folder", Duration::from_secs(15), || {
        bench.leftovers().is_empty().then_some(())
    });
    // And the environment's name is free again.
    bench.write("short.yaml", plan(20, "2s", &["lost == 0"]));
    bench.run(&["test", "short.yaml"]).expect_code(0);
}

#[test]
fn ctrl_c_keeps_what_was_measured_and_cleans_up() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(50, "60s", &["lost == 0"]));
    let child = bench
        .command(&["test", "plan.yaml"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("three seconds of sends", ENOUGH, || {
        let sends = std::fs::read_to_string(bench.runs().pop()?.join("sends.jsonl")).ok()?;
        (sends.lines().count() >= 3).then_some(())
    });
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    let report = report(&bench.last_run());
    let delivery = &report["delivery"];
    assert!(delivery["acked"].as_u64().unwrap() > 0, "{delivery}");
    assert_eq!(delivery["delivered"], delivery["acked"], "{delivery}");
    assert!(bench.leftovers().is_empty());
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
}

#[test]
fn a_budget_stops_the_run_before_it_is_spent() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(50, "60s", &["lost == 0"]));
    let refused = bench.run(&["test", "plan.yaml", "--max-cost", "lots"]).expect_code(2);
    assert!(refused.stderr.contains("--max-cost"), "{}", refused.stderr);
    let done = bench.run(&["test", "plan.yaml", "--max-cost", "0.00005"]).expect_code(4);
    assert!(done.stderr.contains("budget"), "{}", done.stderr);
    let report = report(&bench.last_run());
    assert!(report["delivery"]["acked"].as_u64().unwrap() > 50, "{}", report["delivery"]);
    assert_eq!(report["delivery"]["delivered"], report["delivery"]["acked"], "{}", report["delivery"]);
    assert_eq!(processes_under(bench.path()), Vec::<String>::new());
}

#[test]
fn two_environments_run_beside_each_other() {
    let bench = Bench::alone();
    bench.write("plan.yaml", plan(20, "3s", &["lost == 0"]));
    let spawn = |env: &str| {
        bench
            .command(&["test", "plan.yaml", "--env", env, "--format", "json"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (one, two) = (spawn("one"), spawn("two"));
    for child in [one, two] {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["delivery"]["delivered"], 10 + 60, "{}", report["delivery"]);
    }
}
