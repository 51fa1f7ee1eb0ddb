//! The search for all keywords at once.
//!
//! A table of the hashed first three bytes of every keyword says whether one may begin at a position; six positions are
//! asked by one read of eight bytes. With a hundred keywords this passes over text several times faster than a packed or
//! automaton search does, needs no vector instructions, and is ready in microseconds.

/// Bytes of a keyword that are hashed.
const GRAM: usize = 3;
/// Positions whose grams one eight-byte read holds.
const STEP: usize = 6;
/// The table has two to this many slots: 16 KiB stay in the first cache.
const BITS: u32 = 14;

/// Keywords of at least three bytes, none of which begins another.
pub(super) struct Keywords {
    words: Vec<&'static [u8]>,
    /// For each hash one more than its bucket, or 0.
    slots: Box<[u8; 1 << BITS]>,
    /// Indexes of the words whose first bytes share a hash.
    buckets: Vec<Vec<usize>>,
}

impl Keywords {
    pub(super) fn new(words: Vec<&'static [u8]>) -> Self {
        let mut slots = Box::new([0_u8; 1 << BITS]);
        let mut buckets: Vec<Vec<usize>> = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let slot = &mut slots[hash(u64::from(word[0]) | u64::from(word[1]) << 8 | u64::from(word[2]) << 16)];
            if *slot == 0 {
                buckets.push(Vec::new());
                *slot = u8::try_from(buckets.len()).expect("fewer than 256 keywords");
            }
            buckets[usize::from(*slot) - 1].push(index);
        }
        Self { words, slots, buckets }
    }

    /// The first keyword at or after `from`, and where it is.
    pub(super) fn next(&self, content: &[u8], from: usize) -> Option<(usize, usize)> {
        let mut at = from;
        while let Some(eight) = content.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*eight);
            let maybe = (0..STEP).fold(0, |any, shift| any | self.slots[hash(word >> (8 * shift))]);
            if maybe != 0 {
                let found = (at..at + STEP).find_map(|at| Some((self.keyword_at(content, at)?, at)));
                if found.is_some() {
                    return found;
                }
            }
            at += STEP;
        }
        (at..content.len()).find_map(|at| Some((self.keyword_at(content, at)?, at)))
    }

    fn keyword_at(&self, content: &[u8], at: usize) -> Option<usize> {
        let here = &content[at..];
        let [a, b, c] = *here.first_chunk::<GRAM>()?;
        let slot = self.slots[hash(u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16)];
        let bucket = self.buckets.get(usize::from(slot).checked_sub(1)?)?;
        bucket.iter().copied().find(|&index| here.starts_with(self.words[index]))
    }
}

/// Of the low three bytes, by Fibonacci hashing.
const fn hash(word: u64) -> usize {
    let gram = (word & 0x00ff_ffff) as u32;
    (gram.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORDS: [&[u8]; 6] = [b"abc", b"bcd", b"aab-", b"://", b"cab", b"bbbbbbbb"];

    fn naive(content: &[u8], from: usize) -> Option<(usize, usize)> {
        let word_at = |at: usize| WORDS.iter().position(|w| content[at..].starts_with(w));
        (from..content.len()).find_map(|at| Some((word_at(at)?, at)))
    }

    proptest! {
        #[test]
        fn it_finds_what_a_naive_search_finds(text in "[abcd:/-]{0,60}", from in 0..70_usize) {
            let keywords = Keywords::new(WORDS.to_vec());
            prop_assert_eq!(keywords.next(text.as_bytes(), from), naive(text.as_bytes(), from));
        }
    }
}
