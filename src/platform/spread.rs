//! A duration that varies: log-normal, as latencies mostly are, known by its median and its 99th percentile; or as it was
//! measured, known by more of its quantiles.

use std::time::Duration;

/// The 99th percentile of the standard normal distribution. NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.1.
const NORMAL_P99: f64 = 2.326_347_874;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// `median` is above zero or everything is zero; `p99` is the median or more. The same median and p99 do not vary.
    LogNormal {
        median: Duration,
        p99: Duration,
    },
    Measured(Quantiles),
}

impl Spread {
    pub const NONE: Spread = Spread::fixed(Duration::ZERO);

    /// What does not vary.
    pub const fn fixed(duration: Duration) -> Spread {
        Spread::LogNormal { median: duration, p99: duration }
    }

    /// The same distribution of durations that are `factor` times as long.
    pub fn scaled(self, factor: f64) -> Spread {
        let scaled = |duration: Duration| duration.mul_f64(factor);
        match self {
            Spread::LogNormal { median, p99 } => {
                Spread::LogNormal { median: scaled(median), p99: scaled(p99) }
            }
            Spread::Measured(Quantiles(durations)) => Spread::Measured(Quantiles(durations.map(scaled))),
        }
    }

    /// One duration of the distribution, by the next numbers of `rng`; to the microsecond.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Duration {
        match self {
            Spread::LogNormal { median, p99 } => at(*median, *p99, normal(rng)),
            Spread::Measured(quantiles) => quantiles.at(rng.f64()),
        }
    }
}

/// `duration` in the whole milliseconds that tokio's timers wait: they round up, and what a duration has beyond whole
/// milliseconds is a millisecond with that probability, so that many of them take as long as they should.
pub fn to_timer_grain(duration: Duration, rng: &mut fastrand::Rng) -> Duration {
    let beyond_us = duration.as_micros() as u64 % 1_000;
    let more = u64::from(beyond_us > 0 && rng.u64(0..1_000) < beyond_us);
    Duration::from_millis(duration.as_millis() as u64 + more)
}

impl From<Duration> for Spread {
    fn from(duration: Duration) -> Spread {
        Spread::fixed(duration)
    }
}

/// The duration that lies `z` standard deviations from the median, on the logarithmic scale.
fn at(median: Duration, p99: Duration, z: f64) -> Duration {
    if median.is_zero() || p99 <= median {
        return median;
    }
    let sigma = (p99.as_secs_f64() / median.as_secs_f64()).ln() / NORMAL_P99;
    Duration::from_micros((median.as_secs_f64() * (sigma * z).exp() * 1e6).round() as u64)
}

/// A number of the standard normal distribution. G. E. P. Box and M. E. Muller, "A Note on the Generation of Random
/// Normal Deviates", 1958; cut off at 4 standard deviations, which one in 16,000 passes.
fn normal(rng: &mut fastrand::Rng) -> f64 {
    let (u, v) = (1.0 - rng.f64(), rng.f64());
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()).clamp(-4.0, 4.0)
}

/// A distribution by the durations that these shares of it do not pass; between two of them every duration is as likely
/// as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles([Duration; Quantiles::COUNT]);

