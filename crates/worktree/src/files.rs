//! Files of a checkout, each reached from the open directory it is in.
//!
//! **Invariant:** no symbolic link is followed, and nothing is written over.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use repo::Objects;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fchmod, fstat, mkdirat, openat, openat2, statat,
    symlinkat,
};
use rustix::io::Errno;

use crate::error::WorktreeError;
use crate::listing::{EXECUTABLE, Item, LINK, SUBMODULE, name};

/// What git remembers of a file to see that it did not change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Seconds and nanoseconds.
    pub(crate) ctime: [u32; 2],
    pub(crate) mtime: [u32; 2],
    pub(crate) dev: u32,
    pub(crate) ino: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u32,
}

impl Seen {
    /// An index keeps the low 32 bits of each number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index keeps the low 32 bits")]
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            ctime: [stat.st_ctime as u32, stat.st_ctime_nsec as u32],
            mtime: [stat.st_mtime as u32, stat.st_mtime_nsec as u32],
            dev: stat.st_dev as u32,
            ino: stat.st_ino as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: if FileType::from_raw_mode(stat.st_mode) == FileType::Directory { 0 } else { stat.st_size as u32 },
        }
    }
}

pub(crate) fn shown(path: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

pub(crate) fn open_root(path: &Path) -> Result<OwnedFd, WorktreeError> {
    rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(WorktreeError::errno(path))
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory below `root`, none of whose components is a link.
pub(crate) fn descend(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = Some(path.strip_suffix(b"/").unwrap_or(path)).filter(|path| !path.is_empty()).unwrap_or(b".");
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, DIRECTORY, Mode::empty(), resolve)
}

/// The same, but directories that are not there are made.
pub(crate) fn descend_or_make(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    match descend(root, path) {
        Err(Errno::NOENT) => {}
        opened => return opened,
    }
    let mut at = descend(root, b"")?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        at = match openat(&at, name, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => make_and_open(&at, name)?,
            opened => opened?,
        };
    }
    Ok(at)
}

/// Makes a directory that is not there yet, with mode 0755 whatever the umask is.
pub(crate) fn make_and_open(at: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    mkdirat(at.as_fd(), name, Mode::from_raw_mode(0o755))?;
    let made = openat(at, name, DIRECTORY, Mode::empty())?;
    exact_mode(&made, 0o755)?;
    Ok(made)
}

fn exact_mode(file: &OwnedFd, mode: u32) -> Result<Stat, Errno> {
    let stat = fstat(file)?;
    if stat.st_mode & 0o7777 == mode {
        return Ok(stat);
    }
    fchmod(file, Mode::from_raw_mode(mode))?;
    fstat(file)
}

/// Writes what is not there yet.
pub(crate) fn write(objects: &Objects, dir: &OwnedFd, item: &Item) -> Result<Seen, WorktreeError> {
    let name = name(&item.path);
    let failed = |errno| WorktreeError::errno(shown(&item.path))(errno);
    match item.mode {
        SUBMODULE => {
            let made = make_and_open(dir, name).map_err(failed)?;
            fstat(&made).map(|stat| Seen::of(&stat)).map_err(failed)
        }
        LINK => {
            let target = objects.blob(&item.id)?;
            if target.is_empty() || target.contains(&0) {
                return Err(WorktreeError::unsafe_tree(&item.path, "is a link to nothing"));
            }
            symlinkat(&target[..], dir, name).map_err(failed)?;
            statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Seen::of(&stat)).map_err(failed)
        }
        mode => {
            let content = objects.blob(&item.id)?;
            let mode = if mode == EXECUTABLE { 0o755 } else { 0o644 };
            write_file(dir, name, mode, &content).map_err(WorktreeError::io(shown(&item.path)))
        }
    }
}

pub(crate) fn write_file(dir: &OwnedFd, name: &[u8], mode: u32, content: &[u8]) -> io::Result<Seen> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(dir, name, flags, Mode::from_raw_mode(mode))?);
    file.write_all(content)?;
    let stat = exact_mode(&OwnedFd::from(file), mode)?;
    if u64::try_from(stat.st_size).ok() != u64::try_from(content.len()).ok() {
        return Err(io::Error::other("is not as long as what was written"));
    }
    Ok(Seen::of(&stat))
}

/// The names in a directory, in no order.
pub(crate) fn names(dir: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// The content of a regular file of this length; `None` if it is another one by now.
pub(crate) fn content(dir: &OwnedFd, name: &[u8], len: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(dir, name, flags, Mode::empty())?);
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    (&file).take(len.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((file.metadata()?.is_file() && bytes.len() as u64 == len).then_some(bytes))
}
