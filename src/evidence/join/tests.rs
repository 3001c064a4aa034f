use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::evidence::append::AppendFile;
use crate::evidence::events::End;
use crate::evidence::model::{BilledBasis, MetricSeries, RunEnd};
use crate::evidence::pulled::ReportLines;
use crate::evidence::receipts::ReceiptLine;
use crate::evidence::recorder::{LevelRate, LoadRecorder};
use crate::load::outcome::{FailReason, Outcome, RecordEnd, Recorder};
use crate::plan::{Stage, StageKind};
use crate::platform::clock::Clock;
use crate::wire::receipt::{
    LevelHistograms, MESSAGE_MAX_BYTES, Receipt, RecordOutcome, RecordSeen, record_us,
};

const BASE_US: i64 = 1_763_688_720_000_000; // A whole minute.
const RUN: &str = "20261121-013240-k3f9";

fn stage(from_rps: f64, target_rps: f64, duration_s: u64) -> Stage {
    let kind = if from_rps == target_rps { StageKind::Hold } else { StageKind::Ramp };
    Stage {
        duration: Duration::from_secs(duration_s),
        from_rps,
        target_rps,
        kind,
        steps: Arc::default(),
        poison: 0,
        actions: Vec::new(),
    }
}

fn plan() -> Plan {
    let test = |id: &str, stages| plan::Test {
        id: id.into(),
        name: format!("test {id}"),
        payload: plan::Payload::sized("small", 100),
        put: plan::PutMode::Record,
        keys: plan::Keys::uniform(4, 1),
        arrivals: plan::Arrivals::Even,
        max_in_flight: 100,
        put_attempts: 3,
        attempt_timeout: Duration::from_secs(1),
        stages,
        users: None,
        criteria: Vec::new(),
        beyond_capacity: false,
    };
    let function = plan::FunctionSpec {
        memory_mb: 512,
        timeout_s: 60,
        architecture: None,
        reserved_concurrency: None,
        provisioned_concurrency: None,
        enhanced_fan_out: false,
        filters: Vec::new(),
        log_retention_days: 1,
        batch_size: 100,
        batch_window_s: 0,
        parallelization: 1,
        retries: 3,
        bisect_on_error: false,
        max_record_age_s: -1,
        partial_batch_response: true,
        work_ms_per_batch: 0,
        envelope_paths: Vec::new(),
        end_to_end_metric: false,
    };
    let alarms = plan::AlarmSpec {
        iterator_age_ms: 60_000,
        error_rate_percent: 1.0,
        duration_percent_of_timeout: 80.0,
        concurrency_percent_of_limit: 80.0,
        lambda_throttles: 0,
        write_throttles: 0,
        read_throttles: 0,
        dlq_messages: 0,
    };
    let stream = plan::StreamSpec {
        mode: plan::StreamMode::Provisioned,
        shards: 1,
        retention_hours: 24,
        max_record_kib: 1_024,
        encryption_key: None,
    };
    let tests = vec![
        test("1.1", vec![stage(0.0, 2.5, 60), stage(2.5, 2.5, 120)]),
        test("1.2", vec![stage(5.0, 5.0, 60)]),
    ];
    Plan {
        name: "p".into(),
        environment: plan::Environment { stream, function, alarms, account: plan::AccountSpec::default() },
        existing: None,
        phases: vec![plan::Phase { name: "Baseline".into(), week: 1, tests }],
        criteria: Vec::new(),
        budget_usd: None,
        flags: Vec::new(),
        drain: Duration::from_secs(60),
        tags: BTreeMap::new(),
        rehearsal: Default::default(),
        expected_peak_rps: None,
        hash: "h".into(),
        files: BTreeMap::new(),
        text: "t".into(),
    }
}

fn load(dir: &RunDir) -> Evidence {
    let parse =
        |text: &str, _: &dyn plan::ReadFile| if text == "t" { Ok(plan()) } else { Err("not it".to_owned()) };
    let picker = |keys: &plan::Keys| -> super::Picker {
        let count = u64::from(keys.count);
        Box::new(move |sequence| (sequence % count) as u32)
    };
    load_with(dir.path(), &Rooms { parse: &parse, picker: &picker }).expect("load")
}

fn header() -> RunHeader {
    RunHeader {
        v: RunHeader::VERSION,
        id: RUN.parse().expect("well formed"),
        started_us: BASE_US - 1_000_000,
        tool_version: "0.1.0".into(),
        target: "local".into(),
        region: "us-east-1".into(),
        environment: "dev".into(),
        host: "h".into(),
        rehearsal: true,
        assumptions: Vec::new(),
        faults: Vec::new(),
        parent: None,
        number: 1,
        plan_name: "p".into(),
        plan_hash: "h".into(),
        plan_text: "t".into(),
        plan_files: BTreeMap::new(),
    }
}

