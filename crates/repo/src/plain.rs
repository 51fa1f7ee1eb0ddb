//! A tree as a plain directory, and a plain directory against a tree: raw bytes, no filter, no git.
//!
//! **Invariant:** no symbolic link is followed, and nothing is written over.
//! **Invariant:** everything that is in the directory is compared, whatever any ignore file says; what a tree cannot
//! hold is an error.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use gix::ObjectId;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use verdict::Oid;

use crate::difference::{MAX_DEPTH, Side};
use crate::error::RepoError;
use crate::name::check_name;
use crate::object::{Kind, Objects};
use crate::tree::{Entry, LINK, SUBMODULE, TYPE, Tree};

/// More changed content than a heal could have written by hand.
const MAX_CHANGED: usize = 256 << 20;

/// A path that is not in a directory as it is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainChange {
    /// Raw bytes, components joined by `/`.
    pub path: Vec<u8>,
    /// In the tree; `None` for what was added.
    pub old: Option<Side>,
    /// Mode and content in the directory, a link's content being its target; `None` for what was removed.
    pub new: Option<(u32, Vec<u8>)>,
}

/// Writes `tree` into `dir`, which is made, or is there and empty. Links are made as they are; a submodule is an empty
/// directory.
///
/// # Errors
/// Those of [`Objects::read`]; [`RepoError::Hostile`] for a name no file system should see or a directory with
/// something in it; [`RepoError::Io`].
pub fn materialise(objects: &Objects, tree: &Oid, dir: &Path) -> Result<(), RepoError> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(RepoError::hostile(dir.as_os_str().as_bytes(), "is not empty"));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_dir(dir)?,
        Err(source) => return Err(RepoError::Io { path: dir.to_owned(), source }),
    }
    write_tree(objects, &objects.parse(tree)?, dir, 0)
}

/// A directory that is there already is an error: on a file system that ignores case it may be a link.
fn make_dir(dir: &Path) -> Result<(), RepoError> {
    DirBuilder::new().mode(0o755).create(dir).map_err(RepoError::io(dir))
}

fn write_tree(objects: &Objects, id: &ObjectId, dir: &Path, depth: usize) -> Result<(), RepoError> {
    if depth == MAX_DEPTH {
        return Err(RepoError::TooMany { what: "directories in one another", limit: MAX_DEPTH });
    }
    for entry in &Tree::read(objects, id)?.0 {
        check_name(&entry.name, entry.mode)?;
        let path = dir.join(std::ffi::OsStr::from_bytes(&entry.name));
        match entry.mode & TYPE {
            LINK => {
                let target = objects.get_kind(&entry.id, Kind::Blob)?;
                let target = std::ffi::OsStr::from_bytes(&target);
                std::os::unix::fs::symlink(target, &path).map_err(RepoError::io(&path))?;
            }
            SUBMODULE => make_dir(&path)?,
            _ if entry.is_tree() => {
                make_dir(&path)?;
                write_tree(objects, &entry.id, &path, depth + 1)?;
            }
            _ => write_file(&path, entry.mode, &objects.get_kind(&entry.id, Kind::Blob)?)?,
        }
    }
    Ok(())
}

fn write_file(path: &Path, mode: u32, content: &[u8]) -> Result<(), RepoError> {
    let mode = if is_executable(mode) { 0o755 } else { 0o644 };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(content)).map_err(RepoError::io(path))
}

const fn is_executable(mode: u32) -> bool {
    mode & 0o100 != 0
}

/// What is in `dir` and not, or not the same, in `tree`, sorted by path. Empty directories do not count: no tree holds
/// them.
///
/// # Errors
/// [`RepoError::Hostile`] for a pipe, device, socket, a file with several names, or a name Git never allows;
/// [`RepoError::TooMany`]; those of [`Objects::read`]; [`RepoError::Io`].
pub fn plain_difference(objects: &Objects, tree: &Oid, dir: &Path) -> Result<Vec<PlainChange>, RepoError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(dir, flags, Mode::empty()).map_err(RepoError::errno(dir))?;
    let mut compare = Compare { objects, root: dir, path: Vec::new(), changes: Vec::new(), bytes: 0 };
    compare.directory(&root, &Tree::read(objects, &objects.parse(tree)?)?, 0)?;
    compare.changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(compare.changes)
}

struct Compare<'a> {
    objects: &'a Objects,
    root: &'a Path,
    path: Vec<u8>,
    changes: Vec<PlainChange>,
    bytes: usize,
}

