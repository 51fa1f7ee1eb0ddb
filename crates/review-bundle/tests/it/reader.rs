//! A reader of packets that knows nothing of the ledger: what their text says is where, checked against the trees.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Range;
use std::vec::IntoIter;

use review_bundle::{Packet, Packets, Side};

use crate::tree::{SUBMODULE, Tree};

/// Where the changed bytes of a version are: packet, first byte, and the byte after the last.
pub(crate) type Places = BTreeMap<(String, Side), Vec<(String, u64, u64)>>;

/// What the ledger says.
pub(crate) fn ledgered(packets: &Packets) -> Places {
    let mut places = Places::new();
    for entry in &packets.ledger.entries {
        for span in &entry.spans {
            let place = (span.packet.clone(), span.start, span.end);
            places.entry((entry.path.clone(), span.side)).or_default().push(place);
        }
    }
    places
}

/// What the text of all packets says. Panics where it shows a line that is not in the trees at that place.
pub(crate) fn read(packets: &Packets, old: &Tree, new: &Tree) -> Places {
    let mut places = Places::new();
    for packet in &packets.packets {
        let lines = diff_of(packet).into_iter().peekable();
        let mut reader = Reader { lines, old, new, path: "", packet: &packet.id, places: &mut places };
        while let Some(line) = reader.lines.next() {
            reader.line(line);
        }
    }
    places
}

/// The ids of the packets that have a header of each path: the full one, and the one that only continues.
pub(crate) fn headers(packets: &Packets) -> BTreeMap<&str, [Vec<&str>; 2]> {
    let mut headers: BTreeMap<&str, [Vec<&str>; 2]> = BTreeMap::new();
    for packet in &packets.packets {
        for pair in diff_of(packet).windows(2) {
            if let Some(path) = path_of(pair[0]) {
                headers.entry(path).or_default()[usize::from(pair[1] == "(continued)")].push(&packet.id);
            }
        }
    }
    headers
}

fn diff_of(packet: &Packet) -> Vec<&str> {
    let (_, diff) = packet.text.split_once("\n=== DIFF ===\n").unwrap();
    let (diff, _) = diff.rsplit_once("\n=== INSTRUCTIONS ===\n").unwrap();
    diff.split_terminator('\n').collect()
}

fn path_of(line: &str) -> Option<&str> {
    let names = line.strip_prefix("diff --git a/")?;
    Some(&names[..(names.len() - " b/".len()) / 2])
}

struct Reader<'a> {
    lines: Peekable<IntoIter<&'a str>>,
    old: &'a Tree,
    new: &'a Tree,
    path: &'a str,
    packet: &'a str,
    places: &'a mut Places,
}

impl<'a> Reader<'a> {
    /// Reads a line of a header, or a hunk or part of a line that starts with it.
    fn line(&mut self, line: &'a str) {
        if let Some(path) = path_of(line) {
            self.path = path;
        } else if let Some(place) = line.strip_prefix("@@ line ") {
            self.piece(place);
        } else if let Some(place) = line.strip_prefix("@@ ") {
            self.hunk(place);
        } else {
            assert!(!line.starts_with(['+', ' ']) || line.starts_with("+++ "), "a line of no hunk: {line}");
        }
    }

    /// `-first,count +first,count @@`, then so many lines.
    fn hunk(&mut self, place: &str) {
        let (old, new) = place.strip_prefix('-').unwrap().strip_suffix(" @@").unwrap().split_once(" +").unwrap();
        let (mut old, mut new) = (lines_of(old), lines_of(new));
        while !old.is_empty() || !new.is_empty() {
            let line = self.lines.next().unwrap();
            let (sign, mut text) = (&line[..1], unescape(&line[1..]));
            if self.lines.next_if_eq(&"\\ No newline at end of file").is_none() {
                text.push(b'\n');
            }
            match sign {
                "-" => self.changed(Side::Old, old.next().unwrap(), 0, &text),
                "+" => self.changed(Side::New, new.next().unwrap(), 0, &text),
                " " => {
                    assert_eq!(self.version(Side::Old).1[old.next().unwrap()], text);
                    assert_eq!(self.version(Side::New).1[new.next().unwrap()], text);
                }
                _ => panic!("no sign: {line}"),
            }
        }
    }

