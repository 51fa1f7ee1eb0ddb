//! What was begun is ended: Ctrl-C, a second one, or a lost connection in the middle of it would leave it to the timer.

use nix::sys::signal::{SigSet, Signal};
use outcome::Failure;

/// Keeps signals waiting, for this thread and all that it starts.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn hold() -> Result<(), Failure> {
    ending().thread_block().map_err(refused)
}

/// Lets them through, also those that came meanwhile.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn release() -> Result<(), Failure> {
    ending().thread_unblock().map_err(refused)
}

fn ending() -> SigSet {
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().collect()
}

fn refused(error: nix::Error) -> Failure {
    Failure::bug("signals", error.to_string(), "report this with the command you ran")
}
