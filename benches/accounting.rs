//! What it costs to account for a run: records per second on one core, and peak resident memory. Writes a
//! synthetic run directory (see [`Shape`]), then has a fresh process of this program read it, so that writing
//! does not count. Prints a table; fails when a bound is broken.
//!
//! `cargo bench --bench accounting -- [MILLIONS]`, 20 unless told otherwise; 200 million records take 6 GB of
//! disk in the system's folder for temporary files (or `--dir DIR`).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use streamgauge::evidence::accounting::{account, level_ranges, missing, seen};
use streamgauge::evidence::append::AppendFile;
use streamgauge::evidence::events::{Event, read_events};
use streamgauge::evidence::receipts::ReceiptLine;
use streamgauge::evidence::rundir::RunDir;
use streamgauge::evidence::sends::{Sends, SendsLine};
use streamgauge::load::keys::KeyPicker;
use streamgauge::load::outcome::FailReason;
use streamgauge::plan::Keys;
use streamgauge::platform::clock::Clock;
use streamgauge::wire::receipt::{Receipt, RecordOutcome, RecordSeen};

const RUN: &str = "20261121-013240-k3f9";
const KEYS: Keys = Keys::uniform(1_000, 1);
const PEAK_MAX_MB: f64 = 100.0;
const RECORDS_PER_S_MIN: f64 = 50_000.0;

/// A second of load at a time: 1,000 records in ten batches of 100. Of every 10,000 records one put fails, one is
/// dropped after its ack, and 100 (a batch in a hundred) are delivered twice.
struct Shape {
    records: u64,
}

impl Shape {
    const PER_SECOND: u64 = 1_000;
    const BATCH: u64 = 100;

    fn failed(sequence: u64) -> bool {
        sequence % 10_000 == 1_234
    }

    fn dropped(sequence: u64) -> bool {
        sequence % 10_000 == 5_678
    }

    fn write(&self, root: &Path) -> PathBuf {
        let dir = RunDir::create(root, &RUN.parse().expect("well formed")).expect("create");
        self.write_events(&dir);
        let mut sends = AppendFile::open(&dir.sends_jsonl()).expect("open");
        let mut receipts = AppendFile::open(&dir.receipts_jsonl()).expect("open");
        for second in 0..self.records / Self::PER_SECOND {
            let first = second * Self::PER_SECOND;
            sends.line(&sends_line(first, first + Self::PER_SECOND));
            for batch in (first..first + Self::PER_SECOND).step_by(Self::BATCH as usize) {
                receipts.line(&receipt_line(batch, 0));
                if batch % 10_000 == 0 {
                    receipts.line(&receipt_line(batch, 1));
                }
            }
            sends.write().and_then(|()| receipts.write()).expect("write");
        }
        dir.path().to_owned()
    }

    fn write_events(&self, dir: &RunDir) {
        let log = dir.event_log().expect("open");
        let started = Event::LevelStarted {
            level: 0,
            starts_us: 0,
            from_rps: 1_000.0,
            target_rps: 1_000.0,
            duration_s: (self.records / Self::PER_SECOND) as f64,
            first_sequence: 0,
            count: self.records,
        };
        let dropped = (0..self.records).step_by(10_000).map(|first| (first + 5_678, first + 5_678)).collect();
        for event in [
            started,
            Event::CollectionEnded { complete: true, unreadable: 0 },
            Event::Confirmed { absent: dropped, present: Vec::new(), expired: Vec::new(), incomplete: None },
        ] {
            log.append(0, &event).expect("append");
        }
    }
}

fn sends_line(first: u64, end: u64) -> String {
    let samples = (first..end).filter(|one| one % 32 == 0 && !Shape::failed(*one));
    let failed = (first..end).filter(|one| Shape::failed(*one));
    let line = SendsLine {
        v: 1,
        at_us: end as i64 * 1_000,
        highest: Some(end - 1),
        failed: failed.map(|one| (one, one, FailReason::ServiceError)).collect(),
        samples: samples.map(|one| (one, one as i64 * 1_000, one as i64 * 1_000 + 9_000)).collect(),
        ..SendsLine::default()
    };
    serde_json::to_string(&line).expect("json")
}

