//! Carries out what was decided, and puts it back.
//!
//! **Invariant:** whatever ends this, at whatever step, the host is reached by the old way or by the new one: until the
//! way back is armed nothing in use is changed, and from then on it comes back by itself. That goes for a way back too.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use host::{Cmd, Host};
use outcome::Failure;
use plan::{Broken, Plan, Step, reasons, restore};

use crate::facts::{interfaces, leftovers};
use crate::journal::{self, Journal};
use crate::operator::sockets;
use crate::paths::{CONFIRMED, PENDING, REVERTED, STATE};
use crate::rules::RULES;
use crate::steps::{Change, arm, disarm, pending};
use crate::table::{self, listed};
use crate::units::{self, main_process};

/// How long sshd has to listen after its start.
const STARTS_WITHIN: Duration = Duration::from_secs(15);
/// How long it has after a boot, whose networks take their time.
const BACK_WITHIN: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(250);

/// Carries out a change up to where the operator has to confirm it. `announce` is told of every step before it is taken.
///
/// # Errors
/// Refused, class `put-back`, when a step did not work or sshd does not listen as it should: what was changed is back, and
/// was seen to be. Infrastructure, class `not-put-back`, when that is not so: the way back stays armed and is tried again.
pub fn apply(host: &dyn Host, change: Change, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    let Change { plan, journal } = change;
    // Whoever waits for the end of this change must not take that of another for it.
    host.remove(Path::new(REVERTED))?;
    let reason = match carry_out(host, plan, &journal, announce)? {
        Ok(()) => match within(host, STARTS_WITHIN, || is_in_place(host, &journal)) {
            Ok(true) => return Ok(()),
            Ok(false) => format!("sshd does not listen at {} and nowhere else", journal.wanted),
            Err(failure) => failure.reason,
        },
        Err(broken) => broken.to_string(),
    };
    undo(host, &journal, announce)
        .map_err(|failure| Failure { reason: format!("{reason}; {}", failure.reason), ..failure })?;
    Err(Failure::refused("put-back", format!("{reason}; everything is as it was"), "mend it, then plan again"))
}

/// Carries out the steps as long as nobody puts them back meanwhile.
fn carry_out(
    host: &dyn Host,
    plan: Plan,
    journal: &Journal,
    announce: &dyn Fn(&Step),
) -> Result<Result<(), Broken>, Failure> {
    let checked = plan.checked(RULES, Path::new(STATE)).map_err(|violations| {
        let reasons: Vec<_> = violations.iter().map(ToString::to_string).collect();
        Failure::bug("plan-unsafe", reasons.join("\n"), "nothing was changed; report this with the plan")
    })?;
    let armed = Cell::new(false);
    Ok(plan::apply(host, &checked, |step| {
        announce(step);
        if armed.get() && host.stat(Path::new(PENDING))?.is_none() {
            return Err(Failure::refused(
                "put-back",
                "the time was over, and it was put back meanwhile",
                "apply it again",
            ));
        }
        armed.set(armed.get() || step.effect == pending(journal));
        Ok(())
    }))
}

/// Undoes what was done of a change.
fn undo(host: &dyn Host, journal: &Journal, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    if host.stat(Path::new(PENDING))?.is_some() {
        return revert(host, announce).map(drop);
    }
    // It was put back meanwhile, and the step that was on its way then came after that.
    if host.stat(Path::new(REVERTED))?.is_some() {
        restore(host, &journal.files, announce).map_err(|broken| not_put_back(&reasons(&broken)))?;
    }
    take_away(host, announce)
}

/// Waits until a change that was applied is confirmed or put back.
///
/// # Errors
/// Refused, class `put-back`, when nobody confirmed it. Infrastructure, class `interrupted`, when the wait was broken off:
/// the change still waits.
pub fn await_confirmation(host: &dyn Host) -> Result<(), Failure> {
    while host.stat(Path::new(PENDING))?.is_some() {
        pause(host)?;
    }
    if host.stat(Path::new(REVERTED))?.is_none() {
        return Ok(());
    }
    let reason = "nobody confirmed it in time: everything is as it was";
    Err(Failure::refused("put-back", reason, "apply it again, and confirm it over a new connection"))
}

/// The change that waits to be confirmed.
///
/// # Errors
/// Refused, class `nothing-pending`, when none does.
pub(crate) fn waiting(host: &dyn Host) -> Result<Journal, Failure> {
    let none = || Failure::refused("nothing-pending", "no change waits to be confirmed", "see: sshd-fix status");
    journal::read(host, PENDING)?.ok_or_else(none)
}

