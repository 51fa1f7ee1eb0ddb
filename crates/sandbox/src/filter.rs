//! The system calls a job may not make.
//!
//! **Invariant:** a job's kernel interface is the one the filter was written for: other architectures and x32 die.
//! **Invariant:** nothing that makes a namespace, a mount or a tracer passes, whatever the other layers say.
//! **Invariant:** a call that is newer than the table is refused until somebody judged it.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use crate::error::Stuck;

/// What the filter depends on.
#[allow(clippy::struct_excessive_bools, reason = "facts that hold or do not, each for itself")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// The job has namespaces of its own.
    pub(crate) namespaces: bool,
    /// The job may use the machine's network.
    pub(crate) network: bool,
    /// Landlock keeps the job from sockets with abstract names that it did not make.
    pub(crate) abstract_scoped: bool,
    /// The job's user is the runner's, so that it owns what the runner owns.
    pub(crate) same_user: bool,
}

/// Refused whatever the arguments.
const DENIED: &[(&str, i64)] = &[
    ("unshare", libc::SYS_unshare),
    ("setns", libc::SYS_setns),
    ("mount", libc::SYS_mount),
    ("umount2", libc::SYS_umount2),
    ("fsopen", libc::SYS_fsopen),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fspick", libc::SYS_fspick),
    ("open_tree", libc::SYS_open_tree),
    ("move_mount", libc::SYS_move_mount),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("open_tree_attr", 467),
    ("pivot_root", libc::SYS_pivot_root),
    ("chroot", libc::SYS_chroot),
    ("ptrace", libc::SYS_ptrace),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("process_madvise", libc::SYS_process_madvise),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("kcmp", libc::SYS_kcmp),
    ("bpf", libc::SYS_bpf),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("io_uring_enter", libc::SYS_io_uring_enter),
    ("io_uring_register", libc::SYS_io_uring_register),
    ("keyctl", libc::SYS_keyctl),
    ("add_key", libc::SYS_add_key),
    ("request_key", libc::SYS_request_key),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("name_to_handle_at", libc::SYS_name_to_handle_at),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("kexec_load", libc::SYS_kexec_load),
    ("kexec_file_load", libc::SYS_kexec_file_load),
    ("reboot", libc::SYS_reboot),
    ("swapon", libc::SYS_swapon),
    ("swapoff", libc::SYS_swapoff),
    ("init_module", libc::SYS_init_module),
    ("finit_module", libc::SYS_finit_module),
    ("delete_module", libc::SYS_delete_module),
    ("quotactl", libc::SYS_quotactl),
    ("quotactl_fd", libc::SYS_quotactl_fd),
    ("acct", libc::SYS_acct),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("lookup_dcookie", libc::SYS_lookup_dcookie),
    ("nfsservctl", libc::SYS_nfsservctl),
    ("vhangup", libc::SYS_vhangup),
    ("syslog", libc::SYS_syslog),
    ("settimeofday", libc::SYS_settimeofday),
    ("clock_settime", libc::SYS_clock_settime),
    ("clock_adjtime", libc::SYS_clock_adjtime),
    ("adjtimex", libc::SYS_adjtimex),
    ("sethostname", libc::SYS_sethostname),
    ("setdomainname", libc::SYS_setdomainname),
    #[cfg(target_arch = "x86_64")]
    ("iopl", libc::SYS_iopl),
    #[cfg(target_arch = "x86_64")]
    ("ioperm", libc::SYS_ioperm),
    #[cfg(target_arch = "x86_64")]
    ("uselib", libc::SYS_uselib),
    #[cfg(target_arch = "x86_64")]
    ("modify_ldt", libc::SYS_modify_ldt),
];

/// Refused without namespaces: what others of the same user share by a number or a name, and what outlives its maker.
const DENIED_IPC: &[(&str, i64)] = &[
    ("shmget", libc::SYS_shmget),
    ("shmat", libc::SYS_shmat),
    ("shmctl", libc::SYS_shmctl),
    ("semget", libc::SYS_semget),
    ("semop", libc::SYS_semop),
    ("semtimedop", libc::SYS_semtimedop),
    ("semctl", libc::SYS_semctl),
    ("msgget", libc::SYS_msgget),
    ("msgsnd", libc::SYS_msgsnd),
    ("msgrcv", libc::SYS_msgrcv),
    ("msgctl", libc::SYS_msgctl),
    ("mq_open", libc::SYS_mq_open),
    ("mq_unlink", libc::SYS_mq_unlink),
];

