//! Lets a job of another user own a tree that is root's.
//!
//! **Invariant:** only the view of one detached mount changes, nothing on disk.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::thread::UnshareFlags;

use crate::error::{Step as _, Stuck};
use crate::sys;

/// Shows what belongs to root on the detached mount `tree` as belonging to `owner`.
pub(crate) fn map(tree: &OwnedFd, owner: u32) -> Result<(), Stuck> {
    let step = "map the tree's owner";
    let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step(step)?;
    let (ready, told) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step(step)?;
    let Some(child) = sys::fork().step(step)? else {
        drop((go, ready));
        let left = sys::unshare(UnshareFlags::NEWUSER);
        let _ = rustix::io::write(&told, if left.is_ok() { b"y" } else { b"n" });
        // Until the other side is closed: the namespace lives as long as this process or a descriptor of it.
        let _ = rustix::io::read(&wait, &mut [0; 1]);
        sys::exit(0);
    };
    drop((wait, told));
    let mut said = [0; 1];
    let users = rustix::io::read(&ready, &mut said)
        .map_err(std::io::Error::from)
        .and_then(|_| if said == *b"y" { Ok(()) } else { Err(std::io::ErrorKind::PermissionDenied.into()) })
        .and_then(|()| {
            let proc = format!("/proc/{}", child.as_raw_nonzero());
            std::fs::write(format!("{proc}/uid_map"), format!("0 {owner} 1\n"))?;
            std::fs::write(format!("{proc}/gid_map"), format!("0 {owner} 1\n"))?;
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(CWD, format!("{proc}/ns/user"), flags, Mode::empty())?)
        });
    drop(go);
    sys::wait(child).step(step)?;
    sys::map_owners(tree.as_fd(), users.step(step)?.as_fd()).step(step)
}
