//! Secrets in a stream of bytes are replaced, wherever the stream is cut into chunks.
//!
//! **Invariant:** what comes out is a function of all that went in, not of the chunks: bytes that belong to any
//! occurrence of a secret are gone, and every run of them is one mark.
//! **Invariant:** no secret that is registered is ever in what comes out, not even across a mark: a secret that a mark
//! could complete is not registered.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};

/// The shortest secret, in bytes. A shorter one is in every second word, and hiding it would show where it is.
pub const MIN_BYTES: usize = 6;
/// The longest secret, in bytes: no key or token is longer. So much is held back of a stream at most.
pub const MAX_BYTES: usize = 16 << 10;
/// The most secrets of a job.
pub const MAX_SECRETS: usize = 100;

/// What stands for a secret: the first that none of the secrets touches.
const MARKS: [&[u8]; 4] = [b"[redacted]", b"<redacted>", b"(hidden)", b"####"];

/// Why a secret is not registered. It is never quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It would be found everywhere.
    #[error("a secret of {0} bytes is too short to be kept out of a log: the shortest has {MIN_BYTES}")]
    TooShort(usize),
    /// No secret is so long.
    #[error("a secret of {0} bytes is too long to be kept out of a log: the longest has {MAX_BYTES}")]
    TooLong(usize),
    /// It looks like what would stand for it.
    #[error("a secret that looks like the mark of something left out cannot be kept out of a log")]
    LikeAMark,
    /// There are too many.
    #[error("more than {MAX_SECRETS} secrets cannot be kept out of a log")]
    TooMany,
}

/// The secrets of a job.
#[derive(Clone, Default)]
pub struct Secrets {
    patterns: Vec<Pattern>,
    finders: Option<Finders>,
    mark: usize,
}

/// The one that sees every occurrence reads byte by byte; most of what is said has none, and that is seen faster.
#[derive(Clone)]
struct Finders {
    /// None where there are more secrets than vector instructions can look for.
    any: Option<packed::Searcher>,
    every: AhoCorasick,
}

impl Finders {
    fn of<'a>(secrets: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Self, aho_corasick::BuildError> {
        let any = packed::Searcher::new(secrets.clone());
        // Its size is a small multiple of the secrets', whatever they are.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        Ok(Self { any, every: AhoCorasick::builder().kind(kind).build(secrets)? })
    }

    fn find_any(&self, bytes: &[u8]) -> bool {
        self.any.as_ref().map_or_else(|| self.every.is_match(bytes), |any| any.find(bytes).is_some())
    }
}

#[derive(Clone)]
struct Pattern {
    bytes: Vec<u8>,
    /// For each length, that of the longest proper prefix that it also ends with (Knuth, Morris, Pratt).
    borders: Vec<usize>,
}

impl Secrets {
    /// Registers `secret` without the white space around it: files of keys end with a line feed that no log repeats.
    /// One that is registered already is no second one.
    ///
    /// # Errors
    /// Why it cannot be kept out of a log. Then the log must not be written: it would show it.
    pub fn register(&mut self, secret: &[u8]) -> Result<(), Unfit> {
        let secret = secret.trim_ascii();
        match secret.len() {
            length @ ..MIN_BYTES => return Err(Unfit::TooShort(length)),
            length if length > MAX_BYTES => return Err(Unfit::TooLong(length)),
            _ if self.patterns.len() == MAX_SECRETS => return Err(Unfit::TooMany),
            _ => {}
        }
        if touch(secret, crate::logs::LEFT_OUT_UNCOUNTED) {
            return Err(Unfit::LikeAMark);
        }
        if self.patterns.iter().any(|known| known.bytes == secret) {
            return Ok(());
        }
        let all = || self.patterns.iter().map(|known| &known.bytes[..]).chain([secret]);
        let mark = MARKS.iter().position(|mark| all().all(|secret| !touch(secret, mark))).ok_or(Unfit::LikeAMark)?;
        let finders = Finders::of(all()).map_err(|_| Unfit::TooMany)?;
        self.mark = mark;
        self.finders = Some(finders);
        self.patterns.push(Pattern { bytes: secret.to_vec(), borders: borders(secret) });
        Ok(())
    }

    /// A secret is somewhere in `bytes`.
    pub(crate) fn are_in(&self, bytes: &[u8]) -> bool {
        self.finders.as_ref().is_some_and(|finders| finders.find_any(bytes))
    }

