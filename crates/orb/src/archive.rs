//! Archives that are the same bytes for the same files.
//!
//! **Invariant:** nothing of the machine, the user or the clock is in an archive.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// How hard zstd tries: 1 to 22. Higher ones take much longer for a few per cent.
const LEVEL: i32 = 9;

/// A file of an archive.
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a str,
    pub(crate) bytes: &'a [u8],
}

/// Writes `.tar.gz`. `time` is that of every file, in seconds since 1970.
pub(crate) fn gzip(out: &mut dyn Write, entries: &[Entry<'_>], time: u64) -> io::Result<()> {
    let mut gzip = GzBuilder::new().mtime(0).write(out, Compression::best());
    tar(&mut gzip, entries, time)?;
    gzip.finish().map(drop)
}

/// Writes `.tar.zst`.
pub(crate) fn zstd(out: &mut dyn Write, entries: &[Entry<'_>], time: u64) -> io::Result<()> {
    let mut zstd = zstd::Encoder::new(out, LEVEL)?;
    zstd.include_checksum(true)?;
    tar(&mut zstd, entries, time)?;
    zstd.finish().map(drop)
}

fn tar(out: &mut dyn Write, entries: &[Entry<'_>], time: u64) -> io::Result<()> {
    let mut tar = Builder::new(out);
    let mut sorted: Vec<&Entry<'_>> = entries.iter().collect();
    sorted.sort_unstable_by_key(|entry| entry.path);
    for entry in sorted {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(time);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, entry.path, entry.bytes)?;
    }
    tar.into_inner().map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const ENTRIES: [Entry<'_>; 2] = [Entry { path: "b/c", bytes: b"two" }, Entry { path: "a", bytes: b"one" }];

    fn check(tar: impl Read) -> String {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let (header, path) = (entry.header(), entry.path().unwrap().display().to_string());
            let (uid, mode, time) = (header.uid().unwrap(), header.mode().unwrap(), header.mtime().unwrap());
            format!("{path} {uid} {mode:o} {time} {:?} {text}\n", header.username().unwrap())
        });
        entries.collect()
    }

    #[test]
    fn an_archive_is_sorted_and_says_nothing_of_who_made_it() {
        let (mut gz, mut zst) = (Vec::new(), Vec::new());
        gzip(&mut gz, &ENTRIES, 7).unwrap();
        zstd(&mut zst, &ENTRIES, 7).unwrap();
        let of_gz = check(flate2::read::GzDecoder::new(&gz[..]));
        insta::assert_snapshot!(of_gz, @r#"
        a 0 644 7 Some("") one
        b/c 0 644 7 Some("") two
        "#);
        assert_eq!(check(::zstd::Decoder::new(&zst[..]).unwrap()), of_gz);
        // The time of a gzip file is in bytes 4 to 7.
        assert_eq!(gz[4..8], [0; 4]);
    }

    #[test]
    fn the_order_of_the_files_makes_no_difference() {
        let [first, second] = &ENTRIES;
        let reversed = [Entry { ..*second }, Entry { ..*first }];
        let bytes = |entries: &[Entry<'_>]| {
            let mut out = Vec::new();
            gzip(&mut out, entries, 7).unwrap();
            zstd(&mut out, entries, 7).unwrap();
            out
        };
        assert_eq!(bytes(&ENTRIES), bytes(&reversed));
    }
}
