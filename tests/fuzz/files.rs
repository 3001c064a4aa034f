//! Plans, receipts, envelopes and run directories: what the tool reads back from disk and from the queue.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use fastrand::Rng;
use streamgauge::evidence;
use streamgauge::load::payload::Records;
use streamgauge::load::schedule::Schedule;
use streamgauge::wire::envelope::Envelope;
use streamgauge::wire::receipt::{Receipt, decode_histogram};
use streamgauge::wire::run_id::RunId;
use streamgauge::{plan, report};

use super::{mutate, runner};

const PLANS: [&str; 2] =
    [include_str!("../../plans/quickstart.yaml"), include_str!("../../plans/breaking-point.yaml")];

#[test]
fn the_plan_reader_gives_a_plan_or_errors() {
    runner::run(400, |seed, cases| {
        let mut rng = Rng::with_seed(seed);
        let text = mutate::bytes(&mut rng, PLANS[seed as usize % 2].into(), PLANS[0].as_bytes());
        cases.next(format!("seed {seed}: {:?}", String::from_utf8_lossy(&text)));
        if let Err(errors) = plan::parse_bytes(&text, &plan::NoFiles) {
            assert!(errors.iter().count() > 0 && !errors.to_string().is_empty());
        }
    });
}

/// A plan that replays a series; the series is what is mutated.
const REPLAY: &str = "schema: streamgauge/plan/v1\nname: p\nphases: [{name: a, tests: [{id: \"1\", name: t, rates: {file: s.csv}}]}]";
const SERIES: [&str; 2] = [
    "time_s,rate\n0,120\n60,135.5\n120,90\n180,0\n",
    "timestamp,rate\n2026-11-20T10:00:00Z,1\n\"2026-11-20T10:01:00+02:00\",20.25\r\n2026-11-21T10:02:00Z,3e2\n",
];

#[test]
fn a_series_of_rates_gives_stages_or_errors_with_places() {
    runner::run(2_000, |seed, cases| {
        let mut rng = Rng::with_seed(seed);
        let series = SERIES[seed as usize % 2];
        let content = mutate::bytes(&mut rng, series.into(), b"\"\xff,NaN,-1e308\n\n0,");
        cases.next(format!("seed {seed}: {:?}", String::from_utf8_lossy(&content)));
        let files = BTreeMap::from([("s.csv".to_owned(), content.clone().into())]);
        match plan::parse_with(REPLAY, &files) {
            Ok(plan) => {
                let test = plan.tests().next().expect("one test");
                assert!(!test.stages.is_empty() && test.peak_rps() > 0.0);
                // A schedule of all of it is made, as for a run.
                let schedule = Schedule::new(test);
                assert!(schedule.total() == 0 || schedule.due(schedule.total() - 1) <= schedule.duration());
            }
            Err(errors) => {
                let lines = content.split(|byte| *byte == b'\n').count();
                let in_series = |error: &&plan::PlanError| error.file.is_some();
                assert!(
                    errors.iter().filter(in_series).all(|error| (1..=lines).contains(&error.position.line))
                );
                assert!(!errors.in_file("plan.yaml").to_string().is_empty());
            }
        }
    });
}

