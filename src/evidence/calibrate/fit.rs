//! What an invocation takes by itself and what each of its records takes, from invocations with batches of many sizes.
//! Pure.

use crate::platform::spread::{Quantiles, Spread};

/// Invocations that are kept to fit: enough for a p99.9, in little memory.
pub(super) const SAMPLE_MAX: usize = 50_000;
/// Sizes of batches that are told apart: pairs of them grow with the square.
const GROUPS_MAX: usize = 128;

/// One invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timed {
    pub records: u32,
    pub duration_us: u64,
}

/// `duration = per_batch + records * per_record`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    /// What is left of each duration without its records: all of the noise is in it.
    pub per_batch: Spread,
    /// The same for every record; `None` where all batches had the same size.
    pub per_record: Option<Spread>,
    /// Records of the smallest and the largest batch.
    pub batches: (u32, u32),
}

/// A uniform sample of a stream of invocations. J. S. Vitter, "Random sampling with a reservoir", 1985, algorithm R.
pub(super) struct Sample {
    kept: Vec<Timed>,
    pub seen: u64,
    rng: fastrand::Rng,
}

impl Sample {
    /// Always the same of the same invocations.
    pub(super) fn new() -> Sample {
        Sample { kept: Vec::new(), seen: 0, rng: fastrand::Rng::with_seed(0) }
    }

    pub(super) fn take(&mut self, timed: Timed) {
        self.seen += 1;
        if self.kept.len() < SAMPLE_MAX {
            self.kept.push(timed);
        } else if let Some(place) = self.kept.get_mut(self.rng.u64(0..self.seen) as usize) {
            *place = timed;
        }
    }

    /// `None` of no invocation.
    pub(super) fn fit(mut self) -> Option<Fit> {
        self.kept.sort_unstable();
        let (first, last) = (self.kept.first()?, self.kept.last()?);
        let batches = (first.records, last.records);
        let slope_us = slope(&groups(&self.kept));
        let rest = |timed: &Timed| {
            let of_records = slope_us.unwrap_or(0.0) * f64::from(timed.records);
            (timed.duration_us as f64 - of_records).max(0.0).round() as u64
        };
        let mut rests: Vec<u64> = self.kept.iter().map(rest).collect();
        rests.sort_unstable();
        let micros = |us: f64| std::time::Duration::from_micros(us.round() as u64);
        Some(Fit {
            per_batch: Spread::Measured(Quantiles::of_sorted_us(&rests)?),
            per_record: slope_us.map(|us| Spread::fixed(micros(us))),
            batches,
        })
    }
}

/// Batches of about one size.
struct Group {
    records: f64,
    /// The median, us.
    duration_us: f64,
    invocations: usize,
}

/// `sorted` by size, those of one size by duration.
fn groups(sorted: &[Timed]) -> Vec<Group> {
    let sizes = sorted.chunk_by(|left, right| left.records == right.records).count();
    let per_group = sizes.div_ceil(GROUPS_MAX).max(1);
    let (mut groups, mut from, mut sizes_in) = (Vec::new(), 0, 0);
    let mut end = 0;
    for size in sorted.chunk_by(|left, right| left.records == right.records) {
        (end, sizes_in) = (end + size.len(), sizes_in + 1);
        if sizes_in == per_group || end == sorted.len() {
            groups.push(group(&sorted[from..end]));
            (from, sizes_in) = (end, 0);
        }
    }
    groups
}

fn group(timed: &[Timed]) -> Group {
    let mut durations: Vec<u64> = timed.iter().map(|timed| timed.duration_us).collect();
    durations.sort_unstable();
    let records: f64 = timed.iter().map(|timed| f64::from(timed.records)).sum();
    Group {
        records: records / timed.len() as f64,
        duration_us: durations[durations.len() / 2] as f64,
        invocations: timed.len(),
    }
}

