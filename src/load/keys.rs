//! Partition keys: a pure function of seed and sequence, so that a resumed or repeated run sends the same, and
//! the accounting knows each record's key without being told.

use std::sync::Arc;

use super::arrivals::unit;
use crate::plan::{self, KeyDistribution};

/// Picks one of the keys for each record.
#[derive(Clone, Debug)]
pub struct KeyPicker {
    count: u32,
    seed: u64,
    pick: Pick,
    /// Where keys take turns: a hash key in each open shard, as Kinesis takes it.
    hash_keys: Arc<[Arc<str>]>,
}

#[derive(Clone, Debug)]
enum Pick {
    Uniform,
    /// The share of all keys up to each one: 8 bytes a key. The first that passes a uniform number is it
    /// (inverse transform: Devroye, Non-Uniform Random Variate Generation, 1986, ch. III.2).
    Cumulative(Arc<[f64]>),
    Hot {
        share: f64,
    },
    InTurn,
}

impl KeyPicker {
    pub fn new(keys: &plan::Keys) -> KeyPicker {
        let count = keys.count.max(1);
        let pick = match keys.distribution {
            KeyDistribution::Uniform => Pick::Uniform,
            KeyDistribution::Zipf { exponent } => Pick::Cumulative(zipf(count, exponent)),
            KeyDistribution::Hot { share } => Pick::Hot { share },
            KeyDistribution::RoundRobin => Pick::InTurn,
        };
        KeyPicker { count, seed: mix(keys.seed), pick, hash_keys: Arc::default() }
    }

    /// With the hash keys that records are put under in turn; without any, each key's own hash decides.
    pub fn under(self, hash_keys: Arc<[Arc<str>]>) -> KeyPicker {
        KeyPicker { hash_keys, ..self }
    }

    /// Index of the key of this record, below the number of keys.
    pub fn index(&self, sequence: u64) -> u32 {
        let random = mix(self.seed ^ sequence.wrapping_mul(GOLDEN_GAMMA));
        match &self.pick {
            Pick::Uniform => below(self.count, random),
            Pick::Cumulative(shares) => {
                let place = unit(random);
                (shares.partition_point(|share| *share <= place) as u32).min(self.count - 1)
            }
            Pick::Hot { share } if unit(random) < *share || self.count == 1 => 0,
            // Another draw: the first one is no longer uniform.
            Pick::Hot { .. } => 1 + below(self.count - 1, mix(random)),
            Pick::InTurn => (sequence % u64::from(self.count)) as u32,
        }
    }

    /// The key itself: `key-000123`.
    pub fn key(&self, sequence: u64) -> String {
        format!("key-{:06}", self.index(sequence))
    }

    /// The hash key that this record is to be put under, where the key's own hash does not decide. It goes with the
    /// key, so that the records of a key stay in one shard and in order.
    pub fn hash_key(&self, sequence: u64) -> Option<Arc<str>> {
        if self.hash_keys.is_empty() {
            return None;
        }
        self.hash_keys.get(self.index(sequence) as usize % self.hash_keys.len()).cloned()
    }
}

/// The cumulated shares of keys whose n-th has a share proportional to `1 / n^exponent`.
fn zipf(count: u32, exponent: f64) -> Arc<[f64]> {
    let mut sum = 0.0;
    let mut shares: Vec<f64> = (1..=count)
        .map(|n| {
            sum += f64::from(n).powf(-exponent);
            sum
        })
        .collect();
    for share in &mut shares {
        *share /= sum;
    }
    shares.into()
}

/// Uniform over `0..count`: the upper half of the product, without a division.
fn below(count: u32, random: u64) -> u32 {
    ((u128::from(random) * u128::from(count)) >> 64) as u32
}

/// Increment of splitmix64: the golden ratio in 64 bits.
pub(super) const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of splitmix64 (Steele, Lea and Flood, 2014; constants as in <https://prng.di.unimi.it/splitmix64.c>).
pub(super) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN_GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
