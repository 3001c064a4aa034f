//! Virtual users against a scripted target, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::driver::PutResult;
use super::outcome::{FailReason, Outcome, RecordEnd};
use super::schedule::Schedule;
use super::testing::{Answer, Call, Memory, ScriptedDriver, run_id, test_of};
use super::{Job, LevelEvent, LoadEnd, run_test};
use crate::plan::{Test, Users};
use crate::platform::clock::Clock;

const START_US: i64 = 1_763_688_760_000_000;
const THINK: Duration = Duration::from_millis(450);

/// Stages (seconds, users) from no user.
fn users(stages: &[(f64, u32)], think_min: Duration, think_max: Duration) -> Test {
    let rates: Vec<(f64, f64)> = stages.iter().map(|(seconds, to)| (*seconds, f64::from(*to))).collect();
    let mut from = 0;
    let counts = stages.iter().map(|(_, to)| (std::mem::replace(&mut from, *to), *to)).collect();
    Test { users: Some(Users { think_min, think_max, seed: 1, counts }), ..test_of(&rates) }
}

/// A hold of so many users from the start.
fn hold(seconds: f64, count: u32) -> Test {
    let mut test = users(&[(seconds, count)], THINK, THINK);
    test.users.as_mut().unwrap().counts = vec![(count, count)];
    test
}

struct Ran {
    end: LoadEnd,
    calls: Vec<Call>,
    outcomes: Vec<Outcome>,
    /// Index in the test and first record of each level.
    levels: Vec<(u32, u64)>,
}

async fn run(
    test: Test,
    stop_after: Option<Duration>,
    script: impl Fn(Call) -> Answer + Send + Sync + 'static,
) -> Ran {
    let clock = Clock::starting_at(START_US);
    let driver = ScriptedDriver::new(clock, script);
    let memory = Arc::new(Memory::default());
    let (stop, stop_receiver) = watch::channel(false);
    let job = Job {
        run: run_id(),
        schedule: Schedule::new(&test),
        test,
        first_level: 3,
        first_sequence: 1_000,
        hash_keys: Default::default(),
        start: clock.instant(),
    };
    let mut levels = Vec::new();
    let load =
        run_test(job, Arc::clone(&driver) as _, Arc::clone(&memory) as _, clock, stop_receiver, |event| {
            if let LevelEvent::Started { index_in_test, first, .. } = event {
                levels.push((index_in_test, first));
            }
        });
    let stopping = async {
        match stop_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
        stop.send_replace(true);
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = load => end,
        () = stopping => unreachable!("never ends"),
    };
    Ran { end, calls: driver.calls(), outcomes: memory.outcomes(), levels }
}

fn after(ms: u64) -> impl Fn(Call) -> Answer + Send + Sync + 'static {
    move |_| Answer::After(Duration::from_millis(ms), vec![PutResult::Acked])
}