/// Refused without a mount namespace: Landlock does not see changes of mode, owner, times and extended attributes, so a
/// job could change those of every file that its user may write to; nor a watch, which tells the names in a directory.
const DENIED_BY_PATH: &[(&str, i64)] = &[
    ("fchmodat", libc::SYS_fchmodat),
    ("fchmodat2", 452),
    ("fchownat", libc::SYS_fchownat),
    ("setxattr", libc::SYS_setxattr),
    ("lsetxattr", libc::SYS_lsetxattr),
    ("removexattr", libc::SYS_removexattr),
    ("lremovexattr", libc::SYS_lremovexattr),
    ("setxattrat", 463),
    ("removexattrat", 466),
    ("file_setattr", 469),
    ("inotify_add_watch", libc::SYS_inotify_add_watch),
    #[cfg(target_arch = "x86_64")]
    ("chmod", libc::SYS_chmod),
    #[cfg(target_arch = "x86_64")]
    ("chown", libc::SYS_chown),
    #[cfg(target_arch = "x86_64")]
    ("lchown", libc::SYS_lchown),
    #[cfg(target_arch = "x86_64")]
    ("utime", libc::SYS_utime),
    #[cfg(target_arch = "x86_64")]
    ("utimes", libc::SYS_utimes),
    #[cfg(target_arch = "x86_64")]
    ("futimesat", libc::SYS_futimesat),
];

/// Refused too where the job's user owns what the runner owns: a file that may be read can be opened, and then be
/// changed by its descriptor.
const DENIED_BY_DESCRIPTOR: &[(&str, i64)] = &[
    ("fchmod", libc::SYS_fchmod),
    ("fchown", libc::SYS_fchown),
    ("fsetxattr", libc::SYS_fsetxattr),
    ("fremovexattr", libc::SYS_fremovexattr),
    ("utimensat", libc::SYS_utimensat),
];

/// What is left of `ioctl(2)` there: to ask a descriptor how it is, and what `fcntl(2)` can do too. File systems have
/// many others that change a file which is open for reading.
const HARMLESS_REQUESTS: [u64; 9] = [
    0x5401,      // TCGETS
    0x802c_542a, // TCGETS2
    0x540f,      // TIOCGPGRP
    0x5413,      // TIOCGWINSZ
    0x541b,      // FIONREAD
    0x5421,      // FIONBIO
    0x5450,      // FIONCLEX
    0x5451,      // FIOCLEX
    0x5452,      // FIOASYNC
];

/// Calls about a process named by an argument, which must be the caller itself by not being named.
const ABOUT_OTHERS: &[(&str, i64)] = &[
    ("sched_setaffinity", libc::SYS_sched_setaffinity),
    ("sched_setscheduler", libc::SYS_sched_setscheduler),
    ("sched_setparam", libc::SYS_sched_setparam),
    ("sched_setattr", libc::SYS_sched_setattr),
];

/// One test of a call's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Is(u64),
    Not(u64),
    /// A pointer to something.
    Pointer,
    /// The bits of the first number are the second.
    Bits(u64, u64),
}

/// One refused call: refused when every test of one of its lines holds, or always when it has none.
struct Denied {
    call: i64,
    lines: Vec<Vec<(u8, Test)>>,
}

const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// `F_SETLEASE` and `F_SETDELEG` of `linux/fcntl.h`.
const F_SETLEASE: u64 = 1024;
const F_SETDELEG: u64 = 1040;
/// `IOPRIO_WHO_PROCESS` of `linux/ioprio.h`.
const IOPRIO_WHO_PROCESS: u64 = 1;
/// `SOCK_TYPE_MASK` of `linux/net.h`: what is above are flags.
const SOCKET_KIND: u64 = 0xf;

