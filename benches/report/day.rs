//! The run directory of a steady load, made with the crate's own writers: 100 records/s for a day are 8.64 million
//! records, each put by itself. The function is invoked once a second with what came since, so that a record waits up
//! to a second in the stream. One put in 10,000 fails, and one batch in a thousand is delivered twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use streamgauge::cost::BUILTIN_PRICES;
use streamgauge::evidence::append::AppendFile;
use streamgauge::evidence::events::{End, Event, EventLog};
use streamgauge::evidence::hlog::{self, LoadMetric};
use streamgauge::evidence::model::{EnvironmentInfo, MetricSeries};
use streamgauge::evidence::pulled::{Pulled, ReportLines};
use streamgauge::evidence::receipts::ReceiptLine;
use streamgauge::evidence::rundir::{RunDir, RunHeader};
use streamgauge::evidence::sends::{LevelCounters, SendsLine};
use streamgauge::load::outcome::FailReason;
use streamgauge::wire::receipt::{
    CLOCK_SAMPLE_EVERY, LevelHistograms, MESSAGE_MAX_BYTES, Receipt, RecordOutcome, RecordSeen, record_us,
};

const RATE: u64 = 100;
const INTERVAL_S: u64 = 10;
/// A whole minute.
const STARTS_US: i64 = 1_763_688_720_000_000;
const SECOND_US: i64 = 1_000_000;

struct Day {
    load_s: u64,
    rng: Rng,
    counters: LevelCounters,
    /// Of the interval that is being filled.
    intervals: [hdrhistogram::Histogram<u64>; 3],
}

/// What one record met with, microseconds.
struct Record {
    sequence: u64,
    due_us: i64,
    lag_us: i64,
    put_us: i64,
    failed: bool,
}

/// Makes a run directory of `load_s` seconds under `root` and gives its path.
pub fn write(root: &Path, run: u64, load_s: u64) -> PathBuf {
    let id = format!("20261121-013240-k{run:03}");
    let dir = RunDir::create(root, &id.parse().expect("well formed")).expect("create");
    dir.write_run(&header(&id, load_s)).expect("write");
    dir.write_environment(&environment()).expect("write");
    dir.write_prices(BUILTIN_PRICES).expect("write");
    dir.write_metrics(&pulled(load_s)).expect("write");
    let intervals = [hlog::histogram(), hlog::histogram(), hlog::histogram()];
    let mut day = Day { load_s, rng: Rng::with_seed(run), counters: LevelCounters::default(), intervals };
    let log = dir.event_log().expect("open");
    day.begin(&log);
    day.load(&dir, &id);
    day.end(&log);
    dir.path().to_owned()
}

fn header(id: &str, load_s: u64) -> RunHeader {
    let plan = format!(
        "schema: streamgauge/plan/v1\nname: day\nphases:\n- name: Soak\n  tests:\n  - id: '5.1'\n    name: A day\n    \
         stages: [{{duration: 1ms, target: {RATE}}}, {{duration: {load_s}s, target: {RATE}}}]\n    criteria: \
         [success_rate > 99.9%, put_latency.p99 < 100ms, e2e_latency.p95 < 2000ms, throttles == 0, lost == 0, \
         drift(put_latency.p95) < 10%, drift(memory_used) < 10%]\n"
    );
    RunHeader {
        v: RunHeader::VERSION,
        id: id.parse().expect("well formed"),
        started_us: STARTS_US - 60 * SECOND_US,
        tool_version: "0.1.0".into(),
        target: "local".into(),
        region: "us-east-1".into(),
        environment: "default".into(),
        host: "bench".into(),
        rehearsal: false,
        assumptions: Vec::new(),
        faults: Vec::new(),
        parent: None,
        number: 1,
        plan_name: "day".into(),
        plan_hash: "h".into(),
        plan_text: plan,
        plan_files: Default::default(),
    }
}

fn environment() -> EnvironmentInfo {
    EnvironmentInfo {
        v: EnvironmentInfo::VERSION,
        name: "default".into(),
        stream_mode: "provisioned".into(),
        shards: 1,
        retention_hours: 24,
        architecture: "x86_64".into(),
        memory_mb: 512,
        timeout_s: 60,
        batch_size: 100,
        parallelization: 1,
        up_us: Some(STARTS_US - 30 * SECOND_US),
        ..EnvironmentInfo::default()
    }
}

