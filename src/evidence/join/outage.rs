//! An outage of the consumer: how old records became, and how fast the backlog went, from seconds and receipts.

use crate::evidence::drawn::FunctionSecond;
use crate::evidence::model::{EnvironmentInfo, SecondRow};
use crate::evidence::recovery::{Drained, MEASURED_MIN_S, Recovery, surge_s};
use crate::platform::clock::WallUs;

/// What the batches from an outage's start on were like.
#[derive(Default)]
pub(super) struct After {
    oldest_us: i64,
    /// Start of the first batch after the revert was asked for.
    first_us: Option<WallUs>,
}

impl After {
    /// A batch whose first record arrived at `arrived_ms`; the revert was asked for at `reverting_us`.
    pub(super) fn batch(&mut self, reverting_us: WallUs, started_us: WallUs, arrived_ms: i64) {
        self.oldest_us = self.oldest_us.max(started_us - arrived_ms * 1_000);
        if started_us >= reverting_us {
            self.first_us = Some(self.first_us.map_or(started_us, |first_us| first_us.min(started_us)));
        }
    }
}

pub(super) struct Outage {
    /// From when to when the consumer was off.
    pub off_us: (WallUs, WallUs),
    pub caught_up_us: Option<WallUs>,
    /// Of the test.
    pub end_us: WallUs,
}

impl Outage {
    /// `None` where no batch came after it.
    pub(super) fn recovery(
        &self,
        after: &After,
        sent: &[SecondRow],
        function: &[FunctionSecond],
        environment: &EnvironmentInfo,
    ) -> Option<Recovery> {
        let (from_us, reverting_us) = self.off_us;
        let first_us = after.first_us?;
        let drained = self.caught_up_us.and_then(|caught_up_us| {
            let drained = self.drained((first_us, caught_up_us), sent, function, environment)?;
            let surge_s = surge_s(self.arrived(sent), drained.processed_rps);
            Some(Drained { surge_s, ..drained })
        });
        Some(Recovery {
            off_s: (reverting_us - from_us) as f64 / 1e6,
            oldest_ms: after.oldest_us as f64 / 1e3,
            resumed_s: (first_us - reverting_us) as f64 / 1e6,
            drained,
        })
    }

    /// The whole seconds between the two times.
    fn drained(
        &self,
        (from_us, to_us): (WallUs, WallUs),
        sent: &[SecondRow],
        function: &[FunctionSecond],
        environment: &EnvironmentInfo,
    ) -> Option<Drained> {
        let second_ms = |us: WallUs| (us + 999_999).div_euclid(1_000_000) * 1_000;
        let during = second_ms(from_us)..second_ms(to_us) - 1_000;
        let lasted_s = (during.end - during.start) as f64 / 1e3;
        if lasted_s < MEASURED_MIN_S {
            return None;
        }
        let rows = || function.iter().filter(|row| during.contains(&row.at_ms));
        let settled: u64 = rows().map(|row| row.settled).sum();
        let busy_ms: f64 = rows().map(|row| row.busy_ms).sum();
        let acked: u64 = sent.iter().filter(|row| during.contains(&row.at_ms)).map(|row| row.acked).sum();
        let lanes = f64::from(environment.shards.max(1) * environment.parallelization.max(1));
        Some(Drained {
            lasted_s,
            processed_rps: settled as f64 / lasted_s,
            arrived_rps: acked as f64 / lasted_s,
            lanes_busy: busy_ms / 1e3 / lasted_s / lanes,
            surge_s: 0.0,
        })
    }

    /// (s from the outage's start, records acked by then), for each second of the test after it.
    fn arrived<'a>(&self, sent: &'a [SecondRow]) -> impl Iterator<Item = (f64, u64)> + use<'a> {
        let (from_ms, end_ms) = (self.off_us.0.div_euclid(1_000), self.end_us.div_euclid(1_000));
        let after = sent.iter().filter(move |row| row.at_ms >= from_ms && row.at_ms < end_ms);
        after.scan(0, move |records, row| {
            *records += row.acked;
            Some(((row.at_ms + 1_000 - from_ms) as f64 / 1e3, *records))
        })
    }
}
