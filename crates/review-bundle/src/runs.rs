//! Which lines differ: two texts in, the runs of lines that were replaced out.

use std::ops::Range;

use imara_diff::{InternedInput, Interner, Token};
use memchr::{memchr_iter, memrchr};

use crate::compare::compare;
use crate::settle::settled;

/// Lines of the old text replaced by lines of the new one. One side may be empty, not both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) old: Lines,
    pub(crate) new: Lines,
}

/// A range of lines of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines {
    /// How many lines are before it.
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// Its bytes in the text.
    pub(crate) bytes: Range<usize>,
}

impl Lines {
    fn all(text: &[u8]) -> Self {
        Self { first: 0, count: count_lines(text), bytes: 0..text.len() }
    }
}

/// How many lines `text` has; the last one may lack its line feed.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    let feeds = memchr_iter(b'\n', text).count() as u64;
    feeds + u64::from(text.last().is_some_and(|&last| last != b'\n'))
}

/// The most bytes that are compared line by line, both texts together: lines are counted in 31 bits.
const COMPARABLE: usize = i32::MAX as usize - 1;

/// Returns the runs that turn `old` into `new`, in order, with at least one unchanged line between two of them.
pub(crate) fn runs(old: &[u8], new: &[u8]) -> Vec<Run> {
    if old == new {
        return Vec::new();
    }
    if old.is_empty() || new.is_empty() || old.len() + new.len() > COMPARABLE {
        return vec![Run { old: Lines::all(old), new: Lines::all(new) }];
    }
    let head = common_head(old, new);
    let tail = common_tail(&old[head..], &new[head..]);
    let input = InternedInput::new(&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let (deleted, added) = compare(&input.before, &input.after, input.interner.num_tokens());
    let lines_before = count_lines(&old[..head]);
    let mut old_lines = Cursor::new(&input.before, &input.interner, head, lines_before);
    let mut new_lines = Cursor::new(&input.after, &input.interner, head, lines_before);
    let hunks = settled(&input, &deleted, &added);
    hunks.iter().map(|hunk| Run { old: old_lines.take(&hunk.before), new: new_lines.take(&hunk.after) }).collect()
}

/// Unchanged lines next to the first and the last change that are compared all the same, so that a change can slide
/// along equal lines to where a reader expects it.
const MARGIN: usize = 64;

/// How many bytes at the start are the same in both, in whole lines, without a margin.
fn common_head(old: &[u8], new: &[u8]) -> usize {
    let mut end = same_prefix(old, new);
    for _ in 0..=MARGIN {
        match memrchr(b'\n', &old[..end]) {
            Some(feed) => end = feed,
            None => return 0,
        }
    }
    end + 1
}

/// How many bytes at the end are the same in both, in whole lines, without a margin.
fn common_tail(old: &[u8], new: &[u8]) -> usize {
    let same = same_suffix(old, new);
    let tail = &old[old.len() - same..];
    memchr_iter(b'\n', tail).nth(MARGIN).map_or(0, |feed| tail.len() - feed - 1)
}

/// Bytes compared in one step: a block is compared faster than its bytes one by one.
const BLOCK: usize = 4096;

fn same_prefix(old: &[u8], new: &[u8]) -> usize {
    let blocks = old.chunks(BLOCK).zip(new.chunks(BLOCK)).take_while(|(old, new)| old == new);
    let same: usize = blocks.map(|(block, _)| block.len()).sum();
    same + old[same..].iter().zip(&new[same..]).take_while(|(old, new)| old == new).count()
}

fn same_suffix(old: &[u8], new: &[u8]) -> usize {
    let blocks = old.rchunks(BLOCK).zip(new.rchunks(BLOCK)).take_while(|(old, new)| old == new);
    let same: usize = blocks.map(|(block, _)| block.len()).sum();
    let rest = old[..old.len() - same].iter().rev().zip(new[..new.len() - same].iter().rev());
    same + rest.take_while(|(old, new)| old == new).count()
}

/// Turns ranges of tokens, asked for in order, into lines.
struct Cursor<'a> {
    tokens: &'a [Token],
    interner: &'a Interner<&'a [u8]>,
    taken: usize,
    at: usize,
    lines_before: u64,
}

impl<'a> Cursor<'a> {
    fn new(tokens: &'a [Token], interner: &'a Interner<&'a [u8]>, at: usize, lines_before: u64) -> Self {
        Self { tokens, interner, taken: 0, at, lines_before }
    }