fn unsigned(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

/// The table: every refused call, by name.
fn table(terms: Terms) -> BTreeMap<&'static str, Denied> {
    let mut table = BTreeMap::new();
    let mut deny = |name, call, lines| table.insert(name, Denied { call, lines });
    for (name, call) in DENIED {
        deny(*name, *call, vec![]);
    }
    let bit = |flag| vec![(0, Test::Bits(unsigned(flag), unsigned(flag)))];
    deny("clone", libc::SYS_clone, NAMESPACES.map(bit).to_vec());
    deny("personality", libc::SYS_personality, vec![vec![(0, Test::Not(0)), (0, Test::Not(0xffff_ffff))]]);
    deny("ioctl", libc::SYS_ioctl, requests(terms));
    // Limits and leases: a limit can kill whom a signal cannot reach, a lease holds up everybody who opens the file.
    deny("prlimit64", libc::SYS_prlimit64, vec![vec![(0, Test::Not(0))]]);
    deny("fcntl", libc::SYS_fcntl, [F_SETLEASE, F_SETDELEG].map(|what| vec![(1, Test::Is(what))]).to_vec());
    let devices = |argument| {
        [libc::S_IFCHR, libc::S_IFBLK]
            .map(|kind| vec![(argument, Test::Bits(u64::from(libc::S_IFMT), u64::from(kind)))])
            .to_vec()
    };
    #[cfg(target_arch = "x86_64")]
    deny("mknod", libc::SYS_mknod, devices(1));
    deny("mknodat", libc::SYS_mknodat, devices(2));
    deny("socket", libc::SYS_socket, sockets(terms));
    deny("socketpair", libc::SYS_socketpair, pairs(terms));
    if !terms.namespaces {
        for (name, call) in DENIED_BY_PATH.iter().chain(DENIED_IPC) {
            deny(*name, *call, vec![]);
        }
        // Without a path it is about an open file.
        deny("utimensat", libc::SYS_utimensat, vec![vec![(1, Test::Pointer)]]);
        if terms.same_user {
            for (name, call) in DENIED_BY_DESCRIPTOR {
                deny(*name, *call, vec![]);
            }
            for (name, call) in ABOUT_OTHERS {
                deny(*name, *call, vec![vec![(0, Test::Not(0))]]);
            }
            for (name, call, process) in [
                ("setpriority", libc::SYS_setpriority, unsigned(libc::PRIO_PROCESS.cast_signed())),
                ("ioprio_set", libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS),
            ] {
                deny(name, call, vec![vec![(0, Test::Not(process))], vec![(1, Test::Not(0))]]);
            }
        }
    }
    table
}

/// Requests of `ioctl(2)` that a job may not make.
fn requests(terms: Terms) -> Vec<Vec<(u8, Test)>> {
    // TIOCSTI types into a terminal, TIOCLINUX pastes into a console.
    let mut refused = [0x5412, 0x541c].map(|request| vec![(1, Test::Is(request))]).to_vec();
    if !terms.namespaces && terms.same_user {
        refused.push(HARMLESS_REQUESTS.map(|request| (1, Test::Not(request))).to_vec());
    }
    refused
}

/// The job may have sockets with names: where no name leads out. In an own root there is no path to one of the machine's;
/// names in the abstract space belong to the network namespace, which is the machine's if the job may use it.
fn may_have_names(terms: Terms) -> bool {
    terms.namespaces && (!terms.network || terms.abstract_scoped)
}

/// Pairs of `socketpair(2)` that a job may not have: every other family's code would run before it says that it has no
/// pairs, and a datagram socket of a pair still sends to any name.
fn pairs(terms: Terms) -> Vec<Vec<(u8, Test)>> {
    let mut refused = vec![vec![(0, Test::Not(unsigned(libc::AF_UNIX)))]];
    if !may_have_names(terms) {
        let kind = |kind| vec![(1, Test::Bits(SOCKET_KIND, unsigned(kind)))];
        refused.extend([libc::SOCK_DGRAM, libc::SOCK_RAW].map(kind));
    }
    refused
}

