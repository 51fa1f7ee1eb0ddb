//! The difference of one path: what is shown of it and what is applied.

use std::io::{self, Write};
use std::ops::Range;

use crate::binary;
use crate::change::{Blob, Change, Kind, Version, has_nul, is_type_change};
use crate::escape::{Keep, escape, pieces};
use crate::header::{Form, header, manifest_line, remarks, status};
use crate::hunk::{Hunk, hunks};
use crate::ledger::Side;
use crate::runs::{Run, runs};

/// The difference of one path, complete without the content it was made from.
///
/// Owns the changed lines and those around them once, and the new content where it is not lines of text.
#[derive(Debug, Clone)]
pub struct FileDiff {
    pub(crate) path: Vec<u8>,
    pub(crate) old: Option<Blob>,
    pub(crate) new: Option<Blob>,
    /// One, or two if the path turned into something of another type: a deletion, then an addition.
    pub(crate) sections: Vec<Section>,
}

/// A step of Git from an old version to a new one of the same type.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) old: Option<Blob>,
    pub(crate) new: Option<Blob>,
    pub(crate) hunks: Vec<Hunk>,
    /// The lines of all hunks, raw, with their signs.
    pub(crate) body: Vec<u8>,
    /// The new content, where the exact patch has it instead of the hunks.
    pub(crate) literal: Option<Vec<u8>>,
    /// Bytes of the old and of the new text that changed, in order: taken from the comparison, not from the hunks.
    pub(crate) changed_old: Vec<Range<u64>>,
    pub(crate) changed_new: Vec<Range<u64>>,
    /// How many lines were deleted and added.
    pub(crate) deleted: u64,
    pub(crate) added: u64,
    /// How many characters of the body are shown as an escape.
    pub(crate) escapes: u64,
}

/// Returns the difference of one path. Its time grows with the size of both versions, whatever is in them.
pub fn diff(change: Change<'_>) -> FileDiff {
    let sections = match (change.old, change.new) {
        (Some(old), Some(new)) if is_type_change(old.mode, new.mode) => {
            vec![Section::new(Some(old), None), Section::new(None, Some(new))]
        }
        (old, new) => vec![Section::new(old, new)],
    };
    let old = sections.iter().find_map(|section| section.old.clone());
    let new = sections.iter().find_map(|section| section.new.clone());
    FileDiff { path: change.path.to_vec(), old, new, sections }
}

impl FileDiff {
    /// The raw bytes of the path.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The path as it is shown everywhere: on one line, escaped, different for different paths.
    pub fn shown_path(&self) -> String {
        escape(&self.path)
    }

    /// How many bytes the file takes in the shown text: its lines in the manifest and in the diff.
    pub fn shown_len(&self) -> usize {
        let sections =
            self.sections.iter().map(|section| section.shown_header(&self.path).len() + section.shown_body_len());
        self.manifest_line().len() + sections.sum::<usize>()
    }

    /// Whether the two versions differ in anything.
    pub(crate) fn is_change(&self) -> bool {
        match (&self.old, &self.new) {
            (None, None) => false,
            (Some(old), Some(new)) => old.mode != new.mode || !old.same_content(new),
            _ => true,
        }
    }

    pub(crate) fn manifest_line(&self) -> String {
        manifest_line(&self.path, self.old.as_ref(), self.new.as_ref())
    }

    /// A line that is enough to know what happened to the path, where the diff is at hand.
    pub(crate) fn short_line(&self) -> String {
        let mode =
            |blob: &Option<Blob>| blob.as_ref().map_or_else(|| "none".to_owned(), |blob| format!("{:06o}", blob.mode));
        let lines = |count: fn(&Section) -> u64| self.sections.iter().map(count).sum::<u64>();
        let (status, old, new) = (status(self.old.as_ref(), self.new.as_ref()), mode(&self.old), mode(&self.new));
        let (added, deleted) = (lines(|section| section.added), lines(|section| section.deleted));
        format!("{status} {old} -> {new} +{added} -{deleted} {}{}\n", self.opaque_mark(), self.shown_path())
    }

