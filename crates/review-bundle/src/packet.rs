//! Packets: the shown text in parts that a reviewer can take in, nothing left out.
//!
//! What does not fit in the open packet starts a new one; what does not fit in an empty one is split: a file into hunks,
//! a hunk into lines, a line between characters. The text of a packet depends on what is in it alone, not on its number or
//! the range, so that an answer to it can be used again.

use crate::bundle::{Bundle, READING};
use crate::change::sha256;
use crate::diff::{FileDiff, Section};
use crate::escape::{escape_text, fitting, measure};
use crate::hunk::{BodyLines, Hunk, Line, NO_FEED, Place};
use crate::ledger::{Entry, Ledger, LedgerGap, Named, Record, SCHEMA, Side, Span, check};

/// How large and how many packets may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packet's text, all of it.
    pub packet_cap: usize,
    /// Number of packets.
    pub max_packets: usize,
}

/// One part of the shown text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// `packet-001` and so on.
    pub id: String,
    /// What the reviewer reads.
    pub text: String,
}

/// The shown text in packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packets {
    /// At least one.
    pub packets: Vec<Packet>,
    /// What is where; proved by [`check`] before it is returned.
    pub ledger: Ledger,
    /// Every changed path and every note, without the lines: for a look across files. As large as a packet may be.
    pub overview: String,
}

/// Why there are no packets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Nothing changed: there is nothing to review.
    #[error("nothing changed: there is nothing to put in a packet")]
    Empty,
    /// The changes need more packets than allowed.
    #[error("the change needs more than {max} packets")]
    TooMany {
        /// How many are allowed.
        max: usize,
    },
    /// Something that cannot be split is larger than a packet.
    #[error("{path}: its header does not fit in a packet of {cap} bytes")]
    NoRoom {
        /// The path as shown.
        path: String,
        /// Bytes a packet may have.
        cap: usize,
    },
    /// The list of files and notes is larger than a packet.
    #[error("the overview has {bytes} bytes, a packet may have {cap}")]
    Overview {
        /// Bytes it has.
        bytes: usize,
        /// Bytes a packet may have.
        cap: usize,
    },
    /// The ledger does not prove that everything is in a packet: a bug here.
    #[error("the packets are not complete: {0}")]
    Gap(#[from] LedgerGap),
}

pub(crate) fn split(bundle: &Bundle, limits: Limits) -> Result<Packets, PacketError> {
    if bundle.is_empty() {
        return Err(PacketError::Empty);
    }
    let overview = overview(bundle, limits.packet_cap)?;
    let mut packer = Packer::new(limits);
    bundle.files().iter().try_for_each(|file| packer.file(file))?;
    packer.close();
    let packets: Vec<Packet> =
        packer.done.into_iter().enumerate().map(|(index, text)| Packet { id: packet_id(index), text }).collect();
    let records = packets.iter().map(|packet| Record {
        id: packet.id.clone(),
        bytes: packet.text.len() as u64,
        sha256: sha256(packet.text.as_bytes()),
    });
    let ledger = Ledger {
        schema: SCHEMA,
        bundle_sha256: bundle.sha256().to_owned(),
        packets: records.collect(),
        entries: packer.entries,
    };
    check(&ledger, bundle)?;
    Ok(Packets { packets, ledger, overview })
}

fn packet_id(index: usize) -> String {
    format!("packet-{:03}", index + 1)
}

fn overview(bundle: &Bundle, cap: usize) -> Result<String, PacketError> {
    let lines: String = bundle.files().iter().map(FileDiff::short_line).collect();
    let (count, notes) = (bundle.files().len(), bundle.notes_text());
    let text = format!(
        "=== REVIEW PACKET ===\nThe whole change without its lines: they are in packets of their own.\nfiles {count}\n\
         {notes}\n=== CHANGED FILES ===\n{lines}\n=== INSTRUCTIONS ===\n{READING}"
    );
    if text.len() > cap { Err(PacketError::Overview { bytes: text.len(), cap }) } else { Ok(text) }
}

