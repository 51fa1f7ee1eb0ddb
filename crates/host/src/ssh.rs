//! Another machine, over the system's `ssh`.
//!
//! The far end needs what every Debian has: a POSIX sh, coreutils, findutils and util-linux.
//!
//! **Invariant:** a server whose key is not known is not spoken to: no key is accepted on first use.
//! **Invariant:** the exit code of ssh is never taken for that of the command: the far end says how the command ended,
//! within the frame that ends its output, or nobody knows.
//! **Invariant:** a command does not outlive the connection it was begun over, as the server there sees it.

mod far;
mod files;
mod frame;
mod target;

pub use target::{BadTarget, SshTarget};

pub(crate) use frame::Frames;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::local::GRACE;
use crate::{Cancel, Cmd, Host, HostError, Local, Output, Stat, Status};
use far::{End, Environment};

/// How long a connection may take, in seconds.
const CONNECT_SECONDS: u64 = 10;
/// How much later than the far end this end gives up.
const SLACK: Duration = Duration::from_secs(CONNECT_SECONDS + 2 * GRACE.as_secs() + 6);
/// The path of a socket is short, at most 104 bytes with what ssh adds; `TMPDIR` need not be.
const SHORT: &str = "/tmp";

/// What ssh is told whatever the user's own configuration says, which else holds.
const OPTIONS: [&str; 16] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "VerifyHostKeyDNS=no",
    "NoHostAuthenticationForLocalhost=no",
    "UpdateHostKeys=no",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "Tunnel=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "LogLevel=ERROR",
    "ControlMaster=auto",
    // The shared connection outlives a process that was killed by so many seconds.
    "ControlPersist=60",
];

/// What ssh, and a program that it reaches the server by, may need of this machine's environment.
const INHERITED: [&str; 4] = ["HOME", "LOGNAME", "SSH_AUTH_SOCK", "USER"];

/// Tells who we are, the time, and the environment.
const HELLO: &str = "id -u && date +%s.%N && exec env -0";

/// Variables that a shell makes for itself.
const OF_A_SHELL: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];

/// How to log in to a machine.
#[derive(Debug, Clone)]
pub struct Login {
    target: SshTarget,
    port: Option<u16>,
    identity: Option<PathBuf>,
    known_hosts: Option<String>,
}

impl Login {
    /// As `ssh TARGET` would, by the user's own keys, agent and configuration.
    #[must_use]
    pub fn to(target: SshTarget) -> Self {
        Self { target, port: None, identity: None, known_hosts: None }
    }

    /// At this port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// With the private key in this file, and no other key.
    #[must_use]
    pub fn identity(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity = Some(path.into());
        self
    }

    /// To a server with one of these keys, lines of a known-hosts file, instead of those that this machine knows.
    #[must_use]
    pub fn known_hosts(mut self, lines: impl Into<String>) -> Self {
        self.known_hosts = Some(lines.into());
        self
    }
}

/// Another machine, as the account that ssh logs in to. What a relative path is relative to is that account's home. A
/// command's `PATH` is the usual one of Debian, the other variables that it inherits are those that a login has there.
///
/// All of it shares one connection, which is closed when this is dropped. One that was lost is made anew by the next
/// call.
pub struct Ssh {
    login: Login,
    local: Local,
    dir: TempDir,
    uid: u32,
    variables: BTreeMap<OsString, OsString>,
    /// Its clock and ours, read at once.
    clocks: (SystemTime, SystemTime),
}

impl Ssh {
    /// Connects, and asks for the user, the environment and the time there. `cancel` ends the running
    /// command and refuses to start another.
    ///
    /// # Errors
    /// [`HostError::Unreachable`], [`HostError::HostKey`], or [`HostError::NotFound`] without a program `ssh`.
    pub fn connect(login: Login, cancel: Cancel) -> Result<Self, HostError> {
        let private = Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix("ssh-").permissions(private).tempdir_in(SHORT);
        let mut ssh = Self {
            login,
            local: Local::cancelled_by(cancel),
            dir: dir.map_err(HostError::io(SHORT))?,
            uid: 0,
            variables: BTreeMap::new(),
            clocks: (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH),
        };
        if let Some(lines) = &ssh.login.known_hosts {
            Local::new().write_atomic(&ssh.known_hosts(), lines.as_bytes(), 0o600)?;
        }
        ssh.say_hello()?;
        Ok(ssh)
    }

