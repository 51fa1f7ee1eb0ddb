//! What an own root holds.
//!
//! **Invariant:** of the machine a job sees its programs, libraries and what those look up, the tree and what its entry
//! names: all of it read-only.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::capture;
use crate::control::Order;
use crate::error::{FRESH_PROC, Step as _, Stuck};
use crate::mounts::{self, Memory, Root};
use crate::ruleset::{DEVICES, SYSTEM};
use crate::spec::TreeMode;
use crate::{Level, sys};

/// Room in the own root for directories, mount points and the files every job gets.
const ROOM: u64 = 1 << 20;
/// Files and directories in the own root, besides those of the order.
const FILES: u64 = 512;
/// Bytes of the machine's `resolv.conf` that are copied: resolvers read no more lines than fit in this.
const RESOLV_CAP: usize = 16 << 10;

/// What of an own root the runner keeps.
pub(crate) struct Kept {
    pub(crate) artifacts: OwnedFd,
    /// The layer of changes above the tree.
    pub(crate) upper: Option<OwnedFd>,
}

/// Makes the root that `order` asks for and enters it. `owner` is the job's uid and gid as this process sees them,
/// `users` maps the tree's owner to it, where it is another.
pub(crate) fn make(order: &Order, files: &[Vec<u8>], owner: u32, users: Option<&OwnedFd>) -> Result<Kept, Stuck> {
    mounts::keep_private()?;
    let sealed = mounts::sealed(Path::new(&order.tree), false).step("bind the tree")?;
    if let Some(users) = users {
        sys::map_owners(sealed.as_fd(), users.as_fd()).step("map the tree's owner")?;
    }
    let pages: u64 = files.iter().map(|bytes| (bytes.len() as u64).next_multiple_of(4096)).sum();
    let root = Root::new(ROOM + pages, FILES + 16 * (files.len() + order.binds.len()) as u64, owner)?;
    system(&root)?;
    etc(&root, order, owner).step("make /etc")?;
    devices(&root).step("make /dev")?;
    own_proc(&root, order.level)?;
    binds(&root, order)?;
    for ((path, _, mode), bytes) in order.files.iter().zip(files) {
        root.file(Path::new(path), bytes, *mode).step(&format!("make {}", path.display()))?;
    }
    let artifacts = writable(&root, order, owner)?;
    let upper = tree(&root, &sealed, order, owner)?;
    root.enter()?;
    Ok(Kept { artifacts, upper })
}

/// Programs and libraries, as the machine has them: a symlink stays one.
fn system(root: &Root) -> Result<(), Stuck> {
    for path in SYSTEM.iter().filter(|path| !path.starts_with("/proc") && !path.starts_with("/etc")) {
        let path = Path::new(path);
        let done = match rustix::fs::readlink(path, Vec::new()) {
            Ok(to) => root.link(path, to.as_c_str()),
            Err(Errno::INVAL) => mounts::sealed(path, false).and_then(|mount| root.hang(mount.as_fd(), path)),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        };
        done.step(&format!("bind {}", path.display()))?;
    }
    Ok(())
}

/// The few files of `/etc` that programs look up; who is who is made up.
fn etc(root: &Root, order: &Order, owner: u32) -> Result<(), Errno> {
    let mut made = vec![
        ("/etc/passwd", format!("root:x:0:0:root:/:/usr/sbin/nologin\njob:x:{owner}:{owner}:job:/tmp/home:/bin/sh\n")),
        ("/etc/group", format!("root:x:0:\njob:x:{owner}:\n")),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n".to_owned()),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
    ];
    if order.network {
        made.push(("/etc/resolv.conf", resolvers()));
    }
    for (path, text) in &made {
        root.file(Path::new(path), text.as_bytes(), 0o444)?;
    }
    for path in SYSTEM.iter().filter(|path| path.starts_with("/etc/")).map(Path::new) {
        if made.iter().any(|(made, _)| Path::new(made) == path) || path == Path::new("/etc/resolv.conf") {
            continue;
        }
        match rustix::fs::readlink(path, Vec::new()) {
            Ok(to) => root.link(path, to.as_c_str())?,
            Err(Errno::INVAL) => root.hang(mounts::sealed(path, false)?.as_fd(), path)?,
            // Missing, or not for this user to see: then it is not for the job either.
            Err(_) => {}
        }
    }
    Ok(())
}

