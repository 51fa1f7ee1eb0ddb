//! The only way to touch a machine: run a command, read, write atomically.
//!
//! Programs take a [`&dyn Host`](Host): [`Local`] is this machine, [`Fake`] is a stateful stand-in that refuses what
//! it does not know.
//!
//! **Invariant:** a command is an argument vector, never a shell string, and its environment is cleared except for
//! what the [`Cmd`] names.
//! **Invariant:** no process of a command outlives it: its process group is killed on time-out, on cancel and after
//! success.

#![allow(clippy::disallowed_methods, reason = "this crate is the boundary to the machine")]

mod base_dir;
mod cmd;
mod config;
mod fake;
mod local;

pub use base_dir::{cache_dir, config_dir, data_dir, state_dir};
pub use cmd::{Cmd, Output, SECRETS, Status, Stream};
pub use config::trusted;
pub use fake::Fake;
pub use local::{Cancel, Local};

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use outcome::Failure;

/// A machine as programs see it.
pub trait Host: Send + Sync {
    /// Runs `cmd` to its end, its time-out or a cancel.
    ///
    /// # Errors
    /// [`HostError::NotFound`] if there is no such program, [`HostError::Io`] if it cannot be started or watched. A
    /// command that ran and failed is an [`Output`], not an error.
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError>;

    /// The bytes of the file at `path`, or `None` if nothing is there.
    ///
    /// # Errors
    /// [`HostError::Io`] if it is there and cannot be read.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError>;

    /// Makes `path` hold exactly `bytes` with permission bits `mode`, or leaves it as it was: a new file is written
    /// and synced beside it, then renamed over it. Missing parent directories are made with mode 0700.
    ///
    /// # Errors
    /// [`HostError::Io`] with the path that failed.
    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError>;

    /// What is at `path`, without following a symlink, or `None` if nothing is.
    ///
    /// # Errors
    /// [`HostError::Io`] if that cannot be known.
    fn stat(&self, path: &Path) -> Result<Option<Stat>, HostError>;

    /// Removes the file at `path`; that nothing is there is fine.
    ///
    /// # Errors
    /// [`HostError::Io`] if something is there and stays.
    fn remove(&self, path: &Path) -> Result<(), HostError>;

    /// The names in the directory `dir`, sorted, or `None` if nothing is there.
    ///
    /// # Errors
    /// [`HostError::Io`] if it is there and cannot be read, or is no directory.
    fn list(&self, dir: &Path) -> Result<Option<Vec<OsString>>, HostError>;

    /// What the symlink at `path` holds, as it is written there, or `None` if nothing or something else is there.
    ///
    /// # Errors
    /// [`HostError::Io`] if that cannot be known.
    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, HostError>;

    /// A variable of the program's own environment.
    fn env(&self, name: &str) -> Option<OsString>;

    /// The effective user id of the program.
    fn uid(&self) -> u32;

    /// The time of the machine's clock.
    fn now(&self) -> SystemTime;

    /// `len` random bytes fit for secrets.
    fn random(&self, len: usize) -> Vec<u8>;

    /// The same as lower-case hex: two digits a byte.
    fn random_hex(&self, len: usize) -> String {
        self.random(len).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What is at a path, as `lstat` sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// File, directory, symlink or something else.
    pub kind: Kind,
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Size in bytes.
    pub len: u64,
}

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Other,
}

/// Why the machine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No such program on the search path.
    #[error("no program `{program}` was found")]
    NotFound {
        /// The program as it was named.
        program: String,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or program it was about.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A [`Fake`] was asked something nobody scripted.
    #[error("the fake host does not know `{asked}`")]
    Unscripted {
        /// What was asked.
        asked: String,
    },
}

impl HostError {
    /// For `map_err`: the operating system refused something about `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.into(), source }
    }
}

/// The disk, or the user's quota of it, is used up.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A program that was run says so, in the words of the C library.
pub fn says_full(words: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"].iter().any(|full| words.contains(full))
}

/// Nothing is wrong but the space.
pub fn disk_full(reason: impl Into<String>) -> Failure {
    Failure::infrastructure("disk-full", reason, "free some space, then try again")
}

impl HostError {
    /// The disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let reason = error.to_string();
        match error {
            HostError::NotFound { program } => Self::not_ready(
                "tool-missing",
                reason,
                format!("install `{program}` or put it on PATH, then try again"),
            ),
            HostError::Io { source, .. } if is_full(&source) => disk_full(reason),
            HostError::Io { .. } => {
                Self::not_ready("io", reason, "check that the path exists and its permissions, then try again")
            }
            HostError::Unscripted { .. } => Self::bug("unscripted", reason, "script the fake host"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s05_a_full_disk_and_a_full_quota_are_told_as_such() {
        let class = |kind: io::ErrorKind| {
            let failure = Failure::from(HostError::Io { path: "/data".into(), source: kind.into() });
            (failure.class, failure.exit.code())
        };
        assert_eq!(class(io::ErrorKind::StorageFull), ("disk-full".into(), 4));
        assert_eq!(class(io::ErrorKind::QuotaExceeded), ("disk-full".into(), 4));
        assert_eq!(class(io::ErrorKind::PermissionDenied), ("io".into(), 3));
    }
}
