//! One run by hand, for the tests of cost, verdict and report. A shard of 1,000 records/s under three
//! tests: 1.1 holds everything, 3.1 runs into the shard's limit, 3.2 is cut off by an interrupt with a
//! void level and one that never started.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::evidence::drawn::{FunctionSecond, Quantile};
use crate::evidence::model::*;
use crate::plan::*;

/// 2026-11-21T10:00:00Z.
pub(crate) const START_US: i64 = 1_795_255_200_000_000;
/// What the one shard takes in, records/s.
const CAPACITY_RPS: f64 = 1_000.0;

pub(crate) fn criterion(text: &str, metric: Metric, stat: Option<Stat>, op: Op, threshold: f64) -> Criterion {
    Criterion { text: text.into(), metric, stat, op, threshold, position: Position::default() }
}

fn stage(seconds: u64, from_rps: f64, target_rps: f64) -> Stage {
    let kind = if from_rps == target_rps { StageKind::Hold } else { StageKind::Ramp };
    Stage {
        duration: Duration::from_secs(seconds),
        from_rps,
        target_rps,
        kind,
        steps: Arc::default(),
        poison: 0,
        actions: Vec::new(),
    }
}

fn test(id: &str, name: &str, payload: (&str, usize), stages: Vec<Stage>, criteria: Vec<Criterion>) -> Test {
    Test {
        id: id.into(),
        name: name.into(),
        payload: Payload::sized(payload.0, payload.1),
        put: PutMode::Record,
        keys: Keys::uniform(1_000, 1),
        arrivals: crate::plan::Arrivals::Even,
        max_in_flight: 10_000,
        put_attempts: 3,
        attempt_timeout: Duration::from_secs(5),
        stages,
        users: None,
        criteria,
        beyond_capacity: false,
    }
}

pub(crate) fn plan() -> Plan {
    let small = test(
        "1.1",
        "Small payload",
        ("small", 100),
        vec![stage(30, 0.0, 10.0), stage(300, 10.0, 10.0), stage(30, 10.0, 200.0), stage(300, 200.0, 200.0)],
        vec![
            criterion("success_rate > 99%", Metric::SuccessRate, None, Op::Greater, 99.0),
            criterion("put_latency.p95 < 100ms", Metric::PutLatency, Some(Stat::P95), Op::Less, 100.0),
            criterion("throttles == 0", Metric::Throttles, None, Op::Equal, 0.0),
            criterion("iterator_age.max < 1000ms", Metric::IteratorAge, Some(Stat::Max), Op::Less, 1_000.0),
        ],
    );
    let stress = test(
        "3.1",
        "Gradual stress",
        ("medium", 500),
        vec![stage(300, 0.0, 2_000.0), stage(60, 2_000.0, 2_000.0)],
        vec![
            criterion("success_rate > 95%", Metric::SuccessRate, None, Op::Greater, 95.0),
            criterion("e2e_latency.p95 < 2000ms", Metric::E2eLatency, Some(Stat::P95), Op::Less, 2_000.0),
            criterion("lambda_throttles == 0", Metric::LambdaThrottles, None, Op::Equal, 0.0),
        ],
    );
    let spike = test(
        "3.2",
        "Spike <fast & short>",
        ("medium", 500),
        vec![stage(30, 0.0, 50.0), stage(60, 50.0, 50.0), stage(30, 50.0, 500.0)],
        vec![criterion("put_latency.p99 < 500ms", Metric::PutLatency, Some(Stat::P99), Op::Less, 500.0)],
    );
    Plan {
        name: "weekly".into(),
        environment: environment_spec(),
        phases: vec![
            Phase { name: "Baseline".into(), week: 1, tests: vec![small] },
            Phase { name: "Stress".into(), week: 3, tests: vec![stress, spike] },
        ],
        criteria: vec![criterion("lost == 0", Metric::Lost, None, Op::Equal, 0.0)],
        budget_usd: Some("5.00".into()),
        existing: None,
        flags: vec![FlagPolicy { flag: Flag::WriteThroughputExceeded, action: FlagAction::Note }],
        drain: Duration::from_secs(300),
        rehearsal: Rehearsal::default(),
        tags: BTreeMap::new(),
        expected_peak_rps: Some(200.0),
        hash: "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0".into(),
        files: BTreeMap::new(),
        text: "name: weekly\n".into(),
    }
}

