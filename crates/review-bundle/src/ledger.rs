//! The ledger: which bytes of which version are in which packet, and the proof that none is missing.
//!
//! **Invariant:** [`check`] takes nothing from the code that fills packets: it compares the ledger with the byte ranges
//! that the comparison of both versions found.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::change::{Blob, hex};
use crate::diff::FileDiff;

/// The present format of a ledger.
pub(crate) const SCHEMA: u32 = 1;

/// Which bytes of which file are in which packet: `LEDGER.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// 1.
    pub schema: u32,
    /// SHA-256 of the bundle's shown text.
    pub bundle_sha256: String,
    /// Every packet, in order.
    pub packets: Vec<Record>,
    /// Every packet of the overview, in order.
    pub overviews: Vec<Record>,
    /// Every change, sorted by path.
    pub entries: Vec<Entry>,
    /// The packet of the overview that has each note, in the order of the bundle.
    pub notes: Vec<String>,
}

/// What a packet is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `packet-001` and so on; `overview-001` and so on of the overview.
    pub id: String,
    /// Bytes of its text.
    pub bytes: u64,
    /// SHA-256 of its text.
    pub sha256: String,
}

/// Where one change is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The path as shown.
    pub path: String,
    /// The version before, if there was one.
    pub old: Option<Named>,
    /// The version after, if there is one.
    pub new: Option<Named>,
    /// The one packet that has the file's full header: modes, ids, and what is not shown as text.
    pub named_in: String,
    /// The one packet of the overview that lists the file.
    pub listed_in: String,
    /// Where its deleted and added bytes are.
    pub spans: Vec<Span>,
}

/// One version, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The mode in octal, six digits.
    pub mode: String,
    /// The object id in hex.
    pub id: String,
    /// Bytes of its content; `None` for a submodule.
    pub bytes: Option<u64>,
    /// SHA-256 of its content; `None` for a submodule.
    pub sha256: Option<String>,
}

/// Bytes of one version that are shown in one packet. For a submodule: of the line `Subproject commit <id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Which version.
    pub side: Side,
    /// The first byte, from 0.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
    /// The packet's id.
    pub packet: String,
}

/// The old or the new version of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Before the change: what is deleted.
    Old,
    /// After the change: what is added.
    New,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }
}

impl Named {
    pub(crate) fn of(blob: &Blob) -> Self {
        let content = blob.content();
        Self {
            mode: format!("{:06o}", blob.mode),
            id: blob.id.clone(),
            bytes: content.map(|content| content.bytes),
            sha256: content.map(|content| hex(&content.sha256)),
        }
    }
}

/// Why a ledger does not prove that everything is in exactly one packet, and in exactly one of the overview.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerGap {
    /// The ledger is of a format this code does not know.
    #[error("the ledger has schema {0}, not 1")]
    Schema(u32),
    /// The ledger is of other changes.
    #[error("the ledger is for another bundle")]
    OtherBundle,
    /// Two packets have one id.
    #[error("two packets are called {0}")]
    SamePacket(String),
    /// A packet that nothing is in.
    #[error("nothing is in {0}")]
    EmptyPacket(String),
    /// A packet that the ledger does not list.
    #[error("{path} is said to be in {packet}, which there is not")]
    NoPacket {
        /// The path as shown.
        path: String,
        /// The packet's id.
        packet: String,
    },
    /// Notes that are in no packet of the overview, or more notes than there are.
    #[error("{listed} notes are listed, there are {notes}")]
    Notes {
        /// How many the ledger lists.
        listed: usize,
        /// How many the bundle has.
        notes: usize,
    },
    /// A change that is in no packet.
    #[error("{0} is in no packet")]
    Missing(String),
    /// A change that is listed twice.
    #[error("{0} is listed twice")]
    Twice(String),
    /// A path that did not change.
    #[error("{0} is listed but did not change")]
    Foreign(String),
    /// Another version than the one that changed.
    #[error("{0} is listed with another mode, id, size or hash")]
    OtherVersion(String),
    /// A span without bytes, or one that ends before it starts.
    #[error("{path}: the span {start}..{end} of the {} version is empty", side.name())]
    EmptySpan {
        /// The path as shown.
        path: String,
        /// The version.
        side: Side,
        /// The first byte.
        start: u64,
        /// The byte after the last.
        end: u64,
    },
    /// A byte that is in two packets, or twice in one.
    #[error("{path}: byte {at} of the {} version is in two places", side.name())]
    Overlap {
        /// The path as shown.
        path: String,
        /// The version.
        side: Side,
        /// The byte.
        at: u64,
    },
    /// A changed byte that is in no packet, or an unchanged one that is said to be changed.
    #[error("{path}: byte {at} of the {} version is changed or covered, but not both", side.name())]
    Uncovered {
        /// The path as shown.
        path: String,
        /// The version.
        side: Side,
        /// The byte.
        at: u64,
    },
}

