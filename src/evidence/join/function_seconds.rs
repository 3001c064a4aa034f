//! The function by seconds: how busy it was from the receipts, what it settled from the accounting.

use std::collections::BTreeMap;

use crate::evidence::drawn::FunctionSecond;
use crate::platform::clock::WallUs;

/// No invocation runs longer than this: a receipt that says so is damaged. Lambda developer guide, "Lambda quotas".
const DURATION_MAX_US: u64 = 900_000_000;
const SECOND_US: i64 = 1_000_000;

/// By second since the epoch.
#[derive(Default)]
pub(super) struct Busy {
    seconds: BTreeMap<i64, FunctionSecond>,
}

impl Busy {
    /// Spreads an invocation over the seconds in which it ran.
    pub(super) fn take(&mut self, started_us: WallUs, duration_us: u64, cold_start: bool) {
        self.second(started_us.div_euclid(SECOND_US)).cold_starts += u64::from(cold_start);
        let ended_us = started_us.saturating_add(duration_us.min(DURATION_MAX_US) as i64);
        let mut from_us = started_us;
        while from_us < ended_us {
            let second = from_us.div_euclid(SECOND_US);
            let to_us = ended_us.min((second + 1).saturating_mul(SECOND_US));
            self.second(second).busy_ms += (to_us - from_us) as f64 / 1e3;
            from_us = to_us;
        }
    }

    fn second(&mut self, second: i64) -> &mut FunctionSecond {
        let new = || FunctionSecond { at_ms: second * 1_000, ..FunctionSecond::default() };
        self.seconds.entry(second).or_insert_with(new)
    }

    /// `settled`: acked records by the second in which they were.
    pub(super) fn finish(mut self, settled: &BTreeMap<i64, u64>) -> Vec<FunctionSecond> {
        for (second, records) in settled {
            self.second(*second).settled = *records;
        }
        self.seconds.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_spread_over_the_seconds_in_which_it_ran() {
        let mut busy = Busy::default();
        busy.take(1_700_000, 1_500_000, true);
        busy.take(2_000_000, 250_000, false);
        let seconds = busy.finish(&[(2, 40), (7, 5)].into());
        let row = |second: i64, busy_ms, cold_starts, settled| FunctionSecond {
            at_ms: second * 1_000,
            busy_ms,
            cold_starts,
            settled,
        };
        assert_eq!(
            seconds,
            [row(1, 300.0, 1, 0), row(2, 1_250.0, 0, 40), row(3, 200.0, 0, 0), row(7, 0.0, 0, 5)]
        );
    }

    #[test]
    fn a_damaged_duration_does_not_fill_the_memory() {
        let mut busy = Busy::default();
        busy.take(0, u64::MAX, false);
        assert_eq!(busy.finish(&BTreeMap::new()).len(), 900);
    }
}
