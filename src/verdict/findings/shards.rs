//! How the load fell on the shards, from the receipts: each names the shard that its records came from.

use crate::evidence::model::Evidence;

use super::{Change, EvidenceItem, Placed, grouped, shown};

/// The busiest shard's share over an even one, from which on the load is skewed: a hundred keys a shard stay within
/// about 1.3 of it with a probability of 99.7 %.
const SKEWED: f64 = 1.3;
/// Keys for each shard with which the busiest gets at most about a third more than the mean.
const KEYS_A_SHARD: u32 = 100;

/// A load that falls unevenly on the shards.
#[derive(Debug)]
pub(super) struct Skew {
    pub shard: String,
    pub shards: u32,
    /// Records of the busiest shard, and of all.
    pub records: u64,
    pub of: u64,
    /// The busiest shard's share over an even share.
    pub factor: f64,
}

/// How unevenly a level was delivered; `None` where it was not, or where no receipt tells.
pub(super) fn skew(evidence: &Evidence, placed: Placed<'_>) -> Option<Skew> {
    let by_shard = evidence.by_shard.get(&placed.level.index)?;
    let shards = evidence.environment.shards.max(by_shard.len() as u32);
    let (shard, records) = by_shard.iter().max_by_key(|(_, records)| **records)?;
    let of: u64 = by_shard.values().sum();
    let factor = *records as f64 / of.max(1) as f64 * f64::from(shards);
    (shards > 1 && factor >= SKEWED).then(|| Skew {
        shard: shard.clone(),
        shards,
        records: *records,
        of,
        factor,
    })
}

impl Skew {
    pub(super) fn share_percent(&self) -> f64 {
        self.records as f64 / self.of.max(1) as f64 * 100.0
    }

    /// `shardId-000000000001 got 100 % of the records instead of 50 %`.
    pub(super) fn text(&self) -> String {
        format!(
            "{} got {} % of the records that came through instead of {} %",
            self.shard,
            shown(self.share_percent().round()),
            shown((100.0 / f64::from(self.shards)).round())
        )
    }

    pub(super) fn evidence_item(&self, placed: Placed<'_>) -> EvidenceItem {
        EvidenceItem {
            metric: format!("delivered through {}, of {} records", self.shard, grouped(&self.of.to_string())),
            at_us: placed.level.started_us,
            value: self.share_percent(),
            unit: "%",
            level: Some(placed.name()),
        }
    }
}

/// More keys where they are few; where they are not, keys of which none carries too much.
pub(super) fn better_keys(evidence: &Evidence, placed: Placed<'_>) -> Change {
    let keys = evidence.plan.tests().nth(placed.test.plan_index).map_or(u32::MAX, |test| test.keys.count);
    let enough = evidence.environment.shards.max(1).saturating_mul(KEYS_A_SHARD);
    if keys < enough { Change::PartitionKeys { from: keys, to: enough } } else { Change::EvenKeys }
}
