//! Kinesis sequence numbers, ordered by value. Those of the service have 56 digits; every one of them is
//! compared, so they are kept as whole numbers rather than as text.

use std::cmp::Ordering;

use crate::wire::receipt::KinesisSequence;

/// The longest that surely fits 192 bits: 10^57 < 2^192.
const SMALL_DIGITS_MAX: usize = 57;
const PADDED_DIGITS: usize = 64;

/// A Kinesis sequence number. Anything that is not a number is ordered as text of its length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KinesisNumber(Repr);

/// The order of the variants is that of their values: the second has more digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    /// 192 bits, most significant word first.
    Small([u64; 3]),
    Large(Box<Long>),
}

/// Up to 129 digits: what the pattern of the Kinesis API model allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Long(String);

impl Ord for Long {
    fn cmp(&self, other: &Long) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Long {
    fn partial_cmp(&self, other: &Long) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl KinesisNumber {
    pub(crate) fn new(digits: &str) -> KinesisNumber {
        KinesisNumber::of_digits(digits.as_bytes())
    }

    pub(crate) fn of(sequence: &KinesisSequence) -> KinesisNumber {
        KinesisNumber::of_digits(sequence.digits())
    }

    fn of_digits(digits: &[u8]) -> KinesisNumber {
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        let digits = &digits[zeros..];
        if digits.len() > SMALL_DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
            let text = String::from_utf8_lossy(digits).into_owned();
            return KinesisNumber(Repr::Large(Box::new(Long(text))));
        }
        // Eight digits at a time, the first ones filled up with zeros.
        let mut padded = [b'0'; PADDED_DIGITS];
        padded[PADDED_DIGITS - digits.len()..].copy_from_slice(digits);
        let (chunks, _) = padded.as_chunks::<8>();
        let mut words = [0u64; 3];
        for pair in chunks.chunks(2) {
            let value = pair.iter().fold(0, |value, chunk| value * 100_000_000 + eight_digits(*chunk));
            multiply_add(&mut words, 10_000_000_000_000_000, value);
        }
        KinesisNumber(Repr::Small(words))
    }
}

/// Of eight ASCII digits, all at once: neighbours are put together in pairs, then pairs of pairs.
fn eight_digits(chunk: [u8; 8]) -> u64 {
    let ones = u64::from_le_bytes(chunk) - 0x3030_3030_3030_3030;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}

fn multiply_add(words: &mut [u64; 3], factor: u64, summand: u64) {
    let mut carry = u128::from(summand);
    for word in words.iter_mut().rev() {
        let product = u128::from(*word) * u128::from(factor) + carry;
        *word = product as u64;
        carry = product >> 64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_ordered_by_value() {
        let number = KinesisNumber::new;
        assert!(number("9") < number("10"));
        assert!(number("49590338271490256608559692538361571095921575989136588898") > number("4959"));
        assert_eq!(number("007"), number("7"));
        assert!(number(&"9".repeat(57)) < number(&format!("1{}", "0".repeat(57))));
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_digits(left in "[1-9][0-9]{0,70}", right in "[1-9][0-9]{0,70}") {
            let by_text = left.len().cmp(&right.len()).then_with(|| left.cmp(&right));
            prop_assert_eq!(KinesisNumber::new(&left).cmp(&KinesisNumber::new(&right)), by_text);
        }
    }
}
