//! The files of attempts in the state directory.
//!
//! **Invariant:** each part of a path is opened in the directory of the part before it, and the kernel follows no link and
//! crosses no mount: nothing outside of the attempt's directory is read, whatever was put there and when.
//! **Invariant:** only regular files with one name are read.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use job::Id;
use runner_wire::ArtifactFile;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::FilesError;
use crate::name::{HIDDEN, MAX_DEPTH};

/// The most files of an attempt. A runner's proof has room for fewer.
const MAX_FILES: usize = 500_000;

/// `jobs` in the state directory.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    jobs: PathBuf,
}

impl Here {
    pub(crate) fn new(state: &Path) -> Self {
        Self { jobs: state.join("jobs") }
    }

    /// A file and its size now. `None` when there is none that may be read.
    pub(crate) fn open(&self, id: &Id, epoch: u32, parts: &[&str]) -> Result<Option<(File, u64)>, FilesError> {
        let Some((name, dirs)) = parts.split_last() else { return Ok(None) };
        let Some(dir) = self.dir(id, epoch, dirs)? else { return Ok(None) };
        let Some(file) = present(open(&dir, name, FILE))? else { return Ok(None) };
        let size = plain(&rustix::fs::fstat(&file)?);
        Ok(size.map(|size| (file.into(), size)))
    }

    /// The files of an attempt by path. `None` when it has no directory here.
    pub(crate) fn list(&self, id: &Id, epoch: u32) -> Result<Option<Vec<ArtifactFile>>, FilesError> {
        let Some(dir) = self.dir(id, epoch, &[])? else { return Ok(None) };
        let mut files = Vec::new();
        walk(&dir, "", 1, &mut files)?;
        files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(Some(files))
    }

    fn dir(&self, id: &Id, epoch: u32, parts: &[&str]) -> Result<Option<OwnedFd>, FilesError> {
        let top = rustix::fs::openat(CWD, &self.jobs, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let Some(mut dir) = present(top)? else { return Ok(None) };
        for part in [id.as_str(), &epoch.to_string()].iter().chain(parts) {
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

/// What cannot be a file of an attempt is none.
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

/// Up to `most` bytes; fewer only at the end of the file.
pub(crate) fn read_at(file: &File, at: u64, most: usize) -> Result<Vec<u8>, FilesError> {
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match file.read_at(&mut bytes[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
