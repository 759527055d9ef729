//! Which sequences have been seen: bounded by what is missing, not by the count.
//!
//! Sequences stand in chunks of 4,096. A complete chunk is one word, complete chunks at the front are
//! nothing at all, a chunk with gaps costs one bit a message.

use std::collections::VecDeque;

const BITS: u64 = 4096;
const WORDS: usize = (BITS / 64) as usize;
/// How many chunks past the last one an insertion may lie. A sequence further ahead than four
/// thousand million cannot come from a publisher; it would only make us allocate without end.
const LEAP: usize = 1 << 20;

#[derive(Clone, Debug)]
struct Gaps {
    words: [u64; WORDS],
    count: u32,
}

#[derive(Clone, Debug)]
enum Chunk {
    Empty,
    Gaps(Box<Gaps>),
    Full,
}

/// What an insertion found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// Not seen before.
    New,
    /// Seen before.
    Again,
    /// Further ahead than any publisher can be.
    Absurd,
}

/// A set of sequences.
#[derive(Clone, Debug, Default)]
pub struct SequenceSet {
    /// Chunks before this one are complete.
    base: u64,
    chunks: VecDeque<Chunk>,
    len: u64,
    /// The storage of the last chunk that became complete, used for the next.
    spare: Option<Box<Gaps>>,
}

impl SequenceSet {
    /// How many sequences it holds.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a sequence.
    #[inline]
    pub fn insert(&mut self, sequence: u64) -> Inserted {
        let number = sequence / BITS;
        if number < self.base {
            return Inserted::Again;
        }
        let index = (number - self.base) as usize;
        if index >= self.chunks.len() {
            if index - self.chunks.len() > LEAP {
                return Inserted::Absurd;
            }
            self.chunks.resize(index + 1, Chunk::Empty);
        }
        let bit = sequence % BITS;
        let (word, mask) = ((bit / 64) as usize, 1u64 << (bit % 64));
        let chunk = &mut self.chunks[index];
        let gaps = match chunk {
            Chunk::Full => return Inserted::Again,
            Chunk::Gaps(gaps) => gaps,
            Chunk::Empty => {
                let fresh = self.spare.take().unwrap_or_else(|| {
                    Box::new(Gaps {
                        words: [0; WORDS],
                        count: 0,
                    })
                });
                *chunk = Chunk::Gaps(fresh);
                let Chunk::Gaps(gaps) = chunk else {
                    unreachable!("it was made a line ago")
                };
                gaps
            }
        };
        if gaps.words[word] & mask != 0 {
            return Inserted::Again;
        }
        gaps.words[word] |= mask;
        gaps.count += 1;
        self.len += 1;
        if u64::from(gaps.count) == BITS {
            self.complete(index);
        }
        Inserted::New
    }

    fn complete(&mut self, index: usize) {
        if let Chunk::Gaps(mut gaps) = std::mem::replace(&mut self.chunks[index], Chunk::Full) {
            gaps.words = [0; WORDS];
            gaps.count = 0;
            self.spare = Some(gaps);
        }
        while matches!(self.chunks.front(), Some(Chunk::Full)) {
            self.chunks.pop_front();
            self.base += 1;
        }
    }

    /// Whether the sequence is in it.
    pub fn contains(&self, sequence: u64) -> bool {
        let number = sequence / BITS;
        if number < self.base {
            return true;
        }
        match self.chunks.get((number - self.base) as usize) {
            None | Some(Chunk::Empty) => false,
            Some(Chunk::Full) => true,
            Some(Chunk::Gaps(gaps)) => {
                let bit = sequence % BITS;
                gaps.words[(bit / 64) as usize] & 1 << (bit % 64) != 0
            }
        }
    }

    /// How many of these sequences, from `first` on, the other set has not.
    pub fn missing_from(&self, other: &SequenceSet, first: u64) -> u64 {
        // Only chunks that are incomplete in the other set can miss anything.
        let end = self.base + self.chunks.len() as u64;
        (other.base.max(first / BITS)..end)
            .map(|number| {
                let (mine, theirs) = (self.words(number), other.words(number));
                (0..WORDS)
                    .map(|w| {
                        let start = number * BITS + w as u64 * 64;
                        let early = first.saturating_sub(start).min(64) as u32;
                        let from_first = u64::MAX.checked_shl(early).unwrap_or(0);
                        u64::from((mine(w) & !theirs(w) & from_first).count_ones())
                    })
                    .sum::<u64>()
            })
            .sum()
    }