impl Quantiles {
    pub const COUNT: usize = 10;
    /// Their names, ascending.
    pub const NAMES: [&'static str; Quantiles::COUNT] =
        ["min", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999", "max"];
    /// Their shares, 0 to 1.
    pub const SHARES: [f64; Quantiles::COUNT] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0];

    /// `None` where one is below the one before it.
    pub fn new(durations: [Duration; Quantiles::COUNT]) -> Option<Quantiles> {
        durations.is_sorted().then_some(Quantiles(durations))
    }

    /// Of measured microseconds, which are sorted: each the smallest value that its share does not pass. `None` of none.
    pub fn of_sorted_us(values: &[u64]) -> Option<Quantiles> {
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| (share * values.len() as f64).ceil() as usize;
        let of = |share: f64| Duration::from_micros(values[at(share).saturating_sub(1).min(last)]);
        Quantiles::new(Quantiles::SHARES.map(of))
    }

    pub fn durations(&self) -> [Duration; Quantiles::COUNT] {
        self.0
    }

    pub fn median(&self) -> Duration {
        self.0[3]
    }

    pub fn p99(&self) -> Duration {
        self.0[7]
    }

    /// What the share `share`, 0 to 1, does not pass; to the microsecond.
    fn at(&self, share: f64) -> Duration {
        let above = Quantiles::SHARES.partition_point(|known| *known <= share).min(Quantiles::COUNT - 1);
        let (low, high) = (Quantiles::SHARES[above - 1], Quantiles::SHARES[above]);
        let (from, to) = (self.0[above - 1].as_micros() as f64, self.0[above].as_micros() as f64);
        let us = from + (to - from) * ((share - low) / (high - low)).clamp(0.0, 1.0);
        Duration::from_micros(us.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn drawn_durations_have_the_median_and_the_99th_percentile_asked_for() {
        let spread = Spread::LogNormal { median: Duration::from_millis(8), p99: Duration::from_millis(40) };
        let mut rng = fastrand::Rng::with_seed(1);
        let mut drawn: Vec<f64> = (0..100_000).map(|_| spread.draw(&mut rng).as_secs_f64() * 1e3).collect();
        drawn.sort_by(f64::total_cmp);
        let (p50, p99, max) = (drawn[50_000], drawn[99_000], drawn[99_999]);
        assert!((7.9..8.1).contains(&p50), "{p50}");
        assert!((38.5..41.5).contains(&p99), "{p99}");
        // Four standard deviations: 8 ms * 5^(4 / 2.326).
        assert!(max <= 127.4, "{max}");
    }

    #[test]
    fn what_does_not_vary_is_what_it_is() {
        let mut rng = fastrand::Rng::with_seed(1);
        let fixed = Spread::fixed(Duration::from_millis(15));
        assert!((0..100).all(|_| fixed.draw(&mut rng) == Duration::from_millis(15)));
        assert_eq!(Spread::NONE.draw(&mut rng), Duration::ZERO);
    }

    #[test]
    fn whole_milliseconds_take_as_long_as_what_they_stand_for() {
        let mut rng = fastrand::Rng::with_seed(1);
        let total: Duration =
            (0..10_000).map(|_| to_timer_grain(Duration::from_micros(1_280), &mut rng)).sum();
        assert!((12_700..12_900).contains(&total.as_millis()), "{total:?}");
        assert_eq!(to_timer_grain(Duration::from_millis(3), &mut rng), Duration::from_millis(3));
    }

    #[test]
    fn quantiles_of_few_values_are_those_values() {
        assert_eq!(Quantiles::of_sorted_us(&[]), None);
        let one = Quantiles::of_sorted_us(&[7]).expect("a value");
        assert_eq!(one.durations(), [Duration::from_micros(7); Quantiles::COUNT]);
        let four = Quantiles::of_sorted_us(&[1, 2, 3, 100]).expect("values");
        assert_eq!((four.median(), four.p99()), (Duration::from_micros(2), Duration::from_micros(100)));
        assert_eq!(four.at(0.0), Duration::from_micros(1));
        assert_eq!(four.at(1.0), Duration::from_micros(100));
        let mut falling = four.durations();
        falling[4] = Duration::ZERO;
        assert_eq!(Quantiles::new(falling), None);
    }

    proptest! {
        /// What was measured is drawn again: a sample of one distribution, its quantiles, a sample of those.
        #[test]
        fn what_is_drawn_from_quantiles_has_them(seed in any::<u64>(), median_us in 100u64..100_000, tail in 1.5f64..8.0) {
            let p99 = Duration::from_micros((median_us as f64 * tail) as u64);
            let truth = Spread::LogNormal { median: Duration::from_micros(median_us), p99 };
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut sample = |of: Spread| {
                let mut drawn: Vec<u64> = (0..20_000).map(|_| of.draw(&mut rng).as_micros() as u64).collect();
                drawn.sort_unstable();
                drawn
            };
            let measured = sample(truth);
            let again = sample(Spread::Measured(Quantiles::of_sorted_us(&measured).expect("values")));
            // Two samples of 20,000: their p99 are a tenth apart by chance once in a hundred times.
            for (rank, apart) in [(2_000, 0.1), (10_000, 0.1), (18_000, 0.1), (19_800, 0.25)] {
                let (old, new) = (measured[rank] as f64, again[rank] as f64);
                prop_assert!((new / old - 1.0).abs() < apart, "rank {}: {} and {}", rank, old, new);
            }
            let mean = |values: &[u64]| values.iter().sum::<u64>() as f64 / values.len() as f64;
            prop_assert!((mean(&again) / mean(&measured) - 1.0).abs() < 0.1);
        }
    }
}
