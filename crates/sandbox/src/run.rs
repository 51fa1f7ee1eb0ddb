//! One job, seen from the runner: start the init, send the order, hand on the output, keep the time, and wait until
//! nothing of it is left.
//!
//! **Invariant:** a report exists only when the init was reaped after it told how the job ended.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use host::{Cancel, Stream};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::capture;
use crate::cgroup::{Doors, Extra, Group};
use crate::control::{self, Answer, Order};
use crate::error::{SandboxError, Stuck};
use crate::evidence::{Enforcer, Enforcers, Evidence};
use crate::output::{Output, pump};
use crate::report::{Ended, Observed};
use crate::spec::{Limits, TreeMode};
use crate::start::{Start, Started};
use crate::sys;
use crate::{End, Level, Limit, Report, Spec, Usage};

/// The name by which a program knows that it is to be the init.
pub(crate) const INIT: &CStr = c"sandbox-init";
/// How often a running job is looked at: cancelled? over its time?
const TICK: Duration = Duration::from_millis(50);
/// How long the init may take to read its order, and to make a sandbox that nobody wants any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Uids that no system gives to a user or a container: above systemd's ranges, the container range of `0x7000_0000` being
/// the last of them (systemd, "Users, Groups, UIDs and GIDs on systemd systems"), and below the sign bit.
const UIDS: u32 = 0x7100_0000;
/// Bits of a uid that are drawn for each job.
const UID_BITS: u32 = (1 << 20) - 1;
/// The sandbox's own processes in a job's control group.
const OWN_PROCESSES: u64 = 2;

/// Runs `spec` at exactly `level`.
pub(crate) fn run(
    init: &Path,
    level: Level,
    spec: &Spec,
    output: Output<'_>,
    cancel: &Cancel,
) -> Result<Report, SandboxError> {
    spec.check(level)?;
    sources(spec)?;
    let io = |source: io::Error| SandboxError::Io { path: init.to_owned(), source };
    let start = Instant::now();
    if level == Level::L2 {
        hide()?;
    }
    let random = random().map_err(io)?;
    let extra = Extra { processes: OWN_PROCESSES, file_bytes: file_bytes(spec) };
    let group = Group::new(&spec.limits, extra, &format!("{random:08x}"));
    let order = Order::new(spec, level, other_user(UIDS | (random & UID_BITS)), enforcers(&group, level));
    let (over, end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).map_err(io)?;
    let init = group.doors().and_then(|doors| Init::start(init, &doors)).map_err(io)?;
    thread::scope(|scope| {
        for (pipe, stream) in [(&init.stdout, Stream::Stdout), (&init.stderr, Stream::Stderr)] {
            let over = &over;
            scope.spawn(move || pump(pipe, over, stream, output));
        }
        let watched = watch(&init, &group, &order, spec, start, cancel).map_err(io);
        init.let_go();
        let reaped = init.reap();
        group.kill();
        // Everything that could write is dead: what is in the pipes is all there will be.
        drop(end);
        let reaped = reaped.map_err(io::Error::from).map_err(io)?;
        conclude(watched?, &reaped, &group, spec, level, start)
    })
}

/// The most that the job's files in memory take: `/tmp`, its artifacts, and what it changes of a captured tree.
fn file_bytes(spec: &Spec) -> u64 {
    let Limits { tmp_bytes, artifact_bytes, .. } = spec.limits;
    let changes = if spec.tree.mode == TreeMode::Capture { tmp_bytes } else { 0 };
    [tmp_bytes, artifact_bytes, changes].into_iter().fold(0, u64::saturating_add)
}

/// What is not there is told before the sandbox stumbles over it.
fn sources(spec: &Spec) -> Result<(), SandboxError> {
    let seen = |path: &PathBuf| std::fs::metadata(path).map(drop);
    seen(&spec.tree.path).map_err(|source| SandboxError::Io { path: spec.tree.path.clone(), source })?;
    spec.binds
        .iter()
        .map(|bind| &bind.source)
        .try_for_each(|path| seen(path).map_err(|source| SandboxError::Bind { path: path.clone(), source }))
}

