//! System calls that no safe crate offers.
//!
//! **Invariant:** only the init and its children, which have one thread each, fork, unshare or reset signals; and what
//! the runner forks, which becomes the init and until then only makes system calls.

#![allow(unsafe_code, reason = "fork, exec and a few calls that rustix does not have")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// `mount_setattr(2)`: the same number on every architecture since Linux 5.12.
const SYS_MOUNT_SETATTR: libc::c_long = 442;
/// `landlock_create_ruleset(2)`, since Linux 5.13.
const SYS_LANDLOCK_CREATE_RULESET: libc::c_long = 444;
/// `LANDLOCK_CREATE_RULESET_VERSION` of `linux/landlock.h`.
const LANDLOCK_VERSION: libc::c_uint = 1;

/// Attributes of `linux/mount.h`.
pub(crate) const RDONLY: u64 = 0x1;
pub(crate) const NOSUID: u64 = 0x2;
pub(crate) const NODEV: u64 = 0x4;
pub(crate) const NOEXEC: u64 = 0x8;
const IDMAP: u64 = 0x10_0000;

/// The result of a system call, or why it failed.
pub(crate) fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

/// Why the last system call of this thread failed.
pub(crate) fn last() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Forks. `None` in the child.
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the process has one thread, so no lock can be held by another one that the child does not have; or the child
    // takes none.
    let pid = unsafe { libc::fork() };
    check(libc::c_long::from(pid)).map(|_| Pid::from_raw(pid))
}

/// Ends the process at once, without exit handlers.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` does not return and has no precondition.
    unsafe { libc::_exit(code) }
}

/// Leaves namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: the flags are of namespaces alone; the descriptor table, which other code relies on, stays shared.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Becomes another program. Returns only the reason why not.
pub(crate) fn exec(program: &CStr, argv: &[CString], env: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end with a null pointer and point to strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    last()
}

/// Sets attributes of the mount that `mount` is the root of, and of those beneath it if `recursive`.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, set: u64, recursive: bool) -> Result<(), Errno> {
    setattr(mount, [set, 0, 0, 0], recursive)
}

/// Maps the owners of files on a detached mount by the user namespace `users`.
pub(crate) fn map_owners(mount: BorrowedFd<'_>, users: BorrowedFd<'_>) -> Result<(), Errno> {
    let users = u64::try_from(users.as_raw_fd()).unwrap_or_default();
    setattr(mount, [IDMAP, 0, 0, users], false)
}

/// `attributes` is `struct mount_attr`: set, clear, propagation, user namespace.
fn setattr(mount: BorrowedFd<'_>, attributes: [u64; 4], recursive: bool) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a null-terminated string and the structure is as long as said.
    let result = unsafe {
        libc::syscall(
            SYS_MOUNT_SETATTR,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    check(result).map(drop)
}

/// The version of Landlock's interface, 0 where there is none.
pub(crate) fn landlock_abi() -> u32 {
    // SAFETY: with this flag the call takes no structure and only returns a number.
    let version = unsafe { libc::syscall(SYS_LANDLOCK_CREATE_RULESET, ptr::null::<()>(), 0_usize, LANDLOCK_VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// Opens `/dev/null` as descriptor 0.
pub(crate) fn nothing_to_read() -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::stdio::dup2_stdin(rustix::fs::openat(CWD, "/dev/null", flags, Mode::empty())?)
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> Result<(), Errno> {
    close_range(first, 0)
}

/// Has every descriptor from `first` on closed when the process becomes another program.
pub(crate) fn close_from_at_exec(first: u32) -> Result<(), Errno> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, flags: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: the caller owns no descriptor of that range when they are closed now.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    check(result).map(drop)
}

/// A descriptor that can be read whenever a child ended. The signal is blocked from now on.
pub(crate) fn child_events() -> Result<OwnedFd, Errno> {
    // SAFETY: the set is initialised by `sigemptyset` before it is read, and lives through the calls.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(libc::c_long::from(fd)).map(|_| OwnedFd::from_raw_fd(fd))
    }
}

/// Gives every signal its default action and blocks none, as a program expects to find them.
pub(crate) fn reset_signals() {
    // SAFETY: no handler of this process is needed any more; signals that cannot be changed are refused harmlessly.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// What a child was, told when it is reaped.
pub(crate) struct Reaped {
    /// As `wait(2)` encodes it.
    pub(crate) status: i32,
    /// Processor time of it and of all that it reaped.
    pub(crate) cpu: Duration,
    /// The largest resident set among them, in bytes.
    pub(crate) peak_memory_bytes: u64,
}

/// Waits for the end of a child.
pub(crate) fn wait(pid: Pid) -> Result<Reaped, Errno> {
    let mut status = 0;
    // SAFETY: a `rusage` is plain numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both out-parameters live through the call.
        let result = unsafe { libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage) };
        match check(libc::c_long::from(result)) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => break,
        }
    }
    let time = |t: libc::timeval| {
        let micros = t.tv_sec.saturating_mul(1_000_000).saturating_add(t.tv_usec);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    Ok(Reaped {
        status,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_memory_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
    })
}

/// Brings the loopback interface of the process's network namespace up.
pub(crate) fn loopback_up() -> Result<(), Errno> {
    // SAFETY: the structure is zeroed, its name ends with a null, and it lives through the call.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        check(libc::c_long::from(socket))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(0);
        check(libc::c_long::from(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request))).map(drop)
    }
}

/// Sends every process that this one may signal, but itself, a signal: all of its namespace, or of its Landlock domain.
pub(crate) fn signal_all(signal: i32) {
    // SAFETY: a signal to others touches no memory of this process. That there is nobody left is fine.
    unsafe { libc::kill(-1, signal) };
}

/// Drops every capability from the bounding set.
pub(crate) fn drop_bounding_set() -> Result<(), Errno> {
    for capability in 0..64 {
        // SAFETY: the call takes numbers alone.
        match check(libc::c_long::from(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) })) {
            Ok(_) => {}
            // The kernel knows no capability of that number, nor any greater one.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
