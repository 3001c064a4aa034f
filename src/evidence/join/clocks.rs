//! How far the generator's clock may be from the service's. Each sampled record was sent before it arrived
//! and arrived before it was acked: its arrival on the service's clock therefore bounds the offset on both sides.

use std::collections::BTreeMap;

use crate::evidence::accounting::LevelRange;
use crate::platform::clock::WallUs;
use crate::wire::receipt::CLOCK_SAMPLE_EVERY;

/// Samples of a run that are looked at: 200 million records have six million, and the narrowest bounds of
/// a hundred thousand are as good.
const SAMPLES_MAX: u64 = 1 << 17;

/// Which samples are kept: in each level every one of its multiples of a step.
pub(super) struct Sampling {
    /// Ascending, with the step of each.
    levels: Vec<(LevelRange, u64)>,
}

impl Sampling {
    /// `ranges` ascending, as `accounting::level_ranges` gives them.
    pub(super) fn new(ranges: &[LevelRange]) -> Sampling {
        let share = (SAMPLES_MAX / (ranges.len() as u64).max(1)).max(1);
        let step = |range: &LevelRange| {
            let samples = (range.last - range.first) / CLOCK_SAMPLE_EVERY + 1;
            samples.div_ceil(share).next_power_of_two() * CLOCK_SAMPLE_EVERY
        };
        Sampling { levels: ranges.iter().map(|range| (*range, step(range))).collect() }
    }

    pub(super) fn keeps(&self, sequence: u64) -> bool {
        self.step(sequence).is_some_and(|step| sequence.is_multiple_of(step))
    }

    /// Whether some level has the sequence: receipts of anybody may be in the queue.
    pub(super) fn is_planned(&self, sequence: u64) -> bool {
        self.step(sequence).is_some()
    }

    fn step(&self, sequence: u64) -> Option<u64> {
        let after = self.levels.partition_point(|(range, _)| range.first <= sequence);
        let (range, step) = after.checked_sub(1).and_then(|index| self.levels.get(index))?;
        (sequence <= range.last).then_some(*step)
    }
}

/// Approximate arrival timestamps are cut to whole milliseconds.
const ARRIVAL_RESOLUTION_US: i64 = 1_000;

/// Half the width of the interval that holds the offset, ms, over the samples whose sequences are in
/// `first..=last`; `None` without samples. `samples` are (sequence, sent, acked), `arrivals` sequence -> ms.
/// When the bounds contradict each other the offset has moved by at least the gap: then half of that.
pub(super) fn error_ms(
    samples: &[(u64, WallUs, WallUs)],
    arrivals: &BTreeMap<u64, i64>,
    (first, last): (u64, u64),
) -> Option<f64> {
    let mut bounds: Option<(i64, i64)> = None;
    for (sequence, sent_us, acked_us) in samples {
        if !(first..=last).contains(sequence) {
            continue;
        }
        let Some(arrival_us) = arrivals.get(sequence).map(|ms| ms * 1_000) else { continue };
        let least = arrival_us - acked_us;
        let most = arrival_us + ARRIVAL_RESOLUTION_US - sent_us;
        let (low, high) = bounds.unwrap_or((least, most));
        bounds = Some((low.max(least), high.min(most)));
    }
    bounds.map(|(low, high)| (high - low).abs() as f64 / 2e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_bounds_of_all_samples_count() {
        // The service's clock is 5 ms ahead; the way there takes 2 ms, the way back 1 ms.
        let arrivals: BTreeMap<u64, i64> = [(0, 1_007), (32, 2_007), (64, 9_999)].into();
        let samples = [(0, 1_000_000, 1_003_000), (32, 2_000_000, 2_009_000), (96, 0, 1)];
        // From the first: 1007 - 1003 = 4 ms up to 1008 - 1000 = 8 ms.
        assert_eq!(error_ms(&samples, &arrivals, (0, 63)), Some(2.0));
        assert_eq!(error_ms(&samples, &arrivals, (32, 63)), Some(5.0));
        assert_eq!(error_ms(&samples, &arrivals, (64, 200)), None);
    }

    #[test]
    fn of_many_samples_a_bounded_number_is_kept_and_of_few_all() {
        let range = |level, first, last| LevelRange { level, first, last };
        let sampling = Sampling::new(&[range(0, 0, 999), range(1, 1_000, 200_000_000)]);
        let kept = |first: u64, last: u64| (first..=last).filter(|one| sampling.keeps(*one)).count() as u64;
        assert_eq!(kept(0, 999), 32);
        let dense = kept(1_000, 20_001_000) * 10;
        assert!((SAMPLES_MAX / 4..=SAMPLES_MAX).contains(&dense), "{dense}");
        assert!(!sampling.keeps(200_000_000 + 32 * 4_096));
    }

    #[test]
    fn a_clock_that_moved_is_not_exact() {
        let arrivals: BTreeMap<u64, i64> = [(0, 1_001), (32, 2_011)].into();
        let samples = [(0, 1_000_000, 1_002_000), (32, 2_000_000, 2_002_000)];
        // -1..2 ms, then 9..12 ms: seven apart.
        assert_eq!(error_ms(&samples, &arrivals, (0, 63)), Some(3.5));
    }
}