/// The machine's resolvers, often behind a symlink to where the job cannot look.
fn resolvers() -> String {
    let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(RESOLV_CAP)]).into_owned()
}

fn devices(root: &Root) -> Result<(), Errno> {
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        let device = mounts::copy(&path, false)?;
        sys::mount_setattr(device.as_fd(), sys::RDONLY | sys::NOSUID | sys::NOEXEC, false)?;
        root.hang(device.as_fd(), &path)?;
    }
    let links = [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/shm", "/tmp/shm"),
        ("/var/tmp", "/tmp"),
    ];
    links.iter().try_for_each(|(path, to)| root.link(Path::new(path), *to))
}

fn own_proc(root: &Root, level: Level) -> Result<(), Stuck> {
    let (mount, step) = if level == Level::L3 {
        (mounts::proc(), FRESH_PROC)
    } else {
        (mounts::sealed(Path::new("/proc"), false), "bind /proc read-only")
    };
    mount.and_then(|mount| root.hang(mount.as_fd(), Path::new("/proc"))).step(step)
}

fn binds(root: &Root, order: &Order) -> Result<(), Stuck> {
    for (source, target) in &order.binds {
        let bound =
            mounts::sealed(Path::new(source), true).and_then(|mount| root.hang(mount.as_fd(), Path::new(target)));
        bound.step(&format!("bind {}", source.display()))?;
    }
    Ok(())
}

/// `/tmp` and `/artifacts`. Returns the latter.
fn writable(root: &Root, order: &Order, owner: u32) -> Result<OwnedFd, Stuck> {
    let limits = &order.limits;
    let make = |path: &str, bytes, files, mode| {
        let mount = Memory { bytes, files, mode, owner }.mount()?;
        root.hang(mount.as_fd(), Path::new(path))?;
        rustix::fs::openat(&mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    };
    // The two directories below, and the root itself, are not the job's.
    let tmp = make("/tmp", limits.tmp_bytes, limits.tmp_files.saturating_add(3), 0o1777).step("make /tmp")?;
    let artifacts = make("/artifacts", limits.artifact_bytes, limits.artifact_files.saturating_add(1), 0o755);
    for (name, mode) in [("home", 0o700), ("shm", 0o1777)] {
        own_dir(&tmp, name, mode, owner).step("make directories in /tmp")?;
    }
    artifacts.step("make /artifacts")
}

/// Makes the directory `name` for the job.
pub(crate) fn own_dir(parent: &OwnedFd, name: &str, mode: u32, owner: u32) -> Result<(), Errno> {
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(owner), rustix::fs::Gid::from_raw(owner));
    rustix::fs::fchown(&dir, Some(uid), Some(gid))?;
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))
}

/// The tree at `/repo`. Returns the layer of changes of a captured one.
fn tree(root: &Root, sealed: &OwnedFd, order: &Order, owner: u32) -> Result<Option<OwnedFd>, Stuck> {
    if order.mode == TreeMode::Capture {
        return capture::mount(root, sealed, order, owner).map(Some);
    }
    root.hang(sealed.as_fd(), Path::new("/repo")).step("bind the tree")?;
    Ok(None)
}

/// A write to the tree at `tree` is refused because its mount is read-only, and the mount says so.
pub(crate) fn is_read_only(tree: &Path) -> Result<bool, Stuck> {
    let flags = rustix::fs::statvfs(tree).step("look at the tree's mount")?.f_flag;
    let name: PathBuf = tree.join(".ai-ops-runner-write-probe");
    match rustix::fs::mkdir(&name, Mode::from_raw_mode(0o700)) {
        Err(Errno::ROFS) => Ok(flags.contains(rustix::fs::StatVfsMountFlags::RDONLY)),
        Err(_) => Ok(false),
        Ok(()) => {
            rustix::fs::rmdir(&name).map_err(io::Error::from).step("remove the write probe")?;
            Ok(false)
        }
    }
}
