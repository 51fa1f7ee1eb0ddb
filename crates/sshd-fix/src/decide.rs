//! From what is seen to what is done: pure.
//!
//! **Invariant:** nothing in use is changed before sshd itself said of the whole new configuration that it listens at the
//! tailnet's address and nowhere else, and before the way back is armed.
//! **Invariant:** whatever was not seen refuses.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use outcome::Failure;

use crate::facts::{Facts, Sshd};
use crate::paths::NOT_TO_BE_RUN;
use crate::refusals::Refusals;
use crate::steps::{Change, Wanted};

/// What is to be done about sshd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, since no sshd runs here or would at the next boot.
    NoSshd,
    /// Nothing, since it is as it should be.
    Right(SocketAddrV4),
    /// This.
    Change(Box<Change>),
}

/// What is to be done about sshd on a host, where the operator has `within` to confirm it.
///
/// # Errors
/// Every reason that there is against it, each with what to do about it.
pub fn plan(facts: &Facts, within: Duration) -> Result<Decision, Failure> {
    let mut refusals = Refusals::default();
    if let Some(Some(pending)) = refusals.seen(&facts.pending) {
        let reason = format!("a change to {} waits to be confirmed", pending.wanted);
        let next = "log in anew over the tailnet and run: sshd-fix confirm; or run: sshd-fix rollback";
        refusals.add("pending", reason, next);
    }
    let (sshd, table) = (refusals.seen(&facts.sshd), refusals.seen(&facts.table));
    let sshd = match (sshd, table) {
        (Some(Some(sshd)), Some(_)) if !is_off(facts, sshd) => sshd,
        (Some(None), Some(table)) if !table.listeners(&[22].into()).is_empty() => {
            let reason = "something listens at port 22, and no unit of systemd starts sshd";
            let next = "find it by: port-audit, and have sshd started by its package's unit";
            refusals.add("sshd-without-unit", reason, next);
            return refusals.or(Decision::NoSshd);
        }
        // One of them was not seen, or there is no sshd.
        _ => return refusals.or(Decision::NoSshd),
    };
    if facts.uid != 0 {
        refusals.add("not-root", "this is not root", "run it by sudo, in the shell that you logged in to");
    }
    if refusals.seen(&facts.not_to_be_run) == Some(&true) {
        let reason = format!("{NOT_TO_BE_RUN} is there: sshd would not be started again");
        refusals.add("sshd-not-to-be-run", reason, "remove it, then plan again");
    }
    refusals.seen(&facts.leftovers);
    refusals.seen(&facts.operator);
    refusals.seen(&facts.interfaces);
    let address = refusals.seen(&facts.tailnet).and_then(|tailnet| refusals.tailnet(tailnet.as_ref(), facts));
    let Some((address, interface)) = address else { return refusals.or(Decision::NoSshd) };
    refusals.sshd(sshd, address);
    let listeners = facts.listeners(sshd).unwrap_or_default();
    let before: BTreeSet<SocketAddr> = listeners.intersection(&sshd.held).copied().collect();
    refusals.others(listeners.difference(&before));
    let port = sshd.named().into_iter().next().unwrap_or(22);
    let wanted =
        Wanted { at: SocketAddrV4::new(address, port), interface, sshd, before, within, program: &facts.program };
    refusals.or(if wanted.is_there() {
        Decision::Right(wanted.at)
    } else {
        Decision::Change(Box::new(wanted.change()))
    })
}

/// It does not run, and nothing would start it.
fn is_off(facts: &Facts, sshd: &Sshd) -> bool {
    let units = sshd.sockets.iter().chain([&sshd.service.unit]);
    let off = units.into_iter().all(|unit| !unit.active && (unit.is("disabled") || unit.is("masked")));
    off && facts.listeners(sshd).is_some_and(|listeners| listeners.is_empty())
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSshd => f.write_str("no sshd runs here, and none would at the next boot: there is nothing to do"),
            Self::Right(at) => write!(f, "sshd listens at {at} and nowhere else: there is nothing to do"),
            Self::Change(change) => change.plan.fmt(f),
        }
    }
}