#[tokio::test(start_paused = true)]
async fn the_answers_make_the_rate() {
    // 10 users, each 50 ms of waiting and 450 of thinking: 20 records a second. With 550 ms of waiting, 10.
    for (latency_ms, records) in [(50_u32, 1_200), (550, 600)] {
        let ran = run(hold(60.0, 10), None, after(latency_ms.into())).await;
        assert_eq!(ran.end.sent, records, "{latency_ms} ms");
        assert_eq!(ran.outcomes.len() as u64, records);
        let sequences: Vec<u64> = ran.outcomes.iter().map(|outcome| outcome.sequence).collect();
        assert_eq!(sequences, (1_000..1_000 + records).collect::<Vec<_>>(), "one after the other, no gap");
        for outcome in &ran.outcomes {
            assert_eq!((outcome.level, outcome.due_us), (3, outcome.first_sent_us), "due when it is sent");
            assert_eq!(outcome.answered_us - outcome.due_us, i64::from(latency_ms) * 1_000);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_slows_the_arrivals() {
    // Nothing is answered from 20 s to 40 s: each of the 10 users waits there.
    let stalled = |call: Call| {
        let until = Duration::from_secs(40);
        let stalls = (Duration::from_secs(20)..until).contains(&call.at);
        let wait = if stalls { until - call.at } else { Duration::from_millis(50) };
        Answer::After(wait, vec![PutResult::Acked])
    };
    let mut test = hold(60.0, 10);
    test.attempt_timeout = Duration::from_secs(60);
    let ran = run(test, None, stalled).await;
    // 40 records before, 1 in it, and 40 behind it, each, less one that the end cut off.
    assert!((800..=810).contains(&ran.end.sent), "{}", ran.end.sent);
    let slow = ran.outcomes.iter().filter(|outcome| outcome.answered_us - outcome.due_us > 1_000_000);
    assert_eq!(slow.count(), 10, "a stall of a third of the time is seen by 10 records of 800");
}

#[tokio::test(start_paused = true)]
async fn users_come_and_go_one_by_one_and_finish_their_record() {
    let stages = [(10.0, 10), (10.0, 10), (10.0, 0)];
    let ran = run(users(&stages, THINK, THINK), None, after(50)).await;
    let within = |from: u64, to: u64| {
        let span = Duration::from_secs(from)..Duration::from_secs(to);
        ran.calls.iter().filter(|call| span.contains(&call.at)).count() as u64
    };
    // The n-th user comes after n seconds and then sends two records a second: 1 + ... + 9 user seconds.
    assert_eq!(within(0, 10), 90);
    assert_eq!(within(10, 20), 200);
    assert!((90..=110).contains(&within(20, 30)), "{}", within(20, 30));
    assert_eq!(ran.levels, [(0, 0), (1, 90), (2, 290)], "the levels begin where the records are");
    assert!(ran.outcomes.iter().all(|outcome| outcome.end == RecordEnd::Acked));
    let levels: Vec<u64> = (3..6)
        .map(|level| ran.outcomes.iter().filter(|outcome| outcome.level == level).count() as u64)
        .collect();
    assert_eq!(levels, [90, 200, within(20, 30)]);
}

#[tokio::test(start_paused = true)]
async fn think_times_are_uniform_and_repeat() {
    let test = || {
        let mut test = users(&[(100.0, 10)], Duration::from_millis(100), Duration::from_millis(900));
        test.users.as_mut().unwrap().counts = vec![(10, 10)];
        test
    };
    let ran = run(test(), None, after(0)).await;
    let again = run(test(), None, after(0)).await;
    let times = |ran: &Ran| ran.calls.iter().map(|call| call.at).collect::<Vec<_>>();
    assert_eq!(times(&ran), times(&again), "a seed is a run");
    // 10 users, half a second between two records on average; the timer rounds up by half a millisecond.
    assert!((1_950..=2_050).contains(&ran.end.sent), "{}", ran.end.sent);
}

#[tokio::test(start_paused = true)]
async fn a_failing_or_panicking_target_loses_no_user() {
    let ran = run(hold(10.0, 2), None, |call: Call| match call.number % 3 {
        0 => Answer::Panic,
        1 => Answer::After(Duration::from_millis(50), vec![PutResult::Acked]),
        _ => {
            let failed = PutResult::Failed { code: "X".to_owned(), message: String::new(), retryable: false };
            Answer::After(Duration::from_millis(50), vec![failed])
        }
    })
    .await;
    assert_eq!(ran.outcomes.len() as u64, ran.end.sent);
    assert!((40..=45).contains(&ran.end.sent), "two users went on for ten seconds: {}", ran.end.sent);
    let panicked = ran.outcomes.iter().filter(|one| one.end == RecordEnd::Failed(FailReason::UnknownOutcome));
    assert!(panicked.count() > 10);
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_asked_and_at_the_latest_after_the_attempt_timeout() {
    let ran = run(hold(60.0, 5), Some(Duration::from_secs(3)), |_| Answer::Never).await;
    assert!(ran.end.stopped);
    assert_eq!((ran.end.sent, ran.outcomes.len()), (5, 5));
    assert!(ran.outcomes.iter().all(|one| one.end == RecordEnd::Failed(FailReason::UnknownOutcome)));
}