fn environment_spec() -> Environment {
    Environment {
        stream: StreamSpec {
            mode: StreamMode::Provisioned,
            shards: 1,
            retention_hours: 24,
            max_record_kib: 1_024,
            encryption_key: None,
        },
        function: FunctionSpec {
            memory_mb: 512,
            timeout_s: 60,
            architecture: Some(Architecture::X86_64),
            reserved_concurrency: None,
            provisioned_concurrency: None,
            enhanced_fan_out: false,
            filters: Vec::new(),
            log_retention_days: 7,
            batch_size: 100,
            batch_window_s: 0,
            parallelization: 1,
            retries: 3,
            bisect_on_error: true,
            max_record_age_s: -1,
            partial_batch_response: true,
            work_ms_per_batch: 0,
            envelope_paths: Vec::new(),
            end_to_end_metric: false,
        },
        alarms: AlarmSpec {
            iterator_age_ms: 60_000,
            error_rate_percent: 1.0,
            duration_percent_of_timeout: 80.0,
            concurrency_percent_of_limit: 80.0,
            lambda_throttles: 0,
            write_throttles: 0,
            read_throttles: 0,
            dlq_messages: 0,
        },
        account: AccountSpec::default(),
    }
}

pub(crate) fn dist(count: u64, p50: f64) -> Dist {
    Dist { count, avg: p50 * 1.1, p50, p95: p50 * 2.0, p99: p50 * 3.0, p999: p50 * 5.0, max: p50 * 8.0 }
}

/// What [`dist`] has, as a distribution; a thousandth of few records is none.
fn spectrum(count: u64, p50: f64) -> Vec<Quantile> {
    let known = [(0.0, 0.6), (0.5, 1.0), (0.95, 2.0), (0.99, 3.0), (0.999, 5.0)];
    let supported = known.into_iter().filter(|(quantile, _)| (1.0 - quantile) * count as f64 >= 1.0);
    supported.map(|(quantile, times)| Quantile { quantile, ms: p50 * times }).collect()
}

/// A finished level that the pipeline carried, `after_s` seconds after the start of the run.
pub(crate) fn level(index: u32, stage: &Stage, after_s: u64) -> LevelEvidence {
    let seconds = stage.duration.as_secs_f64();
    let records = ((stage.from_rps + stage.target_rps) / 2.0 * seconds).round() as u64;
    let name = match stage.kind {
        StageKind::Hold => format!("{}/s hold", stage.target_rps),
        StageKind::Ramp => format!("{} -> {}/s ramp", stage.from_rps, stage.target_rps),
        StageKind::Replay => format!("{:.1}/s mean replay", stage.target_rps),
    };
    let put_p50 = 8.0 + stage.target_rps / 50.0;
    LevelEvidence {
        index,
        name,
        kind: stage.kind,
        put: None,
        users: None,
        from_rps: stage.from_rps,
        target_rps: stage.target_rps,
        planned_s: seconds,
        started_us: Some(START_US + after_s as i64 * 1_000_000),
        finished: true,
        scheduled: records,
        sent: records,
        acked: records,
        failed: 0,
        failed_by_reason: BTreeMap::new(),
        first_try: records,
        throttled: 0,
        retried: 0,
        in_flight_limited: 0,
        achieved_rps: records as f64 / seconds,
        void: None,
        generator_lag: Some(dist(records, 0.2)),
        put_latency: Some(dist(records, put_p50)),
        service_time: Some(dist(records, put_p50 - 1.0)),
        put_spectrum: spectrum(records, put_p50),
        service_spectrum: spectrum(records, put_p50 - 1.0),
        e2e: Some(dist(records, 310.0)),
        clock_error_ms: Some(1.5),
        stage_put: Some(dist(records, 9.0)),
        stage_stream: Some(dist(records, 290.0)),
        stage_function: Some(dist(records, 11.0)),
        stage_sink: None,
        iterator_age_max_ms: Some(640.0),
        iterator_age_avg_ms: Some(310.0),
        invocations: (seconds as u64).max(records / 100),
        records_per_invocation: Some(100.0f64.min(records as f64 / seconds)),
        cold_starts: u64::from(index == 0),
        memory_used_mb_max: Some(92),
        delivery: LevelDelivery {
            acked: records,
            delivered: records,
            lost: Some(0),
            ..LevelDelivery::default()
        },
        cloudwatch: BTreeMap::new(),
    }
}

/// A level of which `acked` records got through; the rest was refused on every attempt.
fn refuse(level: &mut LevelEvidence, acked: u64, throttled: u64) {
    level.acked = acked;
    level.first_try = acked;
    level.failed = level.sent - acked;
    level.failed_by_reason = BTreeMap::from([("throttled".to_owned(), level.failed)]);
    level.throttled = throttled;
    level.retried = throttled - level.failed;
    level.achieved_rps = acked as f64 / level.planned_s;
    level.put_latency = Some(dist(acked, 61.0));
    level.delivery.acked = acked;
    level.delivery.delivered = acked;
}

