//! Sets of sequences in bounded memory: a bitmap in chunks, where a full chunk is only a mark, and one with few
//! members or few holes a list of them. A run whose records mostly arrive costs a few bytes for every 4,096.

use std::collections::BTreeMap;

use super::events::Range;

const CHUNK_BITS: u64 = 4_096;
const WORDS: usize = (CHUNK_BITS / 64) as usize;
type Words = [u64; WORDS];

/// Members, or holes, that a list may have: longer ones take no less than a bitmap. More than a word, so that
/// a chunk that is filled in order has become a list of holes before its last word.
const LISTED_MAX: usize = 96;

#[derive(Clone, Debug)]
enum Chunk {
    Full,
    /// Ascending.
    Few(Vec<u16>),
    /// All but these, ascending.
    AllBut(Vec<u16>),
    Partly(Box<Words>),
}

const FULL: Words = [u64::MAX; WORDS];
const EMPTY: Words = [0; WORDS];

impl Chunk {
    fn words(&self) -> Words {
        match self {
            Chunk::Full => FULL,
            Chunk::Few(members) => bits(members),
            Chunk::AllBut(holes) => bits(holes).map(|word| !word),
            Chunk::Partly(words) => **words,
        }
    }

    /// The smallest form; `words` are not empty.
    fn of(words: &Words) -> Chunk {
        let count = ones(words) as usize;
        match CHUNK_BITS as usize - count {
            0 => Chunk::Full,
            holes if holes <= LISTED_MAX => Chunk::AllBut(listed(&words.map(|word| !word))),
            _ if count <= LISTED_MAX => Chunk::Few(listed(words)),
            _ => Chunk::Partly(Box::new(*words)),
        }
    }

    fn contains(&self, at: u16) -> bool {
        match self {
            Chunk::Full => true,
            Chunk::Few(members) => members.binary_search(&at).is_ok(),
            Chunk::AllBut(holes) => holes.binary_search(&at).is_err(),
            Chunk::Partly(words) => words[usize::from(at) / 64] & 1 << (at % 64) != 0,
        }
    }

    /// Whether it was new.
    fn insert(&mut self, at: u16) -> bool {
        match self {
            Chunk::Full => false,
            Chunk::Few(members) => {
                let Err(place) = members.binary_search(&at) else { return false };
                members.insert(place, at);
                if members.len() > LISTED_MAX {
                    *self = Chunk::Partly(Box::new(bits(members)));
                }
                true
            }
            Chunk::AllBut(holes) => {
                let Ok(place) = holes.binary_search(&at) else { return false };
                holes.remove(place);
                if holes.is_empty() {
                    *self = Chunk::Full;
                } else if holes.len() * 4 < holes.capacity() {
                    holes.shrink_to_fit();
                }
                true
            }
            Chunk::Partly(words) => {
                let word = &mut words[usize::from(at) / 64];
                let bit = 1 << (at % 64);
                let new = *word & bit == 0;
                *word |= bit;
                // Counting the chunk once a word is often enough.
                if new && *word == u64::MAX && ones(words) as usize + LISTED_MAX >= CHUNK_BITS as usize {
                    *self = Chunk::of(words);
                }
                new
            }
        }
    }
}

fn bits(listed: &[u16]) -> Words {
    let mut words = EMPTY;
    for at in listed {
        words[usize::from(*at) / 64] |= 1 << (at % 64);
    }
    words
}

fn listed(words: &Words) -> Vec<u16> {
    let mut listed = Vec::with_capacity(ones(words) as usize);
    for (word, bits) in words.iter().enumerate() {
        let mut bits = *bits;
        while bits != 0 {
            listed.push((word * 64) as u16 + bits.trailing_zeros() as u16);
            bits &= bits - 1;
        }
    }
    listed
}

/// A set of `u64`. Equal when the members are.
#[derive(Clone, Debug, Default)]
pub struct SequenceSet {
    chunks: BTreeMap<u64, Chunk>,
}

impl PartialEq for SequenceSet {
    fn eq(&self, other: &SequenceSet) -> bool {
        self.ranges().eq(other.ranges())
    }
}

impl SequenceSet {
    pub fn new() -> SequenceSet {
        SequenceSet::default()
    }

    pub fn from_ranges(ranges: &[Range]) -> SequenceSet {
        let mut set = SequenceSet::new();
        for (first, last) in ranges {
            set.insert_range(*first, *last);
        }
        set
    }

