//! The pacer against scripted drivers, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::driver::PutResult;
use super::outcome::{FailReason, Outcome, RecordEnd};
use super::schedule::Schedule;
use super::testing::{Answer, Call, Memory, ScriptedDriver, hold, run_id, test_of};
use super::{Job, LevelEvent, LoadEnd, run_test};
use crate::plan::{PutMode, Test};
use crate::platform::clock::Clock;

const START_US: i64 = 1_763_688_760_000_000;
const MS: Duration = Duration::from_millis(1);

struct Ran {
    end: LoadEnd,
    outcomes: Vec<Outcome>,
    memory: Arc<Memory>,
    calls: Vec<Call>,
    events: Vec<LevelEvent>,
    start: tokio::time::Instant,
}

/// Runs `test` from now; stops it after `stop_after`.
async fn run(
    test: Test,
    stop_after: Option<Duration>,
    script: impl Fn(Call) -> Answer + Send + Sync + 'static,
) -> Ran {
    let clock = Clock::starting_at(START_US);
    let driver = ScriptedDriver::new(clock, script);
    let memory = Arc::new(Memory::default());
    let (stop, stopped) = watch::channel(false);
    let start = clock.instant();
    let schedule = Schedule::new(&test);
    let job = Job {
        run: run_id(),
        test,
        schedule,
        first_level: 5,
        first_sequence: 1_000,
        hash_keys: Arc::default(),
        start,
    };
    let mut events = Vec::new();
    let load = run_test(job, driver.clone(), memory.clone(), clock, stopped, |event| events.push(event));
    let stopper = async {
        match stop_after {
            Some(after) => {
                tokio::time::sleep(after).await;
                stop.send_replace(true);
            }
            None => drop(stop),
        }
    };
    let (end, ()) = tokio::join!(load, stopper);
    Ran { end, outcomes: memory.outcomes(), memory, calls: driver.calls(), events, start }
}

fn acked(call: &Call) -> Vec<PutResult> {
    vec![PutResult::Acked; call.keys.len()]
}

fn at_once(call: Call) -> Answer {
    Answer::After(Duration::ZERO, acked(&call))
}

fn put_ms(outcome: &Outcome) -> f64 {
    (outcome.answered_us - outcome.due_us) as f64 / 1e3
}

/// The smallest value that at least `percent` of them do not pass.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted[rank.max(1) - 1]
}

#[tokio::test(start_paused = true)]
async fn sends_every_record_once_when_it_is_due() {
    let test = test_of(&[(3.0, 50.0), (10.0, 50.0)]);
    let schedule = Schedule::new(&test);
    let ran = run(test, None, at_once).await;
    assert_eq!((ran.end.sent, ran.end.due_unsent, ran.end.stopped), (575, 0, false));
    assert_eq!(ran.outcomes.len(), 575);
    assert_eq!(ran.calls.len(), 575, "one PutRecord a record");
    for (k, outcome) in ran.outcomes.iter().enumerate() {
        assert_eq!(outcome.sequence, 1_000 + k as u64);
        assert_eq!(outcome.level, if k < 75 { 5 } else { 6 });
        assert_eq!(outcome.due_us, START_US + schedule.due(k as u64).as_micros() as i64);
        let lag_us = outcome.ready_us - outcome.due_us;
        assert!((0..=1_000).contains(&lag_us), "the timer's grain is 1 ms: {lag_us}");
        assert_eq!((outcome.attempts, outcome.throttles, &outcome.end), (1, 0, &RecordEnd::Acked));
        assert_eq!((outcome.bytes, outcome.key_bytes), (100, 10));
    }
    let sent: u64 = ran.memory.started.lock().unwrap().iter().map(|(_, _, count)| count).sum();
    assert_eq!(sent, 575);
    assert_eq!(ran.end.ended, ran.start + Duration::from_secs(13));
}