/// As many series as are asked for, with a point a minute.
fn pulled(load_s: u64) -> Pulled {
    let named = |name: &str, value: f64| {
        let (_, rest) = name.split_once('.').expect("a source");
        let (metric, stat) = rest.rsplit_once('.').expect("a statistic");
        let points = (0..=load_s / 60).map(|minute| (STARTS_US / 1_000 + minute as i64 * 60_000, value));
        let series = MetricSeries {
            namespace: "AWS".into(),
            metric: metric.into(),
            stat: stat.into(),
            unit: "Count".into(),
            period_s: 60,
            points: points.collect(),
        };
        (name.to_owned(), series)
    };
    let known = [
        ("kinesis.IncomingRecords.Sum", (RATE * 60) as f64),
        ("kinesis.IncomingBytes.Sum", (RATE * 60 * 510) as f64),
        ("kinesis.WriteProvisionedThroughputExceeded.Sum", 0.0),
        ("kinesis.ReadProvisionedThroughputExceeded.Sum", 0.0),
        ("lambda.Invocations.Sum", 60.0),
        ("lambda.Errors.Sum", 0.0),
        ("lambda.Throttles.Sum", 0.0),
        ("lambda.ConcurrentExecutions.Maximum", 1.0),
        ("lambda.IteratorAge.Maximum", 40.0),
    ];
    let rest = (known.len()..35).map(|index| format!("lambda.Other{index}.Average"));
    let mut series: std::collections::BTreeMap<_, _> = rest.map(|name| named(&name, 12.5)).collect();
    series.extend(known.map(|(name, value)| named(name, value)));
    Pulled {
        from_ms: STARTS_US / 1_000,
        to_ms: STARTS_US / 1_000 + load_s as i64 * 1_000,
        series,
        metrics_requested: 37 * (load_s / 3_600 + 1),
        reports: Some(ReportLines {
            invocations: load_s,
            billed_ms: load_s * 16,
            memory_size_mb: 512,
            max_memory_used_mb: 70,
            log_bytes: load_s * 230,
            ..ReportLines::default()
        }),
        dlq_depth: Some(0),
        ..Pulled::default()
    }
}

fn append(log: &EventLog, at_us: i64, event: &Event) {
    log.append(at_us, event).expect("append");
}

impl Day {
    fn records(&self) -> u64 {
        self.load_s * RATE
    }

    fn ends_us(&self) -> i64 {
        STARTS_US + self.load_s as i64 * SECOND_US
    }

    fn begin(&self, log: &EventLog) {
        append(log, STARTS_US - 2, &Event::RunStarted { tests: vec![0] });
        append(log, STARTS_US - 1, &Event::Ready { probes_acked: 1 });
        let id = "5.1".to_owned();
        let started = Event::TestStarted { test_index: 0, id, first_level: 0, first_sequence: 0 };
        append(log, STARTS_US, &started);
        for (level, from_rps, duration_s, count) in
            [(0, 0.0, 0.0, 0), (1, RATE as f64, self.load_s as f64, self.records())]
        {
            let target_rps = RATE as f64;
            let starts_us = STARTS_US;
            let started = Event::LevelStarted {
                level,
                starts_us,
                from_rps,
                target_rps,
                duration_s,
                first_sequence: 0,
                count,
            };
            append(log, STARTS_US, &started);
            if level == 0 {
                append(log, STARTS_US, &Event::LevelEnded { level, complete: true });
            }
        }
    }

    fn end(&self, log: &EventLog) {
        let ends_us = self.ends_us();
        append(log, ends_us, &Event::LevelEnded { level: 1, complete: true });
        append(log, ends_us, &Event::CollectionEnded { complete: true, unreadable: 0 });
        append(log, ends_us, &Event::TestEnded { drained_s: Some(1.2), complete: true });
        append(log, ends_us, &Event::RunEnded { end: End::Completed, generator_peak_mb: Some(40.0) });
    }

    fn load(&mut self, dir: &RunDir, id: &str) {
        let open = |path: PathBuf| AppendFile::open(&path).expect("open");
        let (mut sends, mut series) = (open(dir.sends_jsonl()), open(dir.series_csv()));
        let (mut log, mut receipts) = (open(dir.intervals_hlog()), open(dir.receipts_jsonl()));
        log.lines(hlog::header(STARTS_US, id).as_bytes());
        series.line(
            "at_ms,level,target_rps,sent,acked,failed,throttled,retried,in_flight,put_p50_ms,put_p95_ms,put_max_ms",
        );
        for second in 0..self.load_s {
            let records = self.second(second);
            sends.line(&self.sends_line(second, &records));
            series.line(&series_row(second, &records));
            let message = self.receipt(id, second, &records);
            receipts.line(&ReceiptLine::text(STARTS_US + (second as i64 + 1) * SECOND_US, &message));
            if second % 1_000 == 0 {
                let again = self.receipt(id, second, &records);
                receipts.line(&ReceiptLine::text(STARTS_US + (second as i64 + 2) * SECOND_US, &again));
            }
            if second % INTERVAL_S == INTERVAL_S - 1 {
                self.write_intervals(&mut log, second / INTERVAL_S);
            }
            for file in [&mut sends, &mut series, &mut log, &mut receipts] {
                file.write().expect("write");
            }
        }
    }

    fn second(&mut self, second: u64) -> Vec<Record> {
        let spread_us = SECOND_US / RATE as i64;
        let first = second * RATE;
        let mut records = Vec::new();
        for index in 0..RATE {
            let due_us = STARTS_US + second as i64 * SECOND_US + index as i64 * spread_us;
            let lag_us = self.rng.i64(50..900);
            // Most answers take a few milliseconds, some much longer.
            let tail = if self.rng.u8(..) < 8 { 60_000 } else { 4_000 };
            let put_us = lag_us + 3_000 + self.rng.i64(0..tail);
            let failed = self.rng.u32(..10_000) == 0;
            records.push(Record { sequence: first + index, due_us, lag_us, put_us, failed });
        }
        for record in &records {
            self.count(record);
        }
        records
    }

