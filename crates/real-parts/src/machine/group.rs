//! The control group of a machine, which takes it for the whole hierarchy.
//!
//! **Invariant:** a group that nobody holds any more is removed before the next one is made.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::broken::{Broken, Trying as _};

const PREFIX: &str = "real-parts-";
/// How long killed processes may take until they are gone.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// It is removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
    _held: File,
}

impl Group {
    /// A new one, at the top of the hierarchy.
    ///
    /// # Errors
    /// When there is no hierarchy of version 2, or none that may be written to.
    pub(crate) fn new() -> Result<Self, Broken> {
        let top = top()?;
        let lock = File::open(&top).trying(top.display())?;
        // Nobody else takes the new one for a left one.
        lock.lock().trying(top.display())?;
        sweep(&top);
        let dir = top.join(format!("{PREFIX}{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&dir).trying(format!("{}: it takes root and a writable cgroup2", dir.display()))?;
        let held = File::open(&dir).trying(dir.display())?;
        held.lock().trying(dir.display())?;
        Ok(Self { dir, _held: held })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.dir.join("cgroup.kill"), "1");
        let deadline = Instant::now() + PATIENCE;
        while !remove(&self.dir) && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
    }
}

/// Where the hierarchy is mounted: here or there, depending on what else is.
fn top() -> Result<PathBuf, Broken> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").trying("/proc/self/mountinfo")?;
    let is_it = |line: &&str| line.split_once(" - ").is_some_and(|(_, rest)| rest.starts_with("cgroup2 "));
    let mut places = mounts.lines().filter(is_it).filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    // Another file system may be mounted over it.
    let top = places.find(|place| place.join("cgroup.procs").exists());
    top.ok_or_else(|| Broken::new("no machine for a test: cgroup2 is not mounted"))
}

/// What a killed process left has no processes, or soon will not.
fn sweep(top: &Path) {
    let entries = fs::read_dir(top).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for dir in ours.map(|entry| entry.path()) {
        if File::open(&dir).is_ok_and(|held| held.try_lock().is_ok()) {
            remove(&dir);
        }
    }
}

/// Whether it is gone, with those below it. One with processes stays.
fn remove(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for below in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&below.path());
    }
    fs::remove_dir(dir).is_ok() || !dir.exists()
}
