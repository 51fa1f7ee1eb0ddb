//! A job without namespaces: Landlock, the filter, and a scratch directory.
//!
//! **Invariant:** signals of this process reach the job's processes and nobody else's: they are in its Landlock domain.
//! **Invariant:** what loses its parent becomes this process's child: the end of the last child is the end of the job.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;

use crate::control::Order;
use crate::error::{Step as _, Stuck};
use crate::evidence::{Evidence, Facts};
use crate::filter::{self, Terms};
use crate::job::Job;
use crate::root::{is_read_only, own_dir};
use crate::supervise;
use crate::{ruleset, sys};

pub(crate) fn run(control: &OwnedFd, order: &Order, files: &[Vec<u8>]) -> Result<(), Stuck> {
    ruleset::keep_signals_in()?;
    // Any process id that is not zero turns it on.
    rustix::process::set_child_subreaper(Pid::from_raw(1)).step("adopt orphans")?;
    let tree = PathBuf::from(&order.tree);
    let scratch =
        order.scratch.as_ref().map(PathBuf::from).ok_or_else(|| Stuck::new("use the scratch", "none was given"))?;
    let artifacts = furnish(order, files, &scratch)?;
    let terms = Terms {
        namespaces: false,
        network: order.network,
        abstract_scoped: sys::landlock_abi() >= 6,
        same_user: order.switch_to.is_none(),
    };
    let sources: Vec<PathBuf> = order.binds.iter().map(|(source, _)| source.into()).collect();
    let job = Job {
        order,
        programs: filter::programs(terms)?,
        access: ruleset::machine(&tree, &scratch, &sources, order.network),
        dir: tree.clone(),
        // The limit is on the user's processes: those that run already, where the job is the runner's user.
        extra_processes: if order.switch_to.is_some() { 0 } else { tasks_of(rustix::process::getuid().as_raw()) },
    };
    let ro_mount = is_read_only(&tree)?;
    let judge = |facts: &Facts| Evidence::of(order, facts, ro_mount, order.switch_to.is_some());
    let started = supervise::start(&job, &judge, control, &[artifacts.as_fd()])?;
    let Some(started) = started else { return Ok(()) };
    drop(artifacts);
    let ended = supervise::until_the_end(control, &started);
    supervise::kill_all()?;
    supervise::tell(control, ended?)
}

/// Fills the scratch directory. Returns the artifact directory in it.
fn furnish(order: &Order, files: &[Vec<u8>], scratch: &Path) -> Result<OwnedFd, Stuck> {
    let owner = order.switch_to.unwrap_or_else(|| rustix::process::getuid().as_raw());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::openat(CWD, scratch, flags, Mode::empty()).step("open the scratch")?;
    for (name, mode) in [("tmp", 0o700), ("artifacts", 0o755)] {
        own_dir(&top, name, mode, owner).step("furnish the scratch")?;
    }
    let tmp = rustix::fs::openat(&top, "tmp", flags, Mode::empty()).step("furnish the scratch")?;
    own_dir(&tmp, "home", 0o700, owner).step("furnish the scratch")?;
    let place = |target: &std::ffi::OsString| {
        let path = scratch.join(Path::new(target).strip_prefix("/").unwrap_or(Path::new(target)));
        std::fs::create_dir_all(path.parent().unwrap_or(scratch)).map(|()| path)
    };
    for (source, target) in &order.binds {
        place(target).and_then(|at| std::os::unix::fs::symlink(source, at)).step("furnish the scratch")?;
    }
    for ((path, _, mode), bytes) in order.files.iter().zip(files) {
        let at = place(path).and_then(|at| std::fs::write(&at, bytes).map(|()| at)).step("furnish the scratch")?;
        rustix::fs::chmod(&at, Mode::from_raw_mode(mode & 0o777)).step("furnish the scratch")?;
    }
    rustix::fs::openat(&top, "artifacts", flags, Mode::empty()).step("open the artifact directory")
}

/// Processes and threads of a user.
fn tasks_of(uid: u32) -> u64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = entries.filter(|entry| entry.metadata().is_ok_and(|meta| meta.uid() == uid));
    own.filter_map(|entry| Some(std::fs::read_dir(entry.path().join("task")).ok()?.count() as u64)).sum()
}
