//! Partition keys to hash keys, and the hash ranges of shards.

use md5::{Digest, Md5};

/// The hash key of a partition key: its MD5 as a 128-bit number. Kinesis API reference, PutRecord.
pub fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// First and last hash key of each shard of a new stream: equal parts, the last taking the remainder, as
/// the service splits them.
pub fn ranges(shards: u32) -> Vec<(u128, u128)> {
    let shards = u128::from(shards.max(1));
    // 2^128 / shards without 129-bit arithmetic: exact where shards divides 2^128, else the same floor.
    let size = u128::MAX / shards + u128::from(u128::MAX % shards == shards - 1 && shards > 1);
    (0..shards)
        .map(|index| {
            let last = if index == shards - 1 { u128::MAX } else { (index + 1) * size - 1 };
            (index * size, last)
        })
        .collect()
}

/// A hash key as the API writes it: decimal, no sign, no leading zero, below 2^128.
pub fn parse_hash_key(text: &str) -> Option<u128> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_as_the_service_does() {
        assert_eq!(ranges(1), [(0, u128::MAX)]);
        // A stream of three shards on AWS; the figures stand in many of its guides.
        let three = ranges(3);
        assert_eq!(three[0].1, 113427455640312821154458202477256070484);
        assert_eq!(three[1].0, 113427455640312821154458202477256070485);
        assert_eq!(three[2], (226854911280625642308916404954512140970, u128::MAX));
        assert_eq!(ranges(2)[1].0, 1 << 127);
    }

    #[test]
    fn hashes_with_md5() {
        // RFC 1321, the test suite's md5 of "a".
        assert_eq!(hash_key("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    proptest! {
        #[test]
        fn any_number_of_shards_partitions_the_hash_space(shards in 1u32..20_000, key in any::<u128>()) {
            let ranges = ranges(shards);
            prop_assert_eq!(ranges.len(), shards as usize);
            prop_assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, u128::MAX));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0 && pair[0].0 <= pair[0].1));
            let holding = ranges.iter().filter(|(first, last)| (*first..=*last).contains(&key)).count();
            prop_assert_eq!(holding, 1);
        }
    }
}
