//! Where the files of a server are: in memory where there is enough of it, since a new cluster is a thousand files that
//! the first `fsync` would wait for, behind all that other tests write. What a kill leaves is the same there.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::broken::{Broken, Trying as _};

const MEMORY: &str = "/dev/shm";
/// What a test may fill, in bytes. Containers often have a sixteenth of it, which is for a few files.
const ENOUGH: u64 = 1 << 30;
const PREFIX: &str = "real-parts-";
/// A new directory is locked much sooner than that.
const YOUNG: Duration = Duration::from_mins(1);

/// A directory that is removed when dropped; where the process that made it was killed, when another makes one.
pub(crate) struct Place {
    dir: TempDir,
    _held: File,
}

impl Place {
    /// Below `TMPDIR` where that is set.
    ///
    /// # Errors
    /// When there is no room for files.
    pub(crate) fn new() -> Result<Self, Broken> {
        Self::below(&base())
    }

    /// # Errors
    /// As [`Place::new`].
    pub(crate) fn below(base: &Path) -> Result<Self, Broken> {
        sweep(base);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base).trying("make a temporary directory")?;
        let held = File::open(dir.path()).trying("hold a temporary directory")?;
        held.lock().trying("hold a temporary directory")?;
        Ok(Self { dir, _held: held })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn base() -> PathBuf {
    let roomy = || statvfs(MEMORY).is_ok_and(|memory| memory.f_bavail * memory.f_frsize >= ENOUGH);
    if env::var_os("TMPDIR").is_none() && roomy() { MEMORY.into() } else { env::temp_dir() }
}

/// Removes what nobody holds. What cannot be removed is another user's.
fn sweep(base: &Path) {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for dir in ours.map(|entry| entry.path()).filter(|dir| is_left(dir)) {
        let _ = fs::remove_dir_all(dir);
    }
}

fn is_left(dir: &Path) -> bool {
    let changed = fs::metadata(dir).and_then(|metadata| metadata.modified());
    let old = changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > YOUNG));
    old && File::open(dir).is_ok_and(|held| held.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let made = |name: &str, age: Duration| {
            let dir = base.path().join(name);
            fs::create_dir(&dir).unwrap();
            let held = File::open(&dir).unwrap();
            held.set_modified(SystemTime::now() - age).unwrap();
            held
        };
        drop(made("real-parts-left", 2 * YOUNG));
        let held = made("real-parts-in-use", 2 * YOUNG);
        held.lock().unwrap();
        drop(made("real-parts-new", Duration::ZERO));
        drop(made("another", 2 * YOUNG));
        sweep(base.path());
        let mut names: Vec<_> = fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["another", "real-parts-in-use", "real-parts-new"]);
    }
}
