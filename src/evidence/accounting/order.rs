//! The order of one key's records.

use crate::evidence::kinesis_number::KinesisNumber;

/// How far one key has come.
#[derive(Clone, Debug, Default)]
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