/// Records 0..75 ramp, 75..375 hold; every 50th is refused; receipts of ten each, none for the last 25.
struct Bench {
    _root: tempfile::TempDir,
    dir: RunDir,
    clock: Clock,
    recorder: LoadRecorder,
    log: crate::evidence::events::EventLog,
}

impl Bench {
    fn new() -> Bench {
        let root = tempfile::tempdir().expect("tempdir");
        let dir = RunDir::create(root.path(), &RUN.parse().expect("well formed")).expect("create");
        dir.write_run(&header()).expect("write");
        let clock = Clock::starting_at(BASE_US);
        let recorder = LoadRecorder::create(&dir, RUN, clock, Duration::from_secs(240)).expect("create");
        let log = dir.event_log().expect("open");
        Bench { _root: root, dir, clock, recorder, log }
    }

    fn event(&self, event: Event) {
        self.log.append(self.clock.now_us(), &event).expect("append");
    }

    async fn level(
        &self,
        level: u32,
        (from_rps, target_rps): (f64, f64),
        first: u64,
        count: u64,
        step_ms: u64,
    ) {
        let starts_us = self.clock.now_us();
        let duration = Duration::from_millis(count * step_ms);
        self.recorder.level_started(
            level,
            LevelRate { starts_us, duration, from_rps, target_rps, steps: Arc::default() },
        );
        self.event(Event::LevelStarted {
            level,
            starts_us,
            from_rps,
            target_rps,
            duration_s: duration.as_secs_f64(),
            first_sequence: first,
            count,
        });
        for sequence in first..first + count {
            let due_us = self.clock.now_us();
            self.recorder.started(level, sequence, 1);
            let failed = RecordEnd::Failed(FailReason::Throttled);
            self.recorder.finished(&Outcome {
                level,
                sequence,
                due_us,
                ready_us: due_us + 300,
                first_sent_us: due_us + 400,
                last_sent_us: due_us + 400,
                answered_us: due_us + 4_400,
                attempts: 1,
                throttles: u32::from(sequence % 50 == 49),
                bytes: 100,
                waited_for_slot: false,
                key_bytes: 10,
                end: if sequence % 50 == 49 { failed } else { RecordEnd::Acked },
            });
            self.recorder.attempt(level, 4_000, 1);
            tokio::time::advance(Duration::from_millis(step_ms)).await;
            self.recorder.tick(self.clock.now_us()).expect("tick");
        }
    }

    async fn first_test(&self) {
        self.event(Event::RunStarted { tests: vec![0, 1] });
        let id = "1.1".to_owned();
        self.event(Event::TestStarted { test_index: 0, id, first_level: 0, first_sequence: 0 });
        self.level(0, (0.0, 2.5), 0, 75, 800).await;
        self.event(Event::LevelEnded { level: 0, complete: true });
        self.level(1, (2.5, 2.5), 75, 300, 400).await;
    }

    fn receipts(&self) {
        let mut file = AppendFile::open(&self.dir.receipts_jsonl()).expect("open");
        for batch in 0..35u64 {
            let sequences = || (batch * 10..batch * 10 + 10).filter(|sequence| sequence % 50 != 49);
            let mut levels: BTreeMap<u32, LevelHistograms> = BTreeMap::new();
            let level_of = |sequence| u32::from(sequence >= 75);
            for sequence in sequences() {
                let level = level_of(sequence);
                let histograms = levels.entry(level).or_insert_with(|| LevelHistograms::new(level));
                record_us(&mut histograms.e2e, 25_000);
                record_us(&mut histograms.put, 3_000);
                record_us(&mut histograms.stream, 20_000);
                record_us(&mut histograms.function, 2_000);
            }
            // Sequence 32 was due at 25.6 s: sent 0.4 ms and acked 4.4 ms later, arrived 2 ms after it was due.
            let due_ms = |sequence: u64| BASE_US / 1_000 + sequence as i64 * 800;
            let arrivals = sequences()
                .filter(|sequence| *sequence == 32)
                .map(|sequence| (sequence, due_ms(sequence) + 2));
            let started_us = BASE_US + batch as i64 * 5_000_000;
            let receipt = Receipt {
                id: format!("{batch:032x}"),
                part: 0,
                parts: 1,
                run: RUN.parse().expect("well formed"),
                request_id: "r".into(),
                stream: "s".into(),
                shard: "shardId-000000000000".into(),
                started_us,
                duration_us: 2_500,
                cold_start: batch == 0,
                memory_used_mb: 60 + batch as u32,
                memory_limit_mb: 512,
                arrival_ms: (started_us / 1_000 - 200, started_us / 1_000 - 20 - batch as i64),
                sink_errors: 0,
                records: sequences()
                    .map(|sequence| RecordSeen {
                        level: level_of(sequence),
                        sequence,
                        kinesis_sequence: format!("4959{sequence:020}").as_str().into(),
                        outcome: RecordOutcome::Processed,
                    })
                    .collect(),
                arrivals: arrivals.collect(),
                levels: levels.into_values().collect(),
            };
            file.line(&ReceiptLine::text(0, &receipt.to_messages(MESSAGE_MAX_BYTES)[0]));
        }
        file.sync().expect("sync");
    }
}