/// What stands around the lists of a packet.
const BEFORE: &str = "\
=== REVIEW PACKET ===
A part of a change. Other files, hunks and lines of it are in other packets.

=== CHANGED FILES ===
";
const BETWEEN: &str = "\n=== DIFF ===\n";
const AFTER: &str = "\n=== INSTRUCTIONS ===\n";
const FRAME: usize = BEFORE.len() + BETWEEN.len() + AFTER.len() + READING.len();

/// More than any header of a hunk or of a part of a line takes: six numbers of twenty digits and the words around them.
const PLACE_MAX: usize = 200;

/// What follows a part of a line that is not its last.
const GOES_ON: &str = "\\ The line goes on\n";

/// Fills packets one after the other.
struct Packer {
    limits: Limits,
    done: Vec<String>,
    /// The lists of the open packet.
    files: String,
    diff: String,
    entries: Vec<Entry>,
    /// Whether the open packet lists the current file, and has a header of its current section.
    listed: bool,
    headed: bool,
}

/// The section of a file that is being put into packets.
#[derive(Clone, Copy)]
struct Current<'a> {
    file: &'a FileDiff,
    section: &'a Section,
}

impl Current<'_> {
    /// The header in every packet but the first that has lines of the section.
    fn continued(&self) -> String {
        let path = self.file.shown_path();
        format!("diff --git a/{path} b/{path}\n(continued)\n")
    }
}

