//! A job of the sandbox's own that tries what a job must not be able to do, and tells what came of it.
//!
//! **Invariant:** what it reports is what it tried, never what the sandbox says of itself.

use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::{Level, sys};

/// The name by which a program knows that it is to be the checker.
pub(crate) const NAME: &str = "sandbox-check";

/// What was tried; an error's number each, 0 for "it went through".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tried {
    pub(crate) make_in_tree: i32,
    pub(crate) make_in_artifacts: i32,
    pub(crate) user_namespace: i32,
    pub(crate) packet_socket: i32,
    pub(crate) internet_socket: i32,
    pub(crate) signal_parent: i32,
    /// Its parent's process id: 1 in a namespace of its own.
    pub(crate) parent: u32,
}

/// Tries everything in the tree it stands in and the directory its only argument names.
pub(crate) fn main() -> ! {
    let artifacts = std::env::args_os().nth(1).unwrap_or_default();
    let make = |at: &Path| rustix::fs::mkdirat(CWD, at, Mode::from_raw_mode(0o700));
    let socket = |family, kind| rustix::net::socket(family, kind, None).map(drop);
    let parent = rustix::process::getppid();
    let tried = Tried {
        make_in_tree: number(make(Path::new("sandbox-check"))),
        make_in_artifacts: number(make(&Path::new(&artifacts).join("sandbox-check"))),
        user_namespace: number(sys::unshare(UnshareFlags::NEWUSER)),
        packet_socket: number(socket(AddressFamily::PACKET, SocketType::RAW)),
        internet_socket: number(socket(AddressFamily::INET, SocketType::DGRAM)),
        signal_parent: parent.map_or(libc::ESRCH, |parent| number(rustix::process::test_kill_process(parent))),
        parent: parent.map_or(0, |parent| parent.as_raw_nonzero().get().unsigned_abs()),
    };
    let told = serde_json::to_string(&tried).unwrap_or_default();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, Path::new(&artifacts).join("tried"), flags, Mode::from_raw_mode(0o600));
    let written = file.and_then(|file| rustix::io::write(file, told.as_bytes()));
    sys::exit(i32::from(written.is_err()))
}

fn number(tried: Result<(), Errno>) -> i32 {
    tried.err().map_or(0, Errno::raw_os_error)
}

impl Tried {
    /// What the job could do and must not at `level`, and the other way round.
    pub(crate) fn judge(&self, level: Level) -> Result<(), String> {
        let isolated = level.has_namespaces();
        let tree = if level == Level::L0 { self.make_in_tree != 0 } else { self.make_in_tree == libc::EROFS };
        let wanted = [
            (tree, "a write to the tree"),
            (self.make_in_artifacts == 0, "a write to the artifact directory"),
            (self.user_namespace == libc::EPERM, "a user namespace"),
            (self.packet_socket == libc::EPERM, "a packet socket"),
            (isolated == (self.internet_socket == 0), "an internet socket"),
            (isolated || self.signal_parent == libc::EPERM, "a signal to the init"),
            (!isolated || self.parent == 1, "the process namespace"),
        ];
        let wrong: Vec<_> = wanted.iter().filter(|(right, _)| !right).map(|(_, what)| *what).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("not as promised: {} ({self:?})", wrong.join(", "))) }
    }
}
