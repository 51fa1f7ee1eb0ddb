//! The name of a worker: that of its machine and state directory, and a number that no other worker there has.
//!
//! **Invariant:** who has a name is alone with it: whatever a database says that this name runs, runs no more when it is
//! taken.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use host::{Host, HostError};
use outcome::Failure;
use rustix::fs::{FlockOperation, flock};

use crate::desk::private_dirs;

/// Workers on one state directory.
const MOST: u32 = 64;
/// Of the number of a state directory.
const DIGITS: usize = 8;

/// A name, as long as this is held.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) name: String,
    _lock: File,
}

impl Seat {
    /// Takes the first name that is free.
    ///
    /// # Errors
    /// Busy, class `workers`, when there are too many; those of the machine.
    pub(crate) fn take(host: &dyn Host, state: &Path) -> Result<Self, Failure> {
        let dir = state.join("workers");
        private_dirs(&dir)?;
        let place = place(host, &dir)?;
        for number in 1..=MOST {
            let path = dir.join(format!("{number}.lock"));
            let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
            let lock = lock.map_err(HostError::io(&path))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Self { name: format!("{place}/{number}"), _lock: lock });
            }
        }
        let reason = format!("{MOST} workers run on {} already", state.display());
        Err(Failure::busy("workers", reason, "stop one, or name another directory: --state DIR"))
    }
}

/// The machine's name, and a number by which two state directories are told apart: two machines may have one name.
fn place(host: &dyn Host, dir: &Path) -> Result<String, Failure> {
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
    let path = dir.join("id");
    let id = number(host, &path).map_err(HostError::io(&path))?;
    Ok(format!("{}-{id}", node.chars().map(plain).collect::<String>()))
}

/// What is written there, by who comes first.
fn number(host: &dyn Host, path: &Path) -> io::Result<String> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    let mut id = String::new();
    file.read_to_string(&mut id)?;
    if id.len() != DIGITS {
        id = host.random_hex(DIGITS / 2);
        file.set_len(0)?;
        file.write_all_at(id.as_bytes(), 0)?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use host::Local;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn two_workers_have_two_names_and_a_name_comes_back() {
        let (host, state) = (Local::new(), TempDir::new().unwrap());
        let first = Seat::take(&host, state.path()).unwrap();
        let second = Seat::take(&host, state.path()).unwrap();
        let name = first.name.clone();
        assert!(name.ends_with("/1") && second.name.ends_with("/2"), "{name} {}", second.name);
        assert_eq!(name.strip_suffix("/1"), second.name.strip_suffix("/2"));
        drop(first);
        assert_eq!(Seat::take(&host, state.path()).unwrap().name, name);
        let elsewhere = TempDir::new().unwrap();
        assert_ne!(Seat::take(&host, elsewhere.path()).unwrap().name, name);
    }

    #[test]
    fn there_is_an_end_to_names() {
        let (host, state) = (Local::new(), TempDir::new().unwrap());
        let taken: Vec<Seat> = (0..MOST).map(|_| Seat::take(&host, state.path()).unwrap()).collect();
        assert_eq!(Seat::take(&host, state.path()).unwrap_err().class, "workers");
        drop(taken);
    }
}
