//! Content as lines: what is text, and which lines a change added.

use memchr::{memchr, memchr_iter, memrchr};
use std::collections::HashMap;

/// Whether content is text: UTF-8, or another encoding without NUL bytes.
pub(crate) fn is_text(content: &[u8]) -> bool {
    memchr(0, content).is_none() || std::str::from_utf8(content).is_ok()
}

/// One line without its LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) bytes: &'a [u8],
}

/// Counts lines forward through content, so that each byte is looked at once.
pub(crate) struct LineCounter<'a> {
    content: &'a [u8],
    counted: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    pub(crate) const fn new(content: &'a [u8]) -> Self {
        Self { content, counted: 0, line: 1 }
    }

    /// The number of the line that holds the byte at `offset`. Offsets are asked in ascending order.
    pub(crate) fn at(&mut self, offset: usize) -> u64 {
        if let Some(passed) = self.content.get(self.counted..offset) {
            self.line += memchr_iter(b'\n', passed).count() as u64;
            self.counted = offset;
        }
        self.line
    }
}

/// The lines that hold a byte `next(content, from)` points at, in order.
pub(crate) fn lines_with(content: &[u8], next: impl Fn(&[u8], usize) -> Option<usize>) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut counter = LineCounter::new(content);
    let mut from = 0;
    while let Some(at) = next(content, from) {
        let start = memrchr(b'\n', &content[..at]).map_or(0, |lf| lf + 1);
        let end = memchr(b'\n', &content[at..]).map_or(content.len(), |len| at + len);
        lines.push(Line { number: counter.at(start), bytes: &content[start..end] });
        from = end + 1;
    }
    lines
}

/// The lines of `new` that `old` does not have as often: what the change added, wherever it put them.
pub(crate) fn added<'a>(old: &[Line<'_>], new: Vec<Line<'a>>) -> Vec<Line<'a>> {
    let mut present: HashMap<&[u8], usize> = HashMap::new();
    for line in old {
        *present.entry(line.bytes).or_default() += 1;
    }
    let mut is_added = |line: &Line<'_>| match present.get_mut(line.bytes) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    new.into_iter().filter(|line| is_added(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &[u8]) -> Vec<Line<'_>> {
        lines_with(content, |c, from| (from < c.len()).then_some(from))
    }

    #[test]
    fn lines_are_numbered_from_one() {
        let lines: Vec<_> = all(b"a\n\nb").iter().map(|l| (l.number, l.bytes)).collect();
        assert_eq!(lines, [(1, &b"a"[..]), (2, b""), (3, b"b")]);
    }

    #[test]
    fn a_moved_line_is_not_added_and_a_second_copy_is() {
        let added = added(&all(b"a\nb"), all(b"b\na\na"));
        assert_eq!(added, [Line { number: 3, bytes: b"a" }]);
    }
}
