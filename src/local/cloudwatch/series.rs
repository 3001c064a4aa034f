//! One metric: its samples summed into buckets, which get coarser with age as CloudWatch's do.

use std::collections::BTreeMap;

use super::distribution::Distribution;

/// (bucket width, how long buckets of that width are kept), seconds. CloudWatch user guide, "Metrics
/// retention": high resolution 3 hours, one minute 15 days, five minutes 63 days, one hour 455 days.
pub const TIERS: [(i64, i64); 4] =
    [(1, 3 * 3_600), (60, 15 * 86_400), (300, 63 * 86_400), (3_600, 455 * 86_400)];
/// Tier of a sample of standard resolution.
pub const STANDARD: usize = 1;
/// Tier of a sample of high resolution (`StorageResolution` 1).
pub const HIGH_RESOLUTION: usize = 0;

/// The samples of one period.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub sum: f64,
    pub count: f64,
    pub minimum: f64,
    pub maximum: f64,
    /// `None` once a statistic set came in: percentiles cannot be told from it.
    pub values: Option<Distribution>,
}

impl Bucket {
    /// An empty bucket; without `keep_values` it answers no percentiles.
    pub fn new(keep_values: bool) -> Bucket {
        Bucket {
            sum: 0.0,
            count: 0.0,
            minimum: f64::INFINITY,
            maximum: f64::NEG_INFINITY,
            values: keep_values.then(Distribution::default),
        }
    }

    pub fn add(&mut self, value: f64, count: f64) {
        self.sum += value * count;
        self.count += count;
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
        if let Some(values) = &mut self.values {
            values.add(value, count);
        }
    }

    /// A pre-aggregated statistic set. One of a single value keeps percentiles possible (user guide,
    /// "Percentiles": SampleCount is 1, or Min equals Max).
    pub fn add_statistics(&mut self, set: StatisticSet) {
        if set.minimum == set.maximum {
            if let Some(values) = &mut self.values {
                values.add(set.minimum, set.count);
            }
        } else {
            self.values = None;
        }
        self.sum += set.sum;
        self.count += set.count;
        self.minimum = self.minimum.min(set.minimum);
        self.maximum = self.maximum.max(set.maximum);
    }

    pub fn merge(&mut self, other: &Bucket) {
        self.sum += other.sum;
        self.count += other.count;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        match (&mut self.values, &other.values) {
            (Some(values), Some(more)) => values.merge(more),
            _ => self.values = None,
        }
    }

