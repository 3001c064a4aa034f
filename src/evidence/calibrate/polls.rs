//! How late the event source mapping polls: seen in when batches start, where it had nothing to do before. Pure.

use std::time::Duration;

use crate::platform::clock::WallUs;

/// What polls are apart where nothing is late. Lambda developer guide, "Polling and batching streams": once a second.
const POLL_EVERY_US: i64 = 1_000_000;
/// An invocation that starts so long after the last one ended is the first of a poll.
const IDLE_US: i64 = 300_000;
/// What lies further from a second is not two polls after one another.
const NEAR_US: i64 = 50_000;
/// Fewer say nothing.
const POLLS_MIN: usize = 20;

/// The mean lateness, from the start and the end of each invocation of a shard, ascending. `None` where too few polls can
/// be told apart: under a backlog, or where batches wait for a window.
pub(super) fn late(invocations: &[(WallUs, WallUs)]) -> Option<Duration> {
    let mut firsts = Vec::new();
    let mut busy_until = WallUs::MIN;
    for (started, ended) in invocations {
        if started.saturating_sub(busy_until) > IDLE_US {
            firsts.push(*started);
        }
        busy_until = busy_until.max(*ended);
    }
    let apart = firsts.windows(2).map(|pair| pair[1] - pair[0] - POLL_EVERY_US);
    let late: Vec<i64> = apart.filter(|late| late.abs() <= NEAR_US).collect();
    if late.len() < POLLS_MIN {
        return None;
    }
    let mean_us = late.iter().sum::<i64>() as f64 / late.len() as f64;
    Some(Duration::from_micros(mean_us.max(0.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls 1.3 ms late on average, three batches each, whose starts jitter.
    fn invocations(polls: i64) -> Vec<(WallUs, WallUs)> {
        let batch = |poll: i64, batch: i64| {
            let started = poll * 1_001_300 + poll * 7 % 5 * 400 + batch * 12_000;
            (started, started + 10_000)
        };
        (0..polls).flat_map(|poll| (0..3).map(move |index| batch(poll, index))).collect()
    }

    #[test]
    fn the_mean_lateness_is_found_from_the_first_batches_of_polls() {
        let late_us = late(&invocations(101)).expect("enough polls").as_micros();
        assert!((1_290..=1_310).contains(&late_us), "{late_us}");
    }

    #[test]
    fn too_few_polls_or_a_backlog_tell_nothing() {
        assert_eq!(late(&[]), None);
        assert_eq!(late(&invocations(20)), None);
        let backlog: Vec<(WallUs, WallUs)> =
            (0..1_000).map(|index| (index * 200_000, index * 200_000 + 199_000)).collect();
        assert_eq!(late(&backlog), None);
    }
}
