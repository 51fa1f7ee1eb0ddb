//! Locks between programs: flock(2) on files beside what they guard.
//!
//! **Invariant:** a lock is held on the file that its name stands for now, so a lock's file may be removed by who holds
//! it exclusively.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread::park_timeout;
use std::time::{Duration, Instant, SystemTime};

use host::Cancel;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::error::WorktreeError;

/// How often a lock that is held is tried again.
const TICK: Duration = Duration::from_millis(10);

/// How long to wait for other runs, and what cuts that short.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The longest wait for one lock.
    pub limit: Duration,
    /// A wish to stop.
    pub cancel: Cancel,
}

impl Default for Patience {
    /// As long as another run may fetch: 15 minutes.
    fn default() -> Self {
        Self { limit: Duration::from_secs(900), cancel: Cancel::default() }
    }
}

impl Patience {
    pub(crate) fn check(&self) -> Result<(), WorktreeError> {
        if self.cancel.is_cancelled() { Err(WorktreeError::Cancelled) } else { Ok(()) }
    }
}

/// Who else may hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Shared,
    Exclusive,
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the lock, or says at once that it is held.
    pub(crate) fn take(path: &Path, hold: Hold) -> Result<Option<Self>, WorktreeError> {
        loop {
            let file = open(path)?;
            let operation = match hold {
                Hold::Shared => FlockOperation::NonBlockingLockShared,
                Hold::Exclusive => FlockOperation::NonBlockingLockExclusive,
            };
            match flock(&file, operation) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(WorktreeError::errno(path)(errno)),
            }
            let lock = Self(file);
            if lock.is_at(path) {
                return Ok(Some(lock));
            }
        }
    }

    /// Takes the lock as soon as it is free.
    pub(crate) fn wait(path: &Path, hold: Hold, patience: &Patience) -> Result<Self, WorktreeError> {
        let start = Instant::now();
        loop {
            if let Some(lock) = Self::take(path, hold)? {
                return Ok(lock);
            }
            patience.check()?;
            if start.elapsed() >= patience.limit {
                return Err(WorktreeError::Busy { path: path.to_owned() });
            }
            park_timeout(TICK);
        }
    }

    /// Lets others share it. Between the two somebody else may have had it and removed it: then it is gone.
    pub(crate) fn share(self, path: &Path) -> Result<Option<Self>, WorktreeError> {
        flock(&self.0, FlockOperation::LockShared).map_err(WorktreeError::errno(path))?;
        Ok(self.is_at(path).then_some(self))
    }

    /// Makes now the time of the last use.
    pub(crate) fn touch(&self, now: SystemTime) {
        // A use that is not noted makes what it is about an earlier candidate for removal, no more.
        drop(self.0.set_modified(now));
    }

    /// Whether the name stands for this lock, and not for a newer one or for nothing.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let Ok(held) = self.0.metadata() else { return false };
        let named = std::fs::symlink_metadata(path);
        named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino()))
    }
}

/// A process that another thread is just starting has the file open too until it runs its program; closing the file
/// alone would leave the lock held as long.
impl Drop for Lock {
    fn drop(&mut self) {
        // What cannot be unlocked is so once the file is closed everywhere.
        _ = flock(&self.0, FlockOperation::Unlock);
    }
}

fn open(path: &Path) -> Result<File, WorktreeError> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let opened =
        File::options().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path);
    opened.map_err(WorktreeError::io(path))
}

/// When what a lock is about was last used; the beginning of time where that cannot be known.
pub(crate) fn last_use(path: &Path) -> SystemTime {
    std::fs::symlink_metadata(path).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