    /// The longest secret, in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.patterns.iter().map(|pattern| pattern.bytes.len()).max().unwrap_or(0)
    }

    fn mark(&self) -> &'static [u8] {
        MARKS[self.mark]
    }

    /// Where secrets are: runs of bytes that occurrences overlap in, in order.
    fn runs(&self, bytes: &[u8], mut push: impl FnMut(Range<usize>)) {
        let Some(finders) = self.finders.as_ref().filter(|finders| finders.find_any(bytes)) else { return };
        // Occurrences come in the order of their ends: a later one may begin before the ones already seen.
        let mut runs: Vec<Range<usize>> = Vec::new();
        for found in finders.every.find_overlapping_iter(bytes) {
            let mut run = found.range();
            while let Some(last) = runs.pop_if(|last| last.end > run.start) {
                run.start = run.start.min(last.start);
            }
            runs.push(run);
        }
        runs.into_iter().for_each(&mut push);
    }

    /// How many bytes at the end of `bytes` are the beginning of a secret that may go on.
    fn open_end(&self, bytes: &[u8]) -> usize {
        self.patterns.iter().map(|pattern| pattern.open_end(bytes)).max().unwrap_or(0)
    }
}

impl Pattern {
    fn open_end(&self, bytes: &[u8]) -> usize {
        let window = bytes.len().min(self.bytes.len() - 1);
        let mut matched = 0;
        for byte in &bytes[bytes.len() - window..] {
            while matched > 0 && self.bytes[matched] != *byte {
                matched = self.borders[matched - 1];
            }
            // The window is shorter than the pattern, so that it is never matched whole.
            matched += usize::from(self.bytes[matched] == *byte);
        }
        matched
    }
}

fn borders(bytes: &[u8]) -> Vec<usize> {
    let mut borders = vec![0; bytes.len()];
    let mut matched = 0;
    for at in 1..bytes.len() {
        while matched > 0 && bytes[matched] != bytes[at] {
            matched = borders[matched - 1];
        }
        matched += usize::from(bytes[matched] == bytes[at]);
        borders[at] = matched;
    }
    borders
}

/// An occurrence of `secret` could have a byte of `mark` in it, whatever stands around the mark.
fn touch(secret: &[u8], mark: &[u8]) -> bool {
    let (short, long) = if secret.len() < mark.len() { (secret, mark) } else { (mark, secret) };
    let inside = long.windows(short.len()).any(|part| part == short);
    inside || (1..short.len()).any(|n| secret.ends_with(&mark[..n]) || secret.starts_with(&mark[mark.len() - n..]))
}

/// A stream that secrets are taken out of.
pub(crate) struct Redactor {
    pub(crate) secrets: Secrets,
    /// The end of what came, which may be the beginning of a secret.
    held: Vec<u8>,
    /// So many bytes of it belong to a secret whose mark is out already.
    covered: usize,
    /// How many marks are out.
    pub(crate) marks: u64,
}

impl Redactor {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, held: Vec::new(), covered: 0, marks: 0 }
    }

    /// Takes the next bytes, gives out what can be said of them already.
    pub(crate) fn feed(&mut self, chunk: &[u8], out: &mut dyn FnMut(&[u8])) {
        if self.held.is_empty() {
            let open = self.secrets.open_end(chunk);
            self.give(chunk, chunk.len() - open, out);
            self.held.extend_from_slice(&chunk[chunk.len() - open..]);
        } else {
            let mut bytes = std::mem::take(&mut self.held);
            bytes.extend_from_slice(chunk);
            let until = bytes.len() - self.secrets.open_end(&bytes);
            self.give(&bytes, until, out);
            bytes.drain(..until);
            self.held = bytes;
        }
    }

    /// Gives out the rest: nothing follows.
    pub(crate) fn finish(&mut self, out: &mut dyn FnMut(&[u8])) {
        let bytes = std::mem::take(&mut self.held);
        self.give(&bytes, bytes.len(), out);
    }

    /// Gives out what is before `until`. A run of secrets that goes on after it leaves its rest covered.
    fn give(&mut self, bytes: &[u8], until: usize, out: &mut dyn FnMut(&[u8])) {
        let mark = self.secrets.mark();
        let (mut at, mut marks) = (self.covered, self.marks);
        let mut piece = |bytes: &[u8]| {
            if !bytes.is_empty() {
                out(bytes);
            }
        };
        self.secrets.runs(bytes, |run| {
            if run.start >= until {
                return;
            }
            if run.start >= at {
                piece(&bytes[at..run.start]);
                piece(mark);
                marks += 1;
            }
            at = at.max(run.end);
        });
        if at < until {
            piece(&bytes[at..until]);
        }
        self.marks = marks;
        self.covered = at.max(until) - until;
    }
}
