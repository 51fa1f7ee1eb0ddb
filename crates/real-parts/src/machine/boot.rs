//! One boot of a machine: its processes, from systemd on, with the namespaces and the control group they are in.
//!
//! **Invariant:** no device node of this machine is the booted one's. What the kernel has once for both it can change on
//! purpose alone: its root is root here too, and could mount it anew.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, OFlags, chmodat};
use rustix::fs::{CWD, FileType, Mode, makedev, mkdirat, mknodat, openat, statat, symlinkat};
use rustix::mount::{MountFlags, mount};

use super::disk::{Disk, root};
use super::files::Files;
use super::group::Group;
use crate::broken::{Broken, Trying as _, run};
use crate::namespace::Held;
use crate::network::Namespace;
use crate::server::Server;

const FIRST: &str = include_str!("first.sh");
/// Puts itself into a group, then becomes what follows.
const JOIN: &str = "echo 0 >\"$1/cgroup.procs\"; shift; exec \"$@\"";
/// The same, but waits for what follows.
const ACCOMPANY: &str = "echo 0 >\"$1/cgroup.procs\"; shift; \"$@\"; exit";
/// Ends a program when whoever accompanies it has ended, and waits for it. Else that would be left to the first process
/// of this machine, which need not do it soon, and until then no machine with it is gone.
const WATCH: [&str; 2] = ["setpriv", "--pdeathsig=ALRM"];
const WATCHED: [&str; 4] = ["timeout", "--foreground", "--signal=KILL", "0"];

/// As a login of root has it.
const ENVIRONMENT: [(&str, &str); 3] = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LC_ALL", "C")];

/// By what the clock, the kernel and its log could be changed, which are this machine's.
const WITHHELD: &str = "--bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog";

/// Namespaces as `/proc` calls them and as options of `nsenter`, but for that of process ids.
const KINDS: [(&str, &str); 5] =
    [("mnt", "mount"), ("uts", "uts"), ("ipc", "ipc"), ("net", "net"), ("cgroup", "cgroup")];

/// Where systemd listens once it is there, below `/run`.
const READY: &str = "systemd/private";
const LOG: &str = "log";

/// Major and minor number and mode, as Linux has them.
const NODES: [(&str, u32, u32, u32); 8] = [
    ("null", 1, 3, 0o666),
    ("zero", 1, 5, 0o666),
    ("full", 1, 7, 0o666),
    ("random", 1, 8, 0o666),
    ("urandom", 1, 9, 0o666),
    ("tty", 5, 0, 0o666),
    ("net/tun", 10, 200, 0o666),
    // What is said there is for nobody.
    ("console", 1, 3, 0o600),
];
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// A machine that was booted, whether it still runs or not. It is killed when dropped.
pub(crate) struct Boot {
    // Dropped before the group that its processes are in.
    server: Server,
    namespaces: Vec<Held>,
    processes: Held,
    files: Files,
    group: Group,
    took: Duration,
    state: String,
}

impl Boot {
    /// Boots from a disk into a network, and waits until every unit has been started or has failed.
    ///
    /// # Errors
    /// When that does not come about in a minute, with the journal.
    pub(crate) fn of(disk: &Disk, network: &Namespace) -> Result<Self, Broken> {
        let begun = Instant::now();
        let group = Group::new()?;
        let (mounts, ready) = disk.booting(furnish)?;
        let server = Server::start(contained(&mounts, network, &group), &disk.beside(LOG))?;
        server.wait_until(|| statat(&ready, READY, AtFlags::empty()).is_ok())?;
        let first = server.first();
        let namespaces = KINDS.iter().map(|(kind, _)| Held::of(first, kind)).collect::<Result<_, _>>()?;
        let processes = Held::of(first, "pid")?;
        let files = Files::below(Path::new(&format!("/proc/{first}/root")))?;
        mkdirat(CWD, group.path().join("commands"), Mode::from_raw_mode(0o755)).trying("a group for commands")?;
        let mut boot = Self { server, namespaces, processes, files, group, took: Duration::ZERO, state: String::new() };
        boot.state = boot.settle()?;
        boot.took = begun.elapsed();
        Ok(boot)
    }

    fn settle(&self) -> Result<String, Broken> {
        let mut asking = self.command("timeout");
        let output = asking.args(["60", "systemctl", "is-system-running", "--wait"]).output().trying("systemctl")?;
        let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if ["running", "degraded"].contains(&&*state) {
            return Ok(state);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Broken::new(format!("the machine is {state:?} after a minute: {said}; its journal:\n{}", self.journal())))
    }

    /// What its units said of late.
    pub(crate) fn journal(&self) -> String {
        run(self.command("journalctl").args(["--no-pager", "--lines=200"])).unwrap_or_else(|error| error.to_string())
    }

    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-ec", ACCOMPANY, "sh"]).arg(self.group.path().join("commands")).args(WATCH);
        // Its children are the machine's.
        command.args(["nsenter", &format!("--pid={}", self.processes.path()), "--no-fork", "--"]).args(WATCHED);
        let options = KINDS.iter().zip(&self.namespaces);
        command.arg("nsenter").args(options.map(|((_, option), held)| format!("--{option}={}", held.path())));
        command.args(["--", "setpriv", "--pdeathsig=KILL", WITHHELD]).arg(program);
        command.env_clear().envs(ENVIRONMENT);
        command
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    pub(crate) fn state(&self) -> &str {
        &self.state
    }

    /// Whether it has ended by itself, at the latest in a minute.
    pub(crate) fn ends_by_itself(&self) -> bool {
        self.server.ends_by_itself()
    }
}

/// systemd in namespaces of its own, but for those that are there. It dies with who starts it.
fn contained(mounts: &Held, network: &Namespace, group: &Group) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig=KILL", "nsenter", &format!("--mount={}", mounts.path())]);
    command.args([&format!("--net={}", network.path()), "--", "unshare", "--uts", "--ipc", "--pid", "--fork"]);
    // The process that stays outside is not in the group: one with others below it may have none of its own.
    command.args(["--kill-child=KILL", "sh", "-ec", JOIN, "sh"]).arg(group.path());
    command.args(["unshare", "--cgroup", "sh", "-euc", FIRST, "sh"]).arg(root());
    command.args(["setpriv", WITHHELD, "/sbin/init"]);
    command
}

/// Mounts what every boot has anew, but for what belongs to namespaces that are not there yet. Returns its `/run`.
fn furnish(root: &Path) -> Result<OwnedFd, Broken> {
    let (dev, run) = (root.join("dev"), root.join("run"));
    let memory = |at: &Path, flags, options| mount("tmpfs", at, "tmpfs", flags, options).trying(at.display());
    memory(&dev, MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=0755")?;
    let held = openat(CWD, &dev, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).trying("/dev")?;
    for name in ["net", "pts", "shm"] {
        mkdirat(&held, name, Mode::from_raw_mode(0o755)).trying(name)?;
    }
    for (name, major, minor, mode) in NODES {
        let mode = Mode::from_raw_mode(mode);
        mknodat(&held, name, FileType::CharacterDevice, mode, makedev(major, minor)).trying(name)?;
        // The mask of this process is not the machine's.
        chmodat(&held, name, mode, AtFlags::empty()).trying(name)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &held, name).trying(name)?;
    }
    let terminals = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount("devpts", dev.join("pts"), "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, terminals)
        .trying("/dev/pts")?;
    memory(&dev.join("shm"), MountFlags::NOSUID | MountFlags::NODEV, c"mode=1777")?;
    memory(&run, MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")?;
    openat(CWD, &run, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).trying("/run")
}
