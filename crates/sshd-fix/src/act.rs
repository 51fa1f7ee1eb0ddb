//! Carries out what was decided, and puts it back.
//!
//! **Invariant:** whatever ends this, at whatever step, the host is reached by the old way or by the new one: until the
//! rollback is armed nothing in use is changed, and from then on it comes back by itself.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use host::{Cmd, Host};
use outcome::Failure;
use plan::{Broken, Step, restore};

use crate::facts::leftovers;
use crate::journal::{self, Journal};
use crate::operator::sockets;
use crate::paths::{CONFIRMED, PENDING, REVERTED, STATE};
use crate::rules::RULES;
use crate::steps::{Change, disarm};
use crate::table;
use crate::units::main_process;

/// How long sshd has to listen after its start.
const STARTS_WITHIN: Duration = Duration::from_secs(15);
/// How long it has after a boot, whose networks take their time.
const BACK_WITHIN: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(250);

/// Carries out a change up to where the operator has to confirm it. `announce` is told of every step before it is taken.
///
/// # Errors
/// Refused, class `put-back`, when a step did not work or sshd does not listen as it should: what was changed is back, and
/// was seen to be. Infrastructure, class `not-put-back`, when that is not so: the rollback stays armed and tries again.
pub fn apply(host: &dyn Host, change: Change, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    let Change { plan, journal } = change;
    let checked = plan.checked(RULES, Path::new(STATE)).map_err(|violations| {
        let reasons: Vec<_> = violations.iter().map(ToString::to_string).collect();
        Failure::bug("plan-unsafe", reasons.join("\n"), "nothing was changed; report this with the plan")
    })?;
    // An equal change that was confirmed before must not pass for this one.
    host.remove(Path::new(CONFIRMED))?;
    let armed = Cell::new(false);
    let applied = plan::apply(host, &checked, |step| {
        announce(step);
        if armed.get() && host.stat(Path::new(PENDING))?.is_none() {
            return Err(Failure::refused(
                "put-back",
                "the time was over, and it was put back meanwhile",
                "apply it again",
            ));
        }
        armed.set(armed.get() || step.effect == pending(&journal));
        Ok(())
    });
    let reason = match applied {
        Ok(()) => match within(host, STARTS_WITHIN, || is_in_place(host, &journal)) {
            Ok(true) => return Ok(()),
            Ok(false) => format!("sshd does not listen at {} and nowhere else", journal.wanted),
            Err(failure) => failure.reason,
        },
        Err(broken) => broken.to_string(),
    };
    if armed.get() && host.stat(Path::new(PENDING))?.is_some() {
        revert(host, announce)
            .map_err(|failure| Failure { reason: format!("{reason}; {}", failure.reason), ..failure })?;
    } else {
        tidied(&restore(host, &disarm(), announce))?;
    }
    Err(Failure::refused("put-back", format!("{reason}; everything is as it was"), "mend it, then plan again"))
}

pub(crate) fn pending(journal: &Journal) -> plan::Effect {
    plan::Effect::write(PENDING, 0o600, journal.text())
}