fn pulled() -> Pulled {
    let series = MetricSeries {
        stat: "Sum".into(),
        period_s: 60,
        points: (0..4).map(|minute| (BASE_US / 1_000 + minute * 60_000, 100.0 + minute as f64)).collect(),
        ..MetricSeries::default()
    };
    Pulled {
        series: [("kinesis.IncomingRecords.Sum".to_owned(), series)].into(),
        metrics_requested: 12,
        reports: Some(ReportLines {
            invocations: 36,
            billed_ms: 150,
            log_bytes: 9_000,
            ..ReportLines::default()
        }),
        dlq_depth: Some(0),
        ..Pulled::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_run_is_joined() {
    let bench = Bench::new();
    bench.first_test().await;
    bench.event(Event::LevelEnded { level: 1, complete: true });
    bench.receipts();
    bench.event(Event::TestEnded { drained_s: Some(1.5), complete: true });
    bench.event(Event::Flag { flag: "memory".into(), level: Some(1), detail: "d".into(), stopped: false });
    bench.event(Event::CollectionEnded { complete: true, unreadable: 0 });
    // 25 acked records have no receipt; 20 of them are not in the stream.
    bench.event(Event::Confirmed {
        absent: vec![(355, 374)],
        present: vec![(350, 354)],
        expired: vec![],
        incomplete: None,
    });
    bench.event(Event::RunEnded { end: End::Completed, generator_peak_mb: Some(30.0) });
    bench.recorder.finish(bench.clock.now_us()).expect("finish");
    bench.dir.write_metrics(&pulled()).expect("write");
    let evidence = load(&bench.dir);

    assert_eq!(evidence.run.end, RunEnd::Completed);
    assert!(evidence.delivery.measured && evidence.delivery.complete);
    let delivery = &evidence.delivery;
    // Of 375 records 7 were refused (49, 99, ... 349); the last 25 were acked and have no receipt.
    assert_eq!((delivery.acked, delivery.delivered), (368, 343));
    assert_eq!((delivery.lost, delivery.unconfirmed, delivery.out_of_order), (Some(20), 5, 0));
    assert_eq!(evidence.tests.len(), 2);
    let (ramp, hold) = (&evidence.tests[0].levels[0], &evidence.tests[0].levels[1]);
    assert_eq!((&*ramp.name, &*hold.name), ("0 -> 2.5/s ramp", "2.5/s hold"));
    assert_eq!((hold.scheduled, hold.sent, hold.acked, hold.failed, hold.throttled), (300, 300, 294, 6, 6));
    assert_eq!(hold.failed_by_reason, BTreeMap::from([("throttled".to_owned(), 6)]));
    assert_eq!(hold.achieved_rps, 294.0 / 120.0);
    assert_eq!((&hold.void, hold.finished), (&None, true));
    assert_eq!(hold.put_latency.map(|dist| (dist.count, dist.p99)), Some((294, 4.403)));
    assert_eq!(hold.e2e.map(|dist| dist.count), Some(hold.delivery.delivered));
    assert_eq!(hold.stage_sink, None);
    // Sequence 32: offset between 2 - 4.4 and 2 + 1 - 0.4 ms.
    assert_eq!((ramp.clock_error_ms, hold.clock_error_ms), (Some(2.5), None));
    assert_eq!((ramp.cold_starts, ramp.invocations, hold.invocations), (1, 8, 28));
    assert_eq!((ramp.iterator_age_max_ms, hold.iterator_age_max_ms), (Some(27.0), Some(54.0)));
    assert_eq!(hold.memory_used_mb_max, Some(94));
    // The hold begins on a whole minute and has two.
    assert_eq!(hold.cloudwatch["kinesis.IncomingRecords.Sum"], Ok(101.0 + 102.0));
    assert_eq!(evidence.tests[0].cloudwatch["kinesis.IncomingRecords.Sum"], 100.0 + 101.0 + 102.0 + 103.0);
    assert_eq!(evidence.tests[1].levels[0].void.as_deref(), Some("the level was never started"));
    assert_eq!((evidence.tests[1].levels[0].index, evidence.tests[1].finished), (2, false));

    let usage = &evidence.usage;
    assert_eq!((usage.records, usage.delivered, usage.put_payload_units), (368, 343, 368));
    assert_eq!((usage.bytes_in, usage.bytes_in_rounded_1k), (368 * 110, 368 * 1_024));
    assert_eq!((usage.invocations, usage.billed_ms, usage.billed_basis), (36, 150, BilledBasis::ReportLines));
    assert_eq!((usage.load_window_s, usage.standing_s), (180.0, 181.0));
    assert_eq!((usage.sqs_requests, usage.metrics_requested), (35 * 3, 12));
    assert_eq!(evidence.flags[0].flag, plan::Flag::Memory);
    assert_eq!(evidence.receipt_seconds.len(), 35);
    assert_eq!(evidence.receipt_seconds.iter().map(|second| second.records).sum::<u64>(), 343);
    assert_eq!(evidence.seconds.iter().map(|second| second.acked).sum::<u64>(), 368);
    let function = &evidence.function_seconds;
    assert_eq!((function.len(), function[0].cold_starts, function[34].busy_ms), (35, 1, 2.5));
    let backlog = drawn::backlog(&evidence.seconds, function);
    assert_eq!(backlog.last_key_value().map(|(_, records)| *records), Some(25), "what no receipt tells of");
    assert_eq!(hold.put_spectrum.last().map(|point| point.quantile), Some(1.0 - 1.0 / 294.0));
    assert!(evidence.tests[1].levels[0].put_spectrum.is_empty());
    assert_eq!(
        evidence.notes,
        [
            "environment.json is missing: how the pipeline was set is not known; its figures are those of the plan"
        ]
    );
    assert_eq!(format!("{evidence:?}"), format!("{:?}", load(&bench.dir)), "same directory, same evidence");

    // A log that lost most of its lines is not summed: an endpoint keeps the last of it only.
    let lines = ReportLines { invocations: 30, billed_ms: 120, ..ReportLines::default() };
    bench.dir.write_metrics(&Pulled { reports: Some(lines), ..pulled() }).expect("write");
    let usage = load(&bench.dir).usage;
    assert_eq!((usage.invocations, usage.billed_basis), (35, BilledBasis::Estimate));
    let told = usage.assumptions.iter().any(|text| text.contains("REPORT lines of 30 of at least 35"));
    assert!(told, "{:?}", usage.assumptions);
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_without_receipts_or_metrics_is_told_from_its_files() {
    let bench = Bench::new();
    bench.first_test().await;
    // Killed here: no end of anything, and a torn line.
    let mut events = fs_err::read(bench.dir.events_jsonl()).expect("read");
    events.extend_from_slice(b"{\"v\":1,\"at_us\":17");
    fs_err::write(bench.dir.events_jsonl(), events).expect("write");
    let evidence = load(&bench.dir);
    assert_eq!((evidence.run.end, evidence.run.ended_us), (RunEnd::Killed, None));
    assert!(!evidence.delivery.measured && !evidence.delivery.complete);
    assert_eq!((evidence.delivery.acked, evidence.delivery.lost), (368, None));
    let hold = &evidence.tests[0].levels[1];
    assert_eq!((hold.acked, hold.finished, &hold.e2e, hold.iterator_age_max_ms), (294, false, &None, None));
    assert!(hold.put_latency.is_some());
    assert_eq!(evidence.usage.billed_basis, BilledBasis::Estimate);
    assert_eq!(
        evidence.cloudwatch.unsettled.as_deref(),
        Some("metrics have not been pulled: there is no metrics.json")
    );
    assert!(evidence.notes.iter().any(|note| note.contains("torn")), "{:?}", evidence.notes);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_none_any_more_is_an_error() {
    let bench = Bench::new();
    bench.dir.write_run(&RunHeader { plan_text: "x".into(), ..header() }).expect("write");
    let parse = |_: &str, _: &dyn plan::ReadFile| Err("not it".to_owned());
    let error = load_with(bench.dir.path(), &Rooms { parse: &parse, picker: &|_| Box::new(|_| 0) })
        .expect_err("no plan");
    assert!(matches!(error, EvidenceError::Plan { .. }), "{error}");
}
