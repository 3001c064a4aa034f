//! The shards of a stream and how they descend from each other.
//!
//! Kinesis developer guide, "Reshard a stream": a split or merge closes the parents, which can be read until
//! retention ends, and opens children, which take what is written from then on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::sync::watch;

use super::hash;
use super::memory::Memory;
use super::sequence::Sequence;
use super::shard::Shard;
use crate::platform::clock::WallUs;

/// Count in a closed shard's EndingSequenceNumber: above any record's. As kinesalite read it off the service.
const ENDING_COUNT: u64 = i64::MAX as u64;

pub struct ShardSlot {
    pub id: String,
    pub index: u32,
    pub first_hash: u128,
    pub last_hash: u128,
    /// None for a first shard, one after a split, two after a merge.
    pub parents: Vec<u32>,
    pub created_us: WallUs,
    closed: OnceLock<Closed>,
    shard: Mutex<Shard>,
    changed: watch::Sender<u64>,
}

/// How a shard ended.
pub struct Closed {
    pub at_us: WallUs,
    pub ending: Sequence,
    pub children: Vec<u32>,
}

impl ShardSlot {
    fn new(index: u32, range: (u128, u128), parents: &[&ShardSlot], now_us: WallUs) -> ShardSlot {
        // Numbers of a child are above its parents' even when they are a second old: the creation leads.
        let after_parents = parents.iter().map(|parent| parent.lock().created_s + 1).max().unwrap_or(0);
        let created_s = after_parents.max(now_us.div_euclid(1_000_000) as u64);
        ShardSlot {
            id: shard_id(index),
            index,
            first_hash: range.0,
            last_hash: range.1,
            parents: parents.iter().map(|parent| parent.index).collect(),
            created_us: now_us,
            closed: OnceLock::new(),
            shard: Mutex::new(Shard::new(index, created_s, now_us)),
            changed: watch::Sender::new(0),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().expect("shard lock")
    }

    pub fn closed(&self) -> Option<&Closed> {
        self.closed.get()
    }

    /// Wakes whoever waits for records. Whoever subscribes later reads the shard after that.
    pub fn notify(&self) {
        if self.changed.receiver_count() > 0 {
            self.changed.send_modify(|times| *times += 1);
        }
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn close(&self, children: Vec<u32>, now_us: WallUs) {
        let ending = self.lock().sequence(ENDING_COUNT, now_us.div_euclid(1_000));
        let _ = self.closed.set(Closed { at_us: now_us, ending, children });
        self.notify();
    }
}

/// A change of the shards that takes some time to come into force.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Split {
        shard: u32,
        /// First hash key of the upper child.
        at: u128,
    },
    /// The shard whose range ends where the next one begins.
    Merge {
        left: u32,
    },
    Resize {
        target: u32,
    },
}

pub struct Layout {
    /// Every shard within retention, by index.
    all: BTreeMap<u32, Arc<ShardSlot>>,
    /// The open ones, by hash range: together they hold every hash key once.
    open: Vec<Arc<ShardSlot>>,
    /// (When it was closed, index), oldest first.
    closed: VecDeque<(WallUs, u32)>,
    next_index: u32,
}

impl Layout {
    pub fn new(shards: u32, now_us: WallUs) -> Layout {
        let mut layout =
            Layout { all: BTreeMap::new(), open: Vec::new(), closed: VecDeque::new(), next_index: 0 };
        layout.open = hash::ranges(shards).into_iter().map(|range| layout.add(range, &[], now_us)).collect();
        layout
    }

    /// Open shards in the order of their hash ranges.
    pub fn open(&self) -> &[Arc<ShardSlot>] {
        &self.open
    }