    /// How many sequences from `first` up to `end` it has not.
    pub fn missing_within(&self, first: u64, end: u64) -> u64 {
        let whole = |number: u64| number * BITS..(number + 1) * BITS;
        let numbers = self.base.max(first / BITS)..end.div_ceil(BITS);
        let missing = numbers.map(|number| {
            let mine = self.words(number);
            let words = whole(number).step_by(64).enumerate();
            let missing = words.map(|(word, start)| {
                u64::from((!mine(word) & below(start, end) & !below(start, first)).count_ones())
            });
            missing.sum::<u64>()
        });
        missing.sum()
    }

    fn words(&self, number: u64) -> impl Fn(usize) -> u64 + '_ {
        let chunk = number.checked_sub(self.base).map_or(&Chunk::Full, |index| {
            self.chunks.get(index as usize).unwrap_or(&Chunk::Empty)
        });
        move |word| match chunk {
            Chunk::Empty => 0,
            Chunk::Full => u64::MAX,
            Chunk::Gaps(gaps) => gaps.words[word],
        }
    }

    /// Bytes held, for the benches that show that it stays bounded.
    pub fn bytes(&self) -> usize {
        let gaps = self
            .chunks
            .iter()
            .filter(|c| matches!(c, Chunk::Gaps(_)))
            .count()
            + usize::from(self.spare.is_some());
        self.chunks.capacity() * size_of::<Chunk>() + gaps * size_of::<Gaps>()
    }
}

/// Of the 64 sequences from `start` on: those before `end`, a bit for each.
fn below(start: u64, end: u64) -> u64 {
    match end.saturating_sub(start) {
        count @ 0..64 => (1 << count) - 1,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// A history as a broker could make it: mostly in order, with losses, late redeliveries and copies.
    fn history() -> impl Strategy<Value = Vec<u64>> {
        (0..20_000u64, any::<u64>(), 0..200u64, 0..200u64, 0..200u64).prop_map(
            |(length, seed, loss, late, copies)| {
                let mut state = seed | 1;
                let mut draw = move || {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state % 1000
                };
                let (mut out, mut held) = (Vec::new(), Vec::new());
                for sequence in 0..length {
                    if draw() < loss {
                        continue;
                    }
                    if draw() < late {
                        held.push(sequence);
                        continue;
                    }
                    out.push(sequence);
                    if draw() < copies {
                        out.push(sequence);
                    }
                    if draw() < 20 {
                        out.append(&mut held);
                    }
                }
                out.append(&mut held);
                out
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_agrees_with_a_plain_hash_set(history in history()) {
            let (mut set, mut plain) = (SequenceSet::default(), HashSet::new());
            for sequence in history {
                let new = plain.insert(sequence);
                prop_assert_eq!(set.insert(sequence) == Inserted::New, new);
            }
            prop_assert_eq!(set.len(), plain.len() as u64);
            for sequence in 0..20_100 {
                prop_assert_eq!(set.contains(sequence), plain.contains(&sequence));
            }
        }

        #[test]
        fn what_is_missing_is_counted_as_with_plain_hash_sets(a in history(), b in history(), first in 0..20_000u64) {
            let (mut left, mut right) = (SequenceSet::default(), SequenceSet::default());
            let (mut plain_left, mut plain_right) = (HashSet::new(), HashSet::new());
            for s in a { left.insert(s); plain_left.insert(s); }
            for s in b { right.insert(s); plain_right.insert(s); }
            let missing = plain_left.difference(&plain_right).filter(|s| **s >= first).count();
            prop_assert_eq!(left.missing_from(&right, first), missing as u64);
        }

        #[test]
        fn what_is_missing_between_two_places_is_counted_as_with_a_plain_hash_set(
            history in history(), first in 0..20_000u64, length in 0..9_000u64,
        ) {
            let (mut set, mut plain) = (SequenceSet::default(), HashSet::new());
            for s in history { set.insert(s); plain.insert(s); }
            let missing = (first..first + length).filter(|s| !plain.contains(s)).count();
            prop_assert_eq!(set.missing_within(first, first + length), missing as u64);
        }
    }

    #[test]
    fn a_complete_history_costs_no_memory_however_long() {
        let mut set = SequenceSet::default();
        for sequence in 0..10_000 {
            set.insert(sequence);
        }
        let early = set.bytes();
        for sequence in 10_000..5_000_000 {
            set.insert(sequence);
        }
        assert_eq!(set.len(), 5_000_000);
        assert!(set.bytes() <= early, "{} > {early}", set.bytes());
    }

    #[test]
    fn a_sequence_that_no_publisher_can_have_reached_is_absurd() {
        let mut set = SequenceSet::default();
        assert_eq!(set.insert(1 << 47), Inserted::Absurd);
        assert_eq!(set.len(), 0);
    }
}