/// Puts back the change that waits to be confirmed, looks whether it is back, and takes the rollback away.
///
/// # Errors
/// Refused, class `nothing-pending`, when no change waits. Infrastructure, class `not-put-back`, when sshd does not listen
/// where it did: the rollback stays armed and tries again.
pub fn revert(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<Journal, Failure> {
    let journal = journal::read(host, PENDING)?.ok_or_else(|| {
        Failure::refused("nothing-pending", "no change waits to be confirmed", "see: sshd-fix status")
    })?;
    put_back(host, &journal, announce)?;
    host.write_atomic(Path::new(REVERTED), journal.text().as_bytes(), 0o600)?;
    tidied(&restore(host, &disarm(), announce))?;
    Ok(journal)
}

/// Puts back the change that waits to be confirmed, or where none waits, the one that was confirmed last.
///
/// # Errors
/// As [`revert`].
pub fn rollback(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<Journal, Failure> {
    if journal::read(host, PENDING)?.is_some() {
        return revert(host, announce);
    }
    let journal = journal::read(host, CONFIRMED)?.ok_or_else(|| {
        Failure::refused("nothing-to-put-back", "sshd-fix has changed nothing here", "see: sshd-fix status")
    })?;
    put_back(host, &journal, announce)?;
    host.write_atomic(Path::new(REVERTED), journal.text().as_bytes(), 0o600)?;
    host.remove(Path::new(CONFIRMED))?;
    tidy(host, announce)?;
    Ok(journal)
}

/// Waits until a change that was applied is confirmed or put back.
///
/// # Errors
/// Refused, class `put-back`, when nobody confirmed it. Infrastructure, class `interrupted`, when the wait was broken off:
/// the change still waits.
pub fn await_confirmation(host: &dyn Host, journal: &Journal) -> Result<(), Failure> {
    while host.stat(Path::new(PENDING))?.is_some() {
        pause(host)?;
    }
    if journal::read(host, CONFIRMED)?.as_ref() == Some(journal) {
        return Ok(());
    }
    let reason = "nobody confirmed it in time: everything is as it was";
    Err(Failure::refused("put-back", reason, "apply it again, and confirm it over a new connection"))
}

/// Puts back the files of a change that waits to be confirmed, while the machine starts: nothing of sshd runs yet, and what
/// starts it waits for this. Whether everything is back is looked at after that.
///
/// # Errors
/// When a step does not work.
pub fn boot(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    let Some(journal) = journal::read(host, PENDING)? else { return Ok(()) };
    let restored = restore(host, &journal.files, announce);
    let look = Cmd::new("systemctl").args(["start", "--no-block", "sshd-fix-revert.service"]);
    let looked = host.run(&look)?;
    tidied(&restored)?;
    if looked.success() { Ok(()) } else { Err(not_put_back(&looked.stderr_text())) }
}

/// Takes away what an earlier run that was ended too soon left, if it did; by itself it does nothing any more.
///
/// # Errors
/// When a step does not work.
pub fn tidy(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    if leftovers(host)? { tidied(&restore(host, &disarm(), announce)) } else { Ok(()) }
}

fn tidied(restored: &Result<(), Vec<Broken>>) -> Result<(), Failure> {
    let Err(broken) = restored else { return Ok(()) };
    let reasons: Vec<_> = broken.iter().map(ToString::to_string).collect();
    Err(not_put_back(&reasons.join("; ")))
}

fn put_back(host: &dyn Host, journal: &Journal, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    let files = restore(host, &journal.files, announce);
    // An sshd that is as it was needs no restart.
    let units =
        if listeners(host, journal)? == journal.before { Ok(()) } else { restore(host, &journal.units, announce) };
    if !within(host, BACK_WITHIN, || Ok(listeners(host, journal)?.is_superset(&journal.before)))? {
        return Err(not_put_back(&format!("sshd does not listen where it did, at {}", listed(&journal.before))));
    }
    tidied(&files).and_then(|()| tidied(&units))
}

fn not_put_back(why: &str) -> Failure {
    Failure::infrastructure(
        "not-put-back",
        format!("not everything could be put back: {why}"),
        "it is tried again by sshd-fix-revert.service; see: systemctl status sshd-fix-revert, sshd-fix status",
    )
}

fn listed(addresses: &BTreeSet<SocketAddr>) -> String {
    let listed: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    listed.join(", ")
}

fn listeners(host: &dyn Host, journal: &Journal) -> Result<BTreeSet<SocketAddr>, Failure> {
    Ok(table::read(host)?.listeners(&journal.ports()))
}

/// sshd's own unit listens where it should, and nobody anywhere else.
pub(crate) fn is_in_place(host: &dyn Host, journal: &Journal) -> Result<bool, Failure> {
    let table = table::read(host)?;
    let wanted = SocketAddr::V4(journal.wanted);
    let Some(server) = main_process(host, &journal.service)? else { return Ok(false) };
    let held = table.held(&sockets(host, server)?);
    Ok(table.listeners(&journal.ports()) == [wanted].into() && held.contains(&wanted))
}

/// Whether it comes true in time.
fn within(host: &dyn Host, time: Duration, is_so: impl Fn() -> Result<bool, Failure>) -> Result<bool, Failure> {
    let tries = time.as_millis() / TICK.as_millis();
    for _ in 0..tries {
        if is_so()? {
            return Ok(true);
        }
        pause(host)?;
    }
    is_so()
}

/// Time passes on the host that is looked at.
fn pause(host: &dyn Host) -> Result<(), Failure> {
    let slept = host.run(&Cmd::new("sleep").arg(TICK.as_secs_f32().to_string()))?;
    if slept.success() {
        return Ok(());
    }
    Err(Failure::infrastructure("interrupted", format!("sleep: {}", slept.status), "see: sshd-fix status"))
}
