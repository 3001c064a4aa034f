//! What becomes of a batch after an invocation: done, again (whole, its rest, or in halves), or given up.
//! Pure. Lambda developer guide, "Retain discarded batch records" and "Configuring partial batch response".

use std::time::Duration;

use serde_json::Value;

use super::lanes::{Batch, Record};

/// What an invocation said about its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Success,
    /// The function failed, or failed the batch as a whole.
    Failed,
    /// Everything before this index is done (`ReportBatchItemFailures`).
    FailedFrom(usize),
    /// The function could not be invoked: throttled, or not there. Not counted as a retry.
    Refused,
}

/// How failures are treated.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// `None`: until the records expire.
    pub retries_max: Option<u32>,
    pub bisect: bool,
}

/// What is to be done with the records of a batch.
#[derive(Debug, Default)]
pub struct Settled {
    pub done: Vec<Record>,
    /// To deliver again, in this order, with how long to wait before the first.
    pub again: Vec<Batch>,
    pub wait: Duration,
    /// Retries are exhausted.
    pub given_up: Option<Batch>,
}

/// First wait before a retry; it doubles each time. AWS documents that it backs off, and no numbers.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

pub fn settle(mut batch: Batch, verdict: Verdict, policy: Policy) -> Settled {
    match verdict {
        Verdict::Success => Settled { done: batch.records, ..Settled::default() },
        Verdict::Refused => {
            batch.refusals += 1;
            let wait = backoff(batch.refusals);
            Settled { again: vec![batch], wait, ..Settled::default() }
        }
        Verdict::FailedFrom(lowest) if lowest > 0 && lowest < batch.records.len() => {
            let rest = batch.records.split_off(lowest);
            let done = std::mem::take(&mut batch.records);
            let rest = batch.part(rest);
            // With bisect the response says where to split, and splitting uses up no retry.
            let mut settled = if policy.bisect {
                Settled { again: vec![rest], ..Settled::default() }
            } else {
                retry(rest, policy)
            };
            settled.done = done;
            settled
        }
        Verdict::Failed | Verdict::FailedFrom(_) if policy.bisect && batch.records.len() > 1 => {
            let second = batch.records.split_off(batch.records.len() / 2);
            let first = std::mem::take(&mut batch.records);
            Settled { again: vec![batch.part(first), batch.part(second)], ..Settled::default() }
        }
        Verdict::Failed | Verdict::FailedFrom(_) => retry(batch, policy),
    }
}

fn retry(mut batch: Batch, policy: Policy) -> Settled {
    if policy.retries_max.is_some_and(|most| batch.retries >= most) {
        return Settled { given_up: Some(batch), ..Settled::default() };
    }
    batch.retries += 1;
    batch.refusals = 0;
    let wait = backoff(batch.retries);
    Settled { again: vec![batch], wait, ..Settled::default() }
}

