//! Which records outlived their time in the stream unread: no receipt tells of them, and the consumer got beyond their
//! place, or never came there, only when the stream had forgotten them.
//!
//! Let `A` be when a record arrived and `R` the retention. The receipts, in the order of the function's start, say how far
//! the consumer had come: to the latest arrival of any batch so far. Where it stood at `P` until the batch that began at
//! `T`, what arrived between `P` and `T - R` was never handed over while it was in the stream. Where that batch is itself
//! about `R` old, the consumer went on from what the stream still had, and so all before that batch is gone.
//!
//! The furthest of all shards counts for each of them: one shard that is held up while others go on has no such
//! proof, and its missing records stay unconfirmed.

use std::time::Duration;

use super::error::EvidenceError;
use super::receipts::{ReceiptIndex, ReceiptsAt};
use super::rundir::RunDir;
use super::sends::Sends;
use super::sequences::SequenceSet;
use crate::platform::clock::WallUs;

/// Lanes and shards are not all equally far, and the stream's next record is not due the moment another one expires.
const EDGE_US: i64 = 10_000_000;
/// Arrival times are the service's clock, and so is the function's start; the generator's due times are ours.
const CLOCK_MARGIN_US: i64 = 60_000_000;

/// A time of arrival: whoever is missing from it has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    after_us: WallUs,
    until_us: WallUs,
}

/// How far the consumer had come, batch by batch.
struct Passed {
    retention_us: i64,
    /// Latest arrival of any batch so far.
    to_us: WallUs,
    spans: Vec<Span>,
}

impl Passed {
    fn new(from_us: WallUs, retention: Duration) -> Passed {
        Passed { retention_us: retention.as_micros() as i64, to_us: from_us, spans: Vec::new() }
    }

    /// A batch that began at `started_us`, with its earliest and latest arrival.
    fn batch(&mut self, started_us: WallUs, arrived_us: (WallUs, WallUs)) {
        let at_the_horizon = started_us - arrived_us.0 >= self.retention_us - EDGE_US;
        let next = at_the_horizon.then_some(arrived_us.0 + EDGE_US);
        self.gone(started_us, next);
        self.to_us = self.to_us.max(arrived_us.1);
    }

    /// `next_us`: before this nothing was left.
    fn gone(&mut self, at_us: WallUs, next_us: Option<WallUs>) {
        let expired_us = at_us - self.retention_us - CLOCK_MARGIN_US;
        let span = Span {
            after_us: self.to_us - EDGE_US,
            until_us: next_us.map_or(expired_us, |next_us| next_us.max(expired_us)),
        };
        match self.spans.last_mut() {
            _ if span.until_us <= self.to_us => {}
            Some(last) if last.until_us >= span.after_us => last.until_us = last.until_us.max(span.until_us),
            _ => self.spans.push(span),
        }
    }
}

