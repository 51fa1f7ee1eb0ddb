//! Whether a host of the runner is healthy, and closed to the internet.
//!
//! [`examine`] makes every check in a thread of its own, bounded in time: one that hangs fails, and holds up no other. A
//! check looks by programs and files of the host, and judges what it saw by a pure function.
//!
//! **Invariant:** what could not be looked at, or said what is not understood, has failed: it is never taken for healthy.
//! **Invariant:** nothing on the host is changed but the empty directory that every start of sshd makes.
//!
//! | module | its checks |
//! |---|---|
//! | `tailscale` | `tailscale`, `serve` |
//! | `compose` | `compose` |
//! | `api` | `healthz`, `readyz` |
//! | `sshd` | `sshd` |
//! | `ports` | `port-audit` |
//! | `firewall` | `firewall` |
//! | `published` | `published-ports` |
//! | `disk` | `disk`, `inodes` |
//! | `units` | `failed-units` |
//! | `clock` | `clock` |

mod api;
mod clock;
mod compose;
mod disk;
mod firewall;
mod netfilter;
mod ports;
mod published;
mod sshd;
mod tailscale;
mod together;
mod units;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doctor::{Check, Level, Report};
use host::{Cancel, Cmd, Host, HostError, Local, Output};
use outcome::Failure;

use crate::together::{Work, together};

/// The directories of a host of the runner: what is deployed, how it is configured, what it keeps, what it says.
pub(crate) const DEPLOYED: &str = "/opt/ai-ops-runner";
pub(crate) const CONFIGURED: &str = "/etc/ai-ops-runner";
pub(crate) const STATE: &str = "/var/lib/ai-ops-runner";
pub(crate) const LOGS: &str = "/var/log/ai-ops-runner";

/// What is known of a host before anything is looked at.
#[derive(Debug, Clone)]
pub struct Site {
    /// The running program, by its path.
    pub program: PathBuf,
    /// Where the API is: as [`runner_client::Base::find`] has it.
    pub api: Option<String>,
}

/// What a check looks with.
struct Scene<'a> {
    host: &'a dyn Host,
    /// Set when there is no more time.
    cancel: &'a Cancel,
    site: &'a Site,
}

