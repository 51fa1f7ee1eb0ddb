//! A job's output, handed on as it comes.
//!
//! **Invariant:** once the job's processes are gone, what they wrote is handed on to its last byte, and nobody who got
//! hold of the pipe can make the runner wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use host::Stream;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// Called with a job's output.
pub type Output<'a> = &'a (dyn Fn(Stream, &[u8]) + Sync);

/// Hands on what comes out of `pipe` until its end, or until nothing is left once `over` was closed.
pub(crate) fn pump(pipe: &OwnedFd, over: &OwnedFd, stream: Stream, output: Output<'_>) {
    // With the call below never blocking, a pipe that others hold cannot hold this thread.
    let _ = rustix::io::ioctl_fionbio(pipe, true);
    let mut buffer = vec![0; 64 << 10];
    let mut last = false;
    loop {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return,
            Ok(n) => output(stream, &buffer[..n]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if last => return,
            Err(Errno::AGAIN) => last = is_over(pipe.as_fd(), over.as_fd()),
            Err(_) => return,
        }
    }
}

/// Waits for either; true when `over` was closed.
fn is_over(pipe: BorrowedFd<'_>, over: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(pipe, PollFlags::IN), PollFd::from_borrowed_fd(over, PollFlags::IN)];
    match rustix::event::poll(&mut fds, None) {
        Ok(_) => !fds[1].revents().is_empty(),
        Err(Errno::INTR) => false,
        Err(_) => true,
    }
}
