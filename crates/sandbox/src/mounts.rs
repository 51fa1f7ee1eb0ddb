//! Detached mounts, and an own root in memory to hang them in.
//!
//! **Invariant:** a mount point is made in the own root's memory alone: the walk to it crosses no mount and follows no
//! symlink.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use crate::error::{Step as _, Stuck};
use crate::sys;

/// Attributes of everything of the machine that a job sees.
pub(crate) const SEALED: u64 = sys::RDONLY | sys::NOSUID | sys::NODEV;

/// Keeps what is mounted from here on to this namespace.
pub(crate) fn keep_private() -> Result<(), Stuck> {
    rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .step("make the mounts private")
}

/// A detached copy of what is at `path`, with all that is mounted beneath. A symlink at its end is followed only if
/// `follow`.
pub(crate) fn copy(path: &Path, follow: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    if !follow {
        flags |= OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    }
    rustix::mount::open_tree(CWD, path, flags)
}

/// The same, read-only through and through.
pub(crate) fn sealed(path: &Path, follow: bool) -> Result<OwnedFd, Errno> {
    let mount = copy(path, follow)?;
    sys::mount_setattr(mount.as_fd(), SEALED, true)?;
    Ok(mount)
}

/// A file system in memory.
pub(crate) struct Memory {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) mode: u32,
    /// The owner, and its group.
    pub(crate) owner: u32,
}

impl Memory {
    pub(crate) fn mount(&self) -> Result<OwnedFd, Errno> {
        // A size of 0 would be no limit.
        let (bytes, files) = (self.bytes.max(4096), self.files.max(1));
        let options = [
            ("size", bytes.to_string()),
            ("nr_inodes", files.to_string()),
            ("mode", format!("{:o}", self.mode)),
            ("uid", self.owner.to_string()),
            ("gid", self.owner.to_string()),
        ];
        new("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)
    }
}

/// `/proc` of this process's namespace.
pub(crate) fn proc() -> Result<OwnedFd, Errno> {
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    new("proc", &[], attributes)
}

fn new(kind: &str, options: &[(&str, String)], attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *key, value.as_str())?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Hangs a detached mount onto the directory or file `point`.
pub(crate) fn hang(mount: BorrowedFd<'_>, point: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", point, "", flags)
}

/// An own root directory, still beneath the machine's.
pub(crate) struct Root(OwnedFd);

impl Root {
    /// A new one, of `bytes` and `files` at most, mounted over `/`: what is there stays reachable for this process.
    pub(crate) fn new(bytes: u64, files: u64, owner: u32) -> Result<Self, Stuck> {
        let root = Memory { bytes, files, mode: 0o755, owner }.mount().step("make an own root")?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(root.as_fd(), "", CWD, "/", flags).step("hang up the own root")?;
        Ok(Self(root))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Opens the directory at `path`, making those that are missing.
    pub(crate) fn dir(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let mut at = open(self.fd(), OsStr::new("."), OFlags::DIRECTORY)?;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            match rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            at = open(at.as_fd(), name, OFlags::DIRECTORY)?;
        }
        Ok(at)
    }

    /// Makes a file; its directories too.
    pub(crate) fn file(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<OwnedFd, Errno> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?;
            rest = &rest[written..];
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o777))?;
        Ok(file)
    }

    /// Makes a symlink; its directories too.
    pub(crate) fn link(&self, path: &Path, to: impl rustix::path::Arg) -> Result<(), Errno> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(to, &parent, name)
    }

    /// Hangs a detached mount up at `path`.
    pub(crate) fn hang(&self, mount: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
        let kind = FileType::from_raw_mode(rustix::fs::statat(mount, "", AtFlags::EMPTY_PATH)?.st_mode);
        let point = match kind {
            FileType::Directory => self.dir(path)?,
            FileType::Symlink => return Err(Errno::LOOP),
            _ => {
                drop(self.file(path, b"", 0o444)?);
                let (parent, name) = self.parent(path)?;
                open(parent.as_fd(), name, OFlags::empty())?
            }
        };
        hang(mount, point.as_fd())
    }

    fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        Ok((self.dir(path.parent().unwrap_or(Path::new("")))?, name))
    }

    /// Makes it this namespace's root, read-only, and lets go of the machine's.
    pub(crate) fn enter(self) -> Result<(), Stuck> {
        rustix::process::fchdir(self.fd()).step("enter the own root")?;
        rustix::process::pivot_root(".", ".").step("change the root")?;
        rustix::mount::unmount(".", UnmountFlags::DETACH).step("let go of the machine's root")?;
        rustix::process::chdir("/").step("enter the own root")?;
        sys::mount_setattr(self.fd(), SEALED, false).step("make the own root read-only")
    }
}

fn open(dir: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve)
}
