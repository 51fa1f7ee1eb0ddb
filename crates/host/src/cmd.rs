//! A program call as data, and what came of it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

/// Variables that hold a secret of these programs or lead to one. A program gets only the one that it needs.
pub const SECRETS: &[&str] = &["OPENAI_API_KEY", "CODEX_API_KEY", "CREDENTIALS_DIRECTORY", "TAILSCALE_AUTHKEY"];

/// Which output stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Called with every complete line of output while the command runs.
pub(crate) type OnLine = Arc<dyn Fn(Stream, &str) + Send + Sync>;

/// One program call: an argument vector, never a shell string, in an environment that holds only what is named here.
#[derive(Clone)]
pub struct Cmd {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) secret_env: Vec<(OsString, Zeroizing<String>)>,
    pub(crate) inherited: Inherited,
    pub(crate) stdin: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) output_cap: usize,
    pub(crate) on_line: Option<OnLine>,
}

/// Which variables of the parent's environment a command sees.
#[derive(Debug, Clone)]
pub(crate) enum Inherited {
    Only(Vec<OsString>),
    AllBut(Vec<OsString>),
}

impl Inherited {
    pub(crate) fn admits(&self, name: &OsStr) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|n| n == name),
            Self::AllBut(names) => !names.iter().any(|n| n == name),
        }
    }
}

impl Cmd {
    /// A call of `program`, looked up on `PATH` unless it contains a slash. Of the parent's environment it sees
    /// `PATH` alone; it has an empty stdin, a minute's time and keeps the last MiB of each output stream.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            dir: None,
            env: Vec::new(),
            secret_env: Vec::new(),
            inherited: Inherited::Only(vec!["PATH".into()]),
            stdin: Vec::new(),
            timeout: Duration::from_secs(60),
            output_cap: 1 << 20,
            on_line: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs in `dir`.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets a variable whose value is never shown.
    #[must_use]
    pub fn secret_env(mut self, name: impl Into<OsString>, value: Zeroizing<String>) -> Self {
        self.secret_env.push((name.into(), value));
        self
    }

    /// Also passes these variables of the parent's environment on, where they are set.
    #[must_use]
    pub fn inherit(mut self, names: &[&str]) -> Self {
        let names = names.iter().map(OsString::from);
        match &mut self.inherited {
            Inherited::Only(only) => only.extend(names),
            Inherited::AllBut(but) => {
                let names: Vec<_> = names.collect();
                but.retain(|n| !names.contains(n));
            }
        }
        self
    }

    /// Passes the parent's whole environment on, except these variables; [`SECRETS`] belong among them.
    #[must_use]
    pub fn inherit_all_but(mut self, names: &[&str]) -> Self {
        self.inherited = Inherited::AllBut(names.iter().map(OsString::from).collect());
        self
    }

    /// Gives the command these bytes on stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Kills the command's process group after this time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps at most this many bytes of each output stream: the last ones.
    #[must_use]
    pub fn output_cap(mut self, bytes: usize) -> Self {
        self.output_cap = bytes;
        self
    }

    /// Calls `on_line` with every line as it is written, lossily decoded, lines over 8 KiB in pieces.
    #[must_use]
    pub fn on_line(mut self, on_line: impl Fn(Stream, &str) + Send + Sync + 'static) -> Self {
        self.on_line = Some(Arc::new(on_line));
        self
    }

    /// The program as it was named.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The arguments, without the program.
    pub fn arguments(&self) -> &[OsString] {
        &self.args
    }

    /// The directory it runs in, if one was named.
    pub fn directory(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// The bytes on stdin.
    pub fn input(&self) -> &[u8] {
        &self.stdin
    }

    /// The value a variable was set to, secret or not.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let plain = self.env.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_os_str());
        plain.or_else(|| self.secret_env.iter().rev().find(|(n, _)| n == name).map(|(_, v)| OsStr::new(v.as_str())))
    }
}

/// The call as a person would type it; no secret and nothing of stdin is in it.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", quoted(&self.program))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

impl fmt::Debug for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<_> = self.secret_env.iter().map(|(name, _)| (name, "…")).collect();
        f.debug_struct("Cmd")
            .field("call", &self.to_string())
            .field("dir", &self.dir)
            .field("env", &self.env)
            .field("secret_env", &secrets)
            .field("inherited", &self.inherited)
            .field("stdin", &format_args!("{} bytes", self.stdin.len()))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn quoted(word: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let word = word.to_string_lossy();
    if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("{word:?}") }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it.
    Signaled(i32),
    /// It was killed at its time limit.
    TimedOut,
    /// It was killed because the program was asked to stop.
    Cancelled,
}

/// What a command left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: Status,
    /// The end of its standard output, at most the command's cap.
    pub stdout: Vec<u8>,
    /// The end of its standard error, at most the command's cap.
    pub stderr: Vec<u8>,
    /// Something was cut from the start of a stream, or a stream was still held open after the end.
    pub cut: bool,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Output {
    /// It exited with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == Status::Exited(0)
    }

    /// Its standard output as text, lossily decoded and trimmed.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Its standard error as text, lossily decoded and trimmed.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Signaled(signal) => write!(f, "signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}