    fn take(&mut self, range: &Range<u32>) -> Lines {
        self.skip_to(range.start);
        let start = self.at;
        self.skip_to(range.end);
        let first = self.lines_before + u64::from(range.start);
        Lines { first, count: u64::from(range.end - range.start), bytes: start..self.at }
    }

    fn skip_to(&mut self, token: u32) {
        let token = token as usize;
        self.at += self.tokens[self.taken..token].iter().map(|&line| self.interner[line].len()).sum::<usize>();
        self.taken = token;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The runs as a reader of `diff` would write them: `first,count>first,count`.
    fn check(old: &str, new: &str) -> String {
        let text = |lines: &Lines| format!("{},{}", lines.first, lines.count);
        runs(old.as_bytes(), new.as_bytes())
            .iter()
            .map(|run| format!("{}>{}", text(&run.old), text(&run.new)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn runs_are_counted_in_lines() {
        assert_eq!(check("", ""), "");
        assert_eq!(check("a\nb", "a\nb"), "");
        assert_eq!(check("", "a\nb"), "0,0>0,2");
        assert_eq!(check("a\n", ""), "0,1>0,0");
        assert_eq!(check("a\nb\nc\n", "a\nX\nc\n"), "1,1>1,1");
        assert_eq!(check("a\nb\nc\n", "b\nc\nd\n"), "0,1>0,0 3,0>2,1");
        assert_eq!(check("a", "a\n"), "0,1>0,1");
    }

    #[test]
    fn equal_lines_at_both_ends_are_not_compared_but_counted() {
        let same = "same\n".repeat(5000);
        let (old, new) = ([&same, "old\n", &same].concat(), [&same, "new\n", "er\n", &same].concat());
        assert_eq!(check(&old, &new), "5000,1>5000,2");
        let head = common_head(old.as_bytes(), new.as_bytes());
        assert_eq!(head, 5 * (5000 - MARGIN));
        assert_eq!(common_tail(&old.as_bytes()[head..], &new.as_bytes()[head..]), 5 * (5000 - MARGIN));
    }

    #[test]
    fn many_equal_lines_are_compared_too() {
        let (old, new) = ("\n".repeat(60_000), ["a\n", &"\n".repeat(50_000), "b\n", &"\n".repeat(1000)].concat());
        assert_eq!(check(&old, &new), "0,0>0,1 50000,9000>50001,1");
    }

    #[test]
    fn runs_slide_to_where_a_block_starts() {
        let (one, two) = ("def one():\n    pass\n\n", "def two():\n    pass\n\n");
        assert_eq!(check(&[one, one].concat(), &[one, two, one].concat()), "3,0>3,3");
    }

    #[test]
    fn prefix_and_suffix_are_exact_at_every_length() {
        for at in [0, 1, 63, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK - 1] {
            let (old, mut new) = (vec![b'a'; 3 * BLOCK], vec![b'a'; 3 * BLOCK]);
            new[at] = b'b';
            assert_eq!(same_prefix(&old, &new), at);
            assert_eq!(same_suffix(&old, &new), 3 * BLOCK - 1 - at);
        }
        assert_eq!((same_prefix(b"ab", b"abc"), same_suffix(b"bc", b"abc")), (2, 2));
        assert_eq!((same_prefix(b"ab", b"ab"), same_suffix(b"ab", b"ab")), (2, 2));
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let line = prop::sample::select(vec!["\n", "a\n", "b\n", "  c\n", "\0\n", "long line\r\n"]);
        (prop::collection::vec(line, 0..1200), prop::sample::select(vec!["", "a", "end"]))
            .prop_map(|(lines, end)| [lines.concat(), end.to_owned()].concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        #[test]
        fn outside_the_runs_both_texts_are_the_same(old in text(), new in text()) {
            let (mut from, mut to) = (0, 0);
            for (index, run) in runs(&old, &new).into_iter().enumerate() {
                prop_assert!(!run.old.bytes.is_empty() || !run.new.bytes.is_empty());
                prop_assert!(index == 0 || run.old.bytes.start > from);
                prop_assert_eq!(&old[from..run.old.bytes.start], &new[to..run.new.bytes.start]);
                prop_assert_eq!(run.old.count, count_lines(&old[run.old.bytes.clone()]));
                prop_assert_eq!(run.new.count, count_lines(&new[run.new.bytes.clone()]));
                prop_assert_eq!(run.old.first, count_lines(&old[..run.old.bytes.start]));
                prop_assert_eq!(run.new.first, count_lines(&new[..run.new.bytes.start]));
                (from, to) = (run.old.bytes.end, run.new.bytes.end);
            }
            prop_assert_eq!(&old[from..], &new[to..]);
        }
    }
}
