//! The only source of time: a wall-clock anchor plus tokio's instant, so that everything above it runs
//! unchanged under tokio's paused clock.

use std::time::Duration;

use tokio::time::Instant;

/// Microseconds since the Unix epoch.
pub type WallUs = i64;

/// A wall clock that advances with [`tokio::time::Instant`]. It never steps: an NTP correction after
/// the anchor was taken is not followed, so that differences of two readings are true durations.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor_wall_us: WallUs,
    anchor: Instant,
}

impl Clock {
    /// A clock anchored at the machine's wall clock. Called once per process.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn start() -> Clock {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Clock { anchor_wall_us: since_epoch.as_micros() as i64, anchor: Instant::now() }
    }

    /// A clock that reads `wall_us` now: for tests and virtual time.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn starting_at(wall_us: WallUs) -> Clock {
        Clock { anchor_wall_us: wall_us, anchor: Instant::now() }
    }

    /// The monotonic instant, to wait with.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Microseconds since the Unix epoch.
    pub fn now_us(&self) -> WallUs {
        self.wall_us_of(self.instant())
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_us().div_euclid(1_000)
    }

    /// The wall time of an instant of this clock.
    pub fn wall_us_of(&self, instant: Instant) -> WallUs {
        match instant.checked_duration_since(self.anchor) {
            Some(after) => self.anchor_wall_us + after.as_micros() as i64,
            None => self.anchor_wall_us - self.anchor.duration_since(instant).as_micros() as i64,
        }
    }

    /// The instant at which this clock reads `wall_us`; the anchor for any time before it.
    pub fn instant_of(&self, wall_us: WallUs) -> Instant {
        let after_us = wall_us.saturating_sub(self.anchor_wall_us).max(0);
        self.anchor + Duration::from_micros(after_us as u64)
    }
}

/// How long something takes for the user who waits: wall time, also where the run's own clock is virtual.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: std::time::Instant,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn start() -> Stopwatch {
        Stopwatch { started: std::time::Instant::now() }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(feature = "cli")]
impl aws_smithy_async::time::TimeSource for Clock {
    fn now(&self) -> std::time::SystemTime {
        std::time::UNIX_EPOCH + Duration::from_micros(self.now_us().max(0) as u64)
    }
}

/// `2026-11-21T01:32:40.123456Z`: how wall times are written in every file.
#[cfg(feature = "cli")]
pub fn rfc3339(wall_us: WallUs) -> String {
    match jiff::Timestamp::from_microsecond(wall_us) {
        Ok(timestamp) => format!("{timestamp:.6}"),
        Err(_) => format!("{wall_us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// While an hour passes the machine's own clock stands still: for whoever read it again it would have been set
    /// back by an hour.
    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_set_back_changes_no_duration() {
        let clock = Clock::start();
        let (due, due_us) = (clock.instant(), clock.now_us());
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(clock.now_us() - due_us, 3_600_000_000);
        assert_eq!(clock.wall_us_of(due), due_us, "what was due then was due then");
    }

    #[tokio::test(start_paused = true)]
    async fn advances_with_the_paused_clock_and_converts_both_ways() {
        let clock = Clock::starting_at(1_700_000_000_000_000);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now_us(), 1_700_000_090_000_000);
        assert_eq!(clock.now_ms(), 1_700_000_090_000);
        let later = clock.now_us() + 1_500;
        assert_eq!(clock.wall_us_of(clock.instant_of(later)), later);
        assert_eq!(rfc3339(1_700_000_000_000_001), "2023-11-14T22:13:20.000001Z");
    }
}