/// Families of `socket(2)` that a job may not have.
fn sockets(terms: Terms) -> Vec<Vec<(u8, Test)>> {
    if !terms.namespaces && !terms.network {
        return vec![];
    }
    let mut families = vec![libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    if may_have_names(terms) {
        families.push(libc::AF_UNIX);
    }
    let other = families.iter().map(|family| (0, Test::Not(unsigned(*family)))).collect();
    let not_route = vec![(0, Test::Is(unsigned(libc::AF_NETLINK))), (2, Test::Not(unsigned(libc::NETLINK_ROUTE)))];
    vec![other, not_route]
}

/// The programs to install, in this order.
pub(crate) fn programs(terms: Terms) -> Result<Vec<BpfProgram>, Stuck> {
    let stuck = |error: seccompiler::BackendError| Stuck::new("compile the system call filter", error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(stuck)?;
    let compile = |rules, errno: i32| {
        let refusal = SeccompAction::Errno(errno.cast_unsigned());
        SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).and_then(BpfProgram::try_from)
    };
    let mut rules = BTreeMap::new();
    for denied in table(terms).into_values() {
        rules.insert(denied.call, rules_of(&denied).map_err(stuck)?);
    }
    // Many a script wants no core dumps and says so: it has none, and its limit stays.
    let core = |argument| (argument, Test::Is(u64::from(libc::RLIMIT_CORE)));
    let core_limit =
        [(libc::SYS_setrlimit, vec![vec![core(0)]]), (libc::SYS_prlimit64, vec![vec![core(1), (2, Test::Pointer)]])];
    let mut unchanged = BTreeMap::new();
    for (call, lines) in core_limit {
        unchanged.insert(call, rules_of(&Denied { call, lines }).map_err(stuck)?);
    }
    // The flags of clone3 are in memory, where a filter cannot look: programs fall back to clone when it does not exist.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let mut programs = vec![
        compile(unchanged, 0).map_err(stuck)?,
        compile(clone3, libc::ENOSYS).map_err(stuck)?,
        compile(rules, libc::EPERM).map_err(stuck)?,
    ];
    programs.push(known());
    Ok(programs)
}

fn rules_of(denied: &Denied) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let condition = |(argument, test): &(u8, Test)| {
        // A pointer is a whole register; the rest are 32 bits wide, and the kernel ignores what is above.
        let (length, operator, value) = match *test {
            Test::Is(value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value),
            Test::Not(value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value),
            Test::Pointer => (SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0),
            Test::Bits(mask, value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value),
        };
        SeccompCondition::new(*argument, length, operator, value)
    };
    let rule = |line: &Vec<(u8, Test)>| SeccompRule::new(line.iter().map(condition).collect::<Result<_, _>>()?);
    denied.lines.iter().map(rule).collect()
}

/// The newest system call that the table was made for, `file_setattr` of Linux 6.17. Numbers are the same on every
/// architecture from 424 on.
const NEWEST: u32 = 469;

/// Calls that are newer than the table do not exist. Those of x32, which come with bit 30 of the number set and the same
/// architecture as the others, end the process.
fn known() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_GE: u16 = 0x35;
    const JUMP_GT: u16 = 0x25;
    const RETURN: u16 = 0x06;
    let line = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        line(LOAD_NUMBER, 0, 0, 0),
        line(JUMP_GE, 2, 0, 0x4000_0000),
        line(JUMP_GT, 2, 0, NEWEST),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        line(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned()),
    ]
}