fn tests(plan: &Plan) -> Vec<TestEvidence> {
    let mut index = 0;
    let mut after_s = 0;
    let mut tests: Vec<TestEvidence> = Vec::new();
    for (plan_index, test) in plan.tests().enumerate() {
        let started_us = START_US + after_s as i64 * 1_000_000;
        let mut levels = Vec::new();
        for stage in &test.stages {
            levels.push(level(index, stage, after_s));
            index += 1;
            after_s += stage.duration.as_secs();
        }
        after_s += 4;
        tests.push(TestEvidence {
            plan_index,
            id: test.id.clone(),
            name: test.name.clone(),
            payload: test.payload.clone(),
            levels,
            started_us: Some(started_us),
            ended_us: Some(START_US + after_s as i64 * 1_000_000),
            drain_s: Some(3.25),
            finished: true,
            windows: TestWindows::default(),
            dlq_depth_max: None,
            blocked: None,
            actions: Vec::new(),
            cloudwatch: BTreeMap::from([
                ("lambda.Throttles.Sum".to_owned(), 0.0),
                ("lambda.Errors.Sum".to_owned(), 0.0),
                ("lambda.IteratorAge.Maximum".to_owned(), 655.0),
                ("lambda.Duration.Average".to_owned(), 9.5),
                ("lambda.Duration.Maximum".to_owned(), 210.0),
                ("kinesis.WriteProvisionedThroughputExceeded.Sum".to_owned(), 0.0),
            ]),
        });
    }
    tests
}

/// One row a second: the shard takes 1,000, what is above is refused.
fn seconds(tests: &[TestEvidence]) -> (Vec<SecondRow>, Vec<ReceiptSecond>) {
    let (mut rows, mut receipts) = (Vec::new(), Vec::new());
    for level in tests.iter().flat_map(|test| &test.levels) {
        let Some(started_us) = level.started_us else { continue };
        for second in 0..level.planned_s as i64 {
            let along = (second as f64 + 0.5) / level.planned_s;
            let target_rps = level.from_rps + (level.target_rps - level.from_rps) * along;
            let acked = target_rps.min(CAPACITY_RPS).round() as u64;
            let refused = (target_rps - CAPACITY_RPS).max(0.0).round() as u64;
            let loaded = target_rps / 100.0;
            let at_ms = started_us / 1_000 + second * 1_000;
            rows.push(SecondRow {
                at_ms,
                level: level.index,
                target_rps,
                sent: acked + refused,
                acked,
                failed: refused,
                throttled: refused * 3,
                retried: refused * 2,
                in_flight: (target_rps * 0.02) as u64,
                put_p50_ms: 8.0 + loaded,
                put_p95_ms: 17.0 + loaded * 3.0 + (second % 7) as f64,
                put_max_ms: 60.0 + loaded * 4.0,
            });
            receipts.push(ReceiptSecond {
                at_ms,
                records: acked,
                invocations: 1 + acked / 100,
                e2e_p50_ms: 310.0,
                e2e_p95_ms: 600.0 + (second % 11) as f64 * 4.0,
                iterator_age_max_ms: 480.0 + (second % 5) as f64 * 30.0,
            });
        }
    }
    (rows, receipts)
}

/// Every record is processed within its second, by invocations of 11 ms each; the first of them starts cold.
fn function_seconds(receipts: &[ReceiptSecond]) -> Vec<FunctionSecond> {
    let second = |(index, row): (usize, &ReceiptSecond)| FunctionSecond {
        at_ms: row.at_ms,
        busy_ms: row.invocations as f64 * 11.0,
        cold_starts: u64::from(index == 0),
        settled: row.records,
    };
    receipts.iter().enumerate().map(second).collect()
}

/// The whole run.
pub(crate) fn evidence() -> Evidence {
    let plan = plan();
    let mut tests = tests(&plan);
    refuse(&mut tests[1].levels[0], 225_000, 225_000);
    refuse(&mut tests[1].levels[1], 60_000, 180_000);
    tests[1].cloudwatch.insert("kinesis.WriteProvisionedThroughputExceeded.Sum".into(), 405_000.0);
    tests[1].cloudwatch.remove("lambda.Throttles.Sum");
    interrupt(&mut tests[2]);
    let (seconds, receipt_seconds) = seconds(&tests);
    let acked: u64 = tests.iter().flat_map(|test| &test.levels).map(|level| level.acked).sum();
    Evidence {
        gaps: Default::default(),
        run: run_info(),
        environment: environment(),
        delivery: Delivery { measured: true, acked, delivered: acked, unconfirmed: 0, ..Delivery::default() },
        cloudwatch: CloudWatch { metrics_requested: 99, ..CloudWatch::default() },
        usage: usage(acked, &tests),
        changes: Vec::new(),
        foreign: None,
        flags: vec![FlagRaised {
            flag: Flag::WriteThroughputExceeded,
            at_us: START_US + 815_000_000,
            level: Some(4),
            detail: "3 refusals in a second".into(),
            stopped: false,
            confirmation: Confirmation {
                confirmed: Some(true),
                metric: Some("kinesis.WriteProvisionedThroughputExceeded.Sum"),
                value: Some(3.0),
                unit: "",
            },
        }],
        probes_acked: 2,
        by_shard: BTreeMap::new(),
        re_read: false,
        receipts: 5_251,
        seconds,
        function_seconds: function_seconds(&receipt_seconds),
        receipt_seconds,
        notes: vec!["a torn last line of sends.jsonl was dropped".into()],
        tests,
        plan,
    }
}

