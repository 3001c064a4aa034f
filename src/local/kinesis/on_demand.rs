//! How many shards an on-demand stream has: a model of what AWS documents of its scaling.
//!
//! Kinesis developer guide, "Choose the right mode to stream in": an on-demand stream "accommodates up to
//! double the peak write throughput observed in the previous 30 days", and "write throttling can occur if your
//! traffic increases to more than double the previous peak within a 15-minute duration". So the capacity here
//! is double the highest rate of a whole minute that is at least 15 minutes old and at most 30 days, never
//! below 4 shards. That the rate is looked at by the minute, and that shards double and halve, is our choice.

use std::collections::VecDeque;

use crate::platform::clock::WallUs;
use crate::platform::limits;

const MINUTE_US: i64 = 60_000_000;
/// Until the capacity follows a new peak.
const LAG_US: i64 = 15 * MINUTE_US;
const REMEMBERED_US: i64 = 30 * 24 * 60 * MINUTE_US;

/// The peaks of an on-demand stream.
pub struct Peaks {
    minute_end_us: WallUs,
    /// Not in force yet, oldest first: one a minute, so at most 16.
    fresh: VecDeque<Peak>,
    /// In force, oldest first. A later peak that is as high makes the earlier ones pointless: shards fall.
    remembered: VecDeque<Peak>,
}

#[derive(Clone, Copy, Debug)]
struct Peak {
    at_us: WallUs,
    /// Shards that take in double the peak.
    shards: u32,
}

impl Peaks {
    /// From now on. The shards that the stream has count as needed: a switch of the mode keeps them.
    pub fn new(open_shards: u32, now_us: WallUs) -> Peaks {
        let peak = Peak { at_us: now_us, shards: open_shards };
        let minute_end_us = now_us + MINUTE_US;
        Peaks { minute_end_us, fresh: VecDeque::new(), remembered: VecDeque::from([peak]) }
    }

    /// When [`Peaks::shards`] is to be called next.
    pub fn due_us(&self) -> WallUs {
        self.minute_end_us
    }

    /// Shards that the stream should have, once its minute is over.
    ///
    /// `records` and `bytes` were written in the minute that ended; later ones, up to now, had none.
    pub fn shards(&mut self, open: u32, records: u64, bytes: u64, now_us: WallUs) -> u32 {
        if records > 0 {
            self.fresh.push_back(Peak { at_us: self.minute_end_us, shards: shards_for(records, bytes) });
        }
        let minutes = (now_us - self.minute_end_us).div_euclid(MINUTE_US) + 1;
        self.minute_end_us += minutes * MINUTE_US;
        while let Some(peak) = self.fresh.pop_front_if(|peak| peak.at_us + LAG_US <= now_us) {
            while self.remembered.pop_back_if(|earlier| earlier.shards <= peak.shards).is_some() {}
            self.remembered.push_back(peak);
        }
        while self.remembered.pop_front_if(|peak| peak.at_us + REMEMBERED_US < now_us).is_some() {}
        let needed = self.remembered.front().map_or(0, |peak| peak.shards).max(limits::ON_DEMAND_SHARDS);
        resized(open, needed)
    }
}

/// Shards whose limits are double what was written in a minute.
fn shards_for(records: u64, bytes: u64) -> u32 {
    let by_records = (2 * records).div_ceil(60 * limits::SHARD_WRITE_RECORDS_PER_S);
    let by_bytes = (2 * bytes).div_ceil(60 * limits::SHARD_WRITE_BYTES_PER_S);
    u32::try_from(by_records.max(by_bytes)).unwrap_or(u32::MAX)
}

/// Shards are split, or merged in pairs, all at once: that makes no short-lived ones.
fn resized(open: u32, needed: u32) -> u32 {
    let mut shards = open;
    while shards < needed && shards < limits::ON_DEMAND_SHARDS_MAX {
        shards = (shards * 2).min(limits::ON_DEMAND_SHARDS_MAX);
    }
    while shards / 2 >= needed {
        shards /= 2;
    }
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL_SHARD: u64 = 60 * limits::SHARD_WRITE_RECORDS_PER_S;

    #[test]
    fn capacity_follows_a_peak_after_a_quarter_of_an_hour_and_falls_after_thirty_days() {
        let mut peaks = Peaks::new(4, 0);
        let mut open = 4;
        let mut changes = Vec::new();
        for minute in 1..=31 * 24 * 60 {
            // 3,000 records a second in the 5th minute, little otherwise.
            let records = if minute == 5 { 3 * FULL_SHARD } else { 60 };
            let needed = peaks.shards(open, records, records, minute * MINUTE_US);
            if needed != open {
                changes.push((minute, needed));
                open = needed;
            }
        }
        assert_eq!(changes, [(5 + 15, 8), (5 + 30 * 24 * 60 + 1, 4)]);
        assert!(peaks.fresh.len() <= 16 && peaks.remembered.len() <= 2);
    }

    #[test]
    fn bytes_count_as_records_do_and_silence_is_no_peak() {
        let mut peaks = Peaks::new(4, 0);
        let bytes = 60 * 5 * limits::SHARD_WRITE_BYTES_PER_S;
        assert_eq!(peaks.shards(4, 1, bytes, MINUTE_US), 4);
        assert_eq!(peaks.shards(4, 0, 0, 16 * MINUTE_US), 16);
        assert_eq!(peaks.due_us(), 17 * MINUTE_US);
    }

    #[test]
    fn a_switched_stream_keeps_its_shards_for_thirty_days_and_growth_has_an_end() {
        let mut peaks = Peaks::new(100, 0);
        assert_eq!(peaks.shards(100, 0, 0, REMEMBERED_US), 100);
        assert_eq!(peaks.shards(100, 0, 0, REMEMBERED_US + 2 * MINUTE_US), 6);
        assert_eq!(resized(4, u32::MAX), limits::ON_DEMAND_SHARDS_MAX);
    }
}
