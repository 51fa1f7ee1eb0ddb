//! Whether the operator may confirm a change: only who came in by the new way has shown that it is there.

use std::net::IpAddr;
use std::path::Path;

use host::{Cmd, Host};
use outcome::Failure;
use plan::Step;
use serde::Deserialize;

use crate::act::{is_in_place, take_away, waiting};
use crate::journal::{self, Journal};
use crate::operator::{Operator, began, operator};
use crate::paths::CONFIRMED;
use crate::table;
use crate::units::main_process;

/// What is seen of the connection that somebody confirms over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// How they got here.
    pub operator: Operator,
    /// The sshd that listens now: after the change it is another process than before.
    pub server: u32,
    /// When it began, in clock ticks since the boot.
    pub server_began: u64,
    /// The interface that answers to the other end leave by.
    pub leaves_by: Option<String>,
    /// This machine's own addresses.
    pub own: Vec<IpAddr>,
}

/// Whether that connection is a new one that came in over the tailnet.
///
/// # Errors
/// Refused, with why it is not.
pub fn judge(arrival: &Arrival, journal: &Journal) -> Result<(), Failure> {
    let (connection, through) = match &arrival.operator {
        Operator::Local => {
            return Err(unproven(
                "no-connection",
                "you are on this machine and came through no connection (tmux, screen, mosh and systemd-run hide it)",
            ));
        }
        Operator::TailscaleSsh { began } if *began > arrival.server_began => return Ok(()),
        Operator::TailscaleSsh { .. } => {
            return Err(unproven("old-connection", "your session is older than the change"));
        }
        Operator::Ssh { connection, through } => (connection, through),
    };
    let peer = connection.peer.ip();
    let local = IpAddr::V4(*journal.wanted.ip());
    if connection.local.ip() != local || connection.local.port() != journal.wanted.port() {
        return Err(unproven(
            "another-way",
            &format!("you came in at {} and not at {}", connection.local, journal.wanted),
        ));
    }
    if !through.contains(&arrival.server) {
        return Err(unproven("old-connection", "your connection is older than the change"));
    }
    if arrival.own.contains(&peer) {
        return Err(unproven("from-here", "you came in from this machine itself"));
    }
    if arrival.leaves_by.as_ref() != Some(&journal.interface) {
        let by = arrival.leaves_by.as_deref().unwrap_or("no interface");
        let reason = format!("you came in from {peer}, which is reached by {by} and not by {}", journal.interface);
        return Err(unproven("not-the-tailnet", &reason));
    }
    Ok(())
}

fn unproven(class: &'static str, why: &str) -> Failure {
    Failure::refused(
        class,
        format!("this does not show that the new way in works: {why}"),
        "from another machine of the tailnet log in anew by SSH, and run there: sudo sshd-fix confirm",
    )
}

/// Makes a change stay.
///
/// # Errors
/// Refused when nothing waits, when sshd is not as the change left it, and as [`judge`] says.
pub fn confirm(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<Journal, Failure> {
    let journal = waiting(host)?;
    if !is_in_place(host, &journal)? {
        return Err(not_in_place(&journal));
    }
    judge(&arrival(host, &journal)?, &journal)?;
    // What systemd wrote has to be on the disk before nothing puts it back any more.
    let synced = host.run(&Cmd::new("sync"))?;
    if !synced.success() {
        return Err(Failure::infrastructure("sync", synced.stderr_text(), "look at the disk, then confirm again"));
    }
    let kept = journal::read(host, CONFIRMED)?;
    let confirmed = further(journal.clone(), kept);
    host.write_atomic(Path::new(CONFIRMED), confirmed.text().as_bytes(), 0o600)?;
    take_away(host, announce)?;
    Ok(journal)
}

/// What was confirmed before, where this change was made to it, leads back to what was there first.
fn further(journal: Journal, kept: Option<Journal>) -> Journal {
    match kept {
        Some(first) if journal.again => {
            Journal { wanted: journal.wanted, interface: journal.interface, again: false, ..first }
        }
        _ => Journal { again: false, ..journal },
    }
}

fn not_in_place(journal: &Journal) -> Failure {
    let reason = format!("sshd does not listen at {} and nowhere else", journal.wanted);
    Failure::refused("not-in-place", reason, "see: port-audit, or put it back by: sshd-fix rollback")
}

fn arrival(host: &dyn Host, journal: &Journal) -> Result<Arrival, Failure> {
    let gone = || not_in_place(journal);
    let server = main_process(host, &journal.service)?.ok_or_else(gone)?;
    let operator = operator(host, &table::read(host)?, &journal.ports())?;
    let leaves_by = match &operator {
        Operator::Ssh { connection, .. } => route(host, connection.peer.ip(), connection.local.ip())?,
        _ => None,
    };
    let own = crate::facts::interfaces(host)?.into_iter().map(|(_, address)| address).collect();
    Ok(Arrival { operator, server, server_began: began(host, server)?.ok_or_else(gone)?, leaves_by, own })
}

#[derive(Deserialize)]
struct Route {
    dev: Option<String>,
}

/// The interface by which answers get from here to there.
fn route(host: &dyn Host, to: IpAddr, from: IpAddr) -> Result<Option<String>, Failure> {
    let cmd = Cmd::new("ip").args(["-json", "route", "get", &to.to_string(), "from", &from.to_string()]);
    let output = host.run(&cmd)?;
    if !output.success() {
        return Ok(None);
    }
    let routes: Vec<Route> = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::not_ready("route", format!("`{cmd}`: {error}"), "install iproute2 4.10 or later"))?;
    Ok(routes.into_iter().find_map(|route| route.dev))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::SCHEMA;

    fn journal(wanted: &str, before: &str, again: bool) -> Journal {
        Journal {
            schema: SCHEMA,
            service: "ssh.service".into(),
            sockets: vec![],
            listened: vec![],
            wanted: wanted.parse().expect("an address"),
            interface: "tailscale0".into(),
            within_s: 600,
            before: [before.parse().expect("an address")].into(),
            again,
            files: vec![],
            units: vec![],
        }
    }

    #[test]
    fn what_was_there_first_is_what_leads_back() {
        let first = journal("100.64.0.1:22", "0.0.0.0:22", false);
        let moved = journal("100.64.0.7:22", "100.64.0.1:22", true);
        assert_eq!(further(moved.clone(), Some(first.clone())), journal("100.64.0.7:22", "0.0.0.0:22", false));
        assert_eq!(further(moved, None), journal("100.64.0.7:22", "100.64.0.1:22", false));
        let anew = journal("100.64.0.7:22", "203.0.113.1:22", false);
        assert_eq!(further(anew.clone(), Some(first)), anew);
    }
}
