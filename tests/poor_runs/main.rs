//! Reports on run directories that are not whole: files missing, empty, torn anywhere or full of something else, of older
//! and of newer formats. `tests/fixtures/small-run` is a real run of thirteen seconds on which every criterion held.
//! Whatever is done to its files: no panic, a report that fits the schema or a plain error, and never a pass where the
//! evidence is not what it was.

mod formats;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use fastrand::Rng;
use serde_json::Value;
use streamgauge::report;
use streamgauge::session::SessionError;
use streamgauge::session::publish::work_out;

const FILES: [&str; 9] = [
    "run.json",
    "environment.json",
    "prices.yaml",
    "events.jsonl",
    "sends.jsonl",
    "receipts.jsonl",
    "intervals.hlog",
    "series.csv",
    "metrics.json",
];

/// A copy of the fixture that a test may spoil.
struct Copy {
    root: tempfile::TempDir,
}

impl Copy {
    fn new() -> Copy {
        let root = tempfile::tempdir().expect("a folder");
        for name in FILES {
            std::fs::copy(fixture().join(name), root.path().join(name)).expect("copied");
        }
        Copy { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("read")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }

    fn edit_json(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_slice(&self.read(name)).expect("json");
        edit(&mut value);
        self.write(name, value.to_string());
    }

    /// Every format, rendered and not written; report.json is checked against the schema. Or the error.
    fn report(&self) -> Result<Value, Box<SessionError>> {
        let model = work_out(self.root.path()).map_err(Box::new)?.model;
        for text in [report::markdown(&model), report::html(&model), report::junit(&model, false)] {
            assert!(!text.is_empty());
        }
        let report = serde_json::from_str(&report::json(&model)).expect("json");
        static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
            let text = include_str!("../../schemas/report-v1.schema.json");
            jsonschema::validator_for(&serde_json::from_str(text).expect("json")).expect("a schema")
        });
        if let Err(error) = SCHEMA.validate(&report) {
            panic!("{error} at {}", error.instance_path());
        }
        Ok(report)
    }
}

/// Random cases of each kind; `STREAMGAUGE_CASES=5000` looks for longer.
fn cases() -> u64 {
    std::env::var("STREAMGAUGE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(80)
}

fn fixture() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/small-run"))
}

fn notes(report: &Value) -> String {
    report["notes"]
        .as_array()
        .expect("notes")
        .iter()
        .map(|note| format!("{}\n", note.as_str().unwrap_or("")))
        .collect()
}

/// Texts of the criteria with a verdict.
fn judged<'r>(report: &'r Value, verdict: &str) -> Vec<&'r str> {
    let criteria =
        report["tests"].as_array().into_iter().flatten().flat_map(|test| test["criteria"].as_array());
    let wanted = criteria.flatten().filter(|criterion| criterion["verdict"] == verdict);
    wanted.filter_map(|criterion| criterion["text"].as_str()).collect()
}

fn reason<'r>(report: &'r Value, text: &str) -> &'r str {
    let criteria = report["tests"][0]["criteria"].as_array().expect("criteria");
    let found =
        criteria.iter().find(|criterion| criterion["text"].as_str().is_some_and(|it| it.starts_with(text)));
    found.and_then(|criterion| criterion["reason"].as_str()).expect("a criterion")
}

#[test]
fn the_whole_run_passes() {
    let report = Copy::new().report().expect("a report");
    assert_eq!(report["run"]["verdict"], "pass");
    assert_eq!(judged(&report, "pass").len(), 28);
    assert_eq!(notes(&report), "");
}

