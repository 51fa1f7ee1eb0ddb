//! This machine.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::cmd::OnLine;
use crate::ssh::Frames;
use crate::{Cmd, Host, HostError, Kind, Output, Stat, Status, Stream};

/// How long a process group has between TERM and KILL.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// How long to wait for streams that something outside the group still holds open.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a far end that was told to stop has to say that it did.
const LET_GO: Duration = Duration::from_secs(GRACE.as_secs() + 2);
/// How often a running command looks whether it was cancelled.
const TICK: Duration = Duration::from_millis(50);
/// The longest piece of a line that is handed to a line callback, in bytes.
const LINE_CAP: usize = 8 << 10;

/// A wish to stop, shared between a signal handler and whatever runs.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Someone asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The flag itself, for a signal handler to set.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// This machine, as the user the program runs as.
#[derive(Debug, Clone, Default)]
pub struct Local {
    cancel: Cancel,
}

impl Local {
    /// This machine; nothing cancels its commands.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// This machine; `cancel` ends the running command and refuses to start another.
    #[must_use]
    pub fn cancelled_by(cancel: Cancel) -> Self {
        Self { cancel }
    }

    /// Runs a command, or the client that runs one elsewhere: then of what the client writes the output is what is
    /// within `far`, and its stdin stays open until the command is over, since its end tells the far end to stop.
    pub(crate) fn run_for(&self, cmd: &Cmd, far: Option<&Frames>) -> Result<Output, HostError> {
        let start = Instant::now();
        if self.cancel.is_cancelled() {
            return Ok(Output {
                status: Status::Cancelled,
                stdout: vec![],
                stderr: vec![],
                cut: false,
                elapsed: Duration::ZERO,
            });
        }
        let child = spawn(cmd)?;
        watch(child, cmd, &self.cancel, start, far).map_err(HostError::io(&cmd.program))
    }
}

impl Host for Local {
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError> {
        self.run_for(cmd, None)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        absent_is_none(fs::read(path)).map_err(HostError::io(path))
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(HostError::io(parent))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".new-{}-{}", std::process::id(), self.random_hex(4)));
        let beside = Path::new(&beside);
        let written = write_new(beside, bytes, mode).and_then(|()| fs::rename(beside, path));
        if let Err(source) = written {
            drop(fs::remove_file(beside));
            return Err(HostError::Io { path: path.to_owned(), source });
        }
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(HostError::io(parent))
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, HostError> {
        let Some(meta) = absent_is_none(fs::symlink_metadata(path)).map_err(HostError::io(path))? else {
            return Ok(None);
        };
        let kind = match meta.file_type() {
            t if t.is_file() => Kind::File,
            t if t.is_dir() => Kind::Dir,
            t if t.is_symlink() => Kind::Symlink,
            _ => Kind::Other,
        };
        Ok(Some(Stat { kind, mode: meta.mode() & 0o7777, uid: meta.uid(), len: meta.len() }))
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        absent_is_none(fs::remove_file(path)).map(drop).map_err(HostError::io(path))
    }

    fn list(&self, dir: &Path) -> Result<Option<Vec<OsString>>, HostError> {
        let names = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        match names {
            // A name below a file is not there; the file itself is.
            Err(e) if e.kind() == io::ErrorKind::NotADirectory && self.stat(dir)?.is_some() => Err(e),
            names => absent_is_none(names.map(sorted)),
        }
        .map_err(HostError::io(dir))
    }

    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, HostError> {
        match fs::read_link(path) {
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(None),
            target => absent_is_none(target).map_err(HostError::io(path)),
        }
    }

    fn env(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn uid(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        getrandom::fill(&mut bytes).expect("the kernel's random source works once the machine is up");
        bytes
    }
}

fn sorted(mut names: Vec<OsString>) -> Vec<OsString> {
    names.sort();
    names
}

pub(crate) fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    // The umask applies to the mode at creation, not to this one.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn spawn(cmd: &Cmd) -> Result<Child, HostError> {
    let mut command = Command::new(&cmd.program);
    command.args(&cmd.args).env_clear().process_group(0);
    command.envs(std::env::vars_os().filter(|(name, _)| cmd.inherited.admits(name)));
    command.envs(cmd.env.iter().map(|(n, v)| (n, v)));
    command.envs(cmd.secret_env.iter().map(|(n, v)| (n, v.as_str())));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if cmd.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
    if let Some(dir) = &cmd.dir {
        command.current_dir(dir);
    }
    command.spawn().map_err(|source| match (source.kind(), &cmd.dir) {
        (io::ErrorKind::NotFound, Some(dir)) if !dir.is_dir() => HostError::Io { path: dir.clone(), source },
        (io::ErrorKind::NotFound, _) => HostError::NotFound { program: cmd.program.to_string_lossy().into_owned() },
        _ => HostError::Io { path: cmd.program.clone().into(), source },
    })
}