    fn close(&mut self) {
        if let Some(values) = &mut self.values {
            values.close();
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct StatisticSet {
    pub count: f64,
    pub sum: f64,
    pub minimum: f64,
    pub maximum: f64,
}

/// The name of a metric. Dimensions are sorted by name: their order means nothing to CloudWatch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricId {
    pub namespace: String,
    pub metric: String,
    pub dimensions: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Series {
    pub id: MetricId,
    /// Unit of the first sample.
    pub unit: String,
    keep_values: bool,
    /// By [`TIERS`]: start of the bucket in seconds since the epoch.
    tiers: [BTreeMap<i64, Bucket>; TIERS.len()],
}

impl Series {
    pub fn new(id: MetricId, unit: String) -> Series {
        // Kinesis publishes only minimum, maximum and average (developer guide, "Monitoring"): percentiles
        // of put latency are the generator's to measure, and the local endpoint must not offer them.
        let keep_values = id.namespace != "AWS/Kinesis";
        Series { id, unit, keep_values, tiers: Default::default() }
    }

    /// The bucket that takes a sample of `at_s`; opening one ages the older ones.
    pub fn bucket(&mut self, at_s: i64, tier: usize, now_s: i64) -> &mut Bucket {
        let start = at_s - at_s.rem_euclid(TIERS[tier].0);
        if !self.tiers[tier].contains_key(&start) {
            if let Some(mut newest) = self.tiers[tier].last_entry() {
                newest.get_mut().close();
            }
            self.age(now_s);
        }
        let keep_values = self.keep_values;
        self.tiers[tier].entry(start).or_insert_with(|| Bucket::new(keep_values))
    }

    /// Moves buckets past their tier's retention into the next, coarser tier.
    fn age(&mut self, now_s: i64) {
        for tier in 0..TIERS.len() {
            let oldest_kept = now_s - TIERS[tier].1;
            while let Some(entry) = self.tiers[tier].first_entry() {
                if *entry.key() >= oldest_kept {
                    break;
                }
                let (start, mut bucket) = entry.remove_entry();
                let Some(next) = self.tiers.get_mut(tier + 1) else { continue };
                bucket.close();
                let start = start - start.rem_euclid(TIERS[tier + 1].0);
                next.entry(start).and_modify(|coarse| coarse.merge(&bucket)).or_insert(bucket);
            }
        }
    }

    /// Buckets of `period_s` that begin in `from_s..to_s`, aligned to `origin_s`. Data kept coarser than the
    /// period is not there for it, as at AWS.
    pub fn read(&self, from_s: i64, to_s: i64, period_s: i64, origin_s: i64) -> BTreeMap<i64, Bucket> {
        let mut read: BTreeMap<i64, Bucket> = BTreeMap::new();
        for (tier, buckets) in self.tiers.iter().enumerate() {
            if TIERS[tier].0 > period_s || from_s >= to_s {
                continue;
            }
            for (start, bucket) in buckets.range(from_s..to_s) {
                let start = start - (start - origin_s).rem_euclid(period_s);
                read.entry(start).and_modify(|sum| sum.merge(bucket)).or_insert_with(|| bucket.clone());
            }
        }
        read
    }

    /// Start of the newest bucket, seconds since the epoch.
    pub fn newest_s(&self) -> Option<i64> {
        self.tiers.iter().filter_map(|tier| tier.last_key_value().map(|(start, _)| *start)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        let id = MetricId { namespace: "N".to_owned(), metric: "M".to_owned(), dimensions: Vec::new() };
        Series::new(id, "Count".to_owned())
    }

    #[test]
    fn samples_are_summed_by_minute_and_periods_by_their_origin() {
        let mut series = series();
        for at_s in [600, 630, 659, 660, 720] {
            series.bucket(at_s, STANDARD, at_s).add(2.0, 1.0);
        }
        let minutes = series.read(600, 780, 60, 0);
        let sums: Vec<_> = minutes.iter().map(|(start, bucket)| (*start, bucket.sum)).collect();
        assert_eq!(sums, [(600, 6.0), (660, 2.0), (720, 2.0)]);
        let from_start = series.read(660, 780, 120, 660);
        assert_eq!(from_start.keys().collect::<Vec<_>>(), [&660]);
        assert_eq!(from_start[&660].count, 2.0);
    }

    #[test]
    fn old_minutes_become_five_minutes_and_memory_stays_bounded() {
        let mut series = series();
        let days = 40;
        for minute in 0..days * 1_440 {
            series.bucket(minute * 60, STANDARD, minute * 60).add(1.0, 1.0);
        }
        assert_eq!(series.tiers[STANDARD].len(), 15 * 1_440 + 1);
        assert!(series.read(0, 3_600, 60, 0).is_empty());
        let hour = series.read(0, 3_600, 300, 0);
        assert_eq!(hour.len(), 12);
        assert_eq!(hour[&0].sum, 5.0);
        let all: f64 = series.read(0, days * 86_400, 3_600, 0).values().map(|bucket| bucket.sum).sum();
        assert_eq!(all, (days * 1_440) as f64);
    }

    #[test]
    fn a_statistic_set_takes_percentiles_away_unless_it_is_one_value() {
        let mut bucket = Bucket::new(true);
        bucket.add_statistics(StatisticSet { count: 3.0, sum: 6.0, minimum: 2.0, maximum: 2.0 });
        assert_eq!(bucket.values.as_ref().unwrap().percentile(50.0, 2.0, 2.0), Some(2.0));
        bucket.add_statistics(StatisticSet { count: 2.0, sum: 6.0, minimum: 1.0, maximum: 5.0 });
        assert!(bucket.values.is_none());
        assert_eq!((bucket.sum, bucket.count, bucket.minimum, bucket.maximum), (12.0, 5.0, 1.0, 5.0));
    }
}