/// The second level is void, the third never started; nothing of them was seen end to end.
fn interrupt(test: &mut TestEvidence) {
    test.finished = false;
    test.drain_s = None;
    test.ended_us = None;
    test.cloudwatch.clear();
    let lag = Dist { p99: 31.4, p999: 38.0, max: 44.0, ..dist(3_000, 2.0) };
    test.levels[1].generator_lag = Some(lag);
    test.levels[1].void = Some("generator lag p99 31.4 ms is above 10 ms".into());
    let never = &mut test.levels[2];
    let stage = Stage {
        duration: Duration::from_secs(30),
        from_rps: never.from_rps,
        target_rps: never.target_rps,
        kind: StageKind::Ramp,
        steps: Arc::default(),
        poison: 0,
        actions: Vec::new(),
    };
    *never = LevelEvidence {
        started_us: None,
        finished: false,
        scheduled: 0,
        sent: 0,
        acked: 0,
        first_try: 0,
        achieved_rps: 0.0,
        generator_lag: None,
        put_latency: None,
        service_time: None,
        put_spectrum: Vec::new(),
        service_spectrum: Vec::new(),
        e2e: None,
        clock_error_ms: None,
        stage_put: None,
        stage_stream: None,
        stage_function: None,
        iterator_age_max_ms: None,
        iterator_age_avg_ms: None,
        invocations: 0,
        records_per_invocation: None,
        memory_used_mb_max: None,
        delivery: LevelDelivery::default(),
        ..level(never.index, &stage, 0)
    };
}

fn run_info() -> RunInfo {
    RunInfo {
        id: "20261121-100000-k3f9".into(),
        tool_version: "0.1.0".into(),
        target: "local".into(),
        region: "us-east-1".into(),
        host: "2 cores, 8 GB, linux x86_64".into(),
        started_us: START_US - 20_000_000,
        ended_us: Some(START_US + 1_130_000_000),
        end: RunEnd::Stopped("interrupted (Ctrl-C)".into()),
        rehearsal: false,
        assumptions: Vec::new(),
        faults: Vec::new(),
        generator_peak_mb: None,
    }
}

fn environment() -> EnvironmentInfo {
    EnvironmentInfo {
        name: "default".into(),
        account: "000000000000".into(),
        stream_name: "streamgauge-default".into(),
        stream_mode: "provisioned".into(),
        shards: 1,
        retention_hours: 24,
        function_name: "streamgauge-default-consumer".into(),
        architecture: "x86_64".into(),
        memory_mb: 512,
        timeout_s: 60,
        batch_size: 100,
        parallelization: 1,
        retries: 3,
        bisect_on_error: true,
        alarms: 8,
        dashboards: 1,
        ..EnvironmentInfo::default()
    }
}

fn usage(acked: u64, tests: &[TestEvidence]) -> Usage {
    let levels = || tests.iter().flat_map(|test| &test.levels);
    let invocations: u64 = levels().map(|level| level.invocations).sum();
    Usage {
        region: "us-east-1".into(),
        stream_mode: "provisioned".into(),
        shards: 1,
        retention_hours: 24,
        load_window_s: 1_122.0,
        standing_s: 1_200.0,
        records: acked,
        delivered: acked,
        put_payload_units: acked,
        bytes_in: 66_300 * 100 + 288_750 * 500,
        bytes_in_rounded_1k: acked * 1_024,
        invocations,
        architecture: "x86_64".into(),
        memory_mb: 512,
        billed_ms: invocations * 11,
        billed_basis: BilledBasis::ReportLines,
        log_bytes: invocations * 350,
        log_bytes_measured: true,
        sqs_requests: invocations + invocations / 5,
        dlq_requests: 0,
        alarms: 8,
        dashboards: 1,
        custom_metrics: 0,
        metrics_requested: 99,
        assumptions: vec!["log bytes of the last minute were taken from the REPORT lines".into()],
    }
}