fn watch(mut child: Child, cmd: &Cmd, cancel: &Cancel, start: Instant, far: Option<&Frames>) -> io::Result<Output> {
    let stdout = child.stdout.take().map(|pipe| Tail::collect(within(far, Stream::Stdout, pipe), cmd, Stream::Stdout));
    let stderr = child.stderr.take().map(|pipe| Tail::collect(within(far, Stream::Stderr, pipe), cmd, Stream::Stderr));
    let (open, closed) = mpsc::channel::<()>();
    let open = far.map(|_| open);
    if let Some(mut pipe) = child.stdin.take() {
        let bytes = cmd.stdin.clone();
        thread::spawn(move || {
            // A command that does not read its stdin closes it: that is its choice, not an error here.
            let _ = pipe.write_all(&bytes);
            let _ = closed.recv();
        });
    }
    let group = Group::of(&child);
    let ended = group.watch_leader();
    let is_over = || far.is_some_and(Frames::are_over);
    let cut_short = wait(&ended, start, cmd.timeout, cancel, is_over);
    drop(open);
    match far {
        None => group.end(&ended, cut_short.is_some()),
        Some(far) => group.let_go(&ended, far, cut_short.is_some()),
    }
    let status = child.wait()?;
    let elapsed = start.elapsed();
    let (stdout, stdout_cut) = stdout.map_or((vec![], false), Tail::take);
    let (stderr, stderr_cut) = stderr.map_or((vec![], false), Tail::take);
    let status = cut_short.unwrap_or_else(|| ended_as(status));
    Ok(Output { status, stdout, stderr, cut: stdout_cut || stderr_cut, elapsed })
}

fn within(far: Option<&Frames>, stream: Stream, pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    match far {
        Some(far) => far.within(stream, Box::new(pipe)),
        None => Box::new(pipe),
    }
}

fn ended_as(status: ExitStatus) -> Status {
    match (status.code(), status.signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, signal) => Status::Signaled(signal.unwrap_or(0)),
    }
}

/// Waits for the leader's end, or until all is over. Returns why the wait was cut short, if it was.
fn wait(
    ended: &Receiver<()>,
    start: Instant,
    timeout: Duration,
    cancel: &Cancel,
    is_over: impl Fn() -> bool,
) -> Option<Status> {
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        match ended.recv_timeout(left.min(TICK)) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if is_over() => return None,
            Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => return Some(Status::Cancelled),
            Err(RecvTimeoutError::Timeout) if start.elapsed() >= timeout => return Some(Status::TimedOut),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// A command's process group. The leader is only reaped after the last signal, so the id cannot be another's.
#[derive(Clone, Copy)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(i32::try_from(child.id()).ok().and_then(Pid::from_raw))
    }

    /// Reports the leader's end without reaping it.
    fn watch_leader(self) -> Receiver<()> {
        let (report, ended) = mpsc::channel();
        thread::spawn(move || {
            if let Some(pid) = self.0 {
                while let Err(rustix::io::Errno::INTR) =
                    rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                {
                }
            }
            let _ = report.send(());
        });
        ended
    }

    /// Ends what is left of the group: a leader that was cut short gets TERM and a grace first.
    fn end(self, ended: &Receiver<()>, leader_runs: bool) {
        if leader_runs {
            self.signal(Signal::TERM);
            let _ = ended.recv_timeout(GRACE);
        }
        self.signal(Signal::KILL);
    }

    /// Ends a client whose stdin was closed, once the far end had its time to stop what runs there. What a client that
    /// ended by itself leaves behind is the way that the next one shares.
    fn let_go(self, ended: &Receiver<()>, far: &Frames, cut_short: bool) {
        if cut_short && far.has_begun() {
            wait(ended, Instant::now(), LET_GO, &Cancel::default(), || far.are_over());
        }
        if matches!(ended.recv_timeout(DRAIN), Err(RecvTimeoutError::Timeout)) {
            self.end(ended, true);
        }
    }

    fn signal(self, signal: Signal) {
        if let Some(pid) = self.0 {
            // The group may have no member left but the unreaped leader: nothing to do then.
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }
}

/// The end of a stream, collected by a thread of its own.
struct Tail {
    kept: Arc<Mutex<Kept>>,
    cap: usize,
    closed: Receiver<()>,
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    fn collect(pipe: impl Read + Send + 'static, cmd: &Cmd, stream: Stream) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (report, closed) = mpsc::channel();
        let (into, cap, on_line) = (Arc::clone(&kept), cmd.output_cap, cmd.on_line.clone());
        thread::spawn(move || {
            drain(pipe, &into, cap, &mut Lines { on_line, stream, pending: Vec::new() });
            let _ = report.send(());
        });
        Self { kept, cap, closed }
    }

    /// The bytes and whether any are missing. Something outside the group may hold the pipe open: then what came
    /// until now is what there is.
    fn take(self) -> (Vec<u8>, bool) {
        let closed = self.closed.recv_timeout(DRAIN).is_ok();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.trim(self.cap);
        (std::mem::take(&mut kept.bytes), kept.cut || !closed)
    }
}

fn drain(mut pipe: impl Read, into: &Mutex<Kept>, cap: usize, lines: &mut Lines) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..n], cap);
                lines.push(&buffer[..n]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    lines.finish();
}

impl Kept {
    /// Keeps the last `cap` bytes; at most twice that is held, so that the cost stays linear.
    fn push(&mut self, bytes: &[u8], cap: usize) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > cap.saturating_mul(2) {
            self.trim(cap);
        }
    }

    fn trim(&mut self, cap: usize) {
        let excess = self.bytes.len().saturating_sub(cap);
        if excess > 0 {
            self.bytes.drain(..excess);
            self.cut = true;
        }
    }
}

struct Lines {
    on_line: Option<OnLine>,
    stream: Stream,
    pending: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        let Some(on_line) = &self.on_line else { return };
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending.len() >= LINE_CAP {
                on_line(self.stream, String::from_utf8_lossy(&self.pending).trim_end_matches('\n'));
                self.pending.clear();
            }
        }
    }

    fn finish(&mut self) {
        if let Some(on_line) = self.on_line.as_ref().filter(|_| !self.pending.is_empty()) {
            on_line(self.stream, &String::from_utf8_lossy(&self.pending));
        }
    }
}