    /// Every shard within retention, in the order of creation.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ShardSlot>> {
        self.all.values()
    }

    /// Those above an index.
    pub fn after(&self, index: u32) -> impl Iterator<Item = &Arc<ShardSlot>> {
        self.all.range(index.saturating_add(1)..).map(|(_, slot)| slot)
    }

    pub fn get(&self, index: u32) -> Option<&Arc<ShardSlot>> {
        self.all.get(&index)
    }

    /// A shard by `shardId-000000000003`; the API also takes `3`.
    pub fn named(&self, id: &str) -> Option<&Arc<ShardSlot>> {
        self.all.get(&shard_index(id)?)
    }

    /// Position in [`Layout::open`] of the shard whose range holds a hash key.
    pub fn shard_of(&self, hash_key: u128) -> usize {
        holding(&self.open, |slot| slot.last_hash, hash_key)
    }

    /// Position in [`Layout::open`] of an open shard.
    pub fn position(&self, slot: &ShardSlot) -> Option<usize> {
        slot.closed().is_none().then(|| self.shard_of(slot.first_hash))
    }

    pub fn apply(&mut self, change: Change, now_us: WallUs) {
        match change {
            Change::Split { shard, at } => {
                let Some(position) = self.get(shard).and_then(|slot| self.position(slot)) else { return };
                let whole = self.open[position].clone();
                let halves = self.divide(&whole, at, now_us);
                self.open.splice(position..=position, halves);
            }
            Change::Merge { left } => {
                let Some(position) = self.get(left).and_then(|slot| self.position(slot)) else { return };
                let Some(right) = self.open.get(position + 1).cloned() else { return };
                let left = self.open[position].clone();
                let joined = self.join(&left, &right, now_us);
                self.open.splice(position..=position + 1, [joined]);
            }
            Change::Resize { target } => self.resize(target, now_us),
        }
    }

    /// Splits and merges until `target` shards share the hash range equally. As on AWS this may open
    /// short-lived shards, which are closed at once (API reference, UpdateShardCount).
    pub fn resize(&mut self, target: u32, now_us: WallUs) {
        let cuts = self.cuts(target);
        let mut pieces = Vec::with_capacity(self.open.len().max(cuts.len()));
        for slot in std::mem::take(&mut self.open) {
            let from = cuts.partition_point(|cut| *cut <= slot.first_hash);
            let until = cuts.partition_point(|cut| *cut <= slot.last_hash);
            let mut rest = slot;
            for cut in &cuts[from..until] {
                let [lower, upper] = self.divide(&rest, *cut, now_us);
                pieces.push(lower);
                rest = upper;
            }
            pieces.push(rest);
        }
        let mut open: Vec<Arc<ShardSlot>> = Vec::with_capacity(cuts.len());
        for piece in pieces {
            match open.last() {
                Some(last) if cuts.binary_search(&piece.first_hash).is_err() => {
                    let joined = self.join(&last.clone(), &piece, now_us);
                    open.pop();
                    open.push(joined);
                }
                _ => open.push(piece),
            }
        }
        self.open = open;
    }

    /// First hash keys of `target` equal ranges. One that is a rounding error away from where a shard begins
    /// already is taken to be there: doubling the shards must not cut off slivers.
    fn cuts(&self, target: u32) -> Vec<u128> {
        let near = u128::from(target) + self.open.len() as u128;
        let snap = |cut: u128| {
            let at = self.open.partition_point(|slot| slot.first_hash < cut);
            let begins = |position: usize| self.open.get(position).map(|slot| slot.first_hash);
            let neighbours = [begins(at), at.checked_sub(1).and_then(begins)];
            neighbours.into_iter().flatten().find(|first| first.abs_diff(cut) <= near).unwrap_or(cut)
        };
        hash::ranges(target).into_iter().map(|(first, _)| if first == 0 { 0 } else { snap(first) }).collect()
    }

    /// Forgets shards that were closed before the trim horizon, with what they still hold.
    pub fn expire(&mut self, horizon_us: WallUs, memory: &Memory) {
        while self.first_closed_us().is_some_and(|at_us| at_us < horizon_us) {
            let gone = self.closed.pop_front().and_then(|(_, index)| self.all.remove(&index));
            if let Some(slot) = gone {
                slot.lock().clear(memory);
            }
        }
    }

    /// When the oldest closed shard was closed.
    pub fn first_closed_us(&self) -> Option<WallUs> {
        self.closed.front().map(|(at_us, _)| *at_us)
    }

    fn add(&mut self, range: (u128, u128), parents: &[&ShardSlot], now_us: WallUs) -> Arc<ShardSlot> {
        let slot = Arc::new(ShardSlot::new(self.next_index, range, parents, now_us));
        self.all.insert(self.next_index, slot.clone());
        self.next_index += 1;
        slot
    }

    fn close(&mut self, slot: &ShardSlot, children: Vec<u32>, now_us: WallUs) {
        slot.close(children, now_us);
        self.closed.push_back((now_us, slot.index));
    }

    fn divide(&mut self, whole: &ShardSlot, at: u128, now_us: WallUs) -> [Arc<ShardSlot>; 2] {
        let lower = self.add((whole.first_hash, at - 1), &[whole], now_us);
        let upper = self.add((at, whole.last_hash), &[whole], now_us);
        self.close(whole, vec![lower.index, upper.index], now_us);
        [lower, upper]
    }

    fn join(&mut self, left: &ShardSlot, right: &ShardSlot, now_us: WallUs) -> Arc<ShardSlot> {
        let joined = self.add((left.first_hash, right.last_hash), &[left, right], now_us);
        self.close(left, vec![joined.index], now_us);
        self.close(right, vec![joined.index], now_us);
        joined
    }
}

