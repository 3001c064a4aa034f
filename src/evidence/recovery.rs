//! What an outage of the consumer was like from the stream's side, how fast its backlog went, and what follows from that
//! for other outages. Plain data and arithmetic.

/// An outage of the consumer during a test, and what came after.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    /// From its start until its revert was asked for, s.
    pub off_s: f64,
    /// Of all batches from the outage's start on, how long the record had waited in the stream that waited longest, ms.
    pub oldest_ms: f64,
    /// From asking for the revert until the first batch after it, s.
    pub resumed_s: f64,
    /// `None` where it was not caught up, or within less than [`MEASURED_MIN_S`].
    pub drained: Option<Drained>,
}

/// Shorter than this a drain has no rate: what is counted is counted by seconds.
pub const MEASURED_MIN_S: f64 = 3.0;

/// How the backlog went, from the first batch until all was caught up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drained {
    pub lasted_s: f64,
    /// Records settled a second.
    pub processed_rps: f64,
    /// Records acked a second meanwhile.
    pub arrived_rps: f64,
    /// Part of the time that the lanes were at work, 0 to 1; a lane is one batch of a shard at a time.
    pub lanes_busy: f64,
    /// How much later than the first record of the outage another of the test would have been read, had all from the
    /// outage's start on been read at `processed_rps` ([`surge_s`]), s.
    pub surge_s: f64,
}

/// By how much a queue that is emptied at `processed_rps` delays a record more than its first, at most, s. `arrived`:
/// (s from the outage's start, records that arrived by then), in order.
///
/// The record that arrives at `s` has `N(s)` before it. The consumer comes back after `T` and reads in order at `c`, so
/// that it is read at `T + N(s) / c`, at the age `T + N(s) / c - s`. The first record's is `T`. Where no more than `c` a
/// second arrive, `N(s) <= c s`, and no other is older when it is read: the oldest record is the one at the head of the
/// backlog, when the consumer comes back. Where more arrive for a while, the largest `N(s) / c - s` comes on top.
pub fn surge_s(arrived: impl IntoIterator<Item = (f64, u64)>, processed_rps: f64) -> f64 {
    if processed_rps <= 0.0 {
        return 0.0;
    }
    let later = |(at_s, records): (f64, u64)| records as f64 / processed_rps - at_s;
    arrived.into_iter().map(later).fold(0.0, f64::max)
}

impl Recovery {
    /// How long the consumer may be off before records begin to expire, s: `R - d - E`. A record is in the stream for
    /// the retention `R`, and after an outage of `T` the oldest is `T + d + E` when it is read, with `d` =
    /// [`Recovery::resumed_s`] and `E` = [`Drained::surge_s`]. Holds for arrivals such as the test's. 0 where none may be.
    pub fn longest_off_s(&self, retention_s: f64) -> Option<f64> {
        let drained = self.drained?;
        Some((retention_s - self.resumed_s - drained.surge_s).max(0.0))
    }

    /// What was left of the retention when the oldest record was read, s.
    pub fn margin_s(&self, retention_s: f64) -> f64 {
        retention_s - self.oldest_ms / 1e3
    }
}

impl Drained {
    /// Records that were to be caught up with: what was processed beyond what arrived meanwhile.
    pub fn backlog(&self) -> f64 {
        ((self.processed_rps - self.arrived_rps) * self.lasted_s).max(0.0)
    }

    /// How long the same backlog would have taken at another rate, s: `B / (c - a)`, for it is `B + a t` that is processed by
    /// `t`. `None` where that rate is not above what arrives.
    pub fn lasting_s(&self, processed_rps: f64) -> Option<f64> {
        let spare_rps = processed_rps - self.arrived_rps;
        (spare_rps > 0.0).then(|| self.backlog() / spare_rps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recovery(off_s: f64, resumed_s: f64, drained: Drained) -> Recovery {
        Recovery { off_s, resumed_s, drained: Some(drained), oldest_ms: 0.0 }
    }

    #[test]
    fn twice_the_rate_is_more_than_twice_as_soon() {
        let drained =
            Drained { lasted_s: 100.0, processed_rps: 30.0, arrived_rps: 20.0, ..Drained::default() };
        assert_eq!(drained.backlog(), 1_000.0);
        assert_eq!(drained.lasting_s(60.0), Some(25.0));
        assert_eq!(drained.lasting_s(20.0), None, "it never would be caught up");
    }

    #[test]
    fn an_outage_may_last_as_long_as_the_retention_less_what_coming_back_takes() {
        let steady = Drained { processed_rps: 20.0, ..Drained::default() };
        assert_eq!(recovery(60.0, 5.0, steady).longest_off_s(86_400.0), Some(86_395.0));
        let surging = Drained { surge_s: 600.0, ..steady };
        assert_eq!(recovery(60.0, 5.0, surging).longest_off_s(86_400.0), Some(85_795.0));
        assert_eq!(recovery(60.0, 5.0, surging).longest_off_s(500.0), Some(0.0));
        // 30 a second for 100 s against 20: at its end 50 s behind.
        let arrived = (1..=100).map(|s| (f64::from(s), s as u64 * 30));
        assert!((surge_s(arrived, 20.0) - 50.0).abs() < 1e-9);
        assert_eq!(surge_s((1..=100).map(|s| (f64::from(s), s as u64 * 20)), 20.0), 0.0);
    }

    proptest! {
        /// Against a queue that is simulated record by record: nothing expires up to that outage, and something beyond.
        #[test]
        fn records_expire_beyond_the_longest_outage_and_not_before(
            rates in proptest::collection::vec(0u64..40, 20..200), processed_rps in 5u64..40, resumed_s in 0u64..20,
            retention_s in 100u64..400, beyond in proptest::bool::ANY,
        ) {
            // The first record arrives as the outage begins: it is the one whose age the outage is.
            let arrivals: Vec<f64> = std::iter::once(0.0).chain(rates.iter().enumerate().flat_map(|(s, rate)| {
                (0..*rate).map(move |k| s as f64 + (k + 1) as f64 / *rate as f64)
            })).collect();
            let (c, d) = (processed_rps as f64, resumed_s as f64);
            let counted = arrivals.iter().enumerate().map(|(n, at_s)| (*at_s, n as u64));
            let drained = Drained { processed_rps: c, surge_s: surge_s(counted, c), ..Drained::default() };
            let longest_s = recovery(0.0, d, drained).longest_off_s(retention_s as f64).expect("drained");
            prop_assume!(longest_s > 0.0);
            let off_s = if beyond { longest_s + 0.5 } else { longest_s - 0.5 };
            // Whether it is busy with the backlog or waits for the next record: each is read in its turn.
            let mut free_s = off_s + d;
            let mut oldest_s: f64 = 0.0;
            for at_s in arrivals {
                let read_s = free_s.max(at_s);
                oldest_s = oldest_s.max(read_s - at_s);
                free_s = read_s + 1.0 / c;
            }
            prop_assert_eq!(oldest_s > retention_s as f64, beyond, "off {} oldest {}", off_s, oldest_s);
        }
    }
}