    /// Whether it was new.
    pub fn insert(&mut self, sequence: u64) -> bool {
        let (index, at) = place(sequence);
        self.chunks.entry(index).or_insert_with(|| Chunk::Few(Vec::new())).insert(at)
    }

    pub fn contains(&self, sequence: u64) -> bool {
        let (index, at) = place(sequence);
        self.chunks.get(&index).is_some_and(|chunk| chunk.contains(at))
    }

    /// Adds `first..=last`; nothing when they are the wrong way round.
    pub fn insert_range(&mut self, first: u64, last: u64) {
        self.each_chunk_of(first, last, |chunks, index, mask| {
            let words = words_of(chunks, index);
            store(chunks, index, combine(&words, mask, |left, right| left | right));
        });
    }

    pub fn remove_range(&mut self, first: u64, last: u64) {
        self.each_chunk_of(first, last, |chunks, index, mask| {
            let words = words_of(chunks, index);
            store(chunks, index, combine(&words, mask, |left, right| left & !right));
        });
    }

    fn each_chunk_of(
        &mut self,
        first: u64,
        last: u64,
        mut change: impl FnMut(&mut BTreeMap<u64, Chunk>, u64, &Words),
    ) {
        if first > last {
            return;
        }
        for index in first / CHUNK_BITS..=last / CHUNK_BITS {
            change(&mut self.chunks, index, &mask(index, first, last));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn len(&self) -> u64 {
        self.chunks.values().map(|chunk| ones(&chunk.words())).sum()
    }

    /// Members among `first..=last`.
    pub fn count_in(&self, first: u64, last: u64) -> u64 {
        if first > last {
            return 0;
        }
        let chunks = self.chunks.range(first / CHUNK_BITS..=last / CHUNK_BITS);
        chunks
            .map(|(index, chunk)| {
                ones(&combine(&chunk.words(), &mask(*index, first, last), |left, right| left & right))
            })
            .sum()
    }

    pub fn union(&self, other: &SequenceSet) -> SequenceSet {
        let mut union = self.clone();
        for (index, chunk) in &other.chunks {
            let words = words_of(&union.chunks, *index);
            let combined = combine(&words, &chunk.words(), |left, right| left | right);
            store(&mut union.chunks, *index, combined);
        }
        union
    }

    pub fn minus(&self, other: &SequenceSet) -> SequenceSet {
        self.with(other, |left, right| left & !right)
    }

    pub fn intersection(&self, other: &SequenceSet) -> SequenceSet {
        self.with(other, |left, right| left & right)
    }

    fn with(&self, other: &SequenceSet, op: impl Fn(u64, u64) -> u64) -> SequenceSet {
        let mut result = SequenceSet::new();
        for (index, chunk) in &self.chunks {
            let theirs = words_of(&other.chunks, *index);
            store(&mut result.chunks, *index, combine(&chunk.words(), &theirs, &op));
        }
        result
    }

    /// Members as maximal ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = Range> + '_ {
        let mut runs = self.chunks.iter().flat_map(|(index, chunk)| runs_of(*index, chunk)).peekable();
        std::iter::from_fn(move || {
            let (first, mut last) = runs.next()?;
            while let Some((_, next_last)) = runs.next_if(|(next, _)| last.checked_add(1) == Some(*next)) {
                last = next_last;
            }
            Some((first, last))
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges().flat_map(|(first, last)| first..=last)
    }
}

fn place(sequence: u64) -> (u64, u16) {
    (sequence / CHUNK_BITS, (sequence % CHUNK_BITS) as u16)
}

fn words_of(chunks: &BTreeMap<u64, Chunk>, index: u64) -> Words {
    chunks.get(&index).map_or(EMPTY, Chunk::words)
}

fn store(chunks: &mut BTreeMap<u64, Chunk>, index: u64, words: Words) {
    if words == EMPTY {
        chunks.remove(&index);
    } else {
        chunks.insert(index, Chunk::of(&words));
    }
}

fn combine(left: &Words, right: &Words, op: impl Fn(u64, u64) -> u64) -> Words {
    std::array::from_fn(|word| op(left[word], right[word]))
}

fn ones(words: &Words) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// The bits of chunk `index` that lie in `first..=last`.
fn mask(index: u64, first: u64, last: u64) -> Words {
    let start = index * CHUNK_BITS;
    std::array::from_fn(|word| {
        let low = start + word as u64 * 64;
        let high = low + 63;
        if high < first || low > last {
            return 0;
        }
        let from = first.saturating_sub(low);
        let to = last.min(high) - low;
        u64::MAX << from & u64::MAX >> (63 - to)
    })
}

/// Runs of ones inside each word: the caller joins those that touch.
fn runs_of(index: u64, chunk: &Chunk) -> Vec<Range> {
    let start = index * CHUNK_BITS;
    if matches!(chunk, Chunk::Full) {
        return vec![(start, start + (CHUNK_BITS - 1))];
    }
    let mut runs = Vec::new();
    for (word, bits) in chunk.words().iter().enumerate() {
        let low = start + word as u64 * 64;
        let mut bits = *bits;
        while bits != 0 {
            let from = bits.trailing_zeros();
            let length = (bits >> from).trailing_ones();
            runs.push((low + u64::from(from), low + u64::from(from + length - 1)));
            let taken = if from + length == 64 { 0 } else { u64::MAX << (from + length) };
            bits &= taken;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_chunk_is_only_a_mark() {
        let mut set = SequenceSet::new();
        for sequence in (0..CHUNK_BITS * 3).rev() {
            assert!(set.insert(sequence));
            assert!(!set.insert(sequence));
        }
        assert!(set.chunks.values().all(|chunk| matches!(chunk, Chunk::Full)));
        assert_eq!(set.ranges().collect::<Vec<_>>(), [(0, CHUNK_BITS * 3 - 1)]);
        set.insert_range(u64::MAX - 1, u64::MAX);
        assert_eq!(set.count_in(u64::MAX, u64::MAX), 1);
        assert_eq!(set.ranges().last(), Some((u64::MAX - 1, u64::MAX)));
    }

    /// A chunk that is filled in order, but for some, ends as a short list: 200 million records with a hole in
    /// each thousand take a few megabytes.
    #[test]
    fn a_chunk_with_few_holes_is_a_list() {
        for hole in [0, 63, 2_000, CHUNK_BITS - 1] {
            let mut set = SequenceSet::new();
            (0..CHUNK_BITS).filter(|one| *one != hole).for_each(|one| assert!(set.insert(one)));
            let Some(Chunk::AllBut(holes)) = set.chunks.get(&0) else { panic!("{:?}", set.chunks) };
            assert_eq!(holes[..], [hole as u16]);
            assert!(holes.capacity() < 16);
            assert!(set.insert(hole) && !set.insert(hole));
            assert!(matches!(set.chunks[&0], Chunk::Full));
        }
    }

    #[derive(Clone, Debug)]
    enum Change {
        One(u64),
        Add(u64, u64),
        Remove(u64, u64),
    }

    fn change() -> impl Strategy<Value = Change> {
        let at = 0u64..14_000;
        prop_oneof![
            at.clone().prop_map(Change::One),
            (at.clone(), 0u64..9_000).prop_map(|(first, more)| Change::Add(first, first + more)),
            (at, 0u64..9_000).prop_map(|(first, more)| Change::Remove(first, first + more)),
        ]
    }

    fn build(changes: &[Change]) -> (SequenceSet, BTreeSet<u64>) {
        let (mut set, mut model) = (SequenceSet::new(), BTreeSet::new());
        for change in changes {
            match *change {
                Change::One(one) => assert_eq!(set.insert(one), model.insert(one)),
                Change::Add(first, last) => {
                    set.insert_range(first, last);
                    model.extend(first..=last);
                }
                Change::Remove(first, last) => {
                    set.remove_range(first, last);
                    model.retain(|member| !(first..=last).contains(member));
                }
            }
        }
        (set, model)
    }

    fn members(set: &SequenceSet) -> BTreeSet<u64> {
        set.iter().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn is_a_plain_set(
            left in prop::collection::vec(change(), 0..12),
            right in prop::collection::vec(change(), 0..12),
            (first, last) in (0u64..20_000, 0u64..20_000),
        ) {
            let ((left, left_model), (right, right_model)) = (build(&left), build(&right));
            prop_assert_eq!(&members(&left), &left_model);
            prop_assert_eq!(left.len(), left_model.len() as u64);
            let counted = left_model.iter().filter(|member| (first..=last).contains(*member)).count();
            prop_assert_eq!(left.count_in(first, last), counted as u64);
            prop_assert_eq!(left.contains(first), left_model.contains(&first));
            prop_assert_eq!(members(&left.union(&right)), &left_model | &right_model);
            prop_assert_eq!(members(&left.minus(&right)), &left_model - &right_model);
            prop_assert_eq!(members(&left.intersection(&right)), &left_model & &right_model);
            let ranges: Vec<_> = left.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "maximal: {:?}", ranges);
            prop_assert_eq!(SequenceSet::from_ranges(&ranges), left);
        }
    }
}
