//! Namespaces that the test's own process holds open. Each is there as long as that, or a process in it, is, so that there
//! is nothing to remove.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::{process, thread};

use rustix::process::Pid;

use crate::broken::{Broken, Trying as _};

/// One namespace, of any kind.
#[derive(Debug)]
pub(crate) struct Held(File);

impl Held {
    /// The one that `enter` leaves its thread in, and what that returned. It runs on a thread of its own, since that is in
    /// the namespace from then on. `kind` is as in `/proc/self/ns`.
    ///
    /// # Errors
    /// What `enter` failed with.
    pub(crate) fn by<T: Send>(
        kind: &str,
        enter: impl FnOnce() -> Result<T, Broken> + Send,
    ) -> Result<(Self, T), Broken> {
        let entered = || {
            let got = enter()?;
            let held = File::open(format!("/proc/thread-self/ns/{kind}")).trying("hold a namespace")?;
            Ok((Self(held), got))
        };
        let panicked = || Broken::new(format!("make a namespace ({kind}): a panic"));
        thread::scope(|scope| scope.spawn(entered).join()).unwrap_or_else(|_| Err(panicked()))
    }

    /// The one that a process is in.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn of(process: Pid, kind: &str) -> Result<Self, Broken> {
        let path = format!("/proc/{process}/ns/{kind}");
        File::open(&path).map(Self).trying(path)
    }

    /// Good for every process as long as this one holds it.
    pub(crate) fn path(&self) -> String {
        path(&self.0)
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What this process holds open, for whoever may look at it.
pub(crate) fn path(held: &impl AsFd) -> String {
    format!("/proc/{}/fd/{}", process::id(), held.as_fd().as_raw_fd())
}
