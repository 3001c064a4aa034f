//! The function by seconds: how busy it was from the receipts, what it settled from the accounting.

use std::collections::BTreeMap;

use crate::evidence::drawn::FunctionSecond;
use crate::wire::envelope::PROBE_LEVEL;
use crate::wire::receipt::Receipt;

/// No invocation runs longer than this: a receipt that says so is damaged. Lambda developer guide, "Lambda quotas".
const DURATION_MAX_US: u64 = 900_000_000;
const SECOND_US: i64 = 1_000_000;

/// By second since the epoch.
#[derive(Default)]
pub(super) struct Busy {
    seconds: BTreeMap<i64, FunctionSecond>,
}

impl Busy {
    /// Spreads an invocation over the seconds in which it ran. A receipt in parts counts once, one of nothing but
    /// readiness probes not at all: they come before the load.
    pub(super) fn take(&mut self, receipt: &Receipt) {
        if receipt.part != 0 || receipt.records.iter().all(|record| record.level == PROBE_LEVEL) {
            return;
        }
        let first = receipt.started_us.div_euclid(SECOND_US);
        self.second(first).cold_starts += u64::from(receipt.cold_start);
        let ended_us = receipt.started_us + receipt.duration_us.min(DURATION_MAX_US) as i64;
        let mut from_us = receipt.started_us;
        while from_us < ended_us {
            let second = from_us.div_euclid(SECOND_US);
            let to_us = ended_us.min((second + 1) * SECOND_US);
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
    use crate::wire::receipt::{RecordOutcome, RecordSeen};

    fn receipt(started_us: i64, duration_us: u64, part: u32, cold_start: bool) -> Receipt {
        Receipt {
            id: "0".repeat(32),
            part,
            parts: 2,
            run: "20261121-013240-k3f9".parse().expect("a run id"),
            request_id: String::new(),
            stream: String::new(),
            shard: String::new(),
            started_us,
            duration_us,
            cold_start,
            memory_used_mb: 1,
            memory_limit_mb: 2,
            arrival_ms: (0, 0),
            sink_errors: 0,
            records: vec![RecordSeen {
                level: 0,
                sequence: 1,
                kinesis_sequence: "1".to_owned(),
                outcome: RecordOutcome::Processed,
            }],
            levels: Vec::new(),
            arrivals: Vec::new(),
        }
    }

    #[test]
    fn an_invocation_is_spread_over_the_seconds_in_which_it_ran() {
        let mut busy = Busy::default();
        busy.take(&receipt(1_700_000, 1_500_000, 0, true));
        busy.take(&receipt(1_700_000, 1_500_000, 1, true));
        busy.take(&receipt(2_000_000, 250_000, 0, false));
        let mut probe = receipt(2_000_000, 500_000, 0, true);
        probe.records[0].level = PROBE_LEVEL;
        busy.take(&probe);
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
        busy.take(&receipt(0, u64::MAX, 0, false));
        assert_eq!(busy.finish(&BTreeMap::new()).len(), 900);
    }
}