    fn opaque_mark(&self) -> &'static str {
        let opaque = [&self.old, &self.new].into_iter().flatten().any(|blob| matches!(blob.kind, Kind::Opaque(_)));
        if opaque { "(not text) " } else { "" }
    }

    /// The bytes of one version that are shown as deleted or added, in order.
    pub(crate) fn changed(&self, side: Side) -> impl Iterator<Item = Range<u64>> {
        self.sections.iter().flat_map(move |section| match side {
            Side::Old => section.changed_old.iter().cloned(),
            Side::New => section.changed_new.iter().cloned(),
        })
    }

    pub(crate) fn write_shown(&self, out: &mut impl Write) -> io::Result<()> {
        for section in &self.sections {
            out.write_all(section.shown_header(&self.path).as_bytes())?;
            section.write_shown_body(out)?;
        }
        Ok(())
    }

    pub(crate) fn write_patch(&self, out: &mut impl Write) -> io::Result<()> {
        self.sections.iter().try_for_each(|section| section.write_patch(&self.path, out))
    }
}

impl Section {
    fn new(old: Option<Version<'_>>, new: Option<Version<'_>>) -> Self {
        let (old_blob, new_blob) = (old.map(Blob::of), new.map(Blob::of));
        let (old_text, new_text) = (Text::of(old, old_blob.as_ref()), Text::of(new, new_blob.as_ref()));
        let same = old_blob.as_ref().zip(new_blob.as_ref()).is_some_and(|(old, new)| old.same_content(new));
        let literal = (!same && [old, new].into_iter().flatten().filter_map(|version| version.content).any(has_nul))
            .then(|| new.and_then(|version| version.content).unwrap_or_default().to_vec());
        let runs = if same { Vec::new() } else { runs(old_text.bytes(), new_text.bytes()) };
        let (hunks, body) = hunks(old_text.bytes(), new_text.bytes(), &runs);
        Self {
            old: old_blob,
            new: new_blob,
            literal,
            changed_old: ranges(&runs, |run| &run.old.bytes),
            changed_new: ranges(&runs, |run| &run.new.bytes),
            deleted: runs.iter().map(|run| run.old.count).sum(),
            added: runs.iter().map(|run| run.new.count).sum(),
            escapes: hunks.iter().map(|hunk| hunk.measure.escapes).sum(),
            hunks,
            body,
        }
    }

    /// The lines of one hunk, raw, with their signs.
    pub(crate) fn body_of(&self, hunk: &Hunk) -> &[u8] {
        &self.body[hunk.body.clone()]
    }

    pub(crate) fn shown_header(&self, path: &[u8]) -> String {
        header(path, self, Form::Shown, !self.hunks.is_empty()) + &remarks(self)
    }

    /// Bytes of the hunks when shown.
    pub(crate) fn shown_body_len(&self) -> usize {
        self.hunks.iter().map(Hunk::shown_len).sum()
    }

    pub(crate) fn write_shown_body(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_hunks(out, |body, out| match self.escapes {
            0 => out.write_all(body),
            _ => pieces(body, Keep::Text, |piece| out.write_all(piece.shown.as_bytes())).map(drop),
        })
    }

    fn write_patch(&self, path: &[u8], out: &mut impl Write) -> io::Result<()> {
        let names = self.literal.is_none() && !self.hunks.is_empty();
        out.write_all(header(path, self, Form::Exact, names).as_bytes())?;
        match &self.literal {
            Some(content) => binary::write_literal(out, content),
            None => self.write_hunks(out, |body, out| out.write_all(body)),
        }
    }

    fn write_hunks<W: Write>(&self, out: &mut W, body: impl Fn(&[u8], &mut W) -> io::Result<()>) -> io::Result<()> {
        self.hunks.iter().try_for_each(|hunk| {
            write!(out, "{}", hunk.place)?;
            body(self.body_of(hunk), out)
        })
    }
}

/// What of a version is compared by lines.
enum Text<'a> {
    /// Content that is shown; empty where there is none or it is only named.
    Content(&'a [u8]),
    /// The line that stands for the commit of a submodule in every tool of Git.
    Submodule(String),
}

impl<'a> Text<'a> {
    fn of(version: Option<Version<'a>>, blob: Option<&Blob>) -> Self {
        match (version, blob.map(|blob| blob.kind)) {
            (Some(version), Some(Kind::Submodule)) => Self::Submodule(format!("Subproject commit {}\n", version.id)),
            (Some(version), Some(Kind::Text(_))) => Self::Content(version.content.unwrap_or_default()),
            _ => Self::Content(&[]),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Content(bytes) => bytes,
            Self::Submodule(line) => line.as_bytes(),
        }
    }
}

fn ranges(runs: &[Run], side: impl Fn(&Run) -> &Range<usize>) -> Vec<Range<u64>> {
    runs.iter().map(side).filter(|bytes| !bytes.is_empty()).map(|bytes| bytes.start as u64..bytes.end as u64).collect()
}
