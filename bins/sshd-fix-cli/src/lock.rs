//! One run at a time.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use outcome::Failure;
use sshd_fix::paths::STATE;

/// Longer than a run takes, unless it is stopped or hangs at step after step. It must not keep the operator out then.
const STUCK: Duration = Duration::from_mins(5);
const TICK: Duration = Duration::from_millis(200);

/// Held until it is dropped.
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Lock {
    /// Takes it.
    ///
    /// # Errors
    /// Busy, when another run has it.
    pub(crate) fn take() -> Result<Self, Failure> {
        let file = open()?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Failure::busy(
                "sshd-fix-locked",
                "another run of sshd-fix is at it",
                "wait until it ends, then try again",
            )),
            Err(TryLockError::Error(error)) => Err(unusable(&error)),
        }
    }

    /// Takes it as soon as it is free, and goes on without it when its holder seems stuck.
    ///
    /// # Errors
    /// When there is no lock to take.
    pub(crate) fn wait() -> Result<Option<Self>, Failure> {
        let file = open()?;
        for _ in 0..STUCK.as_millis() / TICK.as_millis() {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) => sleep(TICK),
                Err(TryLockError::Error(error)) => return Err(unusable(&error)),
            }
        }
        Ok(None)
    }
}

fn open() -> Result<File, Failure> {
    let dir = Path::new(STATE);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    let opened = made.and_then(|()| File::options().create(true).truncate(false).write(true).open(dir.join("lock")));
    opened.map_err(|error| unusable(&error))
}

fn unusable(error: &io::Error) -> Failure {
    Failure::not_ready("sshd-fix-lock", format!("{STATE}/lock: {error}"), "run it by sudo")
}
