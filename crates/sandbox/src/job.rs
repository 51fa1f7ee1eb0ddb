//! The last steps of a process before it is the job.
//!
//! **Invariant:** whatever step fails, the process ends without running anything of the job.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Gid, Signal, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::BpfProgram;

use crate::control::{self, Order, Word};
use crate::error::{Step as _, Stuck};
use crate::evidence::Facts;
use crate::ruleset::{self, Access};
use crate::{rlimits, sys};

/// Everything the job's process needs, worked out before it is forked.
pub(crate) struct Job<'a> {
    pub(crate) order: &'a Order,
    pub(crate) programs: Vec<BpfProgram>,
    pub(crate) access: Access,
    pub(crate) dir: PathBuf,
    /// Processes of the sandbox itself that the limit counts too.
    pub(crate) extra_processes: u64,
}

/// Locks this process down and becomes the job. Says on `words` how far it got; the pipe closes when it is the job.
pub(crate) fn become_it(job: &Job<'_>, words: &OwnedFd, go: &OwnedFd) -> ! {
    let word = match locked_down(job, words, go) {
        Ok(errno) => Word::NotStartable(errno.raw_os_error()),
        Err(stuck) => Word::Stuck(stuck),
    };
    // Nobody left to tell: the init sees the end of this process all the same.
    let _ = control::write(words.as_fd(), &word);
    sys::exit(126)
}

fn locked_down(job: &Job<'_>, words: &OwnedFd, go: &OwnedFd) -> Result<Errno, Stuck> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step("die with the init")?;
    sys::reset_signals();
    rustix::process::setsid().step("start a session")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rlimits::set(&job.order.limits, job.order.limits.processes.saturating_add(job.extra_processes))?;
    sys::close_from_at_exec(3).step("close descriptors")?;
    drop_rights(job.order.switch_to)?;
    // The change of user forgot it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step("die with the init")?;
    rustix::process::chdir(&job.dir).step("enter the tree")?;
    rustix::thread::set_no_new_privs(true).step("set no_new_privs")?;
    ruleset::restrict(&job.access)?;
    crate::filter::install(&job.programs)?;
    let status = std::fs::read_to_string("/proc/self/status").step("read /proc/self/status")?;
    let facts = Facts { status: said(&status), interfaces: interfaces()?, landlock_abi: sys::landlock_abi() };
    control::write(words.as_fd(), &Word::Facts(facts)).step("tell the init")?;
    // One byte: the init found that every promise holds.
    control::fill(go.as_fd(), &mut [0; 1]).step("wait for the init")?;
    Ok(exec(job.order))
}

/// The lines that evidence is read from.
fn said(status: &str) -> String {
    let wanted = ["Cap", "NoNewPrivs", "Seccomp"];
    status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))).collect::<Vec<_>>().join("\n")
}

/// The number of network interfaces this process sees: the lines of the table below its two of headings.
fn interfaces() -> Result<u32, Stuck> {
    let table = std::fs::read_to_string("/proc/self/net/dev").step("count the network interfaces")?;
    Ok(u32::try_from(table.lines().skip(2).count()).unwrap_or(u32::MAX))
}

fn drop_rights(switch_to: Option<u32>) -> Result<(), Stuck> {
    let capable = rustix::thread::capabilities(None).step("read the capabilities")?;
    if capable.effective.contains(CapabilitySet::SETPCAP) {
        sys::drop_bounding_set().step("drop the bounding set")?;
    }
    rustix::thread::clear_ambient_capability_set().step("drop ambient capabilities")?;
    if let Some(id) = switch_to {
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        rustix::thread::set_thread_groups(&[]).step("leave all groups")?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).step("change the group")?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).step("change the user")?;
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).step("drop the capabilities")
}

/// Becomes the job's program, looked up on the job's own `PATH`. Returns why not.
fn exec(order: &Order) -> Errno {
    let text = |bytes: &OsStr| CString::new(bytes.as_bytes()).ok();
    let argv: Option<Vec<_>> = order.argv.iter().map(|arg| text(arg)).collect();
    let env: Option<Vec<_>> = order.env.iter().map(|(name, value)| text(&variable(name, value))).collect();
    let (Some(argv), Some(env)) = (argv, env) else { return Errno::INVAL };
    let mut why = Errno::NOENT;
    for program in candidates(order) {
        let Some(program) = text(program.as_os_str()) else { return Errno::INVAL };
        match sys::exec(&program, &argv, &env) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => why = Errno::ACCESS,
            errno => return errno,
        }
    }
    why
}

fn variable(name: &OsStr, value: &OsStr) -> OsString {
    let mut variable = name.to_owned();
    variable.push("=");
    variable.push(value);
    variable
}

fn candidates(order: &Order) -> Vec<PathBuf> {
    let Some(program) = order.argv.first() else { return vec![] };
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    let path = order.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    std::env::split_paths(&path.unwrap_or_default())
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .collect()
}

/// The tree's place in the own root.
pub(crate) fn tree_inside() -> &'static Path {
    Path::new("/repo")
}