/// A program that becomes the init.
struct Init {
    pid: Pid,
    in_group: bool,
    control: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Init {
    fn start(program: &Path, doors: &Doors) -> io::Result<Self> {
        let (control, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // An init that hangs must not hang the runner.
        for way in [sockopt::Timeout::Send, sockopt::Timeout::Recv] {
            sockopt::set_socket_timeout(&control, way, Some(PATIENCE))?;
        }
        let (stdout, their_stdout) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, their_stderr) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let program = CString::new(program.as_os_str().as_bytes())?;
        let start = Start {
            program: &program,
            arg0: INIT,
            stdio: [theirs.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()],
            doors,
        };
        let Started { pid, in_group } = start.start()?;
        Ok(Self { pid, in_group, control, stdout, stderr })
    }

    /// Ends whatever of the sandbox is left: the init sees the end of the socket.
    fn let_go(&self) {
        // A socket without another side is closed already.
        let _ = rustix::net::shutdown(&self.control, Shutdown::Both);
    }

    /// Waits for its end, which comes when nobody of the sandbox is left. One that was stopped, or hangs in the kernel, is
    /// killed; with it goes all that is in its namespaces.
    fn reap(&self) -> Result<sys::Reaped, Errno> {
        if let Ok(process) = rustix::process::pidfd_open(self.pid, PidfdFlags::empty()) {
            let patience = Timespec::try_from(PATIENCE).expect("half a minute");
            // A wait that fails is one that is over.
            let _ = retry_on_intr(|| rustix::event::poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience)));
            // One that ended is there until it is reaped.
            let _ = rustix::process::pidfd_send_signal(&process, Signal::KILL);
        }
        sys::wait(self.pid)
    }
}

/// What was heard of a job.
#[derive(Default)]
struct Heard {
    ready: Option<(Evidence, Vec<OwnedFd>)>,
    ended: Option<Ended>,
    stuck: Option<Stuck>,
    not_startable: Option<i32>,
    /// Why the runner ended the job.
    cut: Option<End>,
}

fn watch(init: &Init, group: &Group, order: &Order, spec: &Spec, start: Instant, cancel: &Cancel) -> io::Result<Heard> {
    if !init.in_group {
        group.admit(init.pid)?;
    }
    let mut heard = Heard::default();
    let sent = control::send(init.control.as_fd(), order, &[])
        .and_then(|()| spec.files.iter().try_for_each(|file| control::send_all(init.control.as_fd(), &file.bytes)));
    // An init that died while it was told may have said why.
    if let Err(error) = sent
        && !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
    {
        return Err(error);
    }
    let mut end_by = start.checked_add(spec.limits.wall);
    loop {
        if wait_for_word(init, end_by)? {
            let word = control::receive::<Answer>(init.control.as_fd())?;
            match word {
                None => return Ok(heard),
                Some((Answer::Ready(evidence), fds)) => {
                    heard.ready = Some((evidence, fds));
                    if heard.cut.is_some() {
                        end_by = Instant::now().checked_add(spec.limits.grace);
                    }
                }
                Some((Answer::Ended(ended), _)) => heard.ended = Some(ended),
                Some((Answer::NotStartable(errno), _)) => heard.not_startable = Some(errno),
                Some((Answer::Stuck(stuck), _)) => heard.stuck = Some(stuck),
            }
            if heard.ended.is_some() || heard.stuck.is_some() || heard.not_startable.is_some() {
                return Ok(heard);
            }
        }
        let late = end_by.is_some_and(|by| Instant::now() >= by);
        if heard.cut.is_some() {
            // The time between TERM and KILL is over.
            if late {
                return Ok(heard);
            }
        } else if let Some(cut) = why_cut(cancel, late, group, &spec.limits.cpu) {
            heard.cut = Some(cut);
            // Before the job runs there is nobody to be graceful to, but an init to hear of.
            let grace = if heard.ready.is_some() { spec.limits.grace } else { PATIENCE };
            end_by = Instant::now().checked_add(grace);
            // An init that is gone has nobody left to end.
            let _ = control::send_all(init.control.as_fd(), &[control::TERM]);
        }
    }
}

fn why_cut(cancel: &Cancel, late: bool, group: &Group, cpu: &Duration) -> Option<End> {
    if cancel.is_cancelled() {
        Some(End::Cancelled)
    } else if late {
        Some(End::TimedOut)
    } else {
        group.cpu().filter(|used| used > cpu).map(|_| End::OverLimit(Limit::Cpu))
    }
}

