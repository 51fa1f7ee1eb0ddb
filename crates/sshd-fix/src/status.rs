//! What a person wants to know in between.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use host::{Cmd, Host};
use outcome::Failure;
use serde::Serialize;

use crate::decide::{Decision, plan};
use crate::facts::{Facts, observe};
use crate::paths::TIMER;
use crate::table::listed;

/// How it stands with sshd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Status {
    /// None runs here.
    NoSshd,
    /// It listens on the tailnet alone, and will.
    LockedDown {
        /// Where.
        at: SocketAddrV4,
    },
    /// It does so until the time is over.
    Pending {
        /// Where.
        at: SocketAddrV4,
        /// Where it will listen again.
        before: Vec<SocketAddr>,
        /// How many seconds are left; `None` when the timer does not run.
        left_s: Option<u64>,
    },
    /// It is not as `apply` would have it.
    Open {
        /// Where its ports are listened at.
        at: Vec<SocketAddr>,
        /// Why it cannot be changed, where that is so.
        reason: Option<String>,
    },
}

/// Looks at a host and says how it stands with sshd there; `program` is the running program's own path.
///
/// # Errors
/// As [`status`] and [`left`].
pub fn look(host: &dyn Host, program: &Path) -> Result<Status, Failure> {
    let facts = observe(host, program);
    let left = match &facts.pending {
        Ok(Some(pending)) => left(host, pending.within_s)?,
        _ => None,
    };
    status(&facts, left)
}

/// How it stands with sshd on the host of these facts; `left_s` is what [`left`] says.
///
/// # Errors
/// When it was not seen.
pub fn status(facts: &Facts, left_s: Option<u64>) -> Result<Status, Failure> {
    if let Some(pending) = facts.pending.clone()? {
        let before = pending.before.into_iter().collect();
        return Ok(Status::Pending { at: pending.wanted, before, left_s });
    }
    let open = |reason| {
        let at = match facts.sshd.as_ref() {
            Ok(Some(sshd)) => facts.listeners(sshd).unwrap_or_default(),
            _ => BTreeSet::new(),
        };
        Status::Open { at: at.into_iter().collect(), reason }
    };
    facts.table.clone()?;
    Ok(match plan(facts, Duration::from_mins(1)) {
        Ok(Decision::NoSshd) => Status::NoSshd,
        Ok(Decision::Right(at)) => Status::LockedDown { at },
        Ok(Decision::Change(_)) => open(None),
        Err(failure) => open(Some(failure.reason)),
    })
}

/// How many seconds are left until a change of `within_s` is put back; `None` when nothing counts them.
///
/// # Errors
/// When systemd does not tell.
pub fn left(host: &dyn Host, within_s: u64) -> Result<Option<u64>, Failure> {
    let property = "--property=ActiveState,ActiveEnterTimestampMonotonic";
    let shown = host.run(&Cmd::new("systemctl").args(["show", property, TIMER]))?;
    if !shown.success() {
        let reason = format!("systemd does not tell of {TIMER}: {}", shown.status);
        return Err(Failure::infrastructure("systemd", reason, "ask again: sshd-fix status"));
    }
    let shown = shown.stdout_text();
    let of = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name));
    let since = of("ActiveEnterTimestampMonotonic=").and_then(|micros| micros.parse().ok()).map(Duration::from_micros);
    let (Some("active"), Some(since)) = (of("ActiveState="), since) else { return Ok(None) };
    let uptime = host.read("/proc/uptime".as_ref())?.unwrap_or_default();
    let uptime: Option<f64> =
        String::from_utf8_lossy(&uptime).split_whitespace().next().and_then(|word| word.parse().ok());
    let passed = uptime.map(|uptime| Duration::from_secs_f64(uptime).saturating_sub(since).as_secs());
    Ok(passed.map(|passed| within_s.saturating_sub(passed)))
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSshd => f.write_str("no-sshd: no sshd runs here, and none would at the next boot"),
            Self::LockedDown { at } => write!(f, "locked-down: sshd listens at {at} and nowhere else"),
            Self::Pending { at, before, left_s } => {
                write!(f, "pending: sshd listens at {at}; ")?;
                match left_s {
                    Some(left) => write!(f, "in {left} s it listens again at {}", listed(before))?,
                    None => write!(f, "no time runs, at the next boot it listens again at {}", listed(before))?,
                }
                f.write_str("\nnext: log in anew over the tailnet and run: sudo sshd-fix confirm")
            }
            Self::Open { at, reason } => {
                write!(f, "open: the ports of sshd are listened at: {}", listed(at))?;
                match reason {
                    None => f.write_str("\nnext: sudo sshd-fix plan"),
                    Some(reason) => write!(f, "\nit cannot be changed: {reason}"),
                }
            }
        }
    }
}
