//! What is checked in the sandbox itself before the job's first instruction.
//!
//! **Invariant:** a job starts only when every fact that its level promises was seen to hold.

use serde::{Deserialize, Serialize};

use crate::Level;
use crate::control::Order;
use crate::error::Stuck;
use crate::ruleset;

/// Facts that a job's level rests on. Field names are stable: they are in `artifact.json`.
#[allow(clippy::struct_excessive_bools, reason = "facts that hold or do not, each for itself")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The level.
    pub level: Level,
    /// The tree's mount says that it is read-only, and a write to it was refused with `EROFS`.
    pub ro_mount: bool,
    /// The tree is below a layer of the job's own (capture).
    pub overlay: bool,
    /// The job's processes are all children of a first process that dies with the sandbox.
    pub pid_namespace: bool,
    /// `/proc` shows the job's processes alone.
    pub fresh_proc: bool,
    /// The job is in a user namespace of its own.
    pub user_namespace: bool,
    /// The job's user id, as the machine sees it.
    pub uid: u32,
    /// Network interfaces the job sees: 1 is the loopback of an empty network.
    pub network_interfaces: u32,
    /// The job may use the machine's network.
    pub network: bool,
    /// Every capability set of the job is empty; the bounding set too, where the runner may empty it.
    pub no_capabilities: bool,
    /// The job cannot gain rights by executing a file.
    pub no_new_privs: bool,
    /// System calls go through the filter.
    pub seccomp: bool,
    /// The version of Landlock's interface that restricts the job; 0 is none.
    pub landlock_abi: u32,
    /// What enforces each bound.
    pub limits: Enforcers,
}

/// What enforces a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcer {
    /// A control group: for all processes of the job together.
    Cgroup,
    /// A resource limit: for each process, or for the job's user.
    Rlimit,
    /// The size of a file system in memory.
    Tmpfs,
    /// Nothing but the size of one file.
    None,
}

/// What enforces each bound of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcers {
    /// Processor time.
    pub cpu: Enforcer,
    /// Memory.
    pub memory: Enforcer,
    /// Number of processes.
    pub processes: Enforcer,
    /// The size of a file and the number of open ones.
    pub files: Enforcer,
    /// `/tmp` and `/artifacts`.
    pub disk: Enforcer,
}

/// What the job's process found out about itself, behind every door that was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// `/proc/self/status`, the lines that matter.
    pub(crate) status: String,
    pub(crate) interfaces: u32,
    pub(crate) landlock_abi: u32,
}

/// The sum of what `status` says: every `Cap` line is zero, `NoNewPrivs` 1, `Seccomp` 2. The bounding set counts only if
/// `bounded`: an ordinary user cannot empty it, and under `no_new_privs` nothing is gained from it.
fn read_status(status: &str, bounded: bool) -> (bool, bool, bool) {
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"];
    let none = sets[..4 + usize::from(bounded)]
        .iter()
        .all(|set| value(set).is_some_and(|bits| bits.bytes().all(|digit| digit == b'0')));
    (none, value("NoNewPrivs") == Some("1"), value("Seccomp") == Some("2"))
}

impl Evidence {
    /// What holds whatever the level, by what the job's process found: no namespace counts yet. `bounded` as for
    /// [`read_status`].
    pub(crate) fn of(order: &Order, facts: &Facts, ro_mount: bool, bounded: bool) -> Self {
        let (no_capabilities, no_new_privs, seccomp) = read_status(&facts.status, bounded);
        Self {
            level: order.level,
            ro_mount,
            overlay: false,
            pid_namespace: false,
            fresh_proc: false,
            user_namespace: false,
            uid: order.uid,
            network_interfaces: facts.interfaces,
            network: order.network,
            no_capabilities,
            no_new_privs,
            seccomp,
            landlock_abi: facts.landlock_abi,
            limits: order.limits_by,
        }
    }

    /// What of the level's promise does not hold.
    pub(crate) fn judge(&self) -> Result<(), Stuck> {
        let isolated = self.level.has_namespaces();
        let promises = [
            (self.no_capabilities, "the job has a capability"),
            (self.no_new_privs, "no_new_privs is not set"),
            (self.seccomp, "no system call filter is in force"),
            (self.landlock_abi > 0, "Landlock is not in force"),
            (self.level == Level::L0 || self.ro_mount || self.overlay, "the tree's mount is not read-only"),
            (!isolated || self.pid_namespace, "the process namespace is not its own"),
            (self.level != Level::L3 || self.fresh_proc, "/proc is not its own"),
            (!isolated || self.network || self.network_interfaces == 1, "the network namespace is not empty"),
            (isolated || self.landlock_abi >= ruleset::SIGNALS, "Landlock cannot keep signals in (needs Linux 6.12)"),
        ];
        let broken: Vec<_> = promises.iter().filter(|(holds, _)| !holds).map(|(_, broken)| *broken).collect();
        if broken.is_empty() { Ok(()) } else { Err(Stuck::new("evidence", broken.join(", "))) }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    const STATUS: &str = "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n";

    #[test]
    fn a_status_is_read_as_the_kernel_writes_it() {
        assert_eq!(read_status(STATUS, true), (true, true, true));
        let bounding = STATUS.replace("CapBnd:\t0", "CapBnd:\t8");
        assert_eq!(read_status(&bounding, true), (false, true, true));
        assert_eq!(read_status(&bounding, false), (true, true, true));
        assert_eq!(read_status(&STATUS.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0"), true), (true, false, true));
        assert_eq!(read_status(&STATUS.replace("Seccomp:\t2", "Seccomp:\t0"), true), (true, true, false));
        assert_eq!(read_status("", false), (false, false, false));
    }

    fn nothing(level: Level) -> Evidence {
        Evidence {
            level,
            ro_mount: false,
            overlay: false,
            pid_namespace: false,
            fresh_proc: false,
            user_namespace: false,
            uid: 0,
            network_interfaces: 3,
            network: false,
            no_capabilities: false,
            no_new_privs: false,
            seccomp: false,
            landlock_abi: 0,
            limits: crate::testing::enforcers(),
        }
    }

    #[test]
    fn j12_each_level_names_every_promise_that_does_not_hold() {
        let told: String =
            Level::FALLING.map(|level| format!("{level} {}\n", nothing(level).judge().unwrap_err())).concat();
        assert_snapshot!(told, @r"
        L3 evidence: the job has a capability, no_new_privs is not set, no system call filter is in force, Landlock is not in force, the tree's mount is not read-only, the process namespace is not its own, /proc is not its own, the network namespace is not empty
        L2 evidence: the job has a capability, no_new_privs is not set, no system call filter is in force, Landlock is not in force, the tree's mount is not read-only, the process namespace is not its own, the network namespace is not empty
        L1 evidence: the job has a capability, no_new_privs is not set, no system call filter is in force, Landlock is not in force, the tree's mount is not read-only, Landlock cannot keep signals in (needs Linux 6.12)
        L0 evidence: the job has a capability, no_new_privs is not set, no system call filter is in force, Landlock is not in force, Landlock cannot keep signals in (needs Linux 6.12)
        ");
    }
}
