//! A histogram on the wire, read without spreading it out: a receipt's has a hundred values in ten thousand places.

use hdrhistogram::Histogram;

use super::histograms::{HISTOGRAM_MAX_US, HistogramHeader, inflated, split_leb128_9};

/// How often each latency came, ascending. A value is the lowest of those that the histogram does not tell apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<(u64, u64)>);

/// Latencies of one level in an invocation, microseconds: [`super::LevelHistograms`], as they are read for a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelCounts {
    pub level: u32,
    pub e2e: Counts,
    pub put: Counts,
    pub stream: Counts,
    pub function: Counts,
    pub sink: Counts,
}

impl Counts {
    /// (latency in microseconds, how often).
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (value, count) in self.iter() {
            // Only a fixed histogram can refuse; ours grow.
            let _ = histogram.record_n(value, count);
        }
    }

    /// Reads what [`super::decode_histogram`] reads.
    pub(super) fn decode(text: &str) -> Result<Counts, String> {
        if text.is_empty() {
            return Ok(Counts::default());
        }
        inflated(text, |header, counts| {
            let mut found = Vec::new();
            let (mut rest, mut index) = (counts, 0u64);
            while let Some((count, after)) = split_leb128_9(rest) {
                rest = after;
                // A negative count is that many empty places.
                let Ok(count) = u64::try_from(count) else {
                    index = index.saturating_add(count.unsigned_abs());
                    continue;
                };
                if count > 0 {
                    found.push((value_at(header, index)?, count));
                }
                index += 1;
            }
            Ok(Counts(found))
        })
    }
}

/// The lowest value of a place. Source: HdrHistogram's `value_from_index`: each bucket of half a sub-bucket count of
/// places is twice as wide as the one before.
fn value_at(header: &HistogramHeader, index: u64) -> Result<u64, String> {
    let sub_buckets = (2 * 10u64.pow(header.digits)).next_power_of_two();
    let half = sub_buckets / 2;
    let unit = header.lowest.max(1).ilog2();
    let (bucket, place) = match (index / half).checked_sub(1) {
        None | Some(0) => (0, index),
        Some(bucket) => (bucket, index % half + half),
    };
    let value = (u128::from(place)) << (bucket.min(64) as u32 + unit.min(48));
    if value > u128::from(HISTOGRAM_MAX_US * 2) {
        return Err(format!("a value is beyond {HISTOGRAM_MAX_US}"));
    }
    Ok(value as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::receipt::histograms::{decode, empty, encode};
    use crate::wire::receipt::record_us;

    proptest! {
        /// The library, which spreads every histogram out, is the reference.
        #[test]
        fn has_every_value_and_count_of_the_histogram(latencies_us in prop::collection::vec(any::<i64>(), 0..80)) {
            let mut histogram = empty();
            for latency_us in &latencies_us {
                // All magnitudes, small ones and equal ones too.
                record_us(&mut histogram, latency_us >> (latency_us.unsigned_abs() % 63));
            }
            let text = encode(&histogram);
            let counts = Counts::decode(&text).expect("ours");
            let mut back = empty();
            counts.add_to(&mut back);
            prop_assert_eq!(&back, &decode(&text).expect("ours"));
            prop_assert_eq!((back.max(), back.mean(), back.len()), (histogram.max(), histogram.mean(), histogram.len()));
        }
    }
}
