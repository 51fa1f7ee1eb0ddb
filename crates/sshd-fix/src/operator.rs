//! How the person who runs this got here.
//!
//! It is told by the kernel: of the processes above this one, which of them is an sshd, and where the connection that it
//! holds leads. Variables such as `SSH_CONNECTION` are whatever somebody set, and sudo takes them away.

use std::collections::BTreeSet;
use std::fmt;

use host::Host;
use outcome::Failure;

use crate::table::{Connection, Table};
use crate::units::main_process;

/// More than any real tree of processes has, to end on one that cannot be.
const DEEP: usize = 128;
/// What serves a connection: the second since OpenSSH 9.8.
const SERVERS: [&str; 2] = ["sshd", "sshd-session"];
const TAILSCALED: &str = "tailscaled.service";

/// How the operator got here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// No connection leads here: a console, a unit, or a terminal that outlived its connection.
    Local,
    /// Through sshd.
    Ssh {
        /// Its ends.
        connection: Connection,
        /// The processes between the operator and the first one.
        through: BTreeSet<u32>,
    },
    /// Through the tailnet's own SSH, which never gets to sshd.
    TailscaleSsh {
        /// When the session began, in clock ticks since the boot.
        began: u64,
    },
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("on this machine, through no connection"),
            Self::Ssh { connection, .. } => {
                write!(f, "through sshd, from {} to {}", connection.peer.ip(), connection.local)
            }
            Self::TailscaleSsh { .. } => f.write_str("through Tailscale SSH"),
        }
    }
}

/// A process above this one.
struct Process {
    pid: u32,
    parent: u32,
    began: u64,
}

/// How the operator got here, where sshd listens on `ports`.
///
/// # Errors
/// Not ready, class `operator-unknown`, when it cannot be told.
pub(crate) fn operator(host: &dyn Host, table: &Table, ports: &BTreeSet<u16>) -> Result<Operator, Failure> {
    let above = above(host)?;
    let through: BTreeSet<u32> = above.iter().map(|process| process.pid).collect();
    let tailscaled = main_process(host, TAILSCALED)?;
    if let Some(session) = above.iter().find(|process| Some(process.parent) == tailscaled) {
        return Ok(Operator::TailscaleSsh { began: session.began });
    }
    let mut servers = 0;
    for process in &above {
        if !is_sshd(host, process.pid)? {
            continue;
        }
        servers += 1;
        let held = sockets(host, process.pid)?.into_iter().filter_map(|inode| table.connection(inode));
        if let Some(connection) = held.into_iter().find(|connection| ports.contains(&connection.local.port())) {
            return Ok(Operator::Ssh { connection, through });
        }
    }
    if servers == 0 {
        Ok(Operator::Local)
    } else {
        Err(unknown("an sshd above this process holds no connection to its port"))
    }
}

/// When a process began, in clock ticks since the boot; `None` for one that is gone.
///
/// # Errors
/// As [`operator`].
pub(crate) fn began(host: &dyn Host, pid: u32) -> Result<Option<u64>, Failure> {
    Ok(process(host, &pid.to_string())?.map(|process| process.began))
}

/// The sockets that a process has open, by inode.
///
/// # Errors
/// As [`operator`].
pub(crate) fn sockets(host: &dyn Host, pid: u32) -> Result<Vec<u64>, Failure> {
    let dir = std::path::PathBuf::from(format!("/proc/{pid}/fd"));
    let mut inodes = Vec::new();
    for name in host.list(&dir)?.unwrap_or_default() {
        let target = host.follow(&dir.join(name))?;
        let inode: Option<u64> = target
            .as_deref()
            .and_then(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inodes.extend(inode);
    }
    Ok(inodes)
}

fn above(host: &dyn Host) -> Result<Vec<Process>, Failure> {
    let mut above: Vec<Process> = Vec::new();
    let mut next = "self".to_owned();
    while above.len() < DEEP {
        let process = process(host, &next)?.ok_or_else(|| unknown(&format!("process {next} ended meanwhile")))?;
        next = process.parent.to_string();
        let top = process.pid == 1 || process.parent == 0;
        above.push(process);
        if top {
            return Ok(above);
        }
    }
    Err(unknown("there is no end of processes above this one"))
}

/// `/proc/PID/stat`: a name in parentheses, which may hold any byte, then fields by number (`proc_pid_stat(5)`).
fn process(host: &dyn Host, pid: &str) -> Result<Option<Process>, Failure> {
    let Some(bytes) = host.read(format!("/proc/{pid}/stat").as_ref())? else { return Ok(None) };
    let stat = String::from_utf8_lossy(&bytes);
    let parsed = || {
        let (head, tail) = stat.rsplit_once(") ")?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        let mut fields = tail.split_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        // The 22nd of all, which is the 18th after the parent.
        let began = fields.nth(17)?.parse().ok()?;
        Some(Process { pid, parent, began })
    };
    parsed().map(Some).ok_or_else(|| unknown(&format!("/proc/{pid}/stat is not understood")))
}

/// Its program is one of OpenSSH's, which may have been replaced since it began.
fn is_sshd(host: &dyn Host, pid: u32) -> Result<bool, Failure> {
    // Threads of the kernel have no program.
    let program = host.follow(format!("/proc/{pid}/exe").as_ref())?;
    let program = program.as_deref().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
    Ok(SERVERS.contains(&program.rsplit('/').next().unwrap_or(program)))
}

fn unknown(why: &str) -> Failure {
    Failure::not_ready(
        "operator-unknown",
        format!("it cannot be told how you got here: {why}"),
        "run it as root, in a shell that you logged in to by SSH or at the console",
    )
}