impl Packer {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            done: Vec::new(),
            files: String::new(),
            diff: String::new(),
            entries: Vec::new(),
            listed: false,
            headed: false,
        }
    }

    /// Bytes that still fit in the open packet.
    fn room(&self) -> usize {
        self.limits.packet_cap.saturating_sub(FRAME + self.files.len() + self.diff.len())
    }

    /// Ends the open packet if anything is in it.
    fn close(&mut self) {
        if self.diff.is_empty() {
            return;
        }
        self.done.push([BEFORE, &self.files, BETWEEN, &self.diff, AFTER, READING].concat());
        self.files.clear();
        self.diff.clear();
        (self.listed, self.headed) = (false, false);
    }

    /// Appends `text` to the open packet. The caller made sure that it fits.
    fn put(&mut self, text: &str) -> Result<(), PacketError> {
        if self.done.len() >= self.limits.max_packets {
            return Err(PacketError::TooMany { max: self.limits.max_packets });
        }
        self.diff.push_str(text);
        debug_assert!(FRAME + self.files.len() + self.diff.len() <= self.limits.packet_cap);
        Ok(())
    }

    fn file(&mut self, file: &FileDiff) -> Result<(), PacketError> {
        self.listed = false;
        for (index, section) in file.sections.iter().enumerate() {
            self.headed = false;
            self.section(Current { file, section }, index == 0)?;
        }
        Ok(())
    }

    fn section(&mut self, current: Current<'_>, names: bool) -> Result<(), PacketError> {
        let header = current.section.shown_header(&current.file.path);
        let whole = header.len() + current.section.shown_body_len();
        let listing = current.file.short_line();
        if self.list_cost(&listing) + whole > self.room() {
            self.close();
        }
        if self.list_cost(&listing) + header.len() > self.room() {
            return Err(self.no_room(current.file));
        }
        self.list(&listing);
        self.put(&header)?;
        self.headed = true;
        if names {
            self.name(current.file);
        }
        current.section.hunks.iter().try_for_each(|hunk| self.hunk(current, hunk))
    }

    fn list_cost(&self, listing: &str) -> usize {
        if self.listed { 0 } else { listing.len() }
    }

    fn list(&mut self, listing: &str) {
        if !self.listed {
            self.files.push_str(listing);
            self.listed = true;
        }
    }

    fn no_room(&self, file: &FileDiff) -> PacketError {
        PacketError::NoRoom { path: file.shown_path(), cap: self.limits.packet_cap }
    }

    /// Enters in the ledger that the open packet names `file`.
    fn name(&mut self, file: &FileDiff) {
        self.entries.push(Entry {
            path: file.shown_path(),
            old: file.old.as_ref().map(Named::of),
            new: file.new.as_ref().map(Named::of),
            named_in: packet_id(self.done.len()),
            spans: Vec::new(),
        });
    }

    /// Enters in the ledger that the open packet shows bytes of the last named file.
    fn cover(&mut self, side: Side, start: u64, end: u64) {
        let packet = packet_id(self.done.len());
        let spans = &mut self.entries.last_mut().expect("a file is named before its lines").spans;
        match spans.iter_mut().rev().find(|span| span.side == side) {
            Some(last) if last.end == start && last.packet == packet => last.end = end,
            _ => spans.push(Span { side, start, end, packet }),
        }
    }

    /// Bytes of the headers that lines of `current` need in the open packet.
    fn lead(&self, current: Current<'_>) -> usize {
        if self.headed { 0 } else { current.continued().len() + self.list_cost(&current.file.short_line()) }
    }

    /// Appends lines of `current` with the headers they need.
    fn put_lines(&mut self, current: Current<'_>, place: &str, lines: &str) -> Result<(), PacketError> {
        if !self.headed {
            self.list(&current.file.short_line());
            self.put(&current.continued())?;
            self.headed = true;
        }
        self.put(place)?;
        self.put(lines)
    }

    /// Makes room for `bytes` more with the headers they need, in a new packet if it must be. Returns whether there is.
    fn make_room(&mut self, current: Current<'_>, bytes: usize) -> bool {
        if self.lead(current) + bytes > self.room() {
            self.close();
        }
        self.lead(current) + bytes <= self.room()
    }

    fn hunk(&mut self, current: Current<'_>, hunk: &Hunk) -> Result<(), PacketError> {
        let (body, place) = (current.section.body_of(hunk), hunk.place.to_string());
        let mut cursor = Cursor::at(hunk);
        if !self.make_room(current, place.len() + measure(body).shown) {
            return self.lines(current, cursor, body);
        }
        self.put_lines(current, &place, &escape_text(body))?;
        for line in BodyLines(body) {
            self.cover_line(cursor, &line);
            cursor.pass(&line);
        }
        Ok(())
    }

    fn cover_line(&mut self, at: Cursor, line: &Line<'_>) {
        if let Some((side, start)) = at.changed(line) {
            self.cover(side, start, start + line.len());
        }
    }

    /// Puts the lines of a hunk that is larger than a packet.
    fn lines(&mut self, current: Current<'_>, mut cursor: Cursor, body: &[u8]) -> Result<(), PacketError> {
        let mut part = Part::at(cursor);
        for line in BodyLines(body) {
            let shown = shown_line(&line);
            if self.lead(current) + PLACE_MAX + part.text.len() + shown.len() > self.room() {
                self.part(current, &mut part, cursor)?;
                self.close();
            }
            if self.lead(current) + PLACE_MAX + part.text.len() + shown.len() <= self.room() {
                part.push(&line, &shown);
            } else {
                self.long_line(current, cursor, &line)?;
                part = Part::after(cursor, &line);
            }
            cursor.pass(&line);
        }
        self.part(current, &mut part, cursor)
    }

    /// Puts what `part` has and starts the next one at `next`.
    fn part(&mut self, current: Current<'_>, part: &mut Part, next: Cursor) -> Result<(), PacketError> {
        let part = std::mem::replace(part, Part::at(next));
        if part.text.is_empty() {
            return Ok(());
        }
        self.put_lines(current, &part.place().to_string(), &part.text)?;
        for (side, start, end) in part.covers {
            self.cover(side, start, end);
        }
        Ok(())
    }

    /// Puts a line that is larger than a packet. An unchanged one is named only: its bytes are not under review.
    fn long_line(&mut self, current: Current<'_>, at: Cursor, line: &Line<'_>) -> Result<(), PacketError> {
        let Some((side, start)) = at.changed(line) else {
            let (number, bytes) = (at.new_line + 1, line.text.len());
            let place = format!("@@ line {number} of the new version: {bytes} bytes, unchanged, not shown @@\n");
            if !self.make_room(current, place.len()) {
                return Err(self.no_room(current.file));
            }
            return self.put_lines(current, &place, "");
        };
        let (mut from, end) = (0, line.text.len());
        let overhead = PLACE_MAX + GOES_ON.len().max(NO_FEED.len()) + 2;
        while from < end {
            let mut take = fitting(&line.text[from..], self.room_for(current, overhead));
            if take == 0 {
                self.close();
                take = fitting(&line.text[from..], self.room_for(current, overhead));
            }
            if take == 0 {
                return Err(self.no_room(current.file));
            }
            let to = from + take;
            let (name, number) = (side.name(), at.number(side));
            let place = format!("@@ line {number} of the {name} version: bytes {from}..{to} of {end} @@\n");
            let mark = if to < end {
                GOES_ON
            } else if line.fed {
                ""
            } else {
                NO_FEED
            };
            let text = format!("{}{}\n{mark}", char::from(line.sign), escape_text(&line.text[from..to]));
            self.put_lines(current, &place, &text)?;
            let covered = if to < end { to as u64 } else { line.len() };
            self.cover(side, start + from as u64, start + covered);
            from = to;
        }
        Ok(())
    }

    fn room_for(&self, current: Current<'_>, overhead: usize) -> usize {
        self.room().saturating_sub(self.lead(current) + overhead)
    }
}