/// Installs the programs on this thread. `no_new_privs` is set with the first.
pub(crate) fn install(programs: &[BpfProgram]) -> Result<(), Stuck> {
    programs.iter().try_for_each(|program| {
        seccompiler::apply_filter(program)
            .map_err(|error| Stuck::new("install the system call filter", error.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn conditional(terms: Terms) -> String {
        let lines = |denied: &Denied| {
            let line = |line: &Vec<(u8, Test)>| {
                line.iter().map(|(n, test)| format!("{n}:{test:?}")).collect::<Vec<_>>().join("&")
            };
            denied.lines.iter().map(line).collect::<Vec<_>>().join(" | ")
        };
        table(terms)
            .iter()
            .filter(|(_, d)| !d.lines.is_empty())
            .map(|(name, d)| format!("{name} {}\n", lines(d)))
            .collect()
    }

    const OWN: Terms = Terms { namespaces: true, network: false, abstract_scoped: true, same_user: false };

    #[test]
    fn the_table_of_refused_calls_is_the_documented_one() {
        let always: Vec<_> = table(OWN).iter().filter(|(_, d)| d.lines.is_empty()).map(|(name, _)| *name).collect();
        assert_snapshot!(always.join(" "), @"acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie modify_ldt mount mount_setattr move_mount name_to_handle_at nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot request_key setdomainname sethostname setns settimeofday swapoff swapon syslog umount2 unshare uselib userfaultfd vhangup");
        assert_snapshot!(conditional(OWN), @r"
        clone 0:Bits(131072, 131072) | 0:Bits(33554432, 33554432) | 0:Bits(67108864, 67108864) | 0:Bits(134217728, 134217728) | 0:Bits(268435456, 268435456) | 0:Bits(536870912, 536870912) | 0:Bits(1073741824, 1073741824)
        fcntl 1:Is(1024) | 1:Is(1040)
        ioctl 1:Is(21522) | 1:Is(21532)
        mknod 1:Bits(61440, 8192) | 1:Bits(61440, 24576)
        mknodat 2:Bits(61440, 8192) | 2:Bits(61440, 24576)
        personality 0:Not(0)&0:Not(4294967295)
        prlimit64 0:Not(0)
        socket 0:Not(2)&0:Not(10)&0:Not(16)&0:Not(1) | 0:Is(16)&2:Not(0)
        socketpair 0:Not(1)
        ");
    }

    #[test]
    fn without_namespaces_no_path_is_changed_and_no_socket_made() {
        let bare = Terms { namespaces: false, ..OWN };
        let more: Vec<_> = table(bare).keys().copied().filter(|name| !table(OWN).contains_key(name)).collect();
        assert_snapshot!(more.join(" "), @"chmod chown fchmodat fchmodat2 fchownat file_setattr futimesat inotify_add_watch lchown lremovexattr lsetxattr mq_open mq_unlink msgctl msgget msgrcv msgsnd removexattr removexattrat semctl semget semop semtimedop setxattr setxattrat shmat shmctl shmget utime utimensat utimes");
        assert!(table(bare)["socket"].lines.is_empty());
        let open = Terms { network: true, abstract_scoped: false, ..bare };
        assert_snapshot!(format!("{:?}", table(open)["socket"].lines), @"[[(0, Not(2)), (0, Not(10)), (0, Not(16))], [(0, Is(16)), (2, Not(0))]]");
    }

    #[test]
    fn what_the_job_shares_with_the_runners_user_it_cannot_change() {
        let bare = Terms { namespaces: false, ..OWN };
        let told = conditional(Terms { same_user: true, ..bare });
        let other = conditional(bare);
        let more: Vec<_> = told.lines().filter(|line| !other.contains(line)).collect();
        assert_snapshot!(more.join("\n"), @r"
        ioctl 1:Is(21522) | 1:Is(21532) | 1:Not(21505)&1:Not(2150388778)&1:Not(21519)&1:Not(21523)&1:Not(21531)&1:Not(21537)&1:Not(21584)&1:Not(21585)&1:Not(21586)
        ioprio_set 0:Not(1) | 1:Not(0)
        sched_setaffinity 0:Not(0)
        sched_setattr 0:Not(0)
        sched_setparam 0:Not(0)
        sched_setscheduler 0:Not(0)
        setpriority 0:Not(0) | 1:Not(0)
        ");
        let always = |terms| {
            let names = table(terms).into_iter().filter(|(_, d)| d.lines.is_empty()).map(|(name, _)| name);
            names.collect::<Vec<_>>()
        };
        let other = always(bare);
        let more: Vec<_> =
            always(Terms { same_user: true, ..bare }).into_iter().filter(|name| !other.contains(name)).collect();
        assert_snapshot!(more.join(" "), @"fchmod fchown fremovexattr fsetxattr utimensat");
    }

    /// What the last program answers to a call, by the few instructions it is made of.
    fn answer(number: u32) -> u32 {
        let program = known();
        let mut at = 1;
        loop {
            let line = &program[at];
            let taken = match line.code {
                0x35 => number >= line.k,
                0x25 => number > line.k,
                _ => return line.k,
            };
            at += 1 + usize::from(if taken { line.jt } else { line.jf });
        }
    }

    #[test]
    fn a_call_that_nobody_judged_does_not_exist() {
        let none = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
        let told = [0, NEWEST, NEWEST + 1, 0x3fff_ffff, 0x4000_0000, u32::MAX].map(answer);
        let killed = libc::SECCOMP_RET_KILL_PROCESS;
        assert_eq!(told, [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ALLOW, none, none, killed, killed]);
        let judged = table(Terms { namespaces: false, ..OWN }).into_values().map(|denied| denied.call).max();
        assert_eq!(judged, Some(i64::from(NEWEST)));
    }

    #[test]
    fn every_filter_compiles_and_fits() {
        for (namespaces, network) in [(true, true), (true, false), (false, true), (false, false)] {
            let programs = programs(Terms { namespaces, network, abstract_scoped: false, same_user: true }).unwrap();
            assert!(programs.iter().all(|program| program.len() < 4096));
        }
    }
}
