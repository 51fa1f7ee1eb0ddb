//! Git's index of a checkout (gitformat-index(5), version 2), without a checksum, which git has been able to read since
//! 2.40 and wants never.

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use repo::ObjectId;

use crate::error::WorktreeError;
use crate::files::Seen;
use crate::listing::Item;
use crate::template::remove;

/// Before the path: ten numbers, the id, the flags.
const NUMBERS: usize = 40;
const HEADER: usize = 12;
/// How far the index's time is ahead of its files', so that git never takes one for written after it was looked at.
const AHEAD: Duration = Duration::from_secs(2);
/// A longer path has this as its length.
const LONG: usize = 0xfff;

/// An index while it is written, entry after entry in the order of their paths.
struct Writer {
    bytes: Vec<u8>,
    count: u32,
}

impl Writer {
    fn with_capacity(bytes: usize) -> Self {
        let mut all = Vec::with_capacity(bytes);
        all.extend_from_slice(b"DIRC\0\0\0\x02\0\0\0\0");
        Self { bytes: all, count: 0 }
    }

    /// Takes bytes of so many entries.
    fn push(&mut self, entries: &[u8], count: usize) {
        self.bytes.extend_from_slice(entries);
        self.count += u32::try_from(count).expect("an index counts its entries with 32 bits");
    }

    fn finish(mut self, id_len: usize) -> Vec<u8> {
        self.bytes[8..HEADER].copy_from_slice(&self.count.to_be_bytes());
        self.bytes.resize(self.bytes.len() + id_len, 0);
        self.bytes
    }
}

/// The bytes of an entry.
pub(crate) fn entry(item: &Item, seen: &Seen) -> Vec<u8> {
    let numbers = [
        seen.ctime[0],
        seen.ctime[1],
        seen.mtime[0],
        seen.mtime[1],
        seen.dev,
        seen.ino,
        item.mode,
        seen.uid,
        seen.gid,
        seen.size,
    ];
    let mut bytes = Vec::with_capacity(NUMBERS + 32 + 10 + item.path.len());
    for number in numbers {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(item.id.as_slice());
    let flags = u16::try_from(item.path.len().min(LONG)).expect("twelve bits");
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&item.path);
    bytes.resize(padded(bytes.len()), 0);
    bytes
}

/// One to eight zeros end an entry, so that it is as long as a multiple of eight.
const fn padded(len: usize) -> usize {
    (len + 8) & !7
}

/// The index of these items.
pub(crate) fn of(items: &[Item], seen: &[Seen], id_len: usize) -> Vec<u8> {
    let paths: usize = items.iter().map(|item| item.path.len()).sum();
    let mut writer = Writer::with_capacity(HEADER + paths + items.len() * (NUMBERS + id_len + 10) + id_len);
    items.iter().zip(seen).for_each(|(item, seen)| writer.push(&entry(item, seen), 1));
    writer.finish(id_len)
}

/// Writes an index that is not there yet.
pub(crate) fn write(path: &Path, bytes: &[u8], now: SystemTime) -> Result<(), WorktreeError> {
    let file = File::create_new(path).and_then(|mut file| file.write_all(bytes).map(|()| file));
    file.and_then(|file| file.set_modified(now + AHEAD)).map_err(WorktreeError::io(path))
}

/// In place of old entries, some or none, come the bytes of a new one, or nothing.
pub(crate) struct Edit {
    pub(crate) old: Range<usize>,
    pub(crate) new: Vec<u8>,
}

/// Changes the index at `path`, which nobody uses and which is `old`, by edits in the order of their entries.
pub(crate) fn edit(path: &Path, old: &Index, edits: &[Edit], now: SystemTime) -> Result<(), WorktreeError> {
    if edits.iter().any(|edit| old.span(&edit.old).len() != edit.new.len()) {
        remove(path)?;
        return write(path, &old.edited(edits), now);
    }
    let in_place = |file: File| {
        edits.iter().try_for_each(|edit| file.write_all_at(&edit.new, old.span(&edit.old).start as u64))?;
        file.set_modified(now + AHEAD)
    };
    File::options().write(true).open(path).and_then(in_place).map_err(WorktreeError::io(path))
}