/// Proves that every changed byte of `bundle` is in exactly one packet of `ledger`, that every change is named in
/// exactly one and listed in exactly one of the overview, that every note is in exactly one of the overview, and that no
/// packet is empty.
///
/// # Errors
/// The first [`LedgerGap`] found.
pub fn check(ledger: &Ledger, bundle: &Bundle) -> Result<(), LedgerGap> {
    if ledger.schema != SCHEMA {
        return Err(LedgerGap::Schema(ledger.schema));
    }
    if ledger.bundle_sha256 != bundle.sha256() {
        return Err(LedgerGap::OtherBundle);
    }
    check_packets(ledger)?;
    check_overviews(ledger, bundle)?;
    let mut missing: BTreeMap<String, &FileDiff> = BTreeMap::new();
    for file in bundle.files() {
        if missing.insert(file.shown_path(), file).is_some() {
            return Err(LedgerGap::Twice(file.shown_path()));
        }
    }
    let mut seen = BTreeSet::new();
    for entry in &ledger.entries {
        if !seen.insert(&entry.path) {
            return Err(LedgerGap::Twice(entry.path.clone()));
        }
        let file = missing.remove(&entry.path).ok_or_else(|| LedgerGap::Foreign(entry.path.clone()))?;
        check_entry(entry, file)?;
    }
    missing.into_keys().next().map_or(Ok(()), |path| Err(LedgerGap::Missing(path)))
}

fn check_packets(ledger: &Ledger) -> Result<(), LedgerGap> {
    let mut ids = BTreeSet::new();
    if let Some(twice) = ledger.packets.iter().chain(&ledger.overviews).find(|packet| !ids.insert(&packet.id)) {
        return Err(LedgerGap::SamePacket(twice.id.clone()));
    }
    let named = ledger.entries.iter().map(|entry| (entry.path.as_str(), &entry.named_in));
    let shown =
        ledger.entries.iter().flat_map(|entry| entry.spans.iter().map(|span| (entry.path.as_str(), &span.packet)));
    check_used(&ledger.packets, shown.chain(named))
}

fn check_overviews(ledger: &Ledger, bundle: &Bundle) -> Result<(), LedgerGap> {
    let (listed, notes) = (ledger.notes.len(), bundle.notes().len());
    if listed != notes {
        return Err(LedgerGap::Notes { listed, notes });
    }
    let files = ledger.entries.iter().map(|entry| (entry.path.as_str(), &entry.listed_in));
    check_used(&ledger.overviews, files.chain(ledger.notes.iter().map(|id| ("a note", id))))
}

/// Every place is a packet, and every packet is a place. A place is what is there and the packet's id.
fn check_used<'a>(packets: &[Record], places: impl Iterator<Item = (&'a str, &'a String)>) -> Result<(), LedgerGap> {
    let known: BTreeSet<&str> = packets.iter().map(|packet| packet.id.as_str()).collect();
    let mut unused = known.clone();
    for (what, id) in places {
        if !known.contains(id.as_str()) {
            return Err(LedgerGap::NoPacket { path: what.to_owned(), packet: id.clone() });
        }
        unused.remove(id.as_str());
    }
    unused.first().map_or(Ok(()), |id| Err(LedgerGap::EmptyPacket((*id).to_owned())))
}

fn check_entry(entry: &Entry, file: &FileDiff) -> Result<(), LedgerGap> {
    let named = |blob: &Option<Blob>| blob.as_ref().map(Named::of);
    if entry.old != named(&file.old) || entry.new != named(&file.new) {
        return Err(LedgerGap::OtherVersion(entry.path.clone()));
    }
    [Side::Old, Side::New].into_iter().try_for_each(|side| check_side(entry, side, file.changed(side)))
}

fn check_side(entry: &Entry, side: Side, changed: impl Iterator<Item = Range<u64>>) -> Result<(), LedgerGap> {
    let path = || entry.path.clone();
    let mut covered: Vec<Range<u64>> = Vec::new();
    let mut spans: Vec<&Span> = entry.spans.iter().filter(|span| span.side == side).collect();
    spans.sort_by_key(|span| (span.start, span.end));
    for &Span { start, end, .. } in spans {
        if start >= end {
            return Err(LedgerGap::EmptySpan { path: path(), side, start, end });
        }
        match covered.last_mut() {
            Some(last) if start < last.end => return Err(LedgerGap::Overlap { path: path(), side, at: start }),
            Some(last) if start == last.end => last.end = end,
            _ => covered.push(start..end),
        }
    }
    let changed: Vec<Range<u64>> = changed.collect();
    first_difference(&covered, &changed).map_or(Ok(()), |at| Err(LedgerGap::Uncovered { path: path(), side, at }))
}

/// The first byte that is in one list of ranges and not in the other. Both are sorted and have no neighbours that touch.
fn first_difference(a: &[Range<u64>], b: &[Range<u64>]) -> Option<u64> {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(same), b.get(same)) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(one.start),
        (Some(a), Some(b)) if a.start != b.start => Some(a.start.min(b.start)),
        (Some(a), Some(b)) => Some(a.end.min(b.end)),
    }
}
