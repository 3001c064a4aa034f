//! The values of one metric in one period, for percentiles: exact while few values are distinct, then as
//! sparse buckets that get wider so that the number of buckets stays bounded.

/// Distinct buckets while a period is open. One more halves the precision.
const OPEN_MAX: usize = 512;
/// Distinct buckets once the period is over. A factor of a thousand between the smallest and the largest
/// value then gives buckets 7 to 12 % wide; AWS's own agent keeps them 10 % wide.
const CLOSED_MAX: usize = 96;
/// Bits that keep sign and exponent of an f64: the widest bucket is one power of two.
const SHIFT_MAX: u32 = 52;

/// A value-to-count map whose keys are the values' leading bits.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    /// Low bits of the ordered representation that were dropped.
    shift: u32,
    /// (ordered bits >> shift, count), ascending.
    buckets: Vec<(u64, f64)>,
    total: f64,
}

/// Bits of a float whose unsigned order is the order of the floats, negative ones included.
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn from_ordered(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

impl Distribution {
    pub fn add(&mut self, value: f64, count: f64) {
        let key = ordered(value) >> self.shift;
        self.total += count;
        match self.buckets.binary_search_by_key(&key, |bucket| bucket.0) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => {
                self.buckets.insert(at, (key, count));
                self.shrink_to(OPEN_MAX);
            }
        }
    }

    pub fn merge(&mut self, other: &Distribution) {
        while self.shift < other.shift {
            self.widen();
        }
        for &(key, count) in &other.buckets {
            let key = key >> (self.shift - other.shift);
            match self.buckets.binary_search_by_key(&key, |bucket| bucket.0) {
                Ok(at) => self.buckets[at].1 += count,
                Err(at) => self.buckets.insert(at, (key, count)),
            }
        }
        self.total += other.total;
        self.shrink_to(OPEN_MAX);
    }

    /// Called when the period is over, to give memory back.
    pub fn close(&mut self) {
        self.shrink_to(CLOSED_MAX);
        self.buckets.shrink_to_fit();
    }

    fn shrink_to(&mut self, most: usize) {
        while self.buckets.len() > most && self.shift < SHIFT_MAX {
            self.widen();
        }
    }

    fn widen(&mut self) {
        // Values of one magnitude share their low zero bits, so that the first steps often merge nothing.
        self.shift += 1;
        for bucket in &mut self.buckets {
            bucket.0 >>= 1;
        }
        self.buckets.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 += later.1;
            }
            same
        });
    }

    /// The smallest value that at least `percent` of the samples do not pass, clamped to `minimum..=maximum`;
    /// inside a bucket wider than one value it is interpolated. `None` when there is no sample.
    pub fn percentile(&self, percent: f64, minimum: f64, maximum: f64) -> Option<f64> {
        let rank = (percent / 100.0 * self.total).max(f64::MIN_POSITIVE);
        let mut below = 0.0;
        for &(key, count) in &self.buckets {
            if below + count >= rank - 1e-9 {
                let share = ((rank - below) / count).clamp(0.0, 1.0);
                return Some(self.inside(key, share).clamp(minimum, maximum));
            }
            below += count;
        }
        self.buckets.last().map(|_| maximum)
    }

    /// Mean of the samples between two percentiles: `tm` and `IQM`.
    pub fn trimmed_mean(
        &self,
        low_percent: f64,
        high_percent: f64,
        minimum: f64,
        maximum: f64,
    ) -> Option<f64> {
        let (low, high) = (low_percent / 100.0 * self.total, high_percent / 100.0 * self.total);
        let (mut below, mut sum, mut kept) = (0.0, 0.0, 0.0);
        for &(key, count) in &self.buckets {
            let inside = ((below + count).min(high) - f64::max(below, low)).max(0.0);
            sum += inside * self.inside(key, 0.5).clamp(minimum, maximum);
            kept += inside;
            below += count;
        }
        (kept > 0.0).then(|| sum / kept)
    }

    fn inside(&self, key: u64, share: f64) -> f64 {
        let low = from_ordered(key << self.shift);
        if self.shift == 0 {
            return low;
        }
        let high = from_ordered((key << self.shift) | ((1 << self.shift) - 1));
        if low.is_finite() && high.is_finite() { low + (high - low) * share } else { low }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(values: &mut [f64], percent: f64) -> f64 {
        values.sort_by(f64::total_cmp);
        let rank = (percent / 100.0 * values.len() as f64).ceil().max(1.0) as usize;
        values[rank - 1]
    }

    #[test]
    fn few_distinct_values_are_exact() {
        let mut distribution = Distribution::default();
        for value in 1..=100 {
            distribution.add(f64::from(value) * 0.1, 1.0);
        }
        assert_eq!(distribution.percentile(50.0, 0.1, 10.0), Some(5.0));
        assert_eq!(distribution.percentile(99.0, 0.1, 10.0), Some(9.9));
        assert_eq!(distribution.percentile(100.0, 0.1, 10.0), Some(10.0));
        let middle = distribution.trimmed_mean(25.0, 75.0, 0.1, 10.0).unwrap();
        assert!((middle - 5.05).abs() < 1e-9, "{middle}");
        assert_eq!(Distribution::default().percentile(50.0, 0.0, 0.0), None);
    }

    proptest! {
        #[test]
        fn many_values_stay_bounded_and_near_the_truth(
            mut values in proptest::collection::vec(1.0..1_000.0f64, 1_000..2_000),
            percent in 1.0..99.9f64,
        ) {
            let mut distribution = Distribution::default();
            for value in &values {
                distribution.add(*value, 1.0);
            }
            prop_assert!(distribution.len() <= OPEN_MAX);
            let truth = exact(&mut values, percent);
            let open = distribution.percentile(percent, values[0], values[values.len() - 1]).unwrap();
            prop_assert!((open - truth).abs() <= truth * 0.05, "{open} for {truth}");
            distribution.close();
            prop_assert!(distribution.len() <= CLOSED_MAX);
            let closed = distribution.percentile(percent, values[0], values[values.len() - 1]).unwrap();
            prop_assert!((closed - truth).abs() <= truth * 0.15, "{closed} for {truth}");
        }

        #[test]
        fn merging_is_adding(
            left in proptest::collection::vec(-50.0..50.0f64, 0..200),
            right in proptest::collection::vec(-50.0..50.0f64, 0..200),
        ) {
            let (mut one, mut two, mut both) = Default::default();
            let fill = |into: &mut Distribution, values: &[f64]| values.iter().for_each(|value| into.add(*value, 1.0));
            fill(&mut one, &left);
            fill(&mut two, &right);
            fill(&mut both, &left);
            fill(&mut both, &right);
            one.merge(&two);
            prop_assert_eq!(one.percentile(50.0, -50.0, 50.0), both.percentile(50.0, -50.0, 50.0));
        }
    }
}
