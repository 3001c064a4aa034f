//! Formats before and after this version's, and directories that cannot be read or written.

use serde_json::{Value, json};
use streamgauge::report;
use streamgauge::session::publish::{publish, publish_if_writable};

use super::{Copy, judged, notes, plain};

/// As the first version wrote it: without whatever was added since (the history of `src/evidence` and `src/wire`).
fn as_of_the_first_version(copy: &Copy) {
    copy.edit_json("run.json", |run| {
        let run = run.as_object_mut().expect("an object");
        for member in ["faults", "number", "plan_files"] {
            run.remove(member);
        }
    });
    copy.edit_json("environment.json", |environment| {
        let environment = environment.as_object_mut().expect("an object");
        for member in ["v", "existing", "dlq_url"] {
            environment.remove(member);
        }
    });
    let lines = |name: &str, edit: &dyn Fn(&mut Value) -> bool| {
        let text = String::from_utf8(copy.read(name)).expect("text");
        let mut kept = String::new();
        for line in text.lines() {
            let mut value = serde_json::from_str(line).expect("json");
            if edit(&mut value) {
                kept.push_str(&format!("{value}\n"));
            }
        }
        copy.write(name, kept);
    };
    lines("events.jsonl", &|event| {
        if let Some(event) = event.as_object_mut() {
            event.remove("batches");
        }
        !["ready", "watched"].map(Value::from).contains(&event["event"])
    });
    lines("sends.jsonl", &|line| {
        line.as_object_mut().is_some_and(|line| line.remove("generator_mb").is_some())
    });
}

#[test]
fn the_oldest_format_is_reported_on() {
    let copy = Copy::new();
    as_of_the_first_version(&copy);
    let report = copy.report().expect("a report");
    assert_eq!(report["delivery"]["delivered"], 250);
    assert_eq!(report["tests"][0]["levels"][1]["put_latency_ms"]["count"], 240);
    // Nobody looked into the on-failure queue then.
    assert_eq!(judged(&report, "inconclusive"), ["dlq_depth == 0"]);
    assert_eq!((judged(&report, "fail"), notes(&report)), (vec![], String::new()));
}

#[test]
fn a_lower_version_is_read_and_a_higher_one_refused_by_name() {
    let copy = Copy::new();
    copy.edit_json("run.json", |run| run["v"] = json!(0));
    assert_eq!(copy.report().expect("a report")["run"]["verdict"], "pass");

    copy.edit_json("run.json", |run| *run = json!({"v": 2, "tool_version": "3.1.4", "other": []}));
    let error = copy.report().expect_err("newer").to_string();
    assert!(error.contains("run.json: format 2, written by streamgauge 3.1.4"), "{error}");

    let copy = Copy::new();
    copy.edit_json("environment.json", |environment| environment["v"] = json!(9));
    let error = copy.report().expect_err("newer").to_string();
    assert!(error.contains("environment.json: format 9"), "{error}");
    for (name, told) in
        [("sends.jsonl", "format 2"), ("receipts.jsonl", "format 2"), ("events.jsonl", "format 2")]
    {
        let copy = Copy::new();
        let text = String::from_utf8(copy.read(name)).expect("text").replace("{\"v\":1,", "{\"v\":2,");
        copy.write(name, text);
        let report = copy.report().expect("a report");
        assert!(notes(&report).contains(told), "{name}: {}", notes(&report));
        assert_eq!(report["run"]["verdict"], "inconclusive", "{name}");
    }
}

#[test]
fn a_run_without_its_header_is_an_error_that_says_what_is_there() {
    let copy = Copy::new();
    std::fs::remove_file(copy.path("run.json")).expect("removed");
    let error = copy.report().expect_err("no header").to_string();
    assert!(error.contains("no run.json") && error.contains("events.jsonl"), "{error}");
    copy.write("run.json", "{\"v\": 1, \"id\":");
    let error = copy.report().expect_err("torn").to_string();
    assert!(error.contains("run.json is torn or damaged"), "{error}");
    let empty = tempfile::tempdir().expect("a folder");
    let error = streamgauge::session::publish::work_out(empty.path()).err().expect("no run").to_string();
    assert!(error.contains("never began"), "{error}");
}

#[test]
fn a_plan_that_is_none_any_more_is_named_with_who_wrote_it() {
    let copy = Copy::new();
    copy.edit_json("run.json", |run| {
        run["plan_text"] = json!("schema: streamgauge/plan/v1\nname: p\nshape: round\n")
    });
    let error = copy.report().expect_err("no plan");
    let text = error.to_string();
    assert!(text.contains("shape") && text.contains("streamgauge 0.1.0"), "{text}");
    assert!(plain(&error) && error.hint().is_some());
}

/// A folder in a file's place stands for what cannot be opened: tests may run as a user who may open anything.
#[test]
fn what_cannot_be_opened_is_an_error_that_names_it() {
    for name in super::FILES {
        let copy = Copy::new();
        std::fs::remove_file(copy.path(name)).expect("removed");
        std::fs::create_dir(copy.path(name)).expect("a folder");
        let error = copy.report().expect_err("a folder is no file");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_old_ones() {
    let copy = Copy::new();
    publish(copy.root.path()).expect("a report");
    let before = copy.read("report.json");
    // The first file that is written: its temporary name is taken by a folder.
    let temporary = format!("report.json.{}.new", std::process::id());
    std::fs::create_dir(copy.path(&temporary)).expect("a folder");
    let error = publish(copy.root.path()).err().expect("unwritable").to_string();
    assert!(error.contains("report.json"), "{error}");
    assert_eq!(copy.read("report.json"), before);
    // It is there to be looked at all the same.
    let (published, unwritten) = publish_if_writable(copy.root.path()).expect("a report");
    assert_eq!(report::json(&published.model).as_bytes(), before);
    assert!(published.files.is_empty() && unwritten.is_some());
}