impl Compare<'_> {
    fn directory(&mut self, dir: &OwnedFd, tree: &Tree, depth: usize) -> Result<(), RepoError> {
        if depth == MAX_DEPTH {
            return Err(RepoError::TooMany { what: "directories in one another", limit: MAX_DEPTH });
        }
        let names = self.names(dir)?;
        for name in &names {
            self.within(name, |this| this.present(dir, name, tree.find(name), depth))?;
        }
        let gone = |entry: &&Entry| names.binary_search(&entry.name).is_err();
        tree.0.iter().filter(gone).try_for_each(|entry| self.within(&entry.name, |this| this.removed(entry, depth)))
    }

    fn names(&self, dir: &OwnedFd) -> Result<Vec<Vec<u8>>, RepoError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(dir).map_err(RepoError::errno(self.at()))? {
            let name = entry.map_err(RepoError::errno(self.at()))?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn at(&self) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(&self.path))
    }

    fn within(&mut self, name: &[u8], work: impl FnOnce(&mut Self) -> Result<(), RepoError>) -> Result<(), RepoError> {
        let parent = self.path.len();
        if parent > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        let done = work(self);
        self.path.truncate(parent);
        done
    }

    fn present(&mut self, dir: &OwnedFd, name: &[u8], old: Option<&Entry>, depth: usize) -> Result<(), RepoError> {
        if name.eq_ignore_ascii_case(b".git") {
            return Err(RepoError::hostile(&self.path, "a name Git never allows"));
        }
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(RepoError::errno(self.at()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.present_directory(dir, name, old, depth),
            FileType::RegularFile => {
                let (mode, content) = self.file(dir, name)?;
                self.compare(old, mode, content, depth)
            }
            FileType::Symlink => {
                let target = readlinkat(dir, name, Vec::new()).map_err(RepoError::errno(self.at()))?;
                self.compare(old, LINK, target.into_bytes(), depth)
            }
            _ => Err(RepoError::hostile(&self.path, "is neither a file nor a directory nor a symbolic link")),
        }
    }

    fn present_directory(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        old: Option<&Entry>,
        depth: usize,
    ) -> Result<(), RepoError> {
        let tree = match old {
            Some(entry) if entry.is_tree() => Tree::read(self.objects, &entry.id)?,
            Some(entry) if entry.is_blob() => {
                self.removed(entry, depth)?;
                Tree::default()
            }
            _ => Tree::default(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let below = openat(dir, name, flags, Mode::empty()).map_err(RepoError::errno(self.at()))?;
        self.directory(&below, &tree, depth + 1)
    }

    fn file(&self, dir: &OwnedFd, name: &[u8]) -> Result<(u32, Vec<u8>), RepoError> {
        let (stat, content) = read_file(dir, name, MAX_CHANGED, &self.path)?;
        if stat.st_nlink != 1 {
            return Err(RepoError::hostile(&self.path, "is a file with several names (hard links)"));
        }
        let mode = if is_executable(stat.st_mode) { 0o100_755 } else { 0o100_644 };
        Ok((mode, content))
    }

    fn compare(&mut self, old: Option<&Entry>, mode: u32, content: Vec<u8>, depth: usize) -> Result<(), RepoError> {
        let id = self.objects.parse(&self.objects.blob_id(&content)?)?;
        let is_same = |entry: &Entry| {
            let same_kind = entry.mode & TYPE == mode & TYPE;
            same_kind && entry.id == id && (mode == LINK || is_executable(entry.mode) == is_executable(mode))
        };
        match old {
            Some(entry) if is_same(entry) => return Ok(()),
            Some(entry) if entry.is_tree() => self.removed(entry, depth)?,
            _ => {}
        }
        self.bytes += content.len();
        if self.bytes > MAX_CHANGED {
            return Err(RepoError::TooMany { what: "changed bytes", limit: MAX_CHANGED });
        }
        let old = old.filter(|entry| !entry.is_tree()).map(|entry| Side { mode: entry.mode, id: entry.id });
        self.changes.push(PlainChange { path: self.path.clone(), old, new: Some((mode, content)) });
        Ok(())
    }

    fn removed(&mut self, entry: &Entry, depth: usize) -> Result<(), RepoError> {
        if depth == MAX_DEPTH {
            return Err(RepoError::TooMany { what: "directories in one another", limit: MAX_DEPTH });
        }
        if entry.is_tree() {
            let tree = Tree::read(self.objects, &entry.id)?;
            return tree.0.iter().try_for_each(|entry| self.within(&entry.name, |this| this.removed(entry, depth + 1)));
        }
        let old = Some(Side { mode: entry.mode, id: entry.id });
        self.changes.push(PlainChange { path: self.path.clone(), old, new: None });
        Ok(())
    }
}

/// Reads a regular file of a directory, at most `cap` bytes of it, without following a link or waiting for a pipe.
pub(crate) fn read_file(dir: impl AsFd, name: &[u8], cap: usize, shown: &[u8]) -> Result<(Stat, Vec<u8>), RepoError> {
    let path = || PathBuf::from(std::ffi::OsStr::from_bytes(shown));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::empty()).map_err(RepoError::errno(path()))?;
    let stat = fstat(&file).map_err(RepoError::errno(path()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(RepoError::hostile(shown, "is no regular file"));
    }
    let mut content = Vec::new();
    let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::from(file).take(limit).read_to_end(&mut content).map_err(RepoError::io(path()))?;
    if content.len() > cap {
        return Err(RepoError::hostile(shown, format!("is longer than {cap} bytes")));
    }
    Ok((stat, content))
}
