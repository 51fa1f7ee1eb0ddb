//! Lets a job of another user own a tree that is root's.
//!
//! **Invariant:** only the view of one detached mount changes, nothing on disk.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use crate::error::{Step as _, Stuck};
use crate::sys;

/// A user namespace by which what belongs to root is shown as belonging to `owner`. It has to be made while this process
/// sees the children it forks in `/proc`.
pub(crate) fn users(owner: u32) -> Result<OwnedFd, Stuck> {
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
    let users = users_of(child, owner, &ready);
    drop(go);
    sys::wait(child).step(step)?;
    users.step(step)
}

fn users_of(child: Pid, owner: u32, ready: &OwnedFd) -> io::Result<OwnedFd> {
    let mut said = [0; 1];
    rustix::io::read(ready, &mut said)?;
    if said != *b"y" {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let proc = format!("/proc/{}", child.as_raw_nonzero());
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("{proc}/{map}"), format!("0 {owner} 1\n"))?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, format!("{proc}/ns/user"), flags, Mode::empty())?)
}