/// Binary search: a stream may have ten thousand open shards, and every record needs its own.
fn holding<T>(ordered: &[T], mut last_hash: impl FnMut(&T) -> u128, hash_key: u128) -> usize {
    ordered.partition_point(|one| last_hash(one) < hash_key)
}

/// `shardId-000000000003`.
pub fn shard_id(index: u32) -> String {
    format!("shardId-{index:012}")
}

/// The index in `shardId-000000000003` or `3`.
pub fn shard_index(id: &str) -> Option<u32> {
    let digits = id.split_once('-').map_or(id, |(_, digits)| digits);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The open shards hold every hash key once; every closed one has children that cover its range.
    fn check(layout: &Layout) {
        let open = layout.open();
        assert_eq!((open[0].first_hash, open[open.len() - 1].last_hash), (0, u128::MAX));
        assert!(open.windows(2).all(|pair| pair[0].last_hash + 1 == pair[1].first_hash));
        assert!(open.iter().all(|slot| slot.closed().is_none()));
        for slot in layout.all() {
            for parent in &slot.parents {
                let parent = layout.get(*parent).expect("within retention");
                let closed = parent.closed().expect("closed before its children opened");
                assert!(closed.children.contains(&slot.index));
                assert!(parent.lock().created_s < slot.lock().created_s, "numbers rise over the lineage");
            }
        }
    }

    #[test]
    fn doubling_splits_each_shard_and_halving_merges_pairs() {
        for shards in [1, 2, 3, 7, 100] {
            let mut layout = Layout::new(shards, 0);
            layout.resize(shards * 2, 1_000_000);
            check(&layout);
            assert_eq!(layout.all().count(), shards as usize * 3, "no short-lived shards");
            layout.resize(shards, 2_000_000);
            check(&layout);
            assert_eq!(layout.all().count(), shards as usize * 4);
        }
    }

    #[test]
    fn routing_among_ten_thousand_shards_looks_at_few() {
        let layout = Layout::new(10_000, 0);
        for slot in layout.open() {
            let mut looked_at = 0;
            let count = |slot: &Arc<ShardSlot>| {
                looked_at += 1;
                slot.last_hash
            };
            let found = holding(layout.open(), count, slot.first_hash);
            assert_eq!(layout.open()[found].index, slot.index);
            assert!(looked_at <= 15, "{looked_at}");
        }
    }

    proptest! {
        #[test]
        fn any_row_of_changes_keeps_the_hash_range_whole(
            first in 1u32..20, steps in proptest::collection::vec((0u8..3, any::<u128>(), 1u32..40), 1..12),
        ) {
            let mut layout = Layout::new(first, 0);
            for ((kind, hash_key, target), at_s) in steps.into_iter().zip(1..) {
                let slot = layout.open()[layout.shard_of(hash_key)].clone();
                prop_assert!((slot.first_hash..=slot.last_hash).contains(&hash_key));
                let change = match kind {
                    0 if hash_key > slot.first_hash => Change::Split { shard: slot.index, at: hash_key },
                    1 => Change::Merge { left: slot.index },
                    _ => Change::Resize { target },
                };
                layout.apply(change, at_s * 1_000_000);
                check(&layout);
                if let Change::Resize { target } = change {
                    prop_assert_eq!(layout.open().len(), target as usize);
                }
            }
        }
    }
}
