//! What a job left, copied out of its directory.
//!
//! **Invariant:** only regular files with one name are taken, each opened below the directory by its own name: no link is
//! followed, at neither end, and no mount is crossed.
//! **Invariant:** a file is under its final name only when it was copied whole; nothing that is there is replaced.
//! **Invariant:** what was not taken is told with its reason, and all of it is bounded: files, bytes, depth, and what is
//! told.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use host::{disk_full, is_full};
use job::{Collected, CollectedFile, Refused};
use outcome::{Failure, printable};
use review_bundle::escape;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use rustix::path::Arg;
use sha2::{Digest as _, Sha256};

/// Names at the top that are the runner's own.
pub const RESERVED: [&str; 8] = [
    "artifact.json",
    "artifact.json.sha256",
    "job.json",
    "stdout.log",
    "stderr.log",
    ".died.json",
    ".scratch",
    COPYING,
];
/// The most refused things that are told one by one.
pub const MAX_TOLD: usize = 1000;

/// Bytes of artifact.json for what was taken and what was refused: half of what it may have.
const TOLD_BYTES: usize = job::artifact::MAX_BYTES / 2;
/// More than is said of a file there beside its path.
const ENTRY: usize = 200;
/// A file while it is being copied.
const COPYING: &str = ".copying";
/// Up to so many files each is synced by itself; after that the whole file system, once.
const FEW: usize = 64;
/// Bytes that are copied at a time.
const PIECE: usize = 128 << 10;

/// Bounds of what is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Files and directories, taken or not.
    pub entries: usize,
    /// Directories in each other.
    pub depth: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
}

/// 100,000 entries, 32 directories deep, 1 GiB.
impl Default for Caps {
    fn default() -> Self {
        Self { entries: 100_000, depth: 32, file_bytes: 1 << 30, total_bytes: 1 << 30 }
    }
}

/// The outputs were not kept.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct CollectError {
    /// What it was about: a path at the destination, or of the job's directory.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Self {
        let reason = format!("the outputs were not kept: {error}");
        if is_full(&error.source) {
            return disk_full(reason);
        }
        Self::infrastructure("collect", reason, "check the state directory and its disk, then run the job again")
    }
}

/// Copies what is in `source` to the directory `destination`. Nothing may still write to `source`. Files get mode 0600,
/// directories 0700.
///
/// # Errors
/// [`CollectError`] when something that is to be kept cannot be: a full disk, a name that is taken. What was copied
/// before stays, whole files all.
pub fn collect(source: impl AsFd, destination: &Path, caps: &Caps) -> Result<Collected, CollectError> {
    let at = |source: Errno| CollectError { path: destination.to_owned(), source: source.into() };
    let destination = rustix::fs::openat(CWD, destination, DIRECTORY, Mode::empty()).map_err(at)?;
    // A descriptor of one's own has a position of its own.
    let source = open(source.as_fd(), ".", DIRECTORY).map_err(at)?;
    let mut walk = Walk { caps, top: destination.as_fd(), found: Collected::default(), entries: 0, bytes: 0, told: 0 };
    walk.dir(&source, &destination, &Place::default())?;
    if walk.is_many() {
        rustix::fs::syncfs(&destination).map_err(at)?;
    }
    let mut found = walk.found;
    found.files.sort_unstable();
    Ok(found)
}

pub(crate) const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a name in a directory of the job.
fn open(dir: BorrowedFd<'_>, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve)
}

/// Where the walk is.
#[derive(Default)]
struct Place {
    path: String,
    depth: usize,
}

impl Place {
    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }
}

/// Why something is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum No {
    Symlink,
    Hardlink,
    Special,
    Unreadable,
    NotUtf8,
    HiddenCharacters,
    Reserved,
    TooDeep,
    TooMany,
    FileTooLarge,
    TotalTooLarge,
    Mount,
    Changing,
}

impl No {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
            Self::Special => "not-a-file",
            Self::Unreadable => "unreadable",
            Self::NotUtf8 => "name-not-utf8",
            Self::HiddenCharacters => "name-hidden-characters",
            Self::Reserved => "name-reserved",
            Self::TooDeep => "too-deep",
            Self::TooMany => "too-many",
            Self::FileTooLarge => "file-too-large",
            Self::TotalTooLarge => "total-too-large",
            Self::Mount => "other-file-system",
            Self::Changing => "changing",
        }
    }
}

