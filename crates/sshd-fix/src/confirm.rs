//! Whether the operator may confirm a change: only who came in by the new way has shown that it is there.

use std::net::IpAddr;
use std::path::Path;

use host::{Cmd, Host};
use outcome::Failure;
use plan::{Step, restore};
use serde::Deserialize;

use crate::act::is_in_place;
use crate::journal::{self, Journal};
use crate::operator::{Operator, began, operator};
use crate::paths::{CONFIRMED, PENDING};
use crate::steps::disarm;
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
            return Err(not(
                "no-connection",
                "you are on this machine and came through no connection (tmux and screen hide it)",
            ));
        }
        Operator::TailscaleSsh { began } if *began > arrival.server_began => return Ok(()),
        Operator::TailscaleSsh { .. } => return Err(not("old-connection", "your session is older than the change")),
        Operator::Ssh { connection, through } => (connection, through),
    };
    let peer = connection.peer.ip();
    let local = IpAddr::V4(*journal.wanted.ip());
    if connection.local.ip() != local || connection.local.port() != journal.wanted.port() {
        return Err(not("another-way", &format!("you came in at {} and not at {}", connection.local, journal.wanted)));
    }
    if !through.contains(&arrival.server) {
        return Err(not("old-connection", "your connection is older than the change"));
    }
    if peer == local || arrival.own.contains(&peer) {
        return Err(not("from-here", "you came in from this machine itself"));
    }
    if arrival.leaves_by.as_ref() != Some(&journal.interface) {
        let by = arrival.leaves_by.as_deref().unwrap_or("no interface");
        let reason = format!("you came in from {peer}, which is reached by {by} and not by {}", journal.interface);
        return Err(not("not-the-tailnet", &reason));
    }
    Ok(())
}

fn not(class: &'static str, why: &str) -> Failure {
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
    let journal = journal::read(host, PENDING)?.ok_or_else(|| {
        Failure::refused("nothing-pending", "no change waits to be confirmed", "see: sshd-fix status")
    })?;
    if !is_in_place(host, &journal)? {
        let reason = format!("sshd does not listen at {} and nowhere else", journal.wanted);
        return Err(Failure::refused("not-in-place", reason, "see: port-audit, or put it back by: sshd-fix rollback"));
    }
    judge(&arrival(host, &journal)?, &journal)?;
    // What systemd wrote has to be on the disk before nothing puts it back any more.
    let synced = host.run(&Cmd::new("sync"))?;
    if !synced.success() {
        return Err(Failure::infrastructure("sync", synced.stderr_text(), "look at the disk, then confirm again"));
    }
    host.write_atomic(Path::new(CONFIRMED), journal.text().as_bytes(), 0o600)?;
    restore(host, &disarm(), announce).map_err(|broken| {
        let reasons: Vec<_> = broken.iter().map(ToString::to_string).collect();
        Failure::infrastructure("not-disarmed", reasons.join("; "), "see: sshd-fix status, and confirm again")
    })?;
    Ok(journal)
}

fn arrival(host: &dyn Host, journal: &Journal) -> Result<Arrival, Failure> {
    let gone = || Failure::refused("not-in-place", "sshd ended meanwhile", "see: systemctl status sshd");
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
