//! Files of a machine, by the paths that it knows them by.
//!
//! **Invariant:** no link leads out of the machine.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, chmodat, mkdirat, openat, openat2, symlinkat, unlinkat};
use rustix::io::Errno;

use crate::broken::{Broken, Trying as _};

/// The root directory.
#[derive(Debug)]
pub(crate) struct Files(OwnedFd);

impl Files {
    /// # Errors
    /// When there is no such directory.
    pub(crate) fn below(root: &Path) -> Result<Self, Broken> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, root, flags, Mode::empty()).map(Self).trying(root.display())
    }

    pub(crate) fn read(&self, path: &str) -> Result<String, Broken> {
        let mut text = Vec::new();
        self.open(path, OFlags::RDONLY).and_then(|mut file| file.read_to_end(&mut text)).trying(path)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.open(path, OFlags::PATH).is_ok()
    }

    /// As a file that root alone writes and everybody reads, with the directories above it.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<(), Broken> {
        self.put(path, text.as_ref(), 0o644).trying(path)
    }

    /// As a new file that everybody may run.
    pub(crate) fn install(&self, path: &str, program: impl AsRef<[u8]>) -> Result<(), Broken> {
        // One that runs cannot be written to.
        self.remove(path)?;
        self.put(path, program.as_ref(), 0o755).trying(path)
    }

    /// In place of what is there.
    pub(crate) fn link(&self, path: &str, target: &str) -> Result<(), Broken> {
        self.remove(path)?;
        self.inside(path, |dir, name| symlinkat(target, dir, name)).trying(path)
    }

    /// A file or link, if it is there.
    pub(crate) fn remove(&self, path: &str) -> Result<(), Broken> {
        match self.inside(path, |dir, name| unlinkat(dir, name, AtFlags::empty())) {
            Err(Errno::NOENT) => Ok(()),
            removed => removed.trying(path),
        }
    }

    /// With those above it, where they are missing.
    pub(crate) fn make_dir(&self, path: &str) -> Result<(), Broken> {
        self.dir(path).map(drop).trying(path)
    }

    fn put(&self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.inside(path, |_, _| Ok(()))?;
        let mut file = self.open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))
    }

    fn open(&self, path: &str, flags: OFlags) -> io::Result<File> {
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
        Ok(openat2(&self.0, path, flags | OFlags::CLOEXEC, mode, ResolveFlags::IN_ROOT)?.into())
    }

    /// Does something with a name in its directory, which is made where it is missing.
    fn inside<T>(&self, path: &str, act: impl FnOnce(BorrowedFd<'_>, &str) -> Result<T, Errno>) -> Result<T, Errno> {
        let (dir, name) = path.rsplit_once('/').ok_or(Errno::INVAL)?;
        act(self.dir(dir)?.as_fd(), name)
    }

    fn dir(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = if path.is_empty() { "/" } else { path };
        let open = || openat2(&self.0, path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
        match open() {
            Err(Errno::NOENT) => {
                let mode = Mode::from_raw_mode(0o755);
                self.inside(path, |above, name| {
                    mkdirat(above, name, mode)?;
                    chmodat(above, name, mode, AtFlags::empty())
                })?;
                open()
            }
            opened => opened,
        }
    }
}

impl AsFd for Files {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