/// Files that a plan names: they are read or refused, and what was read makes records of JSON.
#[test]
fn templates_and_replayed_lines_are_read_or_refused() {
    let template = concat!(
        r#"{"id":"{{uuid}}","n":{{random_int(1,9)}},"m":{"k":"{{key}} {{seq}}"},"p":{{pick("1","[]")}},"#,
        r#""h":"{{random_hex(8)}}{{pick("a\","é")}}"}"#
    );
    let lines = "{\"a\":1,\"m\":{}}\n\n{\"m\":{\"b\":[\"}\\\"\"]}}\n";
    runner::run(1_000, move |seed, cases| {
        let mut rng = Rng::with_seed(seed);
        let (kind, text) = if rng.bool() { ("template", template) } else { ("replay", lines) };
        let file = mutate::bytes(&mut rng, text.into(), b"{{seq}}\"\\,:");
        cases.next(format!("seed {seed}: {kind} {:?}", String::from_utf8_lossy(&file)));
        let plan = format!(
            "schema: streamgauge/plan/v1\nname: p\nphases: [{{name: a, tests: [{{id: t, name: t, payload: {{{kind}: f, \
             envelope: $.m.e}}, stages: [{{duration: 1s, target: 1}}]}}]}}]\n"
        );
        let files = BTreeMap::from([("f".to_owned(), Bytes::from(file))]);
        match plan::parse_with(&plan, &files) {
            Err(errors) => assert!(errors.iter().count() > 0 && !errors.to_string().is_empty()),
            Ok(plan) => records_are_json(plan.tests().next().expect("a test")),
        }
    });
}

fn records_are_json(test: &plan::Test) {
    let records = Records::new(test);
    let run: RunId = "20261121-013240-k3f9".parse().expect("a run id");
    let paths = ["$.m.e".parse().expect("a path")];
    for k in 0..4 {
        let sent = Envelope { run: run.clone(), level: 1, sequence: k, due_us: 1, poison: false };
        let data = records.build(&sent, k, "key-000001");
        serde_json::from_slice::<serde_json::Value>(&data).expect("JSON");
        assert_eq!(Envelope::find(&data, &paths), Some(sent));
    }
}

/// The example of docs/receipts.md, on one line.
fn receipt() -> String {
    let page = include_str!("../../docs/receipts.md");
    let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    block.replace('\n', "")
}

#[test]
fn receipts_and_envelopes_are_read_or_refused() {
    let message = receipt();
    Receipt::from_message(&message).expect("the example is one");
    runner::run(2_000, move |seed, cases| {
        let mut rng = Rng::with_seed(seed);
        let mutant = match serde_json::from_str(&message) {
            Ok(mut value) if rng.bool() => {
                mutate::tree(&mut rng, &mut value);
                value.to_string()
            }
            _ => mutate::text(&mut rng, &message),
        };
        cases.next(format!("seed {seed}: {mutant}"));
        let _ = Receipt::without_histograms(&mutant);
        if let Ok(receipt) = Receipt::from_message(&mutant) {
            // What was taken can be told again.
            assert!(!receipt.to_messages(1_048_576).is_empty());
        }
        let histogram = "HISTFAAAACd4nJNpmSzMwMDAyQABzFCaEULV/7f/AGHtD2Haych0lJ0JAH1fBqA=";
        let _ = decode_histogram(&mutate::text(&mut rng, histogram));
        let data = br#"{"sg":{"r":"20261121-013240-k3f9","l":3,"s":12345,"d":1763688760123456},"pad":"..."}"#;
        let _ = Envelope::find_in(&mutate::bytes(&mut rng, data.to_vec(), b"{\"sg\":{"));
    });
}