/// 0.5 s, 1 s, 2 s, ... 30 s.
fn backoff(times: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << times.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

/// Reads a partial batch response. Developer guide, "Success and failure conditions": empty or null means
/// success; a malformed or unknown item means that the whole batch failed.
pub fn partial(batch: &Batch, payload: &[u8]) -> Verdict {
    if payload.is_empty() {
        return Verdict::Success;
    }
    let Ok(response) = serde_json::from_slice::<Value>(payload) else { return Verdict::Failed };
    let failures = match (&response, &response["batchItemFailures"]) {
        (Value::Null, _) | (_, Value::Null) => return Verdict::Success,
        (_, Value::Array(failures)) => failures,
        _ => return Verdict::Failed,
    };
    let place_of = |failure: &Value| {
        let sequence = failure["itemIdentifier"].as_str()?;
        batch.records.iter().position(|record| record.sequence == sequence)
    };
    let mut lowest = None;
    for failure in failures {
        match place_of(failure) {
            Some(place) => lowest = Some(lowest.map_or(place, |known: usize| known.min(place))),
            None => return Verdict::Failed,
        }
    }
    lowest.map_or(Verdict::Success, Verdict::FailedFrom)
}

/// How many records at the front of the batch are older than this (ms).
pub fn expired(batch: &Batch, max_age_ms: Option<i64>, now_ms: i64) -> usize {
    let Some(max_age_ms) = max_age_ms else { return 0 };
    let oldest_ms = now_ms - max_age_ms;
    batch.records.iter().take_while(|record| record.arrival_ms < oldest_ms).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::platform::clock::Clock;

    fn batch(places: std::ops::Range<u64>) -> Batch {
        let now = Clock::starting_at(0).instant();
        let record = |place: u64| Record {
            sequence: format!("s{place}"),
            key: String::new(),
            arrival_ms: place as i64 * 1_000,
            json: bytes::Bytes::new(),
            received: now,
            place,
            probe: false,
        };
        Batch::new(places.map(record).collect(), now)
    }

    fn places(records: &[Record]) -> Vec<u64> {
        records.iter().map(|record| record.place).collect()
    }

    #[tokio::test]
    async fn responses_are_read_as_documented() {
        let batch = batch(0..3);
        let cases: [(&str, Verdict); 12] = [
            ("", Verdict::Success),
            ("null", Verdict::Success),
            ("{}", Verdict::Success),
            (r#"{"batchItemFailures": []}"#, Verdict::Success),
            (r#"{"batchItemFailures": null}"#, Verdict::Success),
            (
                r#"{"batchItemFailures": [{"itemIdentifier": "s2"}, {"itemIdentifier": "s1"}]}"#,
                Verdict::FailedFrom(1),
            ),
            (r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures": [{"itemId": "s1"}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures": [{"itemIdentifier": "other"}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures": "s1"}"#, Verdict::Failed),
            ("not json", Verdict::Failed),
        ];
        for (payload, verdict) in cases {
            assert_eq!(partial(&batch, payload.as_bytes()), verdict, "{payload}");
        }
    }

    #[tokio::test]
    async fn retries_end_with_giving_up() {
        let policy = Policy { retries_max: Some(2), bisect: false };
        let mut current = batch(0..2);
        for wait_ms in [500, 1_000] {
            let mut settled = settle(current, Verdict::Failed, policy);
            assert_eq!(settled.wait, Duration::from_millis(wait_ms));
            current = settled.again.pop().unwrap();
        }
        let refused = settle(current, Verdict::Refused, policy);
        assert!(refused.given_up.is_none(), "a throttle is no retry");
        let settled = settle(refused.again.into_iter().next().unwrap(), Verdict::Failed, policy);
        assert_eq!(places(&settled.given_up.unwrap().records), [0, 1]);
    }

    #[tokio::test]
    async fn a_partial_response_moves_the_checkpoint() {
        let keep = Policy { retries_max: Some(0), bisect: false };
        let settled = settle(batch(0..4), Verdict::FailedFrom(1), keep);
        assert_eq!(places(&settled.done), [0]);
        assert_eq!(places(&settled.given_up.unwrap().records), [1, 2, 3]);
        let split = Policy { retries_max: Some(0), bisect: true };
        let settled = settle(batch(0..4), Verdict::FailedFrom(1), split);
        assert_eq!((places(&settled.done), places(&settled.again[0].records)), (vec![0], vec![1, 2, 3]));
    }

    #[tokio::test]
    async fn old_records_are_those_at_the_front() {
        assert_eq!(expired(&batch(0..10), Some(60_000), 64_000), 4);
        assert_eq!(expired(&batch(0..10), None, i64::MAX), 0);
    }

    proptest! {
        /// With bisect, exactly the poisoned records are given up, whatever their number and place.
        #[test]
        fn bisect_isolates_what_is_bad(
            count in 1_u64..40,
            poisoned in proptest::collection::btree_set(0_u64..40, 0..6),
            retries_max in 0_u32..3,
            partial in any::<bool>(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _enter = runtime.enter();
            let policy = Policy { retries_max: Some(retries_max), bisect: true };
            let mut work = vec![batch(0..count)];
            let (mut done, mut given_up) = (Vec::new(), Vec::new());
            while let Some(current) = work.pop() {
                let bad = current.records.iter().position(|r| poisoned.contains(&r.place));
                let verdict = match bad {
                    None => Verdict::Success,
                    Some(lowest) if partial => Verdict::FailedFrom(lowest),
                    Some(_) => Verdict::Failed,
                };
                let settled = settle(current, verdict, policy);
                done.extend(places(&settled.done));
                given_up.extend(settled.given_up.iter().flat_map(|b| places(&b.records)));
                work.extend(settled.again.into_iter().rev());
            }
            let expected: Vec<u64> = poisoned.into_iter().filter(|p| *p < count).collect();
            prop_assert_eq!(given_up, expected);
            prop_assert!(done.is_sorted());
            prop_assert!(done.len() as u64 <= count);
        }
    }
}