/// A file cannot be taken, or none can.
enum Stop {
    No(No),
    Broken(io::Error),
}

impl From<No> for Stop {
    fn from(no: No) -> Self {
        Self::No(no)
    }
}

/// What the kernel said of something of the job: a refusal where that thing is the reason, else an error of the whole.
impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::LOOP => Self::No(No::Symlink),
            Errno::XDEV => Self::No(No::Mount),
            Errno::NXIO | Errno::NODEV | Errno::NOTDIR => Self::No(No::Special),
            Errno::NOENT => Self::No(No::Changing),
            Errno::ACCESS | Errno::PERM => Self::No(No::Unreadable),
            _ => Self::Broken(errno.into()),
        }
    }
}

struct Walk<'a> {
    caps: &'a Caps,
    top: BorrowedFd<'a>,
    found: Collected,
    entries: usize,
    bytes: u64,
    /// Bytes of artifact.json that are spent.
    told: usize,
}

impl Walk<'_> {
    fn is_many(&self) -> bool {
        self.found.files.len() > FEW
    }

    /// Whether there is room in artifact.json to name a path so many times; then it is taken.
    fn is_told(&mut self, path: &str, times: usize) -> bool {
        let quoted = path.len() + path.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        let needed = times * quoted + ENTRY;
        let fits = needed <= TOLD_BYTES - self.told;
        self.told += if fits { needed } else { 0 };
        fits
    }

    fn refuse(&mut self, path: &[u8], no: No) {
        let path = escape(path);
        if self.found.refused.len() < MAX_TOLD && self.is_told(&path, 1) {
            self.found.refused.push(Refused { path, reason: no.as_str().to_owned() });
        } else {
            self.found.refused_more += 1;
        }
    }

    fn dir(&mut self, from: &OwnedFd, to: &OwnedFd, place: &Place) -> Result<(), CollectError> {
        match names(from, self.caps.entries - self.entries) {
            // A directory with nothing in it has nothing to lose.
            Ok((names, true)) if names.is_empty() => return Ok(()),
            Ok((names, complete)) => {
                self.entries += names.len();
                names.iter().try_for_each(|name| self.entry(from, to, place, name))?;
                if !complete {
                    self.refuse(place.join("...").as_bytes(), No::TooMany);
                }
            }
            Err(errno) => self.stopped(&place.path, errno.into())?,
        }
        if self.is_many() { Ok(()) } else { rustix::fs::fsync(to).map_err(|errno| broken(&place.path, errno.into())) }
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, place: &Place, name: &[u8]) -> Result<(), CollectError> {
        let Some(name) = self.plain(place, name) else { return Ok(()) };
        let path = place.join(name);
        let taken = match kind(from, name) {
            Ok(FileType::Directory) if place.depth == self.caps.depth => Err(No::TooDeep.into()),
            Ok(FileType::Directory) => return self.subdir(from, to, name, &Place { path, depth: place.depth + 1 }),
            Ok(FileType::RegularFile) => self.file(from, to, name, &path),
            Ok(FileType::Symlink) => Err(No::Symlink.into()),
            Ok(_) => Err(No::Special.into()),
            Err(errno) => Err(errno.into()),
        };
        match taken {
            Ok(file) => self.found.files.push(file),
            Err(stop) => self.stopped(&path, stop)?,
        }
        Ok(())
    }

    fn stopped(&mut self, path: &str, stop: Stop) -> Result<(), CollectError> {
        match stop {
            Stop::No(no) => self.refuse(path.as_bytes(), no),
            Stop::Broken(source) => return Err(broken(path, source)),
        }
        Ok(())
    }

    /// The name, if a file may have it.
    fn plain<'n>(&mut self, place: &Place, name: &'n [u8]) -> Option<&'n str> {
        let no = match str::from_utf8(name) {
            Err(_) => No::NotUtf8,
            Ok(text) if text.contains(char::is_control) || printable(text) != text => No::HiddenCharacters,
            Ok(text) if place.depth == 0 && RESERVED.contains(&text) => No::Reserved,
            Ok(text) => return Some(text),
        };
        let path = [place.path.as_bytes(), name].join(&b"/"[..]);
        self.refuse(path.strip_prefix(b"/").unwrap_or(&path), no);
        None
    }

    fn subdir(&mut self, from: &OwnedFd, to: &OwnedFd, name: &str, place: &Place) -> Result<(), CollectError> {
        let from = match open(from.as_fd(), name, OFlags::RDONLY | DIRECTORY) {
            Ok(from) => from,
            Err(errno) => return self.stopped(&place.path, errno.into()),
        };
        let to = rustix::fs::mkdirat(to, name, Mode::RWXU)
            .and_then(|()| rustix::fs::openat(to, name, OFlags::RDONLY | DIRECTORY, Mode::empty()))
            .map_err(|errno| broken(&place.path, errno.into()))?;
        self.dir(&from, &to, place)
    }

    fn file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &str, path: &str) -> Result<CollectedFile, Stop> {
        // Not to wait for a pipe that came in the place of the file, nor to get a terminal.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = open(from.as_fd(), name, flags)?;
        let bytes = self.admitted(&rustix::fs::fstat(&file)?)?;
        // It is one of the outputs and of what was collected.
        if !self.is_told(path, 2) {
            return Err(No::TooMany.into());
        }
        let digest = self.copy(File::from(file), to, name, bytes)?;
        self.bytes += bytes;
        Ok(CollectedFile { path: path.to_owned(), bytes, sha256: digest.into() })
    }

    /// The size of a file that may be taken.
    fn admitted(&self, stat: &Stat) -> Result<u64, No> {
        let bytes = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if stat.st_nlink != 1 => Err(No::Hardlink),
            FileType::RegularFile if bytes > self.caps.file_bytes => Err(No::FileTooLarge),
            FileType::RegularFile if bytes > self.caps.total_bytes - self.bytes => Err(No::TotalTooLarge),
            FileType::RegularFile => Ok(bytes),
            _ => Err(No::Special),
        }
    }

    /// Copies under a name of its own, then moves it to the final one, where nothing may be.
    fn copy(&self, from: File, to: &OwnedFd, name: &str, bytes: u64) -> Result<[u8; 32], Stop> {
        let errno = |errno: Errno| Stop::Broken(errno.into());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let copy = rustix::fs::openat(self.top, COPYING, flags, Mode::RUSR | Mode::WUSR).map_err(errno)?;
        let copied = fill(from, &mut File::from(copy), bytes, !self.is_many()).and_then(|digest| {
            rustix::fs::renameat_with(self.top, COPYING, to, name, RenameFlags::NOREPLACE).map_err(errno)?;
            Ok(digest)
        });
        copied.inspect_err(|_| {
            // It is no output, whether it can be taken away or not: its name is reserved.
            let _ = rustix::fs::unlinkat(self.top, COPYING, AtFlags::empty());
        })
    }
}