    fn count(&mut self, record: &Record) {
        let [put, service, lag] = &mut self.intervals;
        record_us(lag, record.lag_us);
        record_us(service, record.put_us - record.lag_us);
        let counters = &mut self.counters;
        counters.scheduled += 1;
        counters.sent += 1;
        if record.failed {
            counters.failed += 1;
            *counters.failed_by_reason.entry(FailReason::ServiceError).or_default() += 1;
            return;
        }
        record_us(put, record.put_us);
        counters.acked += 1;
        counters.first_try += 1;
        counters.acked_bytes += 510;
        counters.acked_bytes_rounded_1k += 1_024;
        counters.put_payload_units += 1;
        counters.first_due_us.get_or_insert(record.due_us);
        counters.last_answered_us = Some(record.due_us + record.put_us);
    }

    fn sends_line(&mut self, second: u64, records: &[Record]) -> String {
        let sampled = |record: &&Record| !record.failed && record.sequence.is_multiple_of(CLOCK_SAMPLE_EVERY);
        let sample =
            |record: &Record| (record.sequence, record.due_us + record.lag_us, record.due_us + record.put_us);
        let failed = records.iter().filter(|record| record.failed);
        let line = SendsLine {
            v: 1,
            at_us: STARTS_US + (second as i64 + 1) * SECOND_US,
            highest: records.last().map(|record| record.sequence),
            failed: failed
                .map(|record| (record.sequence, record.sequence, FailReason::ServiceError))
                .collect(),
            pending: Vec::new(),
            samples: records.iter().filter(sampled).map(sample).collect(),
            levels: [(1, self.counters.clone())].into(),
            generator_mb: Some(40.0),
        };
        serde_json::to_string(&line).expect("json")
    }

    fn receipt(&mut self, run: &str, second: u64, records: &[Record]) -> String {
        let arrival_ms = |record: &Record| (record.due_us + record.put_us - 1_500) / 1_000;
        let acked = || records.iter().filter(|record| !record.failed);
        let started_us = STARTS_US + (second as i64 + 1) * SECOND_US + self.rng.i64(70_000..75_000);
        let mut histograms = LevelHistograms::new(1);
        for (place, record) in acked().enumerate() {
            let function_us = 140 + place as i64 * 12;
            record_us(&mut histograms.put, arrival_ms(record) * 1_000 - record.due_us);
            record_us(&mut histograms.stream, started_us - arrival_ms(record) * 1_000);
            record_us(&mut histograms.function, function_us);
            record_us(&mut histograms.e2e, started_us + function_us - record.due_us);
        }
        let seen = |record: &Record| RecordSeen {
            level: 1,
            sequence: record.sequence,
            // As long as the service's, and as different from its neighbour.
            kinesis_sequence: format!(
                "4968041785127008616437296{:031}",
                u128::from(record.sequence) << 64 | 7_919
            )
            .as_str()
            .into(),
            outcome: RecordOutcome::Processed,
        };
        let sampled = acked().filter(|record| record.sequence.is_multiple_of(CLOCK_SAMPLE_EVERY));
        let arrivals = acked().map(arrival_ms);
        let receipt = Receipt {
            id: format!("{:032x}", self.rng.u128(..)),
            part: 0,
            parts: 1,
            run: run.parse().expect("well formed"),
            request_id: "8a3d1c9e-0000-4000-8000-000000000000".into(),
            stream: "streamgauge-default-stream".into(),
            shard: "shardId-000000000000".into(),
            started_us,
            duration_us: 15_000,
            cold_start: second == 0,
            memory_used_mb: 64 + (second / 20_000) as u32,
            memory_limit_mb: 512,
            arrival_ms: (arrivals.clone().min().unwrap_or(0), arrivals.max().unwrap_or(0)),
            sink_errors: 0,
            records: acked().map(seen).collect(),
            levels: vec![histograms],
            arrivals: sampled.map(|record| (record.sequence, arrival_ms(record))).collect(),
        };
        receipt.to_messages(MESSAGE_MAX_BYTES).swap_remove(0)
    }

    fn write_intervals(&mut self, log: &mut AppendFile, number: u64) {
        let start = Duration::from_secs(number * INTERVAL_S);
        for (metric, histogram) in LoadMetric::ALL.into_iter().zip(&mut self.intervals) {
            log.lines(&hlog::interval(1, metric, start, Duration::from_secs(INTERVAL_S), histogram));
            histogram.reset();
        }
    }
}

fn series_row(second: u64, records: &[Record]) -> String {
    let acked = records.iter().filter(|record| !record.failed).count();
    let mut latencies: Vec<i64> = records.iter().map(|record| record.put_us).collect();
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100] as f64 / 1e3;
    format!(
        "{},1,{RATE}.000,{RATE},{acked},{},0,0,1,{:.3},{:.3},{:.3}",
        STARTS_US / 1_000 + second as i64 * 1_000,
        records.len() - acked,
        at(50),
        at(95),
        at(100)
    )
}
