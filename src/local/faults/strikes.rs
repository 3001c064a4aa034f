//! When a fault strikes: seeded, counted in the times that it is asked, or in time.

use std::time::Duration;

use super::spec::{CrashPoint, FaultSpec, KillWhen, Kind, Share};

/// A counted `drop` or `lost-answer` is used up within this many eligible records or requests.
pub const RECORD_SPAN: u64 = 2_000;
/// A counted `redeliver`, `swap`, `lost-receipt` or `kill-function` is used up within this many eligible batches.
pub const BATCH_SPAN: u64 = 40;

/// When one spec strikes next.
pub struct Strikes {
    rng: fastrand::Rng,
    when: When,
}

enum When {
    /// `left` more strikes, the next after `until_next` further questions; gaps are uniform in `1..=gap_max`.
    Counted { left: u64, until_next: u64, gap_max: u64 },
    /// Each question by itself.
    Random { per_million: u32 },
    /// The first question once `due_us` is reached; the first question of all sets it.
    Periodic { every_us: i64, due_us: Option<i64> },
    /// It does not choose: every request is held.
    Always,
}

impl Strikes {
    pub fn of(spec: &FaultSpec) -> Strikes {
        let seed = spec.seed ^ mark_of(spec.kind.name());
        let random = |per_million| Strikes::with(seed, When::Random { per_million });
        match spec.kind {
            Kind::Drop { count } | Kind::LostAnswer { share: Share::Count(count) } => {
                Strikes::counted(count, seed, RECORD_SPAN)
            }
            Kind::Redeliver { count }
            | Kind::Swap { count }
            | Kind::LostReceipt { count }
            | Kind::KillFunction { when: KillWhen::Count(count), .. } => {
                Strikes::counted(count, seed, BATCH_SPAN)
            }
            Kind::KillFunction { when: KillWhen::Every(every), .. } => Strikes::periodic(every, seed),
            Kind::LostAnswer { share: Share::PerMillion(per_million) }
            | Kind::Error { per_million }
            | Kind::Throttle { per_million } => random(per_million),
            // The first ones, one after the other: what is refused once is then allowed.
            Kind::Refuse { count: Some(count), .. } => Strikes::counted(count, seed, count),
            Kind::Refuse { count: None, .. } => Strikes::with(seed, When::Always),
            Kind::Latency { .. } | Kind::Stall { .. } => Strikes::with(seed, When::Always),
        }
    }

    fn with(seed: u64, when: When) -> Strikes {
        Strikes { rng: fastrand::Rng::with_seed(seed), when }
    }

    /// Uniform gaps up to `span / count`: spread out, unpredictable, and used up within `span` questions.
    fn counted(count: u64, seed: u64, span: u64) -> Strikes {
        let mut rng = fastrand::Rng::with_seed(seed);
        let gap_max = (span / count).max(1);
        let until_next = rng.u64(1..=gap_max);
        Strikes { rng, when: When::Counted { left: count, until_next, gap_max } }
    }

    fn periodic(every: Duration, seed: u64) -> Strikes {
        Strikes::with(seed, When::Periodic { every_us: every.as_micros() as i64, due_us: None })
    }

    /// Whether the thing that is asked about is struck.
    pub fn next(&mut self, now_us: i64) -> bool {
        match &mut self.when {
            When::Always => true,
            When::Random { per_million } => self.rng.u32(0..1_000_000) < *per_million,
            When::Counted { left: 0, .. } => false,
            When::Counted { left, until_next, gap_max } => {
                *until_next -= 1;
                if *until_next > 0 {
                    return false;
                }
                *left -= 1;
                *until_next = self.rng.u64(1..=*gap_max);
                true
            }
            When::Periodic { every_us, due_us } => {
                let due = *due_us.get_or_insert_with(|| now_us.saturating_add(*every_us));
                if now_us < due {
                    return false;
                }
                // Periods in which nothing was asked are not made up for.
                *due_us = Some(now_us.saturating_add(*every_us));
                true
            }
        }
    }

    /// One of the two, from the seed.
    pub fn crash_point(&mut self) -> CrashPoint {
        if self.rng.bool() { CrashPoint::Work } else { CrashPoint::Receipt }
    }
}

/// Sets the kinds apart: with one seed, those that count the same things would otherwise strike the same ones.
fn mark_of(kind: &str) -> u64 {
    kind.bytes().fold(0, |mark: u64, byte| mark.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(spec: &str) -> Strikes {
        Strikes::of(&spec.parse().expect("spec"))
    }

    #[test]
    fn a_period_strikes_the_first_question_after_it() {
        let mut strikes = strikes("kill-function:every=10s");
        let second = 1_000_000;
        let asked_s = [5, 9, 14, 15, 16, 24, 25, 90, 91, 99, 100];
        let struck: Vec<i64> = asked_s.into_iter().filter(|s| strikes.next(s * second)).collect();
        assert_eq!(struck, [15, 25, 90, 100]);
    }

    #[test]
    fn counts_are_met_exactly_within_their_span() {
        for (spec, count, span) in [
            ("drop:count=25,seed=7", 25, RECORD_SPAN),
            ("lost-receipt:count=3,seed=2", 3, BATCH_SPAN),
            ("kill-function:count=5", 5, BATCH_SPAN),
        ] {
            let mut strikes = strikes(spec);
            let struck: Vec<u64> = (0..5_000).filter(|_| strikes.next(0)).collect();
            assert_eq!(struck.len(), count, "{spec}");
            assert!(struck[count - 1] < span, "{spec}: {struck:?}");
        }
    }
}
