//! Packets: the shown text in parts that a reviewer can take in, nothing left out.
//!
//! What does not fit in the open packet starts a new one; what does not fit in an empty one is split: a file into hunks,
//! a hunk into lines, a line between characters. The text of a packet depends on what is in it alone, not on its number or
//! the range, so that an answer to it can be used again; a packet may end early, so that most are the same after an edit.

use crate::bundle::{Bundle, READING};
use crate::change::sha256;
use crate::diff::{FileDiff, Section};
use crate::escape::{Keep, fitting, measure, push_escaped};
use crate::fill::{Fill, Filling};
use crate::hunk::{BodyLines, Hunk, Line, NO_FEED, Place, feed_mark};
use crate::ledger::{Entry, Ledger, LedgerGap, Named, Record, SCHEMA, Side, Span, check};
use crate::overview::{Overview, overview};

/// How large and how many packets may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packet's text, all of it.
    pub packet_cap: usize,
    /// Number of packets, those of the overview included.
    pub max_packets: usize,
}

/// One part of the shown text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// `packet-001` and so on; `overview-001` and so on of the overview.
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
    /// Every changed path and every note, without the lines: for a look across files. At least one.
    pub overviews: Vec<Packet>,
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
    #[error("{path}: what cannot be split of it does not fit in a packet of {cap} bytes")]
    NoRoom {
        /// The path as shown.
        path: String,
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
    match split_by(bundle, limits, Fill::Steady) {
        Err(PacketError::TooMany { .. }) => split_by(bundle, limits, Fill::Full),
        packets => packets,
    }
}

fn split_by(bundle: &Bundle, limits: Limits, fill: Fill) -> Result<Packets, PacketError> {
    let Overview { packets: overviews, notes, files } = overview(bundle, limits.packet_cap, fill)?;
    let mut packer = Packer::new(limits, overviews.len(), fill);
    bundle.files().iter().zip(files).try_for_each(|(file, listed_in)| packer.file(file, listed_in))?;
    packer.close();
    let packets: Vec<Packet> =
        packer.done.into_iter().enumerate().map(|(index, text)| Packet { id: packet_id(index), text }).collect();
    let ledger = Ledger {
        schema: SCHEMA,
        bundle_sha256: bundle.sha256().to_owned(),
        packets: packets.iter().map(record).collect(),
        overviews: overviews.iter().map(record).collect(),
        entries: packer.entries,
        notes,
    };
    check(&ledger, bundle)?;
    Ok(Packets { packets, ledger, overviews })
}

fn record(packet: &Packet) -> Record {
    let Packet { id, text } = packet;
    Record { id: id.clone(), bytes: text.len() as u64, sha256: sha256(text.as_bytes()) }
}

fn packet_id(index: usize) -> String {
    format!("packet-{:03}", index + 1)
}

/// What stands around the lists of a packet.
const BEFORE: &str = "\
=== REVIEW PACKET ===
A part of a change. Other files, hunks and lines of it are in other packets.
Where a hunk is split, unchanged lines around a change may be in none.

=== CHANGED FILES ===
";
const BETWEEN: &str = "\n=== DIFF ===\n";
const AFTER: &str = "\n=== INSTRUCTIONS ===\n";
const FRAME: usize = BEFORE.len() + BETWEEN.len() + AFTER.len() + READING.len();

/// More than any header of a hunk or of a part of a line takes: six numbers of twenty digits and the words around them.
const PLACE_MAX: usize = 200;

/// What follows a part of a line that is not its last.
const GOES_ON: &str = "\\ The line goes on\n";

/// The longer of the two marks.
const MARK_MAX: usize = NO_FEED.len();
const _: () = assert!(GOES_ON.len() <= MARK_MAX);

/// Fills packets one after the other.
struct Packer {
    limits: Limits,
    /// Packets that are taken already, by the overview.
    taken: usize,
    fill: Fill,
    done: Vec<String>,
    /// The id and the lists of the open packet.
    id: String,
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
    /// The file's line in the list of every packet that has something of it.
    listing: &'a str,
    /// The header in every packet but the first that has lines of the section.
    continued: &'a str,
}

impl Packer {
    fn new(limits: Limits, taken: usize, fill: Fill) -> Self {
        Self {
            limits,
            taken,
            fill,
            done: Vec::new(),
            id: packet_id(0),
            files: String::new(),
            diff: String::new(),
            entries: Vec::new(),
            listed: false,
            headed: false,
        }
    }

    fn filling(&self) -> Filling {
        let capacity = self.limits.packet_cap.saturating_sub(FRAME);
        Filling { used: self.files.len() + self.diff.len(), capacity }
    }

