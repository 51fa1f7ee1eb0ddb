//! What a far command writes, told apart from what else comes through the same pipes: what a login prints before it, and
//! what ssh says of itself.
//!
//! The far end writes a mark with a nonce before the first and after the last byte of the command on each stream.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Stream;

/// A byte that text hardly has, so that a line is not held back because it might begin a mark.
const FIRST: u8 = 0x1e;
/// How much is kept of what came before the command, in bytes: its end says why there was none.
const KEPT: usize = 4 << 10;
/// How much is read at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Both streams of one far command.
pub(crate) struct Frames {
    mark: Vec<u8>,
    stdout: Arc<Mutex<Seen>>,
    stderr: Arc<Mutex<Seen>>,
}

/// What was seen of a stream's frame.
#[derive(Default)]
struct Seen {
    before: Vec<u8>,
    begun: bool,
    end: Option<String>,
}

impl Frames {
    /// Marked by `nonce`, which no command can guess.
    pub(crate) fn new(nonce: &str) -> Self {
        let mark = [&[FIRST], nonce.as_bytes(), b" "].concat();
        Self { mark, stdout: Arc::default(), stderr: Arc::default() }
    }

    /// What the command writes to `stream`, of all that comes through `pipe`. It ends with the command, also when
    /// something else holds the pipe open.
    pub(crate) fn within(&self, stream: Stream, pipe: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        let seen = match stream {
            Stream::Stdout => Arc::clone(&self.stdout),
            Stream::Stderr => Arc::clone(&self.stderr),
        };
        Box::new(Framed { pipe, mark: self.mark.clone(), seen, pending: Vec::new(), ended: false })
    }

    /// The command was begun.
    pub(crate) fn has_begun(&self) -> bool {
        lock(&self.stderr).begun
    }

    /// All that the command wrote has come.
    pub(crate) fn are_over(&self) -> bool {
        lock(&self.stdout).end.is_some() && lock(&self.stderr).end.is_some()
    }

    /// How the far end says that the command ended, once all that it wrote has come.
    pub(crate) fn end(&self) -> Option<String> {
        self.are_over().then(|| lock(&self.stderr).end.clone())?
    }

    /// The end of what was on stderr before the command.
    pub(crate) fn before(&self) -> String {
        String::from_utf8_lossy(&lock(&self.stderr).before).into_owned()
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Framed<R> {
    pipe: R,
    mark: Vec<u8>,
    seen: Arc<Mutex<Seen>>,
    /// What was read and is not yet told apart.
    pending: Vec<u8>,
    ended: bool,
}

impl<R: Read> Read for Framed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let own = self.tell_apart();
            if own > 0 {
                let taken = own.min(buffer.len());
                buffer[..taken].copy_from_slice(&self.pending[..taken]);
                self.pending.drain(..taken);
                return Ok(taken);
            }
            if self.ended {
                return Ok(0);
            }
            self.more()?;
        }
    }
}

impl<R: Read> Framed<R> {
    /// Takes marks and what is outside of them out of what is pending. Returns how many of its first bytes are the
    /// command's.
    fn tell_apart(&mut self) -> usize {
        let mut seen = lock(&self.seen);
        if !seen.begun {
            let (at, mark) = find(&self.pending, &self.mark);
            seen.before.extend(self.pending.drain(..at));
            let excess = seen.before.len().saturating_sub(KEPT);
            seen.before.drain(..excess);
            let Some((len, _)) = mark else { return 0 };
            self.pending.drain(..len);
            seen.begun = true;
        }
        let (at, mark) = find(&self.pending, &self.mark);
        if let Some((_, said)) = mark {
            seen.end = Some(said);
            self.pending.truncate(at);
            self.ended = true;
        }
        at
    }

    /// Reads more, or sees that there is no more.
    fn more(&mut self) -> io::Result<()> {
        let before = self.pending.len();
        self.pending.resize(before + CHUNK, 0);
        let read = self.pipe.read(&mut self.pending[before..]);
        self.pending.truncate(before + read.as_ref().copied().unwrap_or(0));
        if read? == 0 {
            self.ended = true;
        }
        Ok(())
    }
}

/// Where the first mark begins, or what may become one, else the length of `bytes`. With the length of a whole mark and
/// what it says.
fn find(bytes: &[u8], mark: &[u8]) -> (usize, Option<(usize, String)>) {
    let firsts = bytes.iter().enumerate().filter(|(_, byte)| **byte == FIRST);
    let mut marks = firsts.map(|(at, _)| (at, &bytes[at..]));
    let Some((at, rest)) = marks.find(|(_, rest)| rest.starts_with(mark) || mark.starts_with(rest)) else {
        return (bytes.len(), None);
    };
    let end = rest.iter().position(|byte| *byte == b'\n');
    let whole = end.map(|end| (end + 1, String::from_utf8_lossy(&rest[mark.len()..end]).into_owned()));
    (at, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at once.
    struct Pieces(Vec<u8>, usize);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(self.0.len()).min(buffer.len());
            buffer[..len].copy_from_slice(&self.0[..len]);
            self.0.drain(..len);
            Ok(len)
        }
    }

    /// What is within the frame on stderr, what was before it, and the end.
    fn check(bytes: &[u8], piece: usize) -> (Vec<u8>, String, Option<String>) {
        let frames = Frames::new("5eed");
        let mut own = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            own.clear();
            let pipe = Box::new(Pieces(bytes.to_vec(), piece));
            frames.within(stream, pipe).read_to_end(&mut own).unwrap();
        }
        (own, frames.before(), frames.end())
    }

    #[test]
    fn a_frame_is_found_however_it_is_cut_into_pieces() {
        let bytes = b"noise\n\x1e5eed begin\nown \x1e5eeD \x1e5ee\x1e\x1e5eed exit 3\nmore";
        for piece in 1..=bytes.len() {
            let (own, before, end) = check(bytes, piece);
            assert_eq!(own, b"own \x1e5eeD \x1e5ee\x1e");
            assert_eq!((before.as_str(), end.as_deref()), ("noise\n", Some("exit 3")));
        }
    }

    #[test]
    fn without_a_whole_mark_there_is_no_end() {
        for bytes in [&b""[..], b"noise", b"\x1e5eed begin", b"\x1e5eed begin\nown", b"\x1e5eed begin\n\x1e5eed exit 0"]
        {
            assert_eq!(check(bytes, 3).2, None);
        }
        let (own, before, end) = check(&[b"x".repeat(99_999), b"why\n".to_vec()].concat(), 1000);
        assert_eq!((own.len(), before.len(), &before[before.len() - 4..], end), (0, KEPT, "why\n", None));
    }

    #[test]
    fn a_stream_is_given_as_it_comes() {
        let frames = Frames::new("5eed");
        let mut pipe = frames.within(Stream::Stdout, Box::new(Pieces(b"\x1e5eed begin\nline\n".to_vec(), 5)));
        let mut own: Vec<u8> = Vec::new();
        while own.len() < 5 {
            let mut buffer = [0; 64];
            let len = pipe.read(&mut buffer).unwrap();
            own.extend(&buffer[..len]);
        }
        assert_eq!(own, b"line\n");
        assert!(!frames.are_over());
    }
}
