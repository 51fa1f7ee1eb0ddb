//! The directory of the outputs, which a script was let into before.
//!
//! **Invariant:** every name is opened below the directory, one at a time, and no link is followed.
//! **Invariant:** a file is under its name only when all of it was written and synced.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use host::HostError;
use job::CollectedFile;
use outcome::Failure;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

/// A file while it is being written.
const WRITING: &str = ".writing";
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory of the outputs.
pub(crate) struct Outputs {
    dir: OwnedFd,
}

/// What is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// A file of so many bytes.
    File(u64),
    /// Something else.
    Other,
}

impl Outputs {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { dir: rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())? })
    }

    /// What is at `name`, at the top.
    pub(crate) fn look(&self, name: &str) -> Result<Found, Failure> {
        match rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(Found::File(u64::try_from(stat.st_size).unwrap_or(u64::MAX)))
            }
            Ok(_) => Ok(Found::Other),
            Err(Errno::NOENT) => Ok(Found::Nothing),
            Err(errno) => Err(failure(name, errno.into())),
        }
    }

    /// Takes away what is at `name`, at the top, unless it is a directory.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        match rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failure(name, errno.into())),
        }
    }

    /// Makes a new directory; false when something has that name. Those above it may be there.
    pub(crate) fn new_dir(&self, path: &str) -> Result<bool, Failure> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.enter(above).map_err(|error| failure(path, error))?;
        match rustix::fs::mkdirat(&above, name, Mode::RWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(failure(path, errno.into())),
        }
    }

    /// Writes a file through `write`; what was at `path` is replaced and not followed.
    pub(crate) fn write(
        &self,
        path: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<CollectedFile, Failure> {
        self.written(path, write).map_err(|error| failure(path, error))
    }

    fn written(&self, path: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<CollectedFile> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.enter(above)?;
        // Of an interrupted run, or of the script: it is nobody's output.
        match rustix::fs::unlinkat(&self.dir, WRITING, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, WRITING, flags, Mode::RUSR | Mode::WUSR)?;
        let mut out = Hashed { file: BufWriter::new(File::from(file)), hash: Sha256::new(), bytes: 0 };
        let done = write(&mut out).and_then(|()| out.finish()).and_then(|done| {
            rustix::fs::renameat(&self.dir, WRITING, &above, name)?;
            Ok(done)
        });
        let (bytes, digest) = done.inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&self.dir, WRITING, AtFlags::empty());
        })?;
        Ok(CollectedFile { path: path.to_owned(), bytes, sha256: digest.into() })
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let open = || {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(self.enter(above)?, name, flags, Mode::empty())?;
            let mut bytes = Vec::new();
            File::from(file).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        open().map_err(|error| failure(path, error))
    }

    /// Whether `file` is there as it was written.
    pub(crate) fn holds(&self, file: &CollectedFile) -> Result<bool, Failure> {
        let bytes = self.read(&file.path)?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        Ok(bytes.len() as u64 == file.bytes && job::Sha256::from(digest) == file.sha256)
    }

    /// The directory at `path`, made where it is not there.
    fn enter(&self, path: &str) -> io::Result<OwnedFd> {
        let mut at = self.dir.as_fd().try_clone_to_owned()?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match rustix::fs::mkdirat(&at, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            at = rustix::fs::openat(&at, name, DIRECTORY, Mode::empty())?;
        }
        Ok(at)
    }
}

fn failure(path: &str, source: io::Error) -> Failure {
    HostError::Io { path: PathBuf::from("$ARTIFACT_DIR").join(path), source }.into()
}

/// A file that is hashed while it is written.
struct Hashed {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Hashed {
    fn finish(mut self) -> io::Result<(u64, [u8; 32])> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok((self.bytes, self.hash.finalize().into()))
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A directory of outputs beside one that is not to be written to.
    fn outputs() -> (tempfile::TempDir, Outputs) {
        let dir = tempfile::TempDir::new().unwrap();
        for name in ["out", "outside"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("outside/precious"), "precious").unwrap();
        let outputs = Outputs::open(&dir.path().join("out")).unwrap();
        (dir, outputs)
    }

    fn put(outputs: &Outputs, path: &str) -> Result<CollectedFile, Failure> {
        outputs.write(path, |out| out.write_all(b"new"))
    }

    #[test]
    fn j14_links_among_the_outputs_are_replaced_and_not_followed() {
        let (dir, outputs) = outputs();
        symlink(dir.path().join("outside/precious"), dir.path().join("out/a")).unwrap();
        symlink(dir.path().join("outside/precious"), dir.path().join("out").join(WRITING)).unwrap();
        let written = put(&outputs, "a").unwrap();
        assert_eq!((written.bytes, outputs.look("a").unwrap()), (3, Found::File(3)));
        assert!(outputs.holds(&written).unwrap());
        assert_eq!(fs::read(dir.path().join("outside/precious")).unwrap(), b"precious");
        assert_eq!(fs::metadata(dir.path().join("out/a")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn j14_a_directory_that_is_a_link_is_not_entered() {
        let (dir, outputs) = outputs();
        symlink(dir.path().join("outside"), dir.path().join("out/packets")).unwrap();
        insta::assert_snapshot!(put(&outputs, "packets/a").unwrap_err().text(), @r"
        io: $ARTIFACT_DIR/packets/a: Not a directory (os error 20)
        next: check that the path exists and its permissions, then try again
        ");
        assert!(outputs.new_dir("packets/new").is_err() && !outputs.new_dir("packets").unwrap());
        assert!(outputs.read("packets/precious").is_err());
        assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 1);
    }

    #[test]
    fn what_could_not_be_written_whole_is_not_there() {
        let (dir, outputs) = outputs();
        let full = outputs.write("a", |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().class, "disk-full");
        assert_eq!(fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_as_it_was_written_is_seen() {
        let (dir, outputs) = outputs();
        let written = put(&outputs, "b/a").unwrap();
        assert!(outputs.holds(&written).unwrap());
        fs::write(dir.path().join("out/b/a"), "odd").unwrap();
        assert!(!outputs.holds(&written).unwrap());
        fs::remove_file(dir.path().join("out/b/a")).unwrap();
        assert!(outputs.holds(&written).is_err());
    }

    #[test]
    fn only_a_file_is_one() {
        let (dir, outputs) = outputs();
        rustix::fs::mknodat(CWD, dir.path().join("out/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        fs::create_dir(dir.path().join("out/dir")).unwrap();
        let found = ["pipe", "dir", "none"].map(|name| outputs.look(name).unwrap());
        assert_eq!(found, [Found::Other, Found::Other, Found::Nothing]);
        outputs.remove("pipe").unwrap();
        outputs.remove("none").unwrap();
        assert!(outputs.remove("dir").is_err());
    }
}
