//! Sequences without an outcome, as ranges.

use std::collections::BTreeMap;

use crate::evidence::events::Range;

/// First to last of each range, disjoint. In-flight records are neighbours: the ranges are few.
#[derive(Debug, Default)]
pub(super) struct Pending {
    ranges: BTreeMap<u64, u64>,
    /// Highest sequence ever added.
    pub highest: Option<u64>,
}

impl Pending {
    /// `first..=last` are due. A gap before them was never due: it stays pending for good, so that it does
    /// not count as acked.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        let next = self.highest.map_or(0, |highest| highest + 1);
        let from = if first >= next { next } else { first };
        let joined = match self.ranges.range_mut(..from).next_back() {
            Some((_, before)) if before.checked_add(1) == Some(from) => {
                *before = last;
                true
            }
            _ => false,
        };
        if !joined {
            self.ranges.insert(from, last);
        }
        self.highest = self.highest.max(Some(last));
    }

    /// Whether it was pending.
    pub(super) fn remove(&mut self, sequence: u64) -> bool {
        let Some((&first, &last)) = self.ranges.range(..=sequence).next_back() else { return false };
        if last < sequence {
            return false;
        }
        if first == sequence {
            self.ranges.remove(&first);
        } else {
            self.ranges.insert(first, sequence - 1);
        }
        if last > sequence {
            self.ranges.insert(sequence + 1, last);
        }
        true
    }

    pub(super) fn ranges(&self) -> Vec<Range> {
        self.ranges.iter().map(|(first, last)| (*first, *last)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_set_of_what_is_open_or_was_skipped(
            steps in prop::collection::vec((0u64..4, 1u64..20, prop::collection::vec(0u64..400, 0..12)), 1..20),
        ) {
            let (mut pending, mut model, mut next) = (Pending::default(), BTreeSet::new(), 0);
            for (gap, count, done) in steps {
                let first = next + gap;
                model.extend(next..first + count);
                next = first + count;
                pending.add(first, next - 1);
                for sequence in done {
                    prop_assert_eq!(pending.remove(sequence), model.remove(&sequence));
                }
                let open: BTreeSet<u64> =
                    pending.ranges().into_iter().flat_map(|(first, last)| first..=last).collect();
                prop_assert_eq!(&open, &model);
                prop_assert_eq!(pending.highest, Some(next - 1));
            }
        }
    }
}