    fn say_hello(&mut self) -> Result<(), HostError> {
        let hello = Cmd::new("/bin/sh").args(["-c", HELLO]);
        let output = self.run_by(&self.local, &Environment::Login, &hello)?;
        let here = SystemTime::now();
        let heard = output.success().then(|| heard(&output.stdout)).flatten();
        let strange = || self.unreachable(format!("it did not say who and when it is: {}", output.status));
        let (uid, there, variables) = heard.ok_or_else(strange)?;
        (self.uid, self.variables, self.clocks) = (uid, variables, (there, here));
        Ok(())
    }

    fn known_hosts(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// The call of ssh, up to the target.
    fn client(&self) -> Result<Cmd, HostError> {
        let mut options: Vec<String> = OPTIONS.map(str::to_owned).into();
        options.push(format!("ConnectTimeout={CONNECT_SECONDS}"));
        options.push(format!("ControlPath={}/s", self.dir.path().display()));
        if self.login.known_hosts.is_some() {
            options.push(format!("UserKnownHostsFile={}", self.known_hosts().display()));
            options.push("GlobalKnownHostsFile=/dev/null".to_owned());
        }
        if let Some(port) = self.login.port {
            options.push(format!("Port={port}"));
        }
        if let Some(path) = &self.login.identity {
            options.push("IdentitiesOnly=yes".to_owned());
            options.push(format!("IdentityFile={}", value(path)?));
        }
        let options = options.iter().flat_map(|option| ["-o", option]);
        Ok(Cmd::new("ssh").inherit(&INHERITED).arg("-T").args(options))
    }

    fn run_by(&self, local: &Local, environment: &Environment, cmd: &Cmd) -> Result<Output, HostError> {
        let nonce = self.random_hex(16);
        let frames = Frames::new(&nonce);
        let input = far::input(cmd, environment, &nonce)?;
        let mut call = self.client()?.arg("--").arg(self.login.target.to_string()).arg(far::call());
        call = call.stdin(input).timeout(cmd.timeout.saturating_add(SLACK)).output_cap(cmd.output_cap);
        call.on_line.clone_from(&cmd.on_line);
        let output = local.run_for(&call, Some(&frames))?;
        Ok(Output { status: self.ended(cmd, &frames, output.status)?, ..output })
    }

    /// Runs a program that handles a file: what was begun with files can be ended also after a cancel, as on this
    /// machine.
    fn handle(&self, cmd: &Cmd) -> Result<Output, HostError> {
        self.run_by(&Local::new(), &self.environment(cmd), cmd)
    }

    /// How `cmd` ended, by the frame of its output and the end of ssh.
    fn ended(&self, cmd: &Cmd, frames: &Frames, of_ssh: Status) -> Result<Status, HostError> {
        let program = cmd.program.to_string_lossy();
        match (of_ssh, frames.end().map(|said| End::parse(&said))) {
            (Status::Cancelled, _) => Ok(Status::Cancelled),
            (_, Some(End::Ran(status))) => Ok(status),
            (_, Some(End::Missing)) => Err(HostError::NotFound { program: program.into_owned() }),
            (_, Some(End::Denied)) => Err(files::refused(&cmd.program, "Permission denied")),
            (_, Some(End::Nowhere)) => {
                let dir = cmd.dir.as_deref().unwrap_or(Path::new("."));
                Err(files::refused(dir, "there is no such directory, or it cannot be entered"))
            }
            // The far end has a clock of its own for it.
            (Status::TimedOut, _) if frames.has_begun() => Ok(Status::TimedOut),
            (_, Some(End::Broken)) => Err(self.unreachable(format!("the shell there did not run `{program}`"))),
            (_, None) if frames.has_begun() => {
                Err(self.unreachable(format!("the connection was lost while `{program}` ran there")))
            }
            (_, None) => Err(self.refused(&frames.before(), of_ssh)),
        }
    }

    /// Why nothing was begun, by what ssh or the login said.
    fn refused(&self, said: &str, status: Status) -> HostError {
        let changed = said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED");
        if changed || said.contains("Host key verification failed") {
            let reason = if changed { "it has another key than the known one" } else { "its key is not known" };
            return self.host_key(reason);
        }
        let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let own = format!("{}: ", self.login.target);
        let why = last.map(|line| line.strip_prefix(&own).unwrap_or(line));
        self.unreachable(why.map_or_else(|| format!("ssh: {status}"), str::to_owned))
    }

    fn unreachable(&self, reason: String) -> HostError {
        HostError::Unreachable { target: self.login.target.to_string(), reason }
    }

    fn host_key(&self, reason: &str) -> HostError {
        let port = self.login.port.map(|port| format!("-p {port} ")).unwrap_or_default();
        let scan = format!("ssh-keyscan {port}{}", self.login.target.host());
        HostError::HostKey { target: self.login.target.to_string(), reason: reason.to_owned(), scan }
    }

    /// The variables that a command sees, in the order that they are set.
    fn environment(&self, cmd: &Cmd) -> Environment {
        let inherited = self.variables.iter().filter(|(name, _)| cmd.inherited.admits(name));
        let plain = inherited.chain(cmd.env.iter().map(|(name, value)| (name, value)));
        let plain = plain.map(|(name, value)| (name.clone(), Zeroizing::new(value.as_bytes().to_vec())));
        let secret = cmd.secret_env.iter();
        let secret = secret.map(|(name, value)| (name.clone(), Zeroizing::new(value.as_bytes().to_vec())));
        Environment::Only(plain.chain(secret).collect())
    }
}

/// Ends the shared connection, and by that whatever still runs over it.
impl Drop for Ssh {
    fn drop(&mut self) {
        if let Ok(client) = self.client() {
            let exit = client.args(["-O", "exit", "--"]).arg(self.login.target.to_string());
            drop(Local::new().run(&exit.timeout(GRACE)));
        }
    }
}

/// A path as ssh reads it in an option, where blanks split words and some characters have a meaning.
fn value(path: &Path) -> Result<String, HostError> {
    let text = path.to_str().filter(|text| !text.contains(['"', '\\', '$']) && !text.contains(char::is_control));
    let text = text.ok_or_else(|| files::refused(path, "ssh takes no such path in an option"))?;
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

/// What a login tells of itself: user, time, environment.
fn heard(stdout: &[u8]) -> Option<(u32, SystemTime, BTreeMap<OsString, OsString>)> {
    let mut parts = stdout.splitn(3, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(parts.next()?).ok();
    let uid = line()?.parse().ok()?;
    let (seconds, nanos) = line()?.split_once('.')?;
    let since = Duration::new(seconds.parse().ok()?, nanos.parse().ok()?);
    let words = parts.next()?.split(|byte| *byte == 0).filter_map(|word| {
        let at = word.iter().position(|byte| *byte == b'=')?;
        Some((OsString::from_vec(word[..at].to_vec()), OsString::from_vec(word[at + 1..].to_vec())))
    });
    let own = words.filter(|(name, _)| far::is_name(name) && !OF_A_SHELL.iter().any(|of_a_shell| name == of_a_shell));
    let mut variables: BTreeMap<_, _> = own.collect();
    variables.insert("PATH".into(), far::PATH.into());
    Some((uid, SystemTime::UNIX_EPOCH + since, variables))
}

impl Host for Ssh {
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError> {
        self.run_by(&self.local, &self.environment(cmd), cmd)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        files::read(&|cmd| self.handle(cmd), path)
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
        files::write_atomic(&|cmd| self.handle(cmd), path, bytes, mode, &self.random_hex(4))
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, HostError> {
        files::stat(&|cmd| self.handle(cmd), path)
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        files::remove(&|cmd| self.handle(cmd), path)
    }

    fn list(&self, dir: &Path) -> Result<Option<Vec<OsString>>, HostError> {
        files::list(&|cmd| self.handle(cmd), dir)
    }

    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, HostError> {
        files::follow(&|cmd| self.handle(cmd), path)
    }

    fn env(&self, name: &str) -> Option<OsString> {
        self.variables.get(OsStr::new(name)).cloned()
    }

    fn uid(&self) -> u32 {
        self.uid
    }

    /// To about a second.
    fn now(&self) -> SystemTime {
        let (there, here) = self.clocks;
        match SystemTime::now().duration_since(here) {
            Ok(since) => there + since,
            Err(set_back) => there - set_back.duration(),
        }
    }

    fn random(&self, len: usize) -> Vec<u8> {
        self.local.random(len)
    }
}
