//! One run of a program: how long it takes, and the most memory it holds.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use outcome::Failure;

use crate::workshop::unusable;

/// A program to be run again and again in one place, its output thrown away, with nothing of the user's configuration.
pub(super) struct Run {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) dir: PathBuf,
    /// A file with what it reads.
    pub(super) stdin: Option<PathBuf>,
    /// What is run before each time, without being measured.
    pub(super) before: Option<Box<Run>>,
}

impl Run {
    pub(super) fn new(program: impl Into<PathBuf>, dir: impl Into<PathBuf>, args: &[&str]) -> Self {
        let args = args.iter().map(OsString::from).collect();
        Self { program: program.into(), args, dir: dir.into(), stdin: None, before: None }
    }

    /// The same, with `before` run before each time, without being measured.
    pub(super) fn after(self, before: Self) -> Self {
        Self { before: Some(Box::new(before)), ..self }
    }

    /// The wall time from before the start to after the end.
    ///
    /// # Errors
    /// Why it could not be started, or how it ended when not with exit code 0.
    pub(super) fn time(&self) -> Result<Duration, String> {
        self.before.as_ref().map(|before| before.time()).transpose()?;
        let mut command = self.command(Command::new(&self.program))?;
        command.args(&self.args).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status().map_err(|e| format!("{}: {e}", self.program.display()))?;
        let elapsed = start.elapsed();
        if status.success() { Ok(elapsed) } else { Err(format!("{}: {status}", self.program.display())) }
    }

    /// The most memory that it or a child of it held, and the time of processors that they took.
    ///
    /// # Errors
    /// Why it could not be run.
    pub(super) fn usage(&self) -> Result<Usage, String> {
        self.before.as_ref().map(|before| before.time()).transpose()?;
        let this = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = self.command(Command::new(this))?;
        command.args(["bench", "peak", "--"]).arg(&self.program).args(&self.args).stderr(Stdio::null());
        let output = command.output().map_err(|e| e.to_string())?;
        Usage::parse(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| "its memory could not be measured".into())
    }

    fn command(&self, mut command: Command) -> Result<Command, String> {
        let stdin = match &self.stdin {
            Some(path) => File::open(path).map_err(|e| format!("{}: {e}", path.display()))?.into(),
            None => Stdio::null(),
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.current_dir(&self.dir).stdin(stdin).env_clear().env("PATH", path).env("HOME", &self.dir);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        Ok(command)
    }
}

/// What a program took.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    /// Never less than what this program itself holds, since a child begins as a copy of it.
    pub(super) peak_kib: u64,
    pub(super) cpu: Duration,
}

impl Usage {
    fn parse(text: &str) -> Option<Self> {
        let (peak, cpu) = text.trim().split_once(' ')?;
        Some(Self { peak_kib: peak.parse().ok()?, cpu: Duration::from_micros(cpu.parse().ok()?) })
    }
}

/// Runs `argv` with this program's standard input and prints what its children took: the peak in KiB and the time of
/// processors in microseconds.
pub(super) fn peak(argv: &[OsString]) -> Result<(), Failure> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| Failure::usage("no-program", "no program", "name one"))?;
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    let status = status.map_err(|e| unusable(program.as_ref(), &e))?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| Failure::bug("rusage", e.to_string(), "report it"))?;
    if !status.success() {
        return Err(Failure::refused("program", status.to_string(), "see its message"));
    }
    // macOS counts bytes, Linux KiB (getrusage(2) of each).
    let unit = if cfg!(target_os = "macos") { 1024 } else { 1 };
    let cpu = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    println!("{} {}", usage.max_rss() / unit, cpu.iter().sum::<i64>());
    Ok(())
}
