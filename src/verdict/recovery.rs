//! What other settings would make of an outage: from the rate at which the backlog went, and how busy the lanes were.

use crate::evidence::model::EnvironmentInfo;
use crate::evidence::recovery::Recovery;
use crate::platform::limits;

/// Lanes busy for at least this part of the time are what a backlog waits for.
pub(super) const LANES_BUSY: f64 = 0.8;

/// How soon all would have been caught up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sooner {
    pub parallelization: u32,
    /// From the revert on.
    pub catch_up_s: f64,
}

/// Twice the parallelization, and again, and the most that there can be.
pub fn doublings(environment: &EnvironmentInfo) -> Vec<u32> {
    let (from, most) = (environment.parallelization.max(1), *limits::MAPPING_PARALLELIZATION.end());
    let doubled = std::iter::successors(Some(from * 2), |to| Some(to * 2)).take_while(|to| *to < most);
    doubled.chain((from < most).then_some(most)).collect()
}

/// With other parallelizations: as many times the lanes go through as many times the batches, since each takes as long
/// as before, up to what the shards give out to be read. None where the lanes were not busy: then the backlog waited for
/// something else.
pub fn sooner(
    recovery: &Recovery,
    environment: &EnvironmentInfo,
    payload_bytes: usize,
    parallelizations: &[u32],
) -> Vec<Sooner> {
    let from = environment.parallelization.max(1);
    let Some(drained) = recovery.drained.filter(|drained| drained.lanes_busy >= LANES_BUSY) else {
        return Vec::new();
    };
    let shards = f64::from(environment.shards.max(1));
    let read_rps = limits::SHARD_READ_BYTES_PER_S as f64 * shards / payload_bytes.max(1) as f64;
    let one = |parallelization: u32| {
        let times = f64::from(parallelization) / f64::from(from);
        let lasting_s = drained.lasting_s((drained.processed_rps * times).min(read_rps))?;
        Some(Sooner { parallelization, catch_up_s: recovery.resumed_s + lasting_s })
    };
    parallelizations.iter().copied().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::recovery::Drained;

    fn environment(parallelization: u32) -> EnvironmentInfo {
        EnvironmentInfo { shards: 1, parallelization, ..EnvironmentInfo::default() }
    }

    fn drained(lanes_busy: f64) -> Recovery {
        let drained =
            Drained { lasted_s: 100.0, processed_rps: 30.0, arrived_rps: 20.0, lanes_busy, surge_s: 0.0 };
        Recovery { off_s: 50.0, resumed_s: 2.0, drained: Some(drained), oldest_ms: 52_000.0 }
    }

    #[test]
    fn busy_lanes_are_what_a_backlog_waits_for() {
        let soon = |recovery: &Recovery, bytes| {
            let computed = sooner(recovery, &environment(2), bytes, &doublings(&environment(2)));
            computed.iter().map(|one| (one.parallelization, one.catch_up_s)).collect::<Vec<_>>()
        };
        // 1,000 records: at 60, 120 and 150 a second, 20 of which arrive.
        assert_eq!(soon(&drained(0.9), 100), [(4, 27.0), (8, 12.0), (10, 2.0 + 1_000.0 / 130.0)]);
        assert_eq!(soon(&drained(0.5), 100), [], "more lanes would be idle too");
        // A shard gives out 2 MiB a second.
        assert_eq!(
            soon(&drained(0.9), 2 << 14)[1..],
            [(8, 2.0 + 1_000.0 / 44.0), (10, 2.0 + 1_000.0 / 44.0)]
        );
        assert_eq!(doublings(&environment(1)), [2, 4, 8, 10]);
        assert_eq!(doublings(&environment(10)), [0; 0]);
    }
}
