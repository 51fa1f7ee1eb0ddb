//! Hunks of a unified diff: runs of changed lines with the unchanged lines around them.
//!
//! The format is that of POSIX diff -u with the marks of Git: <https://git-scm.com/docs/diff-format>.

use std::fmt;
use std::ops::Range;

use memchr::{memchr, memrchr};

use crate::escape::{Measure, measure};
use crate::runs::{Lines, Run};

/// Unchanged lines shown before and after a change.
const CONTEXT: u64 = 3;

/// What follows a line that has no line feed.
pub(crate) const NO_FEED: &str = "\\ No newline at end of file\n";

/// What follows a line in the body.
pub(crate) fn feed_mark(fed: bool) -> &'static str {
    if fed { "" } else { NO_FEED }
}

/// One hunk. Its lines are in the body of the section that owns it.
#[derive(Debug, Clone)]
pub(crate) struct Hunk {
    pub(crate) place: Place,
    /// Where its first line starts in the old and in the new text.
    pub(crate) old_at: u64,
    pub(crate) new_at: u64,
    /// Its lines in the body.
    pub(crate) body: Range<usize>,
    /// How long they are when shown.
    pub(crate) measure: Measure,
}

impl Hunk {
    /// Bytes of its header and its lines when shown.
    pub(crate) fn shown_len(&self) -> usize {
        self.place.to_string().len() + self.measure.shown
    }
}

/// Which lines a hunk is about. `Display` is the hunk's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// How many lines are before it, and how many it has.
    pub(crate) old_first: u64,
    pub(crate) old_count: u64,
    pub(crate) new_first: u64,
    pub(crate) new_count: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |f: &mut fmt::Formatter<'_>, first: u64, count: u64| match count {
            0 => write!(f, "{first},0"),
            1 => write!(f, "{}", first + 1),
            _ => write!(f, "{},{count}", first + 1),
        };
        f.write_str("@@ -")?;
        side(f, self.old_first, self.old_count)?;
        f.write_str(" +")?;
        side(f, self.new_first, self.new_count)?;
        f.write_str(" @@\n")
    }
}

/// Returns the hunks of `runs` and their lines.
pub(crate) fn hunks(old: &[u8], new: &[u8], runs: &[Run]) -> (Vec<Hunk>, Vec<u8>) {
    let groups: Vec<Group<'_>> = runs
        .chunk_by(|a, b| b.old.first - (a.old.first + a.old.count) <= 2 * CONTEXT)
        .map(|runs| Group::new(old, runs))
        .collect();
    let mut body = Body(Vec::with_capacity(groups.iter().map(Group::capacity).sum()));
    let hunks = groups.iter().map(|group| group.write(old, new, &mut body)).collect();
    (hunks, body.0)
}

/// Runs that share a hunk.
struct Group<'a> {
    runs: &'a [Run],
    before: Lines,
    after: Lines,
}

impl<'a> Group<'a> {
    fn new(old: &[u8], runs: &'a [Run]) -> Self {
        let (first, last) = (&runs[0].old, &runs[runs.len() - 1].old);
        Self { runs, before: lines_before(old, first), after: lines_after(old, last) }
    }

    /// Bytes of the body, or a little more.
    fn capacity(&self) -> usize {
        let old = self.before.bytes.start..self.after.bytes.end;
        let changed: u64 = self.runs.iter().map(|run| run.old.count + run.new.count).sum();
        let added: usize = self.runs.iter().map(|run| run.new.bytes.len()).sum();
        let context = self.runs.len() * 2 * usize::try_from(CONTEXT).expect("small");
        old.len()
            + added
            + usize::try_from(changed).expect("lines are bytes in memory")
            + context
            + 2 * (NO_FEED.len() + 1)
    }

    fn write(&self, old: &[u8], new: &[u8], body: &mut Body) -> Hunk {
        let (first, start) = (&self.runs[0], body.0.len());
        let mut at = self.before.bytes.start;
        for run in self.runs {
            body.lines(b' ', &old[at..run.old.bytes.start]);
            body.lines(b'-', &old[run.old.bytes.clone()]);
            body.lines(b'+', &new[run.new.bytes.clone()]);
            at = run.old.bytes.end;
        }
        body.lines(b' ', &old[self.after.bytes.clone()]);
        let new_at = first.new.bytes.start - self.before.bytes.len();
        Hunk {
            place: self.place(),
            old_at: self.before.bytes.start as u64,
            new_at: new_at as u64,
            body: start..body.0.len(),
            measure: measure(&body.0[start..]),
        }
    }

    fn place(&self) -> Place {
        let (first, last) = (&self.runs[0], &self.runs[self.runs.len() - 1]);
        let new_first = first.new.first - self.before.count;
        Place {
            old_first: self.before.first,
            old_count: self.after.first + self.after.count - self.before.first,
            new_first,
            new_count: last.new.first + last.new.count + self.after.count - new_first,
        }
    }
}

/// At most [`CONTEXT`] lines right before `lines`.
fn lines_before(text: &[u8], lines: &Lines) -> Lines {
    let end = lines.bytes.start;
    let (mut start, mut count) = (end, 0);
    while start > 0 && count < CONTEXT {
        start = memrchr(b'\n', &text[..start - 1]).map_or(0, |feed| feed + 1);
        count += 1;
    }
    Lines { first: lines.first - count, count, bytes: start..end }
}

/// At most [`CONTEXT`] lines right after `lines`.
fn lines_after(text: &[u8], lines: &Lines) -> Lines {
    let start = lines.bytes.end;
    let (mut end, mut count) = (start, 0);
    while end < text.len() && count < CONTEXT {
        end = memchr(b'\n', &text[end..]).map_or(text.len(), |feed| end + feed + 1);
        count += 1;
    }
    Lines { first: lines.first + lines.count, count, bytes: start..end }
}

struct Body(Vec<u8>);

impl Body {
    fn lines(&mut self, sign: u8, text: &[u8]) {
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            self.0.push(sign);
            self.0.extend_from_slice(line);
        }
        if text.last().is_some_and(|&last| last != b'\n') {
            self.0.push(b'\n');
            self.0.extend_from_slice(NO_FEED.as_bytes());
        }
    }
}

/// One line of a hunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// ` `, `-` or `+`.
    pub(crate) sign: u8,
    /// Without its line feed.
    pub(crate) text: &'a [u8],
    /// Whether it ends with a line feed.
    pub(crate) fed: bool,
}

impl Line<'_> {
    /// Bytes it has in the text it is of.
    pub(crate) fn len(&self) -> u64 {
        self.text.len() as u64 + u64::from(self.fed)
    }

    /// Bytes it has in the body, with its sign and what follows it.
    pub(crate) fn body_len(&self) -> usize {
        1 + self.text.len() + 1 + feed_mark(self.fed).len()
    }
}

/// The lines of a hunk's body.
pub(crate) struct BodyLines<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for BodyLines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let (&sign, rest) = self.0.split_first()?;
        let feed = memchr(b'\n', rest).expect("every line of a body ends with a line feed");
        let (text, rest) = (&rest[..feed], &rest[feed + 1..]);
        let unfed = rest.strip_prefix(NO_FEED.as_bytes());
        self.0 = unfed.unwrap_or(rest);
        Some(Line { sign, text, fed: unfed.is_none() })
    }
}