/// A run of one level, as docs/run-directory.md describes it.
fn run_directory() -> Vec<(&'static str, String)> {
    let id = "20261121-033451-xtgr";
    let header = serde_json::json!({
        "v": 1, "id": id, "started_us": 1795232091737155_i64, "tool_version": "0.1.0", "target": "local",
        "region": "us-east-1", "environment": "default", "host": "linux", "rehearsal": false, "parent": null,
        "plan_name": "quickstart", "plan_hash": "00", "plan_text": PLANS[0],
    });
    let receipt = serde_json::json!({
        "v": 1, "at_us": 1795232092611376_i64,
        "message": receipt().replace("20261121-013240-k3f9", id),
    });
    let events = [
        r#""at_us":1795232092000000,"event":"run_started","tests":[0]"#,
        r#""at_us":1795232092000001,"event":"ready","probes_acked":1"#,
        r#""at_us":1795232092000002,"event":"test_started","test_index":0,"id":"1.1","first_level":0,"first_sequence":0"#,
        r#""at_us":1795232092000003,"event":"level_started","level":0,"starts_us":1795232093000000,"from_rps":0,"target_rps":10,"duration_s":3,"first_sequence":0,"count":30"#,
        r#""at_us":1795232096000000,"event":"level_ended","level":0,"complete":true"#,
        r#""at_us":1795232097000000,"event":"test_ended","drained_s":0.89,"complete":true"#,
        r#""at_us":1795232098000000,"event":"collection_ended","complete":true,"unreadable":0"#,
        r#""at_us":1795232099000000,"event":"run_ended","end":{"how":"completed"},"generator_peak_mb":50"#,
    ];
    let sends = r#"{"v":1,"at_us":1795232094612950,"highest":29,"failed":[[3,4,"throttled"]],"pending":[[7,7]],"samples":[[0,1795232093058702,1795232093059702]],"levels":{"0":{"scheduled":30,"sent":30,"acked":30,"failed":0,"failed_by_reason":{},"first_try":30,"throttled":0,"retried":0,"in_flight_limited":0,"acked_bytes":15300,"acked_bytes_rounded_1k":30720,"put_payload_units":30,"first_due_us":1795232093058702,"last_answered_us":1795232094611856}}}"#;
    let log = "#[Histogram log format version 1.3]\n#[StartTime: 1795232091.739 (seconds since epoch)]\n\
        #[BaseTime: 1795232091.739 (seconds since epoch)]\n\
        \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n\
        Tag=0/service_time,1.000,1.000,689.000,HISTFAAAAC94nJNpmSzMwMAgxABzFCaEUoz2X+AMC6yMu1kYuJlcmaSZ/JnkmVKZwIAjEMFcQ==\n";
    let series = "at_ms,level,target_rps,sent,acked,failed,throttled,retried,in_flight,put_p50_ms,put_p95_ms,put_max_ms\n\
        1795232093000,0,13.128,13,13,0,0,0,0,1.679,2.711,2.711\n";
    vec![
        ("run.json", header.to_string()),
        ("prices.yaml", streamgauge::cost::BUILTIN_PRICES.to_owned()),
        ("events.jsonl", events.map(|event| format!("{{\"v\":1,{event}}}\n")).concat()),
        ("sends.jsonl", format!("{sends}\n")),
        ("receipts.jsonl", format!("{receipt}\n")),
        ("intervals.hlog", log.to_owned()),
        ("series.csv", series.to_owned()),
    ]
}

/// Writes the files anew and reads them all, as `streamgauge report` does.
fn read_back(dir: &Path, files: &[(&str, Vec<u8>)]) -> Result<(), String> {
    for (name, content) in files {
        std::fs::write(dir.join(name), content).expect("write");
    }
    let published = streamgauge::session::publish::publish(dir).map_err(|error| error.to_string())?;
    assert!(!report::json(&published.model).is_empty());
    Ok(())
}

#[test]
fn a_run_directory_is_read_with_notes_or_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let dir = root.path().join("20261121-033451-xtgr");
    std::fs::create_dir(&dir).expect("the run's folder");
    let files: Vec<(&str, Vec<u8>)> =
        run_directory().into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    read_back(&dir, &files).expect("unchanged it is a run");
    let evidence = evidence::load(&dir).expect("evidence");
    assert_eq!(evidence.receipts, 1, "{:?}", evidence.notes);
    runner::run(300, move |seed, cases| {
        let mut rng = Rng::with_seed(seed);
        let mut files = files.clone();
        for _ in 0..rng.usize(1..=2) {
            let chosen = rng.usize(0..files.len());
            files[chosen].1 = mutate::bytes(&mut rng, std::mem::take(&mut files[chosen].1), b"\n{\"v\":1}\n");
        }
        cases.next(format!("seed {seed}, in {}", dir.display()));
        if let Err(why) = read_back(&dir, &files) {
            assert!(!why.is_empty());
        }
    });
    drop(root);
}