/// Waits a tick at most, and not beyond `end_by`. True when there is something to hear.
fn wait_for_word(init: &Init, end_by: Option<Instant>) -> io::Result<bool> {
    let left = end_by.map_or(TICK, |by| by.saturating_duration_since(Instant::now()).min(TICK));
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
    match rustix::event::poll(&mut [PollFd::new(&init.control, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn conclude(
    heard: Heard,
    reaped: &sys::Reaped,
    group: &Group,
    spec: &Spec,
    level: Level,
    start: Instant,
) -> Result<Report, SandboxError> {
    if let Some(stuck) = heard.stuck {
        return Err(SandboxError::Level { level, stuck });
    }
    if let Some(errno) = heard.not_startable {
        let program = spec.argv.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
        return Err(SandboxError::NotStartable { program, errno });
    }
    let lost = || SandboxError::Lost { how: format!("wait status {:#x}", reaped.status) };
    let (evidence, fds) = heard.ready.ok_or_else(lost)?;
    let counted = group.counted();
    let usage = Usage {
        wall: start.elapsed(),
        cpu: counted.cpu.unwrap_or(reaped.cpu),
        peak_memory_bytes: counted.peak_memory_bytes.unwrap_or(reaped.peak_memory_bytes),
        oom_kills: counted.oom_kills,
        refused_processes: counted.refused_processes,
    };
    // A job that was cut short and outlived its grace never told of its end, nor one whose init the kernel killed for
    // want of memory.
    let killed = heard.cut.is_some() || counted.oom_kills > 0;
    let ended = heard.ended.or(killed.then_some(Ended::Signaled(libc::SIGKILL))).ok_or_else(lost)?;
    let end = Observed { ended, cut: heard.cut, usage, cpu_limit: spec.limits.cpu }.end();
    let mut fds = fds.into_iter();
    let artifacts = fds.next().ok_or_else(lost)?;
    let changes = match (spec.tree.mode, fds.next()) {
        (TreeMode::ReadOnly, _) => capture::Changes::default(),
        (TreeMode::Capture, Some(upper)) => {
            capture::changes(&spec.tree.path, &upper, capture::opaque(evidence.user_namespace))
                .map_err(|source| SandboxError::Io { path: spec.tree.path.clone(), source })?
        }
        (TreeMode::Capture, None) => return Err(lost()),
    };
    Ok(Report { end, level, usage, evidence, artifacts, changed: changes.list, changed_cut: changes.cut })
}

fn enforcers(group: &Group, level: Level) -> Enforcers {
    let by = |grouped| if grouped { Enforcer::Cgroup } else { Enforcer::Rlimit };
    Enforcers {
        cpu: by(group.counts_cpu()),
        memory: by(group.bounds_memory()),
        processes: by(group.bounds_processes()),
        files: Enforcer::Rlimit,
        disk: if level.has_namespaces() { Enforcer::Tmpfs } else { Enforcer::None },
    }
}

/// The job sees the machine's `/proc`: nobody may look into the runner there.
fn hide() -> Result<(), SandboxError> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|errno| SandboxError::Io { path: "/proc/self".into(), source: errno.into() })
}

/// The id, if this process may become another user and that one exists where it is: root in a container often has but a
/// few.
fn other_user(id: u32) -> Option<u32> {
    let exists = |map| std::fs::read_to_string(map).is_ok_and(|map| is_mapped(&map, id));
    let root = rustix::process::geteuid().is_root();
    (root && exists("/proc/self/uid_map") && exists("/proc/self/gid_map")).then_some(id)
}

/// A map, as `user_namespaces(7)` describes it, has a line for `id`: the first of a range, what it is outside, and how many.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&u64::from(id))
    })
}

fn random() -> io::Result<u32> {
    getrandom::u32().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_exists_only_where_the_map_says_so() {
        assert!(is_mapped("         0          0 4294967295\n", UIDS));
        assert!(!is_mapped("         0       1000          1\n", UIDS));
        assert!(is_mapped("0 1000 1\n1 100000 4000000000\n", UIDS));
        assert!(!is_mapped("", 0) && !is_mapped("x", 0));
    }
}
