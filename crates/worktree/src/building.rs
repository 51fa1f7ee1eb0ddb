//! A checkout that is not finished: aside, under a lock that tells a crashed build from a living one.
//!
//! **Invariant:** what is not published is removed, at the latest by the next run that builds.

use std::path::{Path, PathBuf};

use host::Host;

use crate::error::WorktreeError;
use crate::lock::{Hold, Lock};
use crate::template::remove;

const PREFIX: &str = ".building-";

/// A directory that becomes a checkout, or goes.
pub(crate) struct Building {
    pub(crate) dir: PathBuf,
    lock_path: PathBuf,
    _lock: Lock,
}

impl Building {
    /// A name of its own, with nothing there yet.
    fn named(host: &dyn Host, trees: &Path) -> Result<Self, WorktreeError> {
        loop {
            let dir = trees.join(format!("{PREFIX}{}", host.random_hex(8)));
            let lock_path = dir.with_added_extension("lock");
            // A sweep that meets the new file before it is locked takes it for a crashed build's, and removes it.
            if let Some(lock) = Lock::take(&lock_path, Hold::Exclusive)? {
                return Ok(Self { dir, lock_path, _lock: lock });
            }
        }
    }

    /// An empty one.
    pub(crate) fn new(host: &dyn Host, trees: &Path) -> Result<Self, WorktreeError> {
        let building = Self::named(host, trees)?;
        std::fs::create_dir(&building.dir).map_err(WorktreeError::io(&building.dir))?;
        Ok(building)
    }

    /// What a slot was, which is no slot any more. The caller holds the slot's lock exclusively.
    pub(crate) fn adopt(host: &dyn Host, trees: &Path, slot: &Path) -> Result<Self, WorktreeError> {
        let building = Self::named(host, trees)?;
        std::fs::rename(slot, &building.dir).map_err(WorktreeError::io(slot))?;
        Ok(building)
    }

    /// Makes it the slot. Nothing has that name, and the caller holds the slot's lock exclusively.
    pub(crate) fn publish(self, slot: &Path) -> Result<(), WorktreeError> {
        std::fs::rename(&self.dir, slot).map_err(WorktreeError::io(slot))
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        if remove(&self.dir).is_ok() {
            drop(remove(&self.lock_path));
        }
    }
}

/// Removes what crashed builds left, and the locks of slots that were never made. Returns how many builds there were.
pub(crate) fn sweep(trees: &Path) -> Result<usize, WorktreeError> {
    let mut swept = 0;
    for entry in std::fs::read_dir(trees).map_err(WorktreeError::io(trees))? {
        let name = entry.map_err(WorktreeError::io(trees))?.file_name();
        let Some(name) = name.to_str() else { continue };
        let dir = trees.join(name.strip_suffix(".lock").unwrap_or(name));
        let is_left = || name.starts_with(PREFIX) || !dir.exists();
        if !is_left() {
            continue;
        }
        let lock_path = dir.with_added_extension("lock");
        // Another run may have made the slot by now.
        if let Some(_lock) = Lock::take(&lock_path, Hold::Exclusive)?.filter(|_| is_left()) {
            swept += usize::from(dir.exists());
            remove(&dir)?;
            remove(&lock_path)?;
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use host::Local;
    use repo::testing::Fixture;

    use super::*;

    #[test]
    fn a_build_that_begins_is_not_taken_for_a_crashed_one() {
        let (host, f, over) = (Local::new(), Fixture::of_format("sha1"), AtomicBool::new(false));
        let trees = f.dir().join("trees");
        std::fs::create_dir(&trees).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    sweep(&trees).unwrap();
                }
            });
            let all_begin = (0..1000).all(|_| Building::new(&host, &trees).is_ok_and(|building| building.dir.is_dir()));
            over.store(true, Ordering::Relaxed);
            assert!(all_begin);
        });
    }
}
