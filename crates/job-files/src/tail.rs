//! The last lines of a log.
//!
//! **Invariant:** memory is bounded by a block, a line and the answer, however long the log and its lines are.

use memchr::{memchr_iter, memrchr, memrchr_iter};

use crate::error::FilesError;
use crate::log::Log;

/// Bytes that are looked at together.
const BLOCK: u64 = 256 << 10;
/// A longer line is shown by its end.
const MAX_LINE: usize = 64 << 10;
/// Bytes of all lines together as they are sent, in JSON; more lines are left out.
const MAX_ANSWER: usize = 8 << 20;
/// What an empty line counts for.
const LINE: usize = 32;

/// The last lines, the oldest first, and how many lines there are. What has no newline at its end is a line too.
pub(crate) async fn tail(log: &Log, lines: u32) -> Result<(Vec<String>, u64), FilesError> {
    let size = log.size().await?;
    let mut last = Last { most: lines, room: MAX_ANSWER, ..Last::default() };
    let mut end = size;
    while end > 0 && !last.full() {
        let start = end.saturating_sub(BLOCK);
        let block = log.read(start..end).await?;
        // The newline at the end of the log is that of its last line.
        last.block(block.strip_suffix(b"\n").filter(|_| end == size).unwrap_or(&block));
        end = start;
    }
    if size > 0 && end == 0 {
        last.line();
    }
    last.lines.reverse();
    Ok((last.lines, count(log, size).await?))
}

/// Where the last lines begin, in bytes: one at least.
pub(crate) async fn start(log: &Log, lines: u32) -> Result<u64, FilesError> {
    let size = log.size().await?;
    let (mut end, mut left) = (size, lines);
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = log.read(start..end).await?;
        // The newline at the end of the log is that of its last line.
        for at in memrchr_iter(b'\n', block.strip_suffix(b"\n").filter(|_| end == size).unwrap_or(&block)) {
            left = left.saturating_sub(1);
            if left == 0 {
                return Ok(start + at as u64 + 1);
            }
        }
        end = start;
    }
    Ok(0)
}

async fn count(log: &Log, size: u64) -> Result<u64, FilesError> {
    let (mut lines, mut ended) = (0, true);
    for start in (0..size).step_by(usize::try_from(BLOCK).expect("a block is small")) {
        let block = log.read(start..size.min(start + BLOCK)).await?;
        lines += memchr_iter(b'\n', &block).count() as u64;
        ended = block.ends_with(b"\n");
    }
    Ok(lines + u64::from(!ended))
}

/// Lines as they are found, the newest first.
#[derive(Default)]
struct Last {
    lines: Vec<String>,
    most: u32,
    room: usize,
    /// The end of the line whose beginning was not seen.
    end: Vec<u8>,
    cut: bool,
}

impl Last {
    fn full(&self) -> bool {
        self.room == 0 || self.lines.len() as u64 >= u64::from(self.most)
    }

    /// Takes what stands before all that was taken.
    fn block(&mut self, mut block: &[u8]) {
        while let Some(at) = memrchr(b'\n', block) {
            self.before(&block[at + 1..]);
            self.line();
            block = &block[..at];
        }
        self.before(block);
    }

    fn before(&mut self, piece: &[u8]) {
        let room = MAX_LINE - self.end.len();
        self.cut |= piece.len() > room;
        self.end.splice(..0, piece[piece.len().saturating_sub(room)..].iter().copied());
    }

    /// The line is whole.
    fn line(&mut self) {
        let (line, cut) = (std::mem::take(&mut self.end), std::mem::take(&mut self.cut));
        if self.full() {
            return;
        }
        let line = String::from_utf8_lossy(if cut { from_character(&line) } else { &line }).into_owned();
        match self.room.checked_sub(quoted(&line) + LINE) {
            Some(room) => {
                self.room = room;
                self.lines.push(line);
            }
            None => self.room = 0,
        }
    }
}

/// The bytes of a line in JSON.
fn quoted(line: &str) -> usize {
    let escape = |byte| match byte {
        b'"' | b'\\' | b'\t' | b'\r' | 0x08 | 0x0c => 1,
        0..0x20 => 5,
        _ => 0,
    };
    line.len() + line.bytes().map(escape).sum::<usize>()
}

/// Without the rest of a character whose beginning was cut off.
fn from_character(bytes: &[u8]) -> &[u8] {
    let rest = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    &bytes[rest..]
}