/// Those of the missing sequences that expired unread in a stream that keeps records for `retention`; `from_us` is the
/// run's start, and now `now_us`.
///
/// # Errors
/// A file of the run cannot be read.
pub(super) fn expired(
    dir: &RunDir,
    index: &ReceiptIndex,
    missing: &SequenceSet,
    (from_us, now_us): (WallUs, WallUs),
    retention: Duration,
) -> Result<SequenceSet, EvidenceError> {
    // Nothing can have expired yet: most runs are shorter than any retention.
    if missing.is_empty() || now_us - from_us < retention.as_micros() as i64 {
        return Ok(SequenceSet::new());
    }
    let mut passed = Passed::new(from_us, retention);
    if !index.is_empty() {
        let mut receipts = ReceiptsAt::open(&dir.receipts_jsonl())?;
        for offset in index.offsets() {
            let receipt = receipts.read(offset)?;
            let (first_ms, last_ms) = receipt.arrival_ms;
            passed.batch(receipt.started_us, (first_ms * 1_000, last_ms * 1_000));
        }
    }
    passed.gone(now_us, None);
    let mut expired = SequenceSet::new();
    for Span { after_us, until_us } in passed.spans {
        let highest = |at_us| Sends::highest_due_by(&dir.sends_jsonl(), at_us);
        let Some(last) = highest(until_us)? else { continue };
        let first = if after_us < from_us { None } else { highest(after_us)? };
        let first = first.map_or(0, |before| before + 1);
        if first <= last {
            expired.insert_range(first, last);
        }
    }
    Ok(expired.intersection(missing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR_US: i64 = 3_600_000_000;
    const DAY: Duration = Duration::from_secs(24 * 3_600);

    fn spans(batches: &[(i64, (i64, i64))], now_us: i64) -> Vec<Span> {
        let mut passed = Passed::new(0, DAY);
        for (started_us, arrived_us) in batches {
            passed.batch(*started_us, *arrived_us);
        }
        passed.gone(now_us, None);
        passed.spans
    }

    #[test]
    fn what_was_passed_over_at_the_trim_horizon_has_expired() {
        // Off from 1:00 on, on again at 26:00: the stream begins at 2:00 then.
        let before = (HOUR_US, (HOUR_US - 1_000_000, HOUR_US));
        let after = (26 * HOUR_US, (2 * HOUR_US, 2 * HOUR_US + 1_000_000));
        let later = (26 * HOUR_US + 1_000_000, (3 * HOUR_US, 26 * HOUR_US));
        let span = Span { after_us: HOUR_US - EDGE_US, until_us: 2 * HOUR_US + EDGE_US };
        assert_eq!(spans(&[before, after, later], 27 * HOUR_US), [span]);
    }

    #[test]
    fn a_consumer_that_never_came_back_leaves_what_is_older_than_the_retention() {
        let before = (HOUR_US, (HOUR_US - 1_000_000, HOUR_US));
        let span =
            Span { after_us: HOUR_US - EDGE_US, until_us: 30 * HOUR_US - 24 * HOUR_US - CLOCK_MARGIN_US };
        assert_eq!(spans(&[before], 30 * HOUR_US), [span]);
    }

    #[test]
    fn a_batch_whose_receipt_is_gone_has_not_expired() {
        // The consumer was never behind: a missing record between two batches was read in time.
        let batches: Vec<_> =
            (1..=60).map(|hour| (hour * HOUR_US, ((hour - 1) * HOUR_US, hour * HOUR_US))).collect();
        assert_eq!(spans(&batches, 60 * HOUR_US + 1_000_000), []);
    }

    proptest! {
        /// A consumer that reads in order, is off for a while, and is handed only what the stream still has: what it
        /// missed is in the spans, and what it got is not, but for the edges.
        #[test]
        fn the_spans_are_what_an_outage_passed_over(
            off_at_h in 1i64..5, off_h in 1i64..60, every_s in 1i64..8, lag_s in 0i64..3,
        ) {
            let (off_us, on_us) = (off_at_h * HOUR_US, (off_at_h + off_h) * HOUR_US);
            let end_us = on_us + HOUR_US;
            let day_us = DAY.as_micros() as i64;
            let mut batches = Vec::new();
            let (mut lost, mut got) = (Vec::new(), Vec::new());
            for arrived_us in (0..end_us).step_by((every_s * 1_000_000) as usize) {
                let in_time_us = arrived_us + lag_s * 1_000_000;
                let read_us = if (off_us..on_us).contains(&in_time_us) { on_us } else { in_time_us };
                if read_us - arrived_us > day_us {
                    lost.push(arrived_us);
                } else {
                    got.push(arrived_us);
                    batches.push((read_us, (arrived_us, arrived_us)));
                }
            }
            let spans = spans(&batches, end_us);
            let within = |at_us: i64, edge_us: i64| {
                spans.iter().any(|span| at_us > span.after_us + edge_us && at_us < span.until_us - edge_us)
            };
            prop_assert!(lost.iter().all(|at_us| within(*at_us, 0)), "{spans:?}");
            prop_assert!(!got.iter().any(|at_us| within(*at_us, 2 * EDGE_US)), "{spans:?}");
        }
    }
}
