//! A directory against what it has to be: every name, mode and content, or every name and what was last seen of it.
//!
//! **Invariant:** nothing in the directory is left out, and no symbolic link is followed.

use std::os::fd::OwnedFd;
use std::path::Path;

use repo::Objects;
use rustix::fs::{AtFlags, FileType, fstat, readlinkat, statat};
use rustix::io::Errno;

use crate::build::in_threads;
use crate::error::WorktreeError;
use crate::files::{Seen, content, descend, names, open_root, shown};
use crate::listing::{EXECUTABLE, Item, LINK, Listing, SUBMODULE, name};
use crate::lock::Patience;

/// So many paths are told of what differs: more than are shown of what a job changed.
const TOLD: usize = 2_000;
/// What is in the file `.git` at the root of a shared checkout: where a job finds its git directory.
pub(crate) const GIT_FILE: &[u8] = b"gitdir: /git\n";

/// By what a file is compared.
#[derive(Clone)]
pub(crate) enum By<'a> {
    /// Its bytes are hashed.
    Content(Box<Objects>),
    /// What was last seen of each item.
    Seen(&'a [Seen]),
}

impl By<'_> {
    pub(crate) fn content(objects: &Objects) -> Self {
        Self::Content(Box::new(objects.clone()))
    }
}

/// What a comparison found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Raw paths of what differs, sorted; a bounded number.
    pub(crate) differs: Vec<Vec<u8>>,
    /// There are more.
    pub(crate) cut: bool,
    /// What was seen of each item, where nothing differs.
    pub(crate) seen: Vec<Seen>,
}

/// What has to be in a directory.
pub(crate) struct Expected<'a> {
    pub(crate) listing: &'a Listing,
    /// Whether the root has a file `.git`, as shared checkouts have.
    pub(crate) git_file: bool,
}

impl Expected<'_> {
    /// Compares the directory at `root`, with two threads.
    pub(crate) fn compare(&self, by: &By<'_>, root: &Path, patience: &Patience) -> Result<Found, WorktreeError> {
        let root = open_root(root)?;
        let compared = in_threads(self.listing.directories.len(), by, |by, number| {
            patience.check()?;
            self.directory(by, &root, number)
        })?;
        let seen = vec![Seen::default(); self.listing.items.len()];
        let mut found = Found { differs: Vec::new(), cut: false, seen };
        for one in compared {
            found.differs.extend(one.differs);
            one.seen.into_iter().for_each(|(item, seen)| found.seen[item] = seen);
        }
        found.differs.sort_unstable();
        found.differs.dedup();
        found.cut = found.differs.len() > TOLD;
        found.differs.truncate(TOLD);
        Ok(found)
    }

    fn directory(&self, by: &By<'_>, root: &OwnedFd, number: usize) -> Result<One, WorktreeError> {
        let directory = &self.listing.directories[number];
        let mut one = One::default();
        let dir = match descend(root, &directory.path) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                one.differs.push(directory.path.clone());
                return Ok(one);
            }
            opened => opened.map_err(WorktreeError::errno(shown(&directory.path)))?,
        };
        let failed = |errno| WorktreeError::errno(shown(&directory.path))(errno);
        if fstat(&dir).map_err(failed)?.st_mode & 0o7777 != 0o755 && number != 0 {
            one.differs.push(directory.path.clone());
        }
        let git_file = self.git_file && number == 0;
        let mut known: Vec<&[u8]> = directory.items.iter().map(|item| name(&self.listing.items[*item].path)).collect();
        known.extend(directory.directories.iter().map(|below| name(&self.listing.directories[*below].path)));
        known.extend(git_file.then_some(&b".git"[..]));
        known.sort_unstable();
        let more = names(&dir).map_err(failed)?.into_iter().filter(|name| known.binary_search(&&name[..]).is_err());
        one.differs.extend(more.take(TOLD + 1).map(|name| joined(&directory.path, &name)));
        if git_file && content(&dir, b".git", GIT_FILE.len() as u64).ok().flatten().as_deref() != Some(GIT_FILE) {
            one.differs.push(b".git".to_vec());
        }
        for number in &directory.items {
            let item = &self.listing.items[*number];
            let same = match by {
                By::Content(objects) => same_content(objects, &dir, item),
                By::Seen(seen) => same_seen(&dir, item, &seen[*number]),
            };
            match same.map_err(WorktreeError::io(shown(&item.path)))? {
                Some(seen) => one.seen.push((*number, seen)),
                None => one.differs.push(item.path.clone()),
            }
        }
        Ok(one)
    }
}

/// What one directory is.
#[derive(Default)]
struct One {
    differs: Vec<Vec<u8>>,
    seen: Vec<(usize, Seen)>,
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// What is seen of an item of the right kind, with the right mode and one name; `None` if it is another.
fn right_kind(dir: &OwnedFd, item: &Item) -> std::io::Result<Option<rustix::fs::Stat>> {
    let stat = match statat(dir, name(&item.path), AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat?,
    };
    let (kind, mode) = (FileType::from_raw_mode(stat.st_mode), stat.st_mode & 0o7777);
    let is_right = match item.mode {
        LINK => kind == FileType::Symlink && stat.st_nlink == 1,
        SUBMODULE => kind == FileType::Directory && mode == 0o755,
        wanted => {
            let wanted = if wanted == EXECUTABLE { 0o755 } else { 0o644 };
            kind == FileType::RegularFile && mode == wanted && stat.st_nlink == 1
        }
    };
    Ok(is_right.then_some(stat))
}

fn same_seen(dir: &OwnedFd, item: &Item, seen: &Seen) -> std::io::Result<Option<Seen>> {
    let Some(stat) = right_kind(dir, item)? else { return Ok(None) };
    let is = Seen::of(&stat);
    let empty = item.mode != SUBMODULE || is_empty(dir, item)?;
    Ok((is == *seen && empty).then_some(is))
}

fn same_content(objects: &Objects, dir: &OwnedFd, item: &Item) -> std::io::Result<Option<Seen>> {
    let Some(stat) = right_kind(dir, item)? else { return Ok(None) };
    let bytes = match item.mode {
        SUBMODULE => return Ok(is_empty(dir, item)?.then(|| Seen::of(&stat))),
        LINK => Some(readlinkat(dir, name(&item.path), Vec::new())?.into_bytes()),
        _ => content(dir, name(&item.path), u64::try_from(stat.st_size).unwrap_or(0))?,
    };
    let same = bytes.is_some_and(|bytes| objects.hash_blob(&bytes).is_ok_and(|id| id == item.id));
    Ok(same.then(|| Seen::of(&stat)))
}

fn is_empty(dir: &OwnedFd, item: &Item) -> std::io::Result<bool> {
    Ok(names(&descend(dir, name(&item.path))?)?.is_empty())
}
