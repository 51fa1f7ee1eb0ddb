//! One run at a time.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use host::Host;
use outcome::Failure;

/// Not below `/run/ai-ops-runner`: that goes with the service, and the lock would go with it while it is held.
const OF_ROOT: &str = "/run";
const NAME: &str = "openclaw-doctor.lock";

/// Held until it is dropped.
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Lock {
    /// Takes it: that of the host for root, else one of the user's own.
    ///
    /// # Errors
    /// Busy, class `doctor-running`, when another run has it; not ready, class `doctor-lock`, when there is no place for it.
    pub(crate) fn take(host: &dyn Host) -> Result<Self, Failure> {
        let dir = dir(host).ok_or_else(|| unusable("neither XDG_RUNTIME_DIR nor HOME is set"))?;
        let file = open(&dir).map_err(|error| unusable(&format!("{}: {error}", dir.join(NAME).display())))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Failure::busy(
                "doctor-running",
                "another run of openclaw-doctor looks at this host",
                "wait until it ends, then try again",
            )),
            Err(TryLockError::Error(error)) => Err(unusable(&error.to_string())),
        }
    }
}

fn dir(host: &dyn Host) -> Option<PathBuf> {
    if host.uid() == 0 {
        return Some(OF_ROOT.into());
    }
    let runtime = host.env("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    runtime.or_else(|| Some(host::state_dir(host)?.join("ai-ops-runner")))
}

fn open(dir: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    File::options().create(true).truncate(false).write(true).mode(0o600).open(dir.join(NAME))
}

fn unusable(why: &str) -> Failure {
    Failure::not_ready("doctor-lock", why, "run it by sudo, or with HOME set")
}
