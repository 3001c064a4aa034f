//! Sequence numbers: 56 decimal digits, as Kinesis gives them.
//!
//! The layout is the one that kinesalite read off the real service (`db/index.js`, version 2), here in
//! hexadecimal digits from the top: `2`, creation of the shard in epoch seconds (9), low digit of the
//! shard's index (1), count within the shard (16), zero (2), time in epoch seconds (9), index of the
//! shard (8), `2`. So numbers of one shard rise with its count, and no two shards share one.

use std::fmt;

/// A sequence number taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// When the shard was created, epoch seconds; below 2^36.
    pub shard_created_s: u64,
    pub shard_index: u32,
    /// Position within the shard, from 0 (the shard's starting sequence number).
    pub count: u64,
    /// When the record arrived, epoch seconds; below 2^36.
    pub at_s: u64,
}

/// 10^19: the largest power of ten in 64 bits.
const CHUNK: u128 = 10_000_000_000_000_000_000;
/// Decimal digits in a [`CHUNK`].
const CHUNK_DIGITS: usize = 19;
/// Bits of a time in seconds.
const TIME_BITS: u32 = 36;

impl Sequence {
    /// The number as 192 bits, most significant word first.
    ///
    /// From the bottom: version 4 bits, shard index 32, time 36, zero 8, count 64, low digit of the index
    /// 4, creation 36, and 2 on top: 188 bits.
    fn words(self) -> [u64; 3] {
        let mask = (1 << TIME_BITS) - 1;
        let low: u128 = 2
            | u128::from(self.shard_index) << 4
            | u128::from(self.at_s & mask) << 36
            | u128::from(self.count) << 80;
        // Bits 80..144 hold the count: 48 of them are in `low`, the upper 16 here.
        let high = self.count >> 48
            | u64::from(self.shard_index & 0xF) << 16
            | (self.shard_created_s & mask) << 20
            | 2 << 56;
        [high, (low >> 64) as u64, low as u64]
    }

    /// Reads a number made by [`fmt::Display`]; `None` for any other.
    pub fn parse(text: &str) -> Option<Sequence> {
        let [high, middle, low] = words_of(text)?;
        let low = u128::from(middle) << 64 | u128::from(low);
        let mask = (1 << TIME_BITS) - 1;
        let sequence = Sequence {
            shard_created_s: high >> 20 & mask,
            shard_index: (low >> 4) as u32,
            count: (low >> 80) as u64 | high << 48,
            at_s: (low >> 36) as u64 & mask,
        };
        (sequence.words() == [high, middle, low as u64]).then_some(sequence)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.words();
        let low = divide(&mut words);
        let middle = divide(&mut words);
        // 188 bits are below 10^57, so the last quotient fits one word.
        let high = words[2];
        write!(f, "{high}{middle:0CHUNK_DIGITS$}{low:0CHUNK_DIGITS$}")
    }
}

/// Divides by [`CHUNK`] in place and returns the remainder.
fn divide(words: &mut [u64; 3]) -> u64 {
    let mut remainder: u128 = 0;
    for word in words {
        let dividend = remainder << 64 | u128::from(*word);
        *word = (dividend / CHUNK) as u64;
        remainder = dividend % CHUNK;
    }
    remainder as u64
}

/// A decimal number as 192 bits; `None` when it is not one or does not fit.
fn words_of(text: &str) -> Option<[u64; 3]> {
    if text.is_empty() || text.len() > 57 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut words = [0u64; 3];
    for digit in text.bytes().map(|byte| u128::from(byte - b'0')) {
        let mut carry = digit;
        for word in words.iter_mut().rev() {
            let value = u128::from(*word) * 10 + carry;
            *word = value as u64;
            carry = value >> 64;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_a_number_that_the_real_service_gave() {
        // From kinesalite's pull request 87: the answer of a PutRecords on AWS in March 2019.
        let real = "49594189147623985939251953501666965394405037144469929986";
        let [high, middle, low] = words_of(real).expect("decimal");
        let created_s = high >> 20 & ((1 << TIME_BITS) - 1);
        assert_eq!(high >> 56, 2);
        assert_eq!(low & 0xF, 2);
        assert_eq!((u128::from(middle) << 64 | u128::from(low)) as u64 >> 4 & 0xFFFF_FFFF, 0);
        // 2019-03-26, within a day.
        assert!((created_s as i64 - 1_553_558_400).abs() < 86_400, "{created_s}");
    }

    proptest! {
        #[test]
        fn has_56_digits_rises_with_the_count_and_reads_back(
            shard_created_s in 1_000_000_000u64..5_000_000_000,
            shard_index in any::<u32>(),
            count in 0u64..u64::MAX - 1,
            waited_s in 0u64..100_000,
        ) {
            let first = Sequence { shard_created_s, shard_index, count, at_s: shard_created_s + waited_s };
            let next = Sequence { count: count + 1, ..first };
            prop_assert_eq!(first.to_string().len(), 56);
            prop_assert!(first.to_string() < next.to_string());
            prop_assert_eq!(Sequence::parse(&first.to_string()), Some(first));
        }

        #[test]
        fn never_panics_on_other_text(text in ".{0,70}", digits in "[0-9]{1,60}") {
            let _ = Sequence::parse(&text);
            let _ = Sequence::parse(&digits);
        }
    }
}