/// Microseconds a record: the median of the slopes between any two groups, so that the odd slow invocation does not tilt
/// it. P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968; the weights, by distance, are
/// those of G. L. Sievers, "Weighted rank statistics for simple linear regression", 1978. Never below zero.
fn slope(groups: &[Group]) -> Option<f64> {
    let mut slopes: Vec<(f64, f64)> = Vec::new();
    for (index, left) in groups.iter().enumerate() {
        for right in &groups[index + 1..] {
            let distance = right.records - left.records;
            let weight = distance * left.invocations as f64 * right.invocations as f64;
            slopes.push(((right.duration_us - left.duration_us) / distance, weight));
        }
    }
    slopes.sort_by(|left, right| left.0.total_cmp(&right.0));
    let half = slopes.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    let middle = slopes.iter().find(|(_, weight)| {
        below += weight;
        below >= half
    });
    middle.map(|(slope, _)| slope.max(0.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    fn fitted(timed: impl IntoIterator<Item = (u32, u64)>) -> Fit {
        let mut sample = Sample::new();
        timed.into_iter().for_each(|(records, duration_us)| sample.take(Timed { records, duration_us }));
        sample.fit().expect("some")
    }

    fn measured(spread: Spread) -> Quantiles {
        let Spread::Measured(quantiles) = spread else { panic!("{spread:?}") };
        quantiles
    }

    #[test]
    fn what_does_not_vary_is_found_exactly() {
        let fit = fitted((1..=100).map(|records| (records, 5_000 + 40 * u64::from(records))));
        assert_eq!(fit.per_record, Some(Spread::fixed(Duration::from_micros(40))));
        assert_eq!(measured(fit.per_batch).durations(), [Duration::from_millis(5); Quantiles::COUNT]);
        assert_eq!(fit.batches, (1, 100));
    }

    #[test]
    fn slow_invocations_do_not_tilt_the_fit() {
        // One in ten takes a second more, and all of those have large batches.
        let slow = |records: u32| if records > 90 { 1_000_000 } else { 0 };
        let fit = fitted((1..=100).map(|records| (records, 5_000 + 40 * u64::from(records) + slow(records))));
        assert_eq!(fit.per_record, Some(Spread::fixed(Duration::from_micros(40))));
        let per_batch = measured(fit.per_batch);
        assert_eq!(per_batch.median(), Duration::from_millis(5));
        assert_eq!(per_batch.p99(), Duration::from_millis(1_005));
    }

    #[test]
    fn one_size_of_batch_tells_nothing_of_a_record() {
        let fit = fitted((0..1_000).map(|index| (100, 8_000 + index)));
        assert_eq!(fit.per_record, None);
        assert_eq!(measured(fit.per_batch).durations()[0], Duration::from_millis(8));
        assert!(Sample::new().fit().is_none());
    }

    #[test]
    fn a_long_run_is_sampled_as_a_whole() {
        let mut sample = Sample::new();
        for index in 0..4 * SAMPLE_MAX as u64 {
            sample.take(Timed { records: 10, duration_us: index });
        }
        assert_eq!((sample.seen, sample.kept.len()), (4 * SAMPLE_MAX as u64, SAMPLE_MAX));
        let median = measured(sample.fit().expect("some").per_batch).median().as_micros() as f64;
        let middle = 2.0 * SAMPLE_MAX as f64;
        assert!((median / middle - 1.0).abs() < 0.03, "{median}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// What is drawn from a model is fitted back.
        #[test]
        fn a_model_is_found_again(
            seed in any::<u64>(), median_us in 1_000u64..50_000, tail in 1.0f64..4.0, record_us in 20u64..500, sizes in 2u32..500,
        ) {
            let p99 = Duration::from_micros((median_us as f64 * tail) as u64);
            let per_batch = Spread::LogNormal { median: Duration::from_micros(median_us), p99 };
            let mut rng = fastrand::Rng::with_seed(seed);
            let fit = fitted((0..4_000).map(|_| {
                let records = rng.u32(1..=sizes);
                (records, per_batch.draw(&mut rng).as_micros() as u64 + record_us * u64::from(records))
            }));
            // Over the largest batch the slope is off by less than a tenth of what a batch takes, or of itself.
            let slope = fit.per_record.map_or(0.0, |spread| match spread {
                Spread::LogNormal { median, .. } => median.as_micros() as f64,
                Spread::Measured(_) => f64::NAN,
            });
            let off_us = (slope - record_us as f64).abs() * f64::from(sizes);
            prop_assert!(off_us <= 0.1 * (median_us as f64).max(record_us as f64 * f64::from(sizes)) + f64::from(sizes));
            let found = measured(fit.per_batch);
            let of = |duration: Duration| duration.as_micros() as f64;
            prop_assert!((of(found.median()) / median_us as f64 - 1.0).abs() < 0.1 + f64::from(sizes) / median_us as f64);
            prop_assert!((of(found.p99()) / of(p99) - 1.0).abs() < 0.25 + f64::from(sizes) / median_us as f64);
        }
    }
}