/// An index that was read.
pub(crate) struct Index {
    bytes: Vec<u8>,
    /// Where each entry begins, and where the last one ends.
    starts: Vec<usize>,
    id_len: usize,
}

impl Index {
    /// Reads an index as [`Writer`] writes it; `None` if it is another.
    pub(crate) fn read(path: &Path, id_len: usize) -> Option<Self> {
        Self::parse(std::fs::read(path).ok()?, id_len)
    }

    fn parse(bytes: Vec<u8>, id_len: usize) -> Option<Self> {
        let count = bytes.strip_prefix(b"DIRC\0\0\0\x02")?.first_chunk().map(|count| u32::from_be_bytes(*count))?;
        let end = bytes.len().checked_sub(id_len).filter(|end| *end >= HEADER)?;
        if bytes[end..].iter().any(|byte| *byte != 0) {
            return None;
        }
        let mut starts = Vec::with_capacity((end - HEADER) / (NUMBERS + id_len));
        let (mut start, mut last): (usize, &[u8]) = (HEADER, b"");
        while start < end {
            let (len, path) = parse_entry(&bytes[start..end], id_len)?;
            if path <= last {
                return None;
            }
            starts.push(start);
            (start, last) = (start + len, path);
        }
        starts.push(end);
        (starts.len() == usize::try_from(count).ok()? + 1).then_some(Self { bytes, starts, id_len })
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where the bytes of entries are.
    fn span(&self, numbers: &Range<usize>) -> Range<usize> {
        self.starts[numbers.start]..self.starts[numbers.end]
    }

    fn edited(&self, edits: &[Edit]) -> Vec<u8> {
        let more: usize = edits.iter().map(|edit| edit.new.len()).sum();
        let mut writer = Writer::with_capacity(self.bytes.len() + more);
        let mut from = 0;
        for edit in edits {
            writer.push(&self.bytes[self.span(&(from..edit.old.start))], edit.old.start - from);
            writer.push(&edit.new, usize::from(!edit.new.is_empty()));
            from = edit.old.end;
        }
        writer.push(&self.bytes[self.span(&(from..self.len()))], self.len() - from);
        writer.finish(self.id_len)
    }

    /// The number of the first entry at or after `from` whose path is not before `path`.
    pub(crate) fn find(&self, from: usize, path: &[u8]) -> usize {
        let starts = &self.starts[from..self.len()];
        from + starts.partition_point(|start| self.path_at(*start) < path)
    }

    pub(crate) fn path(&self, number: usize) -> &[u8] {
        self.path_at(self.starts[number])
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        let id = |start: usize| ObjectId::from_bytes_or_panic(&self.bytes[start + NUMBERS..][..self.id_len]);
        let item =
            |start: &usize| Item { path: self.path_at(*start).to_vec(), mode: self.number(*start, 6), id: id(*start) };
        self.starts[..self.len()].iter().map(item).collect()
    }

    pub(crate) fn seen(&self, number: usize) -> Seen {
        let number = |at| self.number(self.starts[number], at);
        Seen {
            ctime: [number(0), number(1)],
            mtime: [number(2), number(3)],
            dev: number(4),
            ino: number(5),
            uid: number(7),
            gid: number(8),
            size: number(9),
        }
    }

    fn path_at(&self, start: usize) -> &[u8] {
        let rest = &self.bytes[start + NUMBERS + self.id_len..];
        let path = &rest[2..];
        match usize::from(u16::from_be_bytes([rest[0], rest[1]])) {
            LONG => path.split(|byte| *byte == 0).next().unwrap_or_default(),
            len => &path[..len],
        }
    }

    fn number(&self, start: usize, at: usize) -> u32 {
        self.bytes[start + 4 * at..].first_chunk().map_or(0, |number| u32::from_be_bytes(*number))
    }
}

/// How long an entry is, and its path.
fn parse_entry(bytes: &[u8], id_len: usize) -> Option<(usize, &[u8])> {
    let fixed = NUMBERS + id_len + 2;
    let flags = bytes.get(fixed - 2..fixed)?.try_into().ok()?;
    let len = match usize::from(u16::from_be_bytes(flags)) {
        LONG => bytes[fixed..].iter().position(|byte| *byte == 0).filter(|len| *len >= LONG)?,
        len if len < LONG => len,
        _ => return None,
    };
    let entry = bytes.get(..padded(fixed + len))?;
    let (path, end) = entry[fixed..].split_at(len);
    (len > 0 && !path.contains(&0) && end.iter().all(|byte| *byte == 0)).then_some((entry.len(), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        let id = |byte| ObjectId::from_bytes_or_panic(&[byte; 20]);
        let paths =
            (1..20).map(|len| vec![b'a'; len]).chain([vec![b'b'; LONG - 1], vec![b'b'; LONG], vec![b'b'; 5000]]);
        paths.map(|path| Item { id: id(u8::try_from(path.len() % 256).unwrap()), mode: 0o100_644, path }).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let items = items();
        let seen: Vec<Seen> =
            (0..items.len()).map(|n| Seen { size: u32::try_from(n).unwrap(), ..Seen::default() }).collect();
        let bytes = of(&items, &seen, 20);
        let index = Index::parse(bytes.clone(), 20).unwrap();
        assert_eq!(index.items(), items);
        assert_eq!((0..index.len()).map(|number| index.seen(number)).collect::<Vec<_>>(), seen);
        assert_eq!((index.find(0, b"aaa"), index.find(5, b"aaa"), index.find(0, b"c")), (2, 5, index.len()));
    }

    #[test]
    fn what_is_edited_is_what_would_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let (items, now) = (items(), SystemTime::now());
        let seen = |size| Seen { size, ..Seen::default() };
        let new = |number: usize, size| entry(&items[number], &seen(size));
        let all = |numbers: &[usize], changed: &[usize]| {
            let items: Vec<Item> = numbers.iter().map(|number| items[*number].clone()).collect();
            let size = |number: &usize| seen(u32::from(changed.contains(number)));
            of(&items, &numbers.iter().map(size).collect::<Vec<_>>(), 20)
        };
        let old: Vec<usize> = (0..items.len()).filter(|number| *number != 7).collect();
        let edit_of = |old: Range<usize>, new: Vec<u8>| Edit { old, new };
        let last = items.len() - 1;
        let cases = [
            // In place, at both ends too.
            (vec![edit_of(0..1, new(0, 1)), edit_of(last - 1..last, new(last, 1))], all(&old, &[0, last])),
            // One more, one less, and one that changed behind them.
            (
                vec![edit_of(2..3, vec![]), edit_of(7..7, new(7, 1)), edit_of(9..10, new(10, 1))],
                all(&(0..items.len()).filter(|number| *number != 2).collect::<Vec<_>>(), &[7, 10]),
            ),
            (vec![], all(&old, &[])),
        ];
        for (number, (edits, expected)) in cases.iter().enumerate() {
            let path = dir.path().join(number.to_string());
            write(&path, &all(&old, &[]), now).unwrap();
            edit(&path, &Index::read(&path, 20).unwrap(), edits, now).unwrap();
            assert!(std::fs::read(&path).unwrap() == *expected, "{number}");
            assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), now + AHEAD);
        }
    }

    #[test]
    fn an_index_that_ends_early_or_was_changed_is_none() {
        let items = items();
        let bytes = of(&items[..3], &[Seen::default(); 3], 20);
        for end in 0..bytes.len() {
            assert!(Index::parse(bytes[..end].to_vec(), 20).is_none(), "{end}");
        }
        assert!(Index::parse(of(&[items[1].clone(), items[0].clone()], &[Seen::default(); 2], 20), 20).is_none());
        assert!(Index::parse(bytes, 32).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_index_or_none(tail: Vec<u8>) {
            let _ = Index::parse([&b"DIRC\0\0\0\x02\0\0\0\x01"[..], &tail].concat(), 20);
            let _ = Index::parse(tail, 20);
        }
    }
}