/// Copies exactly `bytes`; returns their hash.
fn fill(mut from: File, to: &mut File, bytes: u64, sync: bool) -> Result<[u8; 32], Stop> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE.min(usize::try_from(bytes).unwrap_or(PIECE)).max(1)];
    let mut left = bytes;
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) if left == 0 => break,
            Ok(read) if read == 0 || read as u64 > left => return Err(No::Changing.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Stop::Broken(error)),
        };
        left -= read as u64;
        hash.update(&piece[..read]);
        to.write_all(&piece[..read]).map_err(Stop::Broken)?;
    }
    if sync {
        to.sync_all().map_err(Stop::Broken)?;
    }
    Ok(hash.finalize().into())
}

fn broken(path: &str, source: io::Error) -> CollectError {
    CollectError { path: if path.is_empty() { ".".into() } else { path.into() }, source }
}

pub(crate) fn kind(dir: &OwnedFd, name: impl Arg) -> Result<FileType, Errno> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// The first names in a directory, sorted, and whether these are all.
pub(crate) fn names(dir: &OwnedFd, most: usize) -> Result<(Vec<Vec<u8>>, bool), Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if names.len() == most {
            return Ok((names, false));
        }
        names.push(name.to_vec());
    }
    names.sort_unstable();
    Ok((names, true))
}
