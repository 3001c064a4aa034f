//! The order of one key's records.

use std::cmp::Ordering;

/// A Kinesis sequence number: a whole number too large for the machine's. Ordered by value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KinesisNumber(Box<str>);

impl KinesisNumber {
    pub(super) fn new(digits: &str) -> KinesisNumber {
        KinesisNumber(digits.trim_start_matches('0').into())
    }
}

impl PartialOrd for KinesisNumber {
    fn partial_cmp(&self, other: &KinesisNumber) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KinesisNumber {
    fn cmp(&self, other: &KinesisNumber) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

/// How far one key has come.
#[derive(Debug, Default)]
pub(super) struct KeyOrder {
    highest: Option<(KinesisNumber, u64)>,
}

pub(super) struct Sighting {
    pub out_of_order: bool,
    pub reordered_by_producer: bool,
}

impl KeyOrder {
    /// The first sighting of a Kinesis sequence number. `first_of_sequence` is false for a second put of a
    /// record seen before: it cannot say anything about the producer's order.
    pub(super) fn see(&mut self, number: KinesisNumber, sequence: u64, first_of_sequence: bool) -> Sighting {
        let Some((highest, furthest)) = &mut self.highest else {
            self.highest = Some((number, sequence));
            return Sighting { out_of_order: false, reordered_by_producer: false };
        };
        let out_of_order = number < *highest;
        let behind = sequence < *furthest;
        if !out_of_order {
            *highest = number;
        }
        *furthest = sequence.max(*furthest);
        Sighting { out_of_order, reordered_by_producer: behind && !out_of_order && first_of_sequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_value() {
        let number = KinesisNumber::new;
        assert!(number("9") < number("10"));
        assert!(number("49590338271490256608559692538361571095921575989136588898") > number("4959"));
        assert_eq!(number("007"), number("7"));
    }
}
