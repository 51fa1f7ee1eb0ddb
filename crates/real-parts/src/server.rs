//! The processes of a server, from the first to the last.
//!
//! **Invariant:** when a server was killed, all of it is gone: the kernel ends a pid namespace with its first process,
//! and that one has ended only when the others have.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::broken::{Broken, Trying as _};

/// How long a server may take until it answers: a machine under load is slow, and recovery reads and writes.
const PATIENCE: Duration = Duration::from_mins(1);
/// What a look costs is little beside what starts take.
const PAUSE: Duration = Duration::from_millis(3);
/// How much of its log is told when a server does not start, in bytes.
const TOLD: usize = 4000;

/// A server that was started, whether it runs or not. It is killed when dropped.
pub(crate) struct Server {
    first: Pid,
    /// The same process, also when its id has become another's.
    held: OwnedFd,
    waiting: Option<JoinHandle<()>>,
    log: PathBuf,
}

impl Server {
    /// Starts a contained command (`Account::contained`), whose output goes to the file `log`.
    ///
    /// # Errors
    /// When it cannot be started, or with its log when it ends at once.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, Broken> {
        let output = File::options().create(true).append(true).open(log).trying(log.display())?;
        let errors = output.try_clone().trying(log.display())?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let (outer, waiting) = spawn(command)?;
        let deadline = Instant::now() + PATIENCE;
        let first = loop {
            match children(outer).first() {
                Some(first) => break *first,
                None if waiting.is_finished() || Instant::now() > deadline => return Err(ended(log)),
                None => thread::sleep(PAUSE),
            }
        };
        let held = pidfd_open(first, PidfdFlags::empty()).map_err(|_| ended(log))?;
        Ok(Self { first, held, waiting: Some(waiting), log: log.to_owned() })
    }

    /// Waits until `ready`.
    ///
    /// # Errors
    /// With its log, when it ends before that or takes too long.
    pub(crate) fn wait_until(&self, ready: impl Fn() -> bool) -> Result<(), Broken> {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            if Instant::now() > deadline || self.waiting.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(ended(&self.log));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The first process, as this one sees it.
    pub(crate) fn first(&self) -> Pid {
        self.first
    }

    /// Whether all of it is gone, at the latest in the time that a server may take.
    pub(crate) fn ends_by_itself(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let runs = || self.waiting.as_ref().is_some_and(|waiting| !waiting.is_finished());
        while runs() && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        !runs()
    }

    /// Kills every process at once, and returns when all of them are gone.
    pub(crate) fn kill(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            let _ = pidfd_send_signal(&self.held, Signal::KILL);
            let _ = waiting.join();
        }
    }

    /// Sends a signal to every process, to those that make others first.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.waiting.is_some() {
            send(self.first, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a command on a thread of its own, which ends with it: what a process wants to die with is not the process
/// that started it but the thread.
fn spawn(mut command: Command) -> Result<(Pid, JoinHandle<()>), Broken> {
    let (started, starting) = mpsc::channel();
    let waiting = thread::spawn(move || match command.spawn() {
        Ok(mut child) => {
            let _ = started.send(Ok(Pid::from_child(&child)));
            let _ = child.wait();
        }
        Err(error) => drop(started.send(Err(error))),
    });
    let outer = starting.recv().trying("start a server")?.trying("start a server by setpriv and unshare")?;
    Ok((outer, waiting))
}

fn send(process: Pid, signal: Signal) {
    // One that has just ended needs no signal.
    let _ = kill_process(process, signal);
    for child in children(process) {
        send(child, signal);
    }
}

fn children(process: Pid) -> Vec<Pid> {
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    listed.unwrap_or_default().split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

fn ended(log: &Path) -> Broken {
    let said = fs::read(log).unwrap_or_default();
    let tail = String::from_utf8_lossy(&said[said.len().saturating_sub(TOLD)..]).into_owned();
    Broken::new(format!("the server ended or was not ready in {} s; it said:\n{tail}", PATIENCE.as_secs()))
}
