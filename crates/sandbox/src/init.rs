//! The process that makes a sandbox and stays with the job until nothing of it is left.
//!
//! It starts as the only thread of a freshly executed program, leaves the machine's namespaces, and forks the first
//! process of the new ones, which mounts, forks the job and reaps. Without namespaces it does all that itself.
//!
//! **Invariant:** when the runner's end of the control socket closes, everything here dies.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal};
use rustix::thread::UnshareFlags;

use crate::control::{self, Answer, Order};
use crate::error::{Step as _, Stuck};
use crate::spec::TreeMode;
use crate::{bare, first, owners, sys};

/// The ids of the job in its own user namespace.
const INSIDE: u32 = 1000;
/// The most bytes of files an order may bring: an index of a million entries is about 100 MB.
const FILES_CAP: u64 = 256 << 20;

/// Runs the sandbox that the runner asks for on descriptor 0. Never returns.
pub(crate) fn main() -> ! {
    let code = match control_socket() {
        Ok(control) => run(&control),
        Err(_) => 1,
    };
    sys::exit(code)
}

fn run(control: &OwnedFd) -> i32 {
    match ordered(control) {
        Ok(()) => 0,
        Err(stuck) => {
            // A runner that is gone needs no answer.
            let _ = control::send(control.as_fd(), &Answer::Stuck(stuck), &[]);
            1
        }
    }
}

/// Takes the control socket from descriptor 0, which becomes `/dev/null`; every other descriptor is closed.
fn control_socket() -> io::Result<OwnedFd> {
    sys::close_from(3)?;
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    sys::nothing_to_read()?;
    Ok(control)
}

fn ordered(control: &OwnedFd) -> Result<(), Stuck> {
    let word = control::receive::<Order>(control.as_fd()).step("read the order")?;
    let Some((order, _)) = word else { return Ok(()) };
    let files = files(control, &order)?;
    give_output(&order)?;
    go_first()?;
    if order.level.has_namespaces() {
        namespaces(control, &order, &files)
    } else {
        undumpable()?;
        bare::run(control, &order, &files)
    }
}

/// Has the kernel end this process and what it starts before any other when the machine is short of memory: 1000 is the
/// most (proc(5)), and going back takes a right that no job has. It has to come before this process is hidden.
fn go_first() -> Result<(), Stuck> {
    std::fs::write("/proc/self/oom_score_adj", "1000").step("go first when memory is short")
}

/// Lets a job of another user open its output again by name, as `/dev/stdout`.
fn give_output(order: &Order) -> Result<(), Stuck> {
    let Some(id) = order.switch_to else { return Ok(()) };
    let (uid, gid) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
    for pipe in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
        rustix::fs::fchown(pipe, Some(uid), Some(gid)).step("give the job its output")?;
    }
    Ok(())
}

fn files(control: &OwnedFd, order: &Order) -> Result<Vec<Vec<u8>>, Stuck> {
    let total: u64 = order.files.iter().map(|(_, len, _)| *len).fold(0, u64::saturating_add);
    if total > FILES_CAP {
        return Err(Stuck::new("read the files", "they are too large"));
    }
    let read = |(_, len, _): &(_, u64, _)| {
        let mut bytes = vec![0; usize::try_from(*len).map_err(io::Error::other)?];
        control::fill(control.as_fd(), &mut bytes).map(|()| bytes)
    };
    order.files.iter().map(read).collect::<io::Result<_>>().step("read the files")
}

/// Nobody of the same user may look into this process.
fn undumpable() -> Result<(), Stuck> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).step("hide the init")
}

fn namespaces(control: &OwnedFd, order: &Order, files: &[Vec<u8>]) -> Result<(), Stuck> {
    let owner = match order.switch_to {
        Some(id) => id,
        None => own_users().map(|()| INSIDE)?,
    };
    let capture = order.mode == TreeMode::Capture;
    let users = order.switch_to.filter(|_| capture).map(owners::users).transpose()?;
    undumpable()?;
    let mut spaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    if !order.network {
        spaces |= UnshareFlags::NEWNET;
    }
    sys::unshare(spaces).step("leave the machine's namespaces")?;
    match sys::fork().step("start the first process")? {
        None => first::main(control, order, files, owner, users.as_ref()),
        Some(first) => {
            stay_with(control, first);
            Ok(())
        }
    }
}

/// A user namespace in which this process's user is [`INSIDE`] and nobody else exists.
fn own_users() -> Result<(), Stuck> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    sys::unshare(UnshareFlags::NEWUSER).step("make a user namespace")?;
    let write = |file: &str, text: String| std::fs::write(format!("/proc/self/{file}"), text);
    write("setgroups", "deny".to_owned()).step("deny setgroups")?;
    write("uid_map", format!("{INSIDE} {uid} 1\n")).step("map the user")?;
    write("gid_map", format!("{INSIDE} {gid} 1\n")).step("map the group")
}

/// Waits for the end of the first process, and brings it about when the runner is gone.
fn stay_with(control: &OwnedFd, first: Pid) {
    if let Ok(ended) = rustix::process::pidfd_open(first, PidfdFlags::empty()) {
        while !hung_up_or_readable(control.as_fd(), ended.as_fd()) {}
    }
    // A zombie takes the signal too; nobody else can have its id before it is reaped below.
    let _ = rustix::process::kill_process(first, Signal::KILL);
    let _ = sys::wait(first);
}

/// `control` has no other side any more, or `ended` can be read.
fn hung_up_or_readable(control: BorrowedFd<'_>, ended: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(control, PollFlags::RDHUP), PollFd::from_borrowed_fd(ended, PollFlags::IN)];
    match rustix::event::poll(&mut fds, None) {
        Ok(_) => fds.iter().any(|fd| !fd.revents().is_empty()),
        Err(Errno::INTR) => false,
        Err(_) => true,
    }
}
