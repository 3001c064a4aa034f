//! The token bucket behind each of a shard's limits.

use crate::platform::clock::WallUs;

/// Tokens that come back at a constant rate, up to a burst.
///
/// Why a bucket and not a fixed window of a second: the API reference of GetRecords describes debt ("if a
/// call returns 10 MiB, subsequent calls made within the next 5 seconds throw", at 2 MiB a second), and
/// the guide on large records lets one of 10 MiB into a shard that takes 1 MiB a second "on average".
/// Neither is possible with windows. The burst is one second's worth: after an idle second exactly 1,000
/// records pass at once, and any steady rate up to 1,000/s passes for ever.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    per_s: i64,
    burst: i64,
    /// Millionths of a token; negative while a debt is paid off.
    level_millionths: i64,
    at_us: WallUs,
}

impl Bucket {
    /// A full bucket. `burst` is at least 1; the product of a second's tokens and 10^6 must fit `i64`.
    pub fn new(per_s: u64, burst: u64, now_us: WallUs) -> Bucket {
        let (per_s, burst) = (per_s as i64, burst as i64);
        Bucket { per_s, burst, level_millionths: burst * 1_000_000, at_us: now_us }
    }

    /// Whether `tokens` may be taken now. More than the burst may be taken when the bucket is full; the
    /// debt is paid off before anything else passes.
    pub fn has(&mut self, tokens: u64, now_us: WallUs) -> bool {
        let passed_us = (now_us - self.at_us).max(0);
        self.at_us = self.at_us.max(now_us);
        let full = self.burst * 1_000_000;
        let refill = passed_us.saturating_mul(self.per_s);
        self.level_millionths = self.level_millionths.saturating_add(refill).min(full);
        self.level_millionths >= (tokens as i64).min(self.burst) * 1_000_000
    }

    /// Takes tokens, going into debt if need be.
    pub fn take(&mut self, tokens: u64) {
        self.level_millionths -= tokens as i64 * 1_000_000;
    }

    pub fn in_debt(&self) -> bool {
        self.level_millionths < 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(bucket: &mut Bucket, tries: u64, now_us: WallUs) -> u64 {
        let mut count = 0;
        for _ in 0..tries {
            if bucket.has(1, now_us) {
                bucket.take(1);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn a_second_of_burst_then_the_rate() {
        let mut bucket = Bucket::new(1_000, 1_000, 0);
        assert_eq!(admitted(&mut bucket, 5_000, 0), 1_000);
        assert_eq!(admitted(&mut bucket, 5_000, 999), 0);
        assert_eq!(admitted(&mut bucket, 5_000, 100_000), 100);
        assert_eq!(admitted(&mut bucket, 5_000, 60_000_000), 1_000);
    }

    #[test]
    fn a_steady_rate_at_the_limit_passes_and_twice_it_is_halved() {
        let mut bucket = Bucket::new(1_000, 1_000, 0);
        let at_limit: u64 = (0..60_000).map(|ms| admitted(&mut bucket, 1, ms * 1_000)).sum();
        assert_eq!(at_limit, 60_000);
        let twice: u64 = (60_000..120_000).map(|ms| admitted(&mut bucket, 2, ms * 1_000)).sum();
        assert_eq!(twice, 60_999);
    }

    #[test]
    fn a_debt_is_paid_off_at_the_rate() {
        let mut bucket = Bucket::new(1_000, 1_000, 0);
        assert!(bucket.has(10_000, 0));
        bucket.take(10_000);
        assert!(bucket.in_debt() && !bucket.has(1, 9_000_999) && bucket.has(1, 9_001_000));
    }
}
