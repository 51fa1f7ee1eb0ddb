//! One ship at a time, and what an interrupted one leaves for the next: a lock and a journal under the git directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use host::{Host, Kind, disk_full, is_full};
use outcome::Failure;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::machine::State;

/// The number in a journal's `schema`.
const SCHEMA: u32 = 1;
/// A longer journal is none, in bytes.
const MAX_BYTES: u64 = 64 << 10;
/// The lock is emptied: a link in its place must not empty what it leads to, nor a pipe make this wait.
const AS_IT_IS: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();

/// Where a run stands, for the run after a kill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    schema: u32,
    /// The full name of the remote's ref.
    pub(crate) target: String,
    /// The id the remote had, zeros for none.
    pub(crate) since: String,
    /// The round of testing and reviewing, from 1.
    pub(crate) round: u32,
    /// Where the run stands.
    pub(crate) state: State,
}

impl Entry {
    /// An entry of the present format.
    #[must_use]
    pub(crate) fn new(target: &str, since: &str, round: u32, state: State) -> Self {
        Self { schema: SCHEMA, target: target.to_owned(), since: since.to_owned(), round, state }
    }
}

/// The right to ship in one repository, for as long as it is held. The lock dies with the process.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    _lock: File,
}

impl Journal {
    /// Takes the lock of the repository whose own directory is `state_dir`.
    ///
    /// # Errors
    /// Busy, naming the process that holds it; not ready, if the directory cannot be written; infrastructure, if the
    /// disk is full.
    pub(crate) fn lock(state_dir: &Path) -> Result<Self, Failure> {
        let dir = state_dir.join("ship");
        let path = dir.join("lock");
        let unready = |error: io::Error| {
            let reason = format!("{}: {error}", path.display());
            if is_full(&error) {
                disk_full(reason)
            } else {
                Failure::not_ready("lock", reason, "make the git directory writable, then ship again")
            }
        };
        fs::create_dir_all(&dir).map_err(unready)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).custom_flags(AS_IT_IS);
        let mut file = options.open(&path).map_err(unready)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(&file)),
            Err(TryLockError::Error(error)) => return Err(unready(error)),
        }
        file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(unready)?;
        Ok(Self { path: dir.join("journal.json"), _lock: file })
    }

    /// What a run that was killed left, or `None`. A journal that cannot be understood counts as none, as does anything
    /// in its place that could not be read to its end: it only saves work, it decides nothing.
    ///
    /// # Errors
    /// Not ready, if it is there and cannot be read.
    pub(crate) fn interrupted(&self, host: &dyn Host) -> Result<Option<Entry>, Failure> {
        let is_journal = |stat: host::Stat| stat.kind == Kind::File && stat.len <= MAX_BYTES;
        if !host.stat(&self.path)?.is_some_and(is_journal) {
            return Ok(None);
        }
        let bytes = host.read(&self.path)?;
        let entry = bytes.and_then(|bytes| serde_json::from_slice::<Entry>(&bytes).ok());
        Ok(entry.filter(|entry| entry.schema == SCHEMA))
    }

    /// Writes where the run stands, durably.
    ///
    /// # Errors
    /// The host's, such as a full disk.
    pub(crate) fn write(&self, host: &dyn Host, entry: &Entry) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(entry).expect("an entry has string keys only");
        Ok(host.write_atomic(&self.path, &bytes, 0o600)?)
    }

    /// The run is over, well or not: there is nothing to go on with.
    ///
    /// # Errors
    /// The host's.
    pub(crate) fn clear(&self, host: &dyn Host) -> Result<(), Failure> {
        Ok(host.remove(&self.path)?)
    }
}

fn busy(lock: &File) -> Failure {
    let mut holder = String::new();
    let read = lock.take(20).read_to_string(&mut holder);
    let is_known = read.is_ok() && !holder.is_empty() && holder.bytes().all(|byte| byte.is_ascii_digit());
    let holder = if is_known { &holder } else { "unknown" };
    Failure::busy(
        "ship-running",
        format!("another ship runs in this repository (process {holder})"),
        "wait until it has ended, then ship again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s04_a_second_ship_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let first = Journal::lock(dir.path()).unwrap();
        let refused = Journal::lock(dir.path()).unwrap_err();
        let holder = format!("another ship runs in this repository (process {})", std::process::id());
        assert_eq!((&*refused.class, refused.reason), ("ship-running", holder));
        drop(first);
        Journal::lock(dir.path()).unwrap();
    }

    /// Journals as programs of each schema wrote them.
    const SCHEMA_1: [&str; 2] = [
        r#"{"schema":1,"target":"refs/heads/main","since":"0000000000000000000000000000000000000000","round":2,"state":{"at":"reviewing","round":2}}"#,
        r#"{"schema":1,"target":"refs/heads/main","since":"0000000000000000000000000000000000000000","round":1,"state":{"at":"following","pushed":true}}"#,
    ];

    #[test]
    fn a_journal_of_every_schema_is_read_and_written_the_same() {
        for journal in SCHEMA_1 {
            let entry: Entry = serde_json::from_str(journal).unwrap();
            assert_eq!((entry.schema, serde_json::to_string(&entry).unwrap().as_str()), (SCHEMA, journal));
        }
    }

    #[test]
    fn s10_a_link_in_the_place_of_the_lock_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (own, elsewhere) = (dir.path().join("ship"), dir.path().join("elsewhere"));
        fs::create_dir(&own).unwrap();
        fs::write(&elsewhere, "precious").unwrap();
        std::os::unix::fs::symlink(&elsewhere, own.join("lock")).unwrap();
        assert_eq!(&*Journal::lock(dir.path()).unwrap_err().class, "lock");
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");
    }

    #[test]
    fn s10_a_pipe_or_an_endless_file_in_the_place_of_the_journal_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::lock(dir.path()).unwrap();
        let host = host::Local::new();
        let made = host.run(&host::Cmd::new("mkfifo").arg(&journal.path)).unwrap();
        assert!(made.success());
        assert_eq!(journal.interrupted(&host).unwrap(), None);
        let entry = Entry::new("refs/heads/main", "0", 1, State::Pushing);
        journal.write(&host, &entry).unwrap();
        assert_eq!(journal.interrupted(&host).unwrap(), Some(entry));
        OpenOptions::new().write(true).open(&journal.path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(journal.interrupted(&host).unwrap(), None);
    }
}
