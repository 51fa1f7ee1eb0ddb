//! Git's index of a checkout (gitformat-index(5), version 2), without a checksum, which git has been able to read since
//! 2.40 and wants never.

use std::path::Path;
use std::time::{Duration, SystemTime};

use repo::ObjectId;

use crate::error::WorktreeError;
use crate::files::Seen;
use crate::listing::Item;

/// Before the path: ten numbers, the id, the flags.
const NUMBERS: usize = 40;
const HEADER: usize = 12;
/// How far the index's time is ahead of its files', so that git never takes one for written after it was looked at.
const AHEAD: Duration = Duration::from_secs(2);
/// A longer path has this as its length.
const LONG: usize = 0xfff;

/// Writes an index, entry after entry in the order of their paths.
pub(crate) struct Writer {
    bytes: Vec<u8>,
    count: u32,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut all = Vec::with_capacity(bytes);
        all.extend_from_slice(b"DIRC\0\0\0\x02\0\0\0\0");
        Self { bytes: all, count: 0 }
    }

    pub(crate) fn push(&mut self, item: &Item, seen: &Seen) {
        let start = self.bytes.len();
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
        for number in numbers {
            self.bytes.extend_from_slice(&number.to_be_bytes());
        }
        self.bytes.extend_from_slice(item.id.as_slice());
        let flags = u16::try_from(item.path.len().min(LONG)).expect("twelve bits");
        self.bytes.extend_from_slice(&flags.to_be_bytes());
        self.bytes.extend_from_slice(&item.path);
        let padded = start + padded(self.bytes.len() - start);
        self.bytes.resize(padded, 0);
        self.count += 1;
    }

    pub(crate) fn push_raw(&mut self, record: &Record<'_>) {
        self.bytes.extend_from_slice(record.raw);
        self.count += 1;
    }

    pub(crate) fn finish(mut self, id_len: usize) -> Vec<u8> {
        self.bytes[8..HEADER].copy_from_slice(&self.count.to_be_bytes());
        self.bytes.resize(self.bytes.len() + id_len, 0);
        self.bytes
    }
}

/// One to eight zeros end an entry, so that it is as long as a multiple of eight.
const fn padded(len: usize) -> usize {
    (len + 8) & !7
}

/// The index of these items.
pub(crate) fn of(items: &[Item], seen: &[Seen], id_len: usize) -> Vec<u8> {
    let paths: usize = items.iter().map(|item| item.path.len()).sum();
    let mut writer = Writer::with_capacity(HEADER + paths + items.len() * (NUMBERS + id_len + 10) + id_len);
    items.iter().zip(seen).for_each(|(item, seen)| writer.push(item, seen));
    writer.finish(id_len)
}

/// Writes an index that is not there yet.
pub(crate) fn write(path: &Path, bytes: &[u8], now: SystemTime) -> Result<(), WorktreeError> {
    let written = std::fs::write(path, bytes);
    let dated = written.and_then(|()| std::fs::File::options().write(true).open(path)?.set_modified(now + AHEAD));
    dated.map_err(WorktreeError::io(path))
}

/// One entry of an index.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    raw: &'a [u8],
    path: &'a [u8],
    id: &'a [u8],
}

impl<'a> Record<'a> {
    pub(crate) const fn path(&self) -> &'a [u8] {
        self.path
    }

    /// How many bytes of the index it takes.
    pub(crate) const fn len(&self) -> usize {
        self.raw.len()
    }

    pub(crate) fn item(&self) -> Item {
        Item { path: self.path.to_vec(), mode: self.number(6), id: ObjectId::from_bytes_or_panic(self.id) }
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            ctime: [self.number(0), self.number(1)],
            mtime: [self.number(2), self.number(3)],
            dev: self.number(4),
            ino: self.number(5),
            uid: self.number(7),
            gid: self.number(8),
            size: self.number(9),
        }
    }

    fn number(&self, at: usize) -> u32 {
        self.raw[4 * at..][..4].try_into().map_or(0, u32::from_be_bytes)
    }
}

/// The entries of an index as [`Writer`] writes it; `None` if it is another.
pub(crate) fn parse(bytes: &[u8], id_len: usize) -> Option<Vec<Record<'_>>> {
    let count = bytes.strip_prefix(b"DIRC\0\0\0\x02")?.first_chunk().map(|count| u32::from_be_bytes(*count))?;
    let (mut rest, end) = bytes[HEADER..].split_at_checked(bytes.len().checked_sub(HEADER + id_len)?)?;
    if end.iter().any(|byte| *byte != 0) {
        return None;
    }
    let mut records: Vec<Record<'_>> = Vec::with_capacity(rest.len() / (NUMBERS + id_len));
    while !rest.is_empty() {
        let record = parse_record(rest, id_len)?;
        if records.last().is_some_and(|last| last.path >= record.path) {
            return None;
        }
        rest = &rest[record.raw.len()..];
        records.push(record);
    }
    (records.len() == usize::try_from(count).ok()?).then_some(records)
}

fn parse_record(bytes: &[u8], id_len: usize) -> Option<Record<'_>> {
    let fixed = NUMBERS + id_len + 2;
    let (id, flags) = bytes.get(NUMBERS..fixed)?.split_at(id_len);
    let len = match usize::from(u16::from_be_bytes(flags.try_into().ok()?)) {
        LONG => bytes[fixed..].iter().position(|byte| *byte == 0).filter(|len| *len >= LONG)?,
        len if len < LONG => len,
        _ => return None,
    };
    let raw = bytes.get(..padded(fixed + len))?;
    let path = &raw[fixed..fixed + len];
    let is_plain = len > 0 && raw[fixed + len..].iter().all(|byte| *byte == 0);
    is_plain.then_some(Record { raw, path, id })
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
        let records = parse(&bytes, 20).unwrap();
        assert_eq!(records.iter().map(Record::item).collect::<Vec<_>>(), items);
        assert_eq!(records.iter().map(Record::seen).collect::<Vec<_>>(), seen);
        let mut again = Writer::with_capacity(0);
        records.iter().for_each(|record| again.push_raw(record));
        assert!(again.finish(20) == bytes);
    }

    #[test]
    fn an_index_that_ends_early_or_was_changed_is_none() {
        let items = items();
        let bytes = of(&items[..3], &[Seen::default(); 3], 20);
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end], 20).is_none(), "{end}");
        }
        assert!(parse(&of(&[items[1].clone(), items[0].clone()], &[Seen::default(); 2], 20), 20).is_none());
        assert!(parse(&bytes, 32).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_index_or_none(tail: Vec<u8>) {
            let _ = parse(&tail, 20);
            let _ = parse(&[&b"DIRC\0\0\0\x02\0\0\0\x01"[..], &tail].concat(), 20);
        }
    }
}
