//! A duration that varies: log-normal, as latencies mostly are, known by its median and its 99th percentile.

use std::time::Duration;

/// The 99th percentile of the standard normal distribution. NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.1.
const NORMAL_P99: f64 = 2.326_347_874;

/// `median` is above zero or everything is zero; `p99` is the median or more. The same median and p99 do not vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub median: Duration,
    pub p99: Duration,
}

impl Spread {
    pub const NONE: Spread = Spread { median: Duration::ZERO, p99: Duration::ZERO };

    /// What does not vary.
    pub const fn fixed(duration: Duration) -> Spread {
        Spread { median: duration, p99: duration }
    }

    /// One duration of the distribution, by the next numbers of `rng`; to the microsecond.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Duration {
        self.at(normal(rng))
    }

    /// The duration that lies `z` standard deviations from the median, on the logarithmic scale.
    fn at(&self, z: f64) -> Duration {
        if self.median.is_zero() || self.p99 <= self.median {
            return self.median;
        }
        let sigma = (self.p99.as_secs_f64() / self.median.as_secs_f64()).ln() / NORMAL_P99;
        Duration::from_micros((self.median.as_secs_f64() * (sigma * z).exp() * 1e6).round() as u64)
    }
}

impl From<Duration> for Spread {
    fn from(duration: Duration) -> Spread {
        Spread::fixed(duration)
    }
}

/// A number of the standard normal distribution. G. E. P. Box and M. E. Muller, "A Note on the Generation of Random
/// Normal Deviates", 1958; cut off at 4 standard deviations, which one in 16,000 passes.
fn normal(rng: &mut fastrand::Rng) -> f64 {
    let (u, v) = (1.0 - rng.f64(), rng.f64());
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()).clamp(-4.0, 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_durations_have_the_median_and_the_99th_percentile_asked_for() {
        let spread = Spread { median: Duration::from_millis(8), p99: Duration::from_millis(40) };
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
}