/// Puts back the change that waits to be confirmed, looks whether it is back, and takes the way back away.
///
/// # Errors
/// Refused, class `nothing-pending`, when no change waits. Infrastructure, class `not-put-back`, when sshd does not listen
/// where it did: the way back stays armed and is tried again.
pub fn revert(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<Journal, Failure> {
    let journal = waiting(host)?;
    put_back(host, &journal, announce)?;
    host.write_atomic(Path::new(REVERTED), journal.text().as_bytes(), 0o600)?;
    // A confirmation that was broken off, or the one that is taken back.
    if journal::read(host, CONFIRMED)?.is_some_and(|confirmed| confirmed.files == journal.files) {
        host.remove(Path::new(CONFIRMED))?;
    }
    take_away(host, announce)?;
    Ok(journal)
}

/// Puts back the change that waits to be confirmed, or where none waits, the one that was confirmed last; `program` is the
/// running program's own path.
///
/// # Errors
/// As [`revert`]. Refused, class `nothing-to-put-back` or `leads-nowhere`, when there is no way back.
pub fn rollback(host: &dyn Host, program: &Path, announce: &dyn Fn(&Step)) -> Result<Journal, Failure> {
    if journal::read(host, PENDING)?.is_some() {
        return revert(host, announce);
    }
    let journal = journal::read(host, CONFIRMED)?.ok_or_else(|| {
        Failure::refused("nothing-to-put-back", "sshd-fix has changed nothing here", "see: sshd-fix status")
    })?;
    if reachable(host, &journal.before)?.is_empty() {
        let reason = format!("sshd would listen nowhere: before the change it did at [{}]", listed(&journal.before));
        let next = "remove the drop-ins of sshd-fix by hand, at the console (docs/host.md)";
        return Err(Failure::refused("leads-nowhere", reason, next));
    }
    let armed = Plan { steps: arm(&journal, program), rollback: disarm() };
    if let Err(broken) = carry_out(host, armed, &journal, announce)? {
        take_away(host, announce)?;
        return Err(Failure::not_ready(
            "not-armed",
            broken.to_string(),
            "nothing was changed; mend it, then try again",
        ));
    }
    revert(host, announce)
}

/// Puts back the files of a change that waits to be confirmed, while the machine starts: nothing of sshd runs yet, and what
/// starts it waits for this. Whether everything is back is looked at after that.
///
/// # Errors
/// When a step does not work.
pub fn boot(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    let Some(journal) = journal::read(host, PENDING)? else { return Ok(()) };
    let restored = restore(host, &journal.files, announce);
    let look = host.run(&Cmd::new("systemctl").args(["start", "--no-block", "sshd-fix-revert.service"]))?;
    restored.map_err(|broken| not_put_back(&reasons(&broken)))?;
    if look.success() { Ok(()) } else { Err(not_put_back(&look.stderr_text())) }
}

/// Takes away what an earlier run left that was ended too soon, unless a change waits. By itself it does nothing any more.
///
/// # Errors
/// Infrastructure, class `not-tidied`, when a step does not work.
pub fn tidy(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    if host.stat(Path::new(PENDING))?.is_some() { Ok(()) } else { take_away(host, announce) }
}

/// Takes away what would put back, and first of all what it acts on.
pub(crate) fn take_away(host: &dyn Host, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    if !leftovers(host)? {
        return Ok(());
    }
    restore(host, &disarm(), announce).map_err(|broken| {
        let reason = format!("the units of sshd-fix are not all gone: {}", reasons(&broken));
        Failure::infrastructure("not-tidied", reason, "run: sshd-fix apply, which takes them away")
    })
}

fn put_back(host: &dyn Host, journal: &Journal, announce: &dyn Fn(&Step)) -> Result<(), Failure> {
    let files = restore(host, &journal.files, announce);
    let before = reachable(host, &journal.before)?;
    let is_back =
        |now: &BTreeSet<SocketAddr>| now.is_superset(&before) && (journal.before.is_empty() || !now.is_empty());
    // An sshd that listens as it did needs no restart.
    let now = listeners(host, journal)?;
    let is_as_before = is_back(&now) && now.is_subset(&journal.before) && units::run(host, &journal.listened)?;
    let units = if is_as_before { Ok(()) } else { restore(host, &journal.units, announce) };
    if !within(host, BACK_WITHIN, || Ok(is_back(&listeners(host, journal)?)))? {
        if listeners(host, journal)?.is_empty() {
            // Somebody has to, even if it is not who did.
            host.run(&Cmd::new("systemctl").args(["start", &journal.service]))?;
        }
        return Err(not_put_back(&format!("sshd does not listen where it did, at {}", listed(&before))));
    }
    files.and(units).map_err(|broken| not_put_back(&reasons(&broken)))
}

/// Those of the addresses at which the machine can listen now: one that it lost is not waited for.
fn reachable(host: &dyn Host, addresses: &BTreeSet<SocketAddr>) -> Result<BTreeSet<SocketAddr>, Failure> {
    let own: Vec<_> = interfaces(host)?.into_iter().map(|(_, address)| address).collect();
    let is_there = |at: &&SocketAddr| match at.ip() {
        ip if ip.is_unspecified() => own.iter().any(|own| own.is_ipv4() == ip.is_ipv4()),
        ip => own.contains(&ip),
    };
    Ok(addresses.iter().filter(is_there).copied().collect())
}

fn not_put_back(why: &str) -> Failure {
    Failure::infrastructure(
        "not-put-back",
        format!("not everything could be put back: {why}"),
        "it is tried again by sshd-fix-revert.service; see: systemctl status sshd-fix-revert, sshd-fix status",
    )
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