#[tokio::test(start_paused = true)]
async fn says_when_levels_start_and_end() {
    let ran = run(test_of(&[(1.0, 10.0), (2.0, 0.0)]), None, at_once).await;
    let at = |seconds| ran.start + Duration::from_secs(seconds);
    assert_eq!(
        ran.events,
        [
            LevelEvent::Started { level: 5, index_in_test: 0, at: at(0), first: 0 },
            LevelEvent::Ended { level: 5, index_in_test: 0, at: at(1) },
            LevelEvent::Started { level: 6, index_in_test: 1, at: at(1), first: 5 },
            LevelEvent::Ended { level: 6, index_in_test: 1, at: at(3) },
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_envelope_says_what_the_outcome_says() {
    let ran = run(hold(1, 20.0), None, at_once).await;
    for (call, outcome) in ran.calls.iter().zip(&ran.outcomes) {
        let envelope = &call.envelopes[0];
        assert_eq!((envelope.level, envelope.sequence), (outcome.level, outcome.sequence));
        assert_eq!((envelope.due_us, &envelope.run), (outcome.due_us, &run_id()));
    }
}

/// 1,000/s for 30 s against a target that stalls 500 ms every 5 s. The truth follows from the schedule: a
/// tenth of the records wait, for 500 ms down to nothing: p95 250, p99 450, p99.9 495, max 500 ms. A closed
/// loop of 50 users reports a p95 below 2 ms here.
#[tokio::test(start_paused = true)]
async fn a_stall_is_charged_to_every_record_it_delayed() {
    let ran = run(hold(30, 1_000.0), None, |call| {
        let into_period = Duration::from_nanos((call.at.as_nanos() % 5_000_000_000) as u64);
        let wait = Duration::from_millis(500).saturating_sub(into_period);
        Answer::After(wait, acked(&call))
    });
    let ran = ran.await;
    let mut latencies: Vec<f64> = ran.outcomes.iter().map(put_ms).collect();
    latencies.sort_by(f64::total_cmp);
    assert_eq!(latencies.len(), 30_000);
    for (percent, truth_ms) in [(95.0, 250.0), (99.0, 450.0), (99.9, 495.0), (100.0, 500.0)] {
        let measured_ms = percentile(&latencies, percent);
        assert!((measured_ms - truth_ms).abs() <= 2.0, "p{percent}: {measured_ms} and {truth_ms}");
    }
    assert!(percentile(&latencies, 89.0) <= 1.0, "the others did not wait");
}

/// The same truth when the stall is hidden behind too few in-flight slots: the wait moves from the answer to
/// the slot, the latency from the due time stays, and none of it is called generator lag.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_slot_is_charged_to_the_record_and_is_no_lag() {
    let mut test = hold(10, 1_000.0);
    test.max_in_flight = 50;
    let ran = run(test, None, |call| {
        let into_period = Duration::from_nanos((call.at.as_nanos() % 5_000_000_000) as u64);
        Answer::After(Duration::from_millis(500).saturating_sub(into_period), acked(&call))
    });
    let ran = ran.await;
    let mut latencies: Vec<f64> = ran.outcomes.iter().map(put_ms).collect();
    latencies.sort_by(f64::total_cmp);
    for (percent, truth_ms) in [(95.0, 250.0), (99.0, 450.0), (99.9, 495.0)] {
        let measured_ms = percentile(&latencies, percent);
        assert!((measured_ms - truth_ms).abs() <= 2.0, "p{percent}: {measured_ms} and {truth_ms}");
    }
    assert!(ran.outcomes.iter().all(|outcome| outcome.ready_us - outcome.due_us <= 1_000), "no lag");
    let waited = ran.outcomes.iter().filter(|outcome| outcome.first_sent_us > outcome.ready_us).count();
    assert!((895..=905).contains(&waited), "all but 50 of each stall's 500 waited for a slot: {waited}");
}

#[tokio::test(start_paused = true)]
async fn no_more_records_are_in_flight_than_allowed() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    for put in [PutMode::Record, PutMode::Batch] {
        let mut test = hold(1, 2_000.0);
        (test.max_in_flight, test.put) = (7, put);
        let in_flight = Arc::new(AtomicUsize::new(0));
        let (entered, most) = (in_flight.clone(), Arc::new(AtomicUsize::new(0)));
        let peak = most.clone();
        // Answers take 10 ms and are given in virtual time; a task counts the records back out.
        let ran = run(test, None, move |call| {
            let now = entered.fetch_add(call.keys.len(), Ordering::SeqCst) + call.keys.len();
            peak.fetch_max(now, Ordering::SeqCst);
            let (entered, records) = (entered.clone(), call.keys.len());
            tokio::spawn(async move {
                tokio::time::sleep(10 * MS).await;
                entered.fetch_sub(records, Ordering::SeqCst);
            });
            Answer::After(10 * MS, acked(&call))
        });
        let ran = ran.await;
        assert_eq!(ran.outcomes.len(), 2_000, "nothing is skipped to catch up");
        assert_eq!(most.load(Ordering::SeqCst), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn batches_take_all_that_is_due_up_to_the_limits() {
    let mut test = hold(1, 2_000.0);
    test.put = PutMode::Batch;
    // The first request hangs for 400 ms with every slot taken; what became due meanwhile comes in batches.
    test.max_in_flight = 600;
    let ran = run(test, None, |call| {
        let wait =
            if call.at < Duration::from_millis(400) { Duration::from_millis(400) - call.at } else { MS };
        Answer::After(wait, acked(&call))
    });
    let ran = ran.await;
    assert_eq!(ran.outcomes.len(), 2_000);
    let largest = ran.calls.iter().map(|call| call.keys.len()).max().unwrap();
    assert!((100..=500).contains(&largest), "{largest}");
    let in_order: Vec<u64> =
        ran.calls.iter().flat_map(|call| &call.envelopes).map(|envelope| envelope.sequence).collect();
    assert_eq!(in_order, (1_000..3_000).collect::<Vec<_>>(), "in order, none twice");
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_at_most_500_records_and_10_mib_and_one_level() {
    let late = |payload_bytes: usize, rate: f64| async move {
        let mut test = test_of(&[(0.9, rate), (1.0, rate)]);
        (test.put, test.payload.bytes) = (PutMode::Batch, payload_bytes);
        let clock = Clock::starting_at(START_US);
        let driver = ScriptedDriver::new(clock, at_once);
        let schedule = Schedule::new(&test);
        let start = clock.instant();
        // Everything is due at once: the schedule is over when it starts.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let job = Job {
            run: run_id(),
            test,
            schedule,
            first_level: 0,
            first_sequence: 0,
            hash_keys: Arc::default(),
            start,
        };
        let (_stop, stopped) = watch::channel(false);
        run_test(job, driver.clone(), Arc::new(Memory::default()), clock, stopped, |_| {}).await;
        driver.calls().into_iter().map(|call| call.keys.len()).collect::<Vec<_>>()
    };
    assert_eq!(late(100, 2_000.0).await, [500, 400, 500, 500, 500, 500]);
    // 100,010 bytes with the key: 104 fit into 10 MiB.
    assert_eq!(late(100_000, 200.0).await, [90, 104, 96]);
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_records_of_a_batch_are_tried_again() {
    let mut test = hold(1, 10.0);
    test.put = PutMode::Batch;
    test.stages[0].from_rps = 10_000.0;
    test.stages[0].target_rps = 10_000.0;
    test.stages[0].duration = MS;
    let ran = run(test, None, |call| {
        let odd = |(i, _): (usize, &String)| if i % 2 == 1 { PutResult::Throttled } else { PutResult::Acked };
        Answer::After(MS, call.keys.iter().enumerate().map(odd).collect())
    });
    let ran = ran.await;
    let sizes: Vec<usize> = ran.calls.iter().map(|call| call.keys.len()).collect();
    assert_eq!(sizes, [10, 5, 2, 1], "halved each time; one alone is acked");
    let attempts: Vec<u32> = ran.outcomes.iter().map(|outcome| outcome.attempts).collect();
    assert_eq!(attempts, [1, 2, 1, 3, 1, 2, 1, 4, 1, 2]);
    for outcome in &ran.outcomes {
        assert_eq!((outcome.throttles, &outcome.end), (outcome.attempts - 1, &RecordEnd::Acked));
    }
    let attempts = ran.memory.attempts.lock().unwrap().clone();
    assert_eq!(attempts, [(5, 1_000, 10), (5, 1_000, 5), (5, 1_000, 2), (5, 1_000, 1)]);
    let waits: Vec<u128> =
        ran.calls.windows(2).map(|pair| (pair[1].at - pair[0].at).as_millis() - 1).collect();
    for (wait_ms, whole_ms) in waits.iter().zip([100, 200, 400]) {
        assert!((whole_ms / 2..=whole_ms + 1).contains(wait_ms), "{wait_ms} of {whole_ms}");
    }
}

/// One record, one result after the other; what it ends as, and after how many attempts.
async fn one_record(results: Vec<PutResult>, put_attempts: u32) -> Outcome {
    let mut test = hold(1, 1.0);
    test.put_attempts = put_attempts;
    let ran = run(test, None, move |call| Answer::After(MS, vec![results[call.number].clone()])).await;
    assert_eq!(ran.outcomes.len(), 1);
    ran.outcomes[0].clone()
}

#[tokio::test(start_paused = true)]
async fn every_end_has_its_reason() {
    let error = |retryable| PutResult::Failed { code: "X".to_owned(), message: String::new(), retryable };
    let unknown = || PutResult::Unknown { message: String::new() };
    let not_sent = || PutResult::NotSent { message: String::new() };
    use FailReason::*;
    use PutResult::{Acked, Throttled as Refused};
    let cases = [
        (vec![Acked], 1, None, 0),
        (vec![Refused, Acked], 2, None, 1),
        (vec![Refused, Refused, Refused], 3, Some(Throttled), 3),
        (vec![error(false)], 1, Some(ServiceError), 0),
        (vec![error(true), error(true), error(true)], 3, Some(ServiceError), 0),
        (vec![error(true), Refused, Acked], 3, None, 1),
        (vec![not_sent(), not_sent(), not_sent()], 3, Some(NotSent), 0),
        (vec![unknown(), unknown(), unknown()], 3, Some(UnknownOutcome), 0),
        (vec![unknown(), Acked], 2, None, 0),
        // The first attempt may have put the record into the stream, whatever the others said.
        (vec![unknown(), Refused, Refused], 3, Some(UnknownOutcome), 2),
        (vec![unknown(), error(false)], 2, Some(UnknownOutcome), 0),
    ];
    for (results, attempts, reason, throttles) in cases {
        let outcome = one_record(results.clone(), 3).await;
        let end = reason.map_or(RecordEnd::Acked, RecordEnd::Failed);
        assert_eq!(
            (outcome.attempts, outcome.throttles, outcome.end),
            (attempts, throttles, end),
            "{results:?}"
        );
        assert!(outcome.first_sent_us <= outcome.last_sent_us && outcome.last_sent_us < outcome.answered_us);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_an_unknown_outcome() {
    let mut test = hold(1, 1.0);
    (test.put_attempts, test.attempt_timeout) = (2, Duration::from_secs(3));
    let ran = run(test, None, |_| Answer::Never).await;
    let outcome = &ran.outcomes[0];
    assert_eq!(outcome.end, RecordEnd::Failed(FailReason::UnknownOutcome));
    assert_eq!((outcome.attempts, ran.calls.len()), (2, 2));
    assert!((3_000_000..3_002_000).contains(&(outcome.answered_us - outcome.last_sent_us)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_short_leaves_the_rest_unknown() {
    let mut test = hold(1, 1.0);
    test.put_attempts = 1;
    let ran = run(test, None, |_| Answer::After(MS, Vec::new())).await;
    assert_eq!(ran.outcomes[0].end, RecordEnd::Failed(FailReason::UnknownOutcome));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_leaves_no_record_without_an_outcome_and_no_slot_taken() {
    let mut test = hold(1, 100.0);
    test.max_in_flight = 1;
    let ran = run(test, None, |call| if call.number == 3 { Answer::Panic } else { at_once(call) }).await;
    let failed: Vec<_> = ran.outcomes.iter().filter(|outcome| outcome.end != RecordEnd::Acked).collect();
    assert_eq!((ran.outcomes.len(), failed.len()), (100, 1));
    assert_eq!(failed[0].end, RecordEnd::Failed(FailReason::UnknownOutcome));
}

#[tokio::test(start_paused = true)]
async fn stop_sends_nothing_new_retries_nothing_and_settles_what_is_in_flight() {
    let mut test = hold(60, 100.0);
    (test.attempt_timeout, test.put_attempts) = (Duration::from_secs(2), 100);
    // From 4 s on nothing is answered; before, every tenth record is refused for ever.
    let ran = run(test, Some(Duration::from_secs(5)), |call| match call.at {
        at if at >= Duration::from_secs(4) => Answer::Never,
        _ if call.envelopes[0].sequence % 10 == 0 => Answer::After(MS, vec![PutResult::Throttled]),
        _ => at_once(call),
    });
    let ran = ran.await;
    assert!(ran.end.stopped);
    assert_eq!((ran.end.sent, ran.end.due_unsent), (500, 0));
    assert_eq!(ran.outcomes.len(), 500, "each has its outcome");
    let took = ran.end.ended - ran.start;
    assert!((7_000..7_010).contains(&took.as_millis()), "an attempt's timeout after the stop: {took:?}");
    let of = |end: RecordEnd| ran.outcomes.iter().filter(|outcome| outcome.end == end).count();
    let is_late = |call: &&Call| call.at >= Duration::from_secs(4);
    let late = ran.calls.iter().filter(is_late).map(|call| call.envelopes[0].sequence);
    let late: std::collections::BTreeSet<u64> = late.collect();
    let acked = (1_000..1_500).filter(|sequence| sequence % 10 != 0 && !late.contains(sequence)).count();
    assert_eq!(of(RecordEnd::Acked), acked);
    assert_eq!(of(RecordEnd::Failed(FailReason::UnknownOutcome)), late.len());
    assert!(acked > 300 && late.len() > 100);
    assert!(ran.calls.iter().all(|call| call.at <= Duration::from_secs(5)), "nothing left after the stop");
}

#[tokio::test(start_paused = true)]
async fn stop_counts_what_was_due_but_had_no_slot() {
    let mut test = hold(60, 100.0);
    (test.attempt_timeout, test.max_in_flight) = (Duration::from_secs(30), 10);
    let ran = run(test, Some(Duration::from_secs(2)), |_| Answer::Never).await;
    assert_eq!((ran.end.sent, ran.end.due_unsent), (10, 190));
    assert_eq!(ran.outcomes.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_same_run_repeats_to_the_microsecond() {
    let chaotic = |call: Call| match call.number % 7 {
        0 => Answer::After(3 * MS, vec![PutResult::Throttled]),
        1 => Answer::Never,
        n => Answer::After(MS * n as u32, acked(&call)),
    };
    let mut test = hold(3, 300.0);
    test.attempt_timeout = Duration::from_millis(50);
    let first = run(test.clone(), None, chaotic).await;
    let second = run(test, None, chaotic).await;
    let shifted =
        |ran: &Ran| ran.outcomes.iter().map(|o| (o.sequence, o.answered_us, o.attempts)).collect::<Vec<_>>();
    assert_eq!(shifted(&first), shifted(&second));
}

/// Longer than ready times are kept one by one: then they share an upper bound, and nothing else changes.
#[tokio::test(start_paused = true)]
async fn a_stall_of_more_than_a_minute_keeps_its_books_in_bounds() {
    let mut test = hold(70, 1_000.0);
    (test.max_in_flight, test.attempt_timeout) = (500, Duration::from_secs(100));
    test.put = PutMode::Batch;
    let stall = Duration::from_secs(69);
    let ran = run(test, None, move |call| Answer::After(stall.saturating_sub(call.at), acked(&call))).await;
    assert_eq!(ran.outcomes.len(), 70_000);
    for outcome in &ran.outcomes {
        let due = Duration::from_micros((outcome.due_us - START_US) as u64);
        let truth_ms = stall.saturating_sub(due).as_secs_f64() * 1e3;
        assert!((put_ms(outcome) - truth_ms).abs() <= 2.0, "{outcome:?}");
        assert!((0..=1_000).contains(&(outcome.ready_us - outcome.due_us)), "{outcome:?}");
    }
}
