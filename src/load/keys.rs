//! Partition keys: a pure function of seed and sequence, so that a resumed or repeated run sends the same.

use crate::plan;

/// Picks one of `count` keys, uniformly.
#[derive(Clone, Debug)]
pub struct KeyPicker {
    count: u32,
    seed: u64,
}

impl KeyPicker {
    pub fn new(keys: &plan::Keys) -> KeyPicker {
        KeyPicker { count: keys.count.max(1), seed: mix(keys.seed) }
    }

    /// Index of the key of this record, below the number of keys.
    pub fn index(&self, sequence: u64) -> u32 {
        let random = mix(self.seed ^ sequence.wrapping_mul(GOLDEN_GAMMA));
        // The upper half of the product is uniform over `0..count`, without a division.
        ((u128::from(random) * u128::from(self.count)) >> 64) as u32
    }

    /// The key itself: `key-000123`.
    pub fn key(&self, sequence: u64) -> String {
        format!("key-{:06}", self.index(sequence))
    }
}

/// Increment of splitmix64: the golden ratio in 64 bits.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of splitmix64 (Steele, Lea and Flood, 2014; constants as in <https://prng.di.unimi.it/splitmix64.c>).
pub(super) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN_GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(count: u32, seed: u64) -> KeyPicker {
        KeyPicker::new(&plan::Keys { count, seed })
    }

    /// The first outputs of splitmix64 with state 1234567, as published with the reference implementation
    /// (Rosetta Code, "Pseudo-random numbers/Splitmix64").
    #[test]
    fn mix_is_splitmix64() {
        let outputs: Vec<u64> =
            (0..3).map(|i| mix(1_234_567_u64.wrapping_add(GOLDEN_GAMMA.wrapping_mul(i)))).collect();
        assert_eq!(
            outputs,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn the_same_seed_picks_the_same_keys_and_another_seed_others() {
        let keys = |seed| (0..100).map(|k| picker(1_000, seed).index(k)).collect::<Vec<_>>();
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
    }

    #[test]
    fn keys_have_the_length_that_the_plan_counts_with() {
        let largest = picker(plan::KEYS_MAX, 1);
        for sequence in 0..10_000 {
            assert_eq!(largest.key(sequence).len(), plan::PARTITION_KEY_BYTES);
        }
    }

    /// Chi-squared over 100 keys and 100,000 records: 99 degrees of freedom, 0.1 % point 148.2.
    #[test]
    fn keys_are_uniform() {
        let picker = picker(100, 1);
        let mut counts = [0_u32; 100];
        for sequence in 0..100_000 {
            counts[picker.index(sequence) as usize] += 1;
        }
        let chi_squared: f64 =
            counts.iter().map(|count| (f64::from(*count) - 1_000.0).powi(2) / 1_000.0).sum();
        assert!(chi_squared < 148.2, "{chi_squared}");
        assert!((0..1_000).all(|sequence| self::picker(1, 7).index(sequence) == 0));
    }
}
