//! One checkout turned into another that differs in little.
//!
//! **Invariant:** what differs is removed and written new, each in the directory it is in, never through a link and never
//! in place; the result has the files and the index of a whole build.

use std::os::fd::OwnedFd;
use std::path::Path;

use repo::{Change, Objects, Side};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use crate::build::in_threads;
use crate::error::WorktreeError;
use crate::files::{Seen, descend, descend_or_make, open_root, shown, write};
use crate::index::{Edit, Index, entry};
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

    /// Changes the files below `root`, whose index is `old`.
    pub(crate) fn apply(&self, root: &Path, old: &Index) -> Result<Patched, NotPatched> {
        let root = open_root(root)?;
        for change in self.changes.iter().filter(|change| !is_replaced(change)) {
            self.patience.check()?;
            if let Some(side) = change.old {
                remove(&root, &change.path, side)?;
            }
        }
        Ok(self.index(old, &self.add_all(&root)?))
    }

    /// Writes what is new, with two threads once its directories are there. Returns it sorted by path.
    fn add_all(&self, root: &OwnedFd) -> Result<Vec<(Item, Seen)>, NotPatched> {
        let new = self.changes.iter().filter_map(|change| Some((change, change.new?)));
        let new: Vec<(&Change, Side)> = new.collect();
        for (change, _) in new.iter().filter(|(change, _)| !is_replaced(change)) {
            self.patience.check()?;
            drop(there(&change.path, descend_or_make(root, parent(&change.path)))?);
        }
        let mut written = in_threads(new.len(), self.objects, |objects, number| {
            self.patience.check()?;
            let (change, side) = new[number];
            add(objects, root, change, side)
        })?;
        written.sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        Ok(written)
    }

    /// What is another in the index.
    fn index(&self, old: &Index, written: &[(Item, Seen)]) -> Patched {
        let (mut written, mut from) = (written.iter().peekable(), 0);
        let mut patched = Patched { edits: Vec::new(), files: old.len(), gone: 0, new: 0 };
        for change in &self.changes {
            let found = old.find(from, &change.path);
            let is_old = found < old.len() && old.path(found) == change.path;
            from = found + usize::from(is_old);
            let mut edit = Edit { old: found..from, new: Vec::new() };
            if is_old {
                patched.gone += u64::from(old.seen(found).size);
                patched.files -= 1;
            }
            if let Some((item, seen)) = written.next_if(|(item, _)| item.path == change.path) {
                edit.new = entry(item, seen);
                patched.new += u64::from(seen.size);
                patched.files += 1;
            }
            patched.edits.push(edit);
        }
        patched
    }
}

/// What a checkout became.
pub(crate) struct Patched {
    /// What is another in its index.
    pub(crate) edits: Vec<Edit>,
    /// How many entries the index has then.
    pub(crate) files: usize,
    /// The bytes of what was removed and of what was written.
    pub(crate) gone: u64,
    pub(crate) new: u64,
}

/// Writes the new side of a change into its directory, which is there.
fn add(objects: &Objects, root: &OwnedFd, change: &Change, side: Side) -> Result<(Item, Seen), NotPatched> {
    let path = &change.path[..];
    let item = Item { path: path.to_vec(), mode: side.canonical_mode(), id: side.object_id() };
    let dir = there(path, descend(root, parent(path)))?;
    if is_replaced(change) {
        unlink(&dir, path, AtFlags::empty())?;
    }
    match write(objects, &dir, &item) {
        Ok(seen) => Ok((item, seen)),
        Err(WorktreeError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(NotPatched::Mutated(item.path))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether one file or link takes the place of another, so that its directory stays.
fn is_replaced(change: &Change) -> bool {
    let is_file = |side: Option<Side>| side.is_some_and(|side| side.canonical_mode() != SUBMODULE);
    is_file(change.old) && is_file(change.new)
}

fn parent(path: &[u8]) -> &[u8] {
    &path[..path.len() - name(path).len()]
}

/// A directory that has to be there. Where something else is, or nothing, somebody changed that.
fn there(path: &[u8], opened: Result<OwnedFd, Errno>) -> Result<OwnedFd, NotPatched> {
    match opened {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::EXIST) => Err(NotPatched::Mutated(path.to_vec())),
        opened => Ok(opened.map_err(WorktreeError::errno(shown(path)))?),
    }
}

/// Removes what is at `path`, and the directories that are empty then.
fn remove(root: &OwnedFd, path: &[u8], side: Side) -> Result<(), NotPatched> {
    let flags = if side.canonical_mode() == SUBMODULE { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    unlink(&there(path, descend(root, parent(path)))?, path, flags)?;
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

/// Removes one name of a directory, which is of the kind that the tree says.
fn unlink(dir: &OwnedFd, path: &[u8], flags: AtFlags) -> Result<(), NotPatched> {
    match unlinkat(dir, name(path), flags) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST | Errno::PERM) => {
            Err(NotPatched::Mutated(path.to_vec()))
        }
        Err(errno) => Err(WorktreeError::errno(shown(path))(errno).into()),
    }
}