    /// `number of the side version: bytes from..to of all @@`, then that part of the line.
    fn piece(&mut self, place: &str) {
        let words: Vec<&str> = place.split(' ').collect();
        let [number, "of", "the", side, "version:", "bytes", range, "of", all, "@@"] = words[..] else {
            panic!("not a place: {place}")
        };
        let [number, all] = [number, all].map(|word| word.parse::<usize>().unwrap());
        let (from, to) = range.split_once("..").unwrap();
        let [from, to] = [from, to].map(|word| word.parse::<usize>().unwrap());
        let (side, sign) = if side == "old" { (Side::Old, '-') } else { (Side::New, '+') };
        let mut text = unescape(self.lines.next().unwrap().strip_prefix(sign).unwrap());
        assert!(from < to && text.len() == to - from, "{place}");
        let goes_on = self.lines.next_if_eq(&"\\ The line goes on").is_some();
        assert_eq!(goes_on, to < all, "{place}");
        if !goes_on && self.lines.next_if_eq(&"\\ No newline at end of file").is_none() {
            text.push(b'\n');
        }
        self.changed(side, number - 1, from, &text);
        let line = self.version(side).1.swap_remove(number - 1);
        assert_eq!(line.strip_suffix(b"\n").unwrap_or(&line).len(), all, "{place}");
    }

    /// Compares `text` with what is in a line of a version, and enters its place.
    fn changed(&mut self, side: Side, line: usize, from: usize, text: &[u8]) {
        let (starts, lines) = self.version(side);
        let start = starts[line] + from;
        assert_eq!(&lines[line][from..from + text.len()], text, "{} {side:?} {start}", self.path);
        let (start, end) = (start as u64, (start + text.len()) as u64);
        let places = self.places.entry((self.path.to_owned(), side)).or_default();
        match places.last_mut() {
            Some((packet, _, last)) if packet == self.packet && *last == start => *last = end,
            _ => places.push((self.packet.to_owned(), start, end)),
        }
    }

    /// The lines of a version and where they start.
    fn version(&self, side: Side) -> (Vec<usize>, Vec<Vec<u8>>) {
        let tree = if side == Side::Old { self.old } else { self.new };
        let (_, (mode, content)) = tree.iter().find(|(path, _)| review_bundle::escape(path) == self.path).unwrap();
        let submodule = || [b"Subproject commit ", content.as_slice(), b"\n"].concat();
        let text = if *mode == SUBMODULE { submodule() } else { content.clone() };
        let lines: Vec<Vec<u8>> = text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        let starts = lines.iter().scan(0, |start, line| Some(std::mem::replace(start, *start + line.len())));
        (starts.collect(), lines)
    }
}

/// The indices of the lines that `first`, `first,count` or, for none, `before,0` mean.
fn lines_of(place: &str) -> Range<usize> {
    let (first, count) = place.split_once(',').unwrap_or((place, "1"));
    let [first, count] = [first, count].map(|word| word.parse::<usize>().unwrap());
    if count == 0 { first..first } else { first - 1..first - 1 + count }
}

/// The bytes that escaped text stands for.
fn unescape(shown: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), shown);
    while let Some(at) = rest.find("\\u{").into_iter().chain(rest.find("\\x{")).min() {
        let end = at + rest[at..].find('}').unwrap();
        let number = u32::from_str_radix(&rest[at + 3..end], 16).unwrap();
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        if rest[at..].starts_with("\\x") {
            bytes.push(u8::try_from(number).unwrap());
        } else {
            bytes.extend_from_slice(char::from_u32(number).unwrap().to_string().as_bytes());
        }
        rest = &rest[end + 1..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
