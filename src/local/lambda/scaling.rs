//! How fast a function may get new sandboxes.

use std::time::Duration;

use tokio::time::Instant;

/// New sandboxes of a function in [`EVERY`]. Lambda developer guide, "Concurrency scaling rate".
const SANDBOXES_MAX: u32 = 1_000;
const EVERY: Duration = Duration::from_secs(10);

/// A bucket of sandboxes that may be started, refilled continuously, as the developer guide says.
pub struct Scaling {
    left: f64,
    at: Instant,
}

impl Scaling {
    /// A full bucket.
    pub fn new(now: Instant) -> Scaling {
        Scaling { left: f64::from(SANDBOXES_MAX), at: now }
    }

    /// Takes one sandbox, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let most = f64::from(SANDBOXES_MAX);
        let refilled = now.duration_since(self.at).as_secs_f64() / EVERY.as_secs_f64() * most;
        self.left = (self.left + refilled).min(most);
        self.at = now;
        let any = self.left >= 1.0;
        if any {
            self.left -= 1.0;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::Clock;

    #[tokio::test]
    async fn a_thousand_at_once_then_a_hundred_a_second() {
        let start = Clock::starting_at(0).instant();
        let mut scaling = Scaling::new(start);
        let mut taken = |at: Instant| (0..5_000).filter(|_| scaling.take(at)).count();
        assert_eq!(taken(start), 1_000);
        assert_eq!(taken(start + Duration::from_secs(1)), 100);
        assert_eq!(taken(start + Duration::from_secs(100)), 1_000, "what was not used does not add up");
    }
}
