//! The idle sandboxes of a host: taken last in, first out, so that few stay warm; bounded in number and age.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{IDLE_FOR_MAX, IDLE_SANDBOXES_MAX};

/// Idle sandboxes by function ARN. Ending a sandbox is the caller's work: every method returns those to end.
pub struct IdlePool<S> {
    functions: BTreeMap<String, Idle<S>>,
}

struct Idle<S> {
    /// Sandboxes below this revision are not taken back.
    lowest_revision: u64,
    /// Oldest first.
    sandboxes: Vec<Entry<S>>,
}

struct Entry<S> {
    revision: u64,
    since: Instant,
    sandbox: S,
}

impl<S> Entry<S> {
    fn fits(&self, revision: u64, now: Instant) -> bool {
        self.revision == revision && now.duration_since(self.since) < IDLE_FOR_MAX
    }
}

impl<S> Default for IdlePool<S> {
    fn default() -> IdlePool<S> {
        IdlePool { functions: BTreeMap::new() }
    }
}

impl<S> IdlePool<S> {
    /// The sandbox of this revision that fell idle last, unless it is idle for too long.
    pub fn take(&mut self, arn: &str, revision: u64, now: Instant) -> Option<S> {
        let idle = self.functions.get_mut(arn)?;
        let last = idle.sandboxes.last()?;
        if last.fits(revision, now) { idle.sandboxes.pop().map(|entry| entry.sandbox) } else { None }
    }

    /// Whether [`IdlePool::take`] would give one.
    pub fn has(&self, arn: &str, revision: u64, now: Instant) -> bool {
        let last = self.functions.get(arn).and_then(|idle| idle.sandboxes.last());
        last.is_some_and(|last| last.fits(revision, now))
    }

    /// Takes a sandbox back. Returns the one to end, if any: this one when its revision was retired, the
    /// oldest when there are too many.
    pub fn put(&mut self, arn: &str, revision: u64, now: Instant, sandbox: S) -> Option<S> {
        let idle = self
            .functions
            .entry(arn.to_owned())
            .or_insert_with(|| Idle { lowest_revision: 0, sandboxes: Vec::new() });
        if revision < idle.lowest_revision {
            return Some(sandbox);
        }
        idle.sandboxes.push(Entry { revision, since: now, sandbox });
        (idle.sandboxes.len() > IDLE_SANDBOXES_MAX).then(|| idle.sandboxes.remove(0).sandbox)
    }

    pub fn retire(&mut self, arn: &str, below_revision: u64) -> Vec<S> {
        let idle = self
            .functions
            .entry(arn.to_owned())
            .or_insert_with(|| Idle { lowest_revision: 0, sandboxes: Vec::new() });
        idle.lowest_revision = idle.lowest_revision.max(below_revision);
        split(&mut idle.sandboxes, |entry| entry.revision < below_revision)
    }

    /// Those idle for too long.
    pub fn expire(&mut self, now: Instant) -> Vec<S> {
        let expired = |entry: &Entry<S>| now.duration_since(entry.since) >= IDLE_FOR_MAX;
        self.functions.values_mut().flat_map(|idle| split(&mut idle.sandboxes, expired)).collect()
    }

    pub fn drain(&mut self) -> Vec<S> {
        self.functions.values_mut().flat_map(|idle| split(&mut idle.sandboxes, |_| true)).collect()
    }
}

/// Takes out the entries that match, keeping the order of the rest.
fn split<S>(entries: &mut Vec<Entry<S>>, matches: impl Fn(&Entry<S>) -> bool) -> Vec<S> {
    let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(entries).into_iter().partition(|e| matches(e));
    *entries = kept;
    gone.into_iter().map(|entry| entry.sandbox).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn gives_the_last_one_back_first_and_forgets_the_old() {
        let clock = Clock::starting_at(0);
        let mut pool = IdlePool::default();
        assert!(pool.put("f", 1, clock.instant(), "a").is_none());
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(pool.put("f", 1, clock.instant(), "b").is_none());
        assert_eq!(pool.take("f", 1, clock.instant()), Some("b"));
        assert!(pool.put("f", 1, clock.instant(), "b").is_none());
        tokio::time::sleep(Duration::from_secs(301)).await;
        assert_eq!(pool.expire(clock.instant()), ["a"]);
        assert_eq!(pool.take("f", 1, clock.instant()), Some("b"));
        assert_eq!(pool.take("f", 1, clock.instant()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_nothing_of_a_retired_revision_and_no_more_than_its_bound() {
        let now = Clock::starting_at(0).instant();
        let mut pool = IdlePool::default();
        pool.put("f", 1, now, 0);
        assert_eq!(pool.retire("f", 2), [0]);
        assert_eq!(pool.put("f", 1, now, 1), Some(1), "it was busy while its revision was retired");
        for sandbox in 0..IDLE_SANDBOXES_MAX as i32 {
            assert_eq!(pool.put("f", 2, now, sandbox), None);
        }
        assert_eq!(pool.put("f", 2, now, 99), Some(0));
    }
}
