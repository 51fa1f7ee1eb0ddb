//! A tree that a job may change in a layer of its own, and the list of what it changed.
//!
//! **Invariant:** the tree itself is beneath the layer, read-only; the layer is memory with a limit.
//! **Invariant:** the list is read without following a symlink, after every process of the job is gone.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::control::Order;
use crate::error::{Step as _, Stuck};
use crate::mounts::{Memory, Root};
use crate::root::own_dir;
use crate::{Change, ChangeKind};

/// Mounts the layer above `tree` at `/repo`. Returns the directory that gathers the changes.
pub(crate) fn mount(root: &Root, tree: &OwnedFd, order: &Order, owner: u32) -> Result<OwnedFd, Stuck> {
    let step = "mount the layer of changes";
    let limits = &order.limits;
    let memory = Memory { bytes: limits.tmp_bytes, files: limits.tmp_files.saturating_add(16), mode: 0o755, owner };
    let memory = memory.mount().step(step)?;
    root.hang(memory.as_fd(), Path::new("/changes")).step(step)?;
    root.hang(tree.as_fd(), Path::new("/tree")).step(step)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for name in ["upper", "work"] {
        own_dir(&memory, name, 0o755, owner).step(step)?;
    }
    drop(root.dir(Path::new("/repo")).step(step)?);
    rustix::process::fchdir(root.fd()).step(step)?;
    let mut options = "lowerdir=tree,upperdir=changes/upper,workdir=changes/work,index=off,metacopy=off".to_owned();
    options.push_str(if order.switch_to.is_some() { ",redirect_dir=off" } else { ",userxattr" });
    let options = std::ffi::CString::new(options).unwrap_or_default();
    let attributes = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("overlay", "repo", "overlay", attributes, options.as_c_str()).step(step)?;
    let upper = rustix::fs::openat(&memory, "upper", flags, Mode::empty()).step(step)?;
    for name in ["tree", "changes"] {
        rustix::mount::unmount(name, UnmountFlags::DETACH).step(step)?;
    }
    Ok(upper)
}

/// The most changes that are listed, and the most bytes of their paths: a job decides how long those are.
const LIST_CAP: usize = 100_000;
const PATHS_CAP: usize = 4 << 20;

/// The deepest directory that is looked into: a job could make one within another until the walk ran out of stack.
const DEPTH_CAP: usize = 200;

/// What a job changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) list: Vec<Change>,
    pub(crate) cut: bool,
    /// The bytes of all listed paths.
    paths: usize,
    opaque: &'static str,
}

/// The attribute by which a directory of the layer hides all that it covers. The other one of the two is the job's to set.
pub(crate) fn opaque(user_namespace: bool) -> &'static str {
    if user_namespace { "user.overlay.opaque" } else { "trusted.overlay.opaque" }
}

/// Compares the layer `upper`, where `opaque` marks a directory that hides what it covers, with the tree at `tree`.
pub(crate) fn changes(tree: &Path, upper: &OwnedFd, opaque: &'static str) -> io::Result<Changes> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let tree = rustix::fs::openat(CWD, tree, flags, Mode::empty())?;
    let mut changes = Changes { opaque, ..Changes::default() };
    compare(&mut changes, Path::new(""), Some(&tree), upper)?;
    changes.list.sort();
    Ok(changes)
}

impl Changes {
    fn push(&mut self, path: &Path, kind: ChangeKind) {
        let paths = self.paths + path.as_os_str().len();
        if self.list.len() < LIST_CAP && paths <= PATHS_CAP {
            self.paths = paths;
            self.list.push(Change { path: path.to_owned(), kind });
        } else {
            self.cut = true;
        }
    }
}

