//! Both logs of a job.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use host::{Host, HostError, SECRETS, Stream};
use job::Logs;
use outcome::Failure;
use rustix::fs::{CWD, Mode, OFlags};

use crate::logs::{Log, LogError};
use crate::redact::Secrets;

/// The name of each log in the job's directory.
pub(crate) const STDOUT: &str = "stdout.log";
pub(crate) const STDERR: &str = "stderr.log";

/// Called with what a job writes, secrets taken out.
pub(crate) type Live<'a> = &'a (dyn Fn(Stream, &[u8]) + Sync);

/// The logs while they are written.
pub(crate) struct Streams<'a> {
    stdout: Mutex<Log<'a>>,
    stderr: Mutex<Log<'a>>,
}

impl<'a> Streams<'a> {
    /// Makes both files in `dir`, each of at most `cap` bytes.
    pub(crate) fn create(dir: &Path, cap: u64, secrets: &Secrets, live: Live<'a>) -> Result<Self, Failure> {
        let open = rustix::fs::openat(CWD, dir, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let dir = open.map_err(|errno| HostError::io(dir)(errno.into()))?;
        let log = |name, stream| {
            let copy = Box::new(move |piece: &[u8]| live(stream, piece));
            Log::create(&dir, name, cap, secrets.clone(), copy).map(Mutex::new)
        };
        Ok(Self { stdout: log(STDOUT, Stream::Stdout)?, stderr: log(STDERR, Stream::Stderr)? })
    }

    /// Takes what the job wrote.
    pub(crate) fn feed(&self, stream: Stream, bytes: &[u8]) {
        let log = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        log.lock().unwrap_or_else(PoisonError::into_inner).feed(bytes);
    }

    /// Writes what is left of both.
    pub(crate) fn finish(self) -> Result<Logs, LogError> {
        let [stdout, stderr] =
            [self.stdout, self.stderr].map(|log| log.into_inner().unwrap_or_else(PoisonError::into_inner).finish());
        Ok(Logs { stdout: stdout?, stderr: stderr? })
    }
}

/// The secrets that this process has in its environment. No job gets one; a log is kept free of them all the same.
///
/// # Errors
/// Refused, class `secret-unfit`, for one that no log could be kept free of.
pub(crate) fn secrets(host: &dyn Host) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::default();
    for name in SECRETS {
        let value = host.env(name).unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        secrets.register(value.as_encoded_bytes()).map_err(|unfit| {
            let reason = format!("the variable {name} holds what no log can be kept free of: {unfit}");
            Failure::refused("secret-unfit", reason, "unset it, or set it to a real secret")
        })?;
    }
    Ok(secrets)
}