fn shown_line(line: &Line<'_>) -> String {
    let mark = if line.fed { "" } else { NO_FEED };
    format!("{}{}\n{mark}", char::from(line.sign), escape_text(line.text))
}

/// A place in the old and the new text.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    old_line: u64,
    new_line: u64,
    old_at: u64,
    new_at: u64,
}

impl Cursor {
    fn at(hunk: &Hunk) -> Self {
        let Hunk { place, old_at, new_at, .. } = hunk;
        Self { old_line: place.old_first, new_line: place.new_first, old_at: *old_at, new_at: *new_at }
    }

    fn pass(&mut self, line: &Line<'_>) {
        if line.sign != b'+' {
            self.old_line += 1;
            self.old_at += line.len();
        }
        if line.sign != b'-' {
            self.new_line += 1;
            self.new_at += line.len();
        }
    }

    /// Which version `line` changes, and where it starts there.
    fn changed(&self, line: &Line<'_>) -> Option<(Side, u64)> {
        match line.sign {
            b'-' => Some((Side::Old, self.old_at)),
            b'+' => Some((Side::New, self.new_at)),
            _ => None,
        }
    }

    fn number(&self, side: Side) -> u64 {
        match side {
            Side::Old => self.old_line + 1,
            Side::New => self.new_line + 1,
        }
    }
}

/// Lines of a hunk that go into one packet.
struct Part {
    start: Cursor,
    end: Cursor,
    text: String,
    covers: Vec<(Side, u64, u64)>,
}

impl Part {
    fn at(start: Cursor) -> Self {
        Self { start, end: start, text: String::new(), covers: Vec::new() }
    }

    fn after(mut cursor: Cursor, line: &Line<'_>) -> Self {
        cursor.pass(line);
        Self::at(cursor)
    }

    fn push(&mut self, line: &Line<'_>, shown: &str) {
        self.covers.extend(self.end.changed(line).map(|(side, start)| (side, start, start + line.len())));
        self.text.push_str(shown);
        self.end.pass(line);
    }

    fn place(&self) -> Place {
        Place {
            old_first: self.start.old_line,
            old_count: self.end.old_line - self.start.old_line,
            new_first: self.start.new_line,
            new_count: self.end.new_line - self.start.new_line,
        }
    }
}
