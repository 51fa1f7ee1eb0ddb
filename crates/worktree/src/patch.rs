//! One checkout turned into another that differs in little.
//!
//! **Invariant:** what differs is removed and written new, each in the directory it is in, never through a link and never
//! in place; the result has the files and the index of a whole build.

use std::os::fd::OwnedFd;
use std::path::Path;

use repo::{Change, Objects, Side};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use crate::error::WorktreeError;
use crate::files::{Seen, descend, descend_or_make, open_root, shown, write};
use crate::index::{Record, Writer};
use crate::listing::{Item, SUBMODULE, check_path, name};
use crate::lock::Patience;

/// What is to be changed, sorted by path.
pub(crate) struct Patch<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) changes: Vec<Change>,
    pub(crate) patience: &'a Patience,
}

/// Why a checkout was not turned into another.
pub(crate) enum NotPatched {
    /// This path of it was not what it had to be.
    Mutated(Vec<u8>),
    Failed(WorktreeError),
}

impl From<WorktreeError> for NotPatched {
    fn from(error: WorktreeError) -> Self {
        Self::Failed(error)
    }
}

impl Patch<'_> {
    /// Whether a file system may see every new path.
    pub(crate) fn check(&self) -> Result<(), WorktreeError> {
        let mut new = self.changes.iter().filter_map(|change| Some((change, change.new?)));
        new.try_for_each(|(change, side)| check_path(&change.path, side.mode))
    }

    /// Changes the files below `root`, whose index has the entries `old`. Returns the new index.
    pub(crate) fn apply(&self, root: &Path, old: &[Record<'_>], id_len: usize) -> Result<Vec<u8>, NotPatched> {
        let root = open_root(root)?;
        for change in &self.changes {
            self.patience.check()?;
            if let Some(side) = change.old {
                remove(&root, &change.path, side)?;
            }
        }
        let mut written = Vec::new();
        for change in &self.changes {
            self.patience.check()?;
            if let Some(side) = change.new {
                written.push(self.add(&root, &change.path, side)?);
            }
        }
        Ok(self.index(old, &written, id_len))
    }

    fn add(&self, root: &OwnedFd, path: &[u8], side: Side) -> Result<(Item, Seen), NotPatched> {
        let item = Item { path: path.to_vec(), mode: side.canonical_mode(), id: side.object_id() };
        // Where something else is than what was there before, somebody put it there.
        let dir = match descend_or_make(root, parent(path)) {
            Err(Errno::NOTDIR | Errno::LOOP | Errno::EXIST) => return Err(NotPatched::Mutated(path.to_vec())),
            dir => dir.map_err(WorktreeError::errno(shown(path)))?,
        };
        match write(self.objects, &dir, &item) {
            Ok(seen) => Ok((item, seen)),
            Err(WorktreeError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(NotPatched::Mutated(item.path))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The entries of what stays as they are, and the new ones between them.
    fn index(&self, old: &[Record<'_>], written: &[(Item, Seen)], id_len: usize) -> Vec<u8> {
        let mut writer = Writer::with_capacity(old.iter().map(Record::len).sum::<usize>() + 200 * written.len() + 64);
        let mut written = written.iter().peekable();
        let mut gone = self.changes.iter().filter(|change| change.old.is_some()).peekable();
        for record in old {
            while let Some((item, seen)) = written.next_if(|(item, _)| &item.path[..] <= record.path()) {
                writer.push(item, seen);
            }
            while gone.next_if(|change| &change.path[..] < record.path()).is_some() {}
            if gone.peek().is_none_or(|change| change.path != record.path()) {
                writer.push_raw(record);
            }
        }
        written.for_each(|(item, seen)| writer.push(item, seen));
        writer.finish(id_len)
    }
}

fn parent(path: &[u8]) -> &[u8] {
    &path[..path.len() - name(path).len()]
}

/// Removes what is at `path`, and the directories that are empty then.
fn remove(root: &OwnedFd, path: &[u8], side: Side) -> Result<(), NotPatched> {
    let flags = |side: Side| if side.canonical_mode() == SUBMODULE { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    let gone = descend(root, parent(path)).and_then(|dir| unlinkat(&dir, name(path), flags(side)));
    match gone {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::NOTEMPTY | Errno::PERM) => {
            return Err(NotPatched::Mutated(path.to_vec()));
        }
        Err(errno) => return Err(WorktreeError::errno(shown(path))(errno).into()),
    }
    let mut path = parent(path);
    while let Some(directory) = path.strip_suffix(b"/") {
        path = parent(directory);
        let gone = descend(root, path).and_then(|dir| unlinkat(&dir, name(directory), AtFlags::REMOVEDIR));
        match gone {
            Ok(()) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => break,
            Err(errno) => return Err(WorktreeError::errno(shown(directory))(errno).into()),
        }
    }
    Ok(())
}