/// One thing that is looked at.
struct Probe {
    name: &'static str,
    look: fn(&Scene<'_>) -> Result<Check, Failure>,
}

/// In the order of the report.
const PROBES: [Probe; 13] = [
    Probe { name: tailscale::NAME, look: tailscale::tailscale },
    Probe { name: tailscale::SERVE, look: tailscale::serve },
    Probe { name: sshd::NAME, look: sshd::sshd },
    Probe { name: ports::NAME, look: ports::ports },
    Probe { name: firewall::NAME, look: firewall::firewall },
    Probe { name: published::NAME, look: published::published },
    Probe { name: compose::NAME, look: compose::compose },
    Probe { name: api::HEALTHZ, look: api::healthz },
    Probe { name: api::READYZ, look: api::readyz },
    Probe { name: disk::NAME, look: disk::disk },
    Probe { name: disk::INODES, look: disk::inodes },
    Probe { name: units::NAME, look: units::units },
    Probe { name: clock::NAME, look: clock::clock },
];

/// Makes the checks with these names, or all of them if there is no name, each within `patience`. What a check runs that
/// takes longer is killed.
///
/// # Errors
/// Usage, class `unknown-check`, for a name that no check has; infrastructure, class `interrupted`, when `cancel` said so.
pub fn examine<S: AsRef<str>>(site: Site, only: &[S], patience: Duration, cancel: &Cancel) -> Result<Report, Failure> {
    let site = Arc::new(site);
    let probes = doctor::only(Vec::from(PROBES), |probe| probe.name, only)?;
    let work = |probe: Probe| {
        let site = Arc::clone(&site);
        let look = move |cancel: &Cancel| {
            let host = Local::cancelled_by(cancel.clone());
            seen(probe.name, (probe.look)(&Scene { host: &host, cancel, site: &site }))
        };
        Work { name: probe.name, look: Box::new(look) }
    };
    Ok(Report::new(together(probes.into_iter().map(work).collect(), patience, cancel)?))
}

/// What was seen; what could not be seen has failed.
fn seen(name: &'static str, looked: Result<Check, Failure>) -> Check {
    looked.unwrap_or_else(|failure| Check::fail(name, failure.known_class(), failure.reason, failure.next))
}

/// Several things that one check looked at, as one: the worst of them, each told.
fn worst(name: &'static str, seen: Vec<Check>) -> Check {
    let level = seen.iter().map(|check| check.level).max().unwrap_or(Level::Fail);
    let seen: Vec<_> = seen.into_iter().filter(|check| check.level == level).collect();
    let messages: Vec<_> = seen.iter().map(|check| check.message.as_str()).collect();
    let message = messages.join("; ");
    match seen.first() {
        Some(first) => Check { name, level, class: first.class, message, next: first.next.clone() },
        None => Check::fail(name, "unseen", "nothing was seen", "report this"),
    }
}

/// What a program says that has to succeed, whole.
///
/// # Errors
/// Not ready: class `tool-missing` when it is not there, `unseen` when it fails or says too much.
fn told(host: &dyn Host, cmd: &Cmd) -> Result<String, Failure> {
    let output = host.run(cmd)?;
    if output.success() && !output.cut {
        return Ok(output.stdout_text());
    }
    Err(unseen(cmd, &how(&output)))
}

/// The same, where the program may not be there: then `None`.
fn told_if_there(host: &dyn Host, cmd: &Cmd) -> Result<Option<String>, Failure> {
    match host.run(cmd) {
        Err(HostError::NotFound { .. }) => Ok(None),
        Ok(output) if output.success() && !output.cut => Ok(Some(output.stdout_text())),
        Ok(output) => Err(unseen(cmd, &how(&output))),
        Err(error) => Err(error.into()),
    }
}

fn how(output: &Output) -> String {
    if output.success() && output.cut {
        return "it says more than 1 MiB".to_owned();
    }
    format!("{}: {}", output.status, output.stderr_text()).trim_end_matches([' ', ':']).to_owned()
}

fn unseen(cmd: &Cmd, why: &str) -> Failure {
    Failure::not_ready("unseen", format!("`{cmd}` does not tell: {why}"), "run it by hand, and mend what it says")
}

/// What only root is told.
///
/// # Errors
/// Not ready, class `not-root`, for anybody else.
fn root_alone(host: &dyn Host) -> Result<(), Failure> {
    if host.uid() == 0 {
        return Ok(());
    }
    Err(Failure::not_ready("not-root", "only root is told", "run it by sudo"))
}

#[cfg(test)]
mod testing {
    use std::sync::LazyLock;

    use super::*;

    static SITE: LazyLock<Site> =
        LazyLock::new(|| Site { program: "/usr/local/bin/openclaw-doctor".into(), api: None });

    /// What a check says of a host.
    pub(crate) fn looked(host: &dyn Host, name: &str) -> String {
        let probe = PROBES.into_iter().find(|probe| probe.name == name).unwrap();
        let scene = Scene { host, cancel: &Cancel::default(), site: &SITE };
        shown(&seen(probe.name, (probe.look)(&scene)))
    }

    /// With its class, that programs match on.
    pub(crate) fn shown(check: &Check) -> String {
        format!("{check}\n      class: {}", check.class)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::shown;

    #[test]
    fn the_worst_of_several_is_told_and_all_of_that_level() {
        let seen = vec![
            Check::pass("a", "one"),
            Check::warn("b", "w", "two", "do"),
            Check::fail("c", "f1", "three", "mend three"),
            Check::fail("d", "f2", "four", "mend four"),
        ];
        assert_snapshot!(shown(&worst("disk", seen)), @"
        FAIL: disk: three; four
              next: mend three
              class: f1
        ");
        assert_snapshot!(shown(&worst("disk", vec![Check::pass("a", "one"), Check::pass("b", "two")])), @"
        PASS: disk: one; two
              class: ok
        ");
        assert_snapshot!(shown(&worst("disk", vec![])), @"
        FAIL: disk: nothing was seen
              next: report this
              class: unseen
        ");
    }

    #[test]
    fn a_check_nobody_knows_is_wrong_usage_before_anything_is_looked_at() {
        let site = Site { program: "/doctor".into(), api: None };
        let failure = examine(site, &["tailscal"], Duration::ZERO, &Cancel::default()).unwrap_err();
        assert_snapshot!(failure.text(), @"
        unknown-check: there is no check `tailscal`
        next: choose among tailscale, serve, sshd, port-audit, firewall, published-ports, compose, healthz, readyz, disk, inodes, failed-units, clock
        ");
    }
}
