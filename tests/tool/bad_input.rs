//! What the user typed wrong: exit 2 within a second, with file:line:column, before anything is created.

use crate::support::{Bench, plan};

/// (what is wrong, plan text, where it must point, what the message must name)
fn bad_plans() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let good = plan(20, "2s", &["success_rate > 99%"]);
    let swap = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to).into_bytes()
    };
    let bomb = {
        let mut text = String::from("schema: streamgauge/plan/v1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let list = vec![format!("*a{}", n - 1); 9].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        text.into_bytes()
    };
    vec![
        ("an unknown key", swap("    week: 1", "    weeks: 1"), ":8:", "weeks"),
        ("a bad unit", swap("duration: 2s", "duration: 2parsecs"), ":15:", "2parsecs"),
        ("a negative rate", swap("duration: 2s, target: 20", "duration: 2s, target: -20"), ":15:", "-20"),
        ("a criterion without a metric", swap("success_rate", "sucess_rate"), ":17:", "success_rate"),
        ("an unknown payload", swap("payload: medium", "payload: mediun"), ":12:", "medium"),
        ("another schema version", swap("plan/v1", "plan/v9"), ":1:", "streamgauge/plan/v1"),
        (
            "a payload too small for its envelope",
            swap("payload: medium", "payload: {bytes: 10}"),
            ":12:",
            "bytes",
        ),
        (
            "a payload too large for the stream",
            swap("payload: medium", "payload: {bytes: 2000000}"),
            ":12:",
            "bytes",
        ),
        ("not YAML", b"schema: [streamgauge\n  name: }".to_vec(), ":", "plan"),
        ("not text", vec![0xff, 0xfe, 0x00, 0x9f, 0x92, 0x96], "1:1", "UTF-8"),
        ("an alias bomb", bomb, ":", "alias"),
        ("empty", Vec::new(), "1:1", "empty"),
    ]
}

#[test]
fn a_wrong_plan_is_exit_2_with_its_position_and_creates_nothing() {
    for (what, text, position, named) in bad_plans() {
        let bench = Bench::new();
        bench.write("bad.yaml", text);
        for verb in [&["test", "bad.yaml"][..], &["plan", "check", "bad.yaml"]] {
            let done = bench.run(verb).expect_code(2);
            assert!(done.stdout.is_empty(), "{what}: {}", done.stdout);
            assert!(done.stderr.contains("bad.yaml:"), "{what}: {}", done.stderr);
            assert!(done.stderr.contains(position), "{what}: expected {position} in {}", done.stderr);
            assert!(done.stderr.contains(named), "{what}: expected {named} in {}", done.stderr);
        }
        assert!(!bench.path().join(".streamgauge").exists(), "{what}: something was created");
    }
}

/// A series of rates beside the plan, in a folder of its own: errors name the file as the user would open it.
#[test]
fn a_wrong_series_is_exit_2_with_its_file_and_position() {
    let plan = plan(20, "2s", &["success_rate > 99%"]);
    let (stages, criteria) = (plan.find("        stages:").unwrap(), plan.find("        criteria:").unwrap());
    let plan = format!("{}        rates: {{file: rates.csv}}\n{}", &plan[..stages], &plan[criteria..]);
    for (what, series, position, named) in [
        (
            "a gap",
            Some(&b"time_s,rate\n0,5\n60,6\n120,5\n300,5\n"[..]),
            "plans/rates.csv:5:1:",
            "a gap of 3m after `120`",
        ),
        ("an empty cell", Some(b"time_s,rate\n0,5\n60,\n"), "plans/rates.csv:3:4:", "an empty cell"),
        (
            "times that do not ascend",
            Some(b"time_s,rate\n60,5\n0,6\n"),
            "plans/rates.csv:3:1:",
            "rows ascend",
        ),
        ("a negative rate", Some(b"time_s,rate\n0,-5\n60,6\n"), "plans/rates.csv:2:3:", "`-5`"),
        ("not a number", Some(b"time_s,rate\n0,NaN\n60,6\n"), "plans/rates.csv:2:3:", "`NaN`"),
        ("not UTF-8", Some(b"time_s,rate\n0,\xff\n"), "plans/rates.csv:2:3:", "not UTF-8"),
        ("empty", Some(b""), "plans/rates.csv:1:1:", "the header time_s,rate"),
        ("missing", None, "plans/bad.yaml:13:", "No such file"),
    ] {
        let bench = Bench::new();
        std::fs::create_dir(bench.path().join("plans")).unwrap();
        bench.write("plans/bad.yaml", &plan);
        if let Some(series) = series {
            bench.write("plans/rates.csv", series);
        }
        for verb in [&["test", "plans/bad.yaml"][..], &["plan", "check", "plans/bad.yaml"]] {
            let done = bench.run(verb).expect_code(2);
            assert!(done.stderr.contains(position), "{what}: expected {position} in {}", done.stderr);
            assert!(done.stderr.contains(named), "{what}: expected {named} in {}", done.stderr);
        }
        assert!(!bench.path().join(".streamgauge").exists(), "{what}: something was created");
    }
    let bench = Bench::new();
    bench.write("plan.yaml", &plan);
    bench.write("rates.csv", "time_s,rate\n0,5\n60,6\n");
    let shown = bench.run(&["plan", "show", "plan.yaml", "--format", "json"]).expect_code(0).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["tests"][0]["records"], 660, "{shown:#}");
    std::fs::remove_file(bench.path().join("rates.csv")).unwrap();
    std::fs::create_dir(bench.path().join("rates.csv")).unwrap();
    let done = bench.run(&["plan", "check", "plan.yaml"]).expect_code(2);
    assert!(done.stderr.contains("it is not a regular file"), "{}", done.stderr);
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    let bench = Bench::new();
    bench.write("plan.yaml", plan(20, "2s", &["lost == 0"]));
    for args in [
        &["no-such-verb"][..],
        &["test"],
        &["test", "missing.yaml"],
        &["test", "plan.yaml", "--env", "Not A Name"],
        &["test", "plan.yaml", "--fault", "gremlins:count=3"],
        &["test", "plan.yaml", "--function-zip", "missing.zip"],
        &["test", "plan.yaml", "--prices", "missing.yaml"],
        &["test", "plan.yaml", "--profile", "production"],
        &["run", "plan.yaml", "--test", "9.9"],
        &["report", "no-such-run"],
    ] {
        let done = bench.run(args).expect_code(2);
        assert!(done.stderr.contains("error:"), "{args:?}: {}", done.stderr);
    }
    assert!(!bench.path().join(".streamgauge").exists());
}

#[test]
fn every_verb_has_help_with_an_example() {
    let bench = Bench::new();
    for verb in [
        &["test"][..],
        &["up"],
        &["status"],
        &["down"],
        &["run"],
        &["metrics"],
        &["report"],
        &["plan", "check"],
        &["plan", "show"],
        &["local"],
    ] {
        let done = bench.run(&[verb, &["--help"]].concat()).expect_code(0);
        assert!(
            ["Example:", "Examples:"].iter().any(|word| done.stdout.contains(word)),
            "{verb:?} has no example"
        );
    }
}