    /// Bytes that still fit in the open packet.
    fn room(&self) -> usize {
        let Filling { used, capacity } = self.filling();
        capacity.saturating_sub(used)
    }

    /// Ends the open packet if anything is in it.
    fn close(&mut self) {
        if self.diff.is_empty() {
            return;
        }
        let text = [BEFORE, &self.files, BETWEEN, &self.diff, AFTER, READING].concat();
        debug_assert!(text.len() <= self.limits.packet_cap, "callers ask first whether something fits");
        self.done.push(text);
        self.id = packet_id(self.done.len());
        self.files.clear();
        self.diff.clear();
        (self.listed, self.headed) = (false, false);
    }

    /// The diff of the open packet, for something that fits.
    fn open(&mut self) -> Result<&mut String, PacketError> {
        if self.taken + self.done.len() >= self.limits.max_packets {
            return Err(PacketError::TooMany { max: self.limits.max_packets });
        }
        Ok(&mut self.diff)
    }

    fn file(&mut self, file: &FileDiff, listed_in: String) -> Result<(), PacketError> {
        let (listing, continued) = (file.short_line(), continued(file));
        let headers: Vec<String> = file.sections.iter().map(|section| section.shown_header(&file.path)).collect();
        let names = listing.len() + headers.iter().map(String::len).sum::<usize>();
        let whole = names + file.sections.iter().map(Section::shown_body_len).sum::<usize>();
        self.listed = false;
        if self.fill.ends_before(&file.path, whole, self.filling()) {
            self.close();
        }
        if names > self.room() {
            return Err(self.no_room(file));
        }
        // The packet that names a file has every header of it, also when the lines are elsewhere.
        let apart = whole > self.room() && headers.len() > 1;
        self.list(&listing);
        self.name(file, listed_in);
        if apart {
            self.open()?.push_str(&headers.concat());
        }
        for (section, header) in file.sections.iter().zip(&headers) {
            self.headed = !apart;
            if !apart {
                self.open()?.push_str(header);
            }
            let current = Current { file, section, listing: &listing, continued: &continued };
            section.hunks.iter().try_for_each(|hunk| self.hunk(current, hunk))?;
        }
        Ok(())
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
    fn name(&mut self, file: &FileDiff, listed_in: String) {
        self.entries.push(Entry {
            path: file.shown_path(),
            old: file.old.as_ref().map(Named::of),
            new: file.new.as_ref().map(Named::of),
            named_in: self.id.clone(),
            listed_in,
            spans: Vec::new(),
        });
    }

    /// Enters in the ledger that the open packet shows bytes of the last named file.
    fn cover(&mut self, side: Side, start: u64, end: u64) {
        let spans = &mut self.entries.last_mut().expect("a file is named before its lines").spans;
        match spans.iter_mut().rev().find(|span| span.side == side) {
            Some(last) if last.end == start && last.packet == self.id => last.end = end,
            _ => spans.push(Span { side, start, end, packet: self.id.clone() }),
        }
    }

    /// Bytes of the headers that lines of `current` need in the open packet.
    fn lead(&self, current: Current<'_>) -> usize {
        let listing = if self.listed { 0 } else { current.listing.len() };
        if self.headed { 0 } else { current.continued.len() + listing }
    }

    /// Returns the diff of the open packet for lines of `current` at `place`, after the headers they need.
    fn open_at(&mut self, current: Current<'_>, place: &str) -> Result<&mut String, PacketError> {
        if !self.headed {
            self.list(current.listing);
            self.open()?.push_str(current.continued);
            self.headed = true;
        }
        let diff = self.open()?;
        diff.push_str(place);
        Ok(diff)
    }

    /// Whether `bytes` of lines, with the headers they need, fit in the open packet.
    fn fits(&self, current: Current<'_>, bytes: usize) -> bool {
        self.lead(current) + bytes <= self.room()
    }

    /// Whether they would fit in a new one.
    fn fits_in_new(&self, current: Current<'_>, bytes: usize) -> bool {
        FRAME + current.continued.len() + current.listing.len() + bytes <= self.limits.packet_cap
    }

    fn hunk(&mut self, current: Current<'_>, hunk: &Hunk) -> Result<(), PacketError> {
        if !self.fits(current, hunk.shown_len()) {
            if !self.fits_in_new(current, hunk.shown_len()) {
                return self.lines(current, hunk);
            }
            self.close();
        }
        self.put(current, hunk.place, Cursor::at(hunk), current.section.body_of(hunk))
    }

    /// Puts the lines of a hunk that is larger than a packet. Unchanged lines go where a changed line next to them goes,
    /// if they fit: they are not under review, and alone they would make a packet of nothing.
    fn lines(&mut self, current: Current<'_>, hunk: &Hunk) -> Result<(), PacketError> {
        let body = current.section.body_of(hunk);
        let mut part = Part::at(Cursor::at(hunk));
        let mut run = part;
        for line in BodyLines(body) {
            let alone = Part::of(run.end, &line, body, hunk);
            run = run.and(alone);
            if line.sign == b' ' {
                continue;
            }
            if self.fits(current, part.and(run).bytes()) {
                part = part.and(run);
            } else if self.fits_in_new(current, alone.bytes()) {
                self.part(current, body, part)?;
                self.close();
                part = if self.fits_in_new(current, run.bytes()) { run } else { alone };
            } else {
                self.part(current, body, part)?;
                self.long_line(current, alone.start, &line)?;
                part = Part::at(alone.end);
            }
            run = Part::at(alone.end);
        }
        if part.shown > 0 && self.fits(current, part.and(run).bytes()) {
            part = part.and(run);
        }
        self.part(current, body, part)
    }

    fn part(&mut self, current: Current<'_>, body: &[u8], part: Part) -> Result<(), PacketError> {
        match &body[part.start.body..part.end.body] {
            [] => Ok(()),
            lines => self.put(current, part.place(), part.start, lines),
        }
    }

    /// Puts lines that fit, and enters in the ledger what of them changed.
    fn put(&mut self, current: Current<'_>, place: Place, mut cursor: Cursor, lines: &[u8]) -> Result<(), PacketError> {
        push_escaped(self.open_at(current, &place.to_string())?, lines, Keep::Text);
        for line in BodyLines(lines) {
            if let Some((side, start)) = cursor.changed(&line) {
                self.cover(side, start, start + line.len());
            }
            cursor.pass(&line);
        }
        Ok(())
    }

    /// Puts a changed line that is larger than a packet.
    fn long_line(&mut self, current: Current<'_>, at: Cursor, line: &Line<'_>) -> Result<(), PacketError> {
        let (side, start) = at.changed(line).expect("only changed lines are put");
        let (mut from, end) = (0, line.text.len());
        while from < end {
            let mut take = fitting(&line.text[from..], self.room_for_piece(current));
            if take == 0 {
                self.close();
                take = fitting(&line.text[from..], self.room_for_piece(current));
            }
            if take == 0 {
                return Err(self.no_room(current.file));
            }
            let to = from + take;
            let place =
                format!("@@ line {} of the {} version: bytes {from}..{to} of {end} @@\n", at.number(side), side.name());
            let diff = self.open_at(current, &place)?;
            diff.push(char::from(line.sign));
            push_escaped(diff, &line.text[from..to], Keep::Text);
            diff.push('\n');
            diff.push_str(if to < end { GOES_ON } else { feed_mark(line.fed) });
            let covered = if to < end { to as u64 } else { line.len() };
            self.cover(side, start + from as u64, start + covered);
            from = to;
        }
        Ok(())
    }

    /// Bytes of a line that fit in the open packet next to the headers and marks they need.
    fn room_for_piece(&self, current: Current<'_>) -> usize {
        self.room().saturating_sub(self.lead(current) + PLACE_MAX + 2 + MARK_MAX)
    }
}

fn continued(file: &FileDiff) -> String {
    let path = file.shown_path();
    format!("diff --git a/{path} b/{path}\n(continued)\n")
}

/// A place in a hunk: in its body and in the old and the new text.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    body: usize,
    old_line: u64,
    new_line: u64,
    old_at: u64,
    new_at: u64,
}

impl Cursor {
    fn at(hunk: &Hunk) -> Self {
        let Hunk { place, old_at, new_at, .. } = hunk;
        Self { body: 0, old_line: place.old_first, new_line: place.new_first, old_at: *old_at, new_at: *new_at }
    }

    fn pass(&mut self, line: &Line<'_>) {
        self.body += line.body_len();
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

/// Lines of a hunk that go into one packet. None if it ends where it starts.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: Cursor,
    end: Cursor,
    /// Bytes they have when shown.
    shown: usize,
}

impl Part {
    fn at(start: Cursor) -> Self {
        Self { start, end: start, shown: 0 }
    }

    /// One line.
    fn of(start: Cursor, line: &Line<'_>, body: &[u8], hunk: &Hunk) -> Self {
        let mut end = start;
        end.pass(line);
        let raw = &body[start.body..end.body];
        Self { start, end, shown: if hunk.measure.escapes == 0 { raw.len() } else { measure(raw).shown } }
    }

    /// These lines and those that come right after.
    fn and(self, next: Self) -> Self {
        Self { start: self.start, end: next.end, shown: self.shown + next.shown }
    }

    /// At most how many bytes it takes with its header.
    fn bytes(&self) -> usize {
        PLACE_MAX + self.shown
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
