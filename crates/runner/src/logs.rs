//! What a job says: a file of bounded size without secrets, and the same for the terminal while it is said.
//!
//! **Invariant:** memory and the file are bounded by the cap, however much a job says; what is left out is the middle, and
//! a line says how much.
//! **Invariant:** no registered secret is in the file or the live copy, also not across what was left out.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;

use host::{disk_full, is_full};
use job::LogSize;
use outcome::Failure;
use rustix::fs::{Mode, OFlags};

use crate::redact::{MAX_BYTES, Redactor, Secrets};

/// The smallest cap, in bytes.
pub const MIN_CAP: u64 = 4096;
/// More than the line about what was left out takes.
const LINE_MAX: u64 = 80;
/// The line where its number cannot be told, because a secret is in it. No secret touches this one.
pub(crate) const LEFT_OUT_UNCOUNTED: &[u8] = b"\n[ai-ops-runner: bytes left out]\n";

/// A log was not written.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
pub struct LogError {
    /// The file's name.
    pub name: String,
    /// The system's reason.
    pub source: io::Error,
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let reason = error.to_string();
        if is_full(&error.source) {
            return disk_full(reason);
        }
        Self::infrastructure("log", reason, "check the state directory and its disk, then run the job again")
    }
}

/// The live copy of a log, in pieces.
pub type Live<'a> = Box<dyn FnMut(&[u8]) + Send + 'a>;

/// The log of one stream.
pub struct Log<'a> {
    name: String,
    redactor: Redactor,
    kept: Kept,
    live: Live<'a>,
    seen: u64,
}

impl<'a> Log<'a> {
    /// Makes the new file `name` in `dir`, for at most `cap` bytes (at least [`MIN_CAP`]). `live` gets all that is said,
    /// without the secrets: bytes, not text, and nothing of them is made safe for a terminal.
    ///
    /// # Errors
    /// [`LogError`], also when there is anything of that name.
    pub fn create(dir: impl AsFd, name: &str, cap: u64, secrets: Secrets, live: Live<'a>) -> Result<Self, LogError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::APPEND | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| LogError { name: name.to_owned(), source: errno.into() })?;
        let kept = Kept::new(File::from(file), cap.max(MIN_CAP));
        Ok(Self { name: name.to_owned(), redactor: Redactor::new(secrets), kept, live, seen: 0 })
    }

    /// Takes what the job said next. When the file cannot be written the job is not held up: [`Log::finish`] tells.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.seen = self.seen.saturating_add(chunk.len() as u64);
        let (kept, live) = (&mut self.kept, &mut self.live);
        self.redactor.feed(chunk, &mut |piece| {
            kept.push(piece);
            live(piece);
        });
        self.kept.flush();
    }

    /// Writes the rest and syncs the file.
    ///
    /// # Errors
    /// [`LogError`] for the first thing that could not be written.
    pub fn finish(mut self) -> Result<LogSize, LogError> {
        let (kept, live) = (&mut self.kept, &mut self.live);
        self.redactor.finish(&mut |piece| {
            kept.push(piece);
            live(piece);
        });
        let truncated = self.kept.left_out() > 0;
        let written = self.kept.end(&self.redactor.secrets);
        let bytes = written.map_err(|source| LogError { name: self.name, source })?;
        Ok(LogSize { seen: self.seen, kept: bytes, truncated, redacted: self.redactor.marks })
    }
}

/// The first half of the cap in the file, the last half in memory until the end.
struct Kept {
    file: BufWriter<File>,
    /// Room for the beginning, in bytes.
    head_room: u64,
    /// The last bytes of the beginning, to look for secrets across what is left out.
    head_end: Vec<u8>,
    written: u64,
    tail: Ring,
    failed: Option<io::Error>,
}

impl Kept {
    fn new(file: File, cap: u64) -> Self {
        let head_room = cap / 2;
        let tail_room = usize::try_from(cap - head_room - LINE_MAX).unwrap_or(usize::MAX);
        let file = BufWriter::with_capacity(64 << 10, file);
        Self { file, head_room, head_end: Vec::new(), written: 0, tail: Ring::new(tail_room), failed: None }
    }

    fn push(&mut self, piece: &[u8]) {
        let room = usize::try_from(self.head_room - self.written.min(self.head_room)).unwrap_or(usize::MAX);
        let (head, tail) = piece.split_at(room.min(piece.len()));
        if !head.is_empty() {
            self.write(head);
            self.head_end.extend_from_slice(head);
            // Twice what is looked at is held, so that the cost stays linear however small the pieces are.
            if self.head_end.len() > 2 * MAX_BYTES {
                self.head_end.drain(..self.head_end.len() - MAX_BYTES);
            }
        }
        self.tail.push(tail);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        if self.failed.is_none() {
            self.failed = self.file.write_all(bytes).err();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.file.flush().err();
        }
    }

    fn left_out(&self) -> u64 {
        self.tail.passed - self.tail.len() as u64
    }

    /// Writes the last half; returns the bytes of the file.
    fn end(&mut self, secrets: &Secrets) -> io::Result<u64> {
        let left_out = self.left_out();
        let tail = self.tail.take();
        if left_out > 0 {
            let line = self.line(left_out, &tail, secrets);
            self.write(&line);
        }
        self.write(&tail);
        self.flush();
        match self.failed.take() {
            Some(error) => Err(error),
            // An empty file has nothing to lose.
            None if self.written == 0 => Ok(0),
            None => self.file.get_ref().sync_data().map(|()| self.written),
        }
    }

    /// What stands where the middle was. The number is left out where it would complete a secret.
    fn line(&self, left_out: u64, tail: &[u8], secrets: &Secrets) -> Vec<u8> {
        let line = format!("\n[ai-ops-runner: {left_out} bytes left out]\n").into_bytes();
        let around = secrets.longest();
        let before = &self.head_end[self.head_end.len().saturating_sub(around)..];
        let after = &tail[..around.min(tail.len())];
        if secrets.are_in(&[before, &line, after].concat()) { LEFT_OUT_UNCOUNTED.to_vec() } else { line }
    }
}

/// The last bytes of what passed.
struct Ring {
    bytes: Vec<u8>,
    /// The oldest byte, once it is full.
    start: usize,
    room: usize,
    passed: u64,
}

impl Ring {
    fn new(room: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, room, passed: 0 }
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn push(&mut self, piece: &[u8]) {
        self.passed += piece.len() as u64;
        let piece = &piece[piece.len().saturating_sub(self.room)..];
        let (fill, over) = piece.split_at((self.room - self.bytes.len()).min(piece.len()));
        self.bytes.extend_from_slice(fill);
        let (to_end, from_start) = over.split_at((self.bytes.len() - self.start).min(over.len()));
        self.bytes[self.start..self.start + to_end.len()].copy_from_slice(to_end);
        self.bytes[..from_start.len()].copy_from_slice(from_start);
        if !over.is_empty() {
            self.start = (self.start + over.len()) % self.room;
        }
    }

    /// The bytes from the oldest on.
    fn take(&mut self) -> Vec<u8> {
        self.bytes.rotate_left(self.start);
        std::mem::take(&mut self.bytes)
    }
}