/// What a file that is gone, empty or something else takes with it: criteria that must not pass then, and some that
/// do not rest on it.
const WITHOUT: [(&str, &[&str], &[&str]); 8] = [
    (
        "environment.json",
        &["memory_used", "cost_per_million", "cloudwatch_cost_ratio"],
        &["lost", "put_latency.p95"],
    ),
    (
        "prices.yaml",
        &["cost_per_million", "cloudwatch_cost_ratio"],
        &["lost", "put_latency.p95", "memory_used"],
    ),
    ("events.jsonl", &[], &[]),
    ("sends.jsonl", &["success_rate", "throttles", "lost", "put_latency.p95", "cost_per_million"], &[]),
    (
        "receipts.jsonl",
        &[
            "lost",
            "unconfirmed",
            "duplicates",
            "e2e_latency.p95",
            "drain_time",
            "memory_used",
            "cost_per_million",
        ],
        &["success_rate", "throttles", "put_latency.p95", "lambda_errors"],
    ),
    (
        "intervals.hlog",
        &["put_latency.p95", "service_time.p95", "generator_lag.p95", "success_rate"],
        &["lost", "duplicates", "cost_per_million"],
    ),
    ("series.csv", &["throughput_ratio.min"], &["lost", "put_latency.p95", "throughput_ratio >"]),
    ("metrics.json", &["lambda_errors", "lambda_throttles", "read_throttles"], &["lost", "put_latency.p95"]),
];

#[test]
fn without_a_file_the_report_says_so_and_nothing_that_rests_on_it_passes() {
    for (name, open, held) in WITHOUT {
        for (how, content) in
            [("gone", None), ("empty", Some("")), ("something else", Some("\u{1}{\"v\":\n<>\n"))]
        {
            let copy = Copy::new();
            match content {
                Some(content) => copy.write(name, content),
                None => std::fs::remove_file(copy.path(name)).expect("removed"),
            }
            let report = copy.report().expect("a report of the rest");
            let told = notes(&report);
            assert!(told.contains(name), "{name} {how}: {told}");
            assert_eq!(report["run"]["verdict"], "inconclusive", "{name} {how}");
            assert_eq!(judged(&report, "fail"), [""; 0], "{name} {how}");
            let inconclusive = judged(&report, "inconclusive");
            let is_open = |text: &str| inconclusive.iter().any(|judged| judged.starts_with(text));
            for text in open {
                assert!(is_open(text), "{name} {how}: {text} passed");
                let why = reason(&report, text);
                assert!(why.contains(name) || why.contains("metric missing"), "{name} {how}: {text}: {why}");
            }
            for text in held {
                assert!(!is_open(text), "{name} {how}: {text}: {}", reason(&report, text));
            }
        }
    }
}

#[test]
fn what_is_not_known_is_null() {
    let without = |name: &str| {
        let copy = Copy::new();
        std::fs::remove_file(copy.path(name)).expect("removed");
        copy.report().expect("a report")
    };
    let no_receipts = without("receipts.jsonl");
    assert_eq!(no_receipts["delivery"], Value::Null);
    let hold = &no_receipts["tests"][0]["levels"][1];
    for member in [
        "delivery",
        "e2e_latency_ms",
        "iterator_age_ms_max",
        "memory_used_mb_max",
        "invocations",
        "cold_starts",
        "cost_per_million",
    ] {
        assert_eq!(hold[member], Value::Null, "{member}");
    }
    assert_eq!(hold["acked"], 240);
    let no_intervals = without("intervals.hlog");
    // A limit would have been seen in it.
    assert_eq!(no_intervals["known_up_to"], Value::Null);
    let hold = &no_intervals["tests"][0]["levels"][1];
    for member in ["put_latency_ms", "service_time_ms", "generator_lag_ms"] {
        assert_eq!(hold[member], Value::Null, "{member}");
    }
    assert!(hold["e2e_latency_ms"]["p95"].is_number());
    let no_sends = without("sends.jsonl");
    assert_eq!(no_sends["delivery"], Value::Null);
    assert_eq!(no_sends["cost"]["pipeline"]["incomplete"], true);
    assert_eq!(no_sends["cost"]["pipeline"]["per_million_records"], Value::Null);
    let hold = &no_sends["tests"][0]["levels"][1];
    for member in
        ["scheduled", "sent", "acked", "failed", "throttled", "retried", "achieved_rps", "success_percent"]
    {
        assert_eq!(hold[member], Value::Null, "{member}");
    }
    assert!(hold["invocations"].as_u64().is_some_and(|invocations| invocations > 0), "{hold}");
    let void = no_sends["tests"][0]["levels"][1]["void"].as_str().expect("void");
    assert!(void.contains("sends.jsonl is missing"), "{void}");
}