/// Walks one directory of the layer. `lower` is what it covers, if that is a directory.
fn compare(changes: &mut Changes, at: &Path, lower: Option<&OwnedFd>, upper: &OwnedFd) -> io::Result<()> {
    if at.components().count() > DEPTH_CAP {
        changes.cut = true;
        return Ok(());
    }
    let covers_all = is_opaque(upper, changes.opaque);
    let names = names(upper)?;
    if let Some(lower) = lower.filter(|_| covers_all) {
        for name in self::names(lower)?.difference(&names) {
            changes.push(&at.join(name), ChangeKind::Removed);
        }
    }
    for name in names {
        let path = at.join(&name);
        let new = stat(upper, &name)?.ok_or(io::ErrorKind::NotFound)?;
        let old = lower.map_or(Ok(None), |lower| stat(lower, &name))?;
        let kind = |stat: &Stat| FileType::from_raw_mode(stat.st_mode);
        match old {
            // A whiteout: the device 0:0, which a job cannot make.
            old if kind(&new) == FileType::CharacterDevice && new.st_rdev == 0 => {
                if old.is_some() {
                    changes.push(&path, ChangeKind::Removed);
                }
            }
            None => changes.push(&path, ChangeKind::Added),
            Some(old) if kind(&old) != kind(&new) || mode(&old) != mode(&new) => {
                changes.push(&path, ChangeKind::Modified);
            }
            Some(_) if kind(&new) == FileType::Directory => {}
            Some(old) if is_same(lower, upper, &name, &old, &new)? => {}
            Some(_) => changes.push(&path, ChangeKind::Modified),
        }
        if kind(&new) == FileType::Directory {
            let below = old.filter(|old| kind(old) == FileType::Directory).and(lower);
            let below = below.map(|lower| open(lower, &name, OFlags::DIRECTORY)).transpose()?;
            compare(changes, &path, below.as_ref(), &open_made(upper, &name)?)?;
        }
    }
    Ok(())
}

fn mode(stat: &Stat) -> u32 {
    stat.st_mode & 0o7777
}

/// Both are links to the same place, or files of the same bytes.
fn is_same(lower: Option<&OwnedFd>, upper: &OwnedFd, name: &OsStr, old: &Stat, new: &Stat) -> io::Result<bool> {
    let Some(lower) = lower.filter(|_| old.st_size == new.st_size) else { return Ok(false) };
    if FileType::from_raw_mode(new.st_mode) == FileType::Symlink {
        let to = |dir: &OwnedFd| rustix::fs::readlinkat(dir, name, Vec::new());
        return Ok(to(lower)? == to(upper)?);
    }
    if FileType::from_raw_mode(new.st_mode) != FileType::RegularFile {
        return Ok(false);
    }
    let mut sides = [lower, upper].map(|dir| open(dir, name, OFlags::NONBLOCK).map(File::from));
    let mut buffers = [[0; 4 << 10]; 2];
    loop {
        let mut got = [0; 2];
        for ((side, buffer), got) in sides.iter_mut().zip(&mut buffers).zip(&mut got) {
            let file = side.as_mut().map_err(|error| io::Error::from(*error))?;
            *got = fill(file, buffer)?;
        }
        if buffers[0][..got[0]] != buffers[1][..got[1]] {
            return Ok(false);
        }
        if got[0] == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut full = 0;
    while full < buffer.len() {
        match file.read(&mut buffer[full..]) {
            Ok(0) => break,
            Ok(n) => full += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(full)
}

fn is_opaque(dir: &OwnedFd, name: &str) -> bool {
    let mut value = [0; 1];
    rustix::fs::fgetxattr(dir, name, &mut value).is_ok_and(|len| len == 1 && value == *b"y")
}

/// Opens a directory of the layer, even if the job left it so that its owner may not.
fn open_made(upper: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    match open(upper, name, OFlags::DIRECTORY) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(upper, name, Mode::RWXU, AtFlags::empty())?;
            open(upper, name, OFlags::DIRECTORY)
        }
        other => other,
    }
}

fn names(dir: &OwnedFd) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.insert(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

fn stat(dir: &OwnedFd, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn open(dir: &OwnedFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j15_the_paths_of_changes_are_bounded_together() {
        let mut changes = Changes::default();
        let path = "d/".repeat(25_000);
        for _ in 0..1000 {
            changes.push(Path::new(&path), ChangeKind::Added);
        }
        assert!(changes.cut && changes.list.len() * path.len() <= PATHS_CAP);
    }
}
