//! Files below a directory.
//!
//! **Invariant:** each part of a path is opened in the directory of the part before it, and the kernel follows no link and
//! crosses no mount: nothing outside of the directory is read, whatever was put there and when.
//! **Invariant:** only regular files with one name are read.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use runner_wire::ArtifactFile;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::FilesError;
use crate::name::{HIDDEN, MAX_DEPTH};

/// The most files of an attempt. A runner's proof has room for fewer.
const MAX_FILES: usize = 500_000;

/// A directory that is trusted, and what is below it, which is not.
#[derive(Debug, Clone)]
pub(crate) struct Beneath {
    top: PathBuf,
    /// There may be no such directory yet.
    may_be_absent: bool,
}

impl Beneath {
    /// A directory that must be there.
    pub(crate) fn new(top: PathBuf) -> Self {
        Self { top, may_be_absent: false }
    }

    /// `jobs` in a state directory.
    pub(crate) fn jobs(state: &Path) -> Self {
        Self { top: state.join("jobs"), may_be_absent: true }
    }

    /// A file and its size now. `None` when there is none that may be read.
    pub(crate) fn open(&self, parts: &[&str]) -> Result<Option<(File, u64)>, FilesError> {
        let Some((name, dirs)) = parts.split_last() else { return Ok(None) };
        let Some(dir) = self.dir(dirs)? else { return Ok(None) };
        let Some(file) = present(open(&dir, name, FILE))? else { return Ok(None) };
        let size = plain(&rustix::fs::fstat(&file)?);
        Ok(size.map(|size| (file.into(), size)))
    }

    /// The files in a directory and below it, by path. `None` when there is no such directory.
    pub(crate) fn list(&self, parts: &[&str]) -> Result<Option<Vec<ArtifactFile>>, FilesError> {
        let Some(dir) = self.dir(parts)? else { return Ok(None) };
        let mut files = Vec::new();
        walk(&dir, "", 1, &mut files)?;
        files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(Some(files))
    }

    /// Removes all that is in a directory, and it.
    pub(crate) fn remove(&self, parts: &[&str]) -> Result<(), FilesError> {
        match fs::remove_dir_all(parts.iter().fold(self.top.clone(), |dir, part| dir.join(part))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => Ok(removed?),
        }
    }

    fn dir(&self, parts: &[&str]) -> Result<Option<OwnedFd>, FilesError> {
        let mut dir = match rustix::fs::openat(CWD, &self.top, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) if self.may_be_absent => return Ok(None),
            dir => dir?,
        };
        for part in parts {
            let Some(next) = present(open(&dir, part, DIRECTORY))? else { return Ok(None) };
            dir = next;
        }
        Ok(Some(dir))
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Neither to wait for a pipe nor to get a terminal.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn open(dir: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve)
}

/// What is no plain file is none.
fn present<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV) => Ok(None),
        Err(Errno::NAMETOOLONG) => Ok(None),
        result => result.map(Some),
    }
}

/// The size of a file that may be read.
fn plain(stat: &Stat) -> Option<u64> {
    let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
    plain.then(|| u64::try_from(stat.st_size).ok()).flatten()
}

/// Names that are no UTF-8 are nobody's: a runner makes none.
fn walk(dir: &OwnedFd, above: &str, depth: usize, files: &mut Vec<ArtifactFile>) -> Result<(), FilesError> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") || depth == 1 && HIDDEN.contains(&name) {
            continue;
        }
        // It may have gone since.
        let Some(stat) = present(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))? else { continue };
        let path = format!("{above}{name}");
        if let Some(bytes) = plain(&stat) {
            if files.len() == MAX_FILES {
                return Err(FilesError::Corrupt("there are too many"));
            }
            files.push(ArtifactFile { path, bytes });
        } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && depth < MAX_DEPTH
            && let Some(dir) = present(open(dir, name, DIRECTORY))?
        {
            walk(&dir, &format!("{path}/"), depth + 1, files)?;
        }
    }
    Ok(())
}

/// What is there of a range; all of it where the file is so long.
pub(crate) fn read_at(file: &File, range: Range<u64>) -> Result<Bytes, FilesError> {
    let most = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match file.read_at(&mut bytes[filled..], range.start + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(filled);
    Ok(bytes.into())
}
