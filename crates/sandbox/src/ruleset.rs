//! What Landlock lets a job touch, by path.
//!
//! **Invariant:** what is not listed cannot be opened, whatever its permission bits say.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::io::Errno;

use crate::error::Stuck;
use crate::sys;

/// The newest interface that these rules were tried with.
const TRIED: ABI = ABI::V7;
/// The first interface that keeps signals in: that of Linux 6.12 (landlock(7)).
pub(crate) const SIGNALS: u32 = 6;

/// What a job may touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Access {
    /// Read and execute, with all that is beneath.
    pub(crate) read: Vec<PathBuf>,
    /// Everything, with all that is beneath.
    pub(crate) write: Vec<PathBuf>,
    /// TCP: fine in a network namespace of the job's own.
    pub(crate) tcp: bool,
}

/// What jobs without an own root read of the machine: programs, libraries, and what those look up.
pub(crate) const SYSTEM: [&str; 24] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];

/// Devices without state.
pub(crate) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Keeps the signals of this process to itself and to what it starts from now on, and proves it.
pub(crate) fn keep_signals_in() -> Result<(), Stuck> {
    let step = "keep signals in";
    if sys::landlock_abi() < SIGNALS {
        return Err(Stuck::new(step, "Landlock does not before Linux 6.12"));
    }
    let stuck = |error: landlock::RulesetError| Stuck::new(step, error.to_string());
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal);
    let status = ruleset.and_then(Ruleset::create).and_then(RulesetCreated::restrict_self).map_err(stuck)?;
    let parent = rustix::process::getppid().ok_or_else(|| Stuck::new(step, "there is no process to try it on"))?;
    match (status.ruleset, rustix::process::test_kill_process(parent)) {
        (RulesetStatus::FullyEnforced, Err(Errno::PERM)) => Ok(()),
        _ => Err(Stuck::new(step, "this kernel does not")),
    }
}

/// Restricts this thread and what it starts.
pub(crate) fn restrict(access: &Access) -> Result<(), Stuck> {
    let stuck = |error: landlock::RulesetError| Stuck::new("restrict by Landlock", error.to_string());
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(TRIED)).map_err(stuck)?;
    if !access.tcp {
        ruleset = ruleset.handle_access(AccessNet::from_all(TRIED)).map_err(stuck)?;
    }
    let created = ruleset.scope(Scope::from_all(TRIED)).and_then(Ruleset::create).map_err(stuck)?;
    let read = path_beneath_rules(&access.read, AccessFs::from_read(TRIED));
    let write = path_beneath_rules(&access.write, AccessFs::from_all(TRIED));
    let status = created.add_rules(read).and_then(|created| created.add_rules(write)).map_err(stuck)?;
    judge(&status.restrict_self().map_err(stuck)?)
}

fn judge(status: &RestrictionStatus) -> Result<(), Stuck> {
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(Stuck::new("restrict by Landlock", "this kernel does not have it")),
        _ if !status.no_new_privs => Err(Stuck::new("restrict by Landlock", "no_new_privs is not set")),
        _ => Ok(()),
    }
}

/// What a job in an own root may touch.
pub(crate) fn own_root(capture: bool) -> Access {
    let writable = ["/tmp", "/artifacts", "/dev"].into_iter().chain(capture.then_some("/repo"));
    Access { read: vec!["/".into()], write: writable.map(PathBuf::from).collect(), tcp: true }
}

/// What a job without an own root may touch.
pub(crate) fn machine(tree: &Path, scratch: &Path, sources: &[PathBuf], network: bool) -> Access {
    let read = SYSTEM.map(PathBuf::from).into_iter().chain([tree.to_owned(), scratch.to_owned()]);
    let devices = DEVICES.map(|name| Path::new("/dev").join(name)).into_iter();
    let write = devices.chain([scratch.join("tmp"), scratch.join("artifacts")]).collect();
    Access { read: read.chain(sources.iter().cloned()).collect(), write, tcp: network }
}
