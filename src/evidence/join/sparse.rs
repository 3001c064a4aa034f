//! Latencies of a short time, by how often each came. A histogram takes 100 KB, whatever is in it, and is walked from
//! end to end for its mean: there are tens of thousands of seconds and windows in a day.

use hdrhistogram::Histogram;

use crate::evidence::model::Dist;

/// Values that were added one by one are put together when there are so many.
const LOOSE_MAX: usize = 4_096;

/// (latency in microseconds, how often), in no order, one latency perhaps several times.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    counts: Vec<(u64, u64)>,
    /// So many of them are put together.
    merged: usize,
}

impl Sparse {
    pub(super) fn add(&mut self, counts: impl Iterator<Item = (u64, u64)>) {
        self.counts.extend(counts);
        if self.counts.len() - self.merged > LOOSE_MAX.max(self.merged) {
            self.merge();
        }
    }

    fn merge(&mut self) {
        self.counts.sort_unstable();
        self.counts.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 += next.1;
            }
            is_same
        });
        self.merged = self.counts.len();
    }

    /// What a histogram of them has at these quantiles (0 to 1, ascending), ms. `scale` tells which latencies are one
    /// to a histogram. Zero where there are none.
    pub(super) fn quantiles_ms<const N: usize>(
        &mut self,
        quantiles: [f64; N],
        scale: &Histogram<u64>,
    ) -> [f64; N] {
        self.merge();
        let total = self.total();
        let (mut at, mut below) = (0, 0);
        quantiles.map(|quantile| {
            let rank = ((quantile * total as f64).ceil() as u64).clamp(1, total.max(1));
            while let Some((_, count)) = self.counts.get(at).filter(|_| below < rank) {
                below += count;
                at += 1;
            }
            let reached = at.checked_sub(1).map(|last| self.counts[last].0);
            reached.map_or(0.0, |value_us| scale.highest_equivalent(value_us) as f64 / 1e3)
        })
    }

    /// What a histogram of them has; `None` where there are none.
    pub(super) fn dist(&mut self, scale: &Histogram<u64>) -> Option<Dist> {
        let [p50, p95, p99, p999, max] = self.quantiles_ms([0.5, 0.95, 0.99, 0.999, 1.0], scale);
        let count = self.total();
        let sum_us: f64 = self
            .counts
            .iter()
            .map(|(value_us, count)| scale.median_equivalent(*value_us) as f64 * *count as f64)
            .sum();
        (count > 0).then(|| Dist { count, avg: sum_us / count as f64 / 1e3, p50, p95, p99, p999, max })
    }

    fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

/// What is in a histogram.
pub(super) fn counts(histogram: &Histogram<u64>) -> impl Iterator<Item = (u64, u64)> + '_ {
    histogram.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::dist;
    use super::*;
    use crate::evidence::hlog::histogram;

    proptest! {
        /// The library's histogram is the reference.
        #[test]
        fn has_what_a_histogram_has(
            added in prop::collection::vec((1u64..60_000_000, 1u64..50), 0..6_000),
            wide in prop::bool::ANY,
        ) {
            let (mut whole, mut sparse) = (histogram(), Sparse::default());
            for (value, count) in &added {
                let value = if wide { *value } else { value % 3_000 + 1 };
                whole.record_n(value, *count).expect("it grows");
                sparse.add(std::iter::once((value, *count)));
            }
            let (expected, found) = (dist(&whole), sparse.dist(&histogram()));
            let near = |one: f64, other: f64| (one - other).abs() <= one.abs() * 1e-9;
            prop_assert_eq!(expected.map(|dist| dist.count), found.map(|dist| dist.count));
            if let (Some(expected), Some(found)) = (expected, found) {
                prop_assert!(near(expected.avg, found.avg), "{} {}", expected.avg, found.avg);
                prop_assert_eq!(Dist { avg: 0.0, ..expected }, Dist { avg: 0.0, ..found });
            }
            let mut again = Sparse::default();
            again.add(counts(&whole));
            prop_assert_eq!(again.dist(&histogram()).map(|dist| dist.p99), found.map(|dist| dist.p99));
        }
    }
}