/// Torn anywhere, at the end of a line even: either the report is the same as before, or it says which file is not
/// whole and does not pass.
#[test]
fn a_torn_file_never_passes() {
    let whole = Copy::new().report().expect("a report");
    for seed in 0..cases() {
        let mut rng = Rng::with_seed(seed);
        let copy = Copy::new();
        let name = FILES[rng.usize(..FILES.len())];
        let content = copy.read(name);
        let line_ends: Vec<usize> = (1..content.len()).filter(|end| content[end - 1] == b'\n').collect();
        let end = match rng.bool() && !line_ends.is_empty() {
            true => line_ends[rng.usize(..line_ends.len())],
            false => rng.usize(..content.len()),
        };
        copy.write(name, &content[..end]);
        // After its end a run is only taken down, and one in an environment that stays is not.
        let is_ended = name == "events.jsonl" && content[..end].ends_with(b"}\n") && {
            String::from_utf8_lossy(&content[..end]).contains("\"run_ended\"")
        };
        match copy.report() {
            Ok(report) if report == whole || is_ended => {}
            // A log that stops is that of a run that was killed.
            Ok(report) if report["run"]["end"] == "killed" => assert_ne!(report["run"]["verdict"], "pass"),
            Ok(report) => {
                let told = notes(&report);
                assert!(told.contains(name), "seed {seed}: {name} cut at {end} of {}: {told}", content.len());
                assert_ne!(report["run"]["verdict"], "pass", "seed {seed}: {name} cut at {end}");
            }
            Err(error) => assert!(name == "run.json" && plain(&error), "seed {seed}: {name}: {error}"),
        }
    }
}

/// Bytes changed anywhere: what comes of it cannot be said, but it is a report or an error.
#[test]
fn a_damaged_file_is_no_panic() {
    for seed in 0..cases() {
        let mut rng = Rng::with_seed(seed);
        let copy = Copy::new();
        let name = FILES[rng.usize(..FILES.len())];
        let mut content = copy.read(name);
        for _ in 0..rng.usize(1..20) {
            let at = rng.usize(..content.len());
            match rng.u8(..4) {
                // Figures become larger and signs change: arithmetic must bear it.
                0 | 1 => content[at] = *b"0123456789-eE.,\"".get(rng.usize(..16)).expect("one of them"),
                2 => content[at] = rng.u8(..),
                _ => {
                    let digits = content.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
                    let more = vec![b'9'; rng.usize(1..20)];
                    content.splice(at..at + digits, more);
                }
            }
        }
        copy.write(name, &content);
        if let Err(error) = copy.report() {
            assert!(plain(&error), "seed {seed}: {name}: {error}");
        }
    }
}

/// An error for a reader: it names a file or the plan.
fn plain(error: &SessionError) -> bool {
    let text = error.to_string();
    FILES.iter().any(|name| text.contains(name)) || text.contains("the plan kept")
}

/// The generator's files are on disk before the log says that a test has ended: a kill after it takes nothing back.
#[test]
fn what_was_done_before_a_kill_stays_judged() {
    let copy = Copy::new();
    let events = String::from_utf8(copy.read("events.jsonl")).expect("text");
    let ended = events.find("\"collection_ended\"").expect("collected");
    copy.write("events.jsonl", &events[..ended]);
    let sends = copy.read("sends.jsonl");
    copy.write("sends.jsonl", [&sends[..], b"{\"v\":1,\"at_us\":17"].concat());
    let report = copy.report().expect("a report");
    assert!(notes(&report).contains("sends.jsonl: the last line was torn"), "{}", notes(&report));
    assert_eq!(report["run"]["verdict"], "inconclusive");
    let passed = judged(&report, "pass");
    for text in ["success_rate", "put_latency.p95", "e2e_latency.p95", "lost"] {
        assert!(passed.iter().any(|judged| judged.starts_with(text)), "{text}: {}", reason(&report, text));
    }
}
