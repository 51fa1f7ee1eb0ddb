//! Starting the job and reaping until it ended: what the init does in every level.
//!
//! **Invariant:** the job's first instruction runs only after every promise of the level was checked in its own process.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::control::{self, Answer, Word};
use crate::error::{Step as _, Stuck};
use crate::evidence::{Evidence, Facts};
use crate::job::{self, Job};
use crate::report::Ended;
use crate::sys;

/// A job that runs.
pub(crate) struct Started {
    main: Pid,
    events: OwnedFd,
}

/// Starts the job, checks what it found about itself by `judge`, and tells the runner, with `fds`. `None` if the job's
/// program could not be executed: the runner knows by then.
pub(crate) fn start(
    job: &Job<'_>,
    judge: &dyn Fn(&Facts) -> Evidence,
    control: &OwnedFd,
    fds: &[BorrowedFd<'_>],
) -> Result<Option<Started>, Stuck> {
    let events = sys::child_events().step("watch for ends")?;
    let (words, say) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).step("make a pipe")?;
    let (wait, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).step("make a pipe")?;
    let Some(main) = sys::fork().step("start the job")? else {
        drop((words, go));
        job::become_it(job, &say, &wait);
    };
    drop((say, wait));
    let word = || control::read::<Word>(words.as_fd()).step("hear from the job's process");
    let facts = match word()? {
        Some(Word::Facts(facts)) => facts,
        Some(Word::Stuck(stuck)) => return Err(stuck),
        _ => return Err(Stuck::new("start the job", "its process ended early")),
    };
    let evidence = judge(&facts);
    evidence.judge()?;
    control::send(control.as_fd(), &Answer::Ready(evidence), fds).step("tell the runner")?;
    rustix::io::write(&go, b"g").step("let the job go")?;
    match word()? {
        None => Ok(Some(Started { main, events })),
        Some(Word::NotStartable(errno)) => {
            control::send(control.as_fd(), &Answer::NotStartable(errno), &[]).step("tell the runner")?;
            Ok(None)
        }
        Some(Word::Stuck(stuck)) => Err(stuck),
        Some(Word::Facts(_)) => Err(Stuck::new("start the job", "its process repeats itself")),
    }
}

/// Reaps until the job's main process ended; until the runner is gone otherwise.
pub(crate) fn until_the_end(control: &OwnedFd, started: &Started) -> Result<Option<Ended>, Stuck> {
    loop {
        // One at a time: a job that ends processes as fast as they are reaped must not hold up the rest.
        let reaped = reap(started.main).step("reap")?;
        if let Reaped::Main(ended) = reaped {
            return Ok(Some(ended));
        }
        let wait = matches!(reaped, Reaped::Nobody);
        match event(control.as_fd(), started.events.as_fd(), wait).step("wait")? {
            Event::Gone => return Ok(None),
            Event::Term => sys::signal_all(libc::SIGTERM),
            Event::Child => {}
        }
    }
}

/// Kills everybody this process can reach, and reaps until nobody is left. The kernel signals them all at once: none can
/// fork in between.
pub(crate) fn kill_all() -> Result<(), Stuck> {
    sys::signal_all(libc::SIGKILL);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno).step("reap"),
        }
    }
}

/// Tells the runner how the job ended, if it did.
pub(crate) fn tell(control: &OwnedFd, ended: Option<Ended>) -> Result<(), Stuck> {
    let Some(ended) = ended else { return Ok(()) };
    control::send(control.as_fd(), &Answer::Ended(ended), &[]).step("tell the runner")
}

enum Event {
    Gone,
    Term,
    Child,
}

/// What is to be heard; without `wait` it may be nothing.
fn event(control: BorrowedFd<'_>, children: BorrowedFd<'_>, wait: bool) -> Result<Event, Errno> {
    let mut fds = [PollFd::from_borrowed_fd(control, PollFlags::IN), PollFd::from_borrowed_fd(children, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match rustix::event::poll(&mut fds, (!wait).then_some(&at_once)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno),
    }
    if !fds[1].revents().is_empty() {
        // What it says is not needed, only that it is read.
        let _ = rustix::io::read(children, &mut [0; 512]);
    }
    if fds[0].revents().is_empty() {
        return Ok(Event::Child);
    }
    let mut byte = [0; 1];
    match rustix::io::read(control, &mut byte) {
        Ok(1) if byte[0] == control::TERM => Ok(Event::Term),
        Err(Errno::INTR) => Ok(Event::Child),
        _ => Ok(Event::Gone),
    }
}

enum Reaped {
    Main(Ended),
    Other,
    Nobody,
}

/// Reaps one that ended.
fn reap(main: Pid) -> Result<Reaped, Errno> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(Some((pid, status))) if pid == main => Ok(Reaped::Main(how(status))),
        Ok(Some(_)) | Err(Errno::INTR) => Ok(Reaped::Other),
        Ok(None) | Err(Errno::CHILD) => Ok(Reaped::Nobody),
        Err(errno) => Err(errno),
    }
}

fn how(status: WaitStatus) -> Ended {
    match status.exit_status() {
        Some(code) => Ended::Exited(code),
        None => Ended::Signaled(status.terminating_signal().unwrap_or(0)),
    }
}
