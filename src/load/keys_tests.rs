//! Which key a record gets: the shares of each distribution, and that a seed decides.

use super::*;

fn picker(count: u32, seed: u64) -> KeyPicker {
    KeyPicker::new(&plan::Keys::uniform(count, seed))
}

/// The first outputs of splitmix64 with state 1234567, as published with the reference implementation
/// (Rosetta Code, "Pseudo-random numbers/Splitmix64").
#[test]
fn mix_is_splitmix64() {
    let outputs: Vec<u64> =
        (0..3).map(|i| mix(1_234_567_u64.wrapping_add(GOLDEN_GAMMA.wrapping_mul(i)))).collect();
    assert_eq!(outputs, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
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
    let chi_squared: f64 = counts.iter().map(|count| (f64::from(*count) - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi_squared < 148.2, "{chi_squared}");
    assert!((0..1_000).all(|sequence| self::picker(1, 7).index(sequence) == 0));
}

fn of(count: u32, distribution: plan::KeyDistribution) -> KeyPicker {
    KeyPicker::new(&plan::Keys { count, seed: 1, distribution })
}

fn counts_of(picker: &KeyPicker, count: u32, records: u64) -> Vec<u64> {
    let mut counts = vec![0; count as usize];
    for sequence in 0..records {
        counts[picker.index(sequence) as usize] += 1;
    }
    counts
}

/// Chi-squared over the keys, against exact shares.
fn chi_squared(counts: &[u64], shares: impl Iterator<Item = f64>) -> f64 {
    let records = counts.iter().sum::<u64>() as f64;
    let terms = counts.iter().zip(shares);
    terms.map(|(count, share)| (*count as f64 - records * share).powi(2) / (records * share)).sum()
}

/// 99 degrees of freedom, 0.1 % point 148.2.
#[test]
fn zipf_keys_have_the_shares_of_the_formula() {
    for exponent in [0.5, 1.0, 1.1, 2.0] {
        let picker = of(100, plan::KeyDistribution::Zipf { exponent });
        let counts = counts_of(&picker, 100, 1_000_000);
        let weights: Vec<f64> = (1..=100).map(|n| f64::from(n).powf(-exponent)).collect();
        let sum: f64 = weights.iter().sum();
        let chi_squared = chi_squared(&counts, weights.iter().map(|weight| weight / sum));
        assert!(chi_squared < 148.2, "{exponent}: {chi_squared}");
    }
}

#[test]
fn zipf_without_an_exponent_is_uniform_and_its_ends_are_keys() {
    let flat = of(100, plan::KeyDistribution::Zipf { exponent: 0.0 });
    let counts = counts_of(&flat, 100, 100_000);
    assert!(chi_squared(&counts, std::iter::repeat(0.01)) < 148.2);
    let largest = of(plan::KEYS_MAX, plan::KeyDistribution::Zipf { exponent: 0.1 });
    assert!((0..10_000).all(|sequence| largest.index(sequence) < plan::KEYS_MAX));
    assert!((0..10_000).any(|sequence| largest.index(sequence) > plan::KEYS_MAX / 2));
}

#[test]
fn a_hot_key_has_its_share_and_the_others_the_rest_alike() {
    let picker = of(101, plan::KeyDistribution::Hot { share: 0.6 });
    let counts = counts_of(&picker, 101, 1_000_000);
    // 100 degrees of freedom, 0.1 % point 149.4.
    let shares = std::iter::once(0.6).chain(std::iter::repeat(0.004));
    let chi_squared = chi_squared(&counts, shares);
    assert!(chi_squared < 149.4, "{chi_squared}");
    let all = of(5, plan::KeyDistribution::Hot { share: 1.0 });
    assert_eq!(counts_of(&all, 5, 1_000), [1_000, 0, 0, 0, 0]);
}

#[test]
fn keys_in_turn_take_the_shards_in_turn_and_keep_theirs() {
    let hash_keys: Arc<[Arc<str>]> = ["10", "20", "30"].map(Arc::from).into();
    let picker = of(6, plan::KeyDistribution::RoundRobin).under(hash_keys);
    let put = |sequence| (picker.key(sequence), picker.hash_key(sequence).unwrap().to_string());
    let first: Vec<(String, String)> = (0..6).map(put).collect();
    assert_eq!(
        first.iter().map(|(_, hash)| hash.as_str()).collect::<Vec<_>>(),
        ["10", "20", "30", "10", "20", "30"]
    );
    assert_eq!((6..12).map(put).collect::<Vec<_>>(), first, "the same key, the same shard");
    assert_eq!(of(6, plan::KeyDistribution::Uniform).hash_key(0), None, "the key's own hash decides");
}
