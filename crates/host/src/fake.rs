//! A stateful stand-in for a machine: files, variables and scripted commands. What it does not know it refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::{Cmd, Host, HostError, Kind, Output, Stat, Status};

type Script = Box<dyn Fn(&Cmd) -> Option<Result<Output, HostError>> + Send + Sync>;

/// A machine in memory. Build it with [`Fake::file`], [`Fake::variable`] and [`Fake::answer`], then read the
/// [`Fake::transcript`].
pub struct Fake {
    scripts: Vec<Script>,
    variables: BTreeMap<String, OsString>,
    uid: u32,
    now: SystemTime,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, (Stat, Vec<u8>)>,
    transcript: String,
    drawn: u8,
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// An empty machine: user 1000, the clock at 2026-01-01T00:00:00Z, random bytes that count up from 0.
    #[must_use]
    pub fn new() -> Self {
        Self {
            scripts: Vec::new(),
            variables: BTreeMap::new(),
            uid: 1000,
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
            state: Mutex::default(),
        }
    }

    /// Puts a file there, owned by `uid`.
    #[must_use]
    pub fn file(self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>, mode: u32, uid: u32) -> Self {
        self.entry(path.into(), Kind::File, bytes.into(), mode, uid)
    }

    /// Puts something there that is not a regular file.
    #[must_use]
    pub fn special(self, path: impl Into<PathBuf>, kind: Kind, uid: u32) -> Self {
        self.entry(path.into(), kind, Vec::new(), 0o777, uid)
    }

    /// Puts a symlink there that holds `target`. The machine does not say what is behind it.
    #[must_use]
    pub fn link(self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        let (target, uid) = (target.into().into_os_string().into_vec(), self.uid);
        self.entry(path.into(), Kind::Symlink, target, 0o777, uid)
    }

    fn entry(self, path: PathBuf, kind: Kind, bytes: Vec<u8>, mode: u32, uid: u32) -> Self {
        let stat = Stat { kind, mode, uid, len: bytes.len() as u64 };
        self.state().files.insert(path, (stat, bytes));
        self
    }

    /// Sets a variable of the program's environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Runs the program as this user.
    #[must_use]
    pub fn user(mut self, uid: u32) -> Self {
        self.uid = uid;
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, now: SystemTime) -> Self {
        self.now = now;
        self
    }

    /// Answers a command whose display starts with `call` by exiting with `code` and printing `stdout`.
    #[must_use]
    pub fn answer(self, call: &str, code: i32, stdout: impl Into<Vec<u8>>) -> Self {
        let (call, stdout) = (call.to_owned(), stdout.into());
        self.script(move |cmd| {
            cmd.to_string().starts_with(&call).then(|| {
                Ok(Output {
                    status: Status::Exited(code),
                    stdout: stdout.clone(),
                    stderr: vec![],
                    cut: false,
                    elapsed: Duration::ZERO,
                })
            })
        })
    }

    /// Lets `script` answer the commands it knows; the first script with an answer wins.
    #[must_use]
    pub fn script(
        mut self,
        script: impl Fn(&Cmd) -> Option<Result<Output, HostError>> + Send + Sync + 'static,
    ) -> Self {
        self.scripts.push(Box::new(script));
        self
    }

    /// What was done to the machine, a line each: commands, writes and removals.
    pub fn transcript(&self) -> String {
        self.state().transcript.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where links lead is the real machine's to say.
    fn refuse_links<'a>(&self, mut way: impl Iterator<Item = &'a Path>) -> Result<(), HostError> {
        let state = self.state();
        let target = |path: &Path| state.files.get(path).and_then(target);
        match way.find(|path| target(path).is_some()) {
            Some(link) => Err(HostError::Unscripted { asked: format!("what is behind {}", link.display()) }),
            None => Ok(()),
        }
    }

    fn note(&self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.state().transcript, "{line}");
    }
}

fn target((stat, bytes): &(Stat, Vec<u8>)) -> Option<PathBuf> {
    (stat.kind == Kind::Symlink).then(|| OsString::from_vec(bytes.clone()).into())
}

impl Host for Fake {
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError> {
        self.note(format_args!("run {cmd}"));
        let known = self.scripts.iter().find_map(|script| script(cmd));
        known.unwrap_or_else(|| Err(HostError::Unscripted { asked: cmd.to_string() }))
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        self.refuse_links(path.ancestors())?;
        Ok(self.state().files.get(path).map(|(_, bytes)| bytes.clone()))
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
        self.note(format_args!("write {} {mode:o} ({} bytes)", path.display(), bytes.len()));
        let stat = Stat { kind: Kind::File, mode, uid: self.uid, len: bytes.len() as u64 };
        self.state().files.insert(path.to_owned(), (stat, bytes.to_vec()));
        Ok(())
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, HostError> {
        Ok(self.state().files.get(path).map(|(stat, _)| *stat))
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.note(format_args!("remove {}", path.display()));
        self.state().files.remove(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Option<Vec<OsString>>, HostError> {
        self.refuse_links(dir.ancestors())?;
        let state = self.state();
        let found = state.files.get(dir).map(|(stat, _)| stat.kind);
        if found.is_some_and(|kind| kind != Kind::Dir) {
            return Err(HostError::Io { path: dir.to_owned(), source: io::ErrorKind::NotADirectory.into() });
        }
        let below = state.files.keys().filter_map(|path| path.strip_prefix(dir).ok()?.iter().next());
        let names: BTreeSet<OsString> = below.map(OsString::from).collect();
        Ok((found.is_some() || !names.is_empty()).then(|| names.into_iter().collect()))
    }

    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, HostError> {
        self.refuse_links(path.ancestors().skip(1))?;
        Ok(self.state().files.get(path).and_then(target))
    }

    fn env(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn uid(&self) -> u32 {
        self.uid
    }

    fn now(&self) -> SystemTime {
        self.now
    }

    fn random(&self, len: usize) -> Vec<u8> {
        let mut state = self.state();
        (0..len)
            .map(|_| {
                state.drawn = state.drawn.wrapping_add(1);
                state.drawn.wrapping_sub(1)
            })
            .collect()
    }
}