fn receipt_line(first: u64, delivery: u64) -> String {
    let sequences = (first..first + Shape::BATCH).filter(|one| !Shape::failed(*one) && !Shape::dropped(*one));
    let records: Vec<RecordSeen> = sequences
        .map(|sequence| RecordSeen {
            level: 0,
            sequence,
            // As long as the service's.
            kinesis_sequence: format!("495903382714902566085596925{:029}", sequence * 7_919).as_str().into(),
            outcome: RecordOutcome::Processed,
        })
        .collect();
    let receipt = Receipt {
        id: format!("{:032x}", u128::from(first) << 1 | u128::from(delivery)),
        part: 0,
        parts: 1,
        run: RUN.parse().expect("well formed"),
        request_id: "8a3d1c9e-0000-4000-8000-000000000000".into(),
        stream: "streamgauge-default-stream".into(),
        shard: "shardId-000000000000".into(),
        started_us: (first + 500 * delivery) as i64 * 1_000,
        duration_us: 15_000,
        cold_start: false,
        memory_used_mb: 64,
        memory_limit_mb: 512,
        arrival_ms: (first as i64, (first + Shape::BATCH) as i64),
        sink_errors: 0,
        records,
        levels: Vec::new(),
        arrivals: Vec::new(),
    };
    ReceiptLine::text(0, &receipt.to_messages(1_048_576)[0])
}

/// What `run` does once, to know what to look for in the stream, and then what every report does.
fn read(dir: &Path, records: u64) {
    std::fs::write(dir.join("run.json"), "{}").expect("write");
    let dir = RunDir::open(dir).expect("open");
    let clock = Clock::starting_at(0);
    let since = || clock.instant();
    let started = since();
    let looked_for = missing(&dir, (0, 0), Duration::from_secs(86_400)).expect("missing").sequences.len();
    let for_missing = since() - started;
    let started = since();
    let keys = KeyPicker::new(&KEYS);
    let events = read_events(&dir.events_jsonl(), &mut Vec::new()).expect("events");
    let sends = Sends::read(&dir.sends_jsonl(), &mut Vec::new(), |_| false).expect("sends");
    let seen = seen(&dir, &level_ranges(&events), &mut Vec::new()).expect("seen");
    let account = account(&dir, &events, &sends.acked, &seen, &|one| keys.index(one)).expect("account");
    let for_account = since() - started;
    let of_10_000 = records / 10_000;
    let delivery = account.delivery;
    assert_eq!(looked_for, of_10_000);
    assert_eq!((delivery.lost, delivery.unconfirmed), (Some(of_10_000), 0));
    assert_eq!((delivery.acked, delivery.delivered), (records - of_10_000, records - 2 * of_10_000));
    assert_eq!((delivery.duplicated_redelivery, delivery.out_of_order), (100 * of_10_000, 0));
    let peak_mb = peak_mb();
    print_row("missing", records, for_missing);
    let rate = print_row("account", records, for_account);
    println!("peak resident memory {peak_mb:.1} MB");
    assert!(rate >= RECORDS_PER_S_MIN, "below {RECORDS_PER_S_MIN} records/s");
    assert!(peak_mb < PEAK_MAX_MB, "above {PEAK_MAX_MB} MB");
}

fn print_row(what: &str, records: u64, took: Duration) -> f64 {
    let rate = records as f64 / took.as_secs_f64();
    println!("{what:<8} {records} records in {:.1} s: {rate:.0} records/s", took.as_secs_f64());
    rate
}

/// Of this process; 0 where the system does not tell.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["read", dir, records] => read(Path::new(dir), records.parse().expect("a number")),
        [] => measure(20, &std::env::temp_dir()),
        [millions] => measure(millions.parse().expect("millions of records"), &std::env::temp_dir()),
        [millions, "--dir", dir] => measure(millions.parse().expect("millions of records"), Path::new(dir)),
        _ => panic!("expected [MILLIONS] [--dir DIR]"),
    }
}

fn measure(millions: u64, parent: &Path) {
    let root = tempfile::tempdir_in(parent).expect("a folder");
    let shape = Shape { records: millions * 1_000_000 };
    let dir = shape.write(root.path());
    let bytes = std::fs::metadata(dir.join("receipts.jsonl")).expect("written").len();
    println!("{millions} million records, {:.1} GB of receipts", bytes as f64 / 1e9);
    std::io::stdout().flush().expect("stdout");
    let program = std::env::current_exe().expect("this program");
    let mut reader = std::process::Command::new(program);
    let read = reader.arg("read").arg(&dir).arg(shape.records.to_string()).status().expect("started");
    assert!(read.success(), "see above");
}
