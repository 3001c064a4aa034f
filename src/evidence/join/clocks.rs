//! How far the generator's clock may be from the service's. Each sampled record was sent before it arrived
//! and arrived before it was acked: its arrival on the service's clock therefore bounds the offset on both sides.

use std::collections::BTreeMap;

use crate::platform::clock::WallUs;

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
    fn a_clock_that_moved_is_not_exact() {
        let arrivals: BTreeMap<u64, i64> = [(0, 1_001), (32, 2_011)].into();
        let samples = [(0, 1_000_000, 1_002_000), (32, 2_000_000, 2_002_000)];
        // -1..2 ms, then 9..12 ms: seven apart.
        assert_eq!(error_ms(&samples, &arrivals, (0, 63)), Some(3.5));
    }
}
