use super::*;
use crate::evidence::hlog::{LoadMetric, read_totals};
use crate::evidence::sends::Sends;
use crate::load::outcome::{FailReason, RecordEnd};

const BASE_US: WallUs = 1_763_688_760_000_000;

fn outcome(sequence: u64, due_us: WallUs, latency_us: i64, end: RecordEnd) -> Outcome {
    Outcome {
        level: 0,
        sequence,
        due_us,
        ready_us: due_us + 100,
        first_sent_us: due_us + 200,
        last_sent_us: due_us + 200,
        answered_us: due_us + latency_us,
        attempts: 1,
        throttles: 0,
        bytes: 500,
        waited_for_slot: false,
        key_bytes: 4,
        end,
    }
}

fn create(root: &Path, clock: Clock) -> (RunDir, LoadRecorder) {
    let dir = RunDir::create(root, &"20261121-013240-k3f9".parse().expect("well formed")).expect("create");
    let recorder =
        LoadRecorder::create(&dir, "20261121-013240-k3f9", clock, Duration::from_secs(60)).expect("create");
    (dir, recorder)
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_told_from_the_files_of_any_second() {
    let root = tempfile::tempdir().expect("tempdir");
    let clock = Clock::starting_at(BASE_US);
    let (dir, recorder) = create(root.path(), clock);
    recorder.level_started(
        0,
        LevelRate {
            starts_us: BASE_US,
            duration: Duration::from_secs(4),
            from_rps: 0.0,
            target_rps: 100.0,
            steps: Arc::default(),
        },
    );
    for sequence in 0..96u64 {
        recorder.started(0, sequence, 1);
        let end = match sequence {
            10..=12 => RecordEnd::Failed(FailReason::Throttled),
            13 => RecordEnd::Failed(FailReason::UnknownOutcome),
            _ => RecordEnd::Acked,
        };
        if sequence != 40 {
            recorder.finished(&outcome(sequence, BASE_US, 5_000 + sequence as i64, end));
        }
        recorder.attempt(0, 4_800, 1);
    }
    tokio::time::advance(Duration::from_millis(1_200)).await;
    recorder.tick(clock.now_us()).expect("tick");

    // The process may be killed now: nothing else is called before reading.
    let mut notes = Vec::new();
    let sends = Sends::read(&dir.sends_jsonl(), &mut notes, |_| true).expect("read");
    assert_eq!(sends.acked.ranges().collect::<Vec<_>>(), [(0, 9), (14, 39), (41, 95)]);
    let counters = &sends.levels[&0];
    assert_eq!((counters.scheduled, counters.sent, counters.acked, counters.failed), (96, 95, 91, 4));
    assert_eq!(counters.failed_by_reason[&FailReason::Throttled], 3);
    assert_eq!((counters.put_payload_units, counters.acked_bytes_rounded_1k), (91, 91 * 1_024));
    let sampled: Vec<_> = sends.samples.iter().map(|sample| sample.0).collect();
    assert_eq!(sampled, [0, 32, 64]);
    let totals = read_totals(&dir.intervals_hlog(), &mut notes, |_| {}).expect("read");
    assert_eq!(totals[&(0, LoadMetric::PutLatency)].len(), 91);
    assert_eq!(totals[&(0, LoadMetric::GeneratorLag)].len(), 95);
    assert_eq!(totals[&(0, LoadMetric::ServiceTime)].len(), 96);
    let series = fs_err::read_to_string(dir.series_csv()).expect("read");
    let row = series.lines().nth(1).expect("a row");
    assert_eq!(row, format!("{},0,12.500,96,91,4,0,0,1,5.051,5.091,5.095", BASE_US / 1_000));
    assert_eq!(notes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_level_never_sent_is_not_acked() {
    let root = tempfile::tempdir().expect("tempdir");
    let clock = Clock::starting_at(BASE_US);
    let (dir, recorder) = create(root.path(), clock);
    recorder.started(0, 0, 2);
    recorder.finished(&outcome(0, BASE_US, 1_000, RecordEnd::Acked));
    recorder.finished(&outcome(1, BASE_US, 1_000, RecordEnd::Acked));
    // Level 0 was stopped at 2 of 100: level 1 starts where it was planned to.
    recorder.started(1, 100, 1);
    recorder.finished(&Outcome { level: 1, ..outcome(100, BASE_US, 1_000, RecordEnd::Acked) });
    assert_eq!(recorder.live().in_flight, 0);
    assert_eq!(recorder.live().acked_total, 3);
    recorder.finish(clock.now_us()).expect("finish");
    let sends = Sends::read(&dir.sends_jsonl(), &mut Vec::new(), |_| true).expect("read");
    assert_eq!(sends.acked.ranges().collect::<Vec<_>>(), [(0, 1), (100, 100)]);
    assert_eq!(recorder.acked(), sends.acked);
}

#[tokio::test(start_paused = true)]
async fn waiting_and_retrying_are_counted() {
    let root = tempfile::tempdir().expect("tempdir");
    let (_dir, recorder) = create(root.path(), Clock::starting_at(BASE_US));
    recorder.started(0, 0, 2);
    recorder.finished(&Outcome {
        attempts: 3,
        throttles: 2,
        first_sent_us: BASE_US + 50_000,
        waited_for_slot: true,
        bytes: 25 * 1_024,
        ..outcome(0, BASE_US, 90_000, RecordEnd::Acked)
    });
    recorder.finished(&Outcome {
        attempts: 0,
        ..outcome(1, BASE_US, 90_000, RecordEnd::Failed(FailReason::NotSent))
    });
    let live = recorder.live();
    assert_eq!(
        live.counters,
        LevelCounters {
            scheduled: 2,
            sent: 1,
            acked: 1,
            failed: 1,
            failed_by_reason: [(FailReason::NotSent, 1)].into(),
            first_try: 0,
            throttled: 2,
            retried: 2,
            in_flight_limited: 1,
            acked_bytes: 25 * 1_024 + 4,
            acked_bytes_rounded_1k: 26 * 1_024,
            put_payload_units: 2,
            first_due_us: Some(BASE_US),
            last_answered_us: Some(BASE_US + 90_000),
        }
    );
    assert!(live.put_p99_ms > 89.0 && live.put_p99_ms < 91.0);
}

#[tokio::test(start_paused = true)]
async fn intervals_add_up_whatever_the_ticks() {
    let root = tempfile::tempdir().expect("tempdir");
    let clock = Clock::starting_at(BASE_US);
    let (dir, recorder) = create(root.path(), clock);
    for sequence in 0..500u64 {
        recorder.started(0, sequence, 1);
        recorder.finished(&outcome(sequence, clock.now_us() - 3_000, 3_000, RecordEnd::Acked));
        tokio::time::advance(Duration::from_millis(7)).await;
        if sequence % 31 == 0 {
            recorder.tick(clock.now_us()).expect("tick");
        }
    }
    recorder.finish(clock.now_us()).expect("finish");
    let totals = read_totals(&dir.intervals_hlog(), &mut Vec::new(), |_| {}).expect("read");
    assert_eq!(totals[&(0, LoadMetric::PutLatency)].len(), 500);
    let series = fs_err::read_to_string(dir.series_csv()).expect("read");
    let mut last_ms = 0;
    let mut acked = 0;
    for row in series.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let at_ms: i64 = cells[0].parse().expect("a number");
        assert!(at_ms > last_ms, "one row a second: {series}");
        last_ms = at_ms;
        acked += cells[4].parse::<u64>().expect("a number");
    }
    assert_eq!(acked, 500);
}
